//! What is shown where a host's rules alone do not give a lease: a token or a chain of grants (PROTOCOL 23.15).

use identity::cert::KeyBytes;
use identity::hash::sha256;
use identity::key::{SigningKey, signed_bytes, verify_strict};
use identity::limits::{GRANT_BYTES_MAX, GRANT_CHAIN_MAX};
use identity::name::Origin;
use identity::token::Token;
use identity::wire::{Kind, Reader, WireError, Writer};

/// What its signature is good for.
const DOMAIN: &str = "dgns/proof/v1";

/// What a device shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A token for the host (PROTOCOL 17).
    Token(String),
    /// Signed grants, the owner's first (PROTOCOL 18).
    Grants(Vec<Vec<u8>>),
}

/// What a device shows, in answer to a nonce: `[nonce 32, signature 64, token or [grant, ...]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    nonce: [u8; 32],
    signature: [u8; 64],
    shown: Shown,
}

/// Not a credential of this device for this nonce. Code `bad_proof`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is shown is not signed by this device for the nonce it was given")]
pub struct BadCredential;

impl Credential {
    /// Signs what is shown.
    pub fn sign(shown: Shown, nonce: [u8; 32], origin: &Origin, key: &SigningKey) -> Self {
        let signature = key.sign(&signed(&shown, &nonce, origin));
        Self { nonce, signature, shown }
    }

    /// Returns the bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(3).bytes(&self.nonce).bytes(&self.signature).raw(&encoded(&self.shown));
        writer.finish()
    }

    /// Returns what `device` shows for this nonce.
    pub fn open(bytes: &[u8], nonce: &[u8; 32], origin: &Origin, device: &KeyBytes) -> Result<Shown, BadCredential> {
        let credential = Self::decode(bytes).map_err(|_: WireError| BadCredential)?;
        if credential.nonce != *nonce {
            return Err(BadCredential);
        }
        let signed = signed(&credential.shown, nonce, origin);
        verify_strict(device, &signed, &credential.signature).map_err(|_| BadCredential)?;
        Ok(credential.shown)
    }

    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        reader.array_of(3)?;
        let (nonce, signature) = (reader.fixed()?, reader.fixed()?);
        let shown = match reader.peek()? {
            Kind::Text => Shown::Token(token(&mut reader)?),
            _ => Shown::Grants(reader.list(GRANT_CHAIN_MAX, grant)?),
        };
        reader.end()?;
        Ok(Self { nonce, signature, shown })
    }
}

fn token(reader: &mut Reader<'_>) -> Result<String, WireError> {
    let text = reader.text()?;
    if text.len() <= Token::TEXT_BYTES_MAX { Ok(text.to_owned()) } else { Err(WireError::Unexpected) }
}

fn grant(reader: &mut Reader<'_>) -> Result<Vec<u8>, WireError> {
    let bytes = reader.bytes()?;
    if bytes.len() <= GRANT_BYTES_MAX { Ok(bytes.to_vec()) } else { Err(WireError::Unexpected) }
}

fn encoded(shown: &Shown) -> Vec<u8> {
    let mut writer = Writer::new();
    match shown {
        Shown::Token(token) => {
            writer.text(token);
        }
        Shown::Grants(grants) => {
            writer.array(grants.len());
            grants.iter().for_each(|grant| {
                writer.bytes(grant);
            });
        }
    }
    writer.finish()
}

