//! Order: each client receives what it would receive alone, whatever moves first.

use fastrand::Rng;

use crate::support::rig::{Rig, ask_alone, config, replies, text};

const CLIENTS: usize = 5;
const REQUESTS: usize = 60;
const RUNS: u64 = 150;

/// Requests on keys that no other client uses, their ids left out: those are
/// common to all clients of a cache.
fn script(rng: &mut Rng, client: usize) -> Vec<u8> {
    let mut all = Vec::new();
    for _ in 0..REQUESTS {
        let key = |rng: &mut Rng| format!("c{client}:{}", rng.u8(..9));
        let (one, two) = (key(rng), key(rng));
        let value = "v\r\n".repeat(rng.usize(..40));
        let (len, number) = (value.len(), rng.u8(..20));
        let noreply = if rng.bool() { " noreply" } else { "" };
        let quiet = if rng.bool() { " q" } else { "" };
        let request = match rng.u8(..18) {
            0..3 => format!("set {one} 0 0 {len}{noreply}\r\n{value}\r\n"),
            3 => format!("add {one} 3 0 2{noreply}\r\n{number:02}\r\n"),
            4 => format!("append {one} 0 0 1{noreply}\r\nx\r\n"),
            5 => format!("delete {one}{noreply}\r\n"),
            6 => format!("incr {one} {number}{noreply}\r\n"),
            7 => format!("touch {one} 100{noreply}\r\n"),
            8 => format!("get {one} {two} {} {one}\r\n", key(rng)),
            9 => format!("get {one}\r\n"),
            10 => format!("gat 500 {one} {two}\r\n"),
            11 => format!("mg {one} v k f t O{number}{quiet}\r\n"),
            12 => format!("ms {one} {len} k T90{quiet}\r\n{value}\r\n"),
            13 => format!("md {one} k{quiet}\r\n"),
            14 => format!("ma {one} N0 J{number} v\r\n"),
            15 => "mn\r\n".to_owned(),
            16 => "nonsense\r\n".to_owned(),
            _ => format!("set {one} x 0 3\r\nbad\r\n"),
        };
        all.extend_from_slice(request.as_bytes());
    }
    all.extend_from_slice(b"mn\r\n");
    all
}

/// The replies, each with its values sorted: several servers give them in an
/// order of their own.
fn sorted(stream: &[u8]) -> Vec<String> {
    let (all, rest) = replies(stream);
    assert_eq!(text(rest), "", "a reply is cut short");
    all.into_iter()
        .map(|reply| {
            let mut values: Vec<String> = text(reply).split("VALUE ").map(str::to_owned).collect();
            let end = values.last_mut().and_then(|last| {
                let at = last.rfind("END")?;
                Some(last.split_off(at))
            });
            values.sort();
            values.concat() + &end.unwrap_or_default()
        })
        .collect()
}

fn run(seed: u64, servers: usize, rule: &str) {
    let mut rng = Rng::with_seed(seed);
    let mut rig = Rig::new(&config(servers, rule), 2);
    let scripts: Vec<Vec<u8>> = (0..CLIENTS).map(|n| script(&mut rng, n)).collect();
    let runtimes = ["py2", "py3.11", "py2", "py3", "py3.4"];
    let clients: Vec<u32> = runtimes.iter().map(|tag| rig.open(tag)).collect();
    let mut sent = [0; CLIENTS];
    while (0..CLIENTS).any(|n| sent[n] < scripts[n].len()) {
        let (client, lane) = (rng.usize(..CLIENTS), rng.usize(..rig.lanes()));
        let most = rng.usize(1..300);
        match rng.u8(..4) {
            0 => {
                let rest = &scripts[client][sent[client]..];
                let piece = &rest[..rest.len().min(most)];
                rig.send(clients[client], piece);
                sent[client] += piece.len();
            }
            1 => {
                rig.write_lane(lane, most);
            }
            2 => {
                rig.read_lane(lane, most)
                    .unwrap_or_else(|error| panic!("PICKLEGATE_SEED={seed}: {error}"));
            }
            _ => rig.flush_client(clients[client]),
        }
    }
    rig.settle();
    for (client, script) in clients.into_iter().zip(scripts) {
        let found = sorted(rig.received(client));
        let expected = sorted(&ask_alone(&script));
        assert_eq!(
            found, expected,
            "PICKLEGATE_SEED={seed}, {servers} servers, {rule}, client {client}"
        );
    }
}

fn run_all(servers: usize, rule: &str) {
    match std::env::var("PICKLEGATE_SEED") {
        Ok(seed) => run(seed.parse().expect("a number"), servers, rule),
        Err(_) => (0..RUNS).for_each(|_| run(fastrand::u64(..), servers, rule)),
    }
}

#[test]
fn clients_do_not_notice_each_other() {
    run_all(1, "mode = \"isolate\"");
}

#[test]
fn clients_do_not_notice_several_servers() {
    run_all(3, "mode = \"isolate\"");
}

#[test]
fn clients_do_not_notice_invalidations() {
    run_all(2, "mode = \"isolate\"\ncoherence = \"strict\"");
}

#[test]
fn clients_do_not_notice_the_guard() {
    run_all(3, "mode = \"guard\"");
}
