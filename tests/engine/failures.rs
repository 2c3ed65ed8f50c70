//! Failures upstream. They cost what the server holds and nothing else: reads are misses
//! unless the rule says otherwise, writes are errors, and a request that waited long
//! enough is answered, whatever arrives later.

use picklegate::engine::{Invalidation, Outcome, Overdue};
use picklegate::protocol::reply::ReplyError;

use crate::support::rig::{Cut, Rig, config, text};

const ISOLATE: &str = "mode = \"isolate\"\ncoherence = \"deletes\"";
const STRICT: &str = "mode = \"isolate\"\ncoherence = \"strict\"";
/// Time that a request may take here.
const TIMEOUT_US: u64 = 1_000_000;
/// Longest time that may count as one turn.
const STEP_US: u64 = 250_000;

/// Requests with an outcome.
fn count(rig: &Rig, outcome: Outcome) -> u64 {
    let counts = rig.engine.counts();
    let rows = counts.requests.iter();
    rows.map(|row| row.iter().map(|verb| verb[outcome as usize]).sum::<u64>())
        .sum()
}

/// Sends what a lane has to say to nobody.
fn write(rig: &mut Rig, lane: usize) {
    let lane = &mut rig.engine.lane(lane).lane;
    let bytes = lane.unwritten().len();
    lane.wrote(bytes);
}

/// Lets time pass in turns; all lanes are judged in each.
fn pass(rig: &mut Rig, now_us: &mut u64, us: u64) {
    let end = *now_us + us;
    while *now_us < end {
        *now_us = end.min(*now_us + 100_000);
        rig.engine.set_now(*now_us);
        for lane in 0..rig.lanes() {
            rig.engine.expire(lane, TIMEOUT_US);
        }
    }
    rig.flush_clients();
}

// Misses -----------------------------------------------------------------------------

#[derive(Debug, Clone, Copy)]
enum Failing {
    Down,
    Lost,
    Error,
    Silent,
}

const FAILING: [Failing; 4] = [
    Failing::Down,
    Failing::Lost,
    Failing::Error,
    Failing::Silent,
];

/// Reply to a client whose request goes to a server that fails.
fn told(rule: &str, failing: Failing, request: &str) -> (String, Rig) {
    let mut rig = Rig::new(&config(1, rule), 1);
    let client = rig.open("py2");
    let mut now_us = 0;
    if matches!(failing, Failing::Down) {
        rig.engine.lane(0).down = Some("is down".to_owned());
    }
    rig.send(client, request.as_bytes());
    write(&mut rig, 0);
    match failing {
        Failing::Down => {}
        Failing::Lost => rig.engine.lane_lost(0, "is lost", false),
        Failing::Error => {
            // More than one of one request may be owed.
            while rig.engine.lane(0).lane.in_flight() > 0 {
                rig.engine
                    .lane_input(0, b"SERVER_ERROR backend failure\r\n")
                    .expect("an error is a reply");
                write(&mut rig, 0);
            }
        }
        Failing::Silent => pass(&mut rig, &mut now_us, 2 * TIMEOUT_US),
    }
    rig.flush_clients();
    (text(&rig.take_received(client)), rig)
}

#[test]
fn a_read_whose_server_fails_is_a_miss_and_no_miss_to_anybody_else() {
    for failing in FAILING {
        for (request, miss) in [
            ("get a\r\n", "END\\r\\n"),
            ("gets a\r\n", "END\\r\\n"),
            ("mg a v\r\n", "EN\\r\\n"),
            ("mg a v t s k O7 f\r\n", "EN ka O7\\r\\n"),
            ("mg a O7 k\r\n", "EN O7 ka\\r\\n"),
            ("mg YQ== b k v\r\n", "EN kYQ== b\\r\\n"),
            ("mg YQpi b k v O1\r\n", "EN kYQpi b O1\\r\\n"),
            ("mg YQpi b v\r\n", "EN\\r\\n"),
            ("mg a v q\r\nmn\r\n", "MN\\r\\n"),
        ] {
            let rule = "mode = \"isolate\"\ncoherence = \"fill-aware\"";
            let (found, mut rig) = told(rule, failing, request);
            assert_eq!(found, miss, "{failing:?}: {request}");
            assert_eq!(
                count(&rig, Outcome::UpstreamMiss),
                1,
                "{failing:?}: {request}"
            );
            assert_eq!(count(&rig, Outcome::Miss) + count(&rig, Outcome::Error), 0);
            assert_eq!(
                rig.engine
                    .families()
                    .iter()
                    .map(|family| family.reads)
                    .sum::<u64>(),
                0
            );
            let counts = rig.engine.lane(0).counts();
            assert_eq!(
                (counts.errors, counts.misses),
                (1, 1),
                "{failing:?}: {request}"
            );
            // A store that follows is a change.
            let other = rig.open("py2");
            rig.engine.lane(0).down = None;
            rig.send(other, b"set a 0 0 1\r\nx\r\n");
            let sent = text(rig.engine.lane(0).lane.unwritten());
            assert!(
                sent.contains("delete @py3//a"),
                "{failing:?}: {request}: {sent}"
            );
        }
    }
}

