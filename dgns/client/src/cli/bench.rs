//! `bench`: load for a server on loopback, from a real list of names, checked as it goes.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dgns_client::draft::{self, Place, Root};
use dgns_client::error::ClientError;
use dgns_client::session::Session;
use dgns_client::{clock, rng};
use identity::cert::{Body, Certificate, ClaimProof, Records, Row};
use identity::did::Did;
use identity::name::Name;
use identity::pow;
use identity::record::rtype;
use identity::state::Subject;
use rand_core::Rng as _;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::progress::Progress;
use super::{Context, Done, Ended, actor};

/// `bench`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Bench {
    /// Claim every name of a list, one DID each, some with records
    Claim {
        /// One name a line; what is no valid label is made one, and what is taken or reserved is skipped
        #[arg(long, value_name = "FILE")]
        names: PathBuf,
        /// At most this many
        #[arg(long, default_value_t = 100_000)]
        count: usize,
        /// Requests at once
        #[arg(long, default_value_t = 64)]
        parallel: usize,
        /// Each how many-th name gets records; 0 for none
        #[arg(long, default_value_t = 10)]
        records_every: usize,
        /// Where the names claimed are written, with their addresses, tab-separated
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Resolve names with proof, and say how fast
    Resolve {
        /// The file that `bench claim --out` wrote, or one name a line
        #[arg(long, value_name = "FILE")]
        names: PathBuf,
        /// How many lookups
        #[arg(long, default_value_t = 1_000)]
        count: usize,
        /// Requests at once
        #[arg(long, default_value_t = 16)]
        parallel: usize,
    },
}

/// One name of a bench, ready to be posted.
struct Ready {
    label: String,
    address: Option<[u8; 4]>,
    certificates: Vec<Certificate>,
}

/// Runs a bench.
pub(crate) async fn bench(context: &Context, command: Bench) -> Done {
    let host = context.common.server.split("//").nth(1).unwrap_or("").rsplit_once(':').map_or("", |(host, _)| host);
    let host = host.trim_matches(['[', ']']);
    if host != "localhost" && !host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) {
        return Err(ClientError::Unable("a bench loads loopback addresses alone".into()));
    }
    match command {
        Bench::Claim { names, count, parallel, records_every, out } => {
            claim(context, &names, count, parallel, records_every, out).await
        }
        Bench::Resolve { names, count, parallel } => resolve(context, &names, count, parallel).await,
    }
}

async fn claim(
    context: &Context,
    path: &std::path::Path,
    count: usize,
    parallel: usize,
    records_every: usize,
    out: Option<PathBuf>,
) -> Done {
    let session = Arc::new(context.session().await?);
    let labels = labels(path, count)?;
    let bits = session.info().await?.work_bits;
    let head = session.resolve(&Subject::Name(session.name("bench-probe")?.as_str().to_owned())).await?;
    let seen = draft::seen_of(head.head());

    let began = Instant::now();
    let mut progress = Progress::new("sign");
    let mut ready = Vec::with_capacity(labels.len());
    for (place, chunk) in labels.chunks(256).enumerate() {
        let jobs: Vec<(usize, String)> = chunk.iter().cloned().enumerate().map(|(i, l)| (place * 256 + i, l)).collect();
        let session = session.clone();
        let made = tokio::task::spawn_blocking(move || {
            let with_records = |n: usize| records_every > 0 && n.is_multiple_of(records_every);
            jobs.into_iter()
                .filter_map(|(n, label)| prepare(&session, label, bits, seen, with_records(n)))
                .collect::<Vec<_>>()
        });
        ready.extend(made.await.map_err(|error| ClientError::Unable(format!("signing ended: {error}")))?);
        progress.show(ready.len() as u64, labels.len() as u64);
    }
    drop(progress);
    let signed = began.elapsed();

    let began = Instant::now();
    let (latencies, refused, claimed) = post_all(&session, ready, parallel).await?;
    let elapsed = began.elapsed().as_secs_f64();
    if let Some(out) = out {
        std::fs::write(&out, claimed.concat())
            .map_err(|error| ClientError::Unable(format!("{}: {error}", out.display())))?;
    }
    let (p50, p99) = (percentile(&latencies, 50), percentile(&latencies, 99));
    let certificates: u64 = claimed.iter().map(|line| if line.contains('\t') { 3 } else { 2 }).sum();
    let text = format!(
        "{} names claimed, {refused} refused; {certificates} certificates in {elapsed:.2} s: {:.0} names/s, {:.0} certificates/s\n  \
         post to final proof: p50 {p50:.2} ms, p99 {p99:.2} ms at {parallel} at once; signing took {:.2} s before",
        claimed.len(),
        claimed.len() as f64 / elapsed,
        certificates as f64 / elapsed,
        signed.as_secs_f64(),
    );
    let value = json!({
        "ok": true,
        "names": claimed.len(),
        "refused": refused,
        "certificates": certificates,
        "seconds": elapsed,
        "names_per_s": claimed.len() as f64 / elapsed,
        "certificates_per_s": certificates as f64 / elapsed,
        "p50_ms": p50,
        "p99_ms": p99,
    });
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}

