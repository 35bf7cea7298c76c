//! People whose devices ask for tokens, over HTTP by hand.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use data_encoding::BASE64URL_NOPAD;
use dgns_client::{clock, rng};
use dgns_tests::harness::http::{self, Answer};
use dgns_tests::harness::load::{NOTHING_SEEN, Poster, Somebody, origin};
use dgns_tests::harness::{Server, Site, wait};
use identity::cert::{Body, Certificate, Device, DeviceEnd, EndReason, Level};
use identity::did::Did;
use identity::key::SigningKey;
use identity::request::{Authorization, DID_HEADER, Request};
use identity::state::Subject;
use identity::token::{FeedPage, Lease, Pair, Refresh, Token};
use identity::wire::Writer;

/// A server with somebody on it.
pub struct Scene {
    pub site: Site,
    pub server: Server,
    pub poster: Poster,
}

impl Scene {
    pub fn new() -> Self {
        Self::at(Site::new())
    }

    pub fn at(site: Site) -> Self {
        let server = site.start();
        let poster = Poster::new(server.vkey());
        Self { site, server, poster }
    }

    /// Returns somebody whose name is claimed.
    pub fn somebody(&mut self, label: &str) -> Somebody {
        let (somebody, certificates) = Somebody::new(label, 1);
        self.poster.post(self.server.http, &certificates, &somebody.subject()).unwrap();
        somebody
    }

    /// Posts what somebody says.
    pub fn says(&mut self, somebody: &mut Somebody, body: Body) {
        let certificate = somebody.says(body);
        self.post(&certificate, somebody);
    }

    /// Posts a certificate about somebody's DID.
    pub fn post(&mut self, certificate: &Certificate, of: &Somebody) {
        let subject = Subject::Did(of.did);
        self.poster.post(self.server.http, std::slice::from_ref(certificate), &subject).unwrap();
    }

    /// Adds a device to somebody; returns its key.
    pub fn device_of(&mut self, somebody: &mut Somebody, number: u8) -> SigningKey {
        let key = SigningKey::from_seed(&[number; 32]);
        let kex = identity::key::KexSecret::from_bytes([number; 32]).public();
        let device = Device { sign: key.public(), kex, level: Level::Member, label_hash: [0; 32] };
        let place = somebody.next;
        let keys = [&somebody.device.sign, &key];
        let certificate = place.sign(Body::DeviceAdd(device), None, &origin(), &keys).unwrap();
        somebody.next = place.next(&certificate);
        self.post(&certificate, somebody);
        key
    }

    /// The server's own DID.
    pub fn server_did(&self) -> Did {
        self.server.get("/v1/info").json()["server_did"].as_str().unwrap().parse().unwrap()
    }

    /// Asks with a lease, signing the nonce that comes.
    pub fn ask(&self, path: &str, lease: &Lease, key: &SigningKey) -> Answer {
        let mut lease = lease.clone();
        let first = self.server.post(path, &lease.encode());
        if first.status != 401 || first.problem_code() != "nonce_wanted" {
            return first;
        }
        lease.prove(nonce(&first), &origin(), key);
        self.server.post(path, &lease.encode())
    }

    /// Leases a token for somebody's first device.
    pub fn lease(&self, somebody: &Somebody) -> Pair {
        pair(&self.ask("/v1/token/lease", &lease_of(somebody), &somebody.device.sign))
    }

    pub fn refresh(&self, pair: &Pair, key: &SigningKey) -> Answer {
        let ask = Refresh::sign(pair.token.clone(), pair.guard.clone(), &origin(), key);
        self.server.post("/v1/token/refresh", &ask.encode())
    }

    /// Sends a request that a device of `did` signs; signed anew while the server takes nothing from the second of its start.
    pub fn signed(&self, did: &Did, key: &SigningKey, method: &str, target: &str, body: &[u8]) -> Answer {
        wait::until("the second of the start is over", || {
            let answer = self.signed_once(did, key, method, target, body);
            (answer.status != 401 || answer.problem_code() != "request_time").then_some(answer)
        })
    }

