//! The words on paper and the two keys they make (PROTOCOL 3.2). The room of `bip39`; SLIP-0010 by hand.

use core::fmt;

use bip39::{Language, Mnemonic};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand_core::CryptoRng;
use sha2::Sha512;
use zeroize::Zeroizing;

use crate::key::{KexSecret, SigningKey};

/// Our number below `m/44'`, where each purpose has its own.
const COIN: u32 = 7696;

/// Why text is not the words of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// Neither 12 nor 24 words.
    #[error("there are {0} words, not 12 or 24")]
    Count(usize),
    /// A word, counted from 1, is not on the list.
    #[error("word {0} is not on the list")]
    Unknown(usize),
    /// Each word is on the list, but the checksum does not fit: a word is wrong or two changed places.
    #[error("a word is wrong: the checksum does not fit")]
    Checksum,
}

/// 12 or 24 English words of BIP-39: the top authority of a DID, kept on paper. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct Words(Mnemonic);

impl Words {
    /// Makes 12 new words.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut entropy = Zeroizing::new([0; 16]);
        rng.fill_bytes(entropy.as_mut());
        Self(Mnemonic::from_entropy(entropy.as_ref()).expect("BIP-39 takes 16 bytes"))
    }

    /// Returns the 12 words of 16 bytes that are no person's: a pairing secret in a form that can be read aloud.
    pub(crate) fn of_entropy(entropy: &[u8; 16]) -> Self {
        Self(Mnemonic::from_entropy(entropy).expect("BIP-39 takes 16 bytes"))
    }

    /// Returns the 16 bytes behind 12 words; `None` for 24.
    pub(crate) fn entropy16(&self) -> Option<Zeroizing<[u8; 16]>> {
        let entropy = Zeroizing::new(self.0.to_entropy());
        entropy.as_slice().try_into().ok().map(Zeroizing::new)
    }

    /// Parses words as a person types them: any case, any white space between.
    pub fn parse(text: &str) -> Result<Self, WordsError> {
        let text = Zeroizing::new(text.to_lowercase());
        let count = text.split_whitespace().count();
        if count != 12 && count != 24 {
            return Err(WordsError::Count(count));
        }
        match Mnemonic::parse_in_normalized(Language::English, &text) {
            Ok(mnemonic) => Ok(Self(mnemonic)),
            Err(bip39::Error::UnknownWord(place)) => Err(WordsError::Unknown(place + 1)),
            Err(_) => Err(WordsError::Checksum),
        }
    }

    /// Returns the words with a space between, to be shown once.
    pub fn phrase(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.to_string())
    }

    /// Returns the identity key: the Ed25519 seed at `m/44'/7696'/0'`.
    pub fn identity(&self) -> SigningKey {
        SigningKey::from_seed(&self.key_at([44, COIN, 0]))
    }

    /// Returns the words box: the X25519 secret at `m/44'/7696'/1'`.
    pub fn words_box(&self) -> KexSecret {
        KexSecret::from_bytes(*self.key_at([44, COIN, 1]))
    }

    /// Stretches the words to a seed (2,048 rounds, milliseconds) and walks `path` from it.
    fn key_at(&self, path: [u32; 3]) -> Zeroizing<[u8; 32]> {
        let seed = Zeroizing::new(self.0.to_seed_normalized(""));
        slip10(seed.as_ref(), &path).key
    }
}

/// Returns whether this is a word of the list, as the list has it.
pub fn is_word(text: &str) -> bool {
    Language::English.find_word(text).is_some()
}

/// Returns so many words of the list, each drawn by itself: a secret to remember, without a checksum.
pub fn draw(count: usize, rng: &mut impl CryptoRng) -> Zeroizing<String> {
    let list = Language::English.word_list();
    let mut text = Zeroizing::new(String::with_capacity(9 * count));
    for place in 0..count {
        let mut bytes = [0; 2];
        rng.fill_bytes(&mut bytes);
        if place > 0 {
            text.push(' ');
        }
        text.push_str(list[usize::from(u16::from_be_bytes(bytes)) % list.len()]);
    }
    text
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Words(secret)")
    }
}

/// A node of a SLIP-0010 tree.
struct Node {
    key: Zeroizing<[u8; 32]>,
    chain_code: Zeroizing<[u8; 32]>,
}

/// Walks hardened steps from the master key of `seed`, as SLIP-0010 says for Ed25519.
fn slip10(seed: &[u8], path: &[u32]) -> Node {
    let mut node = Node::from_hmac(b"ed25519 seed", &[seed]);
    for step in path {
        let hardened = (step | 1 << 31).to_be_bytes();
        node = Node::from_hmac(node.chain_code.as_ref(), &[&[0], node.key.as_ref(), &hardened]);
    }
    node
}

impl Node {
    fn from_hmac(key: &[u8], parts: &[&[u8]]) -> Self {
        let mut hmac = Hmac::<Sha512>::new_from_slice(key).expect("HMAC takes keys of any length");
        for part in parts {
            hmac.update(part);
        }
        let output = Zeroizing::new(<[u8; 64]>::from(hmac.finalize().into_bytes()));
        let mut node = Self { key: Zeroizing::new([0; 32]), chain_code: Zeroizing::new([0; 32]) };
        node.key.copy_from_slice(&output[..32]);
        node.chain_code.copy_from_slice(&output[32..]);
        node
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
