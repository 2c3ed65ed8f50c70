//! Byte streams over TCP and unix sockets, and how they are opened.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use socket2::Socket;
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

/// A connection that is registered with no Tokio runtime: on its way to a worker, or there.
#[derive(Debug)]
pub(super) enum Detached {
    Plain(Socket),
    Tls(Box<Session>),
}

impl Stream {
    /// Opens a connection to a server. Each of its addresses gets a share of `timeout`.
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
            // The configuration gives TLS settings and a cache to each address that needs
            // them.
            (ServerAddr::Tls { .. } | ServerAddr::Embedded { .. }, ..) => {
                Err(io::ErrorKind::NotFound.into())
            }
        }
    }

    /// Performs the TLS handshake with a client, whose first bytes are in `early`.
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
            // A configuration with TLS on a unix socket is refused.
            Self::Unix(_) | Self::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Sends one line to a client that is turned away.
    pub(super) fn refuse(self, line: &[u8]) {
        if let Ok(mut socket) = self.detach() {
            // Best effort, without waiting: a new socket has room for a line, and a
            // client that is gone needs none.
            let _ = socket.write(line);
        }
    }

    /// Takes the connection off this thread's event loop.
    pub(super) fn detach(self) -> io::Result<Detached> {
        match self {
            Self::Tcp(stream) => Ok(Detached::Plain(stream.into_std()?.into())),
            Self::Unix(stream) => Ok(Detached::Plain(stream.into_std()?.into())),
            Self::Tls(stream) => Session::new(*stream).map(Box::new).map(Detached::Tls),
        }
    }
}

impl Detached {
    /// Reads without waiting.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buf),
            Self::Tls(session) => session.read(buf),
        }
    }

    /// Whether a read may give bytes, or the end, without an event: a TLS session may have
    /// decrypted more than was read.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self, Self::Tls(session) if session.goes_on())
    }

    /// Writes as much as the socket takes.
    pub(super) fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(buf),
            Self::Tls(session) => session.write(buf),
        }
    }

    /// Closes the writing side.
    pub(super) fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.shutdown(Shutdown::Write),
            Self::Tls(session) => session.end(),
        }
    }

    /// The address of the other end, where it has one.
    pub(super) fn peer(&self) -> Option<String> {
        match self {
            Self::Plain(socket) => Some(socket.peer_addr().ok()?.as_socket()?.to_string()),
            Self::Tls(session) => Some(session.socket().peer_addr().ok()?.to_string()),
        }
    }
}

impl AsRawFd for Detached {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Plain(socket) => socket.as_raw_fd(),
            Self::Tls(session) => session.socket().as_raw_fd(),
        }
    }
}

/// A listener.
#[derive(Debug)]
pub(super) struct Listening {
    /// Socket file, if this process made it. Declared first, since it must be removed
    /// before the socket closes: afterwards the path may be another process's.
    pub(super) file: Option<SocketFile>,
    pub(super) socket: ListenSocket,
    /// Whether the socket was passed to the process. Its owner keeps it open, so clients in
    /// its queue are not lost with this process.
    is_passed: bool,
}

#[derive(Debug)]
pub(super) enum ListenSocket {
    Tcp(TcpListener),
    /// A listener and the path of its socket.
    Unix(UnixListener, Box<Path>),
}

impl Listening {
    /// Whether it is a TCP listener on loopback.
    pub(super) fn is_loopback(&self) -> bool {
        match &self.socket {
            ListenSocket::Tcp(listener) => listener
                .local_addr()
                .is_ok_and(|addr| addr.ip().is_loopback()),
            ListenSocket::Unix(..) => false,
        }
    }

    /// Binds an address. With `reuse_port`, other processes may share a TCP address;
    /// `access` decides who may open a unix socket.
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

    /// Takes over a socket that was passed to the process. A file stays at the end:
    /// whoever passed the socket owns it.
    pub(super) fn passed(socket: Socket, addr: &ListenAddr) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let socket = match addr {
            ListenAddr::Tcp(_) => ListenSocket::Tcp(TcpListener::from_std(socket.into())?),
            ListenAddr::Unix(path) => {
                let listener = UnixListener::from_std(socket.into())?;
                ListenSocket::Unix(listener, path.as_path().into())
            }
        };
        Ok(Self {
            file: None,
            socket,
            is_passed: true,
        })
    }

    /// Removes the socket file, so that no more clients come. A TCP address has none.
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

    /// Takes a client that would be lost if the listener were closed now. Clients of a
    /// passed listener are not: they wait for the next process.
    pub(super) fn accept_leftover(&self) -> io::Result<Option<Stream>> {
        if self.is_passed {
            return Ok(None);
        }
        let (listener, is_tcp) = match &self.socket {
            ListenSocket::Tcp(listener) => (listener.as_fd(), true),
            ListenSocket::Unix(listener, _) => (listener.as_fd(), false),
        };
        // Asked of the kernel directly: the event loop may not know the last client yet.
        let client = match Socket::from(listener.try_clone_to_owned()?).accept() {
            Ok((client, _)) => client,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        client.set_nonblocking(true)?;
        Ok(Some(if is_tcp {
            client.set_tcp_nodelay(true)?;
            Stream::Tcp(TcpStream::from_std(client.into())?)
        } else {
            Stream::Unix(UnixStream::from_std(client.into())?)
        }))
    }

    /// Address for log lines.
    pub(super) fn describe(&self) -> String {
        match &self.socket {
            ListenSocket::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|e| e.to_string(), |a| a.to_string()),
            ListenSocket::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }
}

/// Binds the first address of a name that can be bound.
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
