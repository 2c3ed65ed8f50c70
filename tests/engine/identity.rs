//! What clients say of themselves, and what becomes of those that say nothing.

use picklegate::engine::Untagged;
use picklegate::policy::{RuntimeTag, Source};

use crate::rig::{Rig, config, text};

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
    insta::assert_snapshot!(ask(&mut rig, client, requests), @r"OK\r\nVALUE k 0 1\r\n2\r\nEND\r\nOK\r\nVALUE k 0 1\r\n3\r\nEND\r\nVA 1\r\n2\r\nVA 1\r\n3\r\n");
}

#[test]
fn a_flag_tags_one_request_of_anybody() {
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
    ask(&mut rig, client, "hello py3");
    assert_eq!(ask(&mut rig, client, "mg k v Ppypy/7"), UNMATCHED);
    assert_eq!(ask(&mut rig, client, "mg k v"), "VA 1\\r\\n3\\r\\n");
    assert_eq!(ask(&mut rig, client, "md k Ppy2"), "HD\\r\\n");
    assert_eq!(ask(&mut rig, client, "mg k v Ppy3"), "EN\\r\\n");
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
        "delete k",
        "incr k 1",
        "mg k v q",
        "ms k 4 q\r\nquit",
        "md k q",
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
    for quiet in [
        "set k 0 0 4 noreply\r\nquit",
        "delete k noreply",
        "touch k 1 noreply",
    ] {
        assert_eq!(ask(&mut rig, client, quiet), "", "{quiet}");
    }
    assert_eq!(ask(&mut rig, client, "mn"), "MN\\r\\n");
    assert!(ask(&mut rig, client, "version").starts_with("VERSION "));
    assert_eq!(ask(&mut rig, client, "what"), "ERROR\\r\\n");
    ask(&mut rig, client, "quit");
    assert!(rig.engine.session(client).is_finished());
    let stored = rig.ask_cache(0, b"get k\r\n");
    assert_eq!(text(&stored), "VALUE k 0 1\\r\\nx\\r\\nEND\\r\\n");
    let counted = |why| rig.engine.tally().untagged_at(REFUSING as usize, why);
    assert_eq!(Untagged::ALL.map(counted), [1, 0]);
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
fn a_better_source_is_not_outdone_by_a_hello() {
    use picklegate::policy::{Admission, Identify, Untagged};
    let config = config(1, ISOLATE);
    let mut settings = crate::rig::settings(&config, 1);
    for (sources, namespace) in [
        ([Source::Process, Source::Hello], "py3"),
        ([Source::Hello, Source::Process], "py2"),
    ] {
        settings.listeners[0].1 = std::sync::Arc::new(Admission {
            name: "any".into(),
            identify: Identify::Each {
                sources: sources.into_iter().collect(),
                untagged: Untagged::Refuse,
            },
        });
        let mut rig = Rig::new(&config, 1);
        rig.engine.hold();
        rig.adopt(&config, settings.clone());
        let client = rig.open("py3");
        let answer = ask(&mut rig, client, "get @hello/py2");
        assert!(
            answer.contains(&format!("\\r\\n{namespace}\\r\\n")),
            "{answer}"
        );
        let tag = rig.engine.session(client).tag.clone().unwrap();
        assert_eq!(
            tag.runtime == RuntimeTag::parse("py2").unwrap(),
            namespace == "py2"
        );
    }
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
