//! Everything is lost but a PIN and a sign-in: three real recovery servers, a real issuer, the real commands.

mod kills;
mod log_killed;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use dgns_tests::harness::issuer::{ADA, Issuer, lacks_issuers, site};
use dgns_tests::harness::journey::{signs_in, told, visits, watching};
use dgns_tests::harness::liar::Liar;
use dgns_tests::harness::party::{Manner, Party};
use dgns_tests::harness::recovery::RecoverySite;
use dgns_tests::harness::site::loopback;
use dgns_tests::harness::{Person, Server, Site, wait};
use serde_json::Value;

const PIN: &str = "739164";

/// Long enough to be seen before it ends, on a machine that has much else to do.
const WINDOW_S: u32 = 10;

/// The word that nobody but alice may read.
const SECRET: &str = "the key lies under the third stone";

/// A port for a log that is stopped and started again while others read it.
fn next_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(5_600);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A log, its issuer, recovery servers, and alice with a name and a window.
struct Stage {
    issuer: Issuer,
    site: Site,
    server: Server,
    sites: Vec<RecoverySite>,
    servers: Vec<Server>,
    alice: Person,
    words: String,
}

impl Stage {
    fn new(servers: usize, window_s: u32) -> Self {
        Self::under(None, servers, window_s)
    }

    /// As [`Stage::new`]; recovery servers believe heads with the quorum of this party alone, if there is one.
    fn under(party: Option<&Party>, servers: usize, window_s: u32) -> Self {
        let issuer = Issuer::start();
        let mut site = site(&[&issuer]).with("http", "listen", &format!("\"{}:{}\"", loopback(), next_port()));
        if let Some(party) = party {
            let path = format!("{:?}", party.policy_file().display().to_string());
            site = site.with("witnesses", "policy", &path).with("witnesses", "announce_ms", "20");
        }
        let server = site.start();
        party.into_iter().flat_map(|party| &party.witnesses).for_each(|witness| witness.watches(server.vkey()));
        let alice = Person::new();
        let words = wait::until("the log takes a claim", || {
            let up = alice.dgns(&server, &["up", "alice"]);
            (up.code == Some(0)).then(|| up.text("/words"))
        });
        let sites: Vec<_> = (1..=servers).map(|n| RecoverySite::new(&format!("Operator {n}"))).collect();
        let start = |site: &RecoverySite| match party {
            None => site.start(&server, &[&issuer]),
            Some(party) => site.start_under(&server, &party.policy().to_string(), &[&issuer]),
        };
        let servers = sites.iter().map(start).collect();
        let stage = Self { issuer, site, server, sites, servers, alice, words };
        stage.takes_window(window_s);
        stage
    }

    fn takes_window(&self, window_s: u32) {
        let asked = ["policy", "--window-s", &window_s.to_string(), "--words"];
        self.alice.dgns_with_input(&self.server, &asked, &self.words).exits(0);
    }

    fn urls(&self) -> Vec<String> {
        self.servers.iter().map(|server| server.url.clone()).collect()
    }

    /// Alice enrols at these URLs.
    fn enrols(&self, urls: &[String]) -> Value {
        let servers = urls.join(",");
        let asked = ["recovery", "set", "--servers", &servers, "--pin", PIN, "--no-browser"];
        self.alice_signs_in(&asked, 0)
    }

    fn alice_signs_in(&self, arguments: &[&str], exit: i32) -> Value {
        signs_in(&self.alice, &ADA, (&self.server, &self.issuer), arguments, exit)
    }

    /// Somebody without any device tries this PIN.
    fn tries(&self, person: &Person, pin: &str, more: &[&str], exit: i32) -> Value {
        let asked = [["recover", "alice", "--pin", pin, "--no-browser"].as_slice(), more].concat();
        signs_in(person, &ADA, (&self.server, &self.issuer), &asked, exit)
    }