#[test]
fn a_rule_may_have_such_reads_fail() {
    let rule = format!("{ISOLATE}\non_upstream_failure = \"error\"");
    for failing in FAILING {
        for request in ["get a\r\n", "gets a\r\n", "mg a v\r\n", "mg a v q\r\n"] {
            let (found, rig) = told(&rule, failing, request);
            assert!(found.starts_with("SERVER_ERROR "), "{failing:?}: {found}");
            assert_eq!(found.matches("\\r\\n").count(), 1, "{found}");
            assert_eq!(count(&rig, Outcome::UpstreamMiss), 0);
        }
    }
}

#[test]
fn what_changes_something_is_told_that_it_failed() {
    for failing in FAILING {
        for request in [
            "gat 1 a\r\n",
            "gats 1 a\r\n",
            "mg a v N30\r\n",
            "mg a v R30\r\n",
            "mg a v T30\r\n",
            "set a 0 0 1\r\nx\r\n",
            "add a 0 0 1\r\nx\r\n",
            "delete a\r\n",
            "incr a 1\r\n",
            "touch a 1\r\n",
            "ms a 1\r\nx\r\n",
            "md a q\r\n",
            "ma a q\r\n",
        ] {
            let (found, rig) = told(STRICT, failing, request);
            assert!(
                found.starts_with("SERVER_ERROR "),
                "{failing:?}: {request}: {found}"
            );
            assert_eq!(found.matches("\\r\\n").count(), 1, "{request}: {found}");
            assert_eq!(count(&rig, Outcome::UpstreamMiss), 0);
        }
    }
}

/// A retrieval over three servers of which some fail.
#[test]
fn the_values_of_other_servers_come_with_their_end() {
    let keys: Vec<String> = (0..30).map(|n| format!("key:{n}")).collect();
    for failed in 1..7_usize {
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            for verb in ["get", "gets"] {
                let mut rig = Rig::new(&config(3, ISOLATE), 1);
                let client = rig.open("py2");
                for key in &keys {
                    rig.ask(client, format!("set {key} 0 0 1\r\nx\r\n").as_bytes());
                }
                rig.send(
                    client,
                    format!("{verb} {}\r\nmn\r\n", keys.join(" ")).as_bytes(),
                );
                let fails = |server: usize| failed >> server & 1 == 1;
                for server in order {
                    let lane = rig.lane_to(server);
                    rig.write_lane(lane, usize::MAX);
                    if fails(server) {
                        rig.lose_lane(lane, "is lost", false);
                    } else {
                        rig.read_on(lane, usize::MAX);
                    }
                }
                rig.settle();
                let found = text(rig.received(client));
                for key in &keys {
                    let server = rig.config.snapshot.ring.server(key.as_bytes());
                    let is_there = found.contains(&format!("VALUE {key} "));
                    assert_eq!(is_there, !fails(server), "{failed:b} {order:?}: {key}");
                }
                assert!(found.ends_with("END\\r\\nMN\\r\\n"), "{found}");
                assert_eq!(found.matches("END").count(), 1);
            }
        }
    }
}

// Time -------------------------------------------------------------------------------

