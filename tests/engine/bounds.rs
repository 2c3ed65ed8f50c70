//! Bounds on what one client can make the engine hold.

use picklegate::engine::{MAX_BACKLOG, MAX_IN_FLIGHT, MAX_UNSENT};
use picklegate::protocol::request::{MAX_LINE_BYTES, MAX_RETRIEVAL_LINE_BYTES};

use crate::support::rig::{Rig, config, text};

const ISOLATE: &str = "mode = \"isolate\"\ncoherence = \"deletes\"";
/// Bytes that a socket gives at once.
const READ_BYTES: usize = 64 << 10;
/// Length that the heads below declare.
const DECLARED: usize = 1 << 30;

#[test]
fn a_client_with_enough_under_way_is_paused_and_goes_on() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let client = rig.open("py2");
    let requests = "set a 0 0 1\r\nx\r\n".repeat(3 * MAX_IN_FLIGHT);
    rig.send(client, requests.as_bytes());
    assert!(rig.engine.session(client).paused);
    // Nobody knows yet what comes for them.
    assert_eq!(rig.engine.lane(0).lane.in_flight(), 64);
    rig.settle();
    rig.take_received(client);
    rig.send(client, requests.as_bytes());
    assert!(rig.engine.session(client).paused);
    assert_eq!(rig.engine.lane(0).lane.in_flight(), MAX_IN_FLIGHT);
    // Nothing was answered yet: it stays so.
    rig.flush_clients();
    assert!(!rig.engine.resume(client));
    rig.write_lane(0, usize::MAX);
    rig.read_on(0, "STORED\r\n".len());
    rig.flush_clients();
    assert_eq!(rig.received(client), b"STORED\r\n");
    assert_eq!(rig.engine.lane(0).lane.in_flight(), MAX_IN_FLIGHT);
    rig.settle();
    assert_eq!(
        rig.received(client),
        "STORED\r\n".repeat(3 * MAX_IN_FLIGHT).as_bytes()
    );
    assert!(!rig.engine.session(client).paused);
}

#[test]
fn a_client_of_large_values_has_few_under_way() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let client = rig.open("py2");
    let value = "x".repeat(50_000);
    rig.ask_cache(
        0,
        format!("set @py2//a 0 0 50000\r\n{value}\r\n").as_bytes(),
    );
    let requests = "get a\r\n".repeat(MAX_IN_FLIGHT);
    rig.send(client, requests.as_bytes());
    assert_eq!(rig.engine.session(client).in_flight(), 64);
    rig.settle();
    rig.take_received(client);
    rig.send(client, requests.as_bytes());
    let few = rig.engine.session(client).in_flight();
    assert!((20..=21).contains(&few), "{few}");
    rig.settle();
    let all = rig.received(client).len();
    assert_eq!(
        all,
        MAX_IN_FLIGHT * ("VALUE a 0 50000\r\n\r\nEND\r\n".len() + 50_000)
    );
}

#[test]
fn a_client_that_does_not_read_is_paused() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let client = rig.open("py2");
    let value = "x".repeat(1000);
    rig.ask_cache(0, format!("set @py2//a 0 0 1000\r\n{value}\r\n").as_bytes());
    let mut requests = 0;
    while !rig.engine.session(client).paused {
        rig.engine.client_input(client, b"get a\r\nmn\r\n");
        rig.write_lane(0, usize::MAX);
        rig.read_on(0, usize::MAX);
        requests += 1;
    }
    let held = rig.engine.session(client).unsent().len();
    assert!((MAX_UNSENT..MAX_UNSENT + 2000).contains(&held), "{held}");
    // Nothing of it is lost.
    rig.settle();
    let reply = format!("VALUE a 0 1000\r\n{value}\r\nEND\r\nMN\r\n");
    assert_eq!(
        text(rig.received(client)),
        text(reply.repeat(requests).as_bytes())
    );
}

