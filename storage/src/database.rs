//! One database: one connection that writes, a few that read; a SQLite file, or PostgreSQL that several servers share.
//!
//! SQLite: WAL with `synchronous = FULL`: a commit that returns is on disk, and a lock file keeps a second process out. Each
//! statement crosses into the connection's thread, so many rows travel in one ([`ManyRows`]). PostgreSQL: every transaction that
//! writes is the only one that does (`postgres`). Readers see the newest commit and never wait for the writer. A database whose one
//! writer gathers its work takes the connection itself ([`Database::writer`], [`begin`]); one that many write to, each a little,
//! lets them share commits ([`Database::write`]).
//!
//! A statement is written once: its text with `$1`, `$2`, .. in its table's file, run by [`query`] on a [`Conn`] of either engine.

mod cells;
mod conn;
mod copier;
mod many;
mod postgres;
mod query;
mod readers;
mod shared;
mod sqlite;

use std::path::Path;
use std::sync::Arc;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row as _};
use tokio::sync::{Mutex, MutexGuard};

pub(crate) use cells::Cells;
pub(crate) use conn::{Conn, Tx};
pub(crate) use many::ManyRows;
pub(crate) use query::{Row, query};

use crate::durable::LockFile;
use crate::fault::{Place, StorageError};
use crate::limits;
use copier::Copier;
use postgres::Remote;
use readers::{Reader, Readers};
pub(crate) use shared::Write;
use shared::Writer;

/// What a database holds: one text a version; `user_version` in the header counts those applied, or the table `dgns_schema`.
///
/// The texts are SQLite's; PostgreSQL reads `INTEGER` as `BIGINT`, `BLOB` as `BYTEA`, and no `STRICT`.
pub(crate) struct Schema {
    /// `dgns`, `dgnp`, `dgnr`, `dgnd` and `dgnw` in the header: `file` and we know a database by that.
    application_id: i64,
    migrations: &'static [&'static str],
}

impl Schema {
    /// The name server's.
    pub(crate) const NAMES: Self = Self {
        application_id: 0x6467_6e73,
        migrations: &[
            include_str!("../migrations/sqlite/0001_names.sql"),
            include_str!("../migrations/sqlite/0002_notices.sql"),
            include_str!("../migrations/sqlite/0003_enrolled.sql"),
            include_str!("../migrations/sqlite/0004_changed.sql"),
        ],
    };

    /// What a server keeps of people.
    pub(crate) const PEOPLE: Self = Self {
        application_id: 0x6467_6e70,
        migrations: &[
            include_str!("../migrations/sqlite/0001_people_signin.sql"),
            include_str!("../migrations/sqlite/0002_people_tokens.sql"),
            include_str!("../migrations/sqlite/0003_people_accounts.sql"),
            include_str!("../migrations/sqlite/0004_people_devices.sql"),
            include_str!("../migrations/sqlite/0005_people_passkeys.sql"),
            include_str!("../migrations/sqlite/0006_people_aliases.sql"),
            include_str!("../migrations/sqlite/0007_people_notaries.sql"),
            include_str!("../migrations/sqlite/0008_people_links.sql"),
            include_str!("../migrations/sqlite/0009_people_notify.sql"),
            include_str!("../migrations/sqlite/0010_people_dns.sql"),
            include_str!("../migrations/sqlite/0011_people_updates.sql"),
            include_str!("../migrations/sqlite/0012_people_acme.sql"),
        ],
    };

    /// A recovery server's.
    pub(crate) const RECOVERY: Self =
        Self { application_id: 0x6467_6e72, migrations: &[include_str!("../migrations/sqlite/0001_recovery.sql")] };