    fn seal(&self) -> PathBuf {
        let bob = Person::new();
        bob.up(&self.server, "bob");
        let file = bob.home().join("letter.txt");
        std::fs::write(&file, SECRET).unwrap();
        bob.dgns(&self.server, &["seal", "alice", file.to_str().unwrap()]).exits(0);
        let kept = self.sites[0].data().join("letter.sealed");
        std::fs::copy(bob.home().join("letter.txt.sealed"), &kept).unwrap();
        kept
    }

    fn phase(&self) -> String {
        let ran = Person::new().dgns(&self.server, &["resolve", "alice"]);
        ran.exits(0).json()["recovery"]["phase"].as_str().unwrap_or_default().to_owned()
    }

    /// What a server counted.
    fn evaluated(&self, server: usize) -> u64 {
        let counts = self.servers[server].get("/r/v1/stats").json();
        counts["evaluated"].as_u64().unwrap() + counts["repeated"].as_u64().unwrap()
    }
}

/// Opens what was sealed before, in a home that has just come back.
fn reads(person: &Person, server: &Server, sealed: &std::path::Path) {
    let out = person.home().join("read.txt");
    let (sealed, to) = (sealed.to_str().unwrap(), out.to_str().unwrap());
    person.dgns(server, &["open", sealed, "--out", to]).exits(0);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), SECRET);
}

#[test]
fn who_lost_every_device_comes_back_and_reads_what_was_sealed_before() {
    if lacks_issuers() {
        return;
    }
    let stage = Stage::new(3, WINDOW_S);
    let said = stage.enrols(&stage.urls());
    assert_eq!((said["epoch"].as_u64(), said["threshold"].as_u64()), (Some(1), Some(2)), "{said}");
    assert_eq!(said["sealed"], true, "the user key is sealed to the recovery: {said}");
    let sealed = stage.seal();
    let status = stage.alice.dgns(&stage.server, &["recovery", "status"]).exits(0).json();
    assert_eq!((status["enough"].as_bool(), status["servers"].as_array().map(Vec::len)), (Some(true), Some(3)));

    let blank = Person::new();
    let said = stage.tries(&blank, PIN, &[], 5);
    assert_eq!(said["phase"], "proved", "{said}");
    assert!(["proved", "ready"].contains(&stage.phase().as_str()), "every lookup says so");
    let said = blank.dgns(&stage.server, &["recover", "alice", "--resume", "--wait"]).exits(0).json();
    assert_eq!((said["phase"].as_str(), said["user_key"].as_bool()), (Some("recovered"), Some(true)), "{said}");
    reads(&blank, &stage.server, &sealed);
    let whoami = blank.dgns(&stage.server, &["whoami"]);
    whoami.exits(0);
    let listed = blank.dgns(&stage.server, &["devices", "list"]).exits(0).json();
    assert_eq!(listed["devices"].as_array().map(Vec::len), Some(1), "the lost device is out: {listed}");
    stage.alice.dgns(&stage.server, &["policy", "--window-s", "9"]).exits(4);
    assert_eq!(stage.phase(), "none", "the PIN is used up");

    // Nobody wrote down who she is.
    for site in &stage.sites {
        let files = [site.log(), site.data().join("recovery.db"), site.data().join("recovery.db-wal")];
        for bytes in files.iter().filter_map(|path| std::fs::read(path).ok()) {
            for private in [b"ada@mail.test".as_slice(), PIN.as_bytes()] {
                assert!(!bytes.windows(private.len()).any(|part| part == private), "{private:?} is at a server");
            }
        }
    }
}

