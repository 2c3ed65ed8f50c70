//! Tags that clients give themselves, and the treatment of clients without any.

use std::sync::Arc;

use picklegate::engine::Untagged as Why;
use picklegate::policy::{Admission, Identify, RuntimeTag, Source, Tag, Untagged};

use crate::support::rig::{Rig, config, text};

const ISOLATE: &str = "mode = \"isolate\"\ncoherence = \"deletes\"";
/// The rig's listeners.
const REFUSING: u32 = 1;
const PASSING: u32 = 2;
const REFUSAL: &str =
    "SERVER_ERROR picklegate: no runtime tag on this connection (listener refusing)\\r\\n";
const UNMATCHED: &str =
    "SERVER_ERROR picklegate: no namespace for pypy/7 (listener refusing)\\r\\n";
const BAD: &str = "CLIENT_ERROR bad runtime tag: write for example python/3.11\\r\\n";

fn ask(rig: &mut Rig, client: u32, request: &str) -> String {
    text(&rig.ask(client, format!("{request}\r\n").as_bytes()))
}

#[test]
fn a_hello_is_a_line_or_a_read() {
    for (hello, answer) in [
        ("hello python/3.11", "OK\\r\\n"),
        ("hello python/3.11 django/4.2", "OK\\r\\n"),
        (
            "get @hello/python/3.11",
            "VALUE @hello/python/3.11 0 3\\r\\npy3\\r\\nEND\\r\\n",
        ),
        (
            "gets @hello/py3,django/4.2",
            "VALUE @hello/py3,django/4.2 0 3 0\\r\\npy3\\r\\nEND\\r\\n",
        ),
        ("mg @hello/cp311 v", "VA 3\\r\\npy3\\r\\n"),
        (
            "mg @hello/cp311 s v k Ox q f t",
            "VA 3 s3 k@hello/cp311 Ox f0 t-1\\r\\npy3\\r\\n",
        ),
        ("mg QGhlbGxvL3B5Mw== b k", "HD kQGhlbGxvL3B5Mw== b\\r\\n"),
    ] {
        let mut rig = Rig::new(&config(1, ISOLATE), 1);
        rig.ask_cache(0, b"set @py3//k 0 0 1\r\n3\r\nset @py2//k 0 0 1\r\n2\r\n");
        let client = rig.open_as(REFUSING, None);
        assert_eq!(ask(&mut rig, client, "get k"), REFUSAL);
        assert_eq!(ask(&mut rig, client, hello), answer);
        let own = "VALUE k 0 1\\r\\n3\\r\\nEND\\r\\n";
        assert_eq!(ask(&mut rig, client, "get k"), own, "{hello}");
        // A later one counts.
        assert_eq!(ask(&mut rig, client, "hello py2"), "OK\\r\\n");
        let other = "VALUE k 0 1\\r\\n2\\r\\nEND\\r\\n";
        assert_eq!(ask(&mut rig, client, "get k"), other);
    }
}

#[test]
fn a_malformed_tag_changes_nothing() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let client = rig.open_as(REFUSING, None);
    ask(&mut rig, client, "hello py3");
    let long = format!("hello {}", "x".repeat(130));
    for bad in [
        "hello",
        "hello py",
        "hello \u{e9}/3",
        &long,
        "get @hello/",
        "mg @hello/x v",
        "mg k v Pnope",
    ] {
        assert_eq!(ask(&mut rig, client, bad), BAD, "{bad}");
        assert_eq!(ask(&mut rig, client, "get k"), "END\\r\\n");
    }
    // The body of a store goes with it.
    assert_eq!(
        ask(&mut rig, client, "ms k 2 Pnope\r\nmn\r\nmn"),
        format!("{BAD}MN\\r\\n")
    );
}

#[test]
fn requests_that_are_under_way_stay_whose_they_were() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    rig.ask_cache(0, b"set @py3//k 0 0 1\r\n3\r\nset @py2//k 0 0 1\r\n2\r\n");
    let client = rig.open_as(REFUSING, None);
    let requests = "hello py2\r\nget k\r\nhello py3\r\nget k\r\nmg k v Ppy2\r\nmg k v";
    insta::assert_snapshot!(ask(&mut rig, client, requests), @r"OK\r\nVALUE k 0 1\r\n2\r\nEND\r\nOK\r\nVALUE k 0 1\r\n3\r\nEND\r\nVA 1\r\n3\r\nVA 1\r\n3\r\n");
}

#[test]
fn a_flag_tags_one_request_of_a_connection_that_said_nothing() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let client = rig.open_as(REFUSING, None);
    assert_eq!(
        ask(&mut rig, client, "ms k 1 Ppython/3.11\r\n3"),
        "HD\\r\\n"
    );
    assert_eq!(ask(&mut rig, client, "mg k v k Ppy2"), "EN kk\\r\\n");
    assert_eq!(
        ask(&mut rig, client, "mg k v k Ppy3"),
        "VA 1 kk\\r\\n3\\r\\n"
    );
    assert_eq!(ask(&mut rig, client, "mg k v"), REFUSAL);
    // One that no namespace is for is told.
    assert_eq!(ask(&mut rig, client, "mg k v Ppypy/7"), UNMATCHED);
    assert_eq!(ask(&mut rig, client, "md k Ppy2"), "HD\\r\\n");
    assert_eq!(ask(&mut rig, client, "mg k v Ppy3"), "EN\\r\\n");
}

