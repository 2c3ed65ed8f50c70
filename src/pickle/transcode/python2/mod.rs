//! Python 3 to Python 2.7: protocols 3 to 5 to 2.
//!
//! As Python 3 itself writes protocol 2, but for what only a reader of Python 3
//! needs: bytes become `str` by Python 2's own opcodes instead of a call that
//! encodes text. Memo entries that nobody reads are left out and the others
//! numbered anew.

mod array;
mod own;
mod plan;
mod write;

use super::output::Output;
use super::{Edits, Environment, Refusal, empty};
use crate::pickle::machine::Machine;

/// The memory of both passes.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    notes: plan::Notes,
}

impl Buffers {
    pub(super) fn transcode(
        &mut self,
        machine: &mut Machine,
        pickle: &[u8],
        environment: &dyn Environment,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let notes = &mut self.notes;
        plan::make(notes, machine, pickle, environment)?;
        empty(&mut notes.memo);
        write::Writer {
            pickle,
            edits: Edits::new(&mut notes.edits),
            uses: &notes.uses,
            sets: &mut notes.sets,
            globals: notes.globals.iter(),
            classes: &notes.globals,
            slots: &mut notes.memo,
            memo_len: 0,
            puts: 0,
            next_set: 0,
            next_slot: 0,
            own: notes.own,
            last: write::Last::Other,
            output: Output::new(pickle, out, machine.pause()),
        }
        .run()
    }
}
