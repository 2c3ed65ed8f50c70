//! Names the family of a client key, by the key alone: what people who wrote the
//! application call it. Guesses, so no rule is decided by it.
//!
//! | key | family |
//! |---|---|
//! | `user:42` | `user:` |
//! | `shop:1:cart:42:items` | `shop:#:cart:` |
//! | `shop:1:user:42:lock` | `shop:#:user:*:lock` |
//! | `8609ea89da30b8cf31fdd46800545941_session` | `<hex32>_session` |
//! | `homepage` | `<word>` |
//!
//! What a framework puts in front, as Django its prefix and version, is the *head*. The
//! name ends before the first piece behind it that varies, or behind the second strong
//! separator. Where nothing varies, the last word does. A key that starts with what
//! varies is named by its kind. What says the purpose of a key at its end is kept: locks
//! and counters decide about rules.

mod classes;
mod kind;
mod varies;

pub use classes::Separators;

use arrayvec::ArrayVec;

use classes::{Classes, OPENS, SEPARATES, STRONG, WEAK};
use kind::{Kind, ip_end};
use varies::{MAX_VERSION_DIGITS, is_version};

/// The longest name, without its head; a longer one ends at a separator before that.
const MAX_BODY_BYTES: usize = 48;
/// The longest prefix of a head; behind a longer one no version is looked for.
const MAX_HEAD_PREFIX_BYTES: usize = 28;
/// The longest name of all, with `:#:` behind the prefix of its head.
pub const MAX_NAME_BYTES: usize = MAX_BODY_BYTES + MAX_HEAD_PREFIX_BYTES + 3;
/// Strong separators in a name, those of a version apart.
const MAX_STRONG: usize = 2;
/// Digits of a version without a prefix in front of it: nobody has an id there.
const MAX_BARE_VERSION_DIGITS: usize = 10;
/// Words at the end of a key that say what it is for.
const PURPOSES: [&[u8]; 24] = [
    b"attempts",
    b"count",
    b"counter",
    b"counts",
    b"failures",
    b"gen",
    b"generation",
    b"hits",
    b"lock",
    b"locked",
    b"locks",
    b"mutex",
    b"quota",
    b"rev",
    b"revision",
    b"semaphore",
    b"seq",
    b"sequence",
    b"total",
    b"usage",
    b"ver",
    b"version",
    b"views",
    b"visits",
];
const MAX_PURPOSE_BYTES: usize = 10;

/// The name of a family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Name {
    bytes: ArrayVec<u8, MAX_NAME_BYTES>,
    /// Bytes in front of what may be cut: the head, and a kind.
    fixed: usize,
    /// Bytes up to a purpose behind what varies.
    end: usize,
    /// Bytes of the key that the name spells out, its head included.
    start: usize,
    has_kind: bool,
}

impl Name {
    /// The name as people read it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The part of the named key that the name spells out: the key starts with it.
    pub fn start<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        &key[..self.start]
    }

    /// Whether a key that starts so is of this family or of one below it: nothing but
    /// the head stands for anything else.
    pub fn is_start(&self) -> bool {
        !self.has_kind && self.end == self.bytes.len()
    }

    /// Whether it only says of what kind its keys start.
    pub fn has_kind(&self) -> bool {
        self.has_kind
    }

    /// Bytes that keys of the family start with, but for their heads.
    pub fn spelled_bytes(&self) -> usize {
        if self.has_kind { 0 } else { self.end }
    }

    fn push(&mut self, bytes: &[u8]) {
        let fits = bytes.len().min(self.bytes.remaining_capacity());
        let pushed = self.bytes.try_extend_from_slice(&bytes[..fits]);
        pushed.expect("it fits");
    }
}

/// Names keys.
#[derive(Debug)]
pub struct Namer {
    classes: Classes,
}

/// The end of a walk over words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Something that varies begins here.
    Varies(usize),
    /// Behind the last separator that a name may have.
    Full(usize),
    /// At the end of the key.
    End,
}

impl Namer {
    /// Words end at these characters.
    pub fn new(separators: &Separators) -> Self {
        Self {
            classes: Classes::new(separators),
        }
    }

