//! What a reader's class or function refuses of the uses that a pickle makes of it,
//! whoever wrote that.

use crate::pickle::facts::Words;
use crate::pickle::reason::Refusal;
use crate::pickle::scan::{Asked, Counts, Uses};

use super::PLAIN;
use super::members::{is_enum, members, word_of};

/// Looks for a use that surely raises.
pub(super) fn refusal(asked: &Asked<'_>, readers: Words<'_>) -> Option<Refusal> {
    let has = |flags| asked.uses().intersects(flags);
    if has(Uses::LOST) || readers.has("c") {
        return None;
    }
    match readers.kind() {
        "function" if has(Uses::MADE | Uses::REMADE) => Some(Refusal::NoClass),
        kind @ ("function" | "classic") => {
            let word = if kind == "function" { kind } else { "init" };
            let fits = takes(readers, word, asked.used.called, false);
            (has(Uses::CALLED) && !fits).then_some(Refusal::Arguments)
        }
        _ => of_arguments(asked, readers)
            .or_else(|| of_base(asked, readers))
            .or_else(|| of_state(asked, readers)),
    }
}

/// Whether it takes all these counts of arguments, as far as that is known.
fn takes(readers: Words<'_>, word: &str, counts: Counts, keywords: bool) -> bool {
    let arity = readers.arity(word);
    arity.is_none_or(|arity| {
        let counts = [counts.least, counts.most];
        counts.iter().all(|count| arity.takes(*count, keywords))
    })
}

fn of_arguments(asked: &Asked<'_>, readers: Words<'_>) -> Option<Refusal> {
    let has = |flags| asked.uses().intersects(flags);
    let bare = readers.base() == "object"
        && readers.arity("new").is_none()
        && readers.arity("init").is_none();
    if has(Uses::CALLED) && !readers.has("call") {
        if is_enum(readers) {
            return lacks_a_member(asked, readers).then_some(Refusal::NoMember);
        }
        let called = asked.used.called;
        let fit = ["new", "init"]
            .iter()
            .all(|word| takes(readers, word, called, false));
        if !fit || bare && called.most > 0 {
            return Some(Refusal::Arguments);
        }
    }
    let (made, keywords) = (asked.used.made, has(Uses::KEYWORDS));
    let refused = has(Uses::MADE)
        && (!takes(readers, "new", made, keywords) || bare && (made.most > 0 || keywords));
    refused.then_some(Refusal::Arguments)
}

fn of_base(asked: &Asked<'_>, readers: Words<'_>) -> Option<Refusal> {
    let has = |flags| asked.uses().intersects(flags);
    let base = readers.base();
    if has(Uses::REMADE) && !has(Uses::BASES) && asked.base.is_some_and(|made_of| made_of != base) {
        return Some(Refusal::Base);
    }
    let made = has(Uses::MADE | Uses::REMADE | Uses::BARE | Uses::CALLED);
    (readers.has("abstract") && base == "object" && made).then_some(Refusal::Abstract)
}

fn of_state(asked: &Asked<'_>, readers: Words<'_>) -> Option<Refusal> {
    let has = |flags| asked.uses().intersects(flags);
    if let Some(hook) = readers.get("setstate") {
        let parts = readers.list("unpack");
        let given = asked.used.parts;
        if hook.starts_with("c:") || parts.clone().next().is_none() || given.most == 0 {
            return None;
        }
        let fits = |count: u32| parts.clone().any(|part| part.parse() == Ok(count));
        return (!fits(given.least) || !fits(given.most)).then_some(Refusal::State);
    }
    if !PLAIN.contains(&readers.base()) {
        return None;
    }
    if has(Uses::OTHER) {
        return Some(Refusal::State);
    }
    if !readers.has("nodict") {
        return None;
    }
    if has(Uses::DICT) && asked.common().next().is_some() {
        return Some(Refusal::State);
    }
    let lacks = |slot: &[u8]| !readers.list("slots").any(|one| one.as_bytes() == slot);
    asked.slots().any(lacks).then_some(Refusal::Slot)
}

/// Whether an enumeration surely has no member of a value that is asked for.
fn lacks_a_member(asked: &Asked<'_>, readers: Words<'_>) -> bool {
    let listed = members(readers);
    if readers.has("more")
        || readers.has("missing")
        || listed.clone().any(|(_, value)| value == "?")
    {
        return false;
    }
    let bits = |value: &str| value.strip_prefix('i')?.parse::<i64>().ok();
    let all_bits = listed
        .clone()
        .filter_map(|(_, value)| bits(value))
        .fold(0, |all, one| all | one);
    let is_there = |value: &str| match bits(value).filter(|_| readers.get("flag").is_some()) {
        Some(value) => value < 0 || value & !all_bits == 0,
        None => listed.clone().any(|(_, listed)| listed == value),
    };
    let Some(mut values) = asked.values() else {
        return false;
    };
    values.any(|value| word_of(value, asked.pickle).is_some_and(|value| !is_there(&value)))
}
