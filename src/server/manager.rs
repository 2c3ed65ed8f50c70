//! Tells a service manager how it goes, where one asked for it (`NOTIFY_SOCKET`).

use std::time::Duration;

use sd_notify::NotifyState;

use super::worker::{self, Mailbox, Message};

/// Everything listens and is served by a configuration, which `status` names.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A configuration is read; [`ready`] follows.
pub(super) fn reloading() {
    // Who asked for the reload wants to know when it began.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "no clock to tell of the reload by"),
    }
}

/// The end has begun.
pub(super) fn stopping() {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("finishing what is owed"),
    ]);
}

/// Says that all workers are alive, twice in each of the manager's intervals and only
/// if they are, until dropped.
pub(super) async fn watch(workers: Vec<Mailbox>) {
    let Some(interval) = sd_notify::watchdog_enabled() else {
        return;
    };
    // A watchdog of 0 is none, but a timer of 0 would not be a timer.
    let mut due = tokio::time::interval((interval / 2).max(Duration::from_millis(1)));
    loop {
        due.tick().await;
        match worker::ask(workers.iter(), Message::Ping).await {
            Ok(_) => tell(&[NotifyState::Watchdog]),
            Err(silent) => tracing::error!("the watchdog is not told: {silent}"),
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