#[test]
fn a_dead_server_is_left_out_and_a_lying_one_is_named() {
    if lacks_issuers() {
        return;
    }
    let mut stage = Stage::new(5, 1);
    let lies = Arc::new(AtomicBool::new(false));
    let told = lies.clone();
    let liar = Liar::before(stage.servers[1].http, move |line, mut answer| {
        let is_answer = line.contains("/r/v1/evaluate") || line.contains("/r/v1/release");
        if is_answer && told.load(Ordering::Relaxed) {
            // Another point, still well-formed: the answer to another question.
            let point = identity::oprf::Server::from_seed(&[9; 32]).public();
            if let Some(at) = answer.body.get_mut(4..36) {
                at.copy_from_slice(&point);
            }
        }
        Some(answer)
    });
    let mut urls = stage.urls();
    urls[1] = liar.url.clone();
    let said = stage.enrols(&urls);
    assert_eq!(said["threshold"].as_u64(), Some(3), "{said}");
    lies.store(true, Ordering::Relaxed);
    stage.servers.remove(4).kill();
    let blank = Person::new();
    let asked = ["recover", "alice", "--pin", PIN, "--no-browser", "--wait"];
    let running = blank.dgns_running(&stage.server.url, &asked);
    visits(&running, &stage.server, &stage.issuer, &ADA);
    let ran = running.ended();
    assert_eq!(ran.exits(0).json()["phase"], "recovered", "{ran}");
    let named = format!("{} LIES, and is skipped (bad_proof)", liar.url);
    assert!(ran.stderr.contains(&named), "the liar is named: {ran}");
    assert!(ran.stderr.contains(&format!("{} is skipped (network)", urls[4])), "the dead one is named: {ran}");
}

#[test]
fn a_wrong_pin_spends_a_guess_in_public_and_the_next_has_to_wait() {
    if lacks_issuers() {
        return;
    }
    let stage = Stage::new(3, 1_800);
    let weak = ["recovery", "set", "--servers", &stage.urls().join(","), "--pin", "123456", "--no-browser"];
    assert_eq!(stage.alice_signs_in(&weak, 4)["code"], "weak_pin");
    stage.enrols(&stage.urls());
    let blank = Person::new();
    let said = stage.tries(&blank, "739165", &[], 4);
    assert_eq!(said["code"], "wrong_pin", "{said}");
    let resolved = Person::new().dgns(&stage.server, &["resolve", "alice"]).exits(0).json();
    assert_eq!(resolved["recovery"]["guesses"].as_u64(), Some(1), "{resolved}");
    let said = blank.dgns(&stage.server, &["recover", "alice", "--pin", PIN]).exits(4).json();
    assert_eq!(said["code"], "backoff", "{said}");
    assert!(said["problem"]["retry_ms"].as_u64().is_some_and(|ms| (1..=60_000).contains(&ms)), "{said}");
    assert!((0..3).map(|server| stage.evaluated(server)).sum::<u64>() >= 2);
}

#[test]
fn a_thief_with_sign_in_and_pin_loses_against_an_owner_who_says_no() {
    if lacks_issuers() {
        return;
    }
    let stage = Stage::new(3, 1_800);
    stage.enrols(&stage.urls());
    let watch = watching(&stage.alice, &stage.server);
    let thief = Person::new();
    let said = stage.tries(&thief, PIN, &[], 5);
    for kind in ["recovery_open", "recovery_proved"] {
        assert!(told(&watch, kind)["act"].is_string(), "her device is told at once");
    }
    assert_eq!(said["phase"], "proved", "{said}");
    let pending = stage.alice.dgns(&stage.server, &["pending"]).exits(0).json();
    assert!(pending["recovery"].is_string(), "her device says so: {pending}");
    stage.alice.dgns(&stage.server, &["veto"]).exits(0);
    assert_eq!(stage.phase(), "burnt", "every lookup says so");
    let refused = thief.dgns(&stage.server, &["recover", "alice", "--resume", "--wait"]).exits(4).json();
    assert_eq!(refused["code"], "burnt", "{refused}");
    let again = thief.dgns(&stage.server, &["recover", "alice", "--pin", PIN]).exits(4).json();
    assert_eq!(again["code"], "burnt", "{again}");
    stage.alice.dgns(&stage.server, &["whoami"]).exits(0);
    for server in &stage.servers {
        assert_eq!(server.get("/r/v1/stats").json()["released"].as_u64(), Some(0), "no share left a server");
    }
}

