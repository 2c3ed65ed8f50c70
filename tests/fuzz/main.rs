//! The fuzz targets under plain `cargo test`: their committed corpus, what a few
//! changes make of it, and inputs made of the words that requests and replies are
//! made of. `tests/fuzz/run` is what watches coverage.

mod pickles;
mod settings;
mod targets;
mod traffic;

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use fastrand::Rng;
use proptest::prelude::*;
use tar::Archive;

/// Inputs made of each corpus beside it.
const MUTANTS: usize = 1_000;
/// Bytes of such an input, at most.
const MAX_MUTANT: usize = 2048;

/// Shown if its run fails.
struct Input<'i>(&'i [u8]);

impl Drop for Input<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the input was b\"{}\"", self.0.escape_ascii());
        }
    }
}

/// Runs a target on every file of its corpus, and on what a fuzzer without eyes
/// makes of them. `PICKLEGATE_SEED` tries the same again.
fn replay(target: &str, run: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    if !corpus.is_dir() {
        eprintln!(
            "skipped: a published package comes without {}",
            corpus.display()
        );
        return;
    }
    let inputs = unpacked(&corpus.join(target).with_extension("tar"));
    assert!(inputs.len() > 10, "the corpus of {target} is gone");
    println!("{} inputs of {target}", inputs.len());
    for (name, input) in &inputs {
        // Shown if the test fails.
        println!("{name}");
        run(input);
    }
    let seed = std::env::var("PICKLEGATE_SEED").ok();
    let seed = seed.map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    println!("PICKLEGATE_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    for _ in 0..MUTANTS {
        let mut pick = || &inputs[rng.usize(..inputs.len())].1[..];
        let (input, other) = (pick(), pick());
        let mutant = mutate(&mut rng, input, other);
        let input = Input(&mutant);
        run(input.0);
    }
}

/// The files of an archive with their names.
fn unpacked(archive: &Path) -> Vec<(String, Vec<u8>)> {
    let file = File::open(archive).expect("an archive per target");
    let mut archive = Archive::new(BufReader::new(file));
    let entries = archive.entries().expect("an archive");
    let files = entries.map(|entry| {
        let mut entry = entry.expect("a whole entry");
        let name = entry.path().expect("a name").display().to_string();
        let mut input = Vec::new();
        entry.read_to_end(&mut input).expect("a whole file");
        (name, input)
    });
    files.collect()
}

/// An input with some bytes changed, left out, repeated or from another one.
fn mutate(rng: &mut Rng, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut mutant = input[..input.len().min(MAX_MUTANT)].to_vec();
    for _ in 0..rng.usize(1..6) {
        let at = rng.usize(..=mutant.len());
        let end = rng.usize(at..=mutant.len().min(at + 32));
        match rng.u8(..6) {
            0 if at < mutant.len() => mutant[at] ^= 1 << rng.u8(..8),
            1 if at < mutant.len() => mutant[at] = rng.u8(..),
            2 => mutant.insert(at, rng.u8(..)),
            3 => drop(mutant.drain(at..end)),
            4 => mutant.extend_from_within(at..end),
            _ => {
                let from = rng.usize(..=other.len());
                mutant.truncate(at);
                mutant.extend(&other[from..]);
            }
        }
    }
    mutant.truncate(MAX_MUTANT);
    mutant
}

#[test]
fn requests_of_the_corpus_are_read_soundly() {
    replay("request", targets::request);
}

#[test]
fn replies_of_the_corpus_reach_only_those_who_asked() {
    replay("reply", targets::reply);
}

#[test]
fn sessions_of_the_corpus_do_not_depend_on_cuts() {
    replay("session", targets::session);
}

#[test]
fn traffic_of_the_corpus_reaches_only_those_who_asked() {
    replay("interleaved", traffic::interleaved);
}

#[test]
fn configurations_of_the_corpus_work_or_say_what_is_wrong() {
    replay("config", settings::config);
}

#[test]
fn proxy_headers_of_the_corpus_do_not_depend_on_cuts() {
    replay("proxy", settings::proxy);
}

#[test]
fn pickles_of_the_corpus_are_scanned_soundly() {
    replay("pickle_scan", pickles::pickle_scan);
}

#[test]
fn pickles_of_the_corpus_are_rewritten_soundly() {
    replay("transcode", pickles::transcode);
}

/// Words of requests, with those that make trouble.
const REQUEST_WORDS: &[&str] = &[
    "get ",
    "gets ",
    "gat ",
    "gats ",
    "set ",
    "add ",
    "replace ",
    "append ",
    "prepend ",
    "cas ",
    "delete ",
    "incr ",
    "decr ",
    "touch ",
    "mg ",
    "ms ",
    "md ",
    "ma ",
    "me ",
    "mn\r\n",
    "version\r\n",
    "stats ",
    "flush_all ",
    "quit\r\n",
    "verbosity ",
    "noreply",
    "a ",
    "b ",
    "k ",
    "@py2//a ",
    "@py3//a ",
    "@//a ",
    "~a ",
    "YQ== ",
    "YSBi ",
    "Cg== ",
    "0 ",
    "1 ",
    "2 ",
    "5 ",
    "-1 ",
    "99 ",
    "4294967296 ",
    "x ",
    "v ",
    "k ",
    "f ",
    "b ",
    "q ",
    "c ",
    "t ",
    "s ",
    "N30 ",
    "T0 ",
    "T90 ",
    "R60 ",
    "O1 ",
    "C1 ",
    "I ",
    "MA ",
    "ME ",
    "J7 ",
    "D2 ",
    "F1 ",
    "F9 ",
    "E5 ",
    "h ",
    "l ",
    "u ",
    "P ",
    "L1 ",
    " ",
    "\r\n",
    "\r\n",
    "\r\n",
    "\n",
    "\r",
    "\0",
    "\t",
    "ab\r\n",
    "a\r\n",
    "END\r\n",
    "VALUE a 0 1\r\n",
];

