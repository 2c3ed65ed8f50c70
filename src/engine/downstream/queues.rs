//! The queues of slots that nobody uses: an idle client has none.

use std::collections::VecDeque;

use super::slot::Slot;

/// Slots kept for clients that have something under way again.
const MAX_IDLE_SLOTS: usize = 64 << 10;

/// Empty queues, handed back by clients with nothing under way.
#[derive(Debug, Default)]
pub(super) struct Queues {
    idle: Vec<VecDeque<Slot>>,
    /// The sum of their capacities.
    slots: usize,
}

impl Queues {
    pub(super) fn take(&mut self) -> VecDeque<Slot> {
        let queue = self.idle.pop().unwrap_or_default();
        self.slots -= queue.capacity();
        queue
    }

    pub(super) fn give(&mut self, queue: VecDeque<Slot>) {
        if queue.capacity() > 0 && self.slots + queue.capacity() <= MAX_IDLE_SLOTS {
            self.slots += queue.capacity();
            self.idle.push(queue);
        }
    }
}
