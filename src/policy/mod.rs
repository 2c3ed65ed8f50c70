//! Compiles one configuration, and decides by it for a key: which space, which rule,
//! which server. Knows no wire format and no socket.

mod admission;
pub mod family;
mod key;
mod plan;
mod ring;
mod rollout;
mod rule;
mod rules;
mod runtime;

pub use admission::{Admission, Identify, SOURCES, Source, Standing, Tag, Told, Untagged};
pub use family::Separators;
pub use key::{KeyCodec, Restore, SpaceId, physical_limit};
pub use plan::{Look, OnMiss, Plan, Plans, Reach, Whole, WriteKind};
pub use ring::{Distribution, Ring};
pub use rollout::{BUCKETS, Rollout, bucket};
pub use rule::{
    Coherence, Globals, Mode, OnStore, OnUnknownRead, OnUnloadableRead, OnUpstreamFailure, Rule,
    Sniff,
};
pub use rules::{Compiled, Rules};
pub use runtime::{MAX_TAG_BYTES, PartialVersion, Requirement, RuntimeError, RuntimeTag};

use std::sync::Arc;

use crate::pickle::inventory::Inventory;
use crate::pickle::{Encoding, Extensions, Firewall, InflateLimits, Pool, Reader};

/// A compiled, immutable configuration; each request is decided by exactly one.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Codec of keys, which knows the bare space and one per namespace.
    pub codec: KeyCodec,
    /// The namespaces, in the order of their spaces (the first is
    /// `SpaceId(1)`).
    pub namespaces: Vec<Namespace>,
    /// The rules for families of keys.
    pub rules: Rules,
    /// The ring that says which server owns a key.
    pub ring: Ring,
    /// Settings for judging values.
    pub pickles: Pickles,
    /// The largest value that is passed on, in bytes.
    pub max_value_bytes: usize,
    /// The characters that end the name of a family of keys; `None` if families are not
    /// looked at.
    pub families: Option<Separators>,
    /// True if `flush_all` is forwarded to every server.
    pub forward_flush_all: bool,
}

/// Settings for judging values, whatever their key.
#[derive(Debug, Clone)]
pub struct Pickles {
    /// The marks that clients put on pickles.
    pub encoding: Encoding,
    /// The limits of compressed values.
    pub inflate: InflateLimits,
    /// The extension codes that applications register.
    pub extensions: Extensions,
    /// The names that `globals = "deny"` refuses.
    pub deny: Firewall,
    /// The names that `globals = "allow"` does not refuse.
    pub allow: Firewall,
}

impl Pickles {
    /// The list that counts for what is looked at whole.
    pub fn firewall(&self, whole: Whole) -> Option<&Firewall> {
        if whole.contains(Whole::ALLOW) {
            Some(&self.allow)
        } else {
            whole.contains(Whole::DENY).then_some(&self.deny)
        }
    }
}

/// A named key space for some runtimes.
#[derive(Debug, Clone)]
pub struct Namespace {
    /// The name, as configured.
    pub name: Box<str>,
    /// Runtimes that share the namespace.
    pub requirement: Requirement,
    /// The runtime that the inventory is of, or the most capable one that it
    /// admits.
    pub reader: Reader,
    /// The inventory of what its runtimes can import, if that is known.
    pub inventory: Option<Arc<Inventory>>,
}

impl Namespace {
    /// Knows what the admitted runtimes can load.
    pub fn new(name: &str, requirement: Requirement, inventory: Option<Arc<Inventory>>) -> Self {
        let pythons = (0..=7)
            .map(|minor| (2, minor))
            .chain((0..=40).map(|minor| (3, minor)));
        let reader = pythons
            .filter(|&(major, minor)| requirement.allows_python(major, minor))
            .map(|(major, minor)| Reader::of_python(major, Some(minor)))
            .reduce(Reader::or)
            .unwrap_or(Reader::NEWEST);
        let reader = inventory.as_deref().map_or(reader, Reader::of_inventory);
        Self {
            name: name.into(),
            requirement,
            reader,
            inventory,
        }
    }

