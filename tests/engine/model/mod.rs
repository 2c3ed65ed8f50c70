//! The coherence of copies, explored: every interleaving of requests, of their
//! operations on memcached and of reloads that two sidecars and a few clients can
//! come to, within bounds that each test names.
//!
//! What the model takes from the real code, it takes by asking: configurations
//! are compiled, keys decided for, and one request of each kind is put through
//! the engine, which tells its operations, their order, when it answers and what
//! it hides (`stages.rs`, `record.rs`). The model adds memcached, time and
//! clients (`coherence.rs`, `locks.rs`).
//!
//! Properties:
//! - no stale read: a get that starts after a change was acknowledged returns no
//!   older version that was there when that change began. Changes are deletes,
//!   under `strict` all stores, under `fill-aware` those that are no fills;
//! - no wrong reader: under guard and isolate nobody gets a pickle that its
//!   version cannot load;
//! - no request carried out as another's, whatever a reload gives other numbers
//!   (`numbers.rs`);
//! - no lost lock: in a shared family an `add` makes one holder, and neither
//!   `incr` nor `cas` loses an update.
//!
//! `broken.rs` has wrong protocols, which are found; `limits.rs` what the right
//! one does not promise.

// A state has stages.
#![allow(clippy::similar_names)]

mod broken;
mod coherence;
mod limits;
mod locks;
mod numbers;
mod record;
mod stages;

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Path};

use coherence::{Promise, Protocol};
use stages::{
    Coherence, GUARD, HALF, ISOLATE, MIGRATION, OBSERVE, SHARED, Stage, Stages, client_key,
};

/// A model that can be explored.
trait Explored: Model<State: Known, Action: Known> + Clone + Send + Sync + 'static {}
impl<M: Model<State: Known, Action: Known> + Clone + Send + Sync + 'static> Explored for M {}

/// Traits that a checker needs of states and steps.
trait Known: Clone + Debug + Hash + PartialEq + Send + Sync {}
impl<T: Clone + Debug + Hash + PartialEq + Send + Sync> Known for T {}

type Found<M> = Option<(
    &'static str,
    Path<<M as Model>::State, <M as Model>::Action>,
)>;

/// Explores all of a model; it keeps its properties.
fn explore(model: &impl Explored) {
    if let Some((property, path)) = search(model, usize::MAX) {
        panic!("{property}:\n{}", told(model, path));
    }
}

/// Explores a model until it breaks a property, which is this one, and tells how
/// in as few steps as can be.
fn find<M: Explored>(property: &'static str, model: &M) {
    let (mut broken, mut path) = search(model, usize::MAX).expect("it is found");
    // The checker looks at states by the block, and keeps the last that it finds.
    while let Some(shorter) = search(model, path.clone().into_vec().len()) {
        (broken, path) = shorter;
    }
    println!("{broken}:\n{}", told(model, path));
    assert_eq!(broken, property);
}

/// Looks for a trace of less than so many states.
fn search<M: Explored>(model: &M, limit: usize) -> Found<M> {
    let begun = Instant::now();
    let checker = model.clone().checker().target_max_depth(limit);
    let until = HasDiscoveries::AnyFailures;
    let checker = checker.finish_when(until).spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    let seconds = begun.elapsed().as_secs_f64();
    let test = std::thread::current();
    let test = test.name().unwrap_or_default();
    println!("{test}: {states} states, {depth} deep, {seconds:.1} s");
    checker.discoveries().into_iter().next()
}

/// A trace in words.
fn told<M: Explored>(model: &M, path: Path<M::State, M::Action>) -> String {
    let steps = path.into_vec().into_iter();
    let lines = steps.map(|(state, step)| {
        let step = step.and_then(|step| model.format_step(&state, step));
        step.unwrap_or_else(|| format!("{state:?}"))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A protocol of these stages, for a key inside a rollout of 50 % or outside.
fn protocol(stages: &[Stage], coherence: Coherence, inside: bool) -> Protocol {
    let promise = match coherence {
        Coherence::Deletes => Promise::Deletes,
        Coherence::FillAware => Promise::NoFills,
        Coherence::Strict => Promise::AllStores,
    };
    let stages = Stages::new(stages, coherence, client_key(inside));
    Protocol {
        fill_aware: coherence == Coherence::FillAware,
        ..Protocol::new(stages, promise)
    }
}

/// A protocol with one change of the database.
fn small(stages: &[Stage], coherence: Coherence) -> Protocol {
    Protocol {
        writes: 1,
        ..protocol(stages, coherence, true)
    }
}

#[test]
fn deletes_are_coherent_at_every_stage() {
    explore(&protocol(&MIGRATION, Coherence::Deletes, true));
}

#[test]
fn deletes_are_coherent_outside_the_rollout() {
    explore(&Protocol {
        writes: 1,
        ..protocol(&MIGRATION, Coherence::Deletes, false)
    });
}

#[test]
fn strict_stores_are_coherent_at_every_stage() {
    explore(&protocol(&MIGRATION, Coherence::Strict, true));
}

#[test]
fn strict_stores_are_coherent_outside_the_rollout() {
    explore(&Protocol {
        writes: 1,
        ..protocol(&MIGRATION, Coherence::Strict, false)
    });
}

/// Guard and isolate have all the keys that there are.
#[test]
fn three_at_a_time_are_coherent() {
    for coherence in [Coherence::Deletes, Coherence::Strict] {
        explore(&Protocol {
            slots: 3,
            ..small(&[GUARD, ISOLATE], coherence)
        });
    }
}

#[test]
fn fill_aware_stores_are_coherent_but_for_fills() {
    explore(&small(&[GUARD, ISOLATE], Coherence::FillAware));
}

#[test]
fn conditional_stores_are_coherent_whatever_was_missed() {
    explore(&Protocol {
        has_cas: true,
        ..small(&[ISOLATE], Coherence::FillAware)
    });
    explore(&Protocol {
        has_cas: true,
        ..small(&[GUARD, ISOLATE], Coherence::Strict)
    });
}

#[test]
fn as_many_stores_as_there_were_misses_are_fills() {
    explore(&Protocol {
        most_misses: 2,
        ..small(&[ISOLATE], Coherence::FillAware)
    });
}

#[test]
fn fills_by_add_are_coherent() {
    for coherence in [Coherence::Deletes, Coherence::Strict] {
        explore(&Protocol {
            fills_add: true,
            ..small(&MIGRATION, coherence)
        });
    }
}

#[test]
fn what_is_read_through_is_coherent() {
    for coherence in [Coherence::Deletes, Coherence::Strict] {
        explore(&Protocol {
            read_through: true,
            ..small(&MIGRATION, coherence)
        });
    }
}

/// From no proxy at all, which is `shared`, to isolation, without a step back.
#[test]
fn the_way_in_is_coherent() {
    explore(&Protocol {
        one_way: true,
        patient: true,
        ..small(&[SHARED, OBSERVE, GUARD, HALF, ISOLATE], Coherence::Deletes)
    });
}
