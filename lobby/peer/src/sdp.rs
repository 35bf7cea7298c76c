//! Descriptions: the remote one made from the fields of a card, the local one read for the fields of one's own (PROTOCOL 23.10).
//!
//! Text of the other side is never parsed, and none of it passes: there is no second fingerprint, no other algorithm and no line
//! that nobody asked for. The local description is never edited.

use std::fmt::Write as _;

use lobby::card::{Address, Candidate, CandidateKind, Transport};
use lobby::limits::CANDIDATES_MAX;

/// Relayed candidates that a card has room for, whatever else there is.
const RELAYS_KEPT: usize = 4;

/// Which side of a description is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Asked: takes either part of DTLS.
    Offer,
    /// Answers: begins DTLS.
    Answer,
}

/// Returns the description of the other end; `version` counts its descriptions, from 1.
pub(crate) fn remote(transport: &Transport, role: Role, version: u64, loopback: bool) -> String {
    let setup = if role == Role::Offer { "actpass" } else { "active" };
    let mut text = String::with_capacity(1_024);
    let _ = write!(text, "v=0\r\no=- 1 {version} IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n");
    text.push_str("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n");
    let fingerprint = transport.fingerprint.map(|byte| format!("{byte:02X}")).join(":");
    let Transport { ufrag, pwd, message_max, .. } = transport;
    let _ = write!(text, "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\na=ice-options:trickle\r\n");
    let _ = write!(text, "a=fingerprint:sha-256 {fingerprint}\r\na=setup:{setup}\r\n");
    let _ = write!(text, "a=sctp-port:5000\r\na=max-message-size:{message_max}\r\n");
    for candidate in transport.candidates.iter().filter(|candidate| is_tried(candidate, loopback)) {
        let _ = write!(text, "a={}\r\n", line(candidate));
    }
    text
}

/// Returns whether packets are sent to a candidate. Names of browsers are not looked up: who hides its address reaches ours.
pub(crate) fn is_tried(candidate: &Candidate, loopback: bool) -> bool {
    candidate.may_be_tried(loopback) && matches!(candidate.address, Address::Ip(_))
}

/// Returns a candidate as a line of SDP, without `a=`.
pub(crate) fn line(candidate: &Candidate) -> String {
    let Candidate { kind, address, port, priority } = candidate;
    let related = if *kind == CandidateKind::Host { "" } else { " raddr 0.0.0.0 rport 0" };
    format!("candidate:1 1 udp {priority} {address} {port} typ {}{related}", kind.name())
}

/// Reads from one's own description how one is reached. `None` if it lacks something, which is a fault of who made it.
pub(crate) fn own(text: &str, message_max: u32, loopback: bool) -> Option<Transport> {
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let fingerprint = value("a=fingerprint:sha-256 ")?;
    let bytes: Vec<u8> =
        fingerprint.split(':').map(|hex| u8::from_str_radix(hex, 16)).collect::<Result<_, _>>().ok()?;
    let mut candidates: Vec<Candidate> = text.lines().filter_map(own_candidate).collect();
    candidates.retain(|candidate| is_tried(candidate, loopback));
    candidates.sort_by_key(|candidate| core::cmp::Reverse(candidate.priority));
    candidates.dedup();
    // Many interfaces leave room for the last resort, which comes last.
    let (relays, mut own): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|candidate| candidate.kind == CandidateKind::Relay);
    own.truncate(CANDIDATES_MAX - relays.len().min(RELAYS_KEPT));
    own.extend(relays);
    own.truncate(CANDIDATES_MAX);
    let candidates = own;
    Some(Transport {
        ufrag: value("a=ice-ufrag:")?.to_owned(),
        pwd: value("a=ice-pwd:")?.to_owned(),
        fingerprint: bytes.try_into().ok()?,
        candidates,
        last: true,
        message_max,
    })
}

/// Reads a candidate of component 1 over UDP.
fn own_candidate(line: &str) -> Option<Candidate> {
    let mut words = line.strip_prefix("a=candidate:")?.split_ascii_whitespace().skip(1);
    if words.next()? != "1" || !words.next()?.eq_ignore_ascii_case("udp") {
        return None;
    }
    let (priority, address, port) = (words.next()?.parse().ok()?, Address::parse(words.next()?)?, words.next()?);
    let (typ, kind) = (words.next()?, CandidateKind::of_name(words.next()?)?);
    (typ == "typ").then_some(Candidate { kind, address, port: port.parse().ok()?, priority })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport() -> Transport {
        let candidate = |text: &str, kind| Candidate {
            kind,
            address: Address::parse(text).expect("an address"),
            port: 5_000,
            priority: 7,
        };
        Transport {
            ufrag: "ufrg".to_owned(),
            pwd: "pwdpwdpwdpwdpwdpwdpwdpw+".to_owned(),
            fingerprint: [0xab; 32],
            candidates: vec![
                candidate("192.0.2.1", CandidateKind::Host),
                candidate("127.0.0.1", CandidateKind::Host),
                candidate("198.51.100.7", CandidateKind::Relay),
            ],
            last: true,
            message_max: 16_384,
        }
    }

    #[test]
    fn a_description_has_one_fingerprint_and_the_lines_of_the_template() {
        let text = remote(&transport(), Role::Answer, 2, false);
        assert_eq!(text.matches("a=fingerprint:").count(), 1);
        assert!(text.starts_with("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\n"));
        assert_eq!(text.matches("a=candidate:").count(), 2, "loopback is passed over: {text}");
        assert!(text.contains("a=setup:active\r\n") && text.contains(" typ relay raddr 0.0.0.0 rport 0\r\n"));
        assert!(remote(&transport(), Role::Offer, 1, true).contains("127.0.0.1"));
    }

    #[test]
    fn a_card_has_room_for_relays_however_many_interfaces_there_are() {
        let mut many = transport();
        let host = |n: u8| Candidate {
            kind: CandidateKind::Host,
            address: Address::parse(&format!("192.0.2.{n}")).expect("an address"),
            port: 5_000,
            priority: 100,
        };
        many.candidates.extend((2..40).map(host));
        let read = own(&remote(&many, Role::Offer, 1, true), 16_384, true).expect("a description");
        let relays = read.candidates.iter().filter(|candidate| candidate.kind == CandidateKind::Relay).count();
        assert_eq!((read.candidates.len(), relays), (CANDIDATES_MAX, 1));
    }

    #[test]
    fn what_was_written_is_read_again() {
        let read = own(&remote(&transport(), Role::Offer, 1, true), 16_384, true).expect("a description");
        assert_eq!((read.ufrag, read.pwd, read.fingerprint), ("ufrg".to_owned(), transport().pwd, [0xab; 32]));
        assert_eq!(read.candidates.len(), 3);
        assert_eq!(own("v=0\r\n", 1, true), None);
        assert_eq!(own_candidate("a=candidate:1 2 udp 7 192.0.2.1 5000 typ host"), None, "another component");
        assert_eq!(own_candidate("a=candidate:1 1 tcp 7 192.0.2.1 5000 typ host"), None, "another protocol");
    }
}
