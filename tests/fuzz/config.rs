//! Any bytes as two configurations.
#![no_main]

mod settings;

libfuzzer_sys::fuzz_target!(|data: &[u8]| settings::config(data));
