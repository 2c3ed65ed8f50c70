//! Plain values in Python's notation, from bytes that nobody has to trust.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::thread;

use serde_pickle::{DeOptions, HashableValue, Value, value_from_slice};

use crate::pickle::{NotPlain, tree_bytes};

/// Longest pickle that is rendered, in bytes.
const MAX_PICKLE_BYTES: usize = 64 << 10;

/// Largest value that is built for it, in bytes of a pickle without references.
const MAX_TREE_BYTES: u64 = 1 << 20;

/// Longest rendering, in characters.
const MAX_CHARS: usize = 2000;

/// Stack for each level of nesting, which takes a byte of pickle or more, and for
/// everything else. Unoptimised code takes under 4 KiB a level.
const STACK_PER_LEVEL: usize = 8 << 10;
const STACK: usize = 1 << 20;

/// A reason why a value is not rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotRendered {
    #[error("over 64 KiB")]
    TooLong,
    #[error("its references could make it larger than 1 MiB")]
    TooLarge,
    #[error(transparent)]
    NotPlain(#[from] NotPlain),
    #[error("{0}")]
    Other(String),
}

/// Renders a pickle that the scanner has understood. `py2_text`: the strings of
/// Python 2 in it are text for Python 3.
pub(super) fn render(pickle: &[u8], py2_text: bool) -> Result<String, NotRendered> {
    if pickle.len() > MAX_PICKLE_BYTES {
        return Err(NotRendered::TooLong);
    }
    if tree_bytes(pickle)? > MAX_TREE_BYTES {
        return Err(NotRendered::TooLarge);
    }
    // serde-pickle recurses, also to drop what it has built.
    let other = |error: &dyn fmt::Display| NotRendered::Other(error.to_string());
    thread::scope(|scope| {
        thread::Builder::new()
            .stack_size(STACK + pickle.len() * STACK_PER_LEVEL)
            .spawn_scoped(scope, || build(pickle, py2_text).map(|value| text(&value)))
            .map_err(|error| other(&error))?
            .join()
            .unwrap_or_else(|_| Err(other(&"serde-pickle fails")))
    })
}

fn build(pickle: &[u8], py2_text: bool) -> Result<Value, NotRendered> {
    let mut options = DeOptions::new();
    if py2_text {
        options = options.decode_strings();
    }
    value_from_slice(pickle, options).map_err(|error| NotRendered::Other(error.to_string()))
}

fn text(value: &Value) -> String {
    let mut text = Text {
        text: String::new(),
        left: MAX_CHARS,
    };
    if text.value(value).is_err() {
        text.text.push('\u{2026}');
    }
    text.text
}

/// Takes so many characters and then fails, so that whoever writes stops.
struct Text {
    text: String,
    left: usize,
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(char);
        }
        Ok(())
    }
}

impl Text {
    fn value(&mut self, value: &Value) -> fmt::Result {
        match value {
            Value::None => self.write_str("None"),
            Value::Bool(true) => self.write_str("True"),
            Value::Bool(false) => self.write_str("False"),
            Value::I64(int) => write!(self, "{int}"),
            Value::Int(int) => write!(self, "{int}"),
            Value::F64(float) if float.is_nan() => self.write_str("nan"),
            Value::F64(float) => write!(self, "{float:?}"),
            Value::Bytes(bytes) => self.bytes(bytes),
            Value::String(text) => self.string(text),
            Value::List(items) => self.items("[", items, Self::value, "]"),
            Value::Tuple(items) if items.len() == 1 => self.items("(", items, Self::value, ",)"),
            Value::Tuple(items) => self.items("(", items, Self::value, ")"),
            Value::Set(members) if members.is_empty() => self.write_str("set()"),
            Value::Set(members) => self.items("{", members, Self::member, "}"),
            Value::FrozenSet(members) => self.frozen(members),
            Value::Dict(items) => {
                let item = |text: &mut Self, (key, value): (&HashableValue, &Value)| {
                    text.member(key)?;
                    text.write_str(": ")?;
                    text.value(value)
                };
                self.items("{", items, item, "}")
            }
        }
    }

