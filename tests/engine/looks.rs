//! Depth of looks: values that count as not looked at, closer looks that hide no less,
//! and values without a flag, which cost nothing.

use std::io::Write as _;

use picklegate::engine::{Action, Counts, Direction, Kinds as _, Writer};
use picklegate::pickle::Verdict;
use proptest::prelude::*;

use crate::support::rig::{Rig, config, text};

const HEADER: &str = "mode = \"guard\"\nsniff = \"header\"";
const FULL: &str = "mode = \"guard\"";
const OBSERVE: &str = "mode = \"observe\"";
/// The spaces of the two namespaces.
const PY2: usize = 1;
const PY3: usize = 2;

/// `cPickle.dumps(datetime.date(2024, 5, 6), 2)` of Python 2.7, which loads on no
/// Python 3.
const DATE_2: &[u8] = b"\x80\x02cdatetime\ndate\nq\x01U\x04\x07\xe8\x05\x06\x85Rq\x02.";
/// `pickle.dumps([1, 2], 2)` of Python 3.
const LIST: &[u8] = b"\x80\x02]q\x00(K\x01K\x02e.";

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

/// A list of one long text, of this protocol.
fn long_text(protocol: u8, len: u32) -> Vec<u8> {
    let text = vec![b'x'; len as usize];
    [&[0x80, protocol, b'X'][..], &len.to_le_bytes(), &text, b"."].concat()
}

/// Reply to a read of a value, with the counts that it left.
fn read(rule: &str, (flags, value): (u32, &[u8]), runtime: &str) -> (Vec<u8>, Counts) {
    let mut rig = Rig::new(&config(1, rule), 1);
    let head = format!("set k {flags} 0 {}\r\n", value.len());
    rig.ask_cache(0, &[head.as_bytes(), value, b"\r\n"].concat());
    let client = rig.open(runtime);
    let got = rig.ask(client, b"get k\r\n");
    (got, rig.engine.counts().clone())
}

fn is_hidden(rule: &str, value: (u32, &[u8]), runtime: &str) -> bool {
    read(rule, value, runtime).0 == b"END\r\n"
}

/// Reads of a namespace by verdict, whoever wrote and whatever was done.
fn verdicts(counts: &Counts, space: usize) -> Vec<(&'static str, u64)> {
    let of = |verdict: Verdict| {
        let counts = Writer::ALL.iter().flat_map(|&writer| {
            let actions = Action::ALL.iter();
            actions.map(move |&act| counts.reads(space, writer, verdict, act))
        });
        (verdict.name(), counts.sum())
    };
    let all = Verdict::ALL.into_iter().map(of);
    all.filter(|(_, count)| *count > 0).collect()
}

#[test]
fn the_whole_value_is_looked_at_unless_a_rule_says_otherwise() {
    assert!(is_hidden(FULL, (1, DATE_2), "py3.8"));
    assert!(is_hidden(
        "mode = \"isolate\"\nrollout = 0",
        (1, DATE_2),
        "py3.8"
    ));
    let (got, counts) = read(OBSERVE, (1, DATE_2), "py3.8");
    assert!(text(&got).starts_with("VALUE k 1 "));
    assert_eq!(verdicts(&counts, PY3), [("unloadable", 1)]);
    assert_eq!(counts.unloadable(PY3, Direction::Read).of("byte_string"), 1);
}

#[test]
fn what_was_not_looked_at_whole_is_counted_as_that_and_never_as_loadable() {
    let not = [("not_looked_at", 1)];
    let bomb = deflate(&long_text(2, 1 << 20));
    let small_inflated = "\n[pickle]\nmax_inflated_bytes = \"64KiB\"";
    let small_values = "\n[limits]\nmax_value_bytes = \"1KiB\"";
    for mode in ["observe", "guard"] {
        let rule = format!("mode = \"{mode}\"");
        // Who looks at the header alone knows nothing of the rest.
        let header = format!("{rule}\nsniff = \"header\"");
        for value in [(1, DATE_2), (1, LIST), (9, &*deflate(LIST))] {
            let (_, counts) = read(&header, value, "py3.8");
            assert_eq!(verdicts(&counts, PY3), not, "{header}");
            assert_eq!(counts.not_looked_at(), 1);
            // As `stats picklegate` tells it.
            assert_eq!(counts.summary()["pickles_not_looked_at_served"], 1);
        }
        // What is too large to be inflated, or to be held.
        let (_, counts) = read(&format!("{rule}{small_inflated}"), (9, &bomb), "py3.8");
        assert_eq!(verdicts(&counts, PY3), not);
        assert_eq!(counts.unloadable(PY3, Direction::Read).of("zlib_limit"), 1);
        let large = long_text(2, 2 << 10);
        let (_, counts) = read(&format!("{rule}{small_values}"), (1, &large), "py3.8");
        assert_eq!(verdicts(&counts, PY3), not);
        // All of it.
        let (_, counts) = read(&rule, (9, &deflate(LIST)), "py3.8");
        assert_eq!(verdicts(&counts, PY3), [("loadable", 1)]);
        assert_eq!(counts.not_looked_at(), 0);
    }
}

