//! What a server sees of records and files: sealed, padded bytes (PROTOCOL 25.7). The room of `chacha20poly1305`.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use dgns_api::store::content::{self, ContentId};
use dgns_api::store::entry::LogId;
use dgns_api::store::limits::{RECORD_BYTES_MAX, RECORDS_MAX, REFS_MAX};
use dgns_api::store::record::Record;
use identity::cert::KeyBytes;
use identity::kdf;
use identity::user_key::UserSeed;
use identity::wire::{Reader, Writer};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// The key of a group in one epoch.
pub type GroupKey = Zeroizing<[u8; 32]>;

/// What a nonce and a tag add.
pub const SEALED_BYTES: usize = 24 + 16;

/// Returns the chunks that records are in, as an entry names them: ascending, each once.
pub fn refs_of(records: &[Record]) -> Vec<ContentId> {
    let pieces = records.iter().filter_map(|record| match record {
        Record::Bytes(_) => None,
        Record::Pieces(pieces) => Some(&pieces.pieces),
    });
    let ids: std::collections::BTreeSet<ContentId> = pieces.flatten().map(|(id, _)| *id).collect();
    ids.into_iter().collect()
}

/// Where in which log a body stands.
#[derive(Clone, Copy, Debug)]
pub struct BodyPlace {
    /// The log.
    pub log: LogId,
    /// Who appends.
    pub device: KeyBytes,
    /// The lsn.
    pub lsn: u64,
    /// The epoch of the key.
    pub epoch: u64,
}

/// A body does not open, or holds no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body does not open under the key of its group, or holds no records")]
pub struct NotOpened;

/// Returns the body of an entry: its records, padded and sealed.
pub fn seal_records(key: &GroupKey, place: &BodyPlace, records: &[Record], rng: &mut impl CryptoRng) -> Vec<u8> {
    let mut nonce = [0; 24];
    rng.fill_bytes(&mut nonce);
    seal_records_with(key, place, records, &nonce)
}

fn seal_records_with(key: &GroupKey, place: &BodyPlace, records: &[Record], nonce: &[u8; 24]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(records.len());
    records.iter().for_each(|record| record.write(&mut writer));
    sealed(&body_key(key, place), nonce, &padded(writer.finish()), &aad(place))
}

/// Returns a plaintext with the zeros behind it that pad it.
fn padded(mut plaintext: Vec<u8>) -> Vec<u8> {
    plaintext.resize(content::padded(plaintext.len() + SEALED_BYTES) - SEALED_BYTES, 0);
    plaintext
}

/// Returns the records of a body. Those in chunks are in ones that the entry names, its `refs`: the server keeps no others for it.
pub fn open_records(
    key: &GroupKey,
    place: &BodyPlace,
    refs: &[ContentId],
    body: &[u8],
) -> Result<Vec<Record>, NotOpened> {
    let plaintext = opened(&body_key(key, place), body, &aad(place))?;
    let mut reader = Reader::new(&plaintext);
    let records = reader.list(RECORDS_MAX, Record::read).map_err(|_| NotOpened)?;
    let padding = &plaintext[reader.position()..];
    let mut pieces = 0;
    let fits = records.iter().all(|record| match record {
        Record::Bytes(bytes) => bytes.len() <= RECORD_BYTES_MAX,
        Record::Pieces(record) => {
            pieces += record.pieces.len();
            record.pieces.iter().all(|(id, _)| refs.binary_search(id).is_ok())
        }
    });
    // However often they are named, all of them are read into memory.
    let fits = fits && pieces <= REFS_MAX && padding.iter().all(|byte| *byte == 0);
    if fits { Ok(records) } else { Err(NotOpened) }
}

fn body_key(key: &GroupKey, place: &BodyPlace) -> Zeroizing<[u8; 32]> {
    kdf::derive("dgns/body/v1", key.as_ref(), &[&place.log.0, &place.device])
}

fn aad(place: &BodyPlace) -> Vec<u8> {
    [&place.log.0[..], &place.device, &place.lsn.to_be_bytes(), &place.epoch.to_be_bytes()].concat()
}

/// What opens the files of a person: made of the person's user key.
pub struct FileKeys(UserSeed);

impl FileKeys {
    /// Returns the keys of a generation of the user key.
    pub fn new(seed: UserSeed) -> Self {
        Self(seed)
    }