    /// The family of a key. Allocates nothing, and takes time in proportion to the key.
    pub fn name(&self, key: &[u8]) -> Name {
        let mut name = Name::default();
        let from = self.push_head(key, &mut name);
        let first = self.classes.skip(key, from, SEPARATES);
        let (mut body, mut stop) = (from, self.walk(key, from));
        let kind = match stop {
            Stop::Varies(at) if at == first => {
                let (kind, end) = self.classes.kind(key, at);
                (body, stop) = (end, self.walk(key, end));
                Some(kind)
            }
            Stop::End if !self.has_boundary(key, from) && !is_purpose(&key[first..]) => {
                (body, stop) = (key.len(), Stop::End);
                Some(Kind::Word)
            }
            _ => None,
        };
        let purpose = self.purpose(key, body);
        let end = match stop {
            Stop::Varies(at) | Stop::Full(at) => at,
            Stop::End => key.len(),
        };
        let (end, behind) = match purpose {
            Some((_, at)) if at >= end => (end, &key[at..]),
            // What is in front of it varies, where there is something before that.
            Some((word_end, at)) => match self.last_boundary(key, body, word_end) {
                Some(end) => (end, &key[at..]),
                None => (key.len(), &[][..]),
            },
            None if stop == Stop::End => (self.without_last(key, body), &[][..]),
            None => (end, &[][..]),
        };
        let room = MAX_BODY_BYTES - behind.len().min(MAX_PURPOSE_BYTES + 1) - 1;
        if let Some(kind) = kind {
            let lead = first.min(from + MAX_BODY_BYTES / 2);
            let head = name.bytes.len();
            name.push(&key[from..lead]);
            name.push(kind.name());
            name.start = lead;
            name.fixed = name.bytes.len();
            name.has_kind = true;
            let room = room.saturating_sub(name.fixed - head);
            name.push(&key[body..self.fit(key, body, end, room)]);
        } else {
            let end = self.fit(key, from, end, room);
            name.fixed = name.bytes.len();
            name.push(&key[from..end]);
            name.start = end;
        }
        name.end = name.bytes.len();
        if !behind.is_empty() {
            name.push(b"*");
            name.push(behind);
        }
        name
    }

    /// The families above one, the nearest first: without its last word, but with the
    /// purpose of its keys. A head alone is none.
    pub fn above(&self, name: &Name) -> impl Iterator<Item = Name> {
        let body = &name.bytes[name.fixed..name.end];
        let first = self.classes.skip(body, 0, SEPARATES);
        // Behind a kind no word is needed.
        let least = if name.has_kind { first } else { first + 1 };
        let is_cut = move |at: &usize| {
            let separates = |at: usize| self.classes.at(body, at) & SEPARATES != 0;
            (*at == 0 || separates(at - 1)) && !separates(*at)
        };
        let cuts = (least..body.len()).rev().filter(is_cut);
        cuts.map(|at| {
            let mut above = name.clone();
            above.bytes.truncate(name.fixed + at);
            above.end = above.bytes.len();
            above.bytes.extend(name.bytes[name.end..].iter().copied());
            if !name.has_kind {
                above.start -= name.end - above.end;
            }
            above
        })
    }

    /// Whether keys with that name may be more than what one of them is, which goes on
    /// so: no word in the name says a purpose, and more parts follow.
    pub fn is_wide(&self, name: &Name, rest: &[u8]) -> bool {
        let body = &name.bytes[name.fixed..name.end];
        let separates = |byte: &u8| self.classes.of(*byte) & SEPARATES != 0;
        let is_strong = |byte: &u8| self.classes.of(*byte) & STRONG != 0;
        name.is_start()
            && !body.split(separates).any(is_purpose)
            && rest
                .split_last()
                .is_some_and(|(_, inner)| inner.iter().any(is_strong))
    }

    /// Goes from word to word up to where a name ends.
    fn walk(&self, key: &[u8], from: usize) -> Stop {
        let mut at = from;
        let mut strong = 0;
        let mut versions = 0;
        let mut was_version = false;
        let mut has_words = false;
        // Where a run of words joined by dots began.
        let mut dotted = from;
        loop {
            let before = at;
            let mut seen = 0;
            // Behind a strong one, weak ones may belong to what is encoded.
            let mut part = None;
            while self.classes.at(key, at) & SEPARATES != 0 {
                let class = self.classes.at(key, at);
                seen |= class;
                at += 1;
                if class & STRONG != 0 {
                    part = Some(at);
                }
                if has_words && class & OPENS != 0 {
                    return Stop::Full(at);
                }
            }
            if has_words && seen & STRONG != 0 {
                // A version belongs to the word in front of it.
                if was_version && versions == 1 {
                    versions += 1;
                } else {
                    strong += 1;
                    if strong == MAX_STRONG {
                        return Stop::Full(at);
                    }
                }
            }
            if at == key.len() {
                return Stop::End;
            }
            if !has_words || key[before..at] != *b"." {
                dotted = at;
            }
            let word = self.classes.word(key, at);
            let mut end = at + word.text.len();
            was_version = is_version(word.text);
            if was_version {
                versions = versions.max(1);
                end = self.classes.skip_version(key, end);
            } else {
                let encoded = |at: usize| self.classes.encoded_end(key, at, word).is_some();
                if let Some(part) = part.filter(|&part| part < at && encoded(part)) {
                    return Stop::Varies(part);
                }
                if let Some(glued) = self.classes.varies(word, end < key.len()) {
                    let glued = match glued {
                        0 if !has_words && ip_end(key, at).is_none() => {
                            self.classes.numbered(word.text)
                        }
                        glued => glued,
                    };
                    let email = self.classes.email_end(key, end).is_some();
                    return Stop::Varies(if email { dotted } else { at + glued });
                }
                if encoded(at) {
                    return Stop::Varies(at);
                }
                if key.get(end) == Some(&b'@') && self.classes.email_end(key, end).is_some() {
                    return Stop::Varies(dotted);
                }
            }
            has_words = true;
            at = end;
        }
    }

