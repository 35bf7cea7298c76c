//! Signatures over record sets: what is signed, and what an RRSIG holds (RFC 4034 sections 3 and 6).

use super::key::{Key, SIGNATURE_BYTES};

pub(crate) const TYPE_NS: u16 = 2;
pub(crate) const TYPE_CNAME: u16 = 5;
pub(crate) const TYPE_SRV: u16 = 33;

/// The bytes of a [`Signature`] as cards and the chain keep it.
pub(crate) const STORED_BYTES: usize = 10 + SIGNATURE_BYTES;

/// How an inception lies before now: clocks of validators may be slow.
const BEFORE_S: u32 = 3_600;

/// A signature, with what of its RRSIG differs from one to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    /// Unix seconds, of 32 bits, which go round (RFC 4034 section 3.1.5).
    pub(crate) expiration_s: u32,
    pub(crate) inception_s: u32,
    pub(crate) key_tag: u16,
    pub(crate) bytes: [u8; SIGNATURE_BYTES],
}

/// A record set to be signed.
#[derive(Clone, Copy)]
pub(crate) struct Set<'s> {
    /// The absolute name in wire form, lower case.
    pub(crate) owner: &'s [u8],
    pub(crate) rtype: u16,
    pub(crate) ttl_s: u32,
    /// The data of each record, in any order.
    pub(crate) rdata: &'s [&'s [u8]],
}

/// Who signs, and from when until when.
#[derive(Clone, Copy)]
pub(crate) struct Signer<'s> {
    pub(crate) key: &'s Key,
    /// The zone in wire form.
    pub(crate) apex: &'s [u8],
    pub(crate) inception_s: u32,
    pub(crate) expiration_s: u32,
}

impl Signature {
    /// Of a set that has none which holds, beside others of its name that have.
    pub(crate) const NONE: Self = Self { expiration_s: 0, inception_s: 0, key_tag: 0, bytes: [0; SIGNATURE_BYTES] };

    /// Returns the bytes kept: `u32 expiration | u32 inception | u16 tag | 64`.
    pub(crate) fn stored(&self) -> [u8; STORED_BYTES] {
        let mut stored = [0; STORED_BYTES];
        stored[..4].copy_from_slice(&self.expiration_s.to_be_bytes());
        stored[4..8].copy_from_slice(&self.inception_s.to_be_bytes());
        stored[8..10].copy_from_slice(&self.key_tag.to_be_bytes());
        stored[10..].copy_from_slice(&self.bytes);
        stored
    }

    /// Returns the signature that these bytes keep.
    pub(crate) fn read(stored: &[u8; STORED_BYTES]) -> Self {
        let (head, bytes) = stored.split_first_chunk::<10>().expect("of 74 bytes");
        let [e0, e1, e2, e3, i0, i1, i2, i3, t0, t1] = *head;
        Self {
            expiration_s: u32::from_be_bytes([e0, e1, e2, e3]),
            inception_s: u32::from_be_bytes([i0, i1, i2, i3]),
            key_tag: u16::from_be_bytes([t0, t1]),
            bytes: bytes.try_into().expect("of 74 bytes"),
        }
    }

    /// Returns whether it is not good yet: the clock was set back since it was made.
    pub(crate) fn is_early(&self, now_s: u32) -> bool {
        self.inception_s.wrapping_sub(now_s).cast_signed() > 0
    }

    /// Returns the seconds it is still good for; 0 if it is not.
    pub(crate) fn lasts_s(&self, now_s: u32) -> u32 {
        self.expiration_s.wrapping_sub(now_s).cast_signed().max(0).cast_unsigned()
    }
}

impl<'s> Signer<'s> {
    /// Returns one whose signatures are good for about `validity_s` from now: less by up to an eighth, as `spread` (any number) says, so that
    /// not all end at once.
    pub(crate) fn new(key: &'s Key, apex: &'s [u8], now_s: u32, validity_s: u32, spread: u64) -> Self {
        let less = spread % (u64::from(validity_s) / 8).max(1);
        let lasts = validity_s - less as u32;
        let before = BEFORE_S.min(validity_s);
        Self { key, apex, inception_s: now_s.wrapping_sub(before), expiration_s: now_s.wrapping_add(lasts) }
    }

    /// Signs a set.
    pub(crate) fn sign(&self, set: &Set<'_>) -> Signature {
        let Self { key, inception_s, expiration_s, .. } = *self;
        Signature { expiration_s, inception_s, key_tag: key.tag(), bytes: key.sign(&self.signed(set)) }
    }

    /// Returns what is signed.
    pub(crate) fn signed(&self, set: &Set<'_>) -> Vec<u8> {
        let Self { key, inception_s, expiration_s, .. } = *self;
        let made = Signature { expiration_s, inception_s, key_tag: key.tag(), bytes: [0; SIGNATURE_BYTES] };
        signed(self.apex, key.algorithm as u8, &made, set)
    }
}

/// Returns what is signed: the RRSIG's data without signature, then the records in canonical form and order (RFC 4034 section 3.1.8.1).
pub(crate) fn signed(apex: &[u8], algorithm: u8, made: &Signature, set: &Set<'_>) -> Vec<u8> {
    let Signature { expiration_s, inception_s, key_tag, .. } = *made;
    let head = head(set.rtype, algorithm, labels(set.owner), set.ttl_s, expiration_s, inception_s, key_tag);
    let mut bytes = head.to_vec();
    bytes.extend_from_slice(apex);
    let mut records: Vec<Vec<u8>> = set.rdata.iter().map(|rdata| canonical(set.rtype, rdata)).collect();
    records.sort();
    records.dedup();
    for rdata in records {
        bytes.extend_from_slice(set.owner);
        bytes.extend_from_slice(&set.rtype.to_be_bytes());
        bytes.extend_from_slice(&[0, 1]);
        bytes.extend_from_slice(&set.ttl_s.to_be_bytes());
        bytes.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&rdata);
    }
    bytes
}

