//! One socket as a worker's poller sees it: read and written without waiting,
//! with what its last events said. Events tell of changes only, so whoever
//! leaves something unread has to come back by itself.

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
    /// There may be something to read.
    readable: bool,
    /// The other end sends no more: what is left is read up to the end.
    ended: bool,
    /// It did not take all once, so that events tell when it takes more.
    watched_for_room: bool,
}

impl Connection {
    /// Has a socket watched; its events bear this token.
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

    /// Has it read once more, whatever its events said.
    pub(in crate::server) fn look(&mut self) {
        self.readable = true;
    }

    /// Tells the other end that no more comes, and goes on listening.
    pub(in crate::server) fn end(&mut self) -> io::Result<()> {
        self.socket.end()
    }

    /// Whether there may be something to read that no event will tell of.
    pub(in crate::server) fn is_readable(&self) -> bool {
        self.readable
    }

    /// Reads what there is, `Some(0)` at the end; `None` if that is nothing, and
    /// an event tells of more.
    pub(in crate::server) fn read(&mut self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        if !self.readable {
            return Ok(None);
        }
        let read = without_waiting(|| self.socket.read(buf));
        // A short read says that no more is there, but for an end.
        self.readable = match read {
            Ok(Some(bytes)) => {
                bytes == buf.len() || (bytes > 0 && (self.ended || self.socket.goes_on()))
            }
            Ok(None) | Err(_) => false,
        };
        read
    }

    /// Writes as much as the socket takes; `None` if that is nothing, and an
    /// event tells when it takes more.
    pub(in crate::server) fn write(
        &mut self,
        buf: &[u8],
        registry: &Registry,
        token: Token,
    ) -> io::Result<Option<usize>> {
        let written = without_waiting(|| self.socket.write(buf))?;
        if written.is_none() && !self.watched_for_room {
            // Not from the start: a unix socket would tell of every read at its
            // other end.
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
