//! The rules of a configuration, compiled and looked up: the longest prefix wins.

use super::plan::Plans;
use super::rule::Rule;

/// A rule and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// Settings as configured.
    pub rule: Rule,
    /// Compiled consequences of the settings.
    pub plans: Plans,
}

/// Compiled rules, looked up by longest prefix.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Sorted by prefix; the first is the catch-all.
    sorted: Vec<Compiled>,
    /// The first bytes of each prefix, which decide nearly always: in their order,
    /// too.
    heads: Vec<u64>,
    /// Index, for each rule, of the next shorter rule whose prefix starts its own.
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
        let compiled = rules.into_iter().map(|rule| Compiled {
            plans: Plans::new(&rule),
            rule,
        });
        Some(Self {
            sorted: compiled.collect(),
            heads,
            parents,
        })
    }

    /// The rule of a client key.
    #[inline]
    pub fn find(&self, key: &[u8]) -> &Compiled {
        match &self.sorted[..] {
            [only] => only,
            _ => self.search(key),
        }
    }

    fn search(&self, key: &[u8]) -> &Compiled {
        // Every prefix of the key sorts at or before it, and the nearest one
        // is an ancestor of the last rule at or before it.
        let key_head = head(key);
        let before = self.heads.partition_point(|&head| head < key_head);
        let alike = self.heads[before..]
            .iter()
            .take_while(|&&head| head == key_head);
        let alike = &self.sorted[before..before + alike.count()];
        let upto = before + alike.partition_point(|at| &*at.rule.prefix <= key);
        // The catch-all is before every key.
        let mut at = upto - 1;
        while !key.starts_with(&self.sorted[at].rule.prefix) {
            at = self.parents[at];
        }
        &self.sorted[at]
    }

    /// Rules, sorted by prefix.
    pub fn iter(&self) -> impl Iterator<Item = &Compiled> {
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
    use crate::pickle::transcode::Py2Str;
    use crate::policy::{
        Coherence, Globals, Mode, OnStore, OnUnknownRead, OnUnloadableRead, OnUpstreamFailure,
        Rollout, Sniff,
    };

    fn rules(prefixes: &[&str]) -> Rules {
        let rule = |prefix: &&str| Rule {
            prefix: prefix.as_bytes().into(),
            mode: Mode::Shared,
            rollout: Rollout::ALL,
            sniff: Sniff::Off,
            on_unloadable_read: OnUnloadableRead::Miss,
            on_unknown_read: OnUnknownRead::Serve,
            on_unloadable_write: OnStore::Accept,
            on_unknown_write: OnStore::Accept,
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
            prop_assert_eq!(&*rules.find(key.as_bytes()).rule.prefix, longest.as_bytes());
        }
    }
}
