//! Recovery servers asked directly: the published cases of RFC 9497 with the key split among them, what they refuse, and what a lost
//! answer, a power cut and an old disk change: nothing.

use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use data_encoding::HEXLOWER;
use dgns::clock::Clock;
use dgns::people::events::EventKind;
use dgns_api::signin::Start;
use dgns_tests::harness::http::{self, Answer};
use dgns_tests::harness::issuer::{ADA, Issuer, code, finish, lacks_issuers, site, start_body, start_of};
use dgns_tests::harness::journey::signs_in;
use dgns_tests::harness::load::{Somebody, origin};
use dgns_tests::harness::recovery::RecoverySite;
use dgns_tests::harness::serve::{Told, serve};
use dgns_tests::harness::token_issuer::{AUDIENCE, TokenIssuer};
use dgns_tests::harness::{Person, Server, Site, wait};
use identity::cert::{Attempt, Body, Certificate, Enrolment, RecoverOpen, RecoveryServer, RecoverySet, Sid};
use identity::did::Did;
use identity::evidence::{Binding, Purpose, issuer_hash};
use identity::key::{KexSecret, SigningKey};
use identity::oprf::{Blinded, WholeKey};
use identity::recovery::message::{Ask, Evaluate, Evaluated, Proof, Register, Release, ServerInfo, seal_ask};
use identity::recovery::{Bundle, Hardening, Scope, Share};
use identity::time::Timestamp;
use serde_json::Value;
use storage::people::{AccountRow, AttestedRow};
use zeroize::Zeroizing;

/// The key of RFC 9497, A.1.2, and its first two cases: input, blind and output.
const KEY: &str = "e6f73f344b79b379f1a0dd37e07ff62e38d9f71345ce62ae3a9bc60b04ccd909";
const BLIND: &str = "64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706";
const PUBLISHED: [(&str, &str, &str); 2] = [
    (
        "00",
        "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945",
        "b58cfbe118e0cb94d79b5fd6a6dafb98764dff49c14e1770b566e42402da1a7d\
         a4d8527693914139caee5bd03903af43a491351d23b430948dd50cde10d32b3c",
    ),
    (
        "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
        "cc0b2a350101881d8a4cba4c80241d74fb7dcbfde4a61fde2f91443c2bf9ef0c",
        "8a9a2f3c7f085b65933594309041fc1898d42d0858e59f90814ae90571a6df60\
         356f4610bf816f27afdd84f47719e480906d27ecd994985890e5f539e7ea74b6",
    ),
];

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
}

/// A log with alice in it, whose device's keys the test has in hand.
struct Stage {
    issuer: Issuer,
    _site: Site,
    server: Server,
    alice: Person,
    did: Did,
    sign: SigningKey,
    kex: KexSecret,
}

impl Stage {
    fn new() -> Self {
        let issuer = Issuer::start();
        let site = site(&[&issuer]);
        let server = site.start();
        let alice = Person::new();
        let words = alice.up(&server, "alice");
        alice.dgns_with_input(&server, &["policy", "--window-s", "2", "--words"], &words).exits(0);
        let file = fs::read(alice.home().join("dgns.test/device.json")).unwrap();
        let file: Value = serde_json::from_slice(&file).unwrap();
        let secret = |key: &str| bytes::<32>(file[key].as_str().unwrap());
        let (sign, kex) = (SigningKey::from_seed(&secret("sign")), KexSecret::from_bytes(secret("kex")));
        let did = file["did"].as_str().unwrap().parse().unwrap();
        Self { issuer, _site: site, server, alice, did, sign, kex }
    }

