use std::collections::HashMap;
use std::sync::LazyLock;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, RData, RecordType};
use identity::cert::Row;
use identity::did::Did;
use proptest::prelude::*;

use super::super::query::HEADER_BYTES;
use super::super::reply;
use super::super::zone::{Change, Content, Settings};
use super::*;

const A: u16 = 1;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const AD: u16 = 0x20;
const CD: u16 = 0x10;

const NOW_S: u32 = 1_700_000_000;
const RD: u16 = 0x100;

// --- the table of malformed input -------------------------------------------------------------------------------------

#[test]
fn malformed_input_gets_the_answer_of_the_table() {
    // Goal: each row of PROTOCOL 13's table of inputs. Method: one message per case; the rcode, the extended error where the
    // client knows EDNS, and whether the question comes back.
    let zone = example_zone();
    let plain = query("alice.dgns.test", A);
    let with = |at: usize, byte: u8| edited(&plain, at, byte);
    let opt = edns(&plain, 1232, &[]);
    let two_questions = [edited(&plain, 5, 2), plain[HEADER_BYTES..].to_vec()].concat();
    let two_opts = edited(&[opt.clone(), opt[plain.len()..].to_vec()].concat(), 11, 2);
    let opt_not_at_root = edited(&[&plain[..], b"\x01x\0\x29\x04\xd0\0\0\0\0\0\0"].concat(), 11, 1);
    let opt_as_answer = edited(&edited(&opt, 11, 0), 7, 1);
    let name_of_255 = [&wire(&"a".repeat(63))[..64].repeat(3)[..], &wire(&"a".repeat(61))].concat();
    let name_of_257 = raw(&[b"\x3f".as_slice(), &[b'a'; 63]].concat().repeat(4), A, 1);
    let question_only_name = plain[..plain.len() - 4].to_vec();
    let pointing = raw(b"\xc0\x0c", A, 1);
    let pointing_to_header = raw(b"\x01a\xc0\x04", A, 1);
    let bare = false;
    let cases: Vec<(&str, Vec<u8>, &str, bool)> = vec![
        ("empty", vec![], "drop short", bare),
        ("11 bytes", plain[..11].to_vec(), "drop short", bare),
        ("QR = 1", with(2, 0x80), "drop response", bare),
        ("QR = 1 and malformed", vec![0xFF; 12], "drop response", bare),
        ("header alone, QDCOUNT 0", vec![0; 12], "FORMERR", bare),
        ("QDCOUNT 0 with a question", with(5, 0), "FORMERR", bare),
        ("QDCOUNT 1 without one", plain[..12].to_vec(), "FORMERR", bare),
        ("QDCOUNT 2", two_questions, "FORMERR", bare),
        ("QDCOUNT 65535", edited(&with(4, 0xFF), 5, 0xFF), "FORMERR", bare),
        ("label type 01", with(12, 0x45), "FORMERR", bare),
        ("label type 10", with(12, 0x85), "FORMERR", bare),
        ("label past the end", with(12, 60), "FORMERR", bare),
        ("name without end", question_only_name, "FORMERR", bare),
        ("name of 257 bytes", name_of_257, "FORMERR", bare),
        ("pointer to itself", pointing, "FORMERR", bare),
        ("pointer into the header", pointing_to_header, "FORMERR", bare),
        ("trailing byte", [&plain[..], b"x"].concat(), "FORMERR", bare),
        ("trailing byte after OPT", [&opt[..], b"x"].concat(), "FORMERR", bare),
        ("ANCOUNT without record", with(7, 1), "FORMERR", bare),
        ("two OPT", two_opts, "FORMERR", bare),
        ("OPT not at the root", opt_not_at_root, "FORMERR", bare),
        ("OPT as answer", opt_as_answer, "FORMERR", bare),
        ("option longer than the OPT", edns(&plain, 1232, b"\0\x0a\0\x09abcdefgh"), "FORMERR", bare),
        ("half an option", edns(&plain, 1232, b"\0\x0a\0"), "FORMERR", bare),
        ("cookie of 7 bytes", edns(&plain, 1232, b"\0\x0a\0\x07abcdefg"), "FORMERR", bare),
        ("cookie of 9 bytes", edns(&plain, 1232, b"\0\x0a\0\x09abcdefghi"), "FORMERR", bare),
        ("cookie of 41 bytes", edns(&plain, 1232, &[b"\0\x0a\0\x29".as_slice(), &[1; 41]].concat()), "FORMERR", bare),
        ("cookie, QDCOUNT 0", edns(&edited(&plain[..12], 5, 0), 1232, b"\0\x0a\0\x08abcdefgh"), "NOERROR", bare),
        (
            "cookie, QDCOUNT 0 and an answer",
            edited(&edns(&edited(&plain[..12], 5, 0), 1232, b"\0\x0a\0\x08abcdefgh"), 7, 1),
            "FORMERR",
            bare,
        ),
        ("EDNS version 1", edited(&opt, plain.len() + 6, 1), "BADVERS", true),
        ("EDNS version 255", edited(&opt, plain.len() + 6, 255), "BADVERS", true),
        ("name of 255 bytes", raw(&name_of_255, A, 1), "REFUSED", true),
        ("cookie of 8 bytes", edns(&plain, 1232, b"\0\x0a\0\x08abcdefgh"), "NOERROR", true),
        ("unknown option", edns(&plain, 1232, b"\xfd\xe9\0\x02hi"), "NOERROR", true),
        ("unknown EDNS flags", edited(&edited(&opt, plain.len() + 7, 0x7F), plain.len() + 8, 0xFF), "NOERROR", true),
        ("header flags AA TC RA Z", edited(&with(2, 0x06), 3, 0xC0), "NOERROR", true),
        ("rcode in a query", with(3, 0x0F), "NOERROR", true),
        ("NOTIFY", with(2, 4 << 3), "NOTAUTH", true),
        ("NOTIFY with a SOA it announces", edited(&with(2, 4 << 3), 7, 1), "NOTAUTH", bare),
        ("IQUERY", with(2, 1 << 3), "NOTIMP", true),
        ("STATUS", edited(&opt, 2, 2 << 3), "NOTIMP, EDE 21", true),
        ("opcode 15, header alone", edited(&[0; 12], 2, 15 << 3), "NOTIMP", bare),
        ("class CH", raw(b"\x02id\x06server\0", 16, 3), "REFUSED", true),
        ("class NONE", raw(b"\x05alice\x04dgns\x04test\0", A, 254), "REFUSED", true),
        ("class ANY", raw(b"\x05alice\x04dgns\x04test\0", A, 255), "REFUSED", true),
        ("outside the zone", query("alice.example", A), "REFUSED", true),
        ("outside, EDNS", edns(&query("alice.example", A), 1232, &[]), "REFUSED, EDE 20", true),
        ("the root", edns(&raw(b"\0", 2, 1), 1232, &[]), "REFUSED, EDE 20", true),
        ("above the zone", query("test", A), "REFUSED", true),
        ("AXFR", query("dgns.test", 252), "transfer", true),
        ("IXFR", query("dgns.test", 251), "transfer", true),
        ("MAILB", query("dgns.test", 253), "NOTIMP", true),
        ("TSIG", query("alice.dgns.test", 250), "NOTIMP", true),
        ("type 128", query("alice.dgns.test", 128), "NOTIMP", true),
        ("OPT as type", query("alice.dgns.test", 41), "NOTIMP", true),
        ("unknown type", query("alice.dgns.test", 65_300), "NOERROR", true),
        ("type 0", query("alice.dgns.test", 0), "NOERROR", true),
    ];
    for (title, message, wanted, question) in cases {
        for transport in [Transport::Udp, Transport::Tcp] {
            let mut out = b"left over".to_vec();
            let outcome = answer(&zone, &message, &by(transport), &mut out);
            let Outcome::Reply { .. } = outcome else {
                assert_eq!((outcome_text(outcome).as_str(), out.len()), (wanted, 0), "{title}");
                continue;
            };
            let reply = decode(&out);
            let error = extended_error(&reply).map_or(String::new(), |code| format!(", EDE {code}"));
            assert_eq!(outcome_text(outcome) + &error, wanted, "{title}");
            assert_eq!(out[..2], message[..2], "{title}: id");
            assert_eq!(out[2] & 0xF9, 0x80 | message[2] & 0x79, "{title}: QR, opcode and RD, nothing else");
            assert_eq!(reply.queries.len(), usize::from(question), "{title}");
            assert!(!question || copied_question(&message, &out), "{title}");
        }
    }
}

