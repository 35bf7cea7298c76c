//! A follower that is far behind, under a policy with a quorum, or before an origin that answers slowly or without an end.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use dgns_client::clock;
use dgns_tests::harness::wait;
use identity::key::SigningKey;
use translog::entry::Entry;
use translog::fault::FaultFile;
use translog::note::{Checkpoint, Cosigner, Note};
use translog::notice::{SoundNotice, StatementKind};

use super::export::{Export, FileServer};
use super::follower::{Follower, policy_of};
use super::forge::{Forge, small};
use super::people::Someone;

/// Appends `count` Notices in full batches: entries that cost nothing to make.
fn grow(forge: &mut Forge, count: usize) {
    let notice = SoundNotice::statement(StatementKind::Operator, "dgns.test/log", "another day").unwrap();
    let entry = Entry::Notice(notice.notice().clone()).encode();
    let mut left = count;
    while left > 0 {
        let batch = left.min(4_096);
        let time_ms = forge.time_ms + 1_000;
        forge.close(vec![entry.clone(); batch], Default::default(), time_ms, |_| {});
        left -= batch;
    }
}

fn reaches(follower: &Follower, forge: &Forge, what: &str) {
    wait::until(what, || (follower.head().size == forge.edge.size()).then_some(()));
    assert_eq!(follower.head().root, forge.edge.root());
}

#[test]
fn a_follower_takes_over_more_than_it_takes_over_at_once() {
    // Goal: what lies between two commits on the way is proved, stored and shown to nobody, at the start and while it runs. Method: a log
    // of three times 16,384 entries; then twice as many more, while somebody asks for a name all the time.
    let (mut forge, people) = small();
    grow(&mut forge, 50_000);
    let export = forge.export();
    let origin = FileServer::new(&export);
    let follower = Follower::start(&origin.url, &policy_of(&export), 3_600);
    follower.still_serves(&forge, &people[0].name);
    let before = forge.edge.size();
    grow(&mut forge, 60_000);
    forge.batch(&Someone::new(60).1);
    origin.now_serves(&forge.export());
    let mut sizes = Vec::new();
    wait::until("the follower goes on", || {
        let size = follower.head().size;
        sizes.push(size);
        (size == forge.edge.size()).then_some(())
    });
    assert!(sizes.iter().all(|size| *size == before || *size == forge.edge.size()), "a place on the way is no head");
    follower.still_serves(&forge, &people[0].name);
    follower.still_serves(&forge, &Someone::new(60).0.name);
}

/// The one witness there is.
fn witness() -> Cosigner {
    Cosigner::new("w.example", SigningKey::from_seed(&[7; 32])).unwrap()
}

/// The policy of a log whose heads need that witness's word.
fn witnessed(export: &Export) -> String {
    format!("log {}\nwitness w {}\nquorum w\n", export.vkey, witness().verifier_key())
}

/// Returns the files with the witness's line in the checkpoint; `other`: a line about another head.
fn cosigned(export: &Export, other: bool) -> Export {
    let note = Note::parse(&export.files["checkpoint"]).unwrap();
    let mut head = Checkpoint::parse(note.text()).unwrap();
    head.size += u64::from(other);
    let line = witness().cosign(&head, clock::now().as_ms() / 1_000);
    let lines = note.lines().iter().cloned().chain([line]).collect();
    let note = Note::new(note.text().to_owned(), lines).unwrap().to_string();
    let mut export = export.clone();
    export.files.insert("checkpoint".into(), note.into_bytes());
    export
}

#[test]
fn a_follower_under_a_policy_takes_over_what_the_quorum_cosigned() {
    // Goal: nothing is served that the policy's witnesses did not see. Method: a log that goes on without its witness's line, with one of
    // another head, and with the right one.
    let (mut forge, people) = small();
    let export = forge.export();
    let origin = FileServer::new(&cosigned(&export, false));
    let follower = Follower::start(&origin.url, &witnessed(&export), 3_600);
    follower.still_serves(&forge, &people[0].name);
    let before = forge.clone();
    forge.batch(&Someone::new(50).1);
    let export = forge.export();
    origin.now_serves(&export);
    follower.stands("refused", "quorum");
    follower.still_serves(&before, &people[0].name);
    origin.now_serves(&cosigned(&export, true));
    follower.stands("refused", "quorum");
    follower.still_serves(&before, &people[0].name);
    origin.now_serves(&cosigned(&export, false));
    reaches(&follower, &forge, "the witnessed head is followed");
    assert!(follower.evidence().is_empty(), "{:?}", follower.evidence());
}

