//! Each way in which bytes fail to be a certificate.

use data_encoding::HEXLOWER;

use crate::cert::{Body, Certificate, ChainId, DecodeError, Device, Glue, Kid, Payload};
use crate::did::Did;
use crate::testing::samples::{self, all, attest, first, genesis, login, next};
use crate::wire::Writer;

/// An envelope around any payload bytes, with one signature that nobody checks.
fn envelope(payload: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    w.array(3).uint(1).bytes(payload).array(1).array(2).bytes(&[1; 8]).bytes(&[2; 64]);
    w.finish()
}

fn code(envelope: &[u8]) -> &'static str {
    Certificate::decode(envelope).map_or_else(|error| error.code(), |_| "ok")
}

fn payload_code(payload: &Payload) -> &'static str {
    code(&envelope(&payload.encode()))
}

/// A payload of type `kind` whose body `write` writes.
fn with_body(kind: u64, write: impl FnOnce(&mut Writer) -> &mut Writer) -> Vec<u8> {
    let mut w = Writer::new();
    w.map(7).uint(0).uint(kind).uint(1).bytes(&[0xd1; 20]).uint(2).uint(7).uint(3).bytes(&[0x3a; 32]);
    w.uint(4).array(2).uint(300).bytes(&[0x5e; 32]).uint(5).uint(1_800_000_000).uint(6);
    write(&mut w);
    w.finish()
}

fn body_code(kind: u64, write: impl FnOnce(&mut Writer) -> &mut Writer) -> &'static str {
    code(&envelope(&with_body(kind, write)))
}

#[test]
fn every_sample_decodes_to_what_was_encoded() {
    for sample in all() {
        let certificate = sample.certificate();
        let again = Certificate::decode(&certificate.encode());
        assert_eq!(again.as_ref(), Ok(&certificate), "{}", sample.name);
        assert_eq!(certificate.payload(), &sample.payload, "{}", sample.name);
        assert_eq!(certificate.payload_bytes(), sample.payload.encode(), "{}", sample.name);
        assert_eq!(certificate.kind(), sample.payload.body.kind(), "{}", sample.name);
        let body = &sample.payload.body;
        assert_eq!(Body::decode(body.kind(), &body.encode()).as_ref(), Ok(body), "{}", sample.name);
    }
}

#[test]
fn every_certificate_that_is_cut_or_continued_is_refused() {
    for sample in all() {
        let bytes = sample.certificate().encode();
        for len in 0..bytes.len() {
            assert_eq!(code(&bytes[..len]), "bad_cbor", "{} cut to {len}", sample.name);
        }
        assert_eq!(code(&[&bytes[..], &[0]].concat()), "bad_cbor", "{}", sample.name);
        let payload = sample.payload.encode();
        assert_eq!(code(&envelope(&[&payload[..], &[0]].concat())), "bad_cbor", "{}", sample.name);
        assert_eq!(code(&envelope(&payload[..payload.len() - 1])), "bad_cbor", "{}", sample.name);
    }
}

#[test]
fn four_kibibytes_are_a_certificate_and_one_more_byte_is_not() {
    let with_rdata = |len: usize| {
        let mut records = samples::records();
        records.rows[0].rdata = vec![0; len];
        envelope(&next(Body::Records(records.in_order())).encode())
    };
    let fixed = with_rdata(1_000).len() - 1_000;
    assert_eq!(with_rdata(4_096 - fixed).len(), 4_096);
    assert_eq!(code(&with_rdata(4_096 - fixed)), "ok");
    assert_eq!(code(&with_rdata(4_097 - fixed)), "too_large");
}

