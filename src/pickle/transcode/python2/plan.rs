//! The first pass: what an opcode by itself does not tell.

use super::super::names;
use super::super::ops::{next_but_frames, next_but_puts, op};
use super::super::{Edit, Environment, Obstacle, Obstacles, Refusal, empty};
use super::array;
use super::own::Own;
use crate::pickle::machine::Machine;
use crate::pickle::node::{Kind, Node, Span};
use crate::pickle::observer::{Call, Named, Observer, View};
#[allow(clippy::wildcard_imports)] // All of them, each in its place.
use crate::pickle::opcode::*;

/// No opcode, no memo entry, no slot.
pub(super) const NOWHERE: u32 = u32::MAX;

/// An edit that the second pass makes of an opcode, apart from what it does with each of
/// its kind.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    /// A string that only names a global.
    Name,
    /// A `STACK_GLOBAL` whose names do not stand right before it.
    Apart,
    /// Nothing is written.
    Drop,
    /// A class for which a MARK is to be written first.
    MarkFirst,
    /// A NEWOBJ that becomes OBJ.
    Obj,
    /// A call that becomes OBJ, of the class with this number.
    Instead(u32),
    /// The MARK of a frozenset.
    Frozen,
    /// The MARK of an `ADDITEMS` to a set that reaches itself, by the set's number.
    Members(u32),
    /// An `ADDITEMS`, by the number of its set.
    Add(u32),
    /// The bytes of a datetime or time, and which of them has the fold in its
    /// highest bit.
    Fold(usize),
    /// The bytes of an array, in this format.
    Array(array::Format, Span),
    /// A TUPLE of two.
    Pair,
}

/// A set that `EMPTY_SET` began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set {
    at: u32,
    /// The first PUT, if that follows directly.
    put: u32,
    /// The last `ADDITEMS`, or [`NOWHERE`].
    pub(super) last_add: u32,
    /// The memo gave it to someone, or took it elsewhere than at its beginning.
    seen: bool,
    /// Members reach it: it has to be there before them.
    pub(super) recursive: bool,
    /// The memo entry in the result.
    pub(super) slot: u32,
}

/// A global, by the order of the opcodes that name them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Global {
    pub(super) module: Span,
    pub(super) name: Span,
    pub(super) protocol: u8,
    role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Ordinary,
    Datetime,
    Time,
    ArrayReconstructor,
    /// Makes instances below protocol 2.
    Reconstructor,
    Classic,
}

/// Notes of the first pass for the second.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) edits: Vec<Edit<What>>,
    /// By PUT or MEMOIZE, in their order: how many GETs are to be written for it.
    pub(super) uses: Vec<u32>,
    /// By memo key: the PUT that holds.
    pub(super) memo: Vec<u32>,
    pub(super) sets: Vec<Set>,
    /// The MARKs of `ADDITEMS`, and the numbers of their sets.
    batches: Vec<(u32, u32)>,
    pub(super) globals: Vec<Global>,
    /// The [`Own`] that are needed.
    pub(super) own: u32,
}

pub(super) fn make(
    notes: &mut Notes,
    machine: &mut Machine,
    pickle: &[u8],
    environment: &dyn Environment,
) -> Result<(), Refusal> {
    empty(&mut notes.edits);
    empty(&mut notes.uses);
    empty(&mut notes.memo);
    empty(&mut notes.sets);
    empty(&mut notes.batches);
    empty(&mut notes.globals);
    notes.own = 0;
    let mut plan = Plan {
        notes,
        pickle,
        environment,
        obstacles: Obstacles::default(),
        tuple: array::Tuple::default(),
    };
    machine.walk(pickle, &mut plan)?;
    plan.obstacles.none()?;
    // Which sets reach themselves, only their last members tell.
    let Notes {
        edits,
        sets,
        batches,
        ..
    } = notes;
    let recursive = batches
        .iter()
        .filter(|(_, set)| sets[*set as usize].recursive);
    edits.extend(recursive.map(|&(at, set)| Edit {
        at,
        what: What::Members(set),
    }));
    Ok(())
}

/// Sets an entry that may lie beyond the others.
#[cold]
pub(super) fn set_entry(memo: &mut Vec<u32>, key: usize, entry: u32) {
    if key >= memo.len() {
        memo.resize(key + 1, NOWHERE);
    }
    memo[key] = entry;
}

pub(super) struct Plan<'p> {
    notes: &'p mut Notes,
    pickle: &'p [u8],
    environment: &'p dyn Environment,
    obstacles: Obstacles,
    /// The last TUPLE.
    tuple: array::Tuple,
}

