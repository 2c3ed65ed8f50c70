//! The pickle engine against recorded truth, and against the interpreters.

mod apart;
mod firewall;
mod hostile;
mod inspect;
mod inventory;
mod matrix;
mod meanings;
mod names;
mod scan;
#[path = "../support/mod.rs"]
mod support;
mod transcode;
mod verdicts;
