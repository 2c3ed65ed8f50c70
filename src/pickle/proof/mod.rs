//! Proofs that a reader gets what a writer meant: facts about the classes and functions
//! that a pickle names, held against the uses that it makes of them.
//!
//! There are three. Instances of the standard library's classes were seen to come over.
//! The facts of writer and reader are the same. Or they differ, and what the pickle gives
//! the class is what the reader's takes and needs. What has none of these is unknown.

mod compare;
mod fits;
mod members;
mod refusal;
#[cfg(test)]
mod tests;

use arrayvec::ArrayVec;

pub use compare::{Alike, compare};

use super::facts::{self, Words};
use super::inventory::Listed;
use super::names::{self, PythonVersion, Versions};
use super::pool::Pool;
use super::reason::{Lack, Reason, Refusal};
use super::rules::{Kind, Manner};
use super::scan::{Asked, Global, Scan, Uses, Writer};

/// Built-in types that instances are made of without the help of their class.
const PLAIN: [&str; 11] = [
    "object",
    "int",
    "float",
    "complex",
    "text",
    "bytes",
    "tuple",
    "list",
    "dict",
    "set",
    "frozenset",
];

/// Attributes of one global that are looked up, at most: whoever looks must not wait.
const MAX_ATTRIBUTES: usize = 64;

/// Whether it makes code objects, which are for the minor version alone that wrote them, or
/// unpickles what nobody looks into.
fn makes_code((module, name): Name<'_>) -> bool {
    let mut parts = module.split(|byte| *byte == b'.');
    let of_code =
        |part: &[u8]| part.starts_with(b"cloudpickle") || matches!(part, b"dill" | b"_dill");
    parts.any(of_code)
        || matches!(
            (module, name),
            (b"types", b"CodeType")
                | (b"builtins", b"code")
                | (b"marshal" | b"pickle" | b"_pickle" | b"cPickle", b"loads")
        )
}

/// What is known of a name in an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known<'f> {
    /// Nothing, or that it is not there.
    Nothing,
    /// It is there, says an inventory that has no facts.
    Listed,
    /// It is there: a value, or a function in C.
    There,
    Facts(Words<'f>),
}

/// What is known of a name, and in which part of an environment.
#[derive(Debug, Clone, Copy)]
struct Source<'f> {
    known: Known<'f>,
    /// The versions that have it so.
    versions: Versions,
    /// It is a part of the standard library.
    standard: bool,
    /// The series of the distribution that has it.
    series: Option<(u64, u64)>,
}

/// A module and a name in it.
type Name<'n> = (&'n [u8], &'n [u8]);

type Sources<'f> = ArrayVec<Source<'f>, { PythonVersion::ALL.len() + 1 }>;

impl<'e> Pool<'e> {
    /// The facts of a model of Django.
    fn model(self, label: [&[u8]; 2]) -> Option<Words<'e>> {
        self.inventory?.model(label).map(Words)
    }

    /// What is known of a name, as Python 2 calls it and as Python 3 does.
    fn sources_of(self, [in_2, in_3]: [Name<'_>; 2]) -> Sources<'e> {
        let (module, name) = if self.reader.is_python2() { in_2 } else { in_3 };
        self.sources(module, name)
    }

    /// What is known of a name: once for each layout that it has among the versions that
    /// this may be.
    fn sources(self, module: &[u8], name: &[u8]) -> Sources<'e> {
        let mut sources = Sources::new();
        let versions = self.reader.versions();
        if let Some(inventory) = self.inventory
            && let Some(listed) = inventory.listed(module, name)
            // Without facts, the tables know more.
            && !(matches!(listed, Listed::Yes) && names::is_standard(module, name))
        {
            let known = match listed {
                Listed::No => Known::Nothing,
                Listed::Yes => Known::Listed,
                Listed::Facts(text) if is_described(text) => Known::Facts(Words(text)),
                Listed::Facts(_) => Known::There,
            };
            let distribution = inventory.distribution(module);
            sources.push(Source {
                known,
                versions,
                standard: false,
                series: distribution.and_then(|(_, series)| series),
            });
            return sources;
        }
        let mut push = |known, versions| {
            if versions != Versions::default() {
                sources.push(Source {
                    known,
                    versions,
                    standard: true,
                    series: None,
                });
            }
        };
        // Of a later version than were asked, nothing is known.
        let known = if self.reader.is_later() {
            Versions::default()
        } else {
            versions
        };
        let mut left = versions;
        for group in facts::lookup(module, name) {
            push(Known::Facts(Words(group.facts)), group.versions & known);
            left = left.without(group.versions & known);
        }
        // An attribute of what is there may be lacking.
        let dotted = memchr::memchr(b'.', name).is_some();
        let listed = names::lookup(module, name).and_then(|found| found.listed);
        let there = listed.filter(|_| !dotted).unwrap_or_default() & left & known;
        push(Known::There, there);
        push(Known::Nothing, left.without(there));
        sources
    }
}

