//! Wrong or missing replies of an upstream. They reach nobody: every request is answered
//! once and in order, by an error at worst.

use picklegate::protocol::reply::ReplyError;

use crate::support::rig::{Rig, config, replies, text};

/// A rule under which reads fail as loudly as writes.
const ISOLATE: &str =
    "mode = \"isolate\"\ncoherence = \"deletes\"\non_upstream_failure = \"error\"";
const SECRET: &str = "secret";

/// Three clients ask: one whose request is answered before, one that gets the
/// wrong reply, and one that waits behind it.
fn check_wrong(request: &str, wrong: &str) {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let [before, wronged, behind] = ["py2", "py2", "py3"].map(|runtime| rig.open(runtime));
    let write = |rig: &mut Rig| {
        let lane = &mut rig.engine.lane(0).lane;
        let bytes = lane.unwritten().len();
        lane.wrote(bytes);
    };
    rig.send(before, b"get first\r\n");
    // All three are on one lane; a get of the second shares the line of the
    // first, whose key comes before, where that was not written yet.
    let shares = request.starts_with("get ");
    if !shares {
        write(&mut rig);
    }
    rig.send(wronged, request.as_bytes());
    rig.send(behind, b"mg last v\r\nset last 0 0 1\r\nx\r\n");
    write(&mut rig);
    if !shares {
        assert_eq!(rig.engine.lane_input(0, b"END\r\n"), Ok(()));
    }
    let result = rig.engine.lane_input(0, wrong.as_bytes());
    assert!(result.is_err(), "{request:?} took {wrong:?}");
    rig.lose_lane(0, "failed", false);
    rig.flush_clients();
    let error = "SERVER_ERROR picklegate: upstream 10.0.0.1:11211 failed\\r\\n";
    let first = if shares { error } else { "END\\r\\n" };
    let context = format!("{request:?} answered by {wrong:?}");
    assert_eq!(text(rig.received(before)), first, "{context}");
    if rig.engine.session(wronged).is_dead() {
        assert!(wrong.contains(SECRET), "{context}: nothing was out");
    } else {
        let told = match request {
            "" => "",
            "stats\r\n" => DOWN,
            _ => error,
        };
        assert_eq!(text(rig.received(wronged)), told, "{context}");
    }
    assert_eq!(text(rig.received(behind)), error.repeat(2), "{context}");
    for client in [before, behind] {
        assert!(!text(rig.received(client)).contains(SECRET), "{context}");
    }
}

/// Statistics of a server that failed.
const DOWN: &str = "STAT servers 1\\r\\nSTAT servers_down 1\\r\\n\
                    STAT down@10.0.0.1:11211 1\\r\\nEND\\r\\n";
const VALUE: &str = "VALUE @py2//z 0 6\r\nsecret\r\nEND\r\n";

