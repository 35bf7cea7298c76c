//! Databases beside what keeps rows, messages and files on the same disk: SQLite, PostgreSQL, Redis, NATS JetStream, nginx, fio.
//!
//! `cargo bench -p dgns-tests --bench store -- [--rounds 3]`, after `cargo build --release --workspace`. Needs Python, PostgreSQL, Redis,
//! nats-server, nginx and fio. dgnsd is a process of its own, asked over HTTP; whoever asks shares the two cores with it, as with each of the
//! others. Rows take turns, round after round; medians of the rounds are shown, with the least and the most. Prints; judges nothing.

#[path = "../load/mod.rs"]
mod load;
mod ours;
mod peers;
mod wire;

use dgns_tests::postgres::Postgres;
use futures_util::StreamExt as _;

/// The bytes of a record.
const RECORD_BYTES: usize = 256;

/// Clients at once.
const CLIENTS: usize = 64;

/// Clients at once that fetch or store what is large, and how often each.
const FEW: (usize, usize) = (4, 96);

/// What was measured: in each round a figure.
struct Row {
    what: &'static str,
    unit: &'static str,
    figures: Vec<f64>,
}

/// The rows, in the order of their first round.
#[derive(Default)]
struct Table(Vec<Row>);

impl Table {
    fn add(&mut self, what: &'static str, unit: &'static str, figure: f64) {
        match self.0.iter_mut().find(|row| row.what == what) {
            Some(row) => row.figures.push(figure),
            None => self.0.push(Row { what, unit, figures: vec![figure] }),
        }
    }

    fn print(&mut self) {
        println!("| what | median | least to most |\n|---|---|---|");
        for Row { what, unit, figures } in &mut self.0 {
            figures.sort_by(f64::total_cmp);
            let (median, least, most) = (figures[figures.len() / 2], figures[0], figures[figures.len() - 1]);
            let digits = if median < 100.0 { 2 } else { 0 };
            println!("| {what} | {median:.digits$} {unit} | {least:.digits$} to {most:.digits$} |");
        }
    }
}

#[tokio::main]
async fn main() {
    let rounds = load::argument("--rounds", 3);
    let directory = tempfile::tempdir().expect("a directory");
    let of = |name: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(&path).expect("a directory");
        path
    };
    let mut ours = ours::Ours::start(&of("data")).await;
    let cluster = Postgres::start();
    let mut table = Table::default();
    println!("load {}", load::load());
    for round in 0..rounds {
        let dir = |name: &str| of(&format!("{name}-{round}"));
        let mut took = ours.alone(500).await;
        took.sort_by(f64::total_cmp);
        table.add("append, one client, p50", "ms", took[250]);
        table.add("append, one client, p99", "ms", took[495]);
        let (p50, p99, rows) = peers::sqlite(&dir("sqlite"));
        table.add("SQLite, a row a commit, p50", "ms", p50);
        table.add("SQLite, a row a commit, p99", "ms", p99);

        table.add("64 clients, a record each", "/s", ours.at_once(1, 400).await);
        table.add("PostgreSQL, 64 clients, a row each", "/s", peers::postgres(&cluster, &dir("insert"), 1));
        table.add("Redis always, 64 clients", "/s", peers::redis(&dir("redis"), 1));
        table.add("JetStream, 64 clients, synced every 2 min", "/s", peers::jetstream(&dir("jetstream")).await);

        table.add("64 clients, 64 records an entry", "records/s", 64.0 * ours.at_once(64, 60).await);
        table.add("SQLite, 64 rows a commit, one client", "rows/s", rows);
        table.add("PostgreSQL, 64 clients, 64 rows each", "rows/s", peers::postgres(&cluster, &dir("inserts"), 64));
        table.add("Redis always, 64 clients, 64 under way each", "/s", peers::redis(&dir("pipeline"), 64));

        let (puts, ids) = ours.put(1 << 20, FEW, round as u64).await;
        table.add("chunks of 1 MiB stored, 4 clients", "MiB/s", puts);
        table.add("fio, 1 MiB written and synced, 4 jobs", "MiB/s", peers::fio(&dir("fio")));
        table.add("chunks of 1 MiB fetched, 4 clients", "MiB/s", ours.get(&ids, (FEW.0, 8 * FEW.1)).await);
        table.add("nginx, files of 1 MiB, 4 clients", "MiB/s", peers::nginx(&dir("nginx"), FEW.0).await);
        table.add(
            "chunks of 4 KiB stored, 64 clients",
            "/s",
            ours.put(4 << 10, (CLIENTS, 60), round as u64 ^ 7).await.0,
        );
        table.add("files of 4 KiB synced, 64 threads", "/s", peers::synced_files(&dir("files")));

        table.add("kill -9 to the first receipt", "ms", ours.again().await);
    }
    table.print();
    let (before, count) = (ours.resident_kib(), load::argument("--watchers", 10_000));
    let mut streams = Vec::new();
    ours.watch(&mut streams, count.min(1_000)).await;
    let mut told = Vec::new();
    for _ in 0..10 {
        told.extend(ours.fan_out(&mut streams, async |stream| drop(stream.next().await.expect("it goes on"))).await);
    }
    println!("an entry to {} streams, after its receipt: {}", streams.len(), load::spread(&mut told));
    ours.watch(&mut streams, count).await;
    held(&ours, "streams", count, before);
    drop(streams);

    ours.again().await;
    let (before, mut sockets) = (ours.resident_kib(), Vec::new());
    ours.watch_by_sockets(&mut sockets, count.min(1_000)).await;
    let (next, mut told) =
        (async |socket: &mut ours::Socket| drop(socket.next().await.expect("it goes on")), Vec::new());
    for _ in 0..10 {
        told.extend(ours.fan_out(&mut sockets, next).await);
    }
    println!("an entry to {} sockets, after its receipt: {}", sockets.len(), load::spread(&mut told));
    ours.watch_by_sockets(&mut sockets, count).await;
    held(&ours, "sockets", count, before);
    println!("dgnsd holds {} MiB; load {}", ours.resident_kib() / 1024, load::load());
}

/// Says what the process holds more than before for so many watchers.
fn held(ours: &ours::Ours, what: &str, count: usize, before: u64) {
    let kib = ours.resident_kib().saturating_sub(before);
    println!("{count} {what}: {} MiB, {:.1} KiB each", kib / 1024, kib as f64 / count as f64);
}
