use identity::key::SigningKey;
use identity::name::Zone;
use identity::state::Leaf;

use super::fixture::{Alice, TestLog, name};
use super::*;
use crate::note::LogSigner;
use crate::policy::Policy;
use crate::resolution::{ChainRow, Written};

/// Verifies at first contact, at a moment after the newest Epoch.
fn first(log: &TestLog, subject: &Subject, bytes: &[u8]) -> Result<Resolved, VerifyError> {
    verify(&log.trust(), &mut Memory::new(log.origin.clone()), subject, bytes, log.now())
}

/// Verifies an honest answer that `bend` made dishonest.
fn bent(log: &TestLog, subject: &Subject, bend: impl FnOnce(&mut Resolution)) -> Result<Resolved, VerifyError> {
    let mut resolution = log.answer(subject);
    bend(&mut resolution);
    first(log, subject, &resolution.encode())
}

/// As [`bent`], the head bent and then signed again by the log itself.
fn bent_head(log: &TestLog, bend: impl FnOnce(&mut Head)) -> Result<Resolved, VerifyError> {
    bent(log, &name("alice"), |resolution| {
        let head = resolution.head.as_mut().unwrap();
        bend(head);
        head.log_signature = log.signer.sign(&head.checkpoint(&log.origin)).signature.try_into().unwrap();
    })
}

#[test]
fn a_live_name_leads_to_keys_and_records() {
    let (log, alice) = TestLog::new();
    let resolution = log.answer(&name("alice")).with_certificates([&alice.records]);
    let resolved = first(&log, &name("alice"), &resolution.encode()).unwrap();
    assert_eq!(resolved.status(), Status::Present);
    assert_eq!(resolved.did().unwrap().devices[0].sign, alice.device.public());
    assert_eq!(resolved.records().unwrap().rows[0].rdata, [192, 0, 2, 1]);
    assert!(resolved.is_frozen() && resolved.is_unwitnessed());
    assert_eq!(resolved.pending().len(), 1);
    assert_eq!(resolved.continuity(), Continuity::FirstContact);
    assert_eq!(resolved.log_key(), Some(log.signer.verifier_key()));
    assert_eq!((resolved.head().size, resolved.epoch().k), (5, 2));
}

#[test]
fn each_status_is_told_apart() {
    let (log, alice) = TestLog::new();
    let status = |subject: &Subject| first(&log, subject, &log.answer(subject).encode()).unwrap().status();
    assert!(matches!(status(&name("bob")), Status::Held { until_ms } if until_ms > 0));
    assert_eq!(status(&name("carol")), Status::Absent);
    assert_eq!(status(&log.absent_name(2)), Status::Absent);
    assert_eq!(status(&log.absent_name(3)), Status::Absent);
    assert_eq!(status(&Subject::Did(alice.did)), Status::Present);
    assert_eq!(status(&Subject::Did(identity::did::Did::from_bytes([9; 20]))), Status::Absent);
}

#[test]
fn any_flipped_bit_is_a_named_error() {
    // Goal: whoever carries an answer can change nothing in it. Method: flip each bit of an answer with all optional
    // parts, and every third bit (so some of each byte) of one of every other kind; nothing may pass, nothing may panic, and
    // the memory stays as it was.
    let (log, alice) = TestLog::new();
    let absent = [log.absent_name(2), log.absent_name(3)];
    let answers = [
        log.answer(&name("alice")).with_certificates([&alice.records]).with_written(vec![log.written(3)]),
        log.answer(&name("bob")),
        log.answer(&name("carol")),
        log.answer(&absent[0]),
        log.answer(&absent[1]),
        log.answer(&Subject::Did(alice.did)),
    ];
    let trust = log.trust();
    for (number, answer) in answers.into_iter().enumerate() {
        let (subject, bytes) = (answer.subject().clone(), answer.encode());
        assert!(first(&log, &subject, &bytes).is_ok());
        for at in (0..bytes.len() * 8).step_by(if number == 0 { 1 } else { 3 }) {
            let mut bytes = bytes.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            let mut memory = Memory::new(log.origin.clone());
            let found = verify(&trust, &mut memory, &subject, &bytes, log.now());
            assert!(found.is_err(), "bit {at} of {subject:?}");
            assert_eq!(memory, Memory::new(log.origin.clone()));
        }
        for len in 0..bytes.len() {
            assert_eq!(first(&log, &subject, &bytes[..len]), Err(VerifyError::Malformed));
        }
    }
}

