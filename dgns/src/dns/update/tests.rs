use super::message::read;
use super::seen::{OF_A_DID_MAX, OF_A_DID_SURE, SEEN_MAX};
use super::*;
use crate::dns::wire::{Malformed, answers};

/// The section that names the zone.
const ZONE: &[u8] = b"\x04dgns\x04test\0\0\x06\0\x01";

#[test]
fn what_a_device_may_write_is_addresses_and_challenges() {
    for (owner, rtype, may) in [
        ("", TYPE_A, true),
        ("", TYPE_AAAA, true),
        ("", TYPE_TXT, false),
        ("", TYPE_CNAME, false),
        ("", TYPE_ANY, true),
        ("_acme-challenge", TYPE_TXT, true),
        ("_acme-challenge", TYPE_A, false),
        ("_x._acme-challenge", TYPE_TXT, true),
        ("_x_acme-challenge", TYPE_TXT, false),
        ("_acme-challenge._x", TYPE_TXT, false),
        ("_db._tcp", TYPE_A, false),
    ] {
        assert_eq!(is_in_scope(Scope::ALL, owner, rtype), may, "{owner} {rtype}");
    }
}

#[test]
fn a_scope_lets_a_key_write_what_it_names_and_nothing_else() {
    let places =
        [("", TYPE_A), ("", TYPE_AAAA), ("_acme-challenge", TYPE_TXT), ("", TYPE_ANY), ("_acme-challenge", TYPE_ANY)];
    for (scope, may) in [
        ("A", [true, false, false, false, false]),
        ("AAAA", [false, true, false, false, false]),
        ("A,AAAA", [true, true, false, true, false]),
        ("challenges", [false, false, true, false, true]),
        ("A,AAAA,challenges", [true; 5]),
    ] {
        let scope = Scope::parse(scope).unwrap();
        assert_eq!(places.map(|(owner, rtype)| is_in_scope(scope, owner, rtype)), may, "{scope}");
    }
}

#[test]
fn no_prefix_and_no_longer_message_is_an_update() {
    // Goal: an update ends where its last record does; names may be compressed, backwards alone.
    let record = b"\x05alice\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x01";
    let good = [b"\0\x01\x28\0\0\x01\0\0\0\x01\0\0", ZONE, record].concat();
    let update = read(&good).unwrap();
    assert_eq!(update.updates[0].owner.as_bytes(), b"\x05alice\x04dgns\x04test\0");
    assert_eq!((&*update.updates[0].rdata, update.sig0.is_none()), (&[127, 0, 0, 1][..], true));
    for end in 0..good.len() {
        assert_eq!(read(&good[..end]).err(), Some(Malformed), "{end}");
    }
    assert_eq!(read(&[&good[..], b"x"].concat()).err(), Some(Malformed));
    for (at, byte) in [(5, 2), (9, 2), (11, 1), (34, 0x1B), (33, 0x80)] {
        let mut bent = good.clone();
        bent[at] = byte;
        assert_eq!(read(&bent).err(), Some(Malformed), "{at}");
    }
}

#[test]
fn classes_and_types_that_none_may_have_make_no_update() {
    // Goal: the first row of PROTOCOL 13.3's table, for each section. Method: one record of a section, its type, class, TTL and data.
    let record = |rtype: u16, class: u16, ttl_s: u32, data: &[u8]| {
        let length = (data.len() as u16).to_be_bytes();
        [b"\x05alice\xc0\x0c", &rtype.to_be_bytes()[..], &class.to_be_bytes(), &ttl_s.to_be_bytes(), &length, data]
            .concat()
    };
    let (any, none, address) = (CLASS_ANY, CLASS_NONE, &[127, 0, 0, 1][..]);
    for (rtype, class, ttl_s, data, prerequisite, update) in [
        (TYPE_A, CLASS_IN, 0, address, true, true),
        (TYPE_A, CLASS_IN, 60, address, false, true),
        (TYPE_A, any, 0, &[][..], true, true),
        (TYPE_A, any, 60, &[], false, false),
        (TYPE_A, any, 0, address, false, false),
        (TYPE_A, none, 0, &[], true, true),
        (TYPE_A, none, 0, address, false, true),
        (TYPE_A, none, 60, address, false, false),
        (TYPE_A, 3, 0, &[], false, false),
        (TYPE_ANY, any, 0, &[], true, true),
        (TYPE_ANY, none, 0, &[], true, false),
        (TYPE_ANY, CLASS_IN, 0, &[], false, false),
        (252, any, 0, &[], false, false),
        (41, none, 0, &[], false, false),
        (0, any, 0, &[], false, false),
        (TYPE_CNAME, CLASS_IN, 0, b"\xc0\x0c", true, true),
        (TYPE_CNAME, CLASS_IN, 0, b"\xc0\x0cx", false, false),
        (TYPE_CNAME, CLASS_IN, 0, b"\xc0\xff", false, false),
    ] {
        for (section, may) in [(7, prerequisite), (9, update)] {
            let mut message =
                [b"\0\x01\x28\0\0\x01\0\0\0\0\0\0", ZONE, &record(rtype, class, ttl_s, data)[..]].concat();
            message[section] = 1;
            assert_eq!(read(&message).is_ok(), may, "{section} {rtype} {class} {ttl_s} {data:?}");
        }
    }
    for (at, byte) in [(23, 1), (25, 3)] {
        let mut message = [b"\0\x01\x28\0\0\x01\0\0\0\0\0\0", ZONE].concat();
        assert!(read(&message).is_ok());
        message[at] = byte;
        assert_eq!(read(&message).err(), Some(Malformed), "a zone is a SOA of IN: {at}");
    }
}

