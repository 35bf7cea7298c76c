//! Databases as server and client agree on them: entries of logs, heads, control entries, chunks (PROTOCOL 25).

pub mod account;
pub mod acl;
pub mod anchor;
pub mod answer;
pub mod arrival;
pub mod content;
pub mod control;
pub mod entry;
pub mod fault;
pub mod head;
pub mod limits;
pub mod partition;
pub mod place;
pub mod record;
pub mod snapshot;
pub mod watch;

#[cfg(test)]
mod tests;
