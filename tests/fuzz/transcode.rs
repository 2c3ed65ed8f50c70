//! Any bytes as a pickle that is rewritten.
#![no_main]

mod pickles;

libfuzzer_sys::fuzz_target!(|data: &[u8]| pickles::transcode(data));
