//! Why bytes are no pickle.

/// Why bytes are no pickle, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{flaw} at offset {at}")]
pub struct Broken {
    /// The flaw.
    pub flaw: Flaw,
    /// Offset of the opcode, in bytes from the start of the pickle.
    pub at: u32,
}

/// A reason why bytes are no pickle. In one register: a walk returns it from every operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Flaw {
    #[error("the pickle ends without STOP")]
    NoStop,
    #[error("byte {0:#04x} is no opcode")]
    NoOpcode(u8),
    #[error("the pickle ends within an opcode")]
    Truncated,
    #[error("a declared length reaches past the end")]
    Length,
    #[error("nothing on the stack")]
    Underflow,
    #[error("no MARK on the stack")]
    NoMark,
    #[error("memo entry {0} was never put")]
    MemoMissing(u32),
    #[error("memo index {0} is beyond what came before it")]
    MemoIndex(u32),
    #[error("text is not UTF-8")]
    Utf8,
    #[error("a malformed escape")]
    Escape,
    #[error("a malformed number")]
    Number,
    #[error("a string without its quotes")]
    Quotes,
    #[error("an operand of the wrong type")]
    Operand,
    #[error("an unhashable key or member")]
    Unhashable,
    #[error("a key without a value")]
    OddItems,
    #[error("protocol {0} is not known")]
    Protocol(u8),
    #[error("the pickle is too large to look at")]
    TooLarge,
    #[error("more than {0} values at once")]
    TooMany(u32),
    #[error("more than {0} names")]
    TooManyNames(u32),
}

const _: () = assert!(size_of::<Flaw>() == 8);
