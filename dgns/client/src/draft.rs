//! Certificates of a person, on their way to be signed.

use identity::cert::{
    Body, Certificate, Claim, ClaimProof, DecodeError, Device, DidKind, FirstUserKey, Genesis, KeyBytes, Kid, Level,
    Payload, Seen, Sid,
};
use identity::did::Did;
use identity::hash::Hash;
use identity::key::{KexSecret, SigningKey, kid_of};
use identity::name::Origin;
use identity::seed::Words;
use identity::state::ChainHead;
use identity::time::Timestamp;
use rand_core::CryptoRng;
use translog::head::Head;

use crate::home::DeviceKeys;

/// Where a certificate extends a chain: its DID, what comes before, and the head its signer had verified.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The DID.
    pub did: Did,
    /// The place in the chain.
    pub seq: u64,
    /// The sid before.
    pub prev: Sid,
    /// The head.
    pub seen: Seen,
    /// The signer's clock; advisory.
    pub now: Timestamp,
}

impl Place {
    /// Returns the place after the newest certificate of a proved chain.
    pub fn after(did: Did, head: &ChainHead, seen: &Head, now: Timestamp) -> Self {
        Self { did, seq: head.seq + 1, prev: head.sid, seen: seen_of(seen), now }
    }

    /// Returns the place after `certificate`, posted along with it.
    pub fn next(&self, certificate: &Certificate) -> Self {
        Self { seq: certificate.payload().seq + 1, prev: certificate.sid(), ..*self }
    }

    /// Signs a statement at this place.
    pub fn sign(
        &self,
        body: Body,
        by: Option<Did>,
        origin: &Origin,
        keys: &[&SigningKey],
    ) -> Result<Certificate, DecodeError> {
        let payload = Payload {
            subject: Some(self.did.into()),
            seq: self.seq,
            prev: Some(self.prev),
            seen: self.seen,
            unix_s: self.now.as_ms() / 1_000,
            body,
            critical: true,
            by,
        };
        Certificate::sign(&payload, origin, keys)
    }
}

/// Returns the head a certificate names as seen.
pub fn seen_of(head: &Head) -> Seen {
    Seen { size: head.size, root: head.root }
}

/// The two keys that twelve words stand for, and what they are to begin. Deriving them from the words takes milliseconds, on purpose.
pub struct Root {
    kind: DidKind,
    identity: SigningKey,
    words_box: KeyBytes,
    user_key: Option<FirstUserKey>,
}

impl Root {
    /// Returns the keys of these words, for a person.
    pub fn of(words: &Words) -> Self {
        let (identity, words_box) = (words.identity(), words.words_box().public());
        Self { kind: DidKind::User, identity, words_box, user_key: None }
    }

    /// Returns keys that no words lead to: for load, where nobody comes back.
    pub fn without_words_for_load(rng: &mut impl CryptoRng) -> Self {
        let (identity, words_box) = (SigningKey::generate(rng), KexSecret::generate(rng).public());
        Self { kind: DidKind::User, identity, words_box, user_key: None }
    }

    /// Has the genesis stand for something else than a person.
    pub fn of_kind(self, kind: DidKind) -> Self {
        Self { kind, ..self }
    }

    /// Returns the key that the words open boxes with.
    pub fn words_box(&self) -> KeyBytes {
        self.words_box
    }

    /// Has the genesis bring the first user key.
    pub fn with_user_key(self, user_key: FirstUserKey) -> Self {
        Self { user_key: Some(user_key), ..self }
    }
}

/// Returns the genesis of a DID, signed by the identity key and the first device.
pub fn genesis(
    root: &Root,
    device: &DeviceKeys,
    label_hash: Hash,
    window_s: Option<u64>,
    seen: Seen,
    origin: &Origin,
    now: Timestamp,
) -> Result<Certificate, DecodeError> {
    let body = Genesis {
        kind: root.kind,
        identity: root.identity.public(),
        words_box: root.words_box,
        device: device_of(device, Level::Admin, label_hash),
        window_s,
        user_key: root.user_key,
    };
    let payload = Payload {
        subject: None,
        seq: 0,
        prev: None,
        seen,
        unix_s: now.as_ms() / 1_000,
        body: Body::Genesis(body),
        critical: true,
        by: None,
    };
    Certificate::sign(&payload, origin, &[&root.identity, &device.sign])
}

/// Returns the row of a device in a genesis or device_add.
pub fn device_of(device: &DeviceKeys, level: Level, label_hash: Hash) -> Device {
    Device { sign: device.sign.public(), kex: device.kex.public(), level, label_hash }
}

/// Returns the claim of a name.
pub fn claim(name: &str, proof: ClaimProof) -> Body {
    Body::Claim(Claim { name: name.to_owned(), proof })
}

/// Returns the kid of a device.
pub fn kid(device: &DeviceKeys) -> Kid {
    kid_of(&device.sign.public())
}
