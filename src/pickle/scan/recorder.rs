//! Writes the events of a walk down as facts: which names are used how, and which rules
//! are met. Judges none.

use std::hash::BuildHasher as _;

use super::follow::Subject;
use super::uses::Used;
use super::{Facts, Global, Globals, Roles, names};
use crate::pickle::extensions::Extensions;
use crate::pickle::names::is_in;
use crate::pickle::node::{Kind, NO_GLOBAL, Node};
use crate::pickle::observer::{Call, Named, Observer, View};
use crate::pickle::opcode::{INST, NEWOBJ, NEWOBJ_EX, OBJ, STRING};
use crate::pickle::rules::{Event, HOOK_LENGTHS, Knowledge, Known, Manner, Rows, What};

/// The state of one walk.
pub(super) struct Recorder<'r> {
    pub(super) facts: &'r mut Facts,
    pub(super) globals: &'r mut Globals,
    pub(super) extensions: &'r Extensions,
    pub(super) knowledge: &'static Knowledge,
    /// The next string is Django's version.
    pub(super) wants_version: bool,
    /// A global was named: uses of classes are followed.
    pub(super) follows: bool,
    /// What the memo gives may matter.
    pub(super) listens: bool,
}

impl Recorder<'_> {
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
        node.is_object() && made.is_none_or(|global| global.known.manner != Manner::Getattr)
    }

    /// Whether a call gave it that may be a function: iterators are none.
    fn is_function(&self, node: Node) -> bool {
        let made = self.globals.list.get(node.a as usize);
        let is_iterator = |manner| matches!(manner, Manner::Iterator(_));
        self.is_result(node) && made.is_none_or(|global| !is_iterator(global.known.manner))
    }

    /// An object is given a state or items.
    fn changed(&mut self, object: Node) {
        self.facts.changed_again |= object.kind == Kind::Stated || object.is_remembered();
    }

    /// Count of uses, by their call, of the globals among the arguments at this place:
    /// one, and none where the memo gives the same arguments again.
    fn count_uses(&mut self, arguments: u32) -> u32 {
        let fresh = arguments >= self.facts.counted;
        if fresh {
            self.facts.counted = arguments + 1;
        }
        u32::from(fresh)
    }

    /// The base class that `copyreg._reconstructor` is given, which makes the
    /// instance: it is called, if it is not one of those that do nothing but hold.
    fn base(&mut self, base: Node, counted: u32) -> Option<Known> {
        let base = self.global_of(base)?;
        if !base.known.manner.is_holder() {
            base.roles.called = true;
            base.with_arguments = true;
            base.uses += counted;
        }
        Some(base.known)
    }

    /// Takes note of the rules about a global that a use of it meets.
    #[inline]
    fn meet(&mut self, rows: Rows, event: &Event<'_>) {
        if !rows.is_empty() {
            self.facts.met.add(self.knowledge.met(rows, event));
        }
    }

    /// A Python 2 `str` is pushed.
    // Out of the machine's loop, which is the faster for it.
    #[inline(never)]
    fn note_str(&mut self, at: u32) {
        self.facts.py2_str = true;
        self.listens = true;
        // What comes before all classes is in none.
        if self.follows {
            self.globals.followed.str_at(at);
        }
    }

    /// The class, function or model that an object's state says something of.
    fn subject(&mut self, object: Node) -> Option<Subject> {
        let global = self.globals.list.get(object.a as usize)?;
        match global.known.manner {
            Manner::Reconstructor | Manner::Model => self.globals.followed.made_by_help(object.b),
            _ => Some(Subject::Global(object.a)),
        }
    }

    #[inline]
    fn text(&mut self, text: &[u8]) {
        if self.knowledge.looks_for(text) {
            self.known_text(text);
        }
    }

    #[cold]
    fn known_text(&mut self, text: &[u8]) {
        self.facts.said |= self.knowledge.said(text);
        match text {
            b"_django_version" => {
                self.wants_version = true;
                self.listens = true;
            }
            b"__main__" => {}
            [b'_', b'_', .., b'_', b'_'] => {
                self.facts.hook |= HOOK_LENGTHS.contains(&text.len());
            }
            _ => {}
        }
    }

    /// Takes note of keys and values that rules are about, should the dict be the state
    /// of an object.
    #[cold]
    fn attributes_in(&mut self, dict: Node, pairs: &[Node], pickle: &[u8]) {
        for pair in pairs.chunks_exact(2) {
            let event = Event {
                tuples_in: self.facts.tuples_in,
                ..Event::new(What::Attribute, pair, pickle)
            };
            let met = self.knowledge.met(self.facts.attribute_rows, &event);
            if met.is_empty() {
                continue;
            }
            match &mut self.facts.attributes_in {
                Some((last, rows)) if *last == dict.a => rows.add(met),
                other => *other = Some((dict.a, met)),
            }
        }
    }

    /// The memo gives a string of Python 2, or what may be the version that is wanted.
    #[cold]
    fn wanted(&mut self, at: u32, node: Node, pickle: &[u8]) {
        if node.kind == Kind::Str {
            self.note_str(at);
        }
        if self.wants_version && matches!(node.kind, Kind::Text | Kind::Str) {
            self.django_version(node.bytes().of(pickle));
        }
        self.listens = self.facts.py2_str || self.wants_version;
    }

    #[cold]
    fn django_version(&mut self, text: &[u8]) {
        self.wants_version = false;
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
    #[inline(never)]
    fn global(&mut self, _at: u32, named: Named, pickle: &[u8]) -> u32 {
        if let Some(code) = named.extension
            && self.extensions.get(code).is_none()
        {
            self.facts.unknown_extension.get_or_insert(code);
        }
        let Globals {
            list,
            followed,
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
        let known = self.knowledge.of(this.0, this.1);
        list.push(Global {
            named,
            known,
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
        followed.used.push(Used::NOT);
        self.follows = true;
        index.insert_unique(hash, number, |&i| {
            hasher.hash_one(key(&list[i as usize].named))
        });
        if !known.rows.is_empty() {
            let attributes = self.knowledge.about(What::Attribute, known.rows);
            self.facts.attribute_rows.add(attributes);
            self.meet(known.rows, &Event::new(What::Named, &[], pickle));
        }
        number
    }

    fn names(&self) -> usize {
        self.globals.list.len()
    }

    #[inline]
    fn string(&mut self, node: Node, pickle: &[u8]) {
        let span = node.bytes();
        match node.kind {
            Kind::Text if !self.wants_version => return self.text(span.of(pickle)),
            Kind::Text => {}
            Kind::Str => {
                self.note_str(node.at);
                let bytes = span.of(pickle);
                if !bytes.is_ascii() {
                    self.facts.note_undecodable(span, bytes);
                }
            }
            Kind::Escaped if pickle[node.at as usize] == STRING => {
                self.note_str(node.at);
                self.facts.hook = true;
                self.facts.note_escaped(span, span.of(pickle));
                return;
            }
            Kind::Escaped => {
                self.facts.hook = true;
                return;
            }
            _ => return,
        }
        let text = span.of(pickle);
        if self.wants_version {
            self.django_version(text);
        }
        self.text(text);
    }

    #[inline]
    fn get(&mut self, at: u32, _key: u32, node: Node, pickle: &[u8]) {
        if self.listens {
            self.wanted(at, node, pickle);
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

    // Out of the machine's loop, which is the faster for it.
    #[inline(never)]
    fn call(&mut self, call: &Call<'_>) {
        let &Call {
            op,
            at,
            callee,
            args,
            ref view,
            ..
        } = call;
        let first = call.first();
        let pickle = view.pickle;
        let Some(global) = self.global_of(callee) else {
            let by = match callee.kind {
                Kind::Object | Kind::Stated => self.globals.list.get(callee.a as usize),
                _ => None,
            };
            match by.map(|global| global.known.manner) {
                Some(Manner::Getattr) => self.facts.getattr_called = true,
                Some(Manner::Partial) => self.facts.call_of_partial = true,
                _ => self.facts.call_of_result = true,
            }
            self.facts.nested_arguments |= self.given(args, view);
            return;
        };
        global.uses += 1;
        let Globals { followed, list, .. } = &mut *self.globals;
        followed.call(call, callee.a, self.facts.py2_str);
        let global = &mut list[callee.a as usize];
        match op {
            NEWOBJ | NEWOBJ_EX => {
                global.roles.instantiated = true;
                global.from_str |= first.is_some_and(|arg| {
                    arg.kind == Kind::Str
                        || arg.kind == Kind::Escaped && pickle[arg.at as usize] == STRING
                });
                global.from_text |= first.is_some_and(|arg| {
                    arg.kind == Kind::Text && !arg.bytes().of(pickle).is_ascii()
                });
            }
            _ => {
                global.roles.called = true;
                let by_obj = matches!(op, INST | OBJ);
                global.by_obj |= by_obj;
                global.with_arguments |= !by_obj || args.is_none_or(|(_, count)| count > 0);
            }
        }
        let Known { rows, manner } = global.known;
        if !matches!(op, NEWOBJ | NEWOBJ_EX) && manner.may_call() {
            let nested = self.given(args, view);
            self.globals.list[callee.a as usize].nested_arguments |= nested;
        }
        if rows.is_empty() && matches!(manner, Manner::Ordinary | Manner::Holder) {
            return;
        }
        self.facts.hidden_arguments |= args.is_none();
        let (args, count) = args.unwrap_or((&[], 0));
        self.facts.bare_int |= matches!(manner, Manner::Sized | Manner::Range)
            && count == 1
            && first.is_some_and(|arg| arg.kind == Kind::Int);
        let called = Event {
            count,
            ..Event::new(What::Called, args, pickle)
        };
        self.meet(rows, &called);
        let counted = self.count_uses(call.arguments);
        match manner {
            Manner::Iterator(_) | Manner::Reduce => {
                let at = match manner {
                    Manner::Iterator(at) => usize::from(at),
                    _ => 0,
                };
                let applies = count > 1 && args.get(at).is_some_and(|&arg| self.is_function(arg));
                self.globals.list[callee.a as usize].applies_result |= applies;
            }
            Manner::Encode => self.facts.py3_bytes = true,
            Manner::Model => {
                let label = first.and_then(|label| view.elements(label));
                self.globals.followed.model(label, callee.a, at, pickle);
            }
            Manner::Partial => {
                self.facts.partial_of_result |= first.is_some_and(|first| self.is_result(first));
            }
            Manner::Item => {
                let of_class = first.is_some_and(|first| {
                    first.kind == Kind::Global || first.is_object() && !self.is_result(first)
                });
                self.facts.loose_item |= !of_class;
            }
            Manner::Type => self.facts.unseen_arguments |= count != 1,
            Manner::Ufunc => {
                let module = first.and_then(|module| module.string(pickle));
                let is_numpy = |module| {
                    ["numpy", "scipy"]
                        .iter()
                        .any(|top| is_in(module, top.as_bytes()))
                };
                self.facts.foreign_function |= !module.is_some_and(is_numpy);
            }
            Manner::Getattr => {
                let name = args
                    .get(1)
                    .filter(|name| matches!(name.kind, Kind::Text | Kind::Str));
                match (first, name) {
                    (Some(object), Some(name)) if object.kind == Kind::Global => {
                        self.globals.attributes.push((object.a, name.bytes()));
                        self.facts.attribute = Some((at, object.a));
                        self.globals.followed.attribute_of(object.a);
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
                        if let Some(name) = name
                            && let Some(object) = first.filter(|object| object.is_object())
                            && let Some(class) = self.globals.list.get(object.a as usize)
                        {
                            let name = std::slice::from_ref(name);
                            let method = Event::new(What::Method, name, pickle);
                            self.meet(class.known.rows, &method);
                        }
                    }
                }
            }
            Manner::Reconstructor => {
                if let (Some(class), base) = (first, args.get(1))
                    && class.kind == Kind::Global
                {
                    let base = base.filter(|base| base.kind == Kind::Global);
                    let base = base.map(|base| base.a);
                    self.globals.followed.remade(class.a, base, callee.a, at);
                }
                let base = args.get(1).and_then(|&base| self.base(base, counted));
                if let Some(class) = first.and_then(|arg| self.global_of(arg)) {
                    class.roles.reconstructed = true;
                    class.uses += counted;
                    let manner = base.map(|base| base.manner);
                    class.from_str |= manner == Some(Manner::Str);
                    class.from_text |= manner == Some(Manner::Unicode);
                    let class = class.known;
                    let of = args.get(2..3).unwrap_or(&[]);
                    self.meet(class.rows, &Event::new(What::Remade, of, pickle));
                    self.facts.reconstructed = Some((at, class));
                    if let Some(base) = base {
                        self.meet(base.rows, &Event::new(What::Base, of, pickle));
                    }
                }
            }
            _ => {}
        }
    }

    #[inline(never)]
    fn build(&mut self, _at: u32, object: Node, state: Node, view: &View<'_>) {
        self.changed(object);
        if object.is_object() && object.a != NO_GLOBAL {
            match self.subject(object) {
                Some(subject) => self.globals.followed.state(subject, state, view),
                None => self.globals.followed.state_of_nobody(),
            }
        }
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
                let rows = match class.known.manner {
                    Manner::Getattr
                    | Manner::Item
                    | Manner::Alias
                    | Manner::Reduce
                    | Manner::Type => {
                        self.facts.built_global = true;
                        return;
                    }
                    Manner::Partial => {
                        let function = view.elements(state).and_then(|(items, _)| items.first());
                        self.facts.partial_of_result |=
                            function.is_some_and(|&function| self.is_result(function));
                        return;
                    }
                    Manner::Reconstructor => match self.facts.reconstructed {
                        Some((at, class)) if at == object.b => class.rows,
                        _ => return,
                    },
                    _ => class.known.rows,
                };
                if rows.is_empty() {
                    return;
                }
                let (items, count) = view.elements(state).unwrap_or_default();
                let event = Event {
                    count,
                    whole: Some(state),
                    ..Event::new(What::State, items, view.pickle)
                };
                self.meet(rows, &event);
                match self.facts.attributes_in {
                    Some((dict, of)) if state.kind == Kind::Dict && dict == state.a => {
                        self.facts.met.add(rows.and(of));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    #[inline(never)]
    fn grown(&mut self, op: u8, object: Node) {
        self.changed(object);
        if let Some(subject) = self.subject(object) {
            self.globals.followed.grown(subject, op);
        }
    }

    fn dup(&mut self, _at: u32, node: Node) {
        // Which of the two is changed is not followed: no pickler writes it.
        self.facts.changed_again |= node.is_object();
    }

    #[inline]
    fn append(&mut self, list: Node, items: &[Node]) {
        if !self.facts.attribute_rows.is_empty()
            && items.iter().any(|item| item.kind == Kind::Tuple)
        {
            self.facts.tuples_in = Some(list.a);
        }
    }

    #[inline(never)]
    fn pairs(&mut self, dict: Node, pairs: &[Node], pickle: &[u8]) {
        // Only what comes after a class may be its state.
        if self.follows && dict.kind == Kind::Dict {
            self.globals.followed.dicts.pairs(dict, pairs);
        }
        if !self.facts.attribute_rows.is_empty() {
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
