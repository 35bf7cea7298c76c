//! A connection of either engine, and transactions on it.

use core::ops::{Deref, DerefMut};

use sqlx::{Connection as _, SqlSafeStr, SqlStr, SqliteConnection};
use sqlx_core::transaction::TransactionManager as _;

use super::of_sql;
use super::postgres::Remote;
use crate::fault::{Place, StorageError};

/// A connection: what functions of tables are given.
pub(crate) enum Conn {
    /// To a file.
    Sqlite(SqliteConnection),
    /// To a server.
    Postgres(Box<Remote>),
}

/// An open transaction. Dropping it takes back what was written in it.
pub(crate) struct Tx<'c> {
    conn: &'c mut Conn,
    open: bool,
}

impl Conn {
    /// Runs a text without values, outside the books that transactions keep.
    pub(crate) async fn run(&mut self, text: &'static str) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(conn) => sqlx::raw_sql(text).execute(conn).await.map(drop),
            Self::Postgres(remote) => remote.run(async |conn| sqlx::raw_sql(text).execute(conn).await).await.map(drop),
        }
    }

    /// Opens a transaction that others join ([`super::shared`]); how it may write is what differs between the engines.
    pub(super) async fn open(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(_) => self.run("BEGIN IMMEDIATE").await,
            Self::Postgres(remote) => remote.open().await,
        }
    }

    /// Ends what [`Conn::open`] opened.
    pub(super) async fn end(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(_) => self.run("COMMIT").await,
            Self::Postgres(remote) => remote.end().await,
        }
    }

    /// Takes back what [`Conn::open`] opened.
    pub(super) async fn give_up(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(_) => self.run("ROLLBACK").await,
            Self::Postgres(remote) => {
                remote.take_back();
                Ok(())
            }
        }
    }

    /// Takes back what was written since `SAVEPOINT one`, and forgets the savepoint.
    pub(super) async fn undo(&mut self) -> Result<(), sqlx::Error> {
        let undone = self.run("ROLLBACK TO one; RELEASE one").await;
        if let (Self::Postgres(remote), Ok(())) = (self, &undone) {
            remote.mended();
        }
        undone
    }

    /// Returns whether the rollback of a transaction is on its way that a reader left, and has to be seen to.
    pub(super) fn is_unsettled(&self) -> bool {
        matches!(self, Self::Postgres(remote) if remote.is_unsettled())
    }

    /// Sees to it.
    pub(super) async fn settle(&mut self) {
        if let Self::Postgres(remote) = self {
            remote.settle().await;
        }
    }

    /// Ends the connection in order.
    pub(super) async fn close(self) -> Result<(), StorageError> {
        let closed = match self {
            Self::Sqlite(conn) => conn.close().await,
            Self::Postgres(remote) => remote.close().await,
        };
        closed.map_err(|error| of_sql(Place::Database, error))
    }
}

impl<'c> Tx<'c> {
    /// Opens a transaction that writes: the only one that does, until it ends.
    pub(super) async fn writing(conn: &'c mut Conn) -> Result<Self, StorageError> {
        let tx = Self { conn, open: true };
        let begun = match &mut *tx.conn {
            Conn::Sqlite(conn) => begin_on::<sqlx::Sqlite>(conn, "BEGIN IMMEDIATE".into_sql_str()).await,
            Conn::Postgres(remote) => remote.open().await,
        };
        begun.map_err(|error| of_sql(Place::Database, error)).map(|()| tx)
    }

    /// Opens a transaction that reads: everything in it is one commit's.
    pub(super) async fn reading(conn: &'c mut Conn) -> Result<Self, StorageError> {
        let tx = Self { conn, open: true };
        let begun = match &mut *tx.conn {
            Conn::Sqlite(conn) => begin_on::<sqlx::Sqlite>(conn, "BEGIN".into_sql_str()).await,
            Conn::Postgres(remote) => remote.open_reading().await,
        };
        begun.map_err(|error| of_sql(Place::Database, error)).map(|()| tx)
    }

    /// Makes durable what was written. An error leaves unknown whether it is.
    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        let committed = match &mut *self.conn {
            Conn::Sqlite(conn) => commit_on::<sqlx::Sqlite>(conn).await,
            Conn::Postgres(remote) => remote.end().await,
        };
        if committed.is_ok() {
            self.open = false;
        }
        committed
    }
}

impl Drop for Tx<'_> {
    fn drop(&mut self) {
        if self.open {
            match &mut *self.conn {
                Conn::Sqlite(conn) => take_back_on::<sqlx::Sqlite>(conn),
                Conn::Postgres(remote) => remote.take_back(),
            }
        }
    }
}

impl Deref for Tx<'_> {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        self.conn
    }
}

impl DerefMut for Tx<'_> {
    fn deref_mut(&mut self) -> &mut Conn {
        self.conn
    }
}

pub(super) async fn begin_on<D: sqlx::Database>(conn: &mut D::Connection, text: SqlStr) -> Result<(), sqlx::Error> {
    D::TransactionManager::begin(conn, Some(text)).await
}

pub(super) async fn commit_on<D: sqlx::Database>(conn: &mut D::Connection) -> Result<(), sqlx::Error> {
    D::TransactionManager::commit(conn).await
}

/// Has the next statement of the connection, or its end, roll back.
pub(super) fn take_back_on<D: sqlx::Database>(conn: &mut D::Connection) {
    D::TransactionManager::start_rollback(conn);
}
