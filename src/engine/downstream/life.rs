//! The life of a connection, from open to dead.

/// Stages of a connection; none goes back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) enum Life {
    /// Requests are taken.
    #[default]
    Open,
    /// The client was asked to go: the request that is half in the inbox is its last.
    Leaving,
    /// The client sends no more than what is in the inbox, which is still taken.
    Ended,
    /// No more requests are taken. It closes once all is sent; what still comes is
    /// dropped, or the reset that it leads to could overtake the last reply.
    Closing,
    /// Closing, but the client asked for that, and waits for nothing.
    Quitting,
    /// Nothing more can be sent.
    Dead,
}
