//! Threads that look at values which would keep a worker's clients waiting. Clients
//! have their turns: one that reads a hundred such values delays another's by about
//! one. Knows jobs and whose they are, not what they say.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::mail::{Mailbox, Message};
use crate::engine::{Job, JobRunner};
use crate::pickle::Pause;

/// Niceness of the threads that inspect long values. Waiting a little longer is nothing
/// beside a long inspection, but much beside the small read of another client.
const NICE: i32 = 10;
/// Time for which a thread runs before it yields. The system would preempt it by itself,
/// but some kernels (Linux since 6.6) do so only at their clock tick, every 4 ms.
const SLICE: Duration = Duration::from_micros(200);
/// Time for which the memory of the last inspection is kept for the next.
const IDLE: Duration = Duration::from_secs(1);

/// A worker's number, and its client's.
type Client = (usize, u32);

/// A job, and where to tell what came of it.
#[derive(Debug)]
struct Task {
    job: Job,
    mailbox: Mailbox,
}

/// Sender of jobs. The threads end once all copies of it are gone.
#[derive(Debug, Clone)]
pub(in crate::server) struct Judges {
    tasks: mpsc::Sender<(Client, Task)>,
}

impl Judges {
    /// Starts so many threads.
    ///
    /// # Errors
    /// Where the system has none left.
    pub(in crate::server) fn start(threads: usize) -> io::Result<Self> {
        let (tasks, come) = mpsc::channel();
        let queue = Arc::new(Mutex::new(Queue {
            come,
            turns: Turns::default(),
        }));
        for number in 0..threads {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name(format!("judge-{number}"))
                .spawn(move || work(&queue))?;
        }
        Ok(Self { tasks })
    }

    /// Hands over a job of a worker.
    pub(in crate::server) fn submit(&self, worker: usize, job: Job, mailbox: &Mailbox) {
        let (client, mailbox) = ((worker, job.client()), mailbox.clone());
        // The threads end after the workers.
        let _ = self.tasks.send((client, Task { job, mailbox }));
    }
}

fn work(queue: &Mutex<Queue>) {
    // A process that may not be nicer has to do without.
    let _ = rustix::process::setpriority_process(None, NICE);
    let mut judge = JobRunner::new(Pause::with(let_others_run));
    loop {
        // Who waits for a task holds the lock: nobody else has anything to do then.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        match next {
            Ok(Task { job, mailbox }) => {
                let judged = judge.judge(job);
                mailbox.send(Message::Judged(Box::new(judged)));
            }
            Err(RecvTimeoutError::Timeout) => judge = JobRunner::new(Pause::with(let_others_run)),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

thread_local! {
    /// Time at which this thread last yielded.
    static SINCE: Cell<Instant> = Cell::new(Instant::now());
}

fn let_others_run() {
    if SINCE.get().elapsed() >= SLICE {
        thread::yield_now();
        SINCE.set(Instant::now());
    }
}

/// Queue of jobs. Workers never wait for it: they only send.
#[derive(Debug)]
struct Queue {
    come: mpsc::Receiver<(Client, Task)>,
    turns: Turns<Task>,
}

impl Queue {
    /// Waits for the next task, for a while.
    fn next(&mut self) -> Result<Task, RecvTimeoutError> {
        while let Ok((client, task)) = self.come.try_recv() {
            self.turns.add(client, task);
        }
        loop {
            if let Some(task) = self.turns.pop() {
                return Ok(task);
            }
            let (client, task) = self.come.recv_timeout(IDLE)?;
            self.turns.add(client, task);
        }
    }
}

/// Tasks by turns of the clients that have some.
#[derive(Debug)]
struct Turns<T> {
    /// Jobs by client; a client without any has no entry.
    waiting: HashMap<Client, VecDeque<T>>,
    /// Clients that have jobs, the next in turn first.
    clients: VecDeque<Client>,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self {
            waiting: HashMap::new(),
            clients: VecDeque::new(),
        }
    }
}

impl<T> Turns<T> {
    fn add(&mut self, client: Client, task: T) {
        let tasks = self.waiting.entry(client).or_default();
        if tasks.is_empty() {
            self.clients.push_back(client);
        }
        tasks.push_back(task);
    }

    fn pop(&mut self) -> Option<T> {
        let client = self.clients.pop_front()?;
        let tasks = self.waiting.get_mut(&client)?;
        let task = tasks.pop_front();
        if tasks.is_empty() {
            self.waiting.remove(&client);
        } else {
            self.clients.push_back(client);
        }
        task
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_have_their_turns_and_keep_their_own_order() {
        let mut turns = Turns::default();
        for nth in 0..4 {
            turns.add((0, 1), format!("a{nth}"));
        }
        assert_eq!(turns.pop().unwrap(), "a0");
        // The same number of another worker is another client.
        turns.add((1, 1), "b0".to_owned());
        turns.add((0, 7), "c0".to_owned());
        turns.add((0, 7), "c1".to_owned());
        let order: Vec<String> = std::iter::from_fn(|| turns.pop()).collect();
        assert_eq!(order, ["a1", "b0", "c0", "a2", "c1", "a3"]);
        assert!(turns.waiting.is_empty());
    }
}
