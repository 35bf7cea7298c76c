//! The end of a database at a server that it moves from: exactly where its owner says, and for ever.

use bytes::Bytes;
use dgns_api::store::acl::Stage;
use dgns_api::store::content::id_of;
use dgns_api::store::control::Control;
use dgns_api::store::entry::{Class, Entry, Header, LogId};
use dgns_api::store::place::Place;
use identity::did::Did;
use identity::hash::Hash;
use identity::name::Origin;
use storage::inject::{Failure, Plan, Step};
use storage::store::{Append, Arrives, Charge, Purpose, Store};
use translog::tree::Edge;

use crate::ground::{
    Device, Ground, NOW_MS, append, beginning, db, home, main_log, make, on_both_engines, on_packed_entries, open,
    person,
};

on_both_engines! {
    what_moved_ends_where_its_owner_says_and_nothing_follows
    an_end_whose_commit_failed_stands_or_does_not_and_the_same_bytes_tell_which
    an_owner_alone_moves_nothing_that_half_of_them_are_not_for
    what_arrives_is_written_by_nobody_until_the_word_of_its_owner_is_there
    an_arrival_that_comes_to_nothing_leaves_nothing_and_another_may_follow
}

on_packed_entries! {
    what_moved_ends_where_its_owner_says_and_nothing_follows
    what_arrives_is_written_by_nobody_until_the_word_of_its_owner_is_there
    an_arrival_that_comes_to_nothing_leaves_nothing_and_another_may_follow
}

/// Where databases move to.
fn place() -> Place {
    let origin = Origin::parse("other.test/log").unwrap();
    Place { server: Did::from_bytes([6; 20]), url: "https://other.example".to_owned(), origin, key: [3; 32] }
}

fn moved(heads: &[(LogId, u64, Hash)]) -> Control {
    Control::Moved { to: place(), heads: heads.to_vec() }
}

async fn head(store: &Store, log: LogId) -> (u64, Hash) {
    let edge = store.log(&log).await.unwrap().unwrap().edge;
    (edge.size(), edge.root())
}

async fn stage(store: &Store) -> Stage {
    store.database(&db()).await.unwrap().unwrap().stage
}

async fn refused(store: &Store, entry: Entry) -> Option<&'static str> {
    store.append(append(&[entry])).await.err().map(|refusal| refusal.code())
}

async fn what_moved_ends_where_its_owner_says_and_nothing_follows(ground: &Ground) {
    // Goal: no acknowledged entry is left behind, none comes after. Method: heads that are not the newest, by no owner, then the right ones.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let mut itself = make(&store, &[person(1)]).await;
    let mut writer = Device::new(1, person(1), main_log());
    let first = writer.next(b"one");
    store.append(append(std::slice::from_ref(&first))).await.unwrap();
    let (size, root) = head(&store, main_log()).await;
    store.append(append(&[writer.next(b"two")])).await.unwrap();
    let (now, now_root) = head(&store, main_log()).await;
    let said = |statement: &Control| itself.entry(Class::Control, &statement.encode(), None);
    for (statement, code) in [
        (moved(&[(main_log(), size, root)]), "head_mismatch"),
        (moved(&[(main_log(), now, root)]), "head_mismatch"),
        (moved(&[(main_log(), now + 1, now_root)]), "head_mismatch"),
        (moved(&[]), "bad_cuts"),
    ] {
        assert_eq!(refused(&store, said(&statement)).await, Some(code));
    }
    let right = moved(&[(main_log(), now, now_root)]);
    let stranger = Device::new(99, person(9), LogId::control(&db()));
    let by_stranger = stranger.entry(Class::Control, &right.encode(), None);
    assert_eq!(refused(&store, by_stranger).await, Some("not_allowed"));
    let control = head(&store, LogId::control(&db())).await;
    let behind = itself.entry(Class::Control, &right.encode(), Some((control.0 + 1, control.1)));
    assert_eq!(refused(&store, behind).await, Some("head_mismatch"), "something was said since");
    assert_eq!(stage(&store).await, Stage::Live);
    let last = itself.says(&right);
    store.append(append(std::slice::from_ref(&last))).await.unwrap();

    store.close().await.unwrap();
    let store = open(ground, &Plan::default(), 1 << 30).await;
    assert_eq!(stage(&store).await, Stage::Moved);
    assert_eq!(refused(&store, writer.entry(Class::Data, b"x", None)).await, Some("moved"));
    for statement in [right, Control::Delete { yes: true }, Control::Leave] {
        let entry = itself.entry(Class::Control, &statement.encode(), None);
        assert_eq!(refused(&store, entry).await, Some("moved"));
    }
    // What was acknowledged keeps its receipt, the end too.
    assert_eq!(store.append(append(&[first])).await.unwrap().placed[0].pos, 0);
    assert_eq!(store.append(append(&[last])).await.unwrap().placed[0].pos, control.0);
    assert_eq!(head(&store, main_log()).await, (now, now_root));
}

