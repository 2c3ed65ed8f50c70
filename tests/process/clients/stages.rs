//! The configurations as they are shipped, under the clients that they are for:
//! Python 2.7 and 3.13 store what Python 3.8 cannot load, and it asks for it.

use std::path::Path;

use toml::{Table, Value};

use super::fleet::{Fleet, Side, pythons, say};
use crate::support::pythons::Python;
use crate::support::{Memcached, Picklegate, free_addr};

const STAGES: &str = "stages.py";
const READS: &str = "picklegate_cross_version_reads_total";
/// Clients that each of these Pythons has, and that mark what they pickle.
const COMMON: [&str; 4] = ["--traits", "flags", "--traits", "protocols"];

/// Three clients, with the values that each can store and read.
struct Three {
    py27: Python,
    py38: Python,
    py313: Python,
}

/// `None`, said aloud, where one is missing.
fn three() -> Option<Three> {
    let mut all = pythons()?;
    let mut take = |version: &str| {
        let at = all.iter().position(|python| python.version() == version);
        if at.is_none() {
            say(&format!("skipped: the stages need Python {version}"));
        }
        at.map(|at| all.swap_remove(at))
    };
    Some(Three {
        py27: take("2.7")?,
        py38: take("3.8")?,
        py313: take("3.13")?,
    })
}

/// A file of `config/`, of these addresses, with a listener for each Python that
/// its own listeners are for.
fn shipped(file: &str, memcached: &str, admin: &str, sides: &[Side]) -> String {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config")).join(file);
    let text = std::fs::read_to_string(&path).expect("it is shipped");
    let mut config: Table = text.parse().expect("it is TOML");
    let mut set = |table: &str, key: &str, value: Value| {
        let table = config.get_mut(table).and_then(Value::as_table_mut);
        let old = table
            .expect("it has the table")
            .insert(key.to_owned(), value);
        assert!(old.is_some(), "{file} has no {key}");
    };
    set("upstream", "servers", Value::from(vec![memcached]));
    set("admin", "listen", Value::from(admin));
    let listeners = config["listeners"].as_array().expect("it has listeners");
    let is_for = |side: &&Side| {
        let python = format!("python/{}.", side.python.major);
        let mut runtimes = listeners.iter().map(|listener| &listener["runtime"]);
        runtimes.any(|runtime| runtime.as_str().is_some_and(|tag| tag.starts_with(&python)))
    };
    let listener = |side: &Side| {
        let runtime = format!("python/{}", side.python.version());
        let at = Value::from(side.at.clone());
        let table = [("listen", at), ("runtime", Value::from(runtime))];
        Value::from(Table::from_iter(
            table.map(|(key, value)| (key.to_owned(), value)),
        ))
    };
    let listeners: Vec<Value> = sides.iter().filter(is_for).map(listener).collect();
    config.insert("listeners".to_owned(), listeners.into());
    config.to_string()
}

/// Starts picklegate, before this memcached, with this admin address.
type Start<'s> = &'s dyn Fn(&str, &str, &[Side]) -> Picklegate;

/// Serves the three in front of a memcached, the oldest first.
fn fleet(three: &Three, memcached: &str, start: Start<'_>) -> Fleet {
    let pythons = [&three.py27, &three.py38, &three.py313];
    let sides: Vec<Side> = pythons
        .map(|python| Side::on_loopback(python.clone()))
        .into();
    let admin = free_addr();
    let picklegate = start(memcached, &admin, &sides);
    Fleet::served_by(picklegate, sides, (None, memcached), &admin)
}

/// Values that Python 3.8 is to get.
enum Gets<'s> {
    /// All of them, even those it cannot load.
    All,
    /// Nothing that it cannot load, and what these stored that it can.
    Spared(&'s str),
}

