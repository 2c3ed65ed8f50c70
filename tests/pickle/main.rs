//! The pickle engine against recorded truth, and against the interpreters.

mod apart;
mod firewall;
mod hostile;
mod matrix;
mod meanings;
#[path = "../support/pythons.rs"]
mod pythons;
mod scan;
mod transcode;
mod verdicts;
