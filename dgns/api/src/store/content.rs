//! Bytes by their hash (PROTOCOL 25.2). The room of `blake3`.

use identity::wire::{Reader, WireError, Writer};

use super::limits::IDS_MAX;

/// The name of bytes: their BLAKE3 hash.
pub type ContentId = [u8; 32];

/// Returns the BLAKE3 hash of `bytes`.
pub fn id_of(bytes: &[u8]) -> ContentId {
    *blake3::hash(bytes).as_bytes()
}

/// Returns a list of ids: what is asked for, and what of it is there.
pub fn encode_ids(ids: &[ContentId]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(ids.len() * 34 + 4);
    writer.array(ids.len());
    for id in ids {
        writer.bytes(id);
    }
    writer.finish()
}

/// Reads a list of at most 1,000 ids.
pub fn decode_ids(bytes: &[u8]) -> Result<Vec<ContentId>, WireError> {
    let mut reader = Reader::new(bytes);
    let ids = reader.list(IDS_MAX, Reader::fixed)?;
    reader.end()?;
    Ok(ids)
}

/// Returns how many bytes a plaintext of so many is padded to (PROTOCOL 25.7): 256 times a power of two up to 64 KiB, then
/// quarters of an octave. Who sees sizes learns one of few.
pub fn padded(bytes: usize) -> usize {
    let power = bytes.max(256).next_power_of_two();
    if power <= 65_536 {
        return power;
    }
    // Between half of it and it lie four steps.
    let (half, step) = (power / 2, power / 8);
    half + (bytes - half).div_ceil(step) * step
}
