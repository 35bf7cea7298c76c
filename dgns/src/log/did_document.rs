//! DID documents (W3C DID Core), made of the states that lookups prove (PROTOCOL 12.16). For reading only: the proof is in the
//! Resolution.

use data_encoding::HEXLOWER;
use identity::did::Did;
use identity::key::kid_of;
use identity::state::{DeviceStatus, DidState, State, Subject};
use serde_json::{Value, json};

use super::document::load;
use super::lookup::LookupError;
use crate::core::Core;

/// Multicodec `ed25519-pub`, as a varint.
const ED25519_PUB: [u8; 2] = [0xed, 0x01];
/// Multicodec `x25519-pub`, as a varint.
const X25519_PUB: [u8; 2] = [0xec, 0x01];
/// The alphabet of Base58, as Bitcoin has it.
const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// What a DID is called in its document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// The DID whose document it is: the one that was asked for.
    pub id: String,
    /// The other DIDs of the same subject.
    pub also: Vec<String>,
    /// Where the proof of all of this is.
    pub proof: String,
}

/// What the log has of a DID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// Its document, JSON.
    Live(Vec<u8>),
    /// It has ended: no key speaks for it.
    Ended,
    /// No such DID.
    Absent,
}

/// Returns the document of a DID under the public head.
pub async fn document(core: &Core, did: &Did, called: &Called) -> Result<Document, LookupError> {
    core.live.public_head().ok_or(LookupError::QuorumPending)?;
    Ok(match load(core, &Subject::Did(*did)).await? {
        Some(State::Did(state)) if state.flags & DidState::ENDED != 0 => Document::Ended,
        Some(State::Did(state)) => {
            Document::Live(serde_json::to_vec(&of_state(&state, called)).expect("a document is plain data"))
        }
        _ => Document::Absent,
    })
}

/// Writes what a state says. A suspended device is left out, one on probation has no say over the DID.
fn of_state(state: &DidState, called: &Called) -> Value {
    let id = &called.id;
    let method = |fragment: &str, codec: [u8; 2], key: &[u8; 32]| {
        let key = multibase(&[&codec[..], key].concat());
        json!({ "id": format!("{id}#{fragment}"), "type": "Multikey", "controller": id, "publicKeyMultibase": key })
    };
    let reference = |fragment: &str| json!(format!("{id}#{fragment}"));
    let (mut methods, mut signing, mut sealing) = (Vec::new(), Vec::new(), Vec::new());
    let mut ruling = vec![reference("identity")];
    methods.push(method("identity", ED25519_PUB, &state.identity));
    for device in state.devices.iter().filter(|device| device.status != DeviceStatus::Suspended) {
        let kid = HEXLOWER.encode(&kid_of(&device.sign).0);
        let kex = format!("{kid}-kex");
        methods.push(method(&kid, ED25519_PUB, &device.sign));
        methods.push(method(&kex, X25519_PUB, &device.kex));
        signing.push(reference(&kid));
        sealing.push(reference(&kex));
        if device.is_voter() {
            ruling.push(reference(&kid));
        }
    }
    if let Some(user_key) = &state.user_key {
        let fragment = format!("user-key-{}", user_key.generation);
        methods.push(method(&fragment, X25519_PUB, &user_key.key));
        sealing.insert(0, reference(&fragment));
    }
    let names = state.names.iter().map(|name| format!("dns:{name}"));
    json!({
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
        "id": id,
        "alsoKnownAs": called.also.iter().cloned().chain(names).collect::<Vec<_>>(),
        "verificationMethod": methods,
        "authentication": signing,
        "assertionMethod": signing,
        "keyAgreement": sealing,
        "capabilityInvocation": ruling,
        "service": [{ "id": format!("{id}#proof"), "type": "DgnsResolution", "serviceEndpoint": called.proof }],
    })
}

/// Returns bytes in multibase: `z` and Base58, the spelling that Multikey asks for.
fn multibase(bytes: &[u8]) -> String {
    let mut digits: Vec<u8> = Vec::with_capacity(bytes.len() * 138 / 100 + 1);
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).map(|_| '1');
    let digits = digits.iter().rev().map(|digit| char::from(BASE58[usize::from(*digit)]));
    std::iter::once('z').chain(zeros).chain(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multibase_is_spelled_as_others_spell_it() {
        // The first is of did:key's own examples, the others of the Base58 draft.
        let key = HEXLOWER.decode(b"ed012e6fcce36701dc791488e0d0b1745cc1e33a4c1c9fcc41c63bd343dbbe0970e6").unwrap();
        assert_eq!(multibase(&key), "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK");
        assert_eq!(multibase(b"Hello World!"), "z2NEpo7TZRRrLZSi2U");
        assert_eq!(multibase(&[0, 0, 0x28, 0x7f, 0xb4, 0xcd]), "z11233QC4");
    }
}
