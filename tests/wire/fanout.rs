//! Looks at the physical keys: with two namespaces in front of real memcacheds,
//! which copies a delete or a write leaves behind, and on which server they are.

use std::net::TcpStream;

use md5::{Digest, Md5};

use crate::support::toml::Toml;
use crate::support::{self, Memcached, Picklegate, ask_text, connect, free_addr};

/// The copies of client key `k`: bare, for `py2`, for `py3`. A prefix is padded to six bytes.
const COPIES: [&str; 3] = ["k", "@py2//k", "@py3//k"];
/// The modes in which keys have siblings, and which of [`COPIES`] is `py3`'s own in each.
const MODES: [(&str, &str); 3] = [
    ("mode = \"observe\"", "k"),
    ("mode = \"guard\"", "k"),
    (
        "mode = \"isolate\"\nrollout = 100\ncoherence = \"deletes\"",
        "@py3//k",
    ),
];
const STRICT: &str = "mode = \"isolate\"\nrollout = 100\ncoherence = \"strict\"";

/// Two runtimes on one memcached, and a connection past the proxy.
struct Fleet {
    py2: TcpStream,
    py3: TcpStream,
    raw: TcpStream,
    _gate: Picklegate,
    _memcached: Memcached,
}

impl Fleet {
    fn new(rule: &str) -> Self {
        let memcached = Memcached::start();
        let (old, new) = (free_addr(), free_addr());
        let toml = Toml::new(&[memcached.addr()])
            .rule(rule)
            .listener(&old, "python/2.7")
            .listener(&new, "python/3.11");
        let gate = Picklegate::with_config(toml);
        Self {
            py2: connect(&old),
            py3: connect(&new),
            raw: memcached.connect(),
            _gate: gate,
            _memcached: memcached,
        }
    }

    /// Leaves exactly these copies, each holding `5`.
    fn plant(&self, copies: &[&str]) {
        for copy in COPIES {
            ask_text(&self.raw, &format!("delete {copy}\r\n"));
        }
        for copy in copies {
            assert_eq!(
                ask_text(&self.raw, &format!("set {copy} 0 0 1\r\n5\r\n")),
                "STORED\r\n"
            );
        }
    }

    /// The copies that exist.
    fn copies(&self) -> Vec<&'static str> {
        let exists = |copy: &&str| ask_text(&self.raw, &format!("mg {copy}\r\n")) == "HD\r\n";
        COPIES.into_iter().filter(exists).collect()
    }

    /// The cas id of the copy that `py3` reads.
    fn cas(&self) -> String {
        let reply = ask_text(&self.py3, "mg k c\r\n");
        reply
            .trim()
            .strip_prefix("HD c")
            .expect("the own copy exists")
            .to_owned()
    }
}

#[test]
fn a_delete_reaches_every_copy_through_either_listener() {
    for (mode, _) in MODES {
        let fleet = Fleet::new(mode);
        for listener in [&fleet.py2, &fleet.py3] {
            for (request, hit, miss) in [
                ("delete k\r\n", "DELETED\r\n", "NOT_FOUND\r\n"),
                ("delete k 0\r\n", "DELETED\r\n", "NOT_FOUND\r\n"),
                ("delete k noreply\r\n", "", ""),
                ("md k\r\n", "HD\r\n", "NF\r\n"),
                ("md k k O1\r\n", "HD kk O1\r\n", "NF kk O1\r\n"),
                ("md aw== b\r\n", "HD\r\n", "NF\r\n"),
                ("md k q\r\n", "", "NF\r\n"),
            ] {
                for copies in [&COPIES[..], &["k"], &["@py2//k"], &["@py3//k"]] {
                    fleet.plant(copies);
                    assert_eq!(
                        ask_text(listener, request),
                        hit,
                        "{request} of {copies:?}, {mode}"
                    );
                    assert!(
                        fleet.copies().is_empty(),
                        "{request} left {:?}, {mode}",
                        fleet.copies()
                    );
                }
                assert_eq!(
                    ask_text(listener, request),
                    miss,
                    "{request} of nothing, {mode}"
                );
            }
        }
    }
}