    /// A key or a member. The copy is of what is then written, up to the end.
    fn member(&mut self, value: &HashableValue) -> fmt::Result {
        self.value(&value.clone().into_value())
    }

    fn frozen(&mut self, members: &BTreeSet<HashableValue>) -> fmt::Result {
        if members.is_empty() {
            return self.write_str("frozenset()");
        }
        self.items("frozenset({", members, Self::member, "})")
    }

    fn items<T>(
        &mut self,
        open: &str,
        items: impl IntoIterator<Item = T>,
        mut item: impl FnMut(&mut Self, T) -> fmt::Result,
        close: &str,
    ) -> fmt::Result {
        self.write_str(open)?;
        for (i, each) in items.into_iter().enumerate() {
            if i > 0 {
                self.write_str(", ")?;
            }
            item(self, each)?;
        }
        self.write_str(close)
    }

    fn string(&mut self, text: &str) -> fmt::Result {
        let quote = quote(text.contains('\''), text.contains('"'));
        self.write_char(quote)?;
        for char in text.chars() {
            match char {
                '\n' => self.write_str("\\n"),
                '\r' => self.write_str("\\r"),
                '\t' => self.write_str("\\t"),
                '\'' | '"' if char != quote => self.write_char(char),
                '\'' | '"' | '\\' => write!(self, "\\{char}"),
                // One character if it can be printed.
                _ if char.escape_debug().len() == 1 => self.write_char(char),
                _ => match u32::from(char) {
                    code @ ..=0xff => write!(self, "\\x{code:02x}"),
                    code @ ..=0xffff => write!(self, "\\u{code:04x}"),
                    code => write!(self, "\\U{code:08x}"),
                },
            }?;
        }
        self.write_char(quote)
    }

    fn bytes(&mut self, bytes: &[u8]) -> fmt::Result {
        let quote = quote(bytes.contains(&b'\''), bytes.contains(&b'"'));
        write!(self, "b{quote}")?;
        for &byte in bytes {
            match byte {
                b'\n' => self.write_str("\\n"),
                b'\r' => self.write_str("\\r"),
                b'\t' => self.write_str("\\t"),
                b'\\' => self.write_str("\\\\"),
                b'\'' if quote == '\'' => self.write_str("\\'"),
                b' '..=b'~' => self.write_char(char::from(byte)),
                _ => write!(self, "\\x{byte:02x}"),
            }?;
        }
        self.write_char(quote)
    }
}

