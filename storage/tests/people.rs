//! What was begun is taken once, in time, by the finish it was made for; what is old goes away.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where and stop")]

use std::sync::Arc;

use identity::cert::Kid;
use identity::did::Did;
use identity::hash::sha256;
use storage::people::{
    AccountRow, Added, AliasRow, AttestedRow, Erased, JoinChange, JoinWhat, NotaryCount, PasskeyRow, People, Reserved,
    SealedRow, StartKind, StartRow, Told, Unlinked, Updated, Used, Word,
};
use storage::{Options, Storage, fsck};

fn start(number: u8, until_s: u64) -> StartRow {
    StartRow { state: [number; 32], kind: StartKind::Oidc, data: vec![number; 100], until_s }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_that_bring_one_state_gets_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let people = Arc::new(People::open(dir.path()).await.unwrap());
    people.put_start(&start(1, 600), 0).await.unwrap();
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let people = people.clone();
        racers.spawn(async move { people.take_start(&[1; 32], StartKind::Oidc, 599).await.unwrap() });
    }
    let got: Vec<Vec<u8>> = racers.join_all().await.into_iter().flatten().collect();
    assert_eq!(got, [vec![1; 100]]);
}

#[tokio::test]
async fn a_start_is_for_its_kind_its_time_and_survives_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let people = People::open(dir.path()).await.unwrap();
    people.put_start(&start(1, 600), 0).await.unwrap();
    people.put_start(&start(2, 600), 0).await.unwrap();
    assert_eq!(people.take_start(&[1; 32], StartKind::Passkey, 1).await.unwrap(), None, "of another kind");
    assert_eq!(people.take_start(&[9; 32], StartKind::Oidc, 1).await.unwrap(), None, "unknown");
    people.close().await.unwrap();
    let people = People::open(dir.path()).await.unwrap();
    assert!(people.peek_start(&[1; 32], StartKind::Oidc, 599).await.unwrap().is_some());
    assert!(people.peek_start(&[1; 32], StartKind::Oidc, 600).await.unwrap().is_none(), "too late");
    assert!(
        people.take_start(&[1; 32], StartKind::Oidc, 599).await.unwrap().is_some(),
        "the wrong kind did not take it"
    );
    assert!(people.take_start(&[1; 32], StartKind::Oidc, 599).await.unwrap().is_none(), "taken");
    assert!(people.take_start(&[2; 32], StartKind::Oidc, 600).await.unwrap().is_none(), "too late");
}

#[tokio::test]
async fn old_starts_are_swept_by_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let people = People::open(dir.path()).await.unwrap();
    for number in 0..20 {
        people.put_start(&start(number, 600), 0).await.unwrap();
    }
    for number in 20..23 {
        people.put_start(&start(number, 2_000), 1_000).await.unwrap();
    }
    for number in 0..23 {
        let there = people.peek_start(&[number; 32], StartKind::Oidc, 1).await.unwrap().is_some();
        assert_eq!(there, number >= 20, "{number}");
    }
}

#[tokio::test]
async fn one_process_holds_it_and_the_check_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    Storage::open(dir.path()).await.unwrap().close().await.unwrap();
    assert!(!People::is_in(dir.path()));
    let people = People::open(dir.path()).await.unwrap();
    assert_eq!(People::open(dir.path()).await.err().unwrap().code(), "locked");
    assert_eq!(fsck::check(dir.path(), None).await.err().unwrap().code(), "locked");
    people.close().await.unwrap();
    assert_eq!(fsck::check(dir.path(), None).await.unwrap().faults, []);
    std::fs::write(dir.path().join("people.db"), [7; 4096]).unwrap();
    let options = Options { create: false, ..Options::default() };
    assert_eq!(People::open_with(dir.path(), options).await.err().unwrap().code(), "corrupt");
    let faults = fsck::check(dir.path(), None).await.unwrap().faults;
    assert_eq!(faults.iter().map(|fault| fault.code()).collect::<Vec<_>>(), ["corrupt"]);
}

fn attested(number: u8) -> AttestedRow {
    AttestedRow {
        evidence: [number; 32],
        account: [100; 32],
        email: Some([number; 32]),
        issuer: [9; 32],
        sign: [1; 32],
        kex: [2; 32],
        until_s: 600,
    }
}

