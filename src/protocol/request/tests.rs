//! Heads told in words, beside the lines that they come from.

use super::*;

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Says in words what a head is: `get a b`, `set k flags=1 ...`, `bad ...`.
fn told(head: &Head<'_>) -> String {
    let noreply = |noreply: bool| if noreply { " noreply" } else { "" };
    match head {
        Head::Retrieve(retrieve) => {
            let exptime = retrieve.exptime.map(|token| format!("={}", text(token)));
            let keys = retrieve.keys.clone().map(|key| format!(" {}", text(key)));
            let verb = retrieve.verb.name().to_owned();
            verb + &exptime.unwrap_or_default() + &keys.collect::<String>()
        }
        Head::Store(store) => {
            let Store { flags, exptime, .. } = store;
            let cas = store.cas.map(|id| format!(" cas={id}"));
            format!(
                "{} {} flags={flags} exptime={exptime} len={}{}{}",
                store.verb.name(),
                text(store.key),
                store.len,
                cas.unwrap_or_default(),
                noreply(store.noreply)
            )
        }
        Head::Change(change) => {
            let argument = change.argument.map(|token| format!(" {}", text(token)));
            format!(
                "{} {}{}{}",
                change.verb.name(),
                text(change.key),
                argument.unwrap_or_default(),
                noreply(change.noreply)
            )
        }
        Head::Meta(meta) => {
            let flags = meta.flags.clone().map(|flag| format!(" {}", text(flag)));
            let base64 = if meta.base64 { "(base64)" } else { "" };
            let (verb, key) = (meta.verb.name(), text(meta.key));
            let flags = flags.collect::<String>();
            format!("{verb} {key}{base64} len={}{flags}", meta.len)
        }
        Head::MetaNoop => "mn".to_owned(),
        Head::Hello(tag) => format!("hello {}", text(tag)),
        Head::Version => "version".to_owned(),
        Head::Stats(section) => format!("stats {}", text(section)),
        Head::FlushAll {
            delay,
            noreply: quiet,
        } => {
            let delay = delay.map(|delay| format!(" {delay}"));
            format!("flush_all{}{}", delay.unwrap_or_default(), noreply(*quiet))
        }
        Head::Quit => "quit".to_owned(),
        Head::Refused {
            command,
            noreply: quiet,
        } => format!("refused {command}{}", noreply(*quiet)),
        Head::Bad(bad) => {
            let swallow = match bad.swallow {
                0 => String::new(),
                bytes => format!(", swallow {bytes}"),
            };
            let close = if bad.close { ", close" } else { "" };
            format!("bad {:?}{swallow}{close}", bad.reply)
        }
    }
}

/// `K` stands for a key of 251 bytes.
fn check(line: &str, expected: &str) {
    let line = line.replace('K', &"k".repeat(251));
    assert_eq!(
        told(&parse_head(line.as_bytes(), &mut KeyBuf::new())),
        expected,
        "{line:?}"
    );
}

const ERROR: &str = "bad \"ERROR\"";
const FORMAT: &str = "bad \"CLIENT_ERROR bad command line format\"";

#[test]
fn retrievals_name_their_keys() {
    check("get a", "get a");
    check("  gets  a   b a ", "gets a b a");
    check("gat 100 a b", "gat=100 a b");
    check("gats -1 a", "gats=-1 a");
    check("get a\tb\x01", "get a\\tb\\x01");
    check("get a\0b c", "get a");
    check("get a\rb", "get a\\rb");
    check(
        &format!("get {}", "k".repeat(250)),
        &format!("get {}", "k".repeat(250)),
    );
    // Answered END: memcached finds no key to miss.
    check("gat 0", "gat=0");
    for bad in ["get", "get ", "gat", "GET a", "g", "", " ", "getx a"] {
        check(bad, ERROR);
    }
    check("get K", FORMAT);
    check("get a K b", FORMAT);
    for bad in ["gat x a", "gat 1x a", "gats a"] {
        check(bad, "bad \"CLIENT_ERROR invalid exptime argument\"");
    }
}

#[test]
fn stores_say_how_much_follows() {
    check("set k 0 0 5", "set k flags=0 exptime=0 len=5");
    check("set k 0 0 5 ", "set k flags=0 exptime=0 len=5");
    check(
        "add k 4294967295 -1 0 noreply",
        "add k flags=4294967295 exptime=-1 len=0 noreply",
    );
    check("replace k +1 \t2 007", "replace k flags=1 exptime=2 len=7");
    check(
        "prepend k 0 0 2147483645",
        "prepend k flags=0 exptime=0 len=2147483645",
    );
    check(
        "cas k 0 0 1 18446744073709551615",
        "cas k flags=0 exptime=0 len=1 cas=18446744073709551615",
    );
    check(
        "cas k 0 0 1 7 noreply",
        "cas k flags=0 exptime=0 len=1 cas=7 noreply",
    );
    // memcached keeps the low 32 bits.
    check("set k 0 4294967297 1", "set k flags=0 exptime=1 len=1");
}

