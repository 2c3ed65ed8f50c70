//! Holds doc comments to opening with their subject: "Its name." tells nothing to a reader
//! who does not know the line above.

use std::fs;
use std::path::Path;

use crate::sources;

/// First words that stand for a subject, or put it off.
const EVASIVE: [&str; 20] = [
    "as", "how", "it", "its", "that", "their", "them", "these", "they", "this", "those", "what",
    "whatever", "when", "where", "which", "who", "whoever", "whom", "whose",
];

/// Percentage of a room's doc comments that may open with one.
const MOST: usize = 2;

/// Rooms that have more, each with a bound that only becomes lower.
const TO_REWRITE: &[(&str, usize)] = &[("src/pickle", 24)];

/// First lines of a file's doc comments, with their numbers.
fn openings(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut goes_on = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let line = line.trim_start();
        let doc = line.strip_prefix("///").or(line.strip_prefix("//!"));
        let doc = doc.filter(|doc| !doc.starts_with('/'));
        let continues = std::mem::replace(&mut goes_on, doc.is_some());
        let doc = doc.filter(|_| !continues)?;
        Some((at + 1, doc.trim()))
    })
}

fn is_evasive(opening: &str) -> bool {
    let word = opening.split(|c: char| !c.is_ascii_alphabetic()).next();
    let word = word.unwrap_or_default().to_ascii_lowercase();
    EVASIVE.contains(&word.as_str()) || opening.starts_with("The same")
}

/// Doc comments of a room, and the places of those that do not name their subject.
fn count(room: &Path) -> (usize, Vec<String>) {
    let (mut all, mut evasive) = (0, Vec::new());
    for path in sources(room) {
        let text = fs::read_to_string(&path).expect("sources are text");
        for (line, opening) in openings(&text) {
            all += 1;
            if is_evasive(opening) {
                evasive.push(format!("  {}:{line}: {opening}", path.display()));
            }
        }
    }
    (all, evasive)
}

#[test]
fn doc_comments_open_with_their_subject() {
    let inside = fs::read_dir("src").expect("the library is there");
    let inside = inside.map(|entry| entry.expect("it can be listed").path());
    let rooms = inside
        .filter(|path| path.is_dir())
        .chain(["loadtest/src", "tests"].map(Into::into));
    let mut wrong = Vec::new();
    for room in rooms {
        let (all, evasive) = count(&room);
        let mut known = TO_REWRITE.iter();
        let known = known.find(|(name, _)| Path::new(name) == room);
        let most = known.map_or(MOST, |&(_, most)| most);
        if evasive.len() * 100 > all * most {
            let (room, count) = (room.display(), evasive.len());
            let places = evasive.join("\n");
            wrong.push(format!(
                "{room}: {count} of {all} doc comments open without their subject, more \
                 than {most} %:\n{places}"
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn openings_without_a_subject_are_seen() {
    let text = "\
/// What comes of it.
/// It goes on.
fn a() {}
    /// Its name.
//// no doc
/// Name of the rule.
//! The same again.
/// Whole values.
";
    let seen: Vec<bool> = openings(text).map(|(_, doc)| is_evasive(doc)).collect();
    assert_eq!(seen, [true, true, false]);
}