/// Makes the certificates of one name; `None` if the label cannot be a name here.
fn prepare(
    session: &Session,
    label: String,
    bits: u8,
    seen: identity::cert::Seen,
    with_records: bool,
) -> Option<Ready> {
    let name = Name::complete(&label, session.zone()).ok().filter(|name| !name.is_reserved(session.zone()))?;
    let root = Root::without_words_for_load(&mut rng::system());
    let device = actor::fresh_device();
    let origin = session.trust().origin();
    let now = clock::now();
    let genesis = draft::genesis(&root, &device, [7; 32], None, seen, origin, now).ok()?;
    let did = Did::of_genesis(&genesis.sid());
    let place = Place { did, seq: 1, prev: genesis.sid(), seen, now };
    let nonce = pow::solve(name.as_str(), &did, bits, 0, |_| {});
    let claim = draft::claim(name.as_str(), ClaimProof::Open { nonce, bits });
    let claim = place.sign(claim, None, origin, &[&device.sign]).ok()?;
    let mut certificates = vec![genesis, claim];
    let mut address = None;
    if with_records {
        let mut host = [0; 3];
        rng::system().fill_bytes(&mut host);
        let rdata = [10, host[0], host[1], host[2]];
        address = Some(rdata);
        let rows = vec![Row { owner: String::new(), rtype: rtype::A, rdata: rdata.to_vec(), ttl: 60 }];
        let set = Records { name: name.as_str().to_owned(), rows, aliases: Vec::new(), flags: 0 };
        let last = certificates.last()?;
        certificates.push(place.next(last).sign(Body::Records(set), None, origin, &[&device.sign]).ok()?);
    }
    Some(Ready { label, address, certificates })
}

