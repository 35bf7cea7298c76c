//! `tests/vectors/sealed.json`: the published case of our suite, and every way in which a box does not open.

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::{Sealed, open, seal};
use crate::key::KexSecret;
use crate::testing::{CountingRng, ScriptedRng};
use crate::vectors::{hex, hold};

const ABOUT: [&str; 4] = [
    "Sealed boxes (PROTOCOL 1.6). Bytes are hexadecimal.",
    "op seal: ikm is the 32 bytes from which the ephemeral key is derived (RFC 9180, 7.1.3) -> enc, ct.",
    "op open: the recipient's secret -> plaintext.",
    "error: weak_key, bad_enc, not_opened. The first case is RFC 9180, appendix A.1.1, sequence number 0.",
];

/// RFC 9180, A.1.1: ephemeral key material, recipient, info, aad and plaintext; then what they give.
const IKM: &str = "7268600d403fce431561aef583ee1613527cff655c1343f29812e66706df3234";
const SECRET: &str = "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8";
const PUBLIC: &str = "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d";
const INFO: &str = "4f6465206f6e2061204772656369616e2055726e";
const AAD: &str = "436f756e742d30";
const PLAINTEXT: &str = "4265617574792069732074727574682c20747275746820626561757479";
const ENC: &str = "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431";
const CT: &str = "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a";

/// The points of small order, and a second spelling of the first: nothing that meets them is secret.
const SMALL_ORDER: [&str; 5] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

#[test]
fn sealed_json_holds() {
    let mut cases = vec![published()];
    cases.extend(round_trips());
    cases.extend(refused());
    hold("sealed", &ABOUT, &cases);
}

fn published() -> Value {
    let given = Given { ikm: bytes32(IKM), info: bytes(INFO), aad: bytes(AAD), plaintext: bytes(PLAINTEXT) };
    let sealed = given.seal(&bytes32(PUBLIC)).unwrap();
    assert_eq!(HEXLOWER.encode(&sealed.enc), ENC);
    assert_eq!(HEXLOWER.encode(&sealed.ct), CT);
    assert_eq!(KexSecret::from_bytes(bytes32(SECRET)).public(), bytes32(PUBLIC));
    given.case("RFC 9180, A.1.1", &bytes32(PUBLIC))
}

/// What a case seals.
struct Given {
    ikm: [u8; 32],
    info: Vec<u8>,
    aad: Vec<u8>,
    plaintext: Vec<u8>,
}

impl Given {
    fn seal(&self, recipient: &[u8; 32]) -> Result<Sealed, &'static str> {
        let mut rng = ScriptedRng(self.ikm.to_vec());
        seal(recipient, &self.info, &self.aad, &self.plaintext, &mut rng).map_err(|refusal| refusal.code())
    }

    fn case(&self, name: &str, recipient: &[u8; 32]) -> Value {
        let outcome = match self.seal(recipient) {
            Ok(Sealed { enc, ct }) => ("out", json!({ "enc": hex(&enc), "ct": hex(&ct) })),
            Err(code) => ("error", json!(code)),
        };
        let given = json!({
            "recipient": hex(recipient),
            "ikm": hex(&self.ikm),
            "info": hex(&self.info),
            "aad": hex(&self.aad),
            "plaintext": hex(&self.plaintext),
        });
        json!({ "name": name, "op": "seal", "in": given, outcome.0: outcome.1 })
    }
}

/// Runs the opening and writes it down; `error` is the code that is expected, or none.
fn opening(name: &str, secret: [u8; 32], info: &[u8], aad: &[u8], sealed: &Sealed, error: Option<&str>) -> Value {
    let opened = open(&KexSecret::from_bytes(secret), info, aad, sealed);
    let outcome = match &opened {
        Ok(plaintext) => ("out", json!({ "plaintext": hex(plaintext) })),
        Err(refusal) => ("error", json!(refusal.code())),
    };
    assert_eq!(opened.err().map(|refusal| refusal.code()), error, "{name}");
    let given = json!({
        "secret": hex(&secret),
        "info": hex(info),
        "aad": hex(aad),
        "enc": hex(&sealed.enc),
        "ct": hex(&sealed.ct),
    });
    json!({ "name": name, "op": "open", "in": given, outcome.0: outcome.1 })
}

