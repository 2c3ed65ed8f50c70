//! The abstract pickle machine: walks the opcodes of one pickle with a stack and
//! a memo of *kinds* of values, as a Python unpickler would with values, in one
//! pass without recursion. Executes nothing. What it meets it tells an
//! [`Observer`]; the scan and the transcoder are observers.
//!
//! The rules are those of `CPython`'s C unpickler (`Modules/_pickle.c`), stricter
//! where no pickler ever writes what it would let pass. Frames are not trusted:
//! only that a frame does not reach beyond the pickle counts. Memory is at most
//! a small multiple of the pickle's own size, whatever its bytes declare.

use super::flaw::{Broken, Flaw};
use super::node::{Kind, NO_GLOBAL, Node, Span, int};
use super::observer::{Call, KEPT_ITEMS, Named, Observer, View};
#[allow(clippy::wildcard_imports)] // All of them, each in its arm.
use super::opcode::*;
use super::operands::{Operands, is_float, is_python_text, is_raw_text, memo_key, quoted};
use super::pause::{Pause, WHOLE_BYTES};

/// Longest pickle that is looked at, in bytes: positions are 32 bits.
const MAX_PICKLE_BYTES: usize = u32::MAX as usize;

/// The most values that a walk remembers at once: 64 MiB of them. Picklers put a thousand
/// items at a time into a container; only tuples and memos grow beyond.
const MAX_NODES: u32 = 4 << 20;

/// The most globals that a pickle may name.
const MAX_NAMES: u32 = 64 << 10;

/// Capacity (in elements) that a machine keeps for the next pickle, however short.
const KEPT_CAPACITY: usize = 64 * 1024;

/// A MARK on the stack.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// Count of the values below it.
    below: u32,
    /// Offset of the opcode.
    at: u32,
}

/// The result of a whole walk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walked {
    /// Length of the pickle with its STOP, in bytes.
    pub(super) len: usize,
    /// Bit k: some opcode came with protocol k.
    pub(super) protocols: u8,
    /// The value that it holds.
    pub(super) value: Node,
}

/// Progress of a walk.
enum Walk {
    /// To its pause, past opcodes of these protocols.
    Paused {
        protocols: u8,
    },
    Ended(Walked),
}

/// The machine's memory, reused from pickle to pickle.
#[derive(Debug, Default)]
pub(super) struct Machine {
    stack: Vec<Node>,
    marks: Vec<Mark>,
    memo: Vec<Node>,
    /// Count of memo entries that were never put.
    vacant: u32,
    items: Vec<Node>,
    /// Stack height that must not be popped below: where the last MARK is.
    fence: usize,
    /// The protocol of the last PROTO.
    protocol: u8,
    /// Offset of the opcode that is looked at.
    at: usize,
    pause: Pause,
}

impl Machine {
    /// A machine whose walks pause.
    pub(super) fn pausing(pause: Pause) -> Self {
        Self {
            pause,
            ..Self::default()
        }
    }

    /// The pause that its walks make.
    pub(super) fn pause(&self) -> Pause {
        self.pause
    }

    /// Walks the pickle at the start of `pickle` up to its STOP.
    ///
    /// # Errors
    /// Says what is wrong where an unpickler would raise.
    pub(super) fn walk(
        &mut self,
        pickle: &[u8],
        observer: &mut impl Observer,
    ) -> Result<Walked, Broken> {
        self.reset(pickle.len());
        if pickle.len() > MAX_PICKLE_BYTES {
            let flaw = Flaw::TooLarge;
            return Err(Broken { flaw, at: 0 });
        }
        self.run(pickle, observer).map_err(|flaw| Broken {
            flaw,
            at: self.at as u32,
        })
    }

    /// Memory that it holds, in bytes.
    pub(super) fn held_bytes(&self) -> usize {
        let nodes = self.stack.capacity() + self.memo.capacity() + self.items.capacity();
        nodes * size_of::<Node>() + self.marks.capacity() * size_of::<Mark>()
    }

