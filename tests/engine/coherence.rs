//! Deletes and writes that reach the copies of others, fills, and reading other copies.

use picklegate::engine::{Invalidation, Outcome};
use picklegate::pickle::Verdict;
use picklegate::protocol::request::Verb;

use crate::support::rig::{Rig, config, text};

/// An engine, a client of each version, and the copies of `k` that there are.
struct Pair {
    rig: Rig,
    two: u32,
    three: u32,
}

impl Pair {
    fn new(rule: &str) -> Self {
        let mut rig = Rig::new(&config(1, rule), 1);
        let (two, three) = (rig.open("py2"), rig.open("py3"));
        Self { rig, two, three }
    }

    fn two(&mut self, request: &str) -> String {
        text(&self.rig.ask(self.two, format!("{request}\r\n").as_bytes()))
    }

    fn three(&mut self, request: &str) -> String {
        text(
            &self
                .rig
                .ask(self.three, format!("{request}\r\n").as_bytes()),
        )
    }

    /// Every space holds a copy.
    fn fill(&mut self) {
        self.rig.ask_cache(
            0,
            b"set k 0 0 1\r\n0\r\nset @py2//k 0 0 1\r\n2\r\nset @py3//k 0 0 1\r\n3\r\n",
        );
    }

    /// The spaces that hold a copy: `b`, `2` and `3`.
    fn copies(&mut self) -> String {
        [("b", "k"), ("2", "@py2//k"), ("3", "@py3//k")]
            .into_iter()
            .filter(|(_, key)| {
                let found = self.rig.ask_cache(0, format!("mg {key}\r\n").as_bytes());
                found.starts_with(b"HD")
            })
            .map(|(name, _)| name)
            .collect()
    }
}

const FILL_AWARE: &str = "mode = \"isolate\"\ncoherence = \"fill-aware\"";

#[test]
fn a_change_deletes_the_other_copies_and_a_fill_does_not() {
    for (write, code) in [("set k 0 0 1\r\nx", "STORED"), ("ms k 1\r\nx", "HD")] {
        let mut pair = Pair::new(FILL_AWARE);
        pair.fill();
        pair.rig.ask_cache(0, b"delete @py3//k\r\n");
        assert!(pair.three(write).starts_with(code), "{write}");
        assert_eq!(pair.copies(), "3", "{write}");
        for miss in ["get k", "mg k v", "gets a k", "gat 0 k"] {
            pair.fill();
            pair.rig.ask_cache(0, b"delete @py3//k\r\n");
            pair.three(miss);
            assert!(pair.three(write).starts_with(code), "{write}");
            assert_eq!(pair.copies(), "b23", "{miss} and {write}");
            // The miss is used up.
            pair.rig.ask_cache(0, b"delete @py3//k\r\n");
            assert!(pair.three(write).starts_with(code), "{write}");
            assert_eq!(pair.copies(), "3", "{miss} and {write}");
        }
    }
}

/// A lock that another namespace takes would take this one's away.
#[test]
fn an_add_leaves_the_other_copies_and_uses_a_miss_up() {
    for coherence in ["fill-aware", "strict"] {
        for (write, code) in [("add k 0 0 1\r\nx", "STORED"), ("ms k 1 ME\r\nx", "HD")] {
            let mut pair = Pair::new(&format!("mode = \"isolate\"\ncoherence = \"{coherence}\""));
            pair.fill();
            pair.rig.ask_cache(0, b"delete @py3//k\r\n");
            pair.three("get k");
            assert!(pair.three(write).starts_with(code), "{write}");
            assert_eq!(pair.copies(), "b23", "{write}");
            pair.three("set k 0 0 1\r\nx");
            assert_eq!(pair.copies(), "3", "{coherence}: {write}");
        }
    }
    // In the common place there is one lock, and what is elsewhere is older.
    let mut pair = Pair::new("mode = \"guard\"\ncoherence = \"strict\"");
    pair.fill();
    pair.rig.ask_cache(0, b"delete k\r\n");
    assert_eq!(pair.three("add k 0 0 1\r\nx"), "STORED\\r\\n");
    assert_eq!(pair.copies(), "b");
}

