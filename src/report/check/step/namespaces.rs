//! Namespaces, and the runtimes that they are for: whose copies are read on one side
//! and not reached on the other.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::super::hazard::Hazard;
use super::{Comparison, reads_on};
use crate::config::Config;
use crate::policy::{Identify, RuntimeTag, Snapshot, SpaceId, Untagged};
use crate::report::inspect::every_python;

impl Comparison<'_> {
    pub(super) fn namespaces(&mut self) {
        let (old, new) = (self.old, self.new);
        for (at, namespace) in new.snapshot.namespaces.iter().enumerate() {
            let what = format!("namespace {}", namespace.name);
            let space = space_of(at);
            let Some(before) = find(&old.snapshot, &namespace.name) else {
                let (name, prefix) = (&namespace.name, prefix(&new.snapshot, space));
                let runtimes = &namespace.requirement;
                self.change(
                    &what,
                    format!("is new, for {runtimes}: its copies are {prefix}..."),
                );
                self.change(
                    &what,
                    "copies that an earlier namespace of this name left are back: if there was \
                     one, give it a higher epoch",
                );
                let escaped = format!("client keys that start with @{name}/ or @{name}. are moved");
                self.change(&what, escaped);
                self.unread_before(space, None);
                continue;
            };
            self.namespace(&what, before, space);
        }
        for (at, namespace) in old.snapshot.namespaces.iter().enumerate() {
            let space = space_of(at);
            let after = find(&new.snapshot, &namespace.name);
            if after.is_none() {
                let what = format!("namespace {}", namespace.name);
                self.change(
                    &what,
                    "is removed: its copies stay until they expire; should the name ever be \
                     used again, give it a higher epoch",
                );
            }
            self.unread_after(space, after);
        }
        self.order();
    }

    /// Compares a namespace that both configurations have.
    fn namespace(&mut self, what: &str, before: SpaceId, after: SpaceId) {
        let (old, new) = (&self.old.snapshot, &self.new.snapshot);
        let (from, to) = (old.codec.epoch(before), new.codec.epoch(after));
        let was = &old.namespaces[before.index() - 1];
        let is = &new.namespaces[after.index() - 1];
        if from != to {
            let (from_prefix, to_prefix) = (prefix(old, before), prefix(new, after));
            let keys =
                format!("keys move from {from_prefix}... to {to_prefix}...: they start empty");
            self.change(what, format!("epoch {from} -> {to}: {keys}"));
        }
        if to < from {
            let hazard = Hazard::lowered(&was.name, from, to);
            self.step.hazards.push(hazard);
        } else {
            self.unread_before(after, Some(from));
        }
        self.setting(
            what,
            "runtimes",
            quoted(&was.requirement),
            quoted(&is.requirement),
        );
        let (epochs_before, epochs) = (
            further_epochs(old, &was.name),
            further_epochs(new, &is.name),
        );
        self.setting(what, "also_invalidate", epochs_before, epochs);
        if was.inventory != is.inventory {
            self.change(what, "inventory: values are judged by another one");
        }
    }

    /// Checks whether the new side reads copies that the old one does not reach.
    fn unread_before(&mut self, space: SpaceId, before: Option<u64>) {
        let new = &self.new.snapshot;
        if has_clients(self.new, space) && isolates(new) && !knows(&self.old.snapshot, new, space) {
            let name = new.codec.name(space);
            self.step.hazards.push(match before {
                Some(before) => Hazard::unprepared(name, new.codec.epoch(space), before),
                None => Hazard::unannounced(name),
            });
        }
    }

    /// Checks whether the old side reads copies that the new one does not reach.
    /// Lowered epochs have a hazard of their own.
    fn unread_after(&mut self, space: SpaceId, after: Option<SpaceId>) {
        let (old, new) = (&self.old.snapshot, &self.new.snapshot);
        let is_lowered = after.is_some_and(|a| new.codec.epoch(a) < old.codec.epoch(space));
        let is_read = has_clients(self.old, space) || reads_through(old);
        if is_read && isolates(old) && !is_lowered && !knows(new, old, space) {
            let name = old.codec.name(space);
            self.step.hazards.push(match after {
                Some(_) => Hazard::dropped(name, old.codec.epoch(space)),
                None => Hazard::removed(name),
            });
        }
    }

    /// Tells of another order of the namespaces that both have.
    fn order(&mut self) {
        let names = |these: &Snapshot, others: &Snapshot| -> Vec<String> {
            let both = these
                .namespaces
                .iter()
                .filter(|n| find(others, &n.name).is_some());
            both.map(|n| n.name.to_string()).collect()
        };
        let (old, new) = (&self.old.snapshot, &self.new.snapshot);
        let (old, new) = (names(old, new).join(", "), names(new, old).join(", "));
        self.setting("namespaces", "order", old, new);
    }

    /// Tells which runtimes go to another namespace.
    pub(super) fn tags(&mut self) {
        for tag in tags(self.new) {
            let what = tag.to_string();
            let name = |config: &Config| {
                let identity = config.snapshot.identify(&tag)?;
                Some(config.snapshot.codec.name(identity.space).to_owned())
            };
            match (name(self.old), name(self.new)) {
                (Some(old), Some(new)) if old != new => {
                    self.change(&what, format!("namespace {old} -> {new}"));
                }
                (None, Some(new)) => self.change(&what, format!("goes to namespace {new}")),
                (Some(_), None) => {
                    self.change(&what, "has no namespace any more");
                    self.step.hazards.push(Hazard::homeless(&what));
                }
                _ => {}
            }
        }
    }

    /// Tells whether a client reads another namespace or epoch than it did, or one that
    /// had no clients.
    pub(super) fn relocates(&self) -> bool {
        let place = |config: &Config, tag: &RuntimeTag| {
            let space = config.snapshot.identify(tag)?.space;
            Some(prefix(&config.snapshot, space))
        };
        let (before, after) = (tags(self.old), tags(self.new));
        let read: BTreeSet<_> = before.iter().filter_map(|t| place(self.old, t)).collect();
        after.iter().any(|tag| {
            let (was, is) = (place(self.old, tag), place(self.new, tag));
            is.as_ref().is_some_and(|is| !read.contains(is)) || was.is_some() && was != is
        })
    }
}

