use super::super::{KeyError, SigningKey};
use super::*;
use crate::testing::TORSIONED_KEY;

/// A signature, or what somebody may send instead.
type Signed = (KeyBytes, Vec<u8>, [u8; 64]);

/// The eight points of small order.
fn small_order() -> Vec<EdwardsPoint> {
    constants::EIGHT_TORSION.to_vec()
}

/// A key that signs as it likes: its secret scalar is known here.
struct Bent {
    a: Scalar,
    public: EdwardsPoint,
}

impl Bent {
    fn new(seed: u64) -> Self {
        let a = Scalar::from(seed + 1) * Scalar::from(u64::MAX);
        Self { a, public: EdwardsPoint::mul_base(&a) }
    }

    /// Signs with an R that has this torsion: `S B = R + k A` holds but for it.
    fn signs(&self, message: &[u8], torsion: &EdwardsPoint) -> Signed {
        let key = self.public.compress().to_bytes();
        let nonce = Scalar::from(message.len() as u64 + 77) * self.a;
        let r = (EdwardsPoint::mul_base(&nonce) + torsion).compress().to_bytes();
        self.signed(key, r, nonce, message)
    }

    fn signed(&self, key: KeyBytes, r: [u8; 32], nonce: Scalar, message: &[u8]) -> Signed {
        let k = Sha512::new().chain_update(r).chain_update(key).chain_update(message).finalize();
        let s = nonce + Scalar::from_bytes_mod_order_wide(&k.into()) * self.a;
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&r);
        signature[32..].copy_from_slice(s.as_bytes());
        (key, message.to_vec(), signature)
    }
}

/// As many honest signatures as a batch needs to be looked at together, by a third as many keys.
fn honest() -> Vec<Signed> {
    let keys: Vec<SigningKey> = (0..100).map(|i| SigningKey::from_seed(&[i; 32])).collect();
    let signed = (0..300_usize).map(|i| {
        let (key, message) = (&keys[i / 3], vec![7; i]);
        (key.public(), message.clone(), key.sign(&message))
    });
    signed.collect()
}

/// Holds a batch against what its parts are one by one: whether it holds.
fn check(new_keys: &[KeyBytes], signatures: &[Signed]) -> bool {
    let mut batch = Batch::new();
    new_keys.iter().for_each(|key| batch.admit(key));
    signatures.iter().for_each(|(key, message, signature)| batch.verify(key, message, signature));
    let holds = batch.all_hold(&[1; 32]);
    assert_eq!(batch.each_holds(), holds, "together and one by one");
    assert_eq!(batch.holds(&[2; 32]), holds);
    holds
}

#[test]
fn what_holds_one_by_one_holds_together() {
    // Goal: no honest log is refused. Method: nothing, one, and hundreds of signatures and keys.
    let signatures = honest();
    let keys: Vec<KeyBytes> = signatures.iter().map(|(key, ..)| *key).collect();
    for count in [0, 1, 2, TOGETHER_MIN - 1, TOGETHER_MIN, signatures.len()] {
        assert!(check(&[], &signatures[..count]));
        assert!(check(&keys[..count], &[]));
        assert!(check(&keys[..count], &signatures[..count]));
    }
}

#[test]
fn one_bad_signature_among_hundreds_is_found() {
    // Goal: nothing forged passes in a crowd. Method: one bit of R, of S, of the message, of the key, at several places; two
    // signatures whose S are changed against each other; the S of one by another.
    let honest = honest();
    for at in [0, 150, 299] {
        for bit in [0, 100, 255, 256, 300, 508, 511] {
            let mut signatures = honest.clone();
            signatures[at].2[bit / 8] ^= 1 << (bit % 8);
            assert!(!check(&[], &signatures), "bit {bit} at {at}");
        }
        let mut signatures = honest.clone();
        signatures[at].1.push(0);
        assert!(!check(&[], &signatures), "message");
        let mut signatures = honest.clone();
        signatures[at].0 = honest[(at + 3) % 300].0;
        assert!(!check(&[], &signatures), "key");
    }
    let mut signatures = honest.clone();
    for (at, by) in [(10, Scalar::ONE), (20, -Scalar::ONE)] {
        let s = Scalar::from_canonical_bytes(honest[at].2[32..].try_into().unwrap()).unwrap() + by;
        signatures[at].2[32..].copy_from_slice(s.as_bytes());
    }
    assert!(!check(&[], &signatures), "errors that cancel out without factors");
    let (one, other) = (signatures[30].2, signatures[31].2);
    (signatures[30].2, signatures[31].2) = (other, one);
    assert!(!check(&[], &signatures), "swapped");
}

