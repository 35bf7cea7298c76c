//! Statements: one text with `$1`, `$2`, .. and its values, run on whichever engine the connection is of.
//!
//! The text says what both engines understand, and the values are numbers of 64 bits, bytes and text. `BIGINT` and `BYTEA` are words of
//! migrations alone ([`super::Schema`]).

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, Row as _, SqlSafeStr, SqlStr};

use super::conn::Conn;
use super::many::Texts;
use super::postgres::Remote;

/// A statement that waits for its values.
pub(crate) struct Query<'q> {
    text: Text,
    values: Vec<Value<'q>>,
}

enum Text {
    One(SqlStr),
    /// As many rows as a statement of [`super::ManyRows`] takes; the two engines mark values differently.
    Many(&'static Texts),
}

/// A value of a statement.
#[derive(Debug)]
pub(crate) enum Value<'q> {
    Number(Option<i64>),
    Bytes(Option<&'q [u8]>),
    Made(Vec<u8>),
    Text(Option<&'q str>),
}

/// A row of either engine.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What a statement did.
pub(crate) struct Done {
    rows: u64,
}

impl Done {
    /// Returns how many rows it touched.
    pub(crate) fn rows_affected(&self) -> u64 {
        self.rows
    }
}

/// Begins a statement. The text is one for both engines.
pub(crate) fn query<'q>(text: &'static str) -> Query<'q> {
    Query { text: Text::One(text.into_sql_str()), values: Vec::new() }
}

impl<'q> Query<'q> {
    pub(super) fn many(texts: &'static Texts, values: usize) -> Self {
        Self { text: Text::Many(texts), values: Vec::with_capacity(values) }
    }

    /// Gives the next value.
    pub(crate) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.values.push(value.into());
        self
    }

    pub(crate) async fn execute(self, conn: &mut Conn) -> Result<Done, sqlx::Error> {
        let rows = match conn {
            Conn::Sqlite(conn) => self.for_sqlite()?.execute(conn).await?.rows_affected(),
            Conn::Postgres(remote) => {
                let query = self.for_postgres()?;
                remote.run(async |conn| query.execute(conn).await).await?.rows_affected()
            }
        };
        Ok(Done { rows })
    }

    pub(crate) async fn fetch_all(self, conn: &mut Conn) -> Result<Vec<Row>, sqlx::Error> {
        match conn {
            Conn::Sqlite(conn) => {
                let rows = self.for_sqlite()?.fetch_all(conn).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Conn::Postgres(remote) => self.ask(remote).await,
        }
    }

    pub(crate) async fn fetch_optional(self, conn: &mut Conn) -> Result<Option<Row>, sqlx::Error> {
        match conn {
            Conn::Sqlite(conn) => Ok(self.for_sqlite()?.fetch_optional(conn).await?.map(Row::Sqlite)),
            Conn::Postgres(remote) => Ok(self.ask(remote).await?.into_iter().next()),
        }
    }

    /// Reads; once more if the connection turns out to be gone that lay idle.
    async fn ask(&self, remote: &mut Remote) -> Result<Vec<Row>, sqlx::Error> {
        let query = self.for_postgres()?;
        let rows = match remote.run(async |conn| query.fetch_all(conn).await).await {
            Err(error) if remote.again(&error) => {
                let query = self.for_postgres()?;
                remote.run(async |conn| query.fetch_all(conn).await).await
            }
            rows => rows,
        };
        Ok(rows?.into_iter().map(Row::Postgres).collect())
    }

    pub(crate) async fn fetch_one(self, conn: &mut Conn) -> Result<Row, sqlx::Error> {
        self.fetch_optional(conn).await?.ok_or(sqlx::Error::RowNotFound)
    }

    fn for_sqlite(&self) -> Result<sqlx::query::Query<'q, sqlx::Sqlite, SqliteArguments>, sqlx::Error> {
        let text = match &self.text {
            Text::One(text) => text.clone(),
            Text::Many(texts) => texts.sqlite(),
        };
        let mut arguments = SqliteArguments::default();
        for value in &self.values {
            let added = match value {
                Value::Number(number) => arguments.add(*number),
                Value::Bytes(bytes) => arguments.add(*bytes),
                Value::Made(bytes) => arguments.add(bytes.as_slice()),
                Value::Text(text) => arguments.add(*text),
            };
            added.map_err(sqlx::Error::Encode)?;
        }
        Ok(sqlx::query_with(text, arguments))
    }

    fn for_postgres(&self) -> Result<sqlx::query::Query<'q, sqlx::Postgres, PgArguments>, sqlx::Error> {
        let text = match &self.text {
            Text::One(text) => text.clone(),
            Text::Many(texts) => texts.postgres(),
        };
        let mut arguments = PgArguments::default();
        for value in &self.values {
            let added = match value {
                Value::Number(number) => arguments.add(*number),
                Value::Bytes(bytes) => arguments.add(*bytes),
                Value::Made(bytes) => arguments.add(bytes.as_slice()),
                Value::Text(text) => arguments.add(*text),
            };
            added.map_err(sqlx::Error::Encode)?;
        }
        Ok(sqlx::query_with(text, arguments))
    }
}

impl Row {
    /// Returns a number; PostgreSQL gives some functions fewer bits.
    pub(crate) fn number(&self, cell: usize) -> Result<Option<i64>, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(cell),
            Self::Postgres(row) => match row.try_get(cell) {
                Err(sqlx::Error::ColumnDecode { .. }) => Ok(row.try_get::<Option<i32>, _>(cell)?.map(i64::from)),
                number => number,
            },
        }
    }

    pub(crate) fn bytes(&self, cell: usize) -> Result<Option<&[u8]>, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(cell),
            Self::Postgres(row) => row.try_get(cell),
        }
    }

    pub(crate) fn text(&self, cell: usize) -> Result<Option<&str>, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(cell),
            Self::Postgres(row) => row.try_get(cell),
        }
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<&i64> for Value<'_> {
    fn from(number: &i64) -> Self {
        Self::Number(Some(*number))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

impl<'q> From<&'q [u8]> for Value<'q> {
    fn from(bytes: &'q [u8]) -> Self {
        Self::Bytes(Some(bytes))
    }
}

impl From<Vec<u8>> for Value<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Made(bytes)
    }
}

impl<'q> From<Option<&'q [u8]>> for Value<'q> {
    fn from(bytes: Option<&'q [u8]>) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'q> From<&'q str> for Value<'q> {
    fn from(text: &'q str) -> Self {
        Self::Text(Some(text))
    }
}

impl<'q> From<Option<&'q str>> for Value<'q> {
    fn from(text: Option<&'q str>) -> Self {
        Self::Text(text)
    }
}
