//! Transactions of many callers in one commit.
//!
//! Each is a savepoint in a transaction that stands open for whoever waits. The one that opens it also sets its end, and the end
//! waits for the connection in the same queue: all who waited before it are in, one sync of the disk serves them, and no timer is
//! needed. What one takes back touches no other; what none has committed no reader sees, readers have connections of their own.
//!
//! SQLite may end the whole transaction by itself, as on a full disk. A savepoint after that stands alone and ends alone, the
//! commit finds nothing to end, and everybody in it is told so. A caller may go away in the middle: the next one takes back what
//! it left.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard, watch};

use super::conn::Conn;
use super::copier::Copied;
use super::of_sql;
use crate::fault::{Place, StorageError};

const JOIN: &str = "SAVEPOINT one";
const KEEP: &str = "RELEASE one";

/// How a shared transaction ended; nothing while it stands open.
type Outcome = Option<Result<(), StorageError>>;

/// The connection that writes, and the shared transaction that stands open on it.
pub(crate) struct Writer {
    connection: Conn,
    open: Option<Open>,
}

struct Open {
    /// Whether it is certain that the connection has begun it.
    begun: bool,
    /// Whether somebody's savepoint may stand in it who is not there any more.
    abandoned: bool,
    /// About so many rows were written in it.
    rows: usize,
    outcome: watch::Sender<Outcome>,
}

impl Writer {
    pub(crate) fn new(connection: Conn) -> Self {
        Self { connection, open: None }
    }

    pub(crate) fn into_connection(self) -> Conn {
        self.connection
    }

    /// Ends the shared transaction, if one stands open, and tells everybody in it how; returns about how many rows it wrote.
    pub(crate) async fn settle(&mut self) -> usize {
        let Some(open) = &self.open else { return 0 };
        let (begun, abandoned) = (open.begun, open.abandoned);
        if abandoned {
            self.undo().await;
        }
        let ended = if begun { self.connection.end().await.map_err(in_database) } else { Ok(()) };
        if ended.is_err() || !begun {
            // Fails where SQLite has ended it by itself.
            let _ = self.connection.give_up().await;
        }
        let Some(open) = self.open.take() else { return 0 };
        open.outcome.send_replace(Some(ended));
        open.rows
    }

    /// Takes back what somebody left who went away. It fails where nothing was left; to SQLite that is nothing, PostgreSQL then
    /// takes back the whole transaction, and everybody in it is told.
    async fn undo(&mut self) {
        let _ = self.connection.undo().await;
        self.abandoned(false);
    }

    fn abandoned(&mut self, abandoned: bool) {
        if let Some(open) = &mut self.open {
            open.abandoned = abandoned;
        }
    }

    async fn run(&mut self, text: &'static str) -> Result<(), StorageError> {
        self.connection.run(text).await.map_err(in_database)
    }
}

impl Deref for Writer {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.connection
    }
}

impl DerefMut for Writer {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.connection
    }
}

/// One caller's part of a shared transaction. Dropping it takes back what was written in it.
///
/// It sees what others wrote before it and have not made durable yet. Who answers "that is done already" commits too, if nothing
/// of its own; a refusal need not.
pub(crate) struct Write<'a> {
    writer: MutexGuard<'a, Writer>,
    outcome: watch::Receiver<Outcome>,
}

impl<'a> Write<'a> {
    /// Waits for the connection, and joins the transaction that stands open, or opens one and sets its end.
    pub(crate) async fn begin(shared: &'a Arc<Mutex<Writer>>, copied: Option<&Copied>) -> Result<Self, StorageError> {
        let mut writer = shared.lock().await;
        if writer.open.as_ref().is_some_and(|open| !open.begun) {
            writer.settle().await; // whoever began it went away meanwhile
        }
        if writer.open.is_none() {
            let outcome = watch::Sender::new(None);
            writer.open = Some(Open { begun: false, abandoned: false, rows: 0, outcome });
            if let Err(error) = writer.connection.open().await {
                writer.settle().await;
                return Err(in_database(error));
            }
            if let Some(open) = &mut writer.open {
                open.begun = true;
            }
            tokio::spawn(end(Arc::clone(shared), copied.cloned()));
        }
        if writer.open.as_ref().is_some_and(|open| open.abandoned) {
            writer.undo().await;
        }
        writer.abandoned(true);
        writer.run(JOIN).await?;
        let outcome = writer.open.as_ref().expect("it was opened above").outcome.subscribe();
        Ok(Self { writer, outcome })
    }

    /// Keeps what was written, about `rows` rows, and returns when it is durable, together with what others wrote.
    pub(crate) async fn commit(mut self, rows: usize) -> Result<(), StorageError> {
        self.writer.run(KEEP).await?;
        if let Some(open) = &mut self.writer.open {
            (open.abandoned, open.rows) = (false, open.rows + rows);
        }
        drop(self.writer);
        match self.outcome.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            _ => Err(StorageError::Io { place: Place::Database, detail: "closed before the commit".into() }),
        }
    }
}

impl Deref for Write<'_> {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.writer
    }
}

impl DerefMut for Write<'_> {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.writer
    }
}

/// Ends the shared transaction once everybody has had the connection who waited for it before.
async fn end(shared: Arc<Mutex<Writer>>, copied: Option<Copied>) {
    let rows = shared.lock().await.settle().await;
    if let Some(copied) = copied {
        copied.wrote(rows);
    }
}

fn in_database(error: sqlx::Error) -> StorageError {
    of_sql(Place::Database, error)
}