/// Stores a value of 1 MiB, more or less, under `keys` on each server.
fn store_large(rig: &mut Rig, servers: usize, keys: &[String]) {
    let value = "x".repeat(1_000_000);
    for server in 0..servers {
        for key in keys {
            let set = format!("set @py2//{key} 0 0 {}\r\n{value}\r\n", value.len());
            rig.ask_cache(server, set.as_bytes());
        }
    }
}

/// Pumps replies that the client does not take.
fn pump_unread(rig: &mut Rig, client: u32, lane: usize) {
    while !rig.engine.session(client).is_dead() {
        let moved = rig.write_lane(lane, usize::MAX) + rig.read_on(lane, READ_BYTES);
        assert!(rig.engine.session(client).unsent().len() <= MAX_BACKLOG + READ_BYTES);
        assert!(moved > 0, "it is not given up");
    }
}

/// Asks for the same key over and over, as often as a line may.
fn longest_get(key: &str) -> (String, usize) {
    let keys = (MAX_RETRIEVAL_LINE_BYTES - 100) / (key.len() + 1);
    (format!("get{}\r\n", format!(" {key}").repeat(keys)), keys)
}

#[test]
fn a_retrieval_is_asked_for_as_its_values_are_taken() {
    for (bytes, requests, keys) in [(1_usize, 3_usize, 40_000), (1_000_000, 4, 40)] {
        let mut rig = Rig::new(&config(1, ISOLATE), 1);
        let [client, other] = ["py2", "py2"].map(|runtime| rig.open(runtime));
        let value = "x".repeat(bytes);
        rig.ask_cache(
            0,
            format!("set @py2//a 0 0 {bytes}\r\n{value}\r\n").as_bytes(),
        );
        let (request, most) = longest_get("a");
        let keys = keys.min(most);
        let request = format!("{}\r\n", &request[..3 + 2 * keys]);
        // As a socket would give it.
        let mut sent = 0;
        let all = request.repeat(requests);
        let (mut received, mut peak) = (0, 0);
        let each = format!("VALUE a 0 {bytes}\r\n\r\n").len() + bytes;
        let expected = requests * (keys * each + "END\r\n".len());
        let mut idle = 0;
        while received < expected {
            if !rig.engine.session(client).paused && sent < all.len() {
                let piece = &all.as_bytes()[sent..all.len().min(sent + READ_BYTES)];
                rig.send(client, piece);
                sent += piece.len();
                idle = 0;
            }
            let mut moved = 0;
            for lane in 0..rig.lanes() {
                moved += rig.write_lane(lane, usize::MAX) + rig.read_on(lane, READ_BYTES);
            }
            // It takes a little now and then.
            moved += usize::from(rig.flush_some(client, 40_000));
            received += rig.take_received(client).len();
            peak = peak.max(rig.engine.buffered());
            idle = if moved > 0 { 0 } else { idle + 1 };
            assert!(idle < 10, "stuck after {received} of {expected} bytes");
        }
        assert_eq!(received, expected);
        println!("{requests} requests of {keys} values of {bytes} bytes: {peak} bytes held");
        // What nobody knows the size of yet is asked for once.
        assert!(peak < 40 << 20, "{peak}");
        assert!(rig.engine.is_at_rest() && rig.engine.buffered() < 64 << 10);
        assert_eq!(rig.ask(other, b"set b 0 0 1\r\nx\r\n"), b"STORED\r\n");
    }
}

#[test]
fn a_long_retrieval_over_several_servers_is_whole_and_what_follows_waits_for_it() {
    let mut rig = Rig::new(&config(3, ISOLATE), 1);
    let client = rig.open("py2");
    let keys: Vec<String> = (0..2_000).map(|n| format!("key:{n}")).collect();
    for key in &keys {
        rig.ask(client, format!("set {key} 0 0 3\r\nold\r\n").as_bytes());
    }
    let client = rig.open("py2");
    let last = &keys[keys.len() - 1];
    let request = format!(
        "get {}\r\nset {last} 0 0 3\r\nnew\r\nget {last}\r\n",
        keys.join(" ")
    );
    rig.send(client, request.as_bytes());
    rig.settle();
    let found = text(rig.received(client));
    for key in &keys {
        assert!(
            found.contains(&format!("VALUE {key} 0 3\\r\\nold\\r\\n")),
            "{key}"
        );
    }
    assert!(found.ends_with(&format!(
        "END\\r\\nSTORED\\r\\nVALUE {last} 0 3\\r\\nnew\\r\\nEND\\r\\n"
    )));
    assert_eq!(found.matches("END").count(), 2);
    assert!(rig.engine.is_at_rest());
}

