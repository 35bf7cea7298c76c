//! Every answer held against another server's: hickory-server, as a process of its own, has a copy of the zone of a running dgnsd (AXFR, signatures and all) and
//! is asked the same random questions. What differs must have a reason of `reasons.rs`; of answers with signatures hickory's validator must believe all.
//!
//! 20,000 questions, always the same; 1,000,000 with `DGNS_TEST_ROUNDS=long`, others each time. `DGNS_SEED` chooses them.

mod hickory;
mod questions;
mod reasons;
mod said;
mod world;

use std::collections::BTreeMap;

use dgns_tests::harness::seed::Seed;
use dgns_tests::harness::wait;

use hickory::Hickory;
use questions::Question;
use reasons::{Case, REASONS};
use said::Zone;
use world::World;

/// Questions that are asked at once.
const AT_ONCE: usize = 250;

/// An answer that differs is asked for again so often: the log makes an Epoch by itself now and then, and a copy is then of before.
const LOOKS: usize = 3;

#[test]
fn another_server_says_the_same() {
    // Goal: PROTOCOL 13.1, 13.4, from the standards and not from our own reading of them. Method: one zone with all that a zone can have, two servers, random
    // questions about and around each owner; each difference explained by one of a few narrow reasons, of which each is needed.
    let Some(program) = hickory::program() else { return };
    let long = std::env::var("DGNS_TEST_ROUNDS").is_ok_and(|value| value == "long");
    let is_chosen = std::env::var_os("DGNS_SEED").is_some();
    let rounds = if long { 1_000_000 } else { 20_000 };
    let mut seed = if long || is_chosen { Seed::of_the_day() } else { Seed::from(20_000) };
    let world = World::new();
    let mut hickory = Hickory::start(program, world.server.dns);
    let mut zone = Zone::read(hickory.zone());
    let mut needed: BTreeMap<&str, usize> = REASONS.iter().map(|reason| (reason.name, 0)).collect();
    let mut alike = 0;
    for _ in 0..rounds / AT_ONCE {
        let mut questions: Vec<Question> = (0..AT_ONCE).map(|_| Question::random(&zone, &mut seed)).collect();
        for look in 1.. {
            let mut differ = Vec::new();
            let answers = world.ask(&questions);
            for (question, said) in questions.iter().zip(hickory.asked(&questions, &answers)) {
                let judged = Case::new(question, &zone, said).judge();
                match &judged {
                    Ok(reasons) if reasons.is_empty() => alike += 1,
                    Ok(reasons) => reasons.iter().for_each(|name| *needed.entry(name).or_default() += 1),
                    Err(difference) if look == LOOKS => panic!("{difference}"),
                    Err(difference) => {
                        eprintln!("at look {look}, the newest head here is {}:\n{difference}", world.newest());
                        differ.push(question.clone());
                    }
                }
            }
            if differ.is_empty() {
                break;
            }
            questions = differ;
            zone = wait::until("a copy has the newest head", || {
                let copy = hickory.copies_again();
                copy.contains(&world.newest()).then(|| Zone::read(copy))
            });
        }
    }
    eprintln!("{rounds} questions, {alike} answered alike; {needed:?}");
    assert!(alike * 2 > rounds, "most answers need no reason: {alike} of {rounds}");
    let idle: Vec<_> = needed.iter().filter(|(_, count)| **count == 0).collect();
    assert!(idle.is_empty(), "reasons that nothing needs: {idle:?}");
}