#[tokio::test]
async fn a_sign_in_gives_so_many_names_to_one_did() {
    let dir = tempfile::tempdir().unwrap();
    let people = People::open(dir.path()).await.unwrap();
    let (row, did, other) = (attested(1), Did::from_bytes([1; 20]), Did::from_bytes([2; 20]));
    people.put_attested(&row, 0).await.unwrap();
    assert_eq!(people.attested(&row.evidence, 599).await.unwrap(), Some(row.clone()));
    assert_eq!(people.attested(&row.evidence, 600).await.unwrap(), None, "too late");
    let reserve = async |name: &str, did, over| people.reserve_name(&row, name, did, over, (2, 5)).await.unwrap();
    let pin = AccountRow { account: row.account, did, email: row.email, since_s: 5 };
    assert_eq!(reserve("a.dgns.test", did, None).await, Reserved::Yes { before: None });
    for name in ["b.dgns.test", "a.dgns.test"] {
        assert_eq!(reserve(name, did, None).await, Reserved::Yes { before: Some(pin.clone()) }, "{name}");
    }
    assert_eq!(reserve("c.dgns.test", did, None).await, Reserved::Spent);
    assert_eq!(reserve("b.dgns.test", other, None).await, Reserved::Other(did));
    assert_eq!(people.attested_names(&row.evidence).await.unwrap(), 2);
    people.give_name_back(&row, "b.dgns.test", did, Some(&pin)).await.unwrap();
    assert_eq!(people.account(&row.account).await.unwrap(), Some(pin.clone()), "it led there before");
    assert_eq!(
        reserve("c.dgns.test", other, Some(did)).await,
        Reserved::Yes { before: Some(pin.clone()) },
        "never logged"
    );
    assert_eq!(people.account(&row.account).await.unwrap().unwrap().did, other);
    people.give_name_back(&row, "c.dgns.test", did, None).await.unwrap();
    assert_eq!(people.account(&row.account).await.unwrap().unwrap().did, other, "who gives back has it no more");
    assert!(matches!(reserve("c.dgns.test", other, None).await, Reserved::Yes { .. }));
    people.give_name_back(&row, "c.dgns.test", other, None).await.unwrap();
    assert_eq!(people.account(&row.account).await.unwrap(), None, "it led nowhere before");
}