#[test]
fn a_long_retrieval_ends_whatever_becomes_of_its_client_and_its_server() {
    let keys: Vec<String> = (0..1_000).map(|n| format!("key:{n}")).collect();
    let request = format!("get {}\r\nmn\r\n", keys.join(" "));
    for rule in ["", "\non_upstream_failure = \"error\""] {
        for (name, happens) in [
            (
                "down",
                (|rig, _| rig.engine.lane(0).down = Some("is down".into())) as fn(&mut Rig, u32),
            ),
            ("lost", |rig, _| rig.engine.lane_lost(0, "is lost", false)),
            ("gone", |rig, client| rig.engine.client_gone(client)),
            ("late", |rig, _| {
                for turn in 1..20 {
                    rig.engine.set_now(turn * 100_000);
                    rig.engine.expire(0, 1_000_000);
                }
            }),
        ] {
            let mut rig = Rig::new(&config(1, &format!("{ISOLATE}{rule}")), 1);
            let client = rig.open("py2");
            if name == "down" {
                happens(&mut rig, client);
            }
            rig.send(client, request.as_bytes());
            if name != "down" {
                let lane = &mut rig.engine.lane(0).lane;
                let bytes = lane.unwritten().len();
                lane.wrote(bytes);
                happens(&mut rig, client);
            }
            if name == "late" {
                rig.flush_clients();
                let end = if rule.is_empty() {
                    "END"
                } else {
                    "SERVER_ERROR"
                };
                assert!(text(rig.received(client)).starts_with(end), "{name}");
                rig.engine
                    .lane_input(0, b"END\r\n")
                    .expect("the late reply");
            }
            if name == "gone" {
                rig.engine.lane_input(0, b"END\r\n").expect("a reply");
            }
            rig.settle();
            if name != "gone" {
                let found = text(rig.received(client));
                assert!(found.ends_with("MN\\r\\n"), "{name}: {found}");
                assert_eq!(found.matches("\\r\\n").count(), 2, "{name}: {found}");
            }
            assert!(rig.engine.is_at_rest(), "{name}{rule}");
        }
    }
}

#[test]
fn a_lane_is_not_read_for_who_is_owed_much_while_all_hold_too_much() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let [client, other] = ["py2", "py2"].map(|runtime| rig.open(runtime));
    store_large(&mut rig, 1, &["a".to_owned()]);
    rig.engine.bound(4 << 20);
    rig.send(client, format!("get{}\r\n", " a".repeat(20)).as_bytes());
    rig.write_lane(0, usize::MAX);
    while rig.engine.may_read(0) {
        rig.read_on(0, READ_BYTES);
    }
    let held = rig.engine.buffered();
    assert!(
        ((4 << 20)..(4 << 20) + 2 * READ_BYTES).contains(&held),
        "{held}"
    );
    assert_eq!(rig.engine.holders()[0].1, client);
    // It is not the upstream's fault.
    for turn in 1..100 {
        rig.engine.set_now(turn * 100_000);
        assert!(!rig.engine.may_read(0));
        assert_eq!(rig.engine.overdue(0, 1_000_000), None);
    }
    // Somebody takes something, or is given up.
    rig.engine.client_gone(client);
    assert!(rig.engine.may_read(0));
    rig.send(other, b"get z\r\n");
    rig.settle();
    assert_eq!(rig.received(other), b"END\r\n");
}