/// Whole requests, so that some words meet what they need.
const REQUESTS: &[&str] = &[
    "set a 0 0 2\r\nab\r\n",
    "set a 1 0 3\r\n\u{80}x\r\n",
    "set k 0 0 1 noreply\r\n7\r\n",
    "get a b k\r\n",
    "gets a\r\n",
    "ms a 2 F1 c\r\nab\r\n",
    "mg a v k f t\r\n",
    "mg YSBi b N30 v\r\n",
    "me YSBi b\r\n",
    "delete a\r\n",
    "md a I\r\n",
    "incr k 1\r\n",
    "ma k v\r\n",
    "ms YSBi 5 b\r\nEND\r\n\r\n",
];

/// Words of replies to what the target asks.
const REPLY_WORDS: &[&str] = &[
    "VALUE @py2//a 0 1\r\nx\r\n",
    "VALUE @py2//b 1 2\r\n",
    "VALUE @py3//a 1 3 7\r\n",
    "VALUE @py3//c 9 4\r\n",
    "VALUE a 0 1\r\nx\r\n",
    "VALUE ",
    "@py2//a ",
    "@py3//a ",
    "END\r\n",
    "END\r\n",
    "END\r\n",
    "STORED\r\n",
    "EXISTS\r\n",
    "NOT_FOUND\r\n",
    "DELETED\r\n",
    "TOUCHED\r\n",
    "VERSION 1.6.18\r\n",
    "STAT pid 1\r\n",
    "7\r\n",
    "HD\r\n",
    "HD k@py2//a\r\n",
    "HD kQHB5Mi8vYSBi b O1\r\n",
    "HD k@py2//a b O1\r\n",
    "EN\r\n",
    "EN O1\r\n",
    "NF\r\n",
    "NS\r\n",
    "EX\r\n",
    "VA 1 f0 k@py3//a\r\nx\r\n",
    "VA 2 f1 k@py2//a\r\n",
    "VA 1\r\n5\r\n",
    "VA ",
    "ME @py2//a exp=1\r\n",
    "SERVER_ERROR busy\r\n",
    "CLIENT_ERROR no\r\n",
    "ERROR\r\n",
    "0 ",
    "1 ",
    "5 ",
    "4000000000 ",
    "k@py2//a ",
    "f1 ",
    "x",
    "ab\r\n",
    "\r\n",
    "\n",
    "\0",
    " ",
    "\u{80}",
    "abcdefgh",
];

/// The replies that the target's requests have, in their order.
const REPLIES: &[&str] = &[
    "VALUE @py2//a 0 1\r\nx\r\nEND\r\n",
    "VALUE @py3//c 1 0\r\n\r\nEND\r\n",
    "VA 1 f0 k@py3//a\r\ny\r\n",
    "EN\r\n",
    "HD kQHB5Mi8vYSBi b O1\r\n",
    "EN\r\n",
    "STORED\r\n",
    "EXISTS\r\n",
    "8\r\n",
    "HD k@py2//a\r\n",
    "NF\r\n",
    "NF\r\n",
    "DELETED\r\n",
];

/// Some words in any order after a beginning of `prelude`.
fn stream(
    prelude: &'static [&'static str],
    words: &'static [&'static str],
) -> impl Strategy<Value = Vec<u8>> {
    let choice = prop_oneof![Just(0u8), 1..20u8, any::<u8>()];
    let tail = proptest::collection::vec(proptest::sample::select(words), 0..40);
    (choice, 0..=prelude.len(), tail).prop_map(|(choice, begin, tail)| {
        let text = prelude[..begin].concat() + &tail.concat();
        // One byte each, so that there is more than UTF-8.
        let bytes = text.chars().map(|c| c as u8);
        std::iter::once(choice).chain(bytes).collect()
    })
}

/// Bytes from which inputs are spelled.
fn choices(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_words_are_read_soundly(data in stream(REQUESTS, REQUEST_WORDS)) {
        targets::request(&data[1..]);
    }

    #[test]
    fn any_replies_reach_only_those_who_asked(data in stream(REPLIES, REPLY_WORDS)) {
        targets::reply(&data);
    }

    #[test]
    fn any_session_does_not_depend_on_cuts(data in stream(REQUESTS, REQUEST_WORDS)) {
        targets::session(&data);
    }

    #[test]
    fn any_traffic_reaches_only_those_who_asked(data in choices(600)) {
        traffic::interleaved(&data);
    }

    #[test]
    fn any_configuration_works_or_says_what_is_wrong(data in choices(120)) {
        settings::config(&data);
    }

    #[test]
    fn any_proxy_header_does_not_depend_on_cuts(data in choices(300)) {
        settings::proxy(&data);
    }

    #[test]
    fn any_pickle_is_scanned_soundly(data in choices(200)) {
        pickles::pickle_scan(&data);
    }

    #[test]
    fn any_pickle_is_rewritten_soundly(data in choices(200)) {
        pickles::transcode(&data);
    }
}