#[test]
fn who_waits_behind_others_is_answered_in_time_and_the_late_reply_is_nobodys() {
    for (request, kept) in [
        ("set a 0 0 1\r\nx\r\n", "STORED\r\n"),
        ("incr a 1\r\n", "7\r\n"),
        ("delete a\r\n", "DELETED\r\nDELETED\r\nNOT_FOUND\r\n"),
        ("touch a 1\r\n", "TOUCHED\r\n"),
        ("ms a 1\r\nx\r\n", "HD\r\n"),
        ("ma a v\r\n", "VA 1\r\n5\r\n"),
        ("mg a v\r\n", "VA 6 k@py2//a f0\r\nsecret\r\n"),
        ("mg a v\r\n", "EN k@py2//a\r\n"),
        ("get a\r\n", "VALUE @py2//a 0 6\r\nsecret\r\nEND\r\n"),
        ("get a b c\r\n", "VALUE @py2//b 0 6\r\nsecret\r\nEND\r\n"),
        ("get a b\r\n", "END\r\n"),
        ("gat 1 a b\r\n", "VALUE @py2//b 0 6\r\nsecret\r\nEND\r\n"),
        (
            "append a 0 0 1\r\nx\r\n",
            "VALUE @py2//a 0 6 1\r\nsecret\r\nEND\r\n",
        ),
        ("ms YSBi 1 b MA\r\nx\r\n", "VA 6 f0 c1 O1\r\nsecret\r\n"),
        ("ms YSBi 1 b MA\r\nx\r\n", "EN\r\n"),
        ("stats\r\n", "STAT a secret\r\nSTAT b 1\r\nEND\r\n"),
        ("version\r\n", "VERSION 1.6.18\r\n"),
    ] {
        for cut in [Cut::Whole, Cut::Bytes] {
            let mut rig = Rig::new(&config(1, ISOLATE), 1);
            let mut now_us = 0;
            let [slow, client] = ["py3", "py2"].map(|runtime| rig.open(runtime));
            rig.send(slow, b"gets big\r\n");
            write(&mut rig, 0);
            rig.send(client, request.as_bytes());
            write(&mut rig, 0);
            // Some of what comes before it comes all the time.
            rig.engine
                .lane_input(0, b"VALUE @py3//big 0 20 1\r\n")
                .unwrap();
            for _ in 0..14 {
                rig.engine.lane_input(0, b"x").expect("a value");
                assert_eq!(rig.engine.overdue(0, TIMEOUT_US), None);
                pass(&mut rig, &mut now_us, TIMEOUT_US / 10);
            }
            let found = text(&rig.take_received(client));
            let is_miss = found == "END\\r\\n" || found == "EN\\r\\n";
            let is_down = found.contains("servers_down 1") && found.ends_with("END\\r\\n");
            assert!(
                is_miss
                    || (is_down && request == "stats\r\n")
                    || found.starts_with("SERVER_ERROR "),
                "{request}: {found}"
            );
            assert!(rig.engine.session(client).is_idle());
            // Whoever is in the middle of a value goes on, and so does everybody behind.
            rig.send(client, b"get later\r\n");
            write(&mut rig, 0);
            let late = format!("xxxxxx\r\nEND\r\n{kept}VALUE @py2//later 0 2\r\nok\r\nEND\r\n");
            for piece in pieces(late.as_bytes(), cut) {
                rig.engine.lane_input(0, piece).expect("what was asked");
            }
            rig.flush_clients();
            let value = format!("VALUE big 0 20 1\\r\\n{}\\r\\nEND\\r\\n", "x".repeat(20));
            assert_eq!(text(rig.received(slow)), value, "{request}");
            let found = text(rig.received(client));
            assert_eq!(found, "VALUE later 0 2\\r\\nok\\r\\nEND\\r\\n", "{request}");
            assert!(rig.engine.is_at_rest(), "{request}");
            // It was told of once.
            assert_eq!(count(&rig, Outcome::Hit), 2, "{request}");
            assert_eq!(count(&rig, Outcome::Miss), 0, "{request}");
        }
    }
}

fn pieces(bytes: &[u8], cut: Cut) -> impl Iterator<Item = &[u8]> {
    let size = if cut == Cut::Bytes { 1 } else { bytes.len() };
    bytes.chunks(size)
}

