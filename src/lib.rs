//! A version-aware memcache proxy that isolates pickle namespaces.
#![forbid(unsafe_code)]

pub mod config;
pub mod pickle;
pub mod policy;
