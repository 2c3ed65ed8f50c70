//! Hidden values: no command that works on a value that is there works on one that its
//! client cannot see.

use picklegate::engine::MetaCommands;

use crate::support::rig::{Cut, Rig, config, text};

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

    /// Stores under a key in base64.
    fn put_at(&mut self, key: &str, value: &[u8]) {
        let head = format!("ms {key} {} b F1\r\n", value.len());
        self.rig
            .ask_cache(0, &[head.as_bytes(), value, b"\r\n"].concat());
    }

    fn kept_at(&mut self, key: &str) -> String {
        let get = format!("mg {key} b f v t\r\n");
        text(&self.rig.ask_cache(0, get.as_bytes()))
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

/// Commands that work on a value that is there, with their replies where none is.
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
        ("ma YSBi b k", "NF kYSBi b"),
    ] {
        scene.put_at("YSBi", b"55");
        scene.put(b"55");
        assert_eq!(scene.ask("get k"), "END\\r\\n");
        assert_eq!(scene.ask(write), format!("{told}\\r\\n"));
        assert_eq!(scene.kept(), "VA 2 f1 t-1\\r\\n55\\r\\n");
        assert_eq!(scene.kept_at("YSBi"), "VA 2 f1 t-1\\r\\n55\\r\\n");
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

/// A value stored between the look and the change is looked at as well.
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
    // Less would be a lock.
    let value = "x".repeat(65);
    for write in ["add k 1 0 65", "ms k 65 ME F1", "ms k 65 ME I F1"] {
        let mut scene = Scene::new(GUARD);
        scene.put(HIDDEN);
        let (rig, client) = (&mut scene.rig, scene.client);
        rig.send(client, format!("{write}\r\n{value}\r\n").as_bytes());
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

/// With a space, a line end or NUL: what holds of others holds of those, too.
#[test]
fn a_hidden_value_under_a_key_that_only_base64_spells_is_no_raw_material_either() {
    const NO_NUMBER: &str = "CLIENT_ERROR cannot increment or decrement non-numeric value";
    // "a b", "a\nb" and "a\0b".
    for key in ["YSBi", "YQpi", "YQBi"] {
        for rule in [GUARD, "mode = \"isolate\"\nrollout = 0"] {
            for (write, told) in [
                ("ms K 1 b MA k\r\nx", "NS kK b"),
                ("ms K 1 b MP Oq\r\nx", "NS Oq"),
                ("ms K 4 b MR F1 q\r\n(lp.", "NS"),
                // As memcached says it: nothing is changed, and nothing looked at.
                ("ma K b", NO_NUMBER),
                ("ma K b MD k Oq q", NO_NUMBER),
                ("ms K 4 b ME F1\r\n(lp.", "NS"),
            ] {
                let mut scene = Scene::new(rule);
                scene.put_at(key, HIDDEN);
                let before = scene.kept_at(key);
                let told = told.replace('K', key);
                let found = scene.ask(&write.replace('K', key));
                assert_eq!(found, format!("{told}\\r\\n"), "{rule}: {key}: {write}");
                assert_eq!(scene.kept_at(key), before, "{rule}: {key}: {write}");
            }
            // A look would take the token of a stale item.
            let mut scene = Scene::new(rule);
            scene.put_at(key, HIDDEN);
            let before = scene.kept_at(key);
            let value = "x".repeat(65);
            let add = scene.ask(&format!("ms {key} 65 b ME F5\r\n{value}"));
            assert_eq!(add, "NS\\r\\n");
            assert_eq!(scene.kept_at(key), before);
        }
    }
}

/// Values that are no pickles, pickles that the reader can load, and no value at all.
#[test]
fn a_value_under_such_a_key_that_is_seen_is_changed_as_ever() {
    for key in ["YSBi", "YQpi", "YQBi"] {
        for (write, told, value) in [
            ("ms K 1 b MA\r\nx", "HD", "VA 2 f7 t50\\r\\n5x\\r\\n"),
            ("ms K 1 b MP k\r\nx", "HD kK b", "VA 2 f7 t50\\r\\nx5\\r\\n"),
            (
                "ms K 1 b MR F3 Oq\r\n7",
                "HD Oq",
                "VA 1 f3 t-1\\r\\n7\\r\\n",
            ),
            ("ma K b D2 v", "VA 1\\r\\n7", "VA 1 f7 t50\\r\\n7\\r\\n"),
        ] {
            let mut scene = Scene::new(GUARD);
            let put = format!("ms {key} 1 b T50 F7\r\n5\r\n");
            scene.rig.ask_cache(0, put.as_bytes());
            let told = format!("{}\\r\\n", told.replace('K', key));
            assert_eq!(scene.ask(&write.replace('K', key)), told, "{key}: {write}");
            assert_eq!(scene.kept_at(key), value, "{key}: {write}");
            let delete = format!("md {key} b\r\n");
            scene.rig.ask_cache(0, delete.as_bytes());
            let gone = scene.ask(&write.replace('K', key));
            let is_told = ["NS", "NF"].iter().any(|code| gone.starts_with(code));
            assert!(is_told, "{key}: {write}: {gone}");
        }
        // In pieces, and one that is looked at whole.
        let mut scene = Scene::new(GUARD);
        scene.put_at(key, SEEN);
        let append = format!("ms {key} 1 b MA\r\nx\r\nmn\r\n");
        let (rig, client) = (&mut scene.rig, scene.client);
        rig.feed(client, append.as_bytes(), Cut::Bytes, Cut::Bytes)
            .expect("it is answered");
        assert_eq!(text(rig.received(client)), "HD\\r\\nMN\\r\\n");
    }
}

/// The look is checked against what was asked like any other reply.
#[test]
fn a_look_by_a_meta_command_that_is_answered_otherwise_drops_the_lane() {
    for wrong in [
        "VA 4 f1 c7\r\n",
        "VA 4 f1 c7 O9999\r\n",
        "VA 4 f1 O0\r\n",
        "VA 4 c7 O0\r\n",
        "HD f1 c7 O0\r\n",
        "ENd\r\n",
        "END\r\n",
        "STORED\r\n",
        "VALUE a 1 4 7\r\n",
    ] {
        let mut scene = Scene::new(GUARD);
        scene.rig.send(scene.client, b"ms YSBi 1 b MA\r\nx\r\n");
        let lane = &mut scene.rig.engine.lane(0).lane;
        assert_eq!(text(lane.unwritten()), "mg YSBi b v f c O0\\r\\n");
        let bytes = lane.unwritten().len();
        lane.wrote(bytes);
        let taken = scene.rig.engine.lane_input(0, wrong.as_bytes());
        assert!(taken.is_err(), "{wrong}");
    }
}

#[test]
fn a_look_by_a_meta_command_that_fails_says_so() {
    for error in ["SERVER_ERROR out of memory", "ERROR"] {
        let mut scene = Scene::new(GUARD);
        scene
            .rig
            .send(scene.client, b"ms YSBi 1 b MA\r\nx\r\nmn\r\n");
        let lane = &mut scene.rig.engine.lane(0).lane;
        let bytes = lane.unwritten().len();
        lane.wrote(bytes);
        let reply = format!("{error}\r\n");
        scene
            .rig
            .engine
            .lane_input(0, reply.as_bytes())
            .expect("an error is a reply");
        scene.rig.settle();
        let told = text(scene.rig.received(scene.client));
        assert_eq!(told, format!("{error}\\r\\nMN\\r\\n"));
        assert!(scene.rig.engine.is_at_rest());
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

/// A store that waits for a connection is sent in the form that its server turns out to
/// know.
#[test]
fn a_store_that_waits_for_an_older_server_is_refused_and_never_sent() {
    let refusal = "SERVER_ERROR picklegate: upstream 10.0.0.1:11211 knows no meta commands\\r\\n";
    for lost in [false, true] {
        for (rule, deletes) in [
            ("mode = \"shared\"", ""),
            (
                "mode = \"isolate\"\ncoherence = \"strict\"\non_unloadable_read = \"pass\"",
                "delete k\\r\\ndelete @py3//k\\r\\n",
            ),
        ] {
            let mut scene = Scene::new(rule);
            let other = scene.rig.open("py2");
            let own = if deletes.is_empty() { "" } else { "@py2//" };
            if lost {
                // It was a newer one before.
                scene.rig.engine.lane_connected(0, MetaCommands::Known);
                scene.rig.send(other, b"get k\r\n");
                scene.rig.write_lane(0, usize::MAX);
                scene.rig.lose_lane(0, "is lost", false);
                scene.rig.flush_clients();
                scene.rig.take_received(other);
            }
            scene.rig.send(other, b"touch t 9\r\n");
            let client = scene.client;
            scene.rig.send(
                client,
                b"ms k 8\r\ndelete k\r\nms k 8 q\r\ndelete k\r\ntouch u 9\r\n",
            );
            scene.rig.send(other, b"ms k 8 MR\r\ndelete k\r\n");
            scene.rig.engine.lane_connected(0, MetaCommands::Unknown);
            let sent = text(scene.rig.engine.lane(0).lane.unwritten());
            let wanted = format!("touch {own}t 9\\r\\n{deletes}{deletes}touch {own}u 9\\r\\n");
            assert_eq!(sent, wanted, "{rule}");
            scene.rig.settle();
            let told = text(&scene.rig.take_received(client));
            assert_eq!(told, format!("{refusal}{refusal}NOT_FOUND\\r\\n"), "{rule}");
            let told = text(&scene.rig.take_received(other));
            assert!(told.starts_with("NOT_FOUND\\r\\n"), "{rule}: {told}");
            assert!(scene.rig.engine.is_at_rest());
            // By then it is known.
            assert_eq!(scene.ask("ms k 8\r\ndelete k"), "ERROR\\r\\n");
        }
    }
}

/// Nor is an `append` that was to go as `ms`, since its server knew that.
#[test]
fn an_append_that_was_seen_by_a_newer_server_is_not_sent_as_ms_to_an_older_one() {
    let mut scene = Scene::new(GUARD);
    scene.rig.engine.lane_connected(0, MetaCommands::Known);
    scene.put(SEEN);
    scene
        .rig
        .send(scene.client, b"append k 0 0 8\r\ndelete k\r\n");
    scene.rig.write_lane(0, usize::MAX);
    scene.rig.read_on(0, usize::MAX);
    let asked = text(scene.rig.engine.lane(0).lane.unwritten());
    assert!(asked.starts_with("ms k 8 "), "{asked}");
    scene.rig.engine.lane_connected(0, MetaCommands::Unknown);
    assert_eq!(text(scene.rig.engine.lane(0).lane.unwritten()), "");
    scene.rig.settle();
    let told = text(scene.rig.received(scene.client));
    assert!(told.starts_with("SERVER_ERROR "), "{told}");
}

/// The change was not asked for yet, and its client is told once.
#[test]
fn a_look_whose_connection_is_lost_in_the_middle_changes_nothing_unseen() {
    for (key, flag) in [("aw==", ""), ("YSBi", "O0")] {
        let head = match flag {
            "" => "VALUE k 1 4 7\r\n".to_owned(),
            opaque => format!("VA 4 f1 c7 {opaque}\r\n"),
        };
        let whole = [head.as_bytes(), HIDDEN, b"\r\nEND\r\n"].concat();
        let len = whole.len() - if flag.is_empty() { 0 } else { 5 };
        for cut in 0..len {
            for retry in [false, true] {
                let mut scene = Scene::new(GUARD);
                let client = scene.client;
                let append = format!("ms {key} 1 b MA\r\nx\r\nmn\r\n");
                scene.rig.send(client, append.as_bytes());
                let lane = &mut scene.rig.engine.lane(0).lane;
                let bytes = lane.unwritten().len();
                lane.wrote(bytes);
                scene
                    .rig
                    .engine
                    .lane_input(0, &whole[..cut])
                    .expect("a reply");
                scene.rig.lose_lane(0, "is lost", retry);
                scene.rig.settle();
                let told = text(scene.rig.received(client));
                let failed =
                    "SERVER_ERROR picklegate: upstream 10.0.0.1:11211 is lost\\r\\nMN\\r\\n";
                assert!(
                    told == failed || told == "NS\\r\\nMN\\r\\n",
                    "{key}, {cut}: {told}"
                );
                assert!(scene.rig.engine.is_at_rest());
                assert_eq!(scene.kept_at(key), "EN\\r\\n");
            }
        }
    }
}