/// Posts all, `parallel` at once; returns latencies in ms, how many were refused, and a line for each claimed.
async fn post_all(
    session: &Arc<Session>,
    ready: Vec<Ready>,
    parallel: usize,
) -> Result<(Vec<f64>, u64, Vec<String>), ClientError> {
    let all = ready.len() as u64;
    let work = Arc::new(std::sync::Mutex::new(ready.into_iter()));
    let refused = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    let done = Arc::new(AtomicU64::new(0));
    for _ in 0..parallel.max(1) {
        let (session, work, refused, done) = (session.clone(), work.clone(), refused.clone(), done.clone());
        tasks.spawn(async move {
            let mut claimed = Vec::new();
            loop {
                let Some(next) = work.lock().expect("no holder panics").next() else { return Ok(claimed) };
                let began = Instant::now();
                match session.post_unverified_for_load(&next.certificates).await {
                    Ok(()) => {
                        let line = match next.address {
                            None => format!("{}\n", next.label),
                            Some([a, b, c, d]) => format!("{}\t{a}.{b}.{c}.{d}\n", next.label),
                        };
                        claimed.push((began.elapsed().as_secs_f64() * 1e3, line));
                    }
                    Err(ClientError::Refused(_)) => drop(refused.fetch_add(1, Ordering::Relaxed)),
                    Err(error) => return Err(error),
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let mut progress = Progress::new("claim");
    let mut tick = tokio::time::interval(tokio::time::Duration::from_millis(200));
    let (mut latencies, mut lines) = (Vec::new(), Vec::new());
    loop {
        tokio::select! {
            joined = tasks.join_next() => match joined {
                None => break,
                Some(ended) => {
                    let claimed: Vec<(f64, String)> = ended.map_err(|error| ClientError::Unable(error.to_string()))??;
                    for (latency, line) in claimed {
                        latencies.push(latency);
                        lines.push(line);
                    }
                }
            },
            _ = tick.tick() => progress.show(done.load(Ordering::Relaxed), all),
        }
    }
    latencies.sort_by(f64::total_cmp);
    Ok((latencies, refused.load(Ordering::Relaxed), lines))
}

async fn resolve(context: &Context, path: &std::path::Path, count: usize, parallel: usize) -> Done {
    let session = Arc::new(context.session().await?);
    let text =
        std::fs::read_to_string(path).map_err(|error| ClientError::Unable(format!("{}: {error}", path.display())))?;
    let names: Arc<Vec<String>> =
        Arc::new(text.lines().filter_map(|line| line.split('\t').next().map(str::to_owned)).collect());
    if names.is_empty() {
        return Err(ClientError::Unable(format!("{} names nothing", path.display())));
    }
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..parallel.max(1) {
        let (session, names, next) = (session.clone(), names.clone(), next.clone());
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            let mut bytes = 0u64;
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count as u64 {
                    return Ok::<_, ClientError>((latencies, bytes));
                }
                // A step that visits the list in a scattered order, without repeating before its end.
                let name = &names[(n.wrapping_mul(2_654_435_761) % names.len() as u64) as usize];
                let subject = Subject::Name(session.name(name)?.as_str().to_owned());
                let began = Instant::now();
                bytes += session.resolve_apart(&subject).await?;
                latencies.push(began.elapsed().as_secs_f64() * 1e3);
            }
        });
    }
    let (mut latencies, mut bytes) = (Vec::new(), 0);
    while let Some(ended) = tasks.join_next().await {
        let (some, read) = ended.map_err(|error| ClientError::Unable(error.to_string()))??;
        latencies.extend(some);
        bytes += read;
    }
    let elapsed = began.elapsed().as_secs_f64();
    latencies.sort_by(f64::total_cmp);
    let (p50, p99) = (percentile(&latencies, 50), percentile(&latencies, 99));
    let mean = bytes / latencies.len().max(1) as u64;
    let rate = latencies.len() as f64 / elapsed;
    let text = format!(
        "{} lookups verified in {elapsed:.2} s: {rate:.0}/s, p50 {p50:.2} ms, p99 {p99:.2} ms, {mean} bytes each",
        latencies.len()
    );
    let value = json!({ "ok": true, "lookups": latencies.len(), "seconds": elapsed, "per_s": rate, "p50_ms": p50, "p99_ms": p99, "bytes": mean });
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}

/// Reads a list of names as DNS labels: lower case, other characters as hyphens, at least three, each once.
fn labels(path: &std::path::Path, count: usize) -> Result<Vec<String>, ClientError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| ClientError::Unable(format!("{}: {error}", path.display())))?;
    let mut seen = std::collections::HashSet::new();
    let label = |line: &str| {
        let mapped: String =
            line.trim().to_ascii_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let label = mapped.trim_matches('-').to_owned();
        let hyphens = label.get(2..4) == Some("--");
        ((3..=63).contains(&label.len()) && !hyphens).then_some(label)
    };
    Ok(text.lines().filter_map(label).filter(|label| seen.insert(label.clone())).take(count).collect())
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}
