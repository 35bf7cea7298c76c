//! The bodies of `/v1/alias/notarize` and `/v1/alias/mine`; deterministic CBOR (PROTOCOL 12.18).

use identity::alias::{AliasId, Tag};
use identity::wire::{Reader, WireError, Writer};

/// The bytes of what asks a notary at most: an id_token of 16 KiB, and what stands around it.
pub const ASK_BYTES_MAX: usize = 24_576;

/// The bytes of what opens a binding, sealed.
pub const SEALED_BYTES_MAX: usize = 1_024;

/// The aliases of an answer.
const MINE_MAX: usize = 64;

/// Asks a notary to sign a binding: `{1: certificate, 2: statement, 3: random 16, 4: nonce 32, 5? tag 16, 6? sealed}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Ask {
    /// The `alias_bind`, signed by the device that signed in.
    pub certificate: Vec<u8>,
    /// What was judged at the sign-in.
    pub statement: Vec<u8>,
    /// What its evidence hash was made with.
    pub random: [u8; 16],
    /// What the commitment to the address was made with.
    pub nonce: [u8; 32],
    /// What hides the alias from who knows the address.
    pub tag: Option<Tag>,
    /// What opens the binding, sealed to the owner; empty if nothing is to be kept.
    pub sealed: Vec<u8>,
}

/// An alias that the server knows a DID's sign-ins for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mine {
    /// The alias id.
    pub alias: AliasId,
    /// What opens it, sealed to the owner.
    pub sealed: Vec<u8>,
    /// Whether the log bound it.
    pub bound: bool,
}

/// What a server keeps of a DID's addresses: `[[[alias, sealed, bound], ...], accounts, addresses]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllMine {
    /// The aliases.
    pub aliases: Vec<Mine>,
    /// How many accounts of issuers lead to the DID.
    pub accounts: u64,
    /// Of how many of them an address is kept, blinded.
    pub addresses: u64,
}

impl Ask {
    /// Returns the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.map(4 + usize::from(self.tag.is_some()) + usize::from(!self.sealed.is_empty()));
        w.uint(1).bytes(&self.certificate).uint(2).bytes(&self.statement);
        w.uint(3).bytes(&self.random).uint(4).bytes(&self.nonce);
        if let Some(tag) = &self.tag {
            w.uint(5).bytes(tag);
        }
        if !self.sealed.is_empty() {
            w.uint(6).bytes(&self.sealed);
        }
        w.finish()
    }

    /// Reads the body.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes);
        let mut fields = r.fields()?;
        let ask = Self {
            certificate: fields.required(1, Reader::bytes)?.to_vec(),
            statement: fields.required(2, Reader::bytes)?.to_vec(),
            random: fields.required(3, Reader::fixed)?,
            nonce: fields.required(4, Reader::fixed)?,
            tag: fields.optional(5, Reader::fixed)?,
            sealed: fields.optional(6, Reader::bytes)?.unwrap_or_default().to_vec(),
        };
        fields.end()?;
        r.end()?;
        if ask.sealed.len() <= SEALED_BYTES_MAX && ask.encode() == bytes { Ok(ask) } else { Err(WireError::Unexpected) }
    }
}

impl core::fmt::Debug for Ask {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Ask(..)")
    }
}

impl AllMine {
    /// Returns the answer.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(3).array(self.aliases.len());
        for Mine { alias, sealed, bound } in &self.aliases {
            w.array(3).bytes(alias).bytes(sealed).bool(*bound);
        }
        w.uint(self.accounts).uint(self.addresses);
        w.finish()
    }

    /// Reads the answer.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes);
        r.array_of(3)?;
        let aliases = r.list(MINE_MAX, |r| {
            r.array_of(3)?;
            Ok::<_, WireError>(Mine { alias: r.fixed()?, sealed: r.bytes()?.to_vec(), bound: r.bool()? })
        })?;
        let all = Self { aliases, accounts: r.uint()?, addresses: r.uint()? };
        r.end()?;
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_and_kept_has_one_spelling() {
        let bare = Ask {
            certificate: vec![1; 300],
            statement: vec![2; 900],
            random: [3; 16],
            nonce: [4; 32],
            tag: None,
            sealed: Vec::new(),
        };
        let whole = Ask { tag: Some([5; 16]), sealed: vec![6; SEALED_BYTES_MAX], ..bare.clone() };
        for ask in [&bare, &whole] {
            assert_eq!(Ask::decode(&ask.encode()).as_ref(), Ok(ask));
            assert!(Ask::decode(&[&ask.encode()[..], &[0]].concat()).is_err());
            assert_eq!(format!("{ask:?}"), "Ask(..)", "an id_token is not printed");
        }
        assert!(Ask::decode(&Ask { sealed: vec![6; SEALED_BYTES_MAX + 1], ..bare }.encode()).is_err());
        let mine =
            AllMine { aliases: vec![Mine { alias: [1; 32], sealed: vec![2], bound: true }], accounts: 1, addresses: 0 };
        assert_eq!(AllMine::decode(&mine.encode()), Ok(mine));
    }
}
