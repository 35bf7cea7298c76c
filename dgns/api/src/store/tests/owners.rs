//! What owners say one after another, and what it comes to: held as vectors, and by hand.

use identity::did::Did;
use serde_json::{Value, json};

use super::{DbKind, db, home};
use crate::store::acl::{Acl, AclRefusal, Stage};
use crate::store::control::Control;
use crate::store::entry::{LogId, LogKind};
use crate::vectors::hex;

type Said = Vec<(Did, Control)>;

fn owner(number: u8) -> Did {
    Did::from_bytes([number; 20])
}

fn add(by: u8, number: u8) -> (Did, Control) {
    (owner(by), Control::Owner { did: owner(number), yes: true })
}

fn take_back(by: u8, number: u8) -> (Did, Control) {
    (owner(by), Control::Owner { did: owner(number), yes: false })
}

fn leave(by: u8) -> (Did, Control) {
    (owner(by), Control::Leave)
}

fn delete(by: u8, yes: bool) -> (Did, Control) {
    (owner(by), Control::Delete { yes })
}

fn end(by: u8, ends: &[(LogId, u64)]) -> (Did, Control) {
    (owner(by), Control::Tombstone { ends: ends.to_vec() })
}

fn genesis() -> (Did, Control) {
    (db(), Control::Genesis { did: db(), kind: DbKind::General, home: home(), salt: [9; 16] })
}

/// A database of the owners 1 to `count`, its own keys out.
fn owned(count: u8) -> Said {
    let mut said = vec![genesis(), (db(), Control::Owner { did: owner(1), yes: true }), (db(), Control::Leave)];
    for number in 2..=count {
        let before = number - 1;
        said.extend((1..=before / 2 + 1).map(|by| add(by, number)));
    }
    said
}

fn replay(said: &[(Did, Control)]) -> Result<Acl, AclRefusal> {
    let (first, rest) = said.split_first().unwrap();
    let mut acl = Acl::begin(&LogId::control(&db()), &first.0, &first.1)?;
    rest.iter().try_for_each(|(author, control)| acl.apply(author, control))?;
    Ok(acl)
}

/// Stories that end well, or with the refusal of the last statement.
fn stories() -> Vec<(&'static str, Said, Option<AclRefusal>)> {
    let then = |count: u8, more: &[(Did, Control)]| [owned(count), more.to_vec()].concat();
    let log = || (db(), Control::Log { gid: 1, kind: LogKind::Shared, label: "main".into() });
    let main = LogId::of(&db(), 1, LogKind::Shared, "main");
    let member = || {
        let rights = identity::token::Rights::ALL;
        (db(), Control::Grant { gid: 1, did: owner(1), rights, until_s: 2_000_000_000 })
    };
    let with_log = [vec![genesis(), member(), log()], owned(2)[1..].to_vec()].concat();
    let ended = [with_log.clone(), vec![delete(1, true), end(2, &[(main, 3)])]].concat();
    vec![
        ("one owner", then(1, &[]), None),
        ("three owners", then(3, &[]), None),
        ("half is not more than half", then(2, &[add(1, 3)]), None),
        ("a third owner leaves again", then(3, &[(owner(3), Control::Leave)]), None),
        (
            "who leaves takes their voices along",
            then(3, &[add(3, 4), delete(3, true), (owner(3), Control::Leave)]),
            None,
        ),
        ("one of one is for deleting", then(1, &[delete(1, true)]), None),
        ("one of two", then(2, &[delete(1, true)]), None),
        ("one of three", then(3, &[delete(1, true)]), None),
        ("two of three, and one takes it back", then(3, &[delete(1, true), delete(2, true), delete(1, false)]), None),
        ("an owner who is for deleting twice", then(3, &[delete(1, true), delete(1, true)]), Some(AclRefusal::Said)),
        ("an owner who takes back what they did not say", then(3, &[delete(1, false)]), Some(AclRefusal::Said)),
        ("a voice twice", then(2, &[add(1, 3), add(1, 3)]), Some(AclRefusal::Said)),
        ("a voice that is taken back", then(3, &[add(1, 4), take_back(1, 4), add(2, 4)]), None),
        ("a voice that was never", then(3, &[add(1, 4), take_back(2, 4)]), Some(AclRefusal::Said)),
        ("who leaves makes a voice enough", then(2, &[add(1, 3), leave(2)]), None),
        ("who leaves makes two voices enough for one", then(2, &[add(1, 4), add(1, 3), leave(2)]), None),
        ("who leaves makes a voice enough to delete", then(3, &[delete(1, true), leave(2), end(1, &[])]), None),
        ("deleted by one of one", then(1, &[delete(1, true), end(1, &[])]), None),
        ("deleted with a log", ended.clone(), None),
        ("half minus one of four", then(4, &[delete(1, true), end(1, &[])]), Some(AclRefusal::NoQuorum)),
        ("half minus a half of three", then(3, &[delete(1, true), end(1, &[])]), Some(AclRefusal::NoQuorum)),
        ("nobody is for it", then(1, &[end(1, &[])]), Some(AclRefusal::NoQuorum)),
        ("no owner is for deleting", then(2, &[delete(9, true)]), Some(AclRefusal::NotAllowed)),
        ("no owner ends it", then(1, &[delete(1, true), end(9, &[])]), Some(AclRefusal::NotAllowed)),
        ("no owner takes somebody in", then(2, &[add(9, 9)]), Some(AclRefusal::NotAllowed)),
        (
            "the database itself, once it left",
            then(1, &[(db(), Control::Owner { did: db(), yes: true })]),
            Some(AclRefusal::NotAllowed),
        ),
        ("an owner twice", then(2, &[add(1, 2)]), Some(AclRefusal::OwnerExists)),
        ("the last owner leaves", then(1, &[(owner(1), Control::Leave)]), Some(AclRefusal::LastOwner)),
        ("somebody is taken in amid a deletion", then(2, &[delete(1, true), add(2, 3)]), Some(AclRefusal::Deleting)),
        (
            "an owner leaves amid a deletion",
            then(2, &[delete(1, true), (owner(2), Control::Leave)]),
            Some(AclRefusal::Deleting),
        ),
        (
            "a tombstone that leaves a log out",
            [with_log, vec![delete(1, true), end(1, &[])]].concat(),
            Some(AclRefusal::Cuts),
        ),
        ("a voice behind the tombstone", [ended.clone(), vec![delete(1, false)]].concat(), Some(AclRefusal::Deleted)),
        ("a second tombstone", [ended.clone(), vec![end(2, &[(main, 3)])]].concat(), Some(AclRefusal::Deleted)),
        ("a grant behind the tombstone", [ended, vec![member()]].concat(), Some(AclRefusal::Deleted)),
    ]
}

