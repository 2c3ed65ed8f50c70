//! Says what a pickle is, and who can load it: bytes to a [`Report`], for people and
//! for programs. Knows no file.

mod asked;
mod names;
mod render;

use std::fmt::{self, Write as _};

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

pub use asked::Asked;
pub(crate) use asked::writers;
pub use names::NameList;

use crate::pickle::names::PythonVersion;
use crate::pickle::{
    Extensions, Firewall, GlobalRef, InflateError, InflateLimits, Inflater, NotPlain, Outermost,
    Reader, Reason, Role, Roles, Scan, Scanner, Verdict,
};
use crate::policy::RuntimeTag;
use crate::report::table::aligned;
use render::{NotRendered, render};

/// The limits of a compressed input.
pub const LIMITS: InflateLimits = InflateLimits {
    max_bytes: 64 << 20,
    max_ratio: 1000,
};

/// The tags of all Pythons that picklegate knows apart.
pub fn every_python() -> impl Iterator<Item = RuntimeTag> {
    PythonVersion::ALL
        .iter()
        .filter_map(|version| RuntimeTag::parse(&format!("python/{version}")).ok())
}

/// The report on one input. Serialises to the object that `inspect --format json`
/// prints; its display is for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The name of the input.
    pub input: String,
    /// The length in bytes, as the input is stored.
    pub size: usize,
    /// The protocol that its header declares, 0 without one; nothing if it is
    /// broken.
    pub protocol: Option<u8>,
    /// The lowest protocol with all of its opcodes.
    pub effective_protocol: Option<u8>,
    /// True if it is a pickle, whole and well-formed.
    pub complete: bool,
    /// True if it is a zlib stream.
    pub compressed: bool,
    /// The Python that wrote it, as far as its bytes are certain.
    pub writer: &'static str,
    /// The globals that it names, in order of first appearance.
    pub globals: Vec<NamedGlobal>,
    /// The verdict for each reader, in the order of the question.
    #[serde(serialize_with = "as_map")]
    pub readers: Vec<ReaderVerdict>,
    /// The number of bytes after the pickle; readers ignore them.
    #[serde(skip_serializing_if = "is_zero")]
    pub trailing: usize,
    /// The reason why it is no pickle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The series of Django that wrote it, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub django: Option<String>,
    /// A readable rendering in Python's notation, where it is plain.
    #[serde(skip_serializing_if = "Shown::is_described")]
    pub value: Shown,
    /// The length in bytes when inflated.
    #[serde(skip)]
    pub inflated: usize,
    /// The entries that an allow list needs for it.
    #[serde(skip)]
    pub uses: Vec<(Role, String)>,
}

/// A value for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Shown {
    /// Value in Python's notation, cut at 2,000 characters. Keys and members are sorted;
    /// a `bytearray` looks as bytes do.
    Rendered(String),
    /// A description, or why the value is not rendered.
    Described(String),
}

impl Shown {
    fn is_described(&self) -> bool {
        matches!(self, Self::Described(_))
    }
}

/// Something that a pickle names. Serialises to the name alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedGlobal {
    /// Module and name, dotted, as the pickle has them.
    pub name: String,
    /// The ways in which the pickle uses it.
    pub roles: Roles,
}

impl Serialize for NamedGlobal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

/// Whether one reader can load a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReaderVerdict {
    /// The reader's tag.
    #[serde(skip)]
    pub tag: String,
    /// Verdict in one word.
    #[serde(serialize_with = "as_word")]
    pub verdict: Verdict,
    /// The reason why it is not loadable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Inspects inputs; keeps its memory from one to the next.
#[derive(Debug, Default)]
pub struct Inspector {
    scanner: Scanner,
    inflater: Inflater,
    readers: Vec<Asked>,
}

impl Inspector {
    /// Judges for these readers.
    pub fn new(readers: Vec<Asked>) -> Self {
        Self {
            readers,
            ..Self::default()
        }
    }

