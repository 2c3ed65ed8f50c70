//! Metrics: counts that add up, each request counted once.

use std::net::TcpStream;

use super::{Metrics, PICKLE_4, Proxy, SHARED, await_that, metrics, say, total};
use crate::support::toml::Toml;
use crate::support::{Memcached, Picklegate, connect, free_addr, free_port, roundtrip};

/// Two listeners, isolated keys, guarded ones, and guarded ones that reject.
const RULES: &str = r#"
mode = "isolate"
rollout = 100
coherence = "deletes"
[[rules]]
prefix = "guard:"
mode = "guard"
[[rules]]
prefix = "reject:"
mode = "guard"
on_unloadable_write = "reject"
"#;

fn scripted_traffic(py2: &TcpStream, py3: &TcpStream) {
    let pickle = |key: &str| {
        let head = format!("set {key} 1 0 {}\r\n", PICKLE_4.len());
        [head.as_bytes(), PICKLE_4, b"\r\n"].concat()
    };
    say(py2, b"set k 0 0 1\r\n2\r\n", "STORED\r\n");
    say(py3, b"set k 0 0 1\r\n3\r\n", "STORED\r\n");
    say(py2, b"get k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n");
    say(py2, b"get none\r\n", "END\r\n");
    let twice = "VALUE k 0 1\r\n2\r\nVALUE k 0 1\r\n2\r\nEND\r\n";
    say(py2, b"get k none k\r\n", twice);
    say(py3, b"mg none v\r\n", "EN\r\n");
    say(py3, b"delete k\r\n", "DELETED\r\n");
    say(py3, b"delete k\r\n", "NOT_FOUND\r\n");
    say(py3, &pickle("guard:v"), "STORED\r\n");
    say(py2, b"get guard:v\r\n", "END\r\n");
    let head = "VALUE guard:v 1 4\r\n";
    let hit = roundtrip(py3, b"get guard:v\r\n", b"END\r\n");
    assert_eq!(hit, [head.as_bytes(), PICKLE_4, b"\r\nEND\r\n"].concat());
    say(py3, &pickle("reject:v"), "NOT_STORED\r\n");
    say(py2, b"bogus\r\n", "ERROR\r\n");
    say(
        py2,
        b"incr k x\r\n",
        "CLIENT_ERROR invalid numeric delta argument\r\n",
    );
    say(py2, b"add a 0 0 1\r\n1\r\n", "STORED\r\n");
    say(py2, b"add a 0 0 1\r\n1\r\n", "NOT_STORED\r\n");
}

