//! One pass over a pickle: which protocol it needs, what it names and calls, and
//! everything else that verdicts ask for.

mod asked;
mod dicts;
mod follow;
mod recorder;
mod uses;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::extensions::Extensions;
use super::flaw::Broken;
use super::machine::Machine;
use super::names::{PythonVersion, Versions};
use super::node::{Kind, Node, Span};
use super::observer::Named;
use super::operands::literal_bytes;
use super::pause::Pause;
use super::rules::{Knowledge, Known, Rows};
pub(super) use asked::Asked;
use follow::Followed;
use recorder::Recorder;
pub(super) use uses::{Counts, Uses};

/// Scans pickles; keeps its memory from one to the next.
#[derive(Debug, Default)]
pub struct Scanner {
    machine: Machine,
    facts: Facts,
    globals: Globals,
}

/// The findings of a scan. Borrows the pickle and the scanner.
#[derive(Debug, Clone, Copy)]
pub struct Scan<'s> {
    pickle: &'s [u8],
    extensions: &'s Extensions,
    facts: &'s Facts,
    globals: &'s [Global],
    attributes: &'s [(u32, Span)],
    followed: &'s Followed,
    pause: Pause,
    len: usize,
    effective: u8,
    value: Node,
}

impl Scanner {
    /// A scanner whose scans pause, and what is asked of them about all names.
    pub fn pausing(pause: Pause) -> Self {
        Self {
            machine: Machine::pausing(pause),
            ..Self::default()
        }
    }

    /// Scans the pickle at the start of `pickle`. `extensions` are the codes that
    /// the application has registered with `copyreg.add_extension`.
    ///
    /// # Errors
    /// Says where and why no unpickler would load it.
    pub fn scan<'s>(
        &'s mut self,
        pickle: &'s [u8],
        extensions: &'s Extensions,
    ) -> Result<Scan<'s>, Broken> {
        self.facts = Facts::default();
        self.globals.clear();
        let mut observer = Recorder {
            facts: &mut self.facts,
            globals: &mut self.globals,
            extensions,
            knowledge: Knowledge::get(),
            wants_version: false,
            follows: false,
            listens: false,
        };
        let walked = self.machine.walk(pickle, &mut observer)?;
        Ok(Scan {
            pickle,
            extensions,
            facts: &self.facts,
            globals: &self.globals.list,
            attributes: &self.globals.attributes,
            followed: &self.globals.followed,
            pause: self.machine.pause(),
            len: walked.len,
            effective: 7 - walked.protocols.leading_zeros() as u8,
            value: walked.value,
        })
    }

    /// Memory that it holds, in bytes.
    pub fn held_bytes(&self) -> usize {
        let globals = &self.globals;
        self.machine.held_bytes()
            + globals.list.capacity() * size_of::<Global>()
            + globals.attributes.capacity() * size_of::<(u32, Span)>()
            + globals.index.allocation_size()
            + globals.followed.held_bytes()
    }
}

/// The value of a pickle, by its outermost part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outermost<'s> {
    /// An instance of this built-in type.
    BuiltIn(&'static str),
    /// A class, function or other attribute itself.
    Global(GlobalRef<'s>),
    /// The result of calling or instantiating this.
    Called(GlobalRef<'s>),
    /// No bytes tell.
    Unknown,
}

/// Something that a pickle names, and what it does with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GlobalRef<'s> {
    /// Dotted, as the pickle has it.
    pub module: &'s str,
    /// Dotted for nested names (protocol 4 and later).
    pub name: &'s str,
    /// The uses that the pickle makes of it.
    pub roles: Roles,
}

/// The uses that a pickle makes of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles {
    /// Called: REDUCE, INST, OBJ.
    pub called: bool,
    /// Instantiated: NEWOBJ, `NEWOBJ_EX`.
    pub instantiated: bool,
    /// First argument of `copyreg._reconstructor`.
    pub reconstructed: bool,
    /// First argument of `getattr`.
    pub attribute: bool,
    /// Put into the data, or given to a call.
    pub data: bool,
    /// Given a state by BUILD, without a call.
    pub built: bool,
}

/// A global in a [`Scan`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Global {
    pub(super) named: Named,
    pub(super) known: Known,
    pub(super) roles: Roles,
    /// INST or OBJ made it: how Python 2 writes instances of classic classes.
    pub(super) by_obj: bool,
    /// Called with arguments: bare, INST and OBJ only make an instance.
    pub(super) with_arguments: bool,
    /// An argument of a call, which may call it.
    pub(super) given: bool,
    /// Called with containers, or with what other calls gave.
    pub(super) nested_arguments: bool,
    /// Called with what another call gave, where some take a function.
    pub(super) applies_result: bool,
    /// Instantiated with a Python 2 `str` as its first argument, or
    /// reconstructed from one.
    pub(super) from_str: bool,
    /// Made of text that Python 2's `str` does not take: not ASCII, or reconstructed
    /// from `unicode`.
    pub(super) from_text: bool,
    /// An instance of it was given a dict as its state.
    pub(super) dict_state: bool,
    pushes: u32,
    uses: u32,
}