    fn signed_once(&self, did: &Did, key: &SigningKey, method: &str, target: &str, body: &[u8]) -> Answer {
        let authorization = self.authorization(did, key, method, target, body);
        let did = did.to_string();
        let headers = [("authorization", authorization.as_str()), (DID_HEADER, did.as_str())];
        http::request(self.server.http, method, target, &headers, body).unwrap()
    }

    /// Opens the stream of what a DID's devices are told, from the first event on, and reads until it says `until`.
    pub fn told(&self, did: &Did, key: &SigningKey, until: &str) -> TcpStream {
        wait::until("the second of the start is over", || {
            let authorization = self.authorization(did, key, "GET", "/v1/events", b"");
            let mut stream = http::connect(self.server.http).unwrap();
            let request = format!(
                "GET /v1/events HTTP/1.1\r\nhost: dgns\r\nconnection: close\r\nauthorization: {authorization}\r\n{DID_HEADER}: {did}\r\nlast-event-id: 0\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).unwrap();
            let (mut seen, mut buffer) = (Vec::new(), [0; 1_024]);
            while !seen.windows(until.len()).any(|window| window == until.as_bytes()) {
                let read = stream.read(&mut buffer).unwrap();
                seen.extend_from_slice(&buffer[..read]);
                if read == 0 || seen.starts_with(b"HTTP/1.1 4") {
                    return None;
                }
            }
            Some(stream)
        })
    }

    fn authorization(&self, did: &Did, key: &SigningKey, method: &str, target: &str, body: &[u8]) -> String {
        let log = origin();
        let request = Request { origin: &log, did, method, target, body };
        let now_s = clock::now().as_ms() / 1_000;
        Authorization::sign(&request, key, now_s, &mut rng::system()).unwrap().to_string()
    }

    /// Returns the page behind `since`, its signature checked.
    pub fn page(&self, since: u64) -> FeedPage {
        let answer = self.server.get(&format!("/v1/revocations?since={since}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        FeedPage::verify(&answer.body, &origin(), &self.feed_key(), since).unwrap()
    }

    /// The key of the server's device, from the data directory.
    pub fn feed_key(&self) -> [u8; 32] {
        let line = std::fs::read_to_string(self.site.data().join("keys").join("server.key")).unwrap();
        let seed = data_encoding::HEXLOWER.decode(line.split(' ').nth(2).unwrap().as_bytes()).unwrap();
        SigningKey::from_seed(&seed.try_into().unwrap()).public()
    }
}

/// A lease of somebody's first device, for the server, without scopes.
pub fn lease_of(somebody: &Somebody) -> Lease {
    Lease {
        did: somebody.did,
        kid: somebody.device.sign.kid(),
        audience: None,
        scope: Vec::new(),
        life_s: None,
        chain: Vec::new(),
        proof: None,
    }
}

pub fn nonce(answer: &Answer) -> [u8; 16] {
    let text = answer.json()["nonce"].as_str().expect("a nonce").to_owned();
    BASE64URL_NOPAD.decode(text.as_bytes()).unwrap().try_into().unwrap()
}

pub fn pair(answer: &Answer) -> Pair {
    assert_eq!(answer.status, 200, "{}", answer.text());
    Pair::decode(&answer.body).unwrap()
}

pub fn said(pair: &Pair) -> Token {
    Token::read_unverified(&pair.token).unwrap()
}

pub fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.problem_code().as_str()), (status, code), "{}", answer.text());
}

/// The end of a device, as a body of either act.
pub fn end_of(key: &SigningKey) -> DeviceEnd {
    DeviceEnd { kid: key.kid(), reason: EndReason::Stolen }
}

/// The body of a revocation of a family.
pub fn of_family(rid: &[u8; 8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.map(1).uint(1).bytes(rid);
    writer.finish()
}

/// The body of a revocation of a grant.
pub fn of_grant(sid: &[u8; 32]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.map(1).uint(2).bytes(sid);
    writer.finish()
}

/// Nobody's chain.
pub fn nobody() -> Somebody {
    let mut somebody = Somebody::new("nobody", 1).0;
    somebody.next.seen = NOTHING_SEEN;
    somebody
}
