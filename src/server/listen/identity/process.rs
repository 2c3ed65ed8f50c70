//! Process at the other end of a connection, found by the socket that it holds. Asks the
//! peer nothing, opens no connection.
//!
//! Finds processes on this machine only, that are in view (in Kubernetes: a shared
//! process namespace) and whose `/proc` entries may be read (those of the same
//! user, or with `CAP_SYS_PTRACE`). Everything else has no tag.
//!
//! The kernel tells a socket's inode and user, but not which process has it open. The
//! processes that had recent sockets are tried first, beginning at the descriptor
//! seen last, because pools reconnect from the same process. Only a new process is
//! searched for among all, in [`Search`]es that other lookups can overtake.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use procfs::process::{Process, Stat};
use procfs::{ProcError, ProcResult};
use rustix::time::{ClockId, clock_gettime};

use super::python::Programs;
use super::sockets::{Ends, Open, Sockets, ends};
use crate::policy::RuntimeTag;

/// Most processes remembered.
const MAX_KNOWN: usize = 4096;
/// Descriptors that are read before a search, at a microsecond or two each.
const MAX_QUICK_LINKS: usize = 256;
/// Descriptors that a search reads before other lookups have their turn.
const LINKS_PER_STEP: usize = 256;
/// Sockets that a step of a search asks the kernel about again. A client that has closed
/// its socket would otherwise be searched for to the end.
const ASKED_PER_STEP: usize = 16;
/// Generations of processes through which one socket is followed back.
const MAX_ANCESTORS: usize = 8;

/// The other end of a connection, as far as its socket tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Peer {
    /// On a unix socket.
    Unix {
        /// The process that connected, by `SO_PEERCRED`; 0 if it is not in view.
        pid: i32,
    },
    /// On a TCP socket.
    Tcp {
        /// Address of the client.
        client: SocketAddr,
        /// Address of ours that the client connected to.
        server: SocketAddr,
    },
}

/// Time since boot, suspended time included, as the start times of processes are.
pub(super) fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

/// Result of the quick part of a lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Final answer: `None` if the peer is no Python, is on another machine, has closed
    /// already or cannot be inspected.
    Tag(Option<RuntimeTag>),
    /// No known process has this socket: all have to be searched.
    Search(Open, Ends),
}

/// The processes seen so far and their Pythons.
#[derive(Debug, Default)]
pub(super) struct Processes {
    sockets: Sockets,
    programs: Programs,
    /// The last one first. `known.len() <= MAX_KNOWN`
    known: Vec<Known>,
    /// Processes that existed at the last search. Others are new, and searched first.
    before: HashSet<i32>,
}

#[derive(Debug)]
struct Known {
    pid: i32,
    program: Program,
    /// `None` if it is no Python.
    tag: Option<RuntimeTag>,
    /// User and descriptor of its last TCP socket that was looked up: the next one is
    /// probably near.
    uid: Option<u32>,
    descriptor: u32,
}

/// Identity of one program in one process, told from others that had the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Program {
    /// Start of the process, in ticks since boot.
    start_time: u64,
    /// Start of the stack, which is random: `execve` keeps the process but not this.
    stack_start: u64,
}

impl Program {
    fn of(stat: &Stat) -> Self {
        Self {
            start_time: stat.starttime,
            stack_start: stat.startstack,
        }
    }
}

/// A descriptor of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    pid: i32,
    descriptor: u32,
}

impl Processes {
    /// Looks up a peer that connected before `asked` (time since boot) among the
    /// processes that are known. Takes less than a millisecond, except for a program that
    /// was never inspected.
    pub(super) fn ask(&mut self, peer: Peer, asked: Duration) -> Answer {
        let ends = match peer {
            Peer::Unix { pid } => return Answer::Tag(self.tag_of(pid, asked)),
            Peer::Tcp { client, server } => ends(client, server),
        };
        let Some(socket) = self.find(ends) else {
            return Answer::Tag(None);
        };
        if let Some(held) = self.holder(socket) {
            return Answer::Tag(self.tag_of_holder(held, socket, asked));
        }
        // Asked again before a search of all processes is paid for: a client that closed
        // meanwhile needs none.
        match self.find(ends) {
            Some(socket) => Answer::Search(socket, ends),
            None => Answer::Tag(None),
        }
    }