impl Global {
    /// Put into the data, or given to a call.
    pub(super) fn is_data(&self) -> bool {
        self.pushes > self.uses
    }
}

/// Everything but the globals that verdicts ask for.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// The protocol in the header; 0 without one.
    pub(super) declared: u8,
    /// PROTO elsewhere than at the start.
    second_proto: bool,
    /// Offset and value of the first byte that no ASCII `str` has.
    pub(super) undecodable: Option<(u32, u8)>,
    /// A Python 2 `str` is in it.
    pub(super) py2_str: bool,
    /// A LONG1 or LONG4 that Python 3 would have written as an int. Not a LONG:
    /// until 3.7 it wrote all integers so at protocol 0.
    pub(super) py2_long: bool,
    /// Bytes as Python 3 writes them below protocol 3.
    pub(super) py3_bytes: bool,
    /// Most digits of an integer in decimal.
    pub(super) digits: u32,
    /// Offset of the first persistent id.
    pub(super) persistent_id: Option<u32>,
    /// Offset of the first out-of-band buffer.
    pub(super) buffer: Option<u32>,
    /// An extension code that is not registered.
    pub(super) unknown_extension: Option<u32>,
    /// Django's series, where a model or `QuerySet` says it.
    pub(super) django: Option<(u16, u16)>,
    /// The strings in it that rules ask for, by their bits.
    pub(super) said: u32,
    /// A name that Python itself looks for in objects, or what may be one.
    pub(super) hook: bool,
    /// The rules that it meets.
    pub(super) met: Rows,
    /// A call of what a call other than `getattr` gave.
    call_of_result: bool,
    /// A call of what `functools.partial` gave: so are instances made below protocol
    /// 4 that are to have keywords.
    pub(super) call_of_partial: bool,
    /// A call of what `getattr` gave.
    pub(super) getattr_called: bool,
    /// `getattr` of something else than a literal name of a global or an instance.
    loose_getattr: bool,
    /// `getattr` of an instance: a bound method, as a rule.
    pub(super) method: bool,
    /// `getattr` of what `getattr` gave: how classes in nested ones are written.
    pub(super) chained: bool,
    /// Offset of the last `getattr` of a global, and which it was.
    attribute: Option<(u32, u32)>,
    /// A call with arguments that are not known.
    pub(super) unseen_arguments: bool,
    /// numpy is told to import a function of somebody else.
    foreign_function: bool,
    /// One more than where the last tuple of arguments lies whose globals were
    /// counted: one that the memo gives again is data as well.
    counted: u32,
    /// `bytearray(n)`, `list(range(n))` and the like, which allocate without bytes.
    bare_int: bool,
    /// BUILD on a global, or on what a call finds rather than makes.
    built_global: bool,
    /// An object is changed that has its state, or that the memo gave.
    changed_again: bool,
    /// An item is taken of what is no class.
    loose_item: bool,
    /// A call, of what is known, with arguments that are not known.
    hidden_arguments: bool,
    /// A partial object of what a call gave.
    partial_of_result: bool,
    /// The result of a call is called with containers, or with what other calls gave.
    pub(super) nested_arguments: bool,
    /// The class of the instance that `copyreg._reconstructor` made last, and the offset
    /// of its call.
    reconstructed: Option<(u32, Known)>,
    /// Rules about attributes of what is named.
    attribute_rows: Rows,
    /// While there are any: the last list that was given tuples, and the last dict
    /// with such attributes, and which.
    tuples_in: Option<u32>,
    attributes_in: Option<(u32, Rows)>,
}

impl Facts {
    /// Takes note of the first byte of a Python 2 `str` that Python 3 cannot decode.
    #[cold]
    fn note_undecodable(&mut self, span: Span, bytes: &[u8]) {
        if let Some(at) = bytes.iter().position(|byte| !byte.is_ascii()) {
            let found = (span.start + at as u32, bytes[at]);
            self.undecodable.get_or_insert(found);
        }
    }

    /// The same of a STRING literal with escapes.
    fn note_escaped(&mut self, span: Span, literal: &[u8]) {
        let mut bytes = literal_bytes(literal);
        if let Some((at, byte)) = bytes.find(|(_, byte)| !byte.is_ascii()) {
            let found = (span.start + at as u32, byte);
            self.undecodable.get_or_insert(found);
        }
    }

