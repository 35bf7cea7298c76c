//! What the log says: in its past, at its end, in the bytes it serves, and in the map that is made of it.

use super::super::export::Export;
use super::super::forge::Forge;
use super::super::lies;
use super::super::people::Someone;
use super::recovery::RECOVERY;
use super::stories::{Story, appended, base, grown, past};
use super::table::{KEPT, NONE, PREFIX, Row, WHOLE, detected, mount, prevented};
use super::victims::*;

const INSERTED: &str = "entry inserted into the past, all after it signed anew";
const REMOVED: &str = "entry removed from the past, all after it signed anew";
const REORDERED: &str = "entries of the past reordered, all after them signed anew";
const ALTERED: &str = "entry of the past altered, all after it signed anew";
const FORBIDDEN: &str = "entry inserted that the rules forbid: a name claimed twice";
const LEFT_OUT: &str = "entry left out whose effect is in the map";
const EXCHANGED: &str = "entries in an order that the rules forbid";
const UNSIGNED: &str = "entry inserted that its owner did not sign";
const BYTES: &str = "entry altered in the files alone";
const MAP: &str = "map root that the entries do not make: a name given away";

pub const ROWS: &[Row] = &[
    detected(INSERTED, inserted, CLIENT, "exit 3 `inconsistent`", PREFIX),
    detected(INSERTED, inserted, WITNESS, "422 `consistency`", PREFIX),
    detected(INSERTED, inserted, VERIFIER, "422 `consistency`", PREFIX),
    detected(INSERTED, inserted, AUDITOR, "exit 3 `epoch`", KEPT),
    detected(INSERTED, inserted, MONITOR, "exit 3 `inconsistent`", PREFIX),
    detected(INSERTED, inserted, FOLLOWER, "fault `fork`", PREFIX),
    detected(INSERTED, inserted, RECOVERY, "502 `log_fault`", PREFIX),
    detected(REMOVED, removed, CLIENT, "exit 3 `inconsistent`", PREFIX),
    detected(REMOVED, removed, WITNESS, "422 `consistency`", PREFIX),
    detected(REMOVED, removed, VERIFIER, "422 `consistency`", PREFIX),
    detected(REMOVED, removed, AUDITOR, "exit 3 `epoch`", KEPT),
    detected(REMOVED, removed, MONITOR, "exit 3 `inconsistent`", PREFIX),
    detected(REMOVED, removed, FOLLOWER, "fault `fork`", PREFIX),
    detected(REORDERED, reordered, CLIENT, "exit 3 `inconsistent`", PREFIX),
    detected(REORDERED, reordered, WITNESS, "422 `consistency`", PREFIX),
    detected(REORDERED, reordered, VERIFIER, "422 `consistency`", PREFIX),
    detected(REORDERED, reordered, AUDITOR, "exit 3 `epoch`", KEPT),
    detected(REORDERED, reordered, MONITOR, "exit 3 `inconsistent`", PREFIX),
    detected(REORDERED, reordered, FOLLOWER, "fault `fork`", PREFIX),
    detected(ALTERED, altered, CLIENT, "exit 3 `inconsistent`", PREFIX),
    detected(ALTERED, altered, WITNESS, "422 `consistency`", PREFIX),
    detected(ALTERED, altered, VERIFIER, "422 `consistency`", PREFIX),
    detected(ALTERED, altered, AUDITOR, "exit 3 `tile`", KEPT),
    detected(ALTERED, altered, MONITOR, "exit 3 `inconsistent`", PREFIX),
    detected(ALTERED, altered, FOLLOWER, "fault `fork`", PREFIX),
    detected(FORBIDDEN, forbidden, VERIFIER, "422 `held_up` (`refused`)", WHOLE),
    prevented(FORBIDDEN, forbidden, CLIENT_OF_A_VERIFIER, "exit 3 `quorum`", KEPT),
    detected(FORBIDDEN, forbidden, FIRST_AUDITOR, "exit 3 `refused`", WHOLE),
    detected(FORBIDDEN, forbidden, MONITOR, "exit 3 `unsigned_change`", KEPT),
    detected(FORBIDDEN, forbidden, FOLLOWER, "fault `refused`", WHOLE),
    detected(LEFT_OUT, left_out, VERIFIER, "422 `held_up` (`map_root`)", WHOLE),
    detected(LEFT_OUT, left_out, FIRST_AUDITOR, "exit 3 `map_root`", WHOLE),
    detected(LEFT_OUT, left_out, FOLLOWER, "fault `map_root`", WHOLE),
    detected(EXCHANGED, exchanged, VERIFIER, "422 `held_up` (`signature`)", WHOLE),
    detected(EXCHANGED, exchanged, FIRST_AUDITOR, "exit 3 `signature`", WHOLE),
    detected(EXCHANGED, exchanged, FOLLOWER, "fault `signature`", WHOLE),
    detected(UNSIGNED, unsigned, VERIFIER, "422 `held_up` (`signature`)", WHOLE),
    detected(UNSIGNED, unsigned, FIRST_AUDITOR, "exit 3 `signature`", WHOLE),
    detected(UNSIGNED, unsigned, FOLLOWER, "fault `signature`", WHOLE),
    detected(BYTES, in_the_files, VERIFIER, "503 `behind` (`tile`)", NONE),
    detected(BYTES, in_the_files, FIRST_AUDITOR, "exit 3 `tile`", KEPT),
    detected(BYTES, in_the_files, MIRROR, "exit 3 `tile`", KEPT),
    detected(BYTES, in_the_files, FOLLOWER, "refused `root`", KEPT),
    detected(MAP, map, VERIFIER, "422 `held_up` (`map_root`)", WHOLE),
    prevented(MAP, map, CLIENT_OF_A_VERIFIER, "exit 3 `quorum`", KEPT),
    detected(MAP, map, FIRST_AUDITOR, "exit 3 `map_root`", WHOLE),
    detected(MAP, map, MONITOR, "exit 3 `unsigned_change`", KEPT),
    detected(MAP, map, AUDITING_MONITOR, "exit 3 `unsigned_change`", KEPT),
    detected(MAP, map, FOLLOWER, "fault `map_root`", WHOLE),
];

