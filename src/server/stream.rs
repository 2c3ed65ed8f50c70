//! Byte streams over TCP and unix sockets, and how they are opened.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::config::{ListenAddr, ServerAddr};
use crate::embedded::Embedded;

/// A connection, either way.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection on its way from the acceptor's event loop to a worker's.
#[derive(Debug)]
pub(super) enum Detached {
    Tcp(std::net::TcpStream),
    Unix(StdUnixStream),
}

impl Stream {
    /// Reads what there is; `Ok(0)` at the end.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        let polled = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, &mut buf),
        };
        polled.map_ok(|()| buf.filled().len())
    }

    /// Writes as much as the socket takes.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

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
}

impl Detached {
    /// Registers the connection with the event loop of this thread.
    pub(super) fn attach(self) -> io::Result<Stream> {
        match self {
            Self::Tcp(stream) => TcpStream::from_std(stream).map(Stream::Tcp),
            Self::Unix(stream) => UnixStream::from_std(stream).map(Stream::Unix),
        }
    }

    /// Says one line to a client that is turned away.
    pub(super) fn refuse(self, line: &[u8]) {
        use std::io::Write as _;
        // Whether it still reads is its own affair.
        let _ = match self {
            Self::Tcp(mut stream) => stream.write(line),
            Self::Unix(mut stream) => stream.write(line),
        };
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
    pub(super) async fn accept(&self) -> io::Result<Detached> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                stream.into_std().map(Detached::Tcp)
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                stream.into_std().map(Detached::Unix)
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
