//! The readers that a report is for, who are taken for the writers as well.

use std::sync::Arc;

use crate::pickle::inventory::Inventory;
use crate::pickle::{Pool, Reader, Scan};
use crate::policy::RuntimeTag;

/// A reader that is to load a value.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Tag that values were judged for.
    pub tag: RuntimeTag,
    /// The inventory of its environment, where that is known.
    pub inventory: Option<Arc<Inventory>>,
}

impl Asked {
    /// Pool of the reader. Readers whose tags differ only in words share one, since only
    /// versions and inventory decide what they can load.
    pub fn pool(&self) -> Pool<'_> {
        let reader = self.tag.reader();
        let inventory = self.inventory.as_deref();
        let known = inventory.map(Reader::of_inventory);
        Pool {
            reader: known.map_or(reader, |known| reader.refined(known)),
            inventory,
        }
    }
}

impl From<RuntimeTag> for Asked {
    fn from(tag: RuntimeTag) -> Self {
        Self {
            tag,
            inventory: None,
        }
    }
}

/// Pools that may have written a pickle: those of the readers that are asked for, which
/// are a fleet; of a single one, its environment under any Python.
pub(crate) fn writers<'a>(scan: &Scan<'_>, readers: &'a [Asked]) -> Vec<Pool<'a>> {
    let any = |pool: Pool<'a>| Pool {
        reader: Reader::NEWEST,
        ..pool
    };
    let single = readers.len() == 1;
    let pools = readers.iter().map(Asked::pool);
    let pools = pools.map(|pool| if single { any(pool) } else { pool });
    scan.writer().among(pools).collect()
}
