//! The connection that writes, after what went wrong under it.

use super::{Database, Schema, begin};

#[tokio::test]
async fn a_transaction_that_sqlite_ended_by_itself_stops_no_later_one() {
    // Goal: after a full disk the next commit succeeds. Method: the transaction is ended below the one that counts it, as SQLite does
    // when it finds no space at a commit; then another begins, commits, and is read.
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path(), "names", &Schema::NAMES, true).await.unwrap();
    for round in 0..2 {
        let mut writer = database.writer().await;
        let mut tx = begin(&mut writer).await.unwrap();
        sqlx::raw_sql("CREATE TABLE lost (id INTEGER)").execute(&mut *tx).await.unwrap();
        sqlx::raw_sql("ROLLBACK").execute(&mut *tx).await.unwrap();
        if round == 0 {
            tx.commit().await.unwrap_err();
        } else {
            drop(tx);
        }
        drop(writer);

        let mut writer = database.writer().await;
        let mut tx = begin(&mut writer).await.unwrap();
        let made = format!("CREATE TABLE kept{round} (id INTEGER)");
        sqlx::raw_sql(sqlx::AssertSqlSafe(made)).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        drop(writer);
        let found = "SELECT name FROM sqlite_schema WHERE name IN ('lost', 'kept0', 'kept1')";
        let rows = sqlx::query(found).fetch_all(&mut *database.reader().await).await.unwrap();
        assert_eq!(rows.len(), round + 1);
    }
    database.close().await.unwrap();
}
