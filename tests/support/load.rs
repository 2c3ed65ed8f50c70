//! Clients that check every byte of every reply: that it is the reply to what was
//! asked, in order, and that a value is the one last stored under its key, or one
//! whose store nobody could vouch for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Keys of one client.
const KEYS: usize = 24;
/// Requests that a client of small values sends at once, at most.
const MAX_BATCH: u64 = 16;
/// A client that hears nothing for so long hangs. Of what is sent at once, some may
/// have to wait for what comes before it.
const HANG: Duration = Duration::from_secs(8);
/// Pause of a client between two batches.
const REST: Duration = Duration::from_millis(2);

/// The values of a client.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sizes {
    /// Small ones, many requests at once.
    Small,
    /// Clients with connections of their own, one after another.
    Large,
}

/// Observations of the clients of a load.
#[derive(Debug, Default, Clone)]
pub(crate) struct Report {
    /// Requests that were answered by what they asked for.
    pub(crate) answered: u64,
    pub(crate) hits: u64,
    /// Errors by the reason that they give, without numbers.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Connections that ended in the middle of a value.
    pub(crate) cut: u64,
    /// The longest that a batch took.
    pub(crate) slowest: Duration,
    pub(crate) last_error: Option<Instant>,
    /// Events that must not happen.
    pub(crate) wrong: Vec<String>,
}

impl Report {
    pub(crate) fn failures(&self) -> u64 {
        self.errors.values().sum::<u64>() + self.cut
    }
}

#[derive(Debug)]
struct Shared {
    /// Server that errors name.
    server: String,
    stopped: AtomicBool,
    /// The upstream lost what it had.
    forgot: AtomicBool,
    report: Mutex<Report>,
}

/// Clients under way, stopped when dropped.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Clients of small values and of large ones on each listener.
    pub(crate) fn start(listens: &[String], server: &str, small: usize, large: usize) -> Self {
        static LOADS: AtomicUsize = AtomicUsize::new(0);
        let load = LOADS.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            stopped: AtomicBool::new(false),
            forgot: AtomicBool::new(false),
            report: Mutex::default(),
        });
        let sizes = [(small, Sizes::Small), (large, Sizes::Large)];
        let kinds = sizes.map(|(count, sizes)| std::iter::repeat_n(sizes, count));
        let clients = listens
            .iter()
            .flat_map(|listen| {
                kinds
                    .clone()
                    .into_iter()
                    .flatten()
                    .map(move |s| (listen, s))
            })
            .enumerate()
            .map(|(number, (listen, sizes))| {
                let mut client =
                    Client::new((load, number as u64), listen, sizes, Arc::clone(&shared));
                thread::spawn(move || client.run())
            });
        Self {
            clients: clients.collect(),
            shared,
        }
    }

    pub(crate) fn report(&self) -> Report {
        self.shared.report.lock().expect("no holder panics").clone()
    }

    /// The upstream lost what it had: from now on a miss is no wonder.
    pub(crate) fn forgive_misses(&self) {
        self.shared.forgot.store(true, Ordering::Relaxed);
    }

    /// Ends all clients, once each has the replies to what it asked.
    pub(crate) fn stop(mut self) -> Report {
        self.end();
        self.report()
    }

    fn end(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().expect("a client does not panic");
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
    }
}

/// Knowledge about a key, which nobody else uses.
#[derive(Debug, Default)]
struct Known {
    /// The version that was acknowledged last; `None` if it is deleted.
    stored: Option<u64>,
    /// Versions that may be stored as well: their acknowledgement was lost, or is
    /// still to come.
    maybe: Vec<u64>,
    /// A deletion that may have been carried out, likewise.
    maybe_deleted: Option<u64>,
}

#[derive(Debug, Clone)]
enum Request {
    Get(Vec<usize>),
    MetaGet(usize),
    Set(usize),
    SetUnheard(usize),
    MetaSet(usize),
    Delete(usize),
    MetaDelete(usize),
    Noop,
}

/// Why a batch ends early.
#[derive(Debug)]
enum Broken {
    /// The connection ended.
    Closed,
    Hangs,
    Wrong(String),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::Hangs,
            _ => Self::Closed,
        }
    }
}

struct Client {
    /// Number of the load, which alone has its keys.
    load: usize,
    number: u64,
    listen: String,
    sizes: Sizes,
    shared: Arc<Shared>,
    random: fastrand::Rng,
    keys: Vec<Known>,
    version: u64,
    /// Something failed: what was asked then may be carried out at any time.
    is_troubled: bool,
    /// Observations of this batch.
    seen: Report,
}