#[test]
fn invalidation_leaves_no_fresh_copy() {
    for (mode, own) in MODES {
        let fleet = Fleet::new(mode);
        fleet.plant(&COPIES);
        assert_eq!(ask_text(&fleet.py3, "md k I T100\r\n"), "HD\r\n", "{mode}");
        for copy in COPIES {
            let left = ask_text(&fleet.raw, &format!("mg {copy} k\r\n"));
            let stale = left == format!("HD k{copy} X W\r\n");
            assert!(
                stale || (left.starts_with("EN") && copy != own),
                "{copy}: {left}, {mode}"
            );
        }
        fleet.plant(&["@py2//k"]);
        let reply = ask_text(&fleet.py3, "md k I T100\r\n");
        assert_eq!(
            reply,
            if own == "@py2//k" { "NF\r\n" } else { "HD\r\n" },
            "{mode}"
        );
    }
}

#[test]
fn a_cas_condition_binds_the_own_copy_only() {
    for (mode, own) in MODES {
        let fleet = Fleet::new(mode);
        fleet.plant(&COPIES);
        assert_eq!(
            ask_text(&fleet.py3, "md k C18446744073709551615 O1\r\n"),
            "EX O1\r\n",
            "{mode}"
        );
        assert_eq!(fleet.copies(), [own], "{mode}");
        let cas = fleet.cas();
        assert_eq!(
            ask_text(&fleet.py3, &format!("md k C{cas}\r\n")),
            "HD\r\n",
            "{mode}"
        );
        assert!(fleet.copies().is_empty(), "{mode}");
    }
}

#[test]
fn a_flag_the_server_does_not_know_is_its_own_error() {
    // 1.6.18 has no `x`; later servers keep the item without its value. The
    // siblings may go meanwhile: only the server knows whether it will refuse.
    let fleet = Fleet::new(MODES[2].0);
    fleet.plant(&COPIES);
    let reply = ask_text(&fleet.py3, "md k x\r\n");
    assert_eq!(reply, "CLIENT_ERROR invalid or duplicate flag\r\n");
    assert!(fleet.copies().contains(&"@py3//k"));
}

#[test]
fn a_refused_delete_deletes_nothing() {
    for (mode, _) in MODES {
        let fleet = Fleet::new(mode);
        for request in ["delete k 1\r\n", "delete k x noreply\r\n", "md k v v\r\n"] {
            fleet.plant(&COPIES);
            ask_text(&fleet.py3, request);
            assert_eq!(fleet.copies(), COPIES, "{request}, {mode}");
        }
    }
}

#[test]
fn deletes_keep_their_place_among_other_replies() {
    for (mode, _) in MODES {
        let fleet = Fleet::new(mode);
        fleet.plant(&COPIES);
        let reply = ask_text(
            &fleet.py3,
            "get k\r\ndelete k\r\nget k\r\nset k 0 0 1\r\n7\r\nmd k q\r\nmd k O1\r\nmg k v\r\n\
             delete k noreply\r\nset k 0 0 1\r\n8\r\nget k\r\n",
        );
        assert_eq!(
            reply,
            "VALUE k 0 1\r\n5\r\nEND\r\nDELETED\r\nEND\r\nSTORED\r\nNF O1\r\nEN\r\n\
             STORED\r\nVALUE k 0 1\r\n8\r\nEND\r\n",
            "{mode}"
        );
    }
}

#[test]
fn a_shared_rule_knows_no_siblings() {
    let fleet = Fleet::new("mode = \"shared\"");
    for request in ["delete k\r\n", "md k\r\n", "md k q\r\n"] {
        fleet.plant(&COPIES);
        ask_text(&fleet.py3, request);
        assert_eq!(fleet.copies(), ["@py2//k", "@py3//k"], "{request}");
        fleet.plant(&["@py3//k"]);
        assert!(
            !ask_text(&fleet.py3, request).starts_with(['D', 'H']),
            "{request}"
        );
    }
}

