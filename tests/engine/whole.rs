//! Values that are looked at whole: judged by what is in them, transcoded, kept
//! by the firewall; whatever pieces they come in.

use std::io::Write as _;

use picklegate::engine::{Action, Apart, Direction, Inline, Writer};
use picklegate::pickle::Verdict;

use crate::support::rig::{Cut, Rig, config, text};

const GUARD: &str = "mode = \"guard\"\nsniff = \"full\"";
const TRANSCODE: &str = "mode = \"guard\"\non_unloadable_read = \"transcode\"";

/// `pickle.dumps(b"\xe2\x82\xac", 4)` of Python 3.
const BYTES_3: &[u8] = b"\x80\x04\x95\x07\x00\x00\x00\x00\x00\x00\x00C\x03\xe2\x82\xac\x94.";
/// `cPickle.dumps(datetime.date(2024, 5, 6), 2)` of Python 2.7, which loads on no
/// Python 3.
const DATE_2: &[u8] = b"\x80\x02cdatetime\ndate\nq\x01U\x04\x07\xe8\x05\x06\x85Rq\x02.";
/// A date of Python 3, protocol 4.
const DATE_3: &[u8] = b"\x80\x04\x95 \x00\x00\x00\x00\x00\x00\x00\x8c\x08datetime\x94\x8c\x04date\x94\x93\x94C\x04\x07\xe8\x05\x06\x94\x85\x94R\x94.";
/// `cPickle.dumps("abc", 2)` of Python 2.7.
const STR_2: &[u8] = b"\x80\x02U\x03abcq\x01.";
/// A zone that only Python 3.9 and later have.
const ZONE: &[u8] = b"\x80\x02czoneinfo\nZoneInfo\n.";
/// `os.system("id")`
const SYSTEM: &[u8] = b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.";

