//! Queries and answers as bytes: as little of them as is asked and looked at here.

/// An IPv4 address.
pub const TYPE_A: u16 = 1;

/// Returns a query without EDNS.
pub fn query(id: u16, name: &str, rtype: u16) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    query.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        query.push(label.len() as u8);
        query.extend_from_slice(label.as_bytes());
    }
    query.push(0);
    query.extend_from_slice(&rtype.to_be_bytes());
    query.extend_from_slice(&[0, 1]);
    query
}

/// Returns the address of the first record of an answer, whose owner is written as a pointer; `None` if there is none.
pub fn first_address(answer: &[u8], query: &[u8]) -> Option<[u8; 4]> {
    let record = answer.get(query.len()..)?;
    let is_address = answer.get(6..8)? != [0, 0] && record.get(..4)? == [0xC0, 12, 0, TYPE_A as u8];
    record.get(12..16)?.try_into().ok().filter(|_| is_address)
}
