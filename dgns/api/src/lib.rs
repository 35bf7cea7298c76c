//! What server and client agree on: paths, media types, bodies, problem codes (PROTOCOL 12).
//!
//! Pure: bytes and values, no I/O.

pub mod alias;
pub mod code;
pub mod dns_key;
pub mod envelope;
pub mod evaluate;
pub mod info;
pub mod known;
pub mod notary;
pub mod notice;
pub mod path;
pub mod post;
pub mod problem;
pub mod signin;
pub mod store;

#[cfg(test)]
#[path = "../../../tests/vectors/hold.rs"]
mod vectors;