impl Writer {
    /// The pools, as far as their versions may have written it: bytes may tell that it
    /// was another.
    pub fn among<'p>(
        self,
        pools: impl Iterator<Item = Pool<'p>> + Clone,
    ) -> impl Iterator<Item = Pool<'p>> + Clone {
        let own = self.versions();
        pools.filter_map(move |pool| {
            let versions = pool.reader.versions() & own;
            (versions != Versions::default()).then(|| Pool {
                reader: pool.reader.only(versions),
                ..pool
            })
        })
    }
}

/// Whether facts are those of a class, or of a function written in Python.
fn is_described(facts: &str) -> bool {
    matches!(Words(facts).kind(), "class" | "classic" | "function")
}

impl<'s> Scan<'s> {
    /// Whether a reader gets what any of these writers meant, as far as facts prove. It is
    /// asked where [`Scan::judge`] has found nothing against it.
    ///
    /// # Errors
    /// What is not known of the first class or function without a proof.
    pub fn prove<'w>(
        &self,
        reader: Pool<'_>,
        writers: &(impl Iterator<Item = Pool<'w>> + Clone),
    ) -> Result<(), Reason<'s>> {
        for (number, global) in self.raw_globals().enumerate() {
            for writer in writers.clone() {
                self.proves((number, global), reader, writer)
                    .map_err(|lack| {
                        let (module, name) = self.named(global);
                        Reason::Unproved { module, name, lack }
                    })?;
            }
        }
        Ok(())
    }

    /// Whether it may be rewritten for a reader: no class holds Python 2's `str` of which
    /// nothing tells if it is meant as text or as bytes, and Python 2 calls nothing by the
    /// name of another. Rewritten, one would look like the other.
    pub fn may_be_rewritten<'w>(
        &self,
        reader: Pool<'_>,
        writers: &(impl Iterator<Item = Pool<'w>> + Clone),
    ) -> bool {
        let mut globals = self.raw_globals().enumerate();
        globals.all(|(number, global)| {
            let [(module, name), in_3] = self.both_names(global);
            let keeps_name = !reader.reader.is_python2() || names::to_py3(module, name) == in_3;
            let mut writers = writers.clone();
            keeps_name
                && writers
                    .all(|writer| self.proves((number, global), reader, writer) != Err(Lack::Text))
        })
    }

    /// Module and name as Python 2 calls them, and as Python 3 does.
    fn both_names(&self, global: &Global) -> [Name<'s>; 2] {
        let (module, name) = self.names(&global.named);
        if global.named.protocol < 3 {
            [(module, name), names::to_py3(module, name)]
        } else {
            // Python 2 writes no such pickle, but it may have been rewritten.
            [names::to_py2(module, name), (module, name)]
        }
    }

    fn proves(
        &self,
        (number, global): (usize, &Global),
        reader: Pool<'_>,
        writer: Pool<'_>,
    ) -> Result<(), Lack> {
        let asked = &self.asked(number);
        let [in_2, in_3] = self.both_names(global);
        let used = asked.uses().intersects(Uses::CALLED | Uses::GIVEN);
        let minor = |pool: Pool<'_>| pool.reader.versions().single();
        if used && makes_code(in_3) && (minor(reader).is_none() || minor(reader) != minor(writer)) {
            return Err(Lack::Code);
        }
        let facts = self.facts();
        if global.known.manner == Manner::Getattr && facts.takes_methods() {
            // Facts list no methods.
            return Err(Lack::Uses);
        }
        let across = !reader.reader.is_python2() && !writer.reader.is_python3();
        let text = across && asked.uses().contains(Uses::STR);
        let carried = self.against(global, Kind::Carried, reader.reader);
        let has = |pool: Pool<'_>, name| pool.inventory.and_then(|all| all.framework(name));
        if let Some(distribution) = carried.filter(|_| !text)
            && [reader, writer]
                .iter()
                .all(|pool| has(*pool, distribution).is_some())
        {
            return Ok(());
        }
        if global.known.manner == Manner::Model {
            // The helper does the same in every series.
            return self.models_are_alike(reader, writer, text);
        }
        let names = [in_2, in_3];
        let (theirs, ours) = (reader.sources_of(names), writer.sources_of(names));
        for theirs in &theirs {
            for ours in &ours {
                holds(asked, in_3, (ours, theirs), text)?;
            }
        }
        if asked.uses().contains(Uses::ATTRIBUTE) {
            return self.attributes_are_alike(number, (reader, writer), names);
        }
        Ok(())
    }

    /// Whether the attributes that are taken of a class are there, and the same: classes
    /// in it, members of enumerations, methods.
    fn attributes_are_alike(
        &self,
        number: usize,
        (reader, writer): (Pool<'_>, Pool<'_>),
        names: [Name<'_>; 2],
    ) -> Result<(), Lack> {
        if self.attributes_of(number).nth(MAX_ATTRIBUTES).is_some() {
            return Err(Lack::Uses);
        }
        let classes = [reader, writer].map(|pool| pool.sources_of(names));
        for attribute in self.attributes_of(number) {
            let is_member = |source: &Source<'_>| match source.known {
                Known::Facts(facts) => {
                    members::members(facts).any(|(name, _)| name.as_bytes() == attribute)
                }
                _ => false,
            };
            if classes.iter().flatten().all(is_member) {
                continue;
            }
            let dotted = names.map(|(module, name)| (module, [name, b".", attribute].concat()));
            let dotted = [0, 1].map(|at| (dotted[at].0, dotted[at].1.as_slice()));
            let [theirs, ours] = [reader, writer].map(|pool| pool.sources_of(dotted));
            let same = |ours: &Source<'_>, theirs: &Source<'_>| match (ours.known, theirs.known) {
                (Known::Facts(one), Known::Facts(other)) => {
                    one == other && !is_made_in_c(other, ours, theirs)
                }
                _ => facts::came_over(dotted[1].0, dotted[1].1, ours.versions, theirs.versions),
            };
            if !theirs
                .iter()
                .all(|theirs| ours.iter().all(|ours| same(ours, theirs)))
            {
                return Err(Lack::Uses);
            }
        }
        Ok(())
    }

    /// Whether the models of Django that are called by their labels are alike.
    fn models_are_alike(&self, reader: Pool<'_>, writer: Pool<'_>, text: bool) -> Result<(), Lack> {
        for (label, asked) in self.models() {
            let readers = reader.model(label).ok_or(Lack::Reader)?;
            let writers = writer.model(label).ok_or(Lack::Writer)?;
            if text {
                return Err(Lack::Text);
            }
            if asked.uses().contains(Uses::LOST) {
                return Err(Lack::Uses);
            }
            if readers != writers && !readers.model_fields().all(|field| asked.always_has(field)) {
                return Err(Lack::Differs("fields"));
            }
        }
        Ok(())
    }

    /// What a reader's class or function refuses of the uses that the pickle makes of it,
    /// whoever wrote it.
    pub(super) fn refused(
        &self,
        (number, global): (usize, &Global),
        reader: Pool<'_>,
    ) -> Option<Refusal> {
        let mut asked = self.asked(number);
        // Python 3 has but one of the two.
        if !reader.reader.is_python2() && asked.base == Some("long") {
            asked.base = Some("int");
        }
        let mut found = None;
        for source in &reader.sources_of(self.both_names(global)) {
            // All of what the reader may be must refuse it.
            let Known::Facts(facts) = source.known else {
                return None;
            };
            let refusal = refusal::refusal(&asked, facts)?;
            // Another micro version of the standard library may have it.
            if source.standard && refusal == Refusal::Slot {
                return None;
            }
            found = Some(refusal);
        }
        found
    }
}

