//! The shell around the engine: listeners, worker threads, the admin listener,
//! signals, reloading, and the end.
//!
//! Each worker is a thread with its own poller, its own engine and its own
//! upstream lanes; nothing on the data path is shared but the memory of recent
//! misses. The main thread accepts connections and hands each to the worker with
//! the fewest; it also connects lanes, since that may wait for a name to be looked
//! up. A worker on a runtime took 700 more instructions for a request, and three
//! times the memory for a client that idles.
//!
//! What would take a worker too long to look at is looked at by threads beside the
//! workers, which give way to them.
//!
//! A reload builds everything first; then each worker, once nothing is under way
//! in it, works by the new settings. Until then it takes no further requests,
//! which is for as long as an upstream may take to answer.

mod admin;
mod error;
mod listen;
mod lookup;
mod reload;
mod signals;
mod stream;
mod supervise;
mod systemd;
mod takeover;
mod tls;
mod worker;

use std::future::Future;
use std::io;
use std::panic;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::signal::unix::Signal;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigErrors};
use crate::engine::{Engine, Fills, ListenerIds};
use crate::metrics::{self, Publisher, Registry};
pub use admin::client::{AskError, ask_admin};
pub use error::ServeError;
pub use listen::identity::proxy;
pub use signals::Signals;

use admin::status::Status;
use listen::acceptor::Acceptor;
use listen::bound::{Bound, bind, listen};
use listen::complaints::Complaints;
use listen::identity::{ProcessFinder, Reception};
use listen::passed::Passed;
use listen::socket_file::SocketFile;
use reload::Watch;
use supervise::{Ends, Supervisor, supervision};
use systemd::Manager;
use tls::Handshakes;
use worker::address::Address;
use worker::judges::Judges;
use worker::{Colleagues, Handle, Message, Worker};

/// Bound on a worker's count of the clients that it cut off at the end. Only a stuck
/// worker takes so long.
const LAST_WORD: Duration = Duration::from_millis(200);

/// Serves by what `load` gives until SIGTERM or SIGINT, then finishes what is owed. On
/// SIGHUP, and when it changes, `file` is read again.
///
/// # Errors
/// Why serving could not start.
pub fn serve(
    load: impl FnOnce() -> Result<Config, ConfigErrors> + Send + 'static,
    file: Option<&Path>,
) -> Result<(), ServeError> {
    block_on(async {
        // Before anything that takes time: until it is handled, even SIGHUP kills.
        let mut signals = Signals::listen()?;
        let start = async {
            let config = loaded(load).await?;
            warn_of(&config);
            Server::start(config).await
        };
        let server = tokio::select! {
            started = start => started?,
            () = signals.end.asked() => {
                tracing::info!("told to end before it served");
                return Ok(());
            }
        };
        server.run(signals, file).await
    })
}

/// Loads a configuration on a thread that may block: a file may be a pipe, or on a slow
/// file system.
async fn loaded(
    load: impl FnOnce() -> Result<Config, ConfigErrors> + Send + 'static,
) -> Result<Config, ConfigErrors> {
    match tokio::task::spawn_blocking(load).await {
        Ok(loaded) => loaded,
        // The task is never cancelled, so its only error is a panic.
        Err(panicked) => panic::resume_unwind(panicked.into_panic()),
    }
}

fn warn_of(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

/// Runs a future on a runtime of this thread.
///
/// # Errors
/// What the future, or making the runtime, failed with.
pub fn block_on<T>(future: impl Future<Output = Result<T, ServeError>>) -> Result<T, ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let done = runtime.block_on(future);
    // Dropping the runtime would wait for its blocking threads, and one may be stuck in
    // a resolver that does not answer.
    runtime.shutdown_background();
    done
}

/// A running proxy.
#[derive(Debug)]
pub struct Server {
    config: Config,
    /// Listeners, in the order in which they came.
    listeners: Vec<Bound>,
    listener_ids: ListenerIds,
    registry: Registry,
    /// Addresses of all servers.
    addresses: Vec<Arc<Address>>,
    workers: Vec<Handle>,
    ended: Vec<oneshot::Receiver<()>>,
    supervisor: Supervisor,
    ends: Ends,
    /// Tasks of the admin listener and of the service manager's watchdog.
    answering: JoinSet<()>,
    /// Socket file of the admin listener, if it has one. Removed when dropped.
    admin_file: Option<SocketFile>,
    passed: Passed,
    processes: ProcessFinder,
    handshakes: Handshakes,
    manager: Manager,
    /// Ends accepting, and waiting for clients that have not sent anything.
    stopping: CancellationToken,
    status: watch::Sender<Status>,
}

