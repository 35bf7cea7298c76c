//! The lobby beside two other signaling servers, PeerJS server (npm `peer`) and `matchbox_server`, and beside a relay that looks at nothing,
//! by one generator in one run: memory of an idle connection, processor time of a relayed message, messages a second, from a knock to its
//! answer. Then the lobby alone: how long until everybody is registered again after kill -9. Last, a file over a data channel between
//! `dgns host` and `dgns connect`. Prints; judges nothing.
//!
//! `cargo bench -p dgns-tests --bench lobby -- [--connections 10000] [--pairs 1000] [--messages 50] [--knocks 1000] [--megabytes 200]
//! [--peers 3]`, after `cargo build --release --workspace`; without connections or megabytes that part is left out. The peers are installed
//! below `target/lobby-peers` by npm and cargo when they are not there yet; whichever cannot be is left out, and said to be.

mod bare;
mod dialect;
mod matchbox;
mod native;
mod ours;
mod peerjs;
mod process;
mod returning;

use std::time::Duration;

use dialect::{End, Service};
use process::Process;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Connections opened at once: below what any of the servers' queues hold.
const OPENING: usize = 64;

/// Messages of a pair under way at once, each way.
const WINDOW: usize = 8;

/// What is measured.
#[derive(Clone, Copy)]
struct Plan {
    connections: usize,
    pairs: usize,
    messages: usize,
    knocks: usize,
}

#[tokio::main]
async fn main() {
    if let Some(at) = std::env::args().skip_while(|argument| argument != bare::ARGUMENT).nth(1) {
        return bare::relay(&at).await;
    }
    process::allow_many_files();
    let plan = Plan {
        connections: argument("--connections", 10_000),
        pairs: argument("--pairs", 1_000),
        messages: argument("--messages", 50),
        knocks: argument("--knocks", 1_000),
    };
    if plan.connections > 0 {
        servers(plan).await;
    }
    let megabytes = argument("--megabytes", 200);
    if megabytes > 0 {
        native::measure(megabytes).await;
    }
}

/// Measures the servers, ours last.
async fn servers(plan: Plan) {
    println!("| server | idle connection | CPU a message | messages/s | knock -> answer |\n|---|---|---|---|---|");
    let peers = [Service::Bare, Service::PeerJs, Service::Matchbox];
    for service in peers.into_iter().take(argument("--peers", 3)) {
        match service.start() {
            Ok(process) => measure(&process, &service, plan).await,
            Err(why) => println!("| {} | left out: {why} | | | |", service.name()),
        }
    }
    let scene = ours::Scene::new(plan.connections.max(2 * plan.pairs));
    let service = Service::Ours(scene.people.clone());
    let process = Process::of(scene.pid(), scene.address());
    measure(&process, &service, plan).await;
    returning::measure(scene, plan.connections).await;
}

/// Measures one server and prints its row.
async fn measure(process: &Process, service: &Service, plan: Plan) {
    let half = plan.connections / 2;
    let mut ends = open(process, service, 0..half).await;
    let first = process.settled_kib().await;
    ends.extend(open(process, service, half..plan.connections).await);
    let second = process.settled_kib().await;
    let each = (second.saturating_sub(first)) as f64 * 1_024.0 / (plan.connections - half) as f64;
    let idle = process.cpu();
    sleep(Duration::from_secs(10)).await;
    let idle = (process.cpu() - idle).as_secs_f64() / 10.0 / plan.connections as f64 * 1e6;

    let mut pairs = Vec::new();
    ends.truncate(2 * plan.pairs);
    while let (Some(one), Some(other)) = (ends.pop(), ends.pop()) {
        pairs.push((one, other));
    }
    let mut latencies = Vec::new();
    for (one, other) in pairs.iter_mut().take(plan.knocks) {
        latencies.push(knock(one, other).await.as_secs_f64() * 1e3);
    }
    for (one, other) in pairs.iter_mut().skip(plan.knocks) {
        knock(one, other).await;
    }
    let (cpu, began) = (process.cpu(), Instant::now());
    let mut tasks = JoinSet::new();
    for (one, other) in pairs {
        tasks.spawn(converse(one, other, plan.messages));
    }
    let relayed: usize = tasks.join_all().await.into_iter().sum();
    let (cpu, took) = (process.cpu() - cpu, began.elapsed());
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "| {} | {:.1} KB, {idle:.1} us of CPU a second | {:.1} us | {:.0} ({relayed} in {:.1} s) | {} | load {}",
        service.name(),
        each / 1e3,
        cpu.as_secs_f64() * 1e6 / relayed as f64,
        relayed as f64 / took.as_secs_f64(),
        took.as_secs_f64(),
        spread(&mut latencies),
        load.split(' ').next().unwrap_or("?"),
    );
}

/// Opens connections, some at once; they come in their order.
async fn open(process: &Process, service: &Service, which: std::ops::Range<usize>) -> Vec<End> {
    let (mut ends, mut tasks) = (Vec::new(), JoinSet::new());
    for number in which {
        if tasks.len() >= OPENING {
            ends.extend(tasks.join_next().await.map(|end| end.expect("a connection opens")));
        }
        let (service, at) = (service.clone(), process.address);
        tasks.spawn(async move { End::open(&service, at, number).await });
    }
    ends.extend(tasks.join_all().await);
    ends.sort_by_key(End::number);
    ends
}

/// One end asks the other and is answered.
async fn knock(one: &mut End, other: &mut End) -> Duration {
    one.meets(other).await;
    let began = Instant::now();
    one.ask().await;
    other.answer().await;
    one.answered().await;
    began.elapsed()
}

/// Both ends send each other messages, some under way at once, until each has sent `messages`; returns how many arrived.
async fn converse(one: End, other: End, messages: usize) -> usize {
    let talk = |mut end: End| async move {
        let (mut sent, mut received) = (0, 0);
        while sent < WINDOW.min(messages) {
            end.send().await;
            sent += 1;
        }
        while received < messages {
            end.receive().await;
            received += 1;
            if sent < messages {
                end.send().await;
                sent += 1;
            }
        }
        (received, end)
    };
    let ((a, _one), (b, _other)) = tokio::join!(talk(one), talk(other));
    a + b
}

/// Returns `p50 .. p99 .. max .. ms` of latencies in milliseconds.
fn spread(latencies: &mut [f64]) -> String {
    latencies.sort_by(f64::total_cmp);
    let at = |part: usize| latencies.get(latencies.len().saturating_sub(1) * part / 100).copied().unwrap_or(0.0);
    format!("p50 {:.2}, p99 {:.2}, max {:.2} ms", at(50), at(99), at(100))
}

/// Returns the argument `--name value`, or `otherwise`.
fn argument(name: &str, otherwise: usize) -> usize {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1).map_or(otherwise, |value| value.parse().expect("a number"))
}
