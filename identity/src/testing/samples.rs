//! One certificate of each type, the same in every run.

use crate::alias::{AliasId, alias_id, commitment, issuer_hash};
use crate::cert::{
    AliasBind, Attempt, AttestLogin, Authority, Body, Certificate, ChainId, ChildLog, Claim, ClaimProof, Delegate,
    Device, DeviceEnd, DidKind, Dispute, EndReason, Enrolment, FirstUserKey, Genesis, Glue, IdRotate, KeyBytes, Level,
    Payload, Recipient, RecipientKind, Records, RecoverFinal, RecoverOpen, RecoveryServer, RecoverySet, Role, Row,
    Seen, UserKey, ZoneTerms,
};
use crate::did::Did;
use crate::hash::sha256;
use crate::key::{KexSecret, SigningKey, kid_of};
use crate::name::{Origin, Zone};
use crate::oprf;
use crate::pow::code_hash;

/// A payload and the keys that sign it.
pub(crate) struct Sample {
    /// What it shows.
    pub(crate) name: &'static str,
    pub(crate) payload: Payload,
    pub(crate) signers: Vec<SigningKey>,
}

impl Sample {
    pub(crate) fn certificate(&self) -> Certificate {
        sign(&self.payload, &self.signers)
    }

    pub(crate) fn candidates(&self) -> Vec<KeyBytes> {
        self.signers.iter().map(SigningKey::public).collect()
    }
}

pub(crate) fn origin() -> Origin {
    Zone::parse("dgns.test").expect("a zone").origin()
}

/// The Ed25519 key that tests call by number.
pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

pub(crate) fn device(number: u8, level: Level) -> Device {
    Device {
        sign: key(number).public(),
        kex: KexSecret::from_bytes([number; 32]).public(),
        level,
        label_hash: [number; 32],
    }
}

pub(crate) fn genesis() -> Genesis {
    Genesis {
        kind: DidKind::User,
        identity: key(1).public(),
        words_box: KexSecret::from_bytes([1; 32]).public(),
        device: device(2, Level::Admin),
        window_s: None,
        user_key: None,
    }
}

/// A payload that begins a chain, with the body of a genesis.
pub(crate) fn first(genesis: Genesis) -> Payload {
    Payload {
        subject: None,
        seq: 0,
        prev: None,
        seen: Seen { size: 0, root: sha256(&[]) },
        unix_s: 1_800_000_000,
        body: Body::Genesis(genesis),
        critical: true,
        by: None,
    }
}

/// A payload that follows in a chain.
pub(crate) fn next(body: Body) -> Payload {
    Payload {
        subject: Some(Did::from_bytes([0xd1; 20]).into()),
        seq: 7,
        prev: Some([0x3a; 32]),
        seen: Seen { size: 300, root: [0x5e; 32] },
        ..Payload { body, ..first(genesis()) }
    }
}

pub(crate) fn sign(payload: &Payload, signers: &[SigningKey]) -> Certificate {
    Certificate::sign(payload, &origin(), &signers.iter().collect::<Vec<_>>()).expect("a sample is sound")
}

/// A payload in the chain of an alias: the first if `prev` is absent.
pub(crate) fn login(alias: AliasId, prev: Option<[u8; 32]>, login: AttestLogin) -> Payload {
    let seq = if prev.is_some() { 7 } else { 0 };
    Payload { subject: Some(ChainId::Alias(alias)), seq, prev, ..next(Body::AttestLogin(login)) }
}

