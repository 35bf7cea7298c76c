//! The law, case by case.
//!
//! Every case runs on a [`log::Log`], which holds the states, loads for a decision exactly what [`super::wants`] names, and
//! checks [`invariants`] after each change. Keys are numbers: see [`log`].

mod aliases;
mod bodies;
mod chain;
mod claims;
mod codes;
mod devices;
mod garbage;
mod invariants;
mod keys;
mod limits;
mod log;
mod model;
mod pending;
mod quarrels;
mod recovery;
mod recovery_servers;
mod server;
mod settling;
mod tombstones;
mod transfers;
mod user_keys;
mod vectors;
