//! People who exist only for these tests, made from numbers, so that a log of thousands of them takes no time to speak of.

use dgns_client::draft::{self, Place};
use identity::cert::{
    Body, Certificate, ClaimProof, Delegate, Device, DidKind, Genesis, Level, Payload, Records, Row, Seen, ZoneTerms,
};
use identity::did::Did;
use identity::hash::sha256;
use identity::key::{KexSecret, SigningKey};
use identity::name::Origin;
use identity::pow;
use identity::state::Subject;
use identity::time::Timestamp;
use translog::hash::EMPTY_ROOT;

/// The zone of every log here.
pub const ZONE: &str = "dgns.test";

/// A head that every certificate may name: nothing.
pub const NOTHING_SEEN: Seen = Seen { size: 0, root: EMPTY_ROOT };

/// The terms of the logs here: all roads, work of one bit.
pub const TERMS: ZoneTerms = ZoneTerms { roads: 0b1101, work_floor_bits: 1, window_floor_s: 1 };

/// Somebody with one device.
#[derive(Clone)]
pub struct Someone {
    pub did: Did,
    pub name: String,
    pub device: SigningKey,
    pub next: Place,
}

impl Someone {
    /// Returns the person of this number, and the certificates that make the DID and claim `n<number>`.
    pub fn new(number: u64) -> (Self, Vec<Certificate>) {
        Self::named(number, &format!("n{number:05}"))
    }

    /// As [`Someone::new`], with another label.
    pub fn named(number: u64, label: &str) -> (Self, Vec<Certificate>) {
        let seed = |role: u8| sha256(&[&[role], &number.to_be_bytes()]);
        let (identity, device) = (SigningKey::from_seed(&seed(1)), SigningKey::from_seed(&seed(2)));
        let kex = |role| KexSecret::from_bytes(seed(role)).public();
        let genesis = Payload {
            subject: None,
            seq: 0,
            prev: None,
            seen: NOTHING_SEEN,
            unix_s: 1_800_000_000,
            body: Body::Genesis(Genesis {
                kind: DidKind::User,
                identity: identity.public(),
                words_box: kex(3),
                device: Device { sign: device.public(), kex: kex(4), level: Level::Admin, label_hash: seed(5) },
                window_s: None,
                user_key: None,
            }),
            critical: true,
            by: None,
        };
        let genesis = Certificate::sign(&genesis, &origin(), &[&identity, &device]).unwrap();
        let did = Did::of_genesis(&genesis.sid());
        let now = Timestamp::from_ms(1_800_000_000_000);
        let next = Place { did, seq: 1, prev: genesis.sid(), seen: NOTHING_SEEN, now };
        let mut someone = Self { did, name: format!("{label}.{ZONE}"), device, next };
        let claim = someone.claims(&someone.name.clone());
        (someone, vec![genesis, claim])
    }

    /// Returns the claim of a name, as the next of the chain.
    pub fn claims(&mut self, name: &str) -> Certificate {
        let nonce = pow::solve(name, &self.did, 1, 0, |_| {});
        self.says(draft::claim(name, ClaimProof::Open { nonce, bits: 1 }))
    }

    /// Returns a certificate that gives the name one address.
    pub fn points_to(&mut self, address: [u8; 4]) -> Certificate {
        let row = Row { owner: String::new(), rtype: 1, rdata: address.to_vec(), ttl: 60 };
        self.says(Body::Records(Records { name: self.name.clone(), rows: vec![row], aliases: Vec::new(), flags: 0 }))
    }

    /// Returns a certificate that has these servers answer for the name; without any it ends that.
    pub fn delegates_to(&mut self, hosts: &[&str]) -> Certificate {
        let servers = hosts.iter().map(|host| (*host).to_owned()).collect();
        self.says(Body::Delegate(Delegate { name: self.name.clone(), servers, ds: vec![], glue: vec![], log: None }))
    }

    /// Returns the next certificate of the chain, signed by the device.
    pub fn says(&mut self, body: Body) -> Certificate {
        let certificate = self.next.sign(body, None, &origin(), &[&self.device]).unwrap();
        self.next = self.next.next(&certificate);
        certificate
    }

    /// Returns the subject of the name.
    pub fn subject(&self) -> Subject {
        Subject::Name(self.name.clone())
    }
}

/// Returns the log of the zone.
pub fn origin() -> Origin {
    Origin::parse(&format!("{ZONE}/log")).unwrap()
}
