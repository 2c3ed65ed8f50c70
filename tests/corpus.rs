//! The fuzz targets under plain `cargo test`: their committed corpus, and
//! inputs made of the words that requests and replies are made of.

#[path = "fuzz/pickles.rs"]
mod pickles;
#[path = "fuzz/targets.rs"]
mod targets;

use std::path::Path;

use proptest::prelude::*;

/// Runs a target on every file of its corpus.
fn replay(target: &str, run: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    if !corpus.is_dir() {
        eprintln!(
            "skipped: a published package comes without {}",
            corpus.display()
        );
        return;
    }
    let mut inputs = 0;
    for entry in std::fs::read_dir(corpus.join(target)).expect("a corpus per target") {
        let path = entry.expect("a readable directory").path();
        // Shown if the test fails.
        println!("{}", path.display());
        run(&std::fs::read(&path).expect("a readable file"));
        inputs += 1;
    }
    assert!(inputs > 10, "the corpus of {target} is gone");
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

/// What a pickle is spelled from.
fn pickle_choices() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..200)
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
    fn any_pickle_is_scanned_soundly(data in pickle_choices()) {
        pickles::pickle_scan(&data);
    }

    #[test]
    fn any_pickle_is_rewritten_soundly(data in pickle_choices()) {
        pickles::transcode(&data);
    }
}
