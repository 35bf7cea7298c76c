//! Base64 with one spelling: standard alphabet, padded at the end alone (PROTOCOL 9).

use data_encoding::BASE64;

/// Returns the only text that [`decode`] takes for these bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Returns the bytes of `text`, or `None` if it is not the only spelling of them.
///
/// The decoder below also takes several padded pieces in a row, and trailing bits are its caller's to judge: hence the
/// comparison.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).ok().filter(|bytes| encode(bytes) == text)
}

#[test]
fn padding_stands_at_the_end_alone() {
    assert_eq!(decode("AQID").as_deref(), Some(&[1, 2, 3][..]));
    assert_eq!(decode("AQ==").as_deref(), Some(&[1][..]));
    for text in ["AQ==AQ==", "AQID=", "AQ", "AR==", "AQ= =", "AQ==\n", "-_-_"] {
        assert_eq!(decode(text), None, "{text}");
    }
}
