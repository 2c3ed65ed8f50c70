//! How far a connection has come.

/// How far a connection has come; none goes back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) enum Life {
    /// Its requests are taken.
    #[default]
    Open,
    /// It was asked to go: the request that is half in the inbox is its last.
    Leaving,
    /// It sends no more than what is in the inbox, which is still taken.
    Ended,
    /// No more requests are taken. It closes once all is sent; what still comes is
    /// dropped, or the reset that it leads to could overtake the last reply.
    Closing,
    /// The same, but it asked for that, and waits for nothing.
    Quitting,
    /// Nothing more can be sent.
    Dead,
}