    /// Starts again, for a pickle of this length: an element takes a byte of it at
    /// least, so what is more is not needed.
    fn reset(&mut self, bytes: usize) {
        fn empty<T>(list: &mut Vec<T>, capacity: usize) {
            list.clear();
            list.shrink_to(capacity);
        }
        let capacity = KEPT_CAPACITY.max(bytes);
        empty(&mut self.stack, capacity);
        empty(&mut self.marks, capacity);
        empty(&mut self.memo, capacity);
        empty(&mut self.items, capacity);
        self.vacant = 0;
        self.protocol = 0;
        self.at = 0;
        self.fence = 0;
    }

    #[inline]
    fn pop(&mut self) -> Result<Node, Flaw> {
        if self.stack.len() <= self.fence {
            return Err(Flaw::Underflow);
        }
        self.stack.pop().ok_or(Flaw::Underflow)
    }

    /// The value on top.
    #[inline]
    fn top(&self) -> Result<Node, Flaw> {
        let height = self.stack.len();
        if height <= self.fence {
            return Err(Flaw::Underflow);
        }
        Ok(self.stack[height - 1])
    }

    /// Removes the last MARK: gives where it stood and its offset.
    #[inline]
    fn pop_mark(&mut self) -> Result<(usize, u32), Flaw> {
        let mark = self.marks.pop().ok_or(Flaw::NoMark)?;
        self.fence = self.marks.last().map_or(0, |mark| mark.below as usize);
        Ok((mark.below as usize, mark.at))
    }

    /// A tuple of what lies on the stack from `from` on.
    fn tuple(&mut self, from: usize, at: u32) -> Node {
        let elements = &self.stack[from..];
        let node = Node {
            kind: Kind::Tuple,
            at,
            a: self.items.len() as u32,
            b: elements.len() as u32,
        };
        // Copies of a known size need no call.
        match *elements {
            [] => {}
            [a] => self.items.push(a),
            [a, b] => self.items.extend_from_slice(&[a, b]),
            [a, b, c] => self.items.extend_from_slice(&[a, b, c]),
            _ => {
                let kept = elements.len().min(KEPT_ITEMS);
                self.items.extend_from_slice(&elements[..kept]);
            }
        }
        self.stack.truncate(from);
        node
    }

    #[inline]
    fn put<O: Observer>(&mut self, observer: &mut O, at: usize, key: u32) -> Result<(), Flaw> {
        let node = self.top()?;
        let index = key as usize;
        if index == self.memo.len() {
            // Not beyond `at`: every entry, vacant or not, has had an opcode's byte.
            self.memo.push(node);
        } else {
            self.put_out_of_order(index, node, at)?;
        }
        observer.put(at as u32, key, node);
        Ok(())
    }

    #[cold]
    fn put_out_of_order(&mut self, index: usize, node: Node, at: usize) -> Result<(), Flaw> {
        if index >= self.memo.len() {
            // A pickler numbers what it memoises: an index beyond the count of
            // bytes only serves to make an unpickler allocate.
            if index > at {
                return Err(Flaw::MemoIndex(index as u32));
            }
            if index >= MAX_NODES as usize {
                return Err(Flaw::TooMany(MAX_NODES));
            }
            self.vacant += (index + 1 - self.memo.len()) as u32;
            self.memo.resize(index + 1, Node::plain(Kind::Vacant, 0));
        }
        let entry = &mut self.memo[index];
        self.vacant -= u32::from(entry.kind == Kind::Vacant);
        *entry = node;
        Ok(())
    }

    #[inline]
    fn get<O: Observer>(
        &mut self,
        observer: &mut O,
        pickle: &[u8],
        at: usize,
        key: u32,
    ) -> Result<(), Flaw> {
        let node = match self.memo.get(key as usize) {
            Some(node) if node.kind != Kind::Vacant => *node,
            _ => return Err(Flaw::MemoMissing(key)),
        };
        if node.kind == Kind::Global {
            observer.pushed(node.a);
        }
        observer.get(at as u32, key, node, pickle);
        self.stack.push(Node {
            at: at as u32,
            ..node
        });
        Ok(())
    }