    // Heads ---------------------------------------------------------------

    /// Shows what a framework put in front, if it did; the end of that.
    fn push_head(&self, key: &[u8], name: &mut Name) -> usize {
        let Some((version, end)) = self.head(key) else {
            return 0;
        };
        name.push(&key[..version]);
        name.push(b"#:");
        end
    }

    /// Places in `prefix:version:`: of the version, and behind all.
    fn head(&self, key: &[u8]) -> Option<(usize, usize)> {
        let start = &key[..key.len().min(MAX_HEAD_PREFIX_BYTES)];
        let prefix = start.iter().position(|&byte| byte == b':')?;
        let version = (prefix..start.len()).find(|&at| key[at] != b':')?;
        let mut end = version;
        while key.get(end).is_some_and(u8::is_ascii_digit) {
            end += 1;
        }
        let most = match prefix {
            0 => MAX_BARE_VERSION_DIGITS,
            _ => MAX_VERSION_DIGITS,
        };
        let is_number = (1..=most).contains(&(end - version)) && key.get(end) == Some(&b':');
        if !is_number || end + 1 == key.len() || self.classes.at(key, prefix) & SEPARATES == 0 {
            return None;
        }
        let mut at = 0;
        while at < prefix {
            let word = self.classes.word(key, at);
            if !is_version(word.text) && self.classes.varies(word, true).is_some() {
                return None;
            }
            let next = self.classes.skip(key, at + word.text.len(), WEAK);
            if next == at {
                // A strong one.
                return None;
            }
            at = next;
        }
        // So is a count of what has this number.
        let has_version = prefix == 0 || !is_purpose(&key[end + 1..]);
        has_version.then_some((version, end + 1))
    }

    // Ends ----------------------------------------------------------------

    /// The end of what is in front of the purpose of a key, and where that begins with
    /// one separator.
    fn purpose(&self, key: &[u8], from: usize) -> Option<(usize, usize)> {
        let last = key[from..].iter().rev().take(MAX_PURPOSE_BYTES + 1);
        let is_word = |byte: &&u8| self.classes.of(**byte) & SEPARATES == 0;
        let at = key.len() - last.take_while(is_word).count();
        if at == from || !is_purpose(&key[at..]) {
            return None;
        }
        let mut end = at;
        while end > from && self.classes.at(key, end - 1) & SEPARATES != 0 {
            end -= 1;
        }
        Some((end, at - 1))
    }

    /// Behind the last strong separator, else the last dot, else the last one, that has
    /// a word before it.
    fn last_boundary(&self, key: &[u8], from: usize, to: usize) -> Option<usize> {
        let words = self.classes.skip(key, from, SEPARATES);
        let (mut dot, mut weak) = (None, None);
        for at in (words..to).rev() {
            let class = self.classes.of(key[at]);
            if class & STRONG != 0 {
                return Some(at + 1);
            }
            if class & WEAK != 0 {
                weak = weak.or(Some(at + 1));
                if key[at] == b'.' {
                    dot = dot.or(Some(at + 1));
                }
            }
        }
        dot.or(weak)
    }

    fn has_boundary(&self, key: &[u8], from: usize) -> bool {
        self.last_boundary(key, from, key.len()).is_some()
    }

    /// The end without the last word, if there is one in front of it.
    fn without_last(&self, key: &[u8], from: usize) -> usize {
        self.last_boundary(key, from, key.len())
            .unwrap_or(key.len())
    }

    /// The end of what fits, at a separator if there is one.
    fn fit(&self, key: &[u8], from: usize, end: usize, room: usize) -> usize {
        if end - from <= room {
            return end;
        }
        let cut = from + room;
        if let Some(at) = self.last_boundary(key, from, cut) {
            return at;
        }
        // Not within a character of UTF-8.
        let is_within = |at: &usize| key[*at] & 0xc0 == 0x80;
        (cut.saturating_sub(3).max(from)..=cut)
            .rev()
            .find(|at| !is_within(at))
            .unwrap_or(cut)
    }
}

fn is_purpose(word: &[u8]) -> bool {
    let is = |purpose: &&[u8]| purpose.eq_ignore_ascii_case(word);
    (3..=MAX_PURPOSE_BYTES).contains(&word.len()) && PURPOSES.iter().any(is)
}

#[cfg(test)]
mod tests;