    fn find(&mut self, ends: Ends) -> Option<Open> {
        let found = self.sockets.find(ends).unwrap_or_else(|error| {
            tracing::debug!(%error, "socket of a peer not looked up");
            None
        });
        if found.is_none() {
            tracing::debug!(?ends, "no socket of this machine, or closed");
        }
        found
    }

    /// The known process that has a socket open, if a few reads find it. Processes of the
    /// socket's user come first, and of each the descriptor of its last socket.
    fn holder(&self, Open { inode, uid }: Open) -> Option<Held> {
        let own = self.known.iter().filter(|known| known.uid == Some(uid));
        let others = self.known.iter().filter(|known| known.uid != Some(uid));
        let order = own.chain(others);
        let mut guesses = order.clone().take(MAX_QUICK_LINKS).map(|known| Held {
            pid: known.pid,
            descriptor: known.descriptor,
        });
        if let Some(held) = guesses.find(|held| held.inode() == Some(inode)) {
            return Some(held);
        }
        let descriptors = order.flat_map(|known| descriptors(known.pid));
        descriptors
            .take(MAX_QUICK_LINKS)
            .find(|held| held.inode() == Some(inode))
    }

    fn tag_of_holder(&mut self, held: Held, socket: Open, asked: Duration) -> Option<RuntimeTag> {
        let Held { pid, descriptor } = eldest(held, socket.inode);
        let tag = self.tag_of(pid, asked);
        if let Some(known) = self.known.first_mut().filter(|known| known.pid == pid) {
            known.uid = Some(socket.uid);
            known.descriptor = descriptor;
        }
        tag
    }

    fn tag_of(&mut self, pid: i32, asked: Duration) -> Option<RuntimeTag> {
        self.look_up(pid, asked).unwrap_or_else(|error| {
            tracing::debug!(pid, %error, "peer process not identified");
            None
        })
    }

    fn look_up(&mut self, pid: i32, asked: Duration) -> ProcResult<Option<RuntimeTag>> {
        if pid <= 0 {
            return Ok(None);
        }
        let process = Process::new(pid)?;
        // Read before the program is inspected. If `execve` replaces it in between, the
        // tag is remembered under an identity that no lookup finds again.
        let program = Program::of(&process.stat()?);
        // One tick of grace, as start times are rounded to ticks. A process that started
        // later cannot have connected: the peer is gone, and its pid was reused.
        let latest = asked.as_secs_f64() * procfs::ticks_per_second() as f64 + 1.0;
        if program.start_time as f64 > latest {
            return Err(ProcError::Other("its pid was another process's".into()));
        }
        if let Some(at) = self.known.iter().position(|known| known.pid == pid) {
            if self.known[at].program == program {
                self.known[..=at].rotate_right(1);
                return Ok(self.known[0].tag.clone());
            }
            self.known.remove(at);
        }
        let tag = self.programs.look_at(&process)?;
        tracing::debug!(pid, tag = ?tag.as_ref().map(ToString::to_string), "process identified");
        self.remember(Known {
            pid,
            program,
            tag: tag.clone(),
            uid: None,
            descriptor: 0,
        });
        Ok(tag)
    }

    fn remember(&mut self, known: Known) {
        self.known.truncate(MAX_KNOWN - 1);
        self.known.insert(0, known);
    }

    /// Begins to search all processes for these sockets.
    pub(super) fn search<T>(&mut self, wanted: Vec<Wanted<T>>) -> io::Result<Search<T>> {
        self.known.retain(|known| is_there(known.pid));
        let ours = std::process::id().cast_signed();
        let all: HashSet<i32> = pids()?.filter(|pid| *pid != ours).collect();
        let known: HashSet<i32> = self.known.iter().map(|known| known.pid).collect();
        let (mut new, mut old): (Vec<_>, Vec<_>) = all
            .difference(&known)
            .partition(|pid| !self.before.contains(pid));
        new.sort_unstable();
        old.sort_unstable();
        // Taken from the end: new processes first, since a known one was just tried and
        // an old one has had its chance in an earlier search.
        let mut pids = old;
        pids.extend(self.known.iter().rev().map(|known| known.pid));
        pids.extend(new);
        self.before = all;
        let wanted = wanted.into_iter().map(|one| (one.socket.inode, one));
        Ok(Search {
            wanted: wanted.collect(),
            pids,
        })
    }

