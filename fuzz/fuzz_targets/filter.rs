#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oxmq_fuzz::filter(bytes));
