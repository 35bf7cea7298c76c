//! What a fork takes over and what begins none: held as vectors, and by hand.

use identity::did::Did;
use identity::sealed::Sealed;
use identity::token::Rights;
use serde_json::{Value, json};

use super::{DbKind, db, home, place};
use crate::store::acl::{Acl, AclRefusal, Part, Standing};
use crate::store::control::{Control, KeyBox};
use crate::store::entry::{LogId, LogKind};
use crate::store::limits::MOVES_MAX;
use crate::store::place::Place;
use crate::vectors::hex;

type Said = Vec<(Did, Control)>;

fn did(number: u8) -> Did {
    Did::from_bytes([number; 20])
}

fn log_of(of: &Did) -> LogId {
    LogId::of(of, 1, LogKind::Shared, "main")
}

fn turn(epoch: u64) -> Control {
    let sealed = || Sealed { enc: [1; 32], ct: vec![2; 48] };
    let boxes = vec![KeyBox { did: did(1), generation: 1, sealed: sealed() }];
    Control::KeyEpoch { gid: 1, epoch, boxes, previous: (epoch > 1).then(sealed) }
}

/// The database of `db()`, whose owner and only member is 1.
fn source() -> Said {
    let grant = Control::Grant { gid: 1, did: did(1), rights: Rights::ALL, until_s: 100 };
    let log = Control::Log { gid: 1, kind: LogKind::Shared, label: "main".into() };
    let genesis = Control::Genesis { did: db(), kind: DbKind::General, home: home(), salt: [9; 16] };
    let said = [genesis, grant, turn(1), log, Control::Owner { did: did(1), yes: true }, Control::Leave];
    said.into_iter().map(|control| (db(), control)).collect()
}

fn fork(by: u8, from: Did, to: u8, size: u64) -> (Did, Control) {
    let base = vec![(log_of(&from), size, [size as u8; 32])];
    (did(by), Control::Fork { source: from, did: did(to), salt: [to; 16], base })
}

/// The source, whose log `main` is trimmed up to 3 by the snapshot at 4.
fn trimmed() -> Said {
    [source(), vec![(did(1), Control::Trim { log: log_of(&db()), to: 3, snapshot: 4 })]].concat()
}

/// The new database takes its owner in and leaves.
fn begins(number: u8) -> Said {
    vec![(did(number), Control::Owner { did: did(1), yes: true }), (did(number), Control::Leave)]
}

fn moved(by: u8, server: u8, size: u64) -> (Did, Control) {
    let to = Place { server: did(server), ..place("https://other.example") };
    (did(by), Control::Moved { to, heads: vec![(log_of(&db()), size, [size as u8; 32])] })
}

/// The source with the owners 1 to 3.
fn of_three() -> Said {
    let owner = |by: u8, number: u8| (did(by), Control::Owner { did: did(number), yes: true });
    [source(), vec![owner(1, 2), owner(1, 3), owner(2, 3)]].concat()
}

