//! What a server says of itself, and to whom it believes an address (PROTOCOL 13.1).

use dgns_tests::harness::Site;

use crate::wire::{A, answer, asker, over_tcp, query, rcode};

const TXT: u16 = 16;
const CH: u16 = 3;
const NOERROR: u8 = 0;
const FORMERR: u8 = 1;
const REFUSED: u8 = 5;

/// The option that asks how a server calls itself (RFC 5001), empty.
const NSID: [u8; 4] = [0, 3, 0, 0];

/// Adds an option to a query with an OPT that has none.
fn with_option(mut query: Vec<u8>, option: &[u8]) -> Vec<u8> {
    query[11] = 1;
    query.extend([0, 0, 41, 4, 208, 0, 0, 0, 0]);
    query.extend((option.len() as u16).to_be_bytes());
    query.extend(option);
    query
}

fn has(answer: &[u8], text: &[u8]) -> bool {
    answer.windows(text.len()).any(|part| part == text)
}

#[test]
fn a_server_says_its_name_to_who_asks_as_the_operator_allows() {
    // Goal: the name of the server goes to who asks for NSID, and to nobody else; names of class CH, by which others tell software and host, are refused
    // with nothing. Method: datagrams and TCP at one server with a name and one without.
    for (site, name) in [(Site::new().with("dns", "nsid", "\"ns7.berlin\""), "ns7.berlin"), (Site::new(), "")] {
        let server = site.start();
        let socket = asker(server.dns);
        let asks = |message: &[u8]| {
            socket.send(message).expect("it is sent");
            let by_datagram = answer(&socket);
            assert_eq!(over_tcp(server.dns, &[message.to_vec()]), [by_datagram.as_slice()], "over TCP the same");
            by_datagram
        };
        let plain = query(1, "dgns.test", A, None);
        let told = asks(&with_option(plain.clone(), &NSID));
        let option = [&[0, 3, 0, name.len() as u8][..], name.as_bytes()].concat();
        assert_eq!((rcode(&told), has(&told, &option)), (NOERROR, !name.is_empty()));
        for unasked in [plain.clone(), with_option(plain, &[])] {
            assert!(!has(&asks(&unasked), b"ns7"));
        }
        for question in ["id.server", "hostname.bind", "version.bind", "version.server", "authors.bind"] {
            let mut message = query(2, question, TXT, None);
            let class = message.len() - 1;
            message[class] = CH as u8;
            let said = asks(&message);
            assert_eq!((rcode(&said), said.len()), (REFUSED, message.len()), "{question}: the question alone");
        }
    }
}

#[test]
fn a_bad_cookie_is_as_none() {
    // Goal: no BADCOOKIE: who shows a cookie that is not ours is answered as a stranger, with one that is; only another length is no cookie. Method: the
    // server's own cookie, and what is left of it with any byte bent.
    let server = Site::new().start();
    let asks = |cookie: &[u8]| over_tcp(server.dns, &[query(1, "dgns.test", A, Some(cookie))]).remove(0);
    let first = asks(&[1; 8]);
    let ours = first[first.len() - 24..].to_vec();
    assert!(asks(&ours).ends_with(&ours), "one that is good is said again");
    for at in 8..24 {
        let mut bent = ours.clone();
        bent[at] ^= 1;
        let said = asks(&bent);
        let extended = said[said.len() - 24 - 10]; // the upper bits of the code, in the OPT before its one option
        assert_eq!((rcode(&said), extended), (NOERROR, 0), "byte {at}");
        assert!(!said.ends_with(&bent) && said[said.len() - 24..][..8] == [1; 8], "byte {at}: another one is said");
    }
    for length in [1, 7, 9, 15, 41] {
        assert_eq!(rcode(&asks(&vec![1; length])), FORMERR, "{length} bytes");
    }
}
