//! However a stream is cut, on either side, clients receive the same bytes.

use std::io::Write as _;

use crate::support::rig::{Cut, Rig, ask_alone, config, text};

/// One conversation of a Python 2 client.
struct Sample {
    name: &'static str,
    /// Content of the cache before.
    stored: Vec<u8>,
    requests: Vec<u8>,
    /// Replies to the client; `None` for those that a cache gives by itself.
    expected: Option<Vec<u8>>,
}

fn sample(name: &'static str, requests: &str) -> Sample {
    Sample {
        name,
        stored: Vec::new(),
        requests: requests.into(),
        expected: None,
    }
}

fn spelled(name: &'static str, requests: &str, expected: &str) -> Sample {
    Sample {
        expected: Some(expected.into()),
        ..sample(name, requests)
    }
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::default();
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

/// A value in the key spaces of every rule.
fn store(key: &str, flags: u32, value: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for prefix in ["", "@py2//"] {
        let head = format!("set {prefix}{key} {flags} 0 {}\r\n", value.len());
        all.extend([head.as_bytes(), value, b"\r\n"].concat());
    }
    all
}

fn value(key: &str, flags: u32, value: &[u8]) -> Vec<u8> {
    let head = format!("VALUE {key} {flags} {}\r\n", value.len());
    [head.as_bytes(), value, b"\r\n"].concat()
}

fn meta_value(value: &[u8], flags: &str) -> Vec<u8> {
    let head = format!("VA {}{flags}\r\n", value.len());
    [head.as_bytes(), value, b"\r\n"].concat()
}

fn samples() -> Vec<Sample> {
    let long = "k".repeat(251);
    let longest = "k".repeat(250);
    vec![
        sample(
            "stores",
            "set a 5 0 3\r\none\r\nadd a 0 0 1\r\nx\r\nadd b 0 0 0\r\n\r\nreplace a 7 0 3\r\ntwo\r\n\
             append a 0 0 1\r\n!\r\nprepend a 0 0 1\r\n>\r\nreplace z 0 0 1\r\nx\r\nget a b z\r\n\
             cas a 1 0 1 1\r\nx\r\ncas z 1 0 1 1\r\nx\r\ngets a\r\ncas a 1 0 1 5\r\ny\r\ngets a b\r\n",
        ),
        sample(
            "noreply",
            "set a 0 0 1 noreply\r\n1\r\nadd a 0 0 1 noreply\r\n2\r\nincr a 4 noreply\r\n\
             set b 0 0 1 \r\nx\r\ndelete b noreply \r\ntouch a 100 noreply\r\nget a b\r\n\
             set z x 0 2 noreply\r\nab\r\nincr b x noreply\r\ndelete a x noreply\r\nmn\r\n",
        ),
        sample(
            "retrievals",
            "set a 0 0 1\r\nx\r\nset b 3 0 2\r\nyy\r\nget a b a z b\r\n  gets  a   b \r\nget z\r\n\
             gat 100 a z b\r\ngats 100 b\r\ngat 0\r\nget a\nget b\n",
        ),
        sample(
            "changes",
            "set n 0 0 2\r\n10\r\nincr n 5\r\ndecr n 7\r\ndecr n 100\r\nincr n x\r\nincr z 1\r\n\
             touch n 100\r\ntouch z 0\r\ntouch n x\r\ndelete n 0\r\ndelete n\r\ndelete n 0 noreply\r\n\
             set t 0 0 1\r\nx\r\nincr t 1\r\nget n t\r\n",
        ),
        sample(
            "meta",
            "ms a 3 T90 F5 c k Oq\r\none\r\nmg a v t f c k s h q Oz\r\nmg a\r\nmg z k O1\r\nmg z q v\r\n\
             ms a 1 ME\r\nx\r\nms a 1 q\r\ny\r\nms z 1 MA c\r\nx\r\nms a 1 C99 k\r\nx\r\nms a 2 MP\r\nab\r\n\
             md a I T60 q\r\nmg a t v\r\nmg a\r\nmd a k O2\r\nmd a q\r\nma c N0 J41 v\r\nma c v t\r\n\
             ma c MD D100 v q\r\nma c q\r\nma z k\r\nmg viv N30 v t\r\nmg viv s v\r\nmn\r\n",
        ),
        sample(
            "base64",
            "ms Zm9v 3 b k\r\nbar\r\nmg foo k v\r\nmg Zm9v b k v q\r\nmd YQ== b k\r\nma AAEC b N0 J5 v\r\n\
             ms /w== 1 b c k O7\r\nx\r\nmg /w== v k b f\r\nmd /w== b k\r\nmg /w== b k\r\nmg !! b\r\n",
        ),
        sample(
            "bad lines",
            &format!(
                "\r\n\nget\r\nhello\r\nGET a\r\nget {long}\r\nget a {long} b\r\nset {long} 0 0 2\r\nxx\r\n\
                 set a x 0 2\r\nab\r\nset a 0 x 2\r\nab\r\ncas a 0 0 2 x\r\nab\r\nincr a\r\ntouch a\r\nincr a noreply\r\ndecr a noreply 1\r\ntouch a noreply\r\n\
                 delete a x\r\ngat x a\r\nmg\r\nmg a v v\r\nmg a !\r\nms {long} 2\r\nab\r\nms a 2 v v\r\nab\r\n\
                 mg {longest}\r\nget {longest}\r\nget a\0b\r\nmd a x x\r\nmn\r\n"
            ),
        ),
        spelled(
            "a value that is longer than was said",
            "set a 0 0 1\r\nx\r\nset a 0 0 2\r\nlonger\r\nget a\r\n",
            "STORED\r\nCLIENT_ERROR bad data chunk\r\n",
        ),
        spelled(
            "a value that is shorter than was said",
            "set a 0 0 1\r\nx\r\nms a 6 q\r\nshort\r\nget a\r\nmn\r\n",
            "STORED\r\nCLIENT_ERROR bad data chunk\r\n",
        ),
        spelled(
            "a refused value that is longer than was said",
            "set a 0 0 1\r\nx\r\nset a x 0 2\r\nlonger\r\nget a\r\nmn\r\n",
            "STORED\r\nCLIENT_ERROR bad command line format\r\n",
        ),
        spelled(
            "a value that is too large and longer than was said",
            &format!("add a 0 0 300\r\n{}\r\nmn\r\n", "x".repeat(301)),
            "SERVER_ERROR object too large for cache\r\n",
        ),
        spelled(
            "a key with a space",
            "set a 0 0 1\r\nx\r\nset my a 0 0 10\r\ndelete a\r\n\r\nget a\r\n",
            "STORED\r\nERROR\r\n",
        ),
        sample(
            "values that look like replies",
            "set a 0 0 5\r\nEND\r\n\r\nget a\r\nset b 0 0 16\r\nVALUE a 0 5\r\nEND\r\nget b a\r\nmg b v\r\n\
             set c 0 0 2\r\n\r\n\r\nget c\r\nset d 0 0 7\r\n\r\nEND\r\n\r\nget d c a b\r\n",
        ),
        spelled(
            "too large values",
            &format!(
                "set a 0 0 1\r\nx\r\nset a 0 0 300\r\n{0}\r\nget a\r\nadd b 0 0 300\r\n{0}\r\nms a 300 q\r\n{0}\r\n\
                 set a 0 0 300 noreply\r\n{0}\r\nmn\r\n",
                "x".repeat(300)
            ),
            "STORED\r\nSERVER_ERROR object too large for cache\r\nEND\r\n\
             SERVER_ERROR object too large for cache\r\nSERVER_ERROR object too large for cache\r\nMN\r\n",
        ),
        spelled(
            "what a proxy refuses",
            "flush_all\r\nflush_all noreply\r\nverbosity 1 noreply\r\nwatch\r\nstats cachedump 1 1\r\nstats items\r\nversion\r\nquit\r\nmn\r\n",
            "CLIENT_ERROR flush_all not allowed\r\nCLIENT_ERROR watch not allowed\r\n\
             CLIENT_ERROR stats cachedump not allowed\r\nEND\r\nVERSION 1.6.18-embedded\r\n",
        ),
        spelled(
            "a length that nothing can be made of",
            "set a 0 0 1\r\nx\r\nset b 0 0 -1\r\nget a\r\n",
            "STORED\r\nCLIENT_ERROR bad command line format\r\n",
        ),
    ]
}

/// Values that Python 2 cannot load, among others that it can.
fn hidden_samples() -> Vec<Sample> {
    let two = b"\x80\x02K\x01.";
    let four = b"\x80\x04K\x01.";
    let page = [&four[..], &b"spam and eggs ".repeat(60)].concat();
    let mut noise: Vec<u8> = (0..900u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8)
        .collect();
    noise.splice(..2, [0x80, 5]);
    let stored = [
        store("two", 1, two),
        store("four", 1, four),
        store("zip", 9, &deflate(&page)),
        store("noise", 9, &deflate(&noise)),
        store("zip2", 9, &deflate(&[two, &page[..]].concat())),
        store("text", 16, b"END\r\n"),
        store("empty", 1, b""),
        store("short", 1, b"\x80"),
    ]
    .concat();
    let get = "get two four zip zip2 noise text empty short\r\n";
    let meta = "mg two v k f\r\nmg four v k f Oz\r\nmg zip v\r\nmg zip q v\r\nmg zip2 v s\r\nmg text v\r\nmg empty v f\r\nmn\r\n";
    let zip2 = deflate(&[two, &page[..]].concat());
    let shown = [
        value("two", 1, two),
        value("zip2", 9, &zip2),
        value("text", 16, b"END\r\n"),
        value("empty", 1, b""),
        value("short", 1, b"\x80"),
        b"END\r\n".to_vec(),
    ]
    .concat();
    let meta_shown = [
        meta_value(two, " ktwo f1"),
        b"EN kfour Oz\r\nEN\r\n".to_vec(),
        meta_value(&zip2, &format!(" s{}", zip2.len())),
        meta_value(b"END\r\n", ""),
        meta_value(b"", " f1"),
        b"MN\r\n".to_vec(),
    ]
    .concat();
    // Less would be a lock.
    let long = "x".repeat(65);
    let hidden = |name, requests: &str, expected: &[u8]| Sample {
        stored: stored.clone(),
        expected: Some(expected.into()),
        ..sample(name, requests)
    };
    vec![
        hidden("hidden values", get, &shown),
        hidden("hidden meta values", meta, &meta_shown),
        // Two more steps stand between the add and its reply: what follows
        // must not overtake them.
        hidden(
            "adds in the way of hidden values",
            &format!(
                "add four 0 0 65\r\n{long}\r\nget four\r\nms zip 65 ME\r\n{long}\r\n\
                 append zip 0 0 1\r\nz\r\nmg zip v\r\n\
                 add noise 0 0 65 noreply\r\n{long}\r\ndelete noise\r\nadd noise 0 0 1\r\ny\r\n\
                 get noise two\r\nadd two 0 0 1\r\nx\r\nmn\r\n"
            ),
            &[
                b"STORED\r\n",
                &value("four", 0, long.as_bytes())[..],
                format!("END\r\nHD\r\nSTORED\r\nVA 66\r\n{long}z\r\nDELETED\r\nSTORED\r\n")
                    .as_bytes(),
                &value("noise", 0, b"y"),
                &value("two", 1, two),
                b"END\r\nNOT_STORED\r\nMN\r\n",
            ]
            .concat(),
        ),
    ]
}

/// All that the client received, and all that the upstream was sent.
fn converse(
    sample: &Sample,
    config: &picklegate::config::Config,
    downstream: Cut,
    upstream: Cut,
) -> Vec<u8> {
    let mut rig = Rig::new(config, 1);
    rig.ask_cache(0, &sample.stored);
    let client = rig.open("py2");
    rig.feed(client, &sample.requests, downstream, upstream)
        .unwrap_or_else(|error| panic!("{}: {error}", sample.name));
    let session = rig.engine.session(client);
    assert!(session.is_idle(), "{}: something is owed", sample.name);
    rig.take_received(client)
}

fn check(sample: &Sample, rule: &str) {
    let config = config(1, rule);
    let expected = match &sample.expected {
        Some(expected) => expected.clone(),
        None => ask_alone(&sample.requests),
    };
    let agree = |downstream, upstream| {
        let found = converse(sample, &config, downstream, upstream);
        assert_eq!(
            text(&found),
            text(&expected),
            "{}: {rule}, requests cut {downstream:?}, replies cut {upstream:?}",
            sample.name
        );
    };
    agree(Cut::Whole, Cut::Whole);
    agree(Cut::Bytes, Cut::Bytes);
    for at in 1..sample.requests.len() {
        agree(Cut::At(at), Cut::Whole);
    }
    // Replies are about as long, prefixes and more included.
    for at in 1..sample.stored.len() + 2 * sample.requests.len() {
        agree(Cut::Whole, Cut::At(at));
    }
}

const ISOLATE: &str = "mode = \"isolate\"\n[limits]\nmax_value_bytes = \"256B\"";

#[test]
fn cuts_change_nothing() {
    for sample in samples() {
        check(&sample, ISOLATE);
    }
}

#[test]
fn cuts_change_nothing_where_siblings_are_deleted() {
    let rule = ISOLATE.replace("[limits]", "coherence = \"strict\"\n[limits]");
    for sample in samples() {
        check(&sample, &rule);
    }
}

#[test]
fn cuts_change_nothing_in_the_other_modes() {
    for mode in ["shared", "observe", "guard"] {
        for sample in samples() {
            check(&sample, &ISOLATE.replace("isolate", mode));
        }
    }
}

#[test]
fn cuts_hide_the_same_values() {
    for rule in ["mode = \"isolate\"", "mode = \"guard\""] {
        for sample in hidden_samples() {
            check(&sample, rule);
        }
    }
}

#[test]
fn a_cut_at_every_pair_of_places_changes_nothing() {
    let requests = "set a 1 0 2\r\nxy\r\nget a z\r\nmg a v k\r\n";
    let sample = sample("pairs", requests);
    let config = config(1, "mode = \"isolate\"");
    let expected = ask_alone(requests.as_bytes());
    for downstream in 1..requests.len() {
        for upstream in 1..100 {
            let found = converse(&sample, &config, Cut::At(downstream), Cut::At(upstream));
            assert_eq!(text(&found), text(&expected), "{downstream}, {upstream}");
        }
    }
}
