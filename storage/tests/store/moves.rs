//! The end of a database at a server that it moves from: exactly where its owner says, and for ever.

use dgns_api::store::acl::Stage;
use dgns_api::store::control::Control;
use dgns_api::store::entry::{Class, Entry, LogId};
use dgns_api::store::place::Place;
use identity::did::Did;
use identity::hash::Hash;
use identity::name::Origin;
use storage::inject::{Failure, Plan, Step};
use storage::store::Store;

use crate::ground::{Device, Ground, append, db, main_log, make, on_both_engines, open, person};

on_both_engines! {
    what_moved_ends_where_its_owner_says_and_nothing_follows
    an_end_whose_commit_failed_stands_or_does_not_and_the_same_bytes_tell_which
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
