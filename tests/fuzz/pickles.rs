//! Claims on any bytes as a pickle: the bodies of the fuzz targets for `src/pickle`,
//! which `tests/fuzz/main.rs` replays and tries with inputs of its own.

// The fuzzers use one of these each.
#![allow(dead_code)]

use picklegate::pickle::transcode::{Form, Py2Str, Transcoder, UnknownEnvironment};
use picklegate::pickle::{Extensions, Firewall, Flaw, Reader, Reason, Scan, Scanner};

/// Longer inputs find nothing new.
const MAX_INPUT: usize = 2048;

/// Memory that a scanner may take for a pickle, in bytes, for each byte of the
/// pickle: an extension code in two bytes takes what is kept of a global.
const HELD_PER_BYTE: usize = 160;
/// And for any pickle.
const HELD: usize = 4096;

const READERS: [(u64, Option<u64>); 6] = [
    (2, Some(7)),
    (3, Some(3)),
    (3, Some(6)),
    (3, Some(8)),
    (3, Some(13)),
    (3, None),
];

/// A scan finds the same again, takes no more memory than the pickle is worth,
/// and takes no beginning of a pickle for one.
pub(crate) fn pickle_scan(data: &[u8]) {
    let pickle = spell(data);
    let mut scanner = Scanner::default();
    let found = describe(scanner.scan(&pickle, Extensions::NONE));
    let held = scanner.held_bytes();
    assert!(
        held <= HELD + HELD_PER_BYTE * pickle.len(),
        "{held} bytes for a pickle of {}",
        pickle.len()
    );
    assert_eq!(describe(scanner.scan(&pickle, Extensions::NONE)), found);
    let Ok(scan) = scanner.scan(&pickle, Extensions::NONE) else {
        return;
    };
    assert_eq!(scan.len() + scan.trailing(), pickle.len());
    let len = scan.len();
    let first_cut = len.saturating_sub(64);
    for cut in first_cut..len {
        let cut = scanner.scan(&pickle[..cut], Extensions::NONE);
        assert!(cut.is_err(), "what is cut is whole");
    }
    // What follows does not count, but for a frame that reaches into it.
    if let Err(broken) = scanner.scan(&pickle[..len], Extensions::NONE) {
        assert_eq!(broken.flaw, Flaw::Length);
    }
}

/// All that a scan says.
fn describe(scan: Result<Scan<'_>, impl std::fmt::Display>) -> Result<String, String> {
    let scan = scan.map_err(|broken| broken.to_string())?;
    let judged = READERS.map(|(major, minor)| {
        let reader = Reader::of_python(major, minor);
        let judged = [reader, reader.with_django(Some((3, 2)))].map(|r| scan.judge(r, None));
        judged.map(|judged| judged.map_err(|reason| reason.to_string()))
    });
    let allowed = Firewall::allow([]).expect("an empty list");
    Ok(format!(
        "{} {} {:?} {:?} {:?} {judged:?} {:?}",
        scan.declared_protocol(),
        scan.effective_protocol(),
        scan.writer(),
        scan.globals().collect::<Vec<_>>(),
        scan.attributes().collect::<Vec<_>>(),
        allowed.check(&scan)
    ))
}

/// Rewriting gives a whole pickle, which its reader does not refuse for its protocol or
/// byte strings, and for nothing else if it could load the original.
pub(crate) fn transcode(data: &[u8]) {
    let pickle = spell(data);
    let mut transcoder = Transcoder::default();
    let (mut before, mut after) = (Scanner::default(), Scanner::default());
    let mut out = b"what was there".to_vec();
    let to_python3 = |py2_str| Form::Python3 { py2_str };
    for (form, (major, minor)) in [
        (Form::Python2, (2, 7)),
        (Form::Protocol4, (3, 6)),
        (Form::Protocol5, (3, 13)),
        (to_python3(Py2Str::Text), (3, 6)),
        (to_python3(Py2Str::Bytes), (3, 13)),
    ] {
        let reader = Reader::of_python(major, Some(minor));
        let before = before.scan(&pickle, Extensions::NONE);
        let done = transcoder.transcode(&pickle, form, &UnknownEnvironment, &mut out);
        if done.is_err() {
            assert!(out.is_empty());
            continue;
        }
        let shown = || format!("{form:?} of {} is {}", shown(&pickle), shown(&out));
        let before = before.unwrap_or_else(|broken| panic!("{broken} in {}", shown()));
        assert!(out.len() <= 8 * pickle.len() + 4096);
        let after = after.scan(&out, Extensions::NONE);
        let after = after.unwrap_or_else(|broken| panic!("{broken} in {}", shown()));
        assert_eq!(after.trailing(), 0, "{}", shown());
        let Err(reason) = after.judge(reader, None) else {
            continue;
        };
        let reads_str = matches!(form, Form::Protocol4 | Form::Protocol5);
        let was = before.judge(reader, None);
        let worse = match reason {
            // Made for pickles of Python 3, which have none: it leaves them.
            Reason::ByteString { .. } => {
                let had = matches!(
                    was,
                    Err(Reason::ByteString { .. } | Reason::Protocol { .. })
                );
                !(reads_str && had)
            }
            Reason::Protocol { .. }
            | Reason::PersistentId { .. }
            | Reason::Buffer { .. }
            | Reason::Extension { .. } => true,
            _ => reads_str && was.is_ok(),
        };
        assert!(!worse, "{reason}: {}", shown());
    }
}

