//! Any payload and any state that the types can hold and the formats permit, for property tests.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::cert::{
    AliasBind, Attempt, AttestLogin, Authority, Body, ChainId, ChildLog, Claim, ClaimProof, Delegate, Device,
    DeviceEnd, DidKind, Dispute, EndReason, Enrolment, FirstUserKey, Genesis, Glue, IdRotate, Kid, Level, Payload,
    Recipient, RecipientKind, Records, RecoverFinal, RecoverOpen, RecoveryServer, RecoverySet, Role, Row, Seen,
    UserKey, ZoneTerms,
};
use crate::did::Did;
use crate::key::kid_of;
use crate::limits::GUESSES_MAX;
use crate::state::{
    AliasState, AttemptState, Attested, AuthorityState, ChainHead, DeviceState, DeviceStatus, DidState, NameState,
    NameStatus, Pending, Power, RecoveryKeys, RecoveryPhase, RecoveryState, UserKeyState,
};

pub(crate) fn payload() -> impl Strategy<Value = Payload> {
    let frame = (any::<[u8; 20]>(), 1_u64.., any::<[u8; 32]>(), any::<(u64, [u8; 32])>(), any::<u64>(), any::<bool>());
    let chain = (any::<[u8; 32]>(), any::<bool>());
    (body(), frame, option::of(did()), chain).prop_map(|(body, frame, by, (alias, is_first))| {
        let (subject, seq, prev, (size, root), unix_s, critical) = frame;
        let is_login = matches!(body, Body::AttestLogin(_));
        let begins = matches!(body, Body::Genesis(_)) || (is_login && is_first);
        let subject = match &body {
            Body::Genesis(_) => None,
            Body::AttestLogin(_) => Some(ChainId::Alias(alias)),
            _ => Some(ChainId::Did(Did::from_bytes(subject))),
        };
        let two_parties = match &body {
            Body::Claim(claim) => claim.proof == ClaimProof::Parent,
            Body::Transfer { to, .. } => to.is_some(),
            _ => false,
        };
        Payload {
            subject,
            seq: if begins { 0 } else { seq },
            prev: (!begins).then_some(prev),
            seen: Seen { size, root },
            unix_s,
            body,
            critical,
            by: by.filter(|_| two_parties),
        }
    })
}

pub(crate) fn body() -> impl Strategy<Value = Body> {
    let act = any::<[u8; 32]>;
    prop_oneof![
        genesis().prop_map(Body::Genesis),
        (name(), claim_proof()).prop_map(|(name, proof)| Body::Claim(Claim { name, proof })),
        device().prop_map(Body::DeviceAdd),
        device_end().prop_map(Body::DeviceSuspend),
        device_end().prop_map(Body::DeviceRevoke),
        any::<([u8; 32], [u8; 32])>()
            .prop_map(|(identity, words_box)| Body::IdRotate(IdRotate { identity, words_box })),
        any::<u64>().prop_map(|window_s| Body::Policy { window_s }),
        (name(), option::of(did())).prop_map(|(name, to)| Body::Transfer { name, to }),
        any::<([u8; 32], [u8; 32], [u8; 32])>().prop_map(|(alias, commitment, evidence)| Body::AliasBind(AliasBind {
            alias,
            commitment,
            evidence
        })),
        any::<[u8; 32]>().prop_map(|alias| Body::AliasUnbind { alias }),
        records().prop_map(Body::Records),
        delegate().prop_map(Body::Delegate),
        user_key().prop_map(Body::UserKey),
        recovery_set().prop_map(Body::RecoverySet),
        (attempt(), any::<([u8; 32], [u8; 32], [u8; 32])>(), hashes()).prop_map(
            |(attempt, (sign, kex, blinded), evidence)| Body::RecoverOpen(RecoverOpen {
                attempt,
                sign,
                kex,
                blinded,
                evidence
            })
        ),
        attempt().prop_map(Body::RecoverProve),
        recover_final().prop_map(Body::RecoverFinal),
        act().prop_map(|act| Body::Confirm { act }),
        act().prop_map(|act| Body::Veto { act }),
        any::<([u8; 32], [u8; 32])>().prop_map(|(login, alias)| Body::Dispute(Dispute { login, alias })),
        Just(Body::Tombstone),
        authority().prop_map(Body::NotaryAdd),
        kid().prop_map(|kid| Body::NotaryRevoke { kid }),
        any::<([u8; 32], [u8; 32], [u8; 32], [u8; 32])>()
            .prop_map(|(sign, kex, issuer, evidence)| Body::AttestLogin(AttestLogin { sign, kex, issuer, evidence })),
    ]
}

