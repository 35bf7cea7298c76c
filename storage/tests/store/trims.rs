//! Trimmed logs: owners let the bodies of first entries go, in steps that may be cut short anywhere, and nothing else goes.

use dgns_api::store::control::Control;
use dgns_api::store::entry::{Class, Entry, LogId, LogKind};
use identity::token::Rights;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use storage::inject::{Failure, Plan, Step};
use storage::store::{Append, Grace, Store, Sweep};

use crate::chunks::chunk;
use crate::collected::{collect_all, names, put, there, used};
use crate::forks::{fill, forks, head, log_of, other};
use crate::ground::{
    Device, GID, Ground, NOW_MS, append, db, grant, main_log, make, on_both_engines, on_packed_entries, open, person,
};
use crate::leases::{bodies, ends, sweep, sweep_and_kill};

on_both_engines! {
    what_is_trimmed_goes_in_steps_and_nothing_else_does
    nobody_but_an_owner_trims_and_only_before_a_snapshot_that_is_there
    a_fork_keeps_what_its_source_trims_and_the_other_way_round
    a_log_is_trimmed_further_after_its_account_was_paid_again
    a_trim_that_fails_or_is_killed_anywhere_goes_on_and_ends
}

on_packed_entries! {
    what_is_trimmed_goes_in_steps_and_nothing_else_does
    nobody_but_an_owner_trims_and_only_before_a_snapshot_that_is_there
    a_fork_keeps_what_its_source_trims_and_the_other_way_round
    a_log_is_trimmed_further_after_its_account_was_paid_again
    a_trim_that_fails_or_is_killed_anywhere_goes_on_and_ends
}

/// What an owner says of the log of the database.
pub(crate) fn trim(to: u64, snapshot: u64) -> Control {
    Control::Trim { log: main_log(), to, snapshot }
}

/// A log of 600 entries of a byte each, and a snapshot behind them.
async fn filled(store: &Store) -> (Device, Device) {
    let itself = make(store, &[person(1)]).await;
    let mut writer = Device::new(1, person(1), main_log());
    fill(store, &mut writer, 600).await;
    snapshot(store, &mut writer).await;
    (itself, writer)
}

/// Appends a snapshot; returns its place.
pub(crate) async fn snapshot(store: &Store, writer: &mut Device) -> u64 {
    let entry = writer.entry(Class::Snapshot, b"sealed", None);
    (writer.next, writer.last) = (writer.next + 1, Some(entry.leaf()));
    store.append(append(&[entry])).await.unwrap().placed[0].pos
}

async fn code(store: &Store, entry: Entry) -> Option<&'static str> {
    store.append(append(&[entry])).await.err().map(|refusal| refusal.code())
}

async fn trimmed_to(store: &Store, log: LogId) -> (u64, u64) {
    let row = store.log(&log).await.unwrap().unwrap();
    (row.dropped_to, row.trimmed_to)
}

async fn what_is_trimmed_goes_in_steps_and_nothing_else_does(ground: &Ground) {
    // Goal: bodies before the place go, and what is charged for them and for chunks that they alone name; headers, proofs, receipts and all else
    // stay, and the log goes on. Method: 600 entries behind one with chunks; a crash after each step.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let mut itself = make(&store, &[person(1)]).await;
    let mut writer = Device::new(1, person(1), main_log());
    let (alone, again) = (chunk(1, 20_000), chunk(2, 20_000));
    for one in [&alone, &again] {
        put(&store, one, NOW_MS).await;
    }
    names(&store, &mut writer, Class::Data, &[&alone]).await;
    names(&store, &mut writer, Class::Snapshot, &[&again]).await;
    let resent = writer.next(b"resent");
    let receipt = store.append(append(std::slice::from_ref(&resent))).await.unwrap();
    fill(&store, &mut writer, 600).await;
    names(&store, &mut writer, Class::Snapshot, &[&again]).await;
    fill(&store, &mut writer, 60).await;
    let (whole, before) = (head(&store, main_log(), 664).await, used(&store, 1).await);
    let sizes = |rows: &[bool]| rows.iter().filter(|there| **there).count() as u64;

    store.append(append(&[itself.says(&trim(500, 603))])).await.unwrap();
    let said = used(&store, 1).await;
    assert!(said > before, "what is said is charged");
    assert_eq!(store.snapshots(&store.log(&main_log()).await.unwrap().unwrap()).await.unwrap(), [603]);
    let (store, steps) = sweep(ground, store, NOW_MS).await;
    assert!(steps > 2, "{steps}");
    let there_now = bodies(&store, main_log()).await;
    assert_eq!(there_now, (0..664).map(|pos| pos >= 500).collect::<Vec<_>>());
    assert_eq!(trimmed_to(&store, main_log()).await, (500, 500));
    let gone = said - used(&store, 1).await;
    assert_eq!(
        gone,
        664 - sizes(&there_now) + ("resent".len() + 2 * "sealed".len()) as u64 - 3,
        "a byte each, but for three"
    );
    assert_eq!(head(&store, main_log(), 664).await, whole);
    assert_eq!(store.append(append(&[resent])).await, Ok(receipt), "it is acknowledged as before");
    assert!(bodies(&store, LogId::control(&db())).await.iter().all(|there| *there));

    collect_all(&store, 10).await;
    assert_eq!(there(&store, &[&alone, &again]).await, [false, true], "a snapshot that stays names the other");
    store.append(append(&[writer.next(b"on")])).await.unwrap();
    assert_eq!(code(&store, itself.entry(Class::Control, &trim(500, 603).encode(), None)).await, Some("said"));
    store.append(append(&[itself.says(&trim(603, 603))])).await.unwrap();
    let (store, _) = sweep(ground, store, NOW_MS).await;
    assert_eq!(bodies(&store, main_log()).await, (0..665).map(|pos| pos >= 603).collect::<Vec<_>>());
    collect_all(&store, 20).await;
    assert_eq!(there(&store, &[&again]).await, [true]);
}

