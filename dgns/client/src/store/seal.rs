//! What a server sees of records and files: sealed, padded bytes (PROTOCOL 25.7). The room of `chacha20poly1305`.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use dgns_api::store::content;
use dgns_api::store::entry::LogId;
use dgns_api::store::limits::{RECORD_BYTES_MAX, RECORDS_MAX};
use identity::cert::KeyBytes;
use identity::kdf;
use identity::user_key::UserSeed;
use identity::wire::{Reader, WireError, Writer};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// The key of a group in one epoch.
pub type GroupKey = Zeroizing<[u8; 32]>;

/// A record as it is: the only coding there is yet.
const RAW: u64 = 0;

/// What a nonce and a tag add.
pub const SEALED_BYTES: usize = 24 + 16;

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
pub fn seal_records(key: &GroupKey, place: &BodyPlace, records: &[Vec<u8>], rng: &mut impl CryptoRng) -> Vec<u8> {
    let mut nonce = [0; 24];
    rng.fill_bytes(&mut nonce);
    seal_records_with(key, place, records, &nonce)
}

fn seal_records_with(key: &GroupKey, place: &BodyPlace, records: &[Vec<u8>], nonce: &[u8; 24]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(records.iter().map(|record| record.len() + 8).sum());
    writer.array(records.len());
    for record in records {
        writer.array(2).uint(RAW).bytes(record);
    }
    let mut plaintext = writer.finish();
    plaintext.resize(content::padded(plaintext.len() + SEALED_BYTES) - SEALED_BYTES, 0);
    sealed(&body_key(key, place), nonce, &plaintext, &aad(place))
}

/// Returns the records of a body.
pub fn open_records(key: &GroupKey, place: &BodyPlace, body: &[u8]) -> Result<Vec<Vec<u8>>, NotOpened> {
    let plaintext = opened(&body_key(key, place), body, &aad(place))?;
    let mut reader = Reader::new(&plaintext);
    let records = reader.list(RECORDS_MAX, |r| {
        r.array_of(2)?;
        match r.uint()? {
            RAW => Ok::<_, WireError>(r.bytes()?.to_vec()),
            _ => Err(WireError::Unexpected),
        }
    });
    let records = records.map_err(|_| NotOpened)?;
    let padding = &plaintext[reader.position()..];
    let fits = records.iter().all(|record| record.len() <= RECORD_BYTES_MAX) && padding.iter().all(|byte| *byte == 0);
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

    /// Seals a piece of a file under a key of its own, and returns both. The same piece has the same bytes again, so that an upload
    /// goes on where it broke off.
    pub fn seal_piece(&self, piece: &[u8]) -> (KeyBytes, Vec<u8>) {
        let key = kdf::derive("dgns/piece/v1", self.0.to_bytes().as_ref(), &[&content::id_of(piece)]);
        // No two plaintexts share a key, so the nonce may be one.
        (*key, sealed(&key, &[0; 24], piece, &[]))
    }

    /// Seals the list of the pieces.
    pub fn seal_manifest(&self, manifest: &[u8]) -> Vec<u8> {
        let hash = content::id_of(manifest);
        let drawn = kdf::derive("dgns/manifest-nonce/v1", self.0.to_bytes().as_ref(), &[&hash]);
        let mut nonce = [0; 24];
        nonce.copy_from_slice(&drawn[..24]);
        let mut plaintext = manifest.to_vec();
        plaintext.resize(content::padded(plaintext.len() + SEALED_BYTES) - SEALED_BYTES, 0);
        sealed(&self.manifest_key(), &nonce, &plaintext, &[])
    }

    /// Opens the list of the pieces.
    pub fn open_manifest(&self, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        opened(&self.manifest_key(), bytes, &[])
    }

    fn manifest_key(&self) -> Zeroizing<[u8; 32]> {
        kdf::derive("dgns/manifest/v1", self.0.to_bytes().as_ref(), &[])
    }
}

