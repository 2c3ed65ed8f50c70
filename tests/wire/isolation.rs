//! Isolation of the whole process, as `tests/engine/isolation.rs` shows it of the engine.
//! Whatever bytes a client sends to a picklegate before a real memcached, clients of
//! other namespaces find their values unchanged, but for the deletes of coherence, also
//! meanwhile; and the client is told none of them.
//!
//! `PICKLEGATE_ISOLATION_STREAMS` sets how many streams each coherence is tried with;
//! `PICKLEGATE_SEED` replays a failure, which prints the smallest stream that it could
//! find.

use std::cell::Cell;
use std::io::Write as _;
use std::net::TcpStream;

use picklegate::config::Config;
use picklegate::protocol::key::decode_base64_key;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

use crate::support::attacks::{Attacker, Fate, SECRET, Secret, raid};
use crate::support::toml::Toml;
use crate::support::{
    FENCE, FENCE_REPLY, Memcached, Picklegate, ask, connect, converse, free_addr, roundtrip,
};

/// Streams that each coherence is tried with.
const STREAMS: u32 = 400;

/// End of a list of replies, in which [`FENCE_REPLY`] stands between two.
const END: &[u8] = b"mg end Oend\r\n";
const END_REPLY: &[u8] = b"EN Oend\r\n";

/// Namespaces before one memcached, and who attacks them.
struct Siege {
    _memcached: Memcached,
    _gate: Picklegate,
    /// Each with where it connects and what the others have.
    attackers: [(Attacker, String, Vec<Secret>); 2],
    /// To memcached itself.
    control: TcpStream,
    /// Of Python 3.
    victim: TcpStream,
    deletes: bool,
}

impl Siege {
    fn new(coherence: &str) -> Self {
        let memcached = Memcached::start();
        let [two, three, untagged] = [(); 3].map(|()| free_addr());
        let rule = format!("mode = \"isolate\"\ncoherence = \"{coherence}\"");
        let toml = Toml::new(&[memcached.addr()])
            .rule(&rule)
            .table("limits", "request_timeout_ms = 9000")
            .listener_with(&untagged, "identify = [\"hello\"]\nuntagged = \"pass\"")
            .listener(&two, "py2")
            .listener(&three, "py3")
            .to_string();
        let config = Config::parse("isolation", &toml).unwrap_or_else(|error| panic!("{error}"));
        let secrets = |attacker| Secret::all(&config.snapshot.codec, attacker);
        let gate = Picklegate::with_config(&toml);
        Self {
            attackers: [(Attacker::Two, two), (Attacker::Untagged, untagged)]
                .map(|(attacker, listen)| (attacker, listen, secrets(attacker))),
            control: memcached.connect(),
            victim: connect(&three),
            deletes: coherence != "none",
            _memcached: memcached,
            _gate: gate,
        }
    }

    /// Empties memcached and stores secrets.
    fn plant(&self, secrets: &[Secret]) {
        let plants: String = secrets.iter().map(Secret::plant).collect();
        let reply = ask(&self.control, format!("flush_all\r\n{plants}").as_bytes());
        let reply = String::from_utf8_lossy(&reply).into_owned();
        assert_eq!(reply, "OK\r\n".to_owned() + &"HD\r\n".repeat(secrets.len()));
    }

    /// All that memcached tells of each.
    fn look(&self, secrets: &[Secret]) -> Vec<Vec<u8>> {
        let mut looks = Vec::new();
        for secret in secrets {
            looks.extend([secret.look().as_bytes(), FENCE].concat());
        }
        let mut reply = roundtrip(&self.control, &[&looks, END].concat(), END_REPLY);
        reply.truncate(reply.len() - END_REPLY.len());
        let mut items = Vec::new();
        while let Some(end) = reply.windows(4).position(|bytes| bytes == FENCE_REPLY) {
            items.push(reply.drain(..end).collect());
            reply.drain(..FENCE_REPLY.len());
        }
        assert_eq!(items.len(), secrets.len());
        items
    }

