//! The identity name server.

pub mod dns;