impl Plan<'_> {
    fn edit(&mut self, at: u32, what: What) {
        self.notes.edits.push(Edit { at, what });
    }

    /// The set of a node.
    fn set(&mut self, node: Node) -> Option<(u32, &mut Set)> {
        if node.kind != Kind::Set {
            return None;
        }
        let sets = &mut self.notes.sets;
        let i = sets.binary_search_by_key(&node.a, |set| set.at).ok()?;
        Some((i as u32, &mut sets[i]))
    }

    /// The opcode at this offset will not be written: if it is a GET, that is one
    /// use less.
    fn unused(&mut self, at: u32) {
        let Some(op) = op(self.pickle, at as usize).filter(|op| op.is_get()) else {
            return;
        };
        let key = op.number(self.pickle) as usize;
        // Should the entry have been replaced since, the second pass meets a GET
        // of what it has left out, and refuses.
        if let Some(&put) = self.notes.memo.get(key)
            && let Some(uses) = self.notes.uses.get_mut(put as usize)
        {
            *uses = uses.saturating_sub(1);
        }
    }

    fn role(&self, named: Named) -> Role {
        let (module, name) = (named.module.of(self.pickle), named.name.of(self.pickle));
        match (module, name) {
            (b"datetime", b"datetime") => Role::Datetime,
            (b"datetime", b"time") => Role::Time,
            (b"array", b"_array_reconstructor") => Role::ArrayReconstructor,
            (b"copy_reg" | b"copyreg", b"_reconstructor") => Role::Reconstructor,
            _ => {
                let mapped = names::for_python2(module, name, named.protocol);
                // No package that is renamed has old-style classes.
                if mapped.package.is_empty()
                    && self.environment.is_classic(mapped.module, mapped.attribute)
                {
                    Role::Classic
                } else {
                    Role::Ordinary
                }
            }
        }
    }

    /// An instance of an old-style class, which NEWOBJ cannot make.
    fn classic(&mut self, op: u8, at: u32, callee: Node, count: u32, args: u32) {
        if op != NEWOBJ || count != 0 {
            self.obstacles.add(Obstacle::ClassicArguments, at);
            return;
        }
        let direct = self.pickle.get(args as usize) == Some(&EMPTY_TUPLE)
            && next_but_frames(self.pickle, args).is_some_and(|op| op.at == at as usize);
        if !direct {
            self.obstacles.add(Obstacle::Shape, at);
            return;
        }
        self.edit(callee.at, What::MarkFirst);
        self.edit(args, What::Drop);
        self.edit(at, What::Obj);
    }

    /// An instance of an old-style class that a function makes of the class, its base and
    /// a state of that: `object` and none, unless the class is one of a built-in type.
    fn reconstructed(&mut self, at: u32, args: Option<(&[Node], u32)>) {
        let Some((&[class, base, state, ..], count)) = args else {
            return;
        };
        let global = |node: Node| {
            let globals = &self.notes.globals;
            (node.kind == Kind::Global).then(|| globals[node.a as usize])
        };
        if global(class).is_none_or(|class| class.role != Role::Classic) {
            return;
        }
        let is_object = global(base).is_some_and(|base| base.name.of(self.pickle) == b"object");
        if count == 3 && is_object && state.kind == Kind::None {
            self.edit(at, What::Instead(class.a));
        } else {
            self.obstacles.add(Obstacle::ClassicArguments, at);
        }
    }

    /// Python 2 knows no fold, and Python 3 leaves it out for it.
    fn fold(&mut self, at: u32, bytes: Option<Node>, len: usize, byte: usize) {
        let Some(bytes) = bytes.filter(|bytes| bytes.kind == Kind::Bytes) else {
            return;
        };
        let state = bytes.bytes().of(self.pickle);
        if state.len() != len || state[byte] < 0x80 {
            return;
        }
        match self.pickle[bytes.at as usize] {
            SHORT_BINBYTES | BINBYTES | BINBYTES8 => self.edit(bytes.at, What::Fold(byte)),
            _ => self.obstacles.add(Obstacle::Shared, at),
        }
    }

    fn array(&mut self, call: &Call<'_>) {
        let (at, callee, tuple) = (call.at, call.callee, self.tuple);
        let follows = next_but_puts(self.pickle, tuple.at).is_some_and(|op| op.at == at as usize);
        let args = call.args.filter(|_| follows);
        let shape = args.map_or(Err(Obstacle::ArrayShape), |args| {
            array::shape(args, tuple, &call.view)
        });
        match shape {
            Ok(shape) => {
                self.unused(callee.at);
                self.edit(callee.at, What::Drop);
                self.edit(tuple.mark, What::Drop);
                self.edit(shape.code, What::Drop);
                // Bytes of length 0 and 1 are all the same object in Python 3.
                self.unused(shape.at);
                self.edit(shape.at, What::Array(shape.format, shape.items));
                self.edit(tuple.at, What::Pair);
            }
            Err(obstacle) => self.obstacles.add(obstacle, at),
        }
    }
}

