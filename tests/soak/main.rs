//! Long use by real clients: ordinary for a while, and through the stages of a migration.

mod migration;
mod ordinary;
#[path = "../support/mod.rs"]
mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by a test for as long as it runs. Each loads both cores of a small machine, and
/// what it measures would be the other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // A failed test leaves nothing behind that the next would see.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
