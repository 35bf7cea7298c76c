use data_encoding::HEXLOWER;

use super::*;

/// Entropy of sixteen zero bytes, as BIP-39 spells it.
const ABANDON: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).expect("hex")
}

#[test]
fn slip10_meets_its_published_vectors() {
    // Goal: the walk is SLIP-0010. Method: Ed25519 vectors 1 and 2 of its text.
    let one = "000102030405060708090a0b0c0d0e0f";
    let two = "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542";
    let cases: [(&str, &[u32], &str, &str); 7] = [
        (
            one,
            &[],
            "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7",
            "90046a93de5380a72b5e45010748567d5ea02bbf6522f979e05c0d8d8ca9fffb",
        ),
        (
            one,
            &[0],
            "68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3",
            "8b59aa11380b624e81507a27fedda59fea6d0b779a778918a2fd3590e16e9c69",
        ),
        (
            one,
            &[0, 1],
            "b1d0bad404bf35da785a64ca1ac54b2617211d2777696fbffaf208f746ae84f2",
            "a320425f77d1b5c2505a6b1b27382b37368ee640e3557c315416801243552f14",
        ),
        (
            one,
            &[0, 1, 2],
            "92a5b23c0b8a99e37d07df3fb9966917f5d06e02ddbd909c7e184371463e9fc9",
            "2e69929e00b5ab250f49c3fb1c12f252de4fed2c1db88387094a0f8c4c9ccd6c",
        ),
        (
            one,
            &[0, 1, 2, 2, 1_000_000_000],
            "8f94d394a8e8fd6b1bc2f3f49f5c47e385281d5c17e65324b0f62483e37e8793",
            "68789923a0cac2cd5a29172a475fe9e0fb14cd6adb5ad98a3fa70333e7afa230",
        ),
        (
            two,
            &[],
            "171cb88b1b3c1db25add599712e36245d75bc65a1a5c9e18d76f9f2b1eab4012",
            "ef70a74db9c3a5af931b5fe73ed8e1a53464133654fd55e7a66f8570b8e33c3b",
        ),
        (
            two,
            &[0],
            "1559eb2bbec5790b0c65d8693e4d0875b1747f4970ae8b650486ed7470845635",
            "0b78a3226f915c082bf118f83618a618ab6dec793752624cbeb622acb562862d",
        ),
    ];
    for (seed, path, key, chain_code) in cases {
        let node = slip10(&hex(seed), path);
        assert_eq!(node.key.as_ref(), hex(key), "{seed} {path:?}");
        assert_eq!(node.chain_code.as_ref(), hex(chain_code), "{seed} {path:?}");
    }
}

#[test]
fn words_stretch_as_bip39_says() {
    let words = Words::parse(ABANDON).expect("words");
    let seed = "5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc19a5ac40b389cd370d086206dec8aa6c43daea6690f20ad3d8d48b2d2ce9e38e4";
    assert_eq!(words.0.to_seed_normalized("").as_slice(), hex(seed));
}

#[test]
fn the_same_words_always_make_the_same_keys() {
    // Goal: nobody's paper stops working. Method: keys computed by hand with HMAC and PBKDF2 of another library.
    let words = Words::parse(ABANDON).expect("words");
    assert_eq!(
        HEXLOWER.encode(words.identity().seed().as_ref()),
        "70825b9fe9c65c6ba6ec9048bc6a0542a88e396c3d6d8e9d81fb3aadcc5af4dd"
    );
    assert_eq!(
        HEXLOWER.encode(words.words_box().to_bytes().as_ref()),
        "6f219a3437661f2170ef53c40dc9acc42fb24f8084a3247c96e7a6d464539bf9"
    );
}

#[test]
fn typed_words_are_forgiven_their_case_and_spaces_but_no_mistake() {
    let parse = |text: &str| Words::parse(text).map(|words| words.phrase().to_string());
    assert_eq!(parse(&format!("  {}\n", ABANDON.to_uppercase().replace(' ', "  "))), Ok(ABANDON.to_owned()));
    assert_eq!(parse(&ABANDON.replace("about", "abandon")), Err(WordsError::Checksum));
    assert_eq!(parse(&ABANDON.replace("about", "abuot")), Err(WordsError::Unknown(12)));
    assert_eq!(parse("abandon"), Err(WordsError::Count(1)));
    assert_eq!(parse(&format!("{ABANDON} abandon abandon abandon")), Err(WordsError::Count(15)));
    let long = format!("{}art", "abandon ".repeat(23));
    assert_eq!(parse(&long), Ok(long.clone()));
}

#[test]
fn new_words_come_from_the_rng_alone_and_parse_again() {
    let words = Words::generate(&mut crate::testing::CountingRng(1));
    assert_eq!(*words.phrase(), *Words::generate(&mut crate::testing::CountingRng(1)).phrase());
    assert_ne!(*words.phrase(), *Words::generate(&mut crate::testing::CountingRng(2)).phrase());
    assert_eq!(words.phrase().split(' ').count(), 12);
    assert_eq!(Words::parse(&words.phrase()).map(|w| w.identity().public()), Ok(words.identity().public()));
    assert_eq!(format!("{words:?}"), "Words(secret)");
}
