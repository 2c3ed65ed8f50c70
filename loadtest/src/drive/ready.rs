//! Which connections have something to do: one bit each, set by
//! their wakers without a lock, so that one task can drive all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};

use atomic_waker::AtomicWaker;

/// A set of connection numbers below a fixed capacity.
#[derive(Debug)]
pub(super) struct ReadySet {
    words: Box<[AtomicU64]>,
    /// The task was woken and has not looked since.
    awake: AtomicBool,
    task: AtomicWaker,
}

impl ReadySet {
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            words: (0..capacity.div_ceil(64))
                .map(|_| AtomicU64::new(0))
                .collect(),
            awake: AtomicBool::new(false),
            task: AtomicWaker::new(),
        })
    }

    /// How many connections it can tell apart.
    pub(super) fn capacity(&self) -> usize {
        self.words.len() * 64
    }

    /// The task to wake from now on.
    pub(super) fn register(&self, cx: &Context<'_>) {
        self.task.register(cx.waker());
        self.awake.store(false, Ordering::Release);
    }

    /// Marks a connection and wakes the task.
    pub(super) fn mark(&self, connection: usize) {
        self.words[connection / 64].fetch_or(1 << (connection % 64), Ordering::Release);
        if !self.awake.swap(true, Ordering::AcqRel) {
            self.task.wake();
        }
    }

    /// Takes the marked connections of one word, lowest first.
    pub(super) fn take(&self, word: usize) -> impl Iterator<Item = usize> + use<> {
        let mut bits = match self.words[word].load(Ordering::Relaxed) {
            0 => 0,
            _ => self.words[word].swap(0, Ordering::Acquire),
        };
        std::iter::from_fn(move || {
            let bit = bits.trailing_zeros() as usize;
            (bits != 0).then(|| {
                bits &= bits - 1;
                word * 64 + bit
            })
        })
    }

    /// How many words there are to take.
    pub(super) fn words(&self) -> usize {
        self.words.len()
    }

    /// A waker that marks one connection.
    pub(super) fn waker(self: &Arc<Self>, connection: usize) -> Waker {
        debug_assert!(connection < self.capacity());
        Waker::from(Arc::new(Mark {
            set: Arc::clone(self),
            connection,
        }))
    }
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
        let set = ReadySet::new(130);
        for connection in [0, 63, 64, 129, 64] {
            set.waker(connection).wake();
        }
        let all = || {
            (0..set.words())
                .flat_map(|word| set.take(word))
                .collect::<Vec<_>>()
        };
        assert_eq!(all(), [0, 63, 64, 129]);
        assert!(all().is_empty());
    }
}