fn store(rig: &mut Rig, key: &str, flags: u32, value: &[u8]) {
    let head = format!("set {key} {flags} 0 {}\r\n", value.len());
    let stored = rig.ask_cache(0, &[head.as_bytes(), value, b"\r\n"].concat());
    assert_eq!(text(&stored), "STORED\\r\\n");
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

fn hit(key: &str, flags: u32, value: &[u8], cas: &str) -> String {
    let head = format!("VALUE {key} {flags} {}{cas}\r\n", value.len());
    text(&[head.as_bytes(), value, b"\r\nEND\r\n"].concat())
}

/// Reply to a client of each runtime for a value, received whole and byte by byte.
fn read(rule: &str, flags: u32, value: &[u8], runtime: &str) -> String {
    let apart = Apart {
        inline: Inline {
            value_bytes: 0,
            turn_bytes: 0,
        },
        ..Apart::default()
    };
    let ways = [
        (Cut::Whole, Apart::default()),
        (Cut::Bytes, Apart::default()),
        (Cut::Whole, apart),
    ];
    let [whole, cut, apart] = ways.map(|(cut, apart)| {
        let mut rig = Rig::apart(&config(1, rule), 1, apart);
        store(&mut rig, "k", flags, value);
        let client = rig.open(runtime);
        rig.feed(client, b"get k\r\n", Cut::Whole, cut)
            .expect("the cache answers what it is asked");
        text(rig.received(client))
    });
    assert_eq!(whole, cut);
    assert_eq!(whole, apart);
    whole
}

const MISS: &str = "END\\r\\n";

#[test]
fn what_a_header_does_not_tell_hides_a_value() {
    assert_eq!(read(GUARD, 1, DATE_2, "py2.7"), hit("k", 1, DATE_2, ""));
    assert_eq!(read(GUARD, 1, DATE_2, "py3.11"), MISS);
    assert_eq!(read(GUARD, 1, ZONE, "py3.8"), MISS);
    assert_eq!(read(GUARD, 1, ZONE, "py3.9"), hit("k", 1, ZONE, ""));
    // A version that the tag leaves open may have it.
    assert_eq!(read(GUARD, 1, ZONE, "py3"), hit("k", 1, ZONE, ""));
    // No pickle: not looked at. No pickle in spite of its flag: nobody knows.
    assert_eq!(read(GUARD, 0, DATE_2, "py3.11"), hit("k", 0, DATE_2, ""));
    assert_eq!(
        read(GUARD, 1, b"\x80\x02K", "py2.7"),
        hit("k", 1, b"\x80\x02K", "")
    );
    for rule in [
        "mode = \"observe\"\nsniff = \"full\"",
        "mode = \"guard\"\nsniff = \"full\"\non_unloadable_read = \"pass\"",
    ] {
        assert_eq!(read(rule, 1, DATE_2, "py3.11"), hit("k", 1, DATE_2, ""));
    }
}

#[test]
fn compressed_values_are_looked_at_inside() {
    let compressed = deflate(DATE_2);
    assert_eq!(
        read(GUARD, 9, &compressed, "py2.7"),
        hit("k", 9, &compressed, "")
    );
    assert_eq!(read(GUARD, 9, &compressed, "py3.11"), MISS);
    // The bit is cleared: every client reads what is not compressed.
    let found = read(TRANSCODE, 9, &compressed, "py3.11");
    assert!(found.starts_with("VALUE k 1 "), "{found}");
    let bomb = deflate(
        &[
            &b"\x80\x02X\x00\x00\x10\x00"[..],
            &vec![b'x'; 1 << 20],
            b".",
        ]
        .concat(),
    );
    let small = format!("{GUARD}\n[pickle]\nmax_inflated_bytes = \"64KiB\"");
    assert_eq!(read(&small, 9, &bomb, "py3.11"), hit("k", 9, &bomb, ""));
}

#[test]
fn values_are_transcoded_for_their_reader() {
    let date_for_2 = read(TRANSCODE, 1, DATE_3, "py2.7");
    assert!(date_for_2.contains("cdatetime\\ndate"), "{date_for_2}");
    assert!(date_for_2.contains("\\x80\\x02"), "{date_for_2}");
    let date_for_3 = read(TRANSCODE, 1, DATE_2, "py3.11");
    assert!(date_for_3.contains("\\x80\\x03"), "{date_for_3}");
    // Who can load it gets it as it is.
    assert_eq!(read(TRANSCODE, 1, DATE_2, "py2.7"), hit("k", 1, DATE_2, ""));
    assert_eq!(
        read(TRANSCODE, 1, DATE_3, "py3.11"),
        hit("k", 1, DATE_3, "")
    );
    assert_eq!(read(TRANSCODE, 1, STR_2, "py3.11"), hit("k", 1, STR_2, ""));
    let as_bytes = format!("{TRANSCODE}\npy2_str = \"bytes\"");
    let found = read(&as_bytes, 1, STR_2, "py3.11");
    assert!(found.contains("\\x80\\x03C\\x03abc"), "{found}");
    // What has no form is a miss.
    assert_eq!(read(TRANSCODE, 1, ZONE, "py3.8"), MISS);
}

#[test]
fn every_way_to_read_gets_the_transcoded_value() {
    let mut rig = Rig::new(&config(1, TRANSCODE), 1);
    store(&mut rig, "k", 1, BYTES_3);
    store(&mut rig, "plain", 0, b"x");
    let client = rig.open("py2.7");
    let got = text(&rig.ask(client, b"gets k\r\n"));
    let value = got.split("\\r\\n").nth(1).expect("a value").to_owned();
    assert!(got.starts_with("VALUE k 1 8 1\\r\\n"), "{got}");
    assert_eq!(value, "\\x80\\x02U\\x03\\xe2\\x82\\xac.");
    let many = text(&rig.ask(client, b"get plain k plain\r\n"));
    let plain = "VALUE plain 0 1\\r\\nx\\r\\n";
    assert_eq!(
        many,
        format!("{plain}VALUE k 1 8\\r\\n{value}\\r\\n{plain}END\\r\\n")
    );
    let meta = text(&rig.ask(client, b"mg k v s f k O7\r\nmn\r\n"));
    assert_eq!(meta, format!("VA 8 s8 f1 kk O7\\r\\n{value}\\r\\nMN\\r\\n"));
    let quiet = text(&rig.ask(client, b"mg k v q\r\nmg none v q\r\nmn\r\n"));
    assert_eq!(quiet, format!("VA 8\\r\\n{value}\\r\\nMN\\r\\n"));
    // The stored value is as it was.
    let newest = rig.open("py3.11");
    assert_eq!(
        text(&rig.ask(newest, b"get k\r\n")),
        hit("k", 1, BYTES_3, "")
    );
}

#[test]
fn an_add_replaces_only_what_its_reader_is_not_shown() {
    for (rule, stored) in [(GUARD, "STORED"), (TRANSCODE, "NOT_STORED")] {
        let mut rig = Rig::new(&config(1, rule), 1);
        store(&mut rig, "k", 1, DATE_2);
        let client = rig.open("py3.11");
        // As long as no lock is.
        let add = |len: usize| format!("add k 0 0 {len}\r\n{}\r\n", "x".repeat(len));
        let lock = rig.ask(client, add(64).as_bytes());
        assert_eq!(text(&lock), "NOT_STORED\\r\\n", "{rule}");
        let added = rig.ask(client, add(65).as_bytes());
        assert_eq!(text(&added), format!("{stored}\\r\\n"), "{rule}");
    }
}

#[test]
fn stores_that_some_reader_cannot_load_are_rejected() {
    let rule = format!("{GUARD}\non_unloadable_write = \"reject\"");
    let mut rig = Rig::new(&config(1, &rule), 1);
    let client = rig.open("py2.7");
    let set = |value: &[u8]| {
        let head = format!("set k 1 0 {}\r\n", value.len());
        [head.as_bytes(), value, b"\r\n"].concat()
    };
    assert_eq!(text(&rig.ask(client, &set(STR_2))), "STORED\\r\\n");
    assert_eq!(text(&rig.ask(client, &set(DATE_2))), "NOT_STORED\\r\\n");
    assert_eq!(text(&rig.ask(client, b"get k\r\n")), MISS);
    let counts = rig.engine.counts();
    assert_eq!(counts.rejections(1).of("byte_string"), 1);
    assert_eq!(counts.unloadable(1, Direction::Write).of("byte_string"), 1);
}

/// `ip_address("10.0.0.1")` of Python 3, protocol 2, without what comes before it.
const ADDRESS: &[u8] = b"cipaddress\nIPv4Address\nq\x00J\x01\x00\x00\n\x85q\x01Rq\x02";

#[test]
fn what_may_be_loadable_is_served() {
    let address = [b"\x80\x02", ADDRESS, b"."].concat();
    assert_eq!(read(GUARD, 1, &address, "py2.7"), hit("k", 1, &address, ""));
    // In another form, only what its reader is proved to load.
    let newer = [b"\x80\x04", ADDRESS, b"."].concat();
    assert_eq!(read(GUARD, 1, &newer, "py2.7"), MISS);
    assert_eq!(read(TRANSCODE, 1, &newer, "py2.7"), MISS);
    let mut rig = Rig::new(&config(1, TRANSCODE), 1);
    store(&mut rig, "k", 1, &address);
    let client = rig.open("py2.7");
    rig.ask(client, b"get k\r\n");
    let counts = rig.engine.counts();
    let (py2, unknown) = (1, Verdict::Unknown);
    assert_eq!(
        counts.reads(py2, Writer::Unknown, unknown, Action::Served),
        1
    );
    let why = counts.unloadable(py2, Direction::Read);
    assert_eq!(why.of("doubtful_global"), 1);
}

#[test]
fn only_what_is_proved_loadable_is_served_where_doubt_is_a_miss() {
    let strict = format!("{GUARD}\non_unknown_read = \"miss\"");
    let address = [b"\x80\x02", ADDRESS, b"."].concat();
    assert_eq!(read(&strict, 1, &address, "py2.7"), MISS);
    assert_eq!(read(&strict, 1, STR_2, "py2.7"), hit("k", 1, STR_2, ""));
    // Neither a pickle that is cut off nor one that is too large to be looked at is proved.
    assert_eq!(read(&strict, 1, &address[..9], "py3.6"), MISS);
    let small = format!("{strict}\n[limits]\nmax_value_bytes = \"5B\"");
    assert_eq!(read(&small, 1, STR_2, "py2.7"), MISS);
    // A form that may be loadable is none that is.
    let newer = [b"\x80\x04", ADDRESS, b"."].concat();
    let forms = format!("{TRANSCODE}\non_unknown_read = \"miss\"");
    assert_eq!(read(&forms, 1, &newer, "py2.7"), MISS);
    let mut rig = Rig::new(&config(1, &strict), 1);
    store(&mut rig, "k", 1, &address);
    let client = rig.open("py2.7");
    rig.ask(client, b"get k\r\n");
    let (py2, unknown) = (1, Verdict::Unknown);
    let hidden = (rig.engine.counts()).reads(py2, Writer::Unknown, unknown, Action::Hidden);
    assert_eq!(hidden, 1);
}

#[test]
fn stores_that_nothing_proves_loadable_are_rejected_where_the_rule_says_so() {
    let rule = format!("{GUARD}\non_unloadable_write = \"reject\"\non_unknown_write = \"reject\"");
    let mut rig = Rig::new(&config(1, &rule), 1);
    let client = rig.open("py3.11");
    let mut set = |value: &[u8]| {
        let head = format!("set k 1 0 {}\r\n", value.len());
        text(&rig.ask(client, &[head.as_bytes(), value, b"\r\n"].concat()))
    };
    assert_eq!(set(STR_2), "STORED\\r\\n");
    assert_eq!(
        set(&[b"\x80\x02", ADDRESS, b"."].concat()),
        "NOT_STORED\\r\\n"
    );
    assert_eq!(text(&rig.ask(client, b"get k\r\n")), MISS);
    assert_eq!(rig.engine.counts().rejections(1).of("doubtful_global"), 0);
    assert_eq!(rig.engine.counts().rejections(2).of("doubtful_global"), 1);
}

#[test]
fn a_doubt_of_one_reader_does_not_hide_what_is_certain_of_another() {
    let rule = format!("{GUARD}\non_unloadable_write = \"reject\"");
    let mut rig = Rig::new(&config(1, &rule), 1);
    let client = rig.open("py2.7");
    let mut set = |value: &[u8]| {
        let head = format!("set k 1 0 {}\r\n", value.len());
        text(&rig.ask(client, &[head.as_bytes(), value, b"\r\n"].concat()))
    };
    let address = [b"\x80\x02", ADDRESS, b"."].concat();
    assert_eq!(set(&address), "STORED\\r\\n");
    // Python 2.7 may load it, Python 3 cannot decode the string.
    let with_str = [b"\x80\x02", ADDRESS, b"U\x01\xff\x86."].concat();
    assert_eq!(set(&with_str), "NOT_STORED\\r\\n");
}

#[test]
fn the_firewall_hides_from_everybody() {
    let deny = format!("{GUARD}\nglobals = \"deny\"");
    let allow =
        format!("{GUARD}\nglobals = \"allow\"\n[pickle]\nallow_globals = [\"call datetime.date\"]");
    for runtime in ["py2.7", "py3.11"] {
        assert_eq!(read(&deny, 1, SYSTEM, runtime), MISS);
        assert_eq!(read(&allow, 1, SYSTEM, runtime), MISS);
        // What cannot be read to its end might have run before that.
        assert_eq!(read(&deny, 1, &SYSTEM[..SYSTEM.len() - 1], runtime), MISS);
    }
    assert_eq!(read(&deny, 1, ZONE, "py3.11"), hit("k", 1, ZONE, ""));
    assert_eq!(read(&allow, 1, ZONE, "py3.11"), MISS);
    assert_eq!(read(&allow, 1, DATE_3, "py3.11"), hit("k", 1, DATE_3, ""));
    // Passing what cannot be loaded does not pass what is refused.
    let pass = format!("{deny}\non_unloadable_read = \"pass\"");
    assert_eq!(read(&pass, 1, SYSTEM, "py3.11"), MISS);
    assert_eq!(read(&pass, 1, ZONE, "py3.8"), hit("k", 1, ZONE, ""));
    // Observing only counts.
    let observe = "mode = \"observe\"\nsniff = \"full\"\nglobals = \"deny\"";
    assert_eq!(read(observe, 1, SYSTEM, "py3.11"), hit("k", 1, SYSTEM, ""));
    let mut rig = Rig::new(&config(1, &deny), 1);
    store(&mut rig, "k", 1, SYSTEM);
    let client = rig.open("py3.11");
    rig.ask(client, b"get k\r\nget k\r\nget k\r\n");
    let note = "firewall: os.system is denied".to_owned();
    assert_eq!(rig.engine.take_notes(), vec![note.clone(), note]);
    assert_eq!(
        rig.engine
            .counts()
            .unloadable(2, Direction::Read)
            .of("firewall"),
        3
    );
}

#[test]
fn what_was_read_is_counted_by_what_became_of_it() {
    let mut rig = Rig::new(&config(1, TRANSCODE), 1);
    store(&mut rig, "date", 1, DATE_2);
    store(&mut rig, "zone", 1, ZONE);
    store(&mut rig, "str", 1, STR_2);
    let client = rig.open("py3.8");
    rig.ask(client, b"get date zone str\r\n");
    let counts = rig.engine.counts();
    let (py3, loadable, unloadable) = (2, Verdict::Loadable, Verdict::Unloadable);
    let reads = |writer, verdict, action| counts.reads(py3, writer, verdict, action);
    assert_eq!(reads(Writer::Python2, unloadable, Action::Transcoded), 1);
    assert_eq!(reads(Writer::Unknown, unloadable, Action::Hidden), 1);
    assert_eq!(reads(Writer::Python2, loadable, Action::Served), 1);
    assert_eq!(counts.unloadable(py3, Direction::Read).of("byte_string"), 1);
    assert_eq!(
        counts.unloadable(py3, Direction::Read).of("missing_global"),
        1
    );
    assert_eq!(counts.untranscodable(py3).of("missing_global"), 1);
    assert_eq!(counts.pickles(py3, Direction::Read, 2), 3);
}

#[test]
fn a_large_value_is_held_whole_and_a_larger_one_is_not() {
    let body = vec![b'x'; 300_000];
    let large = [
        &b"\x80\x02T"[..],
        &300_000u32.to_le_bytes(),
        &body,
        b"cos\nsystem\n\x86.",
    ]
    .concat();
    let smaller = "\n[limits]\nmax_value_bytes = \"200KiB\"";
    let read = |rule: &str| {
        let mut rig = Rig::new(&config(1, rule), 1);
        store(&mut rig, "k", 1, &large);
        let client = rig.open("py2.7");
        rig.feed(client, b"get k\r\n", Cut::Whole, Cut::At(70_000))
            .expect("right replies");
        rig.received(client).len()
    };
    let deny = format!("{GUARD}\nglobals = \"deny\"");
    let miss = b"END\r\n".len();
    assert_eq!(read(&deny), miss);
    assert!(read(&format!("{GUARD}{smaller}")) > large.len());
    // The firewall lets nothing pass that was not looked at.
    assert_eq!(read(&format!("{deny}{smaller}")), miss);
}