#[test]
fn a_flag_never_contradicts_what_is_known_of_its_connection() {
    for source in Source::ALL {
        let mut rig = Rig::new(&config(1, ISOLATE), 1);
        rig.ask_cache(0, b"set @py3//k 0 0 1\r\n3\r\nset @py2//k 0 0 1\r\n2\r\n");
        let listeners = [vec![source, Source::Hello], vec![Source::Hello, source]];
        for mut sources in listeners {
            sources.dedup();
            let mut settings = rig.engine.settings().clone();
            settings.listeners[0].1 = asking(&sources);
            rig.engine.hold();
            rig.engine.adopt(settings);
            let runtime = RuntimeTag::parse("py3").unwrap();
            let client = rig.open_as(0, Some(Tag { runtime, source }));
            let own = "VA 1\\r\\n3\\r\\n";
            for flag in [
                "",
                " Ppython/2.7",
                " Ppython/3.11",
                " Ppypy/7",
                " Pdjango/4.2",
            ] {
                let shown = ask(&mut rig, client, &format!("mg k v{flag}"));
                assert_eq!(shown, own, "{sources:?}{flag}");
            }
            assert_eq!(ask(&mut rig, client, "ms k 1 Ppython/2.7\r\n3"), "HD\\r\\n");
            let others = text(&rig.ask_cache(0, b"get @py2//k\r\n"));
            assert_eq!(others, "VALUE @py2//k 0 1\\r\\n2\\r\\nEND\\r\\n");
            // The same of a hello, which only counts over itself.
            let expected = if source == Source::Hello {
                "py2"
            } else {
                "py3"
            };
            let heard = ask(&mut rig, client, "get @hello/py2");
            assert!(heard.contains(expected), "{sources:?} {heard}");
        }
    }
}

#[test]
fn django_is_added_to_what_the_system_knows() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let mut settings = rig.engine.settings().clone();
    settings.listeners[0].1 = asking(&[Source::Process, Source::Hello]);
    rig.engine.hold();
    rig.engine.adopt(settings);
    let client = rig.open("python/3.11");
    for (hello, tag) in [
        ("hello django/4.2", "python/3.11 django/4.2"),
        ("hello python/3.11.4 django/5.0", "python/3.11 django/5.0"),
        ("hello python/2.7 django/1.11", "python/3.11"),
        ("hello django/5.1", "python/3.11 django/5.1"),
    ] {
        assert_eq!(ask(&mut rig, client, hello), "OK\\r\\n");
        let known = rig.engine.session(client).tag().unwrap();
        assert_eq!(known.runtime.to_string(), tag, "{hello}");
        assert_eq!(known.source, Source::Process);
    }
}

fn asking(sources: &[Source]) -> Arc<Admission> {
    Arc::new(Admission {
        name: "any".into(),
        identify: Identify::Each {
            sources: sources.iter().copied().collect(),
            untagged: Untagged::Refuse,
        },
    })
}

#[test]
fn whoever_is_unknown_is_refused_but_for_what_needs_no_key() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    rig.ask_cache(0, b"set k 0 0 1\r\nx\r\n");
    let client = rig.open_as(REFUSING, None);
    for request in [
        "get k",
        "gat 0 k j",
        "set k 0 0 4\r\nquit",
        "cas k 0 0 4 1\r\nquit",
        "incr k 1",
        "mg k v q",
        "ms k 4 q\r\nquit",
        "me k",
        "stats",
        "flush_all",
        "verbosity 1",
    ] {
        assert_eq!(ask(&mut rig, client, request), REFUSAL, "{request}");
    }
    for request in [
        "hello pypy/7",
        "get @hello/pypy/7",
        "get k",
        "ms k 4\r\nquit",
    ] {
        assert_eq!(ask(&mut rig, client, request), UNMATCHED, "{request}");
    }
    for quiet in ["set k 0 0 4 noreply\r\nquit", "touch k 1 noreply"] {
        assert_eq!(ask(&mut rig, client, quiet), "", "{quiet}");
    }
    assert_eq!(ask(&mut rig, client, "mn"), "MN\\r\\n");
    assert!(ask(&mut rig, client, "version").starts_with("VERSION "));
    assert_eq!(ask(&mut rig, client, "what"), "ERROR\\r\\n");
    ask(&mut rig, client, "quit");
    assert!(rig.engine.session(client).is_finished());
    let stored = rig.ask_cache(0, b"get k\r\n");
    assert_eq!(text(&stored), "VALUE k 0 1\\r\\nx\\r\\nEND\\r\\n");
    let counted = rig.engine.counts().listener(REFUSING as usize).untagged;
    assert_eq!(counted[Why::NoTag as usize], 1);
    assert_eq!(counted[Why::NoNamespace as usize], 0);
}

