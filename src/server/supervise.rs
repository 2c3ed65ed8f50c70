//! Notices when a part of the process ends that serves until it is told to end: who
//! is left would look healthy, and serve nobody.

use std::io;
use std::panic::{self, AssertUnwindSafe};
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

/// Where ends are told.
#[derive(Debug, Clone)]
pub(super) struct Supervisor(mpsc::UnboundedSender<Ended>);

/// Where they are heard; by default, nothing is.
#[derive(Debug, Default)]
pub(super) struct Ends(Option<mpsc::UnboundedReceiver<Ended>>);

/// Both sides.
pub(super) fn supervision() -> (Supervisor, Ends) {
    // One message for each part at most.
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
    /// Runs a part that returns once it is told to end; tells of any other end.
    pub(super) fn run(&self, part: &str, work: impl FnOnce() -> io::Result<()>) {
        let why = match panic::catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(payload) => format!("it panicked: {}", panic_text(&*payload)),
        };
        self.tell(part, why);
    }

    /// Tells of the end of a task that panics while it holds this.
    pub(super) fn alarm(&self, part: impl Into<String>) -> Alarm {
        Alarm {
            part: part.into(),
            supervisor: self.clone(),
        }
    }

    /// Tells of an end.
    pub(super) fn tell(&self, part: &str, why: String) {
        let part = part.to_owned();
        // Nobody hears it if the process ends already.
        let _ = self.0.send(Ended { part, why });
    }
}

/// See [`Supervisor::alarm`].
#[derive(Debug)]
pub(super) struct Alarm {
    part: String,
    supervisor: Supervisor,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            self.supervisor.tell(&self.part, "it panicked".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What is told of a part that does this on a thread of its own.
    fn told_of(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Option<String> {
        let (supervisor, mut ends) = supervision();
        let worker = thread::spawn(move || supervisor.run("worker 0", work));
        worker.join().expect("a panic goes no further");
        let ended = ends.0.as_mut()?.try_recv().ok()?;
        Some(ended.to_string())
    }

    #[test]
    fn an_end_that_was_not_asked_for_is_told_with_its_cause() {
        assert_eq!(told_of(|| Ok(())), None);
        let failed = told_of(|| Err(io::ErrorKind::BrokenPipe.into()));
        assert_eq!(failed.unwrap(), "worker 0 ended: broken pipe");
        let out_of_bounds = told_of(|| {
            let none: Vec<u8> = Vec::new();
            Err(io::Error::from_raw_os_error(none[7].into()))
        });
        let told = out_of_bounds.unwrap();
        assert!(
            told.starts_with("worker 0 ended: it panicked: index out of bounds: "),
            "{told}"
        );
        assert_eq!(
            told_of(|| panic!("{}", 7)).unwrap(),
            "worker 0 ended: it panicked: 7"
        );
    }

    #[tokio::test]
    async fn a_task_that_panics_is_told_of_and_one_that_ends_is_not() {
        let (supervisor, mut ends) = supervision();
        let alarm = |part: &str| supervisor.alarm(part);
        let [done, stopped, broken] = ["done", "stopped", "broken"].map(alarm);
        tokio::spawn(async move { drop(done) }).await.unwrap();
        let task = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(600)).await;
            drop(stopped);
        });
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        let task = tokio::spawn(async move {
            let _alarm = broken;
            tokio::task::yield_now().await;
            panic!("of this test");
        });
        assert!(task.await.unwrap_err().is_panic());
        assert_eq!(ends.first().await.to_string(), "broken ended: it panicked");
        assert!(ends.0.unwrap().try_recv().is_err());
    }
}