    /// What a server keeps of databases.
    pub(crate) const STORE: Self = Self {
        application_id: 0x6467_6e64,
        migrations: &[
            include_str!("../migrations/sqlite/0001_store.sql"),
            include_str!("../migrations/sqlite/0002_store_anchors.sql"),
            include_str!("../migrations/sqlite/0003_store_stages.sql"),
            include_str!("../migrations/sqlite/0004_store_forks.sql"),
            include_str!("../migrations/sqlite/0007_store_chunks.sql"),
            include_str!("../migrations/sqlite/0008_store_leases.sql"),
            include_str!("../migrations/sqlite/0009_store_snapshots.sql"),
            include_str!("../migrations/sqlite/0010_store_collected.sql"),
            include_str!("../migrations/sqlite/0011_store_trims.sql"),
            include_str!("../migrations/sqlite/0012_store_moves.sql"),
            include_str!("../migrations/sqlite/0013_store_segments.sql"),
            include_str!("../migrations/sqlite/0014_store_partitions.sql"),
        ],
    };

    /// A cosigner's.
    pub(crate) const COSIGNED: Self =
        Self { application_id: 0x6467_6e77, migrations: &[include_str!("../migrations/sqlite/0001_cosigned.sql")] };
}

pub(crate) struct Database {
    writer: Arc<Mutex<Writer>>,
    readers: Readers,
    file: Option<File>,
}

/// What a database has beside its connections that is a file.
struct File {
    /// How another writer is opened.
    writing: SqliteConnectOptions,
    copier: Copier,
    _lock: LockFile,
}

impl Database {
    /// Opens `<dir>/<name>.db`, made and migrated if `create`, and takes `<dir>/<name>.lock`.
    pub(crate) async fn open(dir: &Path, name: &str, schema: &Schema, create: bool) -> Result<Self, StorageError> {
        let path = dir.join(format!("{name}.db"));
        if !create && !path.is_file() {
            return Err(StorageError::Io { place: Place::from(path.as_path()), detail: "it does not exist".into() });
        }
        let lock = LockFile::take(&dir.join(format!("{name}.lock")))?;
        let in_file = |error| of_sql(Place::from(path.as_path()), error);
        let writing = sqlite::options(&path, limits::WRITER_CACHE_KIB);
        let mut writer = writing.clone().create_if_missing(create).connect().await.map_err(in_file)?;
        sqlite::check_version(&mut writer).await?;
        sqlite::migrate(&mut writer, schema, create).await?;
        sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut writer).await.map_err(in_file)?;
        sqlite::check_length(&path)?;
        let reading = sqlite::options(&path, limits::READER_CACHE_KIB).pragma("query_only", "ON");
        let mut readers = Vec::with_capacity(limits::READERS);
        for _ in 0..limits::READERS {
            readers.push(Conn::Sqlite(reading.connect().await.map_err(in_file)?));
        }
        let copying = sqlite::options(&path, limits::READER_CACHE_KIB).connect().await.map_err(in_file)?;
        let writer = Arc::new(Mutex::new(Writer::new(Conn::Sqlite(writer))));
        let copier = Copier::start(copying, Arc::clone(&writer));
        Ok(Self { writer, readers: Readers::of(readers), file: Some(File { writing, copier, _lock: lock }) })
    }

    /// Opens the database at `url`, `postgresql://..`, migrated if `create`. Other servers may have it open too.
    pub(crate) async fn connect(url: &str, schema: &Schema, create: bool) -> Result<Self, StorageError> {
        let options = postgres::options(url)?;
        postgres::prepare(&options, schema, create).await?;
        let remote = || Conn::Postgres(Box::new(Remote::new(&options, schema)));
        let readers = Readers::of((0..limits::REMOTE_READERS).map(|_| remote()).collect());
        Ok(Self { writer: Arc::new(Mutex::new(Writer::new(remote()))), readers, file: None })
    }

    /// Returns whether other servers may write to it too.
    pub(crate) fn is_shared(&self) -> bool {
        self.file.is_none()
    }

    /// Waits for the one connection that writes.
    ///
    /// A full disk makes SQLite end a transaction by itself, and then the connection counts one that nobody can end: another takes
    /// its place. Where none opens, the next transaction fails as the last did.
    pub(crate) async fn writer(&self) -> MutexGuard<'_, Writer> {
        let mut writer = self.writer.lock().await;
        let rows = writer.settle().await;
        self.wrote(rows);
        if let (Some(file), Conn::Sqlite(conn)) = (&self.file, &mut **writer)
            && sqlite::is_stuck(conn).await
            && let Ok(other) = file.writing.connect().await
        {
            *conn = other;
        }
        writer
    }

    /// Waits for the connection that writes, and begins a transaction on it that ends in one commit with those of others.
    pub(crate) async fn write(&self) -> Result<Write<'_>, StorageError> {
        Write::begin(&self.writer, self.file.as_ref().map(|file| file.copier.copied())).await
    }

    /// Waits for a connection that reads; outside a transaction each statement sees the newest commit.
    pub(crate) async fn reader(&self) -> Reader<'_> {
        self.readers.take().await
    }

    /// Makes what `tx` wrote durable: about `rows` rows.
    pub(crate) async fn commit(&self, tx: Tx<'_>, rows: usize) -> Result<(), StorageError> {
        tx.commit().await.map_err(|error| of_sql(Place::Database, error))?;
        self.wrote(rows);
        Ok(())
    }

    /// Notes that a commit wrote about `rows` rows, so that the write-ahead log is copied back in time.
    pub(crate) fn wrote(&self, rows: usize) {
        if let Some(file) = &self.file {
            file.copier.copied().wrote(rows);
        }
    }

    /// Reads every page and index of a file, and returns what does not fit; it takes minutes a gigabyte.
    pub(crate) async fn damaged_pages(&self) -> Result<Vec<StorageError>, StorageError> {
        let in_database = |error| of_sql(Place::Database, error);
        let mut reader = self.reader().await;
        let Conn::Sqlite(conn) = &mut *reader else { return Ok(Vec::new()) };
        let rows = sqlx::raw_sql("PRAGMA integrity_check").fetch_all(conn).await;
        let mut faults = Vec::new();
        for row in rows.map_err(in_database)? {
            let line: String = row.try_get(0).map_err(in_database)?;
            if line != "ok" {
                faults.push(StorageError::corrupt(Place::Database, line));
            }
        }
        Ok(faults)
    }

    /// Closes every connection, after which the write-ahead log is empty.
    pub(crate) async fn close(self) -> Result<(), StorageError> {
        if let Some(file) = self.file {
            file.copier.stop().await.map_err(|error| of_sql(Place::Database, error))?;
        }
        self.readers.close().await?;
        match Arc::into_inner(self.writer) {
            Some(writer) => writer.into_inner().into_connection().close().await,
            None => Ok(()), // a task that ends a little later drops it
        }
    }
}

