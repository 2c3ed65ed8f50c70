//! A migration simulated: the real engines of two sidecars before the same caches,
//! clients of both Pythons on both, and a walk through the stages of a rollout with
//! reloads in the middle of traffic. All streams are cut anywhere, lanes are lost,
//! clients leave, the clock steps; one seed decides about all of it.
//!
//! `reference.rs` says what must hold. Each life's seed is printed, and
//! `PICKLEGATE_SEED` replays it. No expiry and no eviction: caches forget nothing.

mod client;
mod numbers;
mod reference;
mod stages;
mod value;
mod world;

use reference::{Coherence, Counts};
use world::World;

/// Lives of a test, and the moves in each.
const LIVES: u64 = 10;
const MOVES: u64 = 20_000;
/// Lives in which nothing goes wrong but that clients leave.
const CALM_LIVES: u64 = 16;

/// Events that each test must contain, or it would show nothing.
const KINDS: [&str; 22] = [
    "changes in doubt",
    "clock steps",
    "connections closed",
    "copies of others served",
    "counts",
    "deletes",
    "deletes of nobody in particular",
    "errors",
    "fills",
    "hits, guarded",
    "hits, unloadable",
    "lanes that were late",
    "locks",
    "reloads",
    "requests of lost connections",
    "resets with reads tried again",
    "siblings deleted",
    "stale candidates",
    "stores rejected",
    "values hidden",
    "values looked at apart",
    "waits for room to look",
];

fn run(coherence: Coherence, kinds: &[&str]) {
    if let Ok(seed) = std::env::var("PICKLEGATE_SEED") {
        let world = World::new(seed.parse().expect("a number"), coherence);
        println!("{}", world.run(MOVES));
        return;
    }
    let mut counts = Counts::default();
    let first = fastrand::u64(..u64::MAX - LIVES);
    for seed in first..first + LIVES {
        counts.merge(&World::new(seed, coherence).run(MOVES));
    }
    println!("{coherence:?}:\n{counts}");
    for kind in KINDS.iter().chain(kinds) {
        assert!(counts.of(kind) > 0, "no {kind}:\n{counts}");
    }
}

/// A client that is gone is told nothing; what it changed is changed for all.
#[test]
fn a_change_reaches_every_copy_whoever_is_left_to_hear_of_it() {
    let first = match std::env::var("PICKLEGATE_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => fastrand::u64(..u64::MAX - CALM_LIVES),
    };
    let mut counts = Counts::default();
    for seed in first..first + CALM_LIVES {
        counts.merge(&World::calm(seed).run_calm(MOVES));
    }
    println!("{counts}");
    for kind in [
        "connections closed",
        "changes in doubt",
        "conditional writes of clients that went at once",
        "deletes of nobody in particular",
        "keys with one copy of several",
        "reloads",
    ] {
        assert!(counts.of(kind) > 0, "no {kind}:\n{counts}");
    }
}

#[test]
fn no_copy_outlives_a_delete() {
    run(Coherence::Deletes, &[]);
}

#[test]
fn no_copy_outlives_a_change_but_by_a_fill() {
    run(Coherence::FillAware, &["stores that change"]);
}

#[test]
fn no_copy_outlives_a_store() {
    run(Coherence::Strict, &["stores that change"]);
}
