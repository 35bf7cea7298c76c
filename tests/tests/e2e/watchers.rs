//! Some hundred readers who watch one log at a real `dgnsd`, and two among them who take nothing of what they are told.

use dgns_api::store::watch::Ask;
use dgns_tests::harness::{Site, wait};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::watching::{Socket, Stream, append, create, grown, main_of, person};

/// Readers of each kind that a person has; at most 64 of one DID are listened to.
const EACH: usize = 25;
const ROUNDS: u64 = 12;

#[test]
fn hundreds_of_watchers_are_told_of_every_entry_though_one_reads_nothing() {
    // Goal: whoever takes nothing of what is told holds up nobody, costs no memory, and is cut, or told once they read. Method: streams and sockets of four people;
    // one of each kind takes nothing, and the socket goes on asking for answers. Each entry is told to all others before the next one comes.
    let site = Site::new();
    let server = site.start();
    let (alice, device) = person(&server, "alice");
    let log = main_of(&create(&alice, &server, "photos.alice"));
    let others = ["bob", "carol", "dave"].map(|name| person(&server, name));
    for name in ["bob", "carol", "dave"] {
        alice.dgns(&server, &["db", "grant", "photos.alice", name, "--read"]).exits(0);
    }
    let readers: Vec<_> = others.iter().map(|(_, device)| device).chain([&device]).collect();
    let watchers = |count: usize| {
        wait::until("so many watch", || {
            server.get("/metrics").text().contains(&format!("dgns_store_watchers {count}\n")).then_some(())
        });
    };
    let mut streams: Vec<Stream> =
        readers.iter().flat_map(|device| (0..EACH).map(|_| Stream::post(&server, device, &[(log, 0)]))).collect();
    let mut sockets: Vec<Socket> = readers
        .iter()
        .flat_map(|device| (0..EACH).map(|_| Socket::open(&server, device, "dgns.watch.v1").expect("a place")))
        .collect();
    for stream in &mut streams {
        stream.until("event: now\n");
    }
    for socket in &mut sockets {
        socket.asks(&Ask::Watch(vec![(log, 0)]));
    }
    let all = 2 * EACH * readers.len();
    watchers(all);

    let mut late = Stream::post(&server, readers[0], &[(log, 0)]);
    let mut deaf = Socket::open(&server, readers[1], "dgns.watch.v1").expect("a place");
    deaf.asks(&Ask::Watch(vec![(log, 0)]));
    watchers(all + 2);
    let before = server.resident_bytes();
    // It asks and asks, and takes no answer: at last nothing of what it says is taken either, until it is cut.
    let cut = std::thread::spawn(move || {
        let (ping, mut asked) = (Bytes::from(vec![b'?'; 120]), 0_u64);
        while deaf.0.send(Message::Ping(ping.clone())).is_ok() {
            asked += 1;
        }
        asked
    });
    for round in 1..=ROUNDS {
        append(&alice, &server, "photos.alice", &round.to_string());
        for stream in &mut streams {
            stream.until(&grown(log, round));
        }
        for socket in &mut sockets {
            assert_eq!(socket.told(), [format!("grown {log} {round}")]);
        }
    }
    assert!(server.resident_bytes() < before + (64 << 20), "{before} before, {} now", server.resident_bytes());
    wait::until("who takes nothing is cut", || cut.is_finished().then_some(()));
    let asked = cut.join().unwrap();
    assert!(asked > 1_000, "{asked} questions");
    watchers(all + 1);
    late.until(&grown(log, ROUNDS));
    append(&alice, &server, "photos.alice", "after");
    late.until(&grown(log, ROUNDS + 1));
    drop(others);
    server.stop().exits(0);
}
