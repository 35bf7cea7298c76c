//! `tests/vectors/oprf.json`: the published cases of RFC 9497, and every way in which an evaluation is refused.

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::{Blinded, Element, OprfError, ProofBytes, Server, finalize};
use crate::limits::OPRF_BATCH_MAX;
use crate::testing::{CountingRng, ScriptedRng};
use crate::vectors::{hex, hold};

const ABOUT: [&str; 5] = [
    "Blind evaluation (PROTOCOL 1.7): RFC 9497, ristretto255-SHA512, verifiable mode. Bytes are hexadecimal.",
    "op evaluate: seed and info of the key, blinded elements, proof_scalar drawn for the proof -> pk, evaluated, proof.",
    "op finalize: inputs with the blinds drawn for them, evaluated, proof, pk -> blinded, outputs.",
    "error: bad_input, bad_batch, bad_element, bad_key, bad_proof.",
    "The cases named after the RFC are those of its appendix A.1.2.",
];

/// The key of RFC 9497, A.1.2: DeriveKeyPair of this seed and info.
const SEED: [u8; 32] = [0xa3; 32];
const INFO: &[u8] = b"test key";
const PK: &str = "c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e";

/// What the RFC draws: two scalars that blind, and one of them again as the nonce of the first two proofs.
const BLIND_1: &str = "64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706";
const BLIND_2: &str = "222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e";
const NONCE_3: &str = "419c4f4f5052c53c45f3da494d2b67b220d02118e0857cdbcf037f9ea84bbe0c";

/// The encoding of the identity, of a point in a second spelling (p + 0), and of no point at all.
const NOT_ELEMENTS: [(&str, &str); 5] = [
    ("the identity", "0000000000000000000000000000000000000000000000000000000000000000"),
    ("not reduced", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ("negative", "0100000000000000000000000000000000000000000000000000000000000000"),
    ("top bit set", "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
    ("not a square", "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371"),
];

/// One published case: inputs, blinds, nonce of the proof, and what they give.
struct Published {
    name: &'static str,
    inputs: &'static [&'static str],
    blinds: &'static [&'static str],
    nonce: &'static str,
    blinded: &'static [&'static str],
    evaluated: &'static [&'static str],
    proof: &'static str,
    outputs: &'static [&'static str],
}

const ONE_BLINDED: &str = "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945";
const ONE_EVALUATED: &str = "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e";
const ONE_OUTPUT: &str = "b58cfbe118e0cb94d79b5fd6a6dafb98764dff49c14e1770b566e42402da1a7d\
                          a4d8527693914139caee5bd03903af43a491351d23b430948dd50cde10d32b3c";
const TWO_OUTPUT: &str = "8a9a2f3c7f085b65933594309041fc1898d42d0858e59f90814ae90571a6df60\
                          356f4610bf816f27afdd84f47719e480906d27ecd994985890e5f539e7ea74b6";

const PUBLISHED: [Published; 3] = [
    Published {
        name: "RFC 9497, A.1.2.1",
        inputs: &["00"],
        blinds: &[BLIND_1],
        nonce: BLIND_2,
        blinded: &[ONE_BLINDED],
        evaluated: &[ONE_EVALUATED],
        proof: "ddef93772692e535d1a53903db24367355cc2cc78de93b3be5a8ffcc6985dd06\
                6d4346421d17bf5117a2a1ff0fcb2a759f58a539dfbe857a40bce4cf49ec600d",
        outputs: &[ONE_OUTPUT],
    },
    Published {
        name: "RFC 9497, A.1.2.2",
        inputs: &["5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"],
        blinds: &[BLIND_1],
        nonce: BLIND_2,
        blinded: &["cc0b2a350101881d8a4cba4c80241d74fb7dcbfde4a61fde2f91443c2bf9ef0c"],
        evaluated: &["60a59a57208d48aca71e9e850d22674b611f752bed48b36f7a91b372bd7ad468"],
        proof: "401a0da6264f8cf45bb2f5264bc31e109155600babb3cd4e5af7d181a2c9dc0a\
                67154fabf031fd936051dec80b0b6ae29c9503493dde7393b722eafdf5a50b02",
        outputs: &[TWO_OUTPUT],
    },
    Published {
        name: "RFC 9497, A.1.2.3: two at once",
        inputs: &["00", "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"],
        blinds: &[BLIND_1, BLIND_2],
        nonce: NONCE_3,
        blinded: &[ONE_BLINDED, "90a0145ea9da29254c3a56be4fe185465ebb3bf2a1801f7124bbbadac751e654"],
        evaluated: &[ONE_EVALUATED, "cc5ac221950a49ceaa73c8db41b82c20372a4c8d63e5dded2db920b7eee36a2a"],
        proof: "cc203910175d786927eeb44ea847328047892ddf8590e723c37205cb74600b0a\
                5ab5337c8eb4ceae0494c2cf89529dcf94572ed267473d567aeed6ab873dee08",
        outputs: &[ONE_OUTPUT, TWO_OUTPUT],
    },
];

