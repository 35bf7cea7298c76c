//! PostgreSQL: connections that come back by themselves, and a schema that several servers share.
//!
//! A transaction that writes takes one lock of the database first, so it is the only one that does, as in SQLite: whoever decides
//! inside it sees every commit before, on whichever node. Numbers, places and heads are given there, and nowhere by a sequence.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, PgConnection, Row as _, SqlSafeStr};

use super::conn::{begin_on, commit_on, take_back_on};
use super::{Schema, of_sql};
use crate::fault::{Place, StorageError};
use crate::limits;

/// A connection to a server, made when it is first used and again after it broke.
pub(crate) struct Remote {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    /// The lock of those who write.
    lock: i64,
    state: State,
    /// Whether a statement of the transaction failed: PostgreSQL then turns its commit into a rollback without a word.
    failed: bool,
}

/// The transaction of a connection, as far as its owner knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    None,
    /// None yet, or one that nobody asked anything.
    Beginning,
    Reading,
    Writing,
    /// A rollback waits for the next statement.
    TakenBack,
}

impl Remote {
    pub(super) fn new(options: &PgConnectOptions, schema: &Schema) -> Self {
        let (options, lock) = (options.clone(), schema.application_id);
        Self { options, connection: None, lock, state: State::None, failed: false }
    }

    /// Runs one statement, connecting if need be. A connection that broke or does not answer is dropped.
    pub(super) async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        self.run_within(Duration::from_secs(limits::STATEMENT_S_MAX), work).await
    }

    async fn run_within<T>(
        &mut self,
        timeout: Duration,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        if self.connection.is_none() && !matches!(self.state, State::Reading | State::Writing) {
            self.connection = Some(connect(&self.options).await?);
        }
        let Some(connection) = &mut self.connection else {
            return Err(lost("the connection broke amid a transaction"));
        };
        // Who goes away here leaves a statement of unknown outcome.
        let failed = std::mem::replace(&mut self.failed, true);
        let result = match tokio::time::timeout(timeout, work(connection)).await {
            Ok(result) => result,
            Err(_) => Err(lost("no answer in time")),
        };
        self.failed = failed || result.is_err();
        if result.as_ref().is_err_and(broke) {
            self.connection = None;
        }
        result
    }

    /// Returns whether a statement that failed so may be asked again: the server went away while the connection lay idle.
    pub(super) fn again(&self, error: &sqlx::Error) -> bool {
        !matches!(self.state, State::Reading | State::Writing) && broke(error)
    }

    /// Opens a transaction that writes, once it is the only one.
    pub(super) async fn open(&mut self) -> Result<(), sqlx::Error> {
        self.begin("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", State::Writing).await?;
        let lock = self.lock;
        let take = async |conn: &mut PgConnection| {
            sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(lock).execute(conn).await
        };
        self.run(take).await.map(drop)
    }

    /// Opens a transaction in which everything is read as of one moment.
    pub(super) async fn open_reading(&mut self) -> Result<(), sqlx::Error> {
        self.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", State::Reading).await
    }

    async fn begin(&mut self, text: &'static str, state: State) -> Result<(), sqlx::Error> {
        self.state = State::Beginning;
        let begin = async |conn: &mut PgConnection| begin_on::<sqlx::Postgres>(conn, text.into_sql_str()).await;
        match self.run(begin).await {
            Err(error) if self.again(&error) => self.run(begin).await?,
            begun => begun?,
        }
        (self.state, self.failed) = (state, false);
        Ok(())
    }

    /// Commits. With an error it is unknown whether anything is, unless a statement failed before: then nothing is.
    pub(super) async fn end(&mut self) -> Result<(), sqlx::Error> {
        if self.failed || !matches!(self.state, State::Reading | State::Writing) {
            self.take_back();
            return Err(lost("a statement of this transaction failed, so it cannot be committed"));
        }
        let ended = self.run(async |conn| commit_on::<sqlx::Postgres>(conn).await).await;
        match ended.is_ok() {
            true => self.state = State::None,
            false => self.take_back(),
        }
        ended
    }

    /// Takes back what stands open. A connection that holds the lock is dropped: a rollback that waits would hold up other nodes.
    pub(super) fn take_back(&mut self) {
        match (self.state, &mut self.connection) {
            (State::Beginning | State::Writing, connection) => *connection = None,
            (State::Reading, Some(connection)) => {
                take_back_on::<sqlx::Postgres>(connection);
                self.state = State::TakenBack;
                return;
            }
            _ => {}
        }
        self.state = State::None;
    }

    /// Returns whether a rollback waits for [`Remote::settle`].
    pub(super) fn is_unsettled(&self) -> bool {
        self.state == State::TakenBack
    }

    /// Ends what was taken back.
    pub(super) async fn settle(&mut self) {
        // One that broke is made anew when it is used next.
        let _ = self.run(async |conn| sqlx::raw_sql("SELECT 1").execute(conn).await).await;
        self.state = State::None;
    }

    pub(super) async fn close(self) -> Result<(), sqlx::Error> {
        match self.connection {
            Some(connection) => connection.close().await,
            None => Ok(()),
        }
    }

    /// Notes that a rollback to a savepoint succeeded: what failed before it is gone.
    pub(super) fn mended(&mut self) {
        self.failed = false;
    }
}

