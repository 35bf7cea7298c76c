//! Many rows in one statement.

use std::sync::OnceLock;

use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr, Sqlite, SqliteConnection};

use crate::database::in_table;
use crate::fault::StorageError;
use crate::limits::ROWS_PER_STATEMENT;

/// A statement that waits for its values.
type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// How many rows the texts of one statement take: few enough that each stays prepared.
const WIDTHS: [usize; 6] = [ROWS_PER_STATEMENT, 64, 16, 4, 2, 1];

/// A statement `head (..), (..), .. tail`, run for any number of rows in the widest texts that fit.
///
/// The marks are bare `?`: SQLite looks numbered ones up by a linear search, which at 256 rows costs more than the insert.
pub(crate) struct ManyRows {
    table: &'static str,
    head: &'static str,
    columns: usize,
    tail: &'static str,
    texts: [OnceLock<SqlStr>; WIDTHS.len()],
}

impl ManyRows {
    pub(crate) const fn new(table: &'static str, head: &'static str, columns: usize, tail: &'static str) -> Self {
        Self { table, head, columns, tail, texts: [const { OnceLock::new() }; WIDTHS.len()] }
    }

    /// Runs the statement for `rows`; `bind` appends the values of one row in the order of the columns. Returns how many rows
    /// the database says it touched.
    pub(crate) async fn run<R>(
        &self,
        conn: &mut SqliteConnection,
        rows: &[R],
        bind: impl for<'q> Fn(Query<'q>, &'q R) -> Query<'q>,
    ) -> Result<u64, StorageError> {
        let (mut rest, mut touched) = (rows, 0);
        for (text, width) in self.texts.iter().zip(WIDTHS) {
            while rest.len() >= width {
                let (now, later) = rest.split_at(width);
                let text = text.get_or_init(|| self.text(width)).clone();
                let query = now.iter().fold(sqlx::query(text), &bind);
                touched += query.execute(&mut *conn).await.map_err(in_table(self.table))?.rows_affected();
                rest = later;
            }
        }
        Ok(touched)
    }

    fn text(&self, width: usize) -> SqlStr {
        let row = format!("({})", vec!["?"; self.columns].join(", "));
        let rows = vec![row.as_str(); width].join(", ");
        // Safe: made of constants and question marks alone.
        AssertSqlSafe(format!("{} {rows} {}", self.head, self.tail)).into_sql_str()
    }
}