fn stories() -> Vec<(&'static str, Said, Option<AclRefusal>)> {
    let then = |more: Said| [source(), more].concat();
    let forked = || then([vec![fork(1, db(), 20, 5)], begins(20)].concat());
    let and = |more: Said| [forked(), more].concat();
    let none = Control::Fork { source: db(), did: did(20), salt: [0; 16], base: Vec::new() };
    let strange = Control::Fork { source: db(), did: did(20), salt: [0; 16], base: vec![(LogId([3; 32]), 1, [1; 32])] };
    vec![
        ("a fork", forked(), None),
        ("a fork of none of its entries", then([vec![fork(1, db(), 20, 0)], begins(20)].concat()), None),
        ("a fork of a fork", and([vec![fork(1, did(20), 21, 8)], begins(21)].concat()), None),
        ("a fork of a fork from before the first", and([vec![fork(1, did(20), 21, 3)], begins(21)].concat()), None),
        ("a fork that turns its key", and(vec![(did(1), turn(2))]), None),
        (
            "a fork amid a deletion",
            [source(), vec![(did(1), Control::Delete { yes: true }), fork(1, db(), 20, 5)], begins(20)].concat(),
            None,
        ),
        ("a fork of a trimmed log", [trimmed(), vec![fork(1, db(), 20, 5)], begins(20)].concat(), None),
        (
            "a fork that trims what it goes on from further",
            and(vec![(did(1), Control::Trim { log: log_of(&did(20)), to: 4, snapshot: 7 })]),
            None,
        ),
        (
            "without the snapshot that stands for what was trimmed",
            [trimmed(), vec![fork(1, db(), 20, 4)]].concat(),
            Some(AclRefusal::TrimUnsafe),
        ),
        (
            "that trims a log of its source",
            and(vec![(did(1), Control::Trim { log: log_of(&db()), to: 4, snapshot: 7 })]),
            Some(AclRefusal::Cuts),
        ),
        ("by no owner", then(vec![fork(2, db(), 20, 5)]), Some(AclRefusal::NotAllowed)),
        ("by the source itself, which left", then(vec![(db(), fork(1, db(), 20, 5).1)]), Some(AclRefusal::NotAllowed)),
        ("of another database", then(vec![fork(1, did(30), 20, 5)]), Some(AclRefusal::Genesis)),
        (
            "as itself",
            then(vec![(
                did(1),
                Control::Fork { source: db(), did: db(), salt: [0; 16], base: vec![(log_of(&db()), 5, [5; 32])] },
            )]),
            Some(AclRefusal::Genesis),
        ),
        (
            "back to its source",
            and(vec![(
                did(1),
                Control::Fork { source: did(20), did: db(), salt: [0; 16], base: vec![(log_of(&did(20)), 5, [5; 32])] },
            )]),
            Some(AclRefusal::Genesis),
        ),
        (
            "the owner speaks before the new database does",
            then(vec![fork(1, db(), 20, 5), (did(1), turn(2))]),
            Some(AclRefusal::Genesis),
        ),
        ("a log is left out", then(vec![(did(1), none)]), Some(AclRefusal::Cuts)),
        ("of another log", then(vec![(did(1), strange)]), Some(AclRefusal::Cuts)),
        ("moved, and more is said there", then(vec![moved(1, 40, 5), (did(1), turn(2))]), None),
        ("moved on", then(vec![moved(1, 40, 5), moved(1, 41, 8)]), None),
        ("moved without an entry", then(vec![moved(1, 40, 0)]), None),
        ("moved on with nothing new", then(vec![moved(1, 40, 5), moved(1, 41, 5)]), None),
        ("moved on with less than it came with", then(vec![moved(1, 40, 5), moved(1, 41, 4)]), Some(AclRefusal::Cuts)),
        (
            "moved on with other entries than it came with",
            then(vec![moved(1, 40, 5), {
                let to = Place { server: did(41), ..place("https://other.example") };
                (did(1), Control::Moved { to, heads: vec![(log_of(&db()), 5, [9; 32])] })
            }]),
            Some(AclRefusal::Cuts),
        ),
        ("moved by no owner", then(vec![moved(2, 40, 5)]), Some(AclRefusal::NotAllowed)),
        ("moved by one owner of three", [of_three(), vec![moved(1, 40, 5)]].concat(), None),
        ("moved by two, as the second says", [of_three(), vec![moved(1, 40, 5), moved(2, 40, 7)]].concat(), None),
        ("moved by two of three to two servers", [of_three(), vec![moved(1, 40, 5), moved(2, 41, 5)]].concat(), None),
        (
            "moved by one who is for another server by then",
            [of_three(), vec![moved(1, 40, 5), moved(1, 41, 5), moved(2, 40, 5)]].concat(),
            None,
        ),
        (
            "moved by one of three twice",
            [of_three(), vec![moved(1, 40, 5), moved(1, 40, 6)]].concat(),
            Some(AclRefusal::Said),
        ),
        (
            "moved by one of two, once the third left",
            [of_three(), vec![moved(1, 40, 5), (did(3), Control::Leave), moved(1, 40, 6)]].concat(),
            None,
        ),
        (
            "moved by one who left, and one of two",
            [of_three(), vec![moved(3, 40, 5), (did(3), Control::Leave)]].concat(),
            None,
        ),
        (
            "moved on by fewer than moved it",
            [of_three(), vec![moved(1, 40, 5), moved(2, 40, 7), moved(1, 41, 9)]].concat(),
            None,
        ),
        ("moved back", then(vec![moved(1, 40, 5), moved(1, 41, 5), moved(1, 40, 5)]), Some(AclRefusal::Moved)),
        (
            "moved to the server where it was made",
            then(vec![(did(1), {
                let to = Place { origin: home(), ..place("https://other.example") };
                Control::Moved { to, heads: vec![(log_of(&db()), 5, [5; 32])] }
            })]),
            Some(AclRefusal::Moved),
        ),
        (
            "moved without one of its logs",
            then(vec![(did(1), Control::Moved { to: place("https://other.example"), heads: Vec::new() })]),
            Some(AclRefusal::Cuts),
        ),
        ("a fork that moves", and(vec![moved(1, 40, 5)]), Some(AclRefusal::Stays)),
        (
            "moved amid a deletion",
            then(vec![(did(1), Control::Delete { yes: true }), moved(1, 40, 5)]),
            Some(AclRefusal::Deleting),
        ),
        ("a fork of what moved", then([vec![moved(1, 40, 5), fork(1, db(), 20, 8)], begins(20)].concat()), None),
        (
            "behind the tombstone",
            then(vec![
                (did(1), Control::Delete { yes: true }),
                (did(1), Control::Tombstone { ends: vec![(log_of(&db()), 5)] }),
                fork(1, db(), 20, 5),
            ]),
            Some(AclRefusal::Deleted),
        ),
    ]
}

fn replay(said: &Said) -> Result<Acl, AclRefusal> {
    let (first, rest) = said.split_first().unwrap();
    let mut acl = Acl::begin(&LogId::control(&db()), &first.0, &first.1)?;
    rest.iter().try_for_each(|(author, control)| acl.apply(author, control))?;
    Ok(acl)
}

