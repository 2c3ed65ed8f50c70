//! Puts real Python fleets side by side behind picklegate: every Python that
//! `tests/setup` found, each with its own listener, namespace and memcache
//! clients, all on the same client keys. What a client must see is written in
//! `tests/process/clients/check.py`; here stands which side does what, and when.

mod crossing;
mod failing;
mod fleet;
mod stages;

use crate::support::Memcached;
use crate::support::pythons::Python;
use fleet::{Fleet, Side, Upstream, pythons};

const ISOLATE: &str = r#"mode = "isolate"
rollout = 100
coherence = "deletes"
"#;
const GUARD: &str = r#"mode = "guard"
sniff = "header"
on_unloadable_read = "miss"
"#;

macro_rules! on_each_upstream {
    ($($name:ident)*) => {
        mod memcached {
            $(#[test] fn $name() { super::$name(super::Upstream::Memcached); })*
        }
        mod embedded {
            $(#[test] fn $name() { super::$name(super::Upstream::Embedded); })*
        }
    };
}

on_each_upstream! {
    isolated_sides_read_back_exactly_what_they_wrote
    a_delete_by_one_side_is_a_miss_for_every_side
    a_guarded_reader_misses_only_protocols_it_does_not_know
    pickles_without_flags_are_guarded_when_bytes_are_detected
    a_rejected_write_is_a_plain_failure_and_the_old_value_is_gone
    observed_values_pass_byte_for_byte
    every_client_method_works_as_on_memcached_when_shared
    every_client_method_works_as_on_memcached_when_isolated
    a_denied_flush_all_fails_at_once_and_nothing_is_lost
}

#[test]
fn without_picklegate_the_sides_meet() {
    let Some(pythons) = pythons() else { return };
    let memcached = Memcached::start();
    let direct = |python: &Python| Side {
        at: memcached.addr(),
        ..Side::on_loopback(python.clone())
    };
    let args = ["fill", "--portable"];
    direct(&pythons[pythons.len() - 1]).check(&args);
    assert!(
        !direct(&pythons[0]).failures(&args).is_empty(),
        "the checks cannot tell a fleet that shares its keys"
    );
}

fn isolated_sides_read_back_exactly_what_they_wrote(on: Upstream) {
    let Some(fleet) = Fleet::start(on, ISOLATE, "") else {
        return;
    };
    fleet.all(&["fill"]);
    fleet.all(&["verify"]);
}

fn a_delete_by_one_side_is_a_miss_for_every_side(on: Upstream) {
    let Some(fleet) = Fleet::start(on, ISOLATE, "") else {
        return;
    };
    for deleter in [fleet.oldest(), fleet.newest()] {
        fleet.all(&["fill", "--portable"]);
        deleter.check(&["delete", "--portable"]);
        fleet.all(&["gone", "--portable"]);
    }
}

fn a_guarded_reader_misses_only_protocols_it_does_not_know(on: Upstream) {
    let Some(fleet) = Fleet::start(on, GUARD, "") else {
        return;
    };
    guarded(&fleet, "flags");
}

fn pickles_without_flags_are_guarded_when_bytes_are_detected(on: Upstream) {
    let Some(mut fleet) = Fleet::start(on, GUARD, "\n[pickle]\ndetect = \"both\"\n") else {
        return;
    };
    // The one such client is for Python 3.
    fleet.sides.retain(|side| side.python.major > 2);
    if !fleet.sides.is_empty() {
        guarded(&fleet, "raw");
    }
}

/// Everybody writes, everybody reads everybody's; then the oldest side adds
/// where it saw nothing of the newest's.
fn guarded(fleet: &Fleet, trait_: &str) {
    let common = ["--direct", &fleet.direct, "--traits", trait_];
    fleet.all_apart(&[&["fill", "--portable"][..], &common].concat());
    fleet.all(&[&["guarded", "--families", &fleet.versions()][..], &common].concat());
    let newest = fleet.newest().python.version();
    let refill = [&["refill", "--family", &newest][..], &common].concat();
    fleet.oldest().check(&refill);
}

fn a_rejected_write_is_a_plain_failure_and_the_old_value_is_gone(on: Upstream) {
    let rule = format!("{GUARD}on_unloadable_write = \"reject\"\n");
    let Some(fleet) = Fleet::start(on, &rule, "") else {
        return;
    };
    let limit = fleet.oldest().python.highest_protocol().to_string();
    fleet.all_apart(&["rejected", "--limit", &limit, "--traits", "flags"]);
}

fn observed_values_pass_byte_for_byte(on: Upstream) {
    let Some(fleet) = Fleet::start(on, "mode = \"observe\"\nsniff = \"header\"\n", "") else {
        return;
    };
    let direct = ["--direct", &fleet.direct];
    fleet.all_apart(&[&["untouched"][..], &direct].concat());
    fleet.all(&[&["served", "--families", &fleet.versions()][..], &direct].concat());
}

fn every_client_method_works_as_on_memcached_when_shared(on: Upstream) {
    conform(on, "mode = \"shared\"\n");
}

fn every_client_method_works_as_on_memcached_when_isolated(on: Upstream) {
    conform(on, ISOLATE);
}

/// Compares with a second memcached, one side after the other: the steps end
/// with a flush.
fn conform(on: Upstream, rule: &str) {
    let Some(fleet) = Fleet::start(on, rule, "\n[admin_commands]\nflush_all = \"forward\"\n")
    else {
        return;
    };
    let alone = Memcached::start();
    for side in &fleet.sides {
        side.check(&["conform", "--direct", &alone.addr()]);
    }
}

fn a_denied_flush_all_fails_at_once_and_nothing_is_lost(on: Upstream) {
    let Some(fleet) = Fleet::start(on, ISOLATE, "\n[admin_commands]\nflush_all = \"deny\"\n")
    else {
        return;
    };
    fleet.all(&["denied"]);
}

#[test]
fn unix_sockets_serve_on_both_ends() {
    let Some(pythons) = pythons() else { return };
    let directory = tempfile::tempdir().expect("a writable temporary directory");
    let socket = |name: &str| directory.path().join(name).display().to_string();
    let sides = pythons
        .into_iter()
        .map(|python| Side {
            at: format!("unix:{}", socket(&python.version())),
            inventory: None,
            python,
        })
        .collect();
    let upstream = socket("memcached");
    let memcached = Memcached::unix(&upstream);
    let fleet = Fleet::on(
        sides,
        Some(memcached),
        &[&format!("unix:{upstream}")],
        ISOLATE,
        "",
    );
    fleet.all(&["fill", "--portable"]);
    fleet.all(&["verify", "--portable"]);
}
