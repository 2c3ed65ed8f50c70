//! Holds the pages to what they point at: links lead to files and headings that
//! there are, and whole configurations in them are accepted.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A hurried reader gets no further.
const README_LINES: usize = 160;

const FOLDERS: [&str; 5] = [".", "config", "deploy", "loadtest", "tests"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages_under(dir: &Path, is_deep: bool, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root().join(dir)).expect("the folder exists") {
        let entry = entry.expect("it can be listed");
        let path = dir.join(entry.file_name());
        if is_deep && entry.path().is_dir() {
            pages_under(&path, true, pages);
        } else if path.extension().is_some_and(|ext| ext == "md") {
            pages.push(tidied(&path));
        }
    }
}

/// Every page, by its path from the root.
fn pages() -> BTreeMap<PathBuf, String> {
    let mut pages = Vec::new();
    for folder in FOLDERS {
        pages_under(Path::new(folder), folder != ".", &mut pages);
    }
    let text = |page: PathBuf| {
        let text = fs::read_to_string(root().join(&page)).expect("pages are text");
        (page, text)
    };
    pages.into_iter().map(text).collect()
}

/// Resolves `.` and `..` in a path.
fn tidied(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                assert!(tidy.pop(), "{} leaves the repository", path.display());
            }
            part => tidy.push(part),
        }
    }
    tidy
}

/// The lines outside of blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let fence = line.starts_with("```");
        is_code ^= fence;
        !is_code && !fence
    })
}

/// The name that GitHub gives to a heading, for links to it.
fn anchor(heading: &str) -> String {
    let letters = heading.trim().to_lowercase();
    let kept = letters.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    });
    kept.collect()
}

fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

/// Targets of a page's links.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(text) {
        for rest in line.split("](").skip(1) {
            let (target, _) = rest.split_once(')').expect("a link ends on its line");
            links.push(target.to_owned());
        }
    }
    links
}

#[test]
fn links_lead_somewhere() {
    let pages = pages();
    let mut followed = 0;
    for (page, text) in &pages {
        for link in links(text) {
            if link.starts_with("https://") || link.starts_with("http://") {
                continue;
            }
            followed += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let folder = page.parent().expect("a page is a file");
            let target = match file {
                "" => page.clone(),
                file => tidied(&folder.join(file)),
            };
            let place = format!("{}: {link}", page.display());
            assert!(root().join(&target).exists(), "{place}: no such file");
            if !anchor.is_empty() {
                let there = anchors(pages.get(&target).expect("anchors are in pages"));
                assert!(there.iter().any(|a| a == anchor), "{place}: {there:?}");
            }
        }
    }
    assert!(followed > 50, "only {followed} links were found");
}

#[test]
fn every_page_is_reached_from_the_readme() {
    let pages = pages();
    let mut reached = vec![PathBuf::from("README.md")];
    let mut next = 0;
    while let Some(page) = reached.get(next).cloned() {
        next += 1;
        let folder = page.parent().expect("a page is a file");
        for link in links(&pages[&page]) {
            let (file, _) = link.split_once('#').unwrap_or((&link, ""));
            let target = folder.join(file);
            if file.contains("://") || file.is_empty() {
                continue;
            }
            let target = tidied(&target);
            if pages.contains_key(&target) && !reached.contains(&target) {
                reached.push(target);
            }
        }
    }
    // A changelog is found by its name.
    let left = pages.keys().filter(|page| !reached.contains(page));
    let left: Vec<_> = left.filter(|page| **page != *"CHANGELOG.md").collect();
    assert!(left.is_empty(), "nothing leads to {left:?}");
}

#[test]
fn the_readme_is_for_someone_in_a_hurry() {
    let lines = pages()[Path::new("README.md")].lines().count();
    assert!(lines <= README_LINES, "README.md has {lines} lines");
}

#[test]
fn check_accepts_the_configurations_in_the_pages() {
    let directory = TempDir::new().unwrap();
    let inventory = root().join("tests/fixtures/inventory/py2.7.json");
    fs::copy(inventory, directory.path().join("py2.inventory.json")).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["cache.example.com".to_owned()];
    let params = rcgen::CertificateParams::new(names).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    for name in ["ca.pem", "client.pem", "server.pem", "clients.pem"] {
        fs::write(directory.path().join(name), &certificate).unwrap();
    }
    for name in ["client.key", "server.key"] {
        fs::write(directory.path().join(name), key.serialize_pem()).unwrap();
    }
    let file = directory.path().join("picklegate.toml");
    let mut checked = Vec::new();
    for (page, text) in pages() {
        let blocks = text.split("```toml\n").skip(1);
        let blocks = blocks.filter_map(|rest| rest.split("```").next());
        // Other blocks show one table of a configuration.
        for example in blocks.filter(|block| block.contains("[upstream]")) {
            fs::write(&file, example).unwrap();
            let told = Command::new(env!("CARGO_BIN_EXE_picklegate"))
                .args(["check", "--config", file.to_str().unwrap()])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(told.stderr).unwrap(), "", "{example}");
            assert_eq!(told.status.code(), Some(0), "{example}");
            checked.push(page.clone());
        }
    }
    let expected = ["config/tls.md", "config/values.md"].map(PathBuf::from);
    assert_eq!(checked, expected);
}