impl Server {
    /// Binds every listener, starts the workers and begins to accept.
    ///
    /// # Errors
    /// What could not be bound or started.
    pub async fn start(config: Config) -> Result<Self, ServeError> {
        // Before any thread or task is started, so that no panic goes unheard.
        let (supervisor, ends) = supervision();
        supervisor.hear_panics();
        let registry = metrics::install()?;
        registry.limit_to(metrics::names(&config));
        let passed = Passed::take()?;
        // Bound before the workers start, but accepted from only at the end of this
        // function: clients of a busy port wait in the kernel's queue meanwhile.
        let mut listener_ids = ListenerIds::default();
        let mut listeners = Vec::new();
        for listener in &config.listeners {
            let listening = bind(&passed, listener, config.reuse_port).await?;
            let name = listener.admission.name.clone();
            listeners.push(Bound::new(listener_ids.mint(), name, listening));
        }
        let mut server = Self {
            addresses: Vec::new(),
            workers: Vec::new(),
            ended: Vec::new(),
            ends,
            answering: JoinSet::new(),
            admin_file: None,
            passed,
            processes: ProcessFinder::start()?,
            handshakes: Handshakes::start()?,
            manager: Manager::find(),
            supervisor,
            stopping: CancellationToken::new(),
            status: watch::Sender::new(Status::new(&config)),
            listeners,
            listener_ids,
            registry,
            config,
        };
        server.addresses = server.addresses_of(&server.config)?;
        server.start_workers()?;
        let mut admin = None;
        if let Some(addr) = &server.config.admin {
            let access = server.config.admin_access;
            let mut listening = listen(&server.passed, addr, access, false).await?;
            tracing::info!(admin = %listening.describe(), "listening");
            admin = Some(listening.describe());
            server.admin_file = listening.file.take();
            let state = admin::State {
                registry: server.registry.clone(),
                workers: server.workers.clone(),
                status: server.status.subscribe(),
                stopping: server.stopping.clone(),
            };
            let supervisor = server.supervisor.clone();
            server.answering.spawn(async move {
                if let Err(error) = admin::serve(listening, state).await {
                    supervisor.tell("admin listener", error.to_string());
                }
            });
        }
        let workers = server.workers.iter().map(Handle::mailbox).cloned();
        let watching = server.manager.clone().watch(workers.collect());
        server.answering.spawn(watching);
        server.warn_of_strangers(admin);
        server.publish_configuration();
        server.accept();
        Ok(server)
    }