    /// A sign-in of alice's device, for a purpose.
    fn proof(&self, purpose: Purpose, blinded: Option<[u8; 32]>) -> Proof {
        let body = Start { purpose, blinded, kex: self.kex.public(), ..start_body(&self.sign, "a") };
        let started = start_of(&self.server, &body);
        let answer =
            finish(&self.server, &started, &self.sign, &code(&self.server, &self.issuer.visit(&started.go, &ADA)));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let finished = dgns_api::signin::Finished::decode(&answer.body).unwrap();
        let statement = Zeroizing::new(finished.statement);
        Proof { issuer: self.issuer.url.clone(), statement, random: started.random, salt: finished.random }
    }

    fn register(&self, epoch: u32, share: (u8, &[u8; 32]), blinded: [u8; 32], proof: &Proof) -> Register {
        let scope = Scope { did: self.did, epoch };
        Register {
            bundle: Bundle { scope, hardening: Hardening::DEFAULT, words: false },
            key_share: Zeroizing::new(*share.1),
            backup_share: Share::new(share.0, [7; 32]),
            sign_ins: vec![proof.clone()],
            needed: 1,
            blinded,
            sign: self.sign.public(),
            kex: self.kex.public(),
        }
    }
}

fn info(server: &Server) -> ServerInfo {
    ServerInfo::open(&server.get("/r/v1/info").body, &origin()).unwrap()
}

fn post(at: SocketAddr, path: &str, body: &[u8]) -> Answer {
    http::request(at, "POST", path, &[("content-type", "application/cbor")], body).unwrap()
}

fn asked(server: &Server, ask: Ask, path: &str, request: &[u8]) -> Answer {
    let info = info(server);
    let body = seal_ask(ask, (&info.key, &info.kex), request, &mut dgns_client::rng::system()).unwrap();
    post(server.http, path, &body)
}

#[test]
fn the_cases_of_rfc_9497_pass_with_the_key_split_among_real_servers() {
    if lacks_issuers() {
        return;
    }
    let stage = Stage::new();
    let sites: Vec<_> = (1..=3).map(|n| RecoverySite::new(&format!("Operator {n}"))).collect();
    let servers: Vec<_> = sites.iter().map(|site| site.start(&stage.server, &[&stage.issuer])).collect();
    let proof = stage.proof(Purpose::Enrolment, None);
    let key = WholeKey::from_bytes(&bytes(KEY)).unwrap();
    for (input, element, output) in PUBLISHED {
        let input = HEXLOWER.decode(input.as_bytes()).unwrap();
        let blinded = Blinded::again(&input, &bytes(BLIND)).unwrap();
        assert_eq!(*blinded.element(), bytes(element));
        let shares = key.split(2, 3, &mut dgns_client::rng::system()).unwrap();
        let answers: Vec<_> = servers
            .iter()
            .zip(&shares)
            .map(|(server, share)| {
                let register = stage.register(1, (share.index, share.secret()), *blinded.element(), &proof);
                let request = register.sign(&origin(), &stage.sign);
                let answer = asked(server, Ask::Register, "/r/v1/register", &request);
                assert_eq!(answer.status, 200, "{}", answer.text());
                let evaluated = Evaluated::decode(&answer.body).unwrap();
                let pk = identity::oprf::Server::from_scalar(share.secret()).unwrap().public();
                blinded.check_share(&evaluated.element, &evaluated.proof, &pk).unwrap();
                (share.index, evaluated.element)
            })
            .collect();
        for two in [[0, 1], [0, 2], [1, 2]] {
            let two = two.map(|at| answers[at]);
            assert_eq!(*blinded.combine(&two).unwrap(), bytes::<64>(output), "servers {} and {}", two[0].0, two[1].0);
        }
    }
}

