//! A recovery server before a log that cheats: it believes two histories no more than one, and says so for good.

use std::path::PathBuf;

use dgns_tests::harness::recovery::RecoverySite;
use dgns_tests::harness::token_issuer::{AUDIENCE, TokenIssuer};
use dgns_tests::harness::{Server, wait};
use identity::evidence::{Binding, Purpose};
use identity::hash::sha256;
use identity::key::KexSecret;
use identity::oprf::{Blinded, Server as Evaluator, WholeKey};
use identity::recovery::message::{Ask, Proof, Register, ServerInfo, seal_ask};
use identity::recovery::{Bundle, Hardening, Scope, Share};
use serde_json::Value;
use zeroize::Zeroizing;

use super::super::people::{Someone, origin};
use super::operator::{Operator, View};
use super::stories::{Story, base, fork, grown, longer_fork};
use super::table::{Caught, Victim};
use super::victims::judged;

/// A recovery server keeps a share for the first of a log's people, and is asked again.
pub const RECOVERY: Victim = Victim { name: "`dgnsd recovery`", meets: recovery };

fn recovery(story: Story) -> Caught {
    let operator = Operator::new(View::of(&story.met));
    let keeper = Keeper::start(&operator, &story);
    assert_eq!(keeper.registers(), "taken");
    let (says, took) = wait::timed(|| {
        operator.shows(story.shown);
        keeper.registers()
    });
    Caught { says, evidence: judged(keeper.evidence().first().map(PathBuf::as_path)), took }
}

/// A recovery server, its site and its issuer, and what one of the log's people asks of it.
struct Keeper {
    site: RecoverySite,
    server: Server,
    issuer: TokenIssuer,
    log: (String, String),
    person: Someone,
}

impl Keeper {
    fn start(operator: &Operator, story: &Story) -> Self {
        let issuer = TokenIssuer::start();
        let site = RecoverySite::new("Operator 1").with_issuer(&issuer.url, AUDIENCE);
        let policy = format!("log {}\nquorum none\n", story.met.signer().verifier_key());
        let log = (operator.url.clone(), policy);
        let server = started(&site, &log);
        Self { site, server, issuer, log, person: Someone::new(0).0 }
    }

    /// Kills it, and starts it again.
    fn again(self) -> Self {
        self.server.kill();
        let server = started(&self.site, &self.log);
        Self { server, ..self }
    }

    /// Asks it to keep a share; returns `taken`, or the status and code of what it says instead.
    fn registers(&self) -> String {
        let rng = &mut dgns_client::rng::system();
        let info = ServerInfo::open(&self.server.get("/r/v1/info").body, &origin()).unwrap();
        let share = WholeKey::generate(rng).split(2, 3, rng).unwrap().remove(0);
        assert!(Evaluator::from_scalar(share.secret()).is_ok());
        let (sign, kex) =
            (self.person.device.public(), KexSecret::from_bytes(sha256(&[&[4], &0_u64.to_be_bytes()])).public());
        let binding = Binding { purpose: Purpose::Enrolment, sign, kex, blinded: None, random: [7; 16] };
        let statement = Zeroizing::new(self.issuer.token("ada", &binding, |_| {}));
        let scope = Scope { did: self.person.did, epoch: 1 };
        let register = Register {
            bundle: Bundle { scope, hardening: Hardening::DEFAULT, words: false },
            key_share: Zeroizing::new(*share.secret()),
            backup_share: Share::new(1, [7; 32]),
            sign_ins: vec![Proof { issuer: self.issuer.url.clone(), statement, random: [7; 16], salt: [8; 16] }],
            needed: 1,
            blinded: *Blinded::new(b"a pin", rng).unwrap().element(),
            sign,
            kex,
        };
        let request = register.sign(&origin(), &self.person.device);
        let body = seal_ask(Ask::Register, (&info.key, &info.kex), &request, rng).unwrap();
        let answer = self.server.post("/r/v1/register", &body);
        if answer.status == 200 { "taken".into() } else { format!("{} `{}`", answer.status, answer.problem_code()) }
    }

