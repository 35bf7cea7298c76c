//! What several tests of the whole share.

pub mod decoders;
pub mod harness;
pub mod postgres;
pub mod s3;
pub mod skip;