#[test]
fn a_delegation_of_as_much_as_it_may_have_fits_behind_short_hosts_alone() {
    // Goal: the bounds of its lists are not that of its bytes. Method: each list and the policy as long as they may be, the hosts short and long.
    let behind = |front: &str| {
        let mut full = samples::delegate();
        full.servers = (0..8).map(|n| format!("ns{n}.{front}alice.dgns.test")).collect();
        full.ds = (0..4).map(|n| [&[0, n, 13, 4][..], &[n; 48]].concat()).collect();
        let two = |host: &String| [1, 2].map(|byte| Glue { host: host.clone(), address: vec![byte; 16] });
        full.glue = full.servers.iter().flat_map(two).collect();
        full.log.as_mut().expect("the sample has a log").policy = Some("a".repeat(1_024));
        code(&envelope(&next(Body::Delegate(full)).encode()))
    };
    assert_eq!(behind(""), "ok");
    assert_eq!(behind(&format!("{}.", "a".repeat(63)).repeat(3)), "too_large");
}

#[test]
fn an_envelope_has_one_form() {
    let payload = next(Body::Tombstone).encode();
    let build = |format: u64, signatures: &[(&[u8], &[u8])]| {
        let mut w = Writer::new();
        w.array(3).uint(format).bytes(&payload).array(signatures.len());
        for (kid, signature) in signatures {
            w.array(2).bytes(kid).bytes(signature);
        }
        code(&w.finish())
    };
    let sig = &[0; 64][..];
    let kids: Vec<[u8; 8]> = (1..=9).map(|i| [i; 8]).collect();
    let many: Vec<(&[u8], &[u8])> = kids.iter().map(|kid| (&kid[..], sig)).collect();
    assert_eq!(build(1, &many[..8]), "ok");
    assert_eq!(build(0, &many[..1]), "bad_field");
    assert_eq!(build(2, &many[..1]), "bad_field");
    assert_eq!(build(1, &[]), "bad_field");
    assert_eq!(build(1, &many), "bad_field");
    assert_eq!(build(1, &[many[1], many[0]]), "not_canonical");
    assert_eq!(build(1, &[many[0], many[0]]), "not_canonical");
    assert_eq!(build(1, &[(&[1; 7], sig)]), "bad_field");
    assert_eq!(build(1, &[(&[1; 8], &[0; 63])]), "bad_field");
    let mut two = Writer::new();
    two.array(2).uint(1).bytes(&payload);
    assert_eq!(code(&two.finish()), "bad_field");
    assert_eq!(code(&[0xa0]), "bad_field");
    assert_eq!(code(&[0xc1, 0x00]), "bad_cbor");
}

#[test]
fn types_without_a_rule_are_unknown_critical_or_not() {
    for kind in [0, 12, 21, 22, 23, 24, 29, 30, 255, 256, u64::MAX] {
        let critical = with_body(kind, |w| w.map(0));
        assert_eq!(Certificate::decode(&envelope(&critical)), Err(DecodeError::UnknownType(kind)));
        let skippable = [&[0xa8], &critical[1..], &[0x07, 0xf4]].concat();
        assert_eq!(code(&envelope(&skippable)), "unknown_type", "{kind}");
    }
    assert_eq!(Body::decode(12, &[0xa0]), Err(DecodeError::UnknownType(12)));
}

#[test]
fn a_dids_chain_begins_with_a_genesis_and_an_aliass_with_a_sign_in() {
    let did = Some(Did::from_bytes([1; 20]));
    let alias = Some(ChainId::Alias([1; 32]));
    for (payload, expected) in [
        (first(genesis()), "ok"),
        (Payload { subject: did.map(Into::into), ..first(genesis()) }, "bad_field"),
        (Payload { prev: Some([0; 32]), ..first(genesis()) }, "bad_field"),
        (Payload { seq: 1, ..first(genesis()) }, "bad_field"),
        (next(Body::Tombstone), "ok"),
        (Payload { subject: None, ..next(Body::Tombstone) }, "bad_field"),
        (Payload { prev: None, ..next(Body::Tombstone) }, "bad_field"),
        (Payload { seq: 0, ..next(Body::Tombstone) }, "bad_field"),
        (Payload { subject: alias, ..next(Body::Tombstone) }, "bad_field"),
        (Payload { subject: alias, ..first(genesis()) }, "bad_field"),
        (login([7; 32], None, attest(31)), "ok"),
        (login([7; 32], Some([8; 32]), attest(31)), "ok"),
        (Payload { seq: 1, ..login([7; 32], None, attest(31)) }, "bad_field"),
        (Payload { seq: 0, ..login([7; 32], Some([8; 32]), attest(31)) }, "bad_field"),
        (Payload { subject: None, ..login([7; 32], None, attest(31)) }, "bad_field"),
        (Payload { subject: did.map(Into::into), ..login([7; 32], Some([8; 32]), attest(31)) }, "bad_field"),
        (Payload { by: did, ..login([7; 32], None, attest(31)) }, "bad_field"),
        (Payload { by: did, ..next(Body::Tombstone) }, "bad_field"),
        (Payload { by: did, ..first(genesis()) }, "bad_field"),
        (Payload { by: did, ..next(Body::Transfer { name: "alice.dgns.test".into(), to: None }) }, "bad_field"),
    ] {
        assert_eq!(payload_code(&payload), expected, "{payload:?}");
    }
}

