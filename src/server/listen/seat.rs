//! A place for a client among those that there may be.

use std::sync::atomic::Ordering;

use crate::engine::ListenerId;
use crate::policy::Told;
use crate::server::stream::{Detached, Stream};
use crate::server::worker::{Arrival, Handle, Message};

/// A place for a client, free again when dropped.
#[derive(Debug)]
pub(in crate::server) struct Seat {
    /// `None` once it is taken.
    pub(super) worker: Option<Handle>,
    pub(super) listener: ListenerId,
}

impl Seat {
    /// Hands a client over, with what it sent so far.
    pub(in crate::server) fn take(mut self, client: Stream, told: Told, input: Vec<u8>) {
        let socket: Detached = match client.detach() {
            Ok(socket) => socket,
            Err(error) => return tracing::warn!(%error, "client could not be served"),
        };
        if let Some(worker) = self.worker.take() {
            worker.send(Message::Client(Arrival {
                socket,
                listener: self.listener,
                told,
                input,
            }));
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(worker) = &self.worker {
            worker.clients.fetch_sub(1, Ordering::Relaxed);
            // It may wait for the last of them to end.
            worker.mailbox().wake();
        }
    }
}
