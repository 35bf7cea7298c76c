//! Web Push: what a push service is handed, and nobody but the browser reads (RFC 8030, 8291, 8292; PROTOCOL 23.14). The second room
//! of `p256` and `aes_gcm`: the curve and the cipher are those protocols' own, and identify nobody here.

use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::{Aes128Gcm, Nonce};
use data_encoding::BASE64URL_NOPAD;
use hkdf::Hkdf;
use p256::ecdh::diffie_hellman;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::{PublicKey, SecretKey};
use rand_core::CryptoRng;
use serde_json::json;
use sha2::Sha256;
use zeroize::Zeroizing;

/// A public key as push services and browsers write it: an uncompressed point.
pub type PushKey = [u8; 65];

/// The bytes before the cipher text: salt, record size, length of the key, key.
const HEAD_BYTES: usize = 16 + 4 + 1 + 65;

/// The record size that every receiver takes (RFC 8291, 4).
const RECORD_BYTES: u32 = 4_096;

/// The bytes that are encrypted, however short the message: its length says nothing.
pub const PADDED_BYTES: usize = 128;

/// Why something is no part of Web Push. Code `bad_subscription`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// Not a point of P-256, or the message is longer than what is sent.
    #[error("not a subscription of Web Push, or too long a message")]
    Bad,
}

/// The key by which push services know this server (RFC 8292).
#[derive(Clone)]
pub struct VapidKey(SigningKey);

impl VapidKey {
    /// Returns the key of a secret; one in 2^32 is none.
    pub fn from_secret(secret: &[u8; 32]) -> Result<Self, PushError> {
        SigningKey::from_slice(secret).map(Self).map_err(|_| PushError::Bad)
    }

    /// Returns what browsers subscribe for.
    pub fn public(&self) -> PushKey {
        point(&PublicKey::from(self.0.verifying_key()))
    }

    /// Returns the value of `Authorization` for the push service at `origin`, good until `exp_s`. `subject` is where its operator
    /// finds this server's: `mailto:` or `https:`.
    pub fn authorization(&self, origin: &str, exp_s: u64, subject: &str) -> String {
        let part = |value: serde_json::Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let head = part(json!({ "typ": "JWT", "alg": "ES256" }));
        let claims = part(json!({ "aud": origin, "exp": exp_s, "sub": subject }));
        let signed = format!("{head}.{claims}");
        let signature: Signature = self.0.sign(signed.as_bytes());
        let signature = BASE64URL_NOPAD.encode(&signature.to_bytes());
        format!("vapid t={signed}.{signature}, k={}", BASE64URL_NOPAD.encode(&self.public()))
    }
}

/// Whom a message is sealed to: the keys of a subscription, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    key: PublicKey,
    auth: [u8; 16],
}

impl Receiver {
    /// Returns the receiver of `p256dh` and `auth`.
    pub fn new(p256dh: &PushKey, auth: [u8; 16]) -> Result<Self, PushError> {
        let key = PublicKey::from_sec1_bytes(p256dh).map_err(|_| PushError::Bad)?;
        Ok(Self { key, auth })
    }

    /// Seals a message, padded to [`PADDED_BYTES`]: the body of a push with `Content-Encoding: aes128gcm`.
    pub fn seal(&self, message: &[u8], rng: &mut impl CryptoRng) -> Result<Vec<u8>, PushError> {
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        let mut secret = Zeroizing::new([0; 32]);
        let sender = loop {
            rng.fill_bytes(secret.as_mut());
            if let Ok(sender) = SecretKey::from_slice(secret.as_ref()) {
                break sender;
            }
        };
        if message.len() > PADDED_BYTES {
            return Err(PushError::Bad);
        }
        Ok(self.seal_with(message, PADDED_BYTES, &sender, &salt))
    }

