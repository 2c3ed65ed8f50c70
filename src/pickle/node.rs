//! Values on the abstract machine's stack: their kinds, and where in the pickle they
//! stand.

/// A range of the pickle's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) len: u32,
}

impl Span {
    pub(super) fn of(self, pickle: &[u8]) -> &[u8] {
        let start = self.start as usize;
        pickle.get(start..start + self.len as usize).unwrap_or(&[])
    }

    pub(super) fn new(start: usize, end: usize) -> Self {
        Self {
            start: start as u32,
            len: (end - start) as u32,
        }
    }
}

/// The kind of value that an opcode leaves on the stack. As wide as the rest of a
/// [`Node`], so that one is copied without its padding in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    /// A memo entry that nothing was put into.
    Vacant,
    /// `a` is its value if `b` is 1.
    Int,
    Float,
    None,
    Bool,
    /// Python 2's `str`; a span.
    Str,
    /// Text in UTF-8; a span.
    Text,
    /// Text of the UNICODE opcode with escapes in it, or a STRING opcode's
    /// literal with escapes: the span is not the value.
    Escaped,
    Bytes,
    ByteArray,
    /// `a` is where its first elements lie among the items, `b` how many it has.
    Tuple,
    /// `a` is the offset of the opcode that made it, as of a dict and a set.
    List,
    Dict,
    Set,
    FrozenSet,
    /// `a` is its number.
    Global,
    /// The result of a call: `a` is the number of the global that was called, or
    /// [`NO_GLOBAL`]; `b` tells objects apart: the offset of the call.
    Object,
    /// The result of a call that has its state: picklers change nothing about it any
    /// more.
    Stated,
    /// An out-of-band buffer, a persistent object.
    Unknown,
}

/// The `a` of a [`Kind::Object`] that no global was called for.
pub(super) const NO_GLOBAL: u32 = u32::MAX;

/// One value on the stack or in the memo.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Offset of the opcode with which the expression begins that pushed this.
    pub(super) at: u32,
    pub(super) a: u32,
    pub(super) b: u32,
}

impl Node {
    pub(super) fn plain(kind: Kind, at: usize) -> Self {
        Self {
            kind,
            at: at as u32,
            a: 0,
            b: 0,
        }
    }

    /// A container, which stays known as the one it is when the memo gives it again.
    pub(super) fn made(kind: Kind, at: usize) -> Self {
        Self {
            a: at as u32,
            ..Self::plain(kind, at)
        }
    }

    pub(super) fn span(kind: Kind, at: usize, span: Span) -> Self {
        Self {
            kind,
            at: at as u32,
            a: span.start,
            b: span.len,
        }
    }

    /// The place of a string's bytes.
    pub(super) fn bytes(self) -> Span {
        Span {
            start: self.a,
            len: self.b,
        }
    }

    /// The bytes of a string; `None` if it is none or they are not known.
    pub(super) fn string(self, pickle: &[u8]) -> Option<&[u8]> {
        matches!(
            self.kind,
            Kind::Str | Kind::Text | Kind::Bytes | Kind::ByteArray
        )
        .then(|| self.bytes().of(pickle))
    }

    /// The value of an integer, if it is known and fits.
    pub(super) fn int(self) -> Option<i32> {
        (self.kind == Kind::Int && self.b == 1).then(|| self.a.cast_signed())
    }

    /// Whether a call gave it.
    pub(super) fn is_object(self) -> bool {
        matches!(self.kind, Kind::Object | Kind::Stated)
    }

    /// Whether it may hold values that are not looked at one by one.
    pub(super) fn may_hold(self) -> bool {
        self.is_object()
            || matches!(
                self.kind,
                Kind::Tuple | Kind::List | Kind::Dict | Kind::Set | Kind::FrozenSet
            )
    }

    /// Whether the memo gave it: an object's expression begins before its call.
    pub(super) fn is_remembered(self) -> bool {
        self.is_object() && self.at > self.b
    }

    /// Python refuses to hash it, so that it is neither a key nor a member.
    pub(super) fn unhashable(self) -> bool {
        matches!(
            self.kind,
            Kind::List | Kind::Dict | Kind::Set | Kind::ByteArray
        )
    }

    /// Surely has no attributes to be set, no items to be added.
    pub(super) fn is_atom(self) -> bool {
        matches!(
            self.kind,
            Kind::Int
                | Kind::Float
                | Kind::None
                | Kind::Bool
                | Kind::Str
                | Kind::Text
                | Kind::Escaped
                | Kind::Bytes
                | Kind::Tuple
                | Kind::FrozenSet
        )
    }
}

/// An integer of known value.
pub(super) fn int(at: usize, value: i32) -> Node {
    Node {
        kind: Kind::Int,
        at: at as u32,
        a: value.cast_unsigned(),
        b: 1,
    }
}
