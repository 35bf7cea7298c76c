//! The connection that writes: after what went wrong under it, and shared by many.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::shared::Write;
use super::{Database, Schema, begin, query};
use crate::fault::StorageError;

#[tokio::test]
async fn chunks_from_before_are_files_that_stay() {
    // Goal: what accounts had paid for they have still, named, so that nothing takes it away. Method: rows under the schema before.
    let dir = tempfile::tempdir().unwrap();
    let Schema { application_id, migrations } = Schema::STORE;
    let before = migrations.iter().position(|text| text.contains("DROP TABLE chunk_hold")).unwrap();
    let old = Schema { application_id, migrations: &migrations[..before] };
    let database = Database::open(dir.path(), "store", &old, true).await.unwrap();
    let mut writer = database.writer().await;
    let mut tx = begin(&mut writer).await.unwrap();
    for row in [
        "INSERT INTO chunk (id, size, since_ms, body) VALUES (x'01', 10, 7, x'00'), (x'02', 20, 8, NULL)",
        "INSERT INTO chunk_hold (account, chunk) VALUES (1, x'01'), (2, x'01'), (2, x'02')",
    ] {
        query(row).execute(&mut tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    drop(writer);
    database.close().await.unwrap();

    let database = Database::open(dir.path(), "store", &Schema::STORE, true).await.unwrap();
    let rows = "SELECT account, db, size, refs, since_ms, marked_ms FROM chunk_use ORDER BY account, chunk";
    let rows = query(rows).fetch_all(&mut *database.reader().await).await.unwrap();
    let cells = |row| (0..6).map(|cell| super::query::Row::number(row, cell).unwrap().unwrap()).collect::<Vec<_>>();
    let rows: Vec<Vec<i64>> = rows.iter().map(cells).collect();
    assert_eq!(rows, [[1, 0, 10, 1, 7, 0], [2, 0, 10, 1, 7, 0], [2, 0, 20, 1, 8, 0]]);
    database.close().await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_sqlite_ended_by_itself_stops_no_later_one() {
    // Goal: after a full disk the next commit succeeds. Method: the transaction is ended below the one that counts it, as SQLite does
    // when it finds no space at a commit; then another begins, commits, and is read.
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path(), "names", &Schema::NAMES, true).await.unwrap();
    for round in 0..2 {
        let mut writer = database.writer().await;
        let mut tx = begin(&mut writer).await.unwrap();
        tx.run("CREATE TABLE lost (id INTEGER)").await.unwrap();
        tx.run("ROLLBACK").await.unwrap();
        if round == 0 {
            tx.commit().await.unwrap_err();
        } else {
            drop(tx);
        }
        drop(writer);

        let mut writer = database.writer().await;
        let mut tx = begin(&mut writer).await.unwrap();
        let made = ["CREATE TABLE kept0 (id INTEGER)", "CREATE TABLE kept1 (id INTEGER)"][round];
        query(made).execute(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        drop(writer);
        let found = "SELECT name FROM sqlite_schema WHERE name IN ('lost', 'kept0', 'kept1')";
        let rows = query(found).fetch_all(&mut *database.reader().await).await.unwrap();
        assert_eq!(rows.len(), round + 1);
    }
    database.close().await.unwrap();
}

async fn numbers(dir: &std::path::Path) -> Database {
    let database = Database::open(dir, "people", &Schema::PEOPLE, true).await.unwrap();
    let mut writer = database.writer().await;
    writer.run("CREATE TABLE numbers (number INTEGER PRIMARY KEY)").await.unwrap();
    drop(writer);
    database
}

async fn add(tx: &mut Write<'_>, number: i64) {
    query("INSERT INTO numbers VALUES ($1)").bind(number).execute(tx).await.unwrap();
}

async fn put(database: &Database, number: i64) -> Result<(), StorageError> {
    let mut tx = database.write().await?;
    add(&mut tx, number).await;
    tx.commit(1).await
}

async fn found(database: &Database) -> Vec<i64> {
    let rows =
        query("SELECT number FROM numbers ORDER BY number").fetch_all(&mut *database.reader().await).await.unwrap();
    rows.iter().map(|row| row.number(0).unwrap().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_share_a_commit_and_one_that_is_dropped_takes_back_its_own_alone() {
    let dir = tempfile::tempdir().unwrap();
    let database = Arc::new(numbers(dir.path()).await);
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..200 {
        let database = Arc::clone(&database);
        callers.spawn(async move {
            if number % 3 == 0 {
                let mut tx = database.write().await.unwrap();
                add(&mut tx, number).await;
            } else {
                put(&database, number).await.unwrap();
                assert!(found(&database).await.contains(&number), "what was acknowledged is read");
            }
        });
    }
    callers.join_all().await;
    assert_eq!(found(&database).await, (0..200).filter(|number| number % 3 != 0).collect::<Vec<_>>());
}

#[tokio::test]
async fn nobody_reads_what_is_not_committed_and_who_comes_later_does_not_hold_it_up() {
    let dir = tempfile::tempdir().unwrap();
    let database = numbers(dir.path()).await;
    let mut tx = database.write().await.unwrap();
    add(&mut tx, 1).await;
    assert!(found(&database).await.is_empty());
    tx.commit(1).await.unwrap();
    assert_eq!(found(&database).await, [1]);
}

#[tokio::test]
async fn a_caller_may_go_away_at_any_step_and_stops_nobody() {
    // Method: a write is polled n times and dropped, for every n up to more than it takes; another follows each time, and all that
    // were acknowledged are there. How many it takes is the writer's haste.
    let dir = tempfile::tempdir().unwrap();
    let database = numbers(dir.path()).await;
    let (mut kept, mut is_left_halfway) = (Vec::new(), false);
    for polls in 0..12 {
        let number = 2 * i64::from(polls);
        let ended = {
            let (mut left, mut count) = (pin!(put(&database, number)), 0);
            poll_fn(|context| {
                let polled = if count < polls { left.as_mut().poll(context) } else { Poll::Pending };
                count += 1;
                match polled {
                    Poll::Ready(_) => Poll::Ready(true),
                    Poll::Pending if count >= polls => Poll::Ready(false),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await
        };
        put(&database, number + 1).await.unwrap();
        kept.push(number + 1);
        let found = found(&database).await;
        assert!(kept.iter().all(|number| found.contains(number)), "{polls} polls");
        assert!(!ended || found.contains(&number));
        is_left_halfway |= polls > 0 && !ended;
    }
    assert!(is_left_halfway, "it had steps");
}

#[tokio::test]
async fn all_are_told_when_sqlite_ends_the_transaction_they_share() {
    // Goal: nobody whose rows are gone is told that they are durable. Method: one has kept its rows and waits; in the savepoint of the
    // next the whole transaction is ended from below, as a full disk does; a third goes on in what SQLite began anew.
    let dir = tempfile::tempdir().unwrap();
    let database = numbers(dir.path()).await;
    let first = async {
        let mut tx = database.write().await.unwrap();
        add(&mut tx, 1).await;
        tx.commit(1).await
    };
    let second = async {
        let tx = database.write().await;
        let mut tx = tx.unwrap();
        tx.run("ROLLBACK").await.unwrap();
        drop(tx);
        Ok::<(), StorageError>(())
    };
    let third = async {
        let mut tx = database.write().await.unwrap();
        add(&mut tx, 3).await;
        tx.commit(1).await
    };
    let (first, _, third) = tokio::join!(first, second, third);
    first.unwrap_err();
    third.unwrap_err();
    put(&database, 4).await.unwrap();
    let found = found(&database).await;
    assert!(!found.contains(&1), "{found:?}");
    assert!(found.contains(&4), "{found:?}");
}