    /// Whether `getattr` takes something else than an attribute of a global.
    pub(super) fn takes_methods(&self) -> bool {
        self.method || self.loose_getattr
    }
}

impl<'s> Scan<'s> {
    /// The protocol that the header declares; 0 where there is none.
    pub fn declared_protocol(&self) -> u8 {
        self.facts.declared
    }

    /// The lowest protocol with all of its opcodes.
    pub fn effective_protocol(&self) -> u8 {
        self.effective
    }

    /// The pickle's length up to STOP, in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: a pickle has at least two opcodes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Count of the bytes after STOP, which unpicklers ignore.
    pub fn trailing(&self) -> usize {
        self.pickle.len() - self.len
    }

    /// The writer, as far as its bytes are certain.
    pub fn writer(&self) -> Writer {
        let facts = self.facts;
        match self.effective.max(facts.declared) {
            5 => Writer::Python38,
            4 => Writer::Python34,
            3 => Writer::Python3,
            _ if facts.py2_str || facts.py2_long => Writer::Python2,
            _ if facts.py3_bytes => Writer::Python3,
            _ => Writer::Unknown,
        }
    }

    /// Django's major and minor version, where the pickle of a model or a
    /// `QuerySet` says which wrote it.
    pub fn django(&self) -> Option<(u16, u16)> {
        self.facts.django
    }

    /// The globals that it names, in order of first appearance, each pair once.
    pub fn globals(&self) -> impl Iterator<Item = GlobalRef<'s>> + use<'s> {
        let scan = *self;
        self.raw_globals().map(move |global| scan.reference(global))
    }

    /// The globals that it takes an attribute of with `getattr`, as picklers write nested
    /// classes and methods below protocol 4.
    pub fn attributes(&self) -> impl Iterator<Item = (GlobalRef<'s>, &'s str)> + use<'s> {
        let scan = *self;
        let attributes = self.pause.between(self.attributes.iter());
        attributes.map(move |&(global, name)| {
            let global = scan.reference(&scan.globals[global as usize]);
            (global, text(name.of(scan.pickle)))
        })
    }

    /// The value that it holds, as far as the outermost part tells.
    pub fn value(&self) -> Outermost<'s> {
        let global = |at: u32| self.globals.get(at as usize).map(|g| self.reference(g));
        let kind = match self.value.kind {
            Kind::Global => {
                return global(self.value.a).map_or(Outermost::Unknown, Outermost::Global);
            }
            Kind::Object | Kind::Stated => {
                return global(self.value.a).map_or(Outermost::Unknown, Outermost::Called);
            }
            Kind::Vacant | Kind::Unknown => return Outermost::Unknown,
            Kind::Int => "int",
            Kind::Float => "float",
            Kind::None => "None",
            Kind::Bool => "bool",
            Kind::Str | Kind::Text | Kind::Escaped => "str",
            Kind::Bytes => "bytes",
            Kind::ByteArray => "bytearray",
            Kind::Tuple => "tuple",
            Kind::List => "list",
            Kind::Dict => "dict",
            Kind::Set => "set",
            Kind::FrozenSet => "frozenset",
        };
        Outermost::BuiltIn(kind)
    }

    fn reference(&self, global: &Global) -> GlobalRef<'s> {
        let (module, name) = self.named(global);
        let mut roles = global.roles;
        roles.data |= global.is_data();
        GlobalRef {
            module,
            name,
            roles,
        }
    }

    /// Whether it is built as picklers build. Strictly, it has nothing either that
    /// few values need and that nobody can follow: calls of partial objects, methods
    /// of instances.
    ///
    /// # Errors
    /// Says what no pickler writes.
    pub(super) fn structure(&self, strictly: bool) -> Result<(), &'static str> {
        let facts = self.facts;
        let partial = facts.call_of_partial && strictly;
        let method = (facts.method || facts.chained) && strictly;
        for (found, what) in [
            (facts.second_proto, "a second PROTO"),
            (self.trailing() > 0, "bytes after STOP"),
            (
                facts.call_of_result || partial || facts.call_of_partial && facts.partial_of_result,
                "a call of what a call gave",
            ),
            (facts.hidden_arguments, "arguments that are no tuple"),
            (facts.loose_getattr || method, "getattr of no class"),
            (facts.loose_item, "an item of no class"),
            (
                facts.foreign_function,
                "a function of numpy that is not its own",
            ),
            (facts.built_global, "a state for a class or module"),
            (facts.changed_again, "a change of what has its state"),
            (facts.bare_int, "a size without content"),
            (facts.persistent_id.is_some(), "a persistent id"),
            (
                facts.unknown_extension.is_some(),
                "an unknown extension code",
            ),
        ] {
            if found {
                return Err(what);
            }
        }
        Ok(())
    }

    pub(super) fn facts(&self) -> &'s Facts {
        self.facts
    }

    pub(super) fn raw_globals(&self) -> impl Iterator<Item = &'s Global> + use<'s> {
        self.pause.between(self.globals.iter())
    }

    /// The uses of a global, by its number.
    pub(super) fn asked(&self, number: usize) -> Asked<'s> {
        let mut asked = self.followed.asked(number, self.pickle);
        let base = asked
            .used
            .base
            .and_then(|base| self.globals.get(base as usize));
        asked.base = base.and_then(|base| built_in(self.names(&base.named)));
        if self.globals[number].given {
            asked.given = Uses::GIVEN;
        }
        asked
    }

    /// The attributes that `getattr` takes of a global, by its number.
    pub(super) fn attributes_of(&self, number: usize) -> impl Iterator<Item = &'s [u8]> {
        let of = self
            .attributes
            .iter()
            .filter(move |(of, _)| *of as usize == number);
        of.map(|(_, name)| name.of(self.pickle))
    }

    /// The models of Django that helpers make, by their labels.
    pub(super) fn models(&self) -> impl Iterator<Item = ([&'s [u8]; 2], Asked<'s>)> {
        self.followed.models(self.pickle)
    }

    /// Whether it has a name: not an extension code that nobody registered.
    pub(super) fn is_named(&self, named: &Named) -> bool {
        named
            .extension
            .is_none_or(|code| self.extensions.get(code).is_some())
    }

    /// Module and name, empty where they are no text.
    pub(super) fn named(&self, global: &Global) -> (&'s str, &'s str) {
        let (module, name) = self.names(&global.named);
        (text(module), text(name))
    }

    /// Module and name as the pickle, or the registry, has them.
    pub(super) fn names(&self, named: &Named) -> (&'s [u8], &'s [u8]) {
        names(self.pickle, self.extensions, named)
    }
}

