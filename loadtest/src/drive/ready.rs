//! The connections of a worker that have something to do: one bit each, set by their
//! wakers without a lock, so that one task can drive all of them. A second level says
//! which words hold a bit, so that a turn costs what is ready, not what is connected.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};

use atomic_waker::AtomicWaker;

/// A set of connection numbers below a fixed capacity.
#[derive(Debug)]
pub(crate) struct ReadySet {
    words: Box<[AtomicU64]>,
    /// A bit for each word that may hold one; set after the word's own.
    summary: Box<[AtomicU64]>,
    /// The task was woken and has not looked since.
    awake: AtomicBool,
    task: AtomicWaker,
}

impl ReadySet {
    /// Makes a set for this many connections, none of which has anything to do.
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        let zeros = |bits: usize| (0..bits.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self {
            words: zeros(capacity),
            summary: zeros(capacity.div_ceil(64)),
            awake: AtomicBool::new(false),
            task: AtomicWaker::new(),
        })
    }

    /// The number of connections that it can tell apart.
    pub(crate) fn capacity(&self) -> usize {
        self.words.len() * 64
    }

    /// The task to wake from now on.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.task.register(cx.waker());
        self.awake.store(false, Ordering::Release);
    }

    /// Marks a connection and wakes the task.
    pub(crate) fn mark(&self, connection: usize) {
        set(&self.words, connection);
        set(&self.summary, connection / 64);
        if !self.awake.swap(true, Ordering::AcqRel) {
            self.task.wake();
        }
    }

    /// Takes the marked connections, lowest first.
    pub(crate) fn take(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.summary.len())
            .flat_map(|at| take_bits(&self.summary, at))
            .flat_map(|word| take_bits(&self.words, word))
    }

    /// A waker that marks one connection.
    pub(crate) fn waker(self: &Arc<Self>, connection: usize) -> Waker {
        debug_assert!(connection < self.capacity());
        Waker::from(Arc::new(Mark {
            set: Arc::clone(self),
            connection,
        }))
    }
}

fn set(words: &[AtomicU64], bit: usize) {
    words[bit / 64].fetch_or(1 << (bit % 64), Ordering::Release);
}

/// Clears one word; gives the numbers of the bits that were set in it.
fn take_bits(words: &[AtomicU64], at: usize) -> impl Iterator<Item = usize> + use<> {
    let mut bits = match words[at].load(Ordering::Relaxed) {
        0 => 0,
        _ => words[at].swap(0, Ordering::Acquire),
    };
    std::iter::from_fn(move || {
        let bit = bits.trailing_zeros() as usize;
        (bits != 0).then(|| {
            bits &= bits - 1;
            at * 64 + bit
        })
    })
}

struct Mark {
    set: Arc<ReadySet>,
    connection: usize,
}

impl Wake for Mark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.set.mark(self.connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_connections_are_taken_once() {
        let set = ReadySet::new(64 * 64 + 2);
        for connection in [0, 63, 64, 129, 64, 64 * 64 + 1] {
            set.waker(connection).wake();
        }
        let all = || set.take().collect::<Vec<_>>();
        assert_eq!(all(), [0, 63, 64, 129, 64 * 64 + 1]);
        assert!(all().is_empty());
        set.mark(129);
        assert_eq!(all(), [129]);
    }
}
