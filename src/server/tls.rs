//! TLS: handshakes with clients, on a thread of their own; handshakes with servers, on the
//! main thread's event loop; and the sessions after them, which a worker reads and writes
//! without waiting.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{Connection, ServerConfig, ServerConnection};
use tokio::runtime;
use tokio::time::Instant;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use crate::config::UpstreamTls;

/// Bound on the time from a client's connection to the end of its handshake, with a
/// proxy's header before it. Such a client occupies a seat without having shown anything.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Handshakes that advance before timers are checked. Each may take milliseconds with a
/// large key, so the default of 61 would let deadlines pass unnoticed.
const STEPS_PER_LOOK: u32 = 8;
/// Largest plaintext of a TLS record.
pub(super) const RECORD_BYTES: usize = 16 << 10;
/// Plaintext that a session takes before its socket has taken the ciphertext: whole
/// records.
const MAX_HELD_BYTES: usize = 4 * RECORD_BYTES;

/// Performs the TLS handshake with a server.
///
/// # Errors
/// If either end refuses the other.
pub(super) async fn connect(
    stream: tokio::net::TcpStream,
    host: &str,
    tls: &UpstreamTls,
) -> io::Result<TlsStream<tokio::net::TcpStream>> {
    let name = match &tls.server_name {
        Some(name) => name.clone(),
        None => ServerName::try_from(host.to_owned()).map_err(io::Error::other)?,
    };
    let connecting = TlsConnector::from(Arc::clone(&tls.client)).connect(name, stream);
    let connected = connecting.await.map_err(|error| {
        let kind = error.kind();
        io::Error::new(kind, format!("TLS handshake failed: {error}"))
    });
    Ok(connected?.into())
}

/// The thread that makes the handshakes of all clients. Signing with a large key takes
/// milliseconds; a burst of clients occupies this thread only, while workers serve on.
#[derive(Debug, Clone)]
pub(super) struct Handshakes {
    runtime: runtime::Handle,
    _alive: Arc<DropGuard>,
}

impl Handshakes {
    /// Starts the thread, which ends with the last of these.
    ///
    /// # Errors
    /// Where the system has no thread or poller left.
    pub(super) fn start() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .event_interval(STEPS_PER_LOOK)
            .build()?;
        let handle = runtime.handle().clone();
        let ended = CancellationToken::new();
        let alive = Arc::new(ended.clone().drop_guard());
        std::thread::Builder::new()
            .name("handshakes".to_owned())
            .spawn(move || runtime.block_on(ended.cancelled()))?;
        Ok(Self {
            runtime: handle,
            _alive: alive,
        })
    }

    /// Performs the TLS handshake with a client, whose first bytes are in `early`.
    ///
    /// # Errors
    /// If either end refuses the other, or at the deadline; `UnexpectedEof` if the client
    /// closed.
    pub(super) async fn accept(
        &self,
        stream: tokio::net::TcpStream,
        early: &[u8],
        config: Arc<ServerConfig>,
        deadline: Instant,
    ) -> io::Result<TlsStream<tokio::net::TcpStream>> {
        let stream = stream.into_std()?;
        let early = early.to_vec();
        let shaking = self.runtime.spawn(async move {
            let stream = tokio::net::TcpStream::from_std(stream)?;
            let mut begun = Ok(());
            let accepting = TlsAcceptor::from(config).accept_with(stream, |session| {
                begun = begin(session, &early);
            });
            begun?;
            tokio::select! {
                // The deadline first: a client past it must not cost another signature.
                biased;
                () = tokio::time::sleep_until(deadline) => Err(too_slow()),
                accepted = accepting => Ok(accepted?.into()),
            }
        });
        let shaken = AbortOnDropHandle::new(shaking).await;
        shaken.map_err(io::Error::other)?
    }
}

/// Error for a client whose handshake took too long.
pub(super) fn too_slow() -> io::Error {
    let limit_ms = HANDSHAKE_TIMEOUT.as_millis();
    let message = format!("no TLS handshake after {limit_ms} ms");
    io::Error::new(io::ErrorKind::TimedOut, message)
}

