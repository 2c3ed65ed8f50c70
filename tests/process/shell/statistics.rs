//! `stats` over several servers, by the clients that people ask with.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::pythons::Python;
use crate::support::toml::Toml;
use crate::support::{Memcached, Picklegate, ask_text, connect, free_addr};

const SHARED: &str = "mode = \"shared\"\n";

fn figure(stats: &Value, name: &str) -> u64 {
    let figure = stats[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {stats:#}"));
    figure
        .parse()
        .unwrap_or_else(|_| panic!("{name} is {figure}"))
}

/// Statistics that a client sees on a server itself, or behind picklegate.
fn seen(addr: &str, section: &str) -> Value {
    let reply = ask_text(&connect(addr), &format!("stats{section}\r\n"));
    let lines = reply.strip_suffix("END\r\n").expect("END comes last");
    let stats = lines.lines().map(|line| {
        let mut words = line.splitn(3, ' ').skip(1).map(str::to_owned);
        let name = words.next().expect("a name");
        (name, Value::from(words.next().expect("a value")))
    });
    Value::Object(stats.collect())
}

#[test]
fn get_stats_of_real_clients_work_over_several_servers_and_a_dead_one() {
    let memcacheds = [Memcached::start(), Memcached::start()];
    let dead = free_addr();
    let mut servers = memcacheds.each_ref().map(Memcached::addr).to_vec();
    servers.push(dead.clone());
    let listen = free_addr();
    let _gate = Picklegate::with_config(Toml::new(&servers).rule(SHARED).listener(&listen, "py3"));
    let client = connect(&listen);
    let set = |key| format!("set k{key} 0 0 1\r\n1\r\n");
    let sets = (0..60).map(set).collect::<Vec<_>>().concat();
    ask_text(&client, &sets);
    let sum = |section: &str, name: &str| -> u64 {
        let of = |server: &String| figure(&seen(server, section), name);
        servers[..2].iter().map(of).sum()
    };
    let items = sum("", "curr_items");
    assert!(items > 0 && items < 60, "{items}");
    let check = |[general, settings, items_of, slabs]: &[Value; 4]| {
        assert_eq!(figure(general, "curr_items"), items);
        assert_eq!(figure(general, "limit_maxbytes"), sum("", "limit_maxbytes"));
        assert_eq!(figure(general, "servers"), 3);
        assert_eq!(figure(general, "servers_down"), 1);
        assert_eq!(figure(general, &format!("down@{dead}")), 1);
        assert_eq!(general["version"], seen(&servers[0], "")["version"]);
        assert_eq!(figure(settings, "maxbytes"), sum(" settings", "maxbytes"));
        assert_eq!(figure(items_of, "items:1:number"), items);
        assert_eq!(figure(slabs, "1:chunk_size"), 96);
    };
    check(&["", " settings", " items", " slabs"].map(|section| seen(&listen, section)));
    let pythons = Python::all();
    if pythons.is_empty() {
        eprintln!(
            "tests/process/shell: skipped: clients (no Python environments: run tests/setup)"
        );
    }
    for python in pythons.iter().take(1).chain(pythons.last()) {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/process/shell/statistics.py");
        let ran = python.run(&script, &[&listen], Duration::from_secs(60));
        let ran = ran.expect("it ends");
        assert!(ran.success, "{}", ran.stderr);
        let found: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let found = found.as_object().expect("clients");
        assert!(found.len() >= 2, "{found:?}");
        for (name, sections) in found {
            println!("Python {}: {name}", python.version());
            let sections = sections.as_array().expect("four of them").clone();
            if name == "pylibmc" {
                // Its library gives what it knows the names of.
                assert_eq!(figure(&sections[0], "curr_items"), items);
                assert_eq!(sections[0]["version"], seen(&servers[0], "")["version"]);
                continue;
            }
            check(&sections.try_into().expect("four of them"));
        }
    }
}

#[test]
fn a_server_that_stands_still_leaves_the_others_figures_in_time() {
    let memcacheds = [Memcached::start(), Memcached::start()];
    let servers = memcacheds.each_ref().map(Memcached::addr).to_vec();
    let listen = free_addr();
    let limits = "[limits]\nrequest_timeout_ms = 700\n";
    let rule = format!("{SHARED}{limits}");
    let _gate = Picklegate::with_config(Toml::new(&servers).rule(&rule).listener(&listen, "py3"));
    assert_eq!(figure(&seen(&listen, ""), "servers_down"), 0);
    memcacheds[1].freeze();
    let asked = Instant::now();
    let stats = seen(&listen, "");
    assert!(
        asked.elapsed() < Duration::from_millis(2500),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(figure(&stats, "servers_down"), 1);
    assert_eq!(
        figure(&stats, "max_connections"),
        figure(&seen(&servers[0], ""), "max_connections")
    );
    memcacheds[1].thaw();
    // What was asked behind it comes behind it.
    let both = ask_text(
        &connect(&listen),
        "stats\r\nversion\r\nstats items\r\nget k\r\n",
    );
    let ends: Vec<_> = both
        .lines()
        .filter(|line| !line.starts_with("STAT"))
        .collect();
    assert_eq!(ends.len(), 4, "{both}");
    assert!(ends[1].starts_with("VERSION "), "{both}");
}

/// python-memcached waits for END, whatever else is said.
#[test]
fn get_stats_of_real_clients_say_that_the_only_server_is_down() {
    let dead = free_addr();
    let listen = free_addr();
    let servers = [dead.clone()];
    let _gate = Picklegate::with_config(Toml::new(&servers).rule(SHARED).listener(&listen, "py3"));
    let check = |stats: &Value| {
        assert_eq!(figure(stats, "servers"), 1);
        assert_eq!(figure(stats, "servers_down"), 1);
        assert_eq!(figure(stats, &format!("down@{dead}")), 1);
    };
    for section in ["", " settings", " items", " slabs", " conns"] {
        check(&seen(&listen, section));
    }
    let pythons = Python::all();
    if pythons.is_empty() {
        eprintln!(
            "tests/process/shell: skipped: clients (no Python environments: run tests/setup)"
        );
    }
    for python in pythons.iter().take(1).chain(pythons.last()) {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/process/shell/statistics.py");
        let asked = Instant::now();
        let ran = python.run(&script, &[&listen], Duration::from_secs(60));
        let ran = ran.expect("it ends");
        assert!(ran.success, "{}", ran.stderr);
        // python-memcached would have waited for 3 s, four times.
        assert!(asked.elapsed() < Duration::from_secs(10));
        let found: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let found = found.as_object().expect("clients");
        assert!(found.len() >= 2, "{found:?}");
        for (name, sections) in found {
            println!("Python {}: {name}", python.version());
            // pylibmc's library gives what it knows the names of.
            if name != "pylibmc" {
                let sections = sections.as_array().expect("four of them");
                sections.iter().for_each(check);
            }
        }
    }
}
