//! Pickles made to do harm: what is said of each beside what Python 2.7, 3.6 and
//! 3.12 were recorded to do with it, and that none takes more memory or time than
//! its bytes are worth.

use picklegate::pickle::{Extensions, Firewall, Reader, Reason, Scanner, Verdict};

use crate::matrix::MATRIX;

/// Result of loading a pickle, observed or predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Loads,
    Fails,
    /// No memory is enough, or only a multiple of the bytes.
    Swells,
}
use Does::{Fails, Loads, Swells};

/// Prediction for a pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// Broken for all readers.
    Broken,
    /// By reader, in the order below: the verdict of a whole scan.
    Verdicts([Verdict; 3]),
}

const READERS: [(u64, u64); 3] = [(2, 7), (3, 6), (3, 12)];

const YES: Verdict = Verdict::Loadable;
const NO: Verdict = Verdict::Unloadable;
const PERHAPS: Verdict = Verdict::Unknown;

const ALL: Said = Said::Verdicts([YES; 3]);
const PYTHON_3: Said = Said::Verdicts([NO, YES, YES]);
const NONE: Said = Said::Verdicts([NO; 3]);

struct Shape {
    name: &'static str,
    pickle: Vec<u8>,
    recorded: [Does; 3],
    said: Said,
    /// The firewall refuses it whatever it allows.
    structure: bool,
}

fn shape(name: &'static str, pickle: &[u8], recorded: [Does; 3], said: Said) -> Shape {
    Shape {
        name,
        pickle: pickle.to_vec(),
        recorded,
        said,
        structure: false,
    }
}

/// One that no pickler writes.
fn odd(name: &'static str, pickle: &[u8], recorded: [Does; 3], said: Said) -> Shape {
    Shape {
        structure: true,
        ..shape(name, pickle, recorded, said)
    }
}

/// After PROTO 4.
fn sized(op: u8, len: u64, width: usize) -> Vec<u8> {
    [&[0x80, 4, op], &len.to_le_bytes()[..width], b"ab."].concat()
}

/// Memory of which the index is the size.
fn memo() -> Vec<Shape> {
    let put = |index: u32| [b"\x80\x02Nr", &index.to_le_bytes()[..], b"."].concat();
    let swells = [Loads, Swells, Swells];
    vec![
        shape("memo 2^25", &put(1 << 25), swells, Said::Broken),
        shape("memo 2^31-1", &put((1 << 31) - 1), swells, Said::Broken),
        shape("memo 2^32-16", &put(u32::MAX - 15), swells, Said::Broken),
        shape("PUT 10^9", b"Np1000000000\n.", swells, Said::Broken),
        shape(
            "BINGET of nothing",
            b"\x80\x02h\x05.",
            [Fails; 3],
            Said::Broken,
        ),
    ]
}

/// Lengths of what is not there.
fn lengths() -> Vec<Shape> {
    let broken = |name, pickle: &[u8]| shape(name, pickle, [Fails; 3], Said::Broken);
    vec![
        broken("BINBYTES8 2^40", &sized(0x8e, 1 << 40, 8)),
        broken("BINBYTES8 2^62", &sized(0x8e, 1 << 62, 8)),
        broken("BYTEARRAY8 2^30", &sized(0x96, 1 << 30, 8)),
        broken("BYTEARRAY8 2^62", &sized(0x96, 1 << 62, 8)),
        broken("BINUNICODE8 2^64-1", &sized(0x8d, u64::MAX, 8)),
        broken("BINUNICODE 2^32-1", &sized(b'X', u32::MAX.into(), 4)),
        broken("BINSTRING -1", &sized(b'T', u32::MAX.into(), 4)),
        broken("LONG4 2^31-1", &sized(0x8b, (1 << 31) - 1, 4)),
        broken("LONG4 -1", &sized(0x8b, u32::MAX.into(), 4)),
        broken("FRAME 2^62", &sized(0x95, 1 << 62, 8)),
        broken("FRAME past the end", &sized(0x95, 100, 8)),
        shape(
            "FRAME cuts an opcode",
            b"\x80\x04\x95\x02\0\0\0\0\0\0\0\x8c\x03abc.",
            [Fails, Loads, Loads],
            PYTHON_3,
        ),
        shape(
            "LONG of 4301 digits",
            format!("L{}L\n.", "1".repeat(4301)).as_bytes(),
            [Loads, Loads, Fails],
            Said::Verdicts([YES, YES, NO]),
        ),
        shape(
            "INT of 10^5 digits",
            format!("I{}\n.", "1".repeat(100_000)).as_bytes(),
            [Loads, Loads, Fails],
            Said::Verdicts([YES, YES, NO]),
        ),
    ]
}

