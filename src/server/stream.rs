//! Byte streams over TCP and unix sockets, and how they are opened.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream, lookup_host};
use tokio::time::Instant;
use tokio_rustls::TlsStream;

use super::listen::socket_file::{BACKLOG, SocketFile};
use super::lookup::{self, Lookup};
use super::tls::{self, Handshakes, Session};
use crate::config::{ListenAddr, ServerAddr, SocketAccess, UpstreamTls};
use crate::embedded::Embedded;

/// A connection, either way, on the main thread's event loop.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection that no event loop knows: on its way to a worker, or there.
#[derive(Debug)]
pub(super) enum Detached {
    Tcp(std::net::TcpStream),
    Unix(StdUnixStream),
    Tls(Box<Session>),
}

impl Stream {
    /// Opens a connection to a server, for which there is so much time in all.
    pub(super) async fn connect(
        server: &ServerAddr,
        (embedded, tls): (Option<&Embedded>, Option<&UpstreamTls>),
        names: &Lookup,
        timeout: Duration,
    ) -> io::Result<Self> {
        match (server, embedded, tls) {
            (ServerAddr::Tcp { host, port }, ..) => {
                let addresses = names.addresses(host, *port).await?;
                lookup::connect(addresses, timeout).await.map(Self::Tcp)
            }
            (ServerAddr::Tls { host, port }, _, Some(tls)) => {
                let addresses = names.addresses(host, *port).await?;
                let stream = lookup::connect(addresses, timeout).await?;
                let stream = tls::connect(stream, host, tls).await?;
                Ok(Self::Tls(Box::new(stream)))
            }
            (ServerAddr::Unix(path), ..) => UnixStream::connect(path).await.map(Self::Unix),
            (ServerAddr::Embedded { .. }, Some(embedded), _) => embedded.connect().map(Self::Unix),
            // What they need is there where they are.
            (ServerAddr::Tls { .. } | ServerAddr::Embedded { .. }, ..) => {
                Err(io::ErrorKind::NotFound.into())
            }
        }
    }

    /// Has a client, which has sent `early` so far, go on by TLS.
    pub(super) async fn secure(
        self,
        early: &[u8],
        config: Arc<ServerConfig>,
        handshakes: &Handshakes,
        deadline: Instant,
    ) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) => {
                let stream = handshakes.accept(stream, early, config, deadline).await?;
                Ok(Self::Tls(Box::new(stream)))
            }
            // No configuration asks for it.
            Self::Unix(_) | Self::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Says one line to a client that is turned away.
    pub(super) fn refuse(self, line: &[u8]) {
        if let Ok(mut socket) = self.detach() {
            // Whether it still reads is its own affair.
            let _ = socket.write(line);
        }
    }

    /// Takes the connection off this thread's event loop.
    pub(super) fn detach(self) -> io::Result<Detached> {
        match self {
            Self::Tcp(stream) => stream.into_std().map(Detached::Tcp),
            Self::Unix(stream) => stream.into_std().map(Detached::Unix),
            Self::Tls(stream) => Session::new(*stream).map(Box::new).map(Detached::Tls),
        }
    }
}

impl Detached {
    /// Reads what there is.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buf),
            Self::Unix(stream) => stream.read(buf),
            Self::Tls(session) => session.read(buf),
        }
    }

    /// Whether a read may give something, or the end, though no event tells of it.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self, Self::Tls(session) if session.goes_on())
    }

    /// Writes as much as it takes.
    pub(super) fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(buf),
            Self::Unix(stream) => stream.write(buf),
            Self::Tls(session) => session.write(buf),
        }
    }

    /// Ends what is written.
    pub(super) fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Tls(session) => session.end(),
        }
    }

    /// The address of the other end, where it has one.
    pub(super) fn peer(&self) -> Option<String> {
        match self {
            Self::Tcp(stream) => Some(stream.peer_addr().ok()?.to_string()),
            Self::Tls(session) => Some(session.socket().peer_addr().ok()?.to_string()),
            Self::Unix(_) => None,
        }
    }
}

impl AsRawFd for Detached {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
            Self::Tls(session) => session.socket().as_raw_fd(),
        }
    }
}

