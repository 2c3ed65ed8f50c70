//! Namespaces that come and go between two configurations: the others keep what
//! is theirs, whatever their numbers are then.

use std::collections::BTreeMap;

use picklegate::config::Config;
use picklegate::engine::Settings;
use picklegate::policy::{Source, Untagged};

use crate::support::rig::{Rig, config, config_of, listener, settings, text};

const GONE: &str = "SERVER_ERROR picklegate: this listener is gone\\r\\n";

/// A rule, and these namespaces in this order.
fn rule(names: &[&str]) -> String {
    let namespaces = BTreeMap::from([
        ("old", "python <3"),
        ("new", "python >=3.10"),
        ("middle", "python >=3"),
        ("more", "pypy >=7"),
    ]);
    let kept = names.iter().map(|name| (name, namespaces[name]));
    let tables =
        kept.map(|(name, runtimes)| format!("[namespaces.{name}]\nruntimes = \"{runtimes}\"\n"));
    let rule = "mode = \"isolate\"\ncoherence = \"fill-aware\"\n".to_owned();
    rule + &tables.collect::<String>()
}

#[test]
fn a_miss_of_a_namespace_that_is_gone_makes_no_change_of_another_a_fill() {
    let mut rig = Rig::new(&config(1, &rule(&["old", "new", "middle"])), 1);
    let [gone, writer, reader] = ["py2.7", "py3.11", "py3.6"].map(|python| rig.open(python));
    assert_eq!(rig.ask(reader, b"set k 0 0 3\r\nold\r\n"), b"STORED\r\n");
    assert_eq!(rig.ask(gone, b"get k\r\n"), b"END\r\n");
    let without = config(1, &rule(&["new", "middle"]));
    rig.engine.hold();
    rig.adopt(&without, settings(&without, 1));
    assert_eq!(rig.ask(writer, b"set k 0 0 3\r\nnew\r\n"), b"STORED\r\n");
    assert_eq!(rig.ask(reader, b"get k\r\n"), b"END\r\n");
}

#[test]
fn a_miss_is_filled_after_a_reload_that_keeps_the_namespaces() {
    let config = config(1, &rule(&["new", "middle"]));
    let mut rig = Rig::new(&config, 1);
    let [writer, reader] = ["py3.11", "py3.6"].map(|python| rig.open(python));
    assert_eq!(rig.ask(reader, b"set k 0 0 3\r\nown\r\n"), b"STORED\r\n");
    assert_eq!(rig.ask(writer, b"get k\r\n"), b"END\r\n");
    rig.engine.hold();
    rig.adopt(&config, settings(&config, 1));
    assert_eq!(rig.ask(writer, b"set k 0 0 3\r\nown\r\n"), b"STORED\r\n");
    let hit = b"VALUE k 0 3\r\nown\r\nEND\r\n";
    assert_eq!(rig.ask(reader, b"get k\r\n"), hit);
}

/// Settings without the listener that all clients of these tests come by.
fn without_listener(config: &Config) -> Settings {
    let mut settings = settings(config, 1);
    settings.listeners.remove(0);
    settings
}

/// One client of each namespace, whose value of `k` is its own.
fn three(rig: &mut Rig) -> [u32; 3] {
    let clients = ["py2.7", "py3.11", "py3.6"].map(|python| rig.open(python));
    for (client, value) in clients.into_iter().zip(["old", "new", "mid"]) {
        // It fills, and leaves the others.
        assert_eq!(rig.ask(client, b"get k\r\n"), b"END\r\n");
        let stored = rig.ask(client, format!("set k 0 0 3\r\n{value}\r\n").as_bytes());
        assert_eq!(stored, b"STORED\r\n");
    }
    clients
}

#[test]
fn what_waits_of_a_listener_that_is_gone_is_carried_out_by_nobody() {
    let orders: [&[&str]; 6] = [
        &["old", "new", "middle"],
        &["old", "middle"],
        &["new", "middle"],
        &["new", "old", "middle"],
        &["more", "old", "new", "middle"],
        &[],
    ];
    for names in orders {
        let mut rig = Rig::new(&config(1, &rule(&["old", "new", "middle"])), 1);
        let clients = three(&mut rig);
        rig.engine.hold();
        for client in clients {
            rig.send(client, b"get k\r\nset k 0 0 4\r\nlate\r\nget");
        }
        let config = config(1, &rule(names));
        rig.adopt(&config, without_listener(&config));
        rig.settle();
        for client in clients {
            assert_eq!(text(&rig.take_received(client)), GONE, "{names:?}");
            assert!(rig.engine.session(client).is_finished());
            rig.send(client, b"set k 0 0 4\r\nlate\r\n");
            rig.settle();
            assert_eq!(text(&rig.take_received(client)), "");
        }
        for key in ["k", "@old//k", "@new//k", "@middle//k"] {
            let held = rig.ask_cache(0, format!("get {key}\r\n").as_bytes());
            assert!(!text(&held).contains("late"), "{key}");
        }
    }
}

