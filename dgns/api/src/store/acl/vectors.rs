//! tests/vectors/database_acls.json: whole control logs, and what each makes of who may do what.

use serde_json::{Value, json};

use super::*;
use crate::vectors::{hex, hold};

const ABOUT: [&str; 4] = [
    "Control logs of databases (PROTOCOL 25.6), statement after statement. Bytes are hexadecimal.",
    "in: log, said [[author, body of the control entry], ...], asked [[log, place, author, epoch], ...].",
    "out: members [[gid, did, rights, until s], ...], epochs [[gid, newest, whether the next key is due], ...], logs [[id, gid, label, to, snapshot], ...] as far as each is trimmed,",
    "standings: of each entry asked for: counts, void or forged. error: why the last statement is refused; those before it are not.",
];

fn did(byte: u8) -> Did {
    Did::from_bytes([byte; 20])
}

const DB: u8 = 7;
const OWNER: u8 = 8;
const WRITER: u8 = 1;
const READER: u8 = 2;
const STRANGER: u8 = 3;
const FORK: u8 = 9;

fn genesis() -> Control {
    let home = Origin::parse("dgns.test/log").unwrap();
    Control::Genesis { did: did(DB), kind: DbKind::General, home, salt: [9; 16] }
}

/// A profile, whose person writes; somebody else reads.
fn profile() -> Said {
    let Control::Genesis { did, home, salt, .. } = genesis() else { unreachable!("it is a genesis") };
    let said = [
        (DB, Control::Genesis { did, kind: DbKind::Profile, home, salt }),
        (DB, Control::Owner { did: self::did(OWNER), yes: true }),
        (DB, grant(OWNER, Rights::ALL, 100)),
        (DB, turn(1, &[OWNER])),
        (DB, log("main")),
        (DB, Control::Leave),
        (OWNER, grant(READER, Rights::READ, 100)),
        (OWNER, turn(2, &[READER, OWNER])),
    ];
    said.into()
}

/// A profile goes on as another one, of the same person.
fn forked_profile() -> Said {
    let base = vec![(main_log(), 2, [5; 32])];
    let fork = Control::Fork { source: did(DB), did: did(FORK), salt: [4; 16], base };
    let owner = Control::Owner { did: did(OWNER), yes: true };
    [profile(), vec![(OWNER, fork), (FORK, owner), (FORK, Control::Leave)]].concat()
}

fn grant(who: u8, rights: Rights, until_s: u64) -> Control {
    Control::Grant { gid: 1, did: did(who), rights, until_s }
}

fn revoke(who: u8, sizes: &[(LogId, u64)]) -> Control {
    Control::Revoke { gid: 1, did: did(who), cuts: sizes.to_vec() }
}

fn turn(epoch: u64, members: &[u8]) -> Control {
    let sealed = || Sealed { enc: [1; 32], ct: vec![2; 48] };
    let boxes = members.iter().map(|who| KeyBox { did: did(*who), generation: 1, sealed: sealed() }).collect();
    Control::KeyEpoch { gid: 1, epoch, boxes, previous: (epoch > 1).then(sealed) }
}

fn log(label: &str) -> Control {
    Control::Log { gid: 1, kind: LogKind::Shared, label: label.to_owned() }
}

fn trim(log: LogId, to: u64, snapshot: u64) -> Control {
    Control::Trim { log, to, snapshot }
}

const READ_AND_GRANT: Rights = match Rights::from_bits(5) {
    Some(rights) => rights,
    None => panic!("5 is read and grant"),
};

fn main_log() -> LogId {
    LogId::of(&did(DB), 1, LogKind::Shared, "main")
}

type Said = Vec<(u8, Control)>;

/// A database with a writer who was revoked behind entry 5 in epoch 2, and is back since epoch 4.
fn long_story() -> Said {
    let writes = Rights::READ.and(Rights::WRITE);
    let said = [
        genesis(),
        grant(OWNER, Rights::ALL, 100),
        grant(READER, Rights::READ, 100),
        turn(1, &[READER, OWNER]),
        log("main"),
        turn(2, &[READER, OWNER]),
        grant(WRITER, writes, 100),
        revoke(WRITER, &[(main_log(), 5)]),
        turn(3, &[READER, OWNER]),
        turn(4, &[READER, OWNER]),
        grant(WRITER, writes, 100),
    ];
    said.into_iter().map(|control| (DB, control)).collect()
}

