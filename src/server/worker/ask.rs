//! Asks all workers, and waits for none that is stuck.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::oneshot;

use super::mail::{Mailbox, Message};

/// Bound on a worker's answer; only a stuck worker takes so long. Probes should wait a
/// little longer, to hear which one it is.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// A worker that does not answer: it ended, or is stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("worker {worker} has not answered for {} ms", ANSWER_TIMEOUT.as_millis())]
pub(in crate::server) struct Silent {
    worker: usize,
}

/// Asks all workers.
///
/// # Errors
/// If one does not answer in time: what the others say is not all.
pub(in crate::server) async fn ask<'w, T>(
    workers: impl Iterator<Item = &'w Mailbox>,
    question: impl Fn(oneshot::Sender<T>) -> Message,
) -> Result<Vec<T>, Silent> {
    let deadline = tokio::time::Instant::now() + ANSWER_TIMEOUT;
    let asked = workers.map(|worker| {
        let (answer, answered) = oneshot::channel();
        worker.send(question(answer));
        answered
    });
    let mut answers = Vec::new();
    for (worker, answered) in asked.collect::<Vec<_>>().into_iter().enumerate() {
        match tokio::time::timeout_at(deadline, answered).await {
            Ok(Ok(answer)) => answers.push(answer),
            Ok(Err(_)) | Err(_) => return Err(Silent { worker }),
        }
    }
    Ok(answers)
}

/// The sums of all workers, as `STAT` lines.
pub(super) async fn statistics(workers: &[Mailbox]) -> Vec<u8> {
    let mut lines = format!("STAT version {}\r\n", env!("CARGO_PKG_VERSION"));
    match ask(workers.iter(), Message::Summary).await {
        Ok(summaries) => {
            let mut sums = BTreeMap::new();
            for (name, count) in summaries.into_iter().flatten() {
                *sums.entry(name).or_insert(0) += count;
            }
            let sums = sums.iter();
            lines.extend(sums.map(|(name, count)| format!("STAT {name} {count}\r\n")));
        }
        Err(silent) => lines.extend([format!("STAT unknown {silent}\r\n")]),
    }
    lines.into_bytes()
}