#[test]
fn any_flipped_bit_of_an_update_is_a_named_error() {
    // Goal: the same for an answer that continues a remembered head and leaves the known state out.
    let (mut log, alice) = TestLog::new();
    let mut memory = Memory::new(log.origin.clone());
    verify(&log.trust(), &mut memory, &name("alice"), &log.answer(&name("alice")).encode(), log.now()).unwrap();
    log.batch(&[], vec![]);
    let mut update = log.answer(&name("alice")).with_consistency(log.consistency(5));
    update.answers[1] = Answer::known(&log.states[&Subject::Did(alice.did)]);
    let bytes = update.encode();
    let check = |bytes: &[u8]| verify(&log.trust(), &mut memory.clone(), &name("alice"), bytes, log.now());
    assert_eq!(check(&bytes).unwrap().continuity(), Continuity::Extends { from_size: 5 });
    assert_eq!(check(&bytes).unwrap().did(), memory.known(&alice.did).map(|known| known.state()));
    for at in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        assert!(check(&bytes).is_err(), "bit {at}");
    }
}

#[test]
fn an_answer_to_another_question_is_refused() {
    let (log, alice) = TestLog::new();
    let bytes = log.answer(&name("alice")).encode();
    assert_eq!(first(&log, &name("bob"), &bytes), Err(VerifyError::Subject));
    assert_eq!(first(&log, &Subject::Did(alice.did), &bytes), Err(VerifyError::Subject));
    // A name of another zone is nothing this log could prove absent.
    let foreign = Subject::Name("alice.other.test".into());
    assert_eq!(first(&log, &foreign, &log.answer(&foreign).encode()), Err(VerifyError::Subject));
}

#[test]
fn heads_that_the_log_did_not_sign_are_refused() {
    let (log, _) = TestLog::new();
    let stranger = LogSigner::new(log.origin.as_str(), SigningKey::from_seed(&[7; 32])).unwrap();
    let other_origin = Zone::parse("other.test").unwrap().origin();
    let error = bent(&log, &name("alice"), |resolution| {
        let head = resolution.head.as_mut().unwrap();
        head.log_signature = stranger.sign(&head.checkpoint(&log.origin)).signature.try_into().unwrap();
    });
    assert_eq!(error, Err(VerifyError::LogSignature));
    let error = bent(&log, &name("alice"), |resolution| {
        let head = resolution.head.as_mut().unwrap();
        head.log_signature = log.signer.sign(&head.checkpoint(&other_origin)).signature.try_into().unwrap();
    });
    assert_eq!(error, Err(VerifyError::LogSignature));

    let mut memory = Memory::new(other_origin);
    let bytes = log.answer(&name("alice")).encode();
    assert_eq!(verify(&log.trust(), &mut memory, &name("alice"), &bytes, log.now()), Err(VerifyError::Origin));
    let headless = bent(&log, &name("alice"), |resolution| drop(resolution.take_head()));
    assert_eq!(headless, Err(VerifyError::Malformed));
    assert_eq!(log.trust().policy(), &Policy::none());
}

#[test]
fn heads_count_only_near_their_own_time() {
    let (log, _) = TestLog::new();
    let bytes = log.answer(&name("alice")).encode();
    let at = |trust: Trust, ms: u64| {
        let mut memory = Memory::new(log.origin.clone());
        verify(&trust, &mut memory, &name("alice"), &bytes, Timestamp::from_ms(ms)).map(|_| ())
    };
    let epoch_ms = log.head.epoch().unwrap().time_ms;
    assert_eq!(at(log.trust(), epoch_ms + 300_000), Ok(()));
    assert_eq!(at(log.trust(), epoch_ms + 300_001), Err(VerifyError::StaleHead));
    assert_eq!(at(log.trust(), epoch_ms - 300_000), Ok(()));
    assert_eq!(at(log.trust(), epoch_ms - 300_001), Err(VerifyError::TimeBound));
    assert_eq!(at(log.trust().with_head_age_s_max(1), epoch_ms + 1_001), Err(VerifyError::StaleHead));
    assert_eq!(at(log.trust().with_head_age_s_max(u64::MAX), u64::MAX), Ok(()));
}

