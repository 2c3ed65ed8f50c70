//! What a client cannot see is no raw material for it: nothing that works on a value
//! that is there works on a hidden one.

use picklegate::engine::MetaCommands;

use crate::rig::{Rig, config, text};

const GUARD: &str = "mode = \"guard\"\ncoherence = \"deletes\"";
const DELETES: &str = "\ncoherence = \"deletes\"";
/// Of a protocol that Python 2 cannot load, and one that it can.
const HIDDEN: &[u8] = b"\x80\x04N.";
const SEEN: &[u8] = b"\x80\x02N.";

/// An engine, a client of Python 2, and what the cache has under `k`.
struct Scene {
    rig: Rig,
    client: u32,
}

impl Scene {
    fn new(rule: &str) -> Self {
        let mut rig = Rig::new(&config(1, rule), 1);
        let client = rig.open("py2");
        Self { rig, client }
    }

    fn ask(&mut self, request: &str) -> String {
        let request = format!("{request}\r\n");
        text(&self.rig.ask(self.client, request.as_bytes()))
    }

    fn put(&mut self, value: &[u8]) {
        let head = format!("set k 1 0 {}\r\n", value.len());
        self.rig
            .ask_cache(0, &[head.as_bytes(), value, b"\r\n"].concat());
    }

    /// The value, its flags and its time to live.
    fn kept(&mut self) -> String {
        text(&self.rig.ask_cache(0, b"mg k f v t\r\n"))
    }

    /// Requests that the lane carries.
    fn asked(&mut self, request: &str) -> u64 {
        let before = self.rig.engine.lanes()[0].counts().requests;
        self.ask(request);
        self.rig.engine.lanes()[0].counts().requests - before
    }
}

/// What works on a value that is there, and what it is told where none is.
const WRITES: [(&str, &str); 14] = [
    ("append k 0 0 1\r\nx", "NOT_STORED"),
    ("prepend k 0 0 1\r\nx", "NOT_STORED"),
    ("replace k 1 0 4\r\n(lp.", "NOT_STORED"),
    ("replace k 1 0 4 noreply\r\n(lp.", ""),
    ("incr k 1", "NOT_FOUND"),
    ("decr k 1", "NOT_FOUND"),
    ("incr k 1 noreply", ""),
    ("ms k 1 MA\r\nx", "NS"),
    ("ms k 1 MP k Oq\r\nx", "NS kk Oq"),
    ("ms k 4 MR F1 q\r\n(lp.", "NS"),
    ("ms aw== 1 b MA k\r\nx", "NS kaw== b"),
    ("ma k", "NF"),
    ("ma k MD k Oq q", "NF kk Oq"),
    ("ma k N60 J1", "NF"),
];

#[test]
fn a_hidden_value_is_changed_by_no_write_that_needs_one() {
    for rule in [
        GUARD,
        "mode = \"guard\"\nsniff = \"header\"",
        "mode = \"isolate\"\nrollout = 0",
    ] {
        for meta in [MetaCommands::Known, MetaCommands::Perhaps] {
            for (write, told) in WRITES {
                let mut scene = Scene::new(rule);
                scene.rig.engine.lane(0).meta = meta;
                scene.put(HIDDEN);
                let before = scene.kept();
                let line = if told.is_empty() {
                    String::new()
                } else {
                    format!("{told}\\r\\n")
                };
                assert_eq!(scene.ask(write), line, "{rule}: {write}");
                assert_eq!(scene.kept(), before, "{rule}: {write}");
            }
        }
    }
}

/// With flags and time to live as they were, as memcached does it.
#[test]
fn a_value_that_is_seen_is_changed_as_ever() {
    for meta in [MetaCommands::Known, MetaCommands::Perhaps] {
        for (write, told, value) in [
            ("append k 0 0 1\r\nx", "STORED", "VA 2 f0 t50\\r\\n5x\\r\\n"),
            (
                "prepend k 7 0 1\r\nx",
                "STORED",
                "VA 2 f0 t50\\r\\nx5\\r\\n",
            ),
            ("replace k 3 0 1\r\n7", "STORED", "VA 1 f3 t-1\\r\\n7\\r\\n"),
            ("ms k 1 MA k\r\nx", "HD kk", "VA 2 f0 t50\\r\\n5x\\r\\n"),
            ("ms k 1 MR F3 Oq\r\n7", "HD Oq", "VA 1 f3 t-1\\r\\n7\\r\\n"),
            ("incr k 2", "7", "VA 1 f0 t50\\r\\n7\\r\\n"),
            ("ma k D2 v", "VA 1\\r\\n7", "VA 1 f0 t50\\r\\n7\\r\\n"),
        ] {
            let mut scene = Scene::new(GUARD);
            scene.rig.engine.lane(0).meta = meta;
            scene.rig.ask_cache(0, b"ms k 1 T50\r\n5\r\n");
            assert_eq!(scene.ask(write), format!("{told}\\r\\n"), "{write}");
            assert_eq!(scene.kept(), value, "{write}");
            // Nothing is there.
            scene.rig.ask_cache(0, b"delete k\r\n");
            let gone = scene.ask(write);
            let is_told = ["NOT_STORED", "NS", "NOT_FOUND", "NF"]
                .iter()
                .any(|code| gone.starts_with(code));
            assert!(is_told, "{write}: {gone}");
        }
    }
}