#[test]
fn proofs_and_updates_are_left_to_who_makes_them() {
    // Goal: the pure function answers none of them, a datagram is no update, and nothing else is left. Method: names at the edges.
    let zone = example_zone();
    let outcome = |message: &[u8], transport| {
        let mut out = Vec::new();
        outcome_text(answer(&zone, message, &by(transport), &mut out))
    };
    for (name, rtype, wanted) in [
        ("alice._proof.dgns.test", 16, "proof"),
        ("alice._proof.dgns.test", A, "proof"),
        ("_proof.dgns.test", 2, "proof"),
        ("_proof.dgns.test", 43, "NOERROR"),
        ("_proof.alice.dgns.test", 16, "NXDOMAIN"),
        ("x_proof.dgns.test", 16, "NXDOMAIN"),
        ("_checkpoint.dgns.test", 16, "NOERROR"),
    ] {
        for transport in [Transport::Udp, Transport::Tcp] {
            assert_eq!(outcome(&query(name, rtype), transport), wanted, "{name} {rtype}");
        }
    }
    let update = edited(&query("dgns.test", 6), 2, 5 << 3);
    assert_eq!(outcome(&update, Transport::Udp), "REFUSED");
    assert_eq!(outcome(&update, Transport::Tcp), "update");
    assert_eq!(outcome(&update, Transport::Tls), "update");
    assert_eq!(outcome(&update, Transport::Https), "update");
    assert_eq!(outcome(&edited(&update, 2, 0x80 | 5 << 3), Transport::Tcp), "drop response");
}

#[test]
fn whoever_shows_a_cookie_gets_one_and_is_known_by_it() {
    // Goal: RFC 7873 sections 5.2 and 5.4. Method: no cookie, a client's alone, the one that comes back, and false ones.
    let zone = example_zone();
    let plain = query("alice.dgns.test", A);
    let ask = |message: &[u8], transport| {
        let mut out = Vec::new();
        let outcome = answer(&zone, message, &by(transport), &mut out);
        let Outcome::Reply { is_known, .. } = outcome else { panic!("{outcome:?}") };
        (option(&out, 10), is_known)
    };
    let with = |cookie: &[u8]| edns(&plain, 1232, &[&[0, 10, 0, cookie.len() as u8], cookie].concat());
    for transport in [Transport::Udp, Transport::Tcp] {
        assert_eq!(ask(&plain, transport), (None, false));
        let (cookie, is_known) = ask(&with(b"abcdefgh"), transport);
        let cookie = cookie.expect("a cookie of ours");
        assert_eq!((cookie.len(), &cookie[..8], is_known), (24, b"abcdefgh".as_slice(), false));
        assert_eq!(ask(&with(&cookie), transport), (Some(cookie.clone()), true), "kept while it is young");
        let alone = edns(&edited(&plain[..12], 5, 0), 1232, &[b"\0\x0a\0\x18", &cookie[..]].concat());
        assert_eq!(ask(&alone, transport), (Some(cookie.clone()), true), "without a question");
        let bent = [&cookie[..23], &[cookie[23] ^ 1]].concat();
        assert_eq!(ask(&with(&bent), transport), (Some(cookie.clone()), false), "as if it had none");
        let (other, is_known) = ask(&with(&[&cookie[..], b"longer"].concat()), transport);
        assert_eq!((other, is_known), (Some(cookie), false), "of a length that is none of ours");
    }
}

