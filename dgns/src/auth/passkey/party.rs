//! The relying party: what authenticators are asked, and what their answers are worth. The room of `webauthn_rs`.
//!
//! A registration is judged by `webauthn_rs`, an assertion by [`identity::evidence`], each over a challenge of ours: it binds the
//! answer to the keys of one device. Nothing of a ceremony is kept but what the challenge is made of.

use data_encoding::BASE64URL_NOPAD;
use identity::evidence::{Assertion, AssertionRefusal, Expected, P256Key};
use identity::hash::{Hash, u16_prefixed};
use identity::name::Zone;
use serde_json::{Value, json};
use webauthn_rs::prelude::{
    COSEAlgorithm, COSEKeyType, CredentialID, PasskeyRegistration, PublicKeyCredential, RegisterPublicKeyCredential,
    Url, Uuid, Webauthn, WebauthnBuilder, WebauthnError,
};

use super::PasskeyError;

/// The site that passkeys are made for.
pub struct RelyingParty {
    webauthn: Webauthn,
    zone: String,
    origin: String,
    id: String,
}

/// Whom a registration is for: what the server keeps of it, and makes the ceremony of a second time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Whose passkey it shall be, as the authenticator knows it.
    pub handle: [u8; 16],
    /// What the authenticator answers.
    pub challenge: Hash,
    /// The passkeys that the person has: an authenticator that holds one of them makes no other.
    pub known: Vec<Vec<u8>>,
}

/// A passkey that was made just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The credential id.
    pub id: Vec<u8>,
    /// The P-256 key: x and y.
    pub public: [u8; 64],
    /// The authenticator's counter.
    pub counter: u32,
    /// Whether it is backed up, and so is on more than one device.
    pub backed_up: bool,
    /// What was judged.
    pub statement: Vec<u8>,
}

/// A passkey's answer, not judged yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The credential id.
    pub id: Vec<u8>,
    /// Whose the authenticator says it is.
    pub handle: Option<Vec<u8>>,
    /// What it answered.
    pub assertion: Assertion,
}

impl RelyingParty {
    /// Returns the relying party of pages at `public_url`; `None` where browsers have no passkeys.
    pub fn new(public_url: &str, zone: &Zone) -> Option<Self> {
        let url = Url::parse(public_url).ok()?;
        let id = url.domain()?.to_owned();
        let builder = WebauthnBuilder::new(&id, &url).ok()?.rp_name(zone.as_str());
        let webauthn = builder.build().ok()?;
        let origin = url.origin().ascii_serialization();
        Some(Self { webauthn, zone: zone.as_str().to_owned(), origin, id })
    }

    /// Returns what an authenticator is asked to make a passkey: the member `publicKey` of WebAuthn, JSON.
    pub fn creation(&self, registration: &Registration) -> Result<String, PasskeyError> {
        let (mut asked, _) = self.ceremony(registration)?;
        let options = &mut asked["publicKey"];
        options["challenge"] = text(&registration.challenge);
        options["pubKeyCredParams"] = json!([{ "type": "public-key", "alg": ES256 }]);
        // Usernameless: the authenticator itself finds it. Whose it is the page writes in, the server does not know.
        options["authenticatorSelection"] =
            json!({ "residentKey": "required", "requireResidentKey": true, "userVerification": "required" });
        let unasked = ["hints", "attestationFormats"];
        if let Value::Object(members) = options {
            members.retain(|member, _| !unasked.contains(&member.as_str()));
        }
        Ok(options.to_string())
    }

    /// Returns what an authenticator is asked to sign in with.
    pub fn request(&self, challenge: &Hash) -> String {
        json!({
            "challenge": text(challenge), "rpId": self.id, "timeout": TIMEOUT_MS, "userVerification": "required",
            "allowCredentials": [],
        })
        .to_string()
    }

