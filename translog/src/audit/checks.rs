//! Signatures an audit met, verified in batches on whatever thread the caller likes.

use identity::cert::{KeyBytes, NewKeys, Verified};
use identity::key::{self, Batch};
use identity::name::Origin;

use super::AuditFault;

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

    /// Verifies every signature strictly, and that every new key is fit to enter a chain.
    ///
    /// All together, as [`Batch::holds`] does by a `secret` of 32 random bytes; where that fails, one by one, so that the fault names its
    /// entry.
    pub fn verify(&self, secret: &[u8; 32]) -> Result<(), AuditFault> {
        if self.all_hold(secret) { Ok(()) } else { self.items.iter().try_for_each(Item::verify) }
    }

    /// As [`Checks::verify`], one by one from the start, so that chance has no part in it.
    pub fn verify_singly(&self) -> Result<(), AuditFault> {
        self.items.iter().try_for_each(Item::verify)
    }

    fn all_hold(&self, secret: &[u8; 32]) -> bool {
        let mut batch = Batch::new();
        let fit = self.items.iter().all(|item| item.new_keys.admit_in(&mut batch).is_ok());
        let signatures = self.items.iter().flat_map(Item::triples);
        signatures.for_each(|(signer, message, signature)| batch.verify(signer, message, signature));
        fit && batch.holds(secret)
    }
}

impl Item {
    fn verify(&self) -> Result<(), AuditFault> {
        let fault = |code| AuditFault::Signature { index: self.index, code };
        self.new_keys.admit().map_err(|refusal| fault(refusal.code()))?;
        let bad = |_| fault("bad_signature");
        self.triples()
            .try_for_each(|(signer, message, signature)| key::verify_strict(signer, message, signature).map_err(bad))
    }

    fn triples(&self) -> impl Iterator<Item = (&KeyBytes, &[u8], &[u8; 64])> {
        self.signers.iter().map(|(signer, signature)| (signer, self.message.as_slice(), signature))
    }
}
