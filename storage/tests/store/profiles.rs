//! Profiles: the devices of one person write them, whoever owns the account, and whatever anybody signs (PROTOCOL 25.19).

use dgns_api::store::control::{Control, DbKind};
use dgns_api::store::entry::{Class, LogId, LogKind};
use identity::token::Rights;
use storage::inject::Plan;
use storage::store::{Append, AppendRefusal, Store};

use crate::forks::{forks, head, log_of, other};
use crate::ground::{
    Device, GID, Ground, append, db, grant, home, main_log, may_read, on_both_engines, open, person, turn,
};

on_both_engines! {
    the_devices_of_one_person_write_a_profile_and_nobody_else
    a_profile_that_lets_somebody_write_before_it_is_anybodys_is_not_begun
    a_fork_of_a_profile_is_written_by_the_same_person
}

/// The person whose profile it is, and somebody who reads it.
const WHOSE: u8 = 1;
const READER: u8 = 2;

fn owner(number: u8) -> Control {
    Control::Owner { did: person(number), yes: true }
}

/// Makes the profile; returns the device of the database, which owns it no more, and one of its person at the control log.
async fn make(store: &Store) -> (Device, Device) {
    let mut itself = Device::new(9, db(), LogId::control(&db()));
    let mut whose = Device::new(101, person(WHOSE), LogId::control(&db()));
    let said = [
        Control::Genesis { did: db(), kind: DbKind::Profile, home: home(), salt: [0; 16] },
        owner(WHOSE),
        grant(person(WHOSE), Rights::ALL),
        turn(1, &[person(WHOSE)]),
        Control::Log { gid: GID, kind: LogKind::Shared, label: "main".into() },
        Control::Leave,
    ];
    let mut entries: Vec<_> = said.iter().map(|statement| itself.says(statement)).collect();
    store.append(Append { payer: Some(person(WHOSE)), ..append(&entries) }).await.unwrap();
    entries = vec![whose.says(&grant(person(READER), Rights::READ)), whose.says(&turn(2, &[person(1), person(2)]))];
    store.append(append(&entries)).await.unwrap();
    (itself, whose)
}

fn under(epoch: u64, device: Device) -> Device {
    Device { epoch, ..device }
}

async fn the_devices_of_one_person_write_a_profile_and_nobody_else(ground: &Ground) {
    // Goal: two devices of its person append; neither a reader nor the database itself, nor anybody whom its person signs for, also after a restart.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let (itself, whose) = make(&store).await;
    let mut devices = [1, 11].map(|seed| under(2, Device::new(seed, person(WHOSE), main_log())));
    for device in &mut devices {
        store.append(append(&[device.next(b"mine")])).await.unwrap();
    }
    store.close().await.unwrap();
    let store = open(ground, &Plan::default(), 1 << 30).await;
    assert_eq!(store.database(&db()).await.unwrap().unwrap().kind, DbKind::Profile);
    let (main, control) = (main_log(), LogId::control(&db()));
    let before = (store.log(&main).await.unwrap().unwrap(), store.log(&control).await.unwrap().unwrap());
    for (number, control) in [
        grant(person(3), Rights::READ.and(Rights::WRITE)),
        grant(person(READER), Rights::READ.and(Rights::WRITE)),
        grant(person(READER), Rights::READ.and(Rights::GRANT)),
        grant(db(), Rights::ALL),
        owner(READER),
        Control::Owner { did: db(), yes: true },
    ]
    .iter()
    .enumerate()
    {
        let entry = whose.entry(Class::Control, &control.encode(), None);
        let refused = store.append(append(&[entry])).await.map_err(|refusal| refusal.code());
        assert_eq!(refused, Err("single_writer"), "statement {number}");
    }
    let databases = under(2, Device::new(9, itself.author, main));
    let readers = under(2, Device::new(2, person(READER), main));
    for device in [databases, readers] {
        let refused = store.append(append(&[device.entry(Class::Data, b"not mine", None)])).await;
        assert_eq!(refused, Err(AppendRefusal::NotWriter));
        assert!(!store.may_write(&before.0, &device.author, 1).await.unwrap(), "nor is a chunk stored for it");
    }
    assert!(store.may_write(&before.0, &person(WHOSE), 1).await.unwrap());
    assert!(may_read(&store, &before.0, person(READER)).await);
    let after = (store.log(&main).await.unwrap().unwrap(), store.log(&control).await.unwrap().unwrap());
    assert_eq!(after, before);
    store.append(append(&[devices[0].next(b"mine again")])).await.unwrap();
}

async fn a_profile_that_lets_somebody_write_before_it_is_anybodys_is_not_begun(ground: &Ground) {
    // Goal: the first owner is its person, and a grant of before is none. Method: genesis and grant in one request.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let mut itself = Device::new(9, db(), LogId::control(&db()));
    let genesis = Control::Genesis { did: db(), kind: DbKind::Profile, home: home(), salt: [0; 16] };
    let entries = [itself.says(&genesis), itself.says(&grant(person(WHOSE), Rights::ALL))];
    let refused = store.append(Append { payer: Some(person(WHOSE)), ..append(&entries) }).await;
    assert_eq!(refused.map_err(|refusal| refusal.code()), Err("single_writer"));
    assert!(store.database(&db()).await.unwrap().is_none() && store.account(&person(WHOSE)).await.unwrap().is_none());
}

async fn a_fork_of_a_profile_is_written_by_the_same_person(ground: &Ground) {
    // Goal: whoever the database of the fork says that it is of, it is of the person whose profile it goes on from.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    make(&store).await;
    let mut device = under(2, Device::new(1, person(WHOSE), main_log()));
    store.append(append(&[device.next(b"mine")])).await.unwrap();
    let at = head(&store, main_log(), 1).await;
    let fork = forks(&store, (person(WHOSE), 101), db(), other(1), at).await;
    let mut itself = Device::new(other(1).as_bytes()[0], other(1), LogId::control(&other(1)));
    let stolen = vec![fork[0].clone(), itself.says(&owner(READER))];
    let refused = store.append(Append { payer: Some(person(WHOSE)), ..append(&stolen) }).await;
    assert_eq!(refused.map_err(|refusal| refusal.code()), Err("single_writer"));
    store.append(Append { payer: Some(person(WHOSE)), ..append(&fork) }).await.unwrap();
    assert_eq!(store.database(&other(1)).await.unwrap().unwrap().kind, DbKind::Profile);
    let main = log_of(&other(1));
    store.append(append(&[under(2, Device::new(1, person(WHOSE), main)).next(b"mine still")])).await.unwrap();
    let databases = under(2, Device::new(2, other(1), main));
    let refused = store.append(append(&[databases.entry(Class::Data, b"not mine", None)])).await;
    assert_eq!(refused, Err(AppendRefusal::NotWriter));
}