/// Both writers store through a fleet, then Python 3.8 reads through another, if
/// there is one.
fn reads(writers: &Fleet, reader: Option<&Fleet>, gets: &Gets<'_>) {
    for writer in [writers.oldest(), writers.newest()] {
        let family = writer.python.version();
        writer.check_in(
            STAGES,
            &[&["store", "--family", &family][..], &COMMON].concat(),
        );
    }
    let fleet = reader.unwrap_or(writers);
    let reader = &fleet.sides[1];
    match gets {
        Gets::All => {
            let served = ["served", "--direct", &fleet.direct];
            reader.check_in(STAGES, &[&served[..], &COMMON].concat());
        }
        Gets::Spared(families) => {
            let spared = ["spared", "--families", families];
            reader.check_in(STAGES, &[&spared[..], &COMMON].concat());
        }
    }
    let count = |labels: &[&str]| fleet.metric(READS, &[&["reader=\"py3\""], labels].concat());
    let [served, hidden] = ["action=\"served\"", "action=\"hidden\""]
        .map(|action| count(&["verdict=\"unloadable\"", action]));
    match gets {
        Gets::All => assert!(
            served > 0 && hidden == 0,
            "{served} served, {hidden} hidden"
        ),
        Gets::Spared(_) => assert!(
            hidden > 0 && served == 0,
            "{served} served, {hidden} hidden"
        ),
    }
    assert_eq!(count(&["verdict=\"not_looked_at\""]), 0);
}

/// One stage as it is shipped.
fn stage(file: &str, gets: &Gets<'_>) {
    let Some(three) = three() else { return };
    let memcached = Memcached::start();
    let fleet = fleet(&three, &memcached.addr(), &|memcached, admin, sides| {
        Picklegate::with_config(shipped(file, memcached, admin, sides))
    });
    reads(&fleet, None, gets);
}

#[test]
fn observe_serves_what_fails_and_counts_it() {
    stage("1-observe.toml", &Gets::All);
}

#[test]
fn guard_hands_nobody_what_is_certain_to_fail() {
    stage("2-guard.toml", &Gets::Spared("2.7,3.13"));
}

#[test]
fn isolating_a_tenth_hands_nobody_what_is_certain_to_fail() {
    // Python 2.7's plain values are there for nine tenths of the keys.
    stage("3-isolate-10.toml", &Gets::Spared("3.13"));
}

#[test]
fn isolating_hands_nobody_what_is_certain_to_fail() {
    stage("4-isolate.toml", &Gets::Spared("3.13"));
}

#[test]
fn the_default_hands_nobody_what_is_certain_to_fail() {
    stage("default.toml", &Gets::Spared("3.13"));
}

#[test]
fn retiring_hands_nobody_what_is_certain_to_fail() {
    let Some(three) = three() else { return };
    let memcached = Memcached::start();
    let of = |file: &'static str| {
        fleet(
            &three,
            &memcached.addr(),
            &move |memcached, admin, sides| {
                Picklegate::with_config(shipped(file, memcached, admin, sides))
            },
        )
    };
    // Python 2.7 has no listener any more: its last values came by the stage before.
    let (before, retired) = (of("4-isolate.toml"), of("5-retire.toml"));
    reads(&before, Some(&retired), &Gets::Spared("3.13"));
}

#[test]
fn flags_alone_hand_nobody_what_is_certain_to_fail() {
    let Some(three) = three() else { return };
    let memcached = Memcached::start();
    let fleet = fleet(&three, &memcached.addr(), &|memcached, admin, sides| {
        let listeners: Vec<String> = sides
            .iter()
            .map(|side| format!("{}=python/{}", side.at, side.python.version()))
            .collect();
        let listeners = listeners.iter().flat_map(|listener| ["--listen", listener]);
        let others = ["--upstream", memcached, "--admin", admin];
        let args: Vec<&str> = std::iter::once("serve")
            .chain(listeners)
            .chain(others)
            .collect();
        Picklegate::with_args(&args)
    });
    reads(&fleet, None, &Gets::Spared("3.13"));
}
