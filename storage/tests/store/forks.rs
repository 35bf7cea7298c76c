//! Forks: a database goes on from another one without a copy, from what its source had and from nothing else.

use dgns_api::store::control::Control;
use dgns_api::store::entry::{Class, Entry, LogId, LogKind};
use identity::did::Did;
use identity::hash::Hash;
use identity::token::Rights;
use storage::inject::{Failure, Plan, Step};
use storage::store::{Append, Store};
use translog::tree::{verify_consistency, verify_inclusion};

use crate::ground::{
    Device, GID, Ground, append, db, grant, leaves_and_roots, main_log, make, may_read, on_both_engines,
    on_packed_entries, open, person, revoke, turn,
};

on_both_engines! {
    a_fork_goes_on_from_its_source_and_every_size_is_proved
    what_begins_no_fork_is_refused_and_leaves_nothing
    nobody_empties_the_fork_of_somebody_else
    a_fork_is_read_by_who_read_its_source_then_and_outlives_it
}

on_packed_entries! {
    a_fork_goes_on_from_its_source_and_every_size_is_proved
    what_begins_no_fork_is_refused_and_leaves_nothing
    nobody_empties_the_fork_of_somebody_else
    a_fork_is_read_by_who_read_its_source_then_and_outlives_it
}

pub(crate) fn other(number: u8) -> Did {
    Did::from_bytes([40 + number; 20])
}

pub(crate) fn log_of(did: &Did) -> LogId {
    LogId::of(did, GID, LogKind::Shared, "main")
}

/// The head of the first `size` entries of a log.
pub(crate) async fn head(store: &Store, log: LogId, size: u64) -> (u64, Hash) {
    let all = store.log(&log).await.unwrap().unwrap();
    let root = if size == all.edge.size() {
        all.edge.root()
    } else {
        store.receipt(&log, &[], size, None).await.unwrap().unwrap().root
    };
    (size, root)
}

async fn whole(store: &Store, log: LogId) -> (u64, Hash) {
    let size = store.log(&log).await.unwrap().unwrap().edge.size();
    head(store, log, size).await
}

/// An owner of `source` forks it as `did`, which says so itself.
pub(crate) async fn forks(store: &Store, owner: (Did, u8), source: Did, did: Did, at: (u64, Hash)) -> Vec<Entry> {
    let control = LogId::control(&did);
    let statement =
        Control::Fork { source, did, salt: [did.as_bytes()[0]; 16], base: vec![(log_of(&source), at.0, at.1)] };
    let expect = Some(whole(store, LogId::control(&source)).await);
    let owner = Device::new(owner.1, owner.0, control).entry(Class::Control, &statement.encode(), expect);
    let mut itself = Device::new(did.as_bytes()[0], did, control);
    vec![owner, itself.says(&Control::Owner { did: person(1), yes: true }), itself.says(&Control::Leave)]
}

pub(crate) fn begins(entries: &[Entry]) -> Append {
    Append { payer: Some(person(1)), ..append(entries) }
}

/// Holds every entry of a log against its edge and its proofs; returns their leaves.
pub(crate) async fn proved(store: &Store, log: LogId) -> Vec<Hash> {
    let (size, root) = whole(store, log).await;
    let (leaves, roots) = leaves_and_roots(store, log, size).await;
    assert_eq!(roots[size as usize], root);
    for from in
        (0..=size).step_by(7).chain([255, 256, 257, 299, 300, 301, 511, 512].into_iter().filter(|at| *at <= size))
    {
        let path = store.grown(&log, from, size).await.unwrap().unwrap();
        assert_eq!(verify_consistency(from, &roots[from as usize], size, &root, &path), Ok(()), "from {from}");
        if from < size {
            let rows = store.receipt(&log, &[from], size, None).await.unwrap().unwrap();
            assert_eq!(verify_inclusion(&leaves[from as usize], from, size, &rows.paths[0], &root), Ok(()), "{from}");
        }
    }
    leaves
}

pub(crate) async fn fill(store: &Store, device: &mut Device, count: u64) {
    for _ in 0..count / 60 {
        let entries: Vec<Entry> = (0..60).map(|_| device.next(b"x")).collect();
        store.append(append(&entries)).await.unwrap();
    }
}

