//! From the finished sign-in to the proof of the PIN in the log, by the real programs: all of three servers alive, one dead, one lying.
//!
//! Measured is what a person waits for once the issuer has led the browser back: the id_token fetched and judged, the attempt in the
//! log, the servers' answers, the proof in the log. The PIN is hardened before. The programs are those beside the bench's own
//! directory: `cargo build --release --bins` first. They share the machine, as do node and its issuer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dgns_tests::harness::issuer::{Issuer, lacks_issuers, site};
use dgns_tests::harness::journey::{signs_in, visits};
use dgns_tests::harness::liar::Liar;
use dgns_tests::harness::recovery::RecoverySite;
use dgns_tests::harness::{Person, Server};
use tokio::time::Instant;

/// What it may take, seconds (bar: 2.5).
const BAR_S: f64 = 2.5;

const PIN: &str = "739164";

/// Goes the journey so often in each state, and says whether the median of each is within the bar.
pub fn measure(rounds: usize) {
    if lacks_issuers() {
        return println!("sign-in done to recover_prove: not measured, there is no issuer (npm ci --prefix tests/web)");
    }
    let issuer = Issuer::start();
    let server = site(&[&issuer]).with("limits", "signin_starts_per_hour_and_address", "0").start();
    for state in ["three servers", "one of three dead", "one of three lying"] {
        let sites: Vec<_> = (1..=3).map(|n| RecoverySite::new(&format!("Operator {n}"))).collect();
        let mut servers: Vec<_> = sites.iter().map(|site| site.start(&server, &[&issuer])).collect();
        let lies = Arc::new(AtomicBool::new(false));
        let mut urls: Vec<String> = servers.iter().map(|server| server.url.clone()).collect();
        let liar = liar(&servers[1], lies.clone());
        urls[1] = liar.url.clone();
        let people: Vec<_> =
            (0..rounds).map(|round| enrolled(&format!("{}-{round}", state.len()), &urls, (&server, &issuer))).collect();
        match state {
            "one of three dead" => servers.remove(2).kill(),
            "one of three lying" => lies.store(true, Ordering::Relaxed),
            _ => {}
        }
        let mut took: Vec<f64> = people.iter().map(|name| comes_back(name, (&server, &issuer))).collect();
        took.sort_by(f64::total_cmp);
        let median = took[rounds / 2];
        let word = if median <= BAR_S { "held" } else { "MISSED" };
        let all: Vec<_> = took.iter().map(|s| format!("{s:.2}")).collect();
        println!(
            "sign-in done to recover_prove, {state}: {} s, median {median:.2} s; bar {BAR_S} s: {word}",
            all.join(" ")
        );
    }
}

/// Whoever answers for this server, with another point while `lies` is set.
fn liar(server: &Server, lies: Arc<AtomicBool>) -> Liar {
    let point = identity::oprf::Server::from_seed(&[9; 32]).public();
    Liar::before(server.http, move |line, mut answer| {
        if line.contains("/r/v1/evaluate")
            && lies.load(Ordering::Relaxed)
            && let Some(at) = answer.body.get_mut(4..36)
        {
            at.copy_from_slice(&point);
        }
        Some(answer)
    })
}

/// Somebody with a name and an enrolment; returns the name.
fn enrolled(mark: &str, urls: &[String], at: (&Server, &Issuer)) -> String {
    let (name, person) = (format!("ada-{mark}"), Person::new());
    person.up(at.0, &name);
    let servers = urls.join(",");
    let asked = ["recovery", "set", "--servers", &servers, "--pin", PIN, "--no-browser"];
    signs_in(&person, &who(&name, &mail_of(&name)), at, &asked, 0);
    name
}

/// A blank home tries the PIN; returns the seconds from the finished sign-in to the end of the command.
fn comes_back(name: &str, (server, issuer): (&Server, &Issuer)) -> f64 {
    let running = Person::new().dgns_running(&server.url, &["recover", name, "--pin", PIN, "--no-browser"]);
    visits(&running, server, issuer, &who(name, &mail_of(name)));
    let begun = Instant::now();
    let ran = running.ended();
    let took = begun.elapsed().as_secs_f64();
    assert_eq!(ran.exits(5).json()["phase"], "proved", "{ran}");
    took
}

fn mail_of(name: &str) -> String {
    format!("{name}@mail.test")
}

fn who<'w>(name: &'w str, mail: &'w str) -> [(&'static str, &'w str); 2] {
    [("x-subject", name), ("x-email", mail)]
}
