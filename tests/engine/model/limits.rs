//! Limits of the promises. The model finds each of these cases, which shows that the
//! promises are no weaker than they need to be.

use super::coherence::{NO_STALE_READ, Promise, Protocol, Races};
use super::stages::{
    Coherence, GUARD, ISOLATE, KNOWN_EPOCH, KNOWN_NAMESPACE, NEW_EPOCH, NEW_NAMESPACE,
    RAISED_EPOCH, SHARED, Stage,
};
use super::{explore, find, small};

/// With another promise than the coherence makes.
fn promising(promise: Promise, stages: &[Stage], coherence: Coherence) -> Protocol {
    Protocol {
        promise,
        ..small(stages, coherence)
    }
}

/// Walked up only, and never faster than requests are answered.
fn stepping(stages: &[Stage]) -> Protocol {
    Protocol {
        one_way: true,
        patient: true,
        ..small(stages, Coherence::Strict)
    }
}

/// A fill that read the database before a change and stores after it.
#[test]
fn memcached_alone_has_the_race_that_is_forgiven() {
    let alone = promising(Promise::AllStores, &[SHARED], Coherence::Deletes);
    explore(&alone.clone());
    find(
        NO_STALE_READ,
        &Protocol {
            races: Races::Reported,
            ..alone
        },
    );
}

/// While the whole fleet is at one stage, a version reads what it wrote.
#[test]
fn with_deletes_alone_a_version_reads_its_own_stores_at_one_stage() {
    for stage in [GUARD, ISOLATE] {
        explore(&promising(Promise::OwnStores, &[stage], Coherence::Deletes));
    }
}

/// A store at one stage leaves the copy of the other, which is read there: by the
/// same version through a sidecar that is a step behind, or after a step back.
#[test]
fn with_deletes_alone_a_version_may_miss_its_own_stores_across_a_step() {
    let stages = &[GUARD, ISOLATE];
    let protocol = promising(Promise::OwnStores, stages, Coherence::Deletes);
    find(
        NO_STALE_READ,
        &Protocol {
            one_way: true,
            patient: true,
            ..protocol
        },
    );
}

/// One client misses, another one's store is taken for its fill.
#[test]
fn fill_aware_takes_a_change_that_follows_a_miss_for_a_fill() {
    let stages = &[ISOLATE];
    let protocol = promising(Promise::AllStores, stages, Coherence::FillAware);
    find(NO_STALE_READ, &protocol);
}

/// The stale reader is then of the writer's own version, across a step.
#[test]
fn what_is_taken_for_a_fill_may_be_missed_by_its_version_across_a_step() {
    let one_stage = promising(Promise::OwnStores, &[ISOLATE], Coherence::FillAware);
    explore(&one_stage);
    let stages = &[GUARD, ISOLATE];
    let protocol = promising(Promise::OwnStores, stages, Coherence::FillAware);
    find(NO_STALE_READ, &protocol);
}

/// Deletes reach no sibling there, so isolating once more finds old copies.
#[test]
fn going_back_to_shared_and_in_again_revives_copies() {
    find(
        NO_STALE_READ,
        &Protocol {
            patient: true,
            ..small(&[SHARED, GUARD, ISOLATE], Coherence::Deletes)
        },
    );
}

/// A delete reaches the copies of the epochs that its sidecar knows.
#[test]
fn an_epoch_cannot_be_raised_in_one_step() {
    find(NO_STALE_READ, &stepping(&[ISOLATE, NEW_EPOCH]));
}

#[test]
fn an_epoch_can_be_raised_where_it_is_invalidated_before_and_after() {
    explore(&stepping(&[ISOLATE, KNOWN_EPOCH, RAISED_EPOCH, NEW_EPOCH]));
    explore(&small(&[KNOWN_EPOCH, RAISED_EPOCH], Coherence::Strict));
}

/// A delete cannot reach the copies of a namespace that its sidecar does not know.
#[test]
fn a_namespace_cannot_be_added_in_one_step() {
    find(NO_STALE_READ, &stepping(&[ISOLATE, NEW_NAMESPACE]));
}

#[test]
fn a_namespace_can_be_added_in_two_steps() {
    explore(&stepping(&[ISOLATE, KNOWN_NAMESPACE, NEW_NAMESPACE]));
    explore(&small(&[KNOWN_NAMESPACE, NEW_NAMESPACE], Coherence::Strict));
}
