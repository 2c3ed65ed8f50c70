//! The keys of one target: each with its request lines, its value and the line
//! that a reply with it begins with.

use std::fmt::Write as _;
use std::iter;

use super::{Op, WorkloadError, value};
use crate::cli::Mix;

/// Length of a key, unless its prefix needs more.
const KEY_BYTES: usize = 26;

/// A key, all in one piece of memory: `get line | set line | value "\r\n" | reply
/// line`.
#[derive(Debug)]
pub(crate) struct Item {
    bytes: Box<[u8]>,
    set: usize,
    value: usize,
    reply: usize,
}

impl Item {
    fn new(get: &str, set: &str, value: &[u8], reply: &str) -> Self {
        let mut bytes = Vec::with_capacity(get.len() + set.len() + value.len() + reply.len() + 2);
        bytes.extend_from_slice(get.as_bytes());
        let at_set = bytes.len();
        bytes.extend_from_slice(set.as_bytes());
        let at_value = bytes.len();
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
        let at_reply = bytes.len();
        bytes.extend_from_slice(reply.as_bytes());
        Self {
            bytes: bytes.into_boxed_slice(),
            set: at_set,
            value: at_value,
            reply: at_reply,
        }
    }

    /// The request that reads it.
    pub(crate) fn get(&self) -> &[u8] {
        &self.bytes[..self.set]
    }

    /// The request that writes it, with the value and its line end.
    pub(crate) fn set(&self) -> &[u8] {
        &self.bytes[self.set..self.reply]
    }

    /// The value.
    pub(crate) fn value(&self) -> &[u8] {
        &self.bytes[self.value..self.reply - 2]
    }

    /// The value and its line end.
    pub(crate) fn value_line(&self) -> &[u8] {
        &self.bytes[self.value..self.reply]
    }

    /// "VALUE key flags length\r\n" or "VA length fFLAGS kKEY\r\n".
    pub(crate) fn reply(&self) -> &[u8] {
        &self.bytes[self.reply..]
    }
}

/// A multi-get: its line, and the keys in it.
#[derive(Debug)]
pub(crate) struct MultiGet {
    line: Box<[u8]>,
    pub(crate) keys: Box<[u32]>,
}

/// The keys of one target, and how they are asked for.
#[derive(Debug)]
pub(crate) struct Keyspace {
    pub(crate) names: Vec<String>,
    pub(crate) items: Vec<Item>,
    pub(crate) multigets: Vec<MultiGet>,
    pub(crate) meta: bool,
}

impl Keyspace {
    /// Makes the keys of the target of a number, and its multi-gets from the
    /// numbers of their keys.
    pub(super) fn new(
        mix: &Mix,
        number: usize,
        python2: bool,
        batches: &[Box<[u32]>],
    ) -> Result<Self, WorkloadError> {
        let names: Vec<String> = (0..mix.keys).map(|key| name(mix, number, key)).collect();
        let items = names
            .iter()
            .map(|name| item(mix, name, python2))
            .collect::<Result<_, _>>()?;
        let multigets = batches
            .iter()
            .map(|keys| multiget(mix.meta, &names, keys))
            .collect();
        Ok(Self {
            names,
            items,
            multigets,
            meta: mix.meta,
        })
    }

    /// The bytes of a request.
    pub(crate) fn request(&self, op: Op) -> &[u8] {
        match op {
            Op::Get(key) => self.items[key as usize].get(),
            Op::Set(key) => self.items[key as usize].set(),
            Op::MultiGet(number) => &self.multigets[number as usize].line,
        }
    }
}

fn name(mix: &Mix, number: usize, key: usize) -> String {
    let mut name = format!("{}:{number}:", mix.prefix);
    let digits = KEY_BYTES.saturating_sub(name.len()).max(10);
    // Writing to a string cannot fail.
    let _ = write!(name, "{key:0digits$}");
    name
}

fn item(mix: &Mix, name: &str, python2: bool) -> Result<Item, WorkloadError> {
    let bytes = mix.value_bytes;
    let (value, flags) = if mix.raw {
        (value::raw(name, bytes), 0)
    } else {
        (value::pickle(name, bytes, python2)?, 1)
    };
    Ok(if mix.meta {
        let get = format!("mg {name} v f k\r\n");
        let set = format!("ms {name} {bytes} F{flags}\r\n");
        Item::new(
            &get,
            &set,
            &value,
            &format!("VA {bytes} f{flags} k{name}\r\n"),
        )
    } else {
        let get = format!("get {name}\r\n");
        let set = format!("set {name} {flags} 0 {bytes}\r\n");
        Item::new(
            &get,
            &set,
            &value,
            &format!("VALUE {name} {flags} {bytes}\r\n"),
        )
    })
}

/// "get key...\r\n", or quiet reads of each and a command that is answered when
/// they are done.
fn multiget(meta: bool, names: &[String], keys: &[u32]) -> MultiGet {
    let (first, before, after, last) = if meta {
        ("", "mg ", " v f k q\r\n", "mn\r\n")
    } else {
        ("get", " ", "", "\r\n")
    };
    let names = keys.iter().map(|key| names[*key as usize].as_str());
    let words = names.flat_map(|name| [before, name, after]);
    let line: String = iter::once(first).chain(words).chain([last]).collect();
    MultiGet {
        line: line.into_bytes().into_boxed_slice(),
        keys: keys.into(),
    }
}
