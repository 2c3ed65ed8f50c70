//! Any bytes as a pickle that is scanned.
#![no_main]

mod pickles;

libfuzzer_sys::fuzz_target!(|data: &[u8]| pickles::pickle_scan(data));
