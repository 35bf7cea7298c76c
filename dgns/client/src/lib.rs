//! The client of an identity name server: asks, verifies, remembers, signs.
//!
//! Nothing a server says is acted on before [`translog::resolve::verify`] accepted it against the pinned log key and the
//! remembered head. [`session::Session`] is the door; [`home`] is what stays on disk.

mod accuse;
pub mod aliases;
pub mod attach;
pub mod attested;
pub mod audience;
pub mod audit;
mod chain;
pub mod clock;
pub mod connect;
pub mod dns;
pub mod draft;
pub mod error;
pub mod evidence;
pub mod exchange;
pub mod home;
pub mod host;
pub mod mail;
pub mod mirror;
mod net;
pub mod nodes;
pub mod notify;
pub mod pairing;
mod peering;
pub mod prover;
pub mod recovery;
pub mod report;
pub mod rng;
pub mod session;
pub mod signin;
pub mod signins;
pub mod store;
pub mod user_keys;
pub mod watch;
pub mod zonetext;

#[cfg(test)]
#[path = "../../../tests/vectors/hold.rs"]
mod vectors;