fn inserted() -> Story {
    past(|log, people| {
        log.batch(&Someone::new(66).1);
        log.batch(&[people[2].points_to([10, 9, 9, 9])]);
        *log = grown(log, [50]);
    })
}

fn removed() -> Story {
    past(|log, _| *log = grown(log, [50]))
}

fn reordered() -> Story {
    past(|log, people| {
        *log = grown(log, [50]);
        log.batch(&[people[2].points_to([10, 9, 9, 9])]);
    })
}

fn altered() -> Story {
    past(|log, people| {
        log.batch(&[lies::unsigned(&people[2].points_to([10, 9, 9, 9]))]);
        *log = grown(log, [50]);
    })
}

fn forbidden() -> Story {
    appended(lies::forbidden_claim)
}

fn left_out() -> Story {
    appended(lies::left_out)
}

fn exchanged() -> Story {
    appended(lies::exchanged)
}

fn unsigned() -> Story {
    appended(lies::forged_signature)
}

fn map() -> Story {
    appended(lies::map_lie)
}

/// The log as it was signed; one entry in the bundle is another.
fn in_the_files() -> Story {
    let (met, _) = base();
    let honest: Forge = grown(&met, [50]);
    let mut story = Story::new(&met, &honest);
    let altered: Export =
        story.shown.export.clone().with_entry(met.edge.size(), |entry| *entry.last_mut().unwrap() ^= 1);
    story.shown.export = altered;
    story
}

#[test]
fn entries_that_are_not_the_logs_are_found() {
    mount(ROWS);
}
