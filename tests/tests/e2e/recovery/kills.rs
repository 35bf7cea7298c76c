//! Clients and recovery servers killed at every step of a recovery.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use dgns_tests::harness::issuer::{ADA, lacks_issuers};
use dgns_tests::harness::journey::visits;
use dgns_tests::harness::serve::{Request, Told, serve};
use dgns_tests::harness::{Person, Running, http, wait};
use identity::cert::Certificate;

use super::{PIN, Stage, reads};

/// Where a client or a server dies: before a request is passed on, or when its answer is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

/// What is killed at which steps, each at both moments.
#[derive(Default)]
struct Steps {
    met: Mutex<BTreeMap<String, usize>>,
    /// The step that is on hold until its victim is dead.
    reached: Mutex<Option<(String, Moment)>>,
}

impl Steps {
    /// Passes a request on, unless its step is reached for the first or second time.
    fn pass(&self, step: Option<String>, request: &Request, to: SocketAddr) -> Told {
        let moment = step.and_then(|step| {
            let mut met = self.met.lock().unwrap();
            let times = met.entry(step.clone()).or_default();
            *times += 1;
            match times {
                1 => Some((step, Moment::Before)),
                2 => Some((step, Moment::After)),
                _ => None,
            }
        });
        let Some((step, moment)) = moment else { return passed(request, to).map_or(Told::Cut, Told::Answer) };
        if moment == Moment::After {
            let _ = passed(request, to);
        }
        *self.reached.lock().unwrap() = Some((step, moment));
        Told::Never
    }

    fn reached(&self) -> Option<(String, Moment)> {
        self.reached.lock().unwrap().take()
    }
}

/// Passes a request on.
pub(super) fn passed(request: &Request, to: SocketAddr) -> std::io::Result<http::Answer> {
    let head = request.bytes.windows(4).position(|end| end == b"\r\n\r\n").map_or(0, |at| at + 4);
    let method = request.line.split(' ').next().unwrap_or_default();
    let headers: Vec<(String, String)> = String::from_utf8_lossy(&request.bytes[..head])
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| !["host", "content-length", "connection"].contains(&name.to_lowercase().as_str()))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    http::request(to, method, request.path(), &headers, &request.bytes[head..])
}

/// What a post puts into the log, by the type of its first certificate.
pub(super) fn posted(request: &Request) -> Option<String> {
    if !request.line.starts_with("POST /v1/certificates") {
        return None;
    }
    let head = request.bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let post = dgns_api::post::decode(&request.bytes[head..]).ok()?;
    let certificate = Certificate::decode(post.envelopes.first()?).ok()?;
    Some(kind_of(&certificate))
}

/// What a certificate says, in a word.
pub(super) fn kind_of(certificate: &Certificate) -> String {
    let body = format!("{:?}", certificate.payload().body);
    body.split(['(', ' ']).next().unwrap_or_default().to_owned()
}

