//! From a decoded certificate to a verified one: whose keys signed it (PROTOCOL 4.3).

use super::{Body, Certificate, KeyBytes, Kid, Role};
use crate::key::{Batch, PublicKey, kid_of, verify_strict};
use crate::name::Origin;

/// Why the signatures of a certificate are refused. Whoever gets one: nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureRefusal {
    /// A kid belongs to none of the keys that could sign, or to two of them. Code `unknown_signer`.
    #[error("no key that could sign this has the kid of a signature")]
    UnknownSigner(Kid),
    /// A signature does not hold. Code `bad_signature`.
    #[error("a signature does not verify")]
    BadSignature(Kid),
    /// The body brings a key that may enter no chain; looked at first. PROTOCOL 3.1. Code `weak_key`.
    #[error("a new key is weak")]
    WeakKey,
}

impl SignatureRefusal {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownSigner(_) => "unknown_signer",
            Self::BadSignature(_) => "bad_signature",
            Self::WeakKey => "weak_key",
        }
    }
}

/// A certificate whose signatures hold, with the keys that made them. Only what it may change is still open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    certificate: Certificate,
    signers: Vec<KeyBytes>,
}

impl Verified {
    /// Returns the certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Returns the keys that signed, in the order of the signatures. Compare whole keys: a kid proves nothing.
    pub fn signers(&self) -> &[KeyBytes] {
        &self.signers
    }

    /// Returns whether `key` signed.
    pub fn is_signed_by(&self, key: &KeyBytes) -> bool {
        self.signers.contains(key)
    }

    /// Returns the certificate alone.
    pub fn into_certificate(self) -> Certificate {
        self.certificate
    }
}

impl Certificate {
    /// Checks every signature strictly, each under the one candidate with its kid, and every new key of the body.
    ///
    /// `candidates` are all keys that could sign: those in the states the decision reads, of the body itself, of the zone's
    /// authority. A key in a state was admitted when it entered it and is not admitted again.
    pub fn verify(&self, origin: &Origin, candidates: &[KeyBytes]) -> Result<Verified, SignatureRefusal> {
        self.payload().body.new_keys().admit()?;
        let signers = self.signers(candidates)?;
        let message = self.signed_bytes(origin);
        for (key, (kid, signature)) in signers.iter().zip(self.signatures()) {
            verify_strict(key, &message, signature).map_err(|_| SignatureRefusal::BadSignature(*kid))?;
        }
        Ok(Verified { certificate: self.clone(), signers })
    }

    /// As [`Certificate::verify`] for who knows one party's keys alone: signatures with other kids are left out.
    ///
    /// What another party's signature was worth only that party's state tells.
    pub fn verify_one_party(&self, origin: &Origin, candidates: &[KeyBytes]) -> Result<Verified, SignatureRefusal> {
        self.payload().body.new_keys().admit()?;
        let kids: Vec<Kid> = candidates.iter().map(kid_of).collect();
        let message = self.signed_bytes(origin);
        let mut signers = Vec::new();
        for (kid, signature) in self.signatures().iter().filter(|(kid, _)| kids.contains(kid)) {
            let key = the_candidate(*kid, &kids, candidates)?;
            verify_strict(&key, &message, signature).map_err(|_| SignatureRefusal::BadSignature(*kid))?;
            signers.push(key);
        }
        Ok(Verified { certificate: self.clone(), signers })
    }

    /// Returns the key of each signature, in their order: the part of [`Certificate::verify`] that costs next to nothing.
    pub fn signers(&self, candidates: &[KeyBytes]) -> Result<Vec<KeyBytes>, SignatureRefusal> {
        let kids: Vec<Kid> = candidates.iter().map(kid_of).collect();
        self.signatures().iter().map(|(kid, _)| the_candidate(*kid, &kids, candidates)).collect()
    }

    /// Takes the signatures and the new keys on trust: whoever calls this checks them in a batch, or leaves it to another run.
    pub fn with_signatures_unchecked(self, candidates: &[KeyBytes]) -> Result<Verified, SignatureRefusal> {
        let signers = self.signers(candidates)?;
        Ok(Verified { certificate: self, signers })
    }
}

/// The keys that a body brings into a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewKeys {
    /// Ed25519 keys.
    pub signing: Vec<KeyBytes>,
    /// X25519 keys, and keys of ristretto255; of these 32 zeros alone are weak.
    pub sealing: Vec<KeyBytes>,
}

impl NewKeys {
    /// Admits every key, or refuses them all: [`SignatureRefusal::WeakKey`].
    pub fn admit(&self) -> Result<(), SignatureRefusal> {
        let fit = self.sealing_are_fit() && self.signing.iter().all(|key| PublicKey::admit(key).is_ok());
        if fit { Ok(()) } else { Err(SignatureRefusal::WeakKey) }
    }

    /// As [`NewKeys::admit`], but for those that sign, which are left to the batch.
    pub fn admit_in<'a>(&'a self, batch: &mut Batch<'a>) -> Result<(), SignatureRefusal> {
        self.signing.iter().for_each(|key| batch.admit(key));
        if self.sealing_are_fit() { Ok(()) } else { Err(SignatureRefusal::WeakKey) }
    }

    fn sealing_are_fit(&self) -> bool {
        self.sealing.iter().all(|key| *key != [0; 32])
    }
}

impl Body {
    /// Returns the keys that the body brings into a chain.
    pub fn new_keys(&self) -> NewKeys {
        let (signing, sealing) = match self {
            Self::Genesis(genesis) => {
                let sealing = [genesis.words_box, genesis.device.kex].into_iter();
                let user_key = genesis.user_key.map(|user_key| user_key.key);
                (vec![genesis.identity, genesis.device.sign], sealing.chain(user_key).collect())
            }
            Self::DeviceAdd(device) => (vec![device.sign], vec![device.kex]),
            Self::IdRotate(keys) => (vec![keys.identity], vec![keys.words_box]),
            Self::UserKey(user_key) => {
                (vec![], [user_key.key].into_iter().chain(user_key.extras.iter().map(|extra| extra.kex)).collect())
            }
            Self::RecoverySet(set) => match &set.enrolment {
                Some(enrolment) => {
                    let servers = enrolment.servers.iter().map(|server| server.oprf);
                    (vec![enrolment.sign], servers.chain([enrolment.kex]).collect())
                }
                None => (vec![], vec![]),
            },
            Self::RecoverOpen(open) => (vec![open.sign], vec![open.kex]),
            Self::RecoverFinal(last) => {
                let words = last.words.as_ref();
                let signing = [last.device.sign].into_iter().chain(words.map(|words| words.identity));
                let sealing = [last.device.kex].into_iter().chain(words.map(|words| words.words_box));
                (signing.collect(), sealing.collect())
            }
            Self::NotaryAdd(authority) if authority.role != Role::Alias => (vec![authority.key], vec![]),
            Self::NotaryAdd(authority) => (vec![], vec![authority.key]),
            Self::AttestLogin(login) => (vec![login.sign], vec![login.kex]),
            _ => (vec![], vec![]),
        };
        NewKeys { signing, sealing }
    }
}

fn the_candidate(kid: Kid, kids: &[Kid], candidates: &[KeyBytes]) -> Result<KeyBytes, SignatureRefusal> {
    let mut matching = kids.iter().zip(candidates).filter(|(k, _)| **k == kid).map(|(_, key)| *key);
    let first = matching.next().ok_or(SignatureRefusal::UnknownSigner(kid))?;
    if matching.all(|other| other == first) { Ok(first) } else { Err(SignatureRefusal::UnknownSigner(kid)) }
}
