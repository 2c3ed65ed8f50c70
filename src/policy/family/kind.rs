//! The kinds of what a key may start with in a word's place.

use super::classes::{Classes, DIGIT, SEPARATES, WEAK};
use super::varies::MIN_HEX;

/// Digests and other ids that are told by their length.
const HEX_KINDS: [(usize, &[u8]); 8] = [
    (8, b"<hex8>"),
    (16, b"<hex16>"),
    (24, b"<hex24>"),
    (32, b"<hex32>"),
    (40, b"<hex40>"),
    (56, b"<hex56>"),
    (64, b"<hex64>"),
    (128, b"<hex128>"),
];

/// The kind of something that varies.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Hex(usize),
    Uuid,
    Number,
    Ip,
    Email,
    /// Letters and digits.
    Id,
    /// All of the key is one word.
    Word,
}

impl Kind {
    pub(super) fn name(self) -> &'static [u8] {
        match self {
            Self::Hex(len) => {
                let known = HEX_KINDS.iter().find(|(known, _)| *known == len);
                known.map_or(b"<hex>", |(_, name)| name)
            }
            Self::Uuid => b"<uuid>",
            Self::Number => b"<number>",
            Self::Ip => b"<ip>",
            Self::Email => b"<email>",
            Self::Id => b"<id>",
            Self::Word => b"<word>",
        }
    }
}

impl Classes {
    /// The kind of something that varies here, and its end.
    pub(super) fn kind(&self, key: &[u8], at: usize) -> (Kind, usize) {
        let word = self.word(key, at);
        let (token, end) = (word.text, at + word.text.len());
        if let Some(end) = uuid_end(key, at) {
            (Kind::Uuid, end)
        } else if let Some(end) = ip_end(key, at) {
            (Kind::Ip, end)
        } else if let Some(end) = self.email_end(key, end) {
            (Kind::Email, end)
        } else if token.iter().all(u8::is_ascii_digit) {
            (Kind::Number, self.number_end(key, end))
        } else if token.iter().all(u8::is_ascii_hexdigit) && token.len() >= MIN_HEX {
            (Kind::Hex(token.len()), end)
        } else {
            (Kind::Id, self.encoded_end(key, at, word).unwrap_or(end))
        }
    }

    /// Numbers that are joined are one, as a date is.
    fn number_end(&self, key: &[u8], mut at: usize) -> usize {
        while self.at(key, at) & WEAK != 0 && self.at(key, at + 1) & DIGIT != 0 {
            let end = self.skip(key, at + 1, DIGIT);
            if self.at(key, end) & SEPARATES == 0 && end < key.len() {
                break;
            }
            at = end;
        }
        at
    }
}

fn uuid_end(key: &[u8], at: usize) -> Option<usize> {
    let text = key.get(at..at + 36)?;
    let is_uuid = text.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    let goes_on = key.get(at + 36).is_some_and(u8::is_ascii_alphanumeric);
    (is_uuid && !goes_on).then_some(at + 36)
}

/// The end of an address of either version.
pub(super) fn ip_end(key: &[u8], at: usize) -> Option<usize> {
    let rest = &key[at..];
    let run = |is: fn(&u8) -> bool| rest.iter().take_while(|byte| is(byte)).count();
    let v4 = &rest[..run(|byte| byte.is_ascii_digit() || *byte == b'.')];
    let mut groups = v4.split(|&byte| byte == b'.');
    let is_v4 = groups.clone().count() == 4 && groups.all(|group| (1..=3).contains(&group.len()));
    if is_v4 {
        return Some(at + v4.len());
    }
    let v6 = &rest[..run(|byte| byte.is_ascii_hexdigit() || *byte == b':').min(39)];
    // What follows is no part of it.
    let v6 = v6
        .strip_suffix(b":")
        .filter(|rest| !rest.ends_with(b":"))
        .unwrap_or(v6);
    let groups = || v6.split(|&byte| byte == b':');
    let is_short = v6.windows(2).any(|pair| pair == b"::") && groups().count() >= 3;
    let is_v6 = (is_short || groups().count() == 8)
        && groups().all(|group| group.len() <= 4)
        && v6.iter().any(u8::is_ascii_digit);
    is_v6.then_some(at + v6.len())
}
