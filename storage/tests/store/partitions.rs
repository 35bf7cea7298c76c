//! Partitions of a subscription database: each is of one user, who alone reads it; who sends something learns that it was taken (PROTOCOL 25.20).

use dgns_api::store::anchor::label;
use dgns_api::store::control::{Control, DbKind};
use dgns_api::store::entry::{Class, Entry, LogId, LogKind};
use dgns_api::store::limits::{INVITATIONS_MAX, INVITATIONS_WITHIN_MS, PROOFS_MAX};
use dgns_api::store::partition::{self, Membership, Proof, SealedInvitation};
use identity::did::Did;
use identity::sealed::Sealed;
use identity::token::Rights;
use storage::inject::{Failure, Plan, Step};
use storage::store::{Append, AppendRefusal, Arrives, Partition, Store};

use crate::forks::other;
use crate::ground::{
    self, Device, Ground, NOW_MS, append, db, grant, home, on_both_engines, on_packed_entries, open, person,
};
use crate::leases;

on_both_engines! {
    what_a_user_proves_stands_in_a_partition_that_nobody_else_reads_or_writes
    an_invitation_reaches_who_has_a_partition_and_nobody_sends_more_than_twenty_an_hour
    what_is_no_proof_is_refused_and_leaves_nothing
    a_proof_is_acknowledged_again_after_what_it_proves_is_over
    who_has_a_partition_is_told_by_nothing_else
    a_partition_ends_with_its_database
    what_nobody_pays_for_goes_from_partitions_too
    a_failed_commit_leaves_a_partition_or_none_and_the_same_bytes_tell_which
    a_grant_proves_a_member_for_as_long_as_they_are_one
}

on_packed_entries! {
    what_a_user_proves_stands_in_a_partition_that_nobody_else_reads_or_writes
    an_invitation_reaches_who_has_a_partition_and_nobody_sends_more_than_twenty_an_hour
    what_nobody_pays_for_goes_from_partitions_too
}

const ALICE: u8 = 1;
const BOB: u8 = 2;
const CAROL: u8 = 3;

/// The subscription database.
fn place() -> Did {
    other(9)
}

/// Makes it; returns a device of its owner.
async fn make(store: &Store) -> Device {
    let control = LogId::control(&place());
    let (mut itself, owner) = (Device::new(9, place(), control), Device::new(77, person(7), control));
    let said = [
        Control::Genesis { did: place(), kind: DbKind::Subscription, home: home(), salt: [3; 16] },
        Control::Owner { did: person(7), yes: true },
        Control::Leave,
    ];
    let entries: Vec<Entry> = said.iter().map(|statement| itself.says(statement)).collect();
    store.append(Append { payer: Some(person(7)), ..append(&entries) }).await.unwrap();
    owner
}

/// A device of `author` at a log of the partition of `user`.
fn device(author: u8, user: u8, kind: LogKind) -> Device {
    let log = partition::log_of(&place(), &person(user), kind);
    Device { epoch: 0, ..Device::new(author, person(author), log) }
}

fn says(device: &mut Device, body: &[u8]) -> Entry {
    let entry = device.entry(Class::Plain, body, None);
    (device.next, device.last) = (device.next + 1, Some(entry.leaf()));
    entry
}

fn to(user: u8, kind: LogKind, entry: &Entry) -> Append {
    let partition = Some(Partition { db: place(), user: person(user), kind, holds: true });
    Append { partition, ..append(std::slice::from_ref(entry)) }
}

fn opening(user: u8) -> Vec<u8> {
    Proof::Open { salt: [user; 16] }.encode()
}

fn invitation() -> Vec<u8> {
    SealedInvitation { generation: 1, sealed: Sealed { enc: [4; 32], ct: vec![5; 1_040] } }.encode()
}

/// Begins the partition of a user.
async fn begin(store: &Store, user: u8) -> Device {
    let mut device = device(user, user, LogKind::Proofs);
    let entry = says(&mut device, &opening(user));
    store.append(to(user, LogKind::Proofs, &entry)).await.unwrap();
    device
}

async fn code(store: &Store, append: Append) -> Option<&'static str> {
    store.append(append).await.err().map(|refusal| refusal.code())
}

/// Until when somebody reads a log.
async fn reads_until(store: &Store, log: &LogId, did: Did) -> u64 {
    let row = store.log(log).await.unwrap().unwrap();
    let db = store.database_of(&row).await.unwrap();
    store.reads_until(&db, &row, &did).await.unwrap()
}