#[tokio::test]
async fn an_account_is_found_by_the_address_of_its_last_sign_in() {
    let dir = tempfile::tempdir().unwrap();
    let people = People::open(dir.path()).await.unwrap();
    let row = AccountRow { account: [100; 32], did: Did::from_bytes([1; 20]), email: Some([1; 32]), since_s: 7 };
    people.pin_account(&row).await.unwrap();
    people.pin_account(&AccountRow { since_s: 9, ..row.clone() }).await.unwrap();
    assert_eq!(people.accounts_of_email(&[1; 32]).await.unwrap(), [row], "pinned since the first time");
    people.put_attested(&attested(2), 0).await.unwrap();
    assert_eq!(people.accounts_of_email(&[1; 32]).await.unwrap(), []);
    assert_eq!(people.accounts_of_email(&[2; 32]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_account_is_listed_and_taken_away_but_not_while_an_address_is_bound_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let people = People::open(dir.path()).await.unwrap();
    let (row, did, other) = (attested(1), Did::from_bytes([1; 20]), Did::from_bytes([2; 20]));
    people.put_attested(&row, 0).await.unwrap();
    let pin = AccountRow { account: row.account, did, email: row.email, since_s: 5 };
    people.pin_account(&pin).await.unwrap();
    people.pin_account(&AccountRow { account: [101; 32], did, email: None, since_s: 6 }).await.unwrap();
    let links = people.links_of(&did).await.unwrap();
    let seen: Vec<_> = links.iter().map(|link| (link.account, link.issuer, link.since_s, link.has_email)).collect();
    assert_eq!(seen, [([100; 32], Some([9; 32]), 5, true), ([101; 32], None, 6, false)]);
    assert_eq!(people.links_of(&other).await.unwrap(), []);

    let id = sha256(&[&row.account]);
    let alias = AliasRow { did, alias: [3; 32], account: row.account, sealed: Vec::new(), bound: false, since_s: 7 };
    assert!(people.put_alias(&alias).await.unwrap());
    people.alias_was_bound(&did, &alias.alias).await.unwrap();
    assert_eq!(people.unlink(&did, &id).await.unwrap(), Unlinked::Bound);
    people.erase_alias(&did, &alias.alias).await.unwrap();
    assert_eq!(people.unlink(&other, &id).await.unwrap(), Unlinked::Unknown, "another's");
    assert_eq!(people.unlink(&did, &row.account).await.unwrap(), Unlinked::Unknown, "what is kept names nothing");
    assert_eq!(people.unlink(&did, &id).await.unwrap(), Unlinked::Yes);
    assert_eq!(people.account(&row.account).await.unwrap(), None);
    assert_eq!(people.unlink(&did, &id).await.unwrap(), Unlinked::Unknown);
    // A passkey's account is taken away with the passkey.
    let account = AccountRow { account: [7; 32], did, email: None, since_s: 8 };
    people.add_passkey(&passkey(1, 7), Some(&account), 4).await.unwrap();
    assert_eq!(people.links_of(&did).await.unwrap().len(), 1);
}

fn passkey(number: u8, account: u8) -> PasskeyRow {
    PasskeyRow {
        credential: [number; 32],
        id: vec![number; 20],
        account: [account; 32],
        handle: [account; 16],
        public: [number; 64],
        counter: 0,
        backed_up: false,
        recipient: None,
        made_s: 100_000,
        used_s: 100_000,
    }
}

#[tokio::test]
async fn a_passkey_is_one_persons_and_is_gone_once_removed() {
    let dir = tempfile::tempdir().unwrap();
    let people = People::open(dir.path()).await.unwrap();
    let (alice, bob) = (Did::from_bytes([1; 20]), Did::from_bytes([2; 20]));
    let pin = |account, did| AccountRow { account: [account; 32], did, email: None, since_s: 1 };
    let (of_alice, of_bob) = (pin(1, alice), pin(2, bob));
    assert_eq!(people.add_passkey(&passkey(1, 1), Some(&of_alice), 2).await.unwrap(), Added::Yes);
    assert_eq!(people.add_passkey(&passkey(1, 2), Some(&of_bob), 2).await.unwrap(), Added::Known, "of somebody else");
    assert_eq!(people.add_passkey(&passkey(2, 1), Some(&of_alice), 2).await.unwrap(), Added::Yes);
    assert_eq!(people.add_passkey(&passkey(3, 1), Some(&of_alice), 2).await.unwrap(), Added::TooMany);
    assert_eq!(people.passkeys(&alice).await.unwrap(), [passkey(1, 1), passkey(2, 1)]);
    assert_eq!(people.passkeys(&bob).await.unwrap(), []);
    assert!(people.set_passkey_recipient(&alice, &[2; 32], Some(&[7; 32])).await.unwrap());
    assert!(!people.set_passkey_recipient(&bob, &[2; 32], None).await.unwrap(), "not theirs");
    assert_eq!(people.passkey(&[2; 32]).await.unwrap().unwrap().recipient, Some([7; 32]));
    assert!(!people.remove_passkey(&bob, &[1; 32]).await.unwrap(), "not theirs");
    assert!(people.remove_passkey(&alice, &[1; 32]).await.unwrap());
    assert!(!people.remove_passkey(&alice, &[1; 32]).await.unwrap(), "once");
    assert_eq!(people.use_passkey(&[1; 32], 5, false, 6).await.unwrap(), Used::Gone);
    assert_eq!(people.passkeys(&alice).await.unwrap().len(), 1);
    assert!(people.remove_passkey(&alice, &[2; 32]).await.unwrap());
    assert_eq!(
        people.links_of(&alice).await.unwrap(),
        [],
        "nothing of it is left to be taken for a sign-in at an issuer"
    );
}

#[tokio::test]
async fn a_counter_goes_on_or_stays_at_zero() {
    let dir = tempfile::tempdir().unwrap();
    let people = People::open(dir.path()).await.unwrap();
    people.add_passkey(&passkey(1, 1), None, 2).await.unwrap();
    let cases = [(0, true), (0, true), (5, true), (5, false), (4, false), (0, false), (6, true)];
    for (counter, taken) in cases {
        let used = people.use_passkey(&[1; 32], counter, true, 7).await.unwrap();
        assert_eq!(used == Used::Yes, taken, "counter {counter}: {used:?}");
    }
    let row = people.passkey(&[1; 32]).await.unwrap().unwrap();
    assert_eq!((row.counter, row.backed_up, row.used_s), (6, true, 7));
}

#[tokio::test]
async fn passkeys_that_led_to_no_name_are_forgotten_after_a_day() {
    let dir = tempfile::tempdir().unwrap();
    let people = People::open(dir.path()).await.unwrap();
    let pin = AccountRow { account: [2; 32], did: Did::from_bytes([2; 20]), email: None, since_s: 1 };
    people.add_passkey(&passkey(1, 1), None, 2).await.unwrap();
    people.add_passkey(&passkey(2, 2), Some(&pin), 2).await.unwrap();
    let next = |number: u8, made_s| PasskeyRow { made_s, ..passkey(number, number) };
    people.add_passkey(&next(3, 186_400), None, 2).await.unwrap();
    assert!(people.passkey(&[1; 32]).await.unwrap().is_some(), "a day has not passed");
    people.add_passkey(&next(4, 186_401), None, 2).await.unwrap();
    let mut left = Vec::new();
    for number in [1, 2, 3, 4] {
        left.push(people.passkey(&[number; 32]).await.unwrap().is_some());
    }
    assert_eq!(left, [false, true, true, true]);
}

#[tokio::test]
async fn what_is_kept_of_an_alias_goes_with_the_address_of_its_account() {
    let dir = tempfile::tempdir().unwrap();
    let people = People::open(dir.path()).await.unwrap();
    let (ada, bob) = (Did::from_bytes([1; 20]), Did::from_bytes([2; 20]));
    let row = |did, alias: u8, since_s| AliasRow {
        did,
        alias: [alias; 32],
        account: [7; 32],
        sealed: vec![alias; 9],
        bound: false,
        since_s,
    };
    let pin = AccountRow { account: [7; 32], did: ada, email: Some([8; 32]), since_s: 1 };
    people.pin_account(&pin).await.unwrap();
    assert!(people.put_alias(&row(ada, 1, 5)).await.unwrap());
    people.alias_was_bound(&ada, &[1; 32]).await.unwrap();
    assert!(people.put_alias(&row(ada, 2, 6)).await.unwrap());
    assert!(people.put_alias(&AliasRow { sealed: vec![3], ..row(ada, 1, 7) }).await.unwrap(), "signed for again");
    people.close().await.unwrap();
    let people = People::open(dir.path()).await.unwrap();
    let kept = people.aliases_of(&ada).await.unwrap();
    let first = AliasRow { sealed: vec![3], bound: true, ..row(ada, 1, 7) };
    assert_eq!(kept, [row(ada, 2, 6), first.clone()]);
    assert_eq!(people.aliases_of_account(&[7; 32]).await.unwrap(), kept);
    assert_eq!(people.erase_alias(&bob, &[1; 32]).await.unwrap(), Erased::default(), "another's");
    assert_eq!(people.accounts_of_did(&ada).await.unwrap(), (1, 1));
    assert_eq!(people.erase_alias(&ada, &[1; 32]).await.unwrap(), Erased { aliases: 1, addresses: 1 });
    assert_eq!(people.erase_alias(&ada, &[1; 32]).await.unwrap(), Erased::default());
    assert_eq!(people.accounts_of_did(&ada).await.unwrap(), (1, 0));
    assert!(people.put_alias(&row(bob, 1, 6 + 86_400)).await.unwrap());
    assert_eq!(people.aliases_of(&ada).await.unwrap(), [], "the log never bound it");
    for alias in 2..=32 {
        assert!(people.put_alias(&row(bob, alias, 90_000)).await.unwrap());
    }
    assert!(!people.put_alias(&row(bob, 33, 90_000)).await.unwrap(), "one too many");
    assert!(people.put_alias(&row(bob, 32, 90_000)).await.unwrap(), "in its own place");
}

#[tokio::test]
async fn what_notaries_said_is_counted_once_however_often_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let people = People::open(dir.path()).await.unwrap();
    let (a, b) = (Kid([1; 8]), Kid([2; 8]));
    let said = [
        Word::Login { sid: [1; 32], kid: a },
        Word::Login { sid: [2; 32], kid: a },
        Word::Login { sid: [3; 32], kid: b },
        Word::Disputed { login: [2; 32] },
        Word::Disputed { login: [9; 32] },
        Word::Attempt { sid: [4; 32], kid: b },
        Word::Attempt { sid: [5; 32], kid: b },
        Word::Proved { attempt: [5; 32] },
    ];
    let told = Told { words: said.to_vec(), cursor: Some(8), ..Told::default() };
    people.put_told("test", &told, 0).await.unwrap();
    let again = Told { words: said[..3].to_vec(), cursor: Some(8), ..Told::default() };
    people.put_told("test", &again, 0).await.unwrap();
    people.close().await.unwrap();
    let people = People::open(dir.path()).await.unwrap();
    let count = |kid, logins, disputed, attempts, proved| NotaryCount { kid, logins, disputed, attempts, proved };
    assert_eq!(people.notary_counts().await.unwrap(), [count(a, 2, 1, 0, 0), count(b, 1, 0, 2, 1)]);
}

#[tokio::test]
async fn what_devices_join_has_a_version_and_pushes_wait_until_they_are_taken() {
    // Goal: two devices do not undo each other, and a crash between claim and end has a push tried again. Method: an update for an old
    // version; a claim that nobody ends; the database opened anew in between.
    let home = tempfile::tempdir().unwrap();
    let (did, device, log) = (Did::from_bytes([1; 20]), [2; 32], [3; 16]);
    let change = |what| JoinChange { device, name: "db.alice".to_owned(), log, what };
    let people = People::open(home.path()).await.unwrap();
    assert_eq!(people.update_joins(&did, 1, &[change(JoinWhat::Join)]).await.unwrap(), Updated::Version(1));
    assert_eq!(people.update_joins(&did, 1, &[change(JoinWhat::Leave)]).await.unwrap(), Updated::Other(1));
    assert_eq!(people.joins_of_did(&did).await.unwrap().1.len(), 1, "nothing of it was done");
    assert_eq!(people.update_joins(&did, 2, &[change(JoinWhat::Mute(500))]).await.unwrap(), Updated::Version(2));
    let row = SealedRow { did, enc: [5; 32], sealed: vec![6; 40] };
    assert!(people.awaiting("db.alice", &log, 9, 600).await.unwrap().is_empty(), "no subscription");
    people.put_subscription(&device, Some(&row)).await.unwrap();
    assert!(people.awaiting("db.alice", &log, 9, 400).await.unwrap().is_empty(), "muted");
    assert_eq!(people.awaiting("db.alice", &log, 9, 600).await.unwrap().len(), 1);
    let push = |size| vec![(device, "db.alice".to_owned(), log, size)];
    people.put_pushes(&push(9), 1_000, 600).await.unwrap();
    people.put_pushes(&push(12), 5_000, 700).await.unwrap();
    people.put_pushes(&push(11), 5_000, 800).await.unwrap();
    assert!(people.claim_pushes(900, 31_000, 8).await.unwrap().is_empty());
    let claimed = people.claim_pushes(1_000, 31_000, 8).await.unwrap();
    assert_eq!(claimed.iter().map(|row| (row.size, row.tries)).collect::<Vec<_>>(), [(12, 0)]);
    drop(people);

    let people = People::open(home.path()).await.unwrap();
    assert!(people.claim_pushes(30_999, 40_000, 8).await.unwrap().is_empty());
    let claimed = people.claim_pushes(31_000, 61_000, 8).await.unwrap();
    assert_eq!(claimed.iter().map(|row| (row.size, row.tries)).collect::<Vec<_>>(), [(12, 1)]);
    // It grew while it was under way: what was taken is not all.
    people.put_pushes(&push(20), 40_000, 32_000).await.unwrap();
    people.push_done(&claimed[0], true).await.unwrap();
    let claimed = people.claim_pushes(32_000, 62_000, 8).await.unwrap();
    assert_eq!(claimed.iter().map(|row| (row.size, row.tries)).collect::<Vec<_>>(), [(20, 0)]);
    people.push_done(&claimed[0], true).await.unwrap();
    assert!(people.awaiting("db.alice", &log, 20, 600_000).await.unwrap().is_empty(), "it was sent");
    assert_eq!(people.push_counts().await.unwrap(), (1, 0));
    people.forget_device(&device).await.unwrap();
    assert_eq!(
        (people.subscription(&device).await.unwrap(), people.joins_of_did(&did).await.unwrap()),
        (None, (2, vec![]))
    );
    let mute = [change(JoinWhat::Join), change(JoinWhat::Mute(7))];
    assert_eq!(people.update_joins(&did, 0, &mute).await.unwrap(), Updated::Version(3), "all there is");
    people.close().await.unwrap();
}