fn shown(pickle: &[u8]) -> String {
    pickle.escape_ascii().to_string()
}

// Pickles out of any bytes ----------------------------------------------------

/// Names that something depends on, and others.
const NAMES: [(&str, &str); 24] = [
    ("builtins", "getattr"),
    ("builtins", "bytearray"),
    ("builtins", "set"),
    ("builtins", "object"),
    ("__builtin__", "set"),
    ("__builtin__", "unicode"),
    ("copyreg", "_reconstructor"),
    ("copy_reg", "_reconstructor"),
    ("_codecs", "encode"),
    ("datetime", "datetime"),
    ("datetime", "time"),
    ("array", "array"),
    ("array", "_array_reconstructor"),
    ("collections", "OrderedDict"),
    ("decimal", "Decimal"),
    ("functools", "partial"),
    ("itertools", "count"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy", "dtype"),
    ("django.utils.safestring", "SafeString"),
    ("django.db.models.base", "model_unpickle"),
    ("app.models", "Nested.Class"),
    ("__main__", "Größe"),
];

const TEXTS: [&str; 8] = [
    "",
    "a",
    "_django_version",
    "3.2",
    "db",
    "é",
    "latin1",
    "__dict__",
];

/// Depth to which values are nested.
const DEPTH: u32 = 6;

/// The bytes themselves if the first is 0; else the pickle that they choose.
pub(crate) fn spell(data: &[u8]) -> Vec<u8> {
    let data = &data[..data.len().min(MAX_INPUT)];
    match data.split_first() {
        None => Vec::new(),
        Some((0, raw)) => raw.to_vec(),
        Some((&style, rest)) => {
            let mut speller = Speller {
                data: rest,
                protocol: style % 6,
                puts: 0,
                out: Vec::new(),
            };
            if speller.protocol >= 2 {
                speller.out.extend([0x80, speller.protocol]);
            }
            while !speller.data.is_empty() {
                speller.value(DEPTH);
            }
            speller.out.push(b'.');
            speller.out
        }
    }
}

struct Speller<'d> {
    /// Bytes not used yet; after the last, everything is 0.
    data: &'d [u8],
    protocol: u8,
    puts: u8,
    out: Vec<u8>,
}

