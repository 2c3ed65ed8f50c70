//! Notices when a part of the process ends that serves until it is told to end, and
//! every panic, wherever it is: who is left would look healthy, and serve nobody, or
//! leave somebody waiting for ever.

use std::io;
use std::panic;
use std::thread;

use tokio::sync::mpsc;

use crate::log::panic_text;

/// A part that ended, and why.
#[derive(Debug, thiserror::Error)]
#[error("{part} ended: {why}")]
pub struct Ended {
    part: String,
    why: String,
}

/// Sender of the ends of workers and tasks.
#[derive(Debug, Clone)]
pub(super) struct Supervisor(mpsc::UnboundedSender<Ended>);

/// Receiver of ends. The default receives none.
#[derive(Debug, Default)]
pub(super) struct Ends(Option<mpsc::UnboundedReceiver<Ended>>);

/// Creates both sides.
pub(super) fn supervision() -> (Supervisor, Ends) {
    // With the first message, the end begins.
    let (sender, receiver) = mpsc::unbounded_channel();
    (Supervisor(sender), Ends(Some(receiver)))
}

impl Ends {
    /// Returns with the first end that was not asked for.
    pub(super) async fn first(&mut self) -> Ended {
        if let Some(ends) = &mut self.0
            && let Some(ended) = ends.recv().await
        {
            return ended;
        }
        std::future::pending().await
    }
}

impl Supervisor {
    /// Tells of every panic from now on, also of those that a runtime or a library
    /// catches: of a task that nobody waits for, nobody else would ever hear.
    pub(super) fn hear_panics(&self) {
        let supervisor = self.clone();
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            before(panic);
            let thread = thread::current();
            let part = thread.name().unwrap_or("a thread");
            let place = panic.location().map(ToString::to_string);
            let place = place.as_deref().unwrap_or("nowhere");
            let text = panic_text(panic.payload());
            supervisor.tell(part, format!("it panicked at {place}: {text}"));
        }));
    }

    /// Runs a part that returns once it is told to end; tells of a failure.
    pub(super) fn run(&self, part: &str, work: impl FnOnce() -> io::Result<()>) {
        if let Err(error) = work() {
            self.tell(part, error.to_string());
        }
    }

    /// Tells of an end.
    pub(super) fn tell(&self, part: &str, why: String) {
        let part = part.to_owned();
        // Nobody hears it if the process ends already.
        let _ = self.0.send(Ended { part, why });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failure_is_told_and_an_end_that_was_asked_for_is_not() {
        let (supervisor, mut ends) = supervision();
        supervisor.run("worker-0", || Ok(()));
        supervisor.run("worker-1", || Err(io::ErrorKind::BrokenPipe.into()));
        let told = ends.first().await;
        assert_eq!(told.to_string(), "worker-1 ended: broken pipe");
    }

    /// The hook is the whole process's: other tests panic as well.
    #[tokio::test]
    async fn panics_of_threads_and_of_tasks_that_nobody_waits_for_are_told() {
        let (supervisor, mut ends) = supervision();
        supervisor.hear_panics();
        let mut told_of = async |text: &str| loop {
            let told = ends.first().await.to_string();
            if told.ends_with(text) {
                break told;
            }
        };
        let threads = thread::Builder::new().name("worker-7".to_owned());
        let thread = threads.spawn(|| panic!("of a thread, {}", 7)).unwrap();
        let told = told_of(": of a thread, 7").await;
        let place = concat!("it panicked at ", file!(), ":");
        assert!(
            told.starts_with(&format!("worker-7 ended: {place}")),
            "{told}"
        );
        thread.join().unwrap_err();
        drop(tokio::spawn(async { panic!("of a task") }));
        let told = told_of(": of a task").await;
        assert!(told.contains(place), "{told}");
        drop(tokio::task::spawn_blocking(|| panic!("of a resolver")));
        told_of(": of a resolver").await;
        let _ = panic::take_hook();
    }
}
