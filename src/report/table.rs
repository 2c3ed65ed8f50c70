//! Tables of text: the one way in which cells are aligned for people.

use std::fmt::Write as _;

/// Returns rows with two spaces in front of each cell. A column is as wide as its cells
/// that something follows.
pub(super) fn aligned<R: AsRef<[String]>>(rows: &[R]) -> String {
    let mut widths = Vec::new();
    for row in rows.iter().map(AsRef::as_ref) {
        let followed = row.iter().rposition(|cell| !cell.is_empty()).unwrap_or(0);
        widths.resize(followed.max(widths.len()), 0);
        for (width, cell) in widths.iter_mut().zip(&row[..followed]) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, cell) in row.as_ref().iter().enumerate() {
            let width = widths.get(at).copied().unwrap_or(0);
            // Writing to a String cannot fail.
            let _ = write!(line, "  {cell:<width$}");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
