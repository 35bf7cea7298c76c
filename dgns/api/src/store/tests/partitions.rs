//! What stands in the partition of a user, and what does not: held as vectors.

use identity::did::Did;
use identity::sealed::Sealed;
use identity::token::Rights;
use identity::user_key::UserSeed;
use serde_json::{Value, json};

use super::{db, header, person, signed};
use crate::store::control::Control;
use crate::store::entry::{Class, Entry, Header, LogId, LogKind};
use crate::store::limits::INVITATION_TEXT_BYTES_MAX;
use crate::store::partition::{self, Invitation, Membership, Proof, SealedInvitation};
use crate::vectors::hex;

/// A grant to somebody, as it stands in a control log.
fn grant_to(did: Did) -> Entry {
    let control = Control::Grant { gid: 1, did, rights: Rights::READ, until_s: 100 };
    let about = Header { class: Class::Control, log: LogId::control(&db()), author: db(), epoch: 0, ..header() };
    let about = Header { refs: Vec::new(), expect: None, ..about };
    super::Entry::sign(about, control.encode(), &super::home(), &super::key()).unwrap()
}

fn member(grant: Entry) -> Proof {
    Proof::Member(Box::new(Membership { db: db(), pos: 7, epoch: 2, grant }))
}

fn sealed(ct: usize) -> SealedInvitation {
    SealedInvitation { generation: 2, sealed: Sealed { enc: [4; 32], ct: vec![5; ct] } }
}

fn proof_case(name: &str, bytes: &[u8]) -> Value {
    let given = json!({"body": hex(bytes), "user": hex(person().as_bytes())});
    match Proof::decode(bytes) {
        Err(error) => json!({"op": "proof", "name": name, "in": given, "error": error.code()}),
        Ok(proof) => {
            assert_eq!(proof.encode(), bytes, "{name}");
            let out = match &proof {
                Proof::Open { salt } => json!({"salt": hex(salt)}),
                Proof::Member(proof) => {
                    let to = proof.to(&person());
                    json!({"db": hex(proof.db.as_bytes()), "pos": proof.pos, "epoch": proof.epoch, "to": to})
                }
                Proof::Left { db } => json!({"left": hex(db.as_bytes())}),
            };
            json!({"op": "proof", "name": name, "in": given, "out": out})
        }
    }
}

fn sealed_case(name: &str, bytes: &[u8]) -> Value {
    match SealedInvitation::decode(bytes) {
        Err(error) => {
            json!({"op": "sealed_invitation", "name": name, "in": {"body": hex(bytes)}, "error": error.code()})
        }
        Ok(read) => {
            assert_eq!(read.encode(), bytes, "{name}");
            let out = json!({"generation": read.generation, "bytes": read.sealed.ct.len()});
            json!({"op": "sealed_invitation", "name": name, "in": {"body": hex(bytes)}, "out": out})
        }
    }
}

fn invitation_case(name: &str, bytes: &[u8]) -> Value {
    match Invitation::read(bytes) {
        Err(error) => json!({"op": "invitation", "name": name, "in": {"plain": hex(bytes)}, "error": error.code()}),
        Ok(read) => {
            assert_eq!(read.padded(), bytes, "{name}");
            let out = json!({"db": read.db.map(|db| hex(db.as_bytes())), "text": read.text});
            json!({"op": "invitation", "name": name, "in": {"plain": hex(bytes)}, "out": out})
        }
    }
}

pub(super) fn cases() -> Vec<Value> {
    let mut cases: Vec<Value> = [LogKind::Proofs, LogKind::Invitations]
        .map(|kind| {
            let label = partition::label(&person());
            assert_eq!(partition::user_of(&label), Some(person()));
            let given = json!({"db": hex(db().as_bytes()), "gid": 0, "kind": kind as u8, "label": label});
            let id = partition::log_of(&db(), &person(), kind);
            json!({"op": "log", "name": format!("log {kind:?}"), "in": given, "out": {"id": hex(&id.0)}})
        })
        .into();
    let seed = [8; 32];
    let salt = partition::salt_of(&UserSeed::from_bytes(seed), &db());
    let given = json!({"seed": hex(&seed), "db": hex(db().as_bytes())});
    cases.push(json!({"op": "partition_salt", "name": "a salt", "in": given, "out": {"salt": hex(&salt)}}));
    let whole = member(grant_to(person())).encode();
    let data = Header { refs: Vec::new(), ..header() };
    for (name, bytes) in [
        ("a partition begins", Proof::Open { salt: [3; 16] }.encode()),
        ("a grant to the user", whole.clone()),
        ("a grant to somebody else", member(grant_to(db())).encode()),
        ("an entry that is no grant", member(signed(data, b"sealed")).encode()),
        ("a database that is wanted no more", Proof::Left { db: db() }.encode()),
        ("half a proof", whole[..60].to_vec()),
        ("a proof and a byte", [&whole[..], &[0]].concat()),
        ("a partition that begins with half a salt", vec![0x82, 1, 0x41, 3]),
        ("a proof of no kind", vec![0x81, 9]),
        ("a grant that is none", [&[0x85, 2, 0x54][..], db().as_bytes(), &[7, 2, 0x41, 0]].concat()),
        ("a proof that is too large", vec![0; 4_097]),
    ] {
        cases.push(proof_case(name, &bytes));
    }
    for (name, bytes) in [
        ("a sealed invitation", sealed(1_040).encode()),
        ("the largest", sealed(3_088).encode()),
        ("one that is not padded", sealed(1_041).encode()),
        ("one of nothing", sealed(16).encode()),
        ("one that is too large", sealed(4_112).encode()),
        ("one that is not padded, and a byte", [&sealed(1_041).encode()[..], &[0]].concat()),
        ("half a sealed invitation", sealed(1_040).encode()[..60].to_vec()),
    ] {
        cases.push(sealed_case(name, &bytes));
    }
    let says = |db: Option<Did>, text: &str| Invitation { db, text: text.to_owned() }.padded();
    let mut odd = says(None, "Come.");
    *odd.last_mut().unwrap() = 1;
    for (name, bytes) in [
        ("an invitation", says(None, "Come.")),
        ("an invitation to a database", says(Some(db()), "Come and see.")),
        ("an invitation of no words", says(Some(db()), "")),
        ("an invitation of as many words as may be", says(Some(db()), &"x".repeat(INVITATION_TEXT_BYTES_MAX))),
        ("an invitation of too many words", says(None, &"x".repeat(INVITATION_TEXT_BYTES_MAX + 1))),
        ("an invitation without its zeros", says(None, "Come.")[..9].to_vec()),
        ("an invitation with another end", odd),
    ] {
        cases.push(invitation_case(name, &bytes));
    }
    cases
}
