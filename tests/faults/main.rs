//! Faults around a sidecar, on real sockets with real memcached: upstreams that die,
//! freeze, fall silent, lie or hang up, clients that are slow or hostile, and every
//! limit. Each reply is the right one, or an error that says why, in time, and nothing
//! stays behind.
//!
//! `cargo test --release --test faults -- --ignored --nocapture` measures what
//! hostile clients and long looks cost the others.

mod answers;
mod busy;
mod clients;
mod limits;
mod looks;
mod measure;
mod names;
mod proxy;
mod scene;
#[path = "../support/mod.rs"]
mod support;
mod upstream;
