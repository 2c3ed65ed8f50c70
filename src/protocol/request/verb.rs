//! Commands by their names on the wire, and in the order of tables of counts.

use strum::{IntoStaticStr, VariantArray};

/// The commands, as metrics name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
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
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Position in [`Verb::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Returns the word on the wire; `other` for a verb that is no command of its own.
    pub fn name(self) -> &'static str {
        self.into()
    }
}
