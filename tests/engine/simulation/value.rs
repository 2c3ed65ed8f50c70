//! Values that say what they are: pickles of a text that names the key, the store
//! and the row of the database that it was made of.

use memchr::memmem;

/// Client flags of a pickle.
pub(crate) const PICKLED: u32 = 1;
/// Padding that makes a value one of the large ones.
const LARGE: usize = 66_000;

/// The Python at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Python {
    Two,
    Three,
}

impl Python {
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::Two => "python/2.7",
            Self::Three => "python/3.11",
        }
    }

    /// The protocol that it writes.
    fn protocol(self) -> u8 {
        match self {
            Self::Two => 2,
            Self::Three => 4,
        }
    }

    /// Whether it can load what another wrote.
    pub(crate) fn loads(self, pickle: &[u8]) -> bool {
        self == Self::Three || pickle.get(1).is_some_and(|&protocol| protocol <= 2)
    }
}

/// Content of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The number of its key.
    pub(crate) key: usize,
    /// The number of the store that put it there.
    pub(crate) store: usize,
    /// The version of the row that it was made of.
    pub(crate) row: u64,
}

/// A pickled text, as this Python writes it.
pub(crate) fn pickle(python: Python, stamp: Stamp, large: bool) -> Vec<u8> {
    let Stamp { key, store, row } = stamp;
    let padding = "x".repeat(if large { LARGE } else { store % 40 });
    let text = format!("<{key}|{store}|{row}>{padding}");
    let mut string = vec![b'X'];
    string.extend_from_slice(&(text.len() as u32).to_le_bytes());
    string.extend_from_slice(text.as_bytes());
    let mut pickle = vec![0x80, python.protocol()];
    if python == Python::Three {
        string.push(0x94);
        let frame = string.len() as u64 + 1;
        pickle.push(0x95);
        pickle.extend_from_slice(&frame.to_le_bytes());
    }
    pickle.extend_from_slice(&string);
    pickle.push(b'.');
    pickle
}

/// Content of a value in any form.
pub(crate) fn stamp_of(pickle: &[u8]) -> Option<Stamp> {
    let start = memmem::find(pickle, b"<")? + 1;
    let end = start + memmem::find(&pickle[start..], b">")?;
    let text = std::str::from_utf8(&pickle[start..end]).ok()?;
    let mut numbers = text.split('|').map(str::parse::<usize>);
    let mut next = || numbers.next()?.ok();
    Some(Stamp {
        key: next()?,
        store: next()?,
        row: next()? as u64,
    })
}