#[test]
fn each_miss_is_used_up_by_one_write() {
    let mut pair = Pair::new(FILL_AWARE);
    for misses in 1..4 {
        pair.fill();
        pair.rig.ask_cache(0, b"delete @py3//k\r\n");
        for _ in 0..misses {
            assert_eq!(pair.three("get k"), "END\\r\\n");
        }
        for _ in 0..misses {
            pair.three("set k 0 0 1\r\nx");
            // A hit takes none back.
            pair.three("get k");
            assert_eq!(pair.copies(), "b23");
        }
        pair.three("set k 0 0 1\r\nx");
        assert_eq!(pair.copies(), "3", "{misses} misses");
    }
}

/// Nor does it use the miss up.
#[test]
fn what_works_on_a_value_that_is_there_never_counts_as_a_fill() {
    let mut pair = Pair::new(FILL_AWARE);
    let cas = |pair: &mut Pair| {
        let told = pair.rig.ask_cache(0, b"gets @py3//k\r\n");
        let line = text(&told);
        let id = line
            .split(' ')
            .nth(4)
            .and_then(|rest| rest.split('\\').next());
        id.expect("a CAS id").to_owned()
    };
    for write in [
        "cas k 0 0 1 ID\r\nx",
        "replace k 0 0 1\r\nx",
        "append k 0 0 1\r\n1",
        "prepend k 0 0 1\r\n1",
        "incr k 1",
        "decr k 1",
        "ma k",
        "ma k MD D2",
        "ms k 1 MR\r\nx",
        "ms k 1 MA\r\n1",
        "ms k 1 MP\r\n1",
        "ms k 1 CID\r\nx",
        "ms k 1 MS CID\r\nx",
    ] {
        pair.fill();
        pair.rig.ask_cache(0, b"delete @py3//k\r\n");
        // Missed here, and filled through another sidecar.
        assert_eq!(pair.three("get k"), "END\\r\\n");
        pair.rig.ask_cache(0, b"set @py3//k 0 0 1\r\n3\r\n");
        assert_ne!(pair.three("get k"), "END\\r\\n");
        let id = cas(&mut pair);
        let told = pair.three(&write.replace("ID", &id));
        let took_effect = told.starts_with("STORED")
            || told.starts_with("HD")
            || told.as_bytes()[0].is_ascii_digit();
        assert!(took_effect, "{write}: {told}");
        assert_eq!(pair.copies(), "3", "{write}");
        // The miss is still there for the fill that it is of.
        pair.fill();
        pair.three("set k 0 0 1\r\nx");
        assert_eq!(pair.copies(), "b23", "{write}");
    }
}

/// The change may have been carried out before anybody could tell its client.
#[test]
fn what_took_effect_reaches_the_other_copies_whoever_listens() {
    let strict = "mode = \"isolate\"\ncoherence = \"strict\"";
    let guard = "mode = \"guard\"\ncoherence = \"strict\"";
    for (rule, own) in [(strict, "3"), (guard, "b")] {
        for write in [
            "cas k 0 0 1 ID\r\nx",
            "replace k 0 0 1\r\nx",
            "append k 0 0 1\r\nx",
            "incr k 1",
            "ma k",
            "ms k 1 MR\r\nx",
            "ms k 1 CID\r\nx",
            "ms k 1 MA q\r\nx",
            "set k 0 0 1\r\nx",
            "delete k",
        ] {
            // After how many moves of the lane its client is gone.
            for moves in 0..6 {
                let mut pair = Pair::new(rule);
                pair.fill();
                let key = if own == "b" { "k" } else { "@py3//k" };
                let told = pair.rig.ask_cache(0, format!("gets {key}\r\n").as_bytes());
                let line = text(&told);
                let id = line
                    .split(' ')
                    .nth(4)
                    .and_then(|rest| rest.split('\\').next());
                let request = write.replace("ID", id.expect("a CAS id")) + "\r\n";
                let (rig, three) = (&mut pair.rig, pair.three);
                rig.send(three, request.as_bytes());
                for nth in 0..moves {
                    if nth % 2 == 0 {
                        rig.write_lane(0, usize::MAX);
                    } else {
                        rig.read_on(0, usize::MAX);
                    }
                }
                rig.engine.client_gone(three);
                rig.settle();
                assert!(rig.engine.session(three).is_finished());
                let left = if write == "delete k" { "" } else { own };
                assert_eq!(pair.copies(), left, "{write}, gone after {moves}");
            }
        }
    }
}