#[test]
fn a_late_change_that_took_effect_still_reaches_the_siblings() {
    for (request, reply, reaches) in [
        // It changes nothing for anybody else.
        ("add a 0 0 1\r\nx\r\n", "STORED\r\n", false),
        ("add a 0 0 1\r\nx\r\n", "NOT_STORED\r\n", false),
        ("cas a 0 0 1 5\r\nx\r\n", "STORED\r\n", true),
        ("cas a 0 0 1 5\r\nx\r\n", "EXISTS\r\n", false),
        ("append a 0 0 1\r\nx\r\n", "STORED\r\n", true),
        ("incr a 1\r\n", "8\r\n", true),
        ("incr a 1\r\n", "NOT_FOUND\r\n", false),
        ("ma a v\r\n", "VA 1\r\n5\r\n", true),
        ("ms a 1 MR\r\nx\r\n", "NS\r\n", false),
        ("ms a 1 MR\r\nx\r\n", "HD\r\n", true),
        ("ms a 1 ME\r\nx\r\n", "HD\r\n", false),
        ("ms YQ== 1 b MR\r\nx\r\n", "HD\r\n", true),
    ] {
        // Its client is still there, or not.
        for gone in [false, true] {
            // Nothing is hidden: what changes a value that is there does not look first.
            let rule = format!("{STRICT}\non_unloadable_read = \"pass\"");
            let mut rig = Rig::new(&config(1, &rule), 1);
            let mut now_us = 0;
            let client = rig.open("py2");
            rig.send(client, request.as_bytes());
            write(&mut rig, 0);
            if gone {
                rig.engine.client_gone(client);
            }
            pass(&mut rig, &mut now_us, 2 * TIMEOUT_US);
            if !gone {
                let found = text(&rig.take_received(client));
                assert!(found.starts_with("SERVER_ERROR "), "{request}: {found}");
            }
            rig.engine.lane_input(0, reply.as_bytes()).expect("a reply");
            let sent = text(rig.engine.lane(0).lane.unwritten());
            let deletes = if request.contains(" b") {
                // As its client spells it.
                ["md YQ== b\\r\\n", "md QHB5My8vYQ== b\\r\\n"]
            } else {
                ["delete a\\r\\n", "delete @py3//a\\r\\n"]
            };
            for delete in deletes {
                assert_eq!(sent.contains(delete), reaches, "{request} {reply}: {sent}");
            }
            write(&mut rig, 0);
            if reaches {
                let told = if request.contains(" b") {
                    "HD\r\nNF\r\n"
                } else {
                    "DELETED\r\nNOT_FOUND\r\n"
                };
                rig.engine.lane_input(0, told.as_bytes()).expect("replies");
            }
            assert!(rig.engine.is_at_rest(), "{request}");
        }
    }
}

#[test]
fn what_was_not_sent_in_time_is_not_sent_later_but_for_deletes() {
    let mut rig = Rig::new(&config(1, STRICT), 1);
    let mut now_us = 0;
    let [early, late] = ["py2", "py2"].map(|runtime| rig.open(runtime));
    for request in [
        "set a 0 0 1\r\nx\r\n",
        "incr b 1\r\n",
        "delete c\r\n",
        "mg d v\r\n",
        "get e f\r\n",
    ] {
        rig.send(early, request.as_bytes());
    }
    pass(&mut rig, &mut now_us, TIMEOUT_US / 2);
    rig.send(late, b"set g 0 0 1\r\nx\r\nget h\r\n");
    pass(&mut rig, &mut now_us, TIMEOUT_US * 6 / 10);
    let found = text(&rig.take_received(early));
    assert_eq!(found.matches("\\r\\n").count(), 5, "{found}");
    assert_eq!(
        text(rig.engine.lane(0).lane.unwritten()),
        "delete a\\r\\ndelete @py3//a\\r\\n\
         delete @py2//c\\r\\ndelete c\\r\\ndelete @py3//c\\r\\n\
         set @py2//g 0 0 1\\r\\nx\\r\\ndelete g\\r\\ndelete @py3//g\\r\\nget @py2//e @py2//f @py2//h\\r\\n"
    );
    rig.settle();
    assert_eq!(text(rig.received(late)), "STORED\\r\\nEND\\r\\n");
    assert!(rig.engine.is_at_rest());
}

