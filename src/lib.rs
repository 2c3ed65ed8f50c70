//! A version-aware memcache proxy that isolates pickle namespaces.
#![forbid(unsafe_code)]

pub mod check;
pub mod config;
pub mod demo;
pub mod embedded;
pub mod engine;
pub mod explain;
pub mod metrics;
pub mod pickle;
pub mod policy;
pub mod protocol;
pub mod server;
