//! Log lines about clients that a listener turns away. At most one line of each kind a
//! second: whoever connects chooses how often there is a reason for one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two lines of a kind.
const PACE: Duration = Duration::from_secs(1);

/// Complaints of one listener, by kind.
#[derive(Debug, Clone)]
pub(in crate::server) struct Complaints {
    /// Turned away, at which limit.
    refused: Arc<Paced<usize>>,
    /// Clients that could not be accepted, with the reason.
    failed: Arc<Paced<String>>,
    /// A certificate whose tag cannot be read.
    untagged: Arc<Paced<String>>,
}

impl Complaints {
    pub(in crate::server) fn new(listener: &str) -> Self {
        Self {
            refused: Paced::new(listener, |listener, limit, before| {
                tracing::warn!(%listener, limit, before, "connections refused: max_connections");
            }),
            failed: Paced::new(listener, |listener, error, before| {
                tracing::warn!(%listener, %error, before, "client not accepted");
            }),
            untagged: Paced::new(listener, |listener, error, before| {
                tracing::warn!(%listener, %error, before, "client without a tag");
            }),
        }
    }

    pub(in crate::server) fn refused(&self, limit: usize) {
        self.refused.tell(limit);
    }

    pub(in crate::server) fn failed(&self, error: &dyn ToString) {
        self.failed.tell(error.to_string());
    }

    pub(in crate::server) fn untagged(&self, error: &dyn ToString) {
        self.untagged.tell(error.to_string());
    }
}

/// Lines of one kind. Those that come too soon are one, which comes when it may: the
/// last of them, with the number of those before it.
#[derive(Debug)]
struct Paced<W> {
    listener: Box<str>,
    say: fn(&str, &W, u64),
    state: Mutex<State<W>>,
}

#[derive(Debug)]
struct State<W> {
    /// Time of the last line.
    last: Option<Instant>,
    /// The last of those that wait, and how many there are before it. As long as there
    /// is one, a task waits to tell it.
    waits: Option<(W, u64)>,
}

impl<W: Send + 'static> Paced<W> {
    fn new(listener: &str, say: fn(&str, &W, u64)) -> Arc<Self> {
        Arc::new(Self {
            listener: listener.into(),
            say,
            state: Mutex::new(State {
                last: None,
                waits: None,
            }),
        })
    }

    fn tell(self: &Arc<Self>, what: W) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let due = state.last.map_or(now, |last| last + PACE);
        match &mut state.waits {
            Some((last, before)) => {
                *last = what;
                *before += 1;
            }
            None if due <= now => {
                state.last = Some(now);
                drop(state);
                (self.say)(&self.listener, &what, 0);
            }
            waits => {
                *waits = Some((what, 0));
                let paced = Arc::clone(self);
                tokio::spawn(async move {
                    tokio::time::sleep_until(due).await;
                    paced.tell_what_waits();
                });
            }
        }
    }

    fn tell_what_waits(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.last = Some(Instant::now());
        let waits = state.waits.take();
        drop(state);
        if let Some((what, before)) = waits {
            (self.say)(&self.listener, &what, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static SAID: Mutex<Vec<(u32, u64)>> = Mutex::new(Vec::new());

    #[tokio::test]
    async fn few_lines_are_told_and_they_count_all_though_no_other_comes() {
        let paced = Paced::new("listener", |_, what: &u32, before| {
            SAID.lock().unwrap().push((*what, before));
        });
        for what in 0..100 {
            paced.tell(what);
        }
        let said = async |what| loop {
            let said = SAID.lock().unwrap().clone();
            if said.last().is_some_and(|(last, _)| *last == what) {
                return said;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        let told = said(99).await;
        assert_eq!(told[0], (0, 0));
        assert!(told.len() < 10, "{told:?}");
        assert_eq!(told.iter().map(|(_, before)| 1 + before).sum::<u64>(), 100);
        // The next is told alone.
        paced.tell(100);
        assert_eq!(said(100).await.last(), Some(&(100, 0)));
    }
}
