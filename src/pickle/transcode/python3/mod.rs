//! Python 2 to Python 3: protocols 0 to 2 to 3, which tells bytes from text.
//!
//! Python 3 reads a `str` of Python 2 as ASCII text and fails at anything else;
//! in protocol 3 each string says what it is. The header being 3, Python 3 no
//! longer translates Python 2's names, so they are translated here.

mod decimal;
mod literal;
mod plan;

use super::names;
use super::ops::{Op, op};
use super::output::{Output, push_global, push_len};
use super::protocol::truncated;
use super::{Edits, Environment, Obstacle, Py2Str, Refusal, empty, refuse};
use crate::pickle::machine::Machine;
#[allow(clippy::wildcard_imports)] // All of them, each in its place.
use crate::pickle::opcode::*;

/// Most digits of an integer that is converted from decimal; the time for that
/// is in the square of them.
pub(super) const MAX_DIGITS: usize = 20_000;

/// Most digits that Python 3 converts by default, since releases of 2022
/// (`sys.int_info.default_max_str_digits`).
const PYTHON_DIGITS: usize = 4_300;

/// The memory of both passes.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    notes: plan::Notes,
    /// A STRING without its escapes.
    literal: Vec<u8>,
    limbs: Vec<u64>,
}

impl Buffers {
    pub(super) fn transcode(
        &mut self,
        machine: &mut Machine,
        pickle: &[u8],
        py2_str: Py2Str,
        environment: &dyn Environment,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        plan::make(&mut self.notes, machine, pickle, py2_str, environment)?;
        empty(&mut self.literal);
        empty(&mut self.limbs);
        Writer {
            pickle,
            py2_str,
            environment,
            dropped: Edits::new(&mut self.notes.dropped),
            bytes: Sorted::new(&mut self.notes.bytes),
            text: Sorted::new(&mut self.notes.text),
            literal: &mut self.literal,
            limbs: &mut self.limbs,
            output: Output::new(pickle, out, machine.pause()),
        }
        .run()
    }
}

/// Offsets, looked up in ascending order.
struct Sorted<'s> {
    rest: &'s [u32],
}

impl<'s> Sorted<'s> {
    fn new(offsets: &'s mut [u32]) -> Self {
        if !offsets.is_sorted() {
            offsets.sort_unstable();
        }
        Self { rest: offsets }
    }

    #[inline]
    fn has(&mut self, at: usize) -> bool {
        while let Some((&first, rest)) = self.rest.split_first() {
            if first as usize >= at {
                return first as usize == at;
            }
            self.rest = rest;
        }
        false
    }
}

struct Writer<'w> {
    pickle: &'w [u8],
    py2_str: Py2Str,
    environment: &'w dyn Environment,
    /// A BUILD that becomes POP.
    dropped: Edits<'w, ()>,
    /// Starts of the strings that have to be bytes.
    bytes: Sorted<'w>,
    /// Starts of the strings that have to be text.
    text: Sorted<'w>,
    literal: &'w mut Vec<u8>,
    limbs: &'w mut Vec<u64>,
    output: Output<'w>,
}

impl Writer<'_> {
    fn run(mut self) -> Result<(), Refusal> {
        let mut at = 0;
        if self.pickle.first() != Some(&PROTO) {
            self.output.cut(0, 0).extend_from_slice(&[PROTO, 3]);
        }
        loop {
            let Some(op) = op(self.pickle, at) else {
                return Err(truncated(at));
            };
            match op.code {
                PROTO => self.output.cut(op.data, op.end).push(3),
                SHORT_BINSTRING | BINSTRING | STRING => self.string(op)?,
                GLOBAL | INST => self.global(op),
                INT | LONG if op.end - op.data > PYTHON_DIGITS => self.integer(op)?,
                BUILD if self.dropped.at(at)?.is_some() => {
                    self.output.cut(op.at, op.end).push(POP);
                }
                BINPUT | LONG_BINPUT | PUT if self.output.is_beyond(op.number(self.pickle), at) => {
                    return Err(refuse(Obstacle::Shape, at));
                }
                STOP => {
                    self.output.cut(op.end, op.end);
                    return Ok(());
                }
                _ => {}
            }
            at = self.output.next(op)?;
        }
    }

    fn string(&mut self, op: Op) -> Result<(), Refusal> {
        let mut data = op.data(self.pickle);
        let mut at = op.data;
        let literal = op.code == STRING;
        if literal {
            data = data.trim_ascii_end();
            // The machine has seen both quotes.
            data = data.get(1..data.len() - 1).unwrap_or_default();
            at += 1;
            if data.contains(&b'\\') {
                literal::decode(data, self.literal).map_err(|()| truncated(op.at))?;
                data = self.literal;
            }
        }
        let bytes = self.bytes.has(at);
        let text = self.text.has(at);
        let is_text =
            !bytes && (text || self.py2_str == Py2Str::Text) && std::str::from_utf8(data).is_ok();
        let short = (!is_text).then_some(SHORT_BINBYTES);
        let long = if is_text { BINUNICODE } else { BINBYTES };
        if literal {
            let out = self.output.cut(op.at, op.end);
            push_len(out, short, long, data.len());
            out.extend_from_slice(data);
        } else {
            push_len(self.output.cut(op.at, op.data), short, long, data.len());
        }
        Ok(())
    }

    fn global(&mut self, op: Op) {
        let lines = op.line(self.pickle);
        let (module, name) = split_lines(lines);
        let mapped = names::for_python3(module, name, self.environment);
        push_global(self.output.cut(op.at, op.end), op.code, mapped);
    }

    fn integer(&mut self, op: Op) -> Result<(), Refusal> {
        let line = op.line(self.pickle);
        let text = line.strip_suffix(b"L").unwrap_or(line);
        let (negative, digits) = match text.strip_prefix(b"-") {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        if digits.len() <= PYTHON_DIGITS {
            return Ok(());
        }
        if digits.len() > MAX_DIGITS {
            return Err(refuse(Obstacle::Digits, op.at));
        }
        let out = self.output.cut(op.at, op.end);
        decimal::push_long(out, self.limbs, negative, digits);
        Ok(())
    }
}

/// The two lines of a GLOBAL or INST.
fn split_lines(lines: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'\n', lines) {
        Some(end) => (&lines[..end], &lines[end + 1..]),
        None => (lines, b""),
    }
}
