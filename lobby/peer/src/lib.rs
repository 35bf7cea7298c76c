//! WebRTC as both ends of a private server use it: one connection, two channels, and no text of the other side (PROTOCOL 23.10).
//!
//! What an end says of itself goes out as the fields of a card, and what the other end said comes in as such: `sdp` makes the
//! remote description from them by a template of its own. [`Link`] is the connection; its types are all of this package, so that
//! nobody else names WebRTC. The server does not have it.

mod link;
mod runtime;
mod sdp;
mod tunnel;

pub use link::{Channel, Link, LinkError, Path, Settings};

/// The bytes of a message on a channel: what every browser takes.
pub const MESSAGE_BYTES_MAX: usize = 16_384;
