//! Who else keeps rows, messages and files on the same disk, each synced before it answers, as far as its Debian package can be told to.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use dgns_tests::harness::{ports, wait};
use dgns_tests::postgres::Postgres;

use super::wire::{Http, Nats};
use super::{CLIENTS, RECORD_BYTES};

/// How long a closed loop is measured.
const SECONDS: usize = 4;

/// A server that ends when it is dropped.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A row a commit, in milliseconds: p50 and p99; and rows a second, 64 a commit. By Python's SQLite, in WAL with `synchronous = FULL`.
pub fn sqlite(dir: &Path) -> (f64, f64, f64) {
    let script = format!(
        "import sqlite3, time\n\
         db = sqlite3.connect({:?}, isolation_level=None)\n\
         db.execute('PRAGMA journal_mode=WAL'); db.execute('PRAGMA synchronous=FULL')\n\
         db.execute('CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, body BLOB)')\n\
         took = []\n\
         for _ in range(500):\n\
         \x20t = time.perf_counter(); db.execute('INSERT INTO t (body) VALUES (?)', (bytes({RECORD_BYTES}),)); took.append(time.perf_counter() - t)\n\
         took.sort(); t = time.perf_counter()\n\
         for _ in range(300):\n\
         \x20db.execute('BEGIN IMMEDIATE'); db.executemany('INSERT INTO t (body) VALUES (?)', [(bytes({RECORD_BYTES}),)] * 64); db.execute('COMMIT')\n\
         print(took[250] * 1e3, took[495] * 1e3, 300 * 64 / (time.perf_counter() - t))\n",
        dir.join("raw.db")
    );
    let out = output(Command::new("python3").args(["-c", &script]));
    let figures: Vec<f64> = out.split_whitespace().map(|figure| figure.parse().expect("a figure")).collect();
    (figures[0], figures[1], figures[2])
}

/// Rows a second: an `INSERT` of so many rows a commit, by pgbench with 64 clients, everything as Debian sets it.
pub fn postgres(cluster: &Postgres, dir: &Path, rows: usize) -> f64 {
    let body = format!("(decode(repeat('07', {RECORD_BYTES}), 'hex'))");
    let script = dir.join("insert.sql");
    let insert = format!("INSERT INTO t (body) VALUES {};\n", vec![body; rows].join(", "));
    std::fs::write(&script, insert).expect("the directory takes files");
    let url = cluster.new_database();
    output(Command::new("psql").args(["-q", &url, "-c", "CREATE TABLE t (id bigserial PRIMARY KEY, body bytea)"]));
    let (clients, seconds) = (CLIENTS.to_string(), SECONDS.to_string());
    let mut bench = Command::new("pgbench");
    bench.args(["-n", "-M", "prepared", "-c", &clients, "-j", "2", "-T", &seconds, "-f"]).arg(&script).arg(&url);
    let out = output(&mut bench);
    let line = out.lines().find(|line| line.starts_with("tps")).expect("pgbench counts");
    let commits: f64 = line.split_whitespace().nth(2).and_then(|figure| figure.parse().ok()).expect("a figure");
    commits * rows as f64
}

/// Commands a second of 64 clients, so many under way each, by redis-benchmark; each is in the synced file before it is answered.
pub fn redis(dir: &Path, pipeline: usize) -> f64 {
    let port = ports::free().to_string();
    let mut server = Command::new("redis-server");
    server.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]);
    let _server = start(server.args(["--appendfsync", "always", "--dir"]).arg(dir));
    listens(&port);
    let (clients, bytes) = (CLIENTS.to_string(), RECORD_BYTES.to_string());
    let count = (if pipeline == 1 { 30_000 } else { 400_000 }).to_string();
    let mut bench = Command::new("redis-benchmark");
    bench.args(["-p", &port, "-c", &clients, "-P", &pipeline.to_string(), "-d", &bytes, "-n", &count]);
    let out = output(bench.args(["-r", "1000000", "-t", "set", "--csv"]));
    let line = out.lines().find(|line| line.starts_with("\"SET\"")).expect("redis-benchmark counts");
    line.split('"').nth(3).and_then(|figure| figure.parse().ok()).expect("a figure")
}