#[test]
fn a_fill_is_of_the_namespace_and_key_that_missed_and_soon() {
    let write = "set k 0 0 1\r\nx";
    let missed = |pair: &mut Pair| {
        pair.rig
            .ask_cache(0, b"delete @py2//k\r\ndelete @py3//k\r\n");
    };
    let mut pair = Pair::new(FILL_AWARE);
    pair.fill();
    missed(&mut pair);
    // Somebody else missed it.
    assert_eq!(pair.two("get k"), "END\\r\\n");
    pair.three(write);
    assert_eq!(pair.copies(), "3");
    pair.fill();
    missed(&mut pair);
    pair.three("get j");
    pair.three(write);
    assert_eq!(pair.copies(), "3");
    // A hit is no miss.
    pair.fill();
    pair.three("get k");
    pair.three(write);
    assert_eq!(pair.copies(), "3");
    pair.fill();
    missed(&mut pair);
    pair.three("get k");
    pair.rig
        .engine
        .set_now(picklegate::engine::FILL_WINDOW_US + 1_100_000);
    pair.three(write);
    assert_eq!(pair.copies(), "3");
}

#[test]
fn a_hidden_value_counts_as_missed() {
    let mut pair = Pair::new("mode = \"guard\"\ncoherence = \"fill-aware\"");
    for miss in ["get k", "mg k v"] {
        pair.fill();
        pair.rig.ask_cache(0, b"set k 1 0 4\r\n\x80\x04N.\r\n");
        let told = pair.two(miss);
        assert!(told.starts_with('E'), "{told}");
        pair.two("set k 1 0 4\r\n\u{7f}\u{2}N.");
        assert_eq!(pair.copies(), "b23");
        pair.two("set k 1 0 4\r\n\u{7f}\u{2}N.");
        assert_eq!(pair.copies(), "b");
    }
}

#[test]
fn whoever_may_refresh_an_item_fills_it() {
    let mut pair = Pair::new(FILL_AWARE);
    for win in ["mg k v N30", "mg k v R30"] {
        pair.fill();
        pair.rig.ask_cache(
            0,
            if win.contains('N') {
                b"delete @py3//k\r\n"
            } else {
                b"touch @py3//k 10\r\n"
            },
        );
        let told = pair.three(win);
        assert!(told.contains(" W"), "{told}");
        pair.three("set k 0 0 1\r\nx");
        assert_eq!(pair.copies(), "b23", "{win}");
    }
}

#[test]
fn a_change_that_took_no_effect_leaves_the_other_copies() {
    let mut pair = Pair::new(FILL_AWARE);
    for (request, reply) in [
        ("add k 0 0 1\r\nx", "NOT_STORED\\r\\n"),
        ("cas k 0 0 1 999999\r\nx", "EXISTS\\r\\n"),
        ("replace j 0 0 1\r\nx", "NOT_STORED\\r\\n"),
        ("incr j 1", "NOT_FOUND\\r\\n"),
    ] {
        pair.fill();
        assert_eq!(pair.three(request), reply);
        assert_eq!(pair.copies(), "b23");
    }
    assert_eq!(pair.three("incr k 1"), "4\\r\\n");
    assert_eq!(pair.copies(), "3");
}

#[test]
fn other_epochs_are_invalidated_and_never_read() {
    let rule = "mode = \"isolate\"\nread_through = true\n\
        [namespaces.py2]\nruntimes = \"python <3\"\n\
        [namespaces.py3]\nruntimes = \"python >=3\"\nepoch = 1\nalso_invalidate = [0, 2]";
    let mut pair = Pair::new(rule);
    let store = b"set @py3//k 0 0 1\r\n0\r\nset @py3.2///k 0 0 1\r\n2\r\n";
    pair.rig.ask_cache(0, store);
    assert_eq!(pair.two("get k"), "END\\r\\n");
    assert_eq!(pair.three("get k"), "END\\r\\n");
    assert_eq!(pair.two("delete k"), "DELETED\\r\\n");
    let left = pair.rig.ask_cache(0, b"get @py3//k @py3.2///k\r\n");
    assert_eq!(text(&left), "END\\r\\n");
}

// Reading the copies of others -----------------------------------------------------

const THROUGH: &str = "mode = \"isolate\"\nread_through = true";

