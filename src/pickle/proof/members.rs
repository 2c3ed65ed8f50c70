//! Members of enumerations: the values that pickles ask for, and those that facts list.

use std::fmt::Write as _;

use crate::pickle::facts::Words;
use crate::pickle::node::{Kind, Node};

/// The members that facts list: names and values.
pub(super) fn members(facts: Words<'_>) -> impl Iterator<Item = (&str, &str)> + Clone {
    let members = facts.list("enum").chain(facts.list("flag"));
    members.filter_map(|member| member.split_once(':'))
}

/// Whether facts are those of an enumeration.
pub(super) fn is_enum(facts: Words<'_>) -> bool {
    facts.get("enum").is_some() || facts.get("flag").is_some()
}

/// A value as facts word it; `None` if they have no word for it, or several.
pub(super) fn word_of(value: Node, pickle: &[u8]) -> Option<String> {
    if let Some(int) = value.int() {
        return Some(format!("i{int}"));
    }
    match value.kind {
        Kind::None => Some("n".to_owned()),
        Kind::Text | Kind::Str => {
            let text = value.bytes().of(pickle);
            if value.kind == Kind::Str && !text.is_ascii() {
                return None;
            }
            let mut word = String::from("s");
            for byte in text {
                if byte.is_ascii_alphanumeric() || b"_.-".contains(byte) {
                    word.push(char::from(*byte));
                } else {
                    write!(word, "%{byte:02X}").ok()?;
                }
            }
            Some(word)
        }
        _ => None,
    }
}
