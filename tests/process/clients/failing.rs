//! One of two servers fails: it costs its keys, to every client, and no other.

use picklegate::policy::{Distribution, Ring};

use super::fleet::{Fleet, Side, pythons};
use crate::support::Memcached;

/// Keys of each of two servers.
fn keys(servers: &[String]) -> [String; 2] {
    let named = servers.iter().map(|addr| {
        let (host, port) = addr.rsplit_once(':').expect("an address has a port");
        (host, port.parse().expect("a port"))
    });
    let ring = Ring::new(Distribution::Ketama, &named.collect::<Vec<_>>());
    let of = |server: usize| {
        let keys = (0..).map(|n| format!("key:{n}"));
        let own = keys.filter(|key| ring.server(key.as_bytes()) == server);
        own.take(6).collect::<Vec<_>>().join(",")
    };
    [of(0), of(1)]
}

fn costs_its_keys_only(mut fails: impl FnMut(&mut Option<Memcached>)) {
    let Some(pythons) = pythons() else { return };
    let live = Memcached::start();
    let mut dead = Some(Memcached::start());
    let addrs = [&live, dead.as_ref().expect("it runs")].map(Memcached::addr);
    let [live_keys, dead_keys] = keys(&addrs);
    let sides = pythons.into_iter().map(Side::on_loopback).collect();
    let fleet = Fleet::on(
        sides,
        None,
        &addrs.each_ref().map(String::as_str),
        "mode = \"isolate\"\ncoherence = \"deletes\"\n",
        "",
    );
    let args = ["--live", &live_keys, "--dead", &dead_keys];
    fleet.all_in("failing.py", &[&["fill"][..], &args].concat());
    fails(&mut dead);
    fleet.all_in("failing.py", &[&["read"][..], &args].concat());
    let misses = fleet.metric("picklegate_requests_total", &["result=\"upstream_miss\""]);
    let errors = fleet.metric("picklegate_upstream_errors_total", &[]);
    println!("{misses} keys of the failed server were misses, {errors} requests failed");
    assert!(misses > 0 && errors > 0);
}

#[test]
fn a_dead_server_costs_its_keys_only() {
    costs_its_keys_only(|server| drop(server.take()));
}

#[test]
fn a_frozen_server_costs_its_keys_only() {
    costs_its_keys_only(|server| server.as_ref().expect("it runs").freeze());
}
