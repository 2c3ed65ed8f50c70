//! Definitions that a result begins with, for the opcodes that need them.

use super::super::output::push_text;
use crate::pickle::opcode::NONE;

/// Something that many opcodes need: the result begins with putting it into the
/// memo, where it has the first entries, which are short.
#[derive(Debug, Clone, Copy)]
pub(super) enum Own {
    Bytearray,
    Set,
    Frozenset,
    Getattr,
    Update,
    Apply,
    Partial,
    New,
    /// The class that `NEWOBJ_EX` takes from the stack.
    Class,
    Args,
    Keywords,
}

impl Own {
    pub(super) const ALL: [Self; 11] = [
        Self::Bytearray,
        Self::Set,
        Self::Frozenset,
        Self::Getattr,
        Self::Update,
        Self::Apply,
        Self::Partial,
        Self::New,
        Self::Class,
        Self::Args,
        Self::Keywords,
    ];

    /// The definitions that `NEWOBJ_EX` needs.
    pub(super) const NEWOBJ_EX: u32 = Self::Getattr.bit()
        | Self::Apply.bit()
        | Self::Partial.bit()
        | Self::New.bit()
        | Self::Class.bit()
        | Self::Args.bit()
        | Self::Keywords.bit();

    /// The bit in a set of them.
    pub(super) const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Appends the opcodes for it.
    pub(super) fn push(self, out: &mut Vec<u8>) {
        match self {
            Self::Bytearray => out.extend_from_slice(b"c__builtin__\nbytearray\n"),
            Self::Set => out.extend_from_slice(b"c__builtin__\nset\n"),
            Self::Frozenset => out.extend_from_slice(b"c__builtin__\nfrozenset\n"),
            Self::Getattr => out.extend_from_slice(b"c__builtin__\ngetattr\n"),
            Self::Apply => out.extend_from_slice(b"c__builtin__\napply\n"),
            Self::Partial => out.extend_from_slice(b"cfunctools\npartial\n"),
            Self::Update => push_text(out, b"update"),
            Self::New => push_text(out, b"__new__"),
            // They come later.
            Self::Class | Self::Args | Self::Keywords => out.push(NONE),
        }
    }
}
