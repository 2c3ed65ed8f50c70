//! Tickets: the slot of a client that waits for a reply, and whether one is sent.

/// A slot of a client, to which a reply belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// The client's place among those of its worker.
    pub client: u32,
    /// The slot's number, counted from the session's start, wrapping.
    pub slot: u32,
}

impl Ticket {
    /// Of replies that nobody waits for any more.
    pub const NOBODY: Self = Self {
        client: u32::MAX,
        slot: 0,
    };

    /// Counts up from this slot, to those that were opened after it.
    pub fn onwards(self) -> impl Iterator<Item = Self> {
        (0..).map(move |slots| Self {
            slot: self.slot.wrapping_add(slots),
            ..self
        })
    }
}

/// Cases in which a nominal reply is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quiet {
    /// Always sent.
    No,
    /// `noreply`: nothing is sent, errors neither.
    Noreply,
    /// The meta flag `q`: the nominal code of the verb is not sent.
    Meta,
}