pub(crate) fn records() -> impl Strategy<Value = Records> {
    let owner = "(_[a-z]{1,5}(\\._[a-z]{1,5}){0,2})?";
    let rtype = prop_oneof![prop::sample::select(vec![1, 5, 16, 28, 33, 44, 52, 64, 65, 257]), any::<u16>()];
    let row = (owner, rtype, vec(any::<u8>(), 0..40), prop_oneof![Just(60), any::<u32>()])
        .prop_map(|(owner, rtype, rdata, ttl)| Row { owner, rtype, rdata, ttl });
    (name(), vec(row, 0..12), vec("[a-z]{1,8}\\.[a-z]{1,8}", 0..4), 0..4_u32).prop_map(
        |(name, rows, aliases, flags)| {
            let mut records = Records { name, rows, aliases, flags }.in_order();
            records.rows.dedup_by(|a, b| (&a.owner, a.rtype, &a.rdata) == (&b.owner, b.rtype, &b.rdata));
            records
        },
    )
}

pub(crate) fn delegate() -> impl Strategy<Value = Delegate> {
    let servers = vec("[a-z]{1,8}\\.[a-z]{1,8}", 1..=8);
    let ds = vec(vec(any::<u8>(), 0..60), 0..=4);
    let glue = vec(("[a-z]{1,8}\\.[a-z]{1,8}", vec(any::<u8>(), 0..17)), 0..=16);
    let log = (option::of("https://[a-z]{1,9}"), any::<[u8; 32]>(), option::of("[a-z \\n]{1,99}"));
    (name(), any::<bool>(), servers, ds, glue, option::of(log)).prop_map(|(name, ends, servers, ds, glue, log)| {
        if ends {
            return Delegate { name, servers: vec![], ds: vec![], glue: vec![], log: None };
        }
        let glue = glue.into_iter().map(|(host, address)| Glue { host, address }).collect();
        let log = log.map(|(url, key, policy)| ChildLog { url, key, policy });
        Delegate { name, servers: ascending(servers), ds: ascending(ds), glue: ascending(glue), log }
    })
}

fn ascending<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort();
    items.dedup();
    items
}

pub(crate) fn did_state() -> impl Strategy<Value = DidState> {
    let head = any::<(u64, [u8; 32], u64)>().prop_map(|(seq, sid, index)| ChainHead { seq, sid, index });
    let fixed = (1_u64.., did(), did_kind(), 0..16_u32, head, any::<([u8; 32], [u8; 32])>(), any::<(u64, u64, u64)>());
    let lists = (vec(device_state(), 0..4), vec(pending(), 0..3), vec(name(), 0..4), vec(authority_state(), 0..3));
    (fixed, lists, option::of((user_key(), any::<u64>())), option::of(recovery_state())).prop_map(
        |(
            (version, did, kind, flags, head, (identity, words_box), (window_s, uid, born_ms)),
            lists,
            user_key,
            recovery,
        )| {
            let (mut devices, pending, mut names, authorities) = lists;
            devices.sort_by_key(|device| kid_of(&device.sign));
            names.sort();
            names.dedup();
            let flags = if user_key.is_some() { flags } else { flags & !DidState::USER_KEY_STALE };
            DidState {
                version,
                did,
                kind,
                flags,
                head,
                identity,
                words_box,
                devices,
                user_key: user_key.map(|(UserKey { key, boxes, generation, extras }, index)| UserKeyState {
                    generation,
                    key,
                    index,
                    boxes,
                    extras,
                }),
                window_s,
                pending,
                recovery: recovery.map(Box::new),
                names,
                authorities,
                uid,
                born_ms,
            }
        },
    )
}

pub(crate) fn name_state() -> impl Strategy<Value = NameState> {
    let status = prop_oneof![Just(NameStatus::Live), Just(NameStatus::Held), Just(NameStatus::Free)];
    let fields = (1_u64.., name(), did(), status, any::<u64>(), 1_u64..);
    (fields, option::of((any::<bool>(), any::<(u64, [u8; 32])>())), any::<u64>()).prop_map(
        |((version, name, did, status, claim_index, held_until_ms), named, children)| NameState {
            version,
            name,
            did: (status != NameStatus::Free).then_some(did),
            status,
            claim_index,
            held_until_ms: if status == NameStatus::Held { held_until_ms } else { 0 },
            records: named.filter(|(delegates, _)| !delegates).map(|(_, named)| named),
            delegate: named.filter(|(delegates, _)| *delegates).map(|(_, named)| named),
            children: if named.is_some_and(|(delegates, _)| delegates) { 0 } else { children },
        },
    )
}

