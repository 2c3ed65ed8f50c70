//! `picklegate demo`: real pickles of two Pythons through two listeners onto the
//! embedded cache, and what became of them. Speaks to its own proxy as any
//! client would; prints, and goes on with light traffic for the page to show.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use Fate::{Crossed, Deleted, Gone, Hidden, Isolated, Own, Stored, Taken, Undecodable};

use crate::config::{Config, ListenAddr};

/// The addresses of the sample traffic, and of the page.
#[derive(Debug, Clone)]
pub struct Addresses<'a> {
    /// `host:port` for clients of Python 2.
    pub py2: &'a str,
    /// `host:port` for clients of Python 3.
    pub py3: &'a str,
    /// `host:port` for the page, metrics and health.
    pub admin: &'a str,
}

/// The pickles that a web application's Python puts into its cache, recorded by
/// `record.py`.
const USER: [&[u8]; 2] = [
    include_bytes!("user.py2.pickle"),
    include_bytes!("user.py3.pickle"),
];
const PAGE: [&[u8]; 2] = [
    include_bytes!("page.py2.pickle"),
    include_bytes!("page.py3.pickle"),
];

/// The client flag that says "pickle", and none.
const PICKLE: u32 = 1;
const RAW: u32 = 0;
/// Keys of each family in the light traffic, and the pause between two requests.
const KEYS: u8 = 40;
const PAUSE: Duration = Duration::from_millis(25);
/// The word for a miss in the report.
const MISS: &str = "miss";

/// The demo's configuration, as TOML: one family of keys for each way of
/// treating them.
pub fn configuration(addresses: &Addresses<'_>) -> String {
    let Addresses { py2, py3, admin } = addresses;
    format!(
        r#"[upstream]
servers = ["embedded:64MiB"]

[admin]
listen = "{admin}"

[[listeners]]
listen  = "{py2}"
runtime = "python/2.7"

[[listeners]]
listen  = "{py3}"
runtime = "python/3.11"

[[rules]]                # counters and locks cross versions
prefix = "hits:"
mode   = "shared"

[[rules]]
prefix = "lock:"
mode   = "shared"

[[rules]]                # one copy; whoever cannot load it has a miss
prefix = "page:"
mode   = "guard"

[[rules]]                # everything else: a copy for each version
prefix = ""
mode   = "isolate"
"#
    )
}

/// Says what a reader can try next.
pub fn outlook(addresses: &Addresses<'_>) -> String {
    let Addresses { py2, py3, admin } = addresses;
    format!(
        "
Still serving, with light traffic of both; Ctrl-C ends it. Try any memcache client:
  python2.7 on {py2}, python3 on {py3}

May the migration go on?  http://{admin}/
"
    )
}

