//! Tells whether a reply is the one owed, wherever reads cut it. Owns no
//! buffer but for a line that is not yet whole.
//!
//! Feed it each read with the request owed; it says how much belonged to that
//! request's reply and, once the reply is whole, how it came out.

use memchr::memchr;

use crate::tally::Outcome;
use crate::workload::{Item, Keyspace, Op};

/// Longest line kept while its end is missing.
const MAX_LINE_BYTES: usize = 4096;
/// Longest value that is taken for one: memcached's largest item.
const MAX_VALUE_BYTES: usize = 1 << 30;
/// The bytes that are checked at each end of a value.
const CHECKED_BYTES: usize = 64;

/// Bytes that end no reply: what follows cannot be told apart.
#[derive(Debug, thiserror::Error)]
#[error("no reply to {0:?}: {1:?}")]
pub(crate) struct Unframed(pub(crate) Op, pub(crate) String);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Line,
    /// In a value: `seen` of it and its "\r\n" have come. `key` is whose it
    /// is, if it is owed.
    Body {
        key: Option<u32>,
        seen: usize,
        length: usize,
    },
}

/// The progress of the reply in hand.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    phase: Phase,
    /// The beginning of a line that is not yet whole.
    line: Vec<u8>,
    /// Values that have come.
    found: usize,
    /// Keys of the multi-get in hand; the first `found` have come.
    owed: Vec<u32>,
    wrong: Option<String>,
}

/// The meaning of one line of a reply.
enum Line {
    Value { key: Option<u32>, length: usize },
    Done(Outcome),
}

impl Checker {
    /// Takes what belongs to the reply owed. All of the input is taken unless
    /// the reply is whole.
    pub(crate) fn feed(
        &mut self,
        keyspace: &Keyspace,
        op: Op,
        input: &[u8],
    ) -> Result<(usize, Option<Outcome>), Unframed> {
        let mut taken = 0;
        while taken < input.len() {
            let rest = &input[taken..];
            match self.phase {
                Phase::Line => {
                    let (bytes, line) = self.take_line(keyspace, op, rest)?;
                    taken += bytes;
                    match line {
                        None => {}
                        Some(Line::Value { key, length }) => {
                            let seen = 0;
                            self.phase = Phase::Body { key, seen, length };
                        }
                        Some(Line::Done(outcome)) => {
                            return Ok((taken, Some(self.finish(outcome))));
                        }
                    }
                }
                Phase::Body { key, seen, length } => {
                    let whole = length + 2;
                    let chunk = &rest[..rest.len().min(whole - seen)];
                    self.check_body(keyspace, key, seen, length, chunk);
                    taken += chunk.len();
                    let seen = seen + chunk.len();
                    if seen < whole {
                        self.phase = Phase::Body { key, seen, length };
                    } else {
                        self.phase = Phase::Line;
                        self.found += 1;
                        // "VA" stands alone, with no "END" after it.
                        if keyspace.meta && matches!(op, Op::Get(_)) {
                            return Ok((taken, Some(self.finish(Outcome::Hit))));
                        }
                    }
                }
            }
        }
        Ok((taken, None))
    }

    fn finish(&mut self, outcome: Outcome) -> Outcome {
        self.found = 0;
        self.owed.clear();
        match self.wrong.take() {
            Some(what) => Outcome::Wrong(what),
            None => outcome,
        }
    }

    fn take_line(
        &mut self,
        keyspace: &Keyspace,
        op: Op,
        input: &[u8],
    ) -> Result<(usize, Option<Line>), Unframed> {
        if self.line.is_empty()
            && let Some(reply) = self.expected(keyspace, op)
            && input.starts_with(reply.1.reply())
        {
            let (key, item) = reply;
            let length = item.value().len();
            let key = Some(key);
            return Ok((item.reply().len(), Some(Line::Value { key, length })));
        }
        let Some(end) = memchr(b'\n', input) else {
            self.line.extend_from_slice(input);
            if self.line.len() > MAX_LINE_BYTES {
                return Err(Unframed(op, printable(&self.line)));
            }
            return Ok((input.len(), None));
        };
        let taken = end + 1;
        let line = if self.line.is_empty() {
            self.understand(keyspace, op, &input[..taken])?
        } else {
            let mut whole = std::mem::take(&mut self.line);
            whole.extend_from_slice(&input[..taken]);
            let line = self.understand(keyspace, op, &whole)?;
            whole.clear();
            self.line = whole;
            line
        };
        Ok((taken, Some(line)))
    }

