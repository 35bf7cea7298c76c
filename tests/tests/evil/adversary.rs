//! The adversary suite: an operator who holds every key of the server mounts each attack of docs/THREATS.md against the stock
//! programs. Each row of the table says which program, what it says, whether what it keeps convicts the log before a stranger with
//! an empty home, and how long that took.
//!
//! A victim has met the honest log first, unless its row says otherwise. The page holds the rows declared here, with the times of
//! the run that wrote them:
//!
//! ```text
//! DGNS_WRITE_TABLE=1 cargo test -p dgns-tests --test evil the_page_of_threats_has_the_rows_of_this_suite
//! ```

mod absence;
mod clocks;
mod cosignatures;
mod entries;
mod files;
mod forks;
mod keys;
pub mod operator;
mod recovery;
mod rollbacks;
mod silence;
mod stories;
mod table;
mod victims;

use table::Row;

/// Every row, in the order of the page.
const TABLE: [&[Row]; 9] = [
    forks::ROWS,
    rollbacks::ROWS,
    entries::ROWS,
    absence::ROWS,
    cosignatures::ROWS,
    clocks::ROWS,
    keys::ROWS,
    files::ROWS,
    silence::ROWS,
];

#[test]
fn the_page_of_threats_has_the_rows_of_this_suite() {
    table::hold_page(&TABLE);
}

#[test]
fn a_page_with_other_rows_is_noticed() {
    table::complains(forks::ROWS);
}
