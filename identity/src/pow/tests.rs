use data_encoding::HEXLOWER;

use super::*;

#[test]
fn work_and_codes_are_hashed_as_the_protocol_says() {
    // Goal: the byte layout. Method: values computed by another program from PROTOCOL 1.1.
    let work = work("alice.dgns.test", &Did::from_bytes([7; 20]), 258);
    assert_eq!(HEXLOWER.encode(&work), "ee7b7a005e9fb2e9e64589df8a8ba889084794a02b5f98a48dec74956bb983a7");
    assert_eq!(
        HEXLOWER.encode(&code_hash(&[0xc0; 16])),
        "03f0c1cf1f6a07f23d2f26f047958753bacfc033493212bcffe04ee26667f5a3"
    );
}

#[test]
fn leading_zero_bits_are_counted_across_bytes() {
    let mut hash = [0; 32];
    assert_eq!(leading_zero_bits(&hash), 256);
    hash[0] = 0x80;
    assert_eq!(leading_zero_bits(&hash), 0);
    hash[0] = 0;
    hash[1] = 0x1f;
    assert_eq!(leading_zero_bits(&hash), 11);
}

#[test]
fn a_solution_holds_for_its_name_and_did_alone() {
    let did = Did::from_bytes([7; 20]);
    let nonce = solve("alice.dgns.test", &did, 12, 1_000, |_| ());
    assert!(nonce >= 1_000);
    assert!(leading_zero_bits(&work("alice.dgns.test", &did, nonce)) >= 12);
    assert!(leading_zero_bits(&work("alicf.dgns.test", &did, nonce)) < 12);
    assert!(leading_zero_bits(&work("alice.dgns.test", &Did::from_bytes([8; 20]), nonce)) < 12);
}

#[test]
fn a_nonce_search_wraps_instead_of_ending() {
    let did = Did::from_bytes([9; 20]);
    let nonce = solve("bob.dgns.test", &did, 8, u64::MAX, |_| ());
    assert!(leading_zero_bits(&work("bob.dgns.test", &did, nonce)) >= 8);
}