impl Client {
    fn new((load, number): (usize, u64), listen: &str, sizes: Sizes, shared: Arc<Shared>) -> Self {
        Self {
            load,
            number,
            listen: listen.to_owned(),
            sizes,
            shared,
            random: fastrand::Rng::with_seed(number),
            keys: (0..KEYS).map(|_| Known::default()).collect(),
            version: 0,
            is_troubled: false,
            seen: Report::default(),
        }
    }

    fn run(&mut self) {
        let mut stream = None;
        while !self.shared.stopped.load(Ordering::Relaxed) {
            if stream.is_none() {
                stream = self.connect();
            }
            if let Some(connected) = &mut stream
                && let Err(broken) = self.batch(connected)
            {
                match broken {
                    Broken::Closed => self.seen.cut += 1,
                    Broken::Hangs => self.seen.wrong.push(format!("silent for {HANG:?}")),
                    Broken::Wrong(what) => self.seen.wrong.push(what),
                }
                self.failed();
                stream = None;
            }
            self.tell();
            thread::sleep(REST);
        }
    }

    fn connect(&mut self) -> Option<BufReader<TcpStream>> {
        match TcpStream::connect(&self.listen) {
            Ok(stream) => {
                stream.set_nodelay(true).expect("a TCP socket");
                stream.set_read_timeout(Some(HANG)).expect("a TCP socket");
                Some(BufReader::new(stream))
            }
            Err(error) => {
                self.seen.wrong.push(format!("cannot connect: {error}"));
                None
            }
        }
    }

    /// Adds what was seen to what all saw.
    fn tell(&mut self) {
        let seen = std::mem::take(&mut self.seen);
        let mut report = self.shared.report.lock().expect("no holder panics");
        report.answered += seen.answered;
        report.hits += seen.hits;
        report.cut += seen.cut;
        report.slowest = report.slowest.max(seen.slowest);
        report.last_error = report.last_error.max(seen.last_error);
        for (reason, count) in seen.errors {
            *report.errors.entry(reason).or_default() += count;
        }
        let named = |what| format!("client {}: {what}", self.number);
        // The first few tell enough.
        let room = 20_usize.saturating_sub(report.wrong.len());
        report
            .wrong
            .extend(seen.wrong.into_iter().take(room).map(named));
    }

    // What is asked --------------------------------------------------------

    fn plan(&mut self) -> Vec<Request> {
        let count = match self.sizes {
            Sizes::Small => self.random.u64(1..=MAX_BATCH),
            Sizes::Large => 1,
        };
        let mut batch: Vec<Request> = (0..count).map(|_| self.pick()).collect();
        if batch
            .iter()
            .all(|one| matches!(one, Request::SetUnheard(_)))
        {
            batch.push(Request::Noop);
        }
        batch
    }

    fn pick(&mut self) -> Request {
        let key = self.random.usize(..KEYS);
        match self.random.u8(..20) {
            0..7 => Request::Get(vec![key]),
            7 => {
                let count = self.random.usize(2..12);
                let keys = (0..count).map(|_| self.random.usize(..KEYS));
                Request::Get(keys.collect())
            }
            8..11 => Request::MetaGet(key),
            11..14 => Request::Set(key),
            14 => Request::SetUnheard(key),
            15..17 => Request::MetaSet(key),
            17 => Request::Delete(key),
            18 => Request::MetaDelete(key),
            _ => Request::Noop,
        }
    }

    fn key(&self, key: usize) -> String {
        format!("load:{}:{}:{key}", self.load, self.number)
    }

    /// Start of the value of this version of a key.
    fn mark(&self, key: usize, version: u64) -> Vec<u8> {
        format!("{} is {version};", self.key(key)).into_bytes()
    }

    /// The only value that it can be.
    fn value(&self, key: usize, version: u64) -> Vec<u8> {
        let mark = self.mark(key, version);
        let mut sizes = fastrand::Rng::with_seed(version << 16 | key as u64);
        let bytes = match self.sizes {
            Sizes::Small => sizes.usize(mark.len()..2_000),
            Sizes::Large => sizes.usize(70_000..300_000),
        };
        mark.into_iter().cycle().take(bytes).collect()
    }

    /// Of a change to come.
    fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    // One batch ------------------------------------------------------------

