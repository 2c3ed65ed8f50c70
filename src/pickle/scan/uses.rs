//! Uses of classes and functions, summed over all calls and instances in a pickle.

use bitflags::bitflags;

bitflags! {
    /// What is used so that proofs must know of it.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub(in crate::pickle) struct Uses: u32 {
        /// NEWOBJ makes instances.
        const MADE = 1;
        /// `copyreg._reconstructor` does.
        const REMADE = 1 << 1;
        /// OBJ or INST does, without arguments.
        const BARE = 1 << 2;
        /// REDUCE calls it, or OBJ and INST with arguments.
        const CALLED = 1 << 3;
        /// `NEWOBJ_EX` gives keywords.
        const KEYWORDS = 1 << 4;
        /// Given to a call, which may use it in any way.
        const GIVEN = 1 << 5;
        /// `getattr` takes an attribute of it.
        const ATTRIBUTE = 1 << 6;

        /// States: `None`.
        const NONE = 1 << 8;
        /// A dict with something in it, or that the memo gave.
        const DICT = 1 << 9;
        /// A pair of a dict and a dict of slots.
        const PAIR = 1 << 10;
        /// A tuple, a list, a number.
        const OTHER = 1 << 11;
        /// What a call gave.
        const OBJECT = 1 << 12;

        /// Items are put at the end.
        const APPENDED = 1 << 14;
        /// Keys and values are put in.
        const SET = 1 << 15;
        /// Members are put in.
        const ADDED = 1 << 16;

        /// A Python 2 `str` is among the arguments or the attributes.
        const STR = 1 << 18;
        /// Arguments, attributes or values that were not followed.
        const LOST = 1 << 19;
        /// Made of different built-in types.
        const BASES = 1 << 20;
    }
}

/// A range of counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pickle) struct Counts {
    pub(in crate::pickle) least: u32,
    pub(in crate::pickle) most: u32,
}

impl Counts {
    const NONE: Self = Self {
        least: u32::MAX,
        most: 0,
    };

    pub(super) fn add(&mut self, count: u32) {
        self.least = self.least.min(count);
        self.most = self.most.max(count);
    }
}

/// A part of the attributes that are remembered.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Range {
    from: u32,
    to: u32,
}

impl Range {
    pub(super) fn new(from: usize, to: usize) -> Self {
        Self {
            from: from as u32,
            to: to as u32,
        }
    }

    pub(super) fn range(self) -> std::ops::Range<usize> {
        self.from as usize..self.to as usize
    }

    pub(super) fn len(self) -> usize {
        (self.to - self.from) as usize
    }
}

/// The uses of one class or function.
#[derive(Debug, Clone, Copy)]
pub(in crate::pickle) struct Used {
    pub(in crate::pickle) uses: Uses,
    /// Counts of the arguments by which instances were made, after the class.
    pub(in crate::pickle) made: Counts,
    /// Counts of the arguments of calls.
    pub(in crate::pickle) called: Counts,
    /// Counts of the elements of states that are tuples.
    pub(in crate::pickle) parts: Counts,
    /// The built-in type that instances were made of, by the number of its global.
    pub(in crate::pickle) base: Option<u32>,
    /// Instances that no call of it made: with BUILD, and all.
    pub(super) built: u32,
    pub(super) instances: u32,
    /// Attributes that every state had, and that any had.
    pub(super) common: Option<Range>,
    pub(super) any: Range,
    /// Attributes in slots that any state had.
    pub(super) slots: Range,
}

impl Used {
    pub(super) const NOT: Self = Self {
        uses: Uses::empty(),
        made: Counts::NONE,
        called: Counts::NONE,
        parts: Counts::NONE,
        base: None,
        built: 0,
        instances: 0,
        common: None,
        any: Range { from: 0, to: 0 },
        slots: Range { from: 0, to: 0 },
    };
}
