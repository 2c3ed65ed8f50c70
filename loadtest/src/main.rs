//! Drives load through a memcache server and says what it cost.
#![forbid(unsafe_code)]

fn main() {}