/// Feeds a session the bytes that were read with a proxy's header.
fn begin(session: &mut ServerConnection, mut early: &[u8]) -> io::Result<()> {
    // A session that was closed by its peer takes nothing: 0 ends the loop.
    while !early.is_empty() && session.read_tls(&mut early)? > 0 {
        session.process_new_packets().map_err(invalid)?;
    }
    Ok(())
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Certificate chain that a client presented, its own first.
pub(super) fn certificates(
    stream: &TlsStream<tokio::net::TcpStream>,
) -> &[CertificateDer<'static>] {
    let (_, session) = stream.get_ref();
    session.peer_certificates().unwrap_or_default()
}

/// A connection by TLS after its handshake.
#[derive(Debug)]
pub(super) struct Session {
    socket: TcpStream,
    tls: Connection,
    /// The session took one more byte than was told: see [`Self::write`].
    holds_back: bool,
    /// The other end sends no more.
    is_over: bool,
    goes_on: bool,
}

impl Session {
    /// Takes a connection off the main thread's event loop.
    pub(super) fn new(stream: TlsStream<tokio::net::TcpStream>) -> io::Result<Self> {
        let (socket, mut tls) = match stream {
            TlsStream::Client(stream) => {
                let (socket, tls) = stream.into_inner();
                (socket, Connection::from(tls))
            }
            TlsStream::Server(stream) => {
                let (socket, tls) = stream.into_inner();
                (socket, Connection::from(tls))
            }
        };
        tls.set_buffer_limit(Some(MAX_HELD_BYTES));
        Ok(Self {
            socket: socket.into_std()?,
            tls,
            holds_back: false,
            is_over: false,
            // The last read of the handshake may have taken requests with it, for which
            // the poller has no event.
            goes_on: true,
        })
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Whether another read may give more, or the end, though no event tells of it.
    pub(super) fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// Reads what there is, into a buffer of four records at least: plaintext from its
    /// beginning on, while its last part takes what comes from the socket. Whether
    /// the other end said goodbye or just went is all the same to memcache, whose
    /// requests and replies tell their own ends.
    ///
    /// # Errors
    /// Those of the socket, and those of the session, which then has ended.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (plain, wire) = buf.split_at_mut(buf.len() - RECORD_BYTES);
        let mut filled = self.decrypted(plain)?;
        self.goes_on = true;
        // There is room for all that comes of one more read, and of the beginning of
        // a record that came before.
        while !self.is_over && plain.len() - filled >= 2 * RECORD_BYTES {
            let came = match self.socket.read(wire) {
                Ok(came) => came,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && filled > 0 => {
                    self.goes_on = false;
                    break;
                }
                Err(error) => return Err(error),
            };
            self.is_over = came == 0;
            let mut rest = &wire[..came];
            // What comes after a goodbye is nobody's.
            while !rest.is_empty() && !self.is_over {
                self.is_over = self.tls.read_tls(&mut rest)? == 0;
                let processed = self.tls.process_new_packets();
                // What the session has to say itself: new keys, or why it ends. If
                // there is no room for it now, it goes before what is written next.
                let _ = self.push();
                processed.map_err(invalid)?;
                filled += self.decrypted(&mut plain[filled..])?;
            }
            // As from a plain socket: less than was asked for says that an event tells
            // of more.
            if (1..wire.len()).contains(&came) && filled > 0 && !self.is_over {
                self.goes_on = false;
                break;
            }
        }
        Ok(filled)
    }

    /// Takes what is decrypted already.
    fn decrypted(&mut self, plain: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < plain.len() {
            match self.tls.reader().read(&mut plain[filled..]) {
                Ok(0) => {
                    self.is_over = true;
                    break;
                }
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Writes as much as the session takes. While the socket has not taken all of
    /// that, one byte less is told: whoever waits until everything is written waits
    /// for the socket, too, and comes back when it has room.
    ///
    /// # Errors
    /// Those of the socket, [`io::ErrorKind::WouldBlock`] included.
    pub(super) fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.push()?;
        if std::mem::take(&mut self.holds_back) {
            return Ok(1);
        }
        let taken = self.tls.writer().write(buf)?;
        match self.push() {
            Err(error) if is_for_later(&error) => {
                self.holds_back = taken > 0;
                match taken {
                    0 | 1 => Err(error),
                    _ => Ok(taken - 1),
                }
            }
            pushed => pushed.map(|()| taken),
        }
    }

    /// Says goodbye and ends what is written.
    ///
    /// # Errors
    /// Those of the socket.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.tls.send_close_notify();
        self.push()?;
        self.socket.shutdown(Shutdown::Write)
    }

    /// Writes pending records to the socket.
    fn push(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            if self.tls.write_tls(&mut self.socket)? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}

/// Whether a call only has to be made again.
fn is_for_later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// Says goodbye, if the socket takes it at once.
impl Drop for Session {
    fn drop(&mut self) {
        self.tls.send_close_notify();
        let _ = self.push();
    }
}
