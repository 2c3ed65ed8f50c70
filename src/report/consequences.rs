//! The consequences of a rule, in words: all of them for a family of keys, and those for
//! one key. Every report on rules takes its words from here, so that none says otherwise.

use crate::engine::FILL_WINDOW_US;
use crate::policy::{BUCKETS, Look, OnMiss, Plan, Plans, Reach, Whole, WriteKind};
use crate::protocol::request::Verb;

/// Describes a rule's effect on keys, values, changes and failures, for clients with a
/// tag, and for isolated keys if there are any.
pub(super) fn of_rule(plans: &Plans) -> String {
    let plan = &plans.inside;
    let mut parts = vec![copies(plans)];
    let mut say = |what: &str| parts.push(what.to_owned());
    match plan.look {
        _ if !plan.has_others() => say("nothing is looked at"),
        Look::Away => {
            say("values are not looked at: everybody gets them, and nothing is known of them");
        }
        _ if !plan.guards() => say("values are counted"),
        look => {
            say(reads(look));
            if matches!(look, Look::Whole(whole) if whole.contains(Whole::HIDE_UNKNOWN)) {
                say("values that nothing proves loadable are misses");
            }
            say(if plan.rejects {
                "unloadable stores are rejected"
            } else {
                "unloadable stores are accepted"
            });
            if plan.rejects_unknown {
                say("stores that nothing proves loadable are rejected");
            }
        }
    }
    match plan.look {
        Look::Count | Look::Hide => say(
            "only the protocol of values is looked at: dates of Python 2, and classes that \
             the reader lacks, are not seen",
        ),
        Look::Whole(whole) if whole.intersects(Whole::FIREWALL) => {
            let named = if whole.contains(Whole::ALLOW) {
                "not allowed"
            } else {
                "denied"
            };
            let fate = if whole.contains(Whole::ENFORCE) {
                "refused"
            } else {
                "counted and served"
            };
            say(&format!("pickles that name what is {named} are {fate}"));
        }
        Look::Whole(_) | Look::Away => {}
    }
    if plan.has_others() {
        say(changes(plan));
    }
    let on_miss = plan.on_miss(Verb::Get);
    if on_miss.contains(OnMiss::THROUGH) {
        say("a miss reads another copy that can be loaded");
    }
    if !on_miss.contains(OnMiss::SOFT) {
        say("a read whose server failed is an error");
    }
    parts.join("; ")
}

fn copies(plans: &Plans) -> String {
    if !plans.inside.isolates() {
        return "one copy for all".to_owned();
    }
    match plans.isolated() {
        BUCKETS => "a copy for each namespace".to_owned(),
        isolated => {
            let percent = isolated * 100 / BUCKETS;
            format!(
                "{percent} % of the keys have a copy for each namespace, the others one for all"
            )
        }
    }
}

fn reads(look: Look) -> &'static str {
    match look {
        Look::Whole(whole) if whole.contains(Whole::TRANSCODE) => {
            "unloadable values are transcoded, or misses"
        }
        Look::Whole(whole) if whole.contains(Whole::HIDE) => "unloadable values are misses",
        Look::Hide => "unloadable values are misses",
        Look::Whole(_) | Look::Count | Look::Away => "unloadable values are served",
    }
}

fn changes(plan: &Plan) -> &'static str {
    match plan.reach(WriteKind::Plain) {
        Reach::Never if !plan.deletes_reach => "deletes reach no other copy",
        Reach::Never => "deletes reach every copy",
        Reach::UnlessFill => {
            "deletes reach every copy, stores delete the others unless they fill a miss"
        }
        Reach::Always => "deletes reach every copy, stores delete the others",
    }
}

/// Describes the effects of changes and misses of a key, each with its label.
pub(super) fn of_key(plan: &Plan) -> Vec<(&'static str, String)> {
    let deletes = if plan.deletes_reach {
        "reach every sibling"
    } else {
        "reach no sibling"
    };
    let stores = match plan.reach(WriteKind::Plain) {
        Reach::Never => "reach no sibling".to_owned(),
        Reach::UnlessFill => {
            let seconds = FILL_WINDOW_US as f64 / 1e6;
            format!("delete every sibling, unless they fill a miss of the last {seconds:.2} s")
        }
        Reach::Always => "delete every sibling".to_owned(),
    };
    let mut told = vec![("deletes", deletes.to_owned()), ("stores", stores)];
    if plan.on_miss(Verb::Get).contains(OnMiss::THROUGH) {
        let misses = "are answered with a sibling that can be loaded";
        told.push(("misses", misses.to_owned()));
    }
    told
}

/// Describes the answer to a read when the server failed, unless it is a miss.
pub(super) fn of_failures(plan: &Plan) -> Option<(&'static str, &'static str)> {
    let is_soft = plan.on_miss(Verb::Get).contains(OnMiss::SOFT);
    (!is_soft).then_some(("failures", "of the server are errors to reads, too"))
}