/// Chooses the quotes as Python does.
fn quote(has_single: bool, has_double: bool) -> char {
    if has_single && !has_double { '"' } else { '\'' }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(pickle: &[u8]) -> Result<String, NotRendered> {
        super::render(pickle, true)
    }

    fn rendered(pickle: &[u8]) -> String {
        render(pickle).unwrap()
    }

    #[test]
    fn plain_values_look_as_in_python() {
        for (pickle, python) in [
            (&b"N."[..], "None"),
            (b"I01\n.", "True"),
            (b"K\x05.", "5"),
            (
                b"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.",
                "18446744073709551616",
            ),
            (b"L-12L\n.", "-12"),
            (b"F1.0\n.", "1.0"),
            (b"Fnan\n.", "nan"),
            (b"(tK\x01\x85\x86.", "((), (1,))"),
            (b"](K\x01K\x02e.", "[1, 2]"),
            (
                b"}(X\x01\x00\x00\x00aK\x01C\x02b\xffNu.",
                r"{b'b\xff': None, 'a': 1}",
            ),
            (b"\x8f.", "set()"),
            (b"\x8f(K\x02K\x01\x90.", "{1, 2}"),
            (b"(K\x01\x91.", "frozenset({1})"),
            (b"(\x91.", "frozenset()"),
            (b"c__builtin__\nset\nq\x00(](K\x01etq\x01R.", "{1}"),
            (
                b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x06\x00\x00\x00latin1tR.",
                "b'a'",
            ),
            (b"U\x02hi.", "'hi'"),
            (b"X\x06\x00\x00\x00it's\n\x00.", r#""it's\n\x00""#),
            (b"X\x04\x00\x00\x00'\"\\a.", r#"'\'"\\a'"#),
            (
                "X\x08\0\0\0\u{e9}\u{200b}\u{1b}ab.".as_bytes(),
                r"'é\u200b\x1bab'",
            ),
            (b"C\x03'\"\n.", r#"b'\'"\n'"#),
        ] {
            assert_eq!(rendered(pickle), python, "{pickle:?}");
        }
    }

    #[test]
    fn strings_of_python_2_are_bytes_where_python_3_refuses_them() {
        assert_eq!(
            super::render(b"U\x02\xc3\xa9.", false).unwrap(),
            r"b'\xc3\xa9'"
        );
    }

    #[test]
    fn what_has_no_end_is_not_rendered() {
        // x = []; x.append(x)
        assert!(matches!(
            render(b"]q\x00h\x00a."),
            Err(NotRendered::Other(_))
        ));
    }

    #[test]
    fn long_values_are_cut() {
        let pickle = [&b"X\x00\x20\x00\x00"[..], &[b'a'; 0x2000], b"."].concat();
        let text = rendered(&pickle);
        assert_eq!(text.chars().count(), MAX_CHARS + 1);
        assert!(text.ends_with("a\u{2026}"));
        let pickle = [b"]".repeat(20_000), b"a".repeat(19_999), b".".to_vec()].concat();
        assert!(rendered(&pickle).ends_with("[[\u{2026}"));
        let over = [&b"]"[..], &b"Na".repeat(33 << 10), b"."].concat();
        assert_eq!(render(&over), Err(NotRendered::TooLong));
    }

    #[test]
    fn the_deepest_nesting_does_no_harm() {
        let levels = MAX_PICKLE_BYTES - 2;
        let tuples = [&b"N"[..], &b"\x85".repeat(levels), b"."].concat();
        let lists = [
            b"]".repeat(levels / 2),
            b"a".repeat(levels / 2 - 1),
            b".".to_vec(),
        ]
        .concat();
        let frozen = [
            &b"(".repeat(levels / 2)[..],
            &b"\x91".repeat(levels / 2),
            b".",
        ]
        .concat();
        let marked = [&b"(".repeat(levels / 2)[..], &b"t".repeat(levels / 2), b"."].concat();
        let third = levels / 3;
        let dicts = [
            b"}N".repeat(third),
            b"N".to_vec(),
            b"s".repeat(third),
            b".".to_vec(),
        ]
        .concat();
        // As a key, it is made hashable.
        let key = [&b"}N"[..], &b"\x85".repeat(levels - 3), b"Ns."].concat();
        let memoised = [&b"N"[..], &b"\x85\x94".repeat(levels / 2), b"."].concat();
        for pickle in [tuples, lists, frozen, marked, dicts, key, memoised] {
            assert!(pickle.len() <= MAX_PICKLE_BYTES);
            let text = rendered(&pickle);
            assert!(text.chars().count() == MAX_CHARS + 1, "{text}");
        }
    }

    #[test]
    fn what_would_explode_is_not_rendered() {
        let by_memo = |get: &[u8]| {
            let mut pickle = b"]\x94".to_vec();
            for key in 0..60 {
                pickle.extend_from_slice(get);
                if get == b"h" {
                    pickle.push(key);
                }
                pickle.extend(b"\x86\x94");
            }
            pickle.push(b'.');
            pickle
        };
        assert_eq!(render(&by_memo(b"h")), Err(NotRendered::TooLarge));
        assert_eq!(
            render(&by_memo(b"2")),
            Err(NotRendered::NotPlain(NotPlain::Unusual))
        );
        // Ten rows that share a dict are fine.
        let rows = [&b"(}q\x00K\x01K\x02s"[..], &b"h\x00".repeat(10), b"l."].concat();
        assert_eq!(rendered(&rows).matches("{1: 2}").count(), 11);
    }
}