#[test]
fn what_is_left_out_when_default_is_never_spelled_out() {
    let tombstone = with_body(25, |w| w.map(0));
    let spelled = [&[0xa8], &tombstone[1..], &[0x07, 0xf5]].concat();
    assert_eq!(code(&envelope(&spelled)), "not_canonical");
    let name = "alice.dgns.test";
    assert_eq!(body_code(11, |w| w.map(2).uint(1).text(name).uint(2).array(0)), "ok");
    assert_eq!(body_code(11, |w| w.map(3).uint(1).text(name).uint(2).array(0).uint(3).array(0)), "not_canonical");
    assert_eq!(body_code(11, |w| w.map(3).uint(1).text(name).uint(2).array(0).uint(4).uint(0)), "not_canonical");
    assert_eq!(
        body_code(11, |w| w
            .map(2)
            .uint(1)
            .text(name)
            .uint(2)
            .array(1)
            .array(4)
            .uint(1)
            .uint(60)
            .bytes(&[1; 4])
            .text("")),
        "not_canonical"
    );
}

#[test]
fn bodies_have_their_fields_and_no_others() {
    // Goal: for each type, a missing, an unknown and an out-of-range field is refused. Method: bodies by hand.
    type Write = fn(&mut Writer) -> &mut Writer;
    let cases: [(u64, &str, Write); 62] = [
        (2, "ok", |w| w.map(2).uint(1).text("abc.dgns.test").uint(2).uint(4)),
        (2, "bad_name", |w| w.map(2).uint(1).text("ABC.dgns.test").uint(2).uint(4)),
        (2, "bad_name", |w| w.map(2).uint(1).text("abc").uint(2).uint(4)),
        (2, "bad_name", |w| w.map(2).uint(1).text("abc.dgns.test.").uint(2).uint(4)),
        (2, "bad_field", |w| w.map(2).uint(1).bytes(b"abc.dgns.test").uint(2).uint(4)),
        (2, "bad_field", |w| w.map(2).uint(1).text("abc.dgns.test").uint(2).uint(0)),
        (2, "bad_field", |w| w.map(2).uint(1).text("abc.dgns.test").uint(2).uint(2)),
        (2, "bad_field", |w| w.map(2).uint(1).text("abc.dgns.test").uint(2).uint(5)),
        (2, "bad_field", |w| w.map(2).uint(1).text("abc.dgns.test").uint(2).uint(1)),
        (2, "bad_field", |w| w.map(3).uint(1).text("abc.dgns.test").uint(2).uint(1).uint(3).bytes(&[0; 8])),
        (2, "bad_field", |w| w.map(3).uint(1).text("abc.dgns.test").uint(2).uint(3).uint(3).bytes(&[0; 8])),
        (2, "bad_field", |w| w.map(3).uint(1).text("abc.dgns.test").uint(2).uint(4).uint(3).bytes(&[0; 8])),
        (3, "bad_field", |w| w.map(1).uint(1).array(3).bytes(&[1; 32]).bytes(&[1; 32]).uint(1)),
        (3, "bad_field", |w| w.map(1).uint(1).array(4).bytes(&[1; 32]).bytes(&[1; 32]).uint(4).bytes(&[1; 32])),
        (3, "bad_field", |w| w.map(1).uint(1).array(4).bytes(&[1; 31]).bytes(&[1; 32]).uint(1).bytes(&[1; 32])),
        (4, "bad_field", |w| w.map(1).uint(1).bytes(&[1; 8])),
        (5, "bad_field", |w| w.map(2).uint(1).bytes(&[1; 8]).uint(2).uint(4)),
        (6, "bad_field", |w| w.map(1).uint(2).bytes(&[1; 32])),
        (7, "bad_field", |w| w.map(1).uint(1).uint(86_400)),
        (7, "bad_cbor", |w| w.map(1).uint(6).raw(&[0x20])),
        (8, "bad_field", |w| w.map(2).uint(1).text("abc.dgns.test").uint(2).bytes(&[1; 32])),
        (11, "bad_field", |w| w.map(3).uint(1).text("abc.dgns.test").uint(2).array(0).uint(4).uint(4)),
        (11, "bad_field", |w| w.map(2).uint(1).text("abc.dgns.test").uint(2).array(1).array(2).uint(1).uint(60)),
        (11, "bad_field", |w| {
            w.map(2).uint(1).text("abc.dgns.test").uint(2).array(1).array(3).uint(65_536).uint(60).bytes(&[1; 4])
        }),
        (2, "ok", |w| w.map(3).uint(1).text("abc.dgns.test").uint(2).uint(2).uint(3).bytes(&[0; 32])),
        (2, "bad_field", |w| w.map(3).uint(1).text("abc.dgns.test").uint(2).uint(2).uint(3).bytes(&[0; 8])),
        (9, "bad_field", |w| w.map(2).uint(1).bytes(&[1; 32]).uint(2).bytes(&[1; 32])),
        (9, "bad_field", |w| w.map(3).uint(1).bytes(&[1; 20]).uint(2).bytes(&[1; 32]).uint(3).bytes(&[1; 32])),
        (10, "ok", |w| w.map(1).uint(1).bytes(&[1; 32])),
        (10, "bad_field", |w| w.map(1).uint(1).bytes(&[1; 20])),
        (14, "ok", |w| w.map(3).uint(7).bytes(&[1; 32]).uint(8).bytes(&[1; 32]).uint(9).uint(1)),
        (14, "bad_field", |w| w.map(2).uint(7).bytes(&[1; 32]).uint(9).uint(1)),
        (14, "not_canonical", |w| {
            w.map(4).uint(7).bytes(&[1; 32]).uint(8).bytes(&[1; 32]).uint(9).uint(1).uint(10).array(0)
        }),
        (14, "bad_field", |w| extras(w, &[(2, 1)])),
        (14, "bad_field", |w| extras(w, &[(1, 2), (1, 1)])),
        (14, "bad_field", |w| extras(w, &[(1, 1), (1, 2), (1, 3), (1, 4), (1, 5)])),
        (15, "ok", |w| w.map(1).uint(1).uint(1)),
        (15, "bad_field", |w| w.map(1).uint(1).uint(0)),
        (15, "bad_field", |w| w.map(1).uint(1).uint(1 << 32)),
        (15, "bad_field", |w| w.map(2).uint(1).uint(1).uint(3).uint(2)),
        (15, "ok", |w| enrolment(w, &["https://a"; 7], &[1], 1)),
        (15, "bad_field", |w| enrolment(w, &["https://a"; 8], &[1], 1)),
        (15, "bad_field", |w| enrolment(w, &[""], &[1], 1)),
        (15, "bad_field", |w| enrolment(w, &["https://a b"], &[1], 1)),
        (15, "bad_field", |w| enrolment(w, &["https://\u{e4}"], &[1], 1)),
        (15, "bad_field", |w| enrolment(w, &["https://a"], &[], 1)),
        (15, "bad_field", |w| enrolment(w, &["https://a"], &[2, 1], 1)),
        (15, "bad_field", |w| enrolment(w, &["https://a"], &[1, 2, 3, 4, 5], 1)),
        (15, "bad_field", |w| enrolment(w, &["https://a"], &[1], 256)),
        (17, "ok", |w| w.map(2).uint(1).uint(1).uint(2).uint(10)),
        (17, "bad_field", |w| w.map(2).uint(1).uint(1).uint(2).uint(0)),
        (17, "bad_field", |w| w.map(2).uint(1).uint(1).uint(2).uint(11)),
        (18, "bad_field", |w| w.map(2).uint(1).uint(1).uint(2).uint(1)),
        (16, "bad_field", |w| w.map(2).uint(1).uint(1).uint(2).uint(1)),
        (20, "bad_field", |w| w.map(2).uint(1).bytes(&[1; 32]).uint(2).bytes(&[1; 20])),
        (19, "bad_field", |w| w.map(1).uint(1).bytes(&[1; 31])),
        (20, "bad_field", |w| w.map(0)),
        (25, "bad_field", |w| w.map(1).uint(1).uint(1)),
        (26, "bad_field", |w| w.map(3).uint(1).uint(4).uint(2).bytes(&[1; 32]).uint(3).text("x")),
        (26, "bad_field", |w| w.map(3).uint(1).uint(2).uint(2).bytes(&[1; 32]).uint(3).text("dgns.test")),
        (26, "bad_field", |w| w.map(3).uint(1).uint(1).uint(2).bytes(&[1; 32]).uint(3).text("")),
        (27, "bad_field", |w| w.map(1).uint(1).bytes(&[1; 9])),
    ];
    for (i, (kind, expected, write)) in cases.into_iter().enumerate() {
        assert_eq!(body_code(kind, write), expected, "case {i}, type {kind}");
    }
    for kind in [0, 4, 5] {
        let mut w = Writer::new();
        w.map(5).uint(0).uint(1).uint(2).uint(0).uint(4).array(2).uint(0).bytes(&[0; 32]).uint(5).uint(0).uint(6);
        w.map(4).uint(1).uint(kind).uint(2).bytes(&[1; 32]).uint(3).bytes(&[1; 32]);
        w.uint(4).array(4).bytes(&[1; 32]).bytes(&[1; 32]).uint(2).bytes(&[1; 32]);
        assert_eq!(code(&envelope(&w.finish())), "bad_field", "kind {kind}");
    }
}

