//! A server as a lane connects to it: whether it takes requests is asked first.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::config::{ServerAddr, UpstreamTls};
use crate::embedded::Embedded;
use crate::metrics::Failure;
use crate::server::lookup::Lookup;
use crate::server::stream::Stream;

/// The longest answer to the first request, in bytes.
const MAX_GREETING_BYTES: usize = 1024;
/// Reply to everything else by a server that wants a login.
const UNAUTHENTICATED: &[u8] = b"CLIENT_ERROR unauthenticated";

/// Address of a server, and how to connect to it.
#[derive(Debug, Clone)]
pub(in crate::server) struct Address {
    pub(in crate::server) server: ServerAddr,
    pub(in crate::server) embedded: Option<Embedded>,
    /// TLS settings, if the server speaks TLS.
    pub(in crate::server) tls: Option<UpstreamTls>,
    /// Shared with those of other configurations.
    pub(in crate::server) names: Arc<Lookup>,
    pub(in crate::server) connect_timeout: Duration,
    /// Bound on a server's silence while it owes a reply.
    pub(in crate::server) request_timeout: Duration,
}

/// Reasons not to use a server that accepted the connection.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(super) enum Refusal {
    /// The server wants a login. It would take the first `set` of any key for one, and
    /// all clients share the connection.
    #[error("wants a login, as memcached -Y does, and picklegate has none to give")]
    WantsLogin,
    #[error("timed out after {} ms", .0.as_millis())]
    Silent(Duration),
}

impl Refusal {
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }

    pub(super) fn failure(self) -> Failure {
        match self {
            Self::WantsLogin => Failure::Login,
            Self::Silent(_) => Failure::RequestTimeout,
        }
    }
}

impl Address {
    /// Opens a connection, within the time there is for that; also gives what the
    /// server answers to `version`.
    pub(in crate::server) async fn connect(&self) -> io::Result<(Stream, String)> {
        let (embedded, tls) = (self.embedded.as_ref(), self.tls.as_ref());
        let how = (embedded, tls);
        let connecting = Stream::connect(&self.server, how, &self.names, self.connect_timeout);
        let connected = tokio::time::timeout(self.connect_timeout, connecting).await;
        let mut stream = connected.map_err(|_| {
            let limit_ms = self.connect_timeout.as_millis();
            let message = format!("no connection after {limit_ms} ms");
            io::Error::new(io::ErrorKind::TimedOut, message)
        })??;
        let asking = async {
            match &mut stream {
                Stream::Tcp(stream) => ask_version(stream).await,
                Stream::Unix(stream) => ask_version(stream).await,
                Stream::Tls(stream) => ask_version(stream).await,
            }
        };
        let answered = tokio::time::timeout(self.request_timeout, asking).await;
        let version =
            answered.map_err(|_| io::Error::other(Refusal::Silent(self.request_timeout)))??;
        Ok((stream, version))
    }
}

/// The first request of a connection, before any of a client's: whether the server
/// takes requests at all, or wants a login.
async fn ask_version(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<String> {
    stream.write_all(b"version\r\n").await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n") {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::Error::other("closed the connection"));
        }
        if answer.len() > MAX_GREETING_BYTES {
            return Err(io::Error::other("does not answer version with a line"));
        }
    }
    if memchr::memchr(b'\n', &answer) != Some(answer.len() - 1) {
        return Err(io::Error::other("answers version with more than a line"));
    }
    if answer.starts_with(UNAUTHENTICATED) {
        return Err(io::Error::other(Refusal::WantsLogin));
    }
    let text = String::from_utf8_lossy(&answer);
    Ok(text.trim_end().to_owned())
}