#[test]
fn names_in_data_are_read_without_compression() {
    let record = b"\xc0\x0c\0\x02\0\x01\0\0\0\0\0\x05\x02ns\xc0\x0c";
    let message = [b"\0\x01\x80\0\0\x01\0\x01\0\0\0\0", ZONE, record].concat();
    let records = answers(&message).unwrap();
    assert_eq!((records[0].rtype, &*records[0].rdata), (2, &b"\x02ns\x04dgns\x04test\0"[..]));
    let records = b"\xc0\x0c\0\x0f\0\x01\0\0\0\0\0\x04\0\x0a\xc0\x0c".as_slice();
    let message = [b"\0\x01\x80\0\0\x01\0\x01\0\0\0\0", ZONE, records].concat();
    assert_eq!(&*answers(&message).unwrap()[0].rdata, b"\0\x0a\x04dgns\x04test\0");
}

#[test]
fn the_ttl_of_the_sig_record_is_not_signed() {
    // Goal: a message of which somebody changed what is not signed is the same to whoever remembers what was. Method: the record's TTL.
    let sig =
        [b"\0\0\x18\0\xff\0\0\0\0\0\x5d\0\0\x0f\0\0\0\0\0\0\0\0\x02\0\0\0\x01\0\x07\x04dgns\x04test\0", &[9; 64][..]]
            .concat();
    let message = [b"\0\x01\x28\0\0\x01\0\0\0\0\0\x01", ZONE, &sig[..]].concat();
    let mut other = message.clone();
    other[12 + ZONE.len() + 8] = 1;
    let [one, other] = [&message, &other].map(|message| read(message).unwrap().sig0.unwrap());
    assert_eq!((one.signed.clone(), one.signature.len(), one.expires_s), (other.signed, 64, 2));
    let mut signed_else = message.clone();
    signed_else[1] = 2;
    assert_ne!(read(&signed_else).unwrap().sig0.unwrap().signed, one.signed, "its number is");
}

#[test]
fn an_update_is_judged_once_while_it_may_be_good() {
    let (one, other) = (Did::from_bytes([1; 20]), Did::from_bytes([2; 20]));
    let mut seen = Seen::default();
    let kept = seen.admit(&one, [1; 32], 100, 10).expect("it is new");
    assert_eq!((kept.until_s, kept.did), (10 + u64::from(SIGNED_FOR_S_MAX), [1; 20]));
    assert_eq!(seen.admit(&one, [1; 32], 100, 10), None, "sent again");
    assert_eq!(seen.admit(&other, [1; 32], 100, 10), None, "by whomever");
    assert_eq!(seen.admit(&one, [1; 32], 610, 610), None, "and in its last second");
    assert_eq!(seen.admit(&one, [2; 32], 609, 609), None, "over, whatever the clock says now");
    // What is read again after a restart is what was kept.
    let mut again = Seen::of(vec![kept.clone()]);
    assert_eq!(again.admit(&one, [1; 32], 100, 10), None, "sent again after a restart");
    assert_eq!(again.admit(&one, [3; 32], 9, 9), None, "and a clock set back brings none back");
    assert!(again.admit(&one, [1; 32], 700, 611).is_some(), "forgotten: no signature of then is good any more");
}

#[test]
fn a_did_fills_its_own_places_alone() {
    let did =
        |number: usize| Did::from_bytes(std::array::from_fn(|at| number.to_be_bytes().get(at).copied().unwrap_or(0)));
    let hash = |number: usize| sha256(&[&number.to_be_bytes()]);
    let mut seen = Seen::default();
    for number in 0..OF_A_DID_MAX as usize {
        assert!(seen.admit(&did(0), hash(number), 700, 100).is_some());
    }
    assert_eq!(seen.admit(&did(0), hash(SEEN_MAX), 700, 100), None, "too many of a DID");
    for number in OF_A_DID_MAX as usize..SEEN_MAX {
        assert!(seen.admit(&did(number / OF_A_DID_MAX as usize), hash(number), 700, 100).is_some(), "{number}");
    }
    // Whoever fills it keeps nobody else out.
    for number in SEEN_MAX..SEEN_MAX + OF_A_DID_SURE as usize {
        assert!(seen.admit(&did(SEEN_MAX), hash(number), 700, 100).is_some(), "{number}");
    }
    assert_eq!(seen.admit(&did(SEEN_MAX), hash(2 * SEEN_MAX), 700, 100), None, "no room for more");
    assert!(seen.admit(&did(0), hash(SEEN_MAX), 1_000, 701).is_some(), "until they are over");
}
