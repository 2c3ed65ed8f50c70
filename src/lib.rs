//! A version-aware memcache proxy that isolates pickle namespaces.
#![forbid(unsafe_code)]

pub mod check;
pub mod config;
pub mod explain;
pub mod pickle;
pub mod policy;