/// Reads where a database is. It holds a password: it is shown to nobody.
pub(super) fn options(url: &str) -> Result<PgConnectOptions, StorageError> {
    let wrong = |_| StorageError::Io { place: Place::Database, detail: "not the URL of a PostgreSQL database".into() };
    let ms = |seconds: u64| (seconds * 1_000).to_string();
    Ok(PgConnectOptions::from_str(url).map_err(wrong)?.application_name("dgnsd").disable_statement_logging().options([
        // Whose machine went away amid a transaction holds the others up no longer than this.
        ("idle_in_transaction_session_timeout", ms(limits::IDLE_IN_TRANSACTION_S_MAX)),
        ("statement_timeout", ms(limits::STATEMENT_S_MAX)),
        ("client_min_messages", "warning".to_owned()),
    ]))
}

/// Brings the schema to the newest version; without `create` it must be there already. Refuses a server that loses commits.
pub(super) async fn prepare(options: &PgConnectOptions, schema: &Schema, create: bool) -> Result<(), StorageError> {
    let in_database = |error| of_sql(Place::Database, error);
    let mut remote = Remote::new(options, schema);
    for (setting, unsafe_value) in [("fsync", "off"), ("full_page_writes", "off"), ("synchronous_commit", "off")] {
        let text = format!("SHOW {setting}");
        let show = async |conn: &mut PgConnection| sqlx::query(AssertSqlSafe(text)).fetch_one(conn).await;
        let row = remote.run(show).await.map_err(in_database)?;
        if row.try_get::<&str, _>(0).map_err(in_database)? == unsafe_value {
            return Err(StorageError::UnsafeSettings { detail: format!("{setting} is {unsafe_value}") });
        }
    }
    remote.open().await.map_err(in_database)?;
    migrate(&mut remote, schema, create).await?;
    remote.end().await.map_err(in_database)
}

const VERSIONS: &str =
    "CREATE TABLE IF NOT EXISTS dgns_schema (application_id BIGINT PRIMARY KEY, version BIGINT NOT NULL)";
const VERSION: &str = "SELECT version FROM dgns_schema WHERE application_id = $1";
const SET_VERSION: &str = "INSERT INTO dgns_schema (application_id, version) VALUES ($1, $2) \
                           ON CONFLICT (application_id) DO UPDATE SET version = excluded.version";

async fn migrate(remote: &mut Remote, schema: &Schema, create: bool) -> Result<(), StorageError> {
    let in_database = |error| of_sql(Place::Database, error);
    let wrong = |detail: String| Err(StorageError::WrongSchema { detail });
    let (id, known) = (schema.application_id, schema.migrations.len());
    if create {
        remote.run(async |conn| sqlx::raw_sql(VERSIONS).execute(conn).await).await.map_err(in_database)?;
    }
    let find = async |conn: &mut PgConnection| sqlx::query(VERSION).bind(id).fetch_optional(conn).await;
    let found = remote.run(find).await.map_err(in_database)?;
    let version: i64 = found.map_or(Ok(0), |row| row.try_get(0)).map_err(in_database)?;
    let applied = match usize::try_from(version) {
        Ok(applied) if applied <= known => applied,
        _ => return wrong(format!("version {version}, known are 1 to {known}")),
    };
    if applied < known && !create {
        return wrong(format!("version {version}, it has to be opened by the server once to become {known}"));
    }
    for migration in &schema.migrations[applied..] {
        let text = translated(migration);
        // It may write every row of a table, however long that takes; the nodes before it wait.
        let text = format!("SET LOCAL statement_timeout = 0; {text}");
        let apply = async |conn: &mut PgConnection| sqlx::raw_sql(AssertSqlSafe(text)).execute(conn).await;
        remote.run_within(Duration::MAX, apply).await.map_err(in_database)?;
    }
    let newest = i64::try_from(known).unwrap_or(i64::MAX);
    let set = async |conn: &mut PgConnection| sqlx::query(SET_VERSION).bind(id).bind(newest).execute(conn).await;
    match applied < known {
        true => remote.run(set).await.map(drop).map_err(in_database),
        false => Ok(()),
    }
}

/// Returns a migration in the words of PostgreSQL: the one place where the two differ.
fn translated(migration: &str) -> String {
    let words = [
        (" INTEGER", " BIGINT"),
        (" BLOB", " BYTEA"),
        (" TEXT", " TEXT COLLATE \"C\""),
        (") STRICT, WITHOUT ROWID;", ");"),
        (") STRICT;", ");"),
    ];
    words.into_iter().fold(migration.to_owned(), |text, (from, to)| text.replace(from, to))
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let connecting = tokio::time::timeout(Duration::from_secs(limits::CONNECT_S_MAX), options.connect());
    connecting.await.unwrap_or_else(|_| Err(lost("no connection in time")))
}

/// The length of the codes of its errors; SQLite's are numbers below 10,000.
pub(super) const CODE_BYTES: usize = 5;

/// Names the fault behind a code of the server.
pub(super) fn fault(place: Place, code: &str, detail: String) -> StorageError {
    match code {
        "53100" => StorageError::DiskFull { place },
        "25006" => StorageError::ReadOnly { place },
        "XX001" | "XX002" => StorageError::Corrupt { place, detail },
        code if code.starts_with("23") => StorageError::Inconsistent { place, detail },
        code if ends_connection(code) => StorageError::Unreachable { place, detail },
        _ => StorageError::Io { place, detail },
    }
}

fn lost(what: &'static str) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::other(what))
}

/// Returns whether nothing more can be asked on a connection that answered with `error`.
pub(super) fn broke(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| ends_connection(&code)),
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// 57P0n: the server stops, or has ended the session; 25P03: for it lay idle in a transaction; 08nnn: the connection.
fn ends_connection(code: &str) -> bool {
    code.starts_with("57P") || code.starts_with("08") || code == "25P03"
}
