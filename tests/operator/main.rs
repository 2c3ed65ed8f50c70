//! Tools of operators: commands and their exit codes, the admin address and its page, the
//! demo, documents, and the files for service managers and Prometheus.

mod admin;
mod demo;
mod deploy;
mod docs;
mod exit_codes;
mod page;
mod prometheus;
#[path = "../support/mod.rs"]
mod support;