    fn batch(&mut self, stream: &mut BufReader<TcpStream>) -> Result<(), Broken> {
        let batch = self.plan();
        let mut wire = Vec::new();
        let mut versions = Vec::new();
        for request in &batch {
            versions.push(self.write(request, &mut wire));
        }
        let asked = Instant::now();
        let done = stream
            .get_mut()
            .write_all(&wire)
            .map_err(Broken::from)
            .and_then(|()| {
                let mut replies = batch.iter().zip(&versions);
                replies.try_for_each(|(request, version)| self.read(stream, request, *version))
            });
        if done.is_err() {
            // Any of it may have been carried out.
            for (request, version) in batch.iter().zip(versions) {
                self.doubt(request, version);
            }
        }
        self.seen.slowest = asked.elapsed();
        done
    }

    /// Writes a request; the version of its change, if it is one.
    fn write(&mut self, request: &Request, wire: &mut Vec<u8>) -> u64 {
        let mut line = String::new();
        let mut stored = (0, Vec::new());
        let name = |key: &usize| self.key(*key);
        // A String takes everything.
        let _ = match request {
            Request::Get(keys) => {
                let keys: Vec<String> = keys.iter().map(name).collect();
                write!(line, "get {}", keys.join(" "))
            }
            Request::MetaGet(key) => write!(line, "mg {} v k O{key}", name(key)),
            Request::Noop => write!(line, "mn"),
            Request::Delete(key) | Request::MetaDelete(key) => {
                let name = name(key);
                stored.0 = self.next_version();
                if matches!(request, Request::Delete(_)) {
                    write!(line, "delete {name}")
                } else {
                    write!(line, "md {name} O{key}")
                }
            }
            Request::Set(key) | Request::SetUnheard(key) => {
                let noreply = if matches!(request, Request::Set(_)) {
                    ""
                } else {
                    " noreply"
                };
                let name = name(key);
                let version = self.next_version();
                stored = (version, self.value(*key, version));
                write!(line, "set {name} 0 0 {}{noreply}", stored.1.len())
            }
            Request::MetaSet(key) => {
                let name = name(key);
                let version = self.next_version();
                stored = (version, self.value(*key, version));
                write!(line, "ms {name} {} O{key}", stored.1.len())
            }
        };
        let (version, value) = stored;
        wire.extend_from_slice(line.as_bytes());
        wire.extend_from_slice(b"\r\n");
        if !value.is_empty() {
            wire.extend_from_slice(&value);
            wire.extend_from_slice(b"\r\n");
        }
        if let Request::SetUnheard(_) = request {
            self.doubt(request, version);
        }
        version
    }

    /// Nobody knows whether a request was carried out.
    fn doubt(&mut self, request: &Request, version: u64) {
        match request {
            Request::Set(key) | Request::SetUnheard(key) | Request::MetaSet(key) => {
                let maybe = &mut self.keys[*key].maybe;
                if !maybe.contains(&version) {
                    maybe.push(version);
                }
            }
            Request::Delete(key) | Request::MetaDelete(key) => {
                self.keys[*key].maybe_deleted = Some(version);
            }
            Request::Get(_) | Request::MetaGet(_) | Request::Noop => {}
        }
    }

    fn read(
        &mut self,
        stream: &mut BufReader<TcpStream>,
        request: &Request,
        version: u64,
    ) -> Result<(), Broken> {
        if matches!(request, Request::SetUnheard(_)) {
            return Ok(());
        }
        if let Request::Get(keys) = request {
            return self.read_values(stream, keys);
        }
        let line = line(stream)?;
        if self.is_error(&line)? {
            self.doubt(request, version);
            return Ok(());
        }
        match (request, line.as_str()) {
            (Request::Noop, "MN") => {}
            (Request::Set(key), "STORED") => self.acknowledge(*key, Some(version), version),
            (Request::MetaSet(key), line) if line == format!("HD O{key}") => {
                self.acknowledge(*key, Some(version), version);
            }
            (Request::Delete(key), "DELETED" | "NOT_FOUND") => {
                self.acknowledge(*key, None, version);
            }
            (Request::MetaDelete(key), line)
                if line == format!("HD O{key}") || line == format!("NF O{key}") =>
            {
                self.acknowledge(*key, None, version);
            }
            (Request::MetaGet(_), "EN") => return Err(wrong("a miss without its opaque")),
            (Request::MetaGet(key), line) if line.starts_with("EN ") => {
                expect(line, &format!("EN k{} O{key}", self.key(*key)))?;
                self.missed(*key)?;
            }
            (Request::MetaGet(key), line) if line.starts_with("VA ") => {
                let value = self.read_value(stream, *key, line.split(' ').nth(1))?;
                let name = self.key(*key);
                expect(line, &format!("VA {} k{name} O{key}", value.len()))?;
                self.check(*key, &value)?;
            }
            _ => return Err(wrong(format!("{request:?} is answered {line:?}"))),
        }
        self.seen.answered += 1;
        Ok(())
    }