/// One positive sample per type, and per shape of it.
pub(crate) fn all() -> Vec<Sample> {
    let sample =
        |name, payload, signers: &[u8]| Sample { name, payload, signers: signers.iter().map(|n| key(*n)).collect() };
    let claim = |name: &str, proof| Body::Claim(Claim { name: name.into(), proof });
    let end = DeviceEnd { kid: kid_of(&key(3).public()), reason: EndReason::Stolen };
    let to = Some(Did::from_bytes([0xd2; 20]));
    vec![
        sample("genesis of a user", first(genesis()), &[1, 2]),
        sample("genesis of a server with a window", first(server()), &[1, 2]),
        sample("genesis of a database", first(Genesis { kind: DidKind::Database, ..genesis() }), &[1, 2]),
        sample(
            "genesis of a user with a user key",
            first(Genesis { user_key: Some(first_user_key()), ..genesis() }),
            &[1, 2],
        ),
        sample(
            "claim on the open road",
            next(claim("alice.dgns.test", ClaimProof::Open { nonce: 1 << 40, bits: 18 })),
            &[2, 9],
        ),
        sample(
            "claim on the attested road",
            next(claim("alice.dgns.test", ClaimProof::Attested { evidence: [0xe1; 32] })),
            &[2, 8, 9],
        ),
        sample("claim on the invite road", next(claim("alice.dgns.test", invite())), &[1, 9]),
        sample("claim below another name", next(claim("photos.alice.dgns.test", ClaimProof::Parent)), &[2, 9]),
        sample(
            "claim granted by another owner",
            Payload { by: to, ..next(claim("bob.alice.dgns.test", ClaimProof::Parent)) },
            &[2, 4, 9],
        ),
        sample("device_add", next(Body::DeviceAdd(device(3, Level::Admin))), &[2, 3]),
        sample("device_add of a service", next(Body::DeviceAdd(device(3, Level::Service))), &[1, 3]),
        sample("device_suspend", next(Body::DeviceSuspend(DeviceEnd { reason: EndReason::Other, ..end })), &[2]),
        sample("device_revoke", next(Body::DeviceRevoke(end)), &[2, 4]),
        sample("id_rotate", next(Body::IdRotate(rotate())), &[1, 5]),
        sample("policy", next(Body::Policy { window_s: 86_400 }), &[1]),
        sample("transfer", Payload { by: to, ..next(Body::Transfer { name: "alice.dgns.test".into(), to }) }, &[1, 6]),
        sample("release", next(Body::Transfer { name: "alice.dgns.test".into(), to: None }), &[2]),
        sample("alias_bind", next(Body::AliasBind(bind(alias_of("alice@example.test")))), &[2, 8]),
        sample("alias_unbind", next(Body::AliasUnbind { alias: alias_of("alice@example.test") }), &[1]),
        sample("records", next(Body::Records(records())), &[2]),
        sample(
            "records, none",
            next(Body::Records(Records { rows: vec![], aliases: vec![], flags: 0, ..records() })),
            &[2],
        ),
        sample("delegate", next(Body::Delegate(delegate())), &[2]),
        sample("delegate without a log", next(Body::Delegate(Delegate { log: None, ..delegate() })), &[1]),
        sample("delegate, the end of it", next(Body::Delegate(no_delegate("alice.dgns.test"))), &[2]),
        sample("user_key", next(Body::UserKey(UserKey { extras: vec![], ..user_key(2) })), &[2]),
        sample("user_key with passkeys", next(Body::UserKey(user_key(3))), &[1]),
        sample("recovery_set", next(Body::RecoverySet(recovery_set(1))), &[1]),
        sample("recovery_set of none", next(Body::RecoverySet(RecoverySet { epoch: 2, enrolment: None })), &[2, 4]),
        sample("recover_open", next(Body::RecoverOpen(recover_open(1, 1, 80))), &[8, 80]),
        sample("recover_prove", next(Body::RecoverProve(Attempt { epoch: 1, number: 10 })), &[70, 80]),
        sample("recover_final", next(Body::RecoverFinal(recover_final(1, 1, 80))), &[70, 80]),
        sample(
            "recover_final with new words, keeping a device",
            next(Body::RecoverFinal(RecoverFinal {
                keep: vec![kid_of(&key(3).public())],
                words: Some(rotate()),
                ..recover_final(1, 1, 80)
            })),
            &[5, 70, 80],
        ),
        sample("confirm", next(Body::Confirm { act: [0xac; 32] }), &[2]),
        sample("veto", next(Body::Veto { act: [0xac; 32] }), &[1]),
        sample(
            "veto of a sign-in",
            next(Body::Dispute(Dispute { login: [0xac; 32], alias: alias_of("alice@example.test") })),
            &[2],
        ),
        sample("tombstone", next(Body::Tombstone), &[1]),
        sample("notary_add of a zone", next(Body::NotaryAdd(zone_authority())), &[1]),
        sample("notary_add of a notary", next(Body::NotaryAdd(notary(Role::Notary, ISSUER, 8))), &[1]),
        sample("notary_add of an alias key, which is no Ed25519 key", next(Body::NotaryAdd(alias())), &[1]),
        sample("notary_revoke", next(Body::NotaryRevoke { kid: kid_of(&key(9).public()) }), &[2]),
        sample("attest_login, the first of an alias", login(alias_of("alice@example.test"), None, attest(31)), &[8]),
        sample("attest_login", login(alias_of("alice@example.test"), Some([0x3a; 32]), attest(31)), &[8]),
        sample("not critical", Payload { critical: false, ..next(Body::Tombstone) }, &[1]),
        sample("eight signatures", next(Body::Tombstone), &[1, 2, 3, 4, 5, 6, 7, 8]),
    ]
}

pub(crate) fn zone_authority() -> Authority {
    let terms = ZoneTerms { roads: 0b1101, work_floor_bits: 18, window_floor_s: 86_400 };
    Authority { zone: Some(terms), ..notary(Role::Zone, "dgns.test", 9) }
}

fn server() -> Genesis {
    Genesis { kind: DidKind::Server, window_s: Some(600), ..genesis() }
}

fn invite() -> ClaimProof {
    ClaimProof::Invite { code_hash: code_hash(&[0xc0; 16]) }
}

fn rotate() -> IdRotate {
    IdRotate { identity: key(5).public(), words_box: KexSecret::from_bytes([5; 32]).public() }
}

/// The issuer of the notaries of tests.
pub(crate) const ISSUER: &str = "https://issuer.example";

/// The alias that tests give an address; what the server's key would make of it is of no concern here.
pub(crate) fn alias_of(address: &str) -> AliasId {
    let half = sha256(&[address.as_bytes()]);
    let mut evaluation = [0; 64];
    evaluation[..32].copy_from_slice(&half);
    alias_id(&evaluation, None)
}