    /// Reports on an input of `size` bytes that was not looked at, and why.
    pub fn refuse(&self, input: &str, size: usize, error: String) -> Report {
        Report {
            size,
            ..broken(input, &[], error, &self.readers)
        }
    }

    /// Reports on `bytes`: a pickle, or one compressed by zlib. `input` is its name in
    /// the report.
    pub fn inspect(&mut self, input: &str, bytes: &[u8]) -> Report {
        let (pickle, compressed) = match inflate(&mut self.inflater, bytes) {
            Ok(Some(pickle)) => (pickle, true),
            Ok(None) => (bytes, false),
            Err(error) => {
                return Report {
                    compressed: true,
                    ..broken(input, bytes, error.to_string(), &self.readers)
                };
            }
        };
        let report = match self.scanner.scan(pickle, Extensions::NONE) {
            Ok(scan) => understood(input, &scan, pickle, &self.readers),
            Err(error) => broken(input, pickle, error.to_string(), &self.readers),
        };
        Report {
            size: bytes.len(),
            compressed,
            ..report
        }
    }
}

/// Decompresses a zlib stream; `None` if the bytes are none.
///
/// # Errors
/// Where it is one, but damaged or too large.
pub(crate) fn inflate<'i>(
    inflater: &'i mut Inflater,
    bytes: &[u8],
) -> Result<Option<&'i [u8]>, InflateError> {
    if !has_zlib_header(bytes) {
        return Ok(None);
    }
    match inflater.inflate(bytes, LIMITS) {
        Ok(pickle) => Ok(Some(pickle)),
        // Clients write an x; some pickles start with what else is a header.
        Err(InflateError::Corrupt) if bytes[0] != b'x' => Ok(None),
        Err(error) => Err(error),
    }
}

/// RFC 1950: method 8, a check sum of 5 bits, and no dictionary.
fn has_zlib_header(bytes: &[u8]) -> bool {
    matches!(*bytes, [method, flags, ..]
        if method & 0x0f == 8
            && u16::from_be_bytes([method, flags]).is_multiple_of(31)
            && flags & 0x20 == 0)
}

fn broken(input: &str, bytes: &[u8], error: String, readers: &[Asked]) -> Report {
    let judge = |asked: &Asked| ReaderVerdict {
        tag: asked.tag.to_string(),
        verdict: Verdict::Unknown,
        reason: Some(error.clone()),
    };
    Report {
        input: input.to_owned(),
        size: bytes.len(),
        protocol: None,
        effective_protocol: None,
        complete: false,
        compressed: false,
        writer: "unknown",
        globals: Vec::new(),
        readers: readers.iter().map(judge).collect(),
        trailing: 0,
        error: Some(error),
        django: None,
        value: Shown::Described("none".to_owned()),
        inflated: bytes.len(),
        uses: Vec::new(),
    }
}

fn understood(input: &str, scan: &Scan<'_>, pickle: &[u8], readers: &[Asked]) -> Report {
    let writers = writers(scan, readers);
    let judge = |asked: &Asked| {
        let pool = asked.pool();
        let judged = scan.judge(pool.reader, pool.inventory);
        let judged = judged.and_then(|()| scan.prove(pool, &writers.iter().copied()));
        let reason = judged.err();
        ReaderVerdict {
            tag: asked.tag.to_string(),
            verdict: reason.map_or(Verdict::Loadable, Reason::verdict),
            reason: reason.map(|reason| reason.to_string()),
        }
    };
    let mut globals: Vec<NamedGlobal> = Vec::new();
    for global in named(scan) {
        let name = dotted(&global);
        // The same name twice: once in a form that Python 3 translates.
        match globals.iter_mut().find(|known| known.name == name) {
            Some(known) => known.roles = names::either(known.roles, global.roles),
            None => globals.push(NamedGlobal {
                name,
                roles: global.roles,
            }),
        }
    }
    Report {
        input: input.to_owned(),
        size: pickle.len(),
        protocol: Some(scan.declared_protocol()),
        effective_protocol: Some(scan.effective_protocol()),
        complete: true,
        compressed: false,
        writer: scan.writer().name(),
        globals,
        readers: readers.iter().map(judge).collect(),
        trailing: scan.trailing(),
        error: None,
        django: scan
            .django()
            .map(|(major, minor)| format!("{major}.{minor}")),
        value: show(scan, &pickle[..scan.len()]),
        inflated: pickle.len(),
        uses: Firewall::uses(scan).collect(),
    }
}

