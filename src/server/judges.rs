//! Threads that look at values which would keep a worker's clients waiting. Clients
//! have their turns: one that reads a hundred such values delays another's by about
//! one. Knows jobs and whose they are, not what they say.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use super::worker::{Mailbox, Message};
use crate::engine::{Job, Judge};

/// How much sooner the system lets others run: what somebody waits for a long look
/// is little beside the look, but much beside a small read.
const NICE: i32 = 10;
/// How long what the last look needed is kept for the next.
const IDLE: Duration = Duration::from_secs(1);

/// A job, whose it is, and where to tell what came of it.
#[derive(Debug)]
struct Task {
    /// A worker's number, and its client's.
    client: (usize, u32),
    job: Job,
    mailbox: Mailbox,
}

/// Where workers leave jobs. The threads end once all of these are gone.
#[derive(Debug, Clone)]
pub(super) struct Judges {
    tasks: mpsc::Sender<Task>,
}

impl Judges {
    /// Starts so many threads.
    ///
    /// # Errors
    /// Where the system has none left.
    pub(super) fn start(threads: usize) -> io::Result<Self> {
        let (tasks, come) = mpsc::channel();
        let come = Arc::new(Mutex::new(Queue::new(come)));
        for number in 0..threads {
            let queue = Arc::clone(&come);
            thread::Builder::new()
                .name(format!("judge-{number}"))
                .spawn(move || work(&queue))?;
        }
        Ok(Self { tasks })
    }

    /// Has a worker's job done.
    pub(super) fn submit(&self, worker: usize, job: Job, mailbox: &Mailbox) {
        // The threads end after the workers.
        let _ = self.tasks.send(Task {
            client: (worker, job.client()),
            job,
            mailbox: mailbox.clone(),
        });
    }
}

fn work(queue: &Mutex<Queue>) {
    // A process that may not be nicer has to do without.
    let _ = rustix::process::setpriority_process(None, NICE);
    let mut judge = Judge::default();
    loop {
        // Who waits for a task holds the lock: nobody else has anything to do then.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        match next {
            Ok(Task { job, mailbox, .. }) => {
                let judged = judge.judge(job);
                mailbox.send(Message::Judged(Box::new(judged)));
            }
            Err(RecvTimeoutError::Timeout) => judge = Judge::default(),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Tasks by turns of their clients. Workers never wait for it: they only send.
#[derive(Debug)]
struct Queue {
    come: mpsc::Receiver<Task>,
    /// Of each client that has some.
    waiting: HashMap<(usize, u32), VecDeque<Task>>,
    turns: VecDeque<(usize, u32)>,
}

impl Queue {
    fn new(come: mpsc::Receiver<Task>) -> Self {
        Self {
            come,
            waiting: HashMap::new(),
            turns: VecDeque::new(),
        }
    }

    /// Waits for the next task, for a while.
    fn next(&mut self) -> Result<Task, RecvTimeoutError> {
        while let Ok(task) = self.come.try_recv() {
            self.add(task);
        }
        loop {
            if let Some(task) = self.pop() {
                return Ok(task);
            }
            let task = self.come.recv_timeout(IDLE)?;
            self.add(task);
        }
    }

    /// A task of the client whose turn it is.
    fn pop(&mut self) -> Option<Task> {
        let client = self.turns.pop_front()?;
        let tasks = self.waiting.get_mut(&client)?;
        let task = tasks.pop_front();
        if tasks.is_empty() {
            self.waiting.remove(&client);
        } else {
            self.turns.push_back(client);
        }
        task
    }

    fn add(&mut self, task: Task) {
        let client = task.client;
        let tasks = self.waiting.entry(client).or_default();
        if tasks.is_empty() {
            self.turns.push_back(client);
        }
        tasks.push_back(task);
    }
}
