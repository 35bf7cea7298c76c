//! `tests/vectors/oprf_threshold.json`: the published cases of RFC 9497 with the key split two of three, and what must not pass.

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::{Blinded, Element, OprfError, Server, WholeKey, combine_public};
use crate::testing::{CountingRng, ScriptedRng};
use crate::vectors::{hex, hold};

const ABOUT: [&str; 4] = [
    "One key among servers (PROTOCOL 24.2): RFC 9497, ristretto255-SHA512, verifiable mode, split by Shamir. Bytes are hexadecimal.",
    "in: input, blind, and answers [point, public key of the share, evaluated, proof] of some servers.",
    "out: blinded, the public key of the whole, output. error: bad_batch, bad_element, bad_key, bad_proof, of the first that fails.",
    "The inputs, blinds, public key and outputs named after the RFC are those of its appendix A.1.2.",
];

const KEY: &str = "e6f73f344b79b379f1a0dd37e07ff62e38d9f71345ce62ae3a9bc60b04ccd909";
const PK: &str = "c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e";
const BLIND: &str = "64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706";

/// Name, input, blinded element and output as the RFC has them.
const PUBLISHED: [(&str, &str, &str, &str); 2] = [
    (
        "RFC 9497, A.1.2.1",
        "00",
        "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945",
        "b58cfbe118e0cb94d79b5fd6a6dafb98764dff49c14e1770b566e42402da1a7d\
         a4d8527693914139caee5bd03903af43a491351d23b430948dd50cde10d32b3c",
    ),
    (
        "RFC 9497, A.1.2.2",
        "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
        "cc0b2a350101881d8a4cba4c80241d74fb7dcbfde4a61fde2f91443c2bf9ef0c",
        "8a9a2f3c7f085b65933594309041fc1898d42d0858e59f90814ae90571a6df60\
         356f4610bf816f27afdd84f47719e480906d27ecd994985890e5f539e7ea74b6",
    ),
];

/// What one server answered: point, public key, element, proof.
type Answered = (u8, [u8; 32], Element, [u8; 64]);

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
}

fn blinded(input: &[u8]) -> Blinded {
    let script = [bytes::<32>(BLIND), [0; 32]].concat();
    Blinded::new(input, &mut ScriptedRng(script)).unwrap()
}

/// The three servers of the key of the RFC, of whom two are needed.
fn servers() -> Vec<(u8, Server)> {
    let key = WholeKey::from_bytes(&bytes(KEY)).unwrap();
    let shares = key.split(2, 3, &mut CountingRng(9)).unwrap();
    shares.iter().map(|share| (share.index, Server::from_scalar(share.secret()).unwrap())).collect()
}

fn answers(element: &Element) -> Vec<Answered> {
    let answer = |(index, server): (u8, Server)| {
        let (evaluated, proof) = server.evaluate(&[*element], &mut CountingRng(u64::from(index))).unwrap();
        (index, server.public(), evaluated[0], proof)
    };
    servers().into_iter().map(answer).collect()
}

/// Does with answers what a client does, and writes it down; `expected` is the output, or the code that is.
fn case(name: &str, input: &[u8], answers: &[Answered], expected: Result<&[u8], &str>) -> Value {
    let blinded = blinded(input);
    let judged = (|| {
        for (_, pk, evaluated, proof) in answers {
            blinded.check_share(evaluated, proof, pk)?;
        }
        let elements: Vec<_> = answers.iter().map(|(index, _, evaluated, _)| (*index, *evaluated)).collect();
        let keys: Vec<_> = answers.iter().map(|(index, pk, ..)| (*index, *pk)).collect();
        Ok((blinded.combine(&elements)?, combine_public(&keys)?))
    })();
    let rows: Vec<_> = answers.iter().map(|(i, pk, e, proof)| json!([i, hex(pk), hex(e), hex(proof)])).collect();
    let given = json!({ "input": hex(input), "blind": BLIND, "answers": rows });
    match judged {
        Ok((output, pk)) => {
            assert_eq!(Ok(output.as_slice()), expected, "{name}");
            let out = json!({ "blinded": hex(blinded.element()), "pk": hex(&pk), "output": hex(output.as_slice()) });
            json!({ "name": name, "in": given, "out": out })
        }
        Err(refusal) => {
            let refusal: OprfError = refusal;
            assert_eq!(Err(refusal.code()), expected, "{name}");
            json!({ "name": name, "in": given, "error": refusal.code() })
        }
    }
}

