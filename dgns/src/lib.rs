//! The identity name server.
