//! Where the server keeps what it accepted: SQL, objects, synced files.
