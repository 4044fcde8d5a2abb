//! A CSV as the import reads it.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wh_fuzz::csv::run(data));
