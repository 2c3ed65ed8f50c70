//! Identification of a client by something other than its memcache requests: [`proxy`]
//! reads a header that a load balancer or sidecar writes first, [`certificate`] the
//! certificate shown when TLS begins, [`process`] asks the system for the client's
//! process, off the workers' threads by [`lookup`].

mod certificate;
mod lookup;
mod process;
pub mod proxy;
mod python;
mod sockets;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics;
use crate::policy::{Admission, RuntimeTag, Source, Tag, Told};
use crate::server::listen::complaints::Complaints;
use crate::server::listen::seat::Seat;
use crate::server::stream::Stream;
use crate::server::tls::{self, Handshakes};
use certificate::CertificateError;
pub(in crate::server) use lookup::ProcessFinder;
use process::Peer;
use proxy::{Parsed, ProxyError};

/// Bound on receiving a header, from its first byte on.
const HEADER_TIMEOUT: Duration = Duration::from_secs(1);

/// Whether a source is for this room to ask.
pub(in crate::server) fn is_asked_here(source: Source) -> bool {
    source != Source::Hello
}

/// Steps between accepting a client and handing it to a worker: handshake, header,
/// lookup.
#[derive(Debug, Clone)]
pub(in crate::server) struct Reception {
    pub(in crate::server) admission: Arc<Admission>,
    /// Present if the listener speaks TLS.
    pub(in crate::server) tls: Option<(Arc<ServerConfig>, Handshakes)>,
    pub(in crate::server) processes: ProcessFinder,
    /// Ends waiting for clients that have not sent anything.
    pub(in crate::server) stopping: CancellationToken,
    pub(in crate::server) complaints: Complaints,
}

impl Reception {
    /// Identifies a client and hands it to a worker. A proxy's header comes first, as it is
    /// sent before TLS begins. At shutdown, clients that have sent nothing are dropped.
    pub(in crate::server) async fn identify(&self, mut client: Stream, seat: Seat) {
        let Self {
            admission,
            tls,
            stopping,
            complaints,
            ..
        } = self;
        // Started first, and awaited last: the process may close its end before a header
        // or handshake is done, and the search runs beside both.
        let peer = admission.asks(Source::Process).then(|| client.local_peer());
        let process = peer.flatten().map(|peer| self.processes.look_up(peer));
        let mut input = Vec::new();
        let mut told = Told::default();
        let mut tell = |source, runtime| told.tell(Tag { runtime, source });
        // One deadline for header and handshake, so that a slow header buys no time.
        let deadline = Instant::now() + tls::HANDSHAKE_TIMEOUT;
        if admission.asks(Source::ProxyProtocol) {
            let reading = read_header(&mut client, &mut input, stopping);
            let read = match tls {
                Some(_) => tokio::time::timeout_at(deadline, reading).await,
                None => Ok(reading.await),
            };
            let too_slow = |_| {
                metrics::tls_handshake_failed(&admission.name);
                Err(tls::too_slow().into())
            };
            match read.unwrap_or_else(too_slow) {
                Ok(Some(runtime)) => tell(Source::ProxyProtocol, runtime),
                Ok(None) => {}
                // Health checks connect and close: nothing to complain of.
                Err(HeaderError::Closed) => return,
                Err(error) => return complaints.failed(&error),
            }
        }
        if let Some((config, handshakes)) = tls {
            let securing = client.secure(&input, Arc::clone(config), handshakes, deadline);
            let secured = stopping.run_until_cancelled(securing);
            client = match secured.await {
                Some(Ok(client)) => client,
                // No request was read, so nothing is owed.
                None => return,
                // A health check, as above.
                Some(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return,
                Some(Err(error)) => {
                    metrics::tls_handshake_failed(&admission.name);
                    return complaints.failed(&error);
                }
            };
            input.clear();
            if admission.asks(Source::Certificate) {
                match client.certified_tag() {
                    Ok(None) => {}
                    Ok(Some(runtime)) => tell(Source::Certificate, runtime),
                    Err(error) => complaints.untagged(&error),
                }
            }
        }
        if let Some(process) = process
            && let Some(runtime) = process.tag().await
        {
            tell(Source::Process, runtime);
        }
        seat.take(client, told, input);
    }
}

/// Failures of reading a header.
#[derive(Debug, thiserror::Error)]
enum HeaderError {
    #[error("bad PROXY header: {0}")]
    Bad(#[from] ProxyError),
    #[error("no whole PROXY header after {} ms", HEADER_TIMEOUT.as_millis())]
    TooSlow,
    #[error("closed before it was whole")]
    Closed,
    #[error(transparent)]
    Lost(#[from] io::Error),
}

/// Takes a PROXY header off a connection, if there is one; what else was read is
/// in `input`.
async fn read_header(
    client: &mut Stream,
    input: &mut Vec<u8>,
    stopping: &CancellationToken,
) -> Result<Option<RuntimeTag>, HeaderError> {
    // No time limit for the first byte: pools connect in advance, and stay silent until
    // they have a request.
    tokio::select! {
        biased;
        read = read_some(client, input) => read?,
        () = stopping.cancelled() => return Err(HeaderError::Closed),
    }
    let header = async {
        loop {
            match proxy::parse(input)? {
                Parsed::NotProxy => return Ok(None),
                Parsed::Partial => read_some(client, input).await?,
                Parsed::Whole { total, tag } => {
                    input.drain(..total);
                    return Ok(tag.and_then(|tag| RuntimeTag::parse(&tag).ok()));
                }
            }
        }
    };
    let read = tokio::time::timeout(HEADER_TIMEOUT, header).await;
    read.unwrap_or(Err(HeaderError::TooSlow))
}

async fn read_some(client: &mut Stream, input: &mut Vec<u8>) -> Result<(), HeaderError> {
    let read = match client {
        Stream::Tcp(stream) => stream.read_buf(input).await,
        Stream::Unix(stream) => stream.read_buf(input).await,
        Stream::Tls(stream) => stream.read_buf(input).await,
    };
    match read {
        Ok(0) => Err(HeaderError::Closed),
        Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Stream {
    /// Tag in the client's certificate, if it presented one that names a tag.
    fn certified_tag(&self) -> Result<Option<RuntimeTag>, CertificateError> {
        match self {
            Self::Tls(stream) => match tls::certificates(stream) {
                [] => Ok(None),
                [own, ..] => certificate::tag_of(own),
            },
            Self::Tcp(_) | Self::Unix(_) => Ok(None),
        }
    }

    /// Identity of the other end in the system's own terms, if it is on this machine.
    fn local_peer(&self) -> Option<Peer> {
        let tcp = |stream: &TcpStream| {
            Some(Peer::Tcp {
                client: stream.peer_addr().ok()?,
                server: stream.local_addr().ok()?,
            })
        };
        match self {
            Self::Tcp(stream) => tcp(stream),
            Self::Tls(stream) => tcp(stream.get_ref().0),
            Self::Unix(stream) => Some(Peer::Unix {
                pid: stream.peer_cred().ok()?.pid()?,
            }),
        }
    }
}
