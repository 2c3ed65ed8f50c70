//! Lines for the log about what clients do: told once a second at most for
//! each kind, and how often it was left untold.

use std::fmt::Write as _;

/// Time in which a kind is not told of again, in microseconds.
const PAUSE_US: u64 = 1_000_000;

/// Kinds of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A connection that speaks the binary protocol.
    Binary,
    /// A tag that no namespace is for.
    NoNamespace,
    /// A write of somebody without such a tag, which may be told nothing else.
    RefusedWrite,
}

/// State of one kind.
#[derive(Debug, Default, Clone, Copy)]
struct Told {
    /// Before this nothing is.
    again_us: u64,
    untold: u64,
}

/// The lines that wait to be logged.
#[derive(Debug, Default)]
pub(super) struct Notes {
    told: [Told; 3],
    waiting: Vec<String>,
}

impl Notes {
    /// Notes a line, unless its kind was told of a moment ago.
    #[cold]
    pub(super) fn note(&mut self, kind: Kind, now_us: u64, line: impl FnOnce() -> String) {
        let told = &mut self.told[kind as usize];
        if now_us < told.again_us {
            told.untold += 1;
            return;
        }
        told.again_us = now_us + PAUSE_US;
        let mut line = line();
        let untold = std::mem::take(&mut told.untold);
        if untold > 0 {
            // Writing to a String cannot fail.
            let _ = write!(line, " ({untold} more like it were not logged)");
        }
        self.waiting.push(line);
    }

    /// Takes the lines for the log.
    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_told_once_a_second_with_what_was_left_out() {
        let mut notes = Notes::default();
        let mut note = |kind, now_us| notes.note(kind, now_us, || format!("at {now_us}"));
        note(Kind::Binary, 5);
        note(Kind::Binary, 6);
        note(Kind::NoNamespace, 7);
        note(Kind::Binary, 5 + PAUSE_US - 1);
        note(Kind::Binary, 5 + PAUSE_US);
        note(Kind::Binary, 5 + 2 * PAUSE_US);
        let told = [
            "at 5",
            "at 7",
            "at 1000005 (2 more like it were not logged)",
            "at 2000005",
        ];
        assert_eq!(notes.take(), told);
        assert_eq!(notes.take(), [""; 0]);
    }
}
