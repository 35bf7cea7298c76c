//! Updates in numbers and sizes that nobody needs (PROTOCOL 13.3).

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};

use dgns_tests::harness::update::{ALICE, key_of, record, signed};
use dgns_tests::harness::{Person, Server, Site};
use identity::key::SigningKey;

use crate::counter;
use crate::wire::{A, answer, asker, over_tcp, query, rcode};

const TXT: u16 = 16;
const NOERROR: u8 = 0;
const FORMERR: u8 = 1;
const REFUSED: u8 = 5;
const NOTAUTH: u8 = 9;

/// How many updates of one DID are judged in ten minutes.
const OF_A_DID: usize = 256;

/// What each flood sends.
const FLOOD: usize = 300;

/// Asks for the address of alice again and again while `work` is done; each query is answered, and rightly. Returns how many.
fn beside<T>(server: SocketAddr, work: impl FnOnce() -> T) -> (usize, T) {
    let (is_done, socket): (_, UdpSocket) = (AtomicBool::new(false), asker(server));
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut count = 0;
            while !is_done.load(Ordering::Relaxed) {
                socket.send(&query(count as u16, "alice.dgns.test", A, None)).expect("it is sent");
                let answer = answer(&socket);
                assert_eq!((answer[..2].to_vec(), rcode(&answer)), ((count as u16).to_be_bytes().to_vec(), NOERROR));
                assert!(answer.ends_with(&[192, 0, 2, 1]), "the address is the last that is said");
                count += 1;
            }
            count
        });
        let done = work();
        is_done.store(true, Ordering::Relaxed);
        (asking.join().expect("every query is answered"), done)
    })
}

fn with_alice() -> (Site, Server, SigningKey) {
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    let key = key_of(&alice, &server);
    (site, server, key)
}

fn codes(server: &Server, messages: &[Vec<u8>]) -> Vec<u8> {
    over_tcp(server.dns, messages).iter().map(|answer| rcode(answer)).collect()
}

#[test]
fn an_update_of_too_much_is_refused_as_a_whole() {
    // Goal: 64 records are judged, 65 are none; the longest message that a frame can hold is read no further than it may be; nothing of either is kept, and
    // the device is heard afterwards. Method: messages of our own, rightly signed.
    let (_site, server, key) = with_alice();
    let same = |count: usize| vec![record(28, 1, 60, &[0x20; 16]); count];
    let text = |length: usize| record(TXT, 1, 60, &[&[255][..], &[b'x'; 255]].concat().repeat(length / 256));
    let (most, above) = (signed(&key, 1, &[], &same(64)), signed(&key, 2, &[], &same(65)));
    let split = signed(&key, 3, &vec![record(28, 255, 0, &[]); 33], &same(32));
    let long = signed(&key, 4, &[], &[text(64_000)]);
    let cut = most[..most.len() - 1].to_vec();
    let wanted = [FORMERR, FORMERR, FORMERR, REFUSED, NOERROR];
    assert_eq!(codes(&server, &[above, split, cut, long, most]), wanted, "text belongs at `_acme-challenge` alone");
    let again = signed(&key, 5, &[], &same(1));
    assert_eq!(codes(&server, &[again]), [NOERROR]);
}

#[test]
fn floods_of_updates_do_no_harm_to_who_asks() {
    // Goal: of one device 256 updates are judged, the rest is refused, before anything is written; strangers get their code and cost no row; whoever asks
    // meanwhile has every answer; and the server is no larger than it may be. Method: three floods over TCP, beside questions by UDP.
    let (_site, server, key) = with_alice();
    let stranger = SigningKey::from_seed(&[9; 32]);
    let write = |number: usize| vec![record(28, 1, 60, &(number as u128 + (0x2001_0db8 << 96)).to_be_bytes())];
    let unsigned = |number: usize| {
        let whole = signed(&key, number as u16, &[], &write(number));
        let at = whole.len() - (11 + 18 + SIGNER_BYTES + 64);
        let mut bare = whole[..at].to_vec();
        bare[11] = 0;
        bare
    };
    let before = server.resident_bytes();
    for (what, flood, code) in [
        ("unsigned", (0..FLOOD).map(unsigned).collect::<Vec<_>>(), REFUSED),
        (
            "another's",
            (0..FLOOD).map(|number| signed(&stranger, number as u16, &[], &write(number))).collect(),
            NOTAUTH,
        ),
    ] {
        let (asked, said) = beside(server.dns, || codes(&server, &flood));
        assert!(said.iter().all(|said| *said == code), "{what}: {said:?}");
        assert!(asked > 0, "{what}");
    }
    let own: Vec<Vec<u8>> = (0..FLOOD)
        .map(|number| signed(&key, number as u16, &[], &[record(28, 255, 0, &[]), write(number).concat()]))
        .collect();
    let (asked, said) = beside(server.dns, || codes(&server, &own));
    let (judged, refused) = said.split_at(OF_A_DID);
    assert!(judged.iter().all(|said| *said == NOERROR), "{judged:?}");
    assert!(refused.iter().all(|said| *said == REFUSED) && asked > 0, "{refused:?}");
    let last = over_tcp(server.dns, &[query(1, "alice.dgns.test", 28, None)]).remove(0);
    let wanted = (OF_A_DID as u128 - 1 + (0x2001_0db8 << 96)).to_be_bytes();
    assert!(last.ends_with(&wanted), "the last one that was taken stands, and it alone: {last:?}");
    assert_eq!(counter(&server, "dns_dropped_total{reason=\"rate\"}"), 0);
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more than before");
}

/// The bytes of the name that signs.
const SIGNER_BYTES: usize = ALICE.len();
