//! Whose word a recovery server takes for a sign-in, and how it judges it itself (PROTOCOL 24.4): an issuer's by the keys that it
//! publishes, a passkey's by the key that a device of the owner named when it enrolled.

use identity::evidence::{Assertion, AssertionRefusal, Binding, Expected, P256Key, passkey_issuer, passkey_subject};
use identity::name::Zone;
use identity::recovery::message::{MessageError, Proof};
use identity::recovery::sign_in_id;
use zeroize::Zeroizing;

use super::RecoveryConfig;
use super::error::RecoveryError;
use super::secrets::SignIn;
use crate::auth::oidc::Issuer;
use crate::clock::Clock;
use crate::config::IssuerConfig;
use crate::keys::KeyFileError;
use crate::outbound::Outbound;

/// The bytes of a passkey's key.
const KEY_BYTES: usize = 64;

/// Judges sign-ins.
pub(super) struct Judge {
    issuers: Vec<Issuer>,
    passkeys: Option<Pages>,
    clock: Clock,
}

/// The pages that passkeys are for.
struct Pages {
    /// What stands for passkeys where issuers are.
    issuer: String,
    origin: String,
    rp_id: String,
}

impl Judge {
    /// Errors: the keys of an issuer's client cannot be read.
    pub(super) fn new(
        config: &RecoveryConfig,
        zone: &Zone,
        outbound: &Outbound,
        clock: Clock,
    ) -> Result<Self, KeyFileError> {
        let issuer = |of: &super::EvidenceIssuer| {
            let (name, issuer, client_id) = (of.issuer.clone(), of.issuer.clone(), of.audience.clone());
            let known = IssuerConfig { id: String::new(), name, issuer, client_id, client_secret_file: None };
            Issuer::new(known, String::new(), outbound.clone())
        };
        let issuers = config.issuers.iter().map(issuer).collect::<Result<_, _>>()?;
        let passkeys = config.passkeys.as_ref().map(|origin| Pages {
            issuer: passkey_issuer(zone.as_str()),
            origin: origin.clone(),
            rp_id: host_of(origin).to_owned(),
        });
        Ok(Self { issuers, passkeys, clock })
    }

    /// Returns whose word is taken.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.issuers.iter().map(|issuer| issuer.config().issuer.clone()).collect();
        names.dedup();
        names.extend(self.passkeys.iter().map(|pages| pages.issuer.clone()));
        names
    }

    /// Judges a sign-in that is to be listed.
    pub(super) async fn enrolled(&self, proof: &Proof, binding: &Binding) -> Result<SignIn, RecoveryError> {
        let (subject, key) = match self.pages_of(proof) {
            Some(pages) => {
                let (key, assertion) = proof.statement.split_first_chunk().ok_or(MessageError::Form)?;
                pages.judge(assertion, binding, key)?;
                (Zeroizing::new(passkey_subject(key)), Some(*key))
            }
            None => (self.by_issuer(proof, binding).await?, None),
        };
        Ok(SignIn { id: sign_in_id(&proof.issuer, &subject, &proof.salt), salt: proof.salt, key })
    }

    /// Judges a sign-in of an attempt; returns which of those listed it is, if it is one.
    pub(super) async fn shown<'l>(
        &self,
        proof: &Proof,
        binding: &Binding,
        listed: &'l [SignIn],
    ) -> Result<Option<&'l SignIn>, RecoveryError> {
        let subject = match self.pages_of(proof) {
            Some(pages) => {
                // A discoverable passkey does not say which key it signs by: those that are listed are tried, four at most.
                let mut refused = None;
                for key in listed.iter().filter_map(|sign_in| sign_in.key) {
                    match pages.judge(&proof.statement, binding, &key) {
                        Ok(()) => return Ok(listed.iter().find(|sign_in| sign_in.key == Some(key))),
                        Err(error) => refused = Some(error),
                    }
                }
                return refused.map_or(Ok(None), Err);
            }
            None => self.by_issuer(proof, binding).await?,
        };
        // The salt of the id is this server's to know.
        Ok(listed.iter().find(|sign_in| sign_in_id(&proof.issuer, &subject, &sign_in.salt) == sign_in.id))
    }

    fn pages_of(&self, proof: &Proof) -> Option<&Pages> {
        self.passkeys.as_ref().filter(|pages| pages.issuer == proof.issuer)
    }

    /// Judges a statement by the keys that its issuer publishes; returns the subject.
    async fn by_issuer(&self, proof: &Proof, binding: &Binding) -> Result<Zeroizing<String>, RecoveryError> {
        let nonce = binding.nonce_text();
        let mut refused = RecoveryError::UnknownIssuer;
        for issuer in self.issuers.iter().filter(|issuer| issuer.config().issuer == proof.issuer) {
            let statement = std::str::from_utf8(&proof.statement).map_err(|_| MessageError::Form)?;
            match issuer.judge_statement(statement, &nonce, self.clock.now()).await {
                Ok(subject) => return Ok(subject),
                Err(error) => refused = error.into(),
            }
        }
        Err(refused)
    }
}

impl Pages {
    fn judge(&self, assertion: &[u8], binding: &Binding, key: &[u8; KEY_BYTES]) -> Result<(), RecoveryError> {
        let key = P256Key::from_bytes(key).ok_or(RecoveryError::BadPoint)?;
        let challenge = binding.nonce();
        let expected = Expected { challenge: &challenge, origin: &self.origin, rp_id: &self.rp_id };
        let judged = Assertion::from_bytes(assertion).and_then(|assertion| assertion.judge(&expected, &key));
        match judged {
            Ok(_) => Ok(()),
            Err(AssertionRefusal::Challenge) => Err(RecoveryError::Nonce),
            Err(refusal) => Err(RecoveryError::Assertion(refusal)),
        }
    }
}

/// Returns the host of an origin, which is the relying party of its passkeys.
fn host_of(origin: &str) -> &str {
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    host.split(':').next().unwrap_or(host)
}