#[test]
fn a_device_that_approves_shortens_the_window_and_a_stranger_opens_nothing() {
    if lacks_issuers() {
        return;
    }
    let stage = Stage::new(3, 1);
    stage.enrols(&stage.urls());
    stage.takes_window(1_800);
    let stranger = [("x-subject", "mallory"), ("x-email", "mallory@mail.test")];
    let asked = ["recover", "alice", "--pin", PIN, "--no-browser"];
    let said = signs_in(&Person::new(), &stranger, (&stage.server, &stage.issuer), &asked, 4);
    assert_eq!(said["code"], "unknown_signin", "another account spends no guess: {said}");
    assert_eq!((0..3).map(|server| stage.evaluated(server)).sum::<u64>(), 0);
    let blank = Person::new();
    stage.tries(&blank, PIN, &[], 5);
    // While an enrolment is fresh, for a window of then, one device is no witness of it.
    wait::until("she may approve", || (stage.alice.dgns(&stage.server, &["confirm"]).code == Some(0)).then_some(()));
    assert_eq!(stage.phase(), "ready", "half an hour before its time");
    let said = blank.dgns(&stage.server, &["recover", "alice", "--resume"]).exits(0).json();
    assert_eq!(said["phase"], "recovered", "{said}");
}

#[test]
fn two_homes_that_try_at_once_spend_one_guess_and_the_later_is_told_why() {
    if lacks_issuers() {
        return;
    }
    // Goal: concurrent attempts count as one after the other. Method: both have signed in before either is in the log.
    let stage = Stage::new(3, 1_800);
    stage.enrols(&stage.urls());
    let homes = [Person::new(), Person::new()];
    let asked = ["recover", "alice", "--pin", PIN, "--no-browser"];
    let running = homes.each_ref().map(|home| home.dgns_running(&stage.server.url, &asked));
    running.iter().for_each(|running| visits(running, &stage.server, &stage.issuer, &ADA));
    let mut ended = running.map(dgns_tests::harness::Running::ended);
    ended.sort_by_key(|ran| ran.code);
    let [late, first] = ended;
    assert_eq!(first.exits(5).json()["phase"], "proved", "{first}");
    let code = late.exits(4).text("/code");
    assert!(["backoff", "bad_attempt", "recovery_pending"].contains(&code.as_str()), "{late}");
    let resolved = Person::new().dgns(&stage.server, &["resolve", "alice"]).exits(0).json();
    assert_eq!(resolved["recovery"]["guesses"].as_u64(), Some(1), "{resolved}");
}

#[test]
fn a_command_that_was_killed_goes_on_where_it_was() {
    if lacks_issuers() {
        return;
    }
    let stage = Stage::new(3, WINDOW_S);
    let silent = Arc::new(AtomicBool::new(true));
    let urls: Vec<String> = stage
        .servers
        .iter()
        .map(|server| {
            let silent = silent.clone();
            let before = Liar::before(server.http, move |line, answer| {
                let lost = line.contains("/r/v1/evaluate") && silent.load(Ordering::Relaxed);
                (!lost).then_some(answer)
            });
            before.url
        })
        .collect();
    stage.enrols(&urls);
    let blank = Person::new();
    // Killed while it waits for the browser: nothing was spent.
    let running = blank.dgns_running(&stage.server.url, &["recover", "alice", "--pin", PIN, "--no-browser"]);
    running.note(|line| line.trim().starts_with("http").then_some(()));
    running.kill();
    assert_eq!(stage.phase(), "live");
    // Every answer is lost: the guess is spent, and costs no second one.
    let said = stage.tries(&blank, PIN, &[], 2);
    assert_eq!((said["code"].as_str(), stage.phase().as_str()), (Some("network"), "open"), "{said}");
    silent.store(false, Ordering::Relaxed);
    let other = blank.dgns(&stage.server, &["recover", "alice", "--resume", "--pin", "481502"]);
    other.exits(1);
    let said = blank.dgns(&stage.server, &["recover", "alice", "--resume", "--pin", PIN]).exits(5).json();
    assert_eq!(said["phase"], "proved", "{said}");
    let resolved = Person::new().dgns(&stage.server, &["resolve", "alice"]).exits(0).json();
    assert_eq!(resolved["recovery"]["guesses"].as_u64(), Some(1), "one guess for all of it: {resolved}");
    // Killed while it waits for the window, at any moment of what follows.
    for _ in 0..3 {
        let waiting = blank.dgns_running(&stage.server.url, &["recover", "alice", "--resume", "--wait"]);
        std::thread::yield_now();
        waiting.kill();
    }
    let said = blank.dgns(&stage.server, &["recover", "alice", "--resume", "--wait"]).exits(0).json();
    assert_eq!(said["phase"], "recovered", "{said}");
}

