//! Any bytes as the first bytes of a connection.
#![no_main]

mod settings;

libfuzzer_sys::fuzz_target!(|data: &[u8]| settings::proxy(data));
