//! Holds the map in the crate's documentation: which rooms may use which.

use std::fs;
use std::path::Path;

use crate::circles::edges;

/// A room, the rooms that it may use, and whether it may touch the system.
const ROOMS: [(&str, &[&str], bool); 5] = [
    ("protocol", &[], false),
    ("pickle", &[], false),
    ("policy", &["protocol", "pickle"], false),
    ("engine", &["protocol", "pickle", "policy"], false),
    ("config", &["protocol", "pickle", "policy"], true),
];

/// Parts of the system that the pure core must not use.
const SYSTEM: [&str; 7] = [
    "tokio",
    "std::net",
    "std::time",
    "std::thread",
    "std::sync::Mutex",
    "std::fs",
    "Instant",
];

/// The room that a file of the library is in.
fn room(file: &str) -> Option<&str> {
    let within = file.strip_prefix("src/")?;
    within.split(['/', '.']).next()
}

#[test]
fn imports_point_one_way() {
    for ((from, to), names) in edges() {
        let rule = ROOMS.iter().find(|(name, ..)| room(from) == Some(name));
        if let (Some((name, allowed, _)), Some(used)) = (rule, room(to)) {
            let fine = used == *name || allowed.contains(&used);
            assert!(fine, "{name} must not use {used}: {from} takes {names:?}");
        }
    }
}

#[test]
fn the_core_leaves_the_system_alone() {
    for (room, ..) in ROOMS.iter().filter(|(.., system)| !system) {
        for path in crate::sources(&Path::new("src").join(room)) {
            let text = fs::read_to_string(&path).expect("sources are text");
            let code = text.split("#[cfg(test)]").next().expect("a first part");
            let lines = code.lines().enumerate();
            for (at, line) in lines.filter(|(_, line)| !line.trim().starts_with("//")) {
                let touched = SYSTEM.iter().find(|name| line.contains(**name));
                let place = format!("{}:{}: {line}", path.display(), at + 1);
                assert_eq!(touched, None, "{room} is pure: {place}");
            }
        }
    }
}