async fn a_fork_goes_on_from_its_source_and_every_size_is_proved(ground: &Ground) {
    // Goal: the entries of the source are the fork's first, under proofs that join both; each goes on by itself. Method: a source of 600, a
    // fork at 300 and a fork of that at 540, so that nodes of 256 lie before, across and behind; then all of them after a restart.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let mut itself = make(&store, &[person(1)]).await;
    store.append(append(&[itself.says(&Control::Owner { did: person(1), yes: true })])).await.unwrap();
    let mut writer = Device::new(1, person(1), main_log());
    fill(&store, &mut writer, 600).await;
    let used = store.account(&person(1)).await.unwrap().unwrap().used_bytes;
    let at = head(&store, main_log(), 300).await;
    store.append(begins(&forks(&store, (person(1), 1), db(), other(1), at).await)).await.unwrap();
    let paid = store.account(&person(1)).await.unwrap().unwrap().used_bytes - used;
    assert!(paid < 3_000, "{paid} bytes for a fork of 300 entries");
    assert_eq!(whole(&store, log_of(&other(1))).await, at);
    let mut second = Device::new(1, person(1), log_of(&other(1)));
    fill(&store, &mut second, 300).await;
    let at = head(&store, log_of(&other(1)), 540).await;
    store.append(begins(&forks(&store, (person(1), 1), other(1), other(2), at).await)).await.unwrap();
    let mut third = Device::new(1, person(1), log_of(&other(2)));
    fill(&store, &mut third, 60).await;

    store.close().await.unwrap();
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let mut leaves = Vec::new();
    for (log, size) in [(main_log(), 600), (log_of(&other(1)), 600), (log_of(&other(2)), 600)] {
        leaves.push(proved(&store, log).await);
        assert_eq!(leaves.last().unwrap().len(), size);
    }
    assert!(leaves[0][..300] == leaves[1][..300] && leaves[0][300] != leaves[1][300]);
    assert!(leaves[1][..540] == leaves[2][..540] && leaves[1][540] != leaves[2][540]);
    // The anchors have each under a name of its own.
    let labels: std::collections::BTreeSet<Hash> =
        store.grown_logs(99).await.unwrap().iter().map(|log| log.label).collect();
    assert_eq!(labels.len(), 6, "three databases, a control log and `main` each");
}

async fn what_begins_no_fork_is_refused_and_leaves_nothing(ground: &Ground) {
    let failures = Plan::default();
    let store = open(ground, &failures, 1 << 30).await;
    let mut itself = make(&store, &[person(1), person(2)]).await;
    let mut writer = Device::new(1, person(1), main_log());
    store.append(append(&[writer.next(b"one"), writer.next(b"two")])).await.unwrap();
    store.append(append(&[itself.says(&Control::Owner { did: person(1), yes: true })])).await.unwrap();
    let at = whole(&store, main_log()).await;
    let good = forks(&store, (person(1), 1), db(), other(1), at).await;
    let stale = forks(&store, (person(1), 1), db(), other(1), at).await;
    let without_a_log = {
        let statement = Control::Fork { source: db(), did: other(1), salt: [1; 16], base: Vec::new() };
        let expect = good[0].header().expect;
        let device = Device::new(1, person(1), LogId::control(&other(1)));
        vec![device.entry(Class::Control, &statement.encode(), expect), good[1].clone()]
    };
    let unheld = {
        let device = Device::new(1, person(1), LogId::control(&other(1)));
        vec![device.entry(Class::Control, good[0].body(), None), good[1].clone()]
    };
    let strange = {
        let device = Device::new(8, person(9), LogId::control(&other(1)));
        vec![device.entry(Class::Control, good[0].body(), None), good[1].clone()]
    };
    let elsewhere = {
        let device = Device::new(1, person(1), LogId::control(&other(3)));
        vec![device.entry(Class::Control, good[0].body(), good[0].header().expect)]
    };
    let cases = [
        (forks(&store, (person(2), 2), db(), other(1), at).await, "not_allowed", "a member who is no owner"),
        (forks(&store, (person(9), 8), db(), other(1), at).await, "not_found", "a stranger"),
        (strange, "not_found", "a stranger who does not know how far it is"),
        (forks(&store, (person(1), 1), db(), other(1), (1, at.1)).await, "head_mismatch", "another root"),
        (forks(&store, (person(1), 1), db(), other(1), (3, at.1)).await, "not_found", "more than there is"),
        (good[..1].to_vec(), "bad_genesis", "the new DID says nothing"),
        (without_a_log, "bad_cuts", "a log is left out"),
        (unheld, "head_mismatch", "no place in the control log is named"),
        (elsewhere, "bad_genesis", "in the control log of a third"),
    ];
    for (entries, code, what) in cases {
        let refused = store.append(begins(&entries)).await.map_err(|refusal| refusal.code());
        assert_eq!(refused, Err(code), "{what}");
        assert_eq!(store.database(&other(1)).await.unwrap(), None, "{what}");
    }
    // In a log that is there a fork is no statement.
    let again = itself.entry(Class::Control, good[0].body(), Some(whole(&store, LogId::control(&db())).await));
    assert_eq!(store.append(append(&[again])).await.map_err(|refusal| refusal.code()), Err("bad_genesis"));
    store
        .append(append(&[
            itself.says(&grant(person(3), Rights::READ)),
            itself.says(&turn(2, &[person(1), person(2), person(3)])),
        ]))
        .await
        .unwrap();
    let refused = store.append(begins(&stale)).await.map_err(|refusal| refusal.code());
    assert_eq!(refused, Err("head_mismatch"), "who may do what has changed");

    let good = forks(&store, (person(1), 1), db(), other(1), at).await;
    for (failure, code, there) in [
        (Failure::Refused, "internal", false),
        (Failure::DroppedOutcomeUnknown, "recovering", false),
        (Failure::KeptButReportedFailed, "recovering", true),
    ] {
        failures.fail_next(Step::Append, failure);
        assert_eq!(store.append(begins(&good)).await.map_err(|refusal| refusal.code()), Err(code));
        assert_eq!(store.database(&other(1)).await.unwrap().is_some(), there, "{failure:?}");
    }
    store.append(begins(&good)).await.unwrap();
    proved(&store, log_of(&other(1))).await;
}