#[test]
fn a_miss_reads_another_copy_that_can_be_loaded() {
    let mut pair = Pair::new(THROUGH);
    pair.fill();
    pair.rig.ask_cache(0, b"delete @py3//k\r\n");
    // The bare one comes first.
    let bare = "VALUE k 0 1\\r\\n0\\r\\nEND\\r\\n";
    assert_eq!(pair.three("get k"), bare);
    assert_eq!(pair.three("mg k v"), "VA 1\\r\\n0\\r\\n");
    let told = pair.three("mg k k f Ox v s");
    assert_eq!(told, "VA 1 kk f0 Ox s1\\r\\n0\\r\\n");
    pair.rig.ask_cache(0, b"delete k\r\n");
    let other = "VALUE k 0 1\\r\\n2\\r\\nEND\\r\\n";
    assert_eq!(pair.three("get k"), other);
    assert_eq!(pair.three("mg k v"), "VA 1\\r\\n2\\r\\n");
    // Among others, in any order.
    pair.three("set a 0 0 1\r\nA");
    let told = pair.three("get a k b");
    assert_eq!(
        told,
        "VALUE a 0 1\\r\\nA\\r\\nVALUE k 0 1\\r\\n2\\r\\nEND\\r\\n"
    );
    // Nothing was stored.
    assert_eq!(pair.copies(), "2");
    pair.rig.ask_cache(0, b"delete @py2//k\r\n");
    assert_eq!(pair.three("get k"), "END\\r\\n");
    assert_eq!(pair.three("mg k v k Oy"), "EN kk Oy\\r\\n");
    assert_eq!(pair.three("mg k v q\r\nmn"), "MN\\r\\n");
}

#[test]
fn only_the_own_copy_is_asked_where_more_than_the_value_is() {
    let mut pair = Pair::new(THROUGH);
    pair.fill();
    pair.rig.ask_cache(0, b"delete @py3//k\r\n");
    for request in ["gets k", "gat 0 k", "gats 0 k"] {
        assert_eq!(pair.three(request), "END\\r\\n", "{request}");
    }
    for request in ["mg k v c", "mg k", "mg k t", "mg k v T30"] {
        assert_eq!(pair.three(request), "EN\\r\\n", "{request}");
    }
}

#[test]
fn what_cannot_be_loaded_is_not_read_through() {
    let store = b"set k 1 0 4\r\n\x80\x04N.\r\nset @py3//k 1 0 4\r\n\x80\x02N.\r\n";
    let mut pair = Pair::new(THROUGH);
    pair.rig.ask_cache(0, store);
    // The bare copy is of protocol 4, that of Python 3 is not.
    let told = "VALUE k 1 4\\r\\n\\x80\\x02N.\\r\\nEND\\r\\n";
    assert_eq!(pair.two("get k"), told);
    assert_eq!(pair.two("mg k v f"), "VA 4 f1\\r\\n\\x80\\x02N.\\r\\n");
    pair.rig.ask_cache(0, b"delete @py3//k\r\n");
    assert_eq!(pair.two("get k"), "END\\r\\n");
    assert_eq!(pair.two("mg k v"), "EN\\r\\n");
    // Half a pickle is nobody's.
    pair.rig.ask_cache(0, b"set k 1 0 3\r\n\x80\x02N\r\n");
    assert_eq!(pair.two("get k"), "END\\r\\n");
    let reads = pair.rig.engine.counts();
    let through = picklegate::engine::Action::ReadThrough;
    let unknown = picklegate::engine::Writer::Unknown;
    assert_eq!(reads.reads(1, unknown, Verdict::Loadable, through), 2);
}

#[test]
fn a_meta_read_counts_once_whoever_holds_the_value() {
    let store = b"set user:1 1 0 4\r\n\x80\x04N.\r\nset @py3//user:1 1 0 4\r\n\x80\x02N.\r\n\
                  set @py2//user:2 0 0 1\r\n2\r\n";
    let mut pair = Pair::new(THROUGH);
    pair.rig.ask_cache(0, store);
    assert_eq!(pair.two("mg user:1 v f"), "VA 4 f1\\r\\n\\x80\\x02N.\\r\\n");
    // There, though nothing of it was asked for.
    assert_eq!(pair.two("mg user:2"), "HD\\r\\n");
    let engine = &pair.rig.engine;
    let families: Vec<_> = engine.families().iter().collect();
    let [user] = families[..] else {
        panic!("one family, not {families:?}");
    };
    assert_eq!((user.reads, user.hits, user.hidden), (1, 1, 0));
    let hits =
        |verbs: &picklegate::engine::RequestCounts| verbs[Verb::Mg.index()][Outcome::Hit as usize];
    assert_eq!(engine.counts().requests.iter().map(hits).sum::<u64>(), 2);
}

