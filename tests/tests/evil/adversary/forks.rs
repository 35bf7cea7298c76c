//! Another history for one of them.

use super::recovery::RECOVERY;
use super::stories::{fork, longer_fork};
use super::table::{KEPT, PREFIX, Row, SAME_SIZE, detected, mount, prevented};
use super::victims::*;

const FORK: &str = "fork shown to one: another history of the same size";
const LONGER: &str = "fork shown to one: another history, longer";

pub const ROWS: &[Row] = &[
    detected(FORK, fork, CLIENT, "exit 3 `fork`", SAME_SIZE),
    prevented(FORK, fork, CLIENT_OF_A_WITNESS, "exit 3 `quorum`", SAME_SIZE),
    detected(FORK, fork, ACQUAINTANCES, "exit 3 `fork`", SAME_SIZE),
    detected(FORK, fork, WITNESS, "422 `fork`", SAME_SIZE),
    detected(FORK, fork, VERIFIER, "422 `fork`", SAME_SIZE),
    detected(FORK, fork, AUDITOR, "exit 3 `inconsistent`", KEPT),
    detected(FORK, fork, MONITOR, "exit 3 `fork`", SAME_SIZE),
    detected(FORK, fork, FOLLOWER, "fault `fork`", SAME_SIZE),
    detected(FORK, fork, RECOVERY, "502 `log_fault`", SAME_SIZE),
    detected(FORK, fork, MIRROR, "exit 3 `inconsistent`", KEPT),
    detected(LONGER, longer_fork, MIRROR, "exit 3 `inconsistent`", KEPT),
    detected(LONGER, longer_fork, CLIENT, "exit 3 `inconsistent`", PREFIX),
    prevented(LONGER, longer_fork, CLIENT_OF_A_WITNESS, "exit 3 `quorum`", PREFIX),
    detected(LONGER, longer_fork, ACQUAINTANCES, "exit 3 `inconsistent`", PREFIX),
    detected(LONGER, longer_fork, WITNESS, "422 `consistency`", PREFIX),
    detected(LONGER, longer_fork, VERIFIER, "422 `consistency`", PREFIX),
    detected(LONGER, longer_fork, AUDITOR, "exit 3 `epoch`", KEPT),
    detected(LONGER, longer_fork, MONITOR, "exit 3 `inconsistent`", PREFIX),
    detected(LONGER, longer_fork, FOLLOWER, "fault `fork`", PREFIX),
    detected(LONGER, longer_fork, RECOVERY, "502 `log_fault`", PREFIX),
];

#[test]
fn a_fork_is_caught_by_whoever_saw_the_other_history() {
    mount(ROWS);
}
