//! A producer's bytes: decoded, accepted, scored.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wh_fuzz::records::run(data));
