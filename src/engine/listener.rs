//! Numbers of listeners, across all settings of a process.

/// A listener from when it begins to listen until it stops: no other ever has its
/// number, nor has one of the same name that comes later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerId(u32);

/// Gives listeners their numbers.
#[derive(Debug, Default)]
pub struct ListenerIds {
    next: u32,
}

impl ListenerIds {
    /// A number that nobody had.
    ///
    /// # Panics
    /// After four billion listeners.
    pub fn mint(&mut self) -> ListenerId {
        let id = ListenerId(self.next);
        let next = self.next.checked_add(1);
        self.next = next.expect("a reload adds a few listeners at most");
        id
    }
}
