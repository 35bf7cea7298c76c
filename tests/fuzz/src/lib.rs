//! The functions that the fuzz targets feed: the same that `tests/tests/fuzz_smoke.rs` feeds on a stable toolchain.

#[path = "../../src/decoders.rs"]
pub mod decoders;
