//! The shell around the engine: listeners, worker threads, the admin listener,
//! signals, and the end.
//!
//! Each worker is a thread with its own poller, its own engine and its own
//! upstream lanes; nothing on the data path is shared. The main thread accepts
//! connections and hands each to the worker with the fewest; it also connects
//! lanes, since that may wait for a name to be looked up. A worker on a runtime
//! took 700 more instructions for a request, and three times the memory for a client
//! that idles.

mod admin;
mod connection;
mod identity;
mod stream;
mod upstream;
mod worker;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::config::{Config, ServerAddr};
use crate::embedded::Embedded;
use crate::engine::Engine;
use crate::metrics::{self, Labels, Publisher};
use crate::policy::Identity;
use stream::{Detached, Listening};
use upstream::Address;
use worker::{Handle, Message, Worker};

/// What memcached says to a connection too many.
const TOO_MANY: &[u8] = b"ERROR Too many open connections\r\n";
/// How long accepting pauses when the process is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why serving did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address that cannot be listened on.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// As configured.
        addr: String,
        /// What the system said.
        source: io::Error,
    },
    /// The process's metrics are taken.
    #[error("cannot install metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// Threads, signals, runtimes.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// Serves until SIGTERM or SIGINT, then finishes what is owed.
///
/// # Errors
/// Why serving could not start.
pub fn serve(config: &Config) -> Result<(), ServeError> {
    block_on(async {
        Server::start(config)
            .await?
            .run(config.limits.drain_timeout)
            .await
    })
}

/// Runs a future on a runtime of this thread.
///
/// # Errors
/// What the future, or making the runtime, failed with.
pub fn block_on<T>(future: impl Future<Output = Result<T, ServeError>>) -> Result<T, ServeError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(future)
}

/// A running proxy.
#[derive(Debug)]
pub struct Server {
    accepting: JoinSet<()>,
    workers: Vec<Handle>,
    ended: Vec<oneshot::Receiver<()>>,
}

impl Server {
    /// Binds every listener, starts the workers and begins to accept.
    ///
    /// # Errors
    /// What could not be bound or started.
    pub async fn start(config: &Config) -> Result<Self, ServeError> {
        let prometheus = metrics::install()?;
        let rules = config.snapshot.rules.iter();
        metrics::configuration_loaded(1, rules.map(|rule| (&*rule.prefix, rule.isolated_share())));
        let mut bound = Vec::new();
        for listener in &config.listeners {
            let listening =
                Listening::bind(&listener.addr)
                    .await
                    .map_err(|source| ServeError::Bind {
                        addr: listener.name.clone(),
                        source,
                    })?;
            tracing::info!(listener = %listening.describe(), runtime = %listener.runtime, "listening");
            bound.push(listening);
        }
        let addresses = server_addresses(config)?;
        let (workers, ended) = start_workers(config, &addresses)?;
        let mut accepting = JoinSet::new();
        if let Some(addr) = &config.admin {
            let listening = Listening::bind(addr)
                .await
                .map_err(|source| ServeError::Bind {
                    addr: addr.to_string(),
                    source,
                })?;
            tracing::info!(admin = %listening.describe(), "listening");
            let state = admin::State::new(prometheus, workers.clone(), addresses);
            accepting.spawn(admin::serve(listening, state));
        }
        for (origin, (listening, listener)) in bound.into_iter().zip(&config.listeners).enumerate()
        {
            let acceptor = Acceptor {
                listening,
                name: listener.name.clone(),
                identity: listener.identity,
                origin,
                max_connections: config.limits.max_connections,
                workers: workers.clone(),
            };
            accepting.spawn(acceptor.run());
        }
        Ok(Self {
            accepting,
            workers,
            ended,
        })
    }