#[test]
fn a_signature_with_torsion_is_refused_together_too() {
    // Goal: together is as strict as one by one, where a plain batch is not. Method: a key's holder signs with an R of each torsion;
    // two of opposite torsion, four of order 2, whose sums have none.
    let (honest, bent) = (honest(), Bent::new(1));
    let small = small_order();
    for (order, torsion) in small.iter().enumerate() {
        let mut signatures = honest.clone();
        signatures.push(bent.signs(b"one", torsion));
        assert_eq!(check(&[], &signatures), order == 0, "torsion {order}");
        signatures.push(bent.signs(b"other", &-torsion));
        assert_eq!(check(&[], &signatures), order == 0, "torsion {order} and its negative");
    }
    let of_order_2 = (0..4).map(|i| Bent::new(i).signs(b"four", &small[4]));
    assert!(!check(&[], &honest.iter().cloned().chain(of_order_2).collect::<Vec<_>>()));
}

#[test]
fn an_r_of_small_order_or_in_a_second_spelling_is_refused_together_too() {
    // Goal: the rest of strictness. Method: R of each small order, with an S that makes the equation hold for the neutral one; its
    // second spellings; an S above L.
    let (honest, bent) = (honest(), Bent::new(1));
    let key = bent.public.compress().to_bytes();
    let with = |signed: Signed| [honest.as_slice(), &[signed]].concat();
    for point in small_order() {
        assert!(!check(&[], &with(bent.signed(key, point.compress().to_bytes(), Scalar::ZERO, b"m"))));
    }
    let (mut with_sign, mut not_reduced) = ([0; 32], [0xff; 32]);
    (with_sign[0], with_sign[31]) = (1, 0x80);
    (not_reduced[0], not_reduced[31]) = (0xee, 0x7f);
    for r in [with_sign, not_reduced] {
        assert!(CompressedEdwardsY(r).decompress().is_some_and(|r| r.is_identity()), "spells the neutral point");
        assert!(!check(&[], &with(bent.signed(key, r, Scalar::ZERO, b"m"))));
    }
    let mut malleated = honest[9].clone();
    malleated.2[63] |= 0x10;
    assert!(!check(&[], &with(malleated)));
}

#[test]
fn weak_keys_are_refused_together_too() {
    // Goal: admission is the same. Method: among hundreds a key of small order, one with torsion, two whose torsion cancels
    // out, one that is no point, a second spelling; and one of small order that signs.
    let honest = honest();
    let keys: Vec<KeyBytes> = honest.iter().map(|(key, ..)| *key).collect();
    let with = |more: &[KeyBytes]| [keys.as_slice(), more].concat();
    let torsioned = data_encoding::HEXLOWER.decode(TORSIONED_KEY.as_bytes()).unwrap().try_into().unwrap();
    assert_eq!(PublicKey::admit(&torsioned).err(), Some(KeyError::Torsion));
    let bent = Bent::new(1).public;
    let spoiled = |torsion: &EdwardsPoint| (bent + torsion).compress().to_bytes();
    assert!(!check(&with(&[torsioned]), &[]));
    assert!(!check(&with(&[torsioned]), &honest));
    for torsion in &small_order()[1..] {
        assert!(!check(&with(&[spoiled(torsion), spoiled(&-torsion)]), &[]));
        assert!(!check(&with(&[torsion.compress().to_bytes()]), &[]));
    }
    let mut not_reduced = [0xff; 32];
    (not_reduced[0], not_reduced[31]) = (0xee, 0x7f);
    assert!(!check(&with(&[not_reduced]), &[]));
    let no_point = (0..=255_u8).map(|b| [b; 32]).find(|key| PublicKey::admit(key).err() == Some(KeyError::NotAPoint));
    assert!(!check(&with(&[no_point.unwrap()]), &[]));
    let neutral = EdwardsPoint::default().compress().to_bytes();
    let by_nobody = Bent::new(1).signed(neutral, honest[1].2[..32].try_into().unwrap(), Scalar::ZERO, b"m");
    assert!(!check(&[], &[honest.as_slice(), &[by_nobody]].concat()));
}
