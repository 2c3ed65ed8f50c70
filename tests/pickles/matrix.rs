//! The recorded truth: pickles of many writers, and what became of each under
//! many real readers (`tests/fixtures/pickles`).

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::Path;
use std::sync::LazyLock;

use base64::prelude::{BASE64_STANDARD, Engine as _};
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
    pub rows: Vec<Row>,
}

/// One pickle.
pub(crate) struct Row {
    pub pickle: Vec<u8>,
    /// By reader: an index into the outcomes.
    outcomes: Vec<usize>,
    /// (case, writer): who produces just these bytes.
    pub productions: Vec<(usize, usize)>,
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
}

#[derive(Deserialize)]
struct RawRow {
    b: String,
    r: Vec<usize>,
    w: BTreeMap<usize, Vec<usize>>,
    #[serde(default, rename = "self")]
    unloadable_by_writer: u8,
}

/// The record, read once.
pub(crate) static MATRIX: LazyLock<Matrix> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pickles/matrix.jsonl.xz");
    let file = std::fs::File::open(path).expect("the recorded matrix");
    let mut text = Vec::new();
    lzma_rs::xz_decompress(&mut BufReader::new(file), &mut text).expect("an xz file");
    let mut lines = text.split(|&b| b == b'\n').filter(|line| !line.is_empty());
    let head: Head = serde_json::from_slice(lines.next().expect("a head")).expect("a head");
    let rows = lines
        .map(|line| {
            let row: RawRow = serde_json::from_slice(line).expect("a row");
            Row {
                pickle: BASE64_STANDARD.decode(row.b).expect("base64"),
                outcomes: row.r,
                productions: row
                    .w
                    .into_iter()
                    .flat_map(|(case, writers)| writers.into_iter().map(move |w| (case, w)))
                    .collect(),
                unloadable_by_writer: row.unloadable_by_writer != 0,
            }
        })
        .collect();
    Matrix {
        readers: head.readers,
        writers: head.writers,
        cases: head.cases,
        outcomes: head.outcomes,
        django: head.frameworks["django"].clone(),
        rows,
    }
});

impl Matrix {
    /// What became of a row under a reader, by its index.
    pub(crate) fn outcome(&self, row: &Row, reader: usize) -> &str {
        &self.outcomes[row.outcomes[reader]]
    }

    /// Whether a reader gets what the writer meant; Python 2's `str` may come
    /// back as text.
    pub(crate) fn loads(&self, row: &Row, reader: usize) -> bool {
        matches!(self.outcome(row, reader), "ok" | "ok~")
    }
}
