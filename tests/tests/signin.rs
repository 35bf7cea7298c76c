//! Signing in at real issuers: npm `oidc-provider` on loopback, twice, and a browser played by plain HTTP.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use dgns_api::signin::{Branch, Finish, Finished, Start, Started};
use dgns_tests::harness::http::{self, Answer};
use dgns_tests::harness::server::Server;
use dgns_tests::harness::site::Site;
use dgns_tests::skip::skip;
use identity::evidence::{Binding, Purpose, evidence_hash, sign_finish};
use identity::key::SigningKey;
use identity::name::Origin;
use serde_json::Value;

/// Returns whether the issuers are not installed; says so.
fn lacks_issuers() -> bool {
    let missing =
        !std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/web/node_modules/oidc-provider")).is_dir();
    if missing {
        skip("npm ci was not run in tests/web");
    }
    missing
}

const PUBLIC_URL: &str = "http://id.dgns.test";

/// A running issuer.
struct Issuer {
    child: Child,
    /// Kept open: an issuer that cannot say what it thinks ends.
    _says: BufReader<ChildStdout>,
    url: String,
}

impl Issuer {
    fn start() -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/web");
        let mut command = Command::new("node");
        command.arg("issuer.mjs").arg(format!("{PUBLIC_URL}/v1/signin/oidc/callback")).current_dir(folder);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("node runs");
        let mut line = String::new();
        let mut says = BufReader::new(child.stdout.take().expect("it is piped"));
        says.read_line(&mut line).expect("it says where it is");
        let said: Value = serde_json::from_str(&line).expect("run `npm ci` in tests/web first");
        Self { child, _says: says, url: said["issuer"].as_str().expect("its URL").to_owned() }
    }

    fn address(&self) -> std::net::SocketAddr {
        self.url.trim_start_matches("http://").parse().expect("an address")
    }

    /// Plays the browser of a person who signs in and says yes: from the URL to the last redirect, which is returned.
    fn visit(&self, url: &str, person: &[(&str, &str)]) -> String {
        let (mut jar, mut path) = (BTreeMap::<String, String>::new(), url.trim_start_matches(&self.url).to_owned());
        for _ in 0..8 {
            let cookies = jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
            let headers = [person, &[("cookie", cookies.as_str())]].concat();
            let answer = http::request(self.address(), "GET", &path, &headers, b"").expect("the issuer answers");
            for (_, cookie) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
                let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
                jar.insert(name.to_owned(), value.to_owned());
            }
            let to = answer.header("location").to_owned();
            assert!(!to.is_empty(), "{}: {} {}", path, answer.status, answer.text());
            if to.starts_with(PUBLIC_URL) {
                return to.trim_start_matches(PUBLIC_URL).to_owned();
            }
            path = to.trim_start_matches(&self.url).to_owned();
        }
        panic!("the issuer leads in circles");
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const ADA: [(&str, &str); 2] = [("x-subject", "ada"), ("x-email", "ada@mail.test")];