#[test]
fn servers_of_one_operator_are_refused_and_too_few_of_many_too() {
    if lacks_issuers() {
        return;
    }
    let stage = Stage::new(1, 1_800);
    let same: Vec<_> = (0..2).map(|_| RecoverySite::new("Operator 1")).collect();
    let more: Vec<_> = same.iter().map(|site| site.start(&stage.server, &[&stage.issuer])).collect();
    let servers = format!("{},{},{}", stage.servers[0].url, more[0].url, more[1].url);
    let refused = stage.alice.dgns(&stage.server, &["recovery", "set", "--servers", &servers, "--pin", PIN]);
    assert_eq!(refused.exits(4).text("/code"), "same_operator");
    assert!(refused.stderr.contains("3 of these servers are of one operator Operator 1"), "{refused}");
    for (threshold, servers) in [("1", servers.as_str()), ("4", &servers), ("2", &stage.servers[0].url)] {
        let asked = ["recovery", "set", "--servers", servers, "-t", threshold, "--pin", PIN, "--same-operator"];
        stage.alice.dgns(&stage.server, &asked).exits(1);
    }
    let pinned = format!("{}#{},{}", more[0].url, "00".repeat(32), more[1].url);
    let asked = ["recovery", "set", "--servers", &pinned, "--pin", PIN, "--same-operator"];
    assert!(stage.alice.dgns(&stage.server, &asked).exits(2).stderr.contains("LIES, and is skipped (server_key)"));
    let asked = ["recovery", "set", "--servers", &servers, "--pin", PIN, "--same-operator", "--no-browser"];
    assert_eq!(stage.alice_signs_in(&asked, 0)["epoch"].as_u64(), Some(1));
    let status = stage.alice.dgns(&stage.server, &["recovery", "status"]).exits(0).json();
    assert!(!status["together"].as_array().unwrap().is_empty(), "it is shown for ever: {status}");
}

#[test]
fn a_dead_server_is_replaced_and_what_the_old_ones_kept_is_erased() {
    if lacks_issuers() {
        return;
    }
    let mut stage = Stage::new(4, 1_800);
    let urls = stage.urls();
    stage.enrols(&urls[..3]);
    let rows = |stage: &Stage, at: usize| stage.servers[at].get("/r/v1/stats").json()["rows"].as_u64().unwrap();
    assert_eq!([0, 1, 2, 3].map(|at| rows(&stage, at)), [1, 1, 1, 0]);
    stage.servers.swap(2, 3);
    stage.servers.pop().unwrap().kill();
    let servers = [&urls[0], &urls[1], &urls[3]].map(String::as_str).join(",");
    // One voter's word waits for its window; the words' does not.
    let asked = ["recovery", "refresh", "--servers", &servers, "--pin", "481502", "--no-browser", "--words"];
    let mut running = stage.alice.dgns_running(&stage.server.url, &asked);
    running.types(&stage.words);
    visits(&running, &stage.server, &stage.issuer, &ADA);
    let ran = running.ended();
    assert_eq!(ran.exits(0).json()["epoch"].as_u64(), Some(2), "{ran}");
    assert_eq!([0, 1, 2].map(|at| rows(&stage, at)), [1, 1, 1], "the shares of before are gone");
    let old = Person::new().dgns(&stage.server, &["recover", "alice", "--pin", PIN, "--resume"]);
    old.exits(1);
    let blank = Person::new();
    assert_eq!(stage.tries(&blank, "481502", &[], 5)["phase"], "proved");
}

