//! The thread that looks processes up. Whoever is found at once is answered at once;
//! searches for others take turns with that.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::process::{Answer, Peer, Processes, Search, Wanted, since_boot};
use crate::policy::RuntimeTag;

/// Questions that are answered before a search goes on.
const QUESTIONS_PER_TURN: usize = 64;

type Asker = oneshot::Sender<Option<RuntimeTag>>;

struct Question {
    peer: Peer,
    /// Time of the request, since boot.
    asked: Duration,
    asker: Asker,
}

/// Looks processes up, on a thread of its own.
#[derive(Debug, Clone)]
pub(in crate::server) struct ProcessFinder {
    questions: Sender<Question>,
}

/// An answer to come.
#[derive(Debug)]
pub(in crate::server) struct LookUp(oneshot::Receiver<Option<RuntimeTag>>);

impl LookUp {
    /// The tag of the Python that it is, such as `python/3.11`.
    pub(super) async fn tag(self) -> Option<RuntimeTag> {
        self.0.await.ok()?
    }
}

impl ProcessFinder {
    /// Starts the thread, which ends with the last finder.
    pub(in crate::server) fn start() -> io::Result<Self> {
        let (questions, asked) = mpsc::channel();
        std::thread::Builder::new()
            .name("processes".to_owned())
            .spawn(move || Desk::default().serve(&asked))?;
        Ok(Self { questions })
    }

    /// Asks about a peer that has just connected: soon, since it may close.
    pub(in crate::server) fn look_up(&self, peer: Peer) -> LookUp {
        let (asker, answered) = oneshot::channel();
        let question = Question {
            peer,
            asked: since_boot(),
            asker,
        };
        // If the thread is gone there is no answer.
        let _ = self.questions.send(question);
        LookUp(answered)
    }
}

/// Work of the lookup thread: never more entries than connections.
#[derive(Default)]
struct Desk {
    /// Known processes. Created by the first lookup: most listeners never need one.
    processes: Option<Processes>,
    /// Connections that wait for the next search.
    waiting: Vec<Wanted<Asker>>,
    search: Option<(Search<Asker>, Instant)>,
    /// A search that found not everybody is followed by a pause as long: whoever
    /// cannot be found keeps no core busy.
    pause: Option<Instant>,
}

impl Desk {
    fn serve(mut self, questions: &Receiver<Question>) {
        loop {
            match questions.recv_timeout(self.patience()) {
                Ok(question) => self.take(question),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            for question in questions.try_iter().take(QUESTIONS_PER_TURN) {
                self.take(question);
            }
            self.go_on();
        }
    }

    /// The time to wait for a question before there is something else to do.
    fn patience(&self) -> Duration {
        if self.search.is_some() {
            Duration::ZERO
        } else if self.waiting.is_empty() {
            Duration::MAX
        } else {
            let until = self.pause.unwrap_or_else(Instant::now);
            until.saturating_duration_since(Instant::now())
        }
    }

    fn take(&mut self, question: Question) {
        let Question { peer, asked, asker } = question;
        // Whoever asked may have gone.
        if asker.is_closed() {
            return;
        }
        let processes = self.processes.get_or_insert_default();
        match processes.ask(peer, asked) {
            Answer::Tag(tag) => {
                let _ = asker.send(tag);
            }
            Answer::Search(socket, ends) => self.waiting.push(Wanted {
                who: asker,
                socket,
                ends,
                asked,
            }),
        }
    }

    /// Goes on with the search, or begins one.
    fn go_on(&mut self) {
        let processes = self.processes.get_or_insert_default();
        let now = Instant::now();
        let may_begin = self.pause.is_none_or(|until| until <= now);
        if self.search.is_none() && !self.waiting.is_empty() && may_begin {
            match processes.search(std::mem::take(&mut self.waiting)) {
                Ok(search) => self.search = Some((search, now)),
                // Those who wait hear that nothing is known.
                Err(error) => tracing::debug!(%error, "processes not listed"),
            }
        }
        let Some((search, began)) = &mut self.search else {
            return;
        };
        let mut is_lost = false;
        for (asker, tag) in processes.step(search) {
            is_lost |= tag.is_none();
            let _ = asker.send(tag);
        }
        if search.is_over() {
            self.pause = is_lost.then(|| now + began.elapsed());
            self.search = None;
        }
    }
}
