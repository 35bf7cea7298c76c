//! What the tests of this package share.

use identity::cert::KeyBytes;
use identity::did::Did;
use identity::key::SigningKey;
use identity::name::Origin;
use identity::time::Timestamp;
use rand_core::{TryCryptoRng, TryRng};

use crate::Sess;
use crate::card::{Address, Body, Candidate, CandidateKind, Card, SignedCard, To, Transport};
use crate::hello::Received;
use crate::lobby::Login;

/// The time at which tests begin.
pub(crate) const NOW: Timestamp = Timestamp::from_ms(1_700_000_000_000);

/// The log of the tests.
pub(crate) fn origin() -> Origin {
    Origin::parse("dgns.test/log").expect("an origin")
}

/// Bytes that count: the same ones from the same beginning.
pub(crate) struct CountingRng(pub(crate) u8);

impl TryRng for CountingRng {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill_with(|| {
            self.0 = self.0.wrapping_add(1);
            self.0
        });
        Ok(())
    }
}

impl TryCryptoRng for CountingRng {}

/// Somebody with one device.
#[derive(Clone)]
pub(crate) struct Who {
    pub(crate) key: SigningKey,
    pub(crate) did: Did,
    pub(crate) number: u8,
}

impl Who {
    pub(crate) fn new(number: u8) -> Self {
        Self { key: SigningKey::from_seed(&[number; 32]), did: Did::from_bytes([number; 20]), number }
    }

    /// Somebody whose key is in no log.
    pub(crate) fn guest(number: u8) -> Self {
        let key = SigningKey::from_seed(&[number; 32]);
        Self { did: crate::guest::stand_in(&key.public()), key, number }
    }

    pub(crate) fn device(&self) -> KeyBytes {
        self.key.public()
    }

    /// A login of one of its pages; a session's name is made of all three numbers.
    pub(crate) fn login(&self, instance: u8, session: u8, resume: Option<Received>) -> Login {
        let mut sid = [session; 16];
        (sid[14], sid[15]) = (self.number, instance);
        Login {
            device: self.device(),
            did: self.did,
            instance: [instance; 8],
            resume,
            sid,
            names: vec![format!("db.n{}.dgns.test", self.number)],
            ice: Vec::new(),
            ttl_s: 600,
            head: None,
            token: None,
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> String {
        format!("db.n{}.dgns.test", self.number)
    }

    pub(crate) fn card(&self, sess: Sess, seq: u64, to: To, body: Body, now: Timestamp) -> SignedCard {
        let card = Card {
            sess,
            seq,
            from: self.device(),
            from_did: self.did,
            to,
            expires_s: now.as_s() + 60,
            body,
            head: None,
        };
        SignedCard::sign(&card, &origin(), &self.key).expect("a card of the form")
    }

    pub(crate) fn offer(&self, sess: Sess, host: &Self, now: Timestamp) -> SignedCard {
        let body = Body::Offer { name: host.name(), transport: transport(self.number) };
        self.card(sess, 0, To::Did(host.did), body, now)
    }

    pub(crate) fn answer(&self, offer: &SignedCard, now: Timestamp) -> SignedCard {
        let body = Body::Answer { offer: offer.payload_hash(), transport: transport(self.number) };
        self.card(offer.card().sess, 0, To::Device(offer.card().from), body, now)
    }
}

/// How somebody is reached.
pub(crate) fn transport(number: u8) -> Transport {
    let address = |text: &str| Address::parse(text).expect("an address");
    Transport {
        ufrag: "ufrg".to_owned(),
        pwd: "pwdpwdpwdpwdpwdpwdpwdpw+".to_owned(),
        fingerprint: [number; 32],
        candidates: vec![
            Candidate {
                kind: CandidateKind::Host,
                address: address("192.0.2.1"),
                port: 5_000,
                priority: 2_130_706_431,
            },
            Candidate {
                kind: CandidateKind::ServerReflexive,
                address: address("2001:db8::1"),
                port: 443,
                priority: 1_694_498_815,
            },
        ],
        last: false,
        message_max: 65_536,
    }
}
