//! The admin address changes nothing, whoever asks it for what, and tells nothing
//! to pages of other origins.

use std::fs;
use std::io::{Read as _, Write as _};

use crate::support::admin;
use crate::support::toml::Toml;
use crate::support::{Memcached, Picklegate, connect, free_addr, roundtrip};

/// All paths that there are.
const PATHS: [&str; 10] = [
    "/",
    "/page.css",
    "/page.js",
    "/icon.svg",
    "/metrics",
    "/status",
    "/families",
    "/advise",
    "/live",
    "/ready",
];

struct Rig {
    admin: String,
    _memcached: Memcached,
    _gate: Picklegate,
}

impl Rig {
    fn start() -> Self {
        let memcached = Memcached::start();
        let [listen, admin] = std::array::from_fn(|_| free_addr());
        let toml = Toml::new(&[memcached.addr()])
            .rule("mode = \"isolate\"")
            .listener(&listen, "python/3.11")
            .admin(&admin);
        let gate = Picklegate::with_config(toml);
        Self {
            admin,
            _memcached: memcached,
            _gate: gate,
        }
    }

    /// The head of an answer, and its body.
    fn ask(&self, method: &str, path: &str, headers: &str) -> (String, String) {
        let mut stream = connect(&self.admin);
        let request = format!("{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        (head.to_ascii_lowercase(), body.to_owned())
    }

    fn code(&self, method: &str, path: &str, headers: &str) -> u16 {
        let (head, _) = self.ask(method, path, headers);
        let code = head.split(' ').nth(1).expect("a status line");
        code.parse().expect("a number")
    }
}

#[test]
fn every_path_is_known_here() {
    let mut known = Vec::new();
    for file in ["src/server/admin/mod.rs", "src/server/admin/page/mod.rs"] {
        let text = fs::read_to_string(file).expect("sources are text");
        let code = text.split("#[cfg(test)]").next().expect("a first part");
        let paths = code.split('"').filter(|word| {
            let is_word = |b: u8| b.is_ascii_lowercase() || b".".contains(&b);
            word.starts_with('/') && word[1..].bytes().all(is_word)
        });
        known.extend(paths.map(str::to_owned));
    }
    known.sort_unstable();
    let mut paths = PATHS;
    paths.sort_unstable();
    assert_eq!(known, paths);
}

#[test]
fn whatever_would_change_something_is_refused() {
    let rig = Rig::start();
    let state = || {
        let mut status = admin::status(&rig.admin);
        // What passes by itself.
        let fields = status.as_object_mut().expect("an object");
        fields.retain(|name, _| ["config", "rules", "listeners"].contains(&&**name));
        status
    };
    let before = state();
    for path in PATHS {
        for method in [
            "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FLUSH",
        ] {
            let headers = "Host: localhost\r\nContent-Length: 0\r\n";
            assert_eq!(rig.code(method, path, headers), 405, "{method} {path}");
        }
        for method in ["GET", "HEAD"] {
            assert_eq!(
                rig.code(method, path, "Host: localhost\r\n"),
                200,
                "{method} {path}"
            );
        }
    }
    for path in [
        "/reload",
        "/-/reload",
        "/-/quit",
        "/config",
        "/flush_all",
        "//",
        "/../etc/passwd",
    ] {
        for method in ["GET", "POST"] {
            let headers = "Host: localhost\r\nContent-Length: 0\r\n";
            assert_eq!(rig.code(method, path, headers), 404, "{method} {path}");
        }
    }
    // What a query or a body asks for is not looked at.
    assert_eq!(
        rig.code("GET", "/status?reload=1&mode=shared", "Host: localhost\r\n"),
        200
    );
    assert_eq!(state(), before);
}

#[test]
fn pages_of_other_origins_are_told_nothing() {
    let rig = Rig::start();
    for path in PATHS {
        let headers = "Host: localhost\r\nOrigin: http://evil.example\r\n";
        let (head, _) = rig.ask("GET", path, headers);
        // A browser keeps the answer to itself, then.
        assert!(!head.contains("access-control-"), "{path}: {head}");
    }
    let (head, _) = rig.ask("GET", "/", "Host: localhost\r\n");
    assert!(head.contains("frame-ancestors 'none'"), "{head}");
    // Nor is a domain that leads here, which is the page's own origin.
    for host in [
        "evil.example",
        "evil.example:9151",
        "127.0.0.1.evil.example",
        "evil.example.",
        "a b",
    ] {
        for path in PATHS {
            assert_eq!(
                rig.code("GET", path, &format!("Host: {host}\r\n")),
                421,
                "{host}"
            );
        }
    }
    let by_address = rig.admin.clone();
    for host in [
        &*by_address,
        "127.0.0.1",
        "[::1]:9151",
        "localhost:9151",
        "pod",
        "app.localhost",
    ] {
        assert_eq!(
            rig.code("GET", "/live", &format!("Host: {host}\r\n")),
            200,
            "{host}"
        );
    }
}

/// An application with Django's `KEY_PREFIX = "shop"` under two Pythons.
#[test]
fn one_lock_and_one_counter_of_an_application_do_not_share_all_of_it() {
    let memcached = Memcached::start();
    let [py2, py3, admin] = std::array::from_fn(|_| free_addr());
    let toml = Toml::new(&[memcached.addr()])
        .rule("mode = \"guard\"")
        .listener(&py2, "python/2.7")
        .listener(&py3, "python/3.11")
        .admin(&admin);
    let _gate = Picklegate::with_config(toml);
    let [py2, py3] = [py2, py3].map(|addr| connect(&addr));
    roundtrip(
        &py3,
        b"add shop:1:lock:report 0 0 1\r\n1\r\n",
        b"STORED\r\n",
    );
    roundtrip(
        &py3,
        b"set shop:1:user:42:count 0 0 1\r\n1\r\n",
        b"STORED\r\n",
    );
    roundtrip(&py2, b"incr shop:1:user:42:count 1\r\n", b"2\r\n");
    for id in 0..9 {
        let line = format!("set shop:1:cart:{id}:items 1 0 4\r\n");
        let cart = [line.as_bytes(), b"\x80\x04N.\r\n"].concat();
        roundtrip(&py3, &cart, b"STORED\r\n");
        roundtrip(
            &py2,
            format!("get shop:1:cart:{id}:items\r\n").as_bytes(),
            b"END\r\n",
        );
    }
    let (status, families) = admin::page(&admin, "/families");
    assert_eq!(status, 200);
    let json: serde_json::Value = serde_json::from_str(&families).expect("it is JSON");
    let mut told: Vec<_> = json["families"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|f| {
            format!(
                "{} {} {} {}",
                f["family"], f["shape"], f["starts"], f["advice"]
            )
        })
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            r#""shop:#:cart:" "prefix" ["shop:1:cart:"] "isolate""#,
            r#""shop:#:lock:" "prefix" ["shop:1:lock:"] "share""#,
            r#""shop:#:user:*:count" "ends" ["shop:1:user:"] "share""#,
        ]
    );
    let carts = &json["families"].as_array().expect("a list")[0];
    assert_eq!(carts["unloadable"]["protocol"], 18, "{carts}");
    let (_, advice) = admin::page(&admin, "/advise");
    let table: toml::Table = advice.parse().expect("it is TOML");
    let rules = table["rules"].as_array().expect("a list").iter();
    let prefixes: Vec<_> = rules.map(|rule| rule["prefix"].as_str()).collect();
    assert_eq!(prefixes, [Some("shop:1:lock:"), Some("")], "{advice}");
    assert!(advice.contains("no prefix is its alone"), "{advice}");
}