    /// Seals with this key and salt (RFC 8291, 3).
    fn seal_with(&self, message: &[u8], padded: usize, sender: &SecretKey, salt: &[u8; 16]) -> Vec<u8> {
        let ours = point(&sender.public_key());
        let shared = diffie_hellman(sender.to_nonzero_scalar(), self.key.as_affine());
        let (key, nonce) = keys(shared.raw_secret_bytes(), &self.auth, &point(&self.key), &ours, salt);
        let mut plain = Zeroizing::new(message.to_vec());
        plain.push(0x02);
        plain.resize(padded.max(message.len()) + 1, 0);
        let cipher = Aes128Gcm::new((&*key).into());
        let nonce: &Nonce<_> = (&nonce).into();
        let sealed = cipher.encrypt(nonce, plain.as_slice()).expect("AES-GCM seals up to 64 GB");
        let mut body = Vec::with_capacity(HEAD_BYTES + sealed.len());
        body.extend_from_slice(salt);
        body.extend_from_slice(&RECORD_BYTES.to_be_bytes());
        body.push(65);
        body.extend_from_slice(&ours);
        body.extend_from_slice(&sealed);
        body
    }
}

/// A receiver's own side: what a browser has, and a program that receives by itself.
pub struct Opener {
    secret: SecretKey,
    auth: [u8; 16],
}

impl Opener {
    /// Returns the side of these secrets.
    pub fn from_secrets(secret: &[u8; 32], auth: [u8; 16]) -> Result<Self, PushError> {
        Ok(Self { secret: SecretKey::from_slice(secret).map_err(|_| PushError::Bad)?, auth })
    }

    /// Returns `p256dh`.
    pub fn public(&self) -> PushKey {
        point(&self.secret.public_key())
    }

    /// Opens the body of a push.
    pub fn open(&self, body: &[u8]) -> Result<Vec<u8>, PushError> {
        let (head, sealed) = body.split_at_checked(HEAD_BYTES).ok_or(PushError::Bad)?;
        let salt: &[u8; 16] = head[..16].try_into().map_err(|_| PushError::Bad)?;
        let theirs = PublicKey::from_sec1_bytes(&head[21..]).map_err(|_| PushError::Bad)?;
        if head[20] != 65 {
            return Err(PushError::Bad);
        }
        let shared = diffie_hellman(self.secret.to_nonzero_scalar(), theirs.as_affine());
        let (key, nonce) = keys(shared.raw_secret_bytes(), &self.auth, &self.public(), &point(&theirs), salt);
        let nonce: &Nonce<_> = (&nonce).into();
        let plain = Aes128Gcm::new((&*key).into()).decrypt(nonce, sealed).map_err(|_| PushError::Bad)?;
        let end = plain.iter().rposition(|byte| *byte != 0).filter(|end| plain[*end] == 0x02);
        end.map(|end| plain[..end].to_vec()).ok_or(PushError::Bad)
    }
}

/// The key and nonce of one message: HKDF over the shared secret, the receiver's secret and both keys, then over the salt.
fn keys(
    shared: &[u8],
    auth: &[u8; 16],
    receiver: &PushKey,
    sender: &PushKey,
    salt: &[u8; 16],
) -> (Zeroizing<[u8; 16]>, [u8; 12]) {
    let (mut input, mut key, mut nonce) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 16]), [0; 12]);
    let expand = |prk: Hkdf<Sha256>, info: &[&[u8]], out: &mut [u8]| {
        prk.expand_multi_info(info, out).expect("HKDF-SHA256 gives up to 8,160 bytes");
    };
    expand(Hkdf::new(Some(auth), shared), &[b"WebPush: info\0", receiver, sender], input.as_mut());
    let prk = || Hkdf::<Sha256>::new(Some(salt), input.as_ref());
    expand(prk(), &[b"Content-Encoding: aes128gcm\0"], key.as_mut());
    expand(prk(), &[b"Content-Encoding: nonce\0"], &mut nonce);
    (key, nonce)
}