#[test]
fn a_wrong_reply_drops_the_lane() {
    let long = "x".repeat(3000);
    let general = [
        "",
        "\0",
        "garbage",
        "secret",
        "VALUE",
        "VALUE ",
        "VALUE @py2//a",
        "VALUE @py2//a 0",
        "VALUE @py2//a 0 x",
        "VALUE @py2//a 0 99999999999",
        "VALUE @py2//a x 1",
        "VA",
        "VA x",
        "VA -1",
        "VA 99999999999 k@py2//a",
        "MN",
        "STAT",
        &long,
    ];
    for (request, wrong) in [
        (
            "get a\r\n",
            &[
                VALUE,
                "VALUE a 0 6\r\nsecret\r\nEND\r\n",
                "VALUE @py3//a 0 6\r\nsecret\r\nEND\r\n",
                "STORED\r\n",
                "7\r\n",
                "VA 6 k@py2//a\r\nsecret\r\n",
                "HD\r\n",
                "END \r\n",
                "OK\r\n",
            ][..],
        ),
        ("gets a b\r\n", &[VALUE, "STORED\r\n"]),
        ("gat 0 a\r\n", &[VALUE, "TOUCHED\r\n"]),
        (
            "set a 0 0 1\r\nx\r\n",
            &[
                VALUE,
                "END\r\n",
                "HD\r\n",
                "EN\r\n",
                "7\r\n",
                "OK\r\n",
                "DELETED\r\n",
                "TOUCHED\r\n",
                "VERSION 1.6.18\r\n",
                "VA 6 k@py2//a\r\nsecret\r\n",
            ],
        ),
        (
            "cas a 0 0 1 1\r\nx\r\n",
            &[VALUE, "END\r\n", "DELETED\r\n", "EX\r\n"],
        ),
        (
            "delete a\r\n",
            &[VALUE, "END\r\n", "STORED\r\n", "OK\r\n", "7\r\n"],
        ),
        (
            "incr a 1\r\n",
            &[VALUE, "END\r\n", "STORED\r\n", "OK\r\n", "7x\r\n"],
        ),
        (
            "touch a 1\r\n",
            &[VALUE, "END\r\n", "STORED\r\n", "DELETED\r\n"],
        ),
        (
            "mg a v\r\n",
            &[
                VALUE,
                "VA 6 k@py2//z\r\nsecret\r\n",
                "VA 6 kz\r\nsecret\r\n",
                "VA 6\r\nsecret\r\n",
                "VA 6 ka\r\nsecret\r\n",
                "HD\r\n",
                "HD k@py2//z\r\n",
                "EN k@py2//z\r\n",
                "STORED\r\n",
                "END\r\n",
                "NF\r\n",
                "OK\r\n",
                "ME @py2//a exp=1\r\n",
                "VA 6 k@py2//a fx\r\nsecret\r\n",
            ],
        ),
        // The base64 form of another key.
        ("mg Zm9v v\r\n", &["VA 6 k@py2//Zm9v b\r\nsecret\r\n"]),
        (
            "mg YQ== b v\r\n",
            &[
                "VA 6 kYQ== b\r\nsecret\r\n",
                "VA 6 kQHB5Mi8vYQ==\r\nsecret\r\n",
                "VA 6 ka\r\nsecret\r\n",
            ],
        ),
        (
            "ms a 1\r\nx\r\n",
            &[
                VALUE,
                "STORED\r\n",
                "EN\r\n",
                "OK\r\n",
                "VA 1\r\nx\r\n",
                "HD k@py2//z\r\n",
                "7\r\n",
            ],
        ),
        (
            "md a\r\n",
            &[VALUE, "DELETED\r\n", "EN\r\n", "VA 1\r\nx\r\n", "OK\r\n"],
        ),
        (
            "ma a v\r\n",
            &[
                VALUE,
                "7\r\n",
                "EN\r\n",
                "STORED\r\n",
                "VA 4000000000\r\n1",
                "VA 21\r\n",
                "VA 1\r\nxyz",
            ],
        ),
        (
            "me a\r\n",
            &[
                VALUE,
                "ME @py2//z exp=0\r\n",
                "ME @py2//a\r\n",
                "ME @py2//az exp=0\r\n",
                "HD\r\n",
                "OK\r\n",
            ],
        ),
        (
            "version\r\n",
            &[VALUE, "END\r\n", "STORED\r\n", "7\r\n", "OK\r\n"],
        ),
        (
            "stats\r\n",
            &[VALUE, "STORED\r\n", "VERSION 1.6.18\r\n", "7\r\n"],
        ),
    ] {
        for wrong in wrong {
            check_wrong(request, wrong);
        }
        for wrong in general {
            check_wrong(request, &format!("{wrong}\r\n"));
        }
    }
}

#[test]
fn a_reply_to_nothing_drops_the_lane() {
    for (request, reply) in [
        ("", "END\r\n"),
        ("", "\r\n"),
        ("get a\r\n", "END\r\nEND\r\n"),
        ("set a 0 0 1\r\nx\r\n", "STORED\r\nSTORED\r\n"),
        ("mg a v\r\n", "EN\r\nVA 6 k@py2//a\r\nsecret\r\n"),
    ] {
        let mut rig = Rig::new(&config(1, ISOLATE), 1);
        let client = rig.open("py2");
        rig.send(client, request.as_bytes());
        rig.write_lane(0, usize::MAX);
        let result = rig.engine.lane_input(0, reply.as_bytes());
        assert_eq!(result, Err(ReplyError::Unasked), "{request:?}");
        rig.lose_lane(0, "failed", true);
        rig.flush_clients();
        assert!(!text(rig.received(client)).contains(SECRET));
        assert_eq!(
            replies(rig.received(client)).0.len(),
            usize::from(!request.is_empty())
        );
    }
}

