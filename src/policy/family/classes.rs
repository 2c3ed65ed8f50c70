//! Classes of bytes, which the name of a family is made by: separators of either kind,
//! digits, letters.

use std::fmt;

/// The characters that end a word. Which of them are weak is fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Separators {
    /// By ASCII code.
    ascii: u128,
}

/// Separators that words are also joined by.
const WEAK_SEPARATORS: &[u8] = b"._-@";
/// Separators behind which come arguments.
const OPENING: &[u8] = b"([?=";

impl Separators {
    /// Takes the characters of a text; bytes beyond ASCII separate nothing.
    pub fn new(text: &str) -> Self {
        let ascii = text.bytes().filter(u8::is_ascii);
        Self {
            ascii: ascii.fold(0, |bits, byte| bits | 1 << byte),
        }
    }

    /// Tells whether a byte is one.
    #[inline]
    pub fn has(&self, byte: u8) -> bool {
        byte.is_ascii() && self.ascii >> byte & 1 == 1
    }
}

impl Default for Separators {
    fn default() -> Self {
        Self::new(":/|#,;()[]=&? ._-@")
    }
}

/// Writes them as they are configured.
impl fmt::Display for Separators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = (0..=0x7f).filter(|byte| self.has(*byte)).map(char::from);
        write!(f, "{:?}", all.collect::<String>())
    }
}

pub(super) const STRONG: u8 = 1;
pub(super) const WEAK: u8 = 2;
pub(super) const OPENS: u8 = 4;
pub(super) const DIGIT: u8 = 8;
pub(super) const LOWER: u8 = 16;
pub(super) const UPPER: u8 = 32;
pub(super) const HEX: u8 = 64;
pub(super) const OTHER: u8 = 128;
pub(super) const SEPARATES: u8 = STRONG | WEAK;
pub(super) const WORD: u8 = DIGIT | LOWER | UPPER | OTHER;

/// The class of each byte.
#[derive(Debug)]
pub(super) struct Classes(Box<[u8; 256]>);

/// Bytes between separators.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'k> {
    pub(super) text: &'k [u8],
    /// The classes of any of its bytes, and those of all.
    pub(super) any: u8,
    pub(super) all: u8,
}

impl Classes {
    /// Words end at these characters.
    pub(super) fn new(separators: &Separators) -> Self {
        let mut classes = Box::new([OTHER; 256]);
        for (byte, class) in (0..=u8::MAX).zip(classes.iter_mut()) {
            *class = match byte {
                _ if separators.has(byte) && WEAK_SEPARATORS.contains(&byte) => WEAK,
                _ if separators.has(byte) && OPENING.contains(&byte) => STRONG | OPENS,
                _ if separators.has(byte) => STRONG,
                b'0'..=b'9' => DIGIT | HEX,
                b'a'..=b'f' => LOWER | HEX,
                b'g'..=b'z' => LOWER,
                b'A'..=b'F' => UPPER | HEX,
                b'G'..=b'Z' => UPPER,
                _ => OTHER,
            };
        }
        Self(classes)
    }

    #[inline]
    pub(super) fn of(&self, byte: u8) -> u8 {
        self.0[usize::from(byte)]
    }

    /// Nothing behind the end.
    #[inline]
    pub(super) fn at(&self, key: &[u8], at: usize) -> u8 {
        key.get(at).map_or(0, |&byte| self.of(byte))
    }

    /// The end of the bytes of these classes.
    #[inline]
    pub(super) fn skip(&self, key: &[u8], mut at: usize, classes: u8) -> usize {
        while self.at(key, at) & classes != 0 {
            at += 1;
        }
        at
    }

    /// The word that begins here.
    #[inline]
    pub(super) fn word<'k>(&self, key: &'k [u8], from: usize) -> Word<'k> {
        let (mut any, mut all) = (0, u8::MAX);
        let mut at = from;
        while at < key.len() {
            let class = self.of(key[at]);
            if class & SEPARATES != 0 {
                break;
            }
            any |= class;
            all &= class;
            at += 1;
        }
        Word {
            text: &key[from..at],
            any,
            all,
        }
    }
}
