//! Who may say what about a name: keys, names, certificates, and the rules that judge them.
//!
//! A *certificate* is a statement signed by device or identity keys. It extends the chain of one DID (decentralized
//! identifier); [`rules::apply`] decides, from the states it touches and the place the log gives it, whether it may, and what
//! changes. The server that accepts a certificate, the client that folds a chain and the auditor that replays a whole log
//! call the same function.
//!
//! The package is pure: no clock, network, file, or ambient randomness. `now` and `rng` are arguments.

pub mod alias;
pub mod cert;
pub mod did;
pub mod email;
pub mod evidence;
pub mod grant;
pub mod hash;
pub mod kdf;
pub mod key;
pub mod limits;
pub mod mail;
pub mod name;
pub mod oprf;
pub mod pair;
pub mod pow;
pub mod record;
pub mod recovery;
pub mod request;
pub mod rules;
pub mod sealed;
pub mod seed;
pub mod signed;
pub mod state;
pub mod time;
pub mod token;
pub mod user_key;
pub mod wire;

#[cfg(test)]
mod testing;
#[cfg(test)]
#[path = "../../tests/vectors/hold.rs"]
mod vectors;
