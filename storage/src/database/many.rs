//! Many rows in one statement.

use std::sync::OnceLock;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use super::conn::Conn;
use super::query::{Query, Row};
use crate::database::in_table;
use crate::fault::StorageError;
use crate::limits::ROWS_PER_STATEMENT;

/// How many rows the texts of one statement take: few enough that each stays prepared.
const WIDTHS: [usize; 6] = [ROWS_PER_STATEMENT, 64, 16, 4, 2, 1];

/// A statement `head (..), (..), .. tail`, run for any number of rows in the widest texts that fit.
pub(crate) struct ManyRows {
    table: &'static str,
    columns: usize,
    texts: [Texts; WIDTHS.len()],
}

/// The text for so many rows, as each engine marks values.
pub(super) struct Texts {
    head: &'static str,
    tail: &'static str,
    columns: usize,
    rows: usize,
    sqlite: OnceLock<SqlStr>,
    postgres: OnceLock<SqlStr>,
}

impl ManyRows {
    pub(crate) const fn new(table: &'static str, head: &'static str, columns: usize, tail: &'static str) -> Self {
        const fn texts(head: &'static str, tail: &'static str, columns: usize, rows: usize) -> Texts {
            Texts { head, tail, columns, rows, sqlite: OnceLock::new(), postgres: OnceLock::new() }
        }
        let [a, b, c, d, e, f] = WIDTHS;
        let texts = [
            texts(head, tail, columns, a),
            texts(head, tail, columns, b),
            texts(head, tail, columns, c),
            texts(head, tail, columns, d),
            texts(head, tail, columns, e),
            texts(head, tail, columns, f),
        ];
        Self { table, columns, texts }
    }

    /// Runs the statement for `rows`; `bind` appends the values of one row in the order of the columns. Returns how many rows
    /// the database says it touched.
    pub(crate) async fn run<R>(
        &'static self,
        conn: &mut Conn,
        rows: &[R],
        bind: impl for<'q> Fn(Query<'q>, &'q R) -> Query<'q>,
    ) -> Result<u64, StorageError> {
        let mut touched = 0;
        for (texts, rows) in self.in_widths(rows) {
            let query = rows.iter().fold(Query::many(texts, rows.len() * self.columns), &bind);
            touched += query.execute(&mut *conn).await.map_err(in_table(self.table))?.rows_affected();
        }
        Ok(touched)
    }

    /// As [`ManyRows::run`], of a question; returns what all of them are answered.
    pub(crate) async fn ask<R>(
        &'static self,
        conn: &mut Conn,
        rows: &[R],
        bind: impl for<'q> Fn(Query<'q>, &'q R) -> Query<'q>,
    ) -> Result<Vec<Row>, StorageError> {
        let mut answers = Vec::new();
        for (texts, rows) in self.in_widths(rows) {
            let query = rows.iter().fold(Query::many(texts, rows.len() * self.columns), &bind);
            answers.append(&mut query.fetch_all(&mut *conn).await.map_err(in_table(self.table))?);
        }
        Ok(answers)
    }

    /// Divides rows among the widest texts that fit.
    fn in_widths<'r, R>(&'static self, rows: &'r [R]) -> Vec<(&'static Texts, &'r [R])> {
        let (mut rest, mut parts) = (rows, Vec::new());
        for texts in &self.texts {
            while rest.len() >= texts.rows {
                let (now, later) = rest.split_at(texts.rows);
                parts.push((texts, now));
                rest = later;
            }
        }
        parts
    }
}

impl Texts {
    /// The marks are bare `?`: SQLite looks numbered ones up by a linear search, which at 256 rows costs more than the insert.
    pub(super) fn sqlite(&self) -> SqlStr {
        self.sqlite.get_or_init(|| self.text(|_| "?".to_owned())).clone()
    }

    pub(super) fn postgres(&self) -> SqlStr {
        self.postgres.get_or_init(|| self.text(|number| format!("${number}"))).clone()
    }

    fn text(&self, mark: impl Fn(usize) -> String) -> SqlStr {
        let row = |row: usize| {
            let marks: Vec<String> = (1..=self.columns).map(|column| mark(row * self.columns + column)).collect();
            format!("({})", marks.join(", "))
        };
        let rows: Vec<String> = (0..self.rows).map(row).collect();
        // Safe: made of constants and marks alone.
        AssertSqlSafe(format!("{} {} {}", self.head, rows.join(", "), self.tail)).into_sql_str()
    }
}
