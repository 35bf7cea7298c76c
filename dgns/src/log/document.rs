//! Readable views: JSON of a name, alias or DID. For reading only: the proof is in the CBOR form.

use data_encoding::HEXLOWER;
use identity::cert::{DidKind, Level};
use identity::state::{AliasState, DeviceStatus, DidState, NameState, NameStatus, State, Subject};
use serde_json::{Value, json};
use storage::StorageError;
use translog::map;

use super::lookup::LookupError;
use super::shown::Asked;
use crate::core::Core;

/// Returns the JSON view of a subject's states.
pub async fn view(core: &Core, subject: &Subject) -> Result<Vec<u8>, LookupError> {
    let head = core.live.public_head().ok_or(LookupError::QuorumPending)?;
    let state = load(core, subject).await?;
    let mut view =
        json!({ "proved": false, "size": head.size(), "epoch_ms": head.epoch.time_ms, "present": state.is_some() });
    match state {
        Some(State::Name(name)) => {
            view["name"] = name_view(&name);
            if let Some(did) = name.did
                && let Some(State::Did(owner)) = load(core, &Subject::Did(did)).await?
            {
                view["did"] = did_view(&owner);
            }
        }
        Some(State::Alias(alias)) => {
            view["alias"] = alias_view(&alias);
            if let Some(did) = alias.did
                && let Some(State::Did(owner)) = load(core, &Subject::Did(did)).await?
            {
                view["did"] = did_view(&owner);
            }
        }
        Some(State::Did(did)) => view["did"] = did_view(&did),
        Some(State::LogConf { .. } | State::Anchors { .. }) | None => {}
    }
    Ok(serde_json::to_vec(&view).expect("a view is plain data"))
}

pub(super) async fn load(core: &Core, subject: &Subject) -> Result<Option<State>, StorageError> {
    let held = core.states.load(&core.live, &core.storage, &[map::label(subject)], Asked::Public).await?;
    Ok(held[0].as_deref().map(|held| held.leaf.state.clone()))
}

fn name_view(name: &NameState) -> Value {
    json!({
        "name": name.name,
        "version": name.version,
        "did": name.did.map(|did| did.to_string()),
        "status": match name.status {
            NameStatus::Live => "live",
            NameStatus::Held => "held",
            NameStatus::Free => "free",
        },
        "claim_index": name.claim_index,
        "held_until_ms": name.held_until_ms,
        "children": name.children,
    })
}

fn alias_view(alias: &AliasState) -> Value {
    let attested = alias.attested.iter().map(|row| {
        json!({
            "kid": HEXLOWER.encode(&identity::key::kid_of(&row.sign).0),
            "kex": HEXLOWER.encode(&row.kex),
            "index": row.index,
            "notary": HEXLOWER.encode(&row.notary.0),
            "disputed": row.disputed,
        })
    });
    json!({
        "alias": HEXLOWER.encode(&alias.alias),
        "version": alias.version,
        "did": alias.did.map(|did| did.to_string()),
        "attested": attested.collect::<Vec<_>>(),
        "breaker_ms": alias.breaker_ms,
    })
}

fn did_view(did: &DidState) -> Value {
    let devices: Vec<Value> = did
        .devices
        .iter()
        .map(|device| {
            json!({
                "kid": HEXLOWER.encode(&identity::key::kid_of(&device.sign).0),
                "level": match device.level {
                    Level::Member => "member",
                    Level::Admin => "admin",
                    Level::Service => "service",
                },
                "status": match device.status {
                    DeviceStatus::Live => "live",
                    DeviceStatus::Fresh => "fresh",
                    DeviceStatus::Suspended => "suspended",
                },
                "until_ms": device.until_ms,
                "index": device.index,
            })
        })
        .collect();
    json!({
        "did": did.did.to_string(),
        "uid": did.uid,
        "version": did.version,
        "kind": match did.kind {
            DidKind::User => "user",
            DidKind::Database => "database",
            DidKind::Server => "server",
            DidKind::Account => "account",
        },
        "flags": did.flags,
        "seq": did.head.seq,
        "window_s": did.window_s,
        "user_key": did.user_key.as_ref().map(|user_key| json!({
            "generation": user_key.generation,
            "key": HEXLOWER.encode(&user_key.key),
            "index": user_key.index,
            "boxes": HEXLOWER.encode(&user_key.boxes),
            "stale": did.flags & DidState::USER_KEY_STALE != 0,
        })),
        "devices": devices,
        "pending": did.pending.len(),
        "names": did.names,
    })
}
