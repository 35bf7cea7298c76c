//! The identity name server `dgnsd`: certificates in, proved names out over HTTP and DNS.
//!
//! A certificate enters by [`http`], is judged at the [`log::door`], ordered and committed by the [`log::publisher`], and only
//! then shows in lookups and in [`dns`]. docs/ARCHITECTURE.md has the map.

pub mod app;
pub mod auth;
pub mod cidr;
pub mod clock;
pub mod config;
pub mod core;
pub mod dns;
pub mod export;
pub mod follow;
pub mod fsck;
pub mod http;
pub mod invites;
pub mod keys;
pub mod leases;
pub mod limits;
pub mod lobby;
pub mod log;
pub mod logconf;
pub mod metrics;
pub mod notaries;
pub mod outbound;
pub mod people;
pub mod problem;
pub mod recovery;
pub mod rng;
pub mod rotation;
pub mod server;
pub mod setup;
mod shutdown;
pub mod store;
pub mod tokens;
pub mod witness;