    /// Seals a piece of a file under a key of its own, padded, and returns both. The same piece has the same bytes again, so that an upload
    /// goes on where it broke off.
    pub fn seal_piece(&self, piece: &[u8]) -> (KeyBytes, Vec<u8>) {
        let piece = Zeroizing::new(padded(piece.to_vec()));
        seal_under(piece_key(self.0.to_bytes().as_ref(), &piece), &piece)
    }

    /// Seals the list of the pieces.
    pub fn seal_manifest(&self, manifest: &[u8]) -> Vec<u8> {
        let hash = content::id_of(manifest);
        let drawn = kdf::derive("dgns/manifest-nonce/v1", self.0.to_bytes().as_ref(), &[&hash]);
        let mut nonce = [0; 24];
        nonce.copy_from_slice(&drawn[..24]);
        sealed(&self.manifest_key(), &nonce, &padded(manifest.to_vec()), &[])
    }

    /// Opens the list of the pieces.
    pub fn open_manifest(&self, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        opened(&self.manifest_key(), bytes, &[])
    }

    fn manifest_key(&self) -> Zeroizing<[u8; 32]> {
        kdf::derive("dgns/manifest/v1", self.0.to_bytes().as_ref(), &[])
    }
}

/// Seals a piece of a record under a key of its own, padded, and returns both. The same piece has the same bytes again in one epoch of
/// its group.
pub fn seal_record_piece(key: &GroupKey, piece: &[u8]) -> (KeyBytes, Vec<u8>) {
    let piece = Zeroizing::new(padded(piece.to_vec()));
    seal_under(piece_key(key.as_ref(), &piece), &piece)
}

/// As [`seal_record_piece`], of a part of a snapshot.
pub(super) fn seal_part(key: &GroupKey, part: &[u8]) -> (KeyBytes, Vec<u8>) {
    let part = Zeroizing::new(padded(part.to_vec()));
    seal_under(kdf::derive("dgns/snapshot-part/v1", key.as_ref(), &[&content::id_of(&part)]), &part)
}

/// Returns the body of an entry that is a snapshot: what it says, padded and sealed.
pub(super) fn seal_snapshot(key: &GroupKey, place: &BodyPlace, said: Vec<u8>, nonce: &[u8; 24]) -> Vec<u8> {
    sealed(&snapshot_key(key, place), nonce, &padded(said), &aad(place))
}

/// Returns what an entry that is a snapshot says, and the zeros behind it.
pub(super) fn open_snapshot(key: &GroupKey, place: &BodyPlace, body: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
    opened(&snapshot_key(key, place), body, &aad(place))
}

fn snapshot_key(key: &GroupKey, place: &BodyPlace) -> Zeroizing<[u8; 32]> {
    kdf::derive("dgns/snapshot/v1", key.as_ref(), &[&place.log.0, &place.device])
}

/// Opens a piece, which has so many bytes and then zeros, as many as pad it and no more.
pub fn open_piece(key: &KeyBytes, bytes: usize, chunk: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
    if chunk.len() != content::padded(bytes + SEALED_BYTES) {
        return Err(NotOpened);
    }
    let mut piece = opened(key, chunk, &[])?;
    match piece.get(bytes..).is_some_and(|padding| padding.iter().all(|byte| *byte == 0)) {
        true => {
            piece.truncate(bytes);
            Ok(piece)
        }
        false => Err(NotOpened),
    }
}

fn piece_key(secret: &[u8], piece: &[u8]) -> Zeroizing<[u8; 32]> {
    kdf::derive("dgns/piece/v1", secret, &[&content::id_of(piece)])
}

/// Seals a plaintext under the key that was made of it.
fn seal_under(key: Zeroizing<[u8; 32]>, plaintext: &[u8]) -> (KeyBytes, Vec<u8>) {
    // No two plaintexts share a key, so the nonce may be one.
    (*key, sealed(&key, &[0; 24], plaintext, &[]))
}

fn sealed(key: &[u8; 32], nonce: &[u8; 24], plaintext: &[u8], aad: &[u8]) -> Vec<u8> {
    let cipher = XChaCha20Poly1305::new(key.into());
    let payload = Payload { msg: plaintext, aad };
    let ciphertext = cipher.encrypt(&XNonce::from(*nonce), payload).expect("far below the bound of the cipher");
    [&nonce[..], &ciphertext].concat()
}

