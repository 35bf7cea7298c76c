//! The blind evaluation behind aliases and recovery: a server computes a keyed function of what it never sees (PROTOCOL 1.7).
//! The room of `voprf`, and of the `rand_core` generation it asks for.
//!
//! RFC 9497, ristretto255-SHA512, verifiable mode: the proof shows that the key was the pinned one, so no server can mark a
//! person by a key of their own. Only byte arrays leave this module.

mod threshold;

use core::fmt;

use rand_core::CryptoRng;
use voprf::{BlindedElement, EvaluationElement, Group as _, Proof, Ristretto255, VoprfClient, VoprfServer};
use zeroize::Zeroizing;

use crate::cert::KeyBytes;
use crate::limits::OPRF_BATCH_MAX;

pub use threshold::{KeyShare, WholeKey, combine_public};

/// A point of ristretto255 in its one encoding; never the identity.
pub type Element = [u8; 32];

/// The proof that one key evaluated a whole batch.
pub type ProofBytes = [u8; 64];

/// Why an evaluation was refused or must not be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OprfError {
    /// The input is empty or longer than 65,535 bytes. Code `bad_input`.
    #[error("an input of no bytes, or of more than 65,535")]
    Input,
    /// No element, more than [`OPRF_BATCH_MAX`], or not one answer for each. Code `bad_batch`.
    #[error("a batch of 1 to 16 elements, with one answer for each")]
    Batch,
    /// Not the one encoding of a point, or the identity. Code `bad_element`.
    #[error("not the encoding of a point of ristretto255, or its identity")]
    Element,
    /// The bytes of the public key are no point, or the identity. Code `bad_key`.
    #[error("the key is no point of ristretto255, or its identity")]
    Key,
    /// The pinned key did not make these answers. Code `bad_proof`.
    #[error("the proof does not hold: another key made the answers, or they were changed")]
    Proof,
}

impl OprfError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Input => "bad_input",
            Self::Batch => "bad_batch",
            Self::Element => "bad_element",
            Self::Key => "bad_key",
            Self::Proof => "bad_proof",
        }
    }
}

/// An input with the factor that blinds it: what the client keeps between request and answer. Wiped when dropped.
pub struct Blinded {
    input: Zeroizing<Vec<u8>>,
    client: VoprfClient<Ristretto255>,
    element: Element,
}

impl Blinded {
    /// Blinds an input of 1 to 65,535 bytes by a fresh factor.
    pub fn new(input: &[u8], rng: &mut impl CryptoRng) -> Result<Self, OprfError> {
        if !(1..=usize::from(u16::MAX)).contains(&input.len()) {
            return Err(OprfError::Input);
        }
        let blinded = VoprfClient::blind(input, &mut Generation06(rng)).map_err(|_| OprfError::Input)?;
        let element = blinded.message.serialize().into();
        Ok(Self { input: Zeroizing::new(input.to_vec()), client: blinded.state, element })
    }

    /// Returns what the server is shown: a point that says nothing about the input, whatever the server tries later.
    pub fn element(&self) -> &Element {
        &self.element
    }
}

impl fmt::Debug for Blinded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blinded(secret)")
    }
}

/// The keyed function. Its memory is wiped when it is dropped, and it is never printed.
#[derive(Clone)]
pub struct Server(VoprfServer<Ristretto255>);

impl Server {
    /// Returns the key of a seed that serves nothing else.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self::derive(seed, &[])
    }

    /// Returns the key that RFC 9497's DeriveKeyPair makes of `seed` and `info`, which is at most 1,024 bytes.
    pub fn derive(seed: &[u8; 32], info: &[u8]) -> Self {
        debug_assert!(info.len() <= 1_024);
        Self(VoprfServer::new_from_seed(seed, info).expect("one of 256 attempts gives a scalar that is not zero"))
    }

    /// Returns the public key, which clients pin.
    pub fn public(&self) -> KeyBytes {
        Ristretto255::serialize_elem(self.0.get_public_key()).into()
    }

    /// Returns the 64 bytes of an input of 1 to 65,535 bytes that the server itself knows.
    pub fn output(&self, input: &[u8]) -> Result<[u8; 64], OprfError> {
        if !(1..=usize::from(u16::MAX)).contains(&input.len()) {
            return Err(OprfError::Input);
        }
        self.0.evaluate(input).map(Into::into).map_err(|_| OprfError::Input)
    }

    /// Evaluates a batch of 1 to [`OPRF_BATCH_MAX`] blinded elements and proves all of it at once.
    pub fn evaluate(
        &self,
        blinded: &[Element],
        rng: &mut impl CryptoRng,
    ) -> Result<(Vec<Element>, ProofBytes), OprfError> {
        batch_of(blinded.len())?;
        let elements = blinded.iter().map(|element| BlindedElement::deserialize(element));
        let elements = elements.collect::<Result<Vec<_>, _>>().map_err(|_| OprfError::Element)?;
        let result = self.0.batch_blind_evaluate(&mut Generation06(rng), &elements).map_err(|_| OprfError::Batch)?;
        let evaluated = result.messages.iter().map(|message| message.serialize().into()).collect();
        Ok((evaluated, result.proof.serialize().into()))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oprf::Server({}, secret)", data_encoding::HEXLOWER.encode(&self.public()))
    }
}

/// Returns the 64 bytes of each input of a batch, if the key `pk` made all of `evaluated`, in the order of `batch`.
pub fn finalize(
    batch: &[Blinded],
    evaluated: &[Element],
    proof: &ProofBytes,
    pk: &KeyBytes,
) -> Result<Vec<[u8; 64]>, OprfError> {
    batch_of(batch.len())?;
    if batch.len() != evaluated.len() {
        return Err(OprfError::Batch);
    }
    let pk = Ristretto255::deserialize_elem(pk).map_err(|_| OprfError::Key)?;
    let proof = Proof::deserialize(proof).map_err(|_| OprfError::Proof)?;
    let evaluated = evaluated.iter().map(|element| EvaluationElement::deserialize(element));
    let evaluated = evaluated.collect::<Result<Vec<_>, _>>().map_err(|_| OprfError::Element)?;
    let clients: Vec<_> = batch.iter().map(|blinded| blinded.client.clone()).collect();
    let inputs: Vec<_> = batch.iter().map(|blinded| blinded.input.as_slice()).collect();
    let outputs = VoprfClient::batch_finalize(&inputs, &clients, &evaluated, &proof, pk);
    let outputs = outputs.map_err(|_| OprfError::Proof)?;
    outputs.map(|output| output.map(Into::into).map_err(|_| OprfError::Input)).collect()
}

/// Returns whether these bytes are the one encoding of a point, and not the identity's.
pub fn is_element(bytes: &[u8; 32]) -> bool {
    BlindedElement::<Ristretto255>::deserialize(bytes).is_ok()
}

fn batch_of(len: usize) -> Result<(), OprfError> {
    if (1..=OPRF_BATCH_MAX).contains(&len) { Ok(()) } else { Err(OprfError::Batch) }
}

/// The `rng` argument for a package of an older generation.
struct Generation06<'a, R>(&'a mut R);

impl<R: CryptoRng> rand_core_06::RngCore for Generation06<'_, R> {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), rand_core_06::Error> {
        self.0.fill_bytes(out);
        Ok(())
    }
}

impl<R: CryptoRng> rand_core_06::CryptoRng for Generation06<'_, R> {}

#[cfg(test)]
mod tests;
