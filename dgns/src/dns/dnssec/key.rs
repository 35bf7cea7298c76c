//! One key of the zone: what it signs with, and how DNS and BIND's tools write it (RFC 4034, RFC 6605, RFC 8080). The room of ring.

use core::fmt;

use data_encoding::{BASE64, HEXUPPER};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use zeroize::Zeroizing;

/// The bytes of every secret and of every signature of the two algorithms.
pub(crate) const SECRET_BYTES: usize = 32;
pub(crate) const SIGNATURE_BYTES: usize = 64;

/// SHA-256, as a DS names it (RFC 4509).
const DIGEST_SHA256: u8 = 2;

/// How a zone is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256: every validator knows it.
    EcdsaP256 = 13,
    /// Ed25519.
    Ed25519 = 15,
}

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The keys: the parent's DS names it.
    Ksk,
    /// The zone.
    Zsk,
}

/// A key of the zone, secret and all.
pub struct Key {
    pub(crate) algorithm: Algorithm,
    pub(crate) role: Role,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
    /// As DNSKEY has it: the point without its first byte (RFC 6605), or the 32 bytes (RFC 8080).
    public: Vec<u8>,
    tag: u16,
    pair: Pair,
}

enum Pair {
    EcdsaP256(EcdsaKeyPair, SystemRandom),
    Ed25519(Ed25519KeyPair),
}

/// The bytes are no key.
#[derive(Debug, PartialEq, Eq)]
pub struct BadKey;

impl Algorithm {
    /// Returns the algorithm with this number.
    pub fn of_number(number: u64) -> Option<Self> {
        [Self::EcdsaP256, Self::Ed25519].into_iter().find(|&known| known as u64 == number)
    }

    fn mnemonic(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ECDSAP256SHA256",
            Self::Ed25519 => "ED25519",
        }
    }
}

impl Role {
    /// Returns how files name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ksk => "ksk",
            Self::Zsk => "zsk",
        }
    }

    fn flags(self) -> u16 {
        match self {
            Self::Ksk => 257,
            Self::Zsk => 256,
        }
    }
}

impl Key {
    /// Makes a fresh key.
    pub fn generate(algorithm: Algorithm, role: Role) -> Self {
        let random = SystemRandom::new();
        let made = match algorithm {
            Algorithm::EcdsaP256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random),
            Algorithm::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random),
        };
        let made = made.expect("the system has randomness");
        let (secret_at, public_at) = match algorithm {
            // The fixed DER that ring writes (RFC 5958, RFC 5915; RFC 8410); a wrong place is no pair, which `read` finds.
            Algorithm::EcdsaP256 => (36, made.as_ref().len() - 64),
            Algorithm::Ed25519 => (16, made.as_ref().len() - 32),
        };
        let secret = &made.as_ref()[secret_at..secret_at + SECRET_BYTES];
        Self::read(algorithm, role, secret, &made.as_ref()[public_at..]).expect("what was just made is a pair")
    }

    /// Returns the key with this secret and public half. Errors: `BadKey` if they are no pair.
    pub fn read(algorithm: Algorithm, role: Role, secret: &[u8], public: &[u8]) -> Result<Self, BadKey> {
        let pair = match algorithm {
            Algorithm::EcdsaP256 => {
                let (random, point) = (SystemRandom::new(), [&[4], public].concat());
                let signing = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pair = EcdsaKeyPair::from_private_key_and_public_key(signing, secret, &point, &random);
                pair.map(|pair| Pair::EcdsaP256(pair, random))
            }
            Algorithm::Ed25519 => Ed25519KeyPair::from_seed_and_public_key(secret, public).map(Pair::Ed25519),
        };
        let pair = pair.map_err(|_| BadKey)?;
        let known: &[u8] = match &pair {
            Pair::EcdsaP256(pair, _) => &pair.public_key().as_ref()[1..],
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
        };
        let secret = Zeroizing::new(secret.try_into().map_err(|_| BadKey)?);
        if known != public {
            return Err(BadKey);
        }
        let mut key = Self { algorithm, role, secret, public: public.to_vec(), tag: 0, pair };
        key.tag = tag(&key.dnskey());
        Ok(key)
    }

    /// Signs `bytes`.
    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let signature = match &self.pair {
            Pair::EcdsaP256(pair, random) => pair.sign(random, bytes).expect("the system has randomness"),
            Pair::Ed25519(pair) => pair.sign(bytes),
        };
        signature.as_ref().try_into().expect("both algorithms make 64 bytes")
    }

    /// Returns what it signs, as files name it.
    pub(crate) fn role(&self) -> &'static str {
        self.role.name()
    }

    /// Returns the secret half; it stands in the key file and in [`Key::private_file`] alone.
    pub(crate) fn secret(&self) -> &[u8; SECRET_BYTES] {
        &self.secret
    }

    /// Returns the public half.
    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    /// Returns the data of the DNSKEY record: `u16 flags | u8 3 | u8 algorithm | key` (RFC 4034 section 2.1).
    pub(crate) fn dnskey(&self) -> Vec<u8> {
        let mut rdata = self.role.flags().to_be_bytes().to_vec();
        rdata.extend_from_slice(&[3, self.algorithm as u8]);
        rdata.extend_from_slice(&self.public);
        rdata
    }

    /// Returns the key tag (RFC 4034 appendix B).
    pub(crate) fn tag(&self) -> u16 {
        self.tag
    }

    /// Returns the data of the DS record of the zone `apex` (wire form): `u16 tag | u8 algorithm | u8 2 | SHA-256` (RFC 4034 section 5.1).
    pub(crate) fn ds(&self, apex: &[u8]) -> Vec<u8> {
        ds(apex, &self.dnskey())
    }

    /// Returns the DS record as a line of a zone file.
    pub fn ds_line(&self, zone: &str, apex: &[u8]) -> String {
        let ds = self.ds(apex);
        format!("{zone}. IN DS {} {} {} {}", self.tag(), ds[2], ds[3], HEXUPPER.encode(&ds[4..]))
    }

    /// Returns the DNSKEY record as a line of a zone file.
    pub fn dnskey_line(&self, zone: &str) -> String {
        let (flags, algorithm) = (self.role.flags(), self.algorithm as u8);
        format!("{zone}. IN DNSKEY {flags} 3 {algorithm} {}", BASE64.encode(&self.public))
    }

    /// Returns the name that BIND's tools give the files of the key, without ending.
    pub fn file_stem(&self, zone: &str) -> String {
        format!("K{zone}.+{:03}+{:05}", self.algorithm as u8, self.tag())
    }

    /// Returns the secret as BIND's tools keep it in a `.private` file.
    pub fn private_file(&self) -> Zeroizing<String> {
        let (number, mnemonic) = (self.algorithm as u8, self.algorithm.mnemonic());
        let secret = Zeroizing::new(BASE64.encode(self.secret.as_ref()));
        Zeroizing::new(format!(
            "Private-key-format: v1.3\nAlgorithm: {number} ({mnemonic})\nPrivateKey: {}\n",
            secret.as_str()
        ))
    }
}

