//! The second pass: opcode by opcode, with the notes of the first beside them.

use super::super::names::{self, Name};
use super::super::ops::{Op, op};
use super::super::output::{Output, push_global, push_len, push_memo, push_text};
use super::super::protocol::truncated;
use super::super::{Edits, Obstacle, Refusal, refuse};
use super::own::Own;
use super::plan::{Global, NOWHERE, Set, What, set_entry};
#[allow(clippy::wildcard_imports)] // All of them, each in its place.
use crate::pickle::opcode::*;

const PUTS: (u8, u8) = (BINPUT, LONG_BINPUT);
const GETS: (u8, u8) = (BINGET, LONG_BINGET);

/// The output for the last opcode, as far as it matters to a PUT after it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Last {
    /// The same value as in the pickle.
    Other,
    /// Nothing, or something else than this string.
    Instead(Op),
    /// Nothing, or something else, and what the pickle has is not for Python 2.
    Changed,
    /// The beginning of a set, by number.
    Set(u32),
}

pub(super) struct Writer<'w> {
    pub(super) pickle: &'w [u8],
    pub(super) edits: Edits<'w, What>,
    /// By PUT: how many GETs are to be written for it.
    pub(super) uses: &'w [u32],
    pub(super) sets: &'w mut [Set],
    pub(super) globals: std::slice::Iter<'w, Global>,
    /// All of them, by number.
    pub(super) classes: &'w [Global],
    /// By the pickle's memo key: the entry of the result, or [`DROPPED`].
    pub(super) slots: &'w mut Vec<u32>,
    /// Count of the entries of the memo.
    pub(super) memo_len: u32,
    /// PUTs so far.
    pub(super) puts: usize,
    pub(super) next_set: u32,
    pub(super) next_slot: u32,
    /// The [`Own`] that are needed.
    pub(super) own: u32,
    pub(super) last: Last,
    pub(super) output: Output<'w>,
}

/// A slot of an entry that the pickle puts and the result does not.
const DROPPED: u32 = NOWHERE - 1;

