//! Wrong protocols, each found by the model.

use super::coherence::{Fault, NO_STALE_READ, NO_WRONG_READER, Protocol};
use super::stages::{Coherence, GUARD, ISOLATE, MIGRATION};
use super::{explore, find, small};

/// A small protocol with a fault.
fn broken(coherence: Coherence, fault: Fault) -> Protocol {
    let stages = match coherence {
        Coherence::FillAware => &[GUARD, ISOLATE][..],
        Coherence::Deletes | Coherence::Strict => &MIGRATION,
    };
    small(stages, coherence).with_fault(fault)
}

#[test]
fn deletes_that_reach_no_sibling_are_found() {
    let fault = Fault::DeletesStayAtHome;
    find(NO_STALE_READ, &broken(Coherence::Deletes, fault));
}

#[test]
fn deletes_that_reach_siblings_only_when_isolated_are_found() {
    let fault = Fault::DeletesReachOnlyWhenIsolated;
    find(NO_STALE_READ, &broken(Coherence::Deletes, fault));
}

#[test]
fn replies_before_the_siblings_are_deleted_are_found() {
    for coherence in [Coherence::Deletes, Coherence::Strict] {
        find(NO_STALE_READ, &broken(coherence, Fault::AcknowledgedEarly));
    }
}

#[test]
fn strict_stores_that_reach_no_sibling_are_found() {
    let fault = Fault::StoresStayAtHome;
    find(NO_STALE_READ, &broken(Coherence::Strict, fault));
}

#[test]
fn misses_that_are_not_used_up_are_found() {
    let fault = Fault::FillsNotUsedUp;
    find(NO_STALE_READ, &broken(Coherence::FillAware, fault));
}

#[test]
fn conditional_stores_that_count_as_fills_are_found() {
    let protocol = Protocol {
        has_cas: true,
        ..broken(Coherence::FillAware, Fault::ConditionalsFill)
    };
    find(NO_STALE_READ, &protocol);
}

#[test]
fn misses_that_count_for_any_namespace_are_found() {
    let fault = Fault::FillsOfAnyNamespace;
    find(NO_STALE_READ, &broken(Coherence::FillAware, fault));
}

/// A protocol that takes the siblings of a store from the configuration that came in
/// while the store was under way.
#[test]
fn second_steps_that_decide_anew_are_found() {
    let fault = Fault::SecondStepsDecideAnew;
    let protocol = Protocol {
        has_cas: true,
        ..broken(Coherence::Strict, fault)
    };
    find(NO_STALE_READ, &protocol);
}

#[test]
fn a_guard_that_shows_all_is_found() {
    let fault = Fault::GuardShowsAll;
    find(NO_WRONG_READER, &broken(Coherence::Deletes, fault));
}

/// Not wrong, as far as reads can tell. Storing first is right for another
/// reason: a conditional store must take effect before anything is deleted.
#[test]
fn siblings_could_as_well_be_deleted_first() {
    explore(&broken(Coherence::Strict, Fault::SiblingsFirst));
}
