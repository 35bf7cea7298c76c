//! The copier: moves the write-ahead log back into the database beside the writer.
//!
//! Left alone, the commit that finds the log too long copies all of it, and whoever waits for that commit waits for it. The
//! copier works in small steps on its own connection; a crash in between loses nothing, the log is still there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::{Connection, SqliteConnection};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::limits;

pub(crate) struct Copier {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    rows: AtomicUsize,
    wake: Notify,
}

impl Copier {
    pub(crate) fn start(connection: SqliteConnection) -> Self {
        let shared = Arc::new(Shared { rows: AtomicUsize::new(0), wake: Notify::new() });
        let task = tokio::spawn(copy_when_woken(connection, Arc::clone(&shared)));
        Self { shared, task }
    }

    /// Wakes the copier once enough rows have been written. At scale each row of a batch dirties about one page.
    pub(crate) fn wrote(&self, rows: usize) {
        if self.shared.rows.fetch_add(rows, Ordering::Relaxed) + rows >= limits::WAL_ROWS_BEFORE_COPY {
            self.shared.rows.store(0, Ordering::Relaxed);
            self.shared.wake.notify_one();
        }
    }

    pub(crate) async fn stop(mut self) {
        self.task.abort();
        // The only outcome is that it was cancelled.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn copy_when_woken(mut connection: SqliteConnection, shared: Arc<Shared>) {
    loop {
        shared.wake.notified().await;
        // PASSIVE waits for nobody: what readers still need stays, and the next round takes it.
        if let Err(error) = sqlx::raw_sql("PRAGMA wal_checkpoint(PASSIVE)").execute(&mut connection).await {
            tracing::warn!(%error, "the write-ahead log could not be copied back; the next commits will try");
            break;
        }
    }
    // Closing cannot fail in a way that matters: this connection wrote nothing of its own.
    let _ = connection.close().await;
}