    fn stats(&self) -> Value {
        self.server.get("/r/v1/stats").json()
    }

    /// The files that convict the log, or show what it said.
    fn evidence(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.site.data().join("evidence")).into_iter().flatten();
        let files = files.map(|file| file.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|extension| extension == "fault")).collect()
    }
}

fn started(site: &RecoverySite, (log, policy): &(String, String)) -> Server {
    site.try_start(log, policy, &[], &["--dev"]).unwrap_or_else(|ran| panic!("it does not start: {ran}"))
}

#[test]
fn a_recovery_server_that_saw_two_histories_does_nothing_more_until_its_operator_has_looked() {
    // Goal: no share is kept, evaluated or released under a log that forked, whichever of its histories is shown then. Method: a second
    // history, of the same size and longer; the first again; a kill and a restart; the mark erased.
    for (story, code, kind) in [(fork as fn() -> Story, "fork", "same-size"), (longer_fork, "inconsistent", "prefix")] {
        let story = story();
        let operator = Operator::new(View::of(&story.met));
        let keeper = Keeper::start(&operator, &story);
        assert_eq!(keeper.registers(), "taken");
        assert_eq!(keeper.server.get("/ready").status, 200);
        operator.shows(story.shown);
        assert_eq!(keeper.registers(), "502 `log_fault`");
        let stats = keeper.stats();
        assert_eq!(
            (stats["fault"]["code"].as_str(), stats["refused"]["log_fault"].as_u64()),
            (Some(code), Some(1)),
            "{stats}"
        );
        assert_eq!(keeper.server.get("/ready").status, 503);
        let [file] = &keeper.evidence()[..] else { panic!("one file: {:?}", keeper.evidence()) };
        assert_eq!(judged(Some(file)), format!("convicts: `{kind}`"));

        operator.shows(View::of(&story.met));
        assert_eq!(keeper.registers(), "502 `log_fault`", "the first history is no better than the second");
        let keeper = keeper.again();
        assert_eq!(keeper.registers(), "502 `log_fault`", "after a kill");
        assert_eq!(keeper.stats()["fault"]["code"], code);
        let erase = [&[0xa1, 0x01, 0x54][..], keeper.person.did.as_bytes()].concat();
        assert_eq!(keeper.server.post("/r/v1/erase", &erase).problem_code(), "log_fault", "what is kept stays");
        let logged = std::fs::read_to_string(keeper.site.log()).unwrap();
        assert!(logged.contains("THE LOG IS AT FAULT"), "{logged}");
        std::fs::remove_file(keeper.site.data().join("evidence/fault.json")).unwrap();
        let keeper = keeper.again();
        assert_eq!(keeper.registers(), "taken", "its operator has looked");
        assert!(keeper.stats()["fault"].is_null());
    }
}

#[test]
fn what_is_older_or_garbled_is_refused_and_ends_nothing() {
    // Goal: a network, or a server without the log's key, stops no recovery for good. Method: the head of before, and an answer with a
    // path that is none; then the honest log.
    let (before, _) = base();
    let met = grown(&before, [50]);
    let story = Story { shown: View::of(&before), met };
    let operator = Operator::new(View::of(&story.met));
    let keeper = Keeper::start(&operator, &story);
    assert_eq!(keeper.registers(), "taken");
    let garbled = View::of(&story.met).through(|path, mut answer| {
        if path.starts_with("/v1/dids/") {
            let last = answer.body.len() - 1;
            answer.body[last] ^= 1;
        }
        dgns_tests::harness::serve::Told::Answer(answer)
    });
    for wrong in [garbled, story.shown] {
        operator.shows(wrong);
        assert_eq!(keeper.registers(), "502 `log_proof`");
        assert_eq!(keeper.server.get("/ready").status, 200);
        operator.shows(View::of(&grown(&story.met, [51])));
        assert_eq!(keeper.registers(), "taken");
    }
    assert!(keeper.stats()["fault"].is_null());
}