#[test]
fn rows_and_aliases_ascend_and_differ() {
    let records = samples::records();
    let mut swapped = records.clone();
    swapped.rows.swap(0, 1);
    let mut twice = records.clone();
    twice.rows.insert(0, twice.rows[0].clone());
    let mut twice_but_ttl = twice.clone();
    twice_but_ttl.rows[1].ttl += 1;
    let aliases = |aliases: &[&str]| {
        let aliases = aliases.iter().map(|alias| alias.to_string()).collect();
        crate::cert::Records { aliases, ..samples::records() }
    };
    for (records, expected) in [
        (records, "ok"),
        (swapped, "bad_field"),
        (twice, "bad_field"),
        (twice_but_ttl, "bad_field"),
        (aliases(&["a.example", "b.example"]), "ok"),
        (aliases(&["b.example", "a.example"]), "bad_field"),
        (aliases(&["a.example", "a.example"]), "bad_field"),
    ] {
        assert_eq!(payload_code(&next(Body::Records(records.clone()))), expected, "{records:?}");
    }
}

#[test]
fn signatures_join_from_any_order_and_add_up() {
    let sample = &all()[0];
    let whole = sample.certificate();
    let mut reversed = whole.signatures().to_vec();
    reversed.reverse();
    assert_eq!(Certificate::assemble(whole.payload_bytes(), reversed).as_ref(), Ok(&whole));
    let half = Certificate::assemble(whole.payload_bytes(), vec![whole.signatures()[1]]).expect("one signature");
    assert_eq!(half.sid(), whole.sid());
    assert_eq!(half.with_signatures_added(whole.signatures()).as_ref(), Ok(&whole));
    assert_eq!(whole.with_signatures_added(&[]).as_ref(), Ok(&whole));
    let seven: Vec<_> = (0..7).map(|i| (Kid([i; 8]), [0; 64])).collect();
    assert_eq!(whole.with_signatures_added(&seven), Err(DecodeError::BadField));
    assert_eq!(Certificate::assemble(whole.payload_bytes(), vec![]), Err(DecodeError::BadField));
}

