//! The copier: moves the write-ahead log back into the database beside the writer.
//!
//! Left alone, the commit that finds the log too long copies all of it, and whoever waits for that commit waits for it. The
//! copier works in small steps on its own connection. Under a load that never pauses the log cannot begin anew by itself:
//! once it is long, the copier holds the writer back for the last few pages. A crash in between loses nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sqlx::{Connection, Row, SqliteConnection};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;

use super::shared::Writer;
use crate::limits;

pub(crate) struct Copier {
    copied: Copied,
    task: JoinHandle<SqliteConnection>,
}

/// What the copier is told.
#[derive(Clone, Default)]
pub(crate) struct Copied(Arc<Told>);

#[derive(Default)]
struct Told {
    rows: AtomicUsize,
    stops: AtomicBool,
    wake: Notify,
}

impl Copied {
    /// Wakes the copier once enough rows have been written.
    pub(crate) fn wrote(&self, rows: usize) {
        if self.0.rows.fetch_add(rows, Ordering::Relaxed) + rows >= limits::ROWS_BEFORE_COPY {
            self.0.rows.store(0, Ordering::Relaxed);
            self.0.wake.notify_one();
        }
    }
}

impl Copier {
    pub(crate) fn start(connection: SqliteConnection, writer: Arc<Mutex<Writer>>) -> Self {
        let copied = Copied::default();
        let task = tokio::spawn(copy_when_woken(connection, writer, copied.clone()));
        Self { copied, task }
    }

    pub(crate) fn copied(&self) -> &Copied {
        &self.copied
    }

    /// Ends what it does, and closes its connection: one that is open still when the file is free for others would copy the log back into what they made of it.
    pub(crate) async fn stop(mut self) -> Result<(), sqlx::Error> {
        self.copied.0.stops.store(true, Ordering::Release);
        self.copied.0.wake.notify_one();
        match (&mut self.task).await {
            Ok(connection) => connection.close().await,
            Err(_) => Ok(()), // the runtime ended it, and dropped the connection
        }
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn copy_when_woken(
    mut copying: SqliteConnection,
    writer: Arc<Mutex<Writer>>,
    copied: Copied,
) -> SqliteConnection {
    loop {
        copied.0.wake.notified().await;
        if copied.0.stops.load(Ordering::Acquire) {
            return copying;
        }
        if let Err(error) = copy(&mut copying, &writer).await {
            tracing::warn!(%error, "the write-ahead log could not be copied back; it grows until it can");
        }
    }
}

async fn copy(copying: &mut SqliteConnection, writer: &Mutex<Writer>) -> Result<(), sqlx::Error> {
    // PASSIVE waits for nobody: what readers still need stays, and the next round takes it.
    let row = sqlx::raw_sql("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(&mut *copying).await?;
    if row.try_get::<i64, _>(1)? < i64::from(limits::WAL_PAGES_MAX) {
        return Ok(());
    }
    // RESTART waits for readers of older commits, which end in milliseconds; the next commit writes the log from its start.
    let mut writer = writer.lock().await;
    writer.settle().await;
    sqlx::raw_sql("PRAGMA wal_checkpoint(RESTART)").execute(copying).await?;
    Ok(())
}