#[test]
fn heads_need_the_quorum_at_the_right_time() {
    // Goal: only cosignatures that hold, are young and lie near the Epoch count. Method: two of three, each time moved.
    let (bare, _) = TestLog::new();
    let epoch_ms = bare.head.epoch().unwrap().time_ms;
    let shown = |cosigned: &[(u8, i64)], now_ms: u64, age_s: u64| {
        let (mut log, _) = TestLog::new();
        cosigned.iter().for_each(|(n, after_ms)| log.cosign(*n, *after_ms));
        let trust = log.trust_under("group g 2 w1 w2 w3\nquorum g").with_head_age_s_max(age_s);
        let bytes = log.answer(&name("alice")).encode();
        let mut memory = Memory::new(log.origin.clone());
        let found = verify(&trust, &mut memory, &name("alice"), &bytes, Timestamp::from_ms(now_ms))?;
        assert!(!found.is_unwitnessed());
        Ok(found.quorum().unwrap().as_ms() - epoch_ms)
    };
    let near = |cosigned: &[(u8, i64)]| shown(cosigned, epoch_ms, 600);
    assert_eq!(near(&[(1, 0), (2, 2_000)]), Ok(2_000));
    assert_eq!(near(&[(1, 9_000), (2, 2_000), (3, 3_000)]), Ok(3_000), "the first two suffice");
    assert_eq!(near(&[]), Err(VerifyError::Quorum));
    assert_eq!(near(&[(1, 0), (4, 0)]), Err(VerifyError::Quorum), "a stranger");
    assert_eq!(near(&[(1, 0), (1, 0)]), Err(VerifyError::Quorum), "one witness twice");

    assert_eq!(shown(&[(1, 0), (2, 0)], epoch_ms + 10_000, 10), Ok(0));
    assert_eq!(shown(&[(1, 0), (2, 0)], epoch_ms + 10_001, 10), Err(VerifyError::StaleHead));
    assert_eq!(shown(&[(1, 0), (2, 9_000)], epoch_ms + 10_001, 10), Err(VerifyError::StaleHead), "one is young");
    assert_eq!(shown(&[(1, 8_000), (2, 9_000)], epoch_ms + 10_001, 10), Ok(9_000), "both are, the Epoch is not");

    assert_eq!(near(&[(1, -300_000), (2, 300_000)]), Ok(300_000));
    assert_eq!(near(&[(1, -301_000), (2, 0)]), Err(VerifyError::TimeBound));
    assert_eq!(near(&[(1, 0), (2, 301_000)]), Err(VerifyError::TimeBound));
    let later = shown(&[(1, 0), (2, 100_000)], epoch_ms - 200_001, 600);
    assert_eq!(later, Err(VerifyError::TimeBound), "ahead of the reader's clock");
    assert_eq!(shown(&[(1, 0), (2, 0)], u64::MAX, u64::MAX), Ok(0), "a proof that was kept");
}

#[test]
fn a_known_witness_whose_signature_fails_refuses_the_head() {
    let (mut log, _) = TestLog::new();
    (1..=3).for_each(|n| log.cosign(n, 0));
    let trust = log.trust_under("quorum w1");
    let asked = |log: &TestLog| {
        let bytes = log.answer(&name("alice")).encode();
        verify(&trust, &mut Memory::new(log.origin.clone()), &name("alice"), &bytes, log.now()).map(drop)
    };
    assert_eq!(asked(&log), Ok(()));
    log.head.cosignatures[2].time_s += 1;
    assert_eq!(asked(&log), Err(VerifyError::Quorum), "though its word is not needed");
}

#[test]
fn a_remembered_head_is_judged_by_the_policy_of_today() {
    // Goal: cosignatures are verified once, but never believed under witnesses that were not known then.
    let (mut log, _) = TestLog::new();
    log.cosign(1, 0);
    log.cosign(2, 0);
    let mut memory = Memory::new(log.origin.clone());
    let asked = name("alice");
    let bytes = log.answer(&asked).encode();
    let mut again = |trust: &Trust, log: &TestLog, ms: u64| {
        let now = Timestamp::from_ms(log.now().as_ms() + ms);
        verify(trust, &mut memory, &asked, &bytes, now).map(|found| found.log_key().is_some())
    };
    assert_eq!(again(&log.trust(), &log, 0), Ok(true));
    assert_eq!(again(&log.trust_under("quorum w2"), &log, 0), Ok(false));
    assert_eq!(again(&log.trust_under("quorum w3"), &log, 0), Err(VerifyError::Quorum));
    assert_eq!(again(&log.trust_under("quorum w2"), &log, 400_000), Err(VerifyError::StaleHead));
    assert_eq!(Memory::decode(&memory.encode()), Ok(memory.clone()));

    let (mut forged, _) = TestLog::new();
    forged.cosign(1, 0);
    forged.head.cosignatures[0].signature[0] ^= 1;
    let mut memory = Memory::new(log.origin.clone());
    let bytes = forged.answer(&asked).encode();
    let mut again = |trust: &Trust| verify(trust, &mut memory, &asked, &bytes, forged.now()).map(drop);
    assert_eq!(again(&forged.trust()), Ok(()), "nobody asks for it");
    assert_eq!(again(&forged.trust_under("quorum w1")), Err(VerifyError::Quorum), "now somebody does");
}