    /// Judges the answer to [`Self::creation`].
    pub fn registered(&self, registration: &Registration, answer: &str) -> Result<Registered, PasskeyError> {
        let credential: RegisterPublicKeyCredential = serde_json::from_str(answer).map_err(|_| PasskeyError::Form)?;
        let (_, state) = self.ceremony(registration)?;
        let passkey = self.webauthn.finish_passkey_registration(&credential, &state).map_err(|error| of(&error))?;
        let COSEKeyType::EC_EC2(key) = &passkey.get_public_key().key else { return Err(PasskeyError::Algorithm) };
        if *passkey.cred_algorithm() != COSEAlgorithm::ES256 {
            return Err(PasskeyError::Algorithm);
        }
        let mut public = [0; 64];
        let (x, y) = public.split_at_mut(32);
        if key.x.len() != 32 || key.y.len() != 32 {
            return Err(PasskeyError::Form);
        }
        x.copy_from_slice(&key.x);
        y.copy_from_slice(&key.y);
        p256(&public).ok_or(PasskeyError::Form)?;
        let id = passkey.cred_id().to_vec();
        if id.is_empty() || id.len() > CREDENTIAL_ID_BYTES_MAX {
            return Err(PasskeyError::Form);
        }
        let judged = serde_json::to_value(&passkey).map_err(|_| PasskeyError::Form)?;
        let counter = judged["cred"]["counter"].as_u64().and_then(|counter| u32::try_from(counter).ok());
        let counter = counter.ok_or(PasskeyError::Form)?;
        let backed_up = judged["cred"]["backup_state"].as_bool().ok_or(PasskeyError::Form)?;
        let response = &credential.response;
        let statement =
            [&response.attestation_object, &response.client_data_json].map(|part| u16_prefixed(part)).concat();
        Ok(Registered { id, public, counter, backed_up, statement })
    }

    /// Reads the answer to [`Self::request`].
    pub fn answered(answer: &str) -> Result<Answered, PasskeyError> {
        let credential: PublicKeyCredential = serde_json::from_str(answer).map_err(|_| PasskeyError::Form)?;
        let response = credential.response;
        let assertion = Assertion {
            authenticator_data: response.authenticator_data,
            client_data: response.client_data_json,
            signature: response.signature,
        };
        if credential.raw_id.is_empty() || credential.raw_id.len() > CREDENTIAL_ID_BYTES_MAX {
            return Err(PasskeyError::Form);
        }
        let handle = response.user_handle.filter(|handle| !handle.is_empty());
        Ok(Answered { id: credential.raw_id, handle, assertion })
    }

    /// Judges an answer: by this key, to this challenge, on the server's pages, of somebody verified.
    pub fn judge(
        &self,
        answered: &Answered,
        public: &[u8; 64],
        challenge: &Hash,
    ) -> Result<identity::evidence::Asserted, PasskeyError> {
        let key = p256(public).ok_or(PasskeyError::Assertion(AssertionRefusal::Signature))?;
        let expected = Expected { challenge, origin: &self.origin, rp_id: &self.id };
        answered.assertion.judge(&expected, &key).map_err(PasskeyError::Assertion)
    }

    /// Returns what the browser is asked, and what the answer is judged by: made anew, with the challenge of ours in it.
    fn ceremony(&self, registration: &Registration) -> Result<(Value, PasskeyRegistration), PasskeyError> {
        let known = registration.known.iter().map(|id| CredentialID::from(id.clone())).collect();
        let handle = Uuid::from_bytes(registration.handle);
        let begun = self.webauthn.start_passkey_registration(handle, &self.zone, &self.zone, Some(known));
        let (asked, state) = begun.map_err(|error| of(&error))?;
        let mut state = serde_json::to_value(state).map_err(|_| PasskeyError::Form)?;
        state["rs"]["challenge"] = text(&registration.challenge);
        let state = serde_json::from_value(state).map_err(|_| PasskeyError::Form)?;
        Ok((serde_json::to_value(asked).map_err(|_| PasskeyError::Form)?, state))
    }
}

fn text(hash: &Hash) -> Value {
    Value::String(BASE64URL_NOPAD.encode(hash))
}

fn p256(public: &[u8; 64]) -> Option<P256Key> {
    let (x, y) = public.split_at(32);
    P256Key::from_coordinates(x.try_into().ok()?, y.try_into().ok()?)
}

fn of(error: &WebauthnError) -> PasskeyError {
    match error {
        WebauthnError::InvalidClientDataType => PasskeyError::Assertion(AssertionRefusal::Type),
        WebauthnError::MismatchedChallenge => PasskeyError::Assertion(AssertionRefusal::Challenge),
        WebauthnError::InvalidRPOrigin | WebauthnError::CredentialCrossOrigin => {
            PasskeyError::Assertion(AssertionRefusal::Origin)
        }
        WebauthnError::InvalidRPIDHash => PasskeyError::Assertion(AssertionRefusal::RpId),
        WebauthnError::UserNotPresent => PasskeyError::Assertion(AssertionRefusal::Presence),
        WebauthnError::UserNotVerified => PasskeyError::Assertion(AssertionRefusal::Verification),
        WebauthnError::CredentialAlteredAlgFromRequest => PasskeyError::Algorithm,
        _ => PasskeyError::Form,
    }
}

/// ECDSA with P-256 and SHA-256, as COSE numbers it.
const ES256: i32 = -7;

/// How long an authenticator waits for the person.
const TIMEOUT_MS: u32 = 300_000;

/// The longest credential id that WebAuthn allows.
const CREDENTIAL_ID_BYTES_MAX: usize = 1_023;
