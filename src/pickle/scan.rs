//! One pass over a pickle: which protocol it needs, what it names and calls, and
//! everything else that verdicts ask for.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::extensions::Extensions;
use super::machine::{Broken, Machine, Named, Observer, View};
use super::names::is_in;
use super::node::{Kind, NO_GLOBAL, Node, Span};
use super::opcode::{INST, NEWOBJ, NEWOBJ_EX, OBJ};
use super::operands::literal_bytes;
use super::pause::Pause;
use super::special::{self, Said, Shapes, Special};

/// Scans pickles; keeps its memory from one to the next.
#[derive(Debug, Default)]
pub struct Scanner {
    machine: Machine,
    facts: Facts,
    globals: Globals,
}

/// What a scan found. Borrows the pickle and the scanner.
#[derive(Debug, Clone, Copy)]
pub struct Scan<'s> {
    pickle: &'s [u8],
    extensions: &'s Extensions,
    facts: &'s Facts,
    globals: &'s [Global],
    attributes: &'s [(u32, Span)],
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
            want: Want::Nothing,
        };
        let walked = self.machine.walk(pickle, &mut observer)?;
        Ok(Scan {
            pickle,
            extensions,
            facts: &self.facts,
            globals: &self.globals.list,
            attributes: &self.globals.attributes,
            pause: self.machine.pause(),
            len: walked.len,
            effective: 7 - walked.protocols.leading_zeros() as u8,
            value: walked.value,
        })
    }

    /// How much memory it holds, in bytes.
    pub fn held_bytes(&self) -> usize {
        let globals = &self.globals;
        self.machine.held_bytes()
            + globals.list.capacity() * size_of::<Global>()
            + globals.attributes.capacity() * size_of::<(u32, Span)>()
            + globals.index.allocation_size()
    }
}

/// What the value of a pickle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outermost<'s> {
    /// Of this built-in type.
    BuiltIn(&'static str),
    /// A class, function or other attribute itself.
    Global(GlobalRef<'s>),
    /// What calling or instantiating this gives.
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
    /// How the pickle uses it.
    pub roles: Roles,
}

/// How a pickle uses what it names.
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
    pub(super) special: Special,
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
    /// The strings that are in it.
    pub(super) said: Said,
    /// Bits of [`Special`] shapes; see [`special`].
    pub(super) shapes: Shapes,
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
    /// What a call gave is called with containers, or with what other calls gave.
    pub(super) nested_arguments: bool,
    /// What `copyreg._reconstructor` made last, by the offset of its call: an
    /// instance of this.
    reconstructed: Option<(u32, Special)>,
    /// In a pickle with a mail, the last list that was given tuples, and the last
    /// dict that has it as its alternatives.
    tuples_in: Option<u32>,
    alternatives_in: Option<u32>,
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

    /// How many bytes follow STOP; unpicklers ignore them.
    pub fn trailing(&self) -> usize {
        self.pickle.len() - self.len
    }

    /// Who wrote it, as far as its bytes are certain.
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

    /// What it names, in order of first appearance, each pair once.
    pub fn globals(&self) -> impl Iterator<Item = GlobalRef<'s>> + use<'s> {
        let scan = *self;
        self.raw_globals().map(move |global| scan.reference(global))
    }

    /// What it names and takes an attribute of with `getattr`, as picklers write
    /// nested classes and methods below protocol 4.
    pub fn attributes(&self) -> impl Iterator<Item = (GlobalRef<'s>, &'s str)> + use<'s> {
        let scan = *self;
        let attributes = self.pause.between(self.attributes.iter());
        attributes.map(move |&(global, name)| {
            let global = scan.reference(&scan.globals[global as usize]);
            (global, text(name.of(scan.pickle)))
        })
    }

    /// What the value is that it holds, as far as the outermost tells.
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

/// Who wrote a pickle, where its bytes are certain.
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
    /// As a requirement on `python`, or `unknown`.
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
    /// Which of them was asked for which attribute by `getattr`.
    attributes: Vec<(u32, Span)>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Globals {
    fn clear(&mut self) {
        self.list.clear();
        self.attributes.clear();
        self.index.clear();
    }
}

/// What the next string is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    Nothing,
    DjangoVersion,
}

