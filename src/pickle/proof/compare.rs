//! What one environment's classes and functions would make of what another pickles, as
//! far as facts alone tell.

use crate::pickle::facts::Words;
use crate::pickle::inventory::Inventory;

/// The same, or not, in two environments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alike {
    /// Pickles ask the same of it.
    Same,
    /// The reader does not have it.
    Missing,
    /// Pickles ask other things of it: these.
    Differs(Vec<&'static str>),
    /// Nothing tells: the reader's listing does not have its module, or it is written in C
    /// and of another release.
    Unknown(&'static str),
}

/// Words of facts, and what people call them.
const WORDS: [(&str, &str); 24] = [
    ("base", "base class"),
    ("new", "arguments"),
    ("init", "arguments"),
    ("function", "arguments"),
    ("slots", "slots"),
    ("reduce", "__reduce__"),
    ("reduce_ex", "__reduce_ex__"),
    ("getstate", "__getstate__"),
    ("setstate", "__setstate__"),
    ("getnewargs", "__getnewargs__"),
    ("getnewargs_ex", "__getnewargs_ex__"),
    ("getinitargs", "__getinitargs__"),
    ("copyreg", "copyreg"),
    ("grow", "items"),
    ("attr", "access to attributes"),
    ("enum", "members"),
    ("flag", "members"),
    ("tuple", "fields"),
    ("data", "fields"),
    ("attrs", "fields"),
    ("pydantic1", "fields"),
    ("pydantic2", "fields"),
    ("model", "fields"),
    ("sets", "attributes"),
];

/// Compares a class or a function that a writer's inventory lists with the reader's.
pub fn compare(writer: &Inventory, reader: &Inventory, module: &[u8], name: &[u8]) -> Alike {
    let Some(ours) = writer.facts(module, name) else {
        return Alike::Unknown("the writer's listing says no more than that it is there");
    };
    let Some(theirs) = reader.facts(module, name) else {
        return match reader.knows(module, name) {
            Some(false) => Alike::Missing,
            Some(true) => Alike::Unknown("the reader's listing says no more than that it is there"),
            None => Alike::Unknown("the reader's listing does not have its module"),
        };
    };
    let (ours, theirs) = (Words(ours), Words(theirs));
    let series = |inventory: &Inventory| {
        inventory
            .distribution(module)
            .and_then(|(_, series)| series)
    };
    let in_c = theirs.has("c") || matches!(theirs.kind(), "builtin");
    if ours == theirs {
        return if in_c && series(writer) != series(reader) {
            Alike::Unknown("written in C, and of another release")
        } else {
            Alike::Same
        };
    }
    if ours.kind() != theirs.kind() {
        return Alike::Differs(vec!["kind"]);
    }
    let said = |facts: Words<'_>, word| match word {
        "function" => facts.arity(word).map(|arity| format!("{arity:?}")),
        word => facts.get(word).map(str::to_owned),
    };
    let mut differs: Vec<_> = WORDS
        .iter()
        .filter(|(word, _)| said(ours, word) != said(theirs, word))
        .map(|(_, called)| *called)
        .collect();
    differs.dedup();
    if differs.is_empty() {
        differs.push(if theirs.kind() == "function" {
            "code"
        } else {
            "kind"
        });
    }
    Alike::Differs(differs)
}