fn headers() -> Vec<Shape> {
    vec![
        shape("header 0", b"\x80\x00N.", [Loads; 3], ALL),
        shape("header 255", b"\x80\xffN.", [Fails; 3], Said::Broken),
        shape(
            "header 5 over protocol 0",
            b"\x80\x05(lI1\na.",
            [Fails, Fails, Loads],
            Said::Verdicts([NO, NO, YES]),
        ),
        shape(
            "protocol 4 without a header",
            b"\x8c\x01a\x94.",
            [Fails, Loads, Loads],
            PYTHON_3,
        ),
        odd(
            "PROTO 2, then 4",
            b"\x80\x02\x80\x04\x8c\x02os\x8c\x09path.join\x93.",
            [Fails, Loads, Loads],
            PYTHON_3,
        ),
        odd(
            "what follows STOP",
            b"\x80\x02K\x01.garbage",
            [Loads; 3],
            ALL,
        ),
        odd(
            "two pickles",
            b"\x80\x02K\x01.\x80\x02K\x02.",
            [Loads; 3],
            ALL,
        ),
        shape(
            "a newline first",
            b"\n\x80\x02K\x01.",
            [Fails; 3],
            Said::Broken,
        ),
        shape("nothing", b"", [Fails; 3], Said::Broken),
        shape("only STOP", b".", [Fails; 3], Said::Broken),
        shape("underflow", b"\x80\x02\x86.", [Fails; 3], Said::Broken),
    ]
}

fn names() -> Vec<Shape> {
    vec![
        shape(
            "a dotted GLOBAL at protocol 2",
            b"\x80\x02cos\npath.join\n.",
            [Fails; 3],
            NONE,
        ),
        shape(
            "a dotted GLOBAL at protocol 4",
            b"\x80\x04cos\npath.join\n.",
            [Fails, Loads, Loads],
            PYTHON_3,
        ),
        shape(
            "a function by a re-export",
            b"\x80\x04\x8c\x06shutil\x8c\x09os.getpid\x93)R.",
            [Fails, Loads, Loads],
            PYTHON_3,
        ),
        shape(
            "a module by a re-export",
            b"\x80\x02cshutil\nos\n.",
            [Loads; 3],
            ALL,
        ),
        odd(
            "BUILD on a class",
            b"\x80\x02cdecimal\nDecimal\n}U\x01xK\x01sb.",
            // Setting by a dict fails, by a pair of slots' values it does not.
            [Fails; 3],
            ALL,
        ),
        odd(
            "bytearray of an int",
            b"\x80\x02c__builtin__\nbytearray\nJ\x00\xca\x9a\x3b\x85R.",
            [Swells; 3],
            ALL,
        ),
        odd(
            "EXT1 of no registry",
            b"\x80\x02\x82\x07.",
            [Fails; 3],
            Said::Verdicts([PERHAPS; 3]),
        ),
        shape(
            "SETITEMS on a list",
            b"\x80\x02](K\x00K\x01u.",
            [Fails; 3],
            Said::Broken,
        ),
        shape(
            "APPENDS on a dict",
            b"\x80\x02}(K\x00e.",
            [Fails; 3],
            Said::Broken,
        ),
        shape(
            "a call, then garbage",
            b"\x80\x02cos\ngetpid\n)R\xff.",
            [Fails; 3],
            Said::Broken,
        ),
    ]
}

fn nested(begin: &[u8], times: usize, end: &[u8]) -> Vec<u8> {
    let mut pickle = begin.repeat(times);
    pickle.extend_from_slice(end);
    pickle
}

/// Deep or shared: harmless to load, not to compare.
fn deep() -> Vec<Shape> {
    let laughs = [b"\x80\x02)".to_vec(), nested(b"2\x86", 60, b".")].concat();
    let lists = [vec![b']'; 1_000_000], nested(b"a", 999_999, b".")].concat();
    let tuples = [b"\x80\x02)".to_vec(), nested(b"\x85", 1_000_000, b".")].concat();
    let dicts = [
        b"\x80\x02".to_vec(),
        nested(b"}K\x00", 300_000, b"N"),
        nested(b"s", 300_000, b"."),
    ]
    .concat();
    // The first of them makes a tuple of what is above the others.
    let marks = [vec![b'('; 5_000_000], b"t.".to_vec()].concat();
    vec![
        shape("10^6 lists", &lists, [Loads; 3], ALL),
        shape("10^6 tuples", &tuples, [Loads; 3], ALL),
        shape("3x10^5 dicts", &dicts, [Loads; 3], ALL),
        shape("5x10^6 MARKs", &marks, [Loads; 3], ALL),
        shape("60 levels of pairs", &laughs, [Loads; 3], ALL),
    ]
}

fn all() -> impl Iterator<Item = Shape> {
    [memo(), lengths(), headers(), names(), deep()]
        .into_iter()
        .flatten()
}

/// Bytes that a scanner may hold after a pickle, for each of its bytes.
const HELD_PER_BYTE: usize = 48;
/// And for any pickle.
const HELD: usize = 2048;

