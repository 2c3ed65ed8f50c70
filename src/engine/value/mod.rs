//! Looks at values on their way: the look itself, and what comes of it, each in
//! a file below.

pub(super) mod apart;
mod foresee;
pub(super) mod judge;
pub(super) mod judged;
mod scanned;
mod show;

pub use foresee::{Foreseen, foresee_read, foresee_write};
pub use judge::Inline;
pub use judged::{Action, Shown, Writer};
