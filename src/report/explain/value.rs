//! Explains what a read and a write of a value do under some key: as the data path
//! judges it, in words.

use std::fmt;
use std::sync::Arc;

use crate::engine::{Foreseen, Shown, foresee_read, foresee_write};
use crate::pickle::{Encoding, Inflater, Scanner, Sniffer, Verdict};
use crate::policy::{Decision, Identity, Look, OnMiss, Pickles, Snapshot, SpaceId};
use crate::protocol::request::Verb;
use crate::report::inspect::{inflate, printable};

/// A value as clients store it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The client flags.
    pub flags: u32,
    /// Compressed, if the flags say so.
    pub bytes: Vec<u8>,
}

impl Value {
    /// Takes a value. Without flags it gets those of a pickle, and of zlib around one, if
    /// it looks like that.
    pub fn new(pickles: &Pickles, flags: Option<u32>, bytes: Vec<u8>) -> Self {
        let flags = flags.unwrap_or_else(|| likely_flags(pickles, &bytes));
        Self { flags, bytes }
    }
}

fn likely_flags(pickles: &Pickles, bytes: &[u8]) -> u32 {
    let encoding = pickles.encoding;
    let mut inflater = Inflater::default();
    let (plain, compressed) = match inflate(&mut inflater, bytes) {
        Ok(Some(plain)) => (plain, encoding.compressed_flag),
        _ => (bytes, 0),
    };
    let by_bytes = Encoding {
        by_flags: false,
        by_bytes: true,
        ..encoding
    };
    let has_header = Sniffer::default().sniff(&by_bytes, 0, plain).is_some();
    let mut scanner = Scanner::default();
    if has_header || scanner.scan(plain, &pickles.extensions).is_ok() {
        encoding.pickle_flag | compressed
    } else {
        0
    }
}

/// The fate of a value: what a read and a write of it do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// The value's length.
    pub bytes: usize,
    /// Client flags stored with the value.
    pub flags: u32,
    /// Depth to which the rule inspects it.
    pub look: Look,
    /// The answer to a read by this runtime.
    pub read: Foreseen,
    /// The answer if this runtime has no copy of its own, and a sibling is this value.
    pub through: Option<Foreseen>,
    /// The fate of a store.
    pub write: Write,
    /// The answer to each namespace that reads the copy.
    pub readers: Vec<(String, Foreseen)>,
}

/// The fate of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// The store goes on.
    Stored,
    /// A reader of the key cannot load it, for this reason, named as in metrics.
    Rejected(&'static str),
    /// The value is longer than this.
    TooLarge(usize),
}

impl Fate {
    pub(super) fn of(
        snapshot: &Arc<Snapshot>,
        identity: Identity,
        key: &str,
        value: &Value,
    ) -> Self {
        let decision = snapshot.decide(identity, key.as_bytes());
        let Decision { plan, space } = decision;
        let given = (value.flags, &value.bytes[..]);
        let read = |identity, look| foresee_read(snapshot, identity, look, given);
        let reads_through = plan.on_miss(Verb::Get).contains(OnMiss::THROUGH);
        let readers = (1..).map(SpaceId).zip(&snapshot.namespaces);
        let readers = readers.filter(|(own, _)| [SpaceId::BARE, *own].contains(&space));
        let readers = readers.map(|(space, namespace)| {
            let reader = namespace.reader;
            (
                namespace.name.to_string(),
                read(Identity { space, reader }, plan.look),
            )
        });
        let most = snapshot.max_value_bytes;
        Self {
            bytes: value.bytes.len(),
            flags: value.flags,
            look: plan.look,
            read: read(identity, plan.look),
            through: reads_through.then(|| read(identity, plan.through)),
            write: match foresee_write(snapshot, identity.space, decision, given) {
                _ if value.bytes.len() > most => Write::TooLarge(most),
                None => Write::Stored,
                Some(reason) => Write::Rejected(reason),
            },
            readers: readers.collect(),
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |foreseen| told(foreseen, self.look);
        writeln!(f, "  value      {} bytes, flags {}", self.bytes, self.flags)?;
        writeln!(f, "  read       {}", told(&self.read))?;
        if let Some(through) = &self.through {
            writeln!(f, "  through    {}", told_through(through))?;
        }
        writeln!(f, "  write      {}", self.write)?;
        let width = self.readers.iter().map(|(name, _)| name.len()).max();
        let width = width.unwrap_or(0);
        for (i, (name, foreseen)) in self.readers.iter().enumerate() {
            let label = if i == 0 { "readers" } else { "" };
            writeln!(f, "  {label:<9}  {name:<width$}  {}", told(foreseen))?;
        }
        Ok(())
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored => f.write_str("stored"),
            Self::Rejected(reason) => write!(
                f,
                "rejected ({reason}): NOT_STORED, and a set deletes what a delete reaches"
            ),
            Self::TooLarge(most) => write!(
                f,
                "refused: over max_value_bytes, {most}; a set deletes what a delete reaches"
            ),
        }
    }
}

