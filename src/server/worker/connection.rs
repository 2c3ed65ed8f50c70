//! One socket that a worker's poller watches, read and written without waiting. Events are
//! edge-triggered: a reader that leaves bytes unread gets no second event for them.

use std::io;
use std::os::fd::AsRawFd as _;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::server::stream::Detached;

/// A connection that a worker's poller watches.
#[derive(Debug)]
pub(in crate::server) struct Connection {
    socket: Detached,
    /// Whether there may be something to read.
    readable: bool,
    /// Whether the other end has closed; the rest is still to be read.
    ended: bool,
    /// Whether the poller reports room to write. Set once the socket took less than all.
    watched_for_room: bool,
}

impl Connection {
    /// Registers a socket with the poller under this token.
    pub(in crate::server) fn new(
        socket: Detached,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        registry.register(
            &mut SourceFd(&socket.as_raw_fd()),
            token,
            Interest::READABLE,
        )?;
        Ok(Self {
            readable: socket.goes_on(),
            socket,
            ended: false,
            watched_for_room: false,
        })
    }

    /// The address of the other end, where it has one.
    pub(in crate::server) fn peer(&self) -> Option<String> {
        self.socket.peer()
    }

    /// Takes note of an event.
    pub(in crate::server) fn notice(&mut self, event: &Event) {
        self.ended |= event.is_read_closed() || event.is_error();
        self.readable |= event.is_readable() || self.ended;
    }

    /// Has the socket read once more, with or without an event.
    pub(in crate::server) fn look(&mut self) {
        self.readable = true;
    }

    /// Closes the writing side only.
    pub(in crate::server) fn end(&mut self) -> io::Result<()> {
        self.socket.end()
    }

    /// Whether there may be something to read without an event for it.
    pub(in crate::server) fn is_readable(&self) -> bool {
        self.readable
    }

    /// Reads without waiting: `Some(0)` at the end, `None` if there is nothing yet and an
    /// event will come.
    pub(in crate::server) fn read(&mut self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        if !self.readable {
            return Ok(None);
        }
        let read = without_waiting(|| self.socket.read(buf));
        // A short read has emptied the socket, so the call that would say so is saved. The
        // end is no bytes, so it needs another read, and a TLS session may hold more.
        self.readable = match read {
            Ok(Some(bytes)) => {
                bytes == buf.len() || (bytes > 0 && (self.ended || self.socket.goes_on()))
            }
            Ok(None) | Err(_) => false,
        };
        read
    }

    /// Writes as much as the socket takes: `None` if it takes nothing, and an event will
    /// come when it does.
    pub(in crate::server) fn write(
        &mut self,
        buf: &[u8],
        registry: &Registry,
        token: Token,
    ) -> io::Result<Option<usize>> {
        let written = without_waiting(|| self.socket.write(buf))?;
        if written.is_none() && !self.watched_for_room {
            // Not from the start: a unix socket has an event for every read at its other
            // end.
            registry.reregister(
                &mut SourceFd(&self.socket.as_raw_fd()),
                token,
                Interest::READABLE | Interest::WRITABLE,
            )?;
            self.watched_for_room = true;
        }
        Ok(written)
    }
}

/// `None` where the call would have to wait.
fn without_waiting(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