/// Returns the stories as vectors.
pub(super) fn cases() -> Vec<Value> {
    let authors = [db(), did(1), did(20), did(21)].into_iter();
    let asked: Vec<(Did, LogId)> =
        authors.flat_map(|author| [db(), did(20), did(21)].map(|of| (author, log_of(&of)))).collect();
    let asked_rows: Vec<Value> =
        asked.iter().map(|(author, log)| json!([hex(&log.0), 0, hex(author.as_bytes()), 1])).collect();
    let part = |part: &Part| json!([hex(&part.log.0), part.size, hex(&part.root)]);
    let case = |(name, said, refused): (&str, Said, Option<AclRefusal>)| {
        let rows: Vec<Value> =
            said.iter().map(|(author, control)| json!([hex(author.as_bytes()), hex(&control.encode())])).collect();
        let given = json!({"db": hex(db().as_bytes()), "said": rows, "asked": asked_rows});
        match (replay(&said), refused) {
            (Ok(acl), None) => {
                assert!(acl.is_begun(), "{name}");
                let logs = acl.logs().keys();
                let logs: Vec<Value> = logs
                    .map(|log| {
                        let parts: Vec<Value> = acl.parts(log).iter().map(part).collect();
                        json!([hex(&log.0), parts, acl.first(log)])
                    })
                    .collect();
                let worth =
                    |(author, log): &(Did, LogId)| format!("{:?}", acl.standing(log, 0, author, 1)).to_lowercase();
                let standings: Vec<String> = asked.iter().map(worth).collect();
                let (db, salt) = (hex(acl.did().as_bytes()), hex(acl.salt()));
                let out = json!({"db": db, "salt": salt, "logs": logs, "standings": standings});
                json!({"op": "fork", "name": name, "in": given, "out": out})
            }
            (Err(refusal), Some(expected)) if refusal == expected => {
                assert!(replay(&said[..said.len() - 1].to_vec()).is_ok(), "{name}: refused before its end");
                json!({"op": "fork", "name": name, "in": given, "error": refusal.code()})
            }
            (came, expected) => panic!("{name}: {came:?}, not {expected:?}"),
        }
    };
    stories().into_iter().map(case).collect()
}

#[test]
fn a_fork_has_the_members_keys_and_entries_of_its_source_and_its_own_owner() {
    let early = replay(&[source(), vec![fork(1, db(), 20, 5)]].concat()).unwrap();
    assert!(!early.is_begun(), "the owner of the source alone begins nothing");
    let mut acl = replay(&[source(), vec![fork(1, db(), 20, 5)], begins(20)].concat()).unwrap();
    acl.apply(&did(1), &turn(2)).unwrap();
    let here = log_of(&did(20));
    assert_eq!((acl.source(), acl.did()), (Some(&db()), &did(20)));
    assert_eq!(
        (acl.sealed_by(1, 1), acl.sealed_by(1, 2)),
        (&db(), &did(20)),
        "boxes name the database they were made in"
    );
    for log in [here, log_of(&db())] {
        assert_eq!(acl.standing(&log, 0, &did(1), 1), Standing::Counts);
        assert_eq!(acl.standing(&log, 0, &did(2), 1), Standing::Forged);
    }
    assert_eq!(acl.standing(&log_of(&did(30)), 0, &did(1), 1), Standing::Forged);
    for (author, log, standing) in [
        (db(), log_of(&db()), Standing::Counts),
        (db(), here, Standing::Forged),
        (did(20), here, Standing::Counts),
        (did(20), log_of(&db()), Standing::Forged),
    ] {
        assert_eq!(acl.standing(&log, 0, &author, 1), standing, "a database writes in its own log alone");
    }
    let revoke = Control::Revoke { gid: 1, did: did(1), cuts: vec![(here, 3)] };
    acl.apply(&did(1), &revoke).unwrap();
    assert_eq!(acl.standing(&log_of(&db()), 2, &did(1), 2), Standing::Counts);
    assert_eq!(acl.standing(&log_of(&db()), 3, &did(1), 2), Standing::Void, "places go on across the fork");
    acl.apply(&did(1), &fork(1, did(20), 21, 8).1).unwrap();
    assert_eq!(acl.standing(&here, 3, &did(1), 2), Standing::Void, "and into the next");
}

#[test]
fn a_database_goes_on_from_at_most_16() {
    let mut acl = replay(&source()).unwrap();
    let mut from = db();
    for number in 20..36 {
        acl.apply(&did(1), &fork(1, from, number, 5).1).unwrap();
        begins(number).iter().for_each(|(author, control)| acl.apply(author, control).unwrap());
        from = did(number);
    }
    assert_eq!(acl.apply(&did(1), &fork(1, from, 36, 5).1), Err(AclRefusal::Full));
}

#[test]
fn a_database_moves_to_at_most_16_servers() {
    let mut acl = replay(&source()).unwrap();
    for server in 0..MOVES_MAX as u8 {
        let (author, statement) = moved(1, 40 + server, 5);
        acl.apply(&author, &statement).unwrap();
        assert_eq!(acl.place().map(|place| place.server), Some(did(40 + server)));
    }
    assert_eq!(acl.apply(&did(1), &moved(1, 90, 5).1), Err(AclRefusal::Full));
}