#[test]
fn a_reply_before_its_request_was_written_drops_the_lane() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let client = rig.open("py2");
    rig.send(client, b"get a\r\n");
    assert_eq!(
        rig.engine.lane_input(0, b"END\r\n"),
        Err(ReplyError::Unasked)
    );
}

#[test]
fn a_line_without_an_end_drops_the_lane() {
    for request in [
        "get a\r\n",
        "set a 0 0 1\r\nx\r\n",
        "mg a v\r\n",
        "stats\r\n",
    ] {
        let mut rig = Rig::new(&config(1, ISOLATE), 1);
        let client = rig.open("py2");
        rig.send(client, request.as_bytes());
        rig.write_lane(0, usize::MAX);
        let taken = (0..5000).take_while(|_| rig.engine.lane_input(0, b"S").is_ok());
        assert!(taken.count() <= picklegate::protocol::reply::MAX_REPLY_LINE_BYTES);
    }
}

/// memcached 1.5 refuses a value as soon as it has read its head, and then
/// swallows it: here after `part` bytes of the request.
fn check_early_reply(part: usize) {
    let config = config(
        1,
        "mode = \"isolate\"\n[limits]\nmax_value_bytes = \"4MiB\"",
    );
    let mut rig = Rig::new(&config, 1);
    let client = rig.open("py2");
    let value = "x".repeat(2 << 20);
    let set = format!("set a 0 0 {}\r\n{value}\r\n", value.len());
    rig.send(client, set.as_bytes());
    rig.send(client, b"get a\r\nset b 0 0 1\r\ny\r\nmg b v\r\n");
    rig.write_lane(0, part);
    rig.read_on(0, usize::MAX);
    rig.settle();
    assert_eq!(
        text(rig.received(client)),
        "SERVER_ERROR object too large for cache\\r\\nEND\\r\\nSTORED\\r\\nVA 1\\r\\ny\\r\\n",
        "after {part} bytes"
    );
}

#[test]
fn a_reply_before_the_rest_of_its_request_leaves_the_rest_to_be_written() {
    for part in [1, 30, 100, 70_000, 1_500_000, 2_097_152, usize::MAX] {
        check_early_reply(part);
    }
}

// Losses --------------------------------------------------------------------

#[test]
fn losing_a_lane_within_a_value_closes_those_who_saw_half_of_it() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let [seer, sharer, writer] = ["py2", "py2", "py3"].map(|runtime| rig.open(runtime));
    rig.ask_cache(
        0,
        b"set @py2//a 0 0 6\r\nsecret\r\nset @py2//b 0 0 1\r\nb\r\n",
    );
    rig.send(seer, b"get b a\r\n");
    // In one line with the other's keys.
    rig.send(sharer, b"get a b\r\nmg b v\r\n");
    // What waits for others to join a line goes on at the end of the turn.
    rig.flush_clients();
    rig.send(writer, b"set w 0 0 1\r\nw\r\nincr w 1\r\nget w\r\n");
    rig.write_lane(0, usize::MAX);
    let half = rig.unread(0).windows(3).position(|w| w == b"sec").unwrap() + 3;
    rig.read_on(0, half);
    rig.lose_lane(0, "is lost", true);
    rig.flush_clients();
    assert!(rig.engine.session(seer).is_dead());
    assert!(rig.engine.session(seer).is_finished());
    // Reads are asked again, writes are not.
    rig.settle();
    assert!(!rig.engine.session(sharer).is_dead());
    assert_eq!(
        text(rig.received(sharer)),
        "VALUE a 0 6\\r\\nsecret\\r\\nVALUE b 0 1\\r\\nb\\r\\nEND\\r\\nVA 1\\r\\nb\\r\\n"
    );
    let error = "SERVER_ERROR picklegate: upstream 10.0.0.1:11211 is lost\\r\\n";
    // The write before had taken effect: memcached had read it.
    assert_eq!(
        text(rig.received(writer)),
        error.repeat(2) + "VALUE w 0 1\\r\\nw\\r\\nEND\\r\\n"
    );
}