/// Opens a piece by its key.
pub fn open_piece(key: &KeyBytes, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
    opened(key, bytes, &[])
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

    use super::*;
    use crate::rng;
    use crate::vectors::{hex, hold};

    /// A body that is what it is, whether it opens or not.
    fn case(name: &str, key: &GroupKey, place: &BodyPlace, body: &[u8]) -> Value {
        let BodyPlace { log, device, lsn, epoch } = place;
        let given = json!({
            "key": hex(key.as_ref()), "log": hex(&log.0), "device": hex(device), "lsn": lsn, "epoch": epoch, "body": hex(body),
        });
        match open_records(key, place, body) {
            Ok(records) => {
                let records: Vec<Value> = records.iter().map(|record| hex(record)).collect();
                json!({"name": name, "in": given, "out": {"id": hex(&content::id_of(body)), "records": records}})
            }
            Err(NotOpened) => json!({"name": name, "in": given, "error": "not_opened"}),
        }
    }

    #[test]
    fn vectors_of_bodies() {
        let key = Zeroizing::new([1; 32]);
        let place = BodyPlace { log: LogId([3; 32]), device: [4; 32], lsn: 5, epoch: 1 };
        let seal = |records: &[Vec<u8>]| seal_records_with(&key, &place, records, &[7; 24]);
        let raw = |plaintext: &[u8]| sealed(&body_key(&key, &place), &[8; 24], plaintext, &aad(&place));
        let body = seal(&[b"one".to_vec(), Vec::new(), vec![7; 300]]);
        let changed = |at: usize| {
            let mut changed = body.clone();
            changed[at] ^= 1;
            changed
        };
        let cases = [
            case("one record", &key, &place, &seal(&[b"one".to_vec()])),
            case("three records", &key, &place, &body),
            case("a record of several chunks of the hash", &key, &place, &seal(&[vec![9; 5_000]])),
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
            "in: key, log, device, lsn, epoch, body. out: id, the BLAKE3 hash of the body; records. error: not_opened.",
        ];
        hold("bodies", &about, &cases);
    }

    #[test]
    fn a_body_opens_at_its_place_alone_and_tells_one_of_few_sizes() {
        let (key, other) = (Zeroizing::new([1; 32]), Zeroizing::new([2; 32]));
        let place = BodyPlace { log: LogId([3; 32]), device: [4; 32], lsn: 5, epoch: 1 };
        let records = vec![b"one".to_vec(), Vec::new(), vec![7; 300]];
        let body = seal_records(&key, &place, &records, &mut rng::system());
        assert_eq!(body.len(), 512);
        assert_eq!(open_records(&key, &place, &body), Ok(records));
        for wrong in [
            BodyPlace { log: LogId([9; 32]), ..place },
            BodyPlace { device: [9; 32], ..place },
            BodyPlace { lsn: 6, ..place },
            BodyPlace { epoch: 2, ..place },
        ] {
            assert_eq!(open_records(&key, &wrong, &body), Err(NotOpened));
        }
        assert_eq!(open_records(&other, &place, &body), Err(NotOpened));
        for at in [0, 30, body.len() - 1] {
            let mut changed = body.clone();
            changed[at] ^= 1;
            assert_eq!(open_records(&key, &place, &changed), Err(NotOpened));
        }
    }

    #[test]
    fn a_piece_has_the_same_bytes_again_and_opens_by_its_own_key() {
        let keys = FileKeys::new(UserSeed::from_bytes([1; 32]));
        let (key, sealed) = keys.seal_piece(b"piece");
        assert_eq!(keys.seal_piece(b"piece"), (key, sealed.clone()));
        assert_eq!(open_piece(&key, &sealed).unwrap().as_slice(), b"piece");
        let (other, _) = keys.seal_piece(b"another");
        assert!(open_piece(&other, &sealed).is_err());
        assert!(FileKeys::new(UserSeed::from_bytes([2; 32])).open_manifest(&keys.seal_manifest(b"list")).is_err());
    }
}
