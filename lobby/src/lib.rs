//! The lobby: where private servers behind NAT are found by name, and where they and their clients exchange the few hundred bytes
//! after which they talk to each other directly (PROTOCOL 23).
//!
//! Nobody trusts it. No SDP passes through: what passes are [`card`]s, signed by devices and checked at both ends against keys the
//! log proves. A [`hello`] is login, acknowledgement, resume and receipt in one. [`delivery`] makes a signal arrive once or end in
//! a named error, whatever the lobby does. The lobby itself is [`Lobby`]: one input, then every output, then the next input.
//!
//! The package is pure: no clock, network, file, async or ambient randomness. `now` and what is random are arguments; signatures
//! of a hello are checked by the caller, who holds the states.

pub mod bus;
pub mod card;
pub mod delivery;
pub mod guard;
pub mod guest;
pub mod hello;
pub mod limits;
pub mod lobby;
pub mod message;
pub mod news;
pub mod peer_hello;
pub mod push;
mod refusal;
mod session;
pub mod share;
pub mod websocket;

#[cfg(test)]
mod testing;
#[cfg(test)]
#[path = "../../tests/vectors/hold.rs"]
mod vectors;

pub use lobby::{ConnId, Grown, Input, Joined, Lobby, Login, Metric, Network, Output, Settings, Standing, TokenShown};
pub use refusal::Refusal;

/// The 16 random bytes that name what two ends say to each other after one offer.
pub type Sess = [u8; 16];
