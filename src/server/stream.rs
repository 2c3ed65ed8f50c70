//! Byte streams over TCP and unix sockets, and how they are opened.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsStream;

use super::tls::{self, Session};
use crate::config::{ListenAddr, ServerAddr, UpstreamTls};
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
    /// Opens a connection to a server.
    pub(super) async fn connect(
        server: &ServerAddr,
        embedded: Option<&Embedded>,
        tls: Option<&UpstreamTls>,
    ) -> io::Result<Self> {
        match (server, embedded, tls) {
            (ServerAddr::Tcp { host, port }, ..) => connect(host, *port).await.map(Self::Tcp),
            (ServerAddr::Tls { host, port }, _, Some(tls)) => {
                let stream = connect(host, *port).await?;
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
    pub(super) async fn secure(self, early: &[u8], config: Arc<ServerConfig>) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) => {
                let stream = tls::accept(stream, early, config).await?;
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

async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A bound listener.
#[derive(Debug)]
pub(super) enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl Listening {
    /// Whether only this machine reaches it, by TCP.
    pub(super) fn is_loopback(&self) -> bool {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .is_ok_and(|addr| addr.ip().is_loopback()),
            Self::Unix(..) => false,
        }
    }

    /// Binds an address. A unix socket that nobody listens on any more is
    /// replaced.
    pub(super) async fn bind(addr: &ListenAddr) -> io::Result<Self> {
        match addr {
            ListenAddr::Tcp(addr) => TcpListener::bind(addr).await.map(Self::Tcp),
            ListenAddr::Unix(path) => {
                if StdUnixStream::connect(path)
                    .is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
                {
                    std::fs::remove_file(path)?;
                }
                let listener = UnixListener::bind(path)?;
                Ok(Self::Unix(listener, SocketFile(path.as_path().into())))
            }
        }
    }

    /// Waits for the next client.
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok(Stream::Unix(stream))
            }
        }
    }

    /// Where it listens.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|e| e.to_string(), |a| a.to_string()),
            Self::Unix(_, file) => format!("unix:{}", file.0.display()),
        }
    }
}

/// Removes a unix socket's file when its listener goes.
#[derive(Debug)]
pub(super) struct SocketFile(Box<Path>);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may have been removed already.
        let _ = std::fs::remove_file(&self.0);
    }
}