#[test]
fn what_is_not_as_it_should_be_is_refused_by_its_code_and_changes_nothing() {
    if lacks_issuers() {
        return;
    }
    let stage = Stage::new();
    let recovery = RecoverySite::new("Operator 1");
    let server = recovery.start(&stage.server, &[&stage.issuer]);
    let (proof, share) = (stage.proof(Purpose::Enrolment, None), bytes::<32>(KEY));
    let point = bytes(PUBLISHED[0].1);
    let good = || stage.register(1, (1, &share), point, &proof);
    let check = |name: &str, register: Register, by: &SigningKey, expected: &str| {
        let answer = asked(&server, Ask::Register, "/r/v1/register", &register.sign(&origin(), by));
        assert_eq!(answer.problem_code(), expected, "{name}");
    };
    let other = SigningKey::from_seed(&[9; 32]);
    let with = |edit: &dyn Fn(&mut Proof)| {
        let mut register = good();
        edit(&mut register.sign_ins[0]);
        register
    };
    check("another signer", good(), &other, "bad_signature");
    check("no device of hers", Register { sign: other.public(), ..good() }, &other, "not_allowed");
    check("a kex that is not the device's", Register { kex: [3; 32], ..good() }, &stage.sign, "not_allowed");
    check("an epoch that is not next", stage.register(2, (1, &share), point, &proof), &stage.sign, "bad_epoch");
    check("a share that is no scalar", stage.register(1, (1, &[0xff; 32]), point, &proof), &stage.sign, "bad_point");
    check("a point that is none", stage.register(1, (1, &share), [0; 32], &proof), &stage.sign, "bad_point");
    check("another nonce", with(&|proof| proof.random = [0; 16]), &stage.sign, "nonce");
    check("another issuer", with(&|proof| proof.issuer = "https://x.example".into()), &stage.sign, "unknown_issuer");
    check("no token", with(&|proof| proof.statement = Zeroizing::new(b"a.b.c".to_vec())), &stage.sign, "id_token");
    let sign_in = stage.proof(Purpose::SignIn, None);
    check("a sign-in for something else", stage.register(1, (1, &share), point, &sign_in), &stage.sign, "nonce");
    let broken = with(&|proof| {
        let at = proof.statement.len() - 8;
        proof.statement[at] ^= 1;
    });
    check("a token with another signature", broken, &stage.sign, "id_token");
    assert_eq!(server.get("/r/v1/stats").json()["rows"].as_u64(), Some(0), "nothing was kept");

    let scope = Scope { did: stage.did, epoch: 1 };
    let evaluate = Evaluate { scope, attempt: 1, sign_ins: vec![proof.clone()] };
    let refused = |ask, path, request: &[u8]| asked(&server, ask, path, request).problem_code();
    assert_eq!(refused(Ask::Evaluate, "/r/v1/evaluate", &evaluate.encode()), "no_row");
    let answer = asked(&server, Ask::Register, "/r/v1/register", &good().sign(&origin(), &stage.sign));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(refused(Ask::Evaluate, "/r/v1/evaluate", &evaluate.encode()), "no_recovery", "the log knows no attempt");
    let release = Release { scope, attempt: 1, server: info(&server).key };
    assert_eq!(refused(Ask::Release, "/r/v1/release", &release.sign(&origin(), &stage.sign)), "no_recovery");
    let elsewhere = Release { server: [1; 32], ..release };
    assert_eq!(refused(Ask::Release, "/r/v1/release", &elsewhere.sign(&origin(), &stage.sign)), "bad_field");
    assert_eq!(refused(Ask::Register, "/r/v1/evaluate", &evaluate.encode()), "not_opened", "sealed for something else");
    assert_eq!(post(server.http, "/r/v1/evaluate", b"junk").problem_code(), "bad_field");
    assert_eq!(post(server.http, "/r/v1/evaluate", &vec![0; 40_000]).problem_code(), "too_large");
    assert_eq!(server.get(&format!("/r/v1/bundles/{}", "00".repeat(32))).problem_code(), "not_found");
    assert_eq!(server.get("/r/v1/bundles/xyz").problem_code(), "bad_query");

    // A row that the log never names goes when newer ones come: a stolen device fills no disk.
    for number in 1..=6_u8 {
        let mut share = [0; 32];
        share[0] = number;
        let register = stage.register(1, (1, &share), point, &proof).sign(&origin(), &stage.sign);
        assert_eq!(asked(&server, Ask::Register, "/r/v1/register", &register).status, 200);
    }
    assert_eq!(server.get("/r/v1/stats").json()["rows"].as_u64(), Some(4));
    stage.server.kill_now();
    let answer = asked(&server, Ask::Register, "/r/v1/register", &good().sign(&origin(), &stage.sign));
    assert_eq!((answer.status, answer.problem_code().as_str()), (503, "log_unavailable"));
}

