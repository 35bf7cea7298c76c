//! What several tests of the whole share.

pub mod decoders;
pub mod harness;
pub mod skip;
