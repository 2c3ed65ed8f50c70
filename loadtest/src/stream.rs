//! A connection to a target, over TCP or a unix socket.

use std::io;

use picklegate::config::ServerAddr;
use socket2::Socket;
use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;

/// A connected socket on a runtime.
pub(crate) type Stream = Either<TcpStream, UnixStream>;

/// Opens a connection; the system chooses the address on this side.
pub(crate) async fn connect(server: &ServerAddr) -> io::Result<Stream> {
    match server {
        ServerAddr::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            Ok(Either::Left(stream))
        }
        ServerAddr::Unix(path) => UnixStream::connect(path).await.map(Either::Right),
        ServerAddr::Tls { .. } | ServerAddr::Embedded { .. } => {
            Err(io::ErrorKind::Unsupported.into())
        }
    }
}

/// Takes a connection off its runtime; it still does not block.
pub(crate) fn detach(stream: Stream) -> io::Result<Socket> {
    match stream {
        Either::Left(stream) => stream.into_std().map(Socket::from),
        Either::Right(stream) => stream.into_std().map(Socket::from),
    }
}
