//! Certificates whose signatures were checked, on their way into log and map: no SQL, no head signed, one thread.

use std::time::{Duration, Instant};

use identity::cert::Certificate;

use crate::directory;
use crate::load::memory::MemoryLog;
use crate::load::{self, Person};
use crate::table::{Table, Unit};

/// Certificates of one batch.
const BATCH: usize = 4_096;

/// Claims of `names` names, then a change of each one's DID alone, then records, which change DID and name.
pub fn measure(table: &mut Table, names: usize, akd: &directory::Figures) {
    let mut log = MemoryLog::open();
    let signing = log.signing();
    let (mut people, claims): (Vec<_>, Vec<_>) = signing.people(&load::labels("peers", names)).into_iter().unzip();
    let claimed = append(&mut log, &people, &claims, BATCH / 2);
    let policies = load::in_threads(people.iter_mut().collect(), |person| vec![signing.policy(person, 86_400)]);
    let set = append(&mut log, &people, &policies, BATCH);
    let records = load::in_threads(people.iter_mut().collect(), |person| vec![signing.records(person, [10, 0, 0, 1])]);
    let recorded = append(&mut log, &people, &records, BATCH);

    let rate = |count: usize, took: Duration| count as f64 / took.as_secs_f64();
    let row = |what: &str| format!("engine: {what}, {names} names, batches of {BATCH}");
    let peer = Some(("akd", akd.updates));
    table.row(&row("certificates that change one label"), Unit::PerSecond, Some(150_000.0), rate(names, set), peer);
    table.row(&row("records, two labels each"), Unit::PerSecond, None, rate(names, recorded), peer);
    table.row(&row("genesis + claim, two labels a pair"), Unit::PerSecond, None, rate(2 * names, claimed), peer);
}

/// Appends the posts in batches of `posts` and returns how long that took; making the posts does not count.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn append(log: &mut MemoryLog, people: &[Person], certificates: &[Vec<Certificate>], posts: usize) -> Duration {
    let mut took = Duration::ZERO;
    for (people, certificates) in people.chunks(posts).zip(certificates.chunks(posts)) {
        let batch = people.iter().zip(certificates).map(|(person, post)| log.post(post, &person.keys()));
        let batch: Vec<_> = batch.collect();
        let began = Instant::now();
        log.append(&batch);
        took += began.elapsed();
    }
    took
}
