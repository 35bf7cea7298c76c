//! Heads of logs: what a server promises when it acknowledges an append (PROTOCOL 25.4).

use identity::cert::{KeyBytes, Kid};
use identity::did::Did;
use identity::hash::Hash;
use identity::key::{BadSignature, SigningKey};
use identity::name::Origin;
use identity::signed::Signed;
use identity::wire::{Reader, WireError, Writer};

use super::entry::LogId;

/// The state of a log after a commit. Signed, it promises: this is durable, and whatever this server shows of the log later
/// continues it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreHead {
    /// 1.
    pub log: LogId,
    /// 2: how many entries.
    pub size: u64,
    /// 3: the root of their tree (PROTOCOL 8).
    pub root: Hash,
    /// 4: the time of the commit by the server's clock, Unix milliseconds.
    pub time_ms: u64,
    /// 5: the DID of the server.
    pub store: Did,
    /// 6: the newest anchor that the server knew when it signed: the head is not older than what that anchor has. Absent in receipts,
    /// which are signed again as they were.
    pub since: Option<u64>,
}

impl StoreHead {
    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.map(5 + usize::from(self.since.is_some()))
            .uint(1)
            .bytes(&self.log.0)
            .uint(2)
            .uint(self.size)
            .uint(3)
            .bytes(&self.root);
        w.uint(4).uint(self.time_ms).uint(5).bytes(self.store.as_bytes());
        if let Some(since) = self.since {
            w.uint(6).uint(since);
        }
        w.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let mut fields = reader.fields()?;
        let head = Self {
            log: LogId(fields.required(1, Reader::fixed)?),
            size: fields.required(2, Reader::uint)?,
            root: fields.required(3, Reader::fixed)?,
            time_ms: fields.required(4, Reader::uint)?,
            store: Did::from_bytes(fields.required(5, Reader::fixed)?),
            since: fields.optional(6, Reader::uint)?,
        };
        fields.end()?;
        reader.end()?;
        Ok(head)
    }
}

/// A head with its signature, which nobody has checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    signed: Signed,
    head: StoreHead,
}

impl SignedHead {
    /// Signs a head for the log of `origin`. The same head has the same signature.
    pub fn sign(head: &StoreHead, origin: &Origin, key: &SigningKey) -> Self {
        let signed = Signed::sign(DOMAIN, origin, &head.encode(), key);
        Self { signed, head: *head }
    }

    /// Decodes an envelope and the head in it.
    pub fn decode(envelope: &[u8]) -> Result<Self, WireError> {
        let signed = Signed::decode(envelope)?;
        let head = StoreHead::decode(signed.payload())?;
        Ok(Self { signed, head })
    }

    /// Returns the envelope.
    pub fn as_bytes(&self) -> &[u8] {
        self.signed.as_bytes()
    }

    /// Returns what it says; nobody vouches for it before [`SignedHead::verify`].
    pub fn head(&self) -> &StoreHead {
        &self.head
    }

    /// Returns which key is said to have signed.
    pub fn kid(&self) -> Kid {
        self.signed.kid()
    }

    /// Checks the signature by a device of the server.
    pub fn verify(&self, origin: &Origin, key: &KeyBytes) -> Result<(), BadSignature> {
        self.signed.verify(DOMAIN, origin, key)
    }
}

/// What the signature of a head is good for.
const DOMAIN: &str = "dgns/receipt/v1";