/// Whatever the key, the line has a body of 15 bytes.
#[test]
fn a_key_with_a_space_or_none_closes_whatever_it_spells() {
    let keys = [
        "",
        "a b",
        "a 0",
        "0 0",
        "0 0 0",
        "0 0 0 1",
        "a 1 2",
        "a 15",
        "a b c d e",
        "a 2 T1",
        "a noreply",
        "noreply a",
        "1 2 3 noreply",
    ];
    for key in keys {
        for verb in &STORING[..6] {
            for noreply in ["", " noreply"] {
                let id = if *verb == "cas" { " 77" } else { "" };
                let line = format!("{verb} {key} 0 0 15{id}{noreply}");
                let told = told(&parse_head(line.as_bytes(), &mut KeyBuf::new()));
                assert!(told.ends_with(", close"), "{line}: {told}");
            }
        }
        for flags in ["", " T0", " q"] {
            let line = format!("ms {key} 15{flags}");
            let told = told(&parse_head(line.as_bytes(), &mut KeyBuf::new()));
            assert!(told.ends_with(", close"), "{line}: {told}");
        }
    }
}

#[test]
fn a_store_of_another_shape_closes() {
    let closed = "bad \"ERROR\", close";
    for rest in [
        "",
        " k",
        " k 0",
        " k 0 0",
        " k 0 0 1 0",
        " k 0 0 1 2 3",
        " k 0 0 1 noreply x",
        " my key 7 0 0 15",
        " k 0 0 1 Noreply",
    ] {
        for verb in &STORING[..5] {
            check(&format!("{verb}{rest}"), closed);
        }
    }
    for rest in ["", " k 0 0 1", " k 0 0 1 2 3", " k 0 0 1 2 noreply x"] {
        check(&format!("cas{rest}"), closed);
    }
    check("cas k 0 0 1 noreply", "bad \"\", close");
    check("ms", closed);
    check("ms k", &format!("{FORMAT}, close"));
    let flag = "bad \"CLIENT_ERROR invalid flag\", close";
    for rest in ["k 2 7", "k 2 T0 7", "k 2 +7 v", "k 2 v v 7", "K 2 7"] {
        check(&format!("ms {rest}"), flag);
    }
    // What is no command may have been meant for one that has a body.
    for line in [
        "SET k 0 0 5",
        "Add k 0 0 5",
        "set\tk 0 0 5",
        "\x01set k 0 0 5",
        "> cas k 0 0 5 1",
        "\r set k 0 0 5",
        "MS k 5",
        "config set cluster 0 5",
    ] {
        check(line, closed);
    }
    for line in [
        "x",
        "sets k 0 0 5",
        "config get cluster",
        "",
        "\r",
        "GETSET k",
    ] {
        check(line, ERROR);
    }
    for verb in STORING {
        for line in ["V\0 k 0 0 5", "V k\0x 0 0 5", "V k 0 0 5\0", "\0V k 0 0 5"] {
            check(&line.replace('V', verb), &format!("{FORMAT}, close"));
        }
    }
}

#[test]
fn the_body_of_a_bad_store_is_swallowed() {
    for bad in [
        "set k x 0 5",
        "set k 0 x 5",
        "set k 4294967296 0 5",
        "set k -1 0 5",
        "set K 0 0 5",
        "cas k 0 0 5 x",
        "cas K 0 0 5 1",
    ] {
        check(bad, &format!("{FORMAT}, swallow 7"));
        check(&format!("{bad} noreply"), "bad \"\", swallow 7");
    }
}

#[test]
fn a_store_without_a_length_closes() {
    for len in [
        "x",
        "-1",
        "2147483646",
        "4294967298",
        "99999999999999999999",
        "1x",
        "+1",
        "-0",
        "1\t",
        "\t1",
        "1\r",
        "1\rdelete",
    ] {
        check(&format!("set k 0 0 {len}"), &format!("{FORMAT}, close"));
        check(&format!("set k 0 0 {len} noreply"), "bad \"\", close");
        check(&format!("ms k {len}"), &format!("{FORMAT}, close"));
    }
}

#[test]
fn changes_keep_what_they_are_told() {
    check("delete k", "delete k");
    check("delete k 0", "delete k");
    check("delete k noreply ", "delete k noreply");
    check("delete k 0 noreply", "delete k noreply");
    check("delete noreply", "delete noreply");
    check("incr k 1", "incr k 1");
    check("decr k x noreply", "decr k x noreply");
    check("touch k 0", "touch k 0");
    check("touch k noreply", "bad \"\"");
    check("incr k noreply", "bad \"\"");
    check(
        "decr k noreply 1",
        "bad \"CLIENT_ERROR invalid numeric delta argument\"",
    );
    check(
        "touch k noreply 1",
        "bad \"CLIENT_ERROR invalid exptime argument\"",
    );
    check("incr K noreply", "bad \"\"");
    for bad in [
        "delete",
        "delete k 0 noreply x",
        "incr k",
        "incr k 1 noreply x",
        "touch",
    ] {
        check(bad, ERROR);
    }
    let usage = "bad \"CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\"";
    for bad in ["delete k 1", "delete k x", "delete k 0 x"] {
        check(bad, usage);
    }
    check("delete k 1 noreply", "bad \"\"");
    check("delete K", FORMAT);
    check("incr K 1", FORMAT);
    check("incr K 1 noreply", "bad \"\"");
}