    /// Something is added to the container on top: by the opcode that is for it,
    /// if it is built in, and not to an atom.
    #[inline]
    fn container<O: Observer>(&self, observer: &mut O, op: u8) -> Result<Node, Flaw> {
        let container = self.top()?;
        let fits = match container.kind {
            Kind::Object | Kind::Stated => {
                observer.grown(op, container);
                true
            }
            Kind::List => matches!(op, APPEND | APPENDS),
            Kind::Dict => matches!(op, SETITEM | SETITEMS),
            Kind::Set => op == ADDITEMS,
            _ => !container.is_atom(),
        };
        fits.then_some(container).ok_or(Flaw::Operand)
    }

    /// Calls `callee` and leaves what it gives.
    fn call<O: Observer>(
        &mut self,
        observer: &mut O,
        pickle: &[u8],
        (op, at): (u8, usize),
        callee: Node,
        args: Option<Node>,
    ) -> Result<(), Flaw> {
        if callee.is_atom() {
            return Err(Flaw::Operand);
        }
        let view = View {
            pickle,
            items: &self.items,
        };
        let arguments = args.map_or(0, |args| args.a);
        let args = match args {
            None => None,
            Some(args) => match view.elements(args) {
                // Only what a call gave might still be a tuple.
                None if !args.is_object() && args.kind != Kind::Unknown => {
                    return Err(Flaw::Operand);
                }
                elements => elements,
            },
        };
        observer.call(&Call {
            op,
            at: at as u32,
            callee,
            args,
            arguments,
            view,
        });
        self.stack.push(Node {
            kind: Kind::Object,
            at: callee.at,
            a: if callee.kind == Kind::Global {
                callee.a
            } else {
                NO_GLOBAL
            },
            b: at as u32,
        });
        Ok(())
    }

    /// Ends a walk that takes too much memory.
    #[cold]
    fn check_size<O: Observer>(&self, observer: &O) -> Result<(), Flaw> {
        let nodes = self.stack.len() + self.memo.len() + self.items.len();
        if nodes > MAX_NODES as usize {
            return Err(Flaw::TooMany(MAX_NODES));
        }
        if observer.names() > MAX_NAMES as usize {
            return Err(Flaw::TooManyNames(MAX_NAMES));
        }
        Ok(())
    }

    fn run<O: Observer>(&mut self, pickle: &[u8], observer: &mut O) -> Result<Walked, Flaw> {
        let mut walk = Walk::Paused { protocols: 0 };
        loop {
            let until = self.pause.piece(pickle, self.at).len();
            walk = match walk {
                Walk::Ended(walked) => return Ok(walked),
                Walk::Paused { .. } if self.at >= pickle.len() => return Err(Flaw::NoStop),
                Walk::Paused { protocols } => self.run_until(until, pickle, observer, protocols)?,
            };
            if pickle.len() > WHOLE_BYTES {
                self.check_size(observer)?;
            }
        }
    }