#[test]
fn losing_a_lane_within_a_hidden_value_closes_nobody() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let client = rig.open("py2");
    rig.ask_cache(
        0,
        b"set @py2//a 1 0 6\r\n\x80\x04ABC.\r\nset @py2//b 0 0 1\r\nb\r\n",
    );
    for request in ["get a b\r\n", "mg a v\r\nmg b v\r\n"] {
        rig.send(client, request.as_bytes());
        rig.write_lane(0, usize::MAX);
        let half = rig.unread(0).windows(2).position(|w| w == b"AB").unwrap() + 1;
        rig.read_on(0, half);
        rig.lose_lane(0, "is lost", true);
        rig.settle();
    }
    assert_eq!(
        text(rig.received(client)),
        "VALUE b 0 1\\r\\nb\\r\\nEND\\r\\nEN\\r\\nVA 1\\r\\nb\\r\\n"
    );
}

#[test]
fn a_read_is_tried_again_once() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let client = rig.open("py2");
    rig.send(client, b"get a\r\nmg a v\r\nme a\r\n");
    for _ in 0..2 {
        assert_eq!(rig.engine.lane(0).lane.in_flight(), 3);
        rig.write_lane(0, usize::MAX);
        assert_eq!(rig.received(client), b"");
        rig.lose_lane(0, "is lost", true);
        rig.flush_clients();
    }
    assert_eq!(rig.engine.lane(0).lane.in_flight(), 0);
    let error = "SERVER_ERROR picklegate: upstream 10.0.0.1:11211 is lost\r\n";
    assert_eq!(text(rig.received(client)), text(error.repeat(3).as_bytes()));
}

#[test]
fn a_read_is_not_tried_again_after_a_later_change() {
    let error = "SERVER_ERROR picklegate: upstream 10.0.0.1:11211 is lost\\r\\n";
    for (read, hit, miss) in [
        (
            "get a\r\n",
            "VALUE a 0 1\\r\\nx\\r\\nEND\\r\\n",
            "END\\r\\n",
        ),
        ("mg a v\r\n", "VA 1\\r\\nx\\r\\n", "EN\\r\\n"),
    ] {
        for change in ["set a 0 0 1\r\nx\r\n", "md a\r\n", "gat 1 a\r\n"] {
            let mut rig = Rig::new(&config(1, ISOLATE), 1);
            let [one, other] = ["py2", "py2"].map(|runtime| rig.open(runtime));
            // Those of another are in the same line, and it only reads.
            rig.send(other, read.as_bytes());
            rig.send(one, format!("{read}{change}{read}").as_bytes());
            rig.flush_clients();
            // The upstream carries out all of it.
            rig.write_lane(0, usize::MAX);
            rig.lose_lane(0, "is lost", true);
            rig.settle();
            let now = if change.starts_with("set") { hit } else { miss };
            let told = text(&rig.take_received(one));
            assert_eq!(
                told,
                format!("{error}{error}{now}"),
                "{read:?} before {change:?}"
            );
            assert_eq!(text(&rig.take_received(other)), now, "{read:?}");
        }
    }
}

#[test]
fn what_changes_something_is_not_tried_again() {
    for request in [
        "set a 0 0 1\r\nx\r\n",
        "append a 0 0 1\r\nx\r\n",
        "delete a\r\n",
        "incr a 1\r\n",
        "touch a 1\r\n",
        "gat 1 a\r\n",
        "gats 1 a b\r\n",
        "mg a v N30\r\n",
        "mg a v R30\r\n",
        "mg a v T30\r\n",
        "mg a v N30 E5\r\n",
        "ms a 1\r\nx\r\n",
        "ms a 1 I q\r\nx\r\n",
        "md a q\r\n",
        "ma a q\r\n",
        "version\r\n",
        "stats\r\n",
    ] {
        let mut rig = Rig::new(&config(1, ISOLATE), 1);
        let client = rig.open("py2");
        rig.send(client, request.as_bytes());
        rig.lose_lane(0, "is lost", true);
        rig.flush_clients();
        let told = match request {
            "stats\r\n" => DOWN,
            _ => "SERVER_ERROR picklegate: upstream 10.0.0.1:11211 is lost\\r\\n",
        };
        assert_eq!(text(rig.received(client)), told, "{request:?}");
        assert!(
            rig.engine.lane(0).lane.unwritten().is_empty(),
            "{request:?}"
        );
    }
}