#[test]
fn heads_must_end_in_their_epoch() {
    // Goal: even the log cannot have another last leaf believed. Method: bend the head, let the log sign it.
    let (log, _) = TestLog::new();
    assert_eq!(bent_head(&log, |head| head.epoch_entry[0] = 1), Err(VerifyError::Epoch));
    assert_eq!(bent_head(&log, |head| head.epoch_entry.push(0)), Err(VerifyError::Epoch));
    assert_eq!(bent_head(&log, |head| head.epoch_entry[16] ^= 1), Err(VerifyError::Epoch), "covers");
    assert_eq!(bent_head(&log, |head| head.epoch_entry[40] ^= 1), Err(VerifyError::LastLeaf), "map root");
    assert_eq!(bent_head(&log, |head| head.path.truncate(0)), Err(VerifyError::LastLeaf));
    assert_eq!(bent_head(&log, |head| head.root[0] ^= 1), Err(VerifyError::LastLeaf));
}

#[test]
fn answers_must_belong_together() {
    let (log, alice) = TestLog::new();
    let did = log.answer(&Subject::Did(alice.did));
    let error = bent(&log, &name("alice"), |resolution| {
        resolution.answers.pop();
        resolution.map_proof = log.map.prove(&[label(&name("alice"))]).unwrap();
    });
    assert_eq!(error, Err(VerifyError::Binding), "the owner is missing");
    let error = bent(&log, &name("alice"), |resolution| {
        resolution.answers = did.answers.clone();
        resolution.map_proof = did.map_proof.clone();
    });
    assert_eq!(error, Err(VerifyError::Binding), "the owner alone");
    let error = bent(&log, &name("carol"), |resolution| {
        resolution.answers.push(did.answers[0].clone());
        resolution.map_proof = log.map.prove(&[label(&name("carol")), label(&Subject::Did(alice.did))]).unwrap();
    });
    assert_eq!(error, Err(VerifyError::Binding), "an owner of a free name");
    let error =
        bent(&log, &name("alice"), |resolution| resolution.answers[1] = Answer::absent(&Subject::Did(alice.did)));
    assert_eq!(error, Err(VerifyError::Binding), "an owner without a state");
}

#[test]
fn states_must_be_those_of_the_map() {
    let (log, alice) = TestLog::new();
    let absent = log.absent_name(2);
    let error = bent(&log, &name("carol"), |resolution| resolution.answers[0] = Answer::absent(&name("carol")));
    assert_eq!(error, Err(VerifyError::MapProof), "a leaf denied");
    let error = bent(&log, &absent, |resolution| {
        let mut leaf = log.states[&name("carol")].clone();
        let State::Name(state) = &mut leaf.state else { unreachable!() };
        let Subject::Name(absent) = &absent else { unreachable!() };
        state.name.clone_from(absent);
        resolution.answers[0] = Answer::present(&leaf);
    });
    assert_eq!(error, Err(VerifyError::MapProof), "a leaf invented");
    let error = bent(&log, &name("carol"), |resolution| resolution.answers[0].opened.as_mut().unwrap().version += 1);
    assert_eq!(error, Err(VerifyError::MapProof), "another version than hashed");
    let error = bent(&log, &name("carol"), |resolution| resolution.answers[0].state = None);
    assert_eq!(error, Err(VerifyError::Value), "a state left out that nobody keeps");
    let error = bent(&log, &absent, |resolution| resolution.answers[0].state = Some(vec![0xa0]));
    assert_eq!(error, Err(VerifyError::Value), "a state without a leaf");
    let other = log.answer(&name("filler1")).answers[0].state.clone();
    let error = bent(&log, &name("carol"), |resolution| resolution.answers[0].state = other);
    assert_eq!(error, Err(VerifyError::Value), "another name's state");
    let error =
        bent(&log, &name("bob"), |resolution| resolution.payloads = vec![alice.records.payload_bytes().to_vec()]);
    assert_eq!(error, Err(VerifyError::Value), "records that the state does not name");
    let error =
        bent(&log, &name("alice"), |resolution| resolution.payloads = vec![alice.genesis.payload_bytes().to_vec()]);
    assert_eq!(error, Err(VerifyError::Value), "a certificate that is no record set");
    let error = bent(&log, &Subject::Did(alice.did), |resolution| {
        resolution.payloads = vec![alice.records.payload_bytes().to_vec()];
    });
    assert_eq!(error, Err(VerifyError::Value), "records of no name");
}

