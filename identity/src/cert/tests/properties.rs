//! What holds for any bytes and any certificate.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::cert::{Body, Certificate, Payload};
use crate::record;
use crate::testing::arbitrary;
use crate::testing::samples::{all, key, sign};

/// Decodes, and if that succeeds, encodes: the same bytes must come back.
fn decode_is_faithful(bytes: &[u8]) {
    if let Ok(certificate) = Certificate::decode(bytes) {
        assert_eq!(certificate.encode(), bytes);
        assert_eq!(certificate.payload().encode(), certificate.payload_bytes());
    }
}

proptest! {
    #[test]
    fn decoding_any_bytes_never_panics(bytes in vec(any::<u8>(), 0..600), kind in any::<u8>()) {
        decode_is_faithful(&bytes);
        let _ = Payload::decode(&bytes);
        let _ = Body::decode(kind, &bytes);
    }

    #[test]
    fn decoding_a_damaged_certificate_gives_its_own_bytes_or_an_error(
        which in 0..25_usize,
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = all()[which].certificate().encode();
        for (place, value) in damage {
            let at = place.index(bytes.len());
            bytes[at] = value;
        }
        decode_is_faithful(&bytes);
    }

    #[test]
    fn decoding_undoes_encoding(payload in arbitrary::payload()) {
        prop_assert_eq!(Payload::decode(&payload.encode()), Ok(payload.clone()));
        let certificate = sign(&payload, &[key(1)]);
        prop_assert_eq!(certificate.payload(), &payload);
        prop_assert_eq!(Certificate::decode(&certificate.encode()), Ok(certificate));
    }

    #[test]
    fn records_of_any_kind_are_judged_without_panic(records in arbitrary::records()) {
        let _ = record::check(&records);
        let _ = record::check_public(&records);
    }
}
