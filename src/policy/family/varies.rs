//! Tells what varies from what is a word.

use super::classes::{Classes, DIGIT, HEX, LOWER, OTHER, SEPARATES, UPPER, WEAK, WORD, Word};

/// Digits of a version: what is longer is an id.
pub(super) const MAX_VERSION_DIGITS: usize = 3;
/// The shortest token of hexadecimal digits that is no word.
pub(super) const MIN_HEX: usize = 8;
/// The shortest token of mixed case that may be no word.
const MIN_MIXED_CASE: usize = 8;
/// The shortest token of letters of one case that is no word.
const MIN_RANDOM: usize = 32;
/// Digests that are glued to words, the longest first, and Django's session keys.
const GLUED: [usize; 5] = [128, 64, 56, 40, SESSION_KEY];
const SESSION_KEY: usize = 32;
/// Random bytes in URL-safe base64, 12 to 64 of them, and nanoids: `-` and `_` may be
/// anywhere in them.
const URL_SAFE: [usize; 8] = [16, 21, 22, 27, 32, 43, 64, 86];
/// The shortest word of letters of one case that is none of theirs.
const MIN_WORD: usize = 3;
/// The shortest padded base64 that may have `/` in it.
const MIN_BASE64: usize = 20;

impl Classes {
    /// Whether a word varies, and where what varies begins in it.
    pub(super) fn varies(&self, word: Word<'_>, is_followed: bool) -> Option<usize> {
        let Word {
            text: token,
            any,
            all,
        } = word;
        let len = token.len();
        if all & HEX != 0 && (len >= MIN_HEX || all & DIGIT != 0) {
            return Some(0);
        }
        if any & DIGIT == 0 {
            let is_mixed = any & (LOWER | UPPER) == LOWER | UPPER;
            let varies = if is_mixed {
                len >= MIN_MIXED_CASE && self.changes_case_often(token)
            } else {
                len >= MIN_RANDOM && any & OTHER == 0
            };
            return varies.then_some(0);
        }
        let letters = token.iter().position(u8::is_ascii_digit).unwrap_or(len);
        let is_numbered_word = letters + 1 == len && any & (UPPER | OTHER) == 0;
        if is_followed && is_numbered_word {
            return None;
        }
        let glued = GLUED.into_iter().find(|&size| {
            let Some(word) = len.checked_sub(size) else {
                return false;
            };
            let tail = || token[word..].iter().map(|&b| self.of(b));
            let is_key = size == SESSION_KEY && tail().all(|class| class & (LOWER | DIGIT) != 0);
            (2..=letters).contains(&word) && (is_key || tail().all(|class| class & HEX != 0))
        });
        Some(glued.map_or(0, |size| len - size))
    }

    /// The place of the number in a first word with one behind it; 0 in others.
    pub(super) fn numbered(&self, token: &[u8]) -> usize {
        let is = |byte: &u8, classes: u8| self.of(*byte) & classes != 0;
        let letters = token.iter().take_while(|byte| is(byte, LOWER | UPPER));
        let letters = letters.count();
        let is_hex = token.len() >= MIN_HEX && token.iter().all(|byte| is(byte, HEX));
        let is_numbered = letters >= 2 && token[letters..].iter().all(|byte| is(byte, DIGIT));
        if is_numbered && !is_hex { letters } else { 0 }
    }

    /// Whether its case changes as in no words that are written together: often behind
    /// a single small letter, or within capitals.
    fn changes_case_often(&self, token: &[u8]) -> bool {
        let (mut runs, mut odd) = (0, 0);
        let mut rest = token;
        while let [first, ..] = rest {
            let class = self.of(*first) & (LOWER | UPPER | OTHER);
            let is_same = |byte: &&u8| self.of(**byte) & class != 0;
            let len = rest.iter().take_while(is_same).count().max(1);
            runs += 1;
            odd += usize::from(class == LOWER && len == 1 || class == UPPER && len > 1);
            rest = &rest[len..];
        }
        odd >= 3 && 3 * odd >= runs
    }

    /// The end of a part, or of the key, if all from this word on is random bytes in
    /// base64: that may have separators in it.
    pub(super) fn encoded_end(&self, key: &[u8], at: usize, word: Word<'_>) -> Option<usize> {
        let is_word = word.all & (LOWER | UPPER) != 0 && word.text.len() >= MIN_WORD;
        if is_word || word.all & DIGIT != 0 {
            return None;
        }
        let longest = URL_SAFE.iter().max().map_or(0, |most| most + 1);
        let near = &key[..key.len().min(at + longest)];
        let end = self.skip(near, at, WORD | WEAK);
        let is_url_safe = URL_SAFE.contains(&(end - at)) && self.looks_random(&key[at..end], b"-_");
        let is_padded = || {
            let rest = &key[at..];
            let text = rest.strip_suffix(b"=");
            let text = text.map(|text| text.strip_suffix(b"=").unwrap_or(text));
            text.is_some_and(|text| {
                rest.len() >= MIN_BASE64
                    && rest.len().is_multiple_of(4)
                    && self.looks_random(text, b"+/")
            })
        };
        if is_url_safe {
            Some(end)
        } else {
            is_padded().then_some(key.len())
        }
    }

    /// Whether there are digits and letters of both cases in it, and nothing else but
    /// these.
    fn looks_random(&self, text: &[u8], others: &[u8]) -> bool {
        let mut any = 0;
        for byte in text {
            let class = self.of(*byte) & (DIGIT | LOWER | UPPER);
            if class == 0 && !others.contains(byte) {
                return false;
            }
            any |= class;
        }
        any == DIGIT | LOWER | UPPER
    }

    /// The end of an e-mail address whose first words end here.
    pub(super) fn email_end(&self, key: &[u8], at: usize) -> Option<usize> {
        // Most keys have none.
        memchr::memchr(b'@', &key[at..])?;
        let in_run = |at: usize| self.at(key, at) & SEPARATES == 0 || key[at] == b'.';
        let run = |from: usize| {
            (from..key.len())
                .find(|&at| !in_run(at))
                .unwrap_or(key.len())
        };
        let sign = run(at);
        if key.get(sign) != Some(&b'@') {
            return None;
        }
        let domain = |at: usize| in_run(at) || key[at] == b'-';
        let end = (sign + 1..key.len()).find(|&at| !domain(at));
        let end = end.unwrap_or(key.len());
        let host = &key[sign + 1..end];
        let dot = host.iter().position(|&byte| byte == b'.')?;
        (dot > 0 && dot + 1 < host.len()).then_some(end)
    }

    /// The end of `.2.3` behind `v1`.
    pub(super) fn skip_version(&self, key: &[u8], mut at: usize) -> usize {
        while key.get(at) == Some(&b'.') && self.at(key, at + 1) & DIGIT != 0 {
            at = self.skip(key, at + 1, DIGIT);
        }
        at
    }
}

/// `v2`, or the Python that wrote a value.
pub(super) fn is_version(token: &[u8]) -> bool {
    let ([b'v' | b'V', digits @ ..] | [b'p', b'y', digits @ ..]) = token else {
        return false;
    };
    (1..=MAX_VERSION_DIGITS).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit)
}