    /// Serves until SIGTERM or SIGINT, then drains.
    ///
    /// # Errors
    /// If signals cannot be waited for.
    pub async fn run(self, drain_timeout: Duration) -> Result<(), ServeError> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        self.drain(drain_timeout).await;
        Ok(())
    }

    /// Stops accepting, lets every worker finish what it owes, and gives up on
    /// what takes longer than `timeout`.
    pub async fn drain(mut self, timeout: Duration) {
        tracing::info!("draining");
        self.accepting.shutdown().await;
        for worker in &self.workers {
            worker.send(Message::Drain);
        }
        let all = async {
            for ended in self.ended {
                // An error, too, says that it ended.
                let _ = ended.await;
            }
        };
        if tokio::time::timeout(timeout, all).await.is_err() {
            tracing::warn!(
                "some connections did not finish in {} ms",
                timeout.as_millis()
            );
        }
    }
}

/// The servers, and what is needed to connect to each.
fn server_addresses(config: &Config) -> io::Result<Vec<Arc<Address>>> {
    let address = |server: &ServerAddr| {
        let embedded = match server {
            ServerAddr::Embedded { bytes } => Some(Embedded::start(*bytes)?),
            ServerAddr::Tcp { .. } | ServerAddr::Unix(_) => None,
        };
        Ok(Arc::new(Address {
            server: server.clone(),
            embedded,
            connect_timeout: config.limits.connect_timeout,
        }))
    };
    config.upstream.servers.iter().map(address).collect()
}

type Workers = (Vec<Handle>, Vec<oneshot::Receiver<()>>);

fn start_workers(config: &Config, addresses: &[Arc<Address>]) -> io::Result<Workers> {
    let servers: Vec<String> = config
        .upstream
        .servers
        .iter()
        .map(ToString::to_string)
        .collect();
    let codec = &config.snapshot.codec;
    let name = |space| match codec.name(space) {
        "" => "bare".to_owned(),
        name => name.to_owned(),
    };
    let labels = Labels {
        origins: config
            .listeners
            .iter()
            .map(|listener| (listener.name.clone(), name(listener.identity.space)))
            .collect(),
        spaces: codec.spaces().map(name).collect(),
    };
    let mut workers = Workers::default();
    for number in 0..config.workers {
        let snapshot = Arc::clone(&config.snapshot);
        let engine = Engine::new(
            snapshot,
            &servers,
            config.upstream.connections,
            labels.origins.len(),
        );
        let publisher = Publisher::new(number, labels.clone());
        let lanes = lanes(addresses, config.upstream.connections);
        let (worker, handle) = Worker::new(engine, &lanes, config.limits, publisher)?;
        let (end, ended) = oneshot::channel();
        workers.0.push(handle);
        workers.1.push(ended);
        std::thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || {
                if let Err(error) = worker.run() {
                    tracing::error!(%error, "worker failed");
                }
                // Nobody waits for it before the end.
                let _ = end.send(());
            })?;
    }
    Ok(workers)
}

/// What each lane of an engine connects to, in the engine's order.
fn lanes(servers: &[Arc<Address>], connections: usize) -> Vec<Arc<Address>> {
    let normal = servers
        .iter()
        .flat_map(|server| std::iter::repeat_n(server, connections));
    normal.chain(servers).cloned().collect()
}

/// One listener and where its clients go.
struct Acceptor {
    listening: Listening,
    name: String,
    identity: Identity,
    origin: usize,
    max_connections: usize,
    workers: Vec<Handle>,
}

impl Acceptor {
    async fn run(self) {
        loop {
            match self.listening.accept().await {
                Ok(client) => self.admit(client),
                Err(error) => {
                    tracing::warn!(listener = %self.name, %error, "client not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(&self, client: Detached) {
        let loads = self
            .workers
            .iter()
            .map(|worker| worker.clients.load(Ordering::Relaxed));
        if loads.sum::<usize>() >= self.max_connections {
            tracing::debug!(listener = %self.name, limit = self.max_connections, "client refused");
            metrics::connection_refused(&self.name);
            client.refuse(TOO_MANY);
            return;
        }
        let idlest = self
            .workers
            .iter()
            .min_by_key(|worker| worker.clients.load(Ordering::Relaxed));
        if let Some(worker) = idlest {
            worker.clients.fetch_add(1, Ordering::Relaxed);
            worker.send(Message::Client(client, self.identity, self.origin));
        }
    }
}
