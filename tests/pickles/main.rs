//! The pickle engine against recorded truth, and against the interpreters.

mod apart;
mod hostile;
mod matrix;
mod meanings;
#[path = "../support/pythons.rs"]
mod pythons;
mod scan;
mod transcode;
mod verdicts;
