//! Requests that share a line, a write and a connection, and those that never do.

use crate::support::rig::{Rig, config, text};

const ISOLATE: &str = "mode = \"isolate\"\ncoherence = \"deletes\"";
/// From this size on, values have a lane of their own.
const LARGE_BYTES: usize = 64 << 10;

/// Bytes that a lane is about to send.
fn unwritten(rig: &mut Rig, lane: usize) -> String {
    text(rig.engine.lane(lane).lane.unwritten())
}

/// Sends a lane's requests to nobody; says whether there were any.
fn write(rig: &mut Rig, lane: usize) -> bool {
    let lane = &mut rig.engine.lane(lane).lane;
    let bytes = lane.unwritten().len();
    lane.wrote(bytes);
    bytes > 0
}

fn set(key: &str, bytes: usize) -> String {
    format!("set {key} 0 0 {bytes}\r\n{}\r\n", "x".repeat(bytes))
}

/// By TLS, no record holds the end of one request and the beginning of another, unless
/// both are in it whole.
#[test]
fn pieces_end_where_requests_end() {
    const LIMIT: usize = 16 << 10;
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let client = rig.open("py2");
    let sizes = [10, 9_000, 9_000, LIMIT, 20, 40_000, 30, 16_000, 400, 3];
    for (nth, size) in sizes.iter().enumerate() {
        rig.send(client, set(&format!("k{nth}"), *size).as_bytes());
    }
    let lane = &mut rig.engine.lane(0).lane;
    let whole = lane.unwritten().to_vec();
    let mut ends = Vec::new();
    let mut at = 0;
    for (nth, size) in sizes.iter().enumerate() {
        at += set(&format!("@py2//k{nth}"), *size).len();
        ends.push(at);
    }
    assert_eq!(ends.last(), Some(&whole.len()));
    // The socket takes as much as it likes.
    for most in [usize::MAX, 60_000, LIMIT, 999, 1] {
        let mut written = 0;
        let mut rig = Rig::new(&config(1, ISOLATE), 1);
        let client = rig.open("py2");
        for (nth, size) in sizes.iter().enumerate() {
            rig.send(client, set(&format!("k{nth}"), *size).as_bytes());
        }
        while written < whole.len() {
            let lane = &mut rig.engine.lane(0).lane;
            let piece = lane.unwritten_piece(LIMIT);
            let end = written + piece.len();
            assert_eq!(piece, &whole[written..end]);
            assert!(ends.contains(&end), "{written} to {end}");
            let starts_whole = written == 0 || ends.contains(&written);
            let next = ends
                .iter()
                .find(|end| **end > written)
                .expect("one is there");
            assert!(end == *next || (starts_whole && end - written <= LIMIT));
            let takes = piece.len().min(most);
            lane.wrote(takes);
            written += takes;
        }
        assert!(rig.engine.lane(0).lane.unwritten_piece(LIMIT).is_empty());
    }
}

#[test]
fn gets_share_a_line_whatever_others_ask_meanwhile() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    for request in [
        "get a\r\n",
        "set b 0 0 1\r\nx\r\n",
        "get c d\r\n",
        "delete e\r\n",
        "mg f v\r\n",
        "get g\r\n",
    ] {
        let client = rig.open("py2");
        rig.send(client, request.as_bytes());
    }
    assert_eq!(
        unwritten(&mut rig, 0),
        "set @py2//b 0 0 1\\r\\nx\\r\\n\
         delete @py2//e\\r\\ndelete e\\r\\ndelete @py3//e\\r\\n\
         mg @py2//f v k f\\r\\n\
         get @py2//a @py2//c @py2//d @py2//g\\r\\n"
    );
}

#[test]
fn a_client_never_overtakes_itself() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let [one, other] = ["py2", "py2"].map(|runtime| rig.open(runtime));
    rig.send(other, b"get k\r\n");
    rig.send(
        one,
        b"get k\r\nset k 0 0 1\r\n1\r\nget k\r\ndelete k\r\nget k\r\n",
    );
    rig.send(other, b"set k 0 0 1\r\n2\r\n");
    rig.settle();
    assert_eq!(
        text(rig.received(one)),
        "END\\r\\nSTORED\\r\\nVALUE k 0 1\\r\\n1\\r\\nEND\\r\\nDELETED\\r\\nEND\\r\\n"
    );
    assert_eq!(text(rig.received(other)), "END\\r\\nSTORED\\r\\n");
}

#[test]
fn a_change_waits_until_others_have_joined_the_line_it_ends() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let clients = [(); 3].map(|()| rig.open("py2"));
    for (nth, client) in clients.into_iter().enumerate() {
        let get = format!("get a{nth}\r\n{}get c{nth}\r\n", set(&format!("b{nth}"), 1));
        rig.send(client, get.as_bytes());
    }
    rig.flush_clients();
    // The first has only its own line to end.
    assert_eq!(
        unwritten(&mut rig, 0),
        "get @py2//a0\\r\\nset @py2//b0 0 0 1\\r\\nx\\r\\n\
         get @py2//c0 @py2//a1 @py2//a2\\r\\n\
         set @py2//b1 0 0 1\\r\\nx\\r\\nset @py2//b2 0 0 1\\r\\nx\\r\\n\
         get @py2//c1 @py2//c2\\r\\n"
    );
    rig.settle();
    for client in clients {
        assert_eq!(text(rig.received(client)), "END\\r\\nSTORED\\r\\nEND\\r\\n");
    }
}

