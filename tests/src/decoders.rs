//! Every decoder of bytes that strangers send, each with what must hold for whatever it is fed.
//!
//! Two programs feed them: the fuzz targets of `tests/fuzz`, and `fuzz_smoke`, which needs no special toolchain. A decoder either
//! refuses, or what it returns encodes to the very bytes it was given; it never panics and never reads what is not there.

use identity::cert::Certificate;
use identity::did::Did;
use identity::name::{Name, Origin, Zone};
use identity::state::{DidState, NameState};
use translog::bundle;
use translog::map::MapProof;
use translog::tile::{BundleId, ResourceId, Tile, TileId};

/// One decoder. `accepts` feeds it and returns whether it took the bytes; a broken promise is a panic.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    /// The name of the fuzz target.
    pub name: &'static str,
    /// Feeds the bytes.
    pub accepts: fn(&[u8]) -> bool,
}

/// All of them; a new decoder gets a row here and a target of the same name in `tests/fuzz`.
pub const DECODERS: [Decoder; 9] = [
    Decoder { name: "certificate", accepts: certificate },
    Decoder { name: "did_state", accepts: did_state },
    Decoder { name: "name_state", accepts: name_state },
    Decoder { name: "name", accepts: name },
    Decoder { name: "did", accepts: did },
    Decoder { name: "map_proof", accepts: map_proof },
    Decoder { name: "tile_path", accepts: tile_path },
    Decoder { name: "tile", accepts: tile },
    Decoder { name: "bundle", accepts: entry_bundle },
];

/// Feeds `bytes` to the decoder of this name; panics if there is none.
pub fn feed(name: &str, bytes: &[u8]) -> bool {
    let decoder = DECODERS.iter().find(|decoder| decoder.name == name).expect("the target has a row in DECODERS");
    (decoder.accepts)(bytes)
}

fn certificate(bytes: &[u8]) -> bool {
    let Ok(certificate) = Certificate::decode(bytes) else { return false };
    assert_eq!(certificate.as_bytes(), bytes, "the envelope is kept as it came");
    assert_eq!(certificate.payload().encode(), certificate.payload_bytes(), "the payload has one spelling");
    let again = Certificate::assemble(certificate.payload_bytes(), certificate.signatures().to_vec());
    assert_eq!(again.expect("its parts are those of a certificate").as_bytes(), bytes, "the envelope has one spelling");
    // Not one of these keys signed it: it must be refused, not believed.
    assert!(certificate.verify(&origin(), &[[7; 32]]).is_err(), "a stranger's key verifies nothing");
    true
}

fn did_state(bytes: &[u8]) -> bool {
    let Ok(state) = DidState::decode(bytes) else { return false };
    assert_eq!(state.encode(), bytes, "a state has one spelling");
    true
}

fn name_state(bytes: &[u8]) -> bool {
    let Ok(state) = NameState::decode(bytes) else { return false };
    assert_eq!(state.encode(), bytes, "a state has one spelling");
    true
}

fn name(bytes: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(bytes) else { return false };
    let zone = origin().zone();
    let _ = (Zone::parse(text), Origin::parse(text));
    if let Ok(completed) = Name::complete(text, &zone) {
        assert_eq!(Name::parse(completed.as_str(), &zone).as_ref(), Ok(&completed), "a completed name is a name");
    }
    Name::parse(text, &zone).is_ok_and(|name| name.as_str() == text)
}

fn did(bytes: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(bytes) else { return false };
    let Ok(did) = text.parse::<Did>() else { return false };
    assert_eq!(did.to_string(), text, "a DID has one spelling");
    true
}

/// The first byte says for how many labels.
fn map_proof(bytes: &[u8]) -> bool {
    let Some((labels, rest)) = bytes.split_first() else { return false };
    let Ok(proof) = MapProof::decode(rest, usize::from(*labels)) else { return false };
    assert_eq!(proof.encode(), rest, "a proof has one spelling");
    true
}

fn tile_path(bytes: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(bytes) else { return false };
    let Ok(resource) = ResourceId::parse(text) else { return false };
    assert_eq!(resource.to_string(), text, "a path has one spelling");
    true
}

/// The first byte is the width less one.
fn tile(bytes: &[u8]) -> bool {
    let Some((width, rest)) = bytes.split_first() else { return false };
    let id = TileId::new(0, 0, u16::from(*width) + 1).expect("1 to 256 are widths");
    let Ok(tile) = Tile::decode(id, rest) else { return false };
    assert!(rest.starts_with(&tile.encode()), "a tile is the beginning of its file");
    true
}

/// The first byte is the width less one.
fn entry_bundle(bytes: &[u8]) -> bool {
    let Some((width, rest)) = bytes.split_first() else { return false };
    let id = BundleId::new(0, u16::from(*width) + 1).expect("1 to 256 are widths");
    let Ok(entries) = bundle::decode(id, rest) else { return false };
    assert_eq!(bundle::encode(entries), rest, "a bundle has one spelling");
    true
}

fn origin() -> Origin {
    Origin::parse("dgns.test/log").expect("the development origin")
}
