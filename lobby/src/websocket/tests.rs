//! RFC 6455 by its own examples, and by frames cut everywhere.

use proptest::prelude::*;

use super::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame of a client.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    put(&mut plain, Opcode::Text, payload);
    let head = plain.len() - payload.len();
    let mut bytes = plain[..head].to_vec();
    bytes[0] = first;
    bytes[1] |= MASKED;
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// What is said, one line each, and how it ended.
fn read(pieces: &[&[u8]]) -> (Vec<String>, Option<Fault>) {
    let (mut incoming, mut said) = (Incoming::default(), Vec::new());
    for piece in pieces {
        let fed = incoming.feed(&mut piece.to_vec(), &mut |one| {
            said.push(match one {
                Said::Text(bytes) => format!("text {}", String::from_utf8_lossy(bytes)),
                other => format!("{other:?}"),
            });
            ControlFlow::Continue(())
        });
        if let Err(fault) = fed {
            return (said, Some(fault));
        }
    }
    (said, None)
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    // RFC 6455, 5.7: a masked text message, fragments with a ping between them.
    let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(frame(0x81, b"Hello"), hello);
    assert_eq!(read(&[&hello]), (vec!["text Hello".to_owned()], None));
    let fragments = [frame(0x01, b"Hel"), frame(0x89, b"Hello"), frame(0x80, b"lo")].concat();
    let ping = format!("{:?}", Said::Ping(b"Hello"));
    assert_eq!(read(&[&fragments]), (vec![ping, "text Hello".to_owned()], None));
    let ends = [frame(0x88, &[]), frame(0x88, &[0x0f, 0xa1, b'x']), frame(0x8a, b"Hello")].concat();
    assert_eq!(read(&[&ends]).0, ["Close(None)", "Close(Some(4001))", "Pong"]);
}

#[test]
fn what_a_server_says_is_spelled_as_in_the_rfc() {
    let spelled = |opcode, payload: &[u8]| {
        let mut out = Vec::new();
        put(&mut out, opcode, payload);
        out
    };
    assert_eq!(spelled(Opcode::Text, b"Hello"), [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
    assert_eq!(spelled(Opcode::Ping, b"Hello")[..2], [0x89, 0x05]);
    assert_eq!(spelled(Opcode::Binary, &[0; 125])[..2], [0x82, 125]);
    assert_eq!(spelled(Opcode::Binary, &[0; 126])[..4], [0x82, 126, 0, 126]);
    assert_eq!(spelled(Opcode::Binary, &[0; 256])[..4], [0x82, 126, 1, 0]);
    assert_eq!(spelled(Opcode::Binary, &[0; 65_536])[..10], [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    let mut end = Vec::new();
    put_close(&mut end, Some(1013), "overflow");
    assert_eq!(end, [&[0x88, 10, 0x03, 0xf5], &b"overflow"[..]].concat());
    end.clear();
    put_close(&mut end, None, "nobody asked");
    assert_eq!(end, [0x88, 0]);
}

#[test]
fn what_is_not_the_protocol_is_refused_at_once() {
    let long = vec![0; FRAME_BYTES_MAX + 1];
    let cases: [(&str, Vec<u8>, Fault); 13] = [
        ("not masked", vec![0x81, 0x05], Fault::Protocol),
        ("a bit of an extension", vec![0xc1, 0x85], Fault::Protocol),
        ("an unknown kind", frame(0x83, b""), Fault::Protocol),
        ("an unknown control frame", frame(0x8b, b""), Fault::Protocol),
        ("a ping in fragments", vec![0x09, 0x80], Fault::Protocol),
        ("a long ping", vec![0x89, 0xfe], Fault::Protocol),
        ("nothing to go on with", frame(0x80, b"x"), Fault::Protocol),
        ("a message within another", [frame(0x01, b"x"), frame(0x81, b"y")].concat(), Fault::Protocol),
        ("half a code", frame(0x88, &[3]), Fault::Protocol),
        ("a length spelled too long", vec![0x82, 0xfe, 0, 125], Fault::Protocol),
        ("and longer", vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Fault::Protocol),
        ("too large, before it came", frame(0x82, &long)[..8].to_vec(), Fault::TooLarge),
        ("too large in fragments", [frame(0x02, &long[1..]), frame(0x80, b"x")].concat(), Fault::TooLarge),
    ];
    for (what, bytes, fault) in cases {
        assert_eq!(read(&[&bytes]).1, Some(fault), "{what}");
    }
    assert_eq!(read(&[&frame(0x82, &long[1..])]).1, None, "as large as may be");
}

#[test]
fn a_socket_between_two_messages_keeps_nothing() {
    let mut incoming = Incoming::default();
    let bytes = [frame(0x01, &[b'x'; 300]), frame(0x80, &[b'y'; 300])].concat();
    for byte in &bytes {
        incoming.feed(&mut [*byte], &mut |_| ControlFlow::Continue(())).unwrap();
    }
    assert_eq!((incoming.partial.capacity(), incoming.message.is_none()), (0, true));
}

#[test]
fn whoever_stops_gets_the_rest_later() {
    let mut bytes = [frame(0x81, b"one"), frame(0x81, b"two"), frame(0x81, b"three")[..4].to_vec()].concat();
    let (mut incoming, mut said) = (Incoming::default(), Vec::new());
    for piece in [&mut bytes[..], &mut [], &mut frame(0x81, b"three")[4..]] {
        let mut each = |one: Said<'_>| {
            said.push(format!("{one:?}"));
            ControlFlow::Break(())
        };
        incoming.feed(piece, &mut each).unwrap();
    }
    assert_eq!(said, [&b"one"[..], b"two", b"three"].map(|text| format!("{:?}", Said::Text(text))));
}

proptest! {
    #[test]
    fn cut_anywhere_the_same_is_said(
        messages in prop::collection::vec((prop::sample::select(vec![0x81_u8, 0x82, 0x89, 0x8a]), prop::collection::vec(any::<u8>(), 0..120)), 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(|(first, payload)| frame(*first, payload)).collect();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let whole = read(&[&bytes]);
        prop_assert_eq!(whole.0.len(), messages.len());
        prop_assert_eq!(read(&pieces), whole);
    }

    #[test]
    fn no_bytes_break_it_or_are_kept_without_bound(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..16)) {
        let mut incoming = Incoming::default();
        for mut piece in pieces {
            if incoming.feed(&mut piece, &mut |_| ControlFlow::Continue(())).is_err() {
                break;
            }
            prop_assert!(incoming.partial.len() <= 14 + FRAME_BYTES_MAX);
        }
    }
}