/// What is asked for of the long story.
fn asked() -> Vec<(LogId, u64, u8, u64)> {
    let places = [
        (0, OWNER, 1),
        (9, DB, 4),
        (0, WRITER, 1),
        (4, WRITER, 2),
        (5, WRITER, 2),
        (5, WRITER, 3),
        (9, WRITER, 4),
        (9, WRITER, 5),
        (9, OWNER, 0),
        (1, READER, 1),
        (1, STRANGER, 1),
    ];
    let of_main = places.into_iter().map(|(pos, who, epoch)| (main_log(), pos, who, epoch));
    of_main.chain([(LogId([0; 32]), 0, OWNER, 1)]).collect()
}

/// What nobody may say of a profile.
fn refused_of_profiles() -> Vec<(&'static str, Said)> {
    let writes = Rights::READ.and(Rights::WRITE);
    let then = |said: Said, author: u8, control: Control| [said, vec![(author, control)]].concat();
    let nobodys = || profile()[..1].to_vec();
    let owner = |who: u8| Control::Owner { did: did(who), yes: true };
    vec![
        ("a second writer of a profile", then(profile(), OWNER, grant(WRITER, writes, 100))),
        ("a reader of a profile who is to write", then(profile(), OWNER, grant(READER, writes, 100))),
        ("a second one who lets others in to a profile", then(profile(), OWNER, grant(READER, READ_AND_GRANT, 100))),
        ("a second owner of a profile", then(profile(), OWNER, owner(READER))),
        ("a profile that its database takes back", then(profile(), OWNER, owner(DB))),
        ("a writer of a profile before it is anybody's", then(nobodys(), DB, grant(OWNER, writes, 100))),
        ("a database that lets itself in to a profile", then(nobodys(), DB, grant(DB, writes, 100))),
        ("a fork of a profile for somebody else", {
            let said = forked_profile();
            then(said[..said.len() - 2].to_vec(), FORK, owner(STRANGER))
        }),
    ]
}

/// What is asked for of the fork of a profile: neither database writes it, in its own log or in that of the source.
fn asked_of_fork() -> Vec<(LogId, u64, u8, u64)> {
    let of_fork = LogId::of(&did(FORK), 1, LogKind::Shared, "main");
    vec![(of_fork, 3, FORK, 2), (of_fork, 3, OWNER, 2), (main_log(), 0, DB, 1), (main_log(), 0, OWNER, 1)]
}

/// A subscription database.
fn subscription() -> Said {
    let Control::Genesis { did, home, salt, .. } = genesis() else { unreachable!("it is a genesis") };
    let said = [
        (DB, Control::Genesis { did, kind: DbKind::Subscription, home, salt }),
        (DB, Control::Owner { did: self::did(OWNER), yes: true }),
        (DB, Control::Leave),
    ];
    said.into()
}

/// What nobody may say of a subscription database.
fn refused_of_subscriptions() -> Vec<(&'static str, Said)> {
    let then = |control: Control| [subscription(), vec![(OWNER, control)]].concat();
    let origin = Origin::parse("other.test/log").unwrap();
    let (server, url) = (did(STRANGER), "https://other.example".to_owned());
    let to = crate::store::place::Place { server, url, origin, key: [3; 32] };
    vec![
        ("a member of a subscription database", then(grant(READER, Rights::READ, 100))),
        ("a revoke in a subscription database", then(revoke(READER, &[]))),
        ("a key of a subscription database", then(turn(1, &[]))),
        ("a log of a subscription database", then(log("main"))),
        ("a trim of a subscription database", then(trim(main_log(), 4, 9))),
        ("a move of a subscription database", then(Control::Moved { to, heads: Vec::new() })),
        ("a fork of a subscription database", {
            then(Control::Fork { source: did(DB), did: did(FORK), salt: [4; 16], base: Vec::new() })
        }),
    ]
}