fn signed(shown: &Shown, nonce: &[u8; 32], origin: &Origin) -> Vec<u8> {
    signed_bytes(DOMAIN, origin, &[nonce, &sha256(&[&encoded(shown)])])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Who, origin};
    use crate::vectors::{hex, hold};

    #[test]
    fn what_is_shown_is_of_one_device_for_one_nonce() {
        // Goal: nobody else's, nothing older and nothing changed passes. Method: another nonce, key and log; each byte flipped.
        let (alice, bob) = (Who::new(1), Who::new(2));
        for shown in [Shown::Token("dgt1.a.b".to_owned()), Shown::Grants(vec![vec![1; 200], vec![2; 200]])] {
            let bytes = Credential::sign(shown.clone(), [7; 32], &origin(), &alice.key).encode();
            let open = |bytes: &[u8], nonce, who: &Who| Credential::open(bytes, &[nonce; 32], &origin(), &who.device());
            assert_eq!(open(&bytes, 7, &alice), Ok(shown));
            assert_eq!(open(&bytes, 8, &alice), Err(BadCredential));
            assert_eq!(open(&bytes, 7, &bob), Err(BadCredential));
            let elsewhere = Origin::parse("other.test/log").expect("an origin");
            assert_eq!(Credential::open(&bytes, &[7; 32], &elsewhere, &alice.device()), Err(BadCredential));
            for at in 0..bytes.len() {
                let mut bad = bytes.clone();
                bad[at] ^= 1;
                assert_eq!(open(&bad, 7, &alice), Err(BadCredential), "byte {at}");
            }
        }
    }
    #[test]
    fn vectors_of_what_is_shown() {
        // Goal: whoever writes a client shows what a host takes, and whoever writes a host refuses the rest. Method: each kind as it is
        // signed; then what is another device's, another nonce's, another log's, or spelled or bounded otherwise.
        let (who, nonce) = (Who::new(1), [7; 32]);
        let open = |bytes: &[u8]| Credential::open(bytes, &nonce, &origin(), &who.device());
        let token = Shown::Token("dgt1.a.b".to_owned());
        let longest = Shown::Grants(vec![vec![2; GRANT_BYTES_MAX]; GRANT_CHAIN_MAX]);
        let mut cases = Vec::new();
        for shown in [token.clone(), Shown::Grants(vec![vec![1; 200]]), longest] {
            let credential = Credential::sign(shown.clone(), nonce, &origin(), &who.key);
            assert_eq!(open(&credential.encode()), Ok(shown.clone()));
            let (token, grants) = match &shown {
                Shown::Token(token) => (Some(token), None),
                Shown::Grants(grants) => (None, Some(grants.iter().map(|grant| hex(grant)).collect::<Vec<_>>())),
            };
            cases.push(json!({
                "seed": hex(&[1; 32]), "origin": origin().as_str(), "nonce": hex(&nonce), "token": token, "grants": grants,
                "signed": hex(&signed(&shown, &nonce, &origin())), "credential": hex(&credential.encode()),
            }));
        }
        let good = Credential::sign(token.clone(), nonce, &origin(), &who.key);
        let sign = |shown: Shown| Credential::sign(shown, nonce, &origin(), &who.key).encode();
        let elsewhere = Origin::parse("other.test/log").expect("an origin");
        let spelled = {
            let mut writer = Writer::new();
            writer.array(3).bytes(&nonce).bytes(&good.signature).raw(&[0x78, 8]).raw(b"dgt1.a.b");
            writer.finish()
        };
        for (what, bytes) in [
            ("another nonce", Credential::sign(token.clone(), [8; 32], &origin(), &who.key).encode()),
            ("another device", Credential::sign(token.clone(), nonce, &origin(), &Who::new(2).key).encode()),
            ("another log", Credential::sign(token, nonce, &elsewhere, &who.key).encode()),
            ("another token", Credential { shown: Shown::Token("dgt1.a.c".to_owned()), ..good.clone() }.encode()),
            ("a grant left out", Credential { shown: Shown::Grants(vec![vec![1; 200]]), ..good.clone() }.encode()),
            ("a signature of zeros", Credential { signature: [0; 64], ..good.clone() }.encode()),
            ("a token that is too long", sign(Shown::Token("x".repeat(Token::TEXT_BYTES_MAX + 1)))),
            ("a grant that is too long", sign(Shown::Grants(vec![vec![1; GRANT_BYTES_MAX + 1]]))),
            ("five grants", sign(Shown::Grants(vec![vec![1; 9]; GRANT_CHAIN_MAX + 1]))),
            ("a longer spelling", spelled),
            ("bytes follow", [good.encode(), vec![0]].concat()),
            ("cut short", good.encode()[..good.encode().len() - 1].to_vec()),
            ("nothing", Vec::new()),
        ] {
            assert_eq!(open(&bytes), Err(BadCredential), "{what}");
            cases.push(json!({
                "what": what, "seed": hex(&[1; 32]), "origin": origin().as_str(), "nonce": hex(&nonce), "credential": hex(&bytes),
                "refused": "bad_proof",
            }));
        }
        let about = [
            "What a device shows for a nonce (PROTOCOL 23.15): a token or grants, the signed bytes, signed with the key of the seed; what is \
             refused.",
        ];
        hold("lobby_credentials", &about, &cases);
    }
}
