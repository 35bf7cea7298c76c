//! Owners: they take others in, and half of them end a database, for ever.

use dgns_api::store::acl::Stage;
use dgns_api::store::control::Control;
use dgns_api::store::entry::{Class, Entry, LogId};
use storage::Options;
use storage::inject::{Failure, Plan, Step};
use storage::store::{FreeQuota, Store};

use crate::ground::{Device, Ground, append, db, main_log, make, may_read, on_both_engines, open, person, turn};

on_both_engines! {
    half_of_the_owners_end_a_database_and_nothing_follows
    a_tombstone_whose_commit_failed_stands_or_does_not_and_the_same_bytes_tell_which
    an_owner_reads_what_they_rule_and_no_more_when_they_left
    who_leaves_makes_an_owner_of_whom_more_than_half_of_the_others_want
    an_owner_who_fills_the_account_keeps_nobody_from_ending_it
}

/// The device of the database itself, which is no owner any more, and its owners 1 to `count`, each with a device.
async fn owned(store: &Store, count: u8) -> (Device, Vec<Device>) {
    let mut itself = make(store, &[person(1)]).await;
    let mut owners: Vec<Device> =
        (1..=count).map(|number| Device::new(100 + number, person(number), LogId::control(&db()))).collect();
    store.append(append(&[itself.says(&adds(1)), itself.says(&Control::Leave)])).await.unwrap();
    for number in 2..=count {
        // More than half of those before.
        for owner in &mut owners[..usize::from(number) / 2 + usize::from(number % 2)] {
            store.append(append(&[owner.says(&adds(number))])).await.unwrap();
        }
    }
    (itself, owners)
}

fn adds(number: u8) -> Control {
    Control::Owner { did: person(number), yes: true }
}

fn ends(size: u64) -> Control {
    Control::Tombstone { ends: vec![(main_log(), size)] }
}

async fn stage(store: &Store) -> Stage {
    store.database(&db()).await.unwrap().unwrap().stage
}

async fn refused(store: &Store, entry: Entry) -> Option<&'static str> {
    store.append(append(&[entry])).await.err().map(|refusal| refusal.code())
}

async fn half_of_the_owners_end_a_database_and_nothing_follows(ground: &Ground) {
    // Goal: four owners, two of them end it; one less does not, nor anybody else; then nothing is taken by any log, also after a restart.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let (itself, mut owners) = owned(&store, 4).await;
    let mut writer = Device::new(1, person(1), main_log());
    let first = writer.next(b"one");
    store.append(append(std::slice::from_ref(&first))).await.unwrap();
    let control = |device: &Device, statement: &Control| device.entry(Class::Control, &statement.encode(), None);
    let stranger = Device::new(99, person(9), LogId::control(&db()));
    let yes = Control::Delete { yes: true };
    assert_eq!(refused(&store, control(&stranger, &yes)).await, Some("not_allowed"));
    assert_eq!(refused(&store, control(&itself, &yes)).await, Some("not_allowed"), "its own keys are no owner's");
    assert_eq!(refused(&store, control(&owners[0], &ends(1))).await, Some("no_quorum"), "none of four");
    store.append(append(&[owners[0].says(&yes)])).await.unwrap();
    assert_eq!(refused(&store, control(&owners[1], &ends(1))).await, Some("no_quorum"), "half minus one");
    assert_eq!(stage(&store).await, Stage::Live);
    store.append(append(&[writer.next(b"two")])).await.unwrap();

    store.append(append(&[owners[1].says(&yes)])).await.unwrap();
    assert_eq!(stage(&store).await, Stage::Deleting);
    assert_eq!(refused(&store, writer.entry(Class::Data, b"x", None)).await, Some("deleting"));
    assert_eq!(refused(&store, control(&owners[2], &adds(7))).await, Some("deleting"));
    for wrong in [1, 3] {
        assert_eq!(refused(&store, control(&owners[2], &ends(wrong))).await, Some("bad_cuts"), "{wrong} of 2 entries");
    }
    let none = Control::Tombstone { ends: Vec::new() };
    assert_eq!(refused(&store, control(&owners[2], &none)).await, Some("bad_cuts"), "a log is left out");
    store.append(append(&[owners[1].says(&Control::Delete { yes: false })])).await.unwrap();
    assert_eq!(stage(&store).await, Stage::Live);
    store.append(append(&[writer.next(b"three")])).await.unwrap();
    store.append(append(&[owners[1].says(&yes)])).await.unwrap();
    store.append(append(&[owners[3].says(&ends(3))])).await.unwrap();

    store.close().await.unwrap();
    let store = open(ground, &Plan::default(), 1 << 30).await;
    assert_eq!(stage(&store).await, Stage::Deleted);
    assert_eq!(refused(&store, writer.entry(Class::Data, b"x", None)).await, Some("deleted"));
    for statement in [adds(7), Control::Delete { yes: false }, ends(3), Control::Leave] {
        assert_eq!(refused(&store, control(&owners[0], &statement)).await, Some("deleted"));
    }
    // What was acknowledged keeps its receipt.
    let placed = store.append(append(&[first])).await.unwrap().placed[0];
    assert_eq!((placed.pos, store.log(&main_log()).await.unwrap().unwrap().edge.size()), (0, 3));
}

