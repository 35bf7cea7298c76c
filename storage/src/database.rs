//! One SQLite database: one connection that writes, a few that read, and a lock file against a second process.
//!
//! WAL with `synchronous = FULL`: a commit that returns is on disk. Readers see the newest commit and never wait for the
//! writer. Each statement crosses into the connection's thread, so many rows travel in one ([`ManyRows`]). A database whose one
//! writer gathers its work takes the connection itself ([`Database::writer`], [`begin`]); one that many write to, each a little,
//! lets them share commits ([`Database::write`]).

mod cells;
mod copier;
mod many;
mod readers;
mod shared;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, Sqlite, SqliteConnection, Transaction};
use tokio::sync::{Mutex, MutexGuard};

pub(crate) use cells::Cells;
pub(crate) use many::ManyRows;

use crate::durable::LockFile;
use crate::fault::{Place, StorageError};
use crate::limits;
use copier::Copier;
use readers::{Reader, Readers};
use shared::{Write, Writer};

/// What a database holds: one text a version; `user_version` in the header counts those applied.
pub(crate) struct Schema {
    /// `dgns`, `dgnp`, `dgnr` and `dgnw` in the header: `file` and we know a database by that.
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
        ],
    };

    /// A recovery server's.
    pub(crate) const RECOVERY: Self =
        Self { application_id: 0x6467_6e72, migrations: &[include_str!("../migrations/sqlite/0001_recovery.sql")] };

    /// A cosigner's.
    pub(crate) const COSIGNED: Self =
        Self { application_id: 0x6467_6e77, migrations: &[include_str!("../migrations/sqlite/0001_cosigned.sql")] };
}

pub(crate) struct Database {
    writer: Arc<Mutex<Writer>>,
    /// How another writer is opened.
    writing: SqliteConnectOptions,
    readers: Readers,
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
        let writing = options(&path, limits::WRITER_CACHE_KIB);
        let mut writer = writing.clone().create_if_missing(create).connect().await.map_err(in_file)?;
        check_version(&mut writer).await?;
        migrate(&mut writer, schema, create).await?;
        sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut writer).await.map_err(in_file)?;
        check_length(&path)?;
        let reading = options(&path, limits::READER_CACHE_KIB).pragma("query_only", "ON");
        let readers = Readers::open(&reading, limits::READERS).await?;
        let copying = options(&path, limits::READER_CACHE_KIB).connect().await.map_err(in_file)?;
        let writer = Arc::new(Mutex::new(Writer::new(writer)));
        let copier = Copier::start(copying, Arc::clone(&writer));
        Ok(Self { writer, writing, readers, copier, _lock: lock })
    }

    /// Waits for the one connection that writes.
    ///
    /// A full disk makes SQLite end a transaction by itself, and then the connection counts one that nobody can end: another takes
    /// its place. Where none opens, the next transaction fails as the last did.
    pub(crate) async fn writer(&self) -> MutexGuard<'_, Writer> {
        let mut writer = self.writer.lock().await;
        let rows = writer.settle().await;
        self.wrote(rows);
        if writer.is_in_transaction() {
            // Behind the rollback of what was dropped, which is on its way.
            let _ = sqlx::raw_sql("SELECT 1").execute(&mut **writer).await;
            if writer.is_in_transaction()
                && let Ok(other) = self.writing.connect().await
            {
                writer.replace(other);
            }
        }
        writer
    }

    /// Waits for the connection that writes, and begins a transaction on it that ends in one commit with those of others.
    pub(crate) async fn write(&self) -> Result<Write<'_>, StorageError> {
        Write::begin(&self.writer, self.copier.copied()).await
    }

    /// Waits for a connection that reads; outside a transaction each statement sees the newest commit.
    pub(crate) async fn reader(&self) -> Reader<'_> {
        self.readers.take().await
    }

    /// Makes what `tx` wrote durable: about `rows` rows.
    pub(crate) async fn commit(&self, tx: Transaction<'_, Sqlite>, rows: usize) -> Result<(), StorageError> {
        tx.commit().await.map_err(|error| of_sql(Place::Database, error))?;
        self.wrote(rows);
        Ok(())
    }

    /// Notes that a commit wrote about `rows` rows, so that the write-ahead log is copied back in time.
    pub(crate) fn wrote(&self, rows: usize) {
        self.copier.copied().wrote(rows);
    }

    /// Reads every page and index, and returns what does not fit; it takes minutes a gigabyte.
    pub(crate) async fn damaged_pages(&self) -> Result<Vec<StorageError>, StorageError> {
        let in_database = |error| of_sql(Place::Database, error);
        let rows = sqlx::raw_sql("PRAGMA integrity_check").fetch_all(&mut *self.reader().await).await;
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
        self.copier.stop().await;
        self.readers.close().await?;
        match Arc::into_inner(self.writer) {
            Some(writer) => {
                writer.into_inner().into_connection().close().await.map_err(|error| of_sql(Place::Database, error))
            }
            None => Ok(()), // a task that ends a little later drops it
        }
    }
}

