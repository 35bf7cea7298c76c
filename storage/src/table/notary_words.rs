//! `notary_words` and `notary_counts`: what notaries said, and how much of it came to nothing.

use identity::cert::Kid;
use identity::hash::Hash;

use crate::database::{Cells, Conn, Row, in_table, query};
use crate::fault::StorageError;
use crate::people::{NotaryCount, Word};

const TABLE: &str = "notary_words";
const COUNTS: &str = "notary_counts";

const INSERT: &str = "INSERT INTO notary_words (sid, kid) VALUES ($1, $2) ON CONFLICT (sid) DO NOTHING";
const KID: &str = "SELECT kid FROM notary_words WHERE sid = $1";
const COUNT: &str = "INSERT INTO notary_counts (kid, logins, disputed, attempts, proved) VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (kid) DO UPDATE SET logins = logins + $2, disputed = disputed + $3, \
                     attempts = attempts + $4, proved = proved + $5";
const ALL: &str = "SELECT kid, logins, disputed, attempts, proved FROM notary_counts ORDER BY kid";

/// Counts a word, or what became of one. Of a word that was never counted nothing is.
pub(crate) async fn count(conn: &mut Conn, word: &Word) -> Result<(), StorageError> {
    let (kid, counts) = match word {
        Word::Login { sid, kid } => (insert(conn, sid, kid).await?.then_some(*kid), [1, 0, 0, 0]),
        Word::Attempt { sid, kid } => (insert(conn, sid, kid).await?.then_some(*kid), [0, 0, 1, 0]),
        Word::Disputed { login } => (kid_of(conn, login).await?, [0, 1, 0, 0]),
        Word::Proved { attempt } => (kid_of(conn, attempt).await?, [0, 0, 0, 1]),
    };
    let Some(kid) = kid else { return Ok(()) };
    let query = counts.iter().fold(query(COUNT).bind(kid.0.to_vec()), |query, count: &i64| query.bind(*count));
    query.execute(conn).await.map_err(in_table(COUNTS)).map(drop)
}

/// Returns what was counted of each notary.
pub(crate) async fn all(conn: &mut Conn) -> Result<Vec<NotaryCount>, StorageError> {
    let read = |row: &Row| {
        let cells = Cells::new(row, COUNTS);
        Ok(NotaryCount {
            kid: Kid(cells.fixed(0)?),
            logins: cells.number(1)?,
            disputed: cells.number(2)?,
            attempts: cells.number(3)?,
            proved: cells.number(4)?,
        })
    };
    query(ALL).fetch_all(conn).await.map_err(in_table(COUNTS))?.iter().map(read).collect()
}

/// Notes who signed; false if that is known.
async fn insert(conn: &mut Conn, sid: &Hash, kid: &Kid) -> Result<bool, StorageError> {
    let query = query(INSERT).bind(sid.as_slice()).bind(kid.0.as_slice());
    Ok(query.execute(conn).await.map_err(in_table(TABLE))?.rows_affected() == 1)
}

async fn kid_of(conn: &mut Conn, sid: &Hash) -> Result<Option<Kid>, StorageError> {
    let row = query(KID).bind(sid.as_slice()).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| Cells::new(&row, TABLE).fixed(0).map(Kid)).transpose()
}
