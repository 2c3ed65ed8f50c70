//! Asks the embedded cache and a real memcached 1.6.18 the same things and
//! compares the answers byte by byte, cas ids included: both count from one.
//! Knows nothing of either's inside.
//!
//! A failure prints its seed, which `PICKLEGATE_SEED` replays.

// A broken set-up ends a test as well as a broken promise does.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fastrand::Rng;
use picklegate::embedded::Embedded;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Requests that are asked, unless `PICKLEGATE_COMMANDS` says how many.
const REQUESTS: u64 = 5_000;
/// Flags that are wrong for every command that takes them.
const MISTAKES: &[&str] = &[
    "Zzz",
    "!",
    "v v",
    "Tx",
    "Fx",
    "Cx",
    "Dx",
    "Jx",
    "MX",
    "MSS",
    "O1234567890123456789012345678901",
];

/// A memcached on a socket of its own, killed when dropped.
struct Memcached {
    child: Child,
    dir: TempDir,
}

impl Memcached {
    /// `None` where there is no memcached, or not the one to agree with.
    fn start() -> Option<Self> {
        let version = Command::new("memcached").arg("-V").output().ok()?.stdout;
        if !version.starts_with(b"memcached 1.6.18") {
            return None;
        }
        let dir = TempDir::new().unwrap();
        let child = Command::new("memcached")
            .arg("-s")
            .arg(dir.path().join("socket"))
            .args(["-u", "root", "-t", "1"])
            // Its maintainer holds items now and then, and a held number is
            // exchanged where it would be changed in place.
            .args(["-o", "no_lru_maintainer"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self { child, dir })
    }

    async fn connect(&self) -> UnixStream {
        let path: &Path = &self.dir.path().join("socket");
        for _ in 0..1000 {
            if let Ok(stream) = UnixStream::connect(path).await {
                return stream;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("memcached does not listen");
    }
}

impl Drop for Memcached {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The reply to one request.
async fn ask(stream: &mut UnixStream, request: &[u8]) -> Vec<u8> {
    let reply = try_ask(stream, request).await;
    reply.unwrap_or_else(|_| panic!("closed after {}", request.escape_ascii()))
}

/// The reply to one request, found by a fence behind it; `Err` has what came before
/// the connection was closed.
async fn try_ask(stream: &mut UnixStream, request: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
    let fenced = [request, b"mn\r\n"].concat();
    stream.write_all(&fenced).await.unwrap();
    let mut reply = Vec::new();
    while !reply.ends_with(b"MN\r\n") {
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_buf(&mut reply));
        if read.await.expect("a reply in time").unwrap() == 0 {
            return Err(reply);
        }
    }
    reply.truncate(reply.len() - 4);
    Ok(reply)
}

/// Whether a request is a store, which is closed after where its body's length is not
/// certain: memcached goes on, and may take the body for commands.
fn is_store(request: &[u8]) -> bool {
    let verb = request.split(|b| b" \r\n".contains(b)).next();
    let stores = ["set", "add", "replace", "append", "prepend", "cas", "ms"];
    verb.is_some_and(|verb| stores.iter().any(|store| store.as_bytes() == verb))
}

/// Hides what hangs on a second's edge or on slab classes.
fn normalised(reply: &[u8]) -> String {
    let text = reply.escape_ascii().to_string();
    let hide = |word: &str| match word {
        "t-1" | "exp=-1" => word.to_owned(),
        _ if word.starts_with("exp=") => "exp=*".to_owned(),
        _ if word.starts_with("la=") => "la=*".to_owned(),
        _ if word.starts_with("cls=") => "cls=*".to_owned(),
        _ if is_number_flag(word, 't') => "t*".to_owned(),
        _ if is_number_flag(word, 'l') => "l*".to_owned(),
        _ => word.to_owned(),
    };
    text.split(' ').map(hide).collect::<Vec<_>>().join(" ")
}

/// A flag and digits, maybe at the end of its line.
fn is_number_flag(word: &str, flag: char) -> bool {
    let digits = word.strip_prefix(flag).map(|rest| {
        let end = rest.find('\\').unwrap_or(rest.len());
        &rest[..end]
    });
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

struct Generator {
    rng: Rng,
    /// About how many cas ids were given so far.
    last_cas: u64,
}

impl Generator {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.rng.usize(..from.len())]
    }

    fn key(&mut self) -> &'static str {
        self.pick(&["a", "b", "c", "n", "m", "foo", "bar"])
    }

    /// Some key in base64, shared with [`Generator::key`] or not.
    fn base64_key(&mut self) -> &'static str {
        self.pick(&["YQ==", "bg==", "Zm9v", "YmFy", "AAEC", "/w=="])
    }