async fn an_end_whose_commit_failed_stands_or_does_not_and_the_same_bytes_tell_which(ground: &Ground) {
    let failures = Plan::default();
    let store = open(ground, &failures, 1 << 30).await;
    let mut itself = make(&store, &[person(1)]).await;
    let (size, root) = head(&store, main_log()).await;
    let said = [itself.says(&moved(&[(main_log(), size, root)]))];
    for (failure, code, after) in [
        (Failure::Refused, "internal", Stage::Live),
        (Failure::DroppedOutcomeUnknown, "recovering", Stage::Live),
        (Failure::KeptButReportedFailed, "recovering", Stage::Moved),
    ] {
        failures.fail_next(Step::Append, failure);
        let failed = store.append(append(&said)).await.map_err(|refusal| refusal.code());
        assert_eq!((failed.err(), stage(&store).await), (Some(code), after), "{failure:?}");
    }
    store.append(append(&said)).await.unwrap();
    assert_eq!(stage(&store).await, Stage::Moved);
}

/// The server that databases arrive at.
fn here() -> Did {
    place().server
}

/// Entries as the database itself brings them, which owns itself.
fn arriving(entries: &[Entry], proved: Option<(u64, Hash)>) -> Append {
    let arrives = Some(Arrives { here: here(), proved });
    Append { payer: Some(db()), home: Some(home()), arrives, ..append(entries) }
}

/// A control log that arrives, held against what was proved of it.
#[derive(Clone, Default)]
struct Proved(Edge);

impl Proved {
    fn with(&mut self, entries: &[Entry]) -> Append {
        entries.iter().for_each(|entry| self.0.append(entry.leaf()));
        arriving(entries, Some((self.0.size(), self.0.root())))
    }

    /// Why an entry is refused that is proved to be the next.
    async fn refused(&self, store: &Store, entry: Entry) -> Option<&'static str> {
        why(store, self.clone().with(&[entry])).await
    }
}

async fn why(store: &Store, append: Append) -> Option<&'static str> {
    store.append(append).await.err().map(|refusal| refusal.code())
}

async fn used(store: &Store, did: Did) -> (u64, u64) {
    let account = store.account(&did).await.unwrap().unwrap();
    (account.used_bytes, account.used_entries)
}

async fn an_owner_alone_moves_nothing_that_half_of_them_are_not_for(ground: &Ground) {
    // Goal: fewer than half end nothing, whatever heads they say. Method: three owners; one speaks, entries follow, the second speaks.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let mut itself = make(&store, &[person(1)]).await;
    let mut owners = [1, 2, 3].map(|number| Device::new(10 + number, person(number), LogId::control(&db())));
    let for_one = |number: u8| Control::Owner { did: person(number), yes: true };
    let said = [itself.says(&for_one(1)), itself.says(&Control::Leave)];
    store.append(append(&said)).await.unwrap();
    for (by, number) in [(0, 2), (0, 3), (1, 3)] {
        store.append(append(&[owners[by].says(&for_one(number))])).await.unwrap();
    }
    let first = owners[0].says(&moved(&[(main_log(), 0, [0; 32])]));
    store.append(append(&[first])).await.unwrap();
    assert_eq!(stage(&store).await, Stage::Live);
    let mut writer = Device::new(1, person(1), main_log());
    store.append(append(&[writer.next(b"one")])).await.unwrap();
    let again = owners[0].entry(Class::Control, &moved(&[(main_log(), 1, [0; 32])]).encode(), None);
    assert_eq!(refused(&store, again).await, Some("said"));
    let (size, root) = head(&store, main_log()).await;
    let wrong = owners[1].entry(Class::Control, &moved(&[(main_log(), 0, root)]).encode(), None);
    assert_eq!(refused(&store, wrong).await, Some("head_mismatch"), "what moves it says what there is");
    store.append(append(&[owners[1].says(&moved(&[(main_log(), size, root)]))])).await.unwrap();
    assert_eq!(stage(&store).await, Stage::Moved);
    assert_eq!(refused(&store, writer.entry(Class::Data, b"x", None)).await, Some("moved"));
}