/// The space of a namespace by its place.
fn space_of(at: usize) -> SpaceId {
    // A configuration holds at most 255 namespaces.
    SpaceId(at as u8 + 1)
}

fn find(snapshot: &Snapshot, name: &str) -> Option<SpaceId> {
    let at = snapshot.namespaces.iter().position(|n| &*n.name == name)?;
    Some(space_of(at))
}

fn prefix(snapshot: &Snapshot, space: SpaceId) -> String {
    String::from_utf8_lossy(snapshot.codec.prefix(space)).into_owned()
}

fn quoted(text: impl Display) -> String {
    format!("\"{text}\"")
}

/// The epochs of a namespace that nobody reads.
fn further_epochs(snapshot: &Snapshot, name: &str) -> String {
    let codec = &snapshot.codec;
    let further = codec.spaces().skip(1 + snapshot.namespaces.len());
    let own = further.filter(|&space| codec.name(space) == name);
    let epochs: BTreeSet<u64> = own.map(|space| codec.epoch(space)).collect();
    let epochs: Vec<String> = epochs.iter().map(u64::to_string).collect();
    format!("[{}]", epochs.join(", "))
}

/// Tells whether the deletes of a snapshot reach a space of another one.
fn knows(snapshot: &Snapshot, other: &Snapshot, space: SpaceId) -> bool {
    let codec = &snapshot.codec;
    let mut prefixes = codec.spaces().map(|space| codec.prefix(space));
    prefixes.any(|prefix| prefix == other.codec.prefix(space))
}

/// Tells whether the copies of namespaces are used at all.
fn isolates(snapshot: &Snapshot) -> bool {
    let mut rules = snapshot.rules.iter();
    rules.any(|rule| rule.plans.isolated() > 0)
}

/// Tells whether the copies of namespaces without clients are read.
fn reads_through(snapshot: &Snapshot) -> bool {
    let mut rules = snapshot.rules.iter();
    rules.any(|rule| rule.plans.isolated() > 0 && reads_on(&rule.plans.inside))
}

/// Tells whether some client may be of a namespace.
fn has_clients(config: &Config, space: SpaceId) -> bool {
    let snapshot = &config.snapshot;
    let is_of = |tag: &RuntimeTag| snapshot.identify(tag).is_some_and(|who| who.space == space);
    if tags(config).iter().any(is_of) {
        return true;
    }
    // It may be for other products, too: some tag that nobody thinks of here.
    let requirement = &snapshot.namespaces[space.index() - 1].requirement;
    identifies(config) && !every_python().any(|tag| requirement.matches(&tag))
}

/// Tells whether some listener may meet any tag.
fn identifies(config: &Config) -> bool {
    let mut listeners = config.listeners.iter();
    listeners.any(|listener| matches!(listener.admission.identify, Identify::Each { .. }))
}

/// The tags that clients may bear: those that listeners name, and each Python if
/// clients are asked.
pub(super) fn tags(config: &Config) -> Vec<RuntimeTag> {
    let named = config
        .listeners
        .iter()
        .filter_map(|listener| match &listener.admission.identify {
            Identify::Static(runtime)
            | Identify::Each {
                untagged: Untagged::As(runtime),
                ..
            } => Some(runtime.clone()),
            Identify::Each { .. } => None,
        });
    let mut tags: Vec<RuntimeTag> = Vec::new();
    for tag in named.chain(every_python().filter(|_| identifies(config))) {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}