#[test]
fn a_strict_write_that_took_effect_leaves_only_the_own_copy() {
    let fleet = Fleet::new(STRICT);
    for (request, reply) in [
        ("set k 0 0 1\r\n6\r\n", "STORED\r\n"),
        ("set k 0 0 1 noreply\r\n6\r\n", ""),
        ("replace k 0 0 1\r\n6\r\n", "STORED\r\n"),
        ("append k 0 0 1\r\n6\r\n", "STORED\r\n"),
        ("prepend k 0 0 1\r\n6\r\n", "STORED\r\n"),
        ("cas k 0 0 1 CAS\r\n6\r\n", "STORED\r\n"),
        ("incr k 1\r\n", "6\r\n"),
        ("incr k 1 noreply\r\n", ""),
        ("decr k 1\r\n", "4\r\n"),
        ("ms k 1\r\n6\r\n", "HD\r\n"),
        ("ms k 1 q\r\n6\r\n", ""),
        ("ms aw== 1 b\r\n6\r\n", "HD\r\n"),
        ("ms k 1 MA\r\n6\r\n", "HD\r\n"),
        ("ms k 1 MP\r\n6\r\n", "HD\r\n"),
        ("ms k 1 MR\r\n6\r\n", "HD\r\n"),
        ("ms k 1 CCAS\r\n6\r\n", "HD\r\n"),
        ("ma k v\r\n", "VA 1\r\n6\r\n"),
        ("ma k q\r\n", ""),
        ("ma k MD\r\n", "HD\r\n"),
    ] {
        fleet.plant(&COPIES);
        let asked = request.replace("CAS", &fleet.cas());
        assert_eq!(ask_text(&fleet.py3, &asked), reply, "{request}");
        assert_eq!(fleet.copies(), ["@py3//k"], "{request}");
    }
    // An `add` changes nothing: it may be a lock, of which each namespace has one.
    for (request, reply, left) in [
        ("add k 0 0 1\r\n6\r\n", "STORED\r\n", &COPIES[..]),
        ("ms k 1 ME\r\n6\r\n", "HD\r\n", &COPIES),
        ("ma k N0 J5\r\n", "HD\r\n", &["@py3//k"]),
    ] {
        fleet.plant(&["k", "@py2//k"]);
        assert_eq!(ask_text(&fleet.py3, request), reply, "{request}");
        assert_eq!(fleet.copies(), left, "{request}");
    }
}

#[test]
fn a_strict_write_without_effect_leaves_every_copy() {
    let fleet = Fleet::new(STRICT);
    for (request, reply) in [
        ("add k 0 0 1\r\n6\r\n", "NOT_STORED\r\n"),
        ("add k 0 0 1 noreply\r\n6\r\n", ""),
        ("cas k 0 0 1 18446744073709551615\r\n6\r\n", "EXISTS\r\n"),
        (
            "incr k one\r\n",
            "CLIENT_ERROR invalid numeric delta argument\r\n",
        ),
        ("ms k 1 ME\r\n6\r\n", "NS\r\n"),
        ("ms k 1 C18446744073709551615\r\n6\r\n", "EX\r\n"),
        ("ma k C18446744073709551615\r\n", "EX\r\n"),
        (
            "ms k 1 Mx\r\n6\r\n",
            "CLIENT_ERROR invalid mode for ms M token\r\n",
        ),
    ] {
        fleet.plant(&COPIES);
        assert_eq!(ask_text(&fleet.py3, request), reply, "{request}");
        assert_eq!(fleet.copies(), COPIES, "{request}");
    }
    for (request, reply) in [
        ("replace k 0 0 1\r\n6\r\n", "NOT_STORED\r\n"),
        ("append k 0 0 1\r\n6\r\n", "NOT_STORED\r\n"),
        ("prepend k 0 0 1\r\n6\r\n", "NOT_STORED\r\n"),
        ("cas k 0 0 1 7\r\n6\r\n", "NOT_FOUND\r\n"),
        ("incr k 1\r\n", "NOT_FOUND\r\n"),
        ("decr k 1 noreply\r\n", ""),
        ("ms k 1 MR\r\n6\r\n", "NS\r\n"),
        ("ms k 1 C7\r\n6\r\n", "NF\r\n"),
        ("ma k\r\n", "NF\r\n"),
    ] {
        fleet.plant(&["k", "@py2//k"]);
        assert_eq!(ask_text(&fleet.py3, request), reply, "{request}");
        assert_eq!(fleet.copies(), ["k", "@py2//k"], "{request}");
    }
}

