//! Recovery servers beside the log for a day: whoever asks whom for what, in whatever order, at most ten points are evaluated.

use std::collections::{BTreeMap, BTreeSet};

use super::log::*;
use super::model::{Random, post};
use crate::cert::{Body, KeyBytes, Payload};
use crate::did::Did;
use crate::limits::GUESSES_MAX;
use crate::oprf::{self, Element};
use crate::recovery::Scope;
use crate::recovery::gate::{self, Logged, Mark, Row, Step};
use crate::testing::CountingRng;
use crate::testing::samples::{key, recover_open, recovery_set};

/// The servers of the enrolment, of whom two are needed.
const SERVERS: usize = 3;

/// How old a head may be that a server takes, ms.
const HEAD_AGE_MS: u64 = 120_000;

/// A server: what is on its disk, copies of the disk taken earlier, and requests it has judged and not yet answered.
struct Server {
    key: KeyBytes,
    disk: Row,
    backups: Vec<Row>,
    judged: Vec<(Step, u8)>,
}

/// The log as it was: what a proof shows, and when.
#[derive(Clone)]
struct Shown {
    at_ms: u64,
    chain: Vec<Payload>,
    state: crate::state::DidState,
}

struct Day {
    log: Log,
    alice: Did,
    chain: Vec<Payload>,
    heads: Vec<Shown>,
    servers: Vec<Server>,
    /// Which servers evaluated which point.
    evaluated: BTreeMap<Element, BTreeSet<usize>>,
    random: Random,
    /// How a server decides.
    decide: fn(&Row, &KeyBytes, &Logged, u8) -> Result<Step, gate::GateRefusal>,
}

impl Day {
    fn new(seed: u64, decide: fn(&Row, &KeyBytes, &Logged, u8) -> Result<Step, gate::GateRefusal>) -> Self {
        let (mut log, alice) = Log::with_alice(1);
        log.does(log.server(), add_notary(N), &[1]);
        let set = log.next(alice, Body::RecoverySet(recovery_set(1)));
        log.post(set.clone(), &[10]).expect("an enrolment");
        let enrolment = recovery_set(1).enrolment.expect("an enrolment");
        let row = |index: usize| Row {
            scope: Scope { did: alice, epoch: 1 },
            index: index as u8 + 1,
            public: enrolment.servers[index].oprf,
            sign_ins: vec![],
            mark: None,
        };
        let server = |index: usize| Server {
            key: enrolment.servers[index].key,
            disk: row(index),
            backups: vec![row(index)],
            judged: vec![],
        };
        let servers = (0..SERVERS).map(server).collect();
        let random = Random(CountingRng(seed));
        let (chain, heads, evaluated) = (vec![set], vec![], BTreeMap::new());
        Self { log, alice, chain, heads, servers, evaluated, random, decide }
    }

    fn show(&mut self) {
        let (at_ms, chain, state) = (self.log.now_ms, self.chain.clone(), self.log.did(&self.alice).clone());
        self.heads.push(Shown { at_ms, chain, state });
    }

    /// Somebody with the sign-in opens an attempt, with any PIN and any number.
    fn open(&mut self) {
        let guesses = self.log.did(&self.alice).recovery.as_ref().map_or(0, |recovery| recovery.guesses);
        let number = (guesses + self.random.below(2) as u8).clamp(1, GUESSES_MAX);
        let mut open = recover_open(1, number, 80);
        open.blinded = oprf::Server::from_seed(&[self.random.below(250) as u8; 32]).public();
        let payload = self.log.next(self.alice, Body::RecoverOpen(open));
        if post(&mut self.log, &payload, &[80, N]) {
            self.chain.push(payload);
        }
    }

    /// A server judges a request under some head that is young enough, whoever sends it: it may wait there, or be lost.
    fn ask(&mut self, at: usize) {
        let now_ms = self.log.now_ms;
        let young: Vec<usize> =
            (0..self.heads.len()).filter(|head| self.heads[*head].at_ms + HEAD_AGE_MS >= now_ms).collect();
        let Some(shown) = young.get(self.random.below(young.len().max(1))).map(|head| self.heads[*head].clone()) else {
            return;
        };
        let bodies: Vec<_> = shown.chain.iter().map(|payload| (sid_of(payload), &payload.body)).collect();
        let Some(state) = shown.state.recovery.as_deref() else { return };
        let Ok(logged) = Logged::of(state, shown.at_ms, bodies.iter().copied()) else { return };
        let attempt = 1 + self.random.below(usize::from(GUESSES_MAX)) as u8;
        let attempt = if self.random.below(3) == 0 { attempt } else { state.guesses };
        let server = &mut self.servers[at];
        if let Ok(step) = (self.decide)(&server.disk, &server.key, &logged, attempt) {
            server.judged.push((step, attempt));
        }
    }

