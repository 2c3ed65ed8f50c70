//! The life of a running picklegate: start, reload, restart and end, its workers and
//! its surroundings, and fleets of real Python clients before it.

mod clients;
mod drain;
mod reload;
mod serve;
mod shell;
mod supervision;
#[path = "../support/mod.rs"]
mod support;