#[test]
fn oprf_json_holds() {
    let mut cases: Vec<Value> = PUBLISHED.iter().flat_map(published).collect();
    cases.extend(refused_evaluations());
    cases.extend(refused_answers());
    hold("oprf", &ABOUT, &cases);
}

/// The case as its server and its client meet it, held against the numbers of the RFC.
fn published(case: &Published) -> [Value; 2] {
    let list = |texts: &[&str]| texts.iter().map(|text| bytes::<32>(text)).collect::<Vec<_>>();
    let (server, nonce) = (Server::derive(&SEED, INFO), bytes(case.nonce));
    assert_eq!(server.public(), bytes(PK));
    let evaluation = evaluate(&format!("{}, server", case.name), &list(case.blinded), nonce, None);
    assert_eq!(evaluation["out"]["evaluated"], json!(case.evaluated));
    assert_eq!(evaluation["out"]["proof"], json!(case.proof));
    let inputs: Vec<_> = case.inputs.iter().map(|text| HEXLOWER.decode(text.as_bytes()).unwrap()).collect();
    let batch = Batch { inputs, blinds: list(case.blinds) };
    let answer = (list(case.evaluated), bytes(case.proof), bytes(PK));
    let finalized = batch.case(&format!("{}, client", case.name), &answer, None);
    assert_eq!(finalized["out"]["blinded"], json!(case.blinded));
    assert_eq!(finalized["out"]["outputs"], json!(case.outputs));
    [evaluation, finalized]
}

/// Evaluates under the key of the RFC and writes it down; `error` is the code that is expected, or none.
fn evaluate(name: &str, blinded: &[Element], nonce: [u8; 32], error: Option<&str>) -> Value {
    let server = Server::derive(&SEED, INFO);
    let evaluated = server.evaluate(blinded, &mut drawing(&[nonce]));
    let outcome = match &evaluated {
        Ok((evaluated, proof)) => {
            ("out", json!({ "pk": hex(&server.public()), "evaluated": hexes(evaluated), "proof": hex(proof) }))
        }
        Err(refusal) => ("error", json!(refusal.code())),
    };
    assert_eq!(evaluated.err().map(OprfError::code), error, "{name}");
    let given =
        json!({ "seed": hex(&SEED), "info": hex(INFO), "blinded": hexes(blinded), "proof_scalar": hex(&nonce) });
    json!({ "name": name, "op": "evaluate", "in": given, outcome.0: outcome.1 })
}

/// Evaluated elements, their proof, and the key that was pinned.
type Answered = (Vec<Element>, ProofBytes, [u8; 32]);

/// What a client asked for.
struct Batch {
    inputs: Vec<Vec<u8>>,
    blinds: Vec<[u8; 32]>,
}

impl Batch {
    fn blinded(&self) -> Result<Vec<Blinded>, OprfError> {
        let mut rng = drawing(&self.blinds);
        self.inputs.iter().map(|input| Blinded::new(input, &mut rng)).collect()
    }

    /// Finalizes and writes it down; `error` is the code that is expected, or none.
    fn case(&self, name: &str, answer: &Answered, error: Option<&str>) -> Value {
        let (evaluated, proof, pk) = answer;
        let done = self.blinded().and_then(|batch| {
            let elements: Vec<_> = batch.iter().map(|blinded| *blinded.element()).collect();
            Ok((elements, finalize(&batch, evaluated, proof, pk)?))
        });
        let outcome = match &done {
            Ok((elements, outputs)) => ("out", json!({ "blinded": hexes(elements), "outputs": hexes(outputs) })),
            Err(refusal) => ("error", json!(refusal.code())),
        };
        assert_eq!(done.err().map(OprfError::code), error, "{name}");
        let given = json!({
            "inputs": hexes(&self.inputs),
            "blinds": hexes(&self.blinds),
            "evaluated": hexes(evaluated),
            "proof": hex(proof),
            "pk": hex(pk),
        });
        json!({ "name": name, "op": "finalize", "in": given, outcome.0: outcome.1 })
    }
}

fn refused_evaluations() -> Vec<Value> {
    let good = bytes::<32>(ONE_BLINDED);
    let mut cases = vec![
        evaluate("no element", &[], bytes(BLIND_2), Some("bad_batch")),
        evaluate("a full batch", &[good; OPRF_BATCH_MAX], bytes(BLIND_2), None),
        evaluate("one element too many", &[good; OPRF_BATCH_MAX + 1], bytes(BLIND_2), Some("bad_batch")),
    ];
    for (name, element) in NOT_ELEMENTS {
        let name = format!("blinded element: {name}");
        cases.push(evaluate(&name, &[good, bytes(element)], bytes(BLIND_2), Some("bad_element")));
    }
    cases
}

