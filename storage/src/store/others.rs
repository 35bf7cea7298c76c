//! What other nodes append: where several servers share one database, each looks how far the logs got that somebody here waits for.

use std::sync::Weak;
use std::time::Duration;

use dgns_api::store::entry::LogId;

use super::Inner;
use crate::fault::StorageError;
use crate::limits::OTHERS_EVERY_MS;
use crate::table::store as tables;

/// Looks, until the store is closed. What a look misses the next one sees.
pub(super) async fn follow(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(Duration::from_millis(OTHERS_EVERY_MS)).await;
        let Some(inner) = inner.upgrade() else { return };
        match sizes(&inner).await {
            Ok(sizes) => sizes.iter().for_each(|(log, size)| inner.watches.mark(log, *size)),
            Err(error) => tracing::warn!(%error, "how far logs got is unknown for now"),
        }
    }
}

async fn sizes(inner: &Inner) -> Result<Vec<(LogId, u64)>, StorageError> {
    match inner.watches.waited_for() {
        logs if logs.is_empty() => Ok(Vec::new()),
        logs => tables::dblog::sizes(&mut *inner.database.reader().await, &logs).await,
    }
}
