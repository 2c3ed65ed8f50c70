//! Byte streams over TCP and unix sockets, and how they are opened.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::config::{ListenAddr, ServerAddr};
use crate::embedded::Embedded;

/// A connection, either way, on the main thread's event loop.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection that no event loop knows: on its way to a worker, or there.
#[derive(Debug)]
pub(super) enum Detached {
    Tcp(std::net::TcpStream),
    Unix(StdUnixStream),
}

impl Stream {
    /// Opens a connection to a server.
    pub(super) async fn connect(
        server: &ServerAddr,
        embedded: Option<&Embedded>,
    ) -> io::Result<Self> {
        match (server, embedded) {
            (ServerAddr::Tcp { host, port }, _) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
            (ServerAddr::Unix(path), _) => UnixStream::connect(path).await.map(Self::Unix),
            (ServerAddr::Embedded { .. }, Some(embedded)) => embedded.connect().map(Self::Unix),
            (ServerAddr::Embedded { .. }, None) => Err(io::ErrorKind::NotFound.into()),
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
        }
    }
}

impl Detached {
    /// Reads what there is.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buf),
            Self::Unix(stream) => stream.read(buf),
        }
    }

    /// Writes as much as it takes.
    pub(super) fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(buf),
            Self::Unix(stream) => stream.write(buf),
        }
    }

    /// The address of the other end, where it has one.
    pub(super) fn peer(&self) -> Option<String> {
        match self {
            Self::Tcp(stream) => Some(stream.peer_addr().ok()?.to_string()),
            Self::Unix(_) => None,
        }
    }
}

impl AsRawFd for Detached {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
        }
    }
}

/// A bound listener.
#[derive(Debug)]
pub(super) enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl Listening {
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