#[test]
fn a_lane_that_is_down_answers_in_order() {
    let mut rig = Rig::new(&config(2, ISOLATE), 1);
    let lane = rig.lane_to(1);
    rig.engine.lane(lane).down = Some("is down".to_owned());
    let client = rig.open("py2");
    let keys: Vec<String> = (0..40).map(|n| format!("key:{n}")).collect();
    for key in &keys {
        rig.send(client, format!("mg {key} k O1\r\n").as_bytes());
    }
    rig.settle();
    let found = text(rig.received(client));
    for (line, key) in found.split("\\r\\n").zip(&keys) {
        let up = rig.config.snapshot.ring.server(key.as_bytes()) == 0;
        let expected = if up {
            format!("EN k{key} O1")
        } else {
            "SERVER_ERROR picklegate: upstream 10.0.0.2:11211 is down".to_owned()
        };
        assert_eq!(line, expected);
    }
}

/// A retrieval over several servers, whose lanes are lost in this order.
fn check_losses(lost: &[usize], answered: &[usize]) {
    let mut rig = Rig::new(&config(3, ISOLATE), 1);
    let client = rig.open("py2");
    let keys: Vec<String> = (0..30).map(|n| format!("key:{n}")).collect();
    for key in &keys {
        rig.ask(client, format!("set {key} 0 0 1\r\nx\r\n").as_bytes());
    }
    rig.take_received(client);
    rig.send(
        client,
        format!("get {}\r\nmn\r\n", keys.join(" ")).as_bytes(),
    );
    for server in 0..3 {
        rig.write_lane(rig.lane_to(server), usize::MAX);
    }
    for &server in answered {
        rig.read_on(rig.lane_to(server), usize::MAX);
    }
    for &server in lost {
        rig.lose_lane(rig.lane_to(server), "is lost", false);
    }
    rig.settle();
    let (all, rest) = replies(rig.received(client));
    assert_eq!(rest, b"");
    let context = format!("lost {lost:?}, answered {answered:?}");
    // Values and then an error are one reply, cut in two by its first line.
    assert_eq!(all.last().copied(), Some(&b"MN\r\n"[..]), "{context}");
    assert_eq!(all.len(), 2, "{context}: {}", text(rig.received(client)));
    assert!(text(all[0]).contains("SERVER_ERROR"), "{context}");
}

#[test]
fn a_retrieval_over_several_lost_servers_is_answered_once() {
    for lost in [
        &[0][..],
        &[1],
        &[2],
        &[0, 1],
        &[1, 0],
        &[2, 1, 0],
        &[0, 2],
        &[2, 0],
        &[1, 2, 0],
    ] {
        for answered in [&[][..], &[0], &[1], &[2], &[1, 2], &[2, 1]] {
            if answered.iter().all(|lane| !lost.contains(lane)) {
                check_losses(lost, answered);
            }
        }
    }
}

// Keys that only base64 can spell ---------------------------------------------

#[test]
fn an_item_named_by_bare_bytes_keeps_its_lane() {
    // `mg` with `N` stores a base64 key as if it were text.
    for key in [
        "YSBi", "IA==", "YSAgYg==", "ICAg", "YQpi", "Cg==", "YQ0KYg==", "DQo=",
    ] {
        let mut rig = Rig::new(&config(1, ISOLATE), 1);
        let [client, other] = ["py2", "py2"].map(|runtime| rig.open(runtime));
        for request in [
            format!("mg {key} b N30 v\r\n"),
            format!("mg {key} b v k f Oz\r\n"),
            format!("me {key} b\r\n"),
            format!("ma {key} b N30 v\r\n"),
            format!("mg {key} b v\r\nmd {key} b k q\r\n"),
            format!("ma {key} b N30 v\r\nmg {key} b v\r\nme {key} b\r\n"),
        ] {
            rig.send(client, request.as_bytes());
            rig.send(other, b"get x\r\n");
            let result = rig.settle_cut(crate::support::rig::Cut::Whole);
            assert_eq!(result, Ok(()), "{request:?}");
            assert_eq!(text(&rig.take_received(other)), "END\\r\\n");
        }
    }
}