/// All counters that are not 0 after [`scripted_traffic`]: `(series, count)`.
fn scripted_counts(a: &str, b: &str, server: &str) -> Metrics {
    let requests = [
        (a, "py2", "add", "not_stored", 1),
        (a, "py2", "add", "stored", 1),
        (a, "py2", "get", "hidden", 1),
        (a, "py2", "get", "hit", 3),
        (a, "py2", "get", "miss", 2),
        (a, "py2", "incr", "error", 1),
        (a, "py2", "other", "error", 1),
        (a, "py2", "set", "stored", 1),
        (b, "py3", "delete", "not_found", 1),
        (b, "py3", "delete", "ok", 1),
        (b, "py3", "get", "hit", 1),
        (b, "py3", "mg", "miss", 1),
        (b, "py3", "set", "rejected", 1),
        (b, "py3", "set", "stored", 2),
    ];
    let requests = requests.map(|(listener, namespace, command, result, count)| {
        let labels = format!(
            "listener=\"{listener}\",namespace=\"{namespace}\",command=\"{command}\",result=\"{result}\""
        );
        (format!("requests_total{{{labels}}}"), count)
    });
    let others = [
        // Two deletes of py3, its rejected store, and one that it stored.
        (
            r#"invalidations_total{origin="py3",target="bare",result="absent"}"#,
            3,
        ),
        (
            r#"invalidations_total{origin="py3",target="py2",result="absent"}"#,
            3,
        ),
        (
            r#"invalidations_total{origin="py3",target="py2",result="deleted"}"#,
            1,
        ),
        (
            r#"invalidations_total{origin="py3",target="py3",result="absent"}"#,
            2,
        ),
        (
            r#"suspected_split_total{namespace="py2",kind="counter"}"#,
            1,
        ),
        (r#"suspected_split_total{namespace="py2",kind="lock"}"#, 2),
        (
            r#"pickle_values_total{namespace="py2",direction="read",protocol="4"}"#,
            1,
        ),
        (
            r#"pickle_values_total{namespace="py3",direction="read",protocol="4"}"#,
            1,
        ),
        (
            r#"pickle_values_total{namespace="py3",direction="write",protocol="4"}"#,
            2,
        ),
        (
            r#"not_loadable_values_total{namespace="py2",direction="read",reason="protocol"}"#,
            1,
        ),
        (
            r#"not_loadable_values_total{namespace="py3",direction="write",reason="protocol"}"#,
            2,
        ),
        (
            r#"rejected_writes_total{namespace="py3",reason="protocol"}"#,
            1,
        ),
        (
            r#"cross_version_reads_total{writer="python/3",reader="py2",verdict="unloadable",action="hidden"}"#,
            1,
        ),
        (
            r#"cross_version_reads_total{writer="python/3",reader="py3",verdict="loadable",action="served"}"#,
            1,
        ),
    ];
    let others = others.map(|(series, count)| (series.to_owned(), count));
    // 3 stores, 2 copies that one of them deletes, 8 keys read, 3 copies for each delete and for the rejected
    // store, incr, and 2 adds: what is in the way of one that may be a lock is not looked at.
    let upstream = (
        format!("upstream_requests_total{{server=\"{server}\"}}"),
        25,
    );
    let all = requests.into_iter().chain(others).chain([upstream]);
    all.map(|(series, count)| (format!("picklegate_{series}"), count.to_string()))
        .collect()
}

#[test]
fn metrics_add_up() {
    let memcached = Memcached::start();
    let (a, b, admin) = (free_addr(), free_addr(), free_addr());
    let toml = Toml::new(&[memcached.addr()])
        .rule(RULES)
        .listener(&a, "py2")
        .listener(&b, "py3")
        .admin(&admin);
    let _gate = Picklegate::with_config(toml);
    let (py2, py3) = (connect(&a), connect(&b));
    scripted_traffic(&py2, &py3);
    await_that("only two connections", || {
        total(&metrics(&admin), "picklegate_connections") == 2
    });

    let seen = metrics(&admin);
    let named = |suffix: &str| -> Metrics {
        let is_named = |series: &str| {
            series
                .split('{')
                .next()
                .unwrap_or_default()
                .ends_with(suffix)
        };
        let chosen = seen.iter().filter(|(series, _)| is_named(series));
        chosen
            .map(|(series, count)| (series.clone(), count.clone()))
            .collect()
    };
    let mut counts = named("_total");
    counts.retain(|_, count| count != "0");
    assert_eq!(counts, scripted_counts(&a, &b, &memcached.addr()));
    let durations = [
        ("add", 2),
        ("delete", 2),
        ("get", 5),
        ("incr", 1),
        ("mg", 1),
        ("other", 1),
        ("set", 4),
    ];
    let durations = durations.map(|(command, count)| {
        let series = format!("picklegate_request_duration_seconds_count{{command=\"{command}\"}}");
        (series, count.to_string())
    });
    assert_eq!(named("_seconds_count"), Metrics::from(durations));
    let clients = [(&a, "py2"), (&b, "py3")].map(|(listener, namespace)| {
        let labels = format!("listener=\"{listener}\",namespace=\"{namespace}\"");
        (
            format!("picklegate_connections{{{labels}}}"),
            "1".to_owned(),
        )
    });
    assert_eq!(named("picklegate_connections"), Metrics::from(clients));
    assert_eq!(total(&seen, "picklegate_upstream_connections"), 2);
    assert_eq!(total(&seen, "picklegate_upstream_in_flight"), 0);
    assert_eq!(metrics(&admin), seen);
}

#[test]
fn a_refused_store_that_fails_counts_once() {
    let rule = "mode = \"guard\"\non_unloadable_write = \"reject\"";
    let proxy = Proxy::start(&[format!("127.0.0.1:{}", free_port())], rule);
    let client = proxy.connect();
    let request = [&b"set k 1 0 4\r\n"[..], PICKLE_4, b"\r\n"].concat();
    let reply = roundtrip(&client, &request, b"\r\n");
    assert!(reply.starts_with(b"SERVER_ERROR picklegate: upstream "));
    let metrics = metrics(&proxy.admin);
    assert_eq!(
        total(&metrics, "picklegate_requests_total"),
        1,
        "{metrics:?}"
    );
}

#[test]
fn a_request_over_two_servers_counts_once() {
    let memcacheds = [Memcached::start(), Memcached::start()];
    let servers = memcacheds.each_ref().map(Memcached::addr);
    let proxy = Proxy::start(&servers, SHARED);
    let keys = (0..32)
        .map(|key| format!(" k{key}"))
        .collect::<Vec<_>>()
        .concat();
    say(
        &proxy.connect(),
        format!("get{keys}\r\n").as_bytes(),
        "END\r\n",
    );
    let metrics = metrics(&proxy.admin);
    assert_eq!(total(&metrics, "picklegate_requests_total"), 32);
    assert_eq!(total(&metrics, "picklegate_upstream_requests_total"), 32);
    assert_eq!(
        total(&metrics, "picklegate_request_duration_seconds_count"),
        1
    );
}
