//! The body of `POST /v1/certificates`: `{1: [envelope, ...]}`, deterministic CBOR (PROTOCOL 12.1).

use identity::wire::{Reader, Writer};

/// The most certificates one post may hold: enough for a genesis, a claim and every first act, small enough to judge at once.
pub const CERTIFICATES_MAX: usize = 16;

/// The most bytes of a post: 16 certificates of 4,096 bytes with their framing.
pub const POST_BYTES_MAX: usize = CERTIFICATES_MAX * (4_096 + 3) + 16;

/// The body is not `{1: [envelope, ...]}` with 1..=16 envelopes. Code `bad_post`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a post is the CBOR map {{1: [envelope, ...]}} with 1 to 16 envelopes")]
pub struct PostError;

/// Returns the body that posts these envelopes.
pub fn encode(envelopes: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.map(1).uint(1).array(envelopes.len());
    for envelope in envelopes {
        writer.bytes(envelope);
    }
    writer.finish()
}

/// Returns the envelopes of a body, each still undecoded.
pub fn decode(body: &[u8]) -> Result<Vec<Vec<u8>>, PostError> {
    read(body).map_err(|_| PostError)?.ok_or(PostError)
}

fn read(body: &[u8]) -> Result<Option<Vec<Vec<u8>>>, identity::wire::WireError> {
    let mut reader = Reader::new(body);
    if reader.map()? != 1 || reader.uint()? != 1 {
        return Ok(None);
    }
    let count = reader.array()?;
    if count == 0 || count > CERTIFICATES_MAX as u64 {
        return Ok(None);
    }
    let mut envelopes = Vec::with_capacity(CERTIFICATES_MAX);
    for _ in 0..count {
        envelopes.push(reader.bytes()?.to_vec());
    }
    reader.end()?;
    Ok(Some(envelopes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_comes_back_as_it_went() {
        // Goal: both ends agree. Method: encode, decode, and every truncation of the bytes.
        let envelopes = vec![vec![1, 2, 3], vec![], vec![9; 4_096]];
        let body = encode(&envelopes);
        assert_eq!(decode(&body), Ok(envelopes));
        for end in 0..body.len() {
            assert_eq!(decode(&body[..end]), Err(PostError), "cut at {end}");
        }
    }

    #[test]
    fn empty_and_crowded_posts_are_refused() {
        assert_eq!(decode(&encode(&[])), Err(PostError));
        assert_eq!(decode(&encode(&vec![vec![0]; CERTIFICATES_MAX + 1])), Err(PostError));
        assert_eq!(decode(b"{}"), Err(PostError));
    }
}
