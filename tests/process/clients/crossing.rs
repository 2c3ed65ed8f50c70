//! Values that another Python stored: transcoded, judged by all that is in them,
//! and kept by the firewall. What a client must see is written in
//! `tests/process/clients/crossing.py` and `sites.py`.

use super::fleet::{Fleet, Upstream};

const CROSSING: &str = "crossing.py";
const SITES: &str = "sites.py";

const TRANSCODE: &str = r#"mode = "guard"
on_unloadable_read = "transcode"
"#;
const FULL: &str = r#"mode = "guard"
sniff = "full"
"#;
const NOT_LOADABLE: &str = "picklegate_not_loadable_values_total";
const READS: &str = "picklegate_cross_version_reads_total";
const REFUSALS: &str = "picklegate_transcode_refusals_total";

#[test]
fn every_python_reads_what_any_other_stored() {
    let rule =
        format!("{TRANSCODE}\n[[rules]]\nprefix = \"bytes:\"\n{TRANSCODE}py2_str = \"bytes\"\n");
    let Some(fleet) = Fleet::with_inventories(&rule, "") else {
        return;
    };
    let common = ["--direct", &fleet.direct, "--traits", "flags"];
    let store = [&["store"][..], &common].concat();
    fleet.all_apart_in(CROSSING, "", &store);
    let read = [&["transcoded"][..], &common].concat();
    let families = fleet.versions();
    fleet.all_in(CROSSING, &[&read[..], &["--families", &families]].concat());
    let oldest = fleet.oldest().python.version();
    let family = format!("bytes:{oldest}");
    let store = [&store[..], &["--family", &family]].concat();
    fleet.oldest().check_in(CROSSING, &store);
    let as_bytes = ["--families", &family, "--bytes"];
    fleet.all_in(CROSSING, &[&read[..], &as_bytes].concat());

    for side in &fleet.sides {
        let reader = format!("reader=\"{}\"", side.namespace());
        for (name, labels) in [
            (READS, &["action=\"transcoded\""][..]),
            (READS, &["action=\"hidden\""]),
            (NOT_LOADABLE, &["direction=\"read\""]),
        ] {
            let space = if name == READS {
                reader.clone()
            } else {
                side.label()
            };
            let labels = [labels, &[&space]].concat();
            assert!(fleet.metric(name, &labels) > 0, "{name} {labels:?}");
        }
        let refusals = fleet.metric(REFUSALS, &[&side.label()]);
        assert!(refusals > 0, "{}", side.label());
    }
}

#[test]
fn a_value_looked_at_whole_is_a_miss_for_whom_it_does_not_load() {
    let Some(fleet) = Fleet::with_inventories(FULL, "") else {
        return;
    };
    let common = ["--direct", &fleet.direct, "--traits", "flags"];
    let families = ["--families", &fleet.versions()];
    fleet.all_apart_in(CROSSING, "", &[&["store"][..], &common].concat());
    fleet.all_in(CROSSING, &[&["judged"][..], &common, &families].concat());
    fleet.all_apart_in(CROSSING, "", &[&["leave"][..], &common, &families].concat());
    fleet.all_apart_in(CROSSING, "", &[&["add"][..], &common, &families].concat());
    for side in &fleet.sides {
        let missing = ["reason=\"missing_global\"", &side.label()];
        assert!(fleet.metric(NOT_LOADABLE, &missing) > 0, "{missing:?}");
    }
}

#[test]
fn a_store_that_some_python_cannot_load_fails_and_the_old_value_is_gone() {
    let rule = format!("{FULL}on_unloadable_write = \"reject\"\n");
    let Some(fleet) = Fleet::with_inventories(&rule, "") else {
        return;
    };
    fleet.all_apart_in(CROSSING, "", &["rejected", "--traits", "flags"]);
    for side in &fleet.sides {
        let rejected = "picklegate_rejected_writes_total";
        let missing = ["reason=\"missing_global\"", &side.label()];
        assert!(fleet.metric(rejected, &missing) > 0, "{missing:?}");
    }
}

#[test]
fn nobody_is_handed_a_pickle_that_the_deny_list_matches() {
    fenced("globals = \"deny\"\n", "", &[]);
}

#[test]
fn nobody_is_handed_a_pickle_that_the_allow_list_does_not_have() {
    let allowed = r#"
[pickle]
allow_globals = ["call collections.OrderedDict", "call __builtin__.set", "call builtins.set"]
"#;
    fenced("globals = \"allow\"\n", allowed, &["--unlisted"]);
}

fn fenced(globals: &str, more: &str, args: &[&str]) {
    let rule = format!("{FULL}{globals}");
    let Some(fleet) = Fleet::start(Upstream::Memcached, &rule, more) else {
        return;
    };
    let common = ["fenced", "--direct", &fleet.direct, "--traits", "flags"];
    fleet.all_apart_in(CROSSING, "", &[&common[..], args].concat());
    for side in &fleet.sides {
        let refused = ["reason=\"firewall\"", "direction=\"read\"", &side.label()];
        assert!(fleet.metric(NOT_LOADABLE, &refused) > 0, "{refused:?}");
    }
}

#[test]
fn django_sessions_and_fragments_cross_versions() {
    let Some(fleet) = Fleet::with_inventories(TRANSCODE, "") else {
        return;
    };
    fleet.all_apart_in(SITES, "", &["store"]);
    let read = ["read", "--families", &fleet.versions()];
    fleet.all_in(SITES, &[&read[..], &["--direct", &fleet.direct]].concat());
}

const LOCKS: &str = "picklegate_suspected_split_total";

#[test]
fn a_lock_of_django_is_one_for_all_versions_in_guard() {
    let Some(fleet) = Fleet::start(Upstream::Memcached, "mode = \"guard\"", "") else {
        return;
    };
    fleet.newest().check_in(SITES, &["lock"]);
    fleet.oldest().check_in(SITES, &["locked"]);
    fleet.newest().check_in(SITES, &["unlock"]);
    assert_eq!(fleet.metric(LOCKS, &[]), 0);
}

#[test]
fn a_lock_of_django_that_each_version_has_for_itself_is_counted_and_told() {
    let Some(fleet) = Fleet::start(Upstream::Memcached, "mode = \"isolate\"", "") else {
        return;
    };
    for side in [fleet.newest(), fleet.oldest()] {
        side.check_in(SITES, &["lock"]);
        let locks = fleet.metric(LOCKS, &["kind=\"lock\"", &side.label()]);
        assert!(locks > 0, "{}", side.label());
    }
    let advice = fleet.advice();
    assert!(advice.starts_with("# no go\n"), "{advice}");
    let family = "\"lock:\" needs a rule of its own, mode guard: used";
    assert!(advice.contains(family), "{advice}");
}
