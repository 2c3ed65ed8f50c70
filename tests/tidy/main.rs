//! Holds the shape of the tree: which rooms may use which, that files form no circles
//! and are short enough to read, that doc comments name their subject, and that the
//! guide names what there is.

mod circles;
mod guide;
mod prose;
mod rooms;
mod sizes;

use std::fs;
use std::path::{Path, PathBuf};

/// Rust files below a directory.
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
