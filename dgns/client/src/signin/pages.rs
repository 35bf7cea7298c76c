//! Signing in with a passkey: a program cannot ask one, the server's pages can. What they are told stands behind the `#` of their address,
//! which reaches no server; they make the challenge of it anew, so that the passkey answers for these keys and for nothing else.

use data_encoding::BASE64URL_NOPAD;
use dgns_api::info::Signin;
use dgns_api::signin::Started;
use identity::evidence::{Assertion, Binding, Expected, P256Key, Purpose};
use serde::Deserialize;

use super::unreadable;
use crate::error::ClientError;

/// The pages of a server, where its passkeys are asked.
pub(super) struct Pages {
    base: String,
}

/// What of WebAuthn's options is looked at here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    challenge: String,
    rp_id: Option<String>,
    rp: Option<Party>,
}

#[derive(Deserialize)]
struct Party {
    id: String,
}

impl Pages {
    /// Returns the pages of a server that takes passkeys and has pages.
    pub(super) fn of(offered: Signin) -> Result<Self, ClientError> {
        let Signin { passkeys: true, pages: Some(base), .. } = offered else {
            let what = "this server takes no passkeys: sign in at an issuer (dgns login), or take a name by work (dgns up NAME)";
            return Err(ClientError::Unable(what.into()));
        };
        match host_of(&base) {
            Some(_) => Ok(Self { base }),
            None => Err(ClientError::Unable("the address of this server's pages is none that has passkeys".into())),
        }
    }

    /// Returns the challenge in what an authenticator is to be asked, if it is asked for these very pages.
    pub(super) fn challenge(&self, go: &str) -> Result<Option<String>, ClientError> {
        let Asked { challenge, rp_id, rp } = serde_json::from_str(go).map_err(unreadable)?;
        let site = rp_id.or(rp.map(|rp| rp.id));
        Ok(Some(challenge).filter(|_| site.as_deref() == host_of(&self.base)))
    }

    /// Returns whether the passkey with this key answered this nonce, on these pages.
    pub(super) fn signed_by(&self, statement: &[u8], nonce: &str, key: &[u8; 64]) -> bool {
        let challenge = BASE64URL_NOPAD.decode(nonce.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        let (Some(challenge), Some(key), Some(rp_id)) = (challenge, P256Key::from_bytes(key), host_of(&self.base))
        else {
            return false;
        };
        let expected = Expected { challenge: &challenge, origin: &self.base, rp_id };
        Assertion::from_bytes(statement).is_ok_and(|assertion| assertion.judge(&expected, &key).is_ok())
    }

    /// Returns the address at which somebody signs in, or makes a passkey, for the program at this port.
    pub(super) fn url(&self, port: u16, binding: &Binding, started: &Started, makes: bool) -> String {
        let Binding { sign, kex, purpose, blinded, .. } = binding;
        let told =
            [&started.state[..], sign, kex, &started.random].map(|bytes| BASE64URL_NOPAD.encode(bytes)).join(".");
        let more = match (makes, purpose) {
            (true, _) => started.go.clone().into_bytes(),
            (false, Purpose::SignIn) => Vec::new(),
            (false, _) => [&[*purpose as u8][..], blinded.as_ref().map_or(&[], |point| point.as_slice())].concat(),
        };
        let more = if more.is_empty() { String::new() } else { format!(".{}", BASE64URL_NOPAD.encode(&more)) };
        format!("{}/signin#program={port}.{told}{more}", self.base)
    }
}

/// Returns the host of pages where browsers have passkeys: a name behind TLS, or this very computer.
fn host_of(base: &str) -> Option<&str> {
    let (rest, local) = match (base.strip_prefix("https://"), base.strip_prefix("http://")) {
        (Some(rest), _) => (rest, false),
        (None, Some(rest)) => (rest, true),
        (None, None) => return None,
    };
    let (host, port) = rest.split_once(':').unwrap_or((rest, "1"));
    let named = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    (named && port.parse::<u16>().is_ok() && (!local || host == "localhost")).then_some(host)
}

/// Returns the credential that the page handed over, as JSON.
pub(super) fn credential(code: &str) -> Result<String, ClientError> {
    let text = BASE64URL_NOPAD.decode(code.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| ClientError::Unable("what the page handed over is no answer of a passkey; begin again".into()))
}

/// Returns the challenge that a passkey answered. It stands in the client data, the second part of an assertion and of a registration.
pub(super) fn challenge_of(statement: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct ClientData {
        challenge: String,
    }
    let part = |bytes: &'_ [u8]| -> Option<(usize, usize)> {
        let length = usize::from(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]));
        Some((2, 2 + length))
    };
    let (_, end) = part(statement)?;
    let rest = statement.get(end..)?;
    let (start, end) = part(rest)?;
    serde_json::from_slice::<ClientData>(rest.get(start..end)?).ok().map(|data| data.challenge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(base: &str) -> Signin {
        Signin { issuers: Vec::new(), passkeys: true, pages: Some(base.into()) }
    }

    #[test]
    fn pages_are_where_passkeys_are() {
        for (base, host) in [("https://id.example", "id.example"), ("http://localhost:5380", "localhost")] {
            let pages = Pages::of(offered(base)).unwrap();
            let go = |site: &str| format!(r#"{{"challenge":"c","rpId":"{site}"}}"#);
            assert_eq!(pages.challenge(&go(host)).unwrap().as_deref(), Some("c"));
            assert_eq!(pages.challenge(&go("evil.example")).unwrap(), None);
            let made = format!(r#"{{"challenge":"c","rp":{{"id":"{host}","name":"x"}}}}"#);
            assert_eq!(pages.challenge(&made).unwrap().as_deref(), Some("c"));
            assert!(pages.challenge("{}").is_err());
        }
        for base in
            ["http://id.example", "javascript:1", "https://", "https://a@b", "https://a/b", "http://localhost:x"]
        {
            assert!(Pages::of(offered(base)).is_err(), "{base}");
        }
        assert!(Pages::of(Signin { passkeys: false, ..offered("https://id.example") }).is_err());
        assert!(Pages::of(Signin { pages: None, ..offered("https://id.example") }).is_err());
    }

    #[test]
    fn the_challenge_is_read_out_of_the_client_data() {
        let part = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes(), bytes].concat();
        let whole = [part(b"data"), part(br#"{"type":"webauthn.get","challenge":"abc"}"#), part(b"signature")].concat();
        assert_eq!(challenge_of(&whole).as_deref(), Some("abc"));
        assert_eq!((challenge_of(&whole[..20]), challenge_of(&[]), challenge_of(&[0, 9])), (None, None, None));
    }
}
