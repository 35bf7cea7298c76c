//! What other nodes append: where several servers share one database, each looks how far the logs got that somebody here waits for.

use std::sync::Weak;
use std::time::Duration;

use dgns_api::store::entry::LogId;

use super::Inner;
use crate::limits::OTHERS_EVERY_MS;
use crate::table::store as tables;

/// Looks, until the store is closed. What a look misses the next one sees.
pub(super) async fn follow(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(Duration::from_millis(OTHERS_EVERY_MS)).await;
        let Some(inner) = inner.upgrade() else { return };
        for log in inner.waited_for() {
            match tables::dblog::by_key(&mut *inner.database.reader().await, &log).await {
                Ok(Some(row)) => inner.mark(&log, row.edge.size()),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "how far logs got is unknown for now");
                    break;
                }
            }
        }
    }
}

impl Inner {
    fn waited_for(&self) -> Vec<LogId> {
        let watched = self.watched.lock().expect("no holder panics");
        watched.iter().filter(|(_, sender)| sender.receiver_count() > 0).map(|(log, _)| *log).collect()
    }
}
