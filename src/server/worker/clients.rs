//! A worker's clients: taken in, read, written to, and let go. Who takes nothing for too
//! long is given up.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

use super::Worker;
use super::connection::Connection;
use super::mail::Arrival;
use crate::engine::{Closed, Engine, Kinds as _, MAX_UNSENT};
use crate::server::stream::Detached;

/// Reads of one client before others have their turn.
const READS_PER_TURN: usize = 4;
/// Bound on a client's taking nothing, and on its being behind at all, while the limit of
/// held replies is reached.
const PATIENCE: Duration = Duration::from_millis(250);
const LONG_PATIENCE: Duration = Duration::from_secs(2);
/// Time for which a client that was asked to go is still read after its last reply.
/// Closing with unread input would reset the connection, and the client would lose the
/// reply.
const LINGER: Duration = Duration::from_millis(500);
/// Time given at the end to a client that has sent nothing yet, or is not yet identified:
/// a client that just connected has a request on its way.
pub(in crate::server) const FIRST_WORD: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Client {
    pub(super) connection: Connection,
    /// Whether the list of clients with something to do contains this one.
    pub(super) is_listed: bool,
    /// Whether the client has sent anything.
    pub(super) has_spoken: bool,
    /// Whether the client has closed its side.
    pub(super) has_ended: bool,
    /// End of reading from a client that was told that no more replies come.
    pub(super) lingers: Option<Instant>,
}

/// A client that is owed something.
#[derive(Debug)]
pub(super) struct Stuck {
    /// Time at which the client last took some of it.
    pub(super) took: Instant,
    /// Time since which so many replies wait that the client is not read.
    pub(super) behind: Option<Instant>,
}

impl Stuck {
    pub(super) fn is_in_the_way(&self, now: Instant) -> bool {
        now - self.took >= PATIENCE
            || self
                .behind
                .is_some_and(|since| now - since >= LONG_PATIENCE)
    }

    pub(super) fn shift(&mut self, time: Duration) {
        self.took += time;
        self.behind = self.behind.map(|since| since + time);
    }
}