async fn nobody_empties_the_fork_of_somebody_else(ground: &Ground) {
    // Goal: what one fork names is read for it alone. Method: a fork, and a stranger's of the same DID that names no log, decided together.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let mut itself = make(&store, &[person(1)]).await;
    let mut writer = Device::new(1, person(1), main_log());
    store.append(append(&[writer.next(b"one"), writer.next(b"two")])).await.unwrap();
    store.append(append(&[itself.says(&Control::Owner { did: person(1), yes: true })])).await.unwrap();
    let at = whole(&store, main_log()).await;
    let good = forks(&store, (person(1), 1), db(), other(1), at).await;
    let emptied = |(author, seed): (Did, u8)| {
        let statement = Control::Fork { source: db(), did: other(1), salt: [1; 16], base: Vec::new() };
        let device = Device::new(seed, author, LogId::control(&other(1)));
        vec![device.entry(Class::Control, &statement.encode(), good[0].header().expect)]
    };
    let (stranger, owner) = (emptied((person(9), 8)), emptied((person(1), 2)));
    // While the writer is busy with these, the others gather.
    let many: Vec<Entry> = (0..400).map(|_| writer.next(b"x")).collect();
    let (_, began, of_stranger, of_owner) = tokio::join!(
        store.append(append(&many)),
        store.append(begins(&good)),
        store.append(begins(&stranger)),
        store.append(begins(&owner)),
    );
    began.unwrap();
    assert!(of_stranger.is_err() && of_owner.is_err());
    assert_eq!(whole(&store, log_of(&other(1))).await, at);
    assert_eq!(proved(&store, log_of(&other(1))).await.len(), 2);
}

async fn a_fork_is_read_by_who_read_its_source_then_and_outlives_it(ground: &Ground) {
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let mut itself = make(&store, &[person(1), person(2)]).await;
    let mut writer = Device::new(1, person(1), main_log());
    store.append(append(&[writer.next(b"one")])).await.unwrap();
    store
        .append(append(&[itself.says(&Control::Owner { did: person(1), yes: true }), itself.says(&Control::Leave)]))
        .await
        .unwrap();
    let at = whole(&store, main_log()).await;
    store.append(begins(&forks(&store, (person(1), 1), db(), other(1), at).await)).await.unwrap();
    let mut owner = Device { log: LogId::control(&db()), ..Device::new(1, person(1), LogId::control(&db())) };
    let reads =
        async |log: LogId, number: u8| may_read(&store, &store.log(&log).await.unwrap().unwrap(), person(number)).await;
    // Who comes later to the source does not come to the fork, and who goes from the one stays in the other.
    let said = [
        owner.says(&grant(person(3), Rights::READ)),
        owner.says(&revoke(person(2), 1)),
        owner.says(&turn(2, &[person(1), person(3)])),
    ];
    store.append(append(&said)).await.unwrap();
    let fork = log_of(&other(1));
    assert_eq!((reads(main_log(), 2).await, reads(main_log(), 3).await), (false, true));
    assert_eq!((reads(fork, 2).await, reads(fork, 3).await), (true, false));
    let mut theirs = Device::new(2, person(2), fork);
    store.append(append(&[theirs.next(b"mine")])).await.unwrap();
    // The source ends; the fork has its entries as before.
    let ends = Control::Tombstone { ends: vec![(main_log(), 1)] };
    store.append(append(&[owner.says(&Control::Delete { yes: true }), owner.says(&ends)])).await.unwrap();
    assert_eq!(proved(&store, fork).await.len(), 2);
    let late = forks(&store, (person(1), 1), db(), other(2), at).await;
    assert_eq!(store.append(begins(&late)).await.map_err(|refusal| refusal.code()), Err("deleted"));
    store.append(append(&[theirs.next(b"mine too")])).await.unwrap();
}
