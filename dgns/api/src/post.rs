//! The body of `POST /v1/certificates`: `{1: [envelope, ...], 2?: [attachment, ...]}`, deterministic CBOR (PROTOCOL 12.1, 12.13).

use identity::wire::{Reader, WireError, Writer};

/// The most certificates one post may hold: enough for a genesis, a claim and every first act, small enough to judge at once.
pub const CERTIFICATES_MAX: usize = 16;

/// The most bytes of all attachments of a post.
pub const ATTACHMENT_BYTES_MAX: usize = 65_536;

/// The most bytes of a post: 16 certificates of 4,096 bytes and its attachments, with their framing.
pub const POST_BYTES_MAX: usize = CERTIFICATES_MAX * (4_096 + 6) + ATTACHMENT_BYTES_MAX + 64;

/// A post: certificates, and what they name by hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Post {
    /// Each still undecoded; 1..=16.
    pub envelopes: Vec<Vec<u8>>,
    /// At most one a certificate.
    pub attachments: Vec<Vec<u8>>,
}

/// The body is not `{1: [envelope, ...], 2?: [attachment, ...]}` with 1..=16 envelopes, no more attachments than these. Code `bad_post`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a post is the CBOR map {{1: [envelope, ...], 2: [attachment, ...]}} with 1 to 16 envelopes, 2 left out if empty"
)]
pub struct PostError;

/// Returns the body that posts these envelopes.
pub fn encode(envelopes: &[Vec<u8>]) -> Vec<u8> {
    encode_with(envelopes, &[])
}

/// As [`encode`], with attachments.
pub fn encode_with(envelopes: &[Vec<u8>], attachments: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.map(if attachments.is_empty() { 1 } else { 2 });
    for (key, list) in [(1, envelopes), (2, attachments)] {
        if key == 1 || !list.is_empty() {
            writer.uint(key).array(list.len());
            for item in list {
                writer.bytes(item);
            }
        }
    }
    writer.finish()
}

/// Returns what a body posts.
pub fn decode(body: &[u8]) -> Result<Post, PostError> {
    let post = read(body).map_err(|_| PostError)?;
    let bytes: usize = post.attachments.iter().map(Vec::len).sum();
    let counts = !post.envelopes.is_empty() && post.attachments.len() <= post.envelopes.len();
    if counts && bytes <= ATTACHMENT_BYTES_MAX { Ok(post) } else { Err(PostError) }
}

fn read(body: &[u8]) -> Result<Post, WireError> {
    let mut reader = Reader::new(body);
    let mut fields = reader.fields()?;
    let list = |r: &mut Reader<'_>| r.list(CERTIFICATES_MAX, |r| Ok::<_, WireError>(r.bytes()?.to_vec()));
    let envelopes = fields.required(1, list)?;
    let attachments = fields.optional(2, list)?;
    fields.end()?;
    reader.end()?;
    if attachments.as_ref().is_some_and(Vec::is_empty) {
        return Err(WireError::NotCanonical);
    }
    Ok(Post { envelopes, attachments: attachments.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_comes_back_as_it_went() {
        // Goal: both ends agree. Method: encode, decode, and every truncation of the bytes.
        let envelopes = vec![vec![1, 2, 3], vec![], vec![9; 4_096]];
        let body = encode(&envelopes);
        assert_eq!(decode(&body), Ok(Post { envelopes: envelopes.clone(), attachments: vec![] }));
        let with = encode_with(&envelopes, &[vec![7; 100]]);
        assert_eq!(decode(&with), Ok(Post { envelopes, attachments: vec![vec![7; 100]] }));
        for end in 0..with.len() {
            assert_eq!(decode(&with[..end]), Err(PostError), "cut at {end}");
        }
        for end in 0..body.len() {
            assert_eq!(decode(&body[..end]), Err(PostError), "cut at {end}");
        }
    }

    #[test]
    fn empty_and_crowded_posts_are_refused() {
        assert_eq!(decode(&encode(&[])), Err(PostError));
        assert_eq!(decode(&encode(&vec![vec![0]; CERTIFICATES_MAX + 1])), Err(PostError));
        assert_eq!(decode(b"{}"), Err(PostError));
        assert_eq!(decode(&encode_with(&[vec![0]], &[vec![1], vec![2]])), Err(PostError), "more attachments");
        assert_eq!(decode(&encode_with(&[vec![0]], &[vec![0; ATTACHMENT_BYTES_MAX + 1]])), Err(PostError), "too large");
        assert_eq!(decode(&[0xa2, 1, 0x81, 0x40, 2, 0x80]), Err(PostError), "an empty list is left out");
    }
}