#[test]
fn with_deletes_only_writes_leave_siblings() {
    let fleet = Fleet::new(MODES[2].0);
    for request in ["set k 0 0 1\r\n6\r\n", "ms k 1\r\n6\r\n", "incr k 1\r\n"] {
        fleet.plant(&COPIES);
        ask_text(&fleet.py3, request);
        assert_eq!(fleet.copies(), COPIES, "{request}");
    }
}

#[test]
fn a_rejected_set_deletes_the_old_value_and_its_body_is_swallowed() {
    // Protocol 4, which Python 2 cannot load, on the key that both read; behind it
    // what would be a command of its own.
    const BODY: &[u8] = b"\r\n\x80\x04K\x01.\r\nmn\r\n";
    let rule = "mode = \"guard\"\nsniff = \"header\"\non_unloadable_write = \"reject\"";
    let fleet = Fleet::new(rule);
    for (head, reply, left) in [
        ("set k 1 0 9", "NOT_STORED\r\n", &[][..]),
        ("set k 1 0 9 noreply", "", &[]),
        ("ms k 9 F1", "NS\r\n", &[]),
        ("add k 1 0 9", "NOT_STORED\r\n", &["k"]),
        ("cas k 1 0 9 CAS", "EXISTS\r\n", &["k"]),
        ("ms k 9 F1 CCAS", "EX\r\n", &["k"]),
    ] {
        fleet.plant(&["k"]);
        let head = head.replace("CAS", &fleet.cas());
        let said = support::ask(&fleet.py3, &[head.as_bytes(), BODY].concat());
        assert_eq!(String::from_utf8_lossy(&said), reply, "{head}");
        assert_eq!(fleet.copies(), left, "{head}");
    }
}