#[test]
fn the_deletes_of_a_plain_store_are_under_way_when_its_client_gives_up() {
    let mut rig = Rig::new(&config(1, STRICT), 1);
    let (client, mut now_us) = (rig.open("py2"), 0);
    rig.send(client, b"set a 0 0 1\r\nx\r\n");
    write(&mut rig, 0);
    rig.engine.lane_input(0, b"STORED\r\nDELETED\r\n").unwrap();
    pass(&mut rig, &mut now_us, 2 * TIMEOUT_US);
    let found = text(&rig.take_received(client));
    assert!(found.starts_with("SERVER_ERROR "), "{found}");
    let failed: u64 = rig
        .engine
        .counts()
        .invalidations
        .iter()
        .map(|of| of[Invalidation::Error as usize])
        .sum();
    assert_eq!(failed, 1);
    rig.engine.lane_input(0, b"DELETED\r\n").unwrap();
    assert!(rig.engine.is_at_rest());
}

#[test]
fn a_lane_is_given_up_when_nothing_came_from_it_and_only_then() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let client = rig.open("py2");
    let mut now_us = 0;
    let mut turn = |rig: &mut Rig, us: u64| {
        now_us += us;
        rig.engine.set_now(now_us);
    };
    // Who idles is not late.
    for _ in 0..20 {
        turn(&mut rig, STEP_US);
    }
    rig.send(client, b"get a\r\n");
    write(&mut rig, 0);
    for _ in 0..4 {
        assert_eq!(rig.engine.overdue(0, TIMEOUT_US), None);
        turn(&mut rig, STEP_US);
    }
    turn(&mut rig, 1);
    assert_eq!(rig.engine.overdue(0, TIMEOUT_US), Some(Overdue::Silent));
    // A byte is something, but not for ever.
    for _ in 5..=16 {
        rig.engine.lane_input(0, b"V").unwrap();
        assert_eq!(rig.engine.overdue(0, TIMEOUT_US), None);
        turn(&mut rig, STEP_US);
    }
    assert_eq!(rig.engine.overdue(0, TIMEOUT_US), Some(Overdue::Trickling));
}

/// A process that was stopped finds all clocks ahead: that is not the upstream's fault.
#[test]
fn a_process_that_was_stopped_counts_little_of_that() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let client = rig.open("py2");
    rig.send(client, b"get a\r\nset b 0 0 1\r\nx\r\n");
    rig.flush_clients();
    write(&mut rig, 0);
    rig.engine.set_now(60_000_000);
    assert_eq!(rig.engine.overdue(0, TIMEOUT_US), None);
    rig.engine.expire(0, TIMEOUT_US);
    rig.engine.lane_input(0, b"END\r\nSTORED\r\n").unwrap();
    rig.flush_clients();
    assert_eq!(text(rig.received(client)), "END\\r\\nSTORED\\r\\n");
}

/// Reconnecting, and asking again there, is part of the time of a request.
#[test]
fn asking_again_takes_no_more_time() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let (client, mut now_us) = (rig.open("py2"), 0);
    rig.send(client, b"get a\r\n");
    write(&mut rig, 0);
    pass(&mut rig, &mut now_us, TIMEOUT_US * 6 / 10);
    rig.engine.lane_lost(0, "is lost", true);
    write(&mut rig, 0);
    pass(&mut rig, &mut now_us, TIMEOUT_US * 3 / 10);
    assert_eq!(text(rig.received(client)), "");
    pass(&mut rig, &mut now_us, TIMEOUT_US * 2 / 10);
    assert_eq!(text(rig.received(client)), "END\\r\\n");
    // The steps of a change are, too.
    let mut rig = Rig::new(&config(1, STRICT), 1);
    let (client, mut now_us) = (rig.open("py2"), 0);
    rig.send(client, b"incr a 1\r\n");
    write(&mut rig, 0);
    pass(&mut rig, &mut now_us, TIMEOUT_US * 9 / 10);
    rig.engine.lane_input(0, b"8\r\n").unwrap();
    write(&mut rig, 0);
    pass(&mut rig, &mut now_us, TIMEOUT_US * 2 / 10);
    assert!(text(rig.received(client)).starts_with("SERVER_ERROR "));
    rig.engine.lane_input(0, b"DELETED\r\nDELETED\r\n").unwrap();
    assert!(rig.engine.is_at_rest());
}

// One line, one answer ---------------------------------------------------------------