#[test]
fn what_a_client_is_owed_it_gets_when_its_listener_is_gone() {
    let first = config(1, &rule(&["old", "new", "middle"]));
    let mut rig = Rig::new(&first, 1);
    let [client, idle, closing] = three(&mut rig);
    for client in [client, closing] {
        rig.send(client, b"get k\r\n");
    }
    rig.engine.client_eof(closing);
    rig.engine.hold();
    rig.send(client, b"get k\r\n");
    rig.settle();
    let owed = rig.take_received(client);
    assert_eq!(text(&owed), "VALUE k 0 3\\r\\nold\\r\\nEND\\r\\n");
    rig.adopt(&first, without_listener(&first));
    rig.settle();
    assert_eq!(text(&rig.take_received(client)), GONE);
    assert_eq!(text(&rig.take_received(idle)), "");
    let told = "VALUE k 0 3\\r\\nmid\\r\\nEND\\r\\n";
    assert_eq!(text(&rig.take_received(closing)), told);
    for client in [client, idle, closing] {
        assert!(rig.engine.session(client).is_finished());
    }
}

#[test]
fn a_listener_that_returns_is_not_the_one_that_went() {
    let config = config(1, &rule(&["old", "new", "middle"]));
    let mut rig = Rig::new(&config, 1);
    rig.engine.hold();
    rig.adopt(&config, without_listener(&config));
    let mut again = settings(&config, 1);
    again.listeners[0] = listener(3, "known", Source::Process, Untagged::Pass);
    rig.engine.hold();
    rig.adopt(&config, again);
    let late = rig.open("py2.7");
    assert_eq!(text(&rig.ask(late, b"get k\r\n")), "");
    assert!(rig.engine.session(late).is_finished());
    let client = rig.open_as(3, None);
    assert_eq!(text(&rig.ask(client, b"get k\r\n")), "END\\r\\n");
}

#[test]
fn servers_in_another_order_keep_their_lanes_and_keys() {
    let isolate = rule(&["old", "new", "middle"]);
    let ids = |rig: &Rig| -> Vec<_> {
        let lanes = rig.engine.lanes().iter();
        lanes.map(|lane| (lane.id, lane.server.clone())).collect()
    };
    let mut rig = Rig::new(&config(3, &isolate), 1);
    let before = ids(&rig);
    let client = rig.open("py3.11");
    for n in 0..20 {
        let request = format!("set k{n} 0 0 2\r\n{n:02}\r\n");
        assert_eq!(rig.ask(client, request.as_bytes()), b"STORED\r\n");
    }
    let turned = config_of(&[3, 1, 2], &isolate);
    rig.engine.hold();
    rig.send(client, b"get k0\r\n");
    rig.adopt(&turned, settings(&turned, 1));
    rig.settle();
    assert_eq!(
        text(&rig.take_received(client)),
        "VALUE k0 0 2\\r\\n00\\r\\nEND\\r\\n"
    );
    for n in 0..20 {
        let hit = format!("VALUE k{n} 0 2\r\n{n:02}\r\nEND\r\n");
        let request = format!("get k{n}\r\n");
        assert_eq!(
            text(&rig.ask(client, request.as_bytes())),
            text(hit.as_bytes())
        );
    }
    let mut after = ids(&rig);
    after.sort();
    assert_eq!(after, before);
    // Two of them go, and one returns: nothing of its first life is used again.
    for (servers, first) in [(1, 0), (2, 6)] {
        let config = config(servers, &isolate);
        rig.engine.hold();
        rig.adopt(&config, settings(&config, 1));
        let lanes = ids(&rig);
        assert_eq!(lanes.len(), servers * 2);
        assert_eq!(lanes.last().unwrap().0.0, first + 1);
    }
    assert!(rig.ask(client, b"get k0 k1 k2\r\n").ends_with(b"END\r\n"));
}