    /// A server goes on with what it judged: it writes, and then evaluates; a crash may come before, between and after.
    fn go_on(&mut self, at: usize) {
        let crash = self.random.below(4);
        let Some((step, _)) = self.servers[at].judged.pop() else { return };
        if crash == 0 {
            return self.servers[at].judged.clear();
        }
        let point = match step {
            Step::Mark(mark) => {
                // The row is swapped against the one that was judged: another request may have been faster.
                let server = &mut self.servers[at];
                let later =
                    |known: Mark| known.attempt > mark.attempt || known.attempt == mark.attempt && known != mark;
                if server.disk.mark.is_some_and(later) {
                    return;
                }
                server.disk.mark = Some(mark);
                mark.blinded
            }
            Step::Again(point) => point,
        };
        if crash == 1 {
            return self.servers[at].judged.clear();
        }
        self.evaluated.entry(point).or_default().insert(at);
    }

    fn run(&mut self) {
        let end_ms = self.log.now_ms + 24 * HOUR;
        while self.log.now_ms < end_ms {
            self.show();
            let at = self.random.below(SERVERS);
            match self.random.below(12) {
                0..=2 => self.open(),
                3..=6 => self.ask(at),
                7..=9 => self.go_on(at),
                10 => {
                    let copy = self.servers[at].disk.clone();
                    self.servers[at].backups.push(copy);
                }
                _ => {
                    // A disk from any time before: of an hour ago or of the day before.
                    let server = &mut self.servers[at];
                    server.disk = server.backups[self.random.below(server.backups.len())].clone();
                    server.judged.clear();
                }
            }
            self.log.wait(self.random.below(180_000) as u64);
            let now_ms = self.log.now_ms;
            self.heads.retain(|head| head.at_ms + HEAD_AGE_MS >= now_ms);
        }
    }

    /// PINs that somebody learned about: evaluated by two servers at least, whichever they are.
    fn guesses(&self) -> usize {
        self.evaluated.values().filter(|servers| servers.len() >= 2).count()
    }
}

fn sid_of(payload: &Payload) -> [u8; 32] {
    crate::hash::sha256(&[&payload.encode()])
}

#[test]
fn in_a_day_of_requests_crashes_and_old_disks_at_most_ten_points_are_evaluated() {
    // Goal: over all servers and subsets of them never more than ten points of an epoch, whatever order requests come in, whatever is
    // lost, and whatever disks come back. Method: 24 h of random steps of a thief with the sign-in against the real rules and the
    // real gate, in seeds; the back-off is on too, so the days are made of attempts that the log really took.
    let (mut points, mut guesses) = (0, 0);
    for seed in 0..16 {
        let mut day = Day::new(9_000 + seed, gate::evaluate);
        day.run();
        assert!(day.evaluated.len() <= usize::from(GUESSES_MAX), "seed {seed}: {} points", day.evaluated.len());
        let logged: BTreeSet<Element> = day.chain.iter().filter_map(opened).collect();
        assert!(day.evaluated.keys().all(|point| logged.contains(point)), "seed {seed}: a point that was not logged");
        points = points.max(day.evaluated.len());
        guesses = guesses.max(day.guesses());
    }
    assert!(points >= 6 && guesses >= 3, "little happens: {points} points, {guesses} guesses");
}

fn opened(payload: &Payload) -> Option<Element> {
    match &payload.body {
        Body::RecoverOpen(open) => Some(open.blinded),
        _ => None,
    }
}

#[test]
fn servers_that_count_for_themselves_grant_more() {
    // Goal: the test above can fail. Method: servers that each count ten requests of their own and evaluate any point, as is usual.
    fn counts(row: &Row, _: &KeyBytes, _: &Logged, attempt: u8) -> Result<Step, gate::GateRefusal> {
        let next = row.mark.map_or(1, |mark| mark.attempt + 1);
        let seed = [row.index, next, attempt];
        let blinded = oprf::Server::from_seed(&crate::hash::sha256(&[&seed])).public();
        if next > GUESSES_MAX {
            return Err(gate::GateRefusal::Used);
        }
        Ok(Step::Mark(Mark { attempt: next, blinded }))
    }
    let mut day = Day::new(9_100, counts);
    day.run();
    assert!(day.evaluated.len() > usize::from(GUESSES_MAX), "{}", day.evaluated.len());
    assert_eq!(key(71).public(), day.servers[0].key);
}
