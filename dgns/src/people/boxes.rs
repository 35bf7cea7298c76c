//! Attachments of a post: the boxes that its certificates name (PROTOCOL 12.13).

use identity::cert::{Body, Certificate, KeyBytes};
use identity::did::Did;
use identity::hash::Hash;
use identity::rules::World;
use identity::state::{State, Subject};
use identity::user_key::{Boxes, BoxesError, recipients};

/// Boxes that a certificate of a post names, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Whose.
    pub did: Did,
    /// Of which generation.
    pub generation: u64,
    /// Their hash.
    pub hash: Hash,
    /// The bytes.
    pub body: Vec<u8>,
}

/// Why attachments are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachmentError {
    /// A certificate names boxes that the post does not bring, or bad ones. Code `bad_boxes`.
    #[error("{0}")]
    Boxes(#[from] BoxesError),
    /// The post brings what no certificate names. Code `bad_post`.
    #[error("an attachment that no certificate of the post names")]
    Unnamed,
}

impl AttachmentError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Boxes(error) => error.code(),
            Self::Unnamed => dgns_api::code::BAD_POST,
        }
    }
}

/// Returns the boxes that the certificates of a post name. `world` is as it is behind the post.
pub fn named(
    world: &World,
    certificates: &[Certificate],
    attachments: &[Vec<u8>],
) -> Result<Vec<Named>, AttachmentError> {
    let mut found = Vec::new();
    for certificate in certificates {
        let Some((hash, generation)) = of_body(&certificate.payload().body) else { continue };
        let Some(did) = certificate.chain().did() else { continue };
        let body = attachments.iter().find(|body| Boxes::hash_of(body) == hash).ok_or(BoxesError::Hash)?;
        let boxes = Boxes::decode(body)?;
        // What another certificate of the same post turned again needs no box for those that came between.
        if let Some((newest, wanted)) = wanted(world, did)
            && newest == generation
        {
            boxes.check(generation, &wanted)?;
        }
        found.push(Named { did, generation, hash, body: body.clone() });
    }
    match attachments.iter().all(|body| found.iter().any(|named| named.body == *body)) {
        true => Ok(found),
        false => Err(AttachmentError::Unnamed),
    }
}

fn of_body(body: &Body) -> Option<(Hash, u64)> {
    match body {
        Body::UserKey(key) => Some((key.boxes, key.generation)),
        Body::Genesis(genesis) => genesis.user_key.map(|key| (key.boxes, 1)),
        _ => None,
    }
}

/// Returns the generation of a DID's user key and who is to have a box.
fn wanted(world: &World, did: Did) -> Option<(u64, Vec<KeyBytes>)> {
    let leaf = world.get(&Subject::Did(did)).flatten()?;
    let State::Did(state) = &leaf.state else { return None };
    let key = state.user_key.as_ref()?;
    let extras: Vec<KeyBytes> = key.extras.iter().map(|extra| extra.kex).collect();
    Some((key.generation, recipients(state, &extras)))
}