#[test]
fn certificates_stay_within_their_planned_sizes() {
    // Goal: identity.md section 13: genesis 520 bytes, claim 330, device_add 430.
    let size = |name: &str| {
        let sample = all().into_iter().find(|sample| sample.name == name).expect("a sample of that name");
        sample.certificate().encode().len()
    };
    assert!(size("genesis of a user") <= 520, "{}", size("genesis of a user"));
    assert!(size("claim on the open road") <= 330, "{}", size("claim on the open road"));
    assert!(size("device_add") <= 430, "{}", size("device_add"));
}

#[test]
fn a_device_label_is_committed_to_with_its_nonce() {
    let hash = Device::label_hash_of("laptop", &[7; 16]);
    assert_eq!(HEXLOWER.encode(&hash), "c38f04e9f39f9e4c784e8b81cba20d65e55c56acc25b92cf9a398193b001975b");
}

#[test]
fn every_decode_error_has_its_code() {
    let codes = [
        (DecodeError::BadCbor, "bad_cbor"),
        (DecodeError::NotCanonical, "not_canonical"),
        (DecodeError::BadField, "bad_field"),
        (DecodeError::UnknownType(9), "unknown_type"),
        (DecodeError::BadName, "bad_name"),
        (DecodeError::TooLarge, "too_large"),
    ];
    for (error, code) in codes {
        assert_eq!(error.code(), code);
    }
}