#[test]
fn a_second_history_convicts_also_without_the_quorum() {
    // Goal: that no witness lends a fork its word hides it from nobody. Method: under a policy with a witness, the log's key signs a
    // history that goes on otherwise: of fewer leaves than what was followed, of as many, of more.
    for extra in [0, 1, 4] {
        let (mut followed, people) = small();
        let mut other = followed.clone();
        followed.batch(&Someone::new(50).1);
        followed.batch(&Someone::new(51).1);
        (0..=extra).for_each(|number| other.batch(&Someone::new(60 + number).1));
        let export = followed.export();
        let origin = FileServer::new(&cosigned(&export, false));
        let follower = Follower::start(&origin.url, &witnessed(&export), 3_600);
        origin.now_serves(&other.export());
        follower.stands("fault", "fork");
        follower.still_serves(&followed, &people[0].name);
        let files = follower.evidence();
        assert_eq!(files.len(), 1, "{files:?}");
        let file = FaultFile::decode(&std::fs::read(&files[0]).unwrap()).unwrap();
        assert_eq!(file.check().unwrap().key, *other.signer().verifier_key());
    }
}

/// How an origin answers what is asked of its entries.
const HONEST: u8 = 0;
const ENDLESS: u8 = 1;
const SLOW: u8 = 2;

/// An origin before `files`, whose bundles come as `manner` says: whole, without an end, or a byte at a time.
fn origin_before(files: String, manner: Arc<AtomicU8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (files, manner) = (files.clone(), manner.clone());
            // A client that goes away ends its thread.
            std::thread::spawn(move || drop(answer(client, &files, &manner)));
        }
    });
    url
}

fn answer(mut client: TcpStream, files: &str, manner: &AtomicU8) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 4_096];
    while !request.ends_with(b"\r\n\r\n") {
        let read = client.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        request.extend_from_slice(&buffer[..read]);
    }
    let is_bundle = String::from_utf8_lossy(&request).contains("/tile/entries/");
    let how = if is_bundle { manner.load(Ordering::Relaxed) } else { HONEST };
    if how == HONEST {
        let mut upstream = TcpStream::connect(files.trim_start_matches("http://"))?;
        upstream.write_all(&request)?;
        std::io::copy(&mut upstream, &mut client)?;
        return Ok(());
    }
    client.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n")?;
    while manner.load(Ordering::Relaxed) == how {
        match how {
            ENDLESS => client.write_all(&[7; 64 << 10])?,
            _ => {
                client.write_all(&[0])?;
                wait::let_pass(std::time::Duration::from_millis(20));
            }
        }
    }
    Ok(())
}

#[test]
fn an_origin_that_answers_slowly_or_without_an_end_costs_a_follower_nothing_but_time() {
    // Goal: bounded in memory and time, and no verdict. Method: bundles that never end, then bundles of a byte now and then; the follower
    // answers everybody meanwhile, and goes on once the origin does.
    let (mut forge, people) = small();
    let export = forge.export();
    let files = FileServer::new(&export);
    let manner = Arc::new(AtomicU8::new(HONEST));
    let url = origin_before(files.url.clone(), manner.clone());
    let follower = Follower::start(&url, &policy_of(&export), 3_600);
    for (how, number) in [(ENDLESS, 50), (SLOW, 51)] {
        let before = forge.clone();
        forge.batch(&Someone::new(number).1);
        manner.store(how, Ordering::Relaxed);
        files.now_serves(&forge.export());
        match how {
            ENDLESS => drop(follower.stands("refused", "garbled")),
            _ => {
                wait::until("it waits for the bundle", || (follower.standing()["state"] == "catching-up").then_some(()))
            }
        }
        for _ in 0..20 {
            follower.still_serves(&before, &people[0].name);
        }
        manner.store(HONEST, Ordering::Relaxed);
        reaches(&follower, &forge, "the follower goes on");
    }
    assert!(follower.evidence().is_empty(), "{:?}", follower.evidence());
}