impl Observer for Plan<'_> {
    fn global(&mut self, at: u32, named: Named, _pickle: &[u8]) -> u32 {
        if named.extension.is_some() {
            self.obstacles.add(Obstacle::ExtensionCode, at);
        }
        if named.protocol >= 4 && named.name.of(self.pickle).contains(&b'.') {
            self.notes.own |= Own::Getattr.bit();
        }
        let number = self.notes.globals.len() as u32;
        self.notes.globals.push(Global {
            module: named.module,
            name: named.name,
            protocol: named.protocol,
            role: self.role(named),
        });
        number
    }

    #[inline]
    fn string(&mut self, node: Node, _pickle: &[u8]) {
        if node.kind == Kind::ByteArray {
            self.notes.own |= Own::Bytearray.bit();
        }
    }

    #[inline]
    fn put(&mut self, at: u32, key: u32, node: Node) {
        let put = self.notes.uses.len() as u32;
        self.notes.uses.push(0);
        let key = key as usize;
        let memo = &mut self.notes.memo;
        if key == memo.len() {
            memo.push(put);
        } else {
            set_entry(memo, key, put);
        }
        if node.kind == Kind::Set {
            let pickle = self.pickle;
            if let Some((_, set)) = self.set(node) {
                let direct =
                    || next_but_frames(pickle, set.at).is_some_and(|op| op.at == at as usize);
                if set.put == NOWHERE && !set.seen && direct() {
                    set.put = put;
                } else {
                    set.seen = true;
                }
            }
        }
    }

    #[inline]
    fn get(&mut self, _at: u32, key: u32, node: Node, _pickle: &[u8]) {
        // The machine has met its PUT.
        let put = self.notes.memo[key as usize];
        self.notes.uses[put as usize] += 1;
        if let Some((_, set)) = self.set(node) {
            set.seen = true;
        }
    }

    fn empty_set(&mut self, at: u32) {
        self.notes.own |= Own::Set.bit();
        self.notes.sets.push(Set {
            at,
            put: NOWHERE,
            last_add: NOWHERE,
            seen: false,
            recursive: false,
            slot: NOWHERE,
        });
    }

    fn stack_global(&mut self, at: u32, module: Node, name: Node) {
        let follows = |node: Node, next: u32| {
            next_but_puts(self.pickle, node.at).is_some_and(|op| op.at == next as usize)
        };
        if follows(name, at) && follows(module, name.at) {
            for part in [module, name] {
                self.unused(part.at);
                self.edit(part.at, What::Name);
            }
        } else {
            self.edit(at, What::Apart);
        }
    }

    fn close(&mut self, op: u8, at: u32, mark: u32, below: Option<Node>) {
        match op {
            TUPLE => self.tuple = array::Tuple { at, mark },
            FROZENSET => {
                self.notes.own |= Own::Frozenset.bit();
                self.edit(mark, What::Frozen);
            }
            ADDITEMS => {
                let Some((number, set)) = below.and_then(|below| self.set(below)) else {
                    self.obstacles.add(Obstacle::Shape, at);
                    return;
                };
                set.last_add = at;
                set.recursive |= set.seen;
                let (recursive, put) = (set.recursive, set.put);
                if recursive {
                    self.notes.own |= Own::Getattr.bit() | Own::Update.bit();
                    match self.notes.uses.get_mut(put as usize) {
                        Some(uses) => *uses += 1,
                        None => self.obstacles.add(Obstacle::Shape, at),
                    }
                }
                self.notes.batches.push((mark, number));
                self.edit(at, What::Add(number));
            }
            _ => {}
        }
    }

    fn call(&mut self, call: &Call<'_>) {
        let &Call {
            op,
            at,
            callee,
            args,
            ..
        } = call;
        if op == NEWOBJ_EX {
            self.notes.own |= Own::NEWOBJ_EX;
        }
        if callee.kind != Kind::Global {
            return;
        }
        match self.notes.globals[callee.a as usize].role {
            Role::Datetime => self.fold(at, call.first(), 10, 2),
            Role::Time => self.fold(at, call.first(), 6, 0),
            Role::ArrayReconstructor => self.array(call),
            Role::Reconstructor if op == REDUCE => self.reconstructed(at, args),
            Role::Classic if matches!(op, NEWOBJ | NEWOBJ_EX) => {
                let count = args.map_or(NOWHERE, |(_, count)| count);
                // An EMPTY_TUPLE right before NEWOBJ; where that byte belongs to
                // another opcode, the second pass notices.
                self.classic(op, at, callee, count, at.saturating_sub(1));
            }
            Role::Ordinary | Role::Reconstructor | Role::Classic => {}
        }
    }

    fn build(&mut self, at: u32, object: Node, _state: Node, _view: &View<'_>) {
        if object.kind == Kind::Set {
            self.obstacles.add(Obstacle::Shape, at);
        }
    }

    fn protocol(&mut self, at: u32, _protocol: u8) {
        if at != 0 {
            self.obstacles.add(Obstacle::SecondProtocol, at);
        }
    }

    fn persistent_id(&mut self, at: u32) {
        self.obstacles.add(Obstacle::PersistentId, at);
    }

    fn buffer(&mut self, at: u32) {
        self.obstacles.add(Obstacle::OutOfBandBuffer, at);
    }

    fn dup(&mut self, at: u32, _node: Node) {
        self.obstacles.add(Obstacle::Shape, at);
    }
}