pub(crate) fn bind(alias: AliasId) -> AliasBind {
    AliasBind { alias, commitment: commitment("alice@example.test", &[0x0c; 32]), evidence: [0xe1; 32] }
}

/// A sign-in with the keys of this number.
pub(crate) fn attest(number: u8) -> AttestLogin {
    let Device { sign, kex, .. } = device(number, Level::Admin);
    AttestLogin { sign, kex, issuer: issuer_hash(ISSUER), evidence: [0xe1; 32] }
}

/// An enrolment with three servers, of which two are needed, and two sign-ins, of which one is. K is key 70.
pub(crate) fn recovery_set(epoch: u32) -> RecoverySet {
    let server = |number: u8| RecoveryServer {
        url: format!("https://recovery{number}.example"),
        operator: format!("Operator {number}"),
        key: key(number).public(),
        oprf: oprf::Server::from_seed(&[number; 32]).public(),
    };
    let enrolment = Enrolment {
        servers: (71..=73).map(server).collect(),
        threshold: 2,
        sign: key(70).public(),
        kex: KexSecret::from_bytes([70; 32]).public(),
        bundle: [0xb7; 32],
        sign_ins: vec![[0x51; 32], [0x52; 32]],
        needed: 1,
    };
    RecoverySet { epoch, enrolment: Some(enrolment) }
}

/// An attempt by a device with the keys of `number`, for one PIN an attempt.
pub(crate) fn recover_open(epoch: u32, attempt: u8, number: u8) -> RecoverOpen {
    let Device { sign, kex, .. } = device(number, Level::Admin);
    let blinded = oprf::Server::from_seed(&[attempt; 32]).public();
    RecoverOpen { attempt: Attempt { epoch, number: attempt }, sign, kex, blinded, evidence: vec![[0xe1; 32]] }
}

/// The end of a recovery, with nothing kept but the words.
pub(crate) fn recover_final(epoch: u32, attempt: u8, number: u8) -> RecoverFinal {
    let attempt = Attempt { epoch, number: attempt };
    RecoverFinal { attempt, keep: vec![], device: device(number, Level::Admin), words: None }
}

fn first_user_key() -> FirstUserKey {
    let UserKey { key, boxes, .. } = user_key(1);
    FirstUserKey { key, boxes }
}

/// A user key of this generation, for two passkeys.
pub(crate) fn user_key(generation: u8) -> UserKey {
    let kex = |number| KexSecret::from_bytes([number; 32]).public();
    let mut extras =
        vec![201, 202].into_iter().map(|n| Recipient { kind: RecipientKind::Passkey, kex: kex(n) }).collect::<Vec<_>>();
    extras.sort();
    UserKey { key: kex(100 + generation), boxes: [0xb0 + generation; 32], generation: generation.into(), extras }
}

pub(crate) fn notary(role: Role, scope: &str, number: u8) -> Authority {
    Authority { role, key: key(number).public(), scope: scope.into(), zone: None }
}

/// A delegation of `alice.dgns.test` to two servers, one of them within the name, with a digest of each type and a log.
pub(crate) fn delegate() -> Delegate {
    let glue = |address: &[u8]| Glue { host: "ns.alice.dgns.test".into(), address: address.into() };
    let address = "2001:db8::7".parse::<core::net::Ipv6Addr>().expect("an address");
    Delegate {
        name: "alice.dgns.test".into(),
        servers: vec!["ns.alice.dgns.test".into(), "ns.example".into()],
        ds: vec![[&[0x12, 0x34, 13, 2][..], &[0xd2; 32]].concat(), [&[0x12, 0x34, 13, 4][..], &[0xd4; 48]].concat()],
        glue: vec![glue(&address.octets()), glue(&[192, 0, 2, 7])],
        log: Some(ChildLog {
            url: Some("https://alice.example".into()),
            key: key(90).public(),
            policy: Some("log alice.dgns.test/log\nquorum none\n".into()),
        }),
    }
}

/// The end of a delegation.
pub(crate) fn no_delegate(name: &str) -> Delegate {
    Delegate { name: name.into(), servers: vec![], ds: vec![], glue: vec![], log: None }
}

fn alias() -> Authority {
    Authority { key: [0xff; 32], ..notary(Role::Alias, "dgns.test", 8) }
}

pub(crate) fn records() -> Records {
    let row = |owner: &str, rtype, rdata: &[u8]| Row { owner: owner.into(), rtype, rdata: rdata.into(), ttl: 60 };
    let srv = b"\x00\x01\x00\x02\x14\xe9\x05alice\x04dgns\x04test\x00";
    Records {
        name: "alice.dgns.test".into(),
        rows: vec![
            row("", 1, &[192, 0, 2, 1]),
            row("", 16, b"\x05hello"),
            row("_acme-challenge", 5, b"\x01x\x07example\x00"),
            row("_db._tcp", 33, srv),
        ],
        aliases: vec!["db.owner.example".into()],
        flags: Records::NO_DID,
    }
    .in_order()
}