pub(crate) fn alias_state() -> impl Strategy<Value = AliasState> {
    let row = (any::<([u8; 32], [u8; 32], u64, [u8; 32], bool)>(), kid())
        .prop_map(|((sign, kex, index, sid, disputed), notary)| Attested { sign, kex, index, sid, notary, disputed });
    let head = any::<(u64, [u8; 32], u64)>().prop_map(|(seq, sid, index)| ChainHead { seq, sid, index });
    let fields = (1_u64.., any::<[u8; 32]>(), option::of(did()), option::of(head), vec(row, 0..4), any::<u64>());
    fields.prop_map(|(version, alias, did, head, mut attested, breaker_ms)| {
        attested.sort_by_key(|row| row.index);
        attested.dedup_by_key(|row| row.index);
        attested.retain(|_| head.is_some());
        AliasState { version, alias, did, head, attested, breaker_ms }
    })
}

fn user_key() -> impl Strategy<Value = UserKey> {
    let extra = any::<[u8; 32]>().prop_map(|kex| Recipient { kind: RecipientKind::Passkey, kex });
    (any::<([u8; 32], [u8; 32], u64)>(), vec(extra, 0..5)).prop_map(|((key, boxes, generation), mut extras)| {
        extras.sort();
        extras.dedup();
        UserKey { key, boxes, generation, extras }
    })
}

fn attempt() -> impl Strategy<Value = Attempt> {
    (1_u32.., 1..=GUESSES_MAX).prop_map(|(epoch, number)| Attempt { epoch, number })
}

fn hashes() -> impl Strategy<Value = Vec<[u8; 32]>> {
    vec(any::<[u8; 32]>(), 1..5).prop_map(|mut hashes| {
        hashes.sort();
        hashes.dedup();
        hashes
    })
}

fn recovery_set() -> impl Strategy<Value = RecoverySet> {
    let server = ("https://[a-z]{1,30}", "[a-zA-Z ]{1,20}", any::<([u8; 32], [u8; 32])>())
        .prop_map(|(url, operator, (key, oprf))| RecoveryServer { url, operator, key, oprf });
    let enrolment = (vec(server, 0..8), any::<(u8, [u8; 32], [u8; 32], [u8; 32], u8)>(), hashes()).prop_map(
        |(servers, (threshold, sign, kex, bundle, needed), sign_ins)| Enrolment {
            servers,
            threshold,
            sign,
            kex,
            bundle,
            sign_ins,
            needed,
        },
    );
    (1_u32.., option::of(enrolment)).prop_map(|(epoch, enrolment)| RecoverySet { epoch, enrolment })
}

fn recover_final() -> impl Strategy<Value = RecoverFinal> {
    let words = option::of(any::<([u8; 32], [u8; 32])>());
    (attempt(), vec(kid(), 0..4), device(), words).prop_map(|(attempt, mut keep, device, words)| {
        keep.sort();
        keep.dedup();
        let words = words.map(|(identity, words_box)| IdRotate { identity, words_box });
        RecoverFinal { attempt, keep, device, words }
    })
}

fn recovery_state() -> impl Strategy<Value = RecoveryState> {
    use RecoveryPhase as P;
    let phase = prop::sample::select(vec![P::None, P::Live, P::Open, P::Proved, P::Ready, P::Burnt]);
    let keys = (any::<(u64, [u8; 32], [u8; 32], [u8; 32], u64)>(), 1..=4_u8, 1..=4_u8);
    let attempt = any::<([u8; 32], [u8; 32], [u8; 32], u64)>();
    (1_u32.., phase, keys, 0..=GUESSES_MAX, attempt, 1_u64.., any::<u64>()).prop_map(
        |(
            epoch,
            phase,
            ((index, sid, sign, kex, fresh_until_ms), one, other),
            guesses,
            (open, new, new_kex, at_ms),
            due,
            breaker,
        )| {
            let (needed, sign_ins) = (one.min(other), one.max(other));
            let guesses = match phase {
                P::None => 0,
                P::Live => guesses,
                _ => guesses.max(1),
            };
            let due_ms = if matches!(phase, P::Proved | P::Ready) { due } else { 0 };
            let keys = RecoveryKeys { index, sid, sign, kex, sign_ins, needed, fresh_until_ms };
            let attempt = AttemptState { sid: open, sign: new, kex: new_kex, at_ms };
            RecoveryState {
                epoch,
                phase,
                keys: (phase != P::None).then_some(keys),
                guesses,
                attempt: (guesses > 0).then_some(attempt),
                due_ms,
                breaker_ms: if phase == P::None { 0 } else { breaker },
            }
        },
    )
}