/// Returns what it names; an extension code that is not registered is no name.
fn named<'s>(scan: &Scan<'s>) -> impl Iterator<Item = GlobalRef<'s>> {
    scan.globals().filter(|global| !global.module.is_empty())
}

fn dotted(global: &GlobalRef<'_>) -> String {
    if global.module.is_empty() {
        return "what an extension code stands for".to_owned();
    }
    format!("{}.{}", global.module, global.name)
}

fn show(scan: &Scan<'_>, pickle: &[u8]) -> Shown {
    let python3 = scan.judge(Reader::of_python(3, None), None);
    let py2_text = !matches!(python3, Err(Reason::ByteString { .. }));
    match render(pickle, py2_text) {
        Ok(text) => Shown::Rendered(text),
        Err(NotRendered::NotPlain(NotPlain::Objects)) => Shown::Described(describe(scan)),
        Err(why) => Shown::Described(format!("not rendered: {why}")),
    }
}

/// The number of names that stand for all in a description.
const DESCRIBED: usize = 5;

/// Describes a value with objects in it.
fn describe(scan: &Scan<'_>) -> String {
    let made = named(scan).filter(|global| {
        let roles = global.roles;
        let is_made = roles.called || roles.instantiated || roles.reconstructed;
        is_made && !is_helper(global)
    });
    let mut made: Vec<String> = made.map(|global| dotted(&global)).collect();
    if let more @ 1.. = made.len().saturating_sub(DESCRIBED) {
        made.truncate(DESCRIBED);
        made.push(format!("{more} more"));
    }
    match scan.value() {
        // Python 2 makes instances by a function that is given the class.
        Outermost::Called(function) if function.name == "_reconstructor" => match &made[..] {
            [class] => format!("an instance of {class}"),
            _ => format!("an instance of one of {}", made.join(", ")),
        },
        Outermost::Called(function) if is_helper(&function) || is_private(function.name) => {
            format!("made by {}", dotted(&function))
        }
        Outermost::Called(class) => format!("an instance of {}", dotted(&class)),
        Outermost::Global(global) => format!("{} itself", dotted(&global)),
        Outermost::BuiltIn(kind) if made.is_empty() => format!("{kind} with objects"),
        Outermost::BuiltIn(kind) => format!("{kind} with {}", made.join(", ")),
        Outermost::Unknown => "an object that its bytes do not tell".to_owned(),
    }
}

/// A function for pickles, as `model_unpickle` or `_make`.
fn is_private(name: &str) -> bool {
    name.starts_with('_') || name.contains("unpickle")
}

