//! Signatures an audit met, verified in batches on whatever thread the caller likes.

use identity::cert::{KeyBytes, NewKeys, Verified};
use identity::key::{self, KeyRing};
use identity::name::Origin;

use super::AuditFault;

/// Signatures checked together: past it a batch gains nothing more.
const BATCH: usize = 256;

/// Certificates whose signatures wait to be verified.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    items: Vec<Item>,
}

#[derive(Clone, Debug)]
struct Item {
    index: u64,
    message: Vec<u8>,
    signers: Vec<(KeyBytes, [u8; 64])>,
    new_keys: NewKeys,
}

impl Checks {
    /// Returns the number of certificates.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Takes the certificates of `other` in.
    pub fn append(&mut self, other: Self) {
        self.items.extend(other.items);
    }

    /// Returns whether there is nothing to verify.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Parts them, at most `certificates` in each, to be verified on several threads.
    pub fn into_parts(self, certificates: usize) -> Vec<Self> {
        let mut items = self.items.into_iter().peekable();
        let mut parts = Vec::new();
        while items.peek().is_some() {
            parts.push(Self { items: items.by_ref().take(certificates.max(1)).collect() });
        }
        parts
    }

    /// Takes in a certificate whose signatures were taken on trust.
    pub(super) fn push(&mut self, origin: &Origin, index: u64, unchecked: &Verified) {
        let certificate = unchecked.certificate();
        let signatures = certificate.signatures().iter().map(|(_, signature)| *signature);
        self.items.push(Item {
            index,
            message: certificate.signed_bytes(origin),
            signers: unchecked.signers().iter().copied().zip(signatures).collect(),
            new_keys: certificate.payload().body.new_keys(),
        });
    }

    /// Verifies every signature, and that every new key is fit to enter a chain.
    ///
    /// Signatures are verified in batches; a batch that fails is gone through singly and strictly, so the fault names its
    /// entry. With `strict` all are verified singly: a batch cannot tell a signature that only strict checking refuses, which
    /// none but the key's holder can make.
    pub fn verify(&self, strict: bool) -> Result<(), AuditFault> {
        let mut ring = KeyRing::new();
        for item in &self.items {
            let admitted = item.new_keys.admit_to(&mut ring);
            admitted.map_err(|refusal| AuditFault::Signature { index: item.index, code: refusal.code() })?;
        }
        let all: Vec<_> = self.items.iter().flat_map(Item::triples).collect();
        for (batch, at) in all.chunks(BATCH).zip((0..).step_by(BATCH)) {
            if !strict && ring.verify_batch(batch) {
                continue;
            }
            for (place, (signer, message, signature)) in batch.iter().enumerate() {
                if key::verify_strict(signer, message, signature).is_err() {
                    return Err(AuditFault::Signature { index: self.index_of(at + place), code: "bad_signature" });
                }
            }
        }
        Ok(())
    }

    /// Returns the log index of the certificate with the `place`-th signature.
    fn index_of(&self, place: usize) -> u64 {
        let mut left = place;
        for item in &self.items {
            if left < item.signers.len() {
                return item.index;
            }
            left -= item.signers.len();
        }
        unreachable!("the place was counted over the same items")
    }
}

impl Item {
    fn triples(&self) -> impl Iterator<Item = (&KeyBytes, &[u8], &[u8; 64])> {
        self.signers.iter().map(|(signer, signature)| (signer, self.message.as_slice(), signature))
    }
}