    fn start_workers(&mut self) -> io::Result<()> {
        let fills = Arc::new(Fills::default());
        let started = Instant::now();
        let colleagues = Arc::new(OnceLock::new());
        let judges = Judges::start(self.config.workers)?;
        for number in 0..self.config.workers {
            let engine = Engine::new(self.settings(&self.config), Arc::clone(&fills));
            let publisher = Publisher::new(number, self.labels(&self.config));
            let (worker, handle) = Worker::new(
                engine,
                &self.addresses,
                self.config.limits,
                publisher,
                started,
                Colleagues {
                    number,
                    workers: Arc::clone(&colleagues),
                    judges: judges.clone(),
                },
            )?;
            let (end, ended) = oneshot::channel();
            self.workers.push(handle);
            self.ended.push(ended);
            let supervisor = self.supervisor.clone();
            std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || {
                    supervisor.run(&format!("worker-{number}"), || worker.run());
                    // The receiver may be gone: it is read only while draining.
                    let _ = end.send(());
                })?;
        }
        // The only place that sets it, so it cannot be set already.
        let _ = colleagues.set(self.workers.iter().map(Handle::mailbox).cloned().collect());
        Ok(())
    }

    /// Warns of passed sockets without a listener: clients that connect there would wait
    /// for ever.
    fn warn_of_strangers(&self, admin: Option<String>) {
        let listening = self.listeners.iter().map(|bound| &bound.listening);
        let used = listening.map(|listening| listening.describe());
        let used: Vec<String> = used.chain(admin).collect();
        for addr in self.passed.addresses().filter(|addr| !used.contains(addr)) {
            tracing::warn!("a socket was passed for {addr}, which no listener has");
        }
    }

    /// Begins to accept on every listener, by the configuration in force.
    fn accept(&mut self) {
        let max_connections = listen::descriptors::room_for_clients(&self.config);
        for bound in &mut self.listeners {
            // Aborting loses no client: accepting waits in one place only, before a client
            // is taken from the queue, and identification runs in tasks of its own.
            bound.accepting.abort_all();
            let Some(listener) = self.config.listener(&bound.name) else {
                continue;
            };
            let tls = listener.tls.as_ref();
            let acceptor = Acceptor {
                listening: Arc::clone(&bound.listening),
                reception: Reception {
                    admission: Arc::clone(&listener.admission),
                    tls: tls.map(|tls| (Arc::clone(&tls.server), self.handshakes.clone())),
                    processes: self.processes.clone(),
                    stopping: self.stopping.clone(),
                    complaints: Complaints::new(&bound.name),
                },
                id: bound.id,
                max_connections,
                workers: self.workers.clone(),
            };
            bound.accepting.spawn(acceptor.run());
        }
    }

    /// Serves until SIGTERM or SIGINT, then drains. On SIGHUP, and when it
    /// changes, `file` is read again.
    ///
    /// # Errors
    /// If a part ended by itself. At once and without draining: the rest would serve half
    /// of the clients, or none, while looking healthy.
    pub async fn run(mut self, signals: Signals, file: Option<&Path>) -> Result<(), ServeError> {
        let mut ends = std::mem::take(&mut self.ends);
        let Signals { mut end, hang_up } = signals;
        let served = async {
            tokio::select! {
                () = end.asked() => {}
                () = self.follow(file, hang_up) => {}
            }
            self.drain().await;
            Ok(())
        };
        tokio::select! {
            // Failures first: draining would wait for a worker that is gone.
            biased;
            ended = ends.first() => {
                tracing::error!("{ended}");
                Err(ended.into())
            }
            served = served => served,
        }
    }

    /// Reloads the file on SIGHUP and when it changes, for ever.
    async fn follow(&mut self, file: Option<&Path>, mut hang_up: Signal) {
        self.manager.ready(&self.summary());
        let mut watch =
            file.map(|file| Watch::new(file, &self.config.text, &self.config.watched()));
        loop {
            tokio::select! {
                _ = hang_up.recv() => {}
                () = reload::changed(&mut watch) => {}
            }
            // Before the reload: a change during it shows as another digest, and leads
            // to the next reload.
            let read = watch.as_ref().map(Watch::digest);
            self.manager.reloading();
            // Signals that end the process are heard meanwhile: a reload may wait for
            // a resolver, or for requests under way in a worker.
            self.reload(file).await;
            self.manager.ready(&self.summary());
            if let Some((watch, read)) = watch.as_mut().zip(read) {
                watch.follow(&self.config.watched(), read);
            }
        }
    }

    /// State of the proxy in one line, for `systemctl status`.
    fn summary(&self) -> String {
        let status = self.status.borrow();
        let failed = if status.has_failed() {
            "; the last one was not taken over, see the log"
        } else {
            ""
        };
        let (listeners, generation) = (self.config.listeners.len(), status.generation());
        format!("{listeners} listeners, configuration {generation}{failed}")
    }

    // The end --------------------------------------------------------------

    /// Stops accepting, lets every worker answer the requests under way, and cuts off what
    /// takes longer than the drain timeout. From half of it on, clients that keep sending
    /// are no longer waited for.
    pub async fn drain(mut self) {
        tracing::info!("draining");
        self.manager.stopping();
        let timeout: Duration = self.config.limits.drain_timeout;
        self.stopping.cancel();
        for bound in &mut self.listeners {
            while bound.accepting.join_next().await.is_some() {}
        }
        // Closed before the workers drain: a new client is refused at once and can try
        // another proxy, rather than wait for nobody.
        self.listeners.clear();
        let mut all = pin!(async {
            for ended in self.ended {
                // An error means that the sender is gone, and so the worker.
                let _ = ended.await;
            }
        });
        let mut is_done = false;
        for _ in 0..2 {
            for worker in &self.workers {
                worker.send(Message::Drain);
            }
            is_done = is_done || tokio::time::timeout(timeout / 2, &mut all).await.is_ok();
        }
        if !is_done {
            let workers = self.workers.iter().map(Handle::mailbox);
            let asked = worker::ask(workers, Message::CutOff);
            let cut = match tokio::time::timeout(LAST_WORD, asked).await {
                Ok(Ok(cut)) => cut.iter().sum::<usize>().to_string(),
                Ok(Err(_)) | Err(_) => "some".to_owned(),
            };
            let timeout = timeout.as_millis();
            tracing::warn!(
                "{cut} connections were cut off after {timeout} ms, still owed something"
            );
        }
        // Last: probes and scrapes are answered until nothing is served any more.
        self.admin_file = None;
        self.answering.shutdown().await;
    }
}
