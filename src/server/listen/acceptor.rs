//! Accepting of one listener's clients. Each is identified, if the listener asks for that,
//! and handed to the worker with the fewest clients.

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

/// Reply to a connection over the limit, in memcached's own words.
const TOO_MANY: &[u8] = b"ERROR Too many open connections\r\n";
/// Pause of accepting while the process is out of descriptors. The connection that failed
/// stays in the kernel's queue, so accepting at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener, and the workers that get its clients.
pub(in crate::server) struct Acceptor {
    pub(in crate::server) listening: Arc<Listening>,
    pub(in crate::server) reception: Reception,
    /// Identity of the listener.
    pub(in crate::server) id: ListenerId,
    pub(in crate::server) max_connections: usize,
    pub(in crate::server) workers: Vec<Handle>,
}

impl Acceptor {
    /// Accepts until told to stop, then takes the clients that the kernel has already
    /// accepted: they may have sent requests, and closing would reset them.
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
        // The file goes first, so that no more clients come while these are taken.
        self.listening.withdraw();
        // At most as many as the queue holds: without a file to remove, more keep coming.
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
            // A TLS client would take plain text for a broken handshake.
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

    /// Reserves a place with the worker that has the fewest clients; `None` at the limit.
    fn seat(&self) -> Option<Seat> {
        // Relaxed will do: only this thread adds, and a client that leaves meanwhile
        // makes the sum too high, never too low.
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