#[test]
fn recovery_servers_believe_witnessed_heads_alone_and_a_recovery_goes_through_under_them() {
    if lacks_issuers() {
        return;
    }
    // Goal: nothing that the log's key alone signed opens a share. Method: two of three witnesses make the quorum; with one away the
    // whole journey goes; with two away an attempt is in the log, and no server evaluates it until one of them is back.
    let party = Party::new(3, 2);
    let stage = Stage::under(Some(&party), 3, 1);
    let said = stage.enrols(&stage.urls());
    assert!(said["servers"].as_array().unwrap().iter().all(|server| server["witnessed"] == true), "{said}");
    party.witnesses[0].turns(Manner::Dead);
    let sealed = stage.seal();

    party.witnesses[1].turns(Manner::Dead);
    let blank = Person::new();
    let none = blank.home().join("unwitnessed");
    std::fs::write(&none, format!("log {}\nquorum none\n", stage.server.vkey())).unwrap();
    let pin = blank.home().join("pin");
    std::fs::write(&pin, format!("{PIN}\n")).unwrap();
    let asked =
        ["--policy", none.to_str().unwrap(), "recover", "alice", "--no-browser", "--pin-file", pin.to_str().unwrap()];
    let said = signs_in(&blank, &ADA, (&stage.server, &stage.issuer), &asked, 2);
    assert!(said["error"].as_str().unwrap().contains("not_open"), "the newest witnessed head has no attempt: {said}");
    assert_eq!((0..3).map(|server| stage.evaluated(server)).sum::<u64>(), 0, "nobody evaluated what no witness saw");

    party.witnesses[1].turns(Manner::Honest);
    let again = ["--policy", none.to_str().unwrap(), "recover", "alice", "--resume", "--wait", "--pin", PIN];
    let said = blank.dgns(&stage.server, &again).exits(0).json();
    assert_eq!((said["phase"].as_str(), said["user_key"].as_bool()), (Some("recovered"), Some(true)), "{said}");
    reads(&blank, &stage.server, &sealed);
}

#[test]
fn recovery_servers_follow_the_logs_keys_and_never_go_back_to_one_that_was_dropped() {
    if lacks_issuers() {
        return;
    }
    // Goal: a server that was told key A follows the log to B, and keeps that. Method: a key comes and the old one goes; half of the
    // recovery before a restart of every server, with the policy file of before, half after it.
    let mut stage = Stage::new(3, 1);
    stage.enrols(&stage.urls());
    let old = stage.server.vkey().to_owned();
    stage.server.kill_now();
    stage.server.ended();
    let words = stage.site.data().join("keys/operator-words");
    for more in [&[][..], &["--drop-old", "--force"]] {
        let fixed = ["logconf", "rotate", "--json", "--words-file", words.to_str().unwrap()];
        stage.site.dgnsd(&[&fixed[..], more].concat()).exits(0);
    }
    stage.server = stage.site.start();
    assert_ne!(stage.server.vkey(), old);
    let blank = Person::new();
    assert_eq!(stage.tries(&blank, PIN, &[], 5)["phase"], "proved");
    let kept = std::fs::read_to_string(stage.sites[0].data().join("log-keys")).unwrap();
    assert!(kept.contains(&format!("from {old}")) && kept.contains(stage.server.vkey()), "{kept}");
    for at in 0..3 {
        stage.servers.remove(at).stop().exits(0);
        let policy = format!("log {old}\nquorum none\n");
        let again = stage.sites[at].try_start(&stage.server.url, &policy, &[&stage.issuer], &["--dev"]);
        stage.servers.insert(at, again.unwrap());
    }
    let said = blank.dgns(&stage.server, &["recover", "alice", "--resume", "--wait"]).exits(0).json();
    assert_eq!(said["phase"], "recovered", "{said}");
}

