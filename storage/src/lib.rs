//! Where the server keeps what it accepted: SQL, objects, synced files.
//!
//! [`Storage`] holds one data directory. [`Storage::log`] is the name server's half of it: one transaction commits a signed
//! head with everything that follows from it ([`Log::commit`]), and all else (tiles, DNS, answers) is derived afterwards.
//! [`Objects`] keeps immutable bytes by path, [`Guard`] the highest head ever signed, beside the key and never in a backup of the
//! database. [`Cosigned`] is what a witness remembers, in a database of its own, [`people::People`] what a server
//! keeps of people beside its log, [`recovery::Recovery`] what a recovery server keeps, [`store::Store`] databases, their logs and
//! chunks. Nothing here decides what is accepted: rows come
//! in as bytes and numbers, and go out the same.
//!
//! Layers, each using only those before it: the engine (`durable`, `database`, `objects`, `bucket`, `guard`), the tables (`table`, one
//! file a table, the only place with SQL), their order (`log`, `cosigned`, `people`, `recovery`, `store`, `fsck`).

mod bucket;
mod cosigned;
mod database;
pub mod durable;
pub mod fault;
pub mod fsck;
pub mod guard;
pub mod inject;
pub mod limits;
pub mod log;
pub mod objects;
pub mod people;
pub mod recovery;
pub mod rows;
mod storage;
pub mod store;
mod table;

pub use cosigned::Cosigned;
pub use fault::{CommitError, Place, StorageError};
pub use guard::{Guard, Raised};
pub use log::Log;
pub use objects::Objects;
pub use storage::{Options, Storage};
