//! What was said, in which order, provably: the transparency log, its map, and the checks a client and an auditor make.

pub mod audit;
mod base64;
pub mod batch;
pub mod bundle;
pub mod due;
pub mod entry;
pub mod fault;
pub mod files;
pub mod gossip;
pub mod hash;
pub mod head;
pub mod limits;
pub mod logconf;
pub mod lookup_proof;
pub mod map;
pub mod note;
pub mod notice;
pub mod pieces;
pub mod policy;
pub mod proof_file;
pub mod resolution;
pub mod resolve;
pub mod rotation;
pub mod stream;
pub mod subtree;
pub mod tail;
pub mod tile;
pub mod tree;
pub mod trust;
pub mod witness;

#[cfg(test)]
#[path = "../../tests/vectors/hold.rs"]
mod vectors;