/// Each refusal: what was said before, and what may not follow.
fn refused() -> Vec<(&'static str, Said)> {
    let begun = || vec![(DB, genesis()), (DB, grant(OWNER, Rights::READ.and(Rights::GRANT), 100))];
    let after = |more: Said| [begun(), more].concat();
    let with_log = || after(vec![(OWNER, grant(READER, Rights::READ, 100)), (OWNER, log("main"))]);
    let and_then = |author: u8, control: Control| [with_log(), vec![(author, control)]].concat();
    let many = (0..=LOGS_MAX).map(|number| (DB, log(&format!("log-{number}"))));
    vec![
        ("a genesis by another", vec![(OWNER, genesis())]),
        ("no genesis", vec![(DB, grant(OWNER, Rights::READ, 9))]),
        ("a second genesis", after(vec![(DB, genesis())])),
        ("a stranger grants", after(vec![(STRANGER, grant(STRANGER, Rights::READ, 9))])),
        ("a reader grants", and_then(READER, grant(STRANGER, Rights::READ, 9))),
        ("a log in a group that nobody is in", vec![(DB, genesis()), (DB, log("main"))]),
        ("more rights than one has", after(vec![(OWNER, grant(READER, Rights::WRITE, 100))])),
        ("for longer than one has them", after(vec![(OWNER, grant(READER, Rights::READ, 101))])),
        ("a grant that shortens", and_then(OWNER, grant(READER, Rights::READ, 99))),
        ("a revoke of who has more", [long_story(), vec![(READER, revoke(OWNER, &[(main_log(), 1)]))]].concat()),
        ("a revoke of a member for longer", {
            let said = vec![(DB, grant(READER, Rights::READ, 200)), (OWNER, revoke(READER, &[]))];
            after(said)
        }),
        ("a revoke that leaves a log out", and_then(OWNER, revoke(READER, &[]))),
        ("a revoke with a log of nobody", and_then(OWNER, revoke(READER, &[(LogId([1; 32]), 1)]))),
        ("a revoke of nobody", and_then(OWNER, revoke(STRANGER, &[(main_log(), 1)]))),
        ("a key that skips an epoch", and_then(OWNER, turn(2, &[READER, OWNER]))),
        ("a key that leaves a member out", and_then(OWNER, turn(1, &[OWNER]))),
        ("a key for a stranger", and_then(OWNER, turn(1, &[READER, STRANGER, OWNER]))),
        ("a key by a stranger", and_then(STRANGER, turn(1, &[READER, OWNER]))),
        ("a log twice", and_then(OWNER, log("main"))),
        ("a log of another group with the label of one that is there", {
            let group = Control::Grant { gid: 2, did: did(OWNER), rights: Rights::ALL, until_s: 100 };
            let log = Control::Log { gid: 2, kind: LogKind::Shared, label: "main".into() };
            [with_log(), vec![(DB, group), (OWNER, log)]].concat()
        }),
        ("a trim by who may grant", and_then(OWNER, trim(main_log(), 4, 9))),
        ("a trim by a stranger", and_then(STRANGER, trim(main_log(), 4, 9))),
        ("a trim of the control log", and_then(DB, trim(LogId::control(&did(DB)), 4, 9))),
        ("a trim of another database's log", and_then(DB, trim(log_elsewhere(), 4, 9))),
        ("a trim of nothing", and_then(DB, trim(main_log(), 0, 9))),
        ("a trim of what is trimmed", [trimmed(), vec![(DB, trim(main_log(), 6, 20))]].concat()),
        ("a trim of less than what is trimmed", [trimmed(), vec![(DB, trim(main_log(), 5, 20))]].concat()),
        ("a trim of its own snapshot", and_then(DB, trim(main_log(), 9, 8))),
        ("a log too many", after(many.collect())),
    ]
}