#[test]
fn a_policy_without_witnesses_needs_dev_and_heads_need_their_quorum() {
    if lacks_issuers() {
        return;
    }
    let stage = Stage::new();
    let recovery = RecoverySite::new("Operator 1");
    let (log, vkey) = (stage.server.url.as_str(), stage.server.vkey());
    let believed = [&stage.issuer];
    let ran = recovery.run(log, &format!("log {vkey}\nquorum none\n"), &believed, &[]);
    assert!(ran.exits(1).stderr.contains("asks for no witness"), "{ran}");
    let ran = recovery.run(log, "quorum none\n", &believed, &["--dev"]);
    assert!(ran.exits(1).stderr.contains("should name one"), "{ran}");
    // A log that its witness has not signed for is not believed.
    let witness = dgns_tests::harness::witness::WitnessSite::new();
    let cosigner = witness.start(&[vkey]);
    let policy = format!("log {vkey}\nwitness w {}\nquorum w\n", cosigner.vkey());
    let server = recovery.try_start(log, &policy, &believed, &[]).unwrap();
    let proof = stage.proof(Purpose::Enrolment, None);
    let register = stage.register(1, (1, &bytes(KEY)), bytes(PUBLISHED[0].1), &proof);
    let answer = asked(&server, Ask::Register, "/r/v1/register", &register.sign(&origin(), &stage.sign));
    assert_eq!((answer.status, answer.problem_code().as_str()), (502, "log_proof"), "{}", answer.text());
    assert!(answer.text().contains("quorum"), "{}", answer.text());
    let _ = stage.alice;
}