#[test]
fn answers_are_padded_where_nobody_sees_them() {
    // Goal: RFC 8467 section 4.1, RFC 7830 section 4: whole blocks over TLS to whoever has an OPT, and to nobody else; a message that is nearly as long as
    // any may be is padded as far as that.
    let zone = example_zone();
    for name in ["alice.dgns.test", "nobody.dgns.test", "big.dgns.test", "alice.example"] {
        let plain = query(name, TYPE_TXT);
        let asking =
            [edns(&plain, 1232, &[]), edns(&plain, 1232, b"\0\x0c\0\x02\0\0"), edns(&plain, 1232, b"\0\x03\0\0")];
        for (message, transport, is_padded) in asking
            .iter()
            .flat_map(|message| {
                [(message, Transport::Tls, true), (message, Transport::Https, true), (message, Transport::Tcp, false)]
            })
            .chain([(&plain, Transport::Tls, false)])
        {
            let mut out = Vec::new();
            answer(&zone, message, &by(transport), &mut out);
            assert_eq!(out.len().is_multiple_of(468), is_padded, "{name} {transport:?}: {}", out.len());
            assert!(option(&out, 12).is_none_or(|padding| is_padded && padding.iter().all(|&byte| byte == 0)));
            assert_eq!(option(&out, 12).is_some(), is_padded);
        }
    }
    for (length, padding) in [(464, Some(0)), (465, Some(467)), (65_531, Some(0)), (65_530, Some(1)), (65_532, None)] {
        assert_eq!(reply::padding(length), padding, "{length}");
    }
}

#[test]
fn the_name_of_the_server_is_said_to_who_asks_for_it() {
    let zone = example_zone();
    let plain = query("alice.dgns.test", A);
    let mut out = Vec::new();
    answer(&zone, &edns(&plain, 1232, b"\0\x03\0\0"), &by(Transport::Udp), &mut out);
    assert_eq!(option(&out, 3), Some(b"ns7".to_vec()));
    answer(&zone, &edns(&plain, 1232, &[]), &by(Transport::Udp), &mut out);
    assert_eq!(option(&out, 3), None);
    let nameless = Asker { nsid: &[], ..by(Transport::Udp) };
    answer(&zone, &edns(&plain, 1232, b"\0\x03\0\0"), &nameless, &mut out);
    assert_eq!(option(&out, 3), None);
}

#[test]
fn an_answer_that_is_cut_is_its_question_with_tc() {
    let zone = example_zone();
    for message in [query("alice.dgns.test", A), edns(&query("alice.dgns.test", A), 1232, b"\0\x03\0\0")] {
        let mut out = Vec::new();
        answer(&zone, &message, &by(Transport::Udp), &mut out);
        reply::slip(&mut out);
        let cut = decode(&out);
        assert!(cut.metadata.truncation && out.len() <= message.len() && copied_question(&message, &out));
        assert_eq!((cut.answers.len(), cut.authorities.len(), cut.edns.is_none()), (0, 0, true));
    }
    let mut out = Vec::new();
    answer(&zone, &[0; 12], &by(Transport::Udp), &mut out);
    reply::slip(&mut out);
    assert_eq!(out.len(), HEADER_BYTES, "a header stays one");
}

#[test]
fn opt_that_was_read_before_the_fault_is_answered_by_one() {
    let zone = example_zone();
    let plain = query("alice.dgns.test", A);
    let opt = edns(&plain, 1232, &[]);
    let two_opts = edited(&[opt.clone(), opt[plain.len()..].to_vec()].concat(), 11, 2);
    assert!(ask(&zone, &two_opts).edns.is_some());
    assert!(ask(&zone, &edited(&opt, plain.len() + 6, 1)).edns.is_some(), "BADVERS needs an OPT");
    assert!(ask(&zone, &edited(&opt, 2, 15 << 3)).edns.is_some());
    assert!(ask(&zone, &plain).edns.is_none(), "no OPT to a client that sent none");
}

#[test]
fn zone_that_is_not_loaded_answers_servfail() {
    let zone = Zone::new("dgns.test", &Settings::for_zone("dgns.test")).expect("valid settings");
    let reply = ask(&zone, &edns(&query("alice.dgns.test", A), 1232, &[]));
    assert_eq!((reply.metadata.response_code, extended_error(&reply)), (ResponseCode::ServFail, Some(14)));
    assert!(!reply.metadata.authoritative);
    assert_eq!(ask(&zone, &query("alice.example", A)).metadata.response_code, ResponseCode::Refused);
}

#[test]
fn fault_of_ours_becomes_servfail() {
    for (message, error) in
        [(query("alice.dgns.test", A), None), (edns(&query("alice.dgns.test", A), 512, &[]), Some(0))]
    {
        let mut out = Vec::new();
        assert_eq!(outcome_text(confess(&message, &mut out)), "SERVFAIL");
        assert_eq!(extended_error(&decode(&out)), error);
    }
    assert_eq!(outcome_text(confess(&[0; 11], &mut Vec::new())), "drop short");
}

