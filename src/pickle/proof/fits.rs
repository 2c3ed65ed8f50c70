//! Whether what a pickle gives a class is what a reader's takes and needs, where that
//! differs from the writer's.

use crate::pickle::facts::Words;
use crate::pickle::reason::Lack;
use crate::pickle::scan::{Asked, Uses};

use super::members::{is_enum, members, word_of};

/// Instances that no call of the class made, so that its `__init__` did not run.
const BARE: Uses = Uses::MADE.union(Uses::REMADE).union(Uses::BARE);
/// States with something in them.
const STATED: Uses = Uses::DICT
    .union(Uses::PAIR)
    .union(Uses::OTHER)
    .union(Uses::OBJECT);

/// Whether a class takes what the pickle gives it, and lacks nothing that it needs.
///
/// # Errors
/// What differs, where nothing tells that it does not matter.
pub(super) fn fits(
    asked: &Asked<'_>,
    writers: Words<'_>,
    readers: Words<'_>,
    standard: bool,
) -> Result<(), Lack> {
    let has = |flags| asked.uses().intersects(flags);
    // Classic classes are classes to Python 3.
    let is_class = |facts: Words<'_>| matches!(facts.kind(), "class" | "classic");
    if writers.kind() != readers.kind() && !(is_class(writers) && is_class(readers)) {
        return Err(Lack::Differs("kind"));
    }
    if readers.kind() == "function" {
        // That of another release may do otherwise.
        let only_called = standard && !has(STATED);
        return if only_called {
            Ok(())
        } else {
            Err(Lack::Differs("code"))
        };
    }
    if writers.base() != readers.base() {
        return Err(Lack::Differs("base class"));
    }
    if has(Uses::KEYWORDS) {
        return Err(Lack::Differs("arguments"));
    }
    if is_enum(readers) && has(BARE) {
        return Err(Lack::Differs("members"));
    }
    if has(Uses::CALLED) {
        if is_enum(readers) {
            return members_are_alike(asked, writers, readers);
        }
        if readers.has("call") {
            return Err(Lack::Differs("metaclass"));
        }
    }
    let unreadable = |word| readers.arity(word).is_some_and(|arity| !arity.is_known());
    // What only __init__ takes, __new__ drops.
    let dropped = has(Uses::MADE)
        && readers.arity("new").is_none()
        && readers.base() == "object"
        && asked.used.made.most > 0;
    // A new __new__ may make something else of the same.
    let other = has(Uses::CALLED | Uses::MADE)
        && readers.get("new").is_some()
        && writers.get("new").is_none();
    if unreadable("new") || unreadable("init") || dropped || other {
        return Err(Lack::Differs("arguments"));
    }
    if readers.has("abstract") && has(BARE) {
        return Err(Lack::Differs("abstract methods"));
    }
    let mut fields = readers.list("tuple");
    let is_tuple = readers.get("tuple").is_some();
    if is_tuple
        && writers
            .list("tuple")
            .any(|field| fields.next() != Some(field))
    {
        return Err(Lack::Differs("fields"));
    }
    if !takes_items(asked.uses(), readers) {
        return Err(Lack::Differs("items"));
    }
    // What is set by the way of a hook is not there where only states are.
    let hooks = ["get", "getattribute", "set"];
    let has_hook = |facts: Words<'_>, hook: &str| facts.list("attr").any(|one| one == hook);
    if hooks
        .iter()
        .any(|hook| has_hook(readers, hook) && !has_hook(writers, hook))
    {
        return Err(Lack::Differs("access to attributes"));
    }
    let reduces = readers.get("reduce");
    if has(BARE) && reduces.is_some() && reduces != writers.get("reduce") {
        return Err(Lack::Differs("__reduce__"));
    }
    takes_states(asked, writers, readers)?;
    if has(BARE) && reduces.is_none() {
        let needed = ["sets", "attrs", "pydantic1", "pydantic2", "model"];
        let mut needed = needed.iter().flat_map(|word| readers.list(word));
        let lacks = |need: &str| asked.some_without_state() || !asked.always_has(need);
        if needed.any(lacks) {
            return Err(Lack::Differs("attributes"));
        }
    }
    Ok(())
}

/// Whether what is put into instances goes where a built-in type has it.
fn takes_items(uses: Uses, readers: Words<'_>) -> bool {
    let base = readers.base();
    let own = |words: &[&str]| readers.list("grow").any(|one| words.contains(&one));
    let kinds: [(Uses, &[&str], &[&str]); 3] = [
        (
            Uses::SET,
            &["setitem"],
            &[
                "dict",
                "collections.OrderedDict",
                "collections.defaultdict",
                "collections.Counter",
            ],
        ),
        (
            Uses::APPENDED,
            &["append", "extend"],
            &["list", "collections.deque"],
        ),
        (Uses::ADDED, &["add"], &["set"]),
    ];
    let mut kinds = kinds.iter().filter(|(flag, ..)| uses.intersects(*flag));
    kinds.all(|(_, words, bases)| bases.contains(&base) && !own(words))
}

/// Whether states are in a form that the class takes as the writer meant it.
fn takes_states(asked: &Asked<'_>, writers: Words<'_>, readers: Words<'_>) -> Result<(), Lack> {
    let has = |flags| asked.uses().intersects(flags);
    let differs = |word: &str| writers.get(word) != readers.get(word);
    if !has(STATED) {
        return Ok(());
    }
    if has(Uses::OBJECT) {
        return Err(Lack::Differs("state"));
    }
    let Some(hook) = readers.get("setstate") else {
        let sets = readers.list("attr").any(|one| one == "set");
        let lacks = |slot: &[u8]| !readers.list("slots").any(|one| one.as_bytes() == slot);
        return if readers.has("nodict") && asked.slots().any(lacks) {
            Err(Lack::Differs("slots"))
        } else if writers.get("setstate").is_some() {
            Err(Lack::Differs("__setstate__"))
        } else if sets && asked.slots().next().is_some() {
            Err(Lack::Differs("__setattr__"))
        } else {
            Ok(())
        };
    };
    if hook.starts_with("c:") {
        return Ok(());
    }
    // Instances of pydantic have their attributes one level further down.
    let nested = readers.get("pydantic1").is_some() || readers.get("pydantic2").is_some();
    let unpacks_dict = readers.get("unpack").is_some() && has(Uses::DICT);
    let needs = readers.list("needs").all(|need| asked.always_has(need));
    if differs("setstate") || differs("getstate") || nested || unpacks_dict || !needs {
        return Err(Lack::Differs("__setstate__"));
    }
    if hook == "dataclass" && differs("data") {
        return Err(Lack::Differs("fields"));
    }
    Ok(())
}

/// Whether the members that are asked for are there, under the same names.
fn members_are_alike(
    asked: &Asked<'_>,
    writers: Words<'_>,
    readers: Words<'_>,
) -> Result<(), Lack> {
    let name_of = |facts, value: &str| {
        members(facts)
            .find(|(_, is)| *is == value)
            .map(|(name, _)| name)
    };
    let same = |value: &String| {
        let there = name_of(readers, value);
        there.is_some() && there == name_of(writers, value)
    };
    let mut values = asked.values().ok_or(Lack::Uses)?;
    let alike = values.all(|value| word_of(value, asked.pickle).is_some_and(|value| same(&value)));
    if alike {
        Ok(())
    } else {
        Err(Lack::Differs("members"))
    }
}
