//! What a worker is told and asked, and where to say it: the rest of the process holds
//! no more of a worker than its mailbox.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, mpsc};

use mio::Waker;
use tokio::sync::oneshot;

use super::address::Address;
use super::connected::Connected;
use crate::config::Limits;
use crate::engine::{Family, Judged, LaneId, ListenerId, MetaCommands, Settings, Ticket};
use crate::metrics::{Durations, Labels};
use crate::policy::{Snapshot, Told};
use crate::report::advice::Counts;
use crate::server::stream::Detached;

/// What the rest of the process tells a worker.
#[derive(Debug)]
pub(in crate::server) enum Message {
    /// A client to serve.
    Client(Arrival),
    /// Work by other settings, once nothing is under way.
    Reload(Box<Reload>),
    /// What came of connecting a lane.
    Connected(LaneId, io::Result<(Detached, MetaCommands)>),
    /// Bring the metrics up to date, then say so.
    Publish(oneshot::Sender<Durations>),
    /// Say how many clients there are, and who some of them are.
    Connections(oneshot::Sender<Connected>),
    /// Say what is done with which keys, and what speaks against a step.
    Families(oneshot::Sender<Observed>),
    /// Say what was counted, in short.
    Summary(oneshot::Sender<BTreeMap<String, u64>>),
    /// What came of a look that was had apart.
    Judged(Box<Judged>),
    /// The statistics that a client waits for.
    Statistics(Ticket, Vec<u8>),
    /// Say that it is alive.
    Ping(oneshot::Sender<()>),
    /// Say which servers there are.
    Servers(oneshot::Sender<Vec<Arc<Address>>>),
    /// Finish what is owed and end; said again, take no more of what still comes.
    Drain,
    /// Give up whoever is still owed something, and say how many that were.
    CutOff(oneshot::Sender<usize>),
}

/// A client to serve.
#[derive(Debug)]
pub(in crate::server) struct Arrival {
    pub(in crate::server) socket: Detached,
    /// The listener it came by, which may be gone by now.
    pub(in crate::server) listener: ListenerId,
    /// What was found out about it.
    pub(in crate::server) told: Told,
    /// What it sent meanwhile.
    pub(in crate::server) input: Vec<u8>,
}

/// What one worker saw since its configuration was loaded.
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
    /// Of all servers that the settings name.
    pub(in crate::server) addresses: Vec<Arc<Address>>,
    pub(in crate::server) limits: Limits,
    /// Who is told of it.
    pub(in crate::server) done: oneshot::Sender<()>,
}

/// Where a worker gets its messages, and what wakes it for them.
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
        if self.messages.send(message).is_ok() {
            self.wake();
        }
    }

    /// Has the worker look around.
    pub(in crate::server) fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "worker could not be woken");
        }
    }
}

/// A mailbox that drains its worker when nobody can reach it any more.
#[derive(Debug)]
struct Reach(Mailbox);

impl Drop for Reach {
    fn drop(&mut self) {
        self.0.send(Message::Drain);
    }
}

/// How the rest of the process sees a worker.
#[derive(Debug, Clone)]
pub(in crate::server) struct Handle {
    reach: Arc<Reach>,
    /// Clients that it serves.
    pub(in crate::server) clients: Arc<AtomicUsize>,
}

impl Handle {
    /// The only way to a worker, which serves nobody yet.
    pub(super) fn new(mailbox: Mailbox) -> Self {
        Self {
            reach: Arc::new(Reach(mailbox)),
            clients: Arc::default(),
        }
    }

    /// Where its messages go, for those who do not keep it alive.
    pub(in crate::server) fn mailbox(&self) -> &Mailbox {
        &self.reach.0
    }

    /// Sends a message. A worker that ended drops it.
    pub(in crate::server) fn send(&self, message: Message) {
        self.reach.0.send(message);
    }
}