async fn what_arrives_is_written_by_nobody_until_the_word_of_its_owner_is_there(ground: &Ground) {
    // Goal: a copy in part is no database; as a whole it is the one that was left, and charged to who brought it. Method: the same entries
    // again, out of order, by others, of another log of names, beyond what was proved, with the word before the end; then the word.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let (mut itself, beginning) = beginning(&[person(1)]);
    let mut writer = Device::new(1, person(1), main_log());
    let entries = [writer.next(b"one"), writer.next(b"two")];
    let (mut control, none) = (Proved::default(), Proved::default());
    let stranger = Append { payer: Some(person(5)), ..none.clone().with(&beginning) };
    assert_eq!(why(&store, stranger).await, Some("not_allowed"), "no owner begins");
    assert_eq!(why(&store, arriving(&beginning, None)).await, Some("head_mismatch"), "nobody proved that");
    assert!(store.database(&db()).await.unwrap().is_none());
    store.append(control.with(&beginning)).await.unwrap();
    store.append(none.clone().with(&beginning)).await.unwrap();
    assert_eq!(stage(&store).await, Stage::Arriving);
    assert!(store.grown_logs(9).await.unwrap().is_empty(), "what may come to nothing is not anchored");
    assert_eq!(why(&store, append(&beginning)).await, Some("arriving"), "nor is what arrived acknowledged to anybody");
    let of_home = |entry: Entry| Append { home: Some(home()), ..append(&[entry]) };
    assert_eq!(why(&store, of_home(entries[0].clone())).await, Some("arriving"), "nobody writes it yet");
    let other = Append { payer: Some(person(1)), ..arriving(&entries[..1], None) };
    assert_eq!(why(&store, other).await, Some("not_writer"), "who began brings the rest");
    assert_eq!(why(&store, arriving(&entries[1..], None)).await, Some("lsn_gap"));
    store.append(arriving(&entries[..1], None)).await.unwrap();
    // An entry of who may not write is as it was where it was taken; whoever reads judges it.
    let mut edge = Edge::new();
    entries.iter().for_each(|entry| edge.append(entry.leaf()));
    let word = moved(&[(main_log(), 2, edge.root())]);
    let said = |statement: &Control| itself.entry(Class::Control, &statement.encode(), None);
    assert_eq!(control.refused(&store, said(&word)).await, Some("head_mismatch"), "an entry is not there yet");
    let trim = Control::Trim { log: main_log(), to: 1, snapshot: 1 };
    assert_eq!(control.refused(&store, said(&trim)).await, Some("stays"), "what is trimmed cannot be brought");
    store.append(arriving(&entries, None)).await.unwrap();
    let wrong = said(&moved(&[(main_log(), 2, [0; 32])]));
    assert_eq!(control.refused(&store, wrong).await, Some("head_mismatch"));
    let unproved = arriving(&[said(&word)], Some((1, [0; 32])));
    assert_eq!(why(&store, unproved).await, Some("head_mismatch"), "the word stands where it was proved");
    let elsewhere = Place { server: person(9), ..place() };
    let before = itself.clone();
    let earlier = itself.says(&Control::Moved { to: elsewhere, heads: vec![(main_log(), 1, [1; 32])] });
    store.append(control.with(&[earlier])).await.unwrap();
    assert_eq!(stage(&store).await, Stage::Arriving, "where it was in between");
    let fork = before.entry(Class::Control, &Control::Leave.encode(), None);
    assert_eq!(control.refused(&store, fork).await, Some("lsn_conflict"), "another history is not taken");
    let db_row = store.database(&db()).await.unwrap().unwrap();
    assert_eq!(db_row.home.as_ref(), Some(&home()));
    assert!(store.pays(&db_row, &db()).await.unwrap());
    assert!(!store.pays(&db_row, &person(1)).await.unwrap(), "a member brings nothing");

    store.append(control.with(&[itself.says(&word)])).await.unwrap();
    store.close().await.unwrap();
    let store = open(ground, &Plan::default(), 1 << 30).await;
    assert_eq!(stage(&store).await, Stage::Live);
    let more = arriving(&[writer.entry(Class::Data, b"x", None)], None);
    assert_eq!(why(&store, more).await, Some("arrived"));
    assert!(!store.forget(&store.database(&db()).await.unwrap().unwrap(), NOW_MS).await.unwrap());
    assert_eq!(stage(&store).await, Stage::Live, "what is here is not forgotten");
    let again = store.append(arriving(&entries, None)).await.unwrap();
    assert_eq!(again.placed[1].pos, 1, "what is there is acknowledged again");
    let third = writer.next(b"three");
    assert_eq!(refused(&store, third.clone()).await, Some("not_writer"), "nor is it this server's people's now");
    store.append(of_home(third)).await.unwrap();
    assert_eq!(head(&store, main_log()).await.0, 3);
    assert_eq!(store.grown_logs(9).await.unwrap().len(), 2);
    assert!(used(&store, db()).await.1 >= 3);
}

