//! SQLite: how a file is opened, brought up to date and looked over.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};

use super::{Schema, of_sql};
use crate::fault::{Place, StorageError};
use crate::limits;

/// Returns whether the connection counts a transaction that nobody can end.
pub(super) async fn is_stuck(conn: &mut SqliteConnection) -> bool {
    if conn.is_in_transaction() {
        // Behind the rollback of what was dropped, which is on its way.
        let _ = sqlx::raw_sql("SELECT 1").execute(&mut *conn).await;
    }
    conn.is_in_transaction()
}

pub(super) fn options(path: &Path, cache_kib: u32) -> SqliteConnectOptions {
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

pub(super) async fn check_version(writer: &mut SqliteConnection) -> Result<(), StorageError> {
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
pub(super) async fn migrate(writer: &mut SqliteConnection, schema: &Schema, create: bool) -> Result<(), StorageError> {
    let Schema { application_id, migrations } = *schema;
    let in_database = |error| of_sql(Place::Database, error);
    let wrong = |detail: String| Err(StorageError::WrongSchema { detail });
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await.map_err(in_database)?;
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
pub(super) fn check_length(path: &PathBuf) -> Result<(), StorageError> {
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
