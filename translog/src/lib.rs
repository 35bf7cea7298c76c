//! What was said, in which order, provably: the transparency log, its map, and the checks a client and an auditor make.

pub mod bundle;
pub mod hash;
pub mod limits;
pub mod map;
pub mod subtree;
pub mod tile;
pub mod tree;

#[cfg(test)]
mod vectors;
