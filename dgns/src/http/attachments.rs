//! `GET /v1/attachments[/{hash}]`, `GET`, `POST /v1/labels`: what a DID's own devices keep for each other (PROTOCOL 12.13).

use axum::extract::{Path, State};
use data_encoding::HEXLOWER;
use dgns_api::{code, path};
use identity::cert::Kid;
use identity::wire::{Reader, WireError, Writer};

use super::Shared;
use super::caller::Asking;
use super::people_events::people;
use super::read::{bad_query, internal};
use super::reply::{Reply, fresh};
use crate::problem;

/// The bytes of a sealed label: 64 characters with their nonce, and the box around them.
const LABEL_BYTES_MAX: usize = 512;

/// The boxes of the user key, by generation: `[[generation, hash], ...]`.
pub(super) async fn list(State(app): Shared, asking: Asking) -> Reply {
    let people = people(&app)?;
    let newest = asking.caller.state.user_key.as_ref().map_or(0, |key| key.generation);
    let rows = people.store.attachments(&asking.caller.did, newest).await.map_err(|error| internal(&error))?;
    let mut writer = Writer::new();
    writer.array(rows.len());
    for (generation, hash) in rows {
        writer.array(2).uint(generation).bytes(&hash);
    }
    Ok(fresh(path::CBOR, writer.finish()))
}

/// One attachment, to the devices of the DID whose certificate names it.
pub(super) async fn body(State(app): Shared, Path(hash): Path<String>, asking: Asking) -> Reply {
    let people = people(&app)?;
    let bytes = HEXLOWER.decode(hash.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    let hash = bytes.ok_or_else(|| bad_query("an attachment is named by 64 hexadecimal digits, lower case"))?;
    let found = people.store.attachment(&asking.caller.did, &hash).await.map_err(|error| internal(&error))?;
    match found {
        Some(body) => Ok(fresh(path::OCTETS, body)),
        None => Err(problem::problem(code::NOT_FOUND, "this DID has no such attachment").into()),
    }
}

/// What the DID calls its devices: `[[kid 8, sealed], ...]`.
pub(super) async fn labels(State(app): Shared, asking: Asking) -> Reply {
    let rows = people(&app)?.store.labels(&asking.caller.did).await.map_err(|error| internal(&error))?;
    let mut writer = Writer::new();
    writer.array(rows.len());
    for (kid, sealed) in rows {
        writer.array(2).bytes(&kid).bytes(&sealed);
    }
    Ok(fresh(path::CBOR, writer.finish()))
}

/// Names a device of the DID: `[kid 8, sealed]`; an empty `sealed` takes the name away.
pub(super) async fn label(State(app): Shared, asking: Asking) -> Reply {
    let people = people(&app)?;
    let read = |body: &[u8]| -> Result<([u8; 8], Vec<u8>), WireError> {
        let mut reader = Reader::new(body);
        reader.array_of(2)?;
        let row = (reader.fixed()?, reader.bytes()?.to_vec());
        reader.end()?;
        Ok(row)
    };
    let (kid, sealed) = read(&asking.body).map_err(|error| problem::problem(error.code(), error.to_string()))?;
    if sealed.len() > LABEL_BYTES_MAX {
        let detail = format!("a sealed label has at most {LABEL_BYTES_MAX} bytes");
        return Err(problem::problem(code::TOO_LARGE, detail).into());
    }
    let state = &asking.caller.state;
    if state.device(&Kid(kid)).is_none() {
        return Err(problem::problem("no_such_device", "this DID has no such device").into());
    }
    people.store.put_label(&asking.caller.did, &kid, &sealed).await.map_err(|error| internal(&error))?;
    Ok(fresh(path::CBOR, vec![0xf6]))
}
