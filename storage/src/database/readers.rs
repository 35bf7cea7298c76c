//! The connections that read, lent out one at a time.

use core::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::conn::Conn;
use crate::fault::StorageError;

/// The pool. `sqlx`'s own asks a connection how it is before and after each loan; here that would cost more than a read.
pub(crate) struct Readers {
    free: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Conn>>>,
}

/// A lent connection; dropped, it goes back.
pub(crate) struct Reader<'a> {
    readers: &'a Readers,
    lent: Option<(Conn, OwnedSemaphorePermit)>,
}

impl Readers {
    pub(crate) fn of(idle: Vec<Conn>) -> Self {
        Self { free: Arc::new(Semaphore::new(idle.len())), idle: Arc::new(Mutex::new(idle)) }
    }

    pub(crate) async fn take(&self) -> Reader<'_> {
        let permit = self.free.clone().acquire_owned().await.expect("the semaphore is never closed");
        let connection = self.idle.lock().expect("no holder panics").pop();
        Reader { readers: self, lent: connection.map(|connection| (connection, permit)) }
    }

    pub(crate) async fn close(self) -> Result<(), StorageError> {
        let idle = std::mem::take(&mut *self.idle.lock().expect("no holder panics"));
        for connection in idle {
            connection.close().await?;
        }
        Ok(())
    }
}

impl Deref for Reader<'_> {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.lent.as_ref().expect("as many connections as permits; gone only in drop").0
    }
}

impl DerefMut for Reader<'_> {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.lent.as_mut().expect("as many connections as permits; gone only in drop").0
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let Some((mut connection, permit)) = self.lent.take() else { return };
        let idle = Arc::clone(&self.readers.idle);
        let give_back = move |connection| {
            if let Ok(mut idle) = idle.lock() {
                idle.push(connection);
            }
            drop(permit);
        };
        if connection.is_unsettled() {
            // Nobody borrows it until what was read from it is let go of.
            tokio::spawn(async move {
                connection.settle().await;
                give_back(connection);
            });
        } else {
            give_back(connection);
        }
    }
}