    /// The key that most likely comes next.
    fn expected<'a>(&mut self, keyspace: &'a Keyspace, op: Op) -> Option<(u32, &'a Item)> {
        let key = match op {
            Op::Get(key) if self.found == 0 => key,
            Op::MultiGet(number) => {
                if self.owed.is_empty() {
                    let keys = &keyspace.multigets[number as usize].keys;
                    self.owed.extend_from_slice(keys);
                }
                *self.owed.get(self.found)?
            }
            _ => return None,
        };
        Some((key, &keyspace.items[key as usize]))
    }

    fn understand(&mut self, keyspace: &Keyspace, op: Op, line: &[u8]) -> Result<Line, Unframed> {
        let Some(text) = line.strip_suffix(b"\r\n") else {
            return Err(Unframed(op, printable(line)));
        };
        if let Some(length) = value_length(text).filter(|length| *length <= MAX_VALUE_BYTES) {
            let key = self.find(keyspace, op, line);
            if key.is_none() {
                let what = format!("{op:?} was answered {:?}", printable(text));
                self.wrong.get_or_insert(what);
            }
            return Ok(Line::Value { key, length });
        }
        let outcome = match (text, op) {
            (b"END", Op::Get(_)) if self.found > 0 => Outcome::Hit,
            (b"END" | b"EN", Op::Get(_)) => Outcome::Miss(1),
            (b"END" | b"MN", Op::MultiGet(_)) => {
                // Fills what is owed if no value did.
                self.expected(keyspace, op);
                match self.owed.len().saturating_sub(self.found) {
                    0 => Outcome::Hit,
                    missing => Outcome::Miss(missing as u32),
                }
            }
            (b"STORED" | b"HD", Op::Set(_)) => Outcome::Stored,
            _ if is_error(text) => Outcome::Error(printable(text)),
            (b"END" | b"EN" | b"MN" | b"STORED" | b"HD" | b"NOT_STORED" | b"NF" | b"NS", _) => {
                Outcome::Wrong(format!("{op:?} was answered {:?}", printable(text)))
            }
            _ => return Err(Unframed(op, printable(text))),
        };
        Ok(Line::Done(outcome))
    }

    /// Finds the owed key that a value line is for. A key that comes out of order
    /// changes places with the one expected.
    fn find(&mut self, keyspace: &Keyspace, op: Op, line: &[u8]) -> Option<u32> {
        let is = |key: u32| keyspace.items[key as usize].reply() == line;
        let (key, _) = self.expected(keyspace, op)?;
        if !matches!(op, Op::MultiGet(_)) {
            return is(key).then_some(key);
        }
        let at = (self.found..self.owed.len()).find(|at| is(self.owed[*at]))?;
        self.owed.swap(self.found, at);
        Some(self.owed[self.found])
    }

    fn check_body(
        &mut self,
        keyspace: &Keyspace,
        key: Option<u32>,
        seen: usize,
        length: usize,
        chunk: &[u8],
    ) {
        let Some(key) = key else { return };
        // Followed in memory by the same "\r\n".
        let expected = keyspace.items[key as usize].value_line();
        let same = |from: usize, to: usize| {
            let (from, to) = (from.max(seen), to.min(seen + chunk.len()));
            from >= to || chunk[from - seen..to - seen] == expected[from..to]
        };
        let whole = length + 2;
        let last = whole.saturating_sub(CHECKED_BYTES);
        if !(same(0, CHECKED_BYTES.min(whole)) && same(last, whole)) {
            let name = &keyspace.names[key as usize];
            self.wrong
                .get_or_insert(format!("{name} came with another value"));
        }
    }
}

/// The length in "VALUE key flags length" or "VA length flags*".
fn value_length(text: &[u8]) -> Option<usize> {
    let mut words = text.split(|byte| *byte == b' ');
    let length = match words.next()? {
        b"VALUE" => words.nth(2)?,
        b"VA" => words.next()?,
        _ => return None,
    };
    std::str::from_utf8(length).ok()?.parse().ok()
}

fn is_error(text: &[u8]) -> bool {
    [&b"ERROR"[..], b"CLIENT_ERROR", b"SERVER_ERROR"]
        .iter()
        .any(|word| text.starts_with(word))
}