/// A listener.
#[derive(Debug)]
pub(super) struct Listening {
    /// There if this process made it. It goes before the socket.
    pub(super) file: Option<SocketFile>,
    pub(super) socket: ListenSocket,
    /// Whoever passed it keeps it: what it accepts is not lost with this process.
    is_passed: bool,
}

#[derive(Debug)]
pub(super) enum ListenSocket {
    Tcp(TcpListener),
    /// And where.
    Unix(UnixListener, Box<Path>),
}

impl Listening {
    /// Whether only this machine reaches it, by TCP.
    pub(super) fn is_loopback(&self) -> bool {
        match &self.socket {
            ListenSocket::Tcp(listener) => listener
                .local_addr()
                .is_ok_and(|addr| addr.ip().is_loopback()),
            ListenSocket::Unix(..) => false,
        }
    }

    /// Binds an address; one over TCP is shared with others that also say
    /// `reuse_port`, a unix socket is for who has access.
    pub(super) async fn bind(
        addr: &ListenAddr,
        access: SocketAccess,
        reuse_port: bool,
    ) -> io::Result<Self> {
        let mut file = None;
        let socket = match addr {
            ListenAddr::Tcp(addr) => ListenSocket::Tcp(bind_tcp(addr, reuse_port).await?),
            ListenAddr::Unix(path) => {
                let (made, listener) = SocketFile::listen(path, access).await?;
                file = Some(made);
                ListenSocket::Unix(listener, path.as_path().into())
            }
        };
        Ok(Self {
            file,
            socket,
            is_passed: false,
        })
    }

    /// Listens on what was bound by somebody else.
    pub(super) fn passed_tcp(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self {
            file: None,
            socket: ListenSocket::Tcp(TcpListener::from_std(listener)?),
            is_passed: true,
        })
    }

    /// The same for a unix socket, whose file stays.
    pub(super) fn passed_unix(listener: StdUnixListener, path: &Path) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        Ok(Self {
            file: None,
            socket: ListenSocket::Unix(listener, path.into()),
            is_passed: true,
        })
    }

    /// Has nobody else come, where that can be.
    pub(super) fn withdraw(&self) {
        if let Some(file) = &self.file {
            file.remove();
        }
    }

    /// Waits for the next client.
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            ListenSocket::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            ListenSocket::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok(Stream::Unix(stream))
            }
        }
    }

    /// The next client that would be lost if the listener were closed now. A passed
    /// one has none: they wait for who comes next.
    pub(super) fn accept_leftover(&self) -> io::Result<Option<Stream>> {
        if self.is_passed {
            return Ok(None);
        }
        // What the event loop knows of may be older than the last client.
        let accepted = match &self.socket {
            ListenSocket::Tcp(listener) => {
                let listener = std::net::TcpListener::from(listener.as_fd().try_clone_to_owned()?);
                listener.accept().and_then(|(stream, _)| {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    TcpStream::from_std(stream).map(Stream::Tcp)
                })
            }
            ListenSocket::Unix(listener, _) => {
                let listener = StdUnixListener::from(listener.as_fd().try_clone_to_owned()?);
                listener.accept().and_then(|(stream, _)| {
                    stream.set_nonblocking(true)?;
                    UnixStream::from_std(stream).map(Stream::Unix)
                })
            }
        };
        match accepted {
            Ok(stream) => Ok(Some(stream)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where it listens.
    pub(super) fn describe(&self) -> String {
        match &self.socket {
            ListenSocket::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|e| e.to_string(), |a| a.to_string()),
            ListenSocket::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }
}

/// Binds the first of an address's addresses that can be bound.
async fn bind_tcp(addr: &str, reuse_port: bool) -> io::Result<TcpListener> {
    let mut failed = io::ErrorKind::AddrNotAvailable.into();
    for addr in lookup_host(addr).await? {
        let bound = if addr.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }
        .and_then(|socket| {
            socket.set_reuseaddr(true)?;
            socket.set_reuseport(reuse_port)?;
            socket.bind(addr)?;
            socket.listen(BACKLOG)
        });
        match bound {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
