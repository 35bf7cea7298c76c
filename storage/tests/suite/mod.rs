//! Heads and batches for the tests of this package: entry `i` is the text `entry i`, every head has its size as its root.

use bytes::Bytes;
use storage::rows::{ChainRow, CommitRows, LabelRow, NameRow, StoredHead};

/// Returns the head of `size` with Epoch `k`.
pub(crate) fn head(size: u64, k: u64) -> StoredHead {
    StoredHead { size, root: hash(0, size), k, time_ms: 1_000 * k, note: format!("note of {size}").into_bytes() }
}

/// Returns a hash that only these two numbers give.
pub(crate) fn hash(kind: u8, number: u64) -> [u8; 32] {
    // Spread over the first bytes, as hashes are: labels fall anywhere in the index.
    let mut bytes = [kind; 32];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[8..16].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// Returns the rows of a batch of `claims` claims after `old`: two labels, a chain row and a name each, then an Epoch.
pub(crate) fn batch(old: Option<&StoredHead>, claims: u64) -> (StoredHead, CommitRows) {
    let first = old.map_or(0, |old| old.size);
    let new = head(first + claims + 1, old.map_or(0, |old| old.k + 1));
    let mut rows = CommitRows::default();
    for index in first..first + claims {
        rows.entries.push(Bytes::from(format!("entry {index:>330}")));
        rows.chain.push(ChainRow { label: hash(2, index), seq: 0, index, sid: hash(3, index) });
        rows.labels.push(label(hash(2, index), index, 440));
        rows.labels.push(label(hash(1, index), index, 120));
        let name = NameRow {
            name: format!("n{:016x}.dgns.test", index.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            did: Some(identity::did::Did::from_bytes([index as u8; 20])),
            status: 1,
            index,
            records: Vec::new(),
        };
        rows.names.push((hash(1, index), name));
    }
    rows.entries.push(Bytes::from_static(b"epoch"));
    (new, rows)
}

/// Returns the row of a label that the certificate at `index` changed.
pub(crate) fn label(label: [u8; 32], index: u64, state_bytes: usize) -> LabelRow {
    LabelRow {
        label,
        kind: label[31],
        version: 1,
        head_index: index,
        head_hash: hash(3, index),
        flags: 0,
        state: vec![index as u8; state_bytes],
        due_ms: None,
        commitment: hash(4, index),
    }
}
