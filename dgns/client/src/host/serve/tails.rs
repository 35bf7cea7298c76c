//! Logs that are read as they grow, of one connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lobby::limits::PIECE_BYTES_MAX;
use lobby::share::Said;
use peer::{Channel, Link};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::files::pieces;
use super::{Host, NotServed, blocking};

/// Reads of one connection.
const TAILS_MAX: usize = 8;

/// Between two looks at a file that is read; what clients write is seen at once.
const TAIL_LOOK: Duration = Duration::from_millis(200);

/// The reads of a connection, by their requests.
#[derive(Default)]
pub(super) struct Tails {
    tasks: JoinSet<()>,
    running: HashMap<u64, (u64, AbortHandle)>,
}

impl Tails {
    /// Begins one under a handle; of more than eight the one with the smallest number ends.
    pub(super) fn start(&mut self, id: u64, handle: u64, tail: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.running.retain(|_, (_, task)| !task.is_finished());
        if self.running.len() >= TAILS_MAX
            && let Some(oldest) = self.running.keys().min().copied()
        {
            self.stop(oldest);
        }
        self.stop(id);
        let task = self.tasks.spawn(tail);
        self.running.insert(id, (handle, task));
    }

    /// Ends one.
    pub(super) fn stop(&mut self, id: u64) {
        if let Some((_, task)) = self.running.remove(&id) {
            task.abort();
        }
    }

    /// Ends those under a handle.
    pub(super) fn stop_of(&mut self, handle: u64) {
        self.running.retain(|_, (of, task)| {
            let stays = *of != handle;
            if !stays {
                task.abort();
            }
            stays
        });
    }
}

/// Sends what a log holds from a place on, and goes on as it grows; says why if that ends.
pub(super) async fn tail(host: Arc<Host>, link: Arc<Link>, id: u64, path: String, from: u64) {
    if let Err(not) = follow(&host, &link, id, &path, from).await {
        let said = Said::Err { id, code: not.code().to_owned() };
        let _ = link.send(Channel::Control, &said.encode()).await;
    }
}

async fn follow(host: &Arc<Host>, link: &Link, id: u64, path: &str, from: u64) -> Result<(), NotServed> {
    let mut offset = from;
    loop {
        let grown = host.grown.notified();
        tokio::pin!(grown);
        // What grows from now on is not missed.
        grown.as_mut().enable();
        let (reader, name) = (host.clone(), path.to_owned());
        let read = move || reader.served.read(&name, offset, 4 * PIECE_BYTES_MAX);
        let bytes = blocking(read, NotServed::Failed).await?;
        if bytes.is_empty() {
            let _ = timeout(TAIL_LOOK, grown).await;
            continue;
        }
        if pieces(link, id, offset, &bytes, false).await.is_err() {
            return Ok(());
        }
        offset += bytes.len() as u64;
    }
}