    /// Values of some of the keys in their order, then the end.
    fn read_values(
        &mut self,
        stream: &mut BufReader<TcpStream>,
        keys: &[usize],
    ) -> Result<(), Broken> {
        let mut left = keys.iter();
        loop {
            let line = line(stream)?;
            if self.is_error(&line)? {
                return Ok(());
            }
            if line == "END" {
                for key in left {
                    self.missed(*key)?;
                }
                self.seen.answered += 1;
                return Ok(());
            }
            let words: Vec<&str> = line.split(' ').collect();
            let ["VALUE", name, "0", bytes] = words[..] else {
                return Err(wrong(format!("get {keys:?} is answered {line:?}")));
            };
            let key = loop {
                let Some(key) = left.next() else {
                    return Err(wrong(format!("get {keys:?} is answered with {name}")));
                };
                if self.key(*key) == name {
                    break *key;
                }
                self.missed(*key)?;
            };
            let value = self.read_value(stream, key, Some(bytes))?;
            self.check(key, &value)?;
        }
    }

    fn read_value(
        &self,
        stream: &mut BufReader<TcpStream>,
        key: usize,
        bytes: Option<&str>,
    ) -> Result<Vec<u8>, Broken> {
        let bytes = bytes.and_then(|bytes| bytes.parse::<usize>().ok());
        let Some(bytes @ ..=1_000_000) = bytes else {
            return Err(wrong(format!("{bytes:?} is the length of a value")));
        };
        let mut value = vec![0; bytes + 2];
        stream.read_exact(&mut value)?;
        if value.split_off(bytes) == b"\r\n" {
            Ok(value)
        } else {
            let key = self.key(key);
            Err(wrong(format!("the value of {key} does not end")))
        }
    }

    // What is right --------------------------------------------------------

    fn acknowledge(&mut self, key: usize, stored: Option<u64>, version: u64) {
        let known = &mut self.keys[key];
        known.stored = stored;
        if !self.is_troubled {
            // What was asked before on the same connection is overwritten.
            known.maybe.retain(|&maybe| maybe > version);
        }
    }

    fn failed(&mut self) {
        self.is_troubled = true;
        self.seen.last_error = Some(Instant::now());
    }

    fn missed(&mut self, key: usize) -> Result<(), Broken> {
        let known = &self.keys[key];
        let is_fine = known.stored.is_none()
            || known.maybe_deleted.is_some()
            || self.shared.forgot.load(Ordering::Relaxed);
        if is_fine {
            Ok(())
        } else {
            Err(wrong(format!("{} is missed: {known:?}", self.key(key))))
        }
    }

    fn check(&mut self, key: usize, value: &[u8]) -> Result<(), Broken> {
        let known = &self.keys[key];
        let mut versions = known.stored.iter().chain(&known.maybe);
        let version = versions.find(|&&version| value.starts_with(&self.mark(key, version)));
        if version.is_some_and(|&version| self.value(key, version) == value) {
            self.seen.hits += 1;
            return Ok(());
        }
        let start = value[..value.len().min(60)].escape_ascii();
        Err(wrong(format!(
            "{} is \"{start}\": {known:?}",
            self.key(key)
        )))
    }

    /// Whether a line is an error, which has to be one of those that are designed.
    fn is_error(&mut self, line: &str) -> Result<bool, Broken> {
        if !line.contains("ERROR") {
            return Ok(false);
        }
        let start = format!("SERVER_ERROR picklegate: upstream {} ", self.shared.server);
        let Some(why) = line.strip_prefix(&start) else {
            return Err(wrong(format!("the error {line:?}")));
        };
        let why: String = why.chars().filter(|c| !c.is_ascii_digit()).collect();
        *self.seen.errors.entry(why).or_default() += 1;
        self.failed();
        Ok(true)
    }
}

fn expect(line: &str, expected: &str) -> Result<(), Broken> {
    if line == expected {
        Ok(())
    } else {
        Err(wrong(format!("{line:?} for {expected:?}")))
    }
}

fn wrong(what: impl Into<String>) -> Broken {
    Broken::Wrong(what.into())
}

fn line(stream: &mut BufReader<TcpStream>) -> Result<String, Broken> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    let Some(text) = line.strip_suffix(b"\r\n") else {
        return Err(Broken::Closed);
    };
    Ok(String::from_utf8_lossy(text).into_owned())
}
