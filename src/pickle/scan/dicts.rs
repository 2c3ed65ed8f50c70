//! The keys of the dicts that are about to become states of instances.

use crate::pickle::node::{Kind, Node, Span};

/// Keys of one dict that are remembered, at most.
pub(super) const MAX_KEYS: usize = 64;
/// Keys that picklers put into a dict at once: of those with more, there is another batch.
const BATCH: usize = 1000;
/// Dicts whose keys are remembered at once: those that are about to become states, and
/// what was put into them before.
const MAX_DICTS: usize = 64;

/// The keys of one dict, and how many of them are Python 2's `str`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Keys {
    from: u32,
    to: u32,
    pub(super) strs: u32,
    pub(super) lost: bool,
}

impl Keys {
    pub(super) const LOST: Self = Self {
        from: 0,
        to: 0,
        strs: 0,
        lost: true,
    };

    pub(super) fn range(self) -> std::ops::Range<usize> {
        self.from as usize..self.to as usize
    }

    pub(super) fn len(self) -> usize {
        (self.to - self.from) as usize
    }
}

/// A dict, by the offset that tells it apart, and where its keys begin.
#[derive(Debug, Clone, Copy)]
struct Keyed {
    dict: u32,
    from: u32,
    /// Count of the keys that are Python 2's `str`.
    strs: u32,
    /// Some of its keys were forgotten, or are no text.
    partly: bool,
}

/// The dicts that were last given keys.
#[derive(Debug, Default)]
pub(super) struct Dicts {
    /// Keys, dict after dict.
    pub(super) keys: Vec<Span>,
    given: Vec<Keyed>,
    /// No dict that began before this has all its keys.
    forgotten: Option<u32>,
    /// Some dict was given keys in several batches, or may be.
    several: bool,
    /// A dict was given keys where no pickler does.
    odd: bool,
}

impl Dicts {
    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.given.clear();
        self.forgotten = None;
        self.several = false;
        self.odd = false;
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.keys.capacity() * size_of::<Span>() + self.given.capacity() * size_of::<Keyed>()
    }

    /// A dict gets keys and values.
    #[inline]
    pub(super) fn pairs(&mut self, dict: Node, pairs: &[Node]) {
        // No pickler goes back to a dict by the memo.
        self.odd |= dict.at > dict.a;
        while let Some(last) = self.given.last()
            && last.dict > dict.a
        {
            // It lies within this one, and is whole.
            self.keys.truncate(last.from as usize);
            self.given.pop();
        }
        if self.given.last().is_none_or(|last| last.dict != dict.a) {
            if self.given.len() == MAX_DICTS {
                // Those that are given keys in several batches are not whole any more.
                if self.several {
                    self.forgotten = self.given.last().map(|last| last.dict);
                }
                self.given.clear();
                self.keys.clear();
            }
            self.given.push(Keyed {
                dict: dict.a,
                from: self.keys.len() as u32,
                strs: 0,
                partly: self.forgotten >= Some(dict.a),
            });
        } else {
            self.several = true;
        }
        self.several |= pairs.len() >= 2 * BATCH;
        let Some(this) = self.given.last_mut() else {
            return;
        };
        let room = MAX_KEYS - (self.keys.len() - this.from as usize);
        let (mut names, mut strs) = (0, 0);
        // A slice of a known length is copied without a look at the room for each.
        let kept = &pairs[..pairs.len().min(2 * room)];
        self.keys.extend(kept.chunks_exact(2).map(|pair| {
            let key = pair[0];
            names += u32::from(matches!(key.kind, Kind::Text | Kind::Str));
            strs += u32::from(key.kind == Kind::Str);
            key.bytes()
        }));
        this.strs += strs;
        this.partly |= names as usize * 2 != pairs.len();
    }

    /// The keys of a dict. An empty one was given none.
    pub(super) fn keys_of(&self, dict: Node) -> Keys {
        // What was put into one that the memo gave is not told apart.
        if dict.at > dict.a || self.odd {
            return Keys::LOST;
        }
        let at = match self.given.last() {
            Some(last) if last.dict == dict.a => self.given.len() - 1,
            _ => match self.given.iter().rposition(|keyed| keyed.dict == dict.a) {
                Some(at) => at,
                None if self.forgotten < Some(dict.a) => return Keys::default(),
                None => return Keys::LOST,
            },
        };
        let next = self.given.get(at + 1);
        let this = self.given[at];
        Keys {
            from: this.from,
            to: next.map_or(self.keys.len() as u32, |next| next.from),
            strs: this.strs,
            lost: this.partly,
        }
    }
}