    /// Sends a stream in two pieces; how many secrets it deleted.
    fn withstand(
        &self,
        attacker: Attacker,
        stream: &[u8],
        cut: Index,
    ) -> Result<usize, TestCaseError> {
        let mut attackers = self.attackers.iter();
        let (_, listen, secrets) = attackers.find(|(who, ..)| *who == attacker).expect("both");
        self.plant(secrets);
        let before = self.look(secrets);
        let asked: Vec<_> = secrets.iter().filter(|secret| is_asked(secret)).collect();
        let gets: Vec<u8> = asked
            .iter()
            .flat_map(|secret| [b"get ", &secret.key[..], b"\r\n"].concat())
            .collect();
        // On the way together with the attack, and once more behind it.
        (&self.victim).write_all(&gets).expect("picklegate reads");
        let (head, tail) = stream.split_at(cut.index(stream.len() + 1));
        let received = converse(listen, &[head, tail]);
        let found = roundtrip(&self.victim, &[&gets, FENCE].concat(), FENCE_REPLY);
        let after = self.look(secrets);

        let received = received.map_err(|cut| TestCaseError::fail(format!("{cut:?}")))?;
        let received = received.escape_ascii().to_string();
        prop_assert!(!received.contains(SECRET), "it received {received}");
        let mut rest = &found[..];
        for secret in asked.iter().chain(&asked) {
            let Some(behind) = behind_own(rest, secret) else {
                let key = secret.key.escape_ascii();
                return Err(TestCaseError::fail(format!(
                    "get {key} is answered {}",
                    rest.escape_ascii()
                )));
            };
            rest = behind;
        }
        prop_assert_eq!(rest, FENCE_REPLY);
        let mut deleted = 0;
        for ((secret, before), after) in secrets.iter().zip(&before).zip(&after) {
            let fate = Fate::of(before, after);
            let may_delete = self.deletes && names(stream, &secret.key);
            prop_assert!(
                fate == Fate::Kept || fate == Fate::Deleted && may_delete,
                "{} became {}",
                before.escape_ascii(),
                after.escape_ascii()
            );
            deleted += usize::from(fate == Fate::Deleted);
        }
        Ok(deleted)
    }
}

/// Whether Python 3 can ask for it by `get`.
fn is_asked(secret: &Secret) -> bool {
    secret.space == "py3" && secret.key.iter().all(|&b| b > b' ')
}

/// Bytes behind the reply to a `get` of a secret, which must be its own value, an emptied
/// one, or none.
fn behind_own<'r>(reply: &'r [u8], secret: &Secret) -> Option<&'r [u8]> {
    let reply = ["", &secret.value]
        .iter()
        .find_map(|value| {
            let head = [b"VALUE ", &secret.key[..], b" 7 "].concat();
            let rest = reply.strip_prefix(&head[..])?;
            rest.strip_prefix(format!("{}\r\n{value}\r\n", value.len()).as_bytes())
        })
        .unwrap_or(reply);
    reply.strip_prefix(b"END\r\n")
}

/// Whether a key is said in a stream, as it is or in base64, wherever its lines end.
fn names(stream: &[u8], key: &[u8]) -> bool {
    [&b" \n"[..], b" \r\n\0"].into_iter().any(|ends| {
        let mut words = stream.split(|b| ends.contains(b));
        words.any(|word| word == key || decode_base64_key(word).is_some_and(|word| *word == *key))
    })
}

/// Tries random streams; shows the smallest one that fails, if any.
fn check(coherence: &str) {
    let from_env = |name| {
        let text = std::env::var(name).ok()?;
        Some(text.parse::<u64>().expect("a number"))
    };
    let seed = from_env("PICKLEGATE_SEED").unwrap_or_else(|| fastrand::u64(..));
    // Shown if the test fails.
    println!("PICKLEGATE_SEED={seed}");
    let config = ProptestConfig {
        cases: from_env("PICKLEGATE_ISOLATION_STREAMS").map_or(STREAMS, |cases| cases as u32),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let bytes = [seed.to_le_bytes(), [0; 8], [0; 8], [0; 8]].concat();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let siege = Siege::new(coherence);
    let deleted = Cell::new(0);
    let attack = (
        raid(),
        proptest::sample::select(&Attacker::ALL[..]),
        any::<Index>(),
    );
    let tried = TestRunner::new_with_rng(config, rng).run(&attack, |(stream, attacker, cut)| {
        deleted.set(deleted.get() + siege.withstand(attacker, &stream, cut)?);
        Ok(())
    });
    match tried {
        Ok(()) => assert_eq!(deleted.get() > 0, siege.deletes, "{coherence}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
        Err(TestError::Fail(why, (stream, attacker, _))) => {
            panic!(
                "{coherence}, {attacker:?} says {}: {why}",
                stream.escape_ascii()
            )
        }
    }
}

#[test]
fn nothing_of_others_is_read_or_changed() {
    check("none");
}

#[test]
fn nothing_of_others_is_read_and_all_that_changes_is_deleted() {
    check("deletes");
}

#[test]
fn the_same_if_all_writes_delete() {
    check("strict");
}