async fn a_tombstone_whose_commit_failed_stands_or_does_not_and_the_same_bytes_tell_which(ground: &Ground) {
    // Goal: no state between. Method: the commit of the last voice with the tombstone refused, dropped, and kept but reported failed.
    let failures = Plan::default();
    let store = open(ground, &failures, 1 << 30).await;
    let (_, mut owners) = owned(&store, 3).await;
    store.append(append(&[owners[0].says(&Control::Delete { yes: true })])).await.unwrap();
    let said = [owners[1].says(&Control::Delete { yes: true }), owners[1].says(&ends(0))];
    for (failure, code, after) in [
        (Failure::Refused, "internal", Stage::Live),
        (Failure::DroppedOutcomeUnknown, "recovering", Stage::Live),
        (Failure::KeptButReportedFailed, "recovering", Stage::Deleted),
    ] {
        failures.fail_next(Step::Append, failure);
        let failed = store.append(append(&said)).await.map_err(|refusal| refusal.code());
        assert_eq!((failed.err(), stage(&store).await), (Some(code), after), "{failure:?}");
    }
    store.append(append(&said)).await.unwrap();
    assert_eq!(stage(&store).await, Stage::Deleted);
}

async fn an_owner_reads_what_they_rule_and_no_more_when_they_left(ground: &Ground) {
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let (_, mut owners) = owned(&store, 2).await;
    let reads = async |number: u8| {
        let [control, main] = [LogId::control(&db()), main_log()].map(|log| (log, number));
        let read = async |(log, number): (LogId, u8)| {
            may_read(&store, &store.log(&log).await.unwrap().unwrap(), person(number)).await
        };
        (read(control).await, read(main).await)
    };
    assert_eq!((reads(2).await, reads(3).await), ((true, true), (false, false)));
    let data = Device::new(102, person(2), main_log()).entry(Class::Data, b"x", None);
    assert_eq!(refused(&store, data).await, Some("not_writer"), "ruling is not writing");
    store.append(append(&[owners[1].says(&Control::Leave)])).await.unwrap();
    assert_eq!(reads(2).await, (false, false));
    let last = owners[0].entry(Class::Control, &Control::Leave.encode(), None);
    assert_eq!(refused(&store, last).await, Some("last_owner"));
}

async fn who_leaves_makes_an_owner_of_whom_more_than_half_of_the_others_want(ground: &Ground) {
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let (_, mut owners) = owned(&store, 2).await;
    store.append(append(&[owners[0].says(&adds(3))])).await.unwrap();
    let main = store.log(&main_log()).await.unwrap().unwrap();
    let reads = async |number: u8| may_read(&store, &main, person(number)).await;
    assert_eq!((reads(2).await, reads(3).await), (true, false), "half is not more than half");
    let again = owners[0].entry(Class::Control, &adds(3).encode(), None);
    assert_eq!(refused(&store, again).await, Some("said"));
    store.append(append(&[owners[1].says(&Control::Leave)])).await.unwrap();
    assert_eq!((reads(2).await, reads(3).await), (false, true));
    let mut third = Device::new(103, person(3), LogId::control(&db()));
    store.append(append(&[third.says(&Control::Delete { yes: true })])).await.unwrap();
    assert_eq!(stage(&store).await, Stage::Deleting);
}

async fn an_owner_who_fills_the_account_keeps_nobody_from_ending_it(ground: &Ground) {
    // Goal: the last of the head-room is for leaving and ending. Method: an owner turns the key until nothing is taken any more.
    let quota = FreeQuota { bytes: 1 << 20, entries: 100, lease_ms: None };
    let store = Store::open_at(ground.dir(), ground.home(), Options::default(), quota).await.unwrap();
    let (_, mut owners) = owned(&store, 2).await;
    let mut epoch = 1;
    let full = loop {
        let before = owners[0].clone();
        let turns: Vec<Entry> = (1..=20).map(|more| owners[0].says(&turn(epoch + more, &[person(1)]))).collect();
        match store.append(append(&turns)).await {
            Ok(_) => epoch += 20,
            Err(refusal) => {
                owners[0] = before;
                break refusal.code();
            }
        }
    };
    assert_eq!(full, "quota");
    for statement in [Control::Delete { yes: true }, ends(0)] {
        store.append(append(&[owners[1].says(&statement)])).await.unwrap();
    }
    assert_eq!(stage(&store).await, Stage::Deleted);
}
