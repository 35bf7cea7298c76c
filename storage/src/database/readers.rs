//! The connections that read, lent out one at a time.

use core::ops::{Deref, DerefMut};
use std::sync::Mutex;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::database::of_sql;
use crate::fault::{Place, StorageError};

/// The pool. `sqlx`'s own asks a connection how it is before and after each loan; here that would cost more than a read.
pub(crate) struct Readers {
    free: Semaphore,
    idle: Mutex<Vec<SqliteConnection>>,
}

/// A lent connection; dropped, it goes back.
pub(crate) struct Reader<'a> {
    readers: &'a Readers,
    connection: Option<SqliteConnection>,
    _permit: SemaphorePermit<'a>,
}

impl Readers {
    pub(crate) async fn open(options: &SqliteConnectOptions, count: usize) -> Result<Self, StorageError> {
        let mut idle = Vec::with_capacity(count);
        for _ in 0..count {
            idle.push(options.connect().await.map_err(|error| of_sql(Place::Database, error))?);
        }
        Ok(Self { free: Semaphore::new(count), idle: Mutex::new(idle) })
    }

    pub(crate) async fn take(&self) -> Reader<'_> {
        let permit = self.free.acquire().await.expect("the semaphore is never closed");
        let connection = self.idle.lock().expect("no holder panics").pop();
        Reader { readers: self, connection, _permit: permit }
    }

    pub(crate) async fn close(self) -> Result<(), StorageError> {
        for connection in self.idle.into_inner().expect("no holder panics") {
            connection.close().await.map_err(|error| of_sql(Place::Database, error))?;
        }
        Ok(())
    }
}

impl Deref for Reader<'_> {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        self.connection.as_ref().expect("as many connections as permits; gone only in drop")
    }
}

impl DerefMut for Reader<'_> {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.connection.as_mut().expect("as many connections as permits; gone only in drop")
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        // Before the permit goes back: fields drop after this.
        if let (Some(connection), Ok(mut idle)) = (self.connection.take(), self.readers.idle.lock()) {
            idle.push(connection);
        }
    }
}