#[test]
fn what_can_be_transcoded_is_read_through() {
    let mut pair = Pair::new(&format!("{THROUGH}\non_unloadable_read = \"transcode\""));
    pair.rig.ask_cache(0, b"set k 1 0 4\r\n\x80\x04N.\r\n");
    let told = "VALUE k 1 4\\r\\n\\x80\\x02N.\\r\\nEND\\r\\n";
    assert_eq!(pair.two("get k"), told);
    assert_eq!(pair.two("mg k v s"), "VA 4 s4\\r\\n\\x80\\x02N.\\r\\n");
}

#[test]
fn what_was_read_through_is_no_miss_and_what_was_not_is() {
    let mut pair = Pair::new(THROUGH);
    for read in ["get k", "mg k v"] {
        pair.fill();
        pair.rig.ask_cache(0, b"delete @py3//k\r\n");
        pair.three(read);
        pair.three("set k 0 0 1\r\nx");
        assert_eq!(pair.copies(), "3", "{read}");
        pair.rig.ask_cache(0, b"delete @py3//k\r\n");
        pair.three(read);
        pair.rig.ask_cache(0, b"set @py2//k 0 0 1\r\n2\r\n");
        pair.three("set k 0 0 1\r\nx");
        assert_eq!(pair.copies(), "23", "{read}");
    }
}

#[test]
fn no_error_stands_in_the_middle_of_a_value() {
    let mut pair = Pair::new(THROUGH);
    pair.rig.ask_cache(0, b"set @py2//b 0 0 9\r\nsome text\r\n");
    let (rig, two) = (&mut pair.rig, pair.two);
    rig.send(two, b"get a b\r\n");
    rig.write_lane(0, usize::MAX);
    // That the other copies of a cannot be asked for is known in the middle of b.
    rig.engine.lane(0).down = Some("is down".to_owned());
    rig.read_on(0, "VALUE @py2//b 0 9\r\nsome".len());
    rig.settle();
    rig.engine.lane(0).down = None;
    assert_eq!(
        text(rig.received(two)),
        "VALUE b 0 9\\r\\nsome text\\r\\nEND\\r\\n"
    );
}

#[test]
fn a_lost_connection_is_told_and_asked_again() {
    let mut pair = Pair::new(THROUGH);
    pair.rig.ask_cache(0, b"set k 0 0 1\r\n0\r\n");
    for (retry, told) in [
        (true, "VALUE k 0 1\\r\\n0\\r\\nEND\\r\\n"),
        (false, "END\\r\\n"),
    ] {
        let rig = &mut pair.rig;
        rig.send(pair.three, b"get k\r\n");
        rig.write_lane(0, usize::MAX);
        rig.read_on(0, usize::MAX);
        // The other copies are asked for.
        assert!(rig.write_lane(0, usize::MAX) > 0);
        rig.lose_lane(0, "is lost", retry);
        rig.settle();
        assert_eq!(text(&rig.take_received(pair.three)), told);
    }
}

#[test]
fn copies_that_an_upstream_did_not_delete_are_counted() {
    let mut pair = Pair::new(FILL_AWARE);
    let failed = |pair: &Pair| -> u64 {
        let results = pair.rig.engine.counts().invalidations.iter();
        results.map(|of| of[Invalidation::Error as usize]).sum()
    };
    let rig = &mut pair.rig;
    rig.send(pair.three, b"delete k\r\n");
    rig.write_lane(0, usize::MAX);
    rig.lose_lane(0, "is lost", false);
    rig.settle();
    let told = text(&rig.take_received(pair.three));
    assert!(told.starts_with("SERVER_ERROR"), "{told}");
    assert_eq!(failed(&pair), 2);
    pair.rig.engine.lane(0).down = Some("is down".to_owned());
    let told = pair.three("delete k");
    assert!(told.starts_with("SERVER_ERROR"), "{told}");
    assert_eq!(failed(&pair), 4);
    pair.rig.engine.lane(0).down = None;
    assert_eq!(pair.three("delete k"), "NOT_FOUND\\r\\n");
    assert_eq!(failed(&pair), 4);
}
