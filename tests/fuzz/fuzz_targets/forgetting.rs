#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wengu_fuzz_targets::run("forgetting", data));
