//! A version-aware memcache proxy that isolates pickle namespaces.
#![forbid(unsafe_code)]