    /// Long past or far away, so that no second's edge matters.
    fn exptime(&mut self) -> &'static str {
        self.pick(&[
            "0",
            "0",
            "0",
            "-1",
            "500",
            "2592000",
            "2592001",
            "2000000000",
        ])
    }

    fn cas(&mut self) -> u64 {
        self.last_cas.saturating_sub(self.rng.u64(..5))
    }

    fn value(&mut self) -> String {
        match self.rng.u8(..10) {
            0 => String::new(),
            1 => "x".repeat(self.rng.usize(..3000)),
            2 => "18446744073709551615".to_owned(),
            3 => "99 \0 text".to_owned(),
            4 => self
                .pick(&["text", "\r\nx", "END\r\n", " 7", "7x", "007"])
                .to_owned(),
            _ => self.rng.u32(..12).to_string(),
        }
    }

    /// A value's length, now and then a byte short, and the value.
    fn body(&mut self) -> (usize, String) {
        let value = self.value();
        let short = usize::from(self.rng.u8(..40) == 0);
        (value.len().saturating_sub(short), format!("{value}\r\n"))
    }

    fn request(&mut self) -> Vec<u8> {
        let key = self.key();
        let exptime = self.exptime();
        let noreply = self.pick(&["", "", "", " noreply", " "]);
        let request = match self.rng.u8(..24) {
            0 => format!("get {key} {} {key}", self.key()),
            1 => format!("gets {key} {}", self.base64_key()),
            2 => format!("gat {exptime} {key}"),
            3 => format!("gats {exptime} {key} zz"),
            4..8 => {
                let verb = self.pick(&["set", "set", "add", "replace", "append", "prepend"]);
                let flags = self.rng.u32(..3);
                let (len, body) = self.body();
                let head = format!("{verb} {key} {flags} {exptime} {len}{noreply}");
                return format!("{head}\r\n{body}").into_bytes();
            }
            8 => {
                let (len, body) = self.body();
                let head = format!("cas {key} 3 {exptime} {len} {}{noreply}", self.cas());
                return format!("{head}\r\n{body}").into_bytes();
            }
            9 => format!("delete {key}{noreply}"),
            10 | 11 => {
                let verb = self.pick(&["incr", "decr"]);
                let delta = self.pick(&["1", "5", "100", "x", "18446744073709551615"]);
                format!("{verb} {key} {delta}{noreply}")
            }
            12 => format!("touch {key} {exptime}{noreply}"),
            13 => {
                let rare = self.pick(&[
                    "flush_all",
                    "flush_all noreply",
                    "verbosity 1",
                    "bogus",
                    "get",
                    "set a 1",
                    "delete a 1",
                    "touch a x",
                    "mg",
                    "me",
                    "md",
                    "incr a",
                    "gat x a",
                    "",
                ]);
                rare.to_owned()
            }
            14 => {
                let (key, b) = self.meta_key();
                format!("me {key}{b}")
            }
            15..18 => self.meta(
                "mg",
                &[
                    "v", "v", "t", "f", "c", "k", "O1", "q", "l", "h", "u", "s", "N500", "N0",
                    "R100", "R600", "T500", "T0", "T-1", "P1",
                ],
            ),
            18..21 => {
                let (len, body) = self.body();
                let cas = format!("C{}", self.cas());
                let head = self.meta(
                    "ms",
                    &[
                        "c", "k", "O2", "q", "T500", "T0", "T-1", "F7", "I", "s", "ME", "MA", "MP",
                        "MR", "MS", &cas, &cas,
                    ],
                );
                let (name, flags) = head[3..].split_once(' ').unwrap_or((&head[3..], ""));
                // An error has the body swallowed, whatever its length.
                let head = format!("ms {name} {len} {flags}");
                return format!("{head}\r\n{body}").into_bytes();
            }
            21 => {
                let cas = format!("C{}", self.cas());
                self.meta("md", &["I", "I", "T500", "q", "k", "O3", "v", &cas, &cas])
            }
            _ => {
                let cas = format!("C{}", self.cas());
                self.meta(
                    "ma",
                    &[
                        "N500", "N0", "J13", "D7", "T500", "T0", "M+", "MI", "M-", "MD", "q", "t",
                        "c", "v", "v", "k", "O4", &cas,
                    ],
                )
            }
        };
        let end = self.pick(&["\r\n", "\r\n", "\n"]);
        format!("{request}{end}").into_bytes()
    }

    fn meta_key(&mut self) -> (&'static str, &'static str) {
        if self.rng.u8(..4) == 0 {
            (self.base64_key(), " b")
        } else {
            (self.key(), "")
        }
    }

    /// A meta command with up to six flags of these, in some order, each
    /// letter once.
    fn meta(&mut self, verb: &str, flags: &[&str]) -> String {
        let (key, b) = self.meta_key();
        let mut chosen: Vec<&str> = b.trim().split_terminator(' ').collect();
        for _ in 0..self.rng.usize(..=6) {
            let flag = self.pick(flags);
            if !chosen.iter().any(|other| other[..1] == flag[..1]) {
                chosen.push(flag);
            }
        }
        self.rng.shuffle(&mut chosen);
        if self.rng.u8(..50) == 0 {
            // At most one mistake: of several, memcached tells the last.
            chosen.push(self.pick(MISTAKES));
        }
        format!("{verb} {key} {}", chosen.join(" "))
    }
}