fn site(issuers: &[&Issuer]) -> Site {
    let table = |(id, issuer): (char, &&Issuer)| {
        format!("{{ id = \"{id}\", issuer = \"{}\", client_id = \"dgns\" }}", issuer.url)
    };
    let tables: Vec<String> = ('a'..).zip(issuers).map(table).collect();
    Site::new().with("signin", "public_url", &format!("\"{PUBLIC_URL}\"")).with(
        "signin",
        "issuers",
        &format!("[{}]", tables.join(", ")),
    )
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

fn start_body(device: &SigningKey, issuer: &str) -> Start {
    let (purpose, sign) = (Purpose::SignIn, device.public());
    Start { purpose, sign, kex: [2; 32], issuer: issuer.into(), port: None, blinded: None }
}

fn start(server: &Server, device: &SigningKey, issuer: &str) -> Started {
    let answer = server.post("/v1/signin/oidc/start", &start_body(device, issuer).encode());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let started = Started::decode(&answer.body).unwrap();
    let (purpose, sign, random) = (Purpose::SignIn, device.public(), started.random);
    let binding = Binding { purpose, sign, kex: [2; 32], blinded: None, random };
    assert!(started.go.contains(&format!("nonce={}", binding.nonce_text())), "the nonce is the device's own");
    assert!(started.go.contains("code_challenge_method=S256"));
    started
}

/// Returns what the page is led to: the code of the sign-in.
fn code(server: &Server, callback: &str) -> String {
    let answer = server.get(callback);
    let to = answer.header("location");
    assert_eq!((answer.status, to.starts_with(&format!("{PUBLIC_URL}/signin#"))), (303, true), "{to}");
    to.split("code=").nth(1).unwrap_or_else(|| panic!("no code: {to}")).to_owned()
}

fn finish(server: &Server, started: &Started, device: &SigningKey, code: &str) -> Answer {
    let signature = sign_finish(&Origin::parse("dgns.test/log").unwrap(), &started.state, device);
    server.post("/v1/signin/oidc/finish", &Finish { state: started.state, signature, answer: code.into() }.encode())
}

#[test]
fn a_person_signs_in_once_and_a_replay_a_thief_and_another_issuer_get_nothing() {
    if lacks_issuers() {
        return;
    }
    let (a, b) = (Issuer::start(), Issuer::start());
    let site = site(&[&a, &b]);
    let server = site.start();
    let device = key(1);
    let started = start(&server, &device, "a");
    let code_a = code(&server, &a.visit(&started.go, &ADA));
    assert_eq!(finish(&server, &started, &key(2), &code_a).problem_code(), "bad_signature", "another device");
    let other = start(&server, &device, "b");
    assert_eq!(finish(&server, &other, &device, &code_a).problem_code(), "signin_refused", "another issuer's code");
    let answer = finish(&server, &started, &device, &code_a);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let finished = Finished::decode(&answer.body).unwrap();
    assert_eq!((finished.branch, finished.issuer.as_str(), finished.names), (Branch::New, a.url.as_str(), 5));
    assert_eq!(finished.evidence, evidence_hash(&finished.statement, &finished.random));
    assert_eq!(finish(&server, &started, &device, &code_a).problem_code(), "signin_expired", "a replay");
    let never = Started { state: [9; 32], ..started };
    assert_eq!(finish(&server, &never, &device, &code_a).problem_code(), "signin_expired", "a state of nobody");
}

#[test]
fn swapped_codes_unverified_addresses_and_unknown_issuers_are_refused() {
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let site = site(&[&a]);
    let server = site.start();
    let device = key(1);
    let (one, two) = (start(&server, &device, "a"), start(&server, &device, "a"));
    let codes = [&one, &two].map(|started| code(&server, &a.visit(&started.go, &ADA)));
    assert_eq!(finish(&server, &one, &device, &codes[1]).problem_code(), "signin_refused", "PKCE ties code to start");
    let three = start(&server, &device, "a");
    let unverified = [ADA.as_slice(), &[("x-unverified", "1")]].concat();
    let code_3 = code(&server, &a.visit(&three.go, &unverified));
    assert_eq!(finish(&server, &three, &device, &code_3).problem_code(), "email_unverified");
    let nobody = start_body(&device, "z").encode();
    assert_eq!(server.post("/v1/signin/oidc/start", &nobody).problem_code(), "unknown_issuer");
    let weak = Start { sign: [0; 32], ..start_body(&device, "a") }.encode();
    assert_eq!(server.post("/v1/signin/oidc/start", &weak).problem_code(), "weak_key");
    assert_eq!(server.post("/v1/signin/oidc/start", b"x").problem_code(), "bad_post");
}

#[test]
fn a_thousand_starts_from_one_address_are_limited() {
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let site = site(&[&a]);
    let server = site.start();
    let body = start_body(&key(1), "a").encode();
    let statuses: Vec<u16> = (0..1_000).map(|_| server.post("/v1/signin/oidc/start", &body).status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 30);
    assert!(statuses[30..].iter().all(|status| *status == 429));
}
