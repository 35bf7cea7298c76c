//! The server of names killed at every step of a recovery, and of a veto.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use dgns_tests::harness::issuer::{ADA, lacks_issuers};
use dgns_tests::harness::journey::visits;
use dgns_tests::harness::serve::{Request, Told, serve};
use dgns_tests::harness::{Person, Ran, Running, wait};
use identity::cert::Certificate;

use super::kills::{kind_of, passed, posted};
use super::{PIN, Stage, reads};

/// What is posted on the way to a recovery, or against it.
const STEPS: [&str; 4] = ["Veto", "RecoverOpen", "RecoverProve", "RecoverFinal"];

/// Something before the server of names: at each step that is posted it waits until that server was killed and is up again, and then
/// breaks the connection. Once before the post is passed on, once while it is, once after.
#[derive(Default)]
struct Breaks {
    armed: AtomicBool,
    met: Mutex<BTreeMap<String, usize>>,
    /// The step on hold.
    reached: Mutex<Option<String>>,
    is_up: Condvar,
}

impl Breaks {
    fn pass(&self, request: &Request, to: SocketAddr) -> Told {
        let is_step = |step: &String| STEPS.contains(&step.as_str()) && self.armed.load(Ordering::Relaxed);
        let step = posted(request).filter(is_step);
        let moment = step.as_ref().map_or(0, |step| {
            let mut met = self.met.lock().unwrap();
            let times = met.entry(step.clone()).or_default();
            *times += 1;
            *times
        });
        let Some(step) = step.filter(|_| moment <= 3) else {
            return passed(request, to).map_or(Told::Cut, Told::Answer);
        };
        std::thread::scope(|scope| {
            if moment == 2 {
                scope.spawn(|| drop(passed(request, to)));
            } else if moment == 3 {
                drop(passed(request, to));
            }
            let mut reached = self.reached.lock().unwrap();
            *reached = Some(step);
            let wait = self.is_up.wait_timeout_while(reached, wait::PATIENCE, |reached| reached.is_some());
            assert!(!wait.unwrap().1.timed_out(), "nobody killed the server");
        });
        Told::Cut
    }

    /// Kills the server of names and starts it again, if a step is on hold.
    fn breaks(&self, stage: &mut Stage) -> bool {
        let mut reached = self.reached.lock().unwrap();
        if reached.is_none() {
            return false;
        }
        stage.server.kill_now();
        stage.server.ended();
        stage.server = stage.site.start();
        *reached = None;
        self.is_up.notify_all();
        true
    }

    /// Goes on until a command ends.
    fn until_over(&self, stage: &mut Stage, running: Running) -> Ran {
        let mut running = running;
        wait::until("the command ends", || {
            self.breaks(stage);
            running.is_over().then_some(())
        });
        running.ended()
    }
}

#[test]
fn the_server_of_names_killed_at_each_step_of_a_recovery_loses_no_attempt_and_counts_none_twice() {
    if lacks_issuers() {
        return;
    }
    // Goal: kill -9 of the log inside a recovery: who runs the command is told what to do, and doing it goes on. Method: each step is
    // posted through something that breaks: before, while and after the server has it. Veto first, then a recovery to its end.
    let mut stage = Stage::new(3, 1);
    let breaks = Arc::new(Breaks::default());
    let (passing, to) = (breaks.clone(), stage.server.http);
    let log = serve(move |request| passing.pass(request, to));
    stage.enrols(&stage.urls());
    let thief = Person::new();
    stage.tries(&thief, PIN, &[], 5);
    breaks.armed.store(true, Ordering::Relaxed);
    let ran = repeated(&breaks, &mut stage, 3, |stage| stage.alice.dgns_running(&log, &["veto"]));
    ran.exits(0);
    assert_eq!(stage.phase(), "burnt");
    let burnt = thief.dgns(&stage.server, &["recover", "alice", "--resume"]).exits(4).json();
    assert_eq!(burnt["code"], "burnt", "{burnt}");

    breaks.armed.store(false, Ordering::Relaxed);
    let servers = stage.urls().join(",");
    let asked = ["recovery", "set", "--servers", &servers, "--pin", PIN, "--no-browser", "--words"];
    let mut running = stage.alice.dgns_running(&stage.server.url, &asked);
    running.types(&stage.words);
    visits(&running, &stage.server, &stage.issuer, &ADA);
    assert_eq!(running.ended().exits(0).json()["epoch"].as_u64(), Some(2));
    let sealed = stage.seal();
    breaks.armed.store(true, Ordering::Relaxed);
    let (blank, mut signs_in) = (Person::new(), true);
    let ran = repeated(&breaks, &mut stage, 9, |stage| {
        let running = blank.dgns_running(&log, &["recover", "alice", "--pin", PIN, "--no-browser", "--wait"]);
        if std::mem::take(&mut signs_in) {
            visits(&running, &stage.server, &stage.issuer, &ADA);
        }
        running
    });
    let said = ran.exits(0).json();
    assert_eq!((said["phase"].as_str(), said["user_key"].as_bool()), (Some("recovered"), Some(true)), "{said}");
    reads(&blank, &stage.server, &sealed);
    let met = breaks.met.lock().unwrap().clone();
    for step in STEPS {
        assert!(met.get(step).is_some_and(|times| *times >= 2), "it broke at {step} before and after: {met:?}");
    }
    for server in &stage.servers {
        let stats = server.get("/r/v1/stats").json();
        assert!(stats["evaluated"].as_u64() <= Some(2), "one point of each of the two attempts: {stats}");
    }
    // The whole chain: each step stands in it once.
    let did = said["did"].as_str().unwrap();
    let steps = steps_of(&stage, did);
    for (step, times) in [("RecoverOpen", 2), ("RecoverProve", 2), ("Veto", 1), ("RecoverFinal", 1)] {
        assert_eq!(steps.iter().filter(|found| *found == step).count(), times, "{step}: {steps:?}");
    }
}

/// Runs a command again and again while the server breaks, at most so often. Each time it says what to do: exit 2.
fn repeated(breaks: &Breaks, stage: &mut Stage, most: usize, mut command: impl FnMut(&Stage) -> Running) -> Ran {
    for _ in 0..=most {
        let running = command(stage);
        let ran = breaks.until_over(stage, running);
        if ran.code != Some(2) {
            return ran;
        }
        let said = ran.json();
        let error = said["error"].as_str().unwrap_or_default().to_owned();
        assert!(error.contains("again"), "it says what to do: {ran}");
    }
    panic!("it broke more often than it was broken");
}

/// What stands in the chain of a DID, certificate by certificate.
fn steps_of(stage: &Stage, did: &str) -> Vec<String> {
    let answer = stage.server.get(&format!("/v1/dids/{did}/chain?from=0"));
    let chain = translog::resolution::Resolution::decode(&answer.body).unwrap().chain().to_vec();
    chain.iter().map(|row| kind_of(&Certificate::decode(&row.envelope).unwrap())).collect()
}
