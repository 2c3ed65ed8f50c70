//! The recorded truth: pickles of many writers, and what became of each under
//! many real readers (`tests/fixtures/pickles`).

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::Path;
use std::sync::LazyLock;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use picklegate::pickle::inventory::Inventory;
use serde::Deserialize;

/// The whole record.
pub(crate) struct Matrix {
    /// Pythons, by reader index.
    pub readers: Vec<String>,
    /// `Python/pickler/protocol`, by writer index.
    pub writers: Vec<String>,
    /// `family/case`, by case index.
    pub cases: Vec<String>,
    pub outcomes: Vec<String>,
    /// The Django series of each Python's environment.
    pub django: BTreeMap<String, String>,
    /// Listings by `inventory.py`, by reader index, for readers in which it was run.
    pub inventories: Vec<Inventory>,
    pub rows: Vec<Row>,
}

/// One pickle.
pub(crate) struct Row {
    pub pickle: Vec<u8>,
    /// By reader: an index into the outcomes.
    outcomes: Vec<usize>,
    /// (case, writer): who produces just these bytes.
    pub productions: Vec<(usize, usize)>,
    /// Digests of what it means: to Pythons like its writer, and across 2 and 3.
    pub meaning: Option<String>,
    /// Not even its own writer loads it.
    pub unloadable_by_writer: bool,
}

#[derive(Deserialize)]
struct Head {
    readers: Vec<String>,
    writers: Vec<String>,
    cases: Vec<String>,
    outcomes: Vec<String>,
    frameworks: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    inventories: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct RawRow {
    b: String,
    r: Vec<usize>,
    w: BTreeMap<usize, Vec<usize>>,
    m: Option<String>,
    #[serde(default, rename = "self")]
    unloadable_by_writer: u8,
}

/// The record that the rules were made with, read once.
pub(crate) static MATRIX: LazyLock<Matrix> = LazyLock::new(|| Matrix::read("matrix.jsonl.xz"));

impl Matrix {
    /// Reads a record.
    pub(crate) fn read(name: &str) -> Self {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pickles");
        let file = std::fs::File::open(fixtures.join(name)).expect("a recorded matrix");
        let mut text = Vec::new();
        lzma_rs::xz_decompress(&mut BufReader::new(file), &mut text).expect("an xz file");
        let mut lines = text.split(|&b| b == b'\n').filter(|line| !line.is_empty());
        let head: Head = serde_json::from_slice(lines.next().expect("a head")).expect("a head");
        let inventories = head.inventories.iter().zip(&head.readers);
        Self {
            inventories: inventories
                .map(|(listing, python)| {
                    let listing = listing.to_string();
                    Inventory::read(python, listing.as_bytes()).expect("an inventory")
                })
                .collect(),
            readers: head.readers,
            writers: head.writers,
            cases: head.cases,
            outcomes: head.outcomes,
            django: head.frameworks["django"].clone(),
            rows: lines
                .map(|line| Row::from(serde_json::from_slice::<RawRow>(line).expect("a row")))
                .collect(),
        }
    }

    /// Outcome of a row under a reader, by its index.
    pub(crate) fn outcome(&self, row: &Row, reader: usize) -> &str {
        &self.outcomes[row.outcomes[reader]]
    }

    /// Whether a reader gets what the writer meant; Python 2's `str` may come
    /// back as text.
    pub(crate) fn loads(&self, row: &Row, reader: usize) -> bool {
        matches!(self.outcome(row, reader), "ok" | "ok~")
    }
}

impl From<RawRow> for Row {
    fn from(raw: RawRow) -> Self {
        let writers = raw.w.into_iter();
        Self {
            pickle: BASE64_STANDARD.decode(raw.b).expect("base64"),
            outcomes: raw.r,
            productions: writers
                .flat_map(|(case, writers)| writers.into_iter().map(move |w| (case, w)))
                .collect(),
            meaning: raw.m,
            unloadable_by_writer: raw.unloadable_by_writer != 0,
        }
    }
}