#[test]
fn vectors_of_control_logs() {
    let mut cases = vec![
        story("a writer who was revoked and is back", &LogId::control(&did(DB)), &long_story(), &asked()),
        story("a member who left, and the next key is due", &LogId::control(&did(DB)), &left(), &asked()),
        story("a log that is trimmed twice", &LogId::control(&did(DB)), &trimmed(), &asked()),
        story("a profile, which its person alone writes", &LogId::control(&did(DB)), &profile(), &asked()),
        story(
            "a fork of a profile, which is of the same person",
            &LogId::control(&did(DB)),
            &forked_profile(),
            &asked_of_fork(),
        ),
        story(
            "a subscription database, of which nothing is said but whose it is",
            &LogId::control(&did(DB)),
            &subscription(),
            &asked(),
        ),
        story("a genesis in another log", &LogId([0; 32]), &[(DB, genesis())], &[]),
    ];
    let codes: BTreeSet<&str> = refused()
        .iter()
        .chain(&refused_of_profiles())
        .chain(&refused_of_subscriptions())
        .map(|(name, said)| {
            let case = story(name, &LogId::control(&did(DB)), said, &[]);
            cases.push(case);
            replayed(&LogId::control(&did(DB)), said).expect_err(name).code()
        })
        .collect();
    assert_eq!(codes.len(), 14, "each refusal: {codes:?}");
    hold("database_acls", &ABOUT, &cases);
}

/// The log `main` is trimmed, and then further: the snapshot may stand right behind what goes.
fn trimmed() -> Said {
    [long_story(), vec![(DB, trim(main_log(), 4, 9)), (DB, trim(main_log(), 6, 6))]].concat()
}

fn log_elsewhere() -> LogId {
    LogId::of(&did(STRANGER), 1, LogKind::Shared, "main")
}

/// Somebody who may read says so alone, and is none any more.
fn left() -> Said {
    [long_story(), vec![(READER, revoke(READER, &[(main_log(), 0)]))]].concat()
}

/// Replays a control log; all but the last statement are taken.
fn replayed(log: &LogId, said: &[(u8, Control)]) -> Result<Acl, AclRefusal> {
    let (first, rest) = said.split_first().unwrap();
    let mut acl = Acl::begin(log, &did(first.0), &first.1)?;
    for (number, (author, control)) in rest.iter().enumerate() {
        let before = acl.clone();
        if let Err(refusal) = acl.apply(&did(*author), control) {
            assert_eq!((number + 1, &acl), (rest.len(), &before), "the last alone is refused, and changes nothing");
            return Err(refusal);
        }
    }
    Ok(acl)
}

fn story(name: &str, log: &LogId, said: &[(u8, Control)], asked: &[(LogId, u64, u8, u64)]) -> Value {
    let spelled: Vec<Value> =
        said.iter().map(|(author, control)| json!([hex(did(*author).as_bytes()), hex(&control.encode())])).collect();
    let questions: Vec<Value> = asked
        .iter()
        .map(|(log, pos, who, epoch)| json!([hex(&log.0), pos, hex(did(*who).as_bytes()), epoch]))
        .collect();
    let given = json!({"log": hex(&log.0), "said": spelled, "asked": questions});
    match replayed(log, said) {
        Err(refusal) => json!({"name": name, "in": given, "error": refusal.code()}),
        Ok(acl) => json!({"name": name, "in": given, "out": view(&acl, asked)}),
    }
}

fn view(acl: &Acl, asked: &[(LogId, u64, u8, u64)]) -> Value {
    let (mut members, mut epochs) = (Vec::new(), Vec::new());
    for (gid, group) in acl.groups() {
        for (who, (rights, until_s)) in &group.members {
            members.push(json!([gid, hex(who.as_bytes()), rights.bits(), until_s]));
        }
        epochs.push(json!([gid, group.epochs.len(), group.rekey_due]));
    }
    let logs: Vec<Value> = acl
        .logs()
        .iter()
        .map(|(id, (gid, _, label))| {
            let trim = acl.trimmed(id).unwrap_or_default();
            json!([hex(&id.0), gid, label, trim.to, trim.snapshot])
        })
        .collect();
    let standings: Vec<&str> = asked
        .iter()
        .map(|(log, pos, who, epoch)| match acl.standing(log, *pos, &did(*who), *epoch) {
            Standing::Counts => "counts",
            Standing::Void => "void",
            Standing::Forged => "forged",
        })
        .collect();
    json!({"members": members, "epochs": epochs, "logs": logs, "standings": standings})
}
