//! The hello: login, acknowledgement, resume and receipt in one signature (PROTOCOL 23.2).
//!
//! Whoever says hello signs the challenge of this very connection, and beside it how many frames of its session it received and the
//! hash chained over them. The server thereby knows whom it talks to, what it need not keep, and has it in writing.

use identity::cert::KeyBytes;
use identity::did::Did;
use identity::hash::{Hash, domain_hash};
use identity::key::{BadSignature, SigningKey, kid_of};
use identity::name::Origin;
use identity::signed::Signed;
use identity::wire::{Reader, WireError, Writer};

use crate::guest;

/// The hash of a session before its first frame.
pub const HOP_START: Hash = [0; 32];

/// Returns `H(hop; before, message)`: the chain over a session's frames, each as the bytes that were sent.
pub fn hop(before: &Hash, message: &[u8]) -> Hash {
    domain_hash("dgns/hop/v1", &[before, message])
}

/// What a hello's signature is good for.
const DOMAIN: &str = "dgns/hello/v1";

/// The bytes of the URL in a hello.
const URL_BYTES_MAX: usize = 255;

/// What a hello says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The challenge.
    pub challenge: [u8; 32],
    /// The URL, as the challenge named it and the client reached it.
    pub url: String,
    /// The device.
    pub device: KeyBytes,
    /// Its DID, or what stands in for a guest's.
    pub did: Did,
    /// One process or page of the device: 8 bytes, unlike another's.
    pub instance: [u8; 8],
    /// The session to go on with.
    pub resume: Option<Received>,
    /// Unix seconds by the client's clock; advisory.
    pub unix_s: u64,
}

/// What a client received of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The session.
    pub sid: [u8; 16],
    /// How many frames.
    pub n: u64,
    /// The chain over them.
    pub hash: Hash,
}

/// A hello whose signature nobody has checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHello {
    signed: Signed,
    hello: Hello,
}

impl Hello {
    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        let guest = guest::is_guest(&self.device, &self.did);
        writer.map(6 + 3 * usize::from(self.resume.is_some()) - usize::from(guest));
        writer.uint(0).bytes(&self.challenge).uint(1).text(&self.url).uint(2).bytes(&self.device);
        if !guest {
            writer.uint(3).bytes(self.did.as_bytes());
        }
        writer.uint(4).bytes(&self.instance);
        if let Some(received) = &self.resume {
            writer.uint(5).bytes(&received.sid).uint(6).uint(received.n).uint(7).bytes(&received.hash);
        }
        writer.uint(8).uint(self.unix_s);
        writer.finish()
    }

    fn decode(payload: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        let mut fields = reader.fields()?;
        let (challenge, url) = (fields.required(0, Reader::fixed)?, fields.required(1, |r| r.text())?.to_owned());
        let device = fields.required(2, Reader::fixed)?;
        let did = guest::did_of(fields.optional(3, Reader::fixed)?, &device)?;
        let instance = fields.required(4, Reader::fixed)?;
        let resume = match fields.optional(5, Reader::fixed)? {
            None => None,
            Some(sid) => {
                let (n, hash) = (fields.required(6, Reader::uint)?, fields.required(7, Reader::fixed)?);
                Some(Received { sid, n, hash })
            }
        };
        let unix_s = fields.required(8, Reader::uint)?;
        fields.end()?;
        reader.end()?;
        if url.len() > URL_BYTES_MAX {
            return Err(WireError::Unexpected);
        }
        Ok(Self { challenge, url, device, did, instance, resume, unix_s })
    }
}

impl SignedHello {
    /// Signs a hello for the log of `origin`.
    pub fn sign(hello: &Hello, origin: &Origin, key: &SigningKey) -> Result<Self, WireError> {
        Self::decode(Signed::sign(DOMAIN, origin, &hello.encode(), key).as_bytes())
    }

    /// Decodes an envelope and the hello in it.
    pub fn decode(envelope: &[u8]) -> Result<Self, WireError> {
        let signed = Signed::decode(envelope)?;
        let hello = Hello::decode(signed.payload())?;
        Ok(Self { signed, hello })
    }

    /// Returns the envelope.
    pub fn as_bytes(&self) -> &[u8] {
        self.signed.as_bytes()
    }

    /// Returns what it says. Nothing in it is verified.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Checks that the device it names signed it. Whether that device is alive only the state of its DID tells, and whether it
    /// answers this connection's challenge the caller compares.
    pub fn verify(&self, origin: &Origin) -> Result<(), BadSignature> {
        if kid_of(&self.hello.device) != self.signed.kid() {
            return Err(BadSignature);
        }
        self.signed.verify(DOMAIN, origin, &self.hello.device)
    }
}

#[cfg(test)]
mod tests;
