//! Finds circles between files, other than those of a module and its own children.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use super::names::Edges;

type Set = BTreeSet<String>;

/// Uses between files, and the order of files above each other.
pub(crate) struct Graph {
    edges: Edges,
    next: BTreeMap<String, Set>,
}

/// Whether a file's module lies below that of another: `a/mod.rs` or `a.rs`, and
/// whatever is in `a/`.
fn is_below(file: &str, above: &str) -> bool {
    let above = above.trim_end_matches(".rs");
    let dir = match above.rsplit_once('/') {
        Some((dir, "mod" | "lib" | "main")) => dir,
        _ => above,
    };
    file.strip_prefix(dir)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// The file of whose module all the others are children.
fn module_of(files: &Set) -> Option<&String> {
    let mut files_of = files.iter();
    files_of.find(|above| {
        files
            .iter()
            .all(|file| file == *above || is_below(file, above))
    })
}

impl Graph {
    pub(crate) fn new(edges: Edges) -> Self {
        let mut next: BTreeMap<String, Set> = BTreeMap::new();
        for (from, to) in edges.keys() {
            next.entry(from.clone()).or_default().insert(to.clone());
            next.entry(to.clone()).or_default();
        }
        Self { edges, next }
    }

    /// Sets of files that are on circles with each other, other than circles that a
    /// module closes with its own children.
    ///
    /// Those are how a module is made: it calls its children, and they use what it
    /// defines. So where files are all below one of them, that one is set aside, and
    /// whatever circles are left lie among its children. Files none of which is above
    /// all others hold at least one circle that is forbidden: of two allowed circles
    /// that meet, one's module is above that of the other, hence above all of both.
    pub(crate) fn circles(&self) -> Vec<Set> {
        let mut found = Vec::new();
        let mut left = vec![self.next.keys().cloned().collect()];
        while let Some(among) = left.pop() {
            for mut files in self.components(&among) {
                if let Some(parts) = self.parts(&files) {
                    left.extend(parts);
                } else if let Some(module) = module_of(&files).cloned() {
                    files.remove(&module);
                    left.push(files);
                } else {
                    found.push(files);
                }
            }
        }
        found.sort();
        found
    }

    /// The parts of a component that one file alone holds together, that file in each:
    /// no circle leads through two of them.
    fn parts(&self, files: &Set) -> Option<Vec<Set>> {
        files.iter().find_map(|joint| {
            let mut rest = files.clone();
            rest.remove(joint);
            let mut parts = Vec::new();
            while let Some(first) = rest.first().cloned() {
                let mut part = Set::from([joint.clone()]);
                let mut left = vec![first];
                while let Some(file) = left.pop() {
                    if !rest.remove(&file) {
                        continue;
                    }
                    let beside = rest.iter().filter(|other| self.are_beside(&file, other));
                    left.extend(beside.cloned());
                    part.insert(file);
                }
                parts.push(part);
            }
            (parts.len() > 1).then_some(parts)
        })
    }

    fn are_beside(&self, one: &str, other: &str) -> bool {
        self.next[one].contains(other) || self.next[other].contains(one)
    }

    /// Strongly connected components of more than one file, among these files.
    fn components(&self, among: &Set) -> Vec<Set> {
        let mut found: Vec<Set> = Vec::new();
        for file in among {
            if found.iter().any(|files| files.contains(file)) {
                continue;
            }
            let after = self.reached(file, among);
            let files: Set = after
                .into_iter()
                .filter(|other| self.reached(other, among).contains(file))
                .collect();
            if files.len() > 1 {
                found.push(files);
            }
        }
        found
    }

    fn reached(&self, from: &str, among: &Set) -> Set {
        let mut reached = Set::new();
        let mut left = vec![from.to_owned()];
        while let Some(file) = left.pop() {
            for next in self.next[&file].intersection(among) {
                if reached.insert(next.clone()) {
                    left.push(next.clone());
                }
            }
        }
        reached
    }

    /// The shortest way between two files of a set, both included.
    fn way(&self, from: &str, to: &str, among: &Set) -> Option<Vec<String>> {
        let mut before: BTreeMap<String, String> = BTreeMap::new();
        let mut left = VecDeque::from([from.to_owned()]);
        while let Some(file) = left.pop_front() {
            if file == to {
                let mut way = vec![file];
                while let Some(earlier) = before.get(&way[way.len() - 1]) {
                    way.push(earlier.clone());
                }
                way.reverse();
                return Some(way);
            }
            for next in self.next[&file].intersection(among) {
                if next != from && !before.contains_key(next) {
                    before.insert(next.clone(), file.clone());
                    left.push_back(next.clone());
                }
            }
        }
        None
    }

    /// The shortest circle of these files, through one of them if it is on any of its
    /// own, with the names that make each step.
    pub(crate) fn example(&self, files: &Set, through: Option<&str>) -> String {
        let circle = through
            .and_then(|file| self.circle(files, file))
            .or_else(|| {
                let circles = files.iter().filter_map(|file| self.circle(files, file));
                circles.min_by_key(Vec::len)
            });
        let circle = circle.expect("files of a component are on circles");
        let mut shown = String::new();
        for pair in circle.windows(2) {
            writeln!(shown, "    {}", self.step(&pair[0], &pair[1])).expect("a string");
        }
        shown
    }

    /// The shortest circle through a file that is none of a module and its children.
    fn circle(&self, files: &Set, through: &str) -> Option<Vec<String>> {
        let mut rest = files.clone();
        rest.remove(through);
        let nexts = self.next[through].intersection(&rest);
        let ends = rest
            .iter()
            .filter(|file| self.next[*file].contains(through));
        let pairs = nexts.flat_map(|next| ends.clone().map(move |end| (next, end)));
        let circles = pairs.filter_map(|(next, end)| {
            let mut circle = vec![through.to_owned()];
            circle.extend(self.way(next, end, &rest)?);
            circle.push(through.to_owned());
            let is_allowed = module_of(&circle.iter().cloned().collect()).is_some();
            (!is_allowed).then_some(circle)
        });
        circles.min_by_key(Vec::len)
    }

    /// `a.rs -> b.rs: Name (line 3), other (line 4)`.
    fn step(&self, from: &str, to: &str) -> String {
        let names = &self.edges[&(from.to_owned(), to.to_owned())];
        let names: Vec<String> = names
            .iter()
            .map(|(name, line)| format!("{name} (line {line})"))
            .collect();
        format!("{from} -> {to}: {}", names.join(", "))
    }

    /// Every circle's files, and what they take from each other.
    pub(crate) fn render(&self) -> String {
        let mut shown = String::new();
        for files in self.circles() {
            writeln!(shown, "circle of {} files:", files.len()).expect("a string");
            for file in &files {
                for next in self.next[file].intersection(&files) {
                    writeln!(shown, "    {}", self.step(file, next)).expect("a string");
                }
            }
        }
        shown
    }
}
