//! What it costs to come late: reading the newest snapshot that a builder keeps up while others write, and the entries behind it, beside
//! reading a snapshot built fresh at the same head. Prints; judges nothing. The bar is 1.10.
//!
//! `cargo bench -p dgns-tests --bench commissioning -- [--mb 10] [--moments 50]`, after `cargo build --release --workspace`. The real
//! `dgnsd` and `dgns snapshot build --follow` on loopback; the reader is the client's library.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dgns_api::store::record::Record;
use dgns_client::error::ClientError;
use dgns_client::home::Home;
use dgns_client::session::{Session, Signer};
use dgns_client::store::anchored;
use dgns_client::store::append::Appender;
use dgns_client::store::database::OpenDb;
use dgns_client::store::follow::Follower;
use dgns_client::store::snapshot::build::Builder;
use dgns_client::store::snapshot::records_of;
use dgns_client::store::snapshot::restore::{Judged, newest};
use dgns_tests::harness::{Person, Seed, Server, Site};
use identity::did::Did;
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep};

const NAME: &str = "photos.alice";

/// The bytes of a record, and how many the writer appends in a second, ten an entry.
const RECORD_BYTES: usize = 300;
const RECORDS_PER_S: u64 = 100;
const RECORDS_PER_ENTRY: usize = 10;

