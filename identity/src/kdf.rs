//! Secrets made from secrets: HKDF-SHA256 under a domain string (PROTOCOL 1.5). The room of `hkdf`.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Returns `KDF(x; secret; parts)`: 32 bytes of HKDF-SHA256 with empty salt and the info `domain, 00, parts`.
///
/// `domain` is the whole string, such as `dgns/user-key/v1`. A field of variable length is passed with its u16 length before
/// it ([`crate::hash::u16_prefixed`]), unless it is the only one and the last.
pub fn derive(domain: &'static str, secret: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut info = vec![domain.as_bytes(), &[0]];
    info.extend_from_slice(parts);
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, secret)
        .expand_multi_info(&info, key.as_mut())
        .expect("HKDF-SHA256 gives up to 8,160 bytes");
    key
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use hkdf::Hkdf;
    use sha2::Sha256;

    use super::derive;

    #[test]
    fn the_function_is_rfc_5869() {
        // Goal: it is HKDF-SHA256. Method: test case 3 of RFC 5869, whose salt and info are empty, through the same crate; then
        // the info of ours is the domain, a zero byte and the parts, wherever these are divided.
        let mut okm = [0; 42];
        Hkdf::<Sha256>::new(None, &[0x0b; 22]).expand(&[], &mut okm).unwrap();
        let published = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8";
        assert_eq!(HEXLOWER.encode(&okm), published);
        let mut expected = [0; 32];
        Hkdf::<Sha256>::new(None, &[7; 16]).expand(b"dgns/pair-key/v1\0abc", &mut expected).unwrap();
        assert_eq!(*derive("dgns/pair-key/v1", &[7; 16], &[b"a", b"bc"]), expected);
        assert_ne!(*derive("dgns/pair-key/v1", &[8; 16], &[b"a", b"bc"]), expected);
        assert_ne!(*derive("dgns/user-key/v1", &[7; 16], &[b"abc"]), expected);
    }
}
