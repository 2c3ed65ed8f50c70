//! Values of a retrieval that are looked at apart, and what came behind them: it
//! waits, so that all go out in their order.

use std::collections::VecDeque;

/// Bytes that a slot may not write yet.
#[derive(Debug, Default)]
pub(super) struct Held {
    pieces: VecDeque<Piece>,
}

#[derive(Debug)]
struct Piece {
    /// The job that says what the bytes are.
    job: Option<u32>,
    bytes: Vec<u8>,
}

impl Held {
    /// Keeps a place for the bytes that this job comes to.
    pub(super) fn wait(&mut self, job: u32) {
        self.pieces.push_back(Piece {
            job: Some(job),
            bytes: Vec::new(),
        });
    }

    /// The buffer for what comes behind all of that.
    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
        if self.pieces.back().is_none_or(|last| last.job.is_some()) {
            let bytes = Vec::new();
            self.pieces.push_back(Piece { job: None, bytes });
        }
        let last = self.pieces.len() - 1;
        &mut self.pieces[last].bytes
    }

    /// A job came to these bytes.
    pub(super) fn fill(&mut self, job: u32, bytes: Vec<u8>) {
        let mut pieces = self.pieces.iter_mut();
        if let Some(piece) = pieces.find(|piece| piece.job == Some(job)) {
            *piece = Piece { job: None, bytes };
        }
    }

    /// The next bytes, if they are known.
    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        let front = self.pieces.front()?;
        if front.job.is_some() {
            return None;
        }
        self.pieces.pop_front().map(|piece| piece.bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Forgets all bytes, but not what is waited for; how many there were.
    pub(super) fn clear(&mut self) -> usize {
        let pieces = self.pieces.iter_mut();
        pieces
            .map(|piece| std::mem::take(&mut piece.bytes).len())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_goes_out_in_its_order_whatever_is_known_first() {
        let mut held = Held::default();
        held.wait(7);
        held.tail().extend_from_slice(b"b");
        held.wait(3);
        held.wait(5);
        held.tail().extend_from_slice(b"e");
        held.fill(3, b"c".to_vec());
        assert_eq!(held.pop(), None);
        held.fill(7, b"a".to_vec());
        let known: Vec<_> = std::iter::from_fn(|| held.pop()).collect();
        assert_eq!(known.concat(), b"abc");
        held.tail().extend_from_slice(b"f");
        held.fill(5, b"d".to_vec());
        let known: Vec<_> = std::iter::from_fn(|| held.pop()).collect();
        assert_eq!(known.concat(), b"def");
        assert!(held.is_empty());
    }
}
