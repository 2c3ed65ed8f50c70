//! Notifications to a service manager, if it asked for them (`NOTIFY_SOCKET`). Serving never
//! waits for a manager that does not listen.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram as StdUnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::net::UnixDatagram;
use tokio::sync::mpsc;

use super::worker::{self, Mailbox, Message};

/// Messages that wait until the manager has taken those before: a reload is two.
const MAX_WAITING: usize = 16;

/// The service manager, if there is one.
#[derive(Debug, Clone)]
pub(super) struct Manager(Option<mpsc::Sender<String>>);

impl Manager {
    /// Finds the manager in the environment. Call within a runtime.
    pub(super) fn find() -> Self {
        Self(env::var_os("NOTIFY_SOCKET").map(listener))
    }

    /// Tells that all listeners serve the configuration that `status` names.
    pub(super) fn ready(&self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// Tells that a reload began; [`Self::ready`] follows.
    pub(super) fn reloading(&self) {
        // The manager matches the answer to its request by this time.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!(%error, "no clock for the time of the reload"),
        }
    }

    /// Tells that draining began.
    pub(super) fn stopping(&self) {
        self.tell(&[
            NotifyState::Stopping,
            NotifyState::Status("finishing what is owed"),
        ]);
    }

    /// Tells, twice in each of the manager's intervals, that all workers are alive. If one
    /// is not, tells nothing, so that the manager restarts the process.
    pub(super) async fn watch(self, workers: Vec<Mailbox>) {
        let Some(interval) = sd_notify::watchdog_enabled() else {
            return;
        };
        // An interval of 0 means no watchdog, and a timer of 0 panics.
        let mut due = tokio::time::interval((interval / 2).max(Duration::from_millis(1)));
        loop {
            due.tick().await;
            match worker::ask(workers.iter(), Message::Ping).await {
                Ok(_) => self.alive(),
                Err(silent) => tracing::error!("the watchdog is not told: {silent}"),
            }
        }
    }

    /// Tells that the process is alive, unless earlier messages wait: sent late, it would
    /// claim life for a moment at which nobody checked.
    fn alive(&self) {
        let waits = |messages: &mpsc::Sender<String>| messages.capacity() < MAX_WAITING;
        if !self.0.as_ref().is_some_and(waits) {
            self.tell(&[NotifyState::Watchdog]);
        }
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        let Some(messages) = &self.0 else {
            return;
        };
        let lines: Vec<String> = states.iter().map(ToString::to_string).collect();
        if messages.try_send(lines.join("\n")).is_err() {
            tracing::warn!("the service manager was not told: it does not listen");
        }
    }
}

/// Starts a task that receives at a socket and sends on all that it gets.
fn listener(at: OsString) -> mpsc::Sender<String> {
    let (messages, mut waiting) = mpsc::channel::<String>(MAX_WAITING);
    tokio::spawn(async move {
        while let Some(message) = waiting.recv().await {
            if let Err(error) = send(&at, message.as_bytes()).await {
                tracing::warn!(%error, "the service manager could not be told");
            }
        }
    });
    messages
}

async fn send(at: &OsStr, message: &[u8]) -> io::Result<()> {
    let addr = match at.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(at)?,
    };
    let socket = StdUnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&addr)?;
    UnixDatagram::from_std(socket)?.send(message).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[tokio::test]
    async fn a_manager_that_does_not_listen_is_not_waited_for_and_hears_of_what_matters() {
        let dir = TempDir::new().unwrap();
        let at = dir.path().join("notify");
        let socket = StdUnixDatagram::bind(&at).unwrap();
        let manager = Manager(Some(listener(at.into())));
        // The system holds some in advance.
        for _ in 0..1000 {
            manager.alive();
            tokio::task::yield_now().await;
        }
        manager.ready("listening");
        manager.stopping();
        let socket = UnixDatagram::from_std({
            socket.set_nonblocking(true).unwrap();
            socket
        });
        let socket = socket.unwrap();
        let mut pings = 0;
        let rest = loop {
            let mut message = [0; 256];
            let length = socket.recv(&mut message).await.unwrap();
            match std::str::from_utf8(&message[..length]).unwrap() {
                "WATCHDOG=1" => pings += 1,
                other => break other.to_owned(),
            }
        };
        assert!(pings > 0 && pings < 900, "{pings}");
        assert_eq!(rest, "READY=1\nSTATUS=listening");
        let mut message = [0; 256];
        let length = socket.recv(&mut message).await.unwrap();
        assert!(message[..length].starts_with(b"STOPPING=1\n"));
    }

    #[tokio::test]
    async fn what_does_not_fit_is_dropped_and_a_manager_that_is_gone_is_no_end() {
        let manager = Manager(Some(listener("/nowhere/notify".into())));
        for _ in 0..2 * MAX_WAITING {
            manager.ready("listening");
        }
        let Some(messages) = &manager.0 else { panic!() };
        assert_eq!(messages.capacity(), 0);
        while messages.capacity() < MAX_WAITING {
            tokio::task::yield_now().await;
        }
        Manager(None).ready("listening");
    }
}