#[test]
fn a_client_that_never_reads_is_given_up() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let [client, other] = ["py2", "py2"].map(|runtime| rig.open(runtime));
    store_large(&mut rig, 1, &["a".to_owned()]);
    // It was given small values so far: nobody knows better.
    rig.ask(client, &b"mn\r\n".repeat(200));
    rig.send(
        client,
        format!("get{}\r\n", " a".repeat(128)).repeat(2).as_bytes(),
    );
    pump_unread(&mut rig, client, 0);
    assert!(rig.engine.session(client).unsent().is_empty());
    // What was owed to it is still read, and others are served.
    rig.send(other, b"get z\r\n");
    rig.settle();
    assert!(rig.engine.session(client).is_finished());
    assert_eq!(rig.received(other), b"END\r\n");
}

#[test]
fn a_client_is_given_up_for_all_that_waits_for_its_turn() {
    let mut rig = Rig::new(&config(2, ISOLATE), 1);
    let client = rig.open("py2");
    let snapshot = rig.config.snapshot.clone();
    let key_of = |server| {
        let mut keys = (0..).map(|n| format!("key:{n}"));
        keys.find(|key| snapshot.ring.server(key.as_bytes()) == server)
            .unwrap()
    };
    let (first, second) = (key_of(0), key_of(1));
    store_large(&mut rig, 2, std::slice::from_ref(&second));
    // The first server never answers, so that the rest has to wait: each
    // request holds 20 MB.
    let request = format!("get{}\r\n", format!(" {second}").repeat(20)).repeat(20);
    rig.send(client, format!("get {first}\r\n{request}").as_bytes());
    let mut delivered = 0;
    while !rig.engine.session(client).is_dead() {
        let lane = rig.lane_to(1);
        let moved = rig.write_lane(lane, usize::MAX);
        let read = rig.read_on(lane, READ_BYTES);
        delivered += read;
        assert!(moved + read > 0, "it is not given up");
        assert!(
            delivered <= MAX_BACKLOG + 2 * READ_BYTES,
            "{delivered} bytes are held"
        );
    }
}

#[test]
fn what_is_declared_too_large_is_swallowed_and_not_held() {
    let limited = "mode = \"isolate\"\n[limits]\nmax_value_bytes = \"64KiB\"";
    let mut rig = Rig::new(&config(1, limited), 1);
    let client = rig.open("py2");

    let piece = vec![b'x'; READ_BYTES];
    for head in [
        "set a 0 0 1073741824\r\n",
        "ms a 1073741824\r\n",
        "set a x 0 1073741824\r\n",
    ] {
        rig.send(client, head.as_bytes());
        let mut left = DECLARED;
        while left > 0 {
            rig.send(client, &piece[..left.min(READ_BYTES)]);
            left -= left.min(READ_BYTES);
            assert_eq!(rig.engine.session(client).inbox.capacity(), 0);
        }
        rig.send(client, b"\r\nmn\r\n");
        rig.settle();
        let found = text(&rig.take_received(client));
        assert!(
            found.ends_with("_ERROR object too large for cache\\r\\nMN\\r\\n")
                || found.ends_with("format\\r\\nMN\\r\\n"),
            "{found}"
        );
        assert_eq!(rig.engine.lane(0).lane.unwritten(), b"");
    }
}

#[test]
fn a_body_is_held_once_and_no_more() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let client = rig.open("py2");
    let head = format!("set a 0 0 {}\r\n", 1 << 20);
    rig.send(client, head.as_bytes());
    let bound = head.len() + (1 << 20) + 2;
    let mut left = (1 << 20) + 1;
    while left > 0 {
        let count = left.min(1000);
        rig.send(client, &vec![b'x'; count]);
        left -= count;
        assert!(rig.engine.session(client).inbox.capacity() <= bound);
    }
}

