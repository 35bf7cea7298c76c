//! The tables: one file each, with its SQL and functions on a connection or transaction. No SQL stands elsewhere.

use crate::database::{Cells, Conn, in_table, query};
use crate::fault::StorageError;

pub(crate) mod accounts;
pub(crate) mod acme;
pub(crate) mod aliases;
pub(crate) mod attachments;
pub(crate) mod attested;
pub(crate) mod chain;
pub(crate) mod changed;
pub(crate) mod cosigned;
pub(crate) mod dns;
pub(crate) mod edges;
pub(crate) mod enrolled;
pub(crate) mod entries;
pub(crate) mod envelopes;
pub(crate) mod epochs;
pub(crate) mod events;
pub(crate) mod grants;
pub(crate) mod heads;
pub(crate) mod invites;
pub(crate) mod labels;
pub(crate) mod names;
pub(crate) mod notary_words;
pub(crate) mod notices;
pub(crate) mod notify;
pub(crate) mod pair_messages;
pub(crate) mod passkeys;
pub(crate) mod profiles;
pub(crate) mod recovery;
pub(crate) mod revocations;
pub(crate) mod signin_starts;
pub(crate) mod store;
pub(crate) mod token_families;

/// Returns a count, index or time as the databases store it.
///
/// All of them stay below 2^63; a larger one, which no honest clock or counter reaches, is kept at the top, so that what is
/// never due stays so.
fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Questions about a whole table that an intact database answers with no row: each row says what is wrong. `$1` is the size of
/// the head, `$2` how many leaves are tiled.
const CONTRADICTIONS: &[(&str, &str)] = &[
    (
        "entries",
        "SELECT 'the tail has ' || count(*) || ' entries from ' || min(idx) || ' to ' || max(idx) FROM entries \
         HAVING count(*) > 0 AND (count(*) <> max(idx) - min(idx) + 1 OR max(idx) <> $1 - 1 OR min(idx) > $2)",
    ),
    (
        "entries",
        "SELECT 'the tail is empty, but only ' || $2 || ' leaves are tiled' FROM (SELECT count(*) AS n FROM entries) \
                 AS tail WHERE n = 0 AND $2 < $1",
    ),
    (
        "epochs",
        "SELECT 'there are ' || count(*) || ' Epochs up to number ' || max(k) FROM epochs \
                HAVING count(*) > 0 AND (count(*) <> max(k) + 1 OR max(size) <> $1)",
    ),
    (
        "chain",
        "SELECT 'a chain has ' || count(*) || ' certificates up to ' || max(seq) FROM chain GROUP BY id \
               HAVING count(*) <> max(seq) + 1 OR max(idx) >= $1 LIMIT 10",
    ),
    (
        "enrolled",
        "SELECT 'there are marks of ' || count(*) || ' bundles up to number ' || max(bundle) FROM enrolled \
                HAVING count(*) > 0 AND (count(*) <> max(bundle) + 1 OR count(*) > $2 / 256)",
    ),
    ("labels", "SELECT 'a label names the certificate at ' || head_index FROM labels WHERE head_index >= $1 LIMIT 10"),
    (
        "labels",
        "SELECT 'there are ' || count(*) || ' labels up to id ' || max(id) || ', ' || count(DISTINCT label) || ' different' \
                FROM labels HAVING count(*) > 0 AND (count(*) <> max(id) OR count(*) <> count(DISTINCT label))",
    ),
    ("chain", "SELECT 'a chain belongs to no label' FROM chain WHERE id NOT IN (SELECT id FROM labels) LIMIT 1"),
    ("names", "SELECT 'a name belongs to no label' FROM names WHERE id NOT IN (SELECT id FROM labels) LIMIT 1"),
    ("names", "SELECT 'a name was claimed at ' || claim_index FROM names WHERE claim_index >= $1 LIMIT 10"),
    ("invites", "SELECT 'an invite was used at ' || used_index FROM invites WHERE used_index >= $1 LIMIT 10"),
    ("notices", "SELECT 'a Notice stands at ' || idx FROM notices WHERE idx >= $1 LIMIT 10"),
];

/// Returns what in the tables contradicts the head or itself.
pub(crate) async fn contradictions(conn: &mut Conn, size: u64, tiled: u64) -> Result<Vec<StorageError>, StorageError> {
    let mut found = Vec::new();
    for (table, question) in CONTRADICTIONS {
        let query = query(question).bind(stored(size)).bind(stored(tiled));
        for row in query.fetch_all(&mut *conn).await.map_err(in_table(table))? {
            found.push(StorageError::inconsistent(table, Cells::new(&row, table).text(0)?));
        }
    }
    Ok(found)
}
