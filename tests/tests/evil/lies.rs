//! Batches that no honest operator appends: what each leaves in the log and in the map is signed as if it were right.

use identity::alias::issuer_hash;
use identity::cert::{AttestLogin, Authority, Body, Certificate, ChainId, Payload, Role};
use identity::key::{KexSecret, SigningKey};
use identity::state::{Leaf, State, Subject};
use translog::batch::Change;

use super::forge::{Forge, entry};
use super::people::{NOTHING_SEEN, Someone, origin};

/// Appends a lie told with the names of these people, who are in the log.
pub type Lie = fn(&mut Forge, &mut [Someone]);

/// A name given to somebody else in the map alone.
pub fn map_lie(forge: &mut Forge, people: &mut [Someone]) {
    let mut batch = forge.integrate(&Someone::new(50).1, forge.time_ms + 1_000);
    let leaf = owned_by(forge.leaf(&people[0].subject()), &people[1]);
    batch.changes.insert(people[0].subject(), Change::of(&people[0].subject(), leaf.into()));
    forge.take(batch, |_| {});
}

/// A claim of a name that is taken, logged, with the map as if it held.
pub fn forbidden_claim(forge: &mut Forge, people: &mut [Someone]) {
    let (mut mallory, mut certificates) = Someone::new(66);
    certificates.push(mallory.claims(&people[0].name));
    let honest = forge.integrate(&certificates[..2], forge.time_ms + 1_000);
    let mut changes = honest.changes;
    let leaf = owned_by(forge.leaf(&people[0].subject()), &mallory);
    changes.insert(people[0].subject(), Change::of(&people[0].subject(), leaf.into()));
    let entries = certificates.iter().map(|certificate| entry(&forge.countersigned(certificate))).collect();
    forge.close(entries, changes, honest.epoch.time_ms, |_| {});
}

/// Records that no device signed.
pub fn forged_signature(forge: &mut Forge, people: &mut [Someone]) {
    let forged = unsigned(&people[2].points_to([10, 9, 9, 9]));
    forge.batch(&[forged]);
}

/// An Epoch before the one before it.
pub fn time_back(forge: &mut Forge, _: &mut [Someone]) {
    let batch = forge.integrate(&Someone::new(50).1, forge.time_ms + 1_000);
    forge.take(batch, |epoch| epoch.time_ms -= 60_000);
}

/// Records that are in the map, and in the log no more.
pub fn left_out(forge: &mut Forge, people: &mut [Someone]) {
    let batch = forge.integrate(&[people[2].points_to([10, 9, 9, 9])], forge.time_ms + 1_000);
    forge.close(Vec::new(), batch.changes, batch.epoch.time_ms, |_| {});
}

/// A claim before the genesis of who claims.
pub fn exchanged(forge: &mut Forge, _: &mut [Someone]) {
    let batch = forge.integrate(&Someone::new(50).1, forge.time_ms + 1_000);
    let mut entries = batch.entries;
    entries.pop();
    entries.swap(0, 1);
    forge.close(entries, batch.changes, batch.epoch.time_ms, |_| {});
}

/// A name that is in nobody's hands any more, in the map alone.
pub fn forgotten(forge: &mut Forge, people: &mut [Someone]) {
    forge.forget(&people[0].subject());
    forge.batch(&Someone::new(50).1);
}

/// A sign-in said by a notary that was revoked just before, with the map as if its word counted.
pub fn revoked_notary(forge: &mut Forge, _: &mut [Someone]) {
    let (notary, issuer) = (SigningKey::from_seed(&[77; 32]), "https://issuer.example");
    let authority = Authority { role: Role::Notary, key: notary.public(), scope: issuer.into(), zone: None };
    forge.says_of_itself(Body::NotaryAdd(authority));
    let (sign, kex) = (SigningKey::from_seed(&[78; 32]).public(), KexSecret::from_bytes([79; 32]).public());
    let login = AttestLogin { sign, kex, issuer: issuer_hash(issuer), evidence: [1; 32] };
    let payload = Payload {
        subject: Some(ChainId::Alias([2; 32])),
        seq: 0,
        prev: None,
        seen: NOTHING_SEEN,
        unix_s: 0,
        body: Body::AttestLogin(login),
        critical: true,
        by: None,
    };
    let login = Certificate::sign(&payload, &origin(), &[&notary]).unwrap();
    let as_if = forge.integrate(std::slice::from_ref(&login), forge.time_ms + 1_000);
    forge.says_of_itself(Body::NotaryRevoke { kid: notary.kid() });
    forge.close(vec![entry(&login)], as_if.changes, forge.time_ms + 1_000, |_| {});
}

/// Returns a certificate with one bit of a signature flipped.
pub fn unsigned(honest: &Certificate) -> Certificate {
    let mut signatures = honest.signatures().to_vec();
    signatures[0].1[40] ^= 1;
    Certificate::assemble(honest.payload_bytes(), signatures).unwrap()
}

/// Puts a state back into the map that a subject had before; the log says nothing of it.
pub fn goes_back(forge: &mut Forge, subject: &Subject, before: Leaf) {
    let number = 60 + forge.edge.size();
    let mut batch = forge.integrate(&Someone::new(number).1, forge.time_ms + 1_000);
    batch.changes.insert(subject.clone(), Change::of(subject, before.into()));
    forge.take(batch, |_| {});
}

pub fn owned_by(mut leaf: Leaf, owner: &Someone) -> Leaf {
    let State::Name(name) = &mut leaf.state else { panic!("a name has a NameState") };
    (name.did, name.version) = (Some(owner.did), name.version + 1);
    leaf
}