// --- names and records ------------------------------------------------------------------------------------------------

#[test]
fn names_have_the_records_of_their_certificates() {
    // Goal: each kind of name: with records, without, empty, hidden, absent. Method: question -> rcode and answer, as text.
    let zone = example_zone();
    let did = Did::from_bytes([7; 20]);
    let did_text = format!("16 \"did={did}\"");
    for (name, qtype, wanted) in [
        ("alice.dgns.test", A, "NOERROR: 1 192.0.2.1; 1 192.0.2.2"),
        ("ALICE.dgns.TEST", AAAA, "NOERROR: 28 2001:db8::1"),
        ("alice.dgns.test", 16, "NOERROR:"),
        ("alice.dgns.test", TYPE_ANY, "NOERROR: 1 192.0.2.1; 1 192.0.2.2"),
        ("_db._tcp.alice.dgns.test", SRV, "NOERROR: 33 0 0 5432 alice.dgns.test."),
        ("_db._tcp.alice.dgns.test", A, "NOERROR:"),
        ("_tcp.alice.dgns.test", SRV, "NOERROR:"),
        ("_udp.alice.dgns.test", SRV, "NXDOMAIN:"),
        ("x._tcp.alice.dgns.test", SRV, "NXDOMAIN:"),
        ("_x._db._tcp.alice.dgns.test", SRV, "NXDOMAIN:"),
        ("_did.alice.dgns.test", TYPE_TXT, did_text.as_str()),
        ("_did.alice.dgns.test", TYPE_ANY, did_text.as_str()),
        ("_did.alice.dgns.test", A, "NOERROR:"),
        ("_x._did.alice.dgns.test", A, "NXDOMAIN:"),
        ("bob.dgns.test", A, "NOERROR:"),
        ("_did.bob.dgns.test", TYPE_TXT, did_text.as_str()),
        ("nodid.dgns.test", A, "NOERROR:"),
        ("_did.nodid.dgns.test", TYPE_TXT, "NXDOMAIN:"),
        ("hidden.dgns.test", A, "NXDOMAIN:"),
        ("_did.hidden.dgns.test", TYPE_TXT, "NXDOMAIN:"),
        ("parent.dgns.test", A, "NOERROR:"),
        ("_did.parent.dgns.test", TYPE_TXT, "NXDOMAIN:"),
        ("photos.parent.dgns.test", A, "NOERROR: 1 192.0.2.9"),
        ("x.photos.parent.dgns.test", A, "NXDOMAIN:"),
        ("nobody.dgns.test", A, "NXDOMAIN:"),
        ("_tcp.dgns.test", A, "NXDOMAIN:"),
        ("dgns.test", 2, "NOERROR: 2 ns.dgns.test."),
        ("dgns.test", TYPE_ANY, "NOERROR: 2 ns.dgns.test."),
        ("dgns.test", TYPE_SOA, "NOERROR: 6 ns.dgns.test. hostmaster.dgns.test. 77 3600 600 1209600 5"),
        ("dgns.test", A, "NOERROR:"),
        ("ns.dgns.test", A, "NOERROR: 1 192.0.2.53"),
        ("_did.ns.dgns.test", TYPE_TXT, "NXDOMAIN:"),
    ] {
        let reply = ask(&zone, &query(name, qtype));
        let wanted = wanted
            .strip_prefix("16 ")
            .map_or(wanted.to_owned(), |txt| format!("NOERROR: 16 {}", txt.trim_matches('"')));
        assert_eq!(summary(&reply), wanted, "{name} {qtype}");
        assert!(reply.metadata.authoritative && !reply.metadata.recursion_available, "{name}");
        let denied = reply.answers.is_empty();
        assert_eq!(reply.authorities.len(), usize::from(denied), "{name}: a denial carries the SOA, an answer nothing");
        for soa in &reply.authorities {
            assert_eq!((soa.record_type(), soa.ttl), (RecordType::SOA, 5));
            assert_eq!(soa.name.to_lowercase(), Name::from_ascii("dgns.test.").expect("a name"));
        }
    }
}

#[test]
fn wire_label_with_a_dot_is_no_name() {
    // Goal: the label `alice.dgns` is not the labels `alice` and `dgns`.
    let zone = example_zone();
    assert_eq!(summary(&ask(&zone, &raw(b"\x0dphotos.parent\x04dgns\x04test\0", A, 1))), "NXDOMAIN:");
    assert_eq!(summary(&ask(&zone, &raw(b"\x0aalice.dgns\x04test\0", A, 1))), "REFUSED:");
}

#[test]
fn cnames_are_followed_within_the_zone() {
    let zone = example_zone();
    for (name, qtype, wanted) in [
        ("www.alice.dgns.test", A, "NOERROR: 5 alice.dgns.test.; 1 192.0.2.1; 1 192.0.2.2"),
        ("www.alice.dgns.test", TYPE_CNAME, "NOERROR: 5 alice.dgns.test."),
        ("www.alice.dgns.test", TYPE_ANY, "NOERROR: 5 alice.dgns.test."),
        ("www.alice.dgns.test", 16, "NOERROR: 5 alice.dgns.test."),
        ("out.dgns.test", A, "NOERROR: 5 cdn.example."),
        ("dangling.dgns.test", A, "NXDOMAIN: 5 nobody.dgns.test."),
        ("_did.out.dgns.test", A, "NOERROR:"),
    ] {
        let reply = ask(&zone, &query(name, qtype));
        assert_eq!(summary(&reply), wanted, "{name} {qtype}");
    }
    let reply = ask(&zone, &query("www.alice.dgns.test", 16));
    assert_eq!(reply.authorities.len(), 1, "the end of the chain is NODATA and carries the SOA");
    let reply = ask(&zone, &query("www.alice.dgns.test", A));
    assert_eq!(reply.answers[1].name, Name::from_ascii("alice.dgns.test.").expect("a name"));
}