    /// Goes on with the opcodes that begin before `until`. `protocols` are those of the
    /// opcodes before.
    fn run_until<O: Observer>(
        &mut self,
        until: usize,
        pickle: &[u8],
        observer: &mut O,
        mut protocols: u8,
    ) -> Result<Walk, Flaw> {
        let piece = &pickle[..until];
        loop {
            let here = self.at;
            let Some(&op) = piece.get(here) else {
                return Ok(Walk::Paused { protocols });
            };
            protocols |= SINCE[usize::from(op)];
            let mut args = Operands {
                pickle,
                at: here + 1,
            };
            match op {
                BININT1 => {
                    let value = args.fixed::<1>()?[0];
                    self.stack.push(int(here, i32::from(value)));
                }
                BININT2 => {
                    let value = u16::from_le_bytes(args.fixed()?);
                    self.stack.push(int(here, i32::from(value)));
                }
                BININT => {
                    let value = i32::from_le_bytes(args.fixed()?);
                    self.stack.push(int(here, value));
                }
                BINFLOAT => {
                    args.fixed::<8>()?;
                    self.stack.push(Node::plain(Kind::Float, here));
                }
                NONE => self.stack.push(Node::plain(Kind::None, here)),
                NEWTRUE | NEWFALSE => self.stack.push(Node::plain(Kind::Bool, here)),
                SHORT_BINUNICODE => {
                    let len = args.fixed::<1>()?[0];
                    let text = args.bytes(u64::from(len))?;
                    self.text(observer, pickle, here, text)?;
                }
                BINUNICODE => {
                    let len = u32::from_le_bytes(args.fixed()?);
                    let text = args.bytes(u64::from(len))?;
                    self.text(observer, pickle, here, text)?;
                }
                SHORT_BINSTRING => {
                    let len = args.fixed::<1>()?[0];
                    let bytes = args.bytes(u64::from(len))?;
                    self.string(observer, pickle, Node::span(Kind::Str, here, bytes));
                }
                SHORT_BINBYTES => {
                    let len = args.fixed::<1>()?[0];
                    let bytes = args.bytes(u64::from(len))?;
                    self.string(observer, pickle, Node::span(Kind::Bytes, here, bytes));
                }
                MARK => {
                    self.fence = self.stack.len();
                    self.marks.push(Mark {
                        below: self.fence as u32,
                        at: here as u32,
                    });
                }
                EMPTY_LIST => self.stack.push(Node::made(Kind::List, here)),
                EMPTY_DICT => self.stack.push(Node::made(Kind::Dict, here)),
                EMPTY_TUPLE => {
                    let from = self.stack.len();
                    let node = self.tuple(from, here as u32);
                    self.stack.push(node);
                }
                TUPLE1 | TUPLE2 | TUPLE3 => {
                    let count = usize::from(op - TUPLE1 + 1);
                    let height = self.stack.len();
                    if height < self.fence + count {
                        return Err(Flaw::Underflow);
                    }
                    let from = height - count;
                    let begins = self.stack[from].at;
                    let node = self.tuple(from, begins);
                    self.stack.push(node);
                }
                TUPLE => {
                    let (from, mark) = self.pop_mark()?;
                    observer.close(op, here as u32, mark, None);
                    let node = self.tuple(from, mark);
                    self.stack.push(node);
                }
                APPEND => {
                    let item = self.pop()?;
                    let list = self.container(observer, op)?;
                    observer.append(list, &[item]);
                }
                SETITEM => {
                    let value = self.pop()?;
                    let key = self.pop()?;
                    if key.unhashable() {
                        return Err(Flaw::Unhashable);
                    }
                    let dict = self.container(observer, op)?;
                    observer.pairs(dict, &[key, value], pickle);
                }
                APPENDS | SETITEMS | ADDITEMS => {
                    let (from, mark) = self.pop_mark()?;
                    if op == SETITEMS {
                        check_pairs(&self.stack[from..])?;
                        if let Some(below) = from.checked_sub(1) {
                            observer.pairs(self.stack[below], &self.stack[from..], pickle);
                        }
                    } else if op == ADDITEMS {
                        check_members(&self.stack[from..])?;
                    } else if let Some(below) = from.checked_sub(1) {
                        observer.append(self.stack[below], &self.stack[from..]);
                    }
                    self.stack.truncate(from);
                    let container = self.container(observer, op)?;
                    observer.close(op, here as u32, mark, Some(container));
                }
                BINGET => {
                    let key = args.fixed::<1>()?[0];
                    self.get(observer, pickle, here, u32::from(key))?;
                }
                LONG_BINGET => {
                    let key = u32::from_le_bytes(args.fixed()?);
                    self.get(observer, pickle, here, key)?;
                }
                MEMOIZE => {
                    let key = self.memo.len() as u32 - self.vacant;
                    self.put(observer, here, key)?;
                }
                BINPUT => {
                    let key = args.fixed::<1>()?[0];
                    self.put(observer, here, u32::from(key))?;
                }
                LONG_BINPUT => {
                    let key = u32::from_le_bytes(args.fixed()?);
                    self.put(observer, here, key)?;
                }
                GLOBAL | INST => {
                    let named = Named {
                        module: args.line()?,
                        name: args.line()?,
                        extension: None,
                        protocol: self.protocol,
                    };
                    if std::str::from_utf8(named.module.of(pickle)).is_err()
                        || std::str::from_utf8(named.name.of(pickle)).is_err()
                    {
                        return Err(Flaw::Utf8);
                    }
                    let global = global(observer, pickle, here, named);
                    if op == INST {
                        let (from, mark) = self.pop_mark()?;
                        observer.close(op, here as u32, mark, None);
                        let args = self.tuple(from, mark);
                        let callee = Node { at: mark, ..global };
                        self.call(observer, pickle, (op, here), callee, Some(args))?;
                    } else {
                        self.stack.push(global);
                    }
                }
                STACK_GLOBAL => {
                    let name = self.pop()?;
                    let module = self.pop()?;
                    // Python 3 makes text of Python 2's strings first.
                    let plain = |node: Node| matches!(node.kind, Kind::Text | Kind::Str);
                    if !plain(name) || !plain(module) {
                        return Err(Flaw::Operand);
                    }
                    let named = Named {
                        module: module.bytes(),
                        name: name.bytes(),
                        extension: None,
                        protocol: self.protocol,
                    };
                    observer.stack_global(here as u32, module, name);
                    let global = global(observer, pickle, here, named);
                    self.stack.push(global);
                }
                REDUCE | NEWOBJ => {
                    let args = self.pop()?;
                    let callee = self.pop()?;
                    self.call(observer, pickle, (op, here), callee, Some(args))?;
                }
                BUILD => {
                    let state = self.pop()?;
                    let object = self.top()?;
                    if object.is_atom() {
                        return Err(Flaw::Operand);
                    }
                    let view = View {
                        pickle,
                        items: &self.items,
                    };
                    observer.build(here as u32, object, state, &view);
                    if object.kind == Kind::Object
                        && let Some(top) = self.stack.last_mut()
                    {
                        top.kind = Kind::Stated;
                    }
                }
                STOP => {
                    let value = self.top()?;
                    let len = args.at;
                    return Ok(Walk::Ended(Walked {
                        len,
                        protocols,
                        value,
                    }));
                }
                _ => args.at = self.rarer(observer, op, args)?,
            }
            self.at = args.at;
        }
    }

