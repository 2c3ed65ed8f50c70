//! The output: runs of the pickle as it is, and what stands in place of others.

#[allow(clippy::wildcard_imports)] // All of them, each in its place.
use crate::pickle::opcode::*;

use super::names::Name;
use super::ops::Op;
use super::{Obstacle, Refusal, refuse};
use crate::pickle::pause::Pause;

/// Runs that are copied as if they had this length, in bytes.
const SHORT: usize = 32;

/// Copies a pickle but for what is cut out of it.
pub(super) struct Output<'t> {
    pickle: &'t [u8],
    out: &'t mut Vec<u8>,
    /// Everything before is written, or cut.
    done: usize,
    /// See [`super::bound`].
    bound: usize,
    pause: Pause,
    /// End of the piece that is written until the next pause.
    piece: usize,
}

impl<'t> Output<'t> {
    pub(super) fn new(pickle: &'t [u8], out: &'t mut Vec<u8>, pause: Pause) -> Self {
        out.reserve(pickle.len() + pickle.len() / 8 + 16);
        Self {
            pickle,
            out,
            done: 0,
            bound: super::bound(pickle.len()),
            pause,
            piece: 0,
        }
    }

    /// Leaves out the bytes from `from` to `to`; what replaces them is to be
    /// pushed to what this gives.
    #[inline]
    pub(super) fn cut(&mut self, from: usize, to: usize) -> &mut Vec<u8> {
        // `from` is never before `done`: the opcodes come in order.
        let run = self.pickle.get(self.done..from).unwrap_or_default();
        let rest = self.pickle.get(self.done..).unwrap_or_default();
        match rest.first_chunk::<SHORT>() {
            // A copy of a fixed size needs no call; what is too much goes again.
            Some(more) if run.len() <= SHORT => {
                let len = self.out.len() + run.len();
                self.out.extend_from_slice(more);
                self.out.truncate(len);
            }
            _ => self.out.extend_from_slice(run),
        }
        self.done = to;
        self.out
    }

    /// The buffer to push to, after a [`cut`](Self::cut).
    pub(super) fn more(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// Whether a memo key is more than the bytes before it, what stands before
    /// `at` having shrunk: no pickler writes that, and no scan takes it.
    pub(super) fn is_beyond(&self, key: u32, at: usize) -> bool {
        key as usize > self.out.len() + (at - self.done)
    }

    /// Gives the offset of the next opcode, this one being written.
    ///
    /// # Errors
    /// Refuses what is longer by now than any result may be.
    #[inline]
    pub(super) fn next(&mut self, op: Op) -> Result<usize, Refusal> {
        if self.out.len() > self.bound {
            return Err(refuse(Obstacle::Growth, op.at));
        }
        if op.end >= self.piece {
            self.piece = self.pause.piece(self.pickle, op.end).len();
        }
        Ok(op.end)
    }
}

/// PUT or GET of a memo entry, in its shortest binary form.
#[inline]
pub(super) fn push_memo(out: &mut Vec<u8>, (short, long): (u8, u8), key: u32) {
    if let Ok(key) = u8::try_from(key) {
        out.extend_from_slice(&[short, key]);
    } else {
        out.push(long);
        out.extend_from_slice(&key.to_le_bytes());
    }
}

/// The opcode of a string, `short` if it has one for lengths of one byte, and
/// the length; the string itself is to follow.
#[inline]
pub(super) fn push_len(out: &mut Vec<u8>, short: Option<u8>, long: u8, len: usize) {
    if let (Some(short), Ok(len)) = (short, u8::try_from(len)) {
        out.extend_from_slice(&[short, len]);
    } else {
        out.push(long);
        // Callers have refused lengths over 31 bits.
        out.extend_from_slice(&(len as u32).to_le_bytes());
    }
}

pub(super) fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    push_len(out, None, BINUNICODE, text.len());
    out.extend_from_slice(text);
}

/// GLOBAL or INST.
pub(super) fn push_global(out: &mut Vec<u8>, op: u8, name: Name<'_>) {
    out.push(op);
    out.extend_from_slice(name.package);
    out.extend_from_slice(name.module);
    out.push(b'\n');
    out.extend_from_slice(name.attribute);
    out.push(b'\n');
}

/// An integer that Python 2 writes as an `int` where that has room for it.
pub(super) fn push_int(out: &mut Vec<u8>, value: i128) {
    if let Ok(value) = u8::try_from(value) {
        out.extend_from_slice(&[BININT1, value]);
    } else if let Ok(value) = u16::try_from(value) {
        out.push(BININT2);
        out.extend_from_slice(&value.to_le_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        out.push(BININT);
        out.extend_from_slice(&value.to_le_bytes());
    } else {
        let bytes = value.to_le_bytes();
        // The array formats have 64 bits at most: nine bytes hold them signed.
        let sign = if value < 0 { 0xff } else { 0 };
        let mut len = 9;
        while len > 1 && bytes[len - 1] == sign && (bytes[len - 2] ^ sign) < 0x80 {
            len -= 1;
        }
        out.extend_from_slice(&[LONG1, len as u8]);
        out.extend_from_slice(&bytes[..len]);
    }
}