#[test]
fn a_client_killed_before_and_after_each_step_goes_on_and_spends_one_guess() {
    if lacks_issuers() {
        return;
    }
    // Goal: kill -9 of the client anywhere costs nothing. Method: each request that changes something, at the log and at each recovery
    // server, kills it twice: once before it arrives, once when its answer is on the way. The same command goes on each time.
    let stage = Stage::new(3, 1);
    let steps = Arc::new(Steps::default());
    let armed = Arc::new(AtomicBool::new(false));
    let before = |to: SocketAddr, name: String| {
        let (steps, armed) = (steps.clone(), armed.clone());
        serve(move |request| {
            let step = match request.path() {
                path @ ("/r/v1/evaluate" | "/r/v1/release") => Some(format!("{path} of {name}")),
                _ => posted(request),
            };
            steps.pass(step.filter(|_| armed.load(Ordering::Relaxed)), request, to)
        })
    };
    let urls: Vec<String> =
        (1..).zip(&stage.servers).map(|(n, server)| before(server.http, format!("server {n}"))).collect();
    let log = before(stage.server.http, "log".into());
    stage.enrols(&urls);
    let sealed = stage.seal();
    armed.store(true, Ordering::Relaxed);
    let blank = Person::new();
    let mut deaths = BTreeSet::new();
    let said = loop {
        let running = blank.dgns_running(&log, &["recover", "alice", "--pin", PIN, "--no-browser", "--wait"]);
        if deaths.is_empty() {
            visits(&running, &stage.server, &stage.issuer, &ADA); // an attempt that was on its way is posted again
        }
        let mut running = Some(running);
        let ended = wait::until("the command ends, or is killed", || {
            if let Some((step, moment)) = steps.reached() {
                running.take().expect("it runs").kill();
                assert!(deaths.insert(format!("{step} {moment:?}")), "{step} {moment:?} again");
                return Some(None);
            }
            let over = running.as_mut().expect("it runs").is_over();
            over.then(|| Some(running.take().expect("it ran").ended()))
        });
        if let Some(ran) = ended {
            break ran.exits(0).json();
        }
    };
    assert_eq!((said["phase"].as_str(), said["user_key"].as_bool()), (Some("recovered"), Some(true)), "{said}");
    reads(&blank, &stage.server, &sealed);
    for step in [
        "RecoverOpen",
        "RecoverProve",
        "RecoverFinal",
        "UserKey",
        "/r/v1/evaluate of server 1",
        "/r/v1/release of server 3",
    ] {
        for moment in [Moment::Before, Moment::After] {
            let death = format!("{step} {moment:?}");
            let is_log = !step.starts_with('/');
            assert!(!is_log || deaths.contains(&death), "it did not die at {death}: {deaths:?}");
        }
    }
    assert!(
        deaths.iter().any(|death| death.contains("evaluate")) && deaths.iter().any(|death| death.contains("release"))
    );
    let chain = stage.alice.dgns(&stage.server, &["resolve", "alice"]).exits(0).json();
    assert_eq!(chain["recovery"]["phase"], "none", "one attempt was enough: {chain}");
    for server in &stage.servers {
        let stats = server.get("/r/v1/stats").json();
        assert!(stats["evaluated"].as_u64() <= Some(1), "one point, however often it was asked for: {stats}");
    }
}

#[test]
fn recovery_servers_killed_before_and_after_each_answer_lose_nothing_and_cost_no_guess() {
    if lacks_issuers() {
        return;
    }
    // Goal: kill -9 of a recovery server anywhere. Method: one of three is gone for good, so both others are needed; the first is killed
    // when it is asked to register, to evaluate and to release, before and after each, and started again.
    let mut stage = Stage::new(3, 1);
    let steps = Arc::new(Steps::default());
    let (counted, to) = (steps.clone(), stage.servers[0].http);
    let first = serve(move |request| {
        let path = request.path();
        let step = ["/r/v1/register", "/r/v1/evaluate", "/r/v1/release"].contains(&path).then(|| path.to_owned());
        counted.pass(step, request, to)
    });
    let urls = [first, stage.servers[1].url.clone(), stage.servers[2].url.clone()];
    let mut deaths = BTreeSet::new();
    let mut again = |stage: &mut Stage, running: Running| {
        let mut running = Some(running);
        wait::until("the command ends, or its server was killed", || {
            if let Some((step, moment)) = steps.reached() {
                assert!(deaths.insert(format!("{step} {moment:?}")));
                stage.servers.remove(0).kill();
                let up = stage.sites[0].start(&stage.server, &[&stage.issuer]);
                stage.servers.insert(0, up);
                running.take().expect("it runs").kill(); // it would wait for an answer for seconds
                return Some(None);
            }
            let over = running.as_mut().expect("it runs").is_over();
            over.then(|| Some(running.take().expect("it ran").ended()))
        })
    };
    let servers = urls.join(",");
    loop {
        let asked = ["recovery", "set", "--servers", &servers, "--pin", PIN, "--no-browser"];
        let running = stage.alice.dgns_running(&stage.server.url, &asked);
        visits(&running, &stage.server, &stage.issuer, &ADA);
        if let Some(ran) = again(&mut stage, running) {
            ran.exits(0);
            break;
        }
    }
    stage.servers.remove(2).kill();
    let (blank, mut signed_in) = (Person::new(), false);
    let said = loop {
        let asked = ["recover", "alice", "--pin", PIN, "--no-browser", "--wait"];
        let running = blank.dgns_running(&stage.server.url, &asked);
        if !signed_in {
            visits(&running, &stage.server, &stage.issuer, &ADA);
            signed_in = true;
        }
        if let Some(ran) = again(&mut stage, running) {
            break ran.exits(0).json();
        }
    };
    assert_eq!(said["phase"], "recovered", "{said}");
    assert_eq!(deaths.len(), 6, "{deaths:?}");
    assert_eq!(stage.phase(), "none");
}