/// A built-in type in the words of facts, if it is the same in Python 2 and 3.
fn built_in((module, name): (&[u8], &[u8])) -> Option<&'static str> {
    if !matches!(module, b"__builtin__" | b"builtins") {
        return None;
    }
    Some(match name {
        b"object" => "object",
        b"dict" => "dict",
        b"list" => "list",
        b"tuple" => "tuple",
        b"set" => "set",
        b"frozenset" => "frozenset",
        b"int" => "int",
        b"float" => "float",
        b"complex" => "complex",
        b"long" => "long",
        b"unicode" => "text",
        _ => return None,
    })
}

/// Names are UTF-8: the machine has seen to that.
fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or_default()
}

fn names<'a>(pickle: &'a [u8], extensions: &'a Extensions, named: &Named) -> (&'a [u8], &'a [u8]) {
    match named.extension.and_then(|code| extensions.get(code)) {
        Some((module, name)) => (module.as_bytes(), name.as_bytes()),
        None => (named.module.of(pickle), named.name.of(pickle)),
    }
}

/// The writer of a pickle, where its bytes are certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// Both Python 2 and 3 could have.
    Unknown,
    /// Some Python 2.
    Python2,
    /// Some Python 3.
    Python3,
    /// Python 3.4 or later.
    Python34,
    /// Python 3.8 or later.
    Python38,
}

impl Writer {
    /// The versions that it may be.
    pub(super) fn versions(self) -> Versions {
        match self {
            Self::Unknown => Versions::ALL,
            Self::Python2 => Versions::PY2,
            // The tables know none before 3.6.
            Self::Python3 | Self::Python34 => Versions::PY3,
            Self::Python38 => Versions::since(PythonVersion::Py38),
        }
    }

    /// The name, as a requirement on `python`; else `unknown`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Python2 => "python <3",
            Self::Python3 => "python >=3",
            Self::Python34 => "python >=3.4",
            Self::Python38 => "python >=3.8",
        }
    }
}

/// The distinct globals of a pickle, and how to find one again.
#[derive(Debug, Default)]
struct Globals {
    list: Vec<Global>,
    /// The attributes that `getattr` took of which global.
    attributes: Vec<(u32, Span)>,
    followed: Followed,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Globals {
    fn clear(&mut self) {
        // Without a name, nothing was noted.
        if self.list.is_empty() {
            return;
        }
        self.list.clear();
        self.attributes.clear();
        self.followed.clear();
        self.index.clear();
    }
}