/// Called to make something else, not for what it is.
fn is_helper(global: &GlobalRef<'_>) -> bool {
    match global.module {
        "copy_reg" | "copyreg" => true,
        "_codecs" => global.name == "encode",
        "__builtin__" | "builtins" => {
            ["getattr", "set", "frozenset", "bytearray"].contains(&global.name)
        }
        _ => false,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows: Vec<[String; 3]> = Vec::new();
        let mut row = |a: &str, b: &str, c: &str| rows.push([a, b, c].map(printable));
        let mut size = format!("{} bytes", self.size);
        if self.compressed && self.complete {
            // Writing to a String cannot fail.
            let _ = write!(size, " of zlib, {} inflated", self.inflated);
        }
        if self.trailing > 0 {
            let _ = write!(size, ", {} after the pickle", self.trailing);
        }
        row("size", &size, "");
        match (self.protocol, self.effective_protocol) {
            (Some(declared), Some(needed)) if declared == needed => {
                row("protocol", &declared.to_string(), "");
            }
            (Some(declared), Some(needed)) => {
                let text = format!("{declared} declared, {needed} needed");
                row("protocol", &text, "");
            }
            _ => {}
        }
        row("writer", self.writer, "");
        if let Some(django) = &self.django {
            row("django", django, "");
        }
        for (i, global) in self.globals.iter().enumerate() {
            let label = if i == 0 { "globals" } else { "" };
            row(label, &global.name, &names::words(global.roles));
        }
        match (&self.error, &self.value) {
            (Some(error), _) => row("broken", error, ""),
            (None, Shown::Rendered(text) | Shown::Described(text)) => row("value", text, ""),
        }
        writeln!(f, "{}", printable(&self.input))?;
        let readers = self.readers.iter().map(|reader| {
            let reason = reader.reason.as_deref().unwrap_or_default();
            [&reader.tag, reader.verdict.name(), reason].map(printable)
        });
        let readers: Vec<_> = readers.collect();
        write!(f, "{}{}", aligned(&rows), aligned(&readers))
    }
}

/// Tells whether a character ends a line, commands a terminal or turns the order of the
/// letters around it.
pub(crate) fn acts(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{200e}' | '\u{200f}' | '\u{2028}'
                ..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

/// Text that names may be in, on one line and as it reads.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|char| {
            let escaped = acts(char).then(|| char.escape_default());
            let plain = (!acts(char)).then_some(char);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

// As serde calls them.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn as_word<S: Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(verdict.name())
}

