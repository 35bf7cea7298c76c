//! A log of what was asked and answered, for an operator who looks for something: who asks what is nobody's business else, so that it is off.

use std::net::IpAddr;

use tracing::{Level, debug, enabled};

use super::answer::{Outcome, Transport};
use super::name::{self, WireName};
use super::query::HEADER_BYTES;
use super::zone::text::type_name;

/// What `DGNS_LOG` names, at the level `debug`.
const TARGET: &str = "dns_queries";

/// Notes what became of a message, if that is asked for.
pub(super) fn note(transport: Transport, from: IpAddr, message: &[u8], outcome: Outcome) {
    if enabled!(target: TARGET, Level::DEBUG) {
        say(transport, from, message, outcome);
    }
}

#[cold]
fn say(transport: Transport, from: IpAddr, message: &[u8], outcome: Outcome) {
    let (name, rtype) = question(message).unwrap_or_default();
    let became = match outcome {
        Outcome::Reply { rcode, .. } => rcode.name(),
        Outcome::Drop(reason) => reason.name(),
        Outcome::Proof { .. } | Outcome::Update | Outcome::Transfer => "PUT OFF",
    };
    debug!(target: TARGET, "{} {from} {name} {rtype} {became}", transport.name());
}

/// Returns the name and the type that a message asks for; `None` if that is not read at a glance.
fn question(message: &[u8]) -> Option<(String, String)> {
    let rest = message.get(HEADER_BYTES..)?;
    let name = WireName::read(rest)?;
    let [high, low] = *rest.get(name.wire_len()..)?.first_chunk()?;
    let text = name::text_of(name.as_bytes());
    Some((if text.is_empty() { ".".to_owned() } else { text }, type_name(u16::from_be_bytes([high, low]))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_and_nothing_of_it_moves_a_cursor() {
        let asked = |name: &[u8]| [&[0; HEADER_BYTES][..], name, &[0, 28, 0, 1]].concat();
        let said = |name: &[u8]| question(&asked(name)).map(|(name, rtype)| format!("{name} {rtype}"));
        assert_eq!(said(b"\x05Alice\x04dgns\x04test\0").as_deref(), Some("alice.dgns.test AAAA"));
        assert_eq!(said(b"\0").as_deref(), Some(". AAAA"));
        assert_eq!(said(b"\x04a\x1b[m\0").as_deref(), Some("a?[m AAAA"));
        assert_eq!((said(b"\xc0\x0c"), question(&[0; 11]), question(&asked(b"\x05ab"))), (None, None, None));
    }
}