/// With a space, a line end or NUL in them, which memcached names in several ways.
#[test]
fn a_hidden_value_is_no_raw_material_under_keys_that_only_base64_spells() {
    const HIDDEN: &[u8] = b"\x80\x04N.\r\n";
    let fleet = Fleet::new("mode = \"guard\"\ncoherence = \"deletes\"");
    for key in ["YSBi", "YQpi", "YQBi"] {
        let store = format!("ms {key} 4 b F1\r\n");
        let store = [store.as_bytes(), HIDDEN].concat();
        assert_eq!(support::ask(&fleet.raw, &store), b"HD\r\n");
        let kept = || support::ask(&fleet.raw, format!("mg {key} b v f c t\r\n").as_bytes());
        let before = kept();
        for (write, told) in [
            ("ms K 1 b MA k\r\nx\r\n", "NS kK b\r\n"),
            ("ms K 1 b MP\r\nx\r\n", "NS\r\n"),
            ("ms K 1 b MR F1\r\n7\r\n", "NS\r\n"),
            ("ms K 1 b ME\r\n7\r\n", "NS\r\n"),
            (
                "ma K b\r\n",
                "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
            ),
        ] {
            let found = ask_text(&fleet.py2, &write.replace('K', key));
            assert_eq!(found, told.replace('K', key), "{write}");
            assert_eq!(kept(), before, "{write}");
        }
        let append = format!("ms {key} 1 b MA Oq\r\nx\r\n");
        assert_eq!(ask_text(&fleet.py3, &append), "HD Oq\r\n");
        let get = format!("mg {key} b v\r\n");
        assert_eq!(
            support::ask(&fleet.raw, get.as_bytes()),
            b"VA 5\r\n\x80\x04N.x\r\n"
        );
        assert_eq!(ask_text(&fleet.raw, &format!("md {key} b\r\n")), "HD\r\n");
        assert_eq!(ask_text(&fleet.py3, &append), "NS Oq\r\n");
        // Who changes nothing does not take the token of a stale item either.
        let stale = format!("ms {key} 1 b\r\nx\r\nmd {key} b I\r\n");
        assert_eq!(ask_text(&fleet.raw, &stale), "HD\r\nHD\r\n");
        let long = "x".repeat(65);
        let write = format!(
            "ma {key} b\r\nms {key} 1 b MA C1\r\nx\r\nms {key} 1 b MR Tx\r\nx\r\nms {key} 65 b ME\r\n{long}\r\n"
        );
        let told = ask_text(&fleet.py2, &write);
        assert!(
            told.contains("\r\nEX\r\nCLIENT_ERROR ") && told.ends_with("\r\nNS\r\n"),
            "{told}"
        );
        assert_eq!(
            ask_text(&fleet.py2, &format!("mg {key} b\r\n")),
            "HD X W\r\n"
        );
    }
}

// ---- several servers ----

const RECORDED: &str = include_str!("../fixtures/ketama.txt");

/// libmemcached's weighted ketama, written from its description: four points from
/// each MD5 of "host[:port]-n", the port left out if it is 11211.
struct Ketama(Vec<(u32, usize)>);

impl Ketama {
    fn new(servers: &[String]) -> Self {
        // In floats as the library does: each of 25 servers gets 39 digests, not 40.
        let count = f32::from(u16::try_from(servers.len()).expect("few servers"));
        let digests = f64::from(1.0 / count * 160.0 / 4.0 * count) + 1e-10;
        let mut points = Vec::new();
        for (index, server) in servers.iter().enumerate() {
            let host = match server.strip_prefix("unix:") {
                Some(path) => format!("{path}:0"),
                None => server.trim_end_matches(":11211").replace(['[', ']'], ""),
            };
            for n in (0..40).take_while(|n| f64::from(*n) + 1.0 <= digests) {
                let digest = Md5::digest(format!("{host}-{n}"));
                points.extend(
                    digest
                        .chunks_exact(4)
                        .map(|point| (first_word(point), index)),
                );
            }
        }
        points.sort_unstable();
        Self(points)
    }

    fn server_of(&self, key: &str) -> usize {
        let hash = first_word(&Md5::digest(key));
        let next = self.0.partition_point(|&(point, _)| point < hash);
        self.0[next % self.0.len()].1
    }
}

fn first_word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes[..4].try_into().expect("four bytes"))
}

/// Jenkins' one-at-a-time hash modulo the number of servers. libmemcached adds
/// its `char`s, so bytes from 0x80 count as negative.
fn modula(key: &str, servers: usize) -> usize {
    let mut hash = 0_u32;
    for byte in key.bytes() {
        hash = hash.wrapping_add_signed(byte.cast_signed().into());
        hash = hash.wrapping_add(hash << 10);
        hash ^= hash >> 6;
    }
    hash = hash.wrapping_add(hash << 3);
    hash ^= hash >> 11;
    hash.wrapping_add(hash << 15) as usize % servers
}

fn recorded_keys() -> impl Iterator<Item = &'static str> {
    RECORDED
        .lines()
        .filter_map(|line| line.strip_prefix("key "))
}

