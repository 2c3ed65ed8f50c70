use std::collections::BTreeSet;

use super::*;
use crate::config::Config;
use crate::engine::{Families, Split};

fn config(rule: &str) -> String {
    format!(
        "[upstream]\nservers = [\"127.0.0.1:11211\"]\n\
         [[listeners]]\nlisten = \"127.0.0.1:1\"\nruntime = \"py3\"\n{rule}"
    )
}

fn family(name: &str, change: impl FnOnce(&mut FamilyReport)) -> (String, FamilyReport) {
    let both = || BTreeMap::from([("py2".to_owned(), 5), ("py3".to_owned(), 5)]);
    let mut family = FamilyReport {
        family: name.to_owned(),
        starts: vec![name.to_owned()],
        reads: 100,
        hits: 100,
        writes: 10,
        readers: both(),
        writers: both(),
        ..FamilyReport::default()
    };
    change(&mut family);
    (name.to_owned(), family)
}

fn seen() -> BTreeMap<String, FamilyReport> {
    BTreeMap::from([
        family("count:", |family| family.counters = 7),
        family("lock \"a\":", |family| family.locks = 2),
        family("user:", |family| {
            family.protocols.insert("2".to_owned(), 110);
            family.unloadable.insert("protocol".to_owned(), 12);
            family.globals.push("app.User".to_owned());
        }),
        family("new:", |family| {
            family.protocols.insert("4".to_owned(), 3);
        }),
        family("page:", |_| {}),
        family("only:", |family| {
            family.readers.remove("py2");
            family.writers.remove("py2");
        }),
    ])
}

fn report(rule: &str, counts: Counts) -> Report {
    let config = Config::parse("test", &config(rule)).unwrap();
    Report::new(seen(), &config.snapshot.rules, counts, false)
}

