//! The end of a request's first line, and the length at which it has none. Knows no
//! command but by whether it may name many keys.

use crate::protocol::token::find_byte;

/// Longest line of any request but retrievals, in bytes.
pub const MAX_LINE_BYTES: usize = 16 << 10;
/// Longest line of a retrieval, which may name many keys.
pub const MAX_RETRIEVAL_LINE_BYTES: usize = 1 << 20;

/// The end of the first line of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Incomplete: more bytes are needed.
    Partial,
    /// The line never ends: it is over the limit for its kind.
    TooLong,
    /// A whole line: its text, and its bytes with the line end.
    Whole {
        /// Bytes of text.
        text: usize,
        /// Bytes of text and line end.
        total: usize,
    },
}

/// Finds the first line; `searched` bytes are known to hold no line end.
pub fn find_line(buf: &[u8], searched: usize) -> Line {
    match find_byte(b'\n', &buf[searched..]) {
        Some(at) => {
            let at = searched + at;
            if at > MAX_LINE_BYTES && at > line_limit(buf) {
                return Line::TooLong;
            }
            // A lone "\r\n" keeps its "\r", as in memcached.
            let text = if at > 1 && buf[at - 1] == b'\r' {
                at - 1
            } else {
                at
            };
            Line::Whole {
                text,
                total: at + 1,
            }
        }
        None if buf.len() > MAX_LINE_BYTES && buf.len() > line_limit(buf) => Line::TooLong,
        None => Line::Partial,
    }
}

fn line_limit(line: &[u8]) -> usize {
    let start = line.iter().take(100).position(|&b| b != b' ').unwrap_or(0);
    let retrieval = [&b"get "[..], b"gets ", b"gat ", b"gats "]
        .iter()
        .any(|verb| line[start..].starts_with(verb));
    if retrieval {
        MAX_RETRIEVAL_LINE_BYTES
    } else {
        MAX_LINE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_where_memcached_ends_it() {
        for (input, expected) in [
            ("get a\r\nget b\r\n", Some(("get a", 7))),
            ("get a\nget b\n", Some(("get a", 6))),
            ("\r\n", Some(("\r", 2))),
            ("\n", Some(("", 1))),
            ("a\r\n", Some(("a", 3))),
            ("a\r\r\n", Some(("a\r", 4))),
            ("a\rb\n", Some(("a\rb", 4))),
            ("", None),
            ("get a\r", None),
        ] {
            let expected = expected.map_or(Line::Partial, |(text, total)| Line::Whole {
                text: text.len(),
                total,
            });
            assert_eq!(find_line(input.as_bytes(), 0), expected, "{input:?}");
        }
    }

    #[test]
    fn a_cut_line_is_no_line() {
        let input = b"set key 0 0 5 noreply\r\nvalue\r\n";
        let total = 23;
        for cut in 0..=input.len() {
            let found = find_line(&input[..cut], 0);
            if cut < total {
                assert_eq!(found, Line::Partial, "cut at {cut}");
            } else {
                let text = total - 2;
                assert_eq!(found, Line::Whole { text, total }, "cut at {cut}");
            }
            // What was searched before needs no second look.
            for searched in 0..cut.min(total) {
                assert_eq!(find_line(&input[..cut], searched), found, "cut at {cut}");
            }
        }
    }

    #[test]
    fn an_endless_line_is_found_out() {
        for (start, limit) in [
            ("set ", MAX_LINE_BYTES),
            ("getx ", MAX_LINE_BYTES),
            ("get ", MAX_RETRIEVAL_LINE_BYTES),
            ("  gets ", MAX_RETRIEVAL_LINE_BYTES),
            ("gat 1 ", MAX_RETRIEVAL_LINE_BYTES),
            ("gats 1 ", MAX_RETRIEVAL_LINE_BYTES),
        ] {
            let mut line = start.as_bytes().to_vec();
            line.resize(limit, b'k');
            assert_eq!(find_line(&line, 0), Line::Partial, "{start}");
            line.push(b'\n');
            let whole = Line::Whole {
                text: limit,
                total: limit + 1,
            };
            assert_eq!(find_line(&line, 0), whole, "{start}");
            line.pop();
            line.push(b'k');
            assert_eq!(find_line(&line, 0), Line::TooLong, "{start}");
            line.push(b'\n');
            assert_eq!(find_line(&line, 0), Line::TooLong, "{start}");
        }
    }
}
