//! Values that are looked at apart: everybody gets what he would have got, in his
//! order, nobody else waits, and what is under way is bounded.

use std::fmt::Write as _;

use fastrand::Rng;
use picklegate::engine::{Apart, Inline};

use crate::support::rig::{Rig, config, replies, text};

/// Every look.
const ALL: Inline = Inline {
    value_bytes: 0,
    turn_bytes: 0,
};
const ALL_APART: Apart = Apart {
    inline: ALL,
    max_bytes: 32 << 20,
};
const NONE_APART: Apart = Apart {
    inline: Inline::ALL,
    max_bytes: 0,
};

const GUARD: &str = "mode = \"guard\"\nsniff = \"full\"";
const REJECT: &str = "mode = \"guard\"\nsniff = \"full\"\non_unloadable_write = \"reject\"";
/// Loadable by all.
const ONE: &[u8] = b"\x80\x02K\x01.";
/// By Python 2 only: `datetime.date`.
const DATE_2: &[u8] = b"\x80\x02cdatetime\ndate\nq\x01U\x04\x07\xe8\x05\x06\x85Rq\x02.";
/// By Python 3 only.
const BYTES_3: &[u8] = b"\x80\x04\x95\x07\x00\x00\x00\x00\x00\x00\x00C\x03\xe2\x82\xac\x94.";

fn rig(rule: &str, apart: Apart) -> Rig {
    Rig::apart(&config(1, rule), 1, apart)
}

fn set(key: &str, flags: u32, value: &[u8]) -> Vec<u8> {
    let head = format!("set {key} {flags} 0 {}\r\n", value.len());
    [head.as_bytes(), value, b"\r\n"].concat()
}

fn fill(rig: &mut Rig, values: &[(&str, u32, &[u8])]) {
    for (key, flags, value) in values {
        assert_eq!(rig.ask_cache(0, &set(key, *flags, value)), b"STORED\r\n");
    }
}

/// Moves everything but what is looked at apart.
fn move_all(rig: &mut Rig) {
    loop {
        rig.flush_clients();
        let mut moved = 0;
        for lane in 0..rig.lanes() {
            moved += rig.write_lane(lane, usize::MAX) + rig.read_on(lane, usize::MAX);
        }
        if moved == 0 {
            return rig.flush_clients();
        }
    }
}

#[test]
fn values_go_out_in_the_order_that_was_asked_for() {
    let mut rig = rig(GUARD, ALL_APART);
    fill(
        &mut rig,
        &[
            ("a", 1, ONE),
            ("b", 0, b"plain"),
            ("c", 1, DATE_2),
            ("d", 1, BYTES_3),
            ("e", 0, b"last"),
        ],
    );
    let client = rig.open("py3.11");
    rig.send(client, b"get a b c d e\r\nmg d v k\r\nmn\r\nget e\r\n");
    move_all(&mut rig);
    // Nothing is before it.
    assert_eq!(rig.received(client), b"");
    assert_eq!(rig.jobs(), 4);
    for nth in [3, 1, 1] {
        rig.judge(nth);
        rig.flush_clients();
        assert_eq!(rig.received(client), b"");
    }
    rig.judge(0);
    rig.flush_clients();
    let bytes = BYTES_3.escape_ascii();
    assert_eq!(
        text(rig.received(client)),
        format!(
            "VALUE a 1 5\\r\\n{}\\r\\nVALUE b 0 5\\r\\nplain\\r\\nVALUE d 1 {len}\\r\\n{bytes}\\r\\n\
             VALUE e 0 4\\r\\nlast\\r\\nEND\\r\\nVA {len} kd\\r\\n{bytes}\\r\\nMN\\r\\n\
             VALUE e 0 4\\r\\nlast\\r\\nEND\\r\\n",
            ONE.escape_ascii(),
            len = BYTES_3.len()
        )
    );
}

#[test]
fn others_and_the_lane_go_on_meanwhile() {
    let mut rig = rig(GUARD, Apart::default());
    let long = [&b"\x80\x02]("[..], &b"K\x01".repeat(20_000), b"e."].concat();
    fill(&mut rig, &[("long", 1, &long), ("small", 1, ONE)]);
    let [reader, other] = [rig.open("py3.11"), rig.open("py3.11")];
    rig.send(reader, b"get long\r\nget small\r\n");
    rig.send(other, b"get small\r\n");
    move_all(&mut rig);
    assert!(rig.received(other).ends_with(b"END\r\n"));
    assert_eq!(rig.received(reader), b"");
    rig.settle();
    let (all, rest) = replies(rig.received(reader));
    assert_eq!((all.len(), rest.len()), (2, 0));
    // The next turn looks at small ones where they come by.
    assert_eq!(rig.jobs(), 0);
}

