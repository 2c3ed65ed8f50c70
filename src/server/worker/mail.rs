//! Messages to a worker, and its mailbox. The rest of the process holds no more of a
//! worker than this.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, mpsc};

use mio::Waker;
use tokio::sync::oneshot;

use super::address::Address;
use super::connected::Connected;
use crate::config::Limits;
use crate::engine::{Family, JobDone, LaneId, ListenerId, MetaCommands, Settings, Ticket};
use crate::metrics::{Durations, Labels};
use crate::policy::{Snapshot, Told};
use crate::report::advice::Counts;
use crate::server::stream::Detached;

/// Messages from the rest of the process.
#[derive(Debug)]
pub(in crate::server) enum Message {
    /// A client to serve.
    Client(Arrival),
    /// Take over other settings, once no request is under way.
    Reload(Box<Reload>),
    /// A lane's connection was made, or failed.
    Connected(LaneId, io::Result<(Detached, MetaCommands)>),
    /// Bring the metrics up to date, then say so.
    Publish(oneshot::Sender<Durations>),
    /// Count the clients, and list some.
    Connections(oneshot::Sender<Connected>),
    /// Report the traffic by key family, and the counts that `advise` needs.
    Families(oneshot::Sender<Observed>),
    /// Report sums for `stats`.
    Summary(oneshot::Sender<BTreeMap<String, u64>>),
    /// A long value was inspected on another thread.
    Judged(Box<JobDone>),
    /// The statistics that a client waits for.
    Statistics(Ticket, Vec<u8>),
    /// Say that it is alive.
    Ping(oneshot::Sender<()>),
    /// Say which servers there are.
    Servers(oneshot::Sender<Vec<Arc<Address>>>),
    /// Answer the requests under way and end. The second time, read no more requests.
    Drain,
    /// Cut off the clients that are still owed replies, and count them.
    CutOff(oneshot::Sender<usize>),
}

/// A client to serve.
#[derive(Debug)]
pub(in crate::server) struct Arrival {
    pub(in crate::server) socket: Detached,
    /// The listener it came by, which may be gone by now.
    pub(in crate::server) listener: ListenerId,
    /// Tags that sources told of the client.
    pub(in crate::server) told: Told,
    /// Bytes that the client sent while it was identified.
    pub(in crate::server) input: Vec<u8>,
}

/// Counts of one worker since its configuration was loaded.
#[derive(Debug)]
pub(in crate::server) struct Observed {
    pub(in crate::server) snapshot: Arc<Snapshot>,
    pub(in crate::server) families: Vec<Family>,
    pub(in crate::server) counts: Counts,
}

/// Other settings.
#[derive(Debug)]
pub(in crate::server) struct Reload {
    pub(in crate::server) settings: Settings,
    pub(in crate::server) labels: Labels,
    /// Addresses of all servers that the settings name.
    pub(in crate::server) addresses: Vec<Arc<Address>>,
    pub(in crate::server) limits: Limits,
    /// Receiver of the news that the worker took the settings over.
    pub(in crate::server) done: oneshot::Sender<()>,
}

/// Queue of a worker's messages, with the waker that interrupts its poll.
#[derive(Debug, Clone)]
pub(in crate::server) struct Mailbox {
    messages: mpsc::Sender<Message>,
    waker: Arc<Waker>,
}

impl Mailbox {
    /// A mailbox whose messages wake a poller, and where they come out.
    pub(super) fn new(waker: Waker) -> (Self, mpsc::Receiver<Message>) {
        let (messages, received) = mpsc::channel();
        let waker = Arc::new(waker);
        (Self { messages, waker }, received)
    }

    /// Sends a message. A worker that ended drops it, as the process will.
    pub(in crate::server) fn send(&self, message: Message) {
        // Sent before waking: a worker that wakes first would find nothing and sleep on.
        if self.messages.send(message).is_ok() {
            self.wake();
        }
    }

    /// Interrupts the worker's poll.
    pub(in crate::server) fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "worker could not be woken");
        }
    }
}

/// A mailbox that drains its worker once the last handle is dropped, so that a server that
/// fails to start leaves no thread behind.
#[derive(Debug)]
struct Reach(Mailbox);

impl Drop for Reach {
    fn drop(&mut self) {
        self.0.send(Message::Drain);
    }
}

/// Worker as the rest of the process sees it.
#[derive(Debug, Clone)]
pub(in crate::server) struct Handle {
    reach: Arc<Reach>,
    /// Clients that it serves.
    pub(in crate::server) clients: Arc<AtomicUsize>,
}

impl Handle {
    /// Handle of a worker that has no clients yet.
    pub(super) fn new(mailbox: Mailbox) -> Self {
        Self {
            reach: Arc::new(Reach(mailbox)),
            clients: Arc::default(),
        }
    }

    /// Mailbox of the worker, for senders that must not keep it alive.
    pub(in crate::server) fn mailbox(&self) -> &Mailbox {
        &self.reach.0
    }

    /// Sends a message. A worker that ended drops it.
    pub(in crate::server) fn send(&self, message: Message) {
        self.reach.0.send(message);
    }
}
