//! Holds the map in the crate's documentation: which rooms may use which.

use std::fs;
use std::path::{Path, PathBuf};

/// A room, the rooms that it may use, and whether it may touch the system.
const ROOMS: [(&str, &[&str], bool); 5] = [
    ("protocol", &[], false),
    ("pickle", &[], false),
    ("policy", &["protocol", "pickle"], false),
    ("engine", &["protocol", "pickle", "policy"], false),
    ("config", &["protocol", "pickle", "policy"], true),
];

/// What the pure core has no business with.
const SYSTEM: [&str; 7] = [
    "tokio",
    "std::net",
    "std::time",
    "std::thread",
    "std::sync::Mutex",
    "std::fs",
    "Instant",
];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("the room exists");
    entries
        .map(|entry| entry.expect("it can be listed").path())
        .flat_map(|path| {
            if path.is_dir() {
                sources(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|ext| ext == "rs"))
        .collect()
}

#[test]
fn imports_point_one_way() {
    for (room, uses, system) in ROOMS {
        for path in sources(&Path::new("src").join(room)) {
            let text = fs::read_to_string(&path).expect("sources are text");
            let code = text.split("#[cfg(test)]").next().expect("a first part");
            for (at, line) in code
                .lines()
                .enumerate()
                .filter(|(_, l)| !l.trim().starts_with("//"))
            {
                let place = || format!("{}:{}: {line}", path.display(), at + 1);
                for used in line.split("crate::").skip(1) {
                    let used = used
                        .split(|c: char| !c.is_alphanumeric() && c != '_')
                        .next();
                    let used = used.unwrap_or_default();
                    // An empty name is a list in braces, one room a line.
                    let fine = used.is_empty() || used == room || uses.contains(&used);
                    assert!(fine, "{room} must not use {used}: {}", place());
                }
                let touched = SYSTEM.iter().find(|name| !system && line.contains(**name));
                assert_eq!(touched, None, "{room} is pure: {}", place());
            }
        }
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    for path in sources(Path::new("src")) {
        let text = fs::read_to_string(&path).expect("sources are text");
        let code = text.split("#[cfg(test)]").next().expect("a first part");
        let lines = code.lines().count();
        assert!(lines <= 1000, "{} has {lines} lines", path.display());
    }
}

#[test]
fn the_guide_names_metrics_that_there_are() {
    let guide = fs::read_to_string("config/README.md").expect("there is a guide");
    let metrics = fs::read_to_string("src/metrics.rs").expect("there are metrics");
    for rest in guide.split("picklegate_").skip(1) {
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_');
        let name = &rest[..end.unwrap_or(rest.len())];
        let quoted = format!("\"picklegate_{name}\"");
        assert!(metrics.contains(&quoted), "there is no picklegate_{name}");
    }
}