#[test]
fn oprf_threshold_json_holds() {
    let mut cases = Vec::new();
    for (name, input, element, output) in PUBLISHED {
        let (input, output) = (HEXLOWER.decode(input.as_bytes()).unwrap(), bytes::<64>(output));
        assert_eq!(*blinded(&input).element(), bytes(element));
        let all = answers(&bytes(element));
        for some in [vec![0, 1], vec![0, 2], vec![1, 2], vec![2, 0], vec![0, 1, 2]] {
            let some: Vec<_> = some.iter().map(|at: &usize| all[*at]).collect();
            let points: Vec<_> = some.iter().map(|(index, ..)| index.to_string()).collect();
            let case = case(&format!("{name}, servers {}", points.join(" ")), &input, &some, Ok(&output));
            assert_eq!(case["out"]["pk"], json!(PK));
            cases.push(case);
        }
    }
    let all = answers(blinded(b"\0").element());
    let with = |edit: &dyn Fn(&mut Vec<Answered>)| {
        let mut copy = all[..2].to_vec();
        edit(&mut copy);
        copy
    };
    let pin: &[u8] = b"\0";
    cases.extend([
        case("no answer", pin, &[], Err("bad_batch")),
        case("one server twice", pin, &with(&|a| a[1] = a[0]), Err("bad_batch")),
        case("a server at point 0", pin, &with(&|a| a[0].0 = 0), Err("bad_batch")),
        case("the answer of another point", pin, &with(&|a| a[0].2 = a[1].2), Err("bad_proof")),
        case("the key of another server", pin, &with(&|a| a[0].1 = a[1].1), Err("bad_proof")),
        case("a byte of the proof changed", pin, &with(&|a| a[1].3[40] ^= 1), Err("bad_proof")),
        case("an answer that is no point", pin, &with(&|a| a[1].2 = [0xff; 32]), Err("bad_element")),
        case("a key that is the identity", pin, &with(&|a| a[1].1 = [0; 32]), Err("bad_key")),
    ]);
    hold("oprf_threshold", &ABOUT, &cases);
}

#[test]
fn fewer_than_enough_make_another_output() {
    // Goal: one of two servers alone gives nothing of the output, whatever the point it claims. Method: every point, one answer.
    let element = *blinded(b"\0").element();
    let output = bytes::<64>(PUBLISHED[0].3);
    for (index, _, evaluated, _) in answers(&element) {
        for claimed in [1, 2, 3, index] {
            assert_ne!(*blinded(b"\0").combine(&[(claimed, evaluated)]).unwrap(), output);
        }
    }
}

#[test]
fn any_threshold_of_any_set_gives_the_output_of_the_whole() {
    let rng = &mut CountingRng(40);
    for servers in 1..=7_u8 {
        for threshold in 1..=servers {
            let key = WholeKey::generate(rng);
            let expected = key.server().output(b"a pin").unwrap();
            let shares = key.split(threshold, servers, rng).unwrap();
            let blinded = Blinded::new(b"a pin", rng).unwrap();
            let mut answers: Vec<_> = shares
                .iter()
                .map(|share| {
                    let server = Server::from_scalar(share.secret()).unwrap();
                    (share.index, server.evaluate(&[*blinded.element()], rng).unwrap().0[0])
                })
                .collect();
            answers.rotate_left(usize::from(servers) / 2);
            answers.truncate(usize::from(threshold));
            assert_eq!(*blinded.combine(&answers).unwrap(), expected, "{threshold} of {servers}");
            answers.truncate(usize::from(threshold) - 1);
            assert!(blinded.combine(&answers).map_or(true, |output| *output != expected));
        }
    }
    assert!(WholeKey::generate(rng).split(3, 2, rng).is_err() && WholeKey::generate(rng).split(0, 2, rng).is_err());
}

#[test]
fn a_factor_that_was_kept_blinds_to_the_same_element() {
    let rng = &mut CountingRng(50);
    let blinded = Blinded::new(b"123456", rng).unwrap();
    let again = Blinded::again(b"123456", &blinded.factor()).unwrap();
    assert_eq!(again.element(), blinded.element());
    let key = WholeKey::generate(rng);
    let (evaluated, proof) = key.server().evaluate(&[*blinded.element()], rng).unwrap();
    again.check_share(&evaluated[0], &proof, &key.server().public()).unwrap();
    assert_eq!(*again.combine(&[(1, evaluated[0])]).unwrap(), key.server().output(b"123456").unwrap());
    assert_ne!(Blinded::again(b"123457", &blinded.factor()).unwrap().element(), blinded.element());
    assert_eq!(Blinded::again(b"1", &[0; 32]).err(), Some(OprfError::Key));
    assert_eq!(Blinded::again(b"", &blinded.factor()).err(), Some(OprfError::Input));
}