#[test]
fn a_repeated_request_a_power_cut_and_an_old_disk_give_the_same_answer_and_no_second_guess() {
    if lacks_issuers() {
        return;
    }
    let stage = Stage::new();
    let sites: Vec<_> = (1..=3).map(|n| RecoverySite::new(&format!("Operator {n}"))).collect();
    let mut servers: Vec<_> = sites.iter().map(|site| site.start(&stage.server, &[&stage.issuer])).collect();
    // Somebody in between writes down what the first server is asked, and lets no answer to an evaluation through.
    type Seen = Arc<Mutex<Vec<Vec<u8>>>>;
    let seen = Seen::default();
    let urls: Vec<String> = servers
        .iter()
        .map(|server| {
            let (seen, to) = (seen.clone(), server.http);
            serve(move |request| {
                let head = request.bytes.windows(4).position(|end| end == b"\r\n\r\n").map_or(0, |at| at + 4);
                let (method, path, body) =
                    (request.line.split(' ').next().unwrap(), request.path(), &request.bytes[head..]);
                if path == "/r/v1/evaluate" {
                    seen.lock().unwrap().push(body.to_vec());
                    let _ = http::request(to, method, path, &[], body);
                    return Told::Cut;
                }
                http::request(to, method, path, &[], body).map_or(Told::Cut, Told::Answer)
            })
        })
        .collect();
    let enrol = ["recovery", "set", "--servers", &urls.join(","), "--pin", "739164", "--no-browser"];
    signs_in(&stage.alice, &ADA, (&stage.server, &stage.issuer), &enrol, 0);
    let disk = {
        servers.remove(0).stop().exits(0);
        let disk = sites[0].disk();
        servers.insert(0, sites[0].start(&stage.server, &[&stage.issuer]));
        disk
    };
    let thief = Person::new();
    let at = (&stage.server, &stage.issuer);
    signs_in(&thief, &ADA, at, &["recover", "alice", "--pin", "739164", "--no-browser"], 2);
    let requests = seen.lock().unwrap().clone();
    // Which of them is the first server's, only that server can tell.
    let answered = |server: &Server| {
        let answers = requests.iter().map(|body| post(server.http, "/r/v1/evaluate", body));
        let good: Vec<_> = answers.filter(|answer| answer.status == 200).collect();
        assert!(!good.is_empty(), "none of {} requests is answered", requests.len());
        Evaluated::decode(&good[0].body).unwrap().element
    };
    let before = answered(&servers[0]);
    servers.remove(0).kill();
    servers.insert(0, sites[0].start(&stage.server, &[&stage.issuer]));
    assert_eq!(answered(&servers[0]), before, "after a power cut");
    servers.remove(0).kill();
    sites[0].put_disk(&disk);
    servers.insert(0, sites[0].start(&stage.server, &[&stage.issuer]));
    assert_eq!(answered(&servers[0]), before, "with the disk of before: the same point, and no other");
    for other in &servers[1..] {
        let codes: Vec<_> = requests.iter().map(|body| post(other.http, "/r/v1/evaluate", body).status).collect();
        assert!(codes.contains(&400), "what was sealed to one server no other opens: {codes:?}");
    }
    // The veto ends it for whoever repeats later too.
    stage.alice.dgns(&stage.server, &["veto"]).exits(0);
    for body in &requests {
        let refused = post(servers[0].http, "/r/v1/evaluate", body);
        assert!(["burnt", "not_opened"].contains(&refused.problem_code().as_str()), "{}", refused.text());
    }
    let resolved = Person::new().dgns(&stage.server, &["resolve", "alice"]).exits(0).json();
    assert_eq!(resolved["recovery"]["guesses"].as_u64(), Some(1), "{resolved}");
}

#[test]
fn an_id_token_that_is_wrong_in_any_way_begins_nothing_at_a_recovery_server() {
    // Goal: a recovery server judges itself what the server of names would have judged. Method: an issuer whose tokens are made here,
    // each wrong in one way; the log, the device and the request are right.
    let issuer = TokenIssuer::start();
    let site = Site::new();
    let log = site.start();
    let alice = Person::new();
    alice.up(&log, "alice");
    let (did, sign, kex) = keys_of(&alice);
    let recovery = RecoverySite::new("Operator 1").with_issuer(&issuer.url, AUDIENCE);
    let server = recovery.start(&log, &[]);
    let binding =
        Binding { purpose: Purpose::Enrolment, sign: sign.public(), kex: kex.public(), blinded: None, random: [7; 16] };
    let code = |binding: &Binding, bend: fn(&mut Value)| {
        let statement = Zeroizing::new(issuer.token("ada", binding, bend));
        let register = Register {
            bundle: Bundle { scope: Scope { did, epoch: 1 }, hardening: Hardening::DEFAULT, words: false },
            key_share: Zeroizing::new(bytes(KEY)),
            backup_share: Share::new(1, [7; 32]),
            sign_ins: vec![Proof { issuer: issuer.url.clone(), statement, random: [7; 16], salt: [8; 16] }],
            needed: 1,
            blinded: bytes(PUBLISHED[0].1),
            sign: sign.public(),
            kex: kex.public(),
        };
        let answer = asked(&server, Ask::Register, "/r/v1/register", &register.sign(&origin(), &sign));
        if answer.status == 200 { "taken".to_owned() } else { answer.problem_code() }
    };
    type Bend = fn(&mut Value);
    let wrong: [(&str, Bend); 7] = [
        ("audience", |claims| claims["aud"] = "another".into()),
        ("audience", |claims| claims["aud"] = serde_json::json!(["dgns", "another"])),
        ("audience", |claims| claims["azp"] = "another".into()),
        ("issuer", |claims| claims["iss"] = "https://issuer.example".into()),
        ("expired", |claims| claims["exp"] = (claims["iat"].as_u64().unwrap() - 1).into()),
        ("expired", |claims| claims["iat"] = (claims["iat"].as_u64().unwrap() - 601).into()),
        ("expired", |claims| claims["iat"] = (claims["iat"].as_u64().unwrap() + 660).into()),
    ];
    for (expected, bend) in wrong {
        assert_eq!(code(&binding, bend), expected);
    }
    let others = [
        Binding { sign: [9; 32], ..binding },
        Binding { kex: [9; 32], ..binding },
        Binding { random: [9; 16], ..binding },
        Binding { purpose: Purpose::SignIn, ..binding },
        Binding { purpose: Purpose::Recovery, blinded: Some([9; 32]), ..binding },
    ];
    for other in others {
        assert_eq!(code(&other, |_| {}), "nonce", "another device's, purpose's or attempt's: {other:?}");
    }
    assert_eq!(server.get("/r/v1/stats").json()["rows"].as_u64(), Some(0), "nothing was kept");
    assert_eq!(code(&binding, |_| {}), "taken");
}