impl Worker {
    pub(super) fn admit(&mut self, arrival: Arrival) {
        let id = self.engine.open(arrival.listener, arrival.told);
        if let Err(error) = self.watch(arrival.socket, id as usize) {
            if let Some(before) = self.unserved.go(self.now) {
                tracing::warn!(%error, before, "client could not be served");
            }
            self.engine.close(id);
            self.serving.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        if !arrival.input.is_empty() {
            if let Some(Some(client)) = self.clients.get_mut(id as usize) {
                client.has_spoken = true;
            }
            self.engine.client_input(id, &arrival.input);
        }
        // A silent client has no event, but must be asked to go.
        if self.draining
            && let Some(Some(client)) = self.clients.get_mut(id as usize)
        {
            client.connection.look();
            list(&mut self.ready, id as usize, client);
        }
    }

    pub(super) fn watch(&mut self, socket: Detached, number: usize) -> io::Result<()> {
        // Sessions outlive their clients while a server owes them a reply, so a client
        // that reconnects faster than replies come would fill memory.
        if self.engine.sessions().len() > 2 * self.limits.max_connections + 64 {
            return Err(io::Error::other("too many connections are closing"));
        }
        let token = Token(number);
        let connection = Connection::new(socket, self.poll.registry(), token)?;
        if self.clients.len() <= number {
            self.clients.resize_with(number + 1, || None);
        }
        let client = self.clients[number].insert(Client {
            connection,
            is_listed: false,
            has_spoken: false,
            has_ended: false,
            lingers: None,
        });
        if client.connection.is_readable() {
            list(&mut self.ready, number, client);
        }
        Ok(())
    }

    /// Serves lanes and clients that have something to do. Lanes first: their replies free
    /// the room that requests need.
    pub(super) fn serve_ready(&mut self) {
        for lane in &mut self.lanes {
            lane.read(&mut self.engine, &mut self.scratch, self.now);
        }
        let spare = std::mem::take(&mut self.spare);
        let mut ready = std::mem::replace(&mut self.ready, spare);
        for client in ready.drain(..) {
            self.read_client(client);
        }
        self.spare = ready;
    }

    pub(super) fn read_client(&mut self, number: usize) {
        let Some(Some(client)) = self.clients.get_mut(number) else {
            return;
        };
        client.is_listed = false;
        let id = number as u32;
        // The event may have been about room to write.
        if !self.engine.session(id).unsent().is_empty() {
            self.engine.client_touch(id);
        }
        for _ in 0..READS_PER_TURN {
            if self.engine.session(id).paused {
                return;
            }
            match client.connection.read(&mut self.scratch) {
                Ok(None) => return self.ask_to_go(number),
                Ok(Some(0)) => {
                    client.has_ended = true;
                    return self.engine.client_eof(id);
                }
                Err(_) => return self.engine.client_gone(id),
                // What comes after the last request is read and dropped, so
                // that closing does not reset what is still on its way.
                Ok(Some(bytes)) => {
                    client.has_spoken = true;
                    self.engine.client_input(id, &self.scratch[..bytes]);
                }
            }
            if !client.connection.is_readable() {
                return self.ask_to_go(number);
            }
        }
        list(&mut self.ready, number, client);
    }

    /// Writes to clients and lanes until nothing new comes of it. A client with room again
    /// goes on asking, and a lane that is down answers at once, so each may feed the other.
    pub(super) fn flush(&mut self) {
        loop {
            let mut progress = false;
            while let Some(client) = self.engine.pop_dirty() {
                progress = true;
                self.flush_client(client);
            }
            for lane in &mut self.lanes {
                lane.flush(&mut self.engine, self.poll.registry(), self.now);
            }
            if !progress {
                break;
            }
        }
    }

    pub(super) fn flush_client(&mut self, id: u32) {
        let number = id as usize;
        let token = Token(number);
        let mut took = false;
        loop {
            if let Some(client) = &mut self.clients[number] {
                let connection = &mut client.connection;
                took |= write_client(
                    &mut self.engine,
                    connection,
                    id,
                    self.poll.registry(),
                    token,
                );
            }
            if !self.engine.resume(id) {
                break;
            }
        }
        self.watch_patience(number, took);
        let session = self.engine.session(id);
        if session.is_finished() {
            if session.is_heard_out() && self.lingers(number) {
                return;
            }
            self.clients[number] = None;
            self.engine.close(id);
            self.serving.fetch_sub(1, Ordering::Relaxed);
        } else if session.is_dead() {
            self.clients[number] = None;
        } else if !session.paused
            && let Some(client) = &mut self.clients[number]
            && client.connection.is_readable()
        {
            list(&mut self.ready, number, client);
        } else {
            self.ask_to_go(number);
        }
    }

    /// Notes the time since which a client takes nothing of its replies.
    pub(super) fn watch_patience(&mut self, number: usize, took: bool) {
        let session = self.engine.session(number as u32);
        if session.unsent().is_empty() {
            if !self.stuck.is_empty() {
                self.stuck.remove(&number);
            }
            return;
        }
        let is_behind = session.unsent().len() >= MAX_UNSENT;
        let stuck = self.stuck.entry(number).or_insert(Stuck {
            took: self.now,
            behind: None,
        });
        if took {
            stuck.took = self.now;
        }
        stuck.behind = is_behind.then_some(stuck.behind.unwrap_or(self.now));
    }

    /// Whether a client that was asked to go, and has all its replies, is still read.
    pub(super) fn lingers(&mut self, number: usize) -> bool {
        let Some(client) = &mut self.clients[number] else {
            return false;
        };
        if client.has_ended {
            return false;
        }
        if let Some(until) = client.lingers {
            return until > self.now;
        }
        if client.connection.end().is_err() {
            return false;
        }
        let until = self.now + LINGER;
        client.lingers = Some(until);
        self.lingering.push_back((until, number));
        true
    }

    /// Asks all clients to go, once what they have sent is answered. The second time, their
    /// input is cut off instead: they have taken too long.
    pub(super) fn drain(&mut self) {
        let again = std::mem::replace(&mut self.draining, true);
        self.patient_until = (!again).then(|| self.now + FIRST_WORD);
        for (number, client) in self.clients.iter_mut().enumerate() {
            let Some(client) = client else { continue };
            if again {
                self.engine.client_eof(number as u32);
            } else {
                client.connection.look();
                list(&mut self.ready, number, client);
            }
        }
    }

    /// Gives up all clients that are still owed replies, and counts them.
    pub(super) fn cut_off(&mut self) -> usize {
        let mut count = 0;
        for (number, client) in self.clients.iter().enumerate() {
            let id = number as u32;
            if let Some(client) = client
                && !self.engine.session(id).is_finished()
            {
                tracing::debug!(peer = client.connection.peer(), "client cut off");
                self.engine.give_up(id, Closed::Drain);
                count += 1;
            }
        }
        count
    }

    /// While draining, asks a client to go once all that it sent is read.
    pub(super) fn ask_to_go(&mut self, number: usize) {
        let session = self.engine.session(number as u32);
        if self.draining
            && !session.paused
            && !session.has_ended()
            && let Some(client) = &self.clients[number]
            && !client.connection.is_readable()
            && (client.has_spoken || self.patient_until.is_none())
        {
            self.engine.client_leave(number as u32);
        }
    }

    /// Gives up clients that took nothing for too long. While the limit of held bytes is
    /// reached, also gives up those that cause it, the largest first, until half is free:
    /// a few slow clients must not stop all others.
    pub(super) fn give_up_stuck(&mut self) {
        let timeout = self.limits.send_timeout;
        let mut late = self.stuck_for(timeout);
        // A map has no order, and the log should have one.
        late.sort_unstable();
        for client in late {
            self.give_up(client, Closed::SendTimeout);
        }
        if !self.engine.is_full() {
            self.full_since = None;
            return;
        }
        let full_since = *self.full_since.get_or_insert(self.now);
        let is_long = self.now - full_since >= LONG_PATIENCE;
        let most = self.limits.max_buffered_bytes / 2;
        for (_, client) in self.engine.holders() {
            if self.engine.buffered() < most {
                break;
            }
            let is_in_the_way = match self.stuck.get(&(client as usize)) {
                Some(stuck) => stuck.is_in_the_way(self.now),
                // Not owed anything, so it holds part of a request.
                None => is_long && !self.engine.session(client).is_dead(),
            };
            if is_in_the_way {
                self.give_up(client as usize, Closed::Backlog);
            }
        }
    }

    /// Clients that took nothing for `time`.
    pub(super) fn stuck_for(&self, time: Duration) -> Vec<usize> {
        let stuck = self.stuck.iter();
        let late = stuck.filter(|(_, stuck)| self.now - stuck.took >= time);
        late.map(|(&client, _)| client).collect()
    }

    pub(super) fn give_up(&mut self, number: usize, why: Closed) {
        let client = self.clients[number].as_ref();
        let peer = client.and_then(|client| client.connection.peer());
        tracing::warn!(peer, "client closed for its {}", why.name());
        self.engine.give_up(number as u32, why);
    }

    /// Closes clients that have lingered long enough.
    pub(super) fn end_lingering(&mut self) {
        while let Some(&(until, number)) = self.lingering.front()
            && until <= self.now
        {
            self.lingering.pop_front();
            // The client may be gone, and its number another's.
            let client = self.clients[number].as_ref();
            if client.is_some_and(|client| client.lingers == Some(until)) {
                self.engine.client_touch(number as u32);
            }
        }
    }

    /// Asks clients to go that were given time for a first request and sent none.
    pub(super) fn end_patience(&mut self) {
        if self.patient_until.is_some_and(|until| until <= self.now) {
            self.patient_until = None;
            for number in 0..self.clients.len() {
                if self.clients[number].is_some() {
                    self.ask_to_go(number);
                }
            }
        }
    }
}

/// Lists a client for the next turn, once.
pub(super) fn list(ready: &mut Vec<usize>, number: usize, client: &mut Client) {
    if !std::mem::replace(&mut client.is_listed, true) {
        ready.push(number);
    }
}

/// Writes as much of a client's replies as it takes. Returns whether it took any.
fn write_client(
    engine: &mut Engine,
    client: &mut Connection,
    id: u32,
    registry: &Registry,
    token: Token,
) -> bool {
    let mut took = false;
    loop {
        let unsent = engine.session(id).unsent();
        if unsent.is_empty() {
            return took;
        }
        match client.write(unsent, registry, token) {
            Ok(None) => return took,
            Ok(Some(bytes)) => {
                let all = bytes == unsent.len();
                engine.client_sent(id, bytes);
                took = true;
                if all {
                    return true;
                }
            }
            Err(_) => {
                engine.client_gone(id);
                return true;
            }
        }
    }
}
