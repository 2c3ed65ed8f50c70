//! Any bytes as what clients, servers and time do.
#![no_main]

mod targets;
mod traffic;

libfuzzer_sys::fuzz_target!(|data: &[u8]| traffic::interleaved(data));