/// The most that is held of a line that never ends.
fn held_of_endless(start: &str) -> usize {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let client = rig.open("py2");
    rig.send(client, start.as_bytes());
    let piece = vec![b'x'; READ_BYTES];
    let mut most = 0;
    for _ in 0..4 * MAX_RETRIEVAL_LINE_BYTES / READ_BYTES {
        rig.send(client, &piece);
        most = most.max(rig.engine.session(client).inbox.len());
    }
    rig.flush_clients();
    assert_eq!(
        text(rig.received(client)),
        "CLIENT_ERROR line too long\\r\\n"
    );
    assert!(rig.engine.session(client).is_finished());
    most
}

#[test]
fn an_endless_line_closes() {
    assert!(held_of_endless("set ") <= MAX_LINE_BYTES);
    assert!(held_of_endless("") <= MAX_LINE_BYTES);
    for retrieval in ["get ", "gets ", "gat 0 ", "gats "] {
        assert!(held_of_endless(retrieval) <= MAX_RETRIEVAL_LINE_BYTES + READ_BYTES);
    }
}

#[test]
fn a_store_over_the_limit_deletes_what_it_replaces_if_it_is_right() {
    let rule = format!("{ISOLATE}\n[limits]\nmax_value_bytes = \"64B\"");
    let mut rig = Rig::new(&config(1, &rule), 1);
    let client = rig.open("py2");
    let body = "x".repeat(65);
    let mut ask = |request: &str| text(&rig.ask(client, request.as_bytes()));
    for (flags, is_right) in [
        ("F1 T9", true),
        ("ME", true),
        ("Z", false),
        ("Fx", false),
        ("Mx", false),
    ] {
        assert_eq!(ask("set k 0 0 1\r\nx\r\n"), "STORED\\r\\n");
        let reply = ask(&format!("ms k 65 {flags}\r\n{body}\r\n"));
        assert_eq!(reply, "SERVER_ERROR object too large for cache\\r\\n");
        // As memcached, which looks at flags first.
        let left = if is_right { "EN\\r\\n" } else { "HD\\r\\n" };
        assert_eq!(ask("mg k\r\n"), left, "{flags}");
    }
}

/// Lets the upstream and, if it `takes`, the client have one turn each of 50 ms.
fn take_turn(rig: &mut Rig, client: u32, turn: u64, takes: bool) {
    rig.engine.set_now(turn * 50_000);
    rig.engine.hasten();
    for lane in 0..rig.lanes() {
        rig.write_lane(lane, usize::MAX);
        rig.read_on(lane, 64 << 10);
    }
    if takes {
        rig.flush_some(client, 64 << 10);
    }
}

#[test]
fn other_settings_wait_for_no_line_of_keys_however_long_it_is() {
    const KEYS: usize = 20_000;
    let error = "SERVER_ERROR picklegate: timed out before all keys were asked for\r\n";
    for (on_failure, end) in [("miss", "END\r\n"), ("error", error)] {
        for takes in [true, false] {
            let rule = format!("{ISOLATE}\non_upstream_failure = \"{on_failure}\"");
            let mut rig = Rig::new(&config(1, &rule), 1);
            let client = rig.open("py2");
            let value = "v".repeat(1000);
            let store = format!("set k 0 0 1000\r\n{value}\r\n");
            assert_eq!(rig.ask(client, store.as_bytes()), b"STORED\r\n");
            let line = format!("get{}\r\n", " k".repeat(KEYS));
            rig.send(client, line.as_bytes());
            rig.engine.hold();
            let rests_at = (1..60).find(|&turn| {
                take_turn(&mut rig, client, turn, takes);
                rig.engine.is_at_rest()
            });
            assert!(rests_at.is_some_and(|turn| turn > 4), "{rests_at:?}");
            rig.flush_clients();
            let reply = String::from_utf8(rig.take_received(client)).expect("text");
            let values = reply.strip_suffix(end).expect("an end");
            let one = format!("VALUE k 0 1000\r\n{value}\r\n");
            let came = values.len() / one.len();
            assert!(came > 0 && came < KEYS, "{came}");
            assert!(values == one.repeat(came));
        }
    }
}
