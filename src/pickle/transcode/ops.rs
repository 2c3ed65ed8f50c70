//! One opcode after the other, of a pickle that the abstract machine has walked:
//! only lengths are read here.

use memchr::memchr;

#[allow(clippy::wildcard_imports)] // All of them, each in its place.
use crate::pickle::opcode::*;
use crate::pickle::operands::memo_key;

/// An opcode and where it lies. Offsets are in bytes from the pickle's start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Op {
    pub(super) code: u8,
    pub(super) at: usize,
    /// Offset of its data: after the length, if it has one.
    pub(super) data: usize,
    /// Offset of the next opcode.
    pub(super) end: usize,
}

impl Op {
    /// The operand without its length, or the line with its newline.
    #[inline]
    pub(super) fn data(self, pickle: &[u8]) -> &[u8] {
        &pickle[self.data..self.end]
    }

    /// A line without its newline.
    pub(super) fn line(self, pickle: &[u8]) -> &[u8] {
        let data = self.data(pickle);
        data.strip_suffix(b"\n").unwrap_or(data)
    }

    /// A memo key in one byte, in four, little-endian, or in decimal.
    #[inline]
    pub(super) fn number(self, pickle: &[u8]) -> u32 {
        match *self.data(pickle) {
            // The machine has read it, so that it is one.
            _ if matches!(self.code, GET | PUT) => memo_key(self.line(pickle)).unwrap_or_default(),
            [byte] => u32::from(byte),
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
            _ => 0,
        }
    }

    pub(super) fn is_put(self) -> bool {
        matches!(self.code, MEMOIZE | BINPUT | LONG_BINPUT | PUT)
    }

    pub(super) fn is_get(self) -> bool {
        matches!(self.code, BINGET | LONG_BINGET | GET)
    }
}

/// Layouts other than a fixed number of bytes.
const LINE: u8 = 16;
const TWO_LINES: u8 = 17;
/// A length in one, four or eight bytes, then as many bytes.
const LEN1: u8 = 18;
const LEN4: u8 = 19;
const LEN8: u8 = 20;

/// The operands of each opcode.
const LAYOUT: [u8; 256] = {
    let mut layout = [0; 256];
    let table: [(&[u8], u8); 9] = [
        (&[BININT1, BINGET, BINPUT, EXT1, PROTO], 1),
        (&[BININT2, EXT2], 2),
        (&[BININT, LONG_BINGET, LONG_BINPUT, EXT4], 4),
        (&[BINFLOAT, FRAME], 8),
        (&[INT, LONG, FLOAT, STRING, UNICODE, PERSID, GET, PUT], LINE),
        (&[GLOBAL, INST], TWO_LINES),
        (
            &[SHORT_BINSTRING, SHORT_BINBYTES, SHORT_BINUNICODE, LONG1],
            LEN1,
        ),
        (&[BINSTRING, BINBYTES, BINUNICODE, LONG4], LEN4),
        (&[BINBYTES8, BINUNICODE8, BYTEARRAY8], LEN8),
    ];
    let mut row = 0;
    while row < table.len() {
        let mut i = 0;
        while i < table[row].0.len() {
            layout[table[row].0[i] as usize] = table[row].1;
            i += 1;
        }
        row += 1;
    }
    layout
};

/// The opcode at an offset; `None` where it does not end within the pickle.
#[inline]
pub(super) fn op(pickle: &[u8], at: usize) -> Option<Op> {
    let code = *pickle.get(at)?;
    let rest = &pickle[at + 1..];
    let (head, len) = match LAYOUT[usize::from(code)] {
        fixed if fixed < LINE => (0, usize::from(fixed)),
        LEN1 => (1, usize::from(*rest.first()?)),
        layout => head_and_len(layout, rest)?,
    };
    let data = at + 1 + head;
    let end = data.checked_add(len).filter(|&end| end <= pickle.len())?;
    Some(Op {
        code,
        at,
        data,
        end,
    })
}

/// Looks at the rarer opcodes, out of the way of the rest.
#[inline(never)]
fn head_and_len(layout: u8, rest: &[u8]) -> Option<(usize, usize)> {
    Some(match layout {
        LINE => (0, memchr(b'\n', rest)? + 1),
        TWO_LINES => {
            let first = memchr(b'\n', rest)? + 1;
            (0, first + memchr(b'\n', &rest[first..])? + 1)
        }
        LEN4 => (4, u32::from_le_bytes(*rest.first_chunk()?) as usize),
        _ => {
            let len = u64::from_le_bytes(*rest.first_chunk()?);
            (8, usize::try_from(len).ok()?)
        }
    })
}

/// The next opcode that is neither a frame nor puts anything into the memo,
/// after the one at `at`.
pub(super) fn next_but_puts(pickle: &[u8], at: u32) -> Option<Op> {
    next(pickle, at, |op| op.code == FRAME || op.is_put())
}

/// The next opcode but frames, after the one at `at`.
pub(super) fn next_but_frames(pickle: &[u8], at: u32) -> Option<Op> {
    next(pickle, at, |op| op.code == FRAME)
}

fn next(pickle: &[u8], at: u32, skipped: impl Fn(Op) -> bool) -> Option<Op> {
    let mut at = op(pickle, at as usize)?.end;
    loop {
        let op = op(pickle, at)?;
        if !skipped(op) {
            return Some(op);
        }
        at = op.end;
    }
}
