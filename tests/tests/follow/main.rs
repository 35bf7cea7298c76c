//! Copies of a log: the stream of its batches, followers that serve it, mirrors and exports that any file server can serve.

mod copies;
mod follower;
mod tail;