#[test]
fn a_store_holds_up_its_own_client_only() {
    let mut rig = rig(REJECT, ALL_APART);
    let [writer, other] = [rig.open("py3.11"), rig.open("py3.11")];
    let requests = [&set("k", 1, ONE)[..], b"get k\r\n", &set("k", 1, DATE_2)];
    rig.send(writer, &requests.concat());
    rig.send(writer, b"get k\r\n");
    rig.send(other, &set("o", 0, b"plain"));
    move_all(&mut rig);
    assert_eq!(rig.received(other), b"STORED\r\n");
    assert_eq!((rig.jobs(), rig.received(writer)), (1, &b""[..]));
    // Who goes once it is answered gets all of that.
    rig.engine.client_eof(writer);
    rig.settle();
    let hit = format!("VALUE k 1 5\\r\\n{}\\r\\nEND\\r\\n", ONE.escape_ascii());
    assert_eq!(
        text(rig.received(writer)),
        format!("STORED\\r\\n{hit}NOT_STORED\\r\\nEND\\r\\n")
    );
    assert!(rig.engine.session(writer).is_finished());
}

#[test]
fn a_reload_waits_for_what_is_looked_at_and_stores_are_judged_anew() {
    let mut rig = rig(REJECT, ALL_APART);
    fill(&mut rig, &[("a", 1, DATE_2)]);
    let [reader, writer] = [rig.open("py3.11"), rig.open("py3.11")];
    rig.send(reader, b"get a\r\n");
    rig.send(writer, &set("b", 1, DATE_2));
    move_all(&mut rig);
    rig.engine.hold();
    assert!(!rig.engine.is_at_rest());
    assert_eq!(rig.judge_all(), 2);
    move_all(&mut rig);
    assert!(rig.engine.is_at_rest());
    assert_eq!(rig.received(reader), b"END\r\n");
    assert_eq!(rig.received(writer), b"");
    let off = config(1, "mode = \"guard\"\nsniff = \"off\"");
    rig.engine.adopt(crate::support::rig::settings(&off, 1));
    rig.settle();
    assert_eq!(rig.received(writer), b"STORED\r\n");
}

#[test]
fn clients_that_go_leave_nothing_behind() {
    let mut rig = rig(REJECT, ALL_APART);
    fill(&mut rig, &[("a", 1, ONE)]);
    let [reader, writer] = [rig.open("py3.11"), rig.open("py3.11")];
    rig.send(reader, b"get a a\r\nget a\r\n");
    rig.send(writer, &set("b", 1, ONE));
    move_all(&mut rig);
    for client in [reader, writer] {
        rig.engine.client_gone(client);
        // Its number is nobody's yet.
        assert!(!rig.engine.session(client).is_finished());
    }
    assert_eq!(rig.judge_all(), 4);
    for client in [reader, writer] {
        assert!(rig.engine.session(client).is_finished());
        rig.engine.close(client);
    }
    assert_eq!(rig.engine.apart().1, 0);
    let next = rig.open("py3.11");
    assert_eq!(rig.ask(next, b"get b\r\n"), b"END\r\n");
}

#[test]
fn what_a_lost_lane_still_owed_is_a_miss_or_an_error_in_its_place() {
    let value = "VALUE a 1 5\\r\\n\\x80\\x02K\\x01.\\r\\nEND\\r\\n";
    for (rule, begin) in [
        (GUARD.to_owned(), value),
        (
            format!("{GUARD}\non_upstream_failure = \"error\""),
            "SERVER_ERROR",
        ),
    ] {
        let mut rig = rig(&rule, ALL_APART);
        fill(&mut rig, &[("a", 1, ONE), ("b", 0, b"plain")]);
        let client = rig.open("py3.11");
        rig.send(client, b"get a b\r\n");
        rig.write_lane(0, usize::MAX);
        let first = b"VALUE a 1 5\r\n".len() + ONE.len() + 2;
        rig.read_on(0, first);
        assert_eq!(rig.jobs(), 1);
        rig.lose_lane(0, "is lost", false);
        rig.settle();
        let told = text(&rig.take_received(client));
        assert!(told.starts_with(begin), "{told}");
        assert_eq!(rig.ask(client, b"mn\r\n"), b"MN\r\n");
    }
}