async fn what_a_user_proves_stands_in_a_partition_that_nobody_else_reads_or_writes(ground: &Ground) {
    // Goal: two users of one database, its owner and the database itself; each user reads and writes what is theirs, also after a restart. In the
    // anchors a partition is found by who knows its salt alone.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    make(&store).await;
    let mut alice = begin(&store, ALICE).await;
    begin(&store, BOB).await;
    let left = says(&mut alice, &Proof::Left { db: db() }.encode());
    store.append(to(ALICE, LogKind::Proofs, &left)).await.unwrap();
    store.append(to(ALICE, LogKind::Proofs, &left)).await.unwrap();
    store.close().await.unwrap();
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let theirs = store.log(&alice.log).await.unwrap().unwrap();
    store.append(to(ALICE, LogKind::Proofs, &left)).await.unwrap();
    let read = store.range(&alice.log, 0, 64, None).await.unwrap().unwrap();
    let bodies: Vec<_> = read.entries.into_iter().map(|entry| entry.body).collect();
    assert_eq!(bodies, [opening(ALICE), left.body().to_vec()], "said three times, it counts once");
    let another = Device { next: 1, last: left.header().prev, ..alice.clone() }.entry(Class::Plain, b"another", None);
    assert_eq!(code(&store, to(ALICE, LogKind::Proofs, &another)).await, Some("lsn_conflict"));
    assert_eq!(store.equivocations(&alice.log).await.unwrap().len(), 1);
    let sent = store.log(&partition::log_of(&place(), &person(ALICE), LogKind::Invitations)).await.unwrap();
    assert_eq!(sent.map(|log| log.edge.size()), Some(0), "nobody sent anything, and that can be shown");
    for (who, reads) in [(person(ALICE), true), (person(BOB), false), (person(7), false), (place(), false)] {
        assert_eq!(reads_until(&store, &alice.log, who).await > 0, reads, "{who}");
        assert!(
            reads_until(&store, &LogId::control(&place()), who).await > 0,
            "what says nothing of users is everybody's"
        );
        assert!(!store.may_write(&theirs, &who, 1).await.unwrap(), "nor is there a chunk in a partition");
    }
    let left = Proof::Left { db: db() }.encode();
    for author in [BOB, 7, 9] {
        let mut stranger = device(author, ALICE, LogKind::Proofs);
        stranger.author = if author == 9 { place() } else { person(author) };
        let entry = says(&mut stranger, &left);
        assert_eq!(code(&store, to(ALICE, LogKind::Proofs, &entry)).await, Some("not_writer"), "{author}");
    }
    let next = says(&mut alice.clone(), &left);
    assert_eq!(code(&store, append(std::slice::from_ref(&next))).await, Some("not_found"), "by another road");
    assert_eq!(code(&store, to(BOB, LogKind::Proofs, &next)).await, Some("not_found"), "for another partition");
    assert_eq!(store.log(&alice.log).await.unwrap().unwrap(), theirs);
    let grown = store.grown_logs(100).await.unwrap();
    let labels: Vec<_> = grown.iter().map(|log| log.label).collect();
    assert!(labels.contains(&label(&alice.log, &[ALICE; 16])) && !labels.contains(&label(&alice.log, &[3; 16])));
}