fn main() {
    let number = |name: &str, default: u64| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
        arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let moments = number("--moments", 50);
    match number("--mb", 0) {
        0 => [10, 100].into_iter().for_each(|mb| commissioning(mb, moments)),
        mb => commissioning(mb, moments),
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A record that nothing else is like.
fn record(number: u64) -> Record {
    let mut bytes = format!("{number} ").into_bytes();
    bytes.resize(RECORD_BYTES, b'a' + (number % 26) as u8);
    Record::Bytes(bytes)
}

fn commissioning(mb: u64, moments: u64) {
    let site = Site::new().with("storage", "anchor_s", "1");
    let server = site.start();
    let [builder, writer, reader] = ["alice", "bob", "carol"].map(|name| Person::with_name(&server, name));
    builder.dgns(&server, &["db", "create", NAME]).exits(0);
    for name in ["bob", "carol"] {
        builder.dgns(&server, &["db", "grant", NAME, name, "--write"]).exits(0);
    }
    let by = builder.dgns(&server, &["whoami"]).exits(0).text("/did").parse::<Did>().expect("a DID");
    let records = mb * 1_000_000 / RECORD_BYTES as u64;
    runtime().block_on(append(&writer, &server, records, None)).expect("the records");
    let following = builder.dgns_running(&server.url, &["snapshot", "build", NAME, "--follow"]);
    while following.event()["built"] != true {}
    let over = AtomicBool::new(false);
    let rows = std::thread::scope(|scope| {
        let writing = scope.spawn(|| runtime().block_on(append(&writer, &server, u64::MAX, Some(&over))));
        let rows = runtime().block_on(measured(&reader, &server, by, moments));
        over.store(true, Ordering::Relaxed);
        writing.join().expect("the writer").expect("the records");
        rows.expect("what was measured")
    });
    following.kill();
    show(mb, rows);
}

/// Appends records, as fast as it goes, or a hundred a second until it is over.
async fn append(person: &Person, server: &Server, records: u64, over: Option<&AtomicBool>) -> Result<(), ClientError> {
    let session = Session::open(&Home::open(person.home())?, &server.url).await?;
    let keys = session.log().device()?.expect("a device");
    let signer = Signer { did: keys.did.expect("a DID"), keys: &keys };
    let db = OpenDb::open(&session, signer, NAME).await?;
    let (mut appender, _) = Appender::open(&session, signer, db.log("main")?).await?;
    let (mut done, at_once) = (0, if over.is_some() { RECORDS_PER_ENTRY } else { 1_024 });
    while done < records && !over.is_some_and(|over| over.load(Ordering::Relaxed)) {
        let batch: Vec<Record> = (done..records).take(at_once).map(record).collect();
        appender.append(&session, signer, &db, &batch, None).await?;
        done += batch.len() as u64;
        if over.is_some() {
            sleep(Duration::from_millis(1_000 * RECORDS_PER_ENTRY as u64 / RECORDS_PER_S)).await;
        }
    }
    Ok(())
}

/// A restoration: how long it took, how many records it gave, and how many of them entries behind the snapshot.
struct Took {
    seconds: f64,
    records: u64,
    behind: u64,
}

/// Restores at random moments what the builder keeps up, and each time what is built fresh then.
async fn measured(person: &Person, server: &Server, by: Did, moments: u64) -> Result<Vec<(Took, Took)>, ClientError> {
    let session = Session::open(&Home::open(person.home())?, &server.url).await?;
    let keys = session.log().device()?.expect("a device");
    let signer = Signer { did: keys.did.expect("a DID"), keys: &keys };
    let mut db = OpenDb::open(&session, signer, NAME).await?;
    let place = db.log("main")?;
    let mut builder = Builder::open(&session, signer, &mut db, place).await?;
    let (mut seed, mut rows) = (Seed::from(7), Vec::new());
    for _ in 0..moments {
        sleep(Duration::from_millis(seed.below(3_000))).await;
        let late = restored(&session, signer, by).await?;
        while !builder.catch_up(&session, signer, &mut db, 0).await? {
            if builder.is_full() {
                builder.say(&session, signer, &mut db).await?;
            }
        }
        builder.say(&session, signer, &mut db).await?;
        rows.push((late, restored(&session, signer, signer.did).await?));
    }
    Ok(rows)
}

/// Restores from the newest snapshot of somebody, as `dgns snapshot restore` does, and prints nothing.
async fn restored(session: &Session, signer: Signer<'_>, by: Did) -> Result<Took, ClientError> {
    let begun = Instant::now();
    let mut db = OpenDb::open(session, signer, NAME).await?;
    let (log, gid) = db.log("main")?;
    anchored::verify(session, signer, &log, db.acl().salt()).await?;
    let found = newest(session, signer, &mut db, (log, gid), Some(&by)).await?;
    let snapshot = found.snapshot.ok_or_else(|| ClientError::Unable("no snapshot".into()))?;
    let (mut reader, mut records, mut behind) = (snapshot.reader(None), 0, 0);
    while let Some(rows) = reader.next(session, signer, &mut db).await? {
        for row in rows {
            if let Judged::Counts(row) = row {
                records += row.records.len() as u64;
            }
        }
    }
    let mut follower = Follower::behind(log, snapshot.head());
    loop {
        let (entries, size) = follower.read(session, signer, 1_024, 0).await?;
        let first = follower.next() - entries.len() as u64;
        for (pos, entry) in (first..).zip(&entries) {
            db.counts(session, signer, pos, entry.header()).await?;
            behind += 1;
            records += records_of(&db, gid, pos, entry)?.map_or(0, |records| records.len() as u64);
        }
        if follower.next() >= size {
            return Ok(Took { seconds: begun.elapsed().as_secs_f64(), records, behind });
        }
    }
}

fn show(mb: u64, rows: Vec<(Took, Took)>) {
    let mut ratios: Vec<f64> = rows.iter().map(|(late, fresh)| late.seconds / fresh.seconds).collect();
    let mut behind: Vec<u64> = rows.iter().map(|(late, _)| late.behind).collect();
    ratios.sort_by(f64::total_cmp);
    behind.sort_unstable();
    let (half, last) = (rows.len() / 2, rows.len() - 1);
    let (late, fresh) = &rows[last];
    println!(
        "{mb} MB of {RECORD_BYTES}-byte records, {RECORDS_PER_S}/s written meanwhile: newest snapshot and what came behind it / a fresh one: p50 {:.3}, max {:.3} (bar 1.10); entries behind it p50 {}, max {}; the last: {:.3} s for {} records, fresh {:.3} s for {}",
        ratios[half],
        ratios[last],
        behind[half],
        behind[last],
        late.seconds,
        late.records,
        fresh.seconds,
        fresh.records
    );
}