#[test]
fn cname_chain_is_followed_eight_deep() {
    let zone = example_zone();
    let hops = |name: &str| ask(&zone, &query(name, A)).answers.len();
    assert_eq!(hops("c1.dgns.test"), 9, "eight CNAMEs and the address they lead to");
    assert_eq!(hops("c0.dgns.test"), 9, "the ninth CNAME is not followed: it is the resolver's");
    assert_eq!(hops("loop.dgns.test"), 1, "a chain that leads back ends: no record stands twice");
    assert_eq!(ask(&zone, &query("loop.dgns.test", A)).metadata.response_code, ResponseCode::NoError);
}

#[test]
fn question_is_copied_byte_for_byte() {
    // Goal: 0x20. Method: random-looking case in name and zone, also where the answer's owner points to it.
    let zone = example_zone();
    for name in ["AlIcE.dGnS.tEsT", "NoBoDy.DGNS.test"] {
        let message = query(name, A);
        let mut out = Vec::new();
        answer(&zone, &message, &by(Transport::Udp), &mut out);
        assert_eq!(out[HEADER_BYTES..message.len()], message[HEADER_BYTES..]);
        let reply = decode(&out);
        let owner = reply.answers.first().map_or("DGNS.test.".to_owned(), |record| record.name.to_ascii());
        assert!(owner == format!("{name}.") || owner == reply.authorities[0].name.to_ascii(), "{owner}");
    }
}

#[test]
fn flags_are_copied_or_cleared() {
    let zone = example_zone();
    for (flags, wanted) in [(RD, RD | 0x8400), (CD, CD | 0x8400), (AD, 0x8400), (RD | CD | AD, RD | CD | 0x8400)] {
        let mut message = query("alice.dgns.test", A);
        message[2..4].copy_from_slice(&flags.to_be_bytes());
        let mut out = Vec::new();
        answer(&zone, &message, &by(Transport::Udp), &mut out);
        assert_eq!(u16::from_be_bytes([out[2], out[3]]), wanted);
    }
    let dnssec_ok = edited(&edns(&query("alice.dgns.test", A), 1232, &[]), 12 + 21 + 7, 0x80);
    assert!(ask(&zone, &dnssec_ok).edns.expect("an OPT").flags().dnssec_ok);
}

#[test]
fn answer_too_long_for_udp_is_truncated_and_empty() {
    let zone = example_zone();
    let plain = query("big.dgns.test", TYPE_TXT);
    for (message, transport, truncated) in [
        (plain.clone(), Transport::Udp, true),
        (edns(&plain, 0, &[]), Transport::Udp, true),
        (edns(&plain, 512, &[]), Transport::Udp, true),
        (edns(&plain, 4096, &[]), Transport::Udp, true),
        (plain.clone(), Transport::Tcp, false),
        (edns(&plain, 512, &[]), Transport::Tcp, false),
        (edns(&query("medium.dgns.test", TYPE_TXT), 4096, &[]), Transport::Udp, false),
        (edns(&query("medium.dgns.test", TYPE_TXT), 900, &[]), Transport::Udp, true),
        (query("medium.dgns.test", TYPE_TXT), Transport::Udp, true),
    ] {
        let mut out = Vec::new();
        answer(&zone, &message, &by(transport), &mut out);
        let reply = decode(&out);
        assert_eq!(reply.metadata.truncation, truncated, "{transport:?}");
        assert_eq!(reply.answers.is_empty(), truncated);
        assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
        assert!(reply.metadata.authoritative && copied_question(&message, &out));
        if let Some(edns) = reply.edns {
            assert_eq!(edns.max_payload(), 1232);
        }
    }
}

// --- properties -------------------------------------------------------------------------------------------------------