#[test]
fn each_family_gets_what_it_needs() {
    let report = report("[[rules]]\nmode = \"guard\"", Counts::default());
    let mut told: Vec<_> = report
        .families
        .iter()
        .map(|family| format!("{} {:?}: {}", family.family, family.advice, family.why))
        .collect();
    told.sort();
    insta::assert_snapshot!(told.join("\n"), @r#"
    count: Share: used 7 times as a counter
    lock "a": Share: used 2 times as a lock
    new: Isolate: pickles of protocol 4 in a family that versions share
    only: Leave: only py3: 100 reads, 10 stores
    page: Guard: 100 reads and 10 stores of several versions, no pickles
    user: Isolate: 12 of 110 pickles not loadable (protocol 12), for app.User
    "#);
    assert!(!report.go);
    insta::assert_snapshot!(report.reasons.join("\n"), @r#"
    "count:" needs a rule of its own, mode shared: used 7 times as a counter
    "lock \"a\":" needs a rule of its own, mode shared: used 2 times as a lock
    "#);
}

#[test]
fn the_advised_rules_are_a_configuration() {
    let first = report("[[rules]]\nmode = \"guard\"", Counts::default());
    insta::assert_snapshot!(first.toml, @r#"
    # used 7 times as a counter
    [[rules]]
    prefix = "count:"
    mode = "shared"

    # used 2 times as a lock
    [[rules]]
    prefix = "lock \"a\":"
    mode = "shared"

    # 100 reads and 10 stores of several versions, no pickles
    [[rules]]
    prefix = "page:"
    mode = "guard"
    coherence = "fill-aware"

    # next: isolate 10 % of everything else
    [[rules]]
    prefix = ""
    mode = "isolate"
    rollout = 10
    coherence = "fill-aware"
    "#);
    // Once they are followed, nothing stands against the next step.
    let mut rules = first.toml.clone();
    for next in [
        "isolate 25 %",
        "isolate 50 %",
        "isolate 100 %",
        "no step is left",
    ] {
        let second = report(&rules, Counts::default());
        assert!(second.go, "{:?}", second.reasons);
        assert!(second.reasons[0].contains(next), "{:?}", second.reasons);
        rules = second.toml;
    }
    let observed = report("[[rules]]\nmode = \"observe\"", Counts::default());
    assert!(
        observed
            .toml
            .ends_with("mode = \"guard\"\ncoherence = \"fill-aware\"\n")
    );
    Config::parse("test", &config(&observed.toml)).unwrap();
}

#[test]
fn a_shared_rule_keeps_what_it_says_of_failures() {
    let shared = "prefix = \"other:\"\nmode = \"shared\"\non_upstream_failure = \"error\"\n";
    let rules = format!("[[rules]]\nmode = \"guard\"\n[[rules]]\n{shared}");
    let told = report(&rules, Counts::default()).toml;
    assert!(told.contains(shared), "{told}");
}

#[test]
fn a_go_needs_looks_at_whole_values() {
    let nothing_seen = |rule: &str, counts: Counts| {
        let config = Config::parse("test", &config(rule)).unwrap();
        Report::new(BTreeMap::new(), &config.snapshot.rules, counts, false)
    };
    for sniff in ["header", "off"] {
        let rule = format!("[[rules]]\nmode = \"guard\"\nsniff = \"{sniff}\"");
        let report = nothing_seen(&rule, Counts::default());
        assert!(!report.go);
        assert_eq!(
            report.reasons,
            [format!(
                "everything else has sniff = \"{sniff}\": only \"full\" tells who can load its values"
            )]
        );
        // The rules that it advises can tell.
        assert!(!report.toml.contains("sniff"), "{}", report.toml);
        assert!(nothing_seen(&report.toml, Counts::default()).go);
    }
    let counts = Counts {
        not_looked_at: 7,
        ..Counts::default()
    };
    let report = nothing_seen("[[rules]]\nmode = \"guard\"", counts);
    assert!(!report.go && report.reasons[0].starts_with("7 pickles "));
}

#[test]
fn what_is_proved_unloadable_unknown_and_not_looked_at_is_told_apart() {
    let told = |change: fn(&mut FamilyReport)| {
        let (_, family) = family("user:", |family| {
            family.protocols.insert("2".to_owned(), 110);
            change(family);
        });
        let (advice, why) = judge(&family);
        format!("{advice:?}: {why}")
    };
    assert_eq!(
        told(|family| family.loadable = 110),
        "Guard: 100 reads and 10 stores of several versions, all 110 pickles loadable"
    );
    assert_eq!(
        told(|family| family.not_looked_at = 12),
        "Leave: 12 of 110 pickles not looked at"
    );
    let unknown = |family: &mut FamilyReport| {
        family.unknown.insert("broken".to_owned(), 3);
        family.not_looked_at = 12;
    };
    assert_eq!(
        told(unknown),
        "Isolate: 3 of 110 pickles not understood (broken 3)"
    );
    assert_eq!(
        told(|family| {
            family.unknown.insert("broken".to_owned(), 3);
            family.unloadable.insert("protocol".to_owned(), 2);
        }),
        "Isolate: 2 of 110 pickles not loadable (protocol 2)"
    );
}

/// The advice on the families of keys that were asked for so.
/// A text of rules without the one for everything else, which follows mode guard.
fn of_families(text: &str) -> &str {
    let rule = "\n# next: isolate 10 % of everything else\n[[rules]]\nprefix = \"\"\n\
                mode = \"isolate\"\nrollout = 10\ncoherence = \"fill-aware\"\n";
    text.strip_suffix(rule).unwrap_or_else(|| panic!("{text}"))
}

fn advised(rule: &str, asked: &[(&str, Option<Split>)]) -> Report {
    let config = Config::parse("test", &config(rule)).unwrap();
    let snapshot = &config.snapshot;
    let mut families = Families::under(snapshot);
    for (key, split) in asked {
        families.saw(key.as_bytes(), *split);
    }
    let all: Vec<_> = families.iter().cloned().collect();
    let mut reports = BTreeMap::new();
    merge(&mut reports, &snapshot.codec, &all);
    Report::new(reports, &snapshot.rules, Counts::default(), false)
}

const LOCK: Option<Split> = Some(Split::Lock);
const COUNTER: Option<Split> = Some(Split::Counter);

#[test]
fn one_lock_and_one_counter_never_share_a_whole_application() {
    let values: [(&str, Option<Split>); 3] = [
        ("shop:1:cart:42", None),
        ("shop:1:user:42:profile", None),
        (
            "shop:1:views.decorators.cache.cache_header..47596fe834009c91ae3118b3c59f8e5c",
            None,
        ),
    ];
    for splits in [
        [
            ("shop:1:lock:report-daily", LOCK),
            ("shop:1:user:42:count", COUNTER),
        ],
        [("shop:1:report_lock", LOCK), ("shop:1:visits", COUNTER)],
        [("shop:1:nightly", LOCK), ("shop:1:hits", COUNTER)],
        [("shop:1:nightly", LOCK), ("shop:1:page:7", COUNTER)],
        [("shop:12:lock", LOCK), ("shop:12:42", COUNTER)],
        [("shop:1234:lock:a", LOCK), ("shop:1234:hits", COUNTER)],
        [("shop:eu:1:lock:a", LOCK), ("shop:eu:1:hits:7", COUNTER)],
    ] {
        for mode in ["observe", "guard", "isolate"] {
            for asked in [splits.to_vec(), [&values[..], &splits].concat()] {
                let report = advised(&format!("[[rules]]\nmode = \"{mode}\""), &asked);
                let table: toml::Table = report.toml.parse().unwrap();
                for rule in table["rules"].as_array().unwrap() {
                    let prefix = rule["prefix"].as_str().unwrap();
                    let heads = ["shop:1:", "shop:12:", "shop:1234:", "shop:eu:1:"];
                    let is_wide = heads.iter().any(|head| head.starts_with(prefix));
                    let is_shared = rule["mode"].as_str() == Some("shared");
                    assert!(!(is_wide && is_shared), "{asked:?}: {}", report.toml);
                }
                Config::parse("test", &config(&report.toml)).unwrap();
                assert!(!report.go || mode == "observe", "{report}");
            }
        }
    }
}

#[test]
fn a_rule_has_the_prefix_of_a_family_as_its_keys_have_it() {
    let asked = [
        ("shop:1:lock:report", LOCK),
        ("shop:2:lock:report", LOCK),
        ("shop:1:cart:42", None),
    ];
    let report = advised("[[rules]]\nmode = \"guard\"", &asked);
    insta::assert_snapshot!(of_families(&report.to_string()), @r##"
    # no go
    #   "shop:#:lock:" needs a rule of its own, mode shared: used 2 times as a lock

    # used 2 times as a lock
    [[rules]]
    prefix = "shop:1:lock:"
    mode = "shared"

    # used 2 times as a lock
    [[rules]]
    prefix = "shop:2:lock:"
    mode = "shared"
    "##);
    // Followed, they are what the families need.
    let report = advised(&report.toml, &asked);
    assert!(report.go, "{report}");
}

#[test]
fn a_family_without_a_prefix_of_its_own_has_no_rule() {
    let asked = [
        ("shop:1:user:42:lock", LOCK),
        ("shop:1:user:42", None),
        ("shop:1:hits", COUNTER),
        ("8609ea89da30b8cf31fdd46800545941_lock", LOCK),
    ];
    for mode in ["guard", "isolate"] {
        let rule = format!("[[rules]]\nmode = \"{mode}\"\ncoherence = \"fill-aware\"");
        let report = advised(&rule, &asked);
        assert!(!report.go);
        insta::allow_duplicates! {
            insta::assert_snapshot!(report.reasons.join("\n"), @r#"
            "<hex32>_lock" was used once as a lock, but no prefix is its alone: rename its keys
            "shop:#:user:*:lock" was used once as a lock, but no prefix is its alone: rename its keys, or keep all that starts with "shop:1:user:" in mode guard
            "shop:*:hits" was used once as a counter, but no prefix is its alone: rename its keys
            "#);
        }
    }
    let report = advised("[[rules]]\nmode = \"guard\"", &asked);
    insta::assert_snapshot!(of_families(&report.toml), @r#"
    # "<hex32>_lock" was used once as a lock, but no prefix is its alone: rename its keys

    # "shop:#:user:*:lock" was used once as a lock, but no prefix is its alone: rename its keys, or keep all that starts with "shop:1:user:" in mode guard

    # "shop:*:hits" was used once as a counter, but no prefix is its alone: rename its keys
    "#);
    // Under rules that keep one copy for all, they need no other.
    let held = "[[rules]]\nmode = \"isolate\"\ncoherence = \"fill-aware\"\n\
        [[rules]]\nprefix = \"shop:1:user:\"\nmode = \"guard\"\n\
        [[rules]]\nprefix = \"shop:1:hits\"\nmode = \"shared\"\n\
        [[rules]]\nprefix = \"8\"\nmode = \"shared\"";
    let report = advised(held, &asked);
    assert!(report.go, "{report}");
    assert!(!report.toml.contains("rename"), "{report}");
}

#[test]
fn a_name_that_says_no_purpose_takes_more_than_one_sight() {
    let limit = "LIMITS:LIMITER/214.141.195.157/api.users/5/1/minute";
    let told = |times: usize| {
        let asked = vec![(limit, COUNTER); times];
        let report = advised("[[rules]]\nmode = \"guard\"", &asked);
        assert!(!report.go);
        report
    };
    assert_eq!(
        told(3).reasons,
        [
            "\"LIMITS:LIMITER/\" was used 3 times as a counter, but its keys may be more than that: \
          rename its keys, or keep all that starts with \"LIMITS:LIMITER/\" in mode guard"
        ]
    );
    let rule = "prefix = \"LIMITS:LIMITER/\"\nmode = \"shared\"";
    assert!(!told(3).toml.contains(rule));
    assert!(told(100).toml.contains(rule), "{}", told(100));
    // One that does is believed.
    let asked = [("lock:order:42:refund", LOCK)];
    let report = advised("[[rules]]\nmode = \"guard\"", &asked);
    let rule = "prefix = \"lock:order:\"\nmode = \"shared\"";
    assert!(report.toml.contains(rule), "{report}");
}

#[test]
fn a_counter_among_pickles_is_not_shared() {
    let (_, family) = family("shop:", |family| {
        family.counters = 7;
        family.locks = 1;
        family.protocols.insert("2".to_owned(), 900);
    });
    let told = "used 7 times as a counter and once as a lock beside 900 pickles: \
        one copy is for all versions";
    assert_eq!(judge(&family), (Advice::Guard, told.to_owned()));
}

#[test]
fn locks_that_are_pickles_are_kept_in_one_copy_that_is_looked_at() {
    let locks = || {
        BTreeMap::from([family("lock:", |family| {
            family.locks = 3;
            family.protocols.insert("5".to_owned(), 3);
            family.unloadable.insert("protocol".to_owned(), 1);
        })])
    };
    let report = |rule: &str| {
        let config = Config::parse("test", &config(rule)).unwrap();
        Report::new(locks(), &config.snapshot.rules, Counts::default(), false)
    };
    let isolated = report("[[rules]]\nmode = \"isolate\"");
    let why = "used 3 times as a lock that is a pickle: one copy is for all versions";
    assert!(!isolated.go);
    assert_eq!(
        isolated.reasons,
        [format!(
            "\"lock:\" needs a rule of its own, mode guard: {why}"
        )]
    );
    assert!(
        isolated
            .toml
            .contains("prefix = \"lock:\"\nmode = \"guard\"")
    );
    // Before anything is isolated, the rule for it is there.
    let guarded = report("[[rules]]\nmode = \"guard\"");
    assert!(guarded.go, "{:?}", guarded.reasons);
    assert!(
        guarded
            .toml
            .contains("prefix = \"lock:\"\nmode = \"guard\"")
    );
}

#[test]
fn no_name_from_the_wire_becomes_a_rule() {
    let hostile = [
        "a\"\n[[rules]]\nprefix = \"\"\nmode = \"shared\"\n#",
        "b\r\n[[rules]]\rprefix=''",
        "c'''\n\"\"\"\n[[rules]]\n",
        "d\\",
        "e\u{0}\u{1b}[2J\u{7f}\u{85}\u{2028}\u{202e}#",
        "[[rules]]",
        "f\t\u{9b}31m",
    ];
    let families: BTreeMap<_, _> = hostile
        .into_iter()
        .map(|name| {
            family(name, |family| {
                family.counters = 1;
                family.globals.push(name.to_owned());
            })
        })
        .chain([family("user:", |family| {
            family.unloadable.insert("missing_global".to_owned(), 1);
            family.globals.extend(hostile.map(str::to_owned));
        })])
        .collect();
    // A rule of its own, so that what it names is told in a comment.
    let rule = "[[rules]]\nprefix = \"user:\"\nmode = \"guard\"\n[[rules]]\nmode = \"guard\"";
    let settings = Config::parse("test", &config(rule)).unwrap();
    let report = Report::new(families, &settings.snapshot.rules, Counts::default(), false);
    for text in [report.to_string(), report.toml.clone()] {
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table.keys().collect::<Vec<_>>(), ["rules"]);
        let rules = table["rules"].as_array().unwrap();
        let shared = |prefix: &str| hostile.contains(&prefix);
        for rule in rules {
            let prefix = rule["prefix"].as_str().unwrap();
            assert_eq!(rule["mode"].as_str() == Some("shared"), shared(prefix));
        }
        let prefixes: BTreeSet<_> = rules.iter().map(|rule| rule["prefix"].as_str()).collect();
        let expected = hostile.into_iter().chain(["user:", ""]).map(Some);
        assert_eq!(prefixes, expected.collect());
        assert_eq!(rules.len(), prefixes.len());
        // Nothing in it acts on a terminal.
        let acts = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!text.contains(acts), "{text:?}");
    }
}

#[test]
fn what_stands_against_a_step_is_named() {
    let counts = Counts {
        suspected: 1,
        untagged: 2,
        invalidation_errors: 3,
        not_looked_at: 4,
    };
    let config = Config::parse("test", &config("[[rules]]\nmode = \"observe\"")).unwrap();
    let report = Report::new(BTreeMap::new(), &config.snapshot.rules, counts, true);
    assert!(!report.go);
    assert_eq!(report.reasons.len(), 5);
}
