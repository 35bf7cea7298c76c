#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    dgns_fuzz::decoders::feed("dns_update", bytes);
});