async fn an_invitation_reaches_who_has_a_partition_and_nobody_sends_more_than_twenty_an_hour(ground: &Ground) {
    // Goal: twenty in any hour, whoever they go to; the same one again counts once and is no twenty-first; others are not held up. Who has no partition is
    // told from who has one by an invitation that is whole, and by nothing less.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    make(&store).await;
    let mut carol = device(CAROL, ALICE, LogKind::Invitations);
    let mut to_bob = device(CAROL, BOB, LogKind::Invitations);
    for begun in [false, true] {
        let gap = Device { next: 5, last: Some([1; 32]), ..to_bob.clone() }.entry(Class::Plain, &invitation(), None);
        let data = Device { epoch: 1, ..to_bob.clone() }.entry(Class::Data, &invitation(), None);
        let none = says(&mut to_bob.clone(), b"Come.");
        for (entry, expected) in [(none, "bad_field"), (gap, "lsn_gap"), (data, "bad_field")] {
            assert_eq!(code(&store, to(BOB, LogKind::Invitations, &entry)).await, Some(expected), "{begun}");
        }
        if !begun {
            let early = says(&mut to_bob.clone(), &invitation());
            assert_eq!(code(&store, to(BOB, LogKind::Invitations, &early)).await, Some("not_found"));
            assert!(store.log(&to_bob.log).await.unwrap().is_none());
            begin(&store, BOB).await;
        }
    }
    begin(&store, ALICE).await;
    let mut last = None;
    for number in 0..INVITATIONS_MAX as u64 {
        let (user, device) = if number % 2 == 0 { (ALICE, &mut carol) } else { (BOB, &mut to_bob) };
        let entry = says(device, &invitation());
        let sent = Append { now_ms: NOW_MS + number, ..to(user, LogKind::Invitations, &entry) };
        store.append(sent.clone()).await.unwrap();
        last = Some(sent);
    }
    store.append(last.unwrap()).await.unwrap();
    let one_more = says(&mut carol.clone(), &invitation());
    let at = |now_ms: u64| Append { now_ms, ..to(ALICE, LogKind::Invitations, &one_more) };
    let refused = store.append(at(NOW_MS + INVITATIONS_WITHIN_MS - 1)).await;
    assert_eq!(refused, Err(AppendRefusal::Rate { retry_ms: 1 }));
    let none = says(&mut device(CAROL, 5, LogKind::Invitations), &invitation());
    assert_eq!(code(&store, to(5, LogKind::Invitations, &none)).await, Some("rate"), "who has none looks the same");
    let mut bob = device(BOB, ALICE, LogKind::Invitations);
    let other = says(&mut bob, &invitation());
    store.append(to(ALICE, LogKind::Invitations, &other)).await.unwrap();
    store.close().await.unwrap();
    let store = open(ground, &Plan::default(), 1 << 30).await;
    assert_eq!(code(&store, at(NOW_MS + INVITATIONS_WITHIN_MS - 1)).await, Some("rate"), "also after a restart");
    store.append(at(NOW_MS + INVITATIONS_WITHIN_MS)).await.unwrap();
    let log = store.log(&carol.log).await.unwrap().unwrap();
    assert_eq!(log.edge.size(), INVITATIONS_MAX as u64 / 2 + 2);
    assert!(reads_until(&store, &carol.log, person(ALICE)).await > 0);
    assert_eq!(reads_until(&store, &carol.log, person(CAROL)).await, 0, "who sent it does not read it");
}