#[test]
fn hostile_pickles_are_judged_as_they_were_recorded_to_end() {
    let nothing = Firewall::deny([]).expect("an empty list");
    for shape in all() {
        let mut scanner = Scanner::default();
        let name = shape.name;
        let scan = scanner.scan(&shape.pickle, Extensions::NONE);
        let (said, refused) = match scan {
            Err(_) => (Said::Broken, true),
            Ok(scan) => (
                Said::Verdicts(READERS.map(|(major, minor)| {
                    let reader = Reader::of_python(major, Some(minor));
                    let judged = scan.judge(reader, None);
                    judged.map_or_else(Reason::verdict, |()| Verdict::Loadable)
                })),
                nothing.check(&scan).is_err(),
            ),
        };
        assert_eq!(said, shape.said, "{name}");
        assert_eq!(refused, shape.structure || said == Said::Broken, "{name}");
        // What loads and does no harm is never called unloadable.
        if let Said::Verdicts(verdicts) = said {
            for (verdict, does) in verdicts.into_iter().zip(shape.recorded) {
                assert!(verdict != NO || does != Loads, "{name}");
            }
        } else {
            assert!(shape.recorded.iter().any(|&does| does != Loads), "{name}");
        }
        let most = HELD + HELD_PER_BYTE * shape.pickle.len();
        let held = scanner.held_bytes();
        assert!(held <= most, "{name}: {held} bytes");
    }
}

#[test]
fn what_a_hostile_pickle_takes_is_given_back() {
    let mut scanner = Scanner::default();
    for shape in deep() {
        let _ = scanner.scan(&shape.pickle, Extensions::NONE);
    }
    let small = scanner.scan(b"\x80\x02K\x01.", Extensions::NONE);
    assert!(small.is_ok());
    let held = scanner.held_bytes();
    assert!(held <= 4 << 20, "{held} bytes");
}

/// Much of the same, at most `count` times what is in the middle.
fn many(before: &[u8], middle: &[u8], after: &[u8], count: usize) -> Vec<u8> {
    [b"\x80\x02", before, &middle.repeat(count), after, b"."].concat()
}

#[test]
fn a_large_pickle_takes_a_bounded_amount_of_memory() {
    let names: Vec<u8> = (0..70_000)
        .flat_map(|n| format!("ca\n{n}\n").into_bytes())
        .collect();
    let mut far = many(b"", b"N0", b"Nr", 2_200_000);
    far.splice(far.len() - 1.., 4_300_000u32.to_le_bytes());
    far.push(b'.');
    let values = "more than 4194304 values at once";
    for (pickle, said) in [
        // What picklers write is looked at to its end, however much it is.
        (many(b"}", b"K\x01Ns", b"", 2_000_000), Ok(())),
        (
            many(
                b"]",
                &[b"(", &b"N".repeat(1_000)[..], b"e"].concat(),
                b"",
                5_000,
            ),
            Ok(()),
        ),
        (many(b"}(", b"K\x01N", b"u", 2_200_000), Err(values)),
        (many(b"(", b"N", b"t", 4_400_000), Err(values)),
        (far, Err(values)),
        (many(b"(", &names, b"t", 1), Err("more than 65536 names")),
    ] {
        let mut scanner = Scanner::default();
        let ended = scanner.scan(&pickle, Extensions::NONE).map(drop);
        let ended = ended.map_err(|broken| broken.flaw.to_string());
        assert_eq!(ended, said.map_err(str::to_owned));
        let held = scanner.held_bytes();
        assert!(held <= 192 << 20, "{held} bytes");
    }
}

#[test]
fn a_dozen_shapes_cut_anywhere_are_broken() {
    let mut scanner = Scanner::default();
    let whole = |shape: &Shape| shape.said != Said::Broken && shape.pickle.len() < 1_000;
    let mut cut = 0;
    for shape in all().filter(whole) {
        let len = match scanner.scan(&shape.pickle, Extensions::NONE) {
            Ok(scan) => scan.len(),
            Err(broken) => panic!("{}: {broken}", shape.name),
        };
        for len in 0..len {
            let scan = scanner.scan(&shape.pickle[..len], Extensions::NONE);
            assert!(scan.is_err(), "{} cut at {len}", shape.name);
        }
        cut += 1;
    }
    assert!(cut >= 12, "only {cut} shapes");
}

#[test]
fn time_is_linear_in_the_bytes() {
    let scan = |pickle: &[u8]| {
        let mut scanner = Scanner::default();
        let started = std::time::Instant::now();
        let _ = scanner.scan(pickle, Extensions::NONE);
        started.elapsed()
    };
    // Twice as long as the longest above: quadratic, it would take minutes.
    let many = |unit: &[u8]| [b"\x80\x04N\x94".to_vec(), nested(unit, 2_000_000, b".")].concat();
    for unit in [
        &b"h\0"[..],
        b"2",
        b"(",
        b"\x85",
        b"\x94",
        b"\x8c\0",
        b"\x86",
        b"N\x94",
    ] {
        let took = scan(&many(unit));
        assert!(took.as_secs() < 10, "{} took {took:?}", unit.escape_ascii());
    }
    let largest = MATRIX.rows.iter().max_by_key(|row| row.pickle.len());
    assert!(scan(&largest.expect("a record").pickle).as_secs() < 10);
}
