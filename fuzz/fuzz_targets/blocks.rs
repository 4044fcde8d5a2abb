//! The bytes of a record batch of the embedded log.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wh_fuzz::blocks::run(data));