async fn nobody_but_an_owner_trims_and_only_before_a_snapshot_that_is_there(ground: &Ground) {
    // Goal: what is refused changes nothing, whoever says it. Method: statements of an owner that name no snapshot of this log, and good ones of
    // others; then a good one, and the same again.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let (mut itself, mut writer) = filled(&store).await;
    store.append(append(&[itself.says(&grant(person(2), Rights::ALL))])).await.unwrap();
    let mut granter = Device::new(2, person(2), LogId::control(&db()));
    let in_control = Device { log: LogId::control(&db()), ..Device::new(1, person(1), main_log()) };
    let as_data = Device { log: main_log(), next: 0, last: None, ..itself.clone() };
    let says = |control: &Control| itself.entry(Class::Control, &control.encode(), None);
    let of = |log: LogId| Control::Trim { log, to: 5, snapshot: 600 };
    for (what, entry, expected) in [
        ("beyond the size", says(&trim(602, 602)), "trim_unsafe"),
        ("before data", says(&trim(5, 599)), "trim_unsafe"),
        ("before a snapshot to be", says(&trim(5, 601)), "trim_unsafe"),
        ("of the snapshot, too", says(&trim(601, 600)), "trim_unsafe"),
        ("of nothing", says(&trim(0, 600)), "said"),
        ("of the control log", says(&of(LogId::control(&db()))), "bad_cuts"),
        ("of another database", says(&of(log_of(&other(1)))), "bad_cuts"),
        ("by who may grant", granter.entry(Class::Control, &trim(5, 600).encode(), None), "not_allowed"),
        ("by a writer", in_control.entry(Class::Control, &trim(5, 600).encode(), None), "not_allowed"),
        ("as data", as_data.entry(Class::Control, &trim(5, 600).encode(), None), "bad_field"),
    ] {
        assert_eq!(code(&store, entry).await, Some(expected), "{what}");
        assert_eq!(trimmed_to(&store, main_log()).await, (0, 0), "{what}");
    }
    let none = store.append(append(&[granter.says(&trim(5, 600))])).await;
    assert!(none.is_err());
    // All or none: a request whose second statement is refused trims nothing.
    let both = [itself.entry(Class::Control, &trim(5, 600).encode(), None), {
        let mut after = itself.clone();
        after.says(&trim(5, 600));
        after.says(&trim(4, 600))
    }];
    assert_eq!(store.append(append(&both)).await.map_err(|refusal| refusal.code()), Err("said"));
    assert_eq!(trimmed_to(&store, main_log()).await, (0, 0));
    let good = itself.says(&trim(300, 600));
    let receipt = store.append(append(std::slice::from_ref(&good))).await.unwrap();
    assert_eq!(store.append(append(&[good])).await, Ok(receipt), "said again it is acknowledged again");
    assert_eq!(trimmed_to(&store, main_log()).await, (0, 300));
    store.append(append(&[writer.next(b"x")])).await.unwrap();
    assert_eq!(trimmed_to(&store, main_log()).await, (0, 300), "who appends takes nothing back");
    let end =
        [itself.says(&Control::Delete { yes: true }), itself.entry(Class::Control, &trim(301, 600).encode(), None)];
    assert_eq!(store.append(append(&end)).await.map_err(|refusal| refusal.code()), Err("deleting"));
}