/// Keys in each line that the multi-gets of ten clients become.
fn keys_by_line(key: &str, keys: usize) -> Vec<usize> {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    for _ in 0..10 {
        let client = rig.open("py2");
        let request = format!("get{}\r\n", format!(" {key}").repeat(keys / 10));
        rig.send(client, request.as_bytes());
    }
    let lines = unwritten(&mut rig, 0);
    let lines = lines.split("\\r\\n").filter(|line| !line.is_empty());
    lines.map(|line| line.matches("//k").count()).collect()
}

#[test]
fn lines_are_bounded_in_keys_and_bytes() {
    assert_eq!(keys_by_line("k", 300), [128, 128, 44]);
    // 86 bytes each, the space included.
    let long = format!("k{}", "x".repeat(78));
    assert_eq!(keys_by_line(&long, 300), [96, 96, 96, 12]);
}

#[test]
fn four_writes_await_their_replies_and_the_rest_goes_together() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let clients = (0..7).map(|_| rig.open("py2")).collect::<Vec<_>>();
    for client in &clients[..4] {
        rig.send(*client, b"get k\r\n");
        assert!(write(&mut rig, 0));
    }
    for client in &clients[4..] {
        rig.send(*client, b"get k\r\n");
        assert!(!write(&mut rig, 0));
    }
    rig.engine.lane_input(0, b"END\r\n").expect("a miss");
    assert_eq!(unwritten(&mut rig, 0), "get @py2//k @py2//k @py2//k\\r\\n");
    assert!(write(&mut rig, 0));
    rig.send(clients[0], b"get k\r\n");
    assert!(!write(&mut rig, 0));
    // The connection may be lost just then.
    rig.engine.lane_lost(0, "is lost", true);
    assert!(write(&mut rig, 0));
    for _ in 0..5 {
        rig.engine.lane_input(0, b"END\r\n").expect("a miss");
    }
    rig.flush_clients();
    assert_eq!(text(rig.received(clients[0])), "END\\r\\nEND\\r\\n");
    for client in &clients[1..] {
        assert_eq!(text(rig.received(*client)), "END\\r\\n");
    }
}

#[test]
fn large_values_travel_apart() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let [large, small] = ["py2", "py2"].map(|runtime| rig.open(runtime));
    // A store is known by its head, before its body is there.
    let store = set("l", LARGE_BYTES);
    rig.send(large, &store.as_bytes()[..1000]);
    rig.send(large, &store.as_bytes()[1000..]);
    rig.send(small, b"get s\r\n");
    assert_eq!(unwritten(&mut rig, 0), "get @py2//s\\r\\n");
    assert!(unwritten(&mut rig, 1).starts_with("set @py2//l "));
    rig.settle();
    // It stays there for a while.
    rig.send(large, b"get l\r\n");
    assert_eq!(unwritten(&mut rig, 1), "get @py2//l\\r\\n");
    rig.settle();
    rig.engine.set_now(1_000_001);
    rig.send(large, b"get s\r\n");
    assert_eq!(unwritten(&mut rig, 0), "get @py2//s\\r\\n");
    rig.settle();
    // Or a read that turns out to be one.
    for lane in [0, 1] {
        rig.send(large, b"get l\r\n");
        assert_eq!(unwritten(&mut rig, lane), "get @py2//l\\r\\n");
        rig.settle();
    }
}

#[test]
fn a_client_changes_lanes_in_the_order_of_its_requests() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let client = rig.open("py2");
    let requests = [
        "set k 0 0 1\r\n1\r\n".to_owned(),
        "get k\r\n".to_owned(),
        set("k", LARGE_BYTES),
        "get k\r\n".to_owned(),
        "set k 0 0 1\r\n2\r\n".to_owned(),
        "get k\r\n".to_owned(),
    ];
    rig.send(client, requests.concat().as_bytes());
    // What is large waits for what is under way.
    assert!(rig.engine.session(client).paused);
    assert_eq!(unwritten(&mut rig, 1), "");
    rig.settle();
    let value = "x".repeat(LARGE_BYTES);
    assert_eq!(
        text(rig.received(client)),
        format!(
            "STORED\\r\\nVALUE k 0 1\\r\\n1\\r\\nEND\\r\\nSTORED\\r\\n\
             VALUE k 0 {LARGE_BYTES}\\r\\n{value}\\r\\nEND\\r\\n\
             STORED\\r\\nVALUE k 0 1\\r\\n2\\r\\nEND\\r\\n"
        )
    );
}
