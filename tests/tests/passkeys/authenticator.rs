//! An authenticator of software in a browser of software: other people's code from the options to the answer.

use identity::hash::{Hash, sha256};
use serde_json::Value;
use soft_passkey::authenticator::{
    Authenticator, CredentialStore, DiscoverabilitySupport, StoreInfo, UiHint, UserCheck, UserValidationMethod,
};
use soft_passkey::client::{Client, DefaultClientData};
use soft_passkey::crypto::rust_crypto::RustCryptoBackend;
use soft_passkey::types::Passkey;
use soft_passkey::types::ctap2::make_credential::{
    Options, PublicKeyCredentialRpEntity, PublicKeyCredentialUserEntity,
};
use soft_passkey::types::ctap2::{Aaguid, Ctap2Error, StatusCode};
use soft_passkey::types::webauthn::{
    CredentialCreationOptions, CredentialRequestOptions, PublicKeyCredentialDescriptor,
};
use url::Url;

/// Somebody in front of an authenticator, and what it holds.
#[derive(Clone)]
pub struct Soft {
    /// Whether it asks who it is, and is told well.
    pub verifies: bool,
    /// Whether it counts.
    pub counts: bool,
    /// What it holds.
    pub store: Shelf,
}

/// Passkeys in the order they were made; found without a name, as discoverable ones are.
#[derive(Clone, Default)]
pub struct Shelf(Vec<Passkey>);

#[async_trait::async_trait]
impl CredentialStore for Shelf {
    type PasskeyItem = Passkey;

    async fn find_credentials(
        &self,
        allowed: Option<&[PublicKeyCredentialDescriptor]>,
        rp_id: &str,
        _: Option<&[u8]>,
    ) -> Result<Vec<Passkey>, StatusCode> {
        let named =
            |passkey: &Passkey| allowed.is_none_or(|allowed| allowed.iter().any(|one| one.id == passkey.credential_id));
        let found: Vec<Passkey> =
            self.0.iter().filter(|passkey| passkey.rp_id == rp_id && named(passkey)).cloned().collect();
        match found.is_empty() {
            true => Err(Ctap2Error::NoCredentials.into()),
            false => Ok(found),
        }
    }

    async fn save_credential(
        &mut self,
        passkey: Passkey,
        _: PublicKeyCredentialUserEntity,
        _: PublicKeyCredentialRpEntity,
        _: Options,
    ) -> Result<(), StatusCode> {
        self.0.push(passkey);
        Ok(())
    }

    async fn update_credential(&mut self, passkey: &Passkey) -> Result<(), StatusCode> {
        let known = self.0.iter_mut().find(|known| known.credential_id == passkey.credential_id);
        *known.ok_or(StatusCode::from(Ctap2Error::NoCredentials))? = passkey.clone();
        Ok(())
    }

    async fn get_info(&self) -> StoreInfo {
        StoreInfo { discoverability: DiscoverabilitySupport::Full }
    }
}

struct Hand {
    verifies: bool,
}

#[async_trait::async_trait]
impl UserValidationMethod for Hand {
    type PasskeyItem = Passkey;

    async fn check_user<'a>(&self, _: UiHint<'a, Passkey>, _: bool, asked: bool) -> Result<UserCheck, Ctap2Error> {
        Ok(UserCheck { presence: true, verification: asked && self.verifies })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(self.verifies)
    }
}

impl Soft {
    /// Returns an authenticator that verifies its person and holds nothing.
    pub fn new() -> Self {
        Self { verifies: true, counts: false, store: Shelf::default() }
    }

    /// Makes a passkey on a page of `origin`, as the options say; returns the answer as JSON.
    pub fn create(&mut self, origin: &str, options: &str) -> Value {
        let options: Value = serde_json::from_str(options).expect("options are JSON");
        let request: CredentialCreationOptions =
            serde_json::from_value(serde_json::json!({ "publicKey": options })).expect("options of WebAuthn");
        let mut client = Client::new(self.authenticator()).allows_insecure_localhost(true);
        let url = Url::parse(origin).expect("an origin");
        let made = wait(client.register(&url, request, DefaultClientData)).expect("it makes a passkey");
        self.store = client.authenticator().store().clone();
        serde_json::to_value(made).expect("an answer is plain data")
    }

    /// Signs in on a page of `origin`, as the options say; returns the answer as JSON.
    pub fn get(&mut self, origin: &str, options: &str) -> Value {
        let mut options: Value = serde_json::from_str(options).expect("options are JSON");
        if options["allowCredentials"] == serde_json::json!([]) {
            options["allowCredentials"] = Value::Null; // what an empty list means
        }
        let request: CredentialRequestOptions =
            serde_json::from_value(serde_json::json!({ "publicKey": options })).expect("options of WebAuthn");
        let mut client = Client::new(self.authenticator()).allows_insecure_localhost(true);
        let url = Url::parse(origin).expect("an origin");
        let answer = wait(client.authenticate(&url, request, DefaultClientData)).expect("it answers");
        self.store = client.authenticator().store().clone();
        serde_json::to_value(answer).expect("an answer is plain data")
    }

    /// Returns the passkeys it holds, as the server names them.
    pub fn ids(&self) -> Vec<Hash> {
        self.store.0.iter().map(|passkey| sha256(&[&passkey.credential_id])).collect()
    }

    fn authenticator(&self) -> Authenticator<Shelf, Hand, RustCryptoBackend> {
        let hand = Hand { verifies: self.verifies };
        let mut authenticator = Authenticator::new(Aaguid::new_empty(), self.store.clone(), hand, RustCryptoBackend);
        authenticator.set_make_credentials_with_signature_counter(self.counts);
        authenticator
    }
}

fn wait<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made").block_on(task)
}
