//! Databases from the outside: what is sealed before it leaves, and checked before it is used (PROTOCOL 25).
//!
//! [`database`] opens a database by its proved name and replays its control log; [`follow`] reads a log so that its tree grows from
//! what is remembered, [`hints`] says when there is more; [`append`] adds to it exactly once, whatever breaks in between, and [`away`] goes on past that; [`members`] says who may, [`owners`] who takes others in and deletes, [`fork`] goes on under another name,
//! [`relocate`] at another server; [`partition`] is what one user of a subscription database has there; [`trim`] lets the first entries of a log go, [`chunks`] keeps files, [`large`] records that no entry has room for; [`snapshot`] puts the records of a log together for who comes late.

pub mod anchored;
pub mod append;
pub mod away;
pub mod chunks;
pub mod database;
pub(crate) mod evidence;
pub mod follow;
pub mod fork;
pub mod hints;
mod kept;
pub mod large;
pub mod members;
pub mod owners;
pub mod partition;
mod people;
pub mod relocate;
pub mod seal;
pub mod snapshot;
pub mod trim;
