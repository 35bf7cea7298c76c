use data_encoding::HEXLOWER;

use super::*;
use crate::testing::TORSIONED_KEY;

/// The order of the prime subgroup, little-endian.
pub(super) const L: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

/// A point of order 8.
pub(super) const ORDER_8: &str = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05";

/// The eight points of small order, canonical.
pub(super) const SMALL_ORDER: [&str; 8] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    ORDER_8,
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];

fn hex<const N: usize>(text: &str) -> [u8; N] {
    HEXLOWER.decode(text.as_bytes()).expect("hex").try_into().expect("N bytes")
}

/// A key, a message and the key's signature over it.
fn signed() -> (KeyBytes, &'static [u8], [u8; 64]) {
    let key = SigningKey::from_seed(&[1; 32]);
    (key.public(), b"message", key.sign(b"message"))
}

#[test]
fn rfc_8032_vectors_sign_and_verify() {
    let cases = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
        (
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        ),
    ];
    for (seed, public, message, signature) in cases {
        let key = SigningKey::from_seed(&hex(seed));
        let message = HEXLOWER.decode(message.as_bytes()).expect("hex");
        assert_eq!(key.public(), hex(public));
        assert_eq!(key.sign(&message), hex(signature));
        assert_eq!(verify_strict(&hex(public), &message, &hex(signature)), Ok(()));
        let admitted = PublicKey::admit(&hex(public)).expect("a sound key");
        assert_eq!(admitted.verify(&message, &hex(signature)), Ok(()));
        assert_eq!(admitted.kid(), key.kid());
    }
}

#[test]
fn points_of_small_order_are_no_keys() {
    for key in SMALL_ORDER {
        assert_eq!(PublicKey::admit(&hex(key)).err(), Some(KeyError::SmallOrder), "{key}");
    }
}

#[test]
fn a_second_spelling_of_a_point_is_no_key() {
    // Goal: one key, one kid. Method: y = p + n for the small n that spell a point, and x = 0 with a sign.
    for low in 0xed..=0xff_u8 {
        for high in [0x7f, 0xff] {
            let mut key = [0xff; 32];
            (key[0], key[31]) = (low, high);
            assert_eq!(PublicKey::admit(&key).err(), Some(KeyError::NotCanonical), "{low:x} {high:x}");
        }
    }
    for (low, fill, high) in [(0x01, 0x00, 0x80), (0xec, 0xff, 0xff)] {
        let mut key = [fill; 32];
        (key[0], key[31]) = (low, high);
        assert!(PublicKey::admit(&key).is_err(), "{low:x} {high:x}");
    }
}

#[test]
fn a_point_with_torsion_is_no_key() {
    // Goal: a key plus a point of small order is refused although it is a point of large order. Method: add the two.
    let (key, ..) = signed();
    let sound = VerifyingKey::from_bytes(&key).expect("a point").to_edwards();
    let order_8 = VerifyingKey::from_bytes(&hex(ORDER_8)).expect("a point").to_edwards();
    let torsioned = (sound + order_8).compress().to_bytes();
    assert_eq!(torsioned, hex(TORSIONED_KEY));
    assert_eq!(PublicKey::admit(&torsioned).err(), Some(KeyError::Torsion));
    assert_eq!(PublicKey::admit(&key).err(), None);
}

#[test]
fn torsion_is_found_as_the_curve_library_finds_it() {
    // Goal: the quick test is the slow one. Method: multiples of keys, each plus every point of small order.
    let order_8 = VerifyingKey::from_bytes(&hex(ORDER_8)).expect("a point").to_edwards();
    let small: Vec<_> = (0_u8..8).map(|n| order_8 * Scalar::from(n)).collect();
    for seed in 0..32 {
        let key = VerifyingKey::from_bytes(&SigningKey::from_seed(&[seed; 32]).public()).expect("a point").to_edwards();
        for (order, torsion) in small.iter().enumerate() {
            let point = key + torsion;
            assert_eq!(is_torsion_free(&point), order == 0);
            assert_eq!(is_torsion_free(&point), point.is_torsion_free());
        }
    }
    assert!(is_torsion_free(&EdwardsPoint::default()));
}

#[test]
fn bytes_that_are_no_point_are_no_key() {
    let not_points =
        (0..=255_u8).map(|b| [b; 32]).filter(|key| PublicKey::admit(key).err() == Some(KeyError::NotAPoint));
    assert!(not_points.count() > 64);
    assert_eq!(KeyError::NotAPoint.code(), "weak_key");
}

#[test]
fn a_signature_has_one_spelling() {
    let (key, message, signature) = signed();
    assert_eq!(verify_strict(&key, message, &signature), Ok(()));
    let mut malleated = signature;
    let order: [u8; 32] = hex(L);
    let mut carry = 0_u16;
    for (s, l) in malleated[32..].iter_mut().zip(order) {
        carry += u16::from(*s) + u16::from(l);
        *s = carry as u8;
        carry >>= 8;
    }
    assert_eq!(verify_strict(&key, message, &malleated), Err(BadSignature));
    for bit in 0..512 {
        let mut flipped = signature;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(verify_strict(&key, message, &flipped), Err(BadSignature), "bit {bit}");
    }
    assert_eq!(verify_strict(&key, b"massage", &signature), Err(BadSignature));
}

#[test]
fn weak_keys_and_commitments_verify_nothing() {
    // Goal: the signature (R = 0, S = 0) holds for every message under a key of order 1 without strictness; here it never does.
    let (key, message, signature) = signed();
    for small in SMALL_ORDER {
        let mut forged = [0; 64];
        forged[..32].copy_from_slice(&hex::<32>(small));
        assert_eq!(verify_strict(&hex(SMALL_ORDER[0]), message, &forged), Err(BadSignature), "{small}");
        assert_eq!(verify_strict(&key, message, &forged), Err(BadSignature), "{small}");
        assert_eq!(verify_strict(&hex(small), message, &signature), Err(BadSignature), "{small}");
    }
}

#[test]
fn keys_come_from_the_rng_alone_and_return_from_their_bytes() {
    use crate::testing::CountingRng;
    let key = SigningKey::generate(&mut CountingRng(1));
    assert_eq!(key.public(), SigningKey::generate(&mut CountingRng(1)).public());
    assert_eq!(key.public(), SigningKey::from_seed(&key.seed()).public());
    let kex = KexSecret::generate(&mut CountingRng(1));
    assert_eq!(kex.public(), KexSecret::from_bytes(*kex.to_bytes()).public());
}

#[test]
fn x25519_public_keys_are_those_of_rfc_7748() {
    let bob = KexSecret::from_bytes(hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
    assert_eq!(bob.public(), hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
}

#[test]
fn secrets_are_not_printed() {
    let key = SigningKey::from_seed(&[0x5a; 32]);
    assert!(!format!("{key:?}").contains("5a5a"));
    assert_eq!(format!("{:?}", KexSecret::from_bytes([0x5a; 32])), "KexSecret(secret)");
}
