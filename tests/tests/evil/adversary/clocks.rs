//! An operator whose clock is not the world's.

use super::super::lies;
use super::super::people::Someone;
use super::stories::{Story, appended};
use super::table::{KEPT, NONE, Row, WHOLE, detected, mount, prevented};
use super::victims::*;

const BACK: &str = "clock set back a minute, before the Epoch before";
const AN_HOUR_BACK: &str = "clock set back an hour";
const AHEAD: &str = "clock set an hour ahead";

pub const ROWS: &[Row] = &[
    detected(BACK, back, VERIFIER, "422 `held_up` (`epoch`)", "convicts: `epoch`"),
    detected(BACK, back, FIRST_AUDITOR, "exit 3 `epoch`", "convicts: `epoch`"),
    prevented(BACK, back, CLIENT_OF_A_VERIFIER, "exit 3 `quorum`", KEPT),
    detected(BACK, back, AUDITING_MONITOR, "exit 3 `epoch`", "convicts: `epoch`"),
    detected(BACK, back, MIRROR, "exit 3 `epoch`", "convicts: `epoch`"),
    detected(BACK, back, FOLLOWER, "fault `epoch`", WHOLE),
    detected(AN_HOUR_BACK, an_hour_back, CLIENT, "exit 3 `stale_head`", KEPT),
    detected(AN_HOUR_BACK, an_hour_back, VERIFIER, "422 `held_up` (`epoch`)", "convicts: `epoch`"),
    detected(AN_HOUR_BACK, an_hour_back, FIRST_AUDITOR, "exit 3 `epoch`", "convicts: `epoch`"),
    detected(AN_HOUR_BACK, an_hour_back, MONITOR, "exit 3 `stale_head`", KEPT),
    detected(AN_HOUR_BACK, an_hour_back, FOLLOWER, "fault `epoch`", WHOLE),
    detected(AHEAD, ahead, CLIENT, "exit 3 `time_bound`", KEPT),
    prevented(AHEAD, ahead, VERIFIER, "422 `head_time`", NONE),
    detected(AHEAD, ahead, MONITOR, "exit 3 `time_bound`", KEPT),
];

const HOUR_MS: u64 = 3_600_000;

fn back() -> Story {
    appended(lies::time_back)
}

fn an_hour_back() -> Story {
    appended(|log, _| {
        let batch = log.integrate(&Someone::new(50).1, log.time_ms + 1_000);
        log.take(batch, |epoch| epoch.time_ms -= HOUR_MS);
    })
}

fn ahead() -> Story {
    appended(|log, _| {
        let batch = log.integrate(&Someone::new(50).1, log.time_ms + HOUR_MS);
        log.take(batch, |_| {});
    })
}

#[test]
fn a_false_clock_is_noticed() {
    mount(ROWS);
}