#[test]
fn leaves_that_the_log_itself_made_wrong_are_refused() {
    // Goal: what is in the map and proved must still agree with itself. Method: commit to bad leaves.
    let wrong = |bend: fn(&Alice, &mut Leaf, &mut OpenedLeaf)| {
        let (mut log, alice) = TestLog::new();
        let subject = Subject::Did(alice.did);
        let mut leaf = log.states[&subject].clone();
        let mut opened = OpenedLeaf::of(&leaf);
        bend(&alice, &mut leaf, &mut opened);
        let state = leaf.state.encode();
        let delta = log.map.prepare(&[(label(&subject), opened.commitment(&state))]);
        log.map.apply(delta).unwrap();
        log.batch(&[], vec![]);
        bent(&log, &subject, |resolution| {
            resolution.answers = vec![Answer { kind: LabelKind::Did, opened: Some(opened), state: Some(state) }];
        })
    };
    assert!(wrong(|_, _, _| ()).is_ok());
    assert_eq!(wrong(|_, _, opened| opened.version += 1), Err(VerifyError::Value));
    assert_eq!(wrong(|_, _, opened| opened.flags ^= 1), Err(VerifyError::Value));
    assert_eq!(wrong(|_, _, opened| opened.flags |= 1 << 20), Err(VerifyError::Value), "an unknown flag");
    assert_eq!(wrong(|_, _, opened| opened.head_hash[0] ^= 1), Err(VerifyError::Value));
    let beyond = wrong(|_, leaf, opened| {
        let State::Did(state) = &mut leaf.state else { unreachable!() };
        (state.head.index, opened.head_index) = (5, 5);
    });
    assert_eq!(beyond, Err(VerifyError::Value), "a certificate that is the head's own Epoch");
}

#[test]
fn a_submitter_gets_a_final_proof() {
    let (log, alice) = TestLog::new();
    let answer = log.answer(&name("alice")).with_written(vec![log.written(1), log.written(3)]);
    let resolved = first(&log, &name("alice"), &answer.encode()).unwrap();
    let sids = [alice.genesis.sid(), alice.records.sid()];
    assert_eq!(resolved.verify_written(&sids), Ok(vec![1, 3]));
    assert_eq!(resolved.verify_written(&sids[..1]), Err(VerifyError::Written));
    assert_eq!(resolved.verify_written(&[sids[1], sids[0]]), Err(VerifyError::Written));
    let error = bent(&log, &name("alice"), |resolution| {
        resolution.written = vec![Written { index: 0, ..log.written(1) }];
    });
    assert_eq!(error, Err(VerifyError::Written));
}