/// Two applications that fill what they miss, and now and then change it, until
/// a connection ends.
///
/// # Errors
/// What the connection ended with.
pub async fn traffic(config: &Config) -> io::Result<()> {
    let mut clients = [
        Client::connect(config, 0).await?,
        Client::connect(config, 1).await?,
    ];
    loop {
        for (version, client) in clients.iter_mut().enumerate() {
            let (family, values) = if fastrand::bool() {
                ("user", USER)
            } else {
                ("page", PAGE)
            };
            let key = format!("{family}:{}", fastrand::u8(..KEYS));
            if client.get(&key).await? == MISS {
                client.set(&key, PICKLE, values[version]).await?;
            } else if fastrand::u8(..10) == 0 {
                client.delete(&key).await?;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Runs the sample traffic against the running demo and reports it.
///
/// # Errors
/// What the connections failed with, or which reply was not as promised.
pub async fn replay(config: &Config) -> io::Result<String> {
    let mut py2 = Client::connect(config, 0).await?;
    let mut py3 = Client::connect(config, 1).await?;
    let mut report = Report::default();

    report.heading("user:42", "isolate: a copy for each version");
    report.step(
        P2,
        "set",
        &py2.set("user:42", PICKLE, USER[0]).await?,
        Stored,
    )?;
    report.step(P3, "get", &py3.get("user:42").await?, Isolated)?;
    report.step(
        P3,
        "set",
        &py3.set("user:42", PICKLE, USER[1]).await?,
        Stored,
    )?;
    report.step(P2, "get", &py2.get("user:42").await?, Own)?;
    report.step(P3, "get", &py3.get("user:42").await?, Own)?;
    report.step(P2, "delete", &py2.delete("user:42").await?, Deleted)?;
    report.step(P3, "get", &py3.get("user:42").await?, Gone)?;

    report.heading(
        "page:home",
        "guard: one copy, never one that its reader cannot load",
    );
    report.step(
        P3,
        "set",
        &py3.set("page:home", PICKLE, PAGE[1]).await?,
        Stored,
    )?;
    report.step(P2, "get", &py2.get("page:home").await?, Hidden)?;
    report.step(
        P2,
        "set",
        &py2.set("page:home", PICKLE, PAGE[0]).await?,
        Stored,
    )?;
    report.step(P3, "get", &py3.get("page:home").await?, Crossed)?;
    report.step(
        P2,
        "set",
        &py2.set("page:me", PICKLE, USER[0]).await?,
        Stored,
    )?;
    report.step(P3, "get", &py3.get("page:me").await?, Undecodable)?;

    report.heading("hits:home", "shared: numbers and locks cross versions");
    report.step(P2, "set", &py2.set("hits:home", RAW, b"41").await?, Stored)?;
    report.step(P3, "incr", &py3.incr("hits:home").await?, Crossed)?;
    report.step(P2, "get", &py2.get("hits:home").await?, Crossed)?;

    report.heading("lock:nightly", "shared: one of them gets it");
    report.step(P2, "add", &py2.add("lock:nightly").await?, Stored)?;
    report.step(P3, "add", &py3.add("lock:nightly").await?, Taken)?;
    Ok(report.finish())
}

const P2: &str = "python2.7";
const P3: &str = "python3.11";

/// The fate of a request, as the rules promise it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stored,
    Own,
    Isolated,
    Hidden,
    Undecodable,
    Crossed,
    Deleted,
    Gone,
    Taken,
}

impl Fate {
    fn meaning(self) -> &'static str {
        match self {
            Stored => "",
            Own => "its own copy",
            Isolated => "isolated: the other's copy stays out of sight",
            Hidden => "hidden: it cannot load this protocol",
            Undecodable => "hidden: it cannot load a date of Python 2",
            Crossed => "crossed: written by the other version",
            Deleted => "every copy",
            Gone => "deleted by the other version",
            Taken => "crossed: the other version holds it",
        }
    }

    fn is_kept_by(self, reply: &str) -> bool {
        match self {
            Stored => reply.ends_with("STORED") && !reply.ends_with("NOT_STORED"),
            Deleted => reply == "DELETED",
            Taken => reply == "NOT_STORED",
            Isolated | Hidden | Undecodable | Gone => reply == MISS,
            Own | Crossed => reply != MISS && !reply.contains("ERROR"),
        }
    }
}

/// The report that is printed.
#[derive(Debug, Default)]
struct Report {
    text: String,
    fates: Vec<Fate>,
}

impl Report {
    fn heading(&mut self, key: &str, meaning: &str) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        let _ = writeln!(self.text, "{gap}{key}  ({meaning})");
    }

    fn step(&mut self, who: &str, verb: &str, reply: &str, fate: Fate) -> io::Result<()> {
        if !fate.is_kept_by(reply) {
            return Err(io::Error::other(format!(
                "{who} {verb}: {reply}, not {fate:?}"
            )));
        }
        let line = format!("  {who:<10}  {verb:<6}  {reply:<38}  {}", fate.meaning());
        let _ = writeln!(self.text, "{}", line.trim_end());
        self.fates.push(fate);
        Ok(())
    }

    fn finish(mut self) -> String {
        let count = |fate| self.fates.iter().filter(|&&f| f == fate).count();
        let crossed = count(Crossed) + count(Taken);
        let hidden = count(Hidden) + count(Undecodable);
        let isolated = count(Isolated);
        let _ = writeln!(
            self.text,
            "\ncrossed {crossed}, isolated {isolated}, hidden {hidden}"
        );
        self.text
    }
}

/// A memcache client of one runtime.
struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    async fn connect(config: &Config, listener: usize) -> io::Result<Self> {
        match &config.listeners[listener].addr {
            ListenAddr::Tcp(addr) => {
                let stream = BufReader::new(TcpStream::connect(addr).await?);
                Ok(Self { stream })
            }
            ListenAddr::Unix(_) => Err(io::Error::other("the demo listens on TCP")),
        }
    }

    async fn ask(&mut self, request: &[u8]) -> io::Result<String> {
        self.stream.write_all(request).await?;
        self.line().await
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }

    async fn set(&mut self, key: &str, flags: u32, value: &[u8]) -> io::Result<String> {
        let head = format!("set {key} {flags} 0 {}\r\n", value.len());
        let reply = self
            .ask(&[head.as_bytes(), value, b"\r\n"].concat())
            .await?;
        Ok(format!("{}, {reply}", describe(flags, value)))
    }

    async fn get(&mut self, key: &str) -> io::Result<String> {
        let head = self.ask(format!("get {key}\r\n").as_bytes()).await?;
        if head == "END" {
            return Ok(MISS.to_owned());
        }
        let mut words = head.split(' ').skip(2);
        let flags = words.next().and_then(|word| word.parse().ok());
        let len: Option<usize> = words.next().and_then(|word| word.parse().ok());
        let (Some(flags), Some(len)) = (flags, len) else {
            return Err(io::Error::other(head));
        };
        let mut value = vec![0; len + 2];
        self.stream.read_exact(&mut value).await?;
        self.line().await?;
        value.truncate(len);
        Ok(describe(flags, &value))
    }

    async fn delete(&mut self, key: &str) -> io::Result<String> {
        self.ask(format!("delete {key}\r\n").as_bytes()).await
    }

    async fn add(&mut self, key: &str) -> io::Result<String> {
        let request = format!("add {key} {RAW} 0 1\r\n1\r\n");
        self.ask(request.as_bytes()).await
    }

    async fn incr(&mut self, key: &str) -> io::Result<String> {
        self.ask(format!("incr {key} 1\r\n").as_bytes()).await
    }
}

fn describe(flags: u32, value: &[u8]) -> String {
    match value {
        [0x80, protocol, ..] if flags & PICKLE != 0 => {
            format!("pickle of protocol {protocol}, {} bytes", value.len())
        }
        _ => String::from_utf8_lossy(value).into_owned(),
    }
}
