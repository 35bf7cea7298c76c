//! Real issuers, npm `oidc-provider` on loopback, and a browser played by plain HTTP.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use dgns_api::signin::{Finish, Finished, Start, Started};
use identity::evidence::{Binding, Purpose, sign_finish};
use identity::key::SigningKey;
use serde_json::Value;

use super::http::{self, Answer};
use super::load::origin;
use super::server::Server;
use super::site::Site;
use crate::skip::skip;

/// Where the sites of these tests say their pages are.
pub const PUBLIC_URL: &str = "http://localhost:5380";

/// A person as an issuer knows her.
pub const ADA: [(&str, &str); 2] = [("x-subject", "ada"), ("x-email", "ada@mail.test")];

/// The sealing key of devices that sign in here, unless a test says otherwise.
pub const KEX: [u8; 32] = [2; 32];

/// Returns whether the issuers are not installed; says so.
pub fn lacks_issuers() -> bool {
    let missing = !Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/web/node_modules/oidc-provider")).is_dir();
    if missing {
        skip("npm ci was not run in tests/web");
    }
    missing
}

/// A running issuer.
#[derive(Debug)]
pub struct Issuer {
    child: Child,
    /// Kept open: an issuer that cannot say what it thinks ends.
    _says: BufReader<ChildStdout>,
    /// Its URL, as it spells it itself.
    pub url: String,
}

impl Issuer {
    /// Starts an issuer that leads browsers back to the sites of these tests.
    pub fn start() -> Self {
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

    /// Tells it to do something: `/keys`, or `/lie?<what>`.
    pub fn told(&self, path: &str) {
        let answer = http::request(self.address(), "POST", path, &[], b"").expect("the issuer answers");
        assert_eq!(answer.status, 204, "{path}");
    }

    /// Plays the browser of a person who signs in and says yes: from the URL to the last redirect, which is returned.
    pub fn visit(&self, url: &str, person: &[(&str, &str)]) -> String {
        let to = self.leads_to(url, person);
        to.strip_prefix(PUBLIC_URL).unwrap_or_else(|| panic!("it leads to {to}")).to_owned()
    }

    /// As [`Issuer::visit`], to wherever it leads in the end.
    pub fn leads_to(&self, url: &str, person: &[(&str, &str)]) -> String {
        let (mut jar, mut path) = (BTreeMap::<String, String>::new(), url.trim_start_matches(&self.url).to_owned());
        for _ in 0..8 {
            let cookies = jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
            let headers = [person, &[("cookie", cookies.as_str())]].concat();
            let answer = http::request(self.address(), "GET", &path, &headers, b"").expect("the issuer answers");
            for (_, cookie) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
                let (name, value) = cookie.split(';').next().unwrap_or_default().split_once('=').unwrap_or_default();
                jar.insert(name.to_owned(), value.to_owned());
            }
            let to = answer.header("location").to_owned();
            assert!((300..400).contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
            if to.starts_with("http") && !to.starts_with(&self.url) {
                return to;
            }
            path = to.trim_start_matches(&self.url).to_owned();
        }
        panic!("the issuer leads in circles");
    }

    fn address(&self) -> SocketAddr {
        self.url.trim_start_matches("http://").parse().expect("an address")
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a site that believes these issuers, which it calls `a`, `b` and so on.
pub fn site(believed: &[&Issuer]) -> Site {
    let url = format!("\"{PUBLIC_URL}\"");
    Site::new().with("signin", "public_url", &url).with("signin", "issuers", &issuers(believed))
}

/// Returns `[signin] issuers` for these.
pub fn issuers(believed: &[&Issuer]) -> String {
    let table = |(id, issuer): (char, &&Issuer)| {
        format!("{{ id = \"{id}\", issuer = \"{}\", client_id = \"dgns\" }}", issuer.url)
    };
    let tables: Vec<String> = ('a'..).zip(believed).map(table).collect();
    format!("[{}]", tables.join(", "))
}

/// Returns what a device with this key begins a sign-in with.
pub fn start_body(device: &SigningKey, issuer: &str) -> Start {
    let (purpose, sign) = (Purpose::SignIn, device.public());
    Start { purpose, sign, kex: KEX, issuer: issuer.into(), port: None, blinded: None }
}

/// Begins a sign-in.
pub fn start(server: &Server, device: &SigningKey, issuer: &str) -> Started {
    start_of(server, &start_body(device, issuer))
}

/// As [`start`], with any body.
pub fn start_of(server: &Server, body: &Start) -> Started {
    let answer = server.post("/v1/signin/oidc/start", &body.encode());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let started = Started::decode(&answer.body).expect("the documented form");
    let Start { purpose, sign, kex, blinded, .. } = *body;
    let binding = Binding { purpose, sign, kex, blinded, random: started.random };
    assert!(started.go.contains(&format!("nonce={}", binding.nonce_text())), "the nonce is the device's own");
    assert!(started.go.contains("code_challenge_method=S256"));
    started
}

/// Returns what the page is led to: the code of the sign-in.
pub fn code(server: &Server, callback: &str) -> String {
    let answer = server.get(callback);
    let to = answer.header("location");
    assert_eq!((answer.status, to.starts_with(&format!("{PUBLIC_URL}/signin#"))), (303, true), "{to}");
    to.split("code=").nth(1).unwrap_or_else(|| panic!("no code: {to}")).to_owned()
}

/// Finishes a sign-in.
pub fn finish(server: &Server, started: &Started, device: &SigningKey, code: &str) -> Answer {
    let signature = sign_finish(&origin(), &started.state, device);
    server.post("/v1/signin/oidc/finish", &Finish { state: started.state, signature, answer: code.into() }.encode())
}

/// Signs a person in on a device with these keys.
pub fn sign_in(
    (server, issuer): (&Server, (&str, &Issuer)),
    (sign, kex): (&SigningKey, [u8; 32]),
    person: &[(&str, &str)],
) -> Finished {
    let started = start_of(server, &Start { kex, ..start_body(sign, issuer.0) });
    let answer = finish(server, &started, sign, &code(server, &issuer.1.visit(&started.go, person)));
    assert_eq!(answer.status, 200, "{}", answer.text());
    Finished::decode(&answer.body).expect("the documented form")
}
