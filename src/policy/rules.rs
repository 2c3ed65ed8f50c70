//! Rules: what to do with a family of client keys. The longest prefix wins.

use super::rollout::Rollout;
use crate::pickle::transcode::Py2Str;

/// A rule for a family of client keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Client keys that start with this; empty for the catch-all.
    pub prefix: Box<[u8]>,
    /// The place of keys, and the treatment of values.
    pub mode: Mode,
    /// The keys that are isolated in [`Mode::Isolate`]; the others are guarded.
    pub rollout: Rollout,
    /// The part of each value that is looked at.
    pub sniff: Sniff,
    /// The answer to a reader that cannot load a value (guard, isolate).
    pub on_unloadable_read: OnUnloadableRead,
    /// The answer to a store that some reader of the key cannot load.
    pub on_unloadable_write: OnUnloadableWrite,
    /// The answer to a read whose server failed; writes always get the error.
    pub on_upstream_failure: OnUpstreamFailure,
    /// The writes that reach the siblings.
    pub coherence: Coherence,
    /// The firewall on what pickles name.
    pub globals: Globals,
    /// The type that a transcoded Python 2 `str` gets where nothing tells.
    pub py2_str: Py2Str,
    /// True if a miss in a namespace is answered with another copy that its reader can
    /// load.
    pub read_through: bool,
}

impl Rule {
    /// The share of its keys that is isolated, 0 to 1.
    pub fn isolated_share(&self) -> f64 {
        match self.mode {
            Mode::Isolate => f64::from(self.rollout.percent()) / 100.0,
            Mode::Shared | Mode::Observe | Mode::Guard => 0.0,
        }
    }
}

/// The place of a rule's keys, and whether values are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Bare keys, untouched.
    Shared,
    /// Bare keys, values sniffed and counted.
    Observe,
    /// Bare keys, unloadable values hidden or rejected.
    Guard,
    /// Each runtime its own namespace.
    Isolate,
}

/// The part of each value that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sniff {
    /// Not at all.
    Off,
    /// The first bytes.
    Header,
    /// All of them: values are held whole.
    Full,
}

/// The answer to a reader that cannot load a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnloadableRead {
    /// An ordinary miss.
    Miss,
    /// The value in a form that it can load, or a miss where there is none.
    Transcode,
    /// The value as it is.
    Pass,
}

/// The answer to a store that some reader of its key cannot load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnloadableWrite {
    /// Stored.
    Accept,
    /// `NOT_STORED`, and every copy deleted.
    Reject,
}

/// The answer to a read whose server failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUpstreamFailure {
    /// A miss, beside the values of the other servers.
    Miss,
    /// The error, in place of all that is not out yet.
    Error,
}

/// The writes that reach the siblings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coherence {
    /// None.
    None,
    /// Deletes.
    Deletes,
    /// Deletes, and every write that took effect, but for those that fill what
    /// was just missed.
    FillAware,
    /// Deletes, and every write that took effect.
    Strict,
}

/// The pickles that the firewall refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Globals {
    /// Nothing.
    Any,
    /// Pickles that name what is on the deny list.
    Deny,
    /// Pickles that name anything but what is on the allow list.
    Allow,
}

/// Compiled rules, looked up by longest prefix.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Sorted by prefix; the first is the catch-all.
    sorted: Vec<Rule>,
    /// The first bytes of each prefix, which decide nearly always: in their order,
    /// too.
    heads: Vec<u64>,
    /// For each rule, the next shorter rule whose prefix starts its own.
    parents: Vec<usize>,
}

impl Rules {
    /// Compiles rules with distinct prefixes; `None` without a catch-all.
    pub fn new(mut rules: Vec<Rule>) -> Option<Self> {
        rules.sort_by(|a, b| a.prefix.cmp(&b.prefix));
        if !rules.first()?.prefix.is_empty() {
            return None;
        }
        let parents = (0..rules.len())
            .map(|i| {
                (0..i)
                    .rev()
                    .find(|&j| rules[i].prefix.starts_with(&rules[j].prefix))
                    .unwrap_or(0)
            })
            .collect();
        let heads = rules.iter().map(|rule| head(&rule.prefix)).collect();
        Some(Self {
            sorted: rules,
            heads,
            parents,
        })
    }

    /// The rule of a client key.
    #[inline]
    pub fn find(&self, key: &[u8]) -> &Rule {
        match &self.sorted[..] {
            [only] => only,
            _ => self.search(key),
        }
    }

    fn search(&self, key: &[u8]) -> &Rule {
        // Every prefix of the key sorts at or before it, and the nearest one
        // is an ancestor of the last rule at or before it.
        let key_head = head(key);
        let before = self.heads.partition_point(|&head| head < key_head);
        let alike = self.heads[before..]
            .iter()
            .take_while(|&&head| head == key_head);
        let alike = &self.sorted[before..before + alike.count()];
        let upto = before + alike.partition_point(|rule| &*rule.prefix <= key);
        // The catch-all is before every key.
        let mut at = upto - 1;
        while !key.starts_with(&self.sorted[at].prefix) {
            at = self.parents[at];
        }
        &self.sorted[at]
    }

    /// All rules, sorted by prefix.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.sorted.iter()
    }
}

/// The first eight bytes, as a number: of two that differ, the smaller is of what
/// sorts first.
fn head(bytes: &[u8]) -> u64 {
    if let Some(head) = bytes.first_chunk() {
        return u64::from_be_bytes(*head);
    }
    let mut head = [0; 8];
    head[..bytes.len()].copy_from_slice(bytes);
    u64::from_be_bytes(head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(prefixes: &[&str]) -> Rules {
        let rule = |prefix: &&str| Rule {
            prefix: prefix.as_bytes().into(),
            mode: Mode::Shared,
            rollout: Rollout::ALL,
            sniff: Sniff::Off,
            on_unloadable_read: OnUnloadableRead::Miss,
            on_unloadable_write: OnUnloadableWrite::Accept,
            on_upstream_failure: OnUpstreamFailure::Miss,
            coherence: Coherence::Deletes,
            globals: Globals::Any,
            py2_str: Py2Str::Text,
            read_through: false,
        };
        Rules::new(prefixes.iter().map(rule).collect()).unwrap()
    }

    proptest! {
        #[test]
        fn the_longest_prefix_wins(
            mut prefixes in proptest::collection::btree_set("[ab\0]{0,4}|aaaaaaa[ab\0]{0,4}", 0..12),
            key in "[ab\0]{1,6}|aaaaaaa[ab\0]{0,6}",
        ) {
            prefixes.insert(String::new());
            let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
            let longest = prefixes.iter().filter(|p| key.starts_with(**p)).max_by_key(|p| p.len()).unwrap();
            let rules = rules(&prefixes);
            prop_assert_eq!(&*rules.find(key.as_bytes()).prefix, longest.as_bytes());
        }
    }
}