#[test]
fn memory_only_goes_forward() {
    let (mut log, alice) = TestLog::new();
    let subject = name("alice");
    let mut memory = Memory::new(log.origin.clone());
    let old = log.answer(&subject).encode();
    verify(&log.trust(), &mut memory, &subject, &old, log.now()).unwrap();
    assert_eq!((memory.size(), memory.known(&alice.did).unwrap().version()), (Some(5), 2));
    assert_eq!(Memory::decode(&memory.encode()), Ok(memory.clone()));
    let try_with = |memory: &Memory, log: &TestLog, resolution: Resolution| {
        let mut memory = memory.clone();
        verify(&log.trust(), &mut memory, &subject, &resolution.encode(), log.now()).map(|found| (found, memory))
    };

    // The same head again, sent or left out.
    let (again, _) = try_with(&memory, &log, log.answer(&subject)).unwrap();
    assert_eq!((again.continuity(), again.log_key()), (Continuity::SameHead, None));
    let mut headless = log.answer(&subject);
    headless.take_head();
    assert_eq!(try_with(&memory, &log, headless).unwrap().1, memory);

    // Another log under the same key: a fork at one size.
    let (mut fork, _) = TestLog::new();
    let carol = Leaf { head_index: 1, ..fork.states[&name("carol")].clone() };
    fork.batch(&[], vec![carol]);
    log.batch(&[], vec![]);
    let forward = log.answer(&subject).with_consistency(log.consistency(5));
    let (_, newer) = try_with(&memory, &log, forward).unwrap();
    assert_eq!(newer.size(), Some(6));
    assert_eq!(try_with(&newer, &fork, fork.answer(&subject)).err(), Some(VerifyError::Fork));
    fork.batch(&[], vec![]);
    let aside = fork.answer(&subject).with_consistency(fork.consistency(6));
    assert_eq!(try_with(&newer, &fork, aside).err(), Some(VerifyError::Inconsistent));

    // An older head; a newer one without proof; a proof that nobody needs.
    let back = verify(&log.trust(), &mut newer.clone(), &subject, &old, log.now());
    assert_eq!(back, Err(VerifyError::Rollback));
    assert_eq!(try_with(&memory, &log, log.answer(&subject)).err(), Some(VerifyError::Inconsistent));
    let needless = log.answer(&subject).with_consistency(log.consistency(5));
    assert_eq!(try_with(&newer, &log, needless.clone()).err(), Some(VerifyError::Inconsistent));
    assert_eq!(first(&log, &subject, &needless.encode()), Err(VerifyError::Inconsistent));
}

#[test]
fn a_did_never_goes_back() {
    // Goal: a log that continues its tree still cannot show an older or another state of a DID met before.
    let (mut log, alice) = TestLog::new();
    let subject = Subject::Did(alice.did);
    let mut memory = Memory::new(log.origin.clone());
    verify(&log.trust(), &mut memory, &subject, &log.answer(&subject).encode(), log.now()).unwrap();
    let origin = log.origin.clone();
    let mut shows = |leaf: Leaf| {
        log.batch(&[], vec![leaf]);
        let bytes = log.answer(&subject).with_consistency(log.consistency(5)).encode();
        verify(&log.trust(), &mut memory.clone(), &subject, &bytes, log.now()).map(|found| found.did().unwrap().version)
    };
    assert_eq!(shows(alice.leaf(1, 1, &alice.genesis)), Err(VerifyError::Rollback));
    assert_eq!(shows(alice.leaf(2, 1, &alice.genesis)), Err(VerifyError::Chain), "one version, another state");
    let third = alice.next_records(&origin, 2, alice.records.sid());
    assert_eq!(shows(alice.leaf(3, 6, &third)), Ok(3));
    let mut other = alice.leaf(4, 3, &alice.records);
    let State::Did(state) = &mut other.state else { unreachable!() };
    (state.head.seq, state.head.sid, other.head_hash) = (1, [9; 32], [9; 32]);
    assert_eq!(shows(other), Err(VerifyError::Chain), "another certificate at the same place of the chain");
}

#[test]
fn a_page_of_rows_stays_within_the_limit() {
    let (log, alice) = TestLog::new();
    let rows = vec![log.row(3, 2); 200];
    let answer = log.answer(&Subject::Did(alice.did)).with_chain(rows.clone());
    assert_eq!(answer.chain.len(), 64);
    let fat = vec![ChainRow { envelope: vec![0; 4_000], ..rows[0].clone() }; 64];
    let bytes = log.answer(&Subject::Did(alice.did)).with_chain(fat).encode();
    assert!((60_000..=65_536).contains(&bytes.len()), "{} bytes", bytes.len());
    assert!(Resolution::decode(&bytes).is_ok());
}

#[test]
fn every_error_has_its_code() {
    use VerifyError::*;
    let all = [
        (Malformed, "malformed"),
        (Subject, "subject"),
        (Origin, "origin"),
        (LogSignature, "log_signature"),
        (Quorum, "quorum"),
        (StaleHead, "stale_head"),
        (TimeBound, "time_bound"),
        (Epoch, "epoch"),
        (LastLeaf, "last_leaf"),
        (Binding, "binding"),
        (MapProof, "map_proof"),
        (Value, "value"),
        (Written, "written"),
        (Inconsistent, "inconsistent"),
        (Rollback, "rollback"),
        (Fork, "fork"),
        (Chain, "chain"),
    ];
    assert!(all.iter().all(|(error, code)| error.code() == *code));
}
