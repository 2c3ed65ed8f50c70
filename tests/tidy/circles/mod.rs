//! Holds that files form no circles, but for a module and its own children: a file
//! is read after those that it uses, and they do without it.
//!
//! A path counts as one to the file that defines what it names, whatever re-exports
//! it leads through. So a child takes from its parent only what the parent defines:
//! the rest it takes from the file that it comes from.

mod graph;
mod names;
mod tests;
mod tree;

use std::path::Path;
use std::sync::OnceLock;

use graph::Graph;
use names::Edges;
use tree::{Sources, Tree};

const LOADTEST: &str = "loadtest/src/main.rs";

/// The crates of this workspace.
pub(crate) fn crates() -> &'static Tree {
    static TREE: OnceLock<Tree> = OnceLock::new();
    TREE.get_or_init(read)
}

fn read() -> Tree {
    let mut sources = Sources::new();
    // A published package comes without the load test.
    let dirs = ["src", "loadtest/src"].map(Path::new);
    for dir in dirs.into_iter().filter(|dir| dir.is_dir()) {
        for path in crate::sources(dir) {
            let text = std::fs::read_to_string(&path).expect("sources are text");
            sources.insert(path.to_str().expect("names are ASCII").to_owned(), text);
        }
    }
    let mut tree = Tree::default();
    tree.add_crate(&sources, "src/lib.rs", Some("picklegate"));
    tree.add_crate(&sources, "src/main.rs", None);
    if sources.contains_key(LOADTEST) {
        tree.add_crate(&sources, LOADTEST, None);
    }
    tree
}

/// Names that each file takes from each other.
pub(crate) fn edges() -> &'static Edges {
    static EDGES: OnceLock<Edges> = OnceLock::new();
    EDGES.get_or_init(|| names::edges(crates()))
}

#[test]
fn files_form_no_circles() {
    let graph = Graph::new(edges().clone());
    let circles = graph.circles();
    let examples = circles.iter().map(|files| graph.example(files, None));
    let wrong: Vec<String> = examples.collect();
    assert!(wrong.is_empty(), "circles of files:\n{}", wrong.join("\n"));
}

#[test]
fn children_take_from_their_parents_what_those_define() {
    let borrowed = names::borrowed(crates()).into_iter();
    let wrong: Vec<String> = borrowed
        .map(|path| format!("{path} is not defined there: name the file that it comes from"))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// `cargo test --test tidy graph -- --ignored --nocapture` shows what there is to cut.
#[test]
#[ignore = "prints the circles"]
fn graph_of_the_circles() {
    println!("{}", Graph::new(edges().clone()).render());
}
