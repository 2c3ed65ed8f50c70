//! Several servers or workers behind one proxy, and their statistics.

use std::net::TcpStream;

use super::{Proxy, SHARED, await_that, metrics, say, set, total, value};
use crate::support::toml::Toml;
use crate::support::{Memcached, Picklegate, ask_text, connect, free_addr};

#[test]
fn flush_all_and_stats_reach_both_servers() {
    let memcacheds = [Memcached::start(), Memcached::start()];
    let servers = memcacheds.each_ref().map(Memcached::addr);
    let proxy = Proxy::start(
        &servers,
        "mode = \"shared\"\n[admin_commands]\nflush_all = \"forward\"\n",
    );
    let client = proxy.connect();
    for key in 0..32 {
        say(&client, &set(&format!("k{key}"), b"1"), "STORED\r\n");
    }
    for memcached in &memcacheds {
        let stats = ask_text(&memcached.connect(), "stats\r\n");
        assert!(!stats.contains("STAT curr_items 0\r\n"));
    }
    let keys = (0..32)
        .map(|key| format!(" k{key}"))
        .collect::<Vec<_>>()
        .concat();
    let all = format!("get{keys}\r\n");
    assert_eq!(ask_text(&client, &all).matches("VALUE").count(), 32);
    say(&client, b"flush_all\r\n", "OK\r\n");
    say(&client, all.as_bytes(), "END\r\n");
    let stats = ask_text(&client, "stats\r\n");
    assert!(stats.contains("STAT cmd_set 32\r\n"), "{stats}");
    assert!(
        stats.ends_with("STAT servers 2\r\nSTAT servers_down 0\r\nEND\r\n"),
        "{stats}"
    );
}

#[test]
fn stats_of_one_server_are_forwarded() {
    let memcached = Memcached::start();
    let proxy = Proxy::of(&memcached, SHARED);
    let client = proxy.connect();
    let stats = ask_text(&client, "stats\r\n");
    assert!(stats.starts_with("STAT pid ") && stats.ends_with("\r\nEND\r\n"));
    let settings = ask_text(&client, "stats settings\r\n");
    assert!(settings.contains("STAT maxbytes ") && settings.ends_with("\r\nEND\r\n"));
}

#[test]
fn stats_of_its_own_are_those_of_all_workers() {
    let memcacheds = [Memcached::start(), Memcached::start()];
    let (listen, asks) = (free_addr(), free_addr());
    let servers = memcacheds.each_ref().map(Memcached::addr);
    let toml = Toml::new(&servers)
        .rule("mode = \"isolate\"")
        .table("server", "workers = 3")
        .listener(&listen, "py3")
        .listener_with(&asks, "identify = [\"hello\"]");
    let _gate = Picklegate::with_config(toml);
    let clients: Vec<TcpStream> = (0..6).map(|_| connect(&listen)).collect();
    for (n, client) in clients.iter().enumerate() {
        say(client, &set(&format!("k{n}"), b"1"), "STORED\r\n");
        say(client, b"get none\r\n", "END\r\n");
        say(client, format!("incr k{n} 1\r\n").as_bytes(), "2\r\n");
    }
    // Whoever looked whether it listens goes within moments.
    await_that("only the clients", || {
        ask_text(&clients[1], "stats picklegate\r\n").contains("STAT curr_connections 6\r\n")
    });
    // In its turn. What comes behind it may be counted already.
    let stats = ask_text(
        &clients[0],
        "version\r\nstats picklegate\r\ntouch none 0\r\n",
    );
    assert!(stats.starts_with("VERSION ") && stats.ends_with("\r\nEND\r\nNOT_FOUND\r\n"));
    // For those whom nobody knows, too.
    let unknown = ask_text(&connect(&asks), "stats picklegate\r\n");
    for line in [
        "set_stored 6",
        "get_miss 6",
        "incr_ok 6",
        "suspected_counter 6",
        "copies_absent 24",
        "curr_connections 6",
    ] {
        let line = format!("\r\nSTAT {line}\r\n");
        assert!(stats.contains(&line), "{line:?} in {stats}");
    }
    assert!(
        unknown.starts_with("STAT version ") && unknown.contains("STAT get_miss 6\r\n"),
        "{unknown}"
    );
}

#[test]
fn an_embedded_upstream_serves_both_listeners() {
    let (a, b) = (free_addr(), free_addr());
    let rule = "mode = \"isolate\"\nrollout = 100\ncoherence = \"deletes\"";
    let servers = ["embedded:64MiB".to_owned()];
    let _gate = Picklegate::with_config(
        Toml::new(&servers)
            .rule(rule)
            .listener(&a, "py2")
            .listener(&b, "py3"),
    );
    let (py2, py3) = (connect(&a), connect(&b));
    say(&py2, b"set k 0 0 3\r\nold\r\n", "STORED\r\n");
    say(&py3, b"get k\r\n", "END\r\n");
    say(&py3, b"set k 0 0 3\r\nnew\r\n", "STORED\r\n");
    say(&py2, b"get k\r\n", "VALUE k 0 3\r\nold\r\nEND\r\n");
    say(&py3, b"delete k\r\n", "DELETED\r\n");
    say(&py2, b"get k\r\n", "END\r\n");
}

#[test]
fn workers_have_their_share_of_connections() {
    let memcached = Memcached::start();
    let proxy = Proxy::of(&memcached, "mode = \"shared\"\n[server]\nworkers = 4\n");
    let shares = || -> Vec<u64> {
        let seen = metrics(&proxy.admin);
        let workers =
            (0..4).map(|worker| format!("picklegate_worker_connections{{worker=\"{worker}\"}}"));
        workers
            .map(|series| seen.get(&series).map_or(0, |count| count.parse().unwrap()))
            .collect()
    };
    let mut clients: Vec<TcpStream> = (0..62).map(|_| proxy.connect()).collect();
    await_that("every worker has its share", || {
        shares().iter().sum::<u64>() == 62 && shares().iter().all(|&share| share.abs_diff(15) <= 1)
    });
    // Whoever leaves, those who come fill the gaps.
    clients.drain(..40);
    proxy.await_metric("picklegate_connections", 22);
    clients.extend((0..40).map(|_| proxy.connect()));
    await_that("every worker has its share again", || {
        shares().iter().sum::<u64>() == 62 && shares().iter().all(|&share| share.abs_diff(15) <= 1)
    });
}

#[test]
fn two_workers_share_many_connections() {
    let memcached = Memcached::start();
    let proxy = Proxy::of(&memcached, "mode = \"shared\"\n[server]\nworkers = 2\n");
    let clients: Vec<TcpStream> = (0..64).map(|_| proxy.connect()).collect();
    for (at, client) in clients.iter().enumerate() {
        let key = format!("k{at}");
        say(client, &set(&key, key.as_bytes()), "STORED\r\n");
    }
    for (at, client) in clients.iter().enumerate() {
        // What another connection stored.
        let key = format!("k{}", (at + 1) % clients.len());
        let hit = String::from_utf8(value(&key, key.as_bytes())).unwrap();
        say(client, format!("get {key}\r\n").as_bytes(), &hit);
    }
    let metrics = metrics(&proxy.admin);
    assert_eq!(total(&metrics, "picklegate_connections"), 64);
    assert_eq!(total(&metrics, "picklegate_upstream_connections"), 4);
    assert_eq!(total(&metrics, "picklegate_requests_total"), 128);
}