fn refused_answers() -> Vec<Value> {
    let batch = |inputs: &[&[u8]]| Batch {
        inputs: inputs.iter().map(|input| input.to_vec()).collect(),
        blinds: vec![bytes(BLIND_1); inputs.len()],
    };
    let pair = batch(&[b"\0", b"zz".as_slice()]);
    let elements: Vec<_> = pair.blinded().unwrap().iter().map(|blinded| *blinded.element()).collect();
    let server = Server::derive(&SEED, INFO);
    let (evaluated, proof) = server.evaluate(&elements, &mut drawing(&[bytes(NONCE_3)])).unwrap();
    let good = (evaluated, proof, server.public());
    let with = |edit: &dyn Fn(&mut Answered)| {
        let mut copy = good.clone();
        edit(&mut copy);
        copy
    };
    let other = Server::from_seed(&[1; 32]);
    let (foreign, foreign_proof) = other.evaluate(&elements, &mut drawing(&[bytes(NONCE_3)])).unwrap();
    let bad = Some("bad_proof");
    let mut cases = vec![
        pair.case("the answers of two", &good, None),
        pair.case("first byte of the proof changed", &with(&|answer| answer.1[0] ^= 1), bad),
        pair.case("last byte of the proof changed", &with(&|answer| answer.1[63] ^= 1), bad),
        pair.case("a proof whose scalar is not reduced", &with(&|answer| answer.1[63] = 0xff), bad),
        pair.case("answers exchanged", &with(&|answer| answer.0.swap(0, 1)), bad),
        pair.case("one answer that is another point", &with(&|answer| answer.0[1] = elements[0]), bad),
        pair.case("another key, honestly proved", &(foreign, foreign_proof, good.2), bad),
        pair.case("the pinned key is another", &with(&|answer| answer.2 = other.public()), bad),
        pair.case("an answer missing", &with(&|answer| answer.0.truncate(1)), Some("bad_batch")),
        pair.case("an answer too many", &with(&|answer| answer.0.push(elements[0])), Some("bad_batch")),
        batch(&[b""]).case("empty input", &good, Some("bad_input")),
        batch(&[&[0; 65_536]]).case("input too long", &good, Some("bad_input")),
        batch(&[]).case("nothing asked", &(Vec::new(), good.1, good.2), Some("bad_batch")),
        batch(&[b"x".as_slice(); 17]).case(
            "seventeen asked",
            &(vec![elements[0]; 17], good.1, good.2),
            Some("bad_batch"),
        ),
    ];
    for (name, element) in NOT_ELEMENTS {
        let element = bytes(element);
        cases.push(pair.case(&format!("answer: {name}"), &with(&|answer| answer.0[1] = element), Some("bad_element")));
        cases.push(pair.case(&format!("key: {name}"), &with(&|answer| answer.2 = element), Some("bad_key")));
    }
    // An input of 65,536 bytes proves its point here; as a vector it would be most of the file.
    cases.retain(|case| {
        case["in"]["inputs"]
            .as_array()
            .is_none_or(|inputs| inputs.iter().all(|input| input.as_str().unwrap().len() < 1_000))
    });
    cases
}

#[test]
fn the_output_does_not_depend_on_the_blinding() {
    // Goal: two strangers who look up one input arrive at the same 64 bytes, and the points they send are unlike. Method: two
    // streams of randomness, one server, whose proofs draw from a third.
    let server = Server::from_seed(&[7; 32]);
    let look_up = |stream| {
        let batch = [Blinded::new(b"alice@example.com", &mut CountingRng(stream)).unwrap()];
        let (evaluated, proof) = server.evaluate(&[*batch[0].element()], &mut CountingRng(stream + 7)).unwrap();
        (*batch[0].element(), finalize(&batch, &evaluated, &proof, &server.public()).unwrap()[0])
    };
    let (one, two) = (look_up(1), look_up(2));
    assert_ne!(one.0, two.0);
    assert_eq!(one.1, two.1);
}

/// A stream that draws these scalars: each is read as 64 bytes and reduced.
fn drawing(scalars: &[[u8; 32]]) -> ScriptedRng {
    ScriptedRng(scalars.iter().flat_map(|scalar| [*scalar, [0; 32]].concat()).collect())
}

fn hexes<T: AsRef<[u8]>>(list: &[T]) -> Vec<Value> {
    list.iter().map(|bytes| hex(bytes.as_ref())).collect()
}

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
}