/// Whether one layout of the reader's takes what is of one of the writer's.
fn holds(
    asked: &Asked<'_>,
    name: Name<'_>,
    (ours, theirs): (&Source<'_>, &Source<'_>),
    text: bool,
) -> Result<(), Lack> {
    if theirs.known == Known::Nothing {
        return Err(Lack::Reader);
    }
    if ours.known == Known::Nothing {
        return Err(Lack::Writer);
    }
    if ours.known == Known::Listed || theirs.known == Known::Listed {
        return Err(Lack::Listed);
    }
    let standard = ours.standard && theirs.standard;
    if standard && facts::came_over(name.0, name.1, ours.versions, theirs.versions) {
        return Ok(());
    }
    // It stands for itself.
    let only_named = (asked.uses() - Uses::GIVEN).is_empty();
    let same_release = ours.series.is_some() && ours.series == theirs.series;
    let (Known::Facts(writers), Known::Facts(readers)) = (ours.known, theirs.known) else {
        // Python 3 has other values under some names.
        let across = !is_of_one_major(ours.versions | theirs.versions);
        let proved = ours.known == theirs.known
            && (standard && only_named && !across || same_release && (only_named || !text));
        return if proved {
            Ok(())
        } else {
            Err(Lack::Unrecorded)
        };
    };
    if (asked.uses() - Uses::ATTRIBUTE).is_empty() {
        // Whoever calls a function gives it as many arguments as before.
        let same = writers.kind() == readers.kind()
            && writers.arity("function") == readers.arity("function");
        return if same {
            Ok(())
        } else {
            Err(Lack::Differs("kind"))
        };
    }
    if asked.is_blurred() {
        return Err(Lack::Uses);
    }
    if text && !(standard && is_exception(readers)) {
        return Err(Lack::Text);
    }
    if is_made_in_c(readers, ours, theirs) {
        return Err(Lack::Unrecorded);
    }
    if writers == readers {
        return Ok(());
    }
    if asked
        .uses()
        .intersects(Uses::GIVEN | Uses::LOST | Uses::BASES)
    {
        return Err(Lack::Uses);
    }
    fits::fits(asked, writers, readers, standard)
}

fn is_of_one_major(versions: Versions) -> bool {
    let of = |major: Versions| versions.without(major) == Versions::default();
    of(Versions::PY2) || of(Versions::PY3)
}

fn is_exception(facts: Words<'_>) -> bool {
    let ends = ["Exception", "Error", "Warning", "StopIteration"];
    ends.iter().any(|end| facts.base().ends_with(end))
}

/// Whether instances are made in C by what facts do not tell of.
fn is_made_in_c(readers: Words<'_>, ours: &Source<'_>, theirs: &Source<'_>) -> bool {
    let same = ours.series.is_some() && ours.series == theirs.series && ours.known == theirs.known;
    if readers.has("c") {
        return !same;
    }
    let base = readers.base();
    if PLAIN.contains(&base) {
        return false;
    }
    let (module, name) = base.rsplit_once('.').unwrap_or(("builtins", base));
    let (module, name) = (module.as_bytes(), name.as_bytes());
    if names::is_standard(module, name) {
        !facts::came_over(module, name, ours.versions, theirs.versions)
    } else {
        !same
    }
}