    /// The rarer opcodes, out of the way of the loop above, which is the faster for it.
    /// Gives the offset of the next opcode.
    fn rarer<O: Observer>(
        &mut self,
        observer: &mut O,
        op: u8,
        mut args: Operands<'_>,
    ) -> Result<usize, Flaw> {
        let Operands { pickle, at } = args;
        let here = at - 1;
        match op {
            LONG1 => {
                let len = args.fixed::<1>()?[0];
                let bytes = args.bytes(u64::from(len))?;
                self.long(observer, here, bytes.of(pickle));
            }
            LONG4 => {
                let len = args.signed_len()?;
                let bytes = args.bytes(len)?;
                self.long(observer, here, bytes.of(pickle));
            }
            INT => {
                let text = args.line()?.of(pickle);
                match text {
                    b"00" | b"01" => self.stack.push(Node::plain(Kind::Bool, here)),
                    _ => {
                        let value = decimal(observer, here, text)?;
                        self.stack.push(value);
                    }
                }
            }
            LONG => {
                let text = args.line()?.of(pickle);
                let text = text.strip_suffix(b"L").unwrap_or(text);
                let value = decimal(observer, here, text)?;
                self.stack.push(value);
            }
            FLOAT => {
                let text = args.line()?.of(pickle);
                if !is_float(text) {
                    return Err(Flaw::Number);
                }
                self.stack.push(Node::plain(Kind::Float, here));
            }
            BINUNICODE8 => {
                let len = u64::from_le_bytes(args.fixed()?);
                let text = args.bytes(len)?;
                self.text(observer, pickle, here, text)?;
            }
            UNICODE => {
                let text = args.line()?;
                let kind = if is_raw_text(text.of(pickle))? {
                    Kind::Text
                } else {
                    Kind::Escaped
                };
                self.string(observer, pickle, Node::span(kind, here, text));
            }
            BINSTRING => {
                let len = args.signed_len()?;
                let bytes = args.bytes(len)?;
                self.string(observer, pickle, Node::span(Kind::Str, here, bytes));
            }
            STRING => {
                let line = args.line()?;
                let literal = quoted(line, pickle)?;
                let kind = if literal.of(pickle).contains(&b'\\') {
                    Kind::Escaped
                } else {
                    Kind::Str
                };
                self.string(observer, pickle, Node::span(kind, here, literal));
            }
            BINBYTES => {
                let len = u32::from_le_bytes(args.fixed()?);
                let bytes = args.bytes(u64::from(len))?;
                self.string(observer, pickle, Node::span(Kind::Bytes, here, bytes));
            }
            BINBYTES8 => {
                let len = u64::from_le_bytes(args.fixed()?);
                let bytes = args.bytes(len)?;
                self.string(observer, pickle, Node::span(Kind::Bytes, here, bytes));
            }
            BYTEARRAY8 => {
                let len = u64::from_le_bytes(args.fixed()?);
                let bytes = args.bytes(len)?;
                self.string(observer, pickle, Node::span(Kind::ByteArray, here, bytes));
            }
            EMPTY_SET => {
                observer.empty_set(here as u32);
                self.stack.push(Node::made(Kind::Set, here));
            }
            LIST | DICT | FROZENSET => {
                let (from, mark) = self.pop_mark()?;
                let kind = match op {
                    LIST => Kind::List,
                    DICT => {
                        check_pairs(&self.stack[from..])?;
                        Kind::Dict
                    }
                    _ => {
                        check_members(&self.stack[from..])?;
                        Kind::FrozenSet
                    }
                };
                observer.close(op, here as u32, mark, None);
                let made = Node::made(kind, mark as usize);
                if kind == Kind::Dict {
                    observer.pairs(made, &self.stack[from..], pickle);
                }
                self.stack.truncate(from);
                self.stack.push(made);
            }
            POP => {
                // As CPython has it: a MARK on top goes, else the value.
                if self.stack.len() == self.fence && !self.marks.is_empty() {
                    let (_, mark) = self.pop_mark()?;
                    observer.close(op, here as u32, mark, None);
                } else {
                    let node = self.pop()?;
                    if node.kind == Kind::Global {
                        observer.dropped(node.a);
                    }
                }
            }
            POP_MARK => {
                let (from, mark) = self.pop_mark()?;
                observer.close(op, here as u32, mark, None);
                self.stack.truncate(from);
            }
            DUP => {
                let node = self.top()?;
                if node.kind == Kind::Global {
                    observer.pushed(node.a);
                }
                observer.dup(here as u32, node);
                self.stack.push(node);
            }
            GET => {
                let key = memo_key(args.line()?.of(pickle))?;
                self.get(observer, pickle, here, key)?;
            }
            PUT => {
                let key = memo_key(args.line()?.of(pickle))?;
                self.put(observer, here, key)?;
            }
            EXT1 | EXT2 | EXT4 => {
                let code = match op {
                    EXT1 => u32::from(args.fixed::<1>()?[0]),
                    EXT2 => u32::from(u16::from_le_bytes(args.fixed()?)),
                    _ => u32::from_le_bytes(args.fixed()?),
                };
                // Codes are 1 to 2^31 - 1.
                if code == 0 || code > i32::MAX.cast_unsigned() {
                    return Err(Flaw::Operand);
                }
                let named = Named {
                    module: Span::default(),
                    name: Span::default(),
                    extension: Some(code),
                    protocol: self.protocol,
                };
                let global = global(observer, pickle, here, named);
                self.stack.push(global);
            }
            NEWOBJ_EX => {
                let keywords = self.pop()?;
                if keywords.is_atom() {
                    return Err(Flaw::Operand);
                }
                let args = self.pop()?;
                let callee = self.pop()?;
                self.call(observer, pickle, (op, here), callee, Some(args))?;
            }
            OBJ => {
                let (from, mark) = self.pop_mark()?;
                observer.close(op, here as u32, mark, None);
                let callee = *self.stack.get(from).ok_or(Flaw::Underflow)?;
                let args = self.tuple(from + 1, mark);
                self.stack.truncate(from);
                self.call(observer, pickle, (op, here), callee, Some(args))?;
            }
            PERSID => {
                args.line()?;
                observer.persistent_id(here as u32);
                self.stack.push(Node::plain(Kind::Unknown, here));
            }
            BINPERSID => {
                self.pop()?;
                observer.persistent_id(here as u32);
                self.stack.push(Node::plain(Kind::Unknown, here));
            }
            NEXT_BUFFER => {
                observer.buffer(here as u32);
                self.stack.push(Node::plain(Kind::Unknown, here));
            }
            READONLY_BUFFER => {
                self.top()?;
                observer.buffer(here as u32);
            }
            PROTO => {
                let protocol = args.fixed::<1>()?[0];
                if protocol > HIGHEST_PROTOCOL {
                    return Err(Flaw::Protocol(protocol));
                }
                self.protocol = protocol;
                observer.protocol(here as u32, protocol);
            }
            FRAME => {
                let len = u64::from_le_bytes(args.fixed()?);
                if len > (pickle.len() - args.at) as u64 {
                    return Err(Flaw::Length);
                }
            }
            _ => return Err(Flaw::NoOpcode(op)),
        }
        Ok(args.at)
    }

