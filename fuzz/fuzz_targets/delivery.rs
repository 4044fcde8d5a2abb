//! What happens to the delivery machine, event by event.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wh_fuzz::delivery::run(data));