struct Recorder<'r> {
    facts: &'r mut Facts,
    globals: &'r mut Globals,
    extensions: &'r Extensions,
    want: Want,
}

impl Recorder<'_> {
    /// Module and name of a global.
    fn names_of<'p>(&self, global: Node, pickle: &'p [u8]) -> (&'p [u8], &'p [u8])
    where
        Self: 'p,
    {
        let named = &self.globals.list[global.a as usize].named;
        names(pickle, self.extensions, named)
    }

    fn global_of(&mut self, node: Node) -> Option<&mut Global> {
        if node.kind != Kind::Global {
            return None;
        }
        self.globals.list.get_mut(node.a as usize)
    }

    /// Takes note of the globals that a call is given: it may call them in turn. Says
    /// whether it may find more in what it is given.
    fn given(&mut self, args: Option<(&[Node], u32)>, view: &View<'_>) -> bool {
        let Some((args, count)) = args else {
            self.facts.unseen_arguments = true;
            return true;
        };
        self.facts.unseen_arguments |= count as usize > args.len();
        let mut nested = false;
        for &arg in args {
            match arg.kind {
                Kind::Global => self.globals.list[arg.a as usize].given = true,
                Kind::Tuple => {
                    let (items, count) = view.elements(arg).unwrap_or((&[], u32::MAX));
                    self.facts.unseen_arguments |= count as usize > items.len();
                    for item in items {
                        match item.kind {
                            Kind::Global => self.globals.list[item.a as usize].given = true,
                            _ => nested |= item.may_hold(),
                        }
                    }
                }
                _ => nested |= arg.may_hold(),
            }
        }
        nested
    }

    /// Whether a call gave it that `getattr` did not get: what that gets has a name.
    fn is_result(&self, node: Node) -> bool {
        let made = self.globals.list.get(node.a as usize);
        node.is_object() && made.is_none_or(|global| global.special != Special::Getattr)
    }

    /// Whether a call gave it that may be a function: iterators are none.
    fn is_function(&self, node: Node) -> bool {
        let made = self.globals.list.get(node.a as usize);
        self.is_result(node) && made.is_none_or(|global| global.special != Special::Iterator)
    }

    /// An object is given a state or items.
    fn changed(&mut self, object: Node) {
        self.facts.changed_again |= object.kind == Kind::Stated || object.is_remembered();
    }

    /// How often the globals among the arguments at this place are used up by their
    /// call: once, and not again where the memo gives the same arguments.
    fn count_uses(&mut self, arguments: u32) -> u32 {
        let fresh = arguments >= self.facts.counted;
        if fresh {
            self.facts.counted = arguments + 1;
        }
        u32::from(fresh)
    }

    /// The base class that `copyreg._reconstructor` is given, which makes the
    /// instance: it is called, if it is not one of those that do nothing but hold.
    fn base(&mut self, base: Node, counted: u32, pickle: &[u8]) -> Option<Special> {
        let extensions = self.extensions;
        let base = self.global_of(base)?;
        let (module, name) = names(pickle, extensions, &base.named);
        if !special::is_holder(module, name) {
            base.roles.called = true;
            base.with_arguments = true;
            base.uses += counted;
        }
        Some(base.special)
    }

    /// Strings that rules look for, by their length.
    #[inline]
    fn marks(&mut self, text: &[u8]) {
        self.facts.said |= Said::of(text);
        if text == b"_django_version" {
            self.want = Want::DjangoVersion;
        }
    }

    /// An instance of `random.Random`.
    fn is_random(&self, object: Node) -> bool {
        let class = self.globals.list.get(object.a as usize);
        object.is_object() && class.is_some_and(|class| class.special == Special::Random)
    }

    /// What keys and values say that may be the state of an object.
    #[cold]
    fn attributes_in(&mut self, dict: Node, pairs: &[Node], pickle: &[u8]) {
        for (key, value) in pairs.iter().zip(pairs.iter().skip(1)).step_by(2) {
            if !matches!(key.kind, Kind::Text | Kind::Str) {
                continue;
            }
            match (key.bytes().of(pickle), value.kind) {
                (b"alternatives", Kind::List) if self.facts.tuples_in == Some(value.a) => {
                    self.facts.alternatives_in = Some(dict.a);
                }
                // As Python 3 has it, and no Python 2 without text of its own.
                (b"_FixedOffset__name", Kind::Text) if key.kind == Kind::Text => {
                    self.facts.shapes |= Shapes::OFFSET_NAME_TEXT;
                }
                _ => {}
            }
        }
    }

    #[cold]
    fn django_version(&mut self, text: &[u8]) {
        self.want = Want::Nothing;
        let mut parts = text.split(|&b| b == b'.').map(|part| {
            let digits = part.iter().take_while(|b| b.is_ascii_digit());
            digits.fold(0u16, |n, b| {
                n.saturating_mul(10).saturating_add(u16::from(b - b'0'))
            })
        });
        if let (Some(major @ 1..), Some(minor)) = (parts.next(), parts.next()) {
            self.facts.django.get_or_insert((major, minor));
        }
    }
}