#[test]
fn bytes_that_are_looked_at_apart_are_bounded() {
    const MAX: usize = 1 << 20;
    let long = [&b"\x80\x02]("[..], &b"K\x01".repeat(40_000), b"e."].concat();
    let apart = Apart {
        max_bytes: MAX,
        ..Apart::default()
    };
    let mut rig = rig(REJECT, apart);
    fill(&mut rig, &[("long", 1, &long)]);
    let clients: Vec<u32> = (0..40).map(|_| rig.open("py3.11")).collect();
    for (nth, &client) in clients.iter().enumerate() {
        let mut requests = b"get long long long\r\n".to_vec();
        requests.extend(set(&format!("k{nth}"), 1, &long));
        requests.extend(b"get long\r\n");
        rig.send(client, &requests);
    }
    let mut most = 0;
    loop {
        move_all(&mut rig);
        most = most.max(rig.engine.apart().1);
        if rig.jobs() == 0 {
            break;
        }
        rig.judge(0);
    }
    assert!(most <= MAX && most > MAX / 2, "{most}");
    for client in clients {
        let (all, rest) = replies(rig.received(client));
        assert_eq!((all.len(), rest.len()), (3, 0));
        assert_eq!(all[1], b"STORED\r\n");
        assert_eq!(all[0].len(), 3 * all[2].len() - 2 * b"END\r\n".len());
    }
    assert!(rig.engine.is_at_rest());
}

/// Writes a random request of one of two versions.
fn request(rng: &mut Rng, out: &mut Vec<u8>) {
    let key = rng.u8(..6);
    let values = [
        ONE,
        DATE_2,
        BYTES_3,
        b"\x80\x02K",
        b"\x80\x02cos\nsystem\n.",
    ];
    let value = values[rng.usize(..values.len())];
    let len = value.len();
    let mut line = String::new();
    // A String takes everything.
    let _ = match rng.u8(..10) {
        0..3 => write!(line, "get k{key}\r\n"),
        3 => write!(line, "gets k0 k1 k2 k3 k4 k5 k{key}\r\n"),
        4 => write!(line, "mg k{key} v f k O9\r\n"),
        5 => write!(line, "mg k{key} v q\r\nmn\r\n"),
        6 => write!(line, "delete k{key}\r\n"),
        7 => write!(line, "add k{key} 1 0 {len}\r\n"),
        8 => write!(line, "ms k{key} {len} F1\r\n"),
        _ => write!(line, "set k{key} {} 0 {len}\r\n", rng.u8(..2)),
    };
    out.extend_from_slice(line.as_bytes());
    if ["add", "ms", "set"]
        .iter()
        .any(|verb| line.starts_with(verb))
    {
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
}

/// Judges what is to be, in any order, until nothing moves.
fn settle(rig: &mut Rig, rng: &mut Rng) {
    loop {
        move_all(rig);
        let jobs = rig.jobs();
        if jobs == 0 {
            return;
        }
        rig.judge(rng.usize(..jobs));
    }
}

#[test]
fn nobody_can_tell_where_a_value_was_looked_at() {
    let seed = std::env::var("PICKLEGATE_SEED").map_or_else(
        |_| fastrand::u64(..),
        |seed| seed.parse().expect("a number"),
    );
    println!("PICKLEGATE_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let rules = [
        GUARD,
        REJECT,
        "mode = \"observe\"\nsniff = \"full\"",
        "mode = \"guard\"\non_unloadable_read = \"transcode\"",
        "mode = \"isolate\"\nsniff = \"full\"\nread_through = true",
        "mode = \"isolate\"\nread_through = true\non_unloadable_read = \"transcode\"\n\
         on_unloadable_write = \"reject\"",
        "mode = \"guard\"\nsniff = \"full\"\nglobals = \"deny\"",
    ];
    for rule in rules.repeat(3) {
        // Who writes before he knows of a miss fills none: that is a change.
        let rule = format!("{rule}\ncoherence = \"deletes\"");
        let mut rigs = [NONE_APART, ALL_APART].map(|apart| rig(&rule, apart));
        let clients = ["py2.7", "py3.11", "py3.8"];
        for rig in &mut rigs {
            for runtime in clients {
                rig.open(runtime);
            }
        }
        for _ in 0..60 {
            let client = rng.u32(..clients.len() as u32);
            let mut batch = Vec::new();
            // The copies of others are asked for after what was sent meanwhile.
            let most = if rule.contains("through") { 1 } else { 5 };
            for _ in 0..rng.usize(1..=most) {
                request(&mut rng, &mut batch);
            }
            let told = rigs.each_mut().map(|rig| {
                rig.send(client, &batch);
                settle(rig, &mut rng);
                text(&rig.take_received(client))
            });
            assert_eq!(told[0], told[1], "{rule}: {}", text(&batch));
        }
        let counted = rigs.each_ref().map(|rig| rig.engine.counts().summary());
        assert_eq!(counted[0], counted[1], "{rule}");
        let families = rigs.each_ref().map(|rig| {
            let family = rig.engine.families().iter().next().expect("one");
            let mut reasons: Vec<_> = family.unloadable.iter().collect();
            reasons.sort_unstable();
            let counts = [family.reads, family.hits, family.hidden, family.writes];
            (counts, family.protocols, reasons)
        });
        assert_eq!(families[0], families[1], "{rule}");
    }
}
