//! The size of a pickle of plain values if whoever loads it shares nothing: a few bytes
//! can fetch what they hold over and over.

use std::collections::HashMap;
use std::hash::Hash;

use hashbrown::HashSet;

use super::machine::Machine;
use super::node::{Kind, Node};
use super::observer::{Call, Named, Observer, View};
use super::opcode::{BINGET, GET, LONG_BINGET, REDUCE};

/// Callables that picklers make plain values with where no opcode does.
const MAKERS: [(&[u8], &[u8]); 7] = [
    (b"__builtin__", b"bytearray"),
    (b"__builtin__", b"frozenset"),
    (b"__builtin__", b"set"),
    (b"_codecs", b"encode"),
    (b"builtins", b"bytearray"),
    (b"builtins", b"frozenset"),
    (b"builtins", b"set"),
];

/// Why a pickle holds more than plain values, or not in the way of a pickler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPlain {
    /// Classes, functions and the like.
    #[error("it holds more than plain values")]
    Objects,
    /// Opcodes that no pickler uses in this way.
    #[error("no pickler writes it this way")]
    Unusual,
}

/// An upper bound, in bytes of pickle, of a plain value written without
/// references.
///
/// Of a node in such a tree, all that matters is which references lead to it: at
/// most one to each memo entry. So their numbers, each with the choice of none,
/// multiply.
///
/// # Errors
/// Says why the value is no such tree. Bytes that are no pickle are
/// [`NotPlain::Unusual`].
pub fn tree_bytes(pickle: &[u8]) -> Result<u64, NotPlain> {
    let mut sharing = Sharing {
        pickle,
        ..Sharing::default()
    };
    let walked = Machine::default().walk(pickle, &mut sharing);
    match (walked, sharing.objects, sharing.unusual) {
        (Ok(_), true, _) => Err(NotPlain::Objects),
        (Ok(walked), false, false) => Ok(sharing
            .references
            .values()
            .fold(walked.len as u64 + sharing.strings, |bytes, count| {
                bytes.saturating_mul(1 + u64::from(*count))
            })),
        _ => Err(NotPlain::Unusual),
    }
}

#[derive(Default)]
struct Sharing<'p> {
    pickle: &'p [u8],
    objects: bool,
    unusual: bool,
    /// Bytes of the strings that are fetched, each time they are.
    strings: u64,
    /// Counts of fetches of each memo entry of another kind.
    references: HashMap<u32, u32>,
    /// Values that have been put.
    put: HashSet<Identity>,
}

/// Tells the values apart that a pickler memoises.
#[derive(PartialEq, Eq, Hash)]
struct Identity(u8, u32, u32);

impl Sharing<'_> {
    /// `None`: a pickler would not put it.
    fn identity(&self, node: Node) -> Option<Identity> {
        Some(match node.kind {
            Kind::Str | Kind::Text | Kind::Escaped | Kind::Bytes | Kind::ByteArray => {
                Identity(0, node.a, node.b)
            }
            Kind::Tuple => Identity(1, node.a, node.b),
            Kind::Object | Kind::Stated => Identity(2, node.b, 0),
            Kind::Set => Identity(3, node.a, 0),
            // Begin at their own opcode or at a MARK, unless they are fetched.
            Kind::List | Kind::Dict | Kind::FrozenSet => {
                let begins = self.pickle.get(node.at as usize)?;
                if [GET, BINGET, LONG_BINGET].contains(begins) {
                    return None;
                }
                Identity(4, node.at, 0)
            }
            _ => return None,
        })
    }
}

impl Observer for Sharing<'_> {
    fn global(&mut self, _at: u32, named: Named, pickle: &[u8]) -> u32 {
        let name = (named.module.of(pickle), named.name.of(pickle));
        self.objects |= !MAKERS.contains(&name);
        0
    }

    fn call(&mut self, call: &Call<'_>) {
        self.objects |= call.op != REDUCE || call.callee.kind != Kind::Global;
    }

    fn build(&mut self, _at: u32, _object: Node, _state: Node, _view: &View<'_>) {
        self.objects = true;
    }

    fn persistent_id(&mut self, _at: u32) {
        self.objects = true;
    }

    fn buffer(&mut self, _at: u32) {
        self.objects = true;
    }

    fn dup(&mut self, _at: u32, _node: Node) {
        self.unusual = true;
    }

    fn put(&mut self, _at: u32, key: u32, node: Node) {
        self.unusual |= self.references.insert(key, 0).is_some();
        if node.kind != Kind::Global {
            let identity = self.identity(node);
            self.unusual |= identity.is_none_or(|identity| !self.put.insert(identity));
        }
    }

    fn get(&mut self, _at: u32, key: u32, node: Node, _pickle: &[u8]) {
        match node.kind {
            Kind::Global => {}
            Kind::Str | Kind::Text | Kind::Escaped | Kind::Bytes | Kind::ByteArray => {
                self.strings += u64::from(node.b);
            }
            _ => *self.references.entry(key).or_default() += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_multiply() {
        assert_eq!(tree_bytes(b"K\x01."), Ok(3));
        // [[], the same, the same]
        assert_eq!(
            tree_bytes(b"(](q\x00lq\x01h\x00h\x00l."),
            Err(NotPlain::Unusual)
        );
        assert_eq!(tree_bytes(b"(]q\x00h\x00h\x00l."), Ok(10 * 3));
        // Strings add up.
        assert_eq!(tree_bytes(b"(U\x04abcdq\x00h\x00h\x00l."), Ok(15 + 8));
    }

    #[test]
    fn doubling_is_exponential() {
        let mut pickle = b"]\x94".to_vec();
        for key in 0..60 {
            pickle.extend([b'h', key, 0x86, 0x94]);
        }
        pickle.push(b'.');
        assert!(tree_bytes(&pickle).unwrap() >= 1 << 60);
    }

    #[test]
    fn what_no_pickler_writes_is_not_counted() {
        for unusual in [
            &b"]2\x86."[..],
            b"]\x94\x94.",
            b"]q\x00h\x00q\x01.",
            b"N\x85q\x00h\x00q\x01.",
            b"]q\x00h\x00(eq\x01.",
            b"U\x01aq\x00h\x00q\x01.",
            b"K\x01q\x00.",
            b"]q\x00]q\x00\x86.",
            b"K\x01",
        ] {
            assert_eq!(tree_bytes(unusual), Err(NotPlain::Unusual), "{unusual:?}");
        }
        // A tuple around a fetched one is another.
        assert!(tree_bytes(b"N\x85q\x00h\x00\x85q\x01.").is_ok());
    }

    #[test]
    fn objects_are_not_plain() {
        for objects in [
            &b"cos\nsystem\n."[..],
            b"c__builtin__\nset\n)\x81.",
            b"}Nb.",
            b"Pid\n.",
        ] {
            assert_eq!(tree_bytes(objects), Err(NotPlain::Objects), "{objects:?}");
        }
        assert!(tree_bytes(b"c__builtin__\nset\n(](K\x01etR.").is_ok());
    }
}