fn on_runtime(future: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap().block_on(future);
}

#[test]
fn the_embedded_cache_answers_as_memcached_does() {
    let Some(memcached) = Memcached::start() else {
        eprintln!("skipped: no memcached 1.6.18");
        return;
    };
    let from_env = |name| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let seed = from_env("PICKLEGATE_SEED").unwrap_or_else(|| fastrand::u64(..));
    let requests = from_env("PICKLEGATE_COMMANDS").unwrap_or(REQUESTS);
    on_runtime(async {
        let mut theirs = memcached.connect().await;
        let embedded = Embedded::start(64 << 20).unwrap();
        let mut ours = embedded.connect().unwrap();
        let mut generator = Generator {
            rng: Rng::with_seed(seed),
            last_cas: 0,
        };
        for number in 0..requests {
            let request = generator.request();
            let expected = normalised(&ask(&mut theirs, &request).await);
            let place = format!(
                "PICKLEGATE_SEED={seed}, request {number}: {}",
                request.escape_ascii()
            );
            match try_ask(&mut ours, &request).await {
                Ok(found) => assert_eq!(normalised(&found), expected, "{place}"),
                Err(last_words) => {
                    assert!(is_store(&request), "closed: {place}");
                    assert!(last_words.contains(&b'E'), "nothing said: {place}");
                    let said = normalised(&last_words);
                    assert!(expected.starts_with(&said), "{said}, {expected}: {place}");
                    ours = embedded.connect().unwrap();
                }
            }
            if number % 8 == 0 {
                // Any key will do to learn the newest cas id.
                let set = b"ms probe 0 c\r\n\r\n";
                let reply = ask(&mut theirs, set).await;
                assert_eq!(reply, ask(&mut ours, set).await, "PICKLEGATE_SEED={seed}");
                let digits = String::from_utf8(reply).unwrap();
                generator.last_cas = digits["HD c".len()..].trim_end().parse().unwrap();
            }
        }
    });
}

#[test]
fn time_passes_alike() {
    let Some(memcached) = Memcached::start() else {
        eprintln!("skipped: no memcached 1.6.18");
        return;
    };
    on_runtime(async {
        let embedded = Embedded::start(0).unwrap();
        let mut theirs = memcached.connect().await;
        let mut ours = embedded.connect().unwrap();
        let year = 365 * 24 * 3600;
        let unix = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let setup = format!(
            "set short 0 1 1\r\nx\r\nset long 0 100 1\r\nx\r\nset gone 0 {} 1\r\nx\r\n\
             set dated 0 {} 1\r\nx\r\nset soon 0 {} 1\r\nx\r\nset kept 0 1 1\r\nx\r\n\
             touch kept 0\r\nms stale 1 T100\r\nx\r\nmd stale I T1\r\n",
            unix - year,
            unix + year,
            unix + 1,
        );
        let look = b"mg short t\r\nmg long t\r\nmg gone t\r\nmg dated t\r\nmg soon t\r\n\
            mg kept t\r\nmg stale\r\nmg later\r\nme long\r\n";
        let flush = b"flush_all 3\r\n";
        let set = b"set later 0 0 1\r\nx\r\n";
        for (request, pause) in [
            (setup.as_bytes(), 2300),
            (look, 0),
            (flush, 0),
            (look, 3300),
            (look, 0),
            (set, 0),
            (look, 0),
        ] {
            let expected = normalised(&ask(&mut theirs, request).await);
            let found = normalised(&ask(&mut ours, request).await);
            assert_eq!(found, expected);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    });
}
