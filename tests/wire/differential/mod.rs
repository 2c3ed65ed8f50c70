//! Sends the same seeded command streams to memcached and, through picklegate,
//! to a second fresh memcached, and compares every reply byte by byte.
//!
//! A failure prints its seed. `PICKLEGATE_SEED` replays it and
//! `PICKLEGATE_COMMANDS` sets the length of a stream. Streams of broken requests are
//! `smuggle`'s.

mod generate;
mod known;
mod replies;
mod smuggle;

use std::fmt::Write as _;

use crate::support::toml::Toml;
use crate::support::{Memcached, Picklegate, connect, exchange, free_addr};
use generate::{Command, Generator, RUNTIME};
use replies::{CasIds, Reply, parse};

/// Commands a stream has at least.
const COMMANDS: usize = 20_000;

/// Place where two servers parted.
struct Difference {
    batch: usize,
    /// Requests to both since the last fence, as the direct side read them.
    asked: Vec<Vec<u8>>,
    found: String,
}

/// One of the two servers, and the cas ids it has shown.
struct Side {
    stream: std::net::TcpStream,
    ids: CasIds,
}

impl Side {
    fn new(addr: &str) -> Self {
        Self {
            stream: connect(addr),
            ids: CasIds::default(),
        }
    }

    /// The replies to `commands`, sent in the pieces that `cuts` makes, and
    /// what an early end of the connection looked like.
    fn ask(
        &mut self,
        commands: &[Command],
        fence: usize,
        cuts: impl FnOnce(&[u8]) -> Vec<&[u8]>,
    ) -> (Vec<Reply>, Option<String>) {
        let mut request = self.render(commands).concat();
        request.extend(format!("mg fence Of{fence}\r\n").as_bytes());
        let until = format!("EN Of{fence}\r\n");
        let (received, end) = match exchange(&self.stream, cuts(&request), until.as_bytes()) {
            Ok(received) => (received, None),
            Err(cut) => {
                let end = cut
                    .error
                    .map_or("closed".to_owned(), |error| error.to_string());
                (cut.received, Some(end))
            }
        };
        (parse(&received, &mut self.ids), end)
    }

    fn render(&self, commands: &[Command]) -> Vec<Vec<u8>> {
        commands
            .iter()
            .map(|command| command.render(self.ids.as_slice()))
            .collect()
    }
}

/// Runs one stream against two servers; with `single` each command gets a fence
/// of its own, so that a difference names it.
fn compare(
    addrs: [&str; 2],
    looks: bool,
    seed: u64,
    commands: usize,
    single: bool,
) -> Result<(), Difference> {
    let mut generator = Generator::new(seed);
    let mut cutter = generator.cutter();
    let [mut direct, mut proxied] = addrs.map(Side::new);
    direct.ids.looks = looks;
    proxied.ids.looks = looks;
    let (mut sent, mut fence) = (0, 0);
    for number in 0.. {
        let batch = generator.batch();
        let mut learned = Vec::new();
        for commands in batch.chunks(if single { 1 } else { batch.len() }) {
            fence += 1;
            let asked = direct.render(commands);
            let (expected, end) = direct.ask(commands, fence, |bytes| vec![bytes]);
            let (found, found_end) = proxied.ask(commands, fence, |bytes| cutter.cut(bytes));
            if let Some(found) = first_difference(&expected, end, &found, found_end) {
                return Err(Difference {
                    batch: number,
                    asked,
                    found,
                });
            }
            learned.extend(expected);
        }
        for Reply { cas, key, .. } in learned {
            if let Some(cas) = cas {
                generator.learn(key.as_deref(), cas);
            }
        }
        sent += batch.len();
        if sent >= commands {
            break;
        }
    }
    Ok(())
}

/// Describes the first reply in which the sides differ.
fn first_difference(
    expected: &[Reply],
    expected_end: Option<String>,
    found: &[Reply],
    found_end: Option<String>,
) -> Option<String> {
    if expected == found && expected_end == found_end {
        return None;
    }
    let same = expected
        .iter()
        .zip(found)
        .take_while(|(a, b)| a == b)
        .count();
    let mut text = format!("the first {same} replies agree, then\n");
    for (name, replies, end) in [
        ("memcached", expected, expected_end),
        ("picklegate", found, found_end),
    ] {
        let end = end.map(|end| format!("(end: {end})"));
        let said = replies
            .get(same)
            .map(show)
            .or(end)
            .unwrap_or("nothing".into());
        writeln!(text, "  {name:<10} {said}").expect("memory takes all");
    }
    Some(text)
}

