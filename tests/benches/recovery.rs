//! What a recovery server's evaluation costs with its durable note, beside the library's own; and ten thousand enrolments on disk. The
//! log and the issuer are not asked here: those are other servers. Prints; judges nothing.

use std::sync::Arc;

use dgns_client::rng;
use identity::did::Did;
use identity::hash::sha256;
use identity::oprf::{Blinded, Server, WholeKey};
use identity::recovery::{Hardened, Hardening, Pin, Scope};
use storage::recovery::{EnrolmentRow, Recovery};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Accounts that enrolled.
const ACCOUNTS: u32 = 10_000;

/// Requests at once.
const AT_ONCE: u32 = 64;

fn did(number: u32) -> Did {
    let hash = sha256(&[&number.to_be_bytes()]);
    let mut bytes = [0; 20];
    bytes.copy_from_slice(&hash[..20]);
    Did::from_bytes(bytes)
}

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir().expect("temporary directories can be made");
    let store = Arc::new(Recovery::open(directory.path()).await.expect("a database"));
    let rng = &mut rng::system();
    let shares = WholeKey::generate(rng).split(2, 3, rng).expect("two of three");
    let server = Server::from_scalar(shares[0].secret()).expect("a share");
    let public = server.public();

    let begun = Instant::now();
    for number in 0..ACCOUNTS {
        let (salt, secrets) = ([7; 32], vec![9; 112]);
        let row = EnrolmentRow {
            did: did(number),
            epoch: 1,
            public,
            point: 1,
            salt,
            secrets,
            bundle: vec![1; 44],
            attempt: 0,
            blinded: None,
            made_s: 1,
        };
        store.put(&row, &[]).await.expect("a row");
    }
    let took = begun.elapsed().as_secs_f64();
    println!("{ACCOUNTS} enrolments: {:.0}/s, each durable", f64::from(ACCOUNTS) / took);

    let point = *Blinded::new(b"a pin", rng).expect("an input").element();
    let begun = Instant::now();
    for _ in 0..2_000 {
        server.evaluate(&[point], rng).expect("a point");
    }
    println!("bare blind evaluation with its proof: {:.0}/s on one thread", 2_000.0 / begun.elapsed().as_secs_f64());

    let (begun, mut tasks) = (Instant::now(), JoinSet::new());
    for task in 0..AT_ONCE {
        let (store, server) = (store.clone(), server.clone());
        tasks.spawn(async move {
            let mut waits = Vec::new();
            for number in (task..ACCOUNTS).step_by(AT_ONCE as usize) {
                let asked = Instant::now();
                let head = ("dgns.test/log", u64::from(number), [5; 300].as_slice());
                let marked = store.mark((&did(number), 1, &public), 1, &point, head).await.expect("a note");
                assert!(marked, "each account's first attempt");
                server.evaluate(&[point], &mut rng::system()).expect("a point");
                waits.push(asked.elapsed());
            }
            waits
        });
    }
    let mut waits = tasks.join_all().await.concat();
    let took = begun.elapsed().as_secs_f64();
    waits.sort_unstable();
    let p99 = waits[waits.len() * 99 / 100].as_secs_f64() * 1e3;
    println!("noted, then evaluated, {AT_ONCE} at once: {:.0}/s, p99 {p99:.1} ms", f64::from(ACCOUNTS) / took);

    let pin = Pin::read("739164").expect("a PIN");
    let begun = Instant::now();
    Hardened::new(&pin, Scope { did: did(0), epoch: 1 }, &Hardening::DEFAULT).expect("64 MiB");
    println!("a PIN hardened: {:.0} ms", begun.elapsed().as_secs_f64() * 1e3);
}