    /// Continues a search. Returns the connections that are decided; at the end of the
    /// search, the remaining ones without a tag.
    pub(super) fn step<T>(&mut self, search: &mut Search<T>) -> Vec<(T, Option<RuntimeTag>)> {
        let mut found = Vec::new();
        let mut links = 0;
        while links < LINKS_PER_STEP
            && !search.is_over()
            && let Some(pid) = search.pids.pop()
        {
            links += 1;
            for held in descriptors(pid) {
                links += 1;
                let inode = held.inode();
                if let Some(one) = inode.and_then(|inode| search.wanted.remove(&inode)) {
                    let tag = self.tag_of_holder(held, one.socket, one.asked);
                    found.push((one.who, tag));
                    if search.is_over() {
                        break;
                    }
                }
            }
        }
        let asked = search.wanted.values().take(ASKED_PER_STEP);
        let asked: Vec<_> = asked.map(|one| (one.socket.inode, one.ends)).collect();
        for (inode, ends) in asked {
            if self.find(ends).is_none()
                && let Some(closed) = search.wanted.remove(&inode)
            {
                found.push((closed.who, None));
            }
        }
        if search.pids.is_empty() {
            for (_, one) in search.wanted.drain() {
                tracing::debug!(ends = ?one.ends, "no process in view has the peer's socket");
                found.push((one.who, None));
            }
        }
        found
    }
}

/// A connection whose process is searched for.
#[derive(Debug)]
pub(super) struct Wanted<T> {
    pub(super) who: T,
    pub(super) socket: Open,
    pub(super) ends: Ends,
    /// Time of the request, since boot.
    pub(super) asked: Duration,
}

/// A search of all processes for some sockets.
#[derive(Debug)]
pub(super) struct Search<T> {
    /// Connections not found yet, by inode.
    wanted: HashMap<u64, Wanted<T>>,
    /// Processes still to be searched, the next one last.
    pids: Vec<i32>,
}

impl<T> Search<T> {
    pub(super) fn is_over(&self) -> bool {
        self.wanted.is_empty()
    }
}

impl Held {
    /// Inode of the socket behind the descriptor, if it is a socket.
    fn inode(self) -> Option<u64> {
        let Self { pid, descriptor } = self;
        let link = fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).ok()?;
        let link = link.into_os_string().into_string().ok()?;
        // "socket:[<inode>]"
        let inode = link.strip_prefix("socket:[")?.strip_suffix(']')?;
        inode.parse().ok()
    }
}

/// Descriptors of a process; none if it has ended, or belongs to another user.
fn descriptors(pid: i32) -> impl Iterator<Item = Held> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"));
    // Not procfs's iterator, which takes four system calls for a descriptor.
    let names = entries.into_iter().flatten().map_while(Result::ok);
    names.filter_map(move |entry| {
        let descriptor = entry.file_name().to_str()?.parse().ok()?;
        Some(Held { pid, descriptor })
    })
}

/// Process that had the socket first. A child inherits descriptors under the same
/// numbers, and may run another Python.
fn eldest(mut held: Held, inode: u64) -> Held {
    for _ in 0..MAX_ANCESTORS {
        let parent = Process::new(held.pid).and_then(|process| process.stat());
        let Ok(Stat { ppid: pid, .. }) = parent else {
            break;
        };
        let elder = Held { pid, ..held };
        if elder.inode() != Some(inode) {
            break;
        }
        held = elder;
    }
    held
}

fn is_there(pid: i32) -> bool {
    fs::metadata(format!("/proc/{pid}")).is_ok()
}

/// Processes in view.
fn pids() -> io::Result<impl Iterator<Item = i32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()))
}

#[cfg(test)]
mod tests;