/// Says what a reader gets, and why.
fn told(foreseen: &Foreseen, look: Look) -> String {
    let got = match foreseen.shown {
        Shown::AsIs | Shown::Later => "served".to_owned(),
        Shown::Hidden => "hidden, an ordinary miss".to_owned(),
        Shown::Rewritten(flags) => {
            let bytes = foreseen.rewritten_bytes;
            format!("transcoded, {bytes} bytes, flags {flags}")
        }
    };
    let why = match (foreseen.verdict, look) {
        (None, Look::Away) => "not looked at".to_owned(),
        (None, _) => "no pickle".to_owned(),
        (Some(Verdict::Loadable), _) => "loadable".to_owned(),
        (Some(Verdict::NotLookedAt), _) => with_reason("not looked at beyond its header", foreseen),
        (Some(Verdict::Unloadable), _) => with_reason("unloadable", foreseen),
        (Some(Verdict::Unknown), _) => with_reason("unknown", foreseen),
    };
    format!("{got}: {why}")
}

fn with_reason(verdict: &str, foreseen: &Foreseen) -> String {
    let reason = foreseen.reason.iter().map(|reason| format!(", {reason}"));
    let no_form = foreseen.no_form.iter();
    let no_form = no_form.map(|why| format!("; it has no other form ({why})"));
    verdict.to_owned() + &printable(&reason.chain(no_form).collect::<String>())
}