    fn long<O: Observer>(&mut self, observer: &mut O, at: usize, bytes: &[u8]) {
        let node = if bytes.len() <= 4 {
            let mut wide = match bytes.last() {
                Some(top) if *top >= 0x80 => [0xff; 4],
                _ => [0; 4],
            };
            wide[..bytes.len()].copy_from_slice(bytes);
            int(at, i32::from_le_bytes(wide))
        } else {
            Node::plain(Kind::Int, at)
        };
        observer.long(node.b == 1);
        self.stack.push(node);
    }

    #[inline]
    fn text<O: Observer>(
        &mut self,
        observer: &mut O,
        pickle: &[u8],
        at: usize,
        text: Span,
    ) -> Result<(), Flaw> {
        if !is_python_text(text.of(pickle)) {
            return Err(Flaw::Utf8);
        }
        self.string(observer, pickle, Node::span(Kind::Text, at, text));
        Ok(())
    }

    #[inline]
    fn string<O: Observer>(&mut self, observer: &mut O, pickle: &[u8], node: Node) {
        observer.string(node, pickle);
        self.stack.push(node);
    }
}

/// Keys and values by turns, every key hashable.
fn check_pairs(items: &[Node]) -> Result<(), Flaw> {
    if !items.len().is_multiple_of(2) {
        return Err(Flaw::OddItems);
    }
    if items.iter().step_by(2).any(|key| key.unhashable()) {
        return Err(Flaw::Unhashable);
    }
    Ok(())
}

fn check_members(items: &[Node]) -> Result<(), Flaw> {
    if items.iter().any(|member| member.unhashable()) {
        return Err(Flaw::Unhashable);
    }
    Ok(())
}

fn global<O: Observer>(observer: &mut O, pickle: &[u8], at: usize, named: Named) -> Node {
    let number = observer.global(at as u32, named, pickle);
    observer.pushed(number);
    Node {
        kind: Kind::Global,
        at: at as u32,
        a: number,
        b: 0,
    }
}

/// The decimal integer of an INT or LONG.
fn decimal<O: Observer>(observer: &mut O, at: usize, text: &[u8]) -> Result<Node, Flaw> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Flaw::Number);
    }
    observer.decimal(at as u32, digits.len() as u32);
    let value = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<i32>().ok());
    Ok(value.map_or(Node::plain(Kind::Int, at), |value| int(at, value)))
}
