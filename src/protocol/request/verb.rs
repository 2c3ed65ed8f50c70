//! Commands by their names on the wire, and in the order of tables of counts.

/// The commands, as metrics name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Verb {
    Get,
    Gets,
    Gat,
    Gats,
    Set,
    Add,
    Replace,
    Append,
    Prepend,
    Cas,
    Delete,
    Incr,
    Decr,
    Touch,
    Mg,
    Ms,
    Md,
    Ma,
    Me,
    Mn,
    Version,
    Stats,
    FlushAll,
    Hello,
    Other,
}

impl Verb {
    /// Verbs, in the order of [`Verb::index`].
    pub const ALL: [Self; 25] = [
        Self::Get,
        Self::Gets,
        Self::Gat,
        Self::Gats,
        Self::Set,
        Self::Add,
        Self::Replace,
        Self::Append,
        Self::Prepend,
        Self::Cas,
        Self::Delete,
        Self::Incr,
        Self::Decr,
        Self::Touch,
        Self::Mg,
        Self::Ms,
        Self::Md,
        Self::Ma,
        Self::Me,
        Self::Mn,
        Self::Version,
        Self::Stats,
        Self::FlushAll,
        Self::Hello,
        Self::Other,
    ];

    /// Position in [`Verb::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Returns the word on the wire; `other` for a verb that is no command of its own.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Gets => "gets",
            Self::Gat => "gat",
            Self::Gats => "gats",
            Self::Set => "set",
            Self::Add => "add",
            Self::Replace => "replace",
            Self::Append => "append",
            Self::Prepend => "prepend",
            Self::Cas => "cas",
            Self::Delete => "delete",
            Self::Incr => "incr",
            Self::Decr => "decr",
            Self::Touch => "touch",
            Self::Mg => "mg",
            Self::Ms => "ms",
            Self::Md => "md",
            Self::Ma => "ma",
            Self::Me => "me",
            Self::Mn => "mn",
            Self::Version => "version",
            Self::Stats => "stats",
            Self::FlushAll => "flush_all",
            Self::Hello => "hello",
            Self::Other => "other",
        }
    }
}