fn name() -> impl Strategy<Value = String> {
    "[a-z0-9]{3,20}(\\.[a-z0-9]{1,8}){0,2}\\.dgns\\.test"
}

fn did() -> impl Strategy<Value = Did> {
    any::<[u8; 20]>().prop_map(Did::from_bytes)
}

fn kid() -> impl Strategy<Value = Kid> {
    any::<[u8; 8]>().prop_map(Kid)
}

fn did_kind() -> impl Strategy<Value = DidKind> {
    prop_oneof![Just(DidKind::User), Just(DidKind::Database), Just(DidKind::Server)]
}

fn level() -> impl Strategy<Value = Level> {
    prop_oneof![Just(Level::Member), Just(Level::Admin), Just(Level::Service)]
}

fn device() -> impl Strategy<Value = Device> {
    (any::<([u8; 32], [u8; 32], [u8; 32])>(), level()).prop_map(|((sign, kex, label_hash), level)| Device {
        sign,
        kex,
        level,
        label_hash,
    })
}

fn genesis() -> impl Strategy<Value = Genesis> {
    let user_key = option::of(any::<([u8; 32], [u8; 32])>().prop_map(|(key, boxes)| FirstUserKey { key, boxes }));
    (did_kind(), any::<([u8; 32], [u8; 32])>(), device(), any::<Option<u64>>(), user_key).prop_map(
        |(kind, (identity, words_box), device, window_s, user_key)| Genesis {
            kind,
            identity,
            words_box,
            device,
            window_s,
            user_key,
        },
    )
}

fn claim_proof() -> impl Strategy<Value = ClaimProof> {
    prop_oneof![
        any::<(u64, u8)>().prop_map(|(nonce, bits)| ClaimProof::Open { nonce, bits }),
        any::<[u8; 32]>().prop_map(|evidence| ClaimProof::Attested { evidence }),
        any::<[u8; 32]>().prop_map(|code_hash| ClaimProof::Invite { code_hash }),
        Just(ClaimProof::Parent),
    ]
}

fn device_end() -> impl Strategy<Value = DeviceEnd> {
    let reasons = [EndReason::Other, EndReason::Lost, EndReason::Stolen, EndReason::Replaced];
    (kid(), prop::sample::select(reasons.to_vec())).prop_map(|(kid, reason)| DeviceEnd { kid, reason })
}

fn authority() -> impl Strategy<Value = Authority> {
    let terms = (0..16_u8, any::<u8>(), any::<u64>()).prop_map(|(roads, work_floor_bits, window_floor_s)| ZoneTerms {
        roads,
        work_floor_bits,
        window_floor_s,
    });
    (any::<[u8; 32]>(), terms, 0..3_u8).prop_map(|(key, terms, role)| match role {
        0 => Authority { role: Role::Notary, key, scope: "https://issuer.example".into(), zone: None },
        1 => Authority { role: Role::Zone, key, scope: "dgns.test".into(), zone: Some(terms) },
        _ => Authority { role: Role::Alias, key, scope: "dgns.test".into(), zone: None },
    })
}

fn authority_state() -> impl Strategy<Value = AuthorityState> {
    (authority(), any::<(u64, Option<u64>)>()).prop_map(|(authority, (index, revoked_at))| AuthorityState {
        authority,
        index,
        revoked_at,
    })
}

fn device_state() -> impl Strategy<Value = DeviceState> {
    let status = prop_oneof![Just(DeviceStatus::Live), Just(DeviceStatus::Fresh), Just(DeviceStatus::Suspended)];
    (any::<([u8; 32], [u8; 32], u64, u64)>(), level(), status).prop_map(
        |((sign, kex, index, until_ms), level, status)| DeviceState { sign, kex, level, status, index, until_ms },
    )
}

fn pending() -> impl Strategy<Value = Pending> {
    let power = prop_oneof![Just(Power::Voter), Just(Power::Majority), Just(Power::Identity)];
    (any::<([u8; 32], u64, u64)>(), power, vec(kid(), 1..3), vec(kid(), 0..2), body()).prop_map(
        |((sid, due_ms, index), power, supporters, opponents, body)| Pending {
            sid,
            kind: body.kind(),
            power,
            due_ms,
            supporters,
            opponents,
            index,
            body: body.encode(),
        },
    )
}