/// Opens a write transaction. It takes the write lock at once, so that it never fails for a lock later on.
pub(crate) async fn begin(writer: &mut SqliteConnection) -> Result<Transaction<'_, Sqlite>, StorageError> {
    writer.begin_with("BEGIN IMMEDIATE").await.map_err(|error| of_sql(Place::Database, error))
}

/// Opens a read transaction: everything read in it is one commit's.
pub(crate) async fn begin_reading(reader: &mut SqliteConnection) -> Result<Transaction<'_, Sqlite>, StorageError> {
    reader.begin_with("BEGIN").await.map_err(|error| of_sql(Place::Database, error))
}

fn options(path: &Path, cache_kib: u32) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(false)
        .busy_timeout(Duration::from_millis(limits::BUSY_TIMEOUT_MS))
        .pragma("cache_size", format!("-{cache_kib}"))
        .pragma("wal_autocheckpoint", "0") // the copier's work
        .disable_statement_logging()
}

async fn check_version(writer: &mut SqliteConnection) -> Result<(), StorageError> {
    let row = sqlx::query("SELECT sqlite_version()").fetch_one(writer).await;
    let found: String = row.and_then(|row| row.try_get(0)).map_err(|error| of_sql(Place::Database, error))?;
    let mut numbers = found.split('.').map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    if (next(), next(), next()) < limits::SQLITE_VERSION_MIN {
        return Err(StorageError::WrongSqlite { found });
    }
    Ok(())
}

/// Brings the schema to the newest version; without `create` it must be there already.
async fn migrate(writer: &mut SqliteConnection, schema: &Schema, create: bool) -> Result<(), StorageError> {
    let Schema { application_id, migrations } = *schema;
    let in_database = |error| of_sql(Place::Database, error);
    let wrong = |detail: String| Err(StorageError::WrongSchema { detail });
    let mut tx = begin(writer).await?;
    let id = pragma(&mut tx, "PRAGMA application_id").await?;
    let version = pragma(&mut tx, "PRAGMA user_version").await?;
    let tables = pragma(&mut tx, "SELECT count(*) FROM sqlite_schema").await?;
    let applied = match (id, usize::try_from(version).unwrap_or(usize::MAX)) {
        (0, 0) if tables == 0 => 0,
        (found, applied) if found == application_id && (1..=migrations.len()).contains(&applied) => applied,
        (found, _) if found == application_id => {
            return wrong(format!("version {version}, known are 1 to {}", migrations.len()));
        }
        _ => return wrong("it belongs to another program".into()),
    };
    if applied == migrations.len() {
        return Ok(());
    }
    if !create {
        return wrong(format!(
            "version {applied}, it has to be opened by the server once to become {}",
            migrations.len()
        ));
    }
    for migration in &migrations[applied..] {
        sqlx::raw_sql(*migration).execute(&mut *tx).await.map_err(in_database)?;
    }
    let header = format!("PRAGMA application_id = {application_id}; PRAGMA user_version = {}", migrations.len());
    sqlx::raw_sql(sqlx::AssertSqlSafe(header)).execute(&mut *tx).await.map_err(in_database)?;
    tx.commit().await.map_err(in_database)
}

async fn pragma(conn: &mut SqliteConnection, text: &'static str) -> Result<i64, StorageError> {
    let row = sqlx::query(text).fetch_one(conn).await;
    row.and_then(|row| row.try_get(0)).map_err(|error| of_sql(Place::Database, error))
}

/// Compares the length of the file with the number of pages its header states; the write-ahead log must be empty.
fn check_length(path: &PathBuf) -> Result<(), StorageError> {
    use std::os::unix::fs::FileExt;
    let fault = |error| StorageError::of_file(path, &error);
    let file = fs::File::open(path).map_err(fault)?;
    let mut header = [0; 32];
    file.read_exact_at(&mut header, 0).map_err(fault)?;
    let page_bytes = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        bytes => u64::from(bytes),
    };
    let pages = u32::from_be_bytes([header[28], header[29], header[30], header[31]]);
    let (stated, found) = (u64::from(pages) * page_bytes, file.metadata().map_err(fault)?.len());
    if found < stated {
        return Err(StorageError::corrupt(path.as_path(), format!("truncated: {found} of {stated} bytes")));
    }
    Ok(())
}

/// Names the fault behind an error of the engine, met at `place`.
pub(crate) fn of_sql(place: Place, error: sqlx::Error) -> StorageError {
    let detail = error.to_string();
    let code = match &error {
        sqlx::Error::Database(error) => error.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => return StorageError::Corrupt { place, detail },
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