/// Says what a reader gets of a sibling.
fn told_through(foreseen: &Foreseen) -> String {
    match foreseen.shown {
        Shown::AsIs | Shown::Later => "a sibling like this is served on a miss".to_owned(),
        Shown::Hidden => "a sibling like this is passed over".to_owned(),
        Shown::Rewritten(_) => {
            let bytes = foreseen.rewritten_bytes;
            format!("a sibling like this is transcoded, {bytes} bytes, on a miss")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::policy::RuntimeTag;
    use crate::report::explain::explain;

    /// `{'a': 1}` of protocol 4, and a call of `os.system`.
    const PROTOCOL_4: &[u8] = b"\x80\x04\x95\x0a\0\0\0\0\0\0\0}\x94\x8c\x01a\x94K\x01s.";
    const CALL: &[u8] = b"\x80\x02cos\nsystem\nU\x01a\x85R.";

    /// Says what is told of a value under a catch-all rule.
    fn told(rule: &str, tag: &str, flags: Option<u32>, bytes: &[u8]) -> String {
        let toml = format!(
            "[upstream]\nservers = ['a:1']\n[[listeners]]\nlisten = '[::1]:1'\n\
             runtime = 'py2'\n[limits]\nmax_value_bytes = 100\n[[rules]]\n{rule}"
        );
        let config = Config::parse("test.toml", &toml).unwrap();
        let tag = RuntimeTag::parse(tag).unwrap();
        let value = Value::new(&config.snapshot.pickles, flags, bytes.to_vec());
        let explanation = explain(&config, &tag, "user:1", Some(&value)).unwrap();
        explanation.fate.unwrap().to_string()
    }

    #[test]
    fn the_header_tells_who_gets_a_miss() {
        let guard = "mode = 'guard'\nsniff = 'header'\non_unloadable_write = 'reject'";
        insta::assert_snapshot!(told(guard, "py2.7", None, PROTOCOL_4), @r"
        value      21 bytes, flags 1
        read       hidden, an ordinary miss: unloadable, protocol 4 needs Python 3.4 or later
        write      rejected (protocol): NOT_STORED, and a set deletes what a delete reaches
        readers    py2  hidden, an ordinary miss: unloadable, protocol 4 needs Python 3.4 or later
                   py3  served: not looked at beyond its header
        ");
        insta::assert_snapshot!(told("mode = 'observe'\nsniff = 'header'", "py2.7", None, PROTOCOL_4), @r"
        value      21 bytes, flags 1
        read       served: unloadable, protocol 4 needs Python 3.4 or later
        write      stored
        readers    py2  served: unloadable, protocol 4 needs Python 3.4 or later
                   py3  served: not looked at beyond its header
        ");
        insta::assert_snapshot!(told("mode = 'shared'", "py2.7", None, PROTOCOL_4), @r"
        value      21 bytes, flags 1
        read       served: not looked at
        write      stored
        readers    py2  served: not looked at
                   py3  served: not looked at
        ");
    }

    #[test]
    fn an_isolated_copy_has_the_readers_of_its_namespace() {
        let rule = "mode = 'isolate'\nread_through = true";
        insta::assert_snapshot!(told(rule, "py3.11", None, PROTOCOL_4), @r"
        value      21 bytes, flags 1
        read       served: loadable
        through    a sibling like this is served on a miss
        write      stored
        readers    py3  served: loadable
        ");
        insta::assert_snapshot!(told(rule, "py2.7", None, PROTOCOL_4), @r"
        value      21 bytes, flags 1
        read       hidden, an ordinary miss: unloadable, protocol 4 needs Python 3.4 or later
        through    a sibling like this is passed over
        write      stored
        readers    py2  hidden, an ordinary miss: unloadable, protocol 4 needs Python 3.4 or later
        ");
    }

    #[test]
    fn a_form_for_the_reader_has_its_length() {
        let rule = "mode = 'guard'\non_unloadable_read = 'transcode'";
        insta::assert_snapshot!(told(rule, "py2.7", None, PROTOCOL_4), @r"
        value      21 bytes, flags 1
        read       transcoded, 13 bytes, flags 1: unloadable, protocol 4 needs Python 3.4 or later
        write      stored
        readers    py2  transcoded, 13 bytes, flags 1: unloadable, protocol 4 needs Python 3.4 or later
                   py3  served: loadable
        ");
        // A persistent id has no other form.
        insta::assert_snapshot!(told(rule, "py2.7", None, b"\x80\x04\x8c\x01aQ."), @r"
        value      7 bytes, flags 1
        read       hidden, an ordinary miss: unloadable, protocol 4 needs Python 3.4 or later; it has no other form (persistent_id)
        write      stored
        readers    py2  hidden, an ordinary miss: unloadable, protocol 4 needs Python 3.4 or later; it has no other form (persistent_id)
                   py3  hidden, an ordinary miss: unloadable, persistent id at offset 5: only the unpickler it was made for loads it; it has no other form (persistent_id)
        ");
    }

    #[test]
    fn the_firewall_is_named() {
        let rule = "mode = 'guard'\nglobals = 'deny'\non_unloadable_write = 'reject'";
        insta::assert_snapshot!(told(rule, "py2.7", None, CALL), @r"
        value      19 bytes, flags 1
        read       hidden, an ordinary miss: unloadable, firewall: os.system is denied
        write      rejected (firewall): NOT_STORED, and a set deletes what a delete reaches
        readers    py2  hidden, an ordinary miss: unloadable, firewall: os.system is denied
                   py3  hidden, an ordinary miss: unloadable, firewall: os.system is denied
        ");
    }

    #[test]
    fn names_that_command_a_terminal_are_escaped() {
        let rule = "mode = 'guard'\nglobals = 'deny'";
        let told = told(rule, "py3", Some(1), b"\x80\x02cdecimal\nT\x1b[31m\n)R.");
        assert!(told.contains("decimal.T\\u{1b}[31m is denied"), "{told}");
        assert!(!told.contains('\x1b'));
    }

    #[test]
    fn what_is_no_pickle_is_served() {
        insta::assert_snapshot!(told("mode = 'guard'", "py2.7", None, b"5"), @r"
        value      1 bytes, flags 0
        read       served: no pickle
        write      stored
        readers    py2  served: no pickle
                   py3  served: no pickle
        ");
        insta::assert_snapshot!(told("mode = 'guard'", "py2.7", Some(1), b"5"), @r"
        value      1 bytes, flags 1
        read       served: unknown, byte 0x35 is no opcode at offset 0
        write      stored
        readers    py2  served: unknown, byte 0x35 is no opcode at offset 0
                   py3  served: unknown, byte 0x35 is no opcode at offset 0
        ");
        insta::assert_snapshot!(told("mode = 'guard'", "py2.7", None, &[b'x'; 101]), @r"
        value      101 bytes, flags 0
        read       served: no pickle
        write      refused: over max_value_bytes, 100; a set deletes what a delete reaches
        readers    py2  served: no pickle
                   py3  served: no pickle
        ");
    }

    #[test]
    fn flags_are_those_of_what_it_looks_like() {
        let pickles = &Config::parse("test.toml", include_str!("../../../config/default.toml"))
            .unwrap()
            .snapshot
            .pickles;
        let flags = |bytes: &[u8]| Value::new(pickles, None, bytes.to_vec()).flags;
        assert_eq!(flags(PROTOCOL_4), 1);
        // What is cut is still meant to be one.
        assert_eq!(flags(&PROTOCOL_4[..5]), 1);
        assert_eq!(flags(b"I1\n."), 1);
        assert_eq!(flags(b"I1"), 0);
        assert_eq!(flags(b"hello"), 0);
    }
}