    /// Its runtimes, and what is known of where they run.
    pub fn pool(&self) -> Pool<'_> {
        Pool {
            reader: self.reader,
            inventory: self.inventory.as_deref(),
        }
    }

    /// A reader by its tag, with what the inventory adds to that.
    fn refine(&self, reader: Reader) -> Reader {
        let known = self.inventory.as_deref().map(Reader::of_inventory);
        known.map_or(reader, |known| reader.refined(known))
    }
}

/// The identity of a client: the runtime at the other end of a connection, resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Space that holds the namespace's copies.
    pub space: SpaceId,
    /// The reader that its values are for.
    pub reader: Reader,
}

impl Identity {
    /// Identity of clients without a tag that work on the bare keys. Nothing is hidden
    /// from them.
    pub const UNTAGGED: Self = Self {
        space: SpaceId::BARE,
        reader: Reader::NEWEST,
    };
}

/// The decision about one key of one request.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'s> {
    /// Consequences of the key's rule.
    pub plan: &'s Plan,
    /// The space in which the key lives for this runtime.
    pub space: SpaceId,
}

impl Snapshot {
    /// The identity of a runtime; `None` if no namespace admits it.
    pub fn identify(&self, tag: &RuntimeTag) -> Option<Identity> {
        let at = self
            .namespaces
            .iter()
            .position(|n| n.requirement.matches(tag))?;
        // A configuration holds at most 255 namespaces.
        Some(Identity {
            space: SpaceId(at as u8 + 1),
            reader: self.namespaces[at].refine(tag.reader()),
        })
    }

    /// Decides for a client key.
    #[inline]
    pub fn decide(&self, identity: Identity, key: &[u8]) -> Decision<'_> {
        let plans = &self.rules.find(key).plans;
        if identity.space == SpaceId::BARE {
            let (plan, space) = (&plans.untagged, SpaceId::BARE);
            return Decision { plan, space };
        }
        let plan = plans.of(key);
        let space = if plan.isolates() {
            identity.space
        } else {
            SpaceId::BARE
        };
        Decision { plan, space }
    }

    /// The copies that whoever has none of its own may read: the bare one, then
    /// those of the namespaces.
    pub fn others(&self, own: SpaceId) -> impl Iterator<Item = SpaceId> + use<> {
        // Further spaces are those of other epochs, which nobody reads.
        (0..=self.namespaces.len())
            .map(|at| SpaceId(at as u8))
            .filter(move |&space| space != own)
    }

    /// The inventory of a namespace's runtimes.
    pub fn inventory(&self, space: SpaceId) -> Option<&Inventory> {
        let namespace = self.namespaces.get(space.index().checked_sub(1)?)?;
        namespace.inventory.as_deref()
    }

    /// The pools that may have written a value of a space: its namespace's, or all.
    pub fn writers(&self, space: SpaceId) -> impl Iterator<Item = Pool<'_>> + Clone {
        self.readers(space).map(Namespace::pool)
    }

    /// The readers of a value stored in a space: its namespace's, or all.
    pub fn readers(&self, space: SpaceId) -> impl Iterator<Item = &Namespace> + Clone {
        let all = space == SpaceId::BARE;
        self.namespaces
            .iter()
            .enumerate()
            .filter(move |(i, _)| all || i + 1 == space.index())
            .map(|(_, namespace)| namespace)
    }
}

impl Decision<'_> {
    /// The other copies that a delete must reach.
    pub fn siblings(self, codec: &KeyCodec) -> impl Iterator<Item = SpaceId> + use<> {
        let all = self.plan.deletes_reach;
        self.others(codec).filter(move |_| all)
    }

    /// The other copies that there may be, whatever the rule says of coherence.
    pub fn others(self, codec: &KeyCodec) -> impl Iterator<Item = SpaceId> + use<> {
        let all = self.plan.has_others();
        let own = self.space;
        codec.spaces().filter(move |&space| all && space != own)
    }
}
