//! What server and client agree on: paths, bodies, problem codes.