fn point(key: &PublicKey) -> PushKey {
    let encoded = key.to_sec1_point(false);
    encoded.as_bytes().try_into().expect("an uncompressed point of P-256 has 65 bytes")
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::VerifyingKey;
    use p256::ecdsa::signature::hazmat::PrehashVerifier as _;

    use super::*;

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        BASE64URL_NOPAD.decode(text.as_bytes()).unwrap().try_into().unwrap()
    }

    /// The receiver of RFC 8291, 5.
    fn published() -> Opener {
        let secret = bytes("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94");
        Opener::from_secrets(&secret, bytes("BTBZMqHH6r4Tts7J_aSIgg")).unwrap()
    }

    const MESSAGE: &[u8] = b"When I grow up, I want to be a watermelon";
    const BODY: &str = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6\
                        PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";

    #[test]
    fn the_example_of_rfc_8291_is_made_and_opened() {
        let opener = published();
        let p256dh: PushKey =
            bytes("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4");
        assert_eq!(opener.public(), p256dh);
        let receiver = Receiver::new(&p256dh, opener.auth).unwrap();
        let sender = SecretKey::from_slice(&bytes::<32>("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")).unwrap();
        let body = receiver.seal_with(MESSAGE, 0, &sender, &bytes("DGv6ra1nlYgDCS1FRnbzlw"));
        assert_eq!(BASE64URL_NOPAD.encode(&body), BODY);
        assert_eq!(opener.open(&body).unwrap(), MESSAGE);
    }

    #[test]
    fn nothing_changed_or_cut_is_opened() {
        let opener = published();
        let body = BASE64URL_NOPAD.decode(BODY.as_bytes()).unwrap();
        for at in (0..16).chain(20..body.len()) {
            let mut changed = body.clone();
            changed[at] ^= 1;
            assert!(opener.open(&changed).is_err(), "byte {at}");
            assert!(opener.open(&body[..at]).is_err(), "{at} bytes");
        }
        assert!(Receiver::new(&[4; 65], [0; 16]).is_err(), "not on the curve");
    }

    #[test]
    fn messages_are_padded_and_no_two_bodies_are_equal() {
        let opener = published();
        let receiver = Receiver::new(&opener.public(), opener.auth).unwrap();
        let mut rng = crate::testing::CountingRng(1);
        let bodies: Vec<Vec<u8>> =
            [&b""[..], b"x", &[0; PADDED_BYTES]].iter().map(|m| receiver.seal(m, &mut rng).unwrap()).collect();
        assert!(bodies.iter().all(|body| body.len() == HEAD_BYTES + PADDED_BYTES + 1 + 16));
        assert_ne!(receiver.seal(b"x", &mut rng).unwrap(), bodies[1]);
        assert_eq!(opener.open(&bodies[1]).unwrap(), b"x");
        assert_eq!(receiver.seal(&[1; PADDED_BYTES + 1], &mut rng), Err(PushError::Bad));
    }

    #[test]
    fn a_push_service_can_check_who_sends() {
        let key = VapidKey::from_secret(&[7; 32]).unwrap();
        let value = key.authorization("https://push.example", 1_700_000_000, "mailto:op@id.example");
        let rest = value.strip_prefix("vapid t=").unwrap();
        let (token, public) = rest.split_once(", k=").unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let verifier = VerifyingKey::from_sec1_bytes(&bytes::<65>(public)).unwrap();
        let signature = Signature::from_slice(&bytes::<64>(signature)).unwrap();
        let hash = identity::hash::sha256(&[signed.as_bytes()]);
        assert!(verifier.verify_prehash(&hash, &signature).is_ok());
        let claims = BASE64URL_NOPAD.decode(signed.split_once('.').unwrap().1.as_bytes()).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(
            claims,
            json!({ "aud": "https://push.example", "exp": 1_700_000_000, "sub": "mailto:op@id.example" })
        );
        assert!(VapidKey::from_secret(&[0; 32]).is_err() && VapidKey::from_secret(&[0xff; 32]).is_err());
    }
}