/// The DID and the keys of a person's device.
fn keys_of(person: &Person) -> (Did, SigningKey, KexSecret) {
    let file = fs::read(person.home().join("dgns.test/device.json")).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    let secret = |key: &str| bytes::<32>(file[key].as_str().unwrap());
    let did = file["did"].as_str().unwrap().parse().unwrap();
    (did, SigningKey::from_seed(&secret("sign")), KexSecret::from_bytes(secret("kex")))
}

/// A log in this process, whose clock the test sets, with somebody who enrolled there.
struct Days {
    server: dgns::server::Server,
    clock: Clock,
    now_ms: u64,
    alice: Somebody,
    _data: tempfile::TempDir,
}

impl Days {
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let issuer = r#"[{ id = "a", name = "A", issuer = "https://issuer.example", client_id = "dgns" }]"#;
        let toml = format!(
            "data = {:?}\nhttp.listen = \"127.0.0.1:0\"\ndns.listen = []\nclaims.work_bits = 1\nsignin.issuers = {issuer}\n",
            data.path().join("data").display().to_string()
        );
        let now_ms = dgns_client::clock::now().as_ms();
        let clock = Clock::fixed_for_tests(Timestamp::from_ms(now_ms));
        let config = dgns::config::Config::from_toml(&toml).unwrap();
        let server = dgns::server::Server::start(config, clock.clone()).await.unwrap();
        let (alice, certificates) = Somebody::new("alice", 1);
        let days = Self { server, clock, now_ms, alice, _data: data };
        days.posts(certificates).await;
        days
    }

    async fn posts(&self, certificates: Vec<Certificate>) {
        let envelopes = certificates.iter().map(Certificate::encode).collect();
        let post = dgns_api::post::Post { envelopes, attachments: Vec::new() };
        let app = &self.server.app;
        app.door().unwrap().submit(&app.core, app.people.as_deref(), &post, [127, 0, 0, 1].into()).await.unwrap();
    }

    /// Lets time pass, and somebody write, so that the log sees it.
    async fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.clock.set_for_tests(Timestamp::from_ms(self.now_ms));
        let records = self.alice.points_to([192, 0, 2, (self.now_ms % 250) as u8]);
        self.posts(vec![records]).await;
    }

    /// Says something by other keys than the device's.
    async fn says(&mut self, body: Body, keys: &[&SigningKey]) -> Sid {
        let certificate = self.alice.next.sign(body, None, &origin(), keys).unwrap();
        self.alice.next = self.alice.next.next(&certificate);
        let sid = certificate.sid();
        self.posts(vec![certificate]).await;
        sid
    }

    /// Waits until her devices were told so often of this.
    async fn told(&self, kind: EventKind, times: usize) {
        let people = self.server.app.people.as_ref().unwrap();
        let deadline = tokio::time::Instant::now() + wait::PATIENCE;
        loop {
            let events = people.store.events_after(&self.alice.did, 0).await.unwrap();
            let found = events.iter().filter(|event| event.kind == kind as u8).count();
            if found == times {
                return;
            }
            assert!(found < times && tokio::time::Instant::now() < deadline, "{found} times {kind:?}, not {times}");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_are_told_at_the_attempt_its_proof_and_daily_and_its_notary_is_counted() {
    const DAY_MS: u64 = 86_400_000;
    let mut days = Days::new().await;
    let (k, new) = (SigningKey::from_seed(&[70; 32]), SigningKey::from_seed(&[71; 32]));
    let rng = &mut dgns_client::rng::system();
    let shares = WholeKey::generate(rng).split(2, 3, rng).unwrap();
    let named = |at: usize| RecoveryServer {
        url: format!("https://{at}.example"),
        operator: format!("Operator {at}"),
        key: SigningKey::from_seed(&[at as u8; 32]).public(),
        oprf: identity::oprf::Server::from_scalar(shares[at - 1].secret()).unwrap().public(),
    };
    let enrolment = Enrolment {
        servers: (1..=3).map(named).collect(),
        threshold: 2,
        sign: k.public(),
        kex: KexSecret::generate(rng).public(),
        bundle: [5; 32],
        sign_ins: vec![[6; 32]],
        needed: 1,
    };
    let device = days.alice.device.sign.clone();
    days.says(Body::RecoverySet(RecoverySet { epoch: 1, enrolment: Some(enrolment) }), &[&device]).await;
    days.pass(2 * DAY_MS).await; // an account of a day ago has its whole window: three days

    let people = days.server.app.people.clone().unwrap();
    let (now_s, account) = (days.now_ms / 1_000, [8; 32]);
    let row = AttestedRow {
        evidence: [9; 32],
        account,
        email: None,
        issuer: issuer_hash("https://issuer.example"),
        sign: new.public(),
        kex: [7; 32],
        until_s: now_s + 3_600,
    };
    people.store.put_attested(&row, now_s).await.unwrap();
    let pin = AccountRow { account, did: days.alice.did, email: None, since_s: now_s };
    people.store.pin_account(&pin).await.unwrap();
    let attempt = Attempt { epoch: 1, number: 1 };
    let blinded = *Blinded::new(b"a pin", rng).unwrap().element();
    let open = RecoverOpen { attempt, sign: new.public(), kex: [7; 32], blinded, evidence: vec![[9; 32]] };
    let act = days.says(Body::RecoverOpen(open), &[&new]).await;
    days.told(EventKind::RecoveryOpen, 1).await;
    days.told(EventKind::RecoveryProved, 0).await;
    let http = days.server.http;
    let counts = move || {
        let answer = http::request(http, "GET", "/v1/notaries", &[], b"").unwrap();
        let notary = answer.json()["notaries"][0].clone();
        (notary["attempts"].as_u64().unwrap(), notary["failed"].as_u64().unwrap())
    };
    assert_eq!(tokio::task::spawn_blocking(counts).await.unwrap(), (1, 1), "begun, and nothing came of it yet");

    days.says(Body::RecoverProve(attempt), &[&k, &new]).await;
    days.told(EventKind::RecoveryProved, 1).await;
    assert_eq!(tokio::task::spawn_blocking(counts).await.unwrap(), (1, 0));
    for day in 1..=2 {
        days.pass(DAY_MS).await;
        days.told(EventKind::RecoveryProved, 1 + day).await;
    }
    days.pass(DAY_MS).await; // ready
    days.told(EventKind::RecoveryProved, 4).await;
    days.says(Body::Veto { act }, &[&device]).await;
    days.pass(2 * DAY_MS).await;
    days.told(EventKind::RecoveryProved, 4).await;
}
