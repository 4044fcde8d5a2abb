//! The bytes of the scorer's checkpoints.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wh_fuzz::checkpoints::run(data));
