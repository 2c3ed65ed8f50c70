//! Any bytes as the replies of an upstream.
#![no_main]

mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::reply(data));