async fn a_fork_keeps_what_its_source_trims_and_the_other_way_round(ground: &Ground) {
    // Goal: a body goes once no log has it that was not trimmed. Method: a source of 600 entries and a fork at 300; the source is trimmed to 500,
    // then the fork to 200, and then a fork of the trimmed source is made, before and after its bodies went.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let (mut itself, mut writer) = filled(&store).await;
    store.append(append(&[itself.says(&Control::Owner { did: person(1), yes: true })])).await.unwrap();
    let begun = forks(&store, (person(1), 1), db(), other(1), head(&store, main_log(), 300).await).await;
    store.append(Append { payer: Some(person(2)), ..append(&begun) }).await.unwrap();
    let fork = log_of(&other(1));
    let mut on = Device::new(1, person(1), fork);
    let stands = snapshot(&store, &mut on).await;
    store.append(append(&[itself.says(&trim(500, 600))])).await.unwrap();
    let (store, _) = sweep(ground, store, NOW_MS).await;
    assert_eq!(bodies(&store, main_log()).await, (0..601).map(|pos| !(300..500).contains(&pos)).collect::<Vec<_>>());
    assert_eq!(bodies(&store, fork).await, vec![true; 301], "the fork has all that it goes on from");

    let mut owner = Device::new(1, person(1), LogId::control(&other(1)));
    owner.next = 1;
    owner.last = Some(begun[0].leaf());
    let of_fork = |to: u64| Control::Trim { log: fork, to, snapshot: stands };
    store.append(append(&[owner.says(&of_fork(200))])).await.unwrap();
    let (store, _) = sweep(ground, store, NOW_MS).await;
    assert_eq!(
        bodies(&store, main_log()).await,
        (0..601).map(|pos| (200..300).contains(&pos) || pos >= 500).collect::<Vec<_>>()
    );

    // A fork of what is trimmed has no more of it, and holds up nothing.
    snapshot(&store, &mut writer).await;
    store.append(append(&[itself.says(&trim(600, 601))])).await.unwrap();
    let early = forks(&store, (person(1), 1), db(), other(2), head(&store, main_log(), 601).await).await;
    let early = store.append(Append { payer: Some(person(3)), ..append(&early) }).await;
    assert_eq!(early.map_err(|refusal| refusal.code()), Err("trim_unsafe"), "it would be without the snapshot");
    let begun = forks(&store, (person(1), 1), db(), other(2), head(&store, main_log(), 602).await).await;
    store.append(Append { payer: Some(person(3)), ..append(&begun) }).await.unwrap();
    assert_eq!(trimmed_to(&store, log_of(&other(2))).await, (600, 600));
    let (store, _) = sweep(ground, store, NOW_MS).await;
    assert_eq!(
        bodies(&store, main_log()).await,
        (0..602).map(|pos| (200..300).contains(&pos) || pos >= 600).collect::<Vec<_>>()
    );
    assert_eq!(bodies(&store, fork).await, (0..301).map(|pos| pos >= 200).collect::<Vec<_>>());
}

async fn a_log_is_trimmed_further_after_its_account_was_paid_again(ground: &Ground) {
    // Goal: what nobody paid for is gone without a snapshot; owners trim further, before one that is there. Method: a lease that ends.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let (mut itself, mut writer) = filled(&store).await;
    ends(&store, 1, NOW_MS).await;
    assert_eq!(code(&store, itself.entry(Class::Control, &trim(5, 600).encode(), None)).await, Some("lease_lapsed"));
    let (store, _) = sweep(ground, store, NOW_MS).await;
    ends(&store, 1, NOW_MS + 1_000).await;
    let gone = itself.entry(Class::Control, &trim(5, 600).encode(), None);
    assert_eq!(code(&store, gone).await, Some("trim_unsafe"), "the snapshot is gone");
    fill(&store, &mut writer, 60).await;
    let stands = snapshot(&store, &mut writer).await;
    store.append(append(&[itself.says(&trim(640, stands))])).await.unwrap();
    let (store, _) = sweep(ground, store, NOW_MS).await;
    assert_eq!(bodies(&store, main_log()).await, (0..=stands).map(|pos| pos >= 640).collect::<Vec<_>>());
}

