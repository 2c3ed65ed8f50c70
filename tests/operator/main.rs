//! What operators hold in their hands: commands and their exit codes, the admin address
//! and its page, the demo, documents, and what is shipped for service managers and
//! Prometheus.

mod admin;
mod demo;
mod deploy;
mod docs;
mod exit_codes;
mod page;
mod prometheus;
#[path = "../support/mod.rs"]
mod support;
