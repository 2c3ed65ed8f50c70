//! What a walk tells, written down as facts: which names are used how, and which shapes
//! are built. Judges none.

use std::hash::BuildHasher as _;

use super::{Facts, Global, Globals, Roles, names};
use crate::pickle::extensions::Extensions;
use crate::pickle::machine::{Named, Observer, View};
use crate::pickle::names::is_in;
use crate::pickle::node::{Kind, NO_GLOBAL, Node, Span};
use crate::pickle::opcode::{INST, NEWOBJ, NEWOBJ_EX, OBJ, STRING};
use crate::pickle::operands::literal_bytes;
use crate::pickle::special::{self, Said, Shapes, Special};

/// The state of one walk.
pub(super) struct Recorder<'r> {
    pub(super) facts: &'r mut Facts,
    pub(super) globals: &'r mut Globals,
    pub(super) extensions: &'r Extensions,
    pub(super) want: Want,
}

/// What the next string is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Nothing,
    DjangoVersion,
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

    fn names(&self) -> usize {
        self.globals.list.len()
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
            Kind::Escaped if pickle[node.at as usize] == STRING => {
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
                        || arg.kind == Kind::Escaped && view.pickle[arg.at as usize] == STRING
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