#[test]
fn what_the_header_says_for_certain_holds_however_little_was_looked_at() {
    let bomb = deflate(&long_text(4, 1 << 20));
    let stream = deflate(&long_text(4, 4 << 10));
    let cut = &stream[..stream.len() - 4];
    let small_inflated = "\n[pickle]\nmax_inflated_bytes = \"64KiB\"";
    let small_values = "\n[limits]\nmax_value_bytes = \"1KiB\"";
    for (rule, value) in [
        (HEADER.to_owned(), (1, &b"\x80\x04]."[..])),
        (format!("{FULL}{small_inflated}"), (9, &bomb[..])),
        (format!("{FULL}{small_values}"), (1, &long_text(4, 2 << 10))),
        // A damaged stream, a pickle that is not whole, and one of nobody's protocol.
        (FULL.to_owned(), (9, cut)),
        (FULL.to_owned(), (1, b"\x80\x04]")),
        (FULL.to_owned(), (1, b"\x80\x09].")),
    ] {
        let (got, counts) = read(&rule, value, "py2.7");
        assert_eq!(text(&got), "END\\r\\n", "{rule} {value:?}");
        assert_eq!(verdicts(&counts, PY2), [("unloadable", 1)]);
        assert_eq!(counts.unloadable(PY2, Direction::Read).of("protocol"), 1);
    }
}

#[test]
fn what_no_flag_marks_is_no_pickle_however_close_the_look() {
    for rule in [FULL, OBSERVE, HEADER] {
        let (got, counts) = read(rule, (0, DATE_2), "py3.8");
        assert!(text(&got).starts_with("VALUE k 0 "), "{rule}");
        assert_eq!(verdicts(&counts, PY3), [], "{rule}");
    }
    // It goes on as it comes: nobody waits for the rest of it.
    let mut rig = Rig::new(&config(1, FULL), 1);
    let value = vec![b'r'; 50_000];
    let head = format!("set k 0 0 {}\r\n", value.len());
    rig.ask_cache(0, &[head.as_bytes(), &value, b"\r\n"].concat());
    let client = rig.open("py3.8");
    rig.send(client, b"get k\r\n");
    let lanes = 0..rig.lanes();
    for lane in lanes.clone() {
        rig.write_lane(lane, usize::MAX);
    }
    for lane in lanes {
        rig.read_lane(lane, 10_000).expect("the cache answers");
    }
    rig.flush_clients();
    assert!(rig.received(client).len() > 9_000);
}

#[test]
fn a_family_that_was_not_looked_at_says_so() {
    let mut rig = Rig::new(&config(1, HEADER), 1);
    let head = format!("set user:1 1 0 {}\r\n", DATE_2.len());
    rig.ask_cache(0, &[head.as_bytes(), DATE_2, b"\r\n"].concat());
    let client = rig.open("py3.8");
    rig.ask(client, b"get user:1\r\nget user:2\r\n");
    let families: Vec<_> = rig.engine.families().iter().collect();
    assert_eq!((families[0].reads, families[0].not_looked_at), (2, 1));
}

proptest! {
    #[test]
    fn a_whole_look_hides_all_that_a_header_look_hides(
        protocol in 0u8..12,
        rest in proptest::collection::vec(any::<u8>(), 0..40),
        compress in any::<bool>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let plain = [&[0x80, protocol][..], &rest].concat();
        let (flags, value) = if compress { (9, deflate(&plain)) } else { (1, plain) };
        let value = &value[..=cut.index(value.len())];
        for runtime in ["py2.7", "py3.6", "py3.13"] {
            if is_hidden(HEADER, (flags, value), runtime) {
                prop_assert!(is_hidden(FULL, (flags, value), runtime), "{runtime} {value:?}");
            }
        }
    }
}