impl Speller<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.data.split_first() else {
            return 0;
        };
        self.data = rest;
        byte
    }

    fn copy(&mut self, count: usize) {
        for _ in 0..count {
            let byte = self.byte();
            self.out.push(byte);
        }
    }

    /// An opcode with a length in so many bytes, and what has it.
    fn sized(&mut self, op: u8, width: usize, data: &[u8]) {
        self.out.push(op);
        self.out.extend(&(data.len() as u64).to_le_bytes()[..width]);
        self.out.extend(data);
    }

    fn line(&mut self, op: u8, text: &str) {
        self.out.push(op);
        self.out.extend(text.bytes());
        self.out.push(b'\n');
    }

    fn text(&mut self) {
        let choice = self.byte();
        let text = TEXTS[usize::from(choice) % TEXTS.len()].as_bytes();
        match (choice >> 3) % 3 {
            0 if self.protocol >= 4 => self.sized(0x8c, 1, text),
            1 => self.sized(b'U', 1, text),
            _ => self.sized(b'X', 4, text),
        }
    }

    fn bytes(&mut self, op: u8, width: usize) {
        let count = usize::from(self.byte() % 16).min(self.data.len());
        let (data, rest) = self.data.split_at(count);
        self.data = rest;
        self.sized(op, width, data);
    }

    fn global(&mut self) {
        let choice = self.byte();
        let (module, name) = NAMES[usize::from(choice) % NAMES.len()];
        if self.protocol >= 4 && choice >= 128 {
            self.sized(0x8c, 1, module.as_bytes());
            self.sized(0x8c, 1, name.as_bytes());
            self.out.push(0x93);
        } else {
            self.line(b'c', module);
            self.out.extend(name.bytes());
            self.out.push(b'\n');
        }
    }

    /// Some values after a MARK, and what makes something of them.
    fn marked(&mut self, depth: u32, each: u8, close: u8) {
        self.out.push(b'(');
        for _ in 0..self.byte() % 5 * each {
            self.value(depth);
        }
        self.out.push(close);
    }

    fn value(&mut self, depth: u32) {
        let choice = self.byte();
        let Some(depth) = depth.checked_sub(1) else {
            return self.atom(choice);
        };
        match choice % 40 {
            18 | 19 => {
                self.out.push(b']');
                self.marked(depth, 1, b'e');
            }
            20 | 21 => {
                self.out.push(b'}');
                self.marked(depth, 2, b'u');
            }
            22 => self.marked(depth, 1, b't'),
            23 => {
                let count = choice / 40 % 3;
                (0..=count).for_each(|_| self.value(depth));
                self.out.push(0x85 + count);
            }
            24 => {
                self.out.push(0x8f);
                self.marked(depth, 1, 0x90);
            }
            25 => self.marked(depth, 1, 0x91),
            26..=28 => {
                self.global();
                self.marked(depth, 1, b't');
                self.out.push(if choice < 128 { b'R' } else { 0x81 });
                if choice.is_multiple_of(2) {
                    self.out.push(b'}');
                    self.marked(depth, 2, b'u');
                    self.out.push(b'b');
                }
            }
            29 => {
                self.out.push(b'(');
                self.global();
                (0..choice / 64).for_each(|_| self.value(depth));
                self.out.push(b'o');
            }
            30..=32 => {
                self.value(depth);
                if self.protocol >= 4 {
                    self.out.push(0x94);
                } else {
                    self.out.extend([b'q', self.puts]);
                }
                self.puts = self.puts.wrapping_add(1);
            }
            33 => self.marked(depth, 1, b'l'),
            34 => self.marked(depth, 2, b'd'),
            35 => {
                self.value(depth);
                self.out.extend(*b"2\x86");
            }
            36 => {
                self.value(depth);
                self.value(depth);
                self.out.push(b'0');
            }
            37 => {
                self.global();
                self.out.extend(*b")}");
                self.marked(depth, 2, b'u');
                self.out.push(0x92);
            }
            38 => {
                let (module, name) = NAMES[usize::from(choice / 8) % NAMES.len()];
                self.out.push(b'(');
                self.value(depth);
                self.line(b'i', module);
                self.out.extend(name.bytes());
                self.out.push(b'\n');
            }
            // Anything.
            39 => self.copy(usize::from(choice / 40)),
            _ => self.atom(choice),
        }
    }

    fn atom(&mut self, choice: u8) {
        match choice % 18 {
            1 => self.out.push(0x88 + choice / 128),
            2 => {
                self.out.push(b'K');
                self.copy(1);
            }
            3 => {
                self.out.push(b'J');
                self.copy(4);
            }
            4 => {
                self.out.push(b'G');
                self.copy(8);
            }
            5 => self.bytes(0x8a, 1),
            6..=8 => self.text(),
            9 => self.bytes(b'U', 1),
            10 if self.protocol >= 3 => self.bytes(b'C', 1),
            11 if self.protocol >= 5 => self.bytes(0x96, 8),
            12 if self.puts > 0 => {
                let key = self.byte() % self.puts;
                self.out.extend([b'h', key]);
            }
            13 => self.line(b'I', ["01", "-7", "123456789012"][usize::from(choice) % 3]),
            14 => self.line(b'S', ["'a'", r"'\xe9\n'", "\"b\""][usize::from(choice) % 3]),
            15 => self.line(b'V', ["a", r"\u00e9", "\u{e9}"][usize::from(choice) % 3]),
            16 => self.line(
                b'L',
                ["5L", "-99999999999999999999L"][usize::from(choice) % 2],
            ),
            17 => self.global(),
            _ => self.out.push(b'N'),
        }
    }
}
