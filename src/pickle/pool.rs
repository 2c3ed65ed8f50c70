//! Who reads and writes, and where: a runtime and what is known of its environment.

use super::inventory::Inventory;
use super::reader::Reader;

/// A runtime, and the inventory of its environment if there is one.
#[derive(Debug, Clone, Copy)]
pub struct Pool<'i> {
    /// The runtime.
    pub reader: Reader,
    /// What can be imported there.
    pub inventory: Option<&'i Inventory>,
}