#[test]
fn meta_commands_keep_their_flags() {
    check("mg k", "mg k len=0");
    check("mg k v t O123 q", "mg k len=0 v t O123 q");
    check("ms k 5 T90 F1", "ms k len=5 T90 F1");
    check("ms k 0", "ms k len=0");
    check("md k q I", "md k len=0 q I");
    check("ma k N0 J1", "ma k len=0 N0 J1");
    check("me k", "me k len=0");
    check("me k x y z", "me k len=0");
    check("mn", "mn");
    check("mn k v", "mn");
    check("mg Zm9v b", "mg foo(base64) len=0 b");
    check("mg AApm v b", "mg \\x00\\nf(base64) len=0 v b");
    check("ms Zg== 2 bx", "ms f(base64) len=2 bx");
    check("me Zm9v b", "me foo(base64) len=0");
    check("me Zm9v v b", "me Zm9v len=0");
    // What no memcached knows is the upstream's to refuse.
    check("mg k ! !", "mg k len=0 ! !");
    check("mg k \u{7f}", "bad \"CLIENT_ERROR duplicate flag\"");
}

#[test]
fn arguments_longer_than_any_that_means_something_go_no_further() {
    let long = "0".repeat(65);
    for (request, reply) in [
        ("incr k ", "invalid numeric delta argument"),
        ("touch k ", "invalid exptime argument"),
        ("mg k T", "options flags too long"),
        ("md k O", "opaque token too long"),
    ] {
        let told = format!("bad \"CLIENT_ERROR {reply}\"");
        check(&format!("{request}{long}"), &told);
    }
    check(
        &format!("gat {long} k"),
        "bad \"CLIENT_ERROR invalid exptime argument\"",
    );
}

#[test]
fn bad_meta_commands_are_told_apart() {
    let duplicate = "bad \"CLIENT_ERROR duplicate flag\"";
    let other = "bad \"CLIENT_ERROR invalid or duplicate flag\"";
    let undecodable = "bad \"CLIENT_ERROR error decoding key\"";
    check("mg k v v", duplicate);
    check("ms k 2 T1 T2", &format!("{duplicate}, swallow 4"));
    check("md k q q", other);
    check("ma k v v", other);
    check("mg Zm9 b", undecodable);
    check("ms Zm9 2 b", &format!("{undecodable}, swallow 4"));
    check("md ==== b", other);
    check("mg K", FORMAT);
    check("md K", FORMAT);
    check("ms K 2", &format!("{FORMAT}, swallow 4"));
    check("me K", FORMAT);
    check("me", FORMAT);
    check("me ! b", FORMAT);
    for bad in ["mg", "md", "ma"] {
        check(bad, ERROR);
    }
    let opaque = "O".repeat(33);
    check(
        &format!("mg k {}", &opaque[..32]),
        &format!("mg k len=0 {}", &opaque[..32]),
    );
    check(
        &format!("mg k {opaque}"),
        "bad \"CLIENT_ERROR opaque token too long\"",
    );
    check(
        "mg k b c f h k l O q s t u v N R T P L E",
        "bad \"CLIENT_ERROR options flags are too long\"",
    );
    check(
        "md k b c f h k l O q s t u v N R T P L E",
        "bad \"CLIENT_ERROR options flags too long\"",
    );
    check(
        "ms k 2 b c f h k l O q s t u v N R T P L",
        "bad \"CLIENT_ERROR options flags too long\", swallow 4",
    );
}

#[test]
fn commands_without_a_key_are_served_or_refused() {
    check(
        "hello python/3.11  django/4 ",
        "hello python/3.11  django/4",
    );
    check("hello", "hello ");
    check("version", "version");
    check("version x", "version");
    check("quit", "quit");
    check("stats", "stats ");
    check("stats items ", "stats items");
    check("stats picklegate", "stats picklegate");
    check("stats reset", "refused stats reset");
    check("stats cachedump 1 0", "refused stats cachedump");
    check("stats detail on", "refused stats detail");
    check("stats nonsense", ERROR);
    check("flush_all", "flush_all");
    check("flush_all noreply", "flush_all noreply");
    check("flush_all 10", "flush_all 10");
    check("flush_all -1 noreply", "flush_all -1 noreply");
    check(
        "flush_all x",
        "bad \"CLIENT_ERROR invalid exptime argument\"",
    );
    check("flush_all x noreply", "bad \"\"");
    check("flush_all 1 2 3", ERROR);
    for command in REFUSED {
        check(command, &format!("refused {command}"));
        check(
            &format!("{command} 1 noreply"),
            &format!("refused {command} noreply"),
        );
    }
    for unknown in ["config get cluster", "bget a", "shutdownx"] {
        check(unknown, ERROR);
    }
    check("GET / HTTP/1.1", "bad \"\", close");
}