/// By the firewall, which nothing passes that is no pickle: a number, flagged as one.
#[test]
fn a_number_that_a_firewall_hides_is_not_counted() {
    let mut scene = Scene::new("mode = \"guard\"\nglobals = \"deny\"\ncoherence = \"deletes\"");
    for (write, told) in [
        ("incr k 1", "NOT_FOUND"),
        ("decr k 1", "NOT_FOUND"),
        ("ma k k", "NF kk"),
    ] {
        scene.put(b"55");
        assert_eq!(scene.ask("get k"), "END\\r\\n");
        assert_eq!(scene.ask(write), format!("{told}\\r\\n"));
        assert_eq!(scene.kept(), "VA 2 f1 t-1\\r\\n55\\r\\n");
    }
    scene.rig.ask_cache(0, b"set n 0 0 1\r\n5\r\n");
    assert_eq!(scene.ask("incr n 1"), "6\\r\\n");
    assert_eq!(scene.ask("ma n v"), "VA 1\\r\\n7\\r\\n");
    assert_eq!(scene.ask("ma m N0 J3 v"), "VA 1\\r\\n3\\r\\n");
}

#[test]
fn where_nothing_is_hidden_nothing_is_looked_at() {
    for (rule, looks) in [
        ("mode = \"shared\"", 0),
        ("mode = \"observe\"", 0),
        ("mode = \"guard\"\nsniff = \"off\"", 0),
        ("mode = \"guard\"\non_unloadable_read = \"pass\"", 0),
        ("mode = \"guard\"", 1),
    ] {
        let mut scene = Scene::new(&format!("{rule}{DELETES}"));
        scene.put(b"1");
        for write in [
            "append k 0 0 1\r\n1",
            "replace k 0 0 1\r\n1",
            "ms k 1 MP\r\n1",
        ] {
            assert_eq!(scene.asked(write), 1 + looks, "{rule}: {write}");
        }
        // A number is never a pickle.
        for write in ["incr k 1", "ma k"] {
            assert_eq!(scene.asked(write), 1, "{rule}: {write}");
        }
    }
}

/// What comes between the look and the change is looked at as well.
#[test]
fn a_value_that_is_hidden_meanwhile_is_left_alone() {
    for write in [
        "append k 0 0 1\r\nx",
        "replace k 1 0 4\r\n(lp.",
        "ms k 1 MA\r\nx",
        "ms k 4 MR F1 I\r\n(lp.",
    ] {
        let mut scene = Scene::new(GUARD);
        scene.put(SEEN);
        let (rig, client) = (&mut scene.rig, scene.client);
        rig.send(client, format!("{write}\r\nmn\r\n").as_bytes());
        rig.write_lane(0, usize::MAX);
        rig.read_on(0, usize::MAX);
        // It was seen, and is asked for on condition.
        scene.put(HIDDEN);
        let before = scene.kept();
        scene.rig.settle();
        let told = text(&scene.rig.take_received(client));
        let code = if write.starts_with("ms") {
            "NS"
        } else {
            "NOT_STORED"
        };
        assert_eq!(told, format!("{code}\\r\\nMN\\r\\n"), "{write}");
        assert_eq!(scene.kept(), before, "{write}");
    }
}

/// `I` lets a store with an older id through, marked as stale.
#[test]
fn an_add_that_loses_the_race_for_a_hidden_value_leaves_the_newer_one() {
    for write in [
        "add k 1 0 4\r\n(lp.",
        "ms k 4 ME F1\r\n(lp.",
        "ms k 4 ME I F1\r\n(lp.",
    ] {
        let mut scene = Scene::new(GUARD);
        scene.put(HIDDEN);
        let (rig, client) = (&mut scene.rig, scene.client);
        rig.send(client, format!("{write}\r\n").as_bytes());
        for _ in 0..2 {
            rig.write_lane(0, usize::MAX);
            rig.read_on(0, usize::MAX);
        }
        // It is hidden, and is to be replaced.
        scene.put(SEEN);
        scene.rig.settle();
        let told = text(&scene.rig.take_received(client));
        assert!(
            told.starts_with("NOT_STORED") || told.starts_with("NS"),
            "{write}: {told}"
        );
        assert_eq!(
            scene.kept(),
            "VA 4 f1 t-1\\r\\n\\x80\\x02N.\\r\\n",
            "{write}"
        );
    }
}

/// Each is told `STORED` for what is there in the end, and only for that.
#[test]
fn appends_of_many_clients_are_all_there_or_told_otherwise() {
    let mut scene = Scene::new(GUARD);
    scene.rig.ask_cache(0, b"set k 0 0 1\r\n-\r\n");
    let clients: Vec<u32> = (0..6).map(|_| scene.rig.open("py2")).collect();
    for (nth, client) in clients.iter().enumerate() {
        let letter = char::from(b'a' + nth as u8);
        let request = format!("append k 0 0 1\r\n{letter}\r\nappend k 0 0 1\r\n{letter}\r\n");
        scene.rig.send(*client, request.as_bytes());
    }
    scene.rig.settle();
    let kept = scene.kept();
    for (nth, client) in clients.iter().enumerate() {
        let letter = char::from(b'a' + nth as u8);
        let told = text(scene.rig.received(*client));
        let stored = told.matches("STORED").count() - told.matches("NOT_STORED").count();
        let value = kept.split("\\r\\n").nth(1).unwrap_or_default();
        assert_eq!(value.matches(letter).count(), stored, "{kept}: {told}");
        assert_eq!(told.matches("STORED").count(), 2, "{told}");
    }
}

/// Such a server would take the value for commands.
#[test]
fn a_server_without_meta_commands_gets_no_value_by_them() {
    let mut scene = Scene::new("mode = \"shared\"");
    scene.put(SEEN);
    scene.rig.engine.lane(0).meta = MetaCommands::Unknown;
    assert_eq!(scene.ask("ms k 8\r\ndelete k"), "ERROR\\r\\n");
    assert_eq!(scene.ask("mn"), "MN\\r\\n");
    assert_eq!(scene.kept(), "VA 4 f1 t-1\\r\\n\\x80\\x02N.\\r\\n");
}
