//! The body of `POST /v1/notices`: a fault file (PROTOCOL 12.8, 14.3).

/// The most bytes of evidence that one post carries: two notes of full length, a path, and what stands there for the reader.
pub const POST_BYTES_MAX: usize = 512 << 10;
