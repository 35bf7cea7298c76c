use super::*;

#[test]
fn secrets_are_not_printed() {
    let key = SigningKey::from_seed(&[0x5a; 32]);
    assert!(!format!("{key:?}").contains("5a5a"));
    assert_eq!(format!("{:?}", KexSecret::from_bytes([0x5a; 32])), "KexSecret(secret)");
}
