//! A name that somebody has is said to be nobody's.

use dgns_tests::harness::serve::Told;
use identity::state::Subject;
use translog::resolution::Resolution;

use super::super::lies;
use super::super::people::ZONE;
use super::operator::View;
use super::stories::{NAME, Story, appended, base, grown};
use super::table::{KEPT, Row, WHOLE, detected, mount, prevented};
use super::victims::*;

const SAID: &str = "absence claimed for a present name, in the answer alone";
const MADE: &str = "absence claimed for a present name, and the map made so";

pub const ROWS: &[Row] = &[
    detected(SAID, said, CLIENT, "exit 3 `map_proof`", KEPT),
    detected(SAID, said, NEWCOMER, "exit 3 `map_proof`", KEPT),
    detected(SAID, said, MONITOR, "exit 3 `map_proof`", KEPT),
    detected(MADE, made, MONITOR, "exit 3 `rollback`", "convicts: `rollback`"),
    detected(MADE, made, VERIFIER, "422 `held_up` (`map_root`)", WHOLE),
    prevented(MADE, made, CLIENT_OF_A_VERIFIER, "exit 3 `quorum`", "convicts: `rollback`"),
    detected(MADE, made, FIRST_AUDITOR, "exit 3 `map_root`", WHOLE),
    detected(MADE, made, FOLLOWER, "fault `map_root`", WHOLE),
];

/// The name is in the map; the proof of its absence is from a map that never had it.
fn said() -> Story {
    let (met, _) = base();
    let honest = grown(&met, [50]);
    let subject = Subject::Name(format!("{NAME}.{ZONE}"));
    let mut without = honest.clone();
    without.forget(&subject);
    let (head, shown) = (honest.head(), View::of(&honest));
    let lying = shown.through(move |asked, mut answer| {
        if asked.starts_with("/v1/names/") && answer.status == 200 {
            let absent = without.resolution(&head, &subject, Default::default());
            let path = Resolution::decode(&answer.body).unwrap().consistency().to_vec();
            answer.body = absent.with_consistency(path).encode();
        }
        Told::Answer(answer)
    });
    Story { met, shown: lying }
}

fn made() -> Story {
    appended(lies::forgotten)
}

#[test]
fn a_present_name_cannot_be_made_absent() {
    mount(ROWS);
}
