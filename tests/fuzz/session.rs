//! Any bytes as what a client says to a cache.
#![no_main]

mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::session(data));
