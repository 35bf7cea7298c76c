//! What was, once more: of one name for one Epoch, of the whole log, of its end.

use super::super::forge::Forge;
use super::super::people::Someone;
use super::operator::View;
use super::recovery::RECOVERY;
use super::stories::{Oscillation, Story, base, grown};
use super::table::{KEPT, NONE, PREFIX, Row, WHOLE, detected, mount, prevented};
use super::victims::*;

const OSCILLATION: &str = "rollback of one name for one Epoch (oscillation), while it lasts";
const OVER: &str = "rollback of one name for one Epoch (oscillation), once it is over";
const STALE: &str = "stale checkpoint replayed";
const TRUNCATED: &str = "truncated log: its end is gone, and another head signed";

pub const ROWS: &[Row] = &[
    detected(OSCILLATION, away, MONITOR, "exit 3 `rollback`", ROLLBACK),
    detected(OSCILLATION, away, AUDITING_MONITOR, "exit 3 `rollback`", ROLLBACK),
    detected(OSCILLATION, away, VERIFIER, "422 `held_up` (`map_root`)", WHOLE),
    prevented(OSCILLATION, away, CLIENT_OF_A_VERIFIER, "exit 3 `quorum`", KEPT),
    detected(OSCILLATION, away, AUDITOR, "exit 3 `map_root`", WHOLE),
    detected(OSCILLATION, away, FOLLOWER, "fault `map_root`", WHOLE),
    detected(OVER, over, AUDITING_MONITOR, "exit 3 `map_root`", WHOLE),
    detected(OVER, over, VERIFIER, "422 `held_up` (`map_root`)", WHOLE),
    prevented(OVER, over, CLIENT_OF_A_VERIFIER, "exit 3 `quorum`", KEPT),
    detected(OVER, over, AUDITOR, "exit 3 `map_root`", WHOLE),
    detected(OVER, over, FOLLOWER, "fault `map_root`", WHOLE),
    detected(OVER, over, FIRST_AUDITOR, "exit 3 `map_root`", WHOLE),
    detected(STALE, stale, CLIENT, "exit 3 `rollback`", KEPT),
    detected(STALE, of_yesterday, NEWCOMER, "exit 3 `stale_head`", KEPT),
    prevented(STALE, stale, WITNESS, "400 `old_size`", NONE),
    prevented(STALE, stale, VERIFIER, "400 `old_size`", NONE),
    detected(STALE, stale, AUDITOR, "exit 3 `rollback`", KEPT),
    detected(STALE, stale, MIRROR, "exit 3 `rollback`", KEPT),
    detected(STALE, stale, MONITOR, "exit 3 `rollback`", KEPT),
    detected(STALE, stale, FOLLOWER, "refused `rollback`", KEPT),
    detected(STALE, stale, RECOVERY, "502 `log_proof`", KEPT),
    detected(TRUNCATED, truncated, CLIENT, "exit 3 `rollback`", KEPT),
    detected(TRUNCATED, truncated, CLIENT_OF_A_WITNESS, "exit 3 `rollback`", KEPT),
    prevented(TRUNCATED, truncated, WITNESS, "400 `old_size`", NONE),
    prevented(TRUNCATED, truncated, VERIFIER, "400 `old_size`", NONE),
    detected(TRUNCATED, truncated, AUDITOR, "exit 3 `rollback`", KEPT),
    detected(TRUNCATED, truncated, MIRROR, "exit 3 `rollback`", KEPT),
    detected(TRUNCATED, truncated, MONITOR, "exit 3 `rollback`", KEPT),
    detected(TRUNCATED, truncated, RECOVERY, "502 `log_proof`", KEPT),
    detected(TRUNCATED, truncated, FOLLOWER, "fault `fork`", PREFIX),
];

/// Evidence of two looks at one name.
const ROLLBACK: &str = "convicts: `rollback`";

fn away() -> Story {
    Oscillation::new().while_it_lasts()
}

fn over() -> Story {
    Oscillation::new().when_it_is_over()
}

fn stale() -> Story {
    let (base, _) = base();
    Story::new(&grown(&base, [50]), &base)
}

/// A log that stood still for a day, for whoever never met it.
fn of_yesterday() -> Story {
    let now = dgns_client::clock::now().as_ms();
    let (old, _) = super::super::forge::small_from(now - 86_400_000);
    Story::new(&old, &old)
}

/// The newest batches are gone, and one that closes the rest is new.
fn truncated() -> Story {
    let (base, _) = base();
    let mut shown: Forge = base.clone();
    let batch = shown.integrate(&[], shown.time_ms + 1_000);
    shown.take(batch, |_| {});
    let mut met = grown(&base, [50]);
    let (mut late, certificates) = Someone::new(51);
    met.batch(&certificates);
    met.batch(&[late.points_to([10, 0, 0, 51])]);
    Story { met, shown: View::of(&shown) }
}

#[test]
fn a_log_that_goes_back_is_caught() {
    mount(ROWS);
}
