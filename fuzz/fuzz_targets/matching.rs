//! The query of SQL's match().

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wh_fuzz::matching::run(data));
