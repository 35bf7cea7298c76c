use super::message::{Malformed, read};
use super::*;

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
        assert_eq!(is_in_scope(owner, rtype), may, "{owner} {rtype}");
    }
}

#[test]
fn the_tag_of_a_key_is_that_of_rfc_4034() {
    // Method: appendix B of the RFC by its letter, over the whole data.
    let key = [0xAB; 32];
    let data = [&KEY_HEAD[..], &key].concat();
    let mut sum: u32 = 0;
    for (at, byte) in data.iter().enumerate() {
        sum += if at & 1 == 1 { u32::from(*byte) } else { u32::from(*byte) << 8 };
    }
    sum += sum >> 16 & 0xFFFF;
    assert_eq!(key_tag(&key), sum as u16);
}

#[test]
fn no_prefix_and_no_longer_message_is_an_update() {
    // Goal: an update ends where its last record does; names may be compressed, backwards alone.
    let zone = b"\x04dgns\x04test\0\0\x06\0\x01";
    let record = b"\x05alice\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x01";
    let good = [b"\0\x01\x28\0\0\x01\0\0\0\x01\0\0", &zone[..], record].concat();
    let update = read(&good).unwrap();
    assert_eq!(update.updates[0].owner.as_bytes(), b"\x05alice\x04dgns\x04test\0");
    assert_eq!((update.updates[0].rdata, update.sig0.is_none()), (&[127, 0, 0, 1][..], true));
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
fn a_message_counts_once_while_it_lasts_and_a_key_ten_times_a_second() {
    let mut seen = Seen::default();
    let (one, other) = ([1; 32], [2; 32]);
    assert!(seen.admits(one, [1; 32], 100, 10));
    assert!(!seen.admits(one, [1; 32], 100, 10), "sent again");
    assert!(!seen.admits(one, [1; 32], 100, 100), "and in its last second");
    assert!(seen.admits(one, [1; 32], 200, 101), "over: whoever signs again may say the same");
    for n in 1..PER_KEY_AND_SECOND {
        assert!(seen.admits(one, [100 + n as u8; 32], 200, 101));
    }
    assert!(!seen.admits(one, [9; 32], 200, 101), "too many of a key");
    assert!(seen.admits(other, [9; 32], 200, 101), "of another");
    assert!(seen.admits(one, [8; 32], 200, 102), "another second");
    let mut full = Seen::default();
    full.messages.extend((0..SEEN_MAX).map(|n| (sha256(&[&n.to_be_bytes()]), 100)));
    assert!(!full.admits(one, [1; 32], 100, 10), "no room, whoever asks");
    assert!(full.admits(one, [1; 32], 200, 101), "until they are over");
}
