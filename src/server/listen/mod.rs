//! Listeners: sockets that accept clients, and who these are. Knows connections, not
//! what is said on them.

pub(super) mod acceptor;
pub(super) mod bound;
pub(super) mod complaints;
pub(super) mod descriptors;
pub(super) mod identity;
pub(super) mod passed;
mod seat;
pub(super) mod socket_file;