/// Returns the tag of the key with this DNSKEY data (RFC 4034 appendix B).
pub(crate) fn tag(dnskey: &[u8]) -> u16 {
    let sum: u32 = dnskey.iter().zip(0..).map(|(&byte, at)| u32::from(byte) << if at % 2 == 0 { 8 } else { 0 }).sum();
    (sum + (sum >> 16)) as u16
}

/// Returns the data of the DS of the key with this DNSKEY data, in the zone `apex` (wire form).
pub(crate) fn ds(apex: &[u8], dnskey: &[u8]) -> Vec<u8> {
    let mut rdata = tag(dnskey).to_be_bytes().to_vec();
    rdata.extend_from_slice(&[dnskey.get(3).copied().unwrap_or_default(), DIGEST_SHA256]);
    rdata.extend_from_slice(&identity::hash::sha256(&[apex, dnskey]));
    rdata
}

/// Whether a key with this DNSKEY data made a signature over `bytes`.
pub(crate) fn verifies(dnskey: &[u8], bytes: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
    let Some((&[_, _, _, algorithm], public)) = dnskey.split_first_chunk() else { return false };
    match Algorithm::of_number(algorithm.into()) {
        Some(Algorithm::EcdsaP256) => {
            let point = [&[4], public].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(bytes, signature).is_ok()
        }
        Some(Algorithm::Ed25519) => UnparsedPublicKey::new(&ED25519, public).verify(bytes, signature).is_ok(),
        None => false,
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.role.name(), self.algorithm as u8, self.tag())
    }
}

#[cfg(test)]
pub(crate) use tests::{of_rfc_6605, of_rfc_8080};

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE_NET: &[u8] = b"\x07example\x03net\0";

    fn key(algorithm: Algorithm, secret: &str, public: &str) -> Key {
        let bytes = |text: &str| BASE64.decode(text.as_bytes()).unwrap();
        Key::read(algorithm, Role::Ksk, &bytes(secret), &bytes(public)).unwrap()
    }

    /// The key of RFC 6605 section 6.1.
    pub(crate) fn of_rfc_6605() -> Key {
        let public = "GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==";
        key(Algorithm::EcdsaP256, "GU6SnQ/Ou+xC5RumuIUIuJZteXT2z0O/ok1s38Et6mQ=", public)
    }

    /// The key of RFC 8080 section 6.1.
    pub(crate) fn of_rfc_8080() -> Key {
        let secret = "ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI=";
        key(Algorithm::Ed25519, secret, "l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=")
    }

    #[test]
    fn keys_of_the_rfcs_have_their_tags_and_ds() {
        let ds = "example.net. IN DS 55648 13 2 B4C8C1FE2E7477127B27115656AD6256F424625BF5C1E2770CE6D6E37DF61D17";
        assert_eq!(of_rfc_6605().ds_line("example.net", EXAMPLE_NET), ds);
        let ds = "example.com. IN DS 3613 15 2 3AA5AB37EFCE57F737FC1627013FEE07BDF241BD10F3B1964AB55C78E79A304B";
        assert_eq!(of_rfc_8080().ds_line("example.com", b"\x07example\x03com\0"), ds);
    }

    #[test]
    fn fresh_keys_are_read_back_and_halves_that_do_not_belong_together_are_none() {
        for algorithm in [Algorithm::EcdsaP256, Algorithm::Ed25519] {
            let (one, other) = (Key::generate(algorithm, Role::Zsk), Key::generate(algorithm, Role::Zsk));
            assert_eq!(Key::read(algorithm, Role::Zsk, one.secret(), one.public()).unwrap().dnskey(), one.dnskey());
            assert!(Key::read(algorithm, Role::Zsk, one.secret(), other.public()).is_err());
            assert!(Key::read(algorithm, Role::Zsk, &one.secret()[1..], one.public()).is_err());
            assert!(one.private_file().contains(&BASE64.encode(one.secret())) && !format!("{one:?}").contains("ecret"));
        }
    }
}
