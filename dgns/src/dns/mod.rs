//! The zone, answered over UDP, TCP, TLS, HTTPS and QUIC (PROTOCOL 13).
//!
//! A certificate that the log has taken becomes a [`Change`], a change becomes an immutable card in the [`Zone`], and
//! [`answer`](answer::answer) turns the bytes of a query into the bytes of its answer. That function is pure: every transport
//! calls it, and every test can. Record data are the bytes of the certificate; nothing here interprets them, except that the
//! target of a CNAME is looked up.
//!
//! | module | its story |
//! |---|---|
//! | `zone`, `card` | what exists: one card per name, swapped whole |
//! | `query`, `hickory` | what was asked: the plain shape by hand, all others by hickory-proto |
//! | `answer`, `reply` | what is said, and its bytes within the transport's limit |
//! | `own`, `alias` | what the operator writes there, and the addresses that it takes from another name |
//! | `dnssec` | what of it is signed, by which keys |
//! | `proofs` | what the log proves, in pieces that fit an answer |
//! | `update` | what devices put into DNS themselves |
//! | `transfer`, `tsig` | who may copy the zone, how it is copied, and who is told that it changed |
//! | `edge` | a follower's zone, signed by another server whose signatures are copied and verified |
//! | `wire` | records of messages that others sent |
//! | `export` | all of it as a zone file |
//! | `snapshot` | all of it as a file of our own, for the next start |
//! | `cookie`, `rate` | who is known to be where it says, and how often all others are answered |
//! | `server`, `settings`, `udp`, `stream` | who may ask, how often, how slowly |
//! | `https`, `quic` | messages in requests and on streams, where many go over one connection |
//! | `tls` | by which certificate the server is known, and what is spoken under it |
//! | `acme` | how the server gets that certificate by itself |
//!
//! Invariant: a name is in the zone only through [`Zone::apply`], so DNS never shows what the log has not committed. Below `auth`, a label that
//! is nobody's in the log, stand the challenges of ACME clients; at other such labels, and at the zone's own name, the operator's records.

pub mod acme;
pub mod alias;
pub mod answer;
mod card;
mod cards;
pub mod cookie;
pub mod dnssec;
pub mod edge;
pub mod export;
pub mod feed;
mod hickory;
mod https;
pub mod limits;
pub mod metrics;
mod name;
pub mod own;
mod proofs;
mod queries;
mod query;
mod quic;
mod rate;
mod reply;
pub mod server;
pub mod settings;
pub mod snapshot;
mod stream;
pub mod tls;
pub mod transfer;
pub mod tsig;
mod udp;
pub(crate) mod update;
mod wire;
pub mod zone;

pub use edge::Edge;
pub use metrics::Metrics;
pub use proofs::Proofs;
pub use server::{Makers, Server};
pub use update::{Updates, update_parts};
pub use zone::{Change, Content, Nameserver, Settings, Zone, ZoneError};