#[test]
fn a_server_of_names_keeps_one_share_of_a_set_and_never_as_many_as_are_needed() {
    if lacks_issuers() {
        return;
    }
    let issuer = Issuer::start();
    let site = site(&[&issuer]).with("recovery", "enabled", "true").with("recovery", "operator", "\"The registry\"");
    let server = site.start();
    let alice = Person::new();
    let words = alice.up(&server, "alice");
    alice.dgns_with_input(&server, &["policy", "--window-s", "1", "--words"], &words).exits(0);
    let sites: Vec<_> = (1..=2).map(|n| RecoverySite::new(&format!("Operator {n}"))).collect();
    let others: Vec<_> = sites.iter().map(|site| site.start(&server, &[&issuer])).collect();
    // A second server in the same hand, whatever its operator calls himself: two of three would be enough.
    let same = RecoverySite::new("Somebody else").of_domain("shares.dgns.test");
    let same = same.start(&server, &[&issuer]);
    let asked = |last: &str| {
        let servers = format!("{},{},{last}", server.url, others[0].url);
        ["recovery", "set", "--servers", &servers, "--pin", PIN, "--no-browser"].map(str::to_owned).to_vec()
    };
    let text = |asked: &[String]| asked.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    let arguments = asked(&same.url);
    let refused = alice.dgns(&server, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(refused.exits(4).text("/code"), "same_operator", "{}", text(&arguments));
    assert!(refused.stderr.contains("2 of these servers are of one operator of the names of dgns.test"), "{refused}");

    let arguments = asked(&others[1].url);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = signs_in(&alice, &ADA, (&server, &issuer), &arguments, 0);
    assert_eq!(said["servers"][0]["operator"], "The registry", "{said}");
    let blank = Person::new();
    let asked = ["recover", "alice", "--pin", PIN, "--no-browser", "--wait"];
    assert_eq!(signs_in(&blank, &ADA, (&server, &issuer), &asked, 0)["phase"], "recovered");
    assert_eq!(server.get("/r/v1/stats").json()["released"].as_u64(), Some(1), "its share was one of those");
    assert!(site.data().join("keys/recovery.key").exists() && site.data().join("recovery.db").exists());
    server.stop().exits(0);
    site.dgnsd(&["fsck", "--deep"]).exits(0);
    let server = site.start();
    assert_eq!(server.get("/r/v1/info").status, 200);
}

#[test]
fn who_gives_recovery_up_has_every_share_erased_and_nobody_recovers_any_more() {
    if lacks_issuers() {
        return;
    }
    let mut stage = Stage::new(3, 1);
    stage.enrols(&stage.urls());
    let away = stage.servers.remove(2);
    away.stop().exits(0);
    let off = stage.alice.dgns_with_input(&stage.server, &["recovery", "off", "--words"], &stage.words);
    off.exits(0);
    assert!(!off.stderr.contains("has not erased"), "notes are for people: {off}");
    let rows = |server: &Server| server.get("/r/v1/stats").json()["rows"].as_u64();
    assert_eq!([rows(&stage.servers[0]), rows(&stage.servers[1])], [Some(0); 2]);
    let blank = Person::new();
    let refused = blank.dgns(&stage.server, &["recover", "alice", "--pin", PIN]).exits(4).json();
    assert_eq!(refused["code"], "no_recovery", "{refused}");
    // The one that was away erases when it is told, by anybody: the log says that it is over.
    let back = stage.sites[2].start(&stage.server, &[&stage.issuer]);
    assert_eq!(rows(&back), Some(1));
    let did = stage.alice.dgns(&stage.server, &["whoami"]).exits(0).text("/did");
    let did: identity::did::Did = did.parse().unwrap();
    let body = [&[0xa1, 0x01, 0x54][..], did.as_bytes()].concat();
    assert_eq!(back.post("/r/v1/erase", &body).status, 200);
    assert_eq!(rows(&back), Some(0));
    let status = stage.alice.dgns(&stage.server, &["recovery", "status"]).exits(0).json();
    assert!(status["recovery"].is_null(), "{status}");
}
