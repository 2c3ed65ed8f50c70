//! Replies, line by line, and what a request works on meanwhile.

use super::store::Store;

/// The store, the time and the buffer that a request works on.
pub(super) struct Context<'a> {
    pub(super) store: &'a mut Store,
    /// The unix second.
    pub(super) now: u64,
    pub(super) out: &'a mut Vec<u8>,
}

pub(super) const TOO_LARGE: &str = "SERVER_ERROR object too large for cache";
pub(super) const NOT_NUMERIC: &str = "CLIENT_ERROR cannot increment or decrement non-numeric value";

/// Appends a reply of one line.
pub(super) fn say(out: &mut Vec<u8>, silent: bool, line: &str) {
    if !silent {
        push_lines(out, &[line.as_bytes()]);
    }
}

/// Appends lines with their ends.
pub(super) fn push_lines(out: &mut Vec<u8>, lines: &[&[u8]]) {
    for line in lines {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends a number after what leads to it.
pub(super) fn push_number(out: &mut Vec<u8>, lead: &[u8], number: u64) {
    out.extend_from_slice(lead);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