/// An enrolment with servers at these URLs and sign-ins of these bytes.
fn enrolment<'w>(w: &'w mut Writer, urls: &[&str], sign_ins: &[u8], needed: u64) -> &'w mut Writer {
    w.map(8).uint(1).uint(1).uint(2).array(urls.len());
    for url in urls {
        w.array(4).text(url).text("Operator").bytes(&[1; 32]).bytes(&[1; 32]);
    }
    w.uint(3).uint(2).uint(4).bytes(&[1; 32]).uint(5).bytes(&[1; 32]).uint(6).bytes(&[1; 32]).uint(7);
    w.array(sign_ins.len());
    for sign_in in sign_ins {
        w.bytes(&[*sign_in; 32]);
    }
    w.uint(8).uint(needed)
}

/// A user key with these extra recipients, each a kind and a byte of its key.
fn extras<'w>(w: &'w mut Writer, of: &[(u64, u8)]) -> &'w mut Writer {
    w.map(4).uint(7).bytes(&[1; 32]).uint(8).bytes(&[1; 32]).uint(9).uint(1).uint(10).array(of.len());
    for (kind, byte) in of {
        w.array(2).uint(*kind).bytes(&[*byte; 32]);
    }
    w
}

#[test]
fn a_genesis_has_a_user_key_and_its_boxes_or_neither() {
    let whole =
        samples::all().into_iter().find(|sample| sample.name == "genesis of a user with a user key").expect("it");
    let bytes = whole.payload.encode();
    let boxes = [&[0x08, 0x58, 0x20][..], &[0xb1; 32]].concat();
    let at = bytes.windows(boxes.len()).position(|window| window == boxes).expect("its boxes");
    let mut without = [&bytes[..at], &bytes[at + boxes.len()..]].concat();
    let body = without.windows(2).position(|window| window == [0x06, 0xa6]).expect("its body");
    without[body + 1] = 0xa5;
    assert_eq!(code(&envelope(&bytes)), "ok");
    assert_eq!(code(&envelope(&without)), "bad_field");
}