const BACKEND: &str = "SERVER_ERROR backend failure\r\n";

/// A rig whose lane has seen an error among values, with nothing under way.
fn marking(rule: &str) -> Rig {
    let mut rig = Rig::new(&config(1, rule), 1);
    let client = rig.open("py2");
    rig.send(client, b"get a b\r\n");
    write(&mut rig, 0);
    let result = rig.engine.lane_input(0, BACKEND.as_bytes());
    assert_eq!(result, Err(ReplyError::Doubtful));
    // What was asked is asked again, with a mark behind it.
    rig.engine.lane_lost(0, "failed", true);
    let sent = text(rig.engine.lane(0).lane.unwritten());
    assert_eq!(sent, "get @py2//a @py2//b\\r\\nversion\\r\\n");
    write(&mut rig, 0);
    rig.engine
        .lane_input(0, b"END\r\nVERSION 1.6.45\r\n")
        .expect("a reply and its mark");
    rig.flush_clients();
    assert_eq!(text(rig.received(client)), "END\\r\\n");
    assert!(rig.engine.is_at_rest());
    rig
}

#[test]
fn an_error_among_values_costs_its_keys_only() {
    for cut in [Cut::Whole, Cut::Bytes] {
        let mut rig = marking("mode = \"isolate\"\ncoherence = \"fill-aware\"");
        let [one, other, third] = ["py2", "py2", "py3"].map(|runtime| rig.open(runtime));
        rig.send(one, b"get a b c\r\n");
        rig.send(other, b"get d e\r\n");
        rig.send(third, b"set f 0 0 1\r\nx\r\n");
        write(&mut rig, 0);
        // The store went before the line that may still grow.
        let replies = format!(
            "STORED\r\nNOT_FOUND\r\nDELETED\r\nVALUE @py2//a 0 1\r\n1\r\n{BACKEND}\
             VALUE @py2//c 0 1\r\n3\r\n{BACKEND}VALUE @py2//e 0 1\r\n5\r\nEND\r\nVERSION 1.6.45\r\n"
        );
        for piece in pieces(replies.as_bytes(), cut) {
            rig.engine.lane_input(0, piece).expect("it is understood");
        }
        rig.flush_clients();
        assert_eq!(
            text(rig.received(one)),
            "VALUE a 0 1\\r\\n1\\r\\nVALUE c 0 1\\r\\n3\\r\\nEND\\r\\n"
        );
        assert_eq!(
            text(rig.received(other)),
            "VALUE e 0 1\\r\\n5\\r\\nEND\\r\\n"
        );
        assert_eq!(text(rig.received(third)), "STORED\\r\\n");
        assert_eq!(count(&rig, Outcome::UpstreamMiss), 2);
        assert!(rig.engine.is_at_rest());
    }
}

/// A stream in which the error is the end and the next reply begins with a key that both
/// asked for.
#[test]
fn a_value_behind_an_error_is_given_to_whom_the_marks_say() {
    let mut rig = marking(ISOLATE);
    let [one, other] = ["py2", "py2"].map(|runtime| rig.open(runtime));
    rig.send(one, b"get a b\r\n");
    write(&mut rig, 0);
    rig.send(other, b"get b c\r\n");
    write(&mut rig, 0);
    let replies =
        format!("{BACKEND}VERSION 1.6.45\r\nVALUE @py2//b 0 1\r\n2\r\nEND\r\nVERSION 1.6.45\r\n");
    is_the_others(&mut rig, [one, other], &replies);
}

/// Of these replies a client gets nothing, and the other its value.
fn is_the_others(rig: &mut Rig, [one, other]: [u32; 2], replies: &str) {
    rig.engine
        .lane_input(0, replies.as_bytes())
        .expect("what was asked");
    rig.flush_clients();
    assert_eq!(text(rig.received(one)), "END\\r\\n");
    assert_eq!(
        text(rig.received(other)),
        "VALUE b 0 1\\r\\n2\\r\\nEND\\r\\n"
    );
}