#[test]
fn whoever_is_passed_works_on_bare_keys_and_deletes_every_copy() {
    let guarded = "mode = \"guard\"\n[[rules]]\nprefix = \"own:\"\nmode = \"isolate\"";
    let mut rig = Rig::new(&config(1, guarded), 1);
    rig.ask_cache(
        0,
        b"set p 1 0 4\r\n\x80\x63N.\r\nset @py3//own:k 0 0 1\r\n3\r\n",
    );
    let client = rig.open_as(PASSING, None);
    // Of a protocol that nobody knows.
    let shown = ask(&mut rig, client, "get p");
    assert_eq!(shown, "VALUE p 1 4\\r\\n\\x80cN.\\r\\nEND\\r\\n");
    assert_eq!(ask(&mut rig, client, "get own:k"), "END\\r\\n");
    assert_eq!(
        ask(&mut rig, client, "set own:k 0 0 1\r\n1"),
        "STORED\\r\\n"
    );
    assert_eq!(
        text(&rig.ask_cache(0, b"get own:k\r\n")),
        "VALUE own:k 0 1\\r\\n1\\r\\nEND\\r\\n"
    );
    rig.ask_cache(0, b"set @py3//own:k 0 0 1\r\n3\r\n");
    assert_eq!(ask(&mut rig, client, "delete own:k"), "DELETED\\r\\n");
    assert_eq!(
        text(&rig.ask_cache(0, b"get @py3//own:k own:k\r\n")),
        "END\\r\\n"
    );
    assert_eq!(ask(&mut rig, client, "get @hello/pypy/7"), "END\\r\\n");
    assert_eq!(ask(&mut rig, client, "hello pypy/7"), "OK\\r\\n");
}

#[test]
fn a_delete_needs_no_tag_and_reaches_every_copy() {
    for rule in [
        ISOLATE,
        "mode = \"isolate\"\ncoherence = \"none\"",
        "mode = \"isolate\"\nrollout = 50",
        "mode = \"guard\"",
        "mode = \"shared\"",
    ] {
        for (request, found, absent) in [
            ("delete k", "DELETED\\r\\n", "NOT_FOUND\\r\\n"),
            ("delete k noreply", "", ""),
            ("md k", "HD\\r\\n", "NF\\r\\n"),
            ("md k q", "", "NF\\r\\n"),
            ("md aw== b", "HD\\r\\n", "NF\\r\\n"),
            ("md k Ppypy/7", "HD\\r\\n", "NF\\r\\n"),
        ] {
            let mut rig = Rig::new(&config(1, rule), 1);
            let shared = rule.contains("shared");
            let copies = if shared {
                &["k"][..]
            } else {
                &["k", "@py2//k", "@py3//k"]
            };
            for copy in copies {
                rig.ask_cache(0, format!("set {copy} 0 0 1\r\n1\r\n").as_bytes());
            }
            for refused in [false, true] {
                let client = rig.open_as(REFUSING, None);
                if refused {
                    // One that no namespace is for is no better than none.
                    ask(&mut rig, client, "hello pypy/7");
                }
                let expected = if refused { absent } else { found };
                assert_eq!(ask(&mut rig, client, request), expected, "{rule} {request}");
                let left = text(&rig.ask_cache(0, b"get k @py2//k @py3//k\r\n"));
                assert_eq!(left, "END\\r\\n", "{rule} {request}");
            }
            let counts = rig.engine.counts().summary();
            assert_eq!(counts.get("untagged_writes_refused"), None);
        }
    }
}

#[test]
fn a_write_that_is_refused_is_counted_and_told_in_the_log() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let client = rig.open_as(REFUSING, None);
    for write in [
        "set k 0 0 1 noreply\r\n1",
        "ms k 1 q\r\n1",
        "incr k 1 noreply",
        "touch k 1 noreply",
        "ma k q",
        "gat 1 k",
        "ms k 1 Ppypy/7\r\n1",
    ] {
        ask(&mut rig, client, write);
    }
    // A read is told by its reply, and lost nothing.
    ask(&mut rig, client, "get k");
    let counted = |at| rig.engine.counts().listener(at).refused_writes;
    assert_eq!([0, 1].map(counted), [0, 7]);
    let told = "write refused: no runtime tag on this connection (listener refusing)";
    let mut notes = rig.engine.take_notes();
    notes.retain(|note| note.starts_with("write refused: "));
    assert_eq!(notes, [told]);
    rig.engine.set_now(2_000_000);
    ask(&mut rig, client, "incr k 1 noreply");
    let notes = rig.engine.take_notes();
    assert_eq!(notes, [format!("{told} (6 more like it were not logged)")]);
}

#[test]
fn a_listener_that_asks_nobody_knows_no_hello() {
    let mut rig = Rig::new(&config(1, ISOLATE), 1);
    let client = rig.open("py3");
    assert_eq!(ask(&mut rig, client, "hello py2"), "ERROR\\r\\n");
    assert_eq!(ask(&mut rig, client, "get @hello/py2"), "END\\r\\n");
    rig.ask(client, b"set k 0 0 1\r\n3\r\n");
    assert_eq!(ask(&mut rig, client, "mg k v Ppy2"), "VA 1\\r\\n3\\r\\n");
}