/// Messages a second of 64 clients that wait for each, into a stream on disk. Version 2.9 syncs every two minutes, not always.
pub async fn jetstream(dir: &Path) -> f64 {
    let port = ports::free().to_string();
    let mut server = Command::new("nats-server");
    let _server = start(server.args(["-a", "127.0.0.1", "-p", &port, "-js", "-sd"]).arg(dir));
    listens(&port);
    let address = format!("127.0.0.1:{port}");
    let mut first = Nats::to(&address, "maker".into()).await;
    let made = first.ask("$JS.API.STREAM.CREATE.s", br#"{"name":"s","subjects":["s"],"storage":"file"}"#).await;
    assert!(!made.windows(7).any(|part| part == b"\"error\""), "{}", String::from_utf8_lossy(&made));
    rate(async |number, until: Instant| {
        let mut nats = Nats::to(&address, format!("inbox{number}")).await;
        let mut count = 0;
        while until.elapsed().is_zero() {
            nats.ask("s", &[7; RECORD_BYTES]).await;
            count += 1;
        }
        count
    })
    .await
}

/// Files of 1 MiB a second that nginx serves to `clients` at once.
pub async fn nginx(dir: &Path, clients: usize) -> f64 {
    let (port, root) = (ports::free(), dir.join("root"));
    std::fs::create_dir_all(&root).expect("a directory");
    for number in 0..64 {
        std::fs::write(root.join(number.to_string()), vec![number as u8; 1 << 20]).expect("it takes files");
    }
    let file = dir.join("nginx.conf");
    let text = format!(
        "daemon off; worker_processes 2; pid {0}/nginx.pid; error_log {0}/error.log; user root;\nevents {{}}\n\
         http {{ access_log off; sendfile on; keepalive_requests 1000000; server {{ listen 127.0.0.1:{port}; root {0}/root; }} }}\n",
        dir.display()
    );
    std::fs::write(&file, text).expect("the directory takes files");
    let _server = start(Command::new("nginx").arg("-e").arg(dir.join("error.log")).arg("-c").arg(&file));
    listens(&port.to_string());
    let address = format!("127.0.0.1:{port}");
    of(clients, async |number, until: Instant| {
        let mut http = Http::to(&address).await;
        let mut count = 0;
        while until.elapsed().is_zero() {
            let (status, body) = http.ask("GET", &format!("/{}", (number * 17 + count) % 64), b"").await;
            assert_eq!((status, body.len()), (200, 1 << 20));
            count += 1;
        }
        count
    })
    .await
}

/// MiB a second that fio writes into files, each MiB synced, four jobs at once.
pub fn fio(dir: &Path) -> f64 {
    let mut fio = Command::new("fio");
    fio.args([
        "--name=put",
        "--rw=write",
        "--bs=1M",
        "--size=96M",
        "--numjobs=4",
        "--fdatasync=1",
        "--group_reporting",
    ]);
    let out =
        output(fio.args(["--output-format=terse", "--terse-version=3"]).arg(format!("--directory={}", dir.display())));
    let line = out.lines().find(|line| line.starts_with("3;")).expect("fio counts");
    line.split(';').nth(47).and_then(|kib| kib.parse::<f64>().ok()).expect("a figure") / 1024.0
}

/// Files of 4 KiB a second, each written, synced and named in a synced directory, by 64 threads.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
pub fn synced_files(dir: &Path) -> f64 {
    const EACH: usize = 20;
    let began = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..CLIENTS {
            scope.spawn(move || {
                for number in 0..EACH {
                    let mut file = std::fs::File::create(dir.join(format!("{thread}-{number}"))).expect("a file");
                    file.write_all(&[7; 4096]).expect("it takes bytes");
                    file.sync_all().expect("a disk");
                    std::fs::File::open(dir).and_then(|dir| dir.sync_all()).expect("a disk");
                }
            });
        }
    });
    (CLIENTS * EACH) as f64 / began.elapsed().as_secs_f64()
}

/// As [`of`], of 64 clients.
async fn rate(client: impl AsyncFn(usize, Instant) -> usize) -> f64 {
    of(CLIENTS, client).await
}

/// Returns what so many clients do a second, each told its number and until when.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
pub async fn of(clients: usize, client: impl AsyncFn(usize, Instant) -> usize) -> f64 {
    let began = Instant::now();
    let until = began + std::time::Duration::from_secs(SECONDS as u64);
    let counts = futures_util::future::join_all((0..clients).map(|number| client(number, until))).await;
    counts.iter().sum::<usize>() as f64 / began.elapsed().as_secs_f64()
}

fn start(command: &mut Command) -> Running {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    Running(child.unwrap_or_else(|error| panic!("{command:?}: {error}; install it")))
}

fn listens(port: &str) {
    let address = format!("127.0.0.1:{port}");
    wait::until("the peer listens", || std::net::TcpStream::connect(&address).ok());
}

fn output(command: &mut Command) -> String {
    let out = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}; install it"));
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text")
}