fn opened(key: &[u8; 32], bytes: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
    let (nonce, ciphertext) = bytes.split_first_chunk::<24>().ok_or(NotOpened)?;
    let cipher = XChaCha20Poly1305::new(key.into());
    let payload = Payload { msg: ciphertext, aad };
    cipher.decrypt(&XNonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| NotOpened)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use dgns_api::store::limits::{LARGE_RECORD_BYTES_MAX, PIECE_BYTES};
    use dgns_api::store::record::Pieces;

    use super::*;
    use crate::rng;
    use crate::vectors::{hex, hold};

    /// A body that is what it is, whether it opens or not.
    fn case(name: &str, key: &GroupKey, place: &BodyPlace, body: &[u8]) -> Value {
        case_with(name, key, place, &[], body)
    }

    /// As [`case`], of an entry that names chunks.
    fn case_with(name: &str, key: &GroupKey, place: &BodyPlace, refs: &[ContentId], body: &[u8]) -> Value {
        let BodyPlace { log, device, lsn, epoch } = place;
        let given = json!({
            "key": hex(key.as_ref()), "log": hex(&log.0), "device": hex(device), "lsn": lsn, "epoch": epoch,
            "refs": refs.iter().map(|id| hex(id)).collect::<Vec<_>>(), "body": hex(body),
        });
        match open_records(key, place, refs, body) {
            Ok(records) => {
                let records: Vec<Value> = records.iter().map(shown).collect();
                json!({"name": name, "in": given, "out": {"id": hex(&content::id_of(body)), "records": records}})
            }
            Err(NotOpened) => json!({"name": name, "in": given, "error": "not_opened"}),
        }
    }

    fn shown(record: &Record) -> Value {
        match record {
            Record::Bytes(bytes) => json!(hex(bytes)),
            Record::Pieces(Pieces { bytes, pieces }) => {
                let pieces: Vec<_> = pieces.iter().map(|(id, key)| json!([hex(id), hex(key)])).collect();
                json!({"bytes": bytes, "pieces": pieces})
            }
        }
    }

    fn plain(records: &[&[u8]]) -> Vec<Record> {
        records.iter().map(|record| Record::Bytes(record.to_vec())).collect()
    }

    /// A record of so many bytes in these chunks.
    fn in_chunks(bytes: u64, ids: &[u8]) -> Record {
        Record::Pieces(Pieces { bytes, pieces: ids.iter().map(|id| ([*id; 32], [id + 1; 32])).collect() })
    }

    #[test]
    fn vectors_of_bodies() {
        let key = Zeroizing::new([1; 32]);
        let place = BodyPlace { log: LogId([3; 32]), device: [4; 32], lsn: 5, epoch: 1 };
        let seal_all = |records: &[Record]| seal_records_with(&key, &place, records, &[7; 24]);
        let seal = |records: &[&[u8]]| seal_all(&plain(records));
        let raw = |plaintext: &[u8]| sealed(&body_key(&key, &place), &[8; 24], plaintext, &aad(&place));
        let body = seal(&[b"one", b"", &[7; 300]]);
        let changed = |at: usize| {
            let mut changed = body.clone();
            changed[at] ^= 1;
            changed
        };
        let (piece, most) = (PIECE_BYTES as u64, LARGE_RECORD_BYTES_MAX);
        let all: Vec<u8> = (0..48).collect();
        let refs: Vec<ContentId> = all.iter().map(|id| [*id; 32]).collect();
        let named = |name: &str, refs: &[ContentId], records: &[Record]| {
            case_with(name, &key, &place, refs, &seal_all(records))
        };
        let cases = [
            named("a record in two chunks", &refs, &[in_chunks(piece + 1, &[3, 1])]),
            named(
                "one of one byte in a chunk, between others",
                &refs,
                &[plain(&[b"one"]), vec![in_chunks(1, &[0])], plain(&[b"two"])].concat(),
            ),
            named("as many chunks as may be", &refs, &[in_chunks(most, &all)]),
            named("a chunk twice", &refs, &[in_chunks(piece * 2, &[5, 5])]),
            named("a chunk that the entry does not name", &refs[..3], &[in_chunks(piece + 1, &[1, 3])]),
            named("chunks of an entry that names none", &[], &[in_chunks(1, &[1])]),
            named("too few chunks for its bytes", &refs, &[in_chunks(piece + 1, &[1])]),
            named("too many chunks for its bytes", &refs, &[in_chunks(piece, &[1, 2])]),
            named("no bytes in no chunks", &refs, &[in_chunks(0, &[])]),
            named("more bytes than may be", &refs, &[in_chunks(most + 1, &all)]),
            named("more chunks than may be, in two records", &refs, &[in_chunks(most, &all), in_chunks(1, &[0])]),
            case("one record", &key, &place, &seal(&[b"one"])),
            case("three records", &key, &place, &body),
            case("a record of several chunks of the hash", &key, &place, &seal(&[&[9; 5_000]])),
            case("another key", &Zeroizing::new([2; 32]), &place, &body),
            case("another log", &key, &BodyPlace { log: LogId([9; 32]), ..place }, &body),
            case("another device", &key, &BodyPlace { device: [9; 32], ..place }, &body),
            case("another place of the device", &key, &BodyPlace { lsn: 6, ..place }, &body),
            case("another epoch", &key, &BodyPlace { epoch: 2, ..place }, &body),
            case("another nonce", &key, &place, &changed(0)),
            case("other bytes", &key, &place, &changed(30)),
            case("another tag", &key, &place, &changed(body.len() - 1)),
            case("too short for a tag", &key, &place, &body[..39]),
            case("nothing in it", &key, &place, &raw(&[])),
            case("no records", &key, &place, &raw(&[0x80])),
            case("padding that is none", &key, &place, &raw(&[0x81, 0x82, 0, 0x41, 5, 0, 1])),
            case("another coding", &key, &place, &raw(&[0x81, 0x82, 1, 0x41, 5])),
            case("half a record", &key, &place, &raw(&[0x81, 0x82, 0, 0x42, 5])),
        ];
        let about = [
            "Bodies of entries of data (PROTOCOL 25.7), under the key of a group. Bytes are hexadecimal.",
            "in: key, log, device, lsn, epoch, refs (key 9 of the header), body. out: id, the BLAKE3 hash of the body; records, one in chunks as its bytes and pieces [[id, key], ...]. error: not_opened.",
        ];
        hold("bodies", &about, &cases);
    }

    #[test]
    fn a_body_opens_at_its_place_alone_and_tells_one_of_few_sizes() {
        let (key, other) = (Zeroizing::new([1; 32]), Zeroizing::new([2; 32]));
        let place = BodyPlace { log: LogId([3; 32]), device: [4; 32], lsn: 5, epoch: 1 };
        let records = plain(&[b"one", b"", &[7; 300]]);
        let body = seal_records(&key, &place, &records, &mut rng::system());
        assert_eq!(body.len(), 512);
        assert_eq!(open_records(&key, &place, &[], &body), Ok(records));
        for wrong in [
            BodyPlace { log: LogId([9; 32]), ..place },
            BodyPlace { device: [9; 32], ..place },
            BodyPlace { lsn: 6, ..place },
            BodyPlace { epoch: 2, ..place },
        ] {
            assert_eq!(open_records(&key, &wrong, &[], &body), Err(NotOpened));
        }
        assert_eq!(open_records(&other, &place, &[], &body), Err(NotOpened));
        for at in [0, 30, body.len() - 1] {
            let mut changed = body.clone();
            changed[at] ^= 1;
            assert_eq!(open_records(&key, &place, &[], &changed), Err(NotOpened));
        }
    }

    #[test]
    fn a_piece_has_the_same_bytes_again_and_opens_by_its_own_key() {
        let keys = FileKeys::new(UserSeed::from_bytes([1; 32]));
        let (key, sealed) = keys.seal_piece(b"piece");
        assert_eq!(keys.seal_piece(b"piece"), (key, sealed.clone()));
        assert_eq!((sealed.len(), open_piece(&key, 5, &sealed).unwrap().as_slice()), (256, &b"piece"[..]), "padded");
        let group = Zeroizing::new([1; 32]);
        let (own, of_group) = seal_record_piece(&group, b"piece");
        assert_eq!(of_group.len(), 256, "padded");
        assert_eq!(open_piece(&own, 5, &of_group).unwrap().as_slice(), b"piece");
        assert!(open_piece(&own, 4, &of_group).is_err() && open_piece(&own, 500, &of_group).is_err());
        assert_eq!(seal_record_piece(&group, &[7; PIECE_BYTES]).1.len(), 1 << 20, "a whole one is as long as it was");
        let longer = [&b"piece"[..], &[0; 3 << 20]].concat();
        let (own, longer) = seal_under(piece_key(group.as_ref(), &longer), &longer);
        assert!(open_piece(&own, longer.len() - 40, &longer).is_err() && open_piece(&own, 5, &longer).is_err());
        let (other, _) = keys.seal_piece(b"another");
        assert!(open_piece(&other, 5, &sealed).is_err());
        assert!(FileKeys::new(UserSeed::from_bytes([2; 32])).open_manifest(&keys.seal_manifest(b"list")).is_err());
    }
}
