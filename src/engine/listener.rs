//! Numbers of listeners, across all settings of a process.

/// A listener from when it begins to listen until it stops: no other ever has its
/// number, nor has one of the same name that comes later. The default is nobody's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ListenerId(u32);

/// Gives listeners their numbers.
#[derive(Debug, Default)]
pub struct ListenerIds {
    last: u32,
}

impl ListenerIds {
    /// A number that nobody had.
    ///
    /// # Panics
    /// After four billion listeners.
    pub fn mint(&mut self) -> ListenerId {
        let id = self.last.checked_add(1);
        self.last = id.expect("a reload adds a few listeners at most");
        ListenerId(self.last)
    }
}