impl Observer for Recorder<'_> {
    fn global(&mut self, _at: u32, named: Named, pickle: &[u8]) -> u32 {
        if let Some(code) = named.extension
            && self.extensions.get(code).is_none()
        {
            self.facts.unknown_extension.get_or_insert(code);
        }
        let Globals {
            list,
            index,
            hasher,
            ..
        } = &mut *self.globals;
        let extensions = self.extensions;
        let key = |named: &Named| {
            let (module, name) = names(pickle, extensions, named);
            (module, name, named.protocol < 3, named.extension)
        };
        let this = key(&named);
        let hash = hasher.hash_one(this);
        let found = index.find(hash, |&i| key(&list[i as usize].named) == this);
        if let Some(&number) = found {
            return number;
        }
        let number = list.len() as u32;
        let special = Special::of(this.0, this.1);
        self.facts.shapes |= special.named();
        list.push(Global {
            named,
            special,
            roles: Roles::default(),
            by_obj: false,
            with_arguments: false,
            given: false,
            nested_arguments: false,
            applies_result: false,
            from_str: false,
            from_text: false,
            dict_state: false,
            pushes: 0,
            uses: 0,
        });
        index.insert_unique(hash, number, |&i| {
            hasher.hash_one(key(&list[i as usize].named))
        });
        number
    }

    #[inline]
    fn string(&mut self, node: Node, pickle: &[u8]) {
        let span = node.bytes();
        match node.kind {
            Kind::Text if self.want == Want::Nothing => return self.marks(span.of(pickle)),
            Kind::Text => {}
            Kind::Str => {
                self.facts.py2_str = true;
                let bytes = span.of(pickle);
                if !bytes.is_ascii() {
                    note_undecodable(self.facts, span, bytes);
                }
            }
            Kind::Escaped if pickle[node.at as usize] == super::opcode::STRING => {
                self.facts.py2_str = true;
                self.facts.said |= Said::HOOK;
                escaped_str(self.facts, span, span.of(pickle));
                return;
            }
            Kind::Escaped => {
                self.facts.said |= Said::HOOK;
                return;
            }
            _ => return,
        }
        let text = span.of(pickle);
        if self.want == Want::DjangoVersion {
            self.django_version(text);
        }
        self.marks(text);
    }

    fn get(&mut self, _at: u32, _key: u32, node: Node, pickle: &[u8]) {
        if self.want == Want::DjangoVersion && matches!(node.kind, Kind::Text | Kind::Str) {
            self.django_version(node.bytes().of(pickle));
        }
    }

    fn decimal(&mut self, _at: u32, digits: u32) {
        self.facts.digits = self.facts.digits.max(digits);
    }

    fn long(&mut self, small: bool) {
        self.facts.py2_long |= small;
    }

    fn pushed(&mut self, global: u32) {
        self.globals.list[global as usize].pushes += 1;
    }

    fn dropped(&mut self, global: u32) {
        self.globals.list[global as usize].uses += 1;
    }

    fn call(
        &mut self,
        op: u8,
        at: u32,
        callee: Node,
        args: Option<(&[Node], u32)>,
        view: &View<'_>,
    ) {
        let first = args.and_then(|(args, _)| args.first().copied());
        let Some(global) = self.global_of(callee) else {
            let by = match callee.kind {
                Kind::Object | Kind::Stated => self.globals.list.get(callee.a as usize),
                _ => None,
            };
            match by.map(|global| global.special) {
                Some(Special::Getattr) => self.facts.getattr_called = true,
                Some(Special::Partial) => self.facts.call_of_partial = true,
                _ => self.facts.call_of_result = true,
            }
            self.facts.nested_arguments |= self.given(args, view);
            return;
        };
        global.uses += 1;
        match op {
            NEWOBJ | NEWOBJ_EX => {
                global.roles.instantiated = true;
                global.from_str |= first.is_some_and(|arg| {
                    arg.kind == Kind::Str
                        || arg.kind == Kind::Escaped
                            && view.pickle[arg.at as usize] == super::opcode::STRING
                });
                global.from_text |= first.is_some_and(|arg| {
                    arg.kind == Kind::Text && !arg.bytes().of(view.pickle).is_ascii()
                });
            }
            _ => {
                global.roles.called = true;
                let by_obj = matches!(op, INST | OBJ);
                global.by_obj |= by_obj;
                global.with_arguments |= !by_obj || args.is_none_or(|(_, count)| count > 0);
            }
        }
        let special = global.special;
        if !matches!(op, NEWOBJ | NEWOBJ_EX) && special.may_call() {
            let nested = self.given(args, view);
            self.globals.list[callee.a as usize].nested_arguments |= nested;
        }
        if special == Special::Ordinary {
            return;
        }
        self.facts.hidden_arguments |= args.is_none();
        let args = args.unwrap_or((&[], 0));
        self.facts.py3_bytes |= special == Special::CodecsEncode;
        self.facts.bare_int |= matches!(special, Special::Sized | Special::Range)
            && args.1 == 1
            && first.is_some_and(|arg| arg.kind == Kind::Int);
        self.facts.shapes |= special.called(op, args, view);
        let counted = self.count_uses(view.arguments);
        match special {
            Special::Iterator | Special::Reduce => {
                let (module, name) = self.names_of(callee, view.pickle);
                let at = special::takes_function_at(module, name);
                let applies =
                    args.1 > 1 && args.0.get(at).is_some_and(|&arg| self.is_function(arg));
                self.globals.list[callee.a as usize].applies_result |= applies;
            }
            Special::Partial => {
                self.facts.partial_of_result |= first.is_some_and(|first| self.is_result(first));
            }
            Special::Subscript => {
                let (_, name) = self.names_of(callee, view.pickle);
                let of_class = first.is_some_and(|first| {
                    first.kind == Kind::Global || first.is_object() && !self.is_result(first)
                });
                self.facts.loose_item |= name == b"getitem" && !of_class;
            }
            Special::Type => self.facts.unseen_arguments |= args.1 != 1,
            Special::Ufunc => {
                let module = first.and_then(|module| view.string(module));
                let is_numpy = |module| {
                    ["numpy", "scipy"]
                        .iter()
                        .any(|top| is_in(module, top.as_bytes()))
                };
                self.facts.foreign_function |= !module.is_some_and(is_numpy);
            }
            Special::Getattr => {
                let name = args
                    .0
                    .get(1)
                    .filter(|name| matches!(name.kind, Kind::Text | Kind::Str));
                match (first, name) {
                    (Some(object), Some(name)) if object.kind == Kind::Global => {
                        self.globals.attributes.push((object.a, name.bytes()));
                        self.facts.attribute = Some((at, object.a));
                        if let Some(object) = self.global_of(object) {
                            object.roles.attribute = true;
                            object.uses += counted;
                        }
                    }
                    (Some(object), Some(name))
                        if object.is_object()
                            && self.facts.attribute.is_some_and(|(at, _)| at == object.b) =>
                    {
                        self.facts.chained = true;
                        if let Some((last, global)) = &mut self.facts.attribute {
                            *last = at;
                            self.globals.attributes.push((*global, name.bytes()));
                        }
                    }
                    _ => {
                        let is_method = name.is_some()
                            && first.is_some_and(|object| object.kind != Kind::Unknown);
                        self.facts.method |= is_method;
                        self.facts.loose_getattr |= !is_method;
                        let of_random = first.is_some_and(|object| self.is_random(object));
                        let name = name.and_then(|name| view.string(*name));
                        if of_random && name.is_some_and(special::is_new_in_random) {
                            self.facts.shapes |= Shapes::RANDOM_METHOD;
                        }
                    }
                }
            }
            Special::Reconstructor => {
                let base = args
                    .0
                    .get(1)
                    .and_then(|&base| self.base(base, counted, view.pickle));
                if let Some(class) = first.and_then(|arg| self.global_of(arg)) {
                    class.roles.reconstructed = true;
                    class.uses += counted;
                    class.from_str |= base == Some(Special::Str);
                    class.from_text |= base == Some(Special::Unicode);
                    let class = class.special;
                    let of = args.0.get(2);
                    self.facts.shapes |= class.reconstructed(of.copied(), view);
                    self.facts.reconstructed = Some((at, class));
                    if let Some(base) = base {
                        self.facts.shapes |= special::int_on_long(base, of, view);
                    }
                }
            }
            _ => {}
        }
    }

    fn build(&mut self, _at: u32, object: Node, state: Node, view: &View<'_>) {
        self.changed(object);
        match object.kind {
            Kind::Global => {
                if let Some(global) = self.global_of(object) {
                    global.roles.built = true;
                    self.facts.built_global = true;
                }
            }
            Kind::Object | Kind::Stated if object.a != NO_GLOBAL => {
                let class = &mut self.globals.list[object.a as usize];
                class.dict_state |= state.kind == Kind::Dict;
                let special = match class.special {
                    Special::Ordinary => return,
                    Special::Getattr | Special::Subscript | Special::Reduce | Special::Type => {
                        self.facts.built_global = true;
                        return;
                    }
                    Special::Partial => {
                        let function = view.elements(state).and_then(|(items, _)| items.first());
                        self.facts.partial_of_result |=
                            function.is_some_and(|&function| self.is_result(function));
                        return;
                    }
                    Special::Reconstructor => match self.facts.reconstructed {
                        Some((at, special)) if at == object.b => special,
                        _ => return,
                    },
                    special => special,
                };
                self.facts.shapes |= special.built(state, view);
                if special == Special::Mail
                    && state.kind == Kind::Dict
                    && self.facts.alternatives_in == Some(state.a)
                {
                    self.facts.shapes |= Shapes::PLAIN_ALTERNATIVES;
                }
            }
            _ => {}
        }
    }

    fn grown(&mut self, object: Node) {
        self.changed(object);
    }

    fn dup(&mut self, _at: u32, node: Node) {
        // Which of the two is changed is not followed: no pickler writes it.
        self.facts.changed_again |= node.is_object();
    }

    #[inline]
    fn append(&mut self, list: Node, items: &[Node]) {
        if self.facts.shapes.contains(Shapes::MAIL)
            && items.iter().any(|item| item.kind == Kind::Tuple)
        {
            self.facts.tuples_in = Some(list.a);
        }
    }

    #[inline]
    fn pairs(&mut self, dict: Node, pairs: &[Node], pickle: &[u8]) {
        let stateful = Shapes::MAIL | Shapes::FIXED_OFFSET;
        if self.facts.shapes.intersects(stateful) {
            self.attributes_in(dict, pairs, pickle);
        }
    }

    fn protocol(&mut self, at: u32, protocol: u8) {
        if at == 0 {
            self.facts.declared = protocol;
        } else {
            self.facts.second_proto = true;
        }
    }

    fn persistent_id(&mut self, at: u32) {
        self.facts.persistent_id.get_or_insert(at);
    }

    fn buffer(&mut self, at: u32) {
        self.facts.buffer.get_or_insert(at);
    }
}

#[cold]
fn note_undecodable(facts: &mut Facts, span: Span, bytes: &[u8]) {
    if let Some(at) = bytes.iter().position(|b| !b.is_ascii()) {
        facts
            .undecodable
            .get_or_insert((span.start + at as u32, bytes[at]));
    }
}

/// A STRING literal with escapes.
fn escaped_str(facts: &mut Facts, span: Span, literal: &[u8]) {
    if let Some((at, byte)) = literal_bytes(literal).find(|(_, byte)| !byte.is_ascii()) {
        facts
            .undecodable
            .get_or_insert((span.start + at as u32, byte));
    }
}