/// The beginning of what came, for people.
pub(crate) fn printable(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(120)].escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::workload::Workload;

    fn keyspace(arguments: &str) -> Keyspace {
        let fixed = ["load", "run", "--target", "h:1", "--keys", "8"];
        let words = fixed.into_iter().chain(arguments.split_whitespace());
        let Command::Run(run) = Cli::parse_from(words).command else {
            panic!("run was asked for")
        };
        let mut workload = Workload::new(&run.mix, &run.targets, false).unwrap();
        workload.keyspaces.remove(0)
    }

    /// Feeds a reply whole, byte by byte and cut in two everywhere: what comes
    /// out is the same.
    fn outcome(keyspace: &Keyspace, op: Op, reply: &[u8]) -> Outcome {
        let cuts = (0..=reply.len()).map(|cut| vec![&reply[..cut], &reply[cut..]]);
        let bytes = std::iter::once(reply.chunks(1).collect());
        let mut outcomes = cuts.chain(bytes).map(|parts| {
            let mut checker = Checker::default();
            let (mut taken, mut outcome) = (0, None);
            for part in parts.into_iter().filter(|part| !part.is_empty()) {
                assert_eq!(outcome, None, "the reply was whole too early");
                let (bytes, came) = checker.feed(keyspace, op, part).unwrap();
                (taken, outcome) = (taken + bytes, came);
            }
            assert_eq!(taken, reply.len());
            outcome.expect("a whole reply has an outcome")
        });
        let first = outcomes.next().unwrap();
        assert!(outcomes.all(|other| other == first));
        first
    }

    fn values(keyspace: &Keyspace, keys: &[usize]) -> Vec<u8> {
        let items = keys.iter().map(|key| &keyspace.items[*key]);
        let mut reply: Vec<u8> = items
            .flat_map(|item| [item.reply(), item.value_line()].concat())
            .collect();
        if !keyspace.meta {
            reply.extend_from_slice(b"END\r\n");
        }
        reply
    }

    fn is_wrong(outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Wrong(_))
    }

    #[test]
    fn replies_that_are_owed_are_taken() {
        for arguments in ["", "--raw --value-bytes 1", "--value-bytes 1000", "--meta"] {
            let keyspace = keyspace(arguments);
            let hit = values(&keyspace, &[3]);
            assert_eq!(outcome(&keyspace, Op::Get(3), &hit), Outcome::Hit);
            let (miss, stored): (&[u8], &[u8]) = if keyspace.meta {
                (b"EN\r\n", b"HD\r\n")
            } else {
                (b"END\r\n", b"STORED\r\n")
            };
            assert_eq!(outcome(&keyspace, Op::Get(3), miss), Outcome::Miss(1));
            assert_eq!(outcome(&keyspace, Op::Set(3), stored), Outcome::Stored);
        }
    }

    #[test]
    fn another_keys_reply_is_wrong() {
        for arguments in ["", "--meta"] {
            let keyspace = keyspace(arguments);
            let other = values(&keyspace, &[4]);
            assert!(is_wrong(&outcome(&keyspace, Op::Get(3), &other)));
            assert!(is_wrong(&outcome(&keyspace, Op::Set(3), b"END\r\n")));
            assert!(is_wrong(&outcome(&keyspace, Op::Get(3), b"STORED\r\n")));
        }
    }

    #[test]
    fn another_value_is_wrong_at_either_end() {
        for bytes in [100, 1000] {
            let keyspace = keyspace(&format!("--value-bytes {bytes}"));
            let right = values(&keyspace, &[3]);
            let from = keyspace.items[3].reply().len();
            for at in [from, from + 20, from + bytes - 20, from + bytes + 1] {
                let mut reply = right.clone();
                reply[at] ^= 1;
                assert!(
                    is_wrong(&outcome(&keyspace, Op::Get(3), &reply)),
                    "byte {at}"
                );
            }
        }
    }

    #[test]
    fn an_error_is_told_from_a_wrong_reply() {
        let keyspace = keyspace("");
        let error = outcome(&keyspace, Op::Get(3), b"SERVER_ERROR busy\r\n");
        assert_eq!(error, Outcome::Error("SERVER_ERROR busy".to_owned()));
    }

    #[test]
    fn a_multiget_may_miss_and_come_in_any_order() {
        let keyspace = keyspace("--multiget 1 --multiget-keys 3");
        let keys = keyspace.multigets[0].keys.iter();
        let [a, b, c] = keys.map(|key| *key as usize).collect::<Vec<_>>()[..] else {
            panic!("three keys")
        };
        let of = |keys: &[usize]| outcome(&keyspace, Op::MultiGet(0), &values(&keyspace, keys));
        assert_eq!(of(&[a, b, c]), Outcome::Hit);
        assert_eq!(of(&[c, a, b]), Outcome::Hit);
        assert_eq!(of(&[b]), Outcome::Miss(2));
        assert_eq!(of(&[]), Outcome::Miss(3));
        assert!(is_wrong(&of(&[a, a])));
        let stranger = (0..8).find(|key| ![a, b, c].contains(key)).unwrap();
        assert!(is_wrong(&of(&[a, stranger])));
    }

    #[test]
    fn pipelined_replies_are_told_apart() {
        let keyspace = keyspace("");
        let mut both = values(&keyspace, &[1]);
        let first = both.len();
        both.extend_from_slice(b"STORED\r\n");
        let mut checker = Checker::default();
        let one = checker.feed(&keyspace, Op::Get(1), &both).unwrap();
        assert_eq!(one, (first, Some(Outcome::Hit)));
        let two = checker.feed(&keyspace, Op::Set(2), &both[first..]).unwrap();
        assert_eq!(two, (8, Some(Outcome::Stored)));
    }

    #[test]
    fn what_is_no_reply_ends_the_connection() {
        let keyspace = keyspace("");
        for bytes in [
            &b"hello\r\n"[..],
            b"END\n",
            b"VALUE k 0 99999999999999999999\r\n",
        ] {
            assert!(
                Checker::default()
                    .feed(&keyspace, Op::Get(0), bytes)
                    .is_err()
            );
        }
        let endless = vec![b'x'; MAX_LINE_BYTES + 1];
        assert!(
            Checker::default()
                .feed(&keyspace, Op::Get(0), &endless)
                .is_err()
        );
    }
}