/// Returns the most bytes a client that sent `message` may get by UDP, by a reading of its own.
fn udp_bytes_max(message: &[u8]) -> usize {
    Message::from_vec(message)
        .ok()
        .and_then(|message| message.edns)
        .map_or(512, |edns| edns.max_payload().clamp(512, 1232).into())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_bytes_are_answered_within_the_limit(message in prop::collection::vec(any::<u8>(), 0..600)) {
        let zone = example_zone_shared();
        let mut out = Vec::new();
        for transport in [Transport::Udp, Transport::Tcp] {
            let outcome = answer(zone, &message, &by(transport), &mut out);
            prop_assert!(transport == Transport::Tcp || out.len() <= 512, "random bytes have no EDNS that allows more");
            prop_assert_eq!(!matches!(outcome, Outcome::Reply { .. }), out.is_empty());
        }
    }

    #[test]
    fn damaged_queries_are_answered_within_the_limit(
        (name, qtype) in question(), options in any_options(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let message = edns(&query(&name, qtype), u16::from(byte) * 8, &options);
        let damaged = edited(&message, at.index(message.len()), byte);
        let mut out = Vec::new();
        if let Outcome::Reply { rcode, .. } = answer(example_zone_shared(), &damaged, &by(Transport::Udp), &mut out) {
            prop_assert!(out.len() <= udp_bytes_max(&damaged).max(512));
            prop_assert_eq!(&out[..2], &damaged[..2]);
            prop_assert_ne!(rcode, Rcode::ServFail);
            prop_assert!(Message::from_vec(&out).is_ok());
        }
    }

    #[test]
    fn every_answer_is_read_by_another_implementation((name, qtype) in question(), with_edns in any::<bool>()) {
        // Goal: hickory reads each answer to its end; id and question are those of the query, and each record answers it.
        let plain = query(&name, qtype);
        let message = if with_edns { edns(&plain, 1232, &[]) } else { plain };
        let mut out = Vec::new();
        let outcome = answer(example_zone_shared(), &message, &by(Transport::Udp), &mut out);
        let is_answered = matches!(outcome, Outcome::Reply { .. });
        prop_assert!(is_answered);
        let (asked, reply) = (Message::from_vec(&message).expect("a query"), Message::from_vec(&out).expect("an answer"));
        prop_assert_eq!(reply.metadata.id, asked.metadata.id);
        prop_assert!(copied_question(&message, &out));
        prop_assert_eq!(reply.edns.is_some(), with_edns);
        let mut owner = asked.queries[0].name().clone();
        for record in &reply.answers {
            prop_assert_eq!(&record.name, &owner);
            if let RData::CNAME(target) = &record.data {
                owner = target.0.clone();
            } else {
                prop_assert!(u16::from(record.record_type()) == qtype || qtype == TYPE_ANY);
            }
        }
    }

    #[test]
    fn both_readers_agree_on_the_plain_shape((name, qtype) in question(), options in any_options(), flags in any::<u16>()) {
        let mut message = edns(&query(&name, qtype), 1232, &options);
        message[2..4].copy_from_slice(&(flags & 0x07FF).to_be_bytes());
        let (header, _) = Header::read(&message).expect("a header");
        let by_hickory = super::super::hickory::read(header, &message);
        match query::read_plain(header, &message) {
            Some(plain) => prop_assert_eq!(by_hickory, Ok(plain)),
            None => prop_assert!(by_hickory.is_err()),
        }
    }
}

/// Labels that stand in the example zone, and some that do not.
const LABELS: [&str; 14] =
    ["alice", "ALICE", "www", "big", "photos", "parent", "_did", "_tcp", "_db", "hidden", "c0", "loop", "dgns", "x"];

/// Names of the example zone and near it, and types that exist and do not.
fn question() -> impl Strategy<Value = (String, u16)> {
    let names = prop::collection::vec(prop::sample::select(&LABELS[..]), 0..4).prop_map(|labels| labels.join("."));
    let zones = prop::sample::select(&["dgns.test", "DGNS.test", "dgns.test", "example"][..]);
    let types = prop_oneof![prop::sample::select(&[1, 2, 5, 6, 16, 28, 33, 255][..]), any::<u16>()];
    (names, zones, types)
        .prop_map(|(name, zone, qtype)| (format!("{name}.{zone}").trim_start_matches('.').to_owned(), qtype))
}

/// EDNS options, mostly well-formed.
fn any_options() -> impl Strategy<Value = Vec<u8>> {
    let option = (prop_oneof![Just(10_u16), 20_u16..65_000], prop::collection::vec(any::<u8>(), 0..45));
    let encode =
        |(code, data): (u16, Vec<u8>)| [&code.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), &data].concat();
    let whole = prop::collection::vec(option.prop_map(encode), 0..4).prop_map(|options| options.concat());
    (whole, 0_usize..8)
        .prop_map(|(options, cut)| options[..options.len() - if cut == 1 { options.len().min(1) } else { 0 }].to_vec())
}

// --- the example zone, messages, and what is read from them -----------------------------------------------------------

#[test]
fn a_delegated_name_and_all_below_it_is_anothers_to_answer() {
    // Goal: a referral at and below a cut, with the glue, without AA; DS alone is the parent's; what leads there by CNAME ends there; and once it is taken
    // back the name is ours again. Method: a table of questions to a zone with a cut, one that is none, and a zone without.
    let zone = example_zone();
    let row =
        |owner: &str, rtype: u16, rdata: &[u8]| Row { owner: owner.into(), rtype, rdata: rdata.to_vec(), ttl: 300 };
    let digest = [&[1, 2, 13, 2][..], &[7; 32]].concat();
    let servers = vec![
        row("", TYPE_NS, &wire("ns.sub.alice.dgns.test")),
        row("", TYPE_NS, &wire("ns.example")),
        row("", TYPE_DS, &digest),
        row("ns", A, &[192, 0, 2, 7]),
    ];
    let change = |name: &str, rows: Vec<Row>, is_cut| {
        let content = Content { did: Some(Did::from_bytes([7; 20])), log_index: 9, flags: 2, rows, is_cut };
        Change { name: format!("{name}.dgns.test"), content: Some(content) }
    };
    let far = format!("{}sub.alice", "x.".repeat(100));
    let into = change("into", vec![row("", TYPE_CNAME, &wire("x.sub.alice.dgns.test"))], false);
    assert!(!zone.has_cuts());
    zone.apply(vec![change("sub.alice", servers, true), into], 78).expect("valid changes");
    assert!(zone.has_cuts());
    for (name, rtype, answers, servers, is_ours) in [
        ("sub.alice", A, 0, 2, false),
        ("sub.alice", TYPE_NS, 0, 2, false),
        ("sub.alice", TYPE_ANY, 0, 2, false),
        ("sub.alice", TYPE_DS, 1, 0, true),
        ("x.sub.alice", A, 0, 2, false),
        ("x.sub.alice", TYPE_DS, 0, 2, false),
        ("a.b.c.sub.alice", TYPE_TXT, 0, 2, false),
        (far.as_str(), TYPE_TXT, 0, 2, false),
        (far.as_str(), TYPE_DS, 0, 2, false),
        ("ns.sub.alice", A, 0, 2, false),
        ("_did.sub.alice", TYPE_TXT, 0, 2, false),
        ("_db._tcp.x.sub.alice", SRV, 0, 2, false),
        ("into", A, 1, 0, true),
        ("alice", A, 2, 0, true),
    ] {
        let message = ask(&zone, &query(&format!("{name}.dgns.test"), rtype));
        let found = (message.answers.len(), message.authorities.len(), message.metadata.authoritative);
        assert_eq!(found, (answers, servers, is_ours), "{name} {rtype}: {message:?}");
        assert_eq!(message.metadata.response_code, ResponseCode::NoError, "{name} {rtype}");
        let glue: Vec<String> = message.additionals.iter().map(|record| record.name.to_string()).collect();
        assert_eq!(glue, if is_ours { vec![] } else { vec!["ns.sub.alice.dgns.test."] }, "{name} {rtype}");
    }
    let denied = ask(&zone, &query("y.alice.dgns.test", A));
    assert_eq!((denied.metadata.response_code, denied.metadata.authoritative), (ResponseCode::NXDomain, true));
    zone.set_volatile("sub.alice.dgns.test", vec![row("", A, &[192, 0, 2, 8])]).expect("nothing is shown");
    assert!(!ask(&zone, &query("sub.alice.dgns.test", A)).metadata.authoritative);
    zone.apply(vec![change("sub.alice", vec![row("", A, &[192, 0, 2, 9])], false)], 79).expect("valid changes");
    assert!(!zone.has_cuts());
    assert_eq!(ask(&zone, &query("sub.alice.dgns.test", A)).answers.len(), 1);
    assert_eq!(ask(&zone, &query("x.sub.alice.dgns.test", A)).metadata.response_code, ResponseCode::NXDomain);
}