async fn what_is_no_proof_is_refused_and_leaves_nothing(ground: &Ground) {
    // Goal: each refusal of a partition, with nothing changed by it.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let owner = make(&store).await;
    ground::make(&store, &[person(ALICE)]).await;
    let fresh = device(ALICE, ALICE, LogKind::Proofs);
    let first = |body: &[u8]| says(&mut fresh.clone(), body);
    let left = Proof::Left { db: db() }.encode();
    assert_eq!(code(&store, to(ALICE, LogKind::Proofs, &first(&left))).await, Some("bad_proof"), "nothing begins it");
    assert_eq!(code(&store, to(ALICE, LogKind::Proofs, &first(b"x"))).await, Some("bad_field"));
    let class = fresh.clone();
    let data = Device { epoch: 1, ..class }.entry(Class::Data, b"x", None);
    assert_eq!(code(&store, to(ALICE, LogKind::Proofs, &data)).await, Some("bad_field"), "records are no proofs");
    let elsewhere = Partition { db: db(), user: person(ALICE), kind: LogKind::Proofs, holds: true };
    let log = elsewhere.log();
    let entry = says(&mut Device { log, ..fresh.clone() }, &opening(ALICE));
    let general = Append { partition: Some(elsewhere), ..append(&[entry]) };
    assert_eq!(code(&store, general).await, Some("not_found"), "another kind of database has none");
    assert!(store.log(&fresh.log).await.unwrap().is_none());

    let mut alice = begin(&store, ALICE).await;
    let before = store.log(&alice.log).await.unwrap().unwrap();
    let used = store.account(&person(7)).await.unwrap().unwrap();
    let of_bob = {
        let grant = Device::new(9, db(), LogId::control(&db())).says(&grant(person(BOB), Rights::READ));
        Proof::Member(Box::new(Membership { db: db(), pos: 0, epoch: 1, grant }))
    };
    let carol = device(CAROL, ALICE, LogKind::Invitations);
    for (number, (kind, entry, expected)) in [
        (LogKind::Proofs, says(&mut alice.clone(), &opening(ALICE)), "bad_proof"),
        (LogKind::Proofs, says(&mut alice.clone(), &of_bob.encode()), "bad_proof"),
        (LogKind::Invitations, says(&mut carol.clone(), b"Come."), "bad_field"),
        (LogKind::Invitations, says(&mut carol.clone(), &vec![0; 4_097]), "bad_field"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(code(&store, to(ALICE, kind, &entry)).await, Some(expected), "case {number}");
    }
    for (number, said) in
        [grant(person(ALICE), Rights::READ), Control::Log { gid: 1, kind: LogKind::Shared, label: "main".into() }]
            .iter()
            .enumerate()
    {
        let entry = owner.entry(Class::Control, &said.encode(), None);
        let refused = code(&store, append(&[entry])).await;
        assert!(matches!(refused, Some("no_groups")), "statement {number}: {refused:?}");
    }
    assert_eq!(store.log(&alice.log).await.unwrap().unwrap(), before);
    assert_eq!(store.account(&person(7)).await.unwrap().unwrap(), used);
    let mut wanting = PROOFS_MAX - 1;
    while wanting > 0 {
        let entries: Vec<Entry> = (0..wanting.min(64)).map(|_| says(&mut alice, &left)).collect();
        wanting -= entries.len() as u64;
        let more = Append { entries: entries.clone(), ..to(ALICE, LogKind::Proofs, &entries[0]) };
        store.append(more).await.unwrap();
    }
    assert_eq!(code(&store, to(ALICE, LogKind::Proofs, &says(&mut alice, &left))).await, Some("full"));
}

async fn a_partition_ends_with_its_database(ground: &Ground) {
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let mut owner = make(&store).await;
    let mut alice = begin(&store, ALICE).await;
    let left = Proof::Left { db: db() }.encode();
    store.append(append(&[owner.says(&Control::Delete { yes: true })])).await.unwrap();
    let entry = says(&mut alice, &left);
    assert_eq!(code(&store, to(ALICE, LogKind::Proofs, &entry)).await, Some("deleting"));
    let mut carol = device(CAROL, ALICE, LogKind::Invitations);
    let sent = says(&mut carol, &invitation());
    assert_eq!(code(&store, to(ALICE, LogKind::Invitations, &sent)).await, Some("deleting"));
    store.append(append(&[owner.says(&Control::Tombstone { ends: Vec::new() })])).await.unwrap();
    assert_eq!(code(&store, to(ALICE, LogKind::Proofs, &entry)).await, Some("deleted"));
    let begun = says(&mut device(BOB, BOB, LogKind::Proofs), &opening(BOB));
    assert_eq!(code(&store, to(BOB, LogKind::Proofs, &begun)).await, Some("deleted"));
}

async fn what_nobody_pays_for_goes_from_partitions_too(ground: &Ground) {
    let store = open(ground, &Plan::default(), 1 << 30).await;
    make(&store).await;
    let mut alice = begin(&store, ALICE).await;
    let mut carol = device(CAROL, ALICE, LogKind::Invitations);
    let sent = says(&mut carol, &invitation());
    store.append(to(ALICE, LogKind::Invitations, &sent)).await.unwrap();
    leases::ends(&store, 7, NOW_MS).await;
    let left = says(&mut alice, &Proof::Left { db: db() }.encode());
    assert_eq!(code(&store, to(ALICE, LogKind::Proofs, &left)).await, Some("lease_lapsed"));
    let (store, _) = leases::sweep(ground, store, NOW_MS + 1).await;
    assert_eq!(leases::bodies(&store, carol.log).await, [false]);
    assert_eq!(leases::bodies(&store, alice.log).await, [true], "what says whose it is stays");
    assert!(leases::bodies(&store, LogId::control(&place())).await.into_iter().all(|there| there));
    assert_eq!(code(&store, to(ALICE, LogKind::Proofs, &left)).await, Some("dropped"));
    leases::ends(&store, 7, NOW_MS + 2).await;
    let (store, _) = leases::sweep(ground, store, NOW_MS + 1).await;
    store.append(to(ALICE, LogKind::Proofs, &left)).await.unwrap();
    store.append(to(ALICE, LogKind::Invitations, &says(&mut carol, &invitation()))).await.unwrap();
    assert_eq!(leases::bodies(&store, carol.log).await, [false, true]);
}

async fn a_proof_is_acknowledged_again_after_what_it_proves_is_over(ground: &Ground) {
    // Goal: an answer that was lost is given again, whatever was revoked meanwhile, and nothing new is proved by it.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    make(&store).await;
    let mut alice = begin(&store, ALICE).await;
    let granted = Device::new(9, db(), LogId::control(&db())).says(&grant(person(ALICE), Rights::READ));
    let body = Proof::Member(Box::new(Membership { db: db(), pos: 0, epoch: 1, grant: granted })).encode();
    let entry = says(&mut alice, &body);
    let found = |entry: &Entry, holds: bool| {
        let append = to(ALICE, LogKind::Proofs, entry);
        Append { partition: append.partition.map(|partition| Partition { holds, ..partition }), ..append }
    };
    assert_eq!(code(&store, found(&entry, false)).await, Some("bad_proof"));
    let receipt = store.append(found(&entry, true)).await.unwrap();
    assert_eq!(store.append(found(&entry, false)).await, Ok(receipt));
    assert_eq!(code(&store, found(&says(&mut alice.clone(), &body), false)).await, Some("bad_proof"));
}

async fn who_has_a_partition_is_told_by_nothing_else(ground: &Ground) {
    // Goal: an owner who forks, and who brings a database from elsewhere, is told nothing of the logs of users.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    make(&store).await;
    let alice = begin(&store, ALICE).await;
    for (log, size) in [(alice.log, 0), (alice.log, 1), (alice.log, 2), (LogId([1; 32]), 0)] {
        let control = store.log(&LogId::control(&place())).await.unwrap().unwrap().edge;
        let (did, base) = (other(8), vec![(log, size, [0; 32])]);
        let said = Control::Fork { source: place(), did, salt: [8; 16], base };
        let fork = Device::new(77, person(7), LogId::control(&did));
        let fork = fork.entry(Class::Control, &said.encode(), Some((control.size(), control.root())));
        let begins = Append { payer: Some(person(7)), ..append(&[fork]) };
        assert_eq!(code(&store, begins).await, Some("stays"), "{size}");
    }
    let elsewhere = LogId::control(&other(6));
    let said = Control::Genesis { did: other(6), kind: DbKind::Subscription, home: home(), salt: [3; 16] };
    let arrives = Some(Arrives { here: other(5), proved: None });
    let comes = append(&[Device::new(6, other(6), elsewhere).says(&said)]);
    let comes = Append { payer: Some(person(7)), home: Some(home()), arrives, ..comes };
    assert_eq!(code(&store, comes).await, Some("stays"), "nor does one move");
    let owner = Device::new(77, person(7), LogId::control(&place()));
    let moved = Control::Trim { log: alice.log, to: 1, snapshot: 1 };
    let trims = code(&store, append(&[owner.entry(Class::Control, &moved.encode(), None)])).await;
    assert_eq!(trims, Some("no_groups"));
}

async fn a_failed_commit_leaves_a_partition_or_none_and_the_same_bytes_tell_which(ground: &Ground) {
    let failures = Plan::default();
    let store = open(ground, &failures, 1 << 30).await;
    make(&store).await;
    for (user, failure, is_kept) in [
        (21, Failure::Refused, false),
        (22, Failure::DroppedOutcomeUnknown, false),
        (23, Failure::KeptButReportedFailed, true),
    ] {
        let mut alice = device(user, user, LogKind::Proofs);
        let entry = says(&mut alice, &opening(user));
        failures.fail_next(Step::Append, failure);
        assert!(store.append(to(user, LogKind::Proofs, &entry)).await.is_err());
        assert_eq!(store.log(&alice.log).await.unwrap().is_some(), is_kept, "{failure:?}");
        store.append(to(user, LogKind::Proofs, &entry)).await.unwrap();
        let mut carol = device(CAROL, user, LogKind::Invitations);
        let sent = says(&mut carol, &invitation());
        store.append(to(user, LogKind::Invitations, &sent)).await.unwrap();
        assert_eq!(store.log(&alice.log).await.unwrap().unwrap().edge.size(), 1);
    }
}

async fn a_grant_proves_a_member_for_as_long_as_they_are_one(ground: &Ground) {
    // Goal: what stands in the control log of a database that is here, at its place, under a key that there is; after the revoke no more; of a database
    // elsewhere this server does not know.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let mut owner = ground::make(&store, &[person(ALICE)]).await;
    let said = owner.says(&grant(person(BOB), Rights::READ));
    let turned = owner.says(&ground::turn(2, &[person(ALICE), person(BOB)]));
    store.append(append(&[said.clone(), turned])).await.unwrap();
    let proof = |pos: u64, epoch: u64| Membership { db: db(), pos, epoch, grant: said.clone() };
    let proves = async |proof: Membership, who: u8| store.proves(&proof, &person(who), 1).await.unwrap();
    assert_eq!(proves(proof(4, 2), BOB).await, Some(true));
    for (wrong, who) in
        [(proof(3, 2), BOB), (proof(u64::MAX, 2), BOB), (proof(4, 3), BOB), (proof(4, 0), BOB), (proof(4, 2), ALICE)]
    {
        assert_eq!(proves(wrong.clone(), who).await, Some(false), "{wrong:?}");
    }
    assert_eq!(proves(Membership { db: other(1), ..proof(4, 2) }, BOB).await, None);
    store.append(append(&[owner.says(&ground::revoke(person(BOB), 0))])).await.unwrap();
    assert_eq!(proves(proof(4, 2), BOB).await, Some(false), "revoked");
}