/// Returns what an RRSIG's data begin with, before the signer's name (RFC 4034 section 3.1).
pub(crate) fn head(
    rtype: u16,
    algorithm: u8,
    labels: u8,
    ttl_s: u32,
    expiration_s: u32,
    inception_s: u32,
    tag: u16,
) -> [u8; 18] {
    let mut head = [0; 18];
    head[..2].copy_from_slice(&rtype.to_be_bytes());
    (head[2], head[3]) = (algorithm, labels);
    head[4..8].copy_from_slice(&ttl_s.to_be_bytes());
    head[8..12].copy_from_slice(&expiration_s.to_be_bytes());
    head[12..16].copy_from_slice(&inception_s.to_be_bytes());
    head[16..].copy_from_slice(&tag.to_be_bytes());
    head
}

/// Returns the number of labels of a name or a part of one in wire form.
pub(crate) fn labels(mut wire: &[u8]) -> u8 {
    let mut count = 0;
    while let Some((&length, rest)) = wire.split_first()
        && length > 0
    {
        wire = rest.get(usize::from(length)..).unwrap_or_default();
        count += 1;
    }
    count
}

/// Returns data in canonical form: names of the types that RFC 4034 section 6.2 lists in lower case. Of those the zone has CNAME and SRV from
/// its owners; NS and SOA are made so.
pub(crate) fn canonical(rtype: u16, rdata: &[u8]) -> Vec<u8> {
    let mut rdata = rdata.to_vec();
    let name_at = match rtype {
        TYPE_CNAME | TYPE_NS => 0,
        TYPE_SRV => 6.min(rdata.len()),
        _ => rdata.len(),
    };
    // A length is at most 63 and so never a capital letter.
    rdata[name_at..].make_ascii_lowercase();
    rdata
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::super::key::{of_rfc_6605, of_rfc_8080};
    use super::*;

    const TYPE_A: u16 = 1;
    const TYPE_MX: u16 = 15;

    #[test]
    fn signature_of_rfc_8080_is_made_again() {
        // Goal: all that is signed, byte for byte. Method: section 6.1 of the RFC; Ed25519 signatures are the same each time.
        let (key, apex) = (of_rfc_8080(), b"\x07example\x03com\0");
        let signer = Signer { key: &key, apex, inception_s: 1_438_207_200, expiration_s: 1_440_021_600 };
        let rdata = b"\0\x0a\x04mail\x07example\x03com\0".as_slice();
        let made = signer.sign(&Set { owner: apex, rtype: TYPE_MX, ttl_s: 3_600, rdata: &[rdata] });
        let known = "oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg==";
        assert_eq!((BASE64.encode(&made.bytes).as_str(), made.key_tag), (known, 3_613));
        assert_eq!(Signature::read(&made.stored()), made);
    }

    #[test]
    fn signature_of_rfc_6605_verifies_and_so_does_ours() {
        let (key, apex) = (of_rfc_6605(), b"\x07example\x03net\0");
        let (inception_s, expiration_s) = (1_281_607_479, 1_284_026_679); // 20100812100439 and 20100909100439
        let signer = Signer { key: &key, apex, inception_s, expiration_s };
        let owner = b"\x03www\x07example\x03net\0";
        let set = Set { owner, rtype: TYPE_A, ttl_s: 3_600, rdata: &[&[192, 0, 2, 1]] };
        let known = "qx6wLYqmh+l9oCKTN6qIc+bw6ya+KJ8oMz0YP107epXAyGmt+3SNruPFKG7tZoLBLlUzGGus7ZwmwWep666VCw==";
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[4], key.public()].concat());
        let signed = signer.signed(&set);
        public.verify(&signed, &BASE64.decode(known.as_bytes()).unwrap()).unwrap();
        public.verify(&signed, &signer.sign(&set).bytes).unwrap();
        public.verify(&signed[1..], &signer.sign(&set).bytes).unwrap_err();
    }

    #[test]
    fn records_are_signed_once_each_in_order_and_names_in_lower_case() {
        let (key, apex) = (of_rfc_8080(), b"\x07example\x03com\0");
        let signer = Signer::new(&key, apex, 1_000_000, 80_000, 12_345);
        assert_eq!((signer.inception_s, signer.expiration_s), (996_400, 1_000_000 + 80_000 - 2_345));
        let signed = |rtype, rdata: &[&[u8]]| signer.signed(&Set { owner: apex, rtype, ttl_s: 60, rdata });
        assert_eq!(signed(TYPE_A, &[&[2], &[1], &[2]]), signed(TYPE_A, &[&[1], &[2]]));
        assert_eq!(signed(TYPE_SRV, &[b"\0\0\0\0AB\x01X\0"]), signed(TYPE_SRV, &[b"\0\0\0\0AB\x01x\0"]));
        assert_ne!(signed(TYPE_SRV, &[b"\0\0\0\0AB\x01X\0"]), signed(TYPE_SRV, &[b"\0\0\0\0ab\x01x\0"]));
        assert_eq!(signed(TYPE_CNAME, &[b"\x01X\0"]), signed(TYPE_CNAME, &[b"\x01x\0"]));
        assert_ne!(signed(16, &[b"\x01X"]), signed(16, &[b"\x01x"]));
    }
}