#[test]
fn a_part_of_a_zone_answers_what_the_log_alone_says() {
    // Goal: before the rest of a start is done a name is answered, and denied, as ever; what devices, ACME clients or proofs have a say in is put off, also
    // as the target of an alias; and answered once all is there.
    let zone = example_zone().in_part();
    let row = |rtype, rdata: &[u8]| Row { owner: String::new(), rtype, rdata: rdata.to_vec(), ttl: 60 };
    let written = ["bob.dgns.test", "hidden.dgns.test"].map(|name| (name.to_owned(), vec![row(A, &[192, 0, 2, 77])]));
    zone.set_all_volatile(HashMap::from(written)).expect("both are there");
    let to_bob = Content {
        did: None,
        log_index: 2,
        flags: 0,
        rows: vec![row(TYPE_CNAME, &wire("bob.dgns.test"))],
        is_cut: false,
    };
    zone.apply(vec![Change { name: "tobob.dgns.test".into(), content: Some(to_bob) }], 78).expect("a valid change");
    let asked = |name: &str, rtype: u16| {
        let mut out = Vec::new();
        let outcome = answer(&zone, &edns(&query(name, rtype), 1232, &[]), &by(Transport::Udp), &mut out);
        let error = (!out.is_empty()).then(|| extended_error(&decode(&out))).flatten();
        (outcome_text(outcome), error, if out.is_empty() { 0 } else { decode(&out).answers.len() })
    };
    let said = |rcode: &str, error, count| (rcode.to_owned(), error, count);
    let put_off = || said("SERVFAIL", Some(14), 0);
    let both = [
        ("alice.dgns.test", A, said("NOERROR", None, 2)),
        ("nobody.dgns.test", A, said("NXDOMAIN", None, 0)),
        ("alice.dgns.test", TYPE_TXT, said("NOERROR", None, 0)),
        ("dgns.test", TYPE_SOA, said("NOERROR", None, 1)),
        ("hidden.dgns.test", A, said("NXDOMAIN", None, 0)),
    ];
    let one = [
        ("bob.dgns.test", A, said("NOERROR", None, 1)),
        ("_x.bob.dgns.test", TYPE_TXT, said("NXDOMAIN", None, 0)),
        ("_checkpoint.dgns.test", TYPE_TXT, said("NOERROR", None, 0)),
        ("alice._proof.dgns.test", TYPE_TXT, said("proof", None, 0)),
        ("_proof.dgns.test", TYPE_TXT, said("proof", None, 0)),
        ("auth.dgns.test", TYPE_TXT, said("NXDOMAIN", None, 0)),
        ("x.auth.dgns.test", TYPE_TXT, said("NXDOMAIN", None, 0)),
    ];
    for (name, rtype, wanted) in &both {
        assert_eq!(asked(name, *rtype), *wanted, "{name}");
    }
    for (name, rtype, _) in &one {
        assert_eq!(asked(name, *rtype), put_off(), "{name}");
    }
    assert_eq!(asked("tobob.dgns.test", A), said("NOERROR", None, 1), "bob is the resolver's to ask for");
    zone.set_whole();
    for (name, rtype, wanted) in both.iter().chain(&one) {
        assert_eq!(asked(name, *rtype), *wanted, "{name}");
    }
    assert_eq!(asked("tobob.dgns.test", A), said("NOERROR", None, 2));
}

fn example_zone_shared() -> &'static Zone {
    static ZONE: std::sync::OnceLock<Zone> = std::sync::OnceLock::new();
    ZONE.get_or_init(example_zone)
}

