//! An issuer whose id_tokens a test makes itself, right or wrong: the keys it publishes are real, nobody signs in there.

use data_encoding::BASE64URL_NOPAD;
use identity::evidence::Binding;
use identity::key::SigningKey;
use serde_json::{Value, json};

use super::http::Answer;
use super::serve::{Told, serve};

/// What the issuer calls the server of names.
pub const AUDIENCE: &str = "dgns";

/// An issuer that publishes one key, until the test's process ends.
#[derive(Debug)]
pub struct TokenIssuer {
    /// Its URL, as it spells it itself.
    pub url: String,
    key: SigningKey,
}

impl TokenIssuer {
    /// Starts it.
    pub fn start() -> Self {
        let key = SigningKey::from_seed(&[42; 32]);
        let x = BASE64URL_NOPAD.encode(&key.public());
        let url = serve(move |request| {
            let head = String::from_utf8_lossy(&request.bytes).to_lowercase();
            let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
            let base = format!("http://{host}");
            let body = match request.path() {
                "/jwks" => json!({
                    "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": x, "use": "sig", "kid": "1", "alg": "EdDSA" }],
                }),
                _ => json!({
                    "issuer": base, "authorization_endpoint": format!("{base}/auth"), "token_endpoint": format!("{base}/token"),
                    "jwks_uri": format!("{base}/jwks"), "response_types_supported": ["code"],
                    "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["EdDSA"],
                }),
            };
            let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
            Told::Answer(Answer { status: 200, headers, body: body.to_string().into_bytes() })
        });
        Self { url, key }
    }

    /// Says that the subject signed in for these keys, just now, for this audience; `bend` makes it say something else.
    pub fn token(&self, subject: &str, binding: &Binding, bend: impl FnOnce(&mut Value)) -> Vec<u8> {
        let now_s = dgns_client::clock::now().as_ms() / 1_000;
        let mut claims = json!({
            "iss": self.url, "aud": AUDIENCE, "sub": subject, "nonce": binding.nonce_text(), "iat": now_s, "exp": now_s + 3_600,
        });
        bend(&mut claims);
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let said = format!("{}.{}", part(&json!({ "alg": "EdDSA", "kid": "1" })), part(&claims));
        let signature = BASE64URL_NOPAD.encode(&self.key.sign(said.as_bytes()));
        format!("{said}.{signature}").into_bytes()
    }
}