/// Each recorded server list, and the server of each key by `kind` of hashing.
fn recorded_choices(kind: &str) -> Vec<(Vec<String>, Vec<usize>)> {
    let (mut servers, mut choices) = (Vec::new(), Vec::new());
    for line in RECORDED.lines() {
        match line.split_once(' ') {
            Some(("servers", list)) => servers = list.split(' ').map(str::to_owned).collect(),
            Some((of, indexes)) if of == kind => {
                let indexes = indexes.chars().filter_map(|digit| digit.to_digit(36));
                choices.push((
                    servers.clone(),
                    indexes.map(|index| index as usize).collect(),
                ));
            }
            _ => {}
        }
    }
    choices
}

#[test]
fn the_expected_server_is_the_one_libmemcached_chose() {
    // The next test's servers have other ports each time; this ties them to the recording.
    let choices = recorded_choices("ketama");
    assert_eq!(choices.len(), 14);
    for (servers, expected) in choices {
        let ketama = Ketama::new(&servers);
        let found: Vec<_> = recorded_keys().map(|key| ketama.server_of(key)).collect();
        assert_eq!(found, expected, "{servers:?}");
    }
    for (servers, expected) in recorded_choices("modula") {
        let found: Vec<_> = recorded_keys()
            .map(|key| modula(key, servers.len()))
            .collect();
        assert_eq!(found, expected, "{servers:?}");
    }
}

#[test]
fn the_client_key_chooses_the_server_of_every_copy() {
    for hash in ["ketama", "modula"] {
        let memcacheds = [(); 3].map(|()| Memcached::start());
        let servers = memcacheds.each_ref().map(Memcached::addr);
        let ketama = Ketama::new(&servers);
        let (old, new) = (free_addr(), free_addr());
        let toml = Toml::new(&servers)
            .rule(MODES[2].0)
            .listener(&old, "python/2.7")
            .listener(&new, "python/3.11")
            .to_string()
            .replace("[upstream]", &format!("[upstream]\nhash = \"{hash}\""));
        let _gate = Picklegate::with_config(&toml);
        let (py2, py3) = (connect(&old), connect(&new));
        let raw = memcacheds.each_ref().map(Memcached::connect);

        // A reserved prefix or a long key has another physical name; not the subject here.
        let plain = recorded_keys().filter(|key| !key.starts_with(['@', '~']) && key.len() < 240);
        for key in plain {
            let set = format!("set {key} 0 0 1\r\n1\r\n");
            assert_eq!(
                ask_text(&py2, &set) + &ask_text(&py3, &set),
                "STORED\r\nSTORED\r\n"
            );
            let expected = match hash {
                "ketama" => ketama.server_of(key),
                _ => modula(key, servers.len()),
            };
            for (server, raw) in raw.iter().enumerate() {
                let copies = ask_text(raw, &format!("mg @py2//{key}\r\nmg @py3//{key}\r\n"));
                let here = if server == expected {
                    "HD\r\nHD\r\n"
                } else {
                    "EN\r\nEN\r\n"
                };
                assert_eq!(copies, here, "{key} on server {server}, {hash}");
            }
        }
        // A multi-get crosses servers; the order of its hits is nobody's promise.
        let reply = ask_text(&py3, "get key:3 key:1 key:2 key:4 key:1 key:none key:5\r\n");
        let hits = reply.strip_suffix("END\r\n").expect("END comes last, once");
        let mut hits: Vec<_> = hits.split_terminator("1\r\n1\r\n").collect();
        hits.sort_unstable();
        let expected = [1, 1, 2, 3, 4, 5].map(|key| format!("VALUE key:{key} 0 "));
        assert_eq!(hits, expected, "{hash}");
        // A delete finds the sibling where it is.
        assert_eq!(ask_text(&py2, "delete key:7\r\n"), "DELETED\r\n");
        assert_eq!(ask_text(&py3, "get key:7\r\n"), "END\r\n");
    }
}