fn example_zone() -> Zone {
    let mut settings = Settings::for_zone("dgns.test");
    settings.nameservers[0].addresses = vec!["192.0.2.53".parse().expect("an address")];
    let zone = Zone::new("dgns.test", &settings).expect("valid settings");
    let row =
        |owner: &str, rtype: u16, rdata: &[u8]| Row { owner: owner.to_owned(), rtype, rdata: rdata.to_vec(), ttl: 60 };
    let a = |last: u8| row("", A, &[192, 0, 2, last]);
    let cname = |target: &str| row("", TYPE_CNAME, &wire(target));
    let text = |bytes: usize| row("", TYPE_TXT, &[[255].as_slice(), &[b'x'; 255]].concat().repeat(bytes / 256));
    let srv = [&[0, 0, 0, 0, 0x15, 0x38], &wire("alice.dgns.test")[..]].concat();
    let aaaa = row("", AAAA, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let mut names = vec![
        ("alice".to_owned(), 0, vec![aaaa, a(1), a(2), row("_db._tcp", SRV, &srv)]),
        ("www.alice".to_owned(), 0, vec![cname("alice.dgns.test")]),
        ("bob".to_owned(), 0, vec![]),
        ("nodid".to_owned(), 2, vec![]),
        ("hidden".to_owned(), 1, vec![a(3)]),
        ("parent".to_owned(), 1, vec![a(4)]),
        ("photos.parent".to_owned(), 0, vec![a(9)]),
        ("out".to_owned(), 0, vec![cname("cdn.example")]),
        ("dangling".to_owned(), 0, vec![cname("nobody.dgns.test")]),
        ("loop".to_owned(), 0, vec![cname("loop.dgns.test")]),
        ("big".to_owned(), 0, vec![text(1_024), text(512)]),
        ("medium".to_owned(), 0, vec![text(1_024)]),
    ];
    names.extend((0..9).map(|hop| (format!("c{hop}"), 0, vec![cname(&format!("c{}.dgns.test", hop + 1))])));
    names.push(("c9".to_owned(), 0, vec![a(8)]));
    let changes = names.into_iter().map(|(name, flags, rows)| {
        let content = Content { did: Some(Did::from_bytes([7; 20])), log_index: 1, flags, rows, is_cut: false };
        Change { name: format!("{name}.dgns.test"), content: Some(content) }
    });
    zone.apply(changes.collect(), 77).expect("valid changes");
    zone.set_ready();
    zone
}

fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> = labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    bytes.push(0);
    bytes
}

fn raw(name: &[u8], qtype: u16, class: u16) -> Vec<u8> {
    [b"\x12\x34\0\0\0\x01\0\0\0\0\0\0", name, &qtype.to_be_bytes(), &class.to_be_bytes()].concat()
}

fn query(name: &str, qtype: u16) -> Vec<u8> {
    raw(&wire(name), qtype, 1)
}

/// Adds an OPT of version 0 that announces `bytes`.
fn edns(plain: &[u8], bytes: u16, options: &[u8]) -> Vec<u8> {
    let length = (options.len() as u16).to_be_bytes();
    let opt = [b"\0\0\x29", &bytes.to_be_bytes()[..], b"\0\0\0\0", &length, options].concat();
    edited(&[plain, &opt].concat(), 11, 1)
}

fn edited(message: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut message = message.to_vec();
    message[at] = byte;
    message
}

fn copied_question(message: &[u8], out: &[u8]) -> bool {
    let length = WireName::read(&message[HEADER_BYTES..]).map_or(0, |name| name.wire_len() + 4);
    length > 0 && out.get(HEADER_BYTES..HEADER_BYTES + length) == message.get(HEADER_BYTES..HEADER_BYTES + length)
}

fn ask(zone: &Zone, message: &[u8]) -> Message {
    let mut out = Vec::new();
    let outcome = answer(zone, message, &by(Transport::Udp), &mut out);
    assert!(matches!(outcome, Outcome::Reply { .. }), "{outcome:?}");
    decode(&out)
}

fn decode(bytes: &[u8]) -> Message {
    Message::from_vec(bytes).unwrap_or_else(|error| panic!("hickory cannot read {bytes:02x?}: {error}"))
}

/// Somebody who asks from 192.0.2.1.
fn by(transport: Transport) -> Asker<'static> {
    static COOKIES: LazyLock<Cookies> = LazyLock::new(|| {
        let mut cookies = Cookies::new([7; 32]);
        cookies.at(NOW_S);
        cookies
    });
    Asker { transport, address: [192, 0, 2, 1].into(), now_s: NOW_S, cookies: &COOKIES, nsid: b"ns7" }
}

fn outcome_text(outcome: Outcome) -> String {
    match outcome {
        Outcome::Reply { rcode, .. } => rcode.name().to_owned(),
        Outcome::Proof { .. } => "proof".to_owned(),
        Outcome::Update => "update".to_owned(),
        Outcome::Transfer => "transfer".to_owned(),
        Outcome::Drop(reason) => format!("drop {}", reason.name()),
    }
}

/// Returns the data of an option of an answer.
fn option(answer: &[u8], code: u16) -> Option<Vec<u8>> {
    match decode(answer).edns.as_ref()?.option(EdnsCode::from(code))? {
        EdnsOption::Unknown(_, bytes) => Some(bytes.clone()),
        EdnsOption::NSID(nsid) => Some(nsid.as_ref().to_vec()),
        other => panic!("no option that an answer has: {other:?}"),
    }
}

fn extended_error(reply: &Message) -> Option<u16> {
    match reply.edns.as_ref()?.option(EdnsCode::from(15))? {
        EdnsOption::Unknown(15, bytes) => Some(u16::from_be_bytes([bytes[0], bytes[1]])),
        other => panic!("not an extended error: {other:?}"),
    }
}

fn summary(reply: &Message) -> String {
    let rcode = match reply.metadata.response_code {
        ResponseCode::NoError => "NOERROR",
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::Refused => "REFUSED",
        other => panic!("not expected here: {other}"),
    };
    let records: Vec<String> =
        reply.answers.iter().map(|record| format!(" {} {}", u16::from(record.record_type()), record.data)).collect();
    format!("{rcode}:{}", records.join(";"))
}