async fn an_arrival_that_comes_to_nothing_leaves_nothing_and_another_may_follow(ground: &Ground) {
    // Goal: what was brought wrongly keeps nobody from bringing it rightly, and costs nobody anything once it went. Method: entries of another
    // history, a chunk that one names and one that none does; removed in steps, one of which fails; then the true ones.
    let failures = Plan::default();
    let store = open(ground, &failures, 1 << 30).await;
    let (mut itself, beginning) = beginning(&[person(1)]);
    let mut control = Proved::default();
    store.append(control.clone().with(&beginning)).await.unwrap();
    let row = store.log(&main_log()).await.unwrap().unwrap();
    let charge = || Charge { purpose: Purpose::entries(&row), now_ms: NOW_MS };
    let chunk = |fill: u8| Bytes::from(vec![fill; 30_000]);
    for fill in [1, 2] {
        store.put_chunk(&id_of(&chunk(fill)), chunk(fill), charge()).await.unwrap();
    }
    let mut junk = Device::new(1, person(1), main_log());
    for _ in 0..5 {
        let many: Vec<Entry> = (0..100).map(|_| junk.next(b"junk")).collect();
        store.append(arriving(&many, None)).await.unwrap();
    }
    let plain = junk.entry(Class::Data, b"sealed", None);
    let refs = vec![id_of(&chunk(1))];
    let naming =
        Entry::sign(Header { refs, ..plain.header().clone() }, b"sealed".to_vec(), &home(), &junk.key).unwrap();
    (junk.next, junk.last) = (junk.next + 1, Some(naming.leaf()));
    store.append(arriving(&[naming], None)).await.unwrap();
    assert!(store.overdue(NOW_MS - 1).await.unwrap().is_none(), "it has its time");
    let overdue = store.overdue(NOW_MS).await.unwrap().unwrap();

    assert!(store.forget(&overdue, NOW_MS).await.unwrap());
    let late = arriving(&[junk.entry(Class::Data, b"x", None)], None);
    assert_eq!(why(&store, late).await, Some("dropped"), "nothing is added to what goes");
    assert!(store.overdue(0).await.unwrap().is_some(), "and whoever looks goes on");
    failures.fail_next(Step::Collect, Failure::Refused);
    assert!(store.forget(&overdue, NOW_MS).await.is_err());
    let mut steps = 1;
    while store.forget(&overdue, NOW_MS).await.unwrap() {
        steps += 1;
    }
    assert!(steps >= 3, "{steps}");
    assert!(store.database(&db()).await.unwrap().is_none() && store.log(&main_log()).await.unwrap().is_none());
    assert_eq!(used(&store, db()).await, (0, 0), "all is given back");
    assert!(store.chunk(&id_of(&chunk(2))).await.unwrap().is_none());

    let mut writer = Device::new(1, person(1), main_log());
    let entries = [writer.next(b"one")];
    store.append(control.with(&beginning)).await.unwrap();
    store.append(arriving(&entries, None)).await.unwrap();
    let (size, root) = head(&store, main_log()).await;
    store.append(control.with(&[itself.says(&moved(&[(main_log(), size, root)]))])).await.unwrap();
    assert_eq!((size, stage(&store).await), (1, Stage::Live));
}