fn round_trips() -> Vec<Value> {
    let secret = [5; 32];
    let public = KexSecret::from_bytes(secret).public();
    let texts: [(&str, &[u8]); 3] = [("empty", b""), ("32 bytes", &[7; 32]), ("300 bytes", &[1; 300])];
    let mut cases = Vec::new();
    for (name, plaintext) in texts {
        let given = Given {
            ikm: [9; 32],
            info: b"dgns/box/v1\0".to_vec(),
            aad: b"aad".to_vec(),
            plaintext: plaintext.to_vec(),
        };
        let sealed = given.seal(&public).unwrap();
        cases.push(given.case(&format!("seal {name}"), &public));
        cases.push(opening(&format!("open {name}"), secret, &given.info, &given.aad, &sealed, None));
    }
    cases
}

fn refused() -> Vec<Value> {
    let (secret, info, aad) = ([5; 32], b"dgns/box/v1\0".as_slice(), b"aad".as_slice());
    let public = KexSecret::from_bytes(secret).public();
    let given = Given { ikm: [9; 32], info: info.to_vec(), aad: aad.to_vec(), plaintext: vec![7; 32] };
    let sealed = given.seal(&public).unwrap();
    let edited = |edit: fn(&mut Sealed)| {
        let mut copy = sealed.clone();
        edit(&mut copy);
        copy
    };
    let closed = Some("not_opened");
    let mut cases = vec![
        opening("sealed to another key", [6; 32], info, aad, &sealed, closed),
        opening("another info", secret, b"dgns/box/v1\0\0", aad, &sealed, closed),
        opening("another aad", secret, info, b"aae", &sealed, closed),
        opening("first byte changed", secret, info, aad, &edited(|s| s.ct[0] ^= 1), closed),
        opening("tag changed", secret, info, aad, &edited(|s| s.ct[47] ^= 0x80), closed),
        opening("another ephemeral key", secret, info, aad, &edited(|s| s.enc[3] ^= 1), closed),
        opening("a byte short", secret, info, aad, &edited(|s| s.ct.truncate(47)), closed),
        opening("a byte more", secret, info, aad, &edited(|s| s.ct.push(0)), closed),
        opening("shorter than a tag", secret, info, aad, &edited(|s| s.ct.truncate(15)), closed),
        opening("no bytes", secret, info, aad, &edited(|s| s.ct.clear()), closed),
    ];
    for point in SMALL_ORDER {
        let weak = Sealed { enc: bytes32(point), ct: sealed.ct.clone() };
        cases.push(opening(
            &format!("ephemeral key of small order {}", &point[..8]),
            secret,
            info,
            aad,
            &weak,
            Some("bad_enc"),
        ));
        assert_eq!(given.seal(&bytes32(point)), Err("weak_key"), "{point}");
        cases.push(given.case(&format!("recipient of small order {}", &point[..8]), &bytes32(point)));
    }
    cases
}

#[test]
fn every_change_of_a_box_keeps_it_closed() {
    // Goal: no bit of enc or ct is free. Method: flip each in turn. The top bit of enc is not part of the key (RFC 7748), but
    // it is part of what the key schedule hashes.
    let secret = KexSecret::from_bytes([5; 32]);
    let sealed = seal(&secret.public(), b"info", b"", b"twelve bytes", &mut CountingRng(1)).unwrap();
    assert_eq!(open(&secret, b"info", b"", &sealed).unwrap().as_slice(), b"twelve bytes");
    for bit in 0..(32 + sealed.ct.len()) * 8 {
        let mut changed = sealed.clone();
        let (byte, mask) = (bit / 8, 1 << (bit % 8));
        if byte < 32 {
            changed.enc[byte] ^= mask
        } else {
            changed.ct[byte - 32] ^= mask
        }
        assert!(open(&secret, b"info", b"", &changed).is_err(), "bit {bit}");
    }
}

fn bytes(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}

fn bytes32(text: &str) -> [u8; 32] {
    bytes(text).try_into().unwrap()
}