fn as_map<S: Serializer>(readers: &[ReaderVerdict], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(readers.len()))?;
    for reader in readers {
        map.serialize_entry(&reader.tag, reader)?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    fn inspect(readers: &[&str], bytes: &[u8]) -> Report {
        let readers = readers
            .iter()
            .map(|tag| RuntimeTag::parse(tag).unwrap().into());
        Inspector::new(readers.collect()).inspect("test", bytes)
    }

    fn json(report: &Report) -> String {
        serde_json::to_string(report).unwrap()
    }

    /// `datetime.date(2024, 1, 2)` by Python 3.11, protocol 4.
    const DATE: &[u8] =
        b"\x80\x04\x95\x20\0\0\0\0\0\0\0\x8c\x08datetime\x94\x8c\x04date\x94\x93\x94\
        C\x04\x07\xe8\x01\x02\x94\x85\x94R\x94.";

    #[test]
    fn the_object_is_as_promised() {
        insta::assert_snapshot!(json(&inspect(&["py2.7", "python/3.11 django/4.2"], DATE)), @r#"{"input":"test","size":43,"protocol":4,"effective_protocol":4,"complete":true,"compressed":false,"writer":"python >=3.4","globals":["datetime.date"],"readers":{"python/2.7":{"verdict":"unloadable","reason":"protocol 4 needs Python 3.4 or later"},"python/3.11 django/4.2":{"verdict":"loadable"}}}"#);
        insta::assert_snapshot!(json(&inspect(&["py3"], b"}U\x01aNs.tail")), @r#"{"input":"test","size":11,"protocol":0,"effective_protocol":1,"complete":true,"compressed":false,"writer":"python <3","globals":[],"readers":{"python/3":{"verdict":"loadable"}},"trailing":4,"value":"{'a': None}"}"#);
        insta::assert_snapshot!(json(&inspect(&["py3"], b"\x80\x04K")), @r#"{"input":"test","size":3,"protocol":null,"effective_protocol":null,"complete":false,"compressed":false,"writer":"unknown","globals":[],"readers":{"python/3":{"verdict":"unknown","reason":"the pickle ends within an opcode at offset 2"}},"error":"the pickle ends within an opcode at offset 2"}"#);
        insta::assert_snapshot!(json(&inspect(&["py3"], b"x\x9cK")), @r#"{"input":"test","size":3,"protocol":null,"effective_protocol":null,"complete":false,"compressed":true,"writer":"unknown","globals":[],"readers":{"python/3":{"verdict":"unknown","reason":"not a whole zlib stream"}},"error":"not a whole zlib stream"}"#);
    }

    #[test]
    fn people_get_lines() {
        insta::assert_snapshot!(inspect(&["py2.7", "python/3.11 django/4.2"], DATE), @r"
        test
          size      43 bytes
          protocol  4
          writer    python >=3.4
          globals   datetime.date  called
          value     an instance of datetime.date
          python/2.7              unloadable  protocol 4 needs Python 3.4 or later
          python/3.11 django/4.2  loadable
        ");
        insta::assert_snapshot!(inspect(&["py2.7", "py36"], b"\x80\x02}U\x01aNs.tail"), @r"
        test
          size      13 bytes, 4 after the pickle
          protocol  2
          writer    python <3
          value     {'a': None}
          python/2.7  loadable
          python/3.6  loadable
        ");
        insta::assert_snapshot!(inspect(&["py2.7"], b"\x80\x04K"), @r"
        test
          size    3 bytes
          writer  unknown
          broken  the pickle ends within an opcode at offset 2
          python/2.7  unknown  the pickle ends within an opcode at offset 2
        ");
    }

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_compressed_is_inflated() {
        let stream = deflate(DATE);
        let report = inspect(&[], &stream);
        assert!(report.complete && report.compressed);
        assert_eq!((report.size, report.inflated), (stream.len(), DATE.len()));
        // The header of a stream with another window, and of a tuple.
        let tuple = b"(\x15t.";
        assert!(has_zlib_header(tuple) && !inspect(&[], tuple).compressed);
        for cut in [&b"x"[..], b"x\x9c", &stream[..stream.len() - 1]] {
            let report = inspect(&["py3"], cut);
            assert!(!report.complete && report.error.is_some());
            assert_eq!(report.compressed, cut.len() > 1);
            assert_eq!(report.readers[0].verdict, Verdict::Unknown);
        }
    }

    #[test]
    fn bombs_are_not_inflated() {
        let bomb = deflate(&vec![b'N'; 4 << 20]);
        let error = inspect(&[], &bomb).error.unwrap();
        let limit = bomb.len() * LIMITS.max_ratio;
        assert_eq!(error, format!("inflates beyond the limit of {limit} bytes"));
    }

    #[test]
    fn instances_are_told_by_their_class() {
        let value = |bytes: &[u8]| match inspect(&[], bytes).value {
            Shown::Described(text) => text,
            Shown::Rendered(text) => panic!("{text}"),
        };
        assert_eq!(value(DATE), "an instance of datetime.date");
        assert_eq!(
            value(b"\x82\x05)\x81."),
            "an instance of what an extension code stands for"
        );
        assert_eq!(value(b"cos\nsystem\n."), "os.system itself");
        assert_eq!(
            value(b"](capp\nA\n)\x81capp\nB\n)\x81e."),
            "list with app.A, app.B"
        );
        assert_eq!(
            value(b"ccopy_reg\n_reconstructor\n(capp\nA\nc__builtin__\nobject\nNtR."),
            "an instance of app.A"
        );
        assert_eq!(
            value(b"]2\x86."),
            "not rendered: no pickler writes it this way"
        );
    }

    #[test]
    fn what_a_pickle_says_does_not_steer_a_terminal() {
        let report = inspect(&["py3"], b"\x8c\x04os\x1bc\x8c\x07x\ncall \x93)R.");
        let text = report.to_string();
        assert!(!text.contains('\x1b') && text.contains("\\u{1b}"), "{text}");
        assert!(text.contains("x\\ncall"), "{text}");
    }

    #[test]
    fn every_python_is_asked_by_default() {
        let tags: Vec<String> = every_python().map(|tag| tag.to_string()).collect();
        assert_eq!(tags.len(), PythonVersion::ALL.len());
        assert_eq!(
            (tags[0].as_str(), tags[10].as_str()),
            ("python/2.7", "python/3.15")
        );
    }
}