impl Writer<'_> {
    pub(super) fn run(mut self) -> Result<(), Refusal> {
        let mut at = 0;
        self.begin();
        loop {
            let Some(op) = op(self.pickle, at) else {
                return Err(truncated(at));
            };
            match self.edits.at(at)? {
                Some(what) => self.edited(op, what)?,
                None if op.code == STOP => {
                    self.output.cut(op.end, op.end);
                    return Ok(());
                }
                None => self.usual(op)?,
            }
            at = self.output.next(op)?;
        }
    }

    fn begin(&mut self) {
        let out = self.output.cut(0, 0);
        out.extend_from_slice(&[PROTO, 2]);
        for own in Own::ALL {
            if self.own & own.bit() != 0 {
                own.push(out);
                push_memo(out, PUTS, self.next_slot);
                out.push(POP);
                self.next_slot += 1;
            }
        }
    }

    /// An opcode that is written as each of its kind. A step of the loop, and of
    /// nothing else: as a call it takes a third longer.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn usual(&mut self, op: Op) -> Result<(), Refusal> {
        match op.code {
            MEMOIZE | BINPUT | LONG_BINPUT | PUT => return self.put(op),
            SHORT_BINUNICODE | BINUNICODE | BINUNICODE8 => self.text(op)?,
            BINGET | LONG_BINGET | GET => self.get(op)?,
            SHORT_BINBYTES | BINBYTES | BINBYTES8 => self.bytes(op)?,
            GLOBAL | STACK_GLOBAL | INST => self.global(op)?,
            FRAME => {
                self.output.cut(op.at, op.end);
                return Ok(());
            }
            // The header is written.
            PROTO => drop(self.output.cut(op.at, op.end)),
            EMPTY_SET => {
                self.last = Last::Set(self.next_set);
                self.begin_set(op);
                return Ok(());
            }
            BYTEARRAY8 => self.bytearray(op)?,
            FROZENSET => {
                let out = self.output.cut(op.at, op.end);
                out.extend_from_slice(&[APPENDS, TUPLE1, REDUCE]);
            }
            NEWOBJ_EX => self.newobj_ex(op),
            _ => {}
        }
        self.last = Last::Other;
        Ok(())
    }

    #[inline(never)]
    fn edited(&mut self, op: Op, what: What) -> Result<(), Refusal> {
        self.last = Last::Other;
        match what {
            What::Name => {
                self.output.cut(op.at, op.end);
                self.last = Last::Instead(op);
            }
            What::Apart => {
                self.output.cut(op.at, op.at).extend_from_slice(&[POP, POP]);
                self.global(op)?;
            }
            What::Drop => {
                if matches!(op.code, GLOBAL | STACK_GLOBAL | INST) {
                    self.globals.next();
                }
                self.output.cut(op.at, op.end);
                self.last = Last::Changed;
            }
            What::MarkFirst => {
                self.output.cut(op.at, op.at).push(MARK);
                if op.is_get() {
                    self.get(op)?;
                } else {
                    self.global(op)?;
                }
            }
            What::Obj => self.output.cut(op.at, op.end).push(OBJ),
            What::Instead(class) => self.instead(op, class)?,
            What::Frozen => {
                self.output.cut(op.at, op.end);
                self.own(Own::Frozenset);
                self.output.more().extend_from_slice(&[EMPTY_LIST, MARK]);
            }
            What::Members(set) => self.members(op, set),
            What::Add(set) => self.add(op, set),
            What::Fold(byte) => {
                self.bytes(op)?;
                let at = op.data + byte;
                let state = self.pickle[at] & 0x7f;
                self.output.cut(at, at + 1).push(state);
                // The rest is still to be copied.
                self.output.cut(op.end, op.end);
                self.last = Last::Instead(op);
            }
            What::Array(format, items) => {
                let out = self.output.cut(op.at, op.end);
                format.push_list(out, items.of(self.pickle));
                self.last = Last::Instead(op);
            }
            What::Pair => {
                self.output.cut(op.at, op.end).push(TUPLE2);
                self.last = Last::Changed;
            }
        }
        Ok(())
    }

    // The memo ------------------------------------------------------------

    #[inline]
    fn put(&mut self, op: Op) -> Result<(), Refusal> {
        let key = if op.code == MEMOIZE {
            self.memo_len
        } else {
            op.number(self.pickle)
        };
        let used = self.uses.get(self.puts).is_some_and(|&uses| uses > 0);
        self.puts += 1;
        let slot = if used { self.next_slot } else { DROPPED };
        let key = key as usize;
        if key == self.slots.len() {
            self.memo_len += 1;
            self.slots.push(slot);
        } else {
            let is_new = self.slots.get(key).is_none_or(|&slot| slot == NOWHERE);
            self.memo_len += u32::from(is_new);
            set_entry(self.slots, key, slot);
        }
        self.output.cut(op.at, op.end);
        if !used {
            self.last = Last::Other;
            return Ok(());
        }
        self.next_slot += 1;
        self.put_used(op, slot)
    }

    #[inline(never)] // Most entries are never read.
    fn put_used(&mut self, op: Op, slot: u32) -> Result<(), Refusal> {
        match std::mem::replace(&mut self.last, Last::Other) {
            Last::Other => push_memo(self.output.more(), PUTS, slot),
            Last::Changed => return Err(refuse(Obstacle::Shared, op.at)),
            Last::Set(number) => {
                let set = &mut self.sets[number as usize];
                set.slot = slot;
                // A set that is made of a list is there only when that is whole.
                if set.recursive || set.last_add == NOWHERE {
                    push_memo(self.output.more(), PUTS, slot);
                }
            }
            Last::Instead(string) => {
                self.again(string)?;
                push_memo(self.output.more(), PUTS, slot);
                self.output.more().push(POP);
            }
        }
        Ok(())
    }

    /// Pushes a string as the pickle has it.
    fn again(&mut self, string: Op) -> Result<(), Refusal> {
        let data = string.data(self.pickle);
        let out = self.output.more();
        match string.code {
            BINGET | LONG_BINGET | GET => {
                let slot = self.slot(string)?;
                push_memo(self.output.more(), GETS, slot);
            }
            SHORT_BINBYTES | BINBYTES | BINBYTES8 => {
                push_len(out, Some(SHORT_BINSTRING), BINSTRING, data.len());
                out.extend_from_slice(data);
            }
            UNICODE | STRING | SHORT_BINSTRING | BINSTRING => {
                out.extend_from_slice(&self.pickle[string.at..string.end]);
            }
            _ => push_text(out, data),
        }
        Ok(())
    }

    #[inline]
    fn get(&mut self, op: Op) -> Result<(), Refusal> {
        let slot = self.slot(op)?;
        push_memo(self.output.cut(op.at, op.end), GETS, slot);
        Ok(())
    }

    /// The entry of the result from which a GET gets its value.
    #[inline]
    fn slot(&self, get: Op) -> Result<u32, Refusal> {
        let key = get.number(self.pickle) as usize;
        match self.slots.get(key) {
            Some(&slot) if slot < DROPPED => Ok(slot),
            _ => Err(refuse(Obstacle::Shared, get.at)),
        }
    }

    /// The entry of something that many opcodes need.
    fn own_slot(&self, own: Own) -> u32 {
        (self.own & (own.bit() - 1)).count_ones()
    }

    /// Pushes it.
    fn own(&mut self, own: Own) {
        let slot = self.own_slot(own);
        push_memo(self.output.more(), GETS, slot);
    }

    // Strings -------------------------------------------------------------

    #[inline]
    fn text(&mut self, op: Op) -> Result<(), Refusal> {
        let len = string_len(op)?;
        if op.code != BINUNICODE {
            push_len(self.output.cut(op.at, op.data), None, BINUNICODE, len);
        }
        Ok(())
    }

    /// Bytes, of which Python 2 makes a `str`. They are still to be copied.
    fn bytes(&mut self, op: Op) -> Result<(), Refusal> {
        let len = string_len(op)?;
        let (short, long) = (Some(SHORT_BINSTRING), BINSTRING);
        push_len(self.output.cut(op.at, op.data), short, long, len);
        Ok(())
    }

    fn bytearray(&mut self, op: Op) -> Result<(), Refusal> {
        self.output.cut(op.at, op.at);
        self.own(Own::Bytearray);
        if op.data == op.end {
            let out = self.output.cut(op.at, op.end);
            out.extend_from_slice(&[EMPTY_TUPLE, REDUCE]);
        } else {
            self.bytes(op)?;
            let out = self.output.cut(op.end, op.end);
            out.extend_from_slice(&[TUPLE1, REDUCE]);
        }
        Ok(())
    }

    // Names ---------------------------------------------------------------

    /// Makes an instance of a class in place of a call.
    fn instead(&mut self, op: Op, class: u32) -> Result<(), Refusal> {
        let class = self.classes[class as usize];
        let (module, name) = (class.module.of(self.pickle), class.name.of(self.pickle));
        let mapped = names::for_python2(module, name, class.protocol);
        if name.contains(&b'.') || !mapped.is_ascii() || !mapped.is_one_line() {
            return Err(refuse(Obstacle::Shape, op.at));
        }
        let out = self.output.cut(op.at, op.end);
        // The arguments and what was called may be in the memo: they go last.
        out.extend_from_slice(&[POP, POP, MARK]);
        push_global(out, GLOBAL, mapped);
        out.push(OBJ);
        Ok(())
    }

    #[inline(never)]
    fn global(&mut self, op: Op) -> Result<(), Refusal> {
        // There is one for each opcode that names something.
        let Some(&global) = self.globals.next() else {
            return Err(truncated(op.at));
        };
        let module = global.module.of(self.pickle);
        let name = global.name.of(self.pickle);
        self.output.cut(op.at, op.end);
        // Since protocol 4 a dot gets an attribute.
        let dots = if global.protocol >= 4 {
            memchr::memchr_iter(b'.', name).count()
        } else {
            0
        };
        if dots > 0 && op.code == INST {
            return Err(refuse(Obstacle::Shape, op.at));
        }
        for _ in 0..dots {
            self.own(Own::Getattr);
        }
        let parts = if dots > 0 { usize::MAX } else { 1 };
        let mut parts = name.splitn(parts, |&b| b == b'.');
        let first = parts.next().unwrap_or_default();
        let mapped = names::for_python2(module, first, global.protocol);
        if !mapped.is_ascii() || !Name::new(module, name).is_ascii() {
            return Err(refuse(Obstacle::NonAsciiName, op.at));
        }
        if !mapped.is_one_line() {
            return Err(refuse(Obstacle::LineBreakInName, op.at));
        }
        let code = if op.code == INST { INST } else { GLOBAL };
        let out = self.output.more();
        push_global(out, code, mapped);
        for part in parts {
            push_text(out, part);
            out.extend_from_slice(&[TUPLE2, REDUCE]);
        }
        Ok(())
    }

    // Sets ----------------------------------------------------------------

    fn begin_set(&mut self, op: Op) {
        let set = self.sets[self.next_set as usize];
        self.next_set += 1;
        self.output.cut(op.at, op.end);
        self.own(Own::Set);
        let out = self.output.more();
        if set.recursive || set.last_add == NOWHERE {
            out.extend_from_slice(&[EMPTY_TUPLE, REDUCE]);
        } else {
            out.push(EMPTY_LIST);
        }
    }

    /// The MARK before members that reach their set.
    fn members(&mut self, op: Op, number: u32) {
        let set = self.sets[number as usize];
        self.output.cut(op.at, op.end);
        self.own(Own::Getattr);
        push_memo(self.output.more(), GETS, set.slot);
        self.own(Own::Update);
        let out = self.output.more();
        out.extend_from_slice(&[TUPLE2, REDUCE, EMPTY_LIST, MARK]);
    }

    fn add(&mut self, op: Op, number: u32) {
        let set = self.sets[number as usize];
        let out = self.output.cut(op.at, op.end);
        out.push(APPENDS);
        if set.recursive {
            out.extend_from_slice(&[TUPLE1, REDUCE, POP]);
        } else if set.last_add as usize == op.at {
            out.extend_from_slice(&[TUPLE1, REDUCE]);
            if set.slot != NOWHERE {
                push_memo(out, PUTS, set.slot);
            }
        }
    }

    // Objects -------------------------------------------------------------

    /// `cls.__new__(cls, *args, **keywords)`, of the three on the stack.
    fn newobj_ex(&mut self, op: Op) {
        self.output.cut(op.at, op.end);
        for own in [Own::Keywords, Own::Args, Own::Class] {
            let slot = self.own_slot(own);
            push_memo(self.output.more(), PUTS, slot);
            self.output.more().push(POP);
        }
        self.own(Own::Apply);
        self.own(Own::Partial);
        self.own(Own::Getattr);
        self.own(Own::Class);
        self.own(Own::New);
        self.output.more().extend_from_slice(&[TUPLE2, REDUCE]);
        self.own(Own::Class);
        self.output.more().extend_from_slice(&[TUPLE2, REDUCE]);
        self.own(Own::Args);
        self.own(Own::Keywords);
        self.output.more().extend_from_slice(&[TUPLE3, REDUCE]);
    }
}

/// The length of a string, which Python 2 takes for signed.
fn string_len(op: Op) -> Result<usize, Refusal> {
    let len = op.end - op.data;
    if i32::try_from(len).is_err() {
        return Err(refuse(Obstacle::Length, op.at));
    }
    Ok(len)
}