/// Opens a write transaction: no other is open, on any node. It takes the write lock at once, so that it never fails for one later.
pub(crate) async fn begin(writer: &mut Conn) -> Result<Tx<'_>, StorageError> {
    Tx::writing(writer).await
}

/// Opens a read transaction: everything read in it is one commit's.
pub(crate) async fn begin_reading(reader: &mut Conn) -> Result<Tx<'_>, StorageError> {
    Tx::reading(reader).await
}

/// Names the fault behind an error of the engine, met at `place`.
pub(crate) fn of_sql(place: Place, error: sqlx::Error) -> StorageError {
    let detail = error.to_string();
    let code = match &error {
        sqlx::Error::Database(error) if error.code().is_some_and(|code| code.len() == postgres::CODE_BYTES) => {
            return postgres::fault(place, error.code().as_deref().unwrap_or_default(), detail);
        }
        sqlx::Error::Database(error) => error.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => return StorageError::Corrupt { place, detail },
        error if postgres::broke(error) => return StorageError::Unreachable { place, detail },
        _ => return StorageError::Io { place, detail },
    };
    const IOERR_SHORT_READ: i32 = 522;
    match (code, code & 0xff) {
        (IOERR_SHORT_READ, _) | (_, 11 | 26) => StorageError::Corrupt { place, detail },
        (_, 5 | 6) => StorageError::Locked { place },
        (_, 8) => StorageError::ReadOnly { place },
        (_, 13) => StorageError::DiskFull { place },
        (_, 19) => StorageError::Inconsistent { place, detail },
        _ => StorageError::Io { place, detail },
    }
}

/// Returns [`of_sql`] for a table.
pub(crate) fn in_table(table: &'static str) -> impl Fn(sqlx::Error) -> StorageError {
    move |error| of_sql(Place::Table(table), error)
}

#[cfg(test)]
mod tests;
