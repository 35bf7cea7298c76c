//! Aliases: what stands in the log for an e-mail address, so that nobody finds the address in it (PROTOCOL 3.5).

mod standing;

use crate::hash::{Hash, domain_hash, u16_prefixed};

pub use standing::Standing;

/// What names an alias: a hash over the server's blind evaluation of an address, which nobody can make alone.
pub type AliasId = Hash;

/// The blind evaluation of an address, as the asker unblinds it (RFC 9497, ristretto255-SHA512).
pub type Evaluation = [u8; 64];

/// The secret that hides an alias from who knows the address.
pub type Tag = [u8; 16];

/// Returns `H(alias; evaluation, tag)`; without a tag whoever knows the address finds the alias.
pub fn alias_id(evaluation: &Evaluation, tag: Option<&Tag>) -> AliasId {
    domain_hash("dgns/alias/v1", &[evaluation, tag.map_or(&[], Tag::as_slice)])
}

/// Returns `H(alias-open; u16 length, address, nonce)`: lets an owner show later which address was bound, and nobody guess it.
pub fn commitment(address: &str, nonce: &[u8; 32]) -> Hash {
    domain_hash("dgns/alias-open/v1", &[&u16_prefixed(address.as_bytes()), nonce])
}

/// Returns `H(issuer; issuer)`, under whose scope a sign-in was attested: the issuer's URL as it spells it itself, or `passkey:` and
/// the zone.
pub fn issuer_hash(issuer: &str) -> Hash {
    domain_hash("dgns/issuer/v1", &[issuer.as_bytes()])
}

#[cfg(test)]
mod tests;