async fn a_trim_that_fails_or_is_killed_anywhere_goes_on_and_ends(ground: &Ground) {
    // Goal: whatever fails or dies, what is gone is what is given back, and the next step goes on. Method: each step fails once in each way; then
    // the process is killed amid one step more than the one before.
    let plan = Plan::default();
    let store = open(ground, &plan, 1 << 30).await;
    let (mut itself, mut writer) = filled(&store).await;
    fill(&store, &mut writer, 600).await;
    let stands = snapshot(&store, &mut writer).await;
    store.append(append(&[itself.says(&trim(600, stands))])).await.unwrap();
    let before = used(&store, 1).await;
    let grace = Grace { now_ms: NOW_MS, grace_ms: 0 };
    let mut failed = 0;
    let all = [Failure::Refused, Failure::KeptButReportedFailed, Failure::DroppedOutcomeUnknown];
    for failure in all.into_iter().cycle() {
        plan.fail_next(Step::Trim, failure);
        match store.sweep(&mut Sweep::default(), grace).await {
            Err(_) => failed += 1,
            Ok(goes_on) => {
                assert!(!goes_on);
                break;
            }
        }
        let gone = bodies(&store, main_log()).await.iter().filter(|there| !**there).count() as u64;
        assert_eq!(used(&store, 1).await, before - gone, "a byte each");
        if let Failure::DroppedOutcomeUnknown = failure {
            assert!(store.sweep(&mut Sweep::default(), grace).await.unwrap());
        }
    }
    assert!(failed >= 3, "{failed}");
    assert_eq!(used(&store, 1).await, before - 600);
    store.append(append(&[itself.says(&trim(stands, stands))])).await.unwrap();
    let before = used(&store, 1).await;
    store.close().await.unwrap();
    let size = stands + 1;
    for steps in 1.. {
        assert!(steps < 30, "it never ends");
        let is_done = sweep_and_kill(ground, steps);
        let store = open(ground, &Plan::default(), 1 << 30).await;
        let there = bodies(&store, main_log()).await;
        let gone = there.iter().filter(|there| !**there).count() as u64 - 600;
        assert!(there.is_sorted() && there.len() as u64 == size);
        let snapshot_bytes = if gone > 0 { ("sealed".len() - 1) as u64 } else { 0 };
        assert_eq!(used(&store, 1).await, before - gone - snapshot_bytes);
        store.close().await.unwrap();
        if is_done {
            assert_eq!(gone, stands - 600);
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_contradicts_itself_holds_up_no_other() {
    // Goal: what is broken stays as it is, what is well goes. Method: the first of two trimmed logs has lost its entries, and is said to be
    // trimmed beyond its end; and another whose entries are there is, too.
    let ground = Ground::files();
    let store = open(&ground, &Plan::default(), 1 << 30).await;
    let (mut itself, _) = filled(&store).await;
    let second = LogId::of(&db(), GID, LogKind::Shared, "other");
    let made = Control::Log { gid: GID, kind: LogKind::Shared, label: "other".into() };
    store.append(append(&[itself.says(&made)])).await.unwrap();
    let mut writer = Device::new(1, person(1), second);
    fill(&store, &mut writer, 300).await;
    let behind = snapshot(&store, &mut writer).await;
    let said = [itself.says(&trim(500, 600)), itself.says(&Control::Trim { log: second, to: 280, snapshot: behind })];
    store.append(append(&said)).await.unwrap();
    store.close().await.unwrap();
    let mut rows = SqliteConnectOptions::new().filename(ground.dir().join("store.db")).connect().await.unwrap();
    let broken = "DELETE FROM entry WHERE log = (SELECT id FROM dblog WHERE label = 'main'); \
                  UPDATE dblog SET trimmed_to = 100000 WHERE label <> ''";
    sqlx::raw_sql(broken).execute(&mut rows).await.unwrap();
    sqlx::Connection::close(rows).await.unwrap();

    let store = open(&ground, &Plan::default(), 1 << 30).await;
    let (mut sweep, grace) = (Sweep::default(), Grace { now_ms: NOW_MS, grace_ms: 0 });
    while store.sweep(&mut sweep, grace).await.unwrap() {}
    assert_eq!(sweep.broken(), 1);
    assert_eq!(trimmed_to(&store, main_log()).await.0, 0);
    assert_eq!(trimmed_to(&store, second).await.0, 301, "to its end, and no further");
}
