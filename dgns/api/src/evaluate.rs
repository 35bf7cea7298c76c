//! The bodies of `POST /v1/alias/evaluate`: `{1: [element, ...]}`, and `{1: [element, ...], 2: proof}`, deterministic CBOR.

use identity::limits::OPRF_BATCH_MAX;
use identity::oprf::{Element, ProofBytes};
use identity::wire::{Reader, WireError, Writer};

/// The bytes of a question at most.
pub const BYTES_MAX: usize = 8 + OPRF_BATCH_MAX * 34;

/// Returns the question: blinded elements, 1 to 16.
pub fn encode_question(blinded: &[Element]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.map(1);
    write_elements(&mut writer, blinded);
    writer.finish()
}

/// Reads a question. Encoding it again gives the same bytes.
pub fn decode_question(bytes: &[u8]) -> Result<Vec<Element>, WireError> {
    let mut reader = Reader::new(bytes);
    let mut fields = reader.fields()?;
    let blinded = fields.required(1, |r| r.list(OPRF_BATCH_MAX, |r| r.fixed()))?;
    fields.end()?;
    reader.end()?;
    Ok(blinded)
}

/// Returns the answer: the evaluated elements in the order asked, and one proof of all.
pub fn encode_answer(evaluated: &[Element], proof: &ProofBytes) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.map(2);
    write_elements(&mut writer, evaluated);
    writer.uint(2).bytes(proof);
    writer.finish()
}

/// Reads an answer.
pub fn decode_answer(bytes: &[u8]) -> Result<(Vec<Element>, ProofBytes), WireError> {
    let mut reader = Reader::new(bytes);
    let mut fields = reader.fields()?;
    let evaluated = fields.required(1, |r| r.list(OPRF_BATCH_MAX, |r| r.fixed()))?;
    let proof = fields.required(2, |r| r.fixed())?;
    fields.end()?;
    reader.end()?;
    Ok((evaluated, proof))
}

fn write_elements(writer: &mut Writer, elements: &[Element]) {
    writer.uint(1).array(elements.len());
    for element in elements {
        writer.bytes(element);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_and_answer_have_one_spelling() {
        let question = encode_question(&[[1; 32]; 16]);
        assert!(question.len() <= BYTES_MAX);
        assert_eq!(decode_question(&question), Ok(vec![[1; 32]; 16]));
        assert!(decode_question(&encode_question(&[[1; 32]; 17])).is_err());
        assert!(decode_question(&[&question[..], &[0]].concat()).is_err());
        let answer = encode_answer(&[[1; 32]], &[2; 64]);
        assert_eq!(decode_answer(&answer), Ok((vec![[1; 32]], [2; 64])));
        assert!(decode_answer(&question).is_err());
    }
}
