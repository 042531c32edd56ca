#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tower_sealed_session::fuzz::base64(data));
