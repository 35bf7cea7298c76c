//! Certificates of people who exist only for a test, and posts of them whose answers are verified.

use std::io;
use std::net::SocketAddr;

use dgns_api::post;
use dgns_client::draft::{self, Place, Root};
use dgns_client::home::DeviceKeys;
use dgns_client::{clock, rng};
use identity::cert::{Body, Certificate, ClaimProof, Records, Row, Seen, Sid};
use identity::did::Did;
use identity::key::{KexSecret, SigningKey};
use identity::name::Origin;
use identity::pow;
use identity::seed::Words;
use identity::state::Subject;
use translog::hash::EMPTY_ROOT;
use translog::note::VerifierKey;
use translog::resolve::{self, Resolved};
use translog::trust::{Memory, Trust};

use super::http::{self, Answer};
use super::person::ZONE;

/// A head that every certificate may name as seen: nothing.
pub const NOTHING_SEEN: Seen = Seen { size: 0, root: EMPTY_ROOT };

/// Somebody who claims a name and then changes its records.
#[derive(Debug)]
pub struct Somebody {
    /// The DID.
    pub did: Did,
    /// The name, whole.
    pub name: String,
    /// The words.
    pub words: Words,
    /// The only device.
    pub device: DeviceKeys,
    /// Where the next certificate goes.
    pub next: Place,
}

impl Somebody {
    /// Returns somebody with the certificates that make the DID and claim `label` below the zone, with `bits` of work.
    pub fn new(label: &str, bits: u8) -> (Self, Vec<Certificate>) {
        let (mut somebody, genesis) = Self::without_name(label);
        let nonce = pow::solve(&somebody.name, &somebody.did, bits, 0, |_| {});
        let claim = somebody.claims(ClaimProof::Open { nonce, bits });
        (somebody, vec![genesis, claim])
    }

    /// Returns somebody with the certificate that makes the DID, and a name in mind.
    pub fn without_name(label: &str) -> (Self, Certificate) {
        let rng = &mut rng::system();
        let words = Words::generate(rng);
        let mut device = DeviceKeys { did: None, sign: SigningKey::generate(rng), kex: KexSecret::generate(rng) };
        let now = clock::now();
        let genesis = draft::genesis(&Root::of(&words), &device, [7; 32], None, NOTHING_SEEN, &origin(), now)
            .expect("a genesis fits");
        let did = Did::of_genesis(&genesis.sid());
        device.did = Some(did);
        let name = format!("{label}.{ZONE}");
        let place = Place { did, seq: 1, prev: genesis.sid(), seen: NOTHING_SEEN, now };
        (Self { did, name, words, device, next: place }, genesis)
    }

    /// Returns the claim of the name.
    pub fn claims(&mut self, proof: ClaimProof) -> Certificate {
        self.says(draft::claim(&self.name.clone(), proof))
    }

    /// Returns the next certificate of this chain, signed by the device.
    pub fn says(&mut self, body: Body) -> Certificate {
        let certificate = self.next.sign(body, None, &origin(), &[&self.device.sign]).expect("it fits");
        self.next = self.next.next(&certificate);
        certificate
    }

    /// Returns a certificate that gives the name one address.
    pub fn points_to(&mut self, address: [u8; 4]) -> Certificate {
        let row = Row { owner: String::new(), rtype: 1, rdata: address.to_vec(), ttl: 60 };
        self.says(Body::Records(Records { name: self.name.clone(), rows: vec![row], aliases: Vec::new(), flags: 0 }))
    }

    /// Returns the subject of the name.
    pub fn subject(&self) -> Subject {
        Subject::Name(self.name.clone())
    }
}

/// A client that posts, verifies every answer, and remembers heads as `dgns` does.
#[derive(Clone, Debug)]
pub struct Poster {
    trust: Trust,
    memory: Memory,
}

impl Poster {
    /// Returns a poster that trusts this log key.
    pub fn new(vkey: &str) -> Self {
        let key = VerifierKey::parse(vkey).expect("the ready line names a key");
        Self { trust: Trust::new(origin(), vec![key]).expect("the key is this log's"), memory: Memory::new(origin()) }
    }

    /// Posts certificates. Returns their indexes and what was proved; panics if the proof is wrong or the post refused.
    ///
    /// Errors: no whole answer came; whether the post is in the log is unknown.
    pub fn post(
        &mut self,
        to: SocketAddr,
        certificates: &[Certificate],
        subject: &Subject,
    ) -> io::Result<(Vec<u64>, Resolved)> {
        let path = match self.memory.size() {
            Some(size) => format!("/v1/certificates?from={size}"),
            None => "/v1/certificates".to_owned(),
        };
        let answer = http::request(to, "POST", &path, &[], &body(certificates))?;
        if answer.status == 503 {
            // The server was asked to go, or cannot commit: as unknown as no answer.
            return Err(io::Error::other(answer.problem_code()));
        }
        Ok(self.proved(&answer, certificates, subject))
    }

    /// Verifies the answer to a post.
    pub fn proved(&mut self, answer: &Answer, certificates: &[Certificate], subject: &Subject) -> (Vec<u64>, Resolved) {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let resolved = resolve::verify(&self.trust, &mut self.memory, subject, &answer.body, clock::now());
        let resolved = resolved.unwrap_or_else(|error| panic!("the answer proves nothing: {error} ({})", error.code()));
        let sids: Vec<Sid> = certificates.iter().map(Certificate::sid).collect();
        let indexes = resolved.verify_written(&sids);
        (indexes.unwrap_or_else(|error| panic!("the post is not proved: {error}")), resolved)
    }
}

/// Returns the body of a post.
pub fn body(certificates: &[Certificate]) -> Vec<u8> {
    let envelopes: Vec<Vec<u8>> = certificates.iter().map(Certificate::encode).collect();
    post::encode(&envelopes)
}

/// Returns the log of the zone.
pub fn origin() -> Origin {
    Origin::parse(&format!("{ZONE}/log")).expect("the development origin")
}