fn show(reply: &Reply) -> String {
    let value = reply
        .value
        .as_deref()
        .map(|value| format!(" + {}", shorten(value, 200)));
    format!(
        "{}{}",
        shorten(&reply.line, 2000),
        value.unwrap_or_default()
    )
}

fn shorten(bytes: &[u8], most: usize) -> String {
    match bytes.get(..most) {
        Some(head) => format!("{}... ({} bytes)", head.escape_ascii(), bytes.len()),
        None => bytes.escape_ascii().to_string(),
    }
}

/// Compares two servers made afresh by `start`, which returns what keeps them
/// alive and their addresses: memcached's own first.
fn check<T>(name: &str, looks: bool, start: impl Fn() -> (T, [String; 2])) {
    let from_env = |name| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse().expect("a number"))
    };
    let seed = from_env("PICKLEGATE_SEED").unwrap_or_else(|| fastrand::u64(..));
    let commands = from_env("PICKLEGATE_COMMANDS").map_or(COMMANDS, |commands| commands as usize);
    let run = |single| {
        let (_alive, addrs) = start();
        compare([&addrs[0], &addrs[1]], looks, seed, commands, single)
    };
    let Err(difference) = run(false) else { return };
    let mut text = format!(
        "{name}: PICKLEGATE_SEED={seed} differs in batch {}: ",
        difference.batch
    );
    text += &difference.found;
    text += "the batch was\n";
    for asked in &difference.asked {
        writeln!(text, "  {}", shorten(asked, 160)).expect("memory takes all");
    }
    // The same stream again, a fence after each command.
    if let Err(single) = run(true) {
        let asked: Vec<_> = single
            .asked
            .iter()
            .map(|asked| shorten(asked, 600))
            .collect();
        writeln!(
            text,
            "one at a time, batch {} differs at {}",
            single.batch,
            asked.join(" ")
        )
        .expect("memory takes all");
        text += &single.found;
    } else {
        text += "one at a time it does not differ\n";
    }
    panic!("{text}");
}

/// The configuration of one listener in front of one upstream and one rule for all keys.
fn config(listen: &str, upstream: &str, rule: &str) -> String {
    Toml::new(&[upstream])
        .rule(rule)
        .listener(listen, RUNTIME)
        .to_string()
}

/// Compares memcached with picklegate under `rule`.
fn check_rule(name: &str, rule: &str) {
    check(name, name != "shared", || {
        let (direct, upstream) = (Memcached::start(), Memcached::start());
        let listen = free_addr();
        let gate = Picklegate::with_config(config(&listen, &upstream.addr(), rule));
        let addrs = [direct.addr(), listen];
        ((direct, upstream, gate), addrs)
    });
}

#[test]
fn two_memcacheds_agree() {
    // Proves the generator and the comparison: what differs elsewhere is ours.
    check("memcached", false, || {
        let both = [Memcached::start(), Memcached::start()];
        let addrs = both.each_ref().map(Memcached::addr);
        (both, addrs)
    });
}

#[test]
fn a_shared_rule_is_invisible() {
    check_rule("shared", r#"mode = "shared""#);
}

#[test]
fn an_isolated_runtime_on_its_own_sees_one_memcached() {
    check_rule(
        "isolate",
        "mode = \"isolate\"\nrollout = 100\ncoherence = \"deletes\"",
    );
}

#[test]
fn strict_coherence_on_its_own_sees_one_memcached() {
    check_rule(
        "strict",
        "mode = \"isolate\"\nrollout = 100\ncoherence = \"strict\"",
    );
}

#[test]
fn a_guard_over_loadable_values_is_invisible() {
    check_rule("guard", "mode = \"guard\"\nsniff = \"header\"");
}

#[test]
fn a_unix_upstream_is_no_different() {
    check("unix", false, || {
        let dir = tempfile::TempDir::new().expect("a writable temporary directory");
        let socket = dir.path().join("memcached.sock");
        let (direct, upstream) = (Memcached::start(), Memcached::unix(&socket));
        let listen = free_addr();
        let server = format!("unix:{}", socket.display());
        let gate = Picklegate::with_config(config(&listen, &server, r#"mode = "shared""#));
        let addrs = [direct.addr(), listen];
        ((direct, upstream, gate, dir), addrs)
    });
}
