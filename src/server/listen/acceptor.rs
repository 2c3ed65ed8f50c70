//! Accepts the clients of one listener, finds out what they are where the listener
//! has to ask, and hands each to the worker with the fewest.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::identity::{self, Reception};
use super::seat::Seat;
use super::socket_file::BACKLOG;
use crate::engine::ListenerId;
use crate::metrics;
use crate::policy::{Source, Told};
use crate::server::stream::{Listening, Stream};
use crate::server::worker::{FIRST_WORD, Handle};

/// What memcached says to a connection too many.
const TOO_MANY: &[u8] = b"ERROR Too many open connections\r\n";
/// How long accepting pauses when the process is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One listener and where its clients go.
pub(in crate::server) struct Acceptor {
    pub(in crate::server) listening: Arc<Listening>,
    pub(in crate::server) reception: Reception,
    /// The listener's.
    pub(in crate::server) id: ListenerId,
    pub(in crate::server) max_connections: usize,
    pub(in crate::server) workers: Vec<Handle>,
}

impl Acceptor {
    /// Accepts until told to stop; then only what the system had accepted already.
    pub(in crate::server) async fn run(self) {
        while let Some(accepted) = self
            .reception
            .stopping
            .run_until_cancelled(self.listening.accept())
            .await
        {
            match accepted {
                Ok(client) => self.admit(client),
                Err(error) => {
                    self.reception.complaints.failed(&error);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        self.listening.withdraw();
        // As many as there can have been: where the address is shared, more come.
        for _ in 0..BACKLOG {
            match self.listening.accept_leftover() {
                Ok(Some(client)) => self.admit(client),
                Ok(None) => break,
                Err(error) => return self.reception.complaints.failed(&error),
            }
        }
    }

    fn admit(&self, client: Stream) {
        let Reception {
            admission,
            tls,
            complaints,
            ..
        } = &self.reception;
        let Some(seat) = self.seat() else {
            complaints.refused(self.max_connections);
            metrics::connection_refused(&admission.name);
            if tls.is_none() {
                client.refuse(TOO_MANY);
            }
            return;
        };
        let mut asked = Source::ALL
            .into_iter()
            .filter(|&source| identity::is_asked_here(source));
        if tls.is_none() && !asked.any(|source| admission.asks(source)) {
            seat.take(client, Told::default(), Vec::new());
            return;
        }
        let reception = self.reception.clone();
        tokio::spawn(async move {
            let over = async {
                reception.stopping.cancelled().await;
                tokio::time::sleep(FIRST_WORD).await;
            };
            tokio::select! {
                () = reception.identify(client, seat) => {}
                () = over => {}
            }
        });
    }

    /// A place for one more client, with the worker that has the fewest.
    fn seat(&self) -> Option<Seat> {
        let clients = |worker: &Handle| worker.clients.load(Ordering::Relaxed);
        if self.workers.iter().map(clients).sum::<usize>() >= self.max_connections {
            return None;
        }
        let worker = self.workers.iter().min_by_key(|worker| clients(worker))?;
        worker.clients.fetch_add(1, Ordering::Relaxed);
        Some(Seat {
            worker: Some(worker.clone()),
            listener: self.id,
        })
    }
}
