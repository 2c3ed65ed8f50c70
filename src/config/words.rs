//! The words that settings are written with, and what they stand for.

use super::document::{Table, one_of};
use super::report::{At, Report};
use crate::pickle::transcode::Py2Str;
use crate::policy::{
    Coherence, Distribution, Globals, Mode, OnStore, OnUnknownRead, OnUnloadableRead,
    OnUpstreamFailure, Sniff, Source,
};

/// A setting that is one of a few words.
pub(crate) trait Word: Copy + PartialEq + 'static {
    /// The noun for one of the words.
    const NOUN: &'static str;
    /// Words of the setting, with their values.
    const WORDS: &'static [(&'static str, Self)];
    /// The word for a value.
    fn word(self) -> &'static str {
        let is_mine = |(_, value): &&(_, Self)| *value == self;
        Self::WORDS
            .iter()
            .find(is_mine)
            .map_or("", |(word, _)| word)
    }
}

/// Whether values count as pickles by their flags, by their bytes, or by either.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Detect {
    Flags,
    Bytes,
    Both,
}

/// The answer to `flush_all`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum FlushAll {
    Deny,
    Forward,
}

/// The certificate that a listener asks of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// A certificate, if they have one.
    Optional,
    /// A certificate.
    Required,
}

impl Word for Mode {
    const NOUN: &'static str = "mode";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("shared", Self::Shared),
        ("observe", Self::Observe),
        ("guard", Self::Guard),
        ("isolate", Self::Isolate),
    ];
}

impl Word for Sniff {
    const NOUN: &'static str = "depth";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("header", Self::Header),
        ("full", Self::Full),
    ];
}

impl Word for OnUnloadableRead {
    const NOUN: &'static str = "answer";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("miss", Self::Miss),
        ("transcode", Self::Transcode),
        ("pass", Self::Pass),
    ];
}

impl Word for OnUnknownRead {
    const NOUN: &'static str = "answer";
    const WORDS: &'static [(&'static str, Self)] = &[("serve", Self::Serve), ("miss", Self::Miss)];
}

impl Word for OnStore {
    const NOUN: &'static str = "answer";
    const WORDS: &'static [(&'static str, Self)] =
        &[("accept", Self::Accept), ("reject", Self::Reject)];
}

impl Word for OnUpstreamFailure {
    const NOUN: &'static str = "answer";
    const WORDS: &'static [(&'static str, Self)] = &[("miss", Self::Miss), ("error", Self::Error)];
}

impl Word for Coherence {
    const NOUN: &'static str = "coherence";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("none", Self::None),
        ("deletes", Self::Deletes),
        ("fill-aware", Self::FillAware),
        ("strict", Self::Strict),
    ];
}

impl Word for Source {
    const NOUN: &'static str = "source of tags";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("hello", Self::Hello),
        ("certificate", Self::Certificate),
        ("proxy-protocol", Self::ProxyProtocol),
        ("process", Self::Process),
    ];
}

impl Word for ClientAuth {
    const NOUN: &'static str = "demand";
    const WORDS: &'static [(&'static str, Self)] =
        &[("optional", Self::Optional), ("required", Self::Required)];
}

impl Word for Globals {
    const NOUN: &'static str = "firewall";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("any", Self::Any),
        ("deny", Self::Deny),
        ("allow", Self::Allow),
    ];
}

impl Word for Py2Str {
    const NOUN: &'static str = "type";
    const WORDS: &'static [(&'static str, Self)] = &[("text", Self::Text), ("bytes", Self::Bytes)];
}

impl Word for Distribution {
    const NOUN: &'static str = "hash";
    const WORDS: &'static [(&'static str, Self)] =
        &[("ketama", Self::Ketama), ("modula", Self::Modula)];
}

impl Word for Detect {
    const NOUN: &'static str = "way to detect pickles";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("flags", Self::Flags),
        ("bytes", Self::Bytes),
        ("both", Self::Both),
    ];
}

impl Word for FlushAll {
    const NOUN: &'static str = "answer";
    const WORDS: &'static [(&'static str, Self)] =
        &[("deny", Self::Deny), ("forward", Self::Forward)];
}

impl Table<'_> {
    /// The meaning of a word; `default` where the setting is absent, `None` where the word
    /// is reported.
    pub(super) fn word<T: Word>(&mut self, name: &'static str, default: T) -> Option<T> {
        match self.string(name) {
            Some(word) => known(&word, self.report()),
            None => Some(default),
        }
    }
}

/// Returns the meaning of a word; `None` where it is reported.
pub(super) fn known<T: Word>(At { place, value: word }: &At<String>, report: &Report) -> Option<T> {
    let known = T::WORDS.iter().find(|(name, _)| name == word);
    if known.is_none() {
        let names: Vec<&str> = T::WORDS.iter().map(|&(name, _)| name).collect();
        let names = one_of(&names);
        let message = format!("unknown {} {word:?}, expected {names}", T::NOUN);
        report.error(place, message);
    }
    known.map(|&(_, value)| value)
}
