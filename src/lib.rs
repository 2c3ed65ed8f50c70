//! A version-aware memcache proxy that isolates pickle namespaces.
#![forbid(unsafe_code)]

pub mod embedded;
pub mod pickle;
pub mod policy;
pub mod protocol;