/// Returns the stories as vectors.
pub(super) fn cases() -> Vec<Value> {
    let case = |(name, said, refused): (&str, Said, Option<AclRefusal>)| {
        let rows: Vec<Value> =
            said.iter().map(|(author, control)| json!([hex(author.as_bytes()), hex(&control.encode())])).collect();
        let given = json!({"db": hex(db().as_bytes()), "said": rows});
        match (replay(&said), refused) {
            (Ok(acl), None) => {
                let owners = acl.owners();
                let all: Vec<Value> = owners.all().iter().map(|did| hex(did.as_bytes())).collect();
                let ends = owners
                    .tombstone()
                    .map(|ends| ends.iter().map(|(log, size)| json!([hex(&log.0), size])).collect::<Vec<Value>>());
                let out = json!({
                    "owners": all, "lacking": owners.lacking(), "stage": owners.stage() as u8, "tombstone": ends,
                });
                json!({"op": "owners", "name": name, "in": given, "out": out})
            }
            (Err(refusal), Some(expected)) if refusal == expected => {
                assert!(replay(&said[..said.len() - 1]).is_ok(), "{name}: refused before its end");
                json!({"op": "owners", "name": name, "in": given, "error": refusal.code()})
            }
            (came, expected) => panic!("{name}: {came:?}, not {expected:?}"),
        }
    };
    stories().into_iter().map(case).collect()
}

#[test]
fn half_of_any_number_of_owners_delete_and_one_less_do_not() {
    for count in 1..=9 {
        let mut said = owned(count);
        let half = count.div_ceil(2);
        for number in 1..=half {
            let acl = replay(&said).unwrap();
            assert_eq!((acl.owners().stage(), acl.owners().all().len()), (Stage::Live, usize::from(count)), "{number}");
            assert_eq!(acl.owners().lacking(), usize::from(half - number + 1), "{number} of {count}");
            let early = [said.clone(), vec![end(1, &[])]].concat();
            assert_eq!(replay(&early).err(), Some(AclRefusal::NoQuorum));
            said.push(delete(number, true));
        }
        assert_eq!(replay(&said).unwrap().owners().stage(), Stage::Deleting, "{count}");
        said.push(end(count, &[]));
        assert_eq!(replay(&said).unwrap().owners().stage(), Stage::Deleted, "{count}");
    }
}

#[test]
fn owners_are_at_most_64_and_each_is_for_16_others_at_a_time() {
    // Goal: nobody uses up what another may say.
    let said = |acl: &mut Acl, by: u8, number: u8, yes: bool| {
        acl.apply(&owner(by), &Control::Owner { did: owner(number), yes })
    };
    let mut acl = replay(&owned(1)).unwrap();
    for number in 2..=64 {
        for by in 1..number {
            match said(&mut acl, by, number, true) {
                Ok(()) => {}
                refused => assert_eq!(refused, Err(AclRefusal::OwnerExists), "{by} for {number}"),
            }
        }
    }
    assert_eq!(acl.owners().all().len(), 64);
    assert_eq!(said(&mut acl, 1, 65, true), Err(AclRefusal::Full));
    assert_eq!(acl.apply(&owner(64), &Control::Leave), Ok(()));
    for number in 65..=80 {
        assert_eq!(said(&mut acl, 1, number, true), Ok(()), "{number}");
    }
    assert_eq!(said(&mut acl, 1, 81, true), Err(AclRefusal::Full));
    assert_eq!(said(&mut acl, 2, 81, true), Ok(()), "what another owner may say");
    assert_eq!(said(&mut acl, 1, 65, false), Ok(()));
    assert_eq!(said(&mut acl, 1, 81, true), Ok(()));
    for by in 2..=63 {
        match said(&mut acl, by, 82, true) {
            Ok(()) => {}
            refused => assert_eq!(refused, Err(AclRefusal::OwnerExists), "{by}"),
        }
    }
    assert!(acl.owners().is(&owner(82)), "one who is for many keeps nobody out");
}
