//! An in-process memcached, for trying things out: one store, and the thread
//! that serves all of its connections. Knows sockets and the time of day;
//! commands are the session's.
//!
//! It answers as memcached 1.6.18 does, except that a bad store's body is
//! swallowed and that no slab classes are behind `me` and `stats`.

mod meta;
mod reply;
mod session;
mod store;

use std::cell::RefCell;
use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::rc::Rc;
use std::thread;
use std::time::{Instant, SystemTime};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use reply::Context;
pub use session::Session;
use store::Store;

/// Bytes asked for in one read.
const READ_BYTES: usize = 16 << 10;

/// A handle to an in-process cache, which ends with its last handle.
#[derive(Debug, Clone)]
pub struct Embedded {
    connections: mpsc::UnboundedSender<StdUnixStream>,
}

impl Embedded {
    /// Starts a cache of about this many bytes, of 4 MiB at least.
    ///
    /// # Errors
    /// Where the system has no thread or no poller left.
    pub fn start(bytes: u64) -> io::Result<Self> {
        let (connections, accepted) = mpsc::unbounded_channel();
        let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
        thread::Builder::new()
            .name("embedded".to_owned())
            .spawn(move || {
                LocalSet::new().block_on(&runtime, serve(bytes, accepted));
            })?;
        Ok(Self { connections })
    }

    /// Opens a connection to the cache. Call it within a runtime.
    ///
    /// # Errors
    /// Where the system has no descriptor left.
    pub fn connect(&self) -> io::Result<UnixStream> {
        let (client, server) = StdUnixStream::pair()?;
        client.set_nonblocking(true)?;
        server.set_nonblocking(true)?;
        self.connections
            .send(server)
            .map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        UnixStream::from_std(client)
    }
}

/// The cache alone: no thread, no socket and no clock.
#[derive(Debug)]
pub struct Cache {
    store: Store,
}

impl Cache {
    /// An empty cache of about this many bytes, of 4 MiB at least.
    pub fn new(bytes: u64) -> Self {
        Self {
            store: Store::new(bytes),
        }
    }

    /// Answers what it can of a connection's `input` at the unix second `now`
    /// and returns how many bytes that took. If that left replies in `out`,
    /// there may be more to answer without new input; if not, there is not.
    pub fn serve(
        &mut self,
        session: &mut Session,
        now: u64,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> usize {
        let store = &mut self.store;
        session.serve(Context { store, now, out }, input)
    }
}

/// The state that every connection shares.
#[derive(Debug)]
struct Shared {
    cache: RefCell<Cache>,
    started: Instant,
    /// The unix second of the start.
    epoch: u64,
}

impl Shared {
    fn new(bytes: u64) -> Self {
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            cache: RefCell::new(Cache::new(bytes)),
            started: Instant::now(),
            epoch: epoch.unwrap_or_default().as_secs(),
        }
    }

    /// [`Cache::serve`], now.
    fn serve(&self, session: &mut Session, input: &[u8], out: &mut Vec<u8>) -> usize {
        // Never goes back, whatever the system's clock does.
        let now = self.epoch + self.started.elapsed().as_secs();
        self.cache.borrow_mut().serve(session, now, input, out)
    }
}

async fn serve(bytes: u64, mut accepted: mpsc::UnboundedReceiver<StdUnixStream>) {
    let shared = Rc::new(Shared::new(bytes));
    while let Some(stream) = accepted.recv().await {
        let shared = Rc::clone(&shared);
        tokio::task::spawn_local(async move {
            let stream = UnixStream::from_std(stream)?;
            serve_connection(&shared, stream).await
        });
    }
}

/// Serves one connection until either side leaves it.
async fn serve_connection(
    shared: &Shared,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut session = Session::default();
    let mut input = BytesMut::new();
    let mut out = Vec::new();
    loop {
        loop {
            input.advance(shared.serve(&mut session, &input, &mut out));
            if out.is_empty() {
                break;
            }
            stream.write_all(&out).await?;
            out.clear();
        }
        input.reserve(READ_BYTES);
        if session.is_closed() || stream.read_buf(&mut input).await? == 0 {
            return stream.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_runtime<F: Future>(future: F) -> F::Output {
        runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(future)
    }

    async fn ask(stream: &mut UnixStream, request: &str) -> String {
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.write_all(b"mn\r\n").await.unwrap();
        let mut reply = Vec::new();
        while !reply.ends_with(b"MN\r\n") {
            assert_ne!(stream.read_buf(&mut reply).await.unwrap(), 0);
        }
        reply.truncate(reply.len() - 4);
        String::from_utf8(reply).unwrap()
    }

    #[test]
    fn connections_share_one_store() {
        let cache = Embedded::start(1 << 20).unwrap();
        let other = cache.clone();
        let elsewhere = thread::spawn(move || {
            on_runtime(async {
                let mut stream = other.connect().unwrap();
                ask(&mut stream, "set k 0 0 1\r\nv\r\n").await
            })
        });
        assert_eq!(elsewhere.join().unwrap(), "STORED\r\n");
        on_runtime(async {
            let mut stream = cache.connect().unwrap();
            let reply = ask(&mut stream, "get k\r\n").await;
            assert_eq!(reply, "VALUE k 0 1\r\nv\r\nEND\r\n");
        });
    }

    #[test]
    fn a_reader_that_lags_holds_up_its_own_connection_only() {
        let cache = Embedded::start(8 << 20).unwrap();
        on_runtime(async {
            let mut slow = cache.connect().unwrap();
            let mut quick = cache.connect().unwrap();
            let value = "x".repeat(1_000_000);
            let set = format!("set k 0 0 1000000\r\n{value}\r\n");
            assert_eq!(ask(&mut slow, &set).await, "STORED\r\n");
            let gets = "get k k k k k\r\n".repeat(20);
            slow.write_all(gets.as_bytes()).await.unwrap();
            assert_eq!(ask(&mut quick, "delete k\r\n").await, "DELETED\r\n");
            let replies = ask(&mut slow, "").await;
            assert_eq!(replies.matches("END\r\n").count(), 20);
            assert!(replies.len() < 40_000_000, "most of it was not yet made");
        });
    }

    #[test]
    fn quit_closes_and_the_last_handle_ends_the_thread() {
        let cache = Embedded::start(0).unwrap();
        on_runtime(async {
            let mut stream = cache.connect().unwrap();
            stream.write_all(b"mn\r\nquit\r\n").await.unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            assert_eq!(all, b"MN\r\n");
            let mut left = cache.connect().unwrap();
            drop(cache);
            assert_eq!(left.read(&mut [0]).await.unwrap_or(0), 0);
        });
    }
}
