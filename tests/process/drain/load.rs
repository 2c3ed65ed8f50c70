//! Clients that never stop while picklegate is restarted. Each counts in a key of its
//! own and says again what was not answered: the next number proves that it had not
//! been carried out.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Requests that are sent at once.
const DEPTH: usize = 8;
/// The longest value: it takes several reads, so that an end may come between them.
const VALUE_BYTES: usize = 150_000;
/// A silent proxy is an error.
const PATIENCE: Duration = Duration::from_secs(20);

/// Observations of one client.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) replies: usize,
    /// Connections that ended before a reply.
    pub(crate) ends: usize,
    /// Connections that were reset before anything was answered on them: the system
    /// had accepted them for a listener that was about to close.
    pub(crate) turned_away: usize,
    /// Events that must never happen.
    pub(crate) wrong: Vec<String>,
}

impl Seen {
    pub(crate) fn add(&mut self, other: Self) {
        self.replies += other.replies;
        self.ends += other.ends;
        self.turned_away += other.turned_away;
        self.wrong.extend(other.wrong);
    }
}

pub(crate) trait Socket: Read + Write {}
impl<S: Read + Write> Socket for S {}

/// Opens a connection to `host:port` or the path of a socket.
fn connect(address: &str) -> std::io::Result<Box<dyn Socket>> {
    if address.starts_with('/') {
        let stream = UnixStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        return Ok(Box::new(stream));
    }
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(Box::new(stream))
}

/// A request and what must answer it.
struct Owed {
    request: Vec<u8>,
    reply: Vec<u8>,
}

/// The requests of one client, without an end.
struct Requests {
    name: String,
    count: usize,
}

impl Requests {
    fn next(&mut self) -> [Owed; 3] {
        self.count += 1;
        let (name, count) = (&self.name, self.count);
        let len = if count.is_multiple_of(16) {
            VALUE_BYTES
        } else {
            count % 100
        };
        let value = vec![b'a' + (count % 26) as u8; len];
        let head = format!("{name}:v 0");
        let stored = [
            format!("set {head} 0 {len}\r\n").as_bytes(),
            &value,
            b"\r\n",
        ]
        .concat();
        let shown = [
            format!("VALUE {head} {len}\r\n").as_bytes(),
            &value,
            b"\r\nEND\r\n",
        ]
        .concat();
        let owed = |request: Vec<u8>, reply: Vec<u8>| Owed { request, reply };
        [
            owed(
                format!("incr {name}:n 1\r\n").into(),
                format!("{count}\r\n").into(),
            ),
            owed(stored, b"STORED\r\n".to_vec()),
            owed(format!("get {name}:v\r\n").into(), shown),
        ]
    }
}

/// Loads `address` until told to stop, resting between two batches. Its counter must
/// be there, at 0.
pub(crate) fn run(address: &str, name: &str, rest: Duration, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut requests = Requests {
        name: name.to_owned(),
        count: 0,
    };
    let mut owed = VecDeque::new();
    while !stop.load(Ordering::Relaxed) && seen.wrong.is_empty() {
        let mut socket = match connect(address) {
            Ok(socket) => socket,
            Err(error) => {
                seen.wrong.push(format!("{name} cannot connect: {error}"));
                break;
            }
        };
        let before = seen.replies;
        loop {
            while owed.len() < DEPTH {
                owed.extend(requests.next());
            }
            // Whoever does not read shows on the reading side.
            let batch: Vec<u8> = owed.iter().flat_map(|o| &*o.request).copied().collect();
            let _ = socket.write_all(&batch);
            if !read(&mut *socket, &mut owed, before, &mut seen, name) {
                break;
            }
            if stop.load(Ordering::Relaxed) {
                return seen;
            }
            std::thread::sleep(rest);
        }
    }
    seen
}

/// Reads what is owed; false if the connection ended before all of it came.
fn read(
    socket: &mut dyn Socket,
    owed: &mut VecDeque<Owed>,
    before: usize,
    seen: &mut Seen,
    name: &str,
) -> bool {
    let mut buffer = vec![0; 64 << 10];
    let mut received = Vec::new();
    loop {
        while let Some(next) = owed.front() {
            let len = received.len().min(next.reply.len());
            if received[..len] != next.reply[..len] {
                let start = &received[..received.len().min(80)];
                let (start, wanted) = (start.escape_ascii(), next.reply[..len].escape_ascii());
                seen.wrong
                    .push(format!("{name} got {start} instead of {wanted}"));
                return false;
            }
            if len < next.reply.len() {
                break;
            }
            received.drain(..len);
            owed.pop_front();
            seen.replies += 1;
        }
        if owed.is_empty() {
            return true;
        }
        let error = match socket.read(&mut buffer) {
            Ok(0) => None,
            Ok(bytes) => {
                received.extend_from_slice(&buffer[..bytes]);
                continue;
            }
            // A stopped and continued process sees this on timed reads.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Some(error),
        };
        let is_reset = |e: &std::io::Error| e.kind() == ErrorKind::ConnectionReset;
        match &error {
            _ if !received.is_empty() => {
                let at = received.len();
                seen.wrong
                    .push(format!("{name}: cut after {at} bytes of a reply"));
            }
            None => seen.ends += 1,
            Some(error) if is_reset(error) && seen.replies == before => seen.turned_away += 1,
            Some(error) => seen.wrong.push(format!("{name}: {error}, after replies")),
        }
        return false;
    }
}