#[test]
fn a_reply_that_misses_its_mark_drops_the_lane() {
    for wrong in [
        "END\r\nEND\r\n",
        "END\r\nSTORED\r\n",
        "END\r\nVALUE @py2//a 0 1\r\n1\r\n",
        "VERSION 1.6.45\r\n",
        "VALUE @py2//a 0 1\r\n1\r\nVERSION 1.6.45\r\n",
        "STORED\r\n",
    ] {
        let mut rig = marking(ISOLATE);
        let client = rig.open("py2");
        rig.send(client, b"get a b\r\n");
        write(&mut rig, 0);
        assert!(
            rig.engine.lane_input(0, wrong.as_bytes()).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn a_single_key_ends_with_its_error() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let [one, other] = ["py2", "py2"].map(|runtime| rig.open(runtime));
    rig.send(one, b"get a\r\n");
    write(&mut rig, 0);
    rig.send(other, b"get b\r\n");
    write(&mut rig, 0);
    let replies = format!("{BACKEND}VALUE @py2//b 0 1\r\n2\r\nEND\r\n");
    is_the_others(&mut rig, [one, other], &replies);
}

/// memcached says once that it has no room for replies, and drops what it had ready.
#[test]
fn replies_that_were_dropped_are_asked_for_again_at_once() {
    let dropped = b"SERVER_ERROR out of memory writing get response\r\n";
    for first in ["get a b\r\n", "set a 0 0 1\r\nx\r\n", "mg a v\r\n"] {
        let mut rig = Rig::new(&config(1, ISOLATE), 1);
        let [one, other] = ["py2", "py2"].map(|runtime| rig.open(runtime));
        rig.send(one, first.as_bytes());
        write(&mut rig, 0);
        rig.send(other, b"get c d\r\n");
        write(&mut rig, 0);
        assert_eq!(rig.engine.lane_input(0, dropped), Err(ReplyError::Dropped));
        rig.engine
            .lane_lost(0, "failed", ReplyError::Dropped.may_retry());
        rig.settle();
        let is_write = first.starts_with("set");
        assert_eq!(
            text(rig.received(one)).starts_with("SERVER_ERROR"),
            is_write
        );
        assert_eq!(text(rig.received(other)), "END\\r\\n");
        assert_eq!(count(&rig, Outcome::UpstreamMiss), 0);
        // From now on it is asked for little at a time.
        let many: Vec<String> = (0..12).map(|n| format!(" k{n}")).collect();
        let many = many.concat();
        rig.send(
            other,
            format!("get{many}\r\nset z 0 0 1\r\nx\r\n").as_bytes(),
        );
        rig.flush_clients();
        let sent = text(rig.engine.lane(0).lane.unwritten());
        assert_eq!(sent.matches("//k").count(), 8, "{sent}");
        write(&mut rig, 0);
        assert_eq!(text(rig.engine.lane(0).lane.unwritten()), "");
        rig.engine.lane_input(0, b"END\r\n").expect("a reply");
        let sent = text(rig.engine.lane(0).lane.unwritten());
        assert_eq!(sent.matches("//k").count(), 4, "{sent}");
        write(&mut rig, 0);
        rig.engine.lane_input(0, b"END\r\n").expect("a reply");
        rig.settle();
        rig.take_received(other);
        // Where nothing else is owed, it can only be of what was asked.
        rig.send(other, b"get c d\r\n");
        write(&mut rig, 0);
        rig.engine.lane_input(0, dropped).expect("a reply");
        assert_eq!(count(&rig, Outcome::UpstreamMiss), 2);
    }
}

#[test]
fn a_server_that_hangs_up_on_marks_is_not_sent_any_more_of_them() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let client = rig.open("py2");
    let mut marked = 0;
    for _ in 0..6 {
        rig.send(client, b"get a b\r\n");
        marked += usize::from(text(rig.engine.lane(0).lane.unwritten()).contains("version"));
        write(&mut rig, 0);
        if rig.engine.lane_input(0, BACKEND.as_bytes()).is_err() {
            rig.engine.lane_lost(0, "failed", true);
            marked += usize::from(text(rig.engine.lane(0).lane.unwritten()).contains("version"));
            write(&mut rig, 0);
        }
        if rig.engine.lane(0).lane.in_flight() > 0 {
            rig.engine.lane_lost(0, "closed the connection", false);
        }
        rig.flush_clients();
        assert_eq!(text(&rig.take_received(client)), "END\\r\\n");
    }
    assert!((1..=3).contains(&marked), "{marked}");
    assert!(rig.engine.is_at_rest());
}
