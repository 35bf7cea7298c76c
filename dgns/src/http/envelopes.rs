//! `POST`, `GET /v1/envelopes`: sealed mail to a device (PROTOCOL 12.14).

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{ConnectInfo, Query as UrlQuery, State};
use dgns_api::envelope::{Envelope, encode_sealed};
use dgns_api::{code, path};
use identity::alias::Standing;
use identity::key::kid_of;
use identity::state::{Attested, DeviceStatus, DidState};
use identity::wire::Writer;
use storage::StorageError;

use super::Shared;
use super::caller::Asking;
use super::people_events::people;
use super::read::{internal, query};
use super::reply::{Reply, fresh, the_writer, whole};
use crate::auth::request::{newest, newest_alias};
use crate::core::Core;
use crate::people::events::{EventData, EventKind};
use crate::problem;

/// Takes sealed mail for a device. Anybody may send it; nothing of it but its address is read.
pub(super) async fn post(
    State(app): Shared,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    the_writer(&app)?;
    let people = people(&app)?;
    let body = whole(body, format_args!("an envelope has at most 4,096 bytes"))?;
    let mail = Envelope::decode(&body).map_err(|error| problem::problem(error.code(), error.to_string()))?;
    let now = app.core.clock.now();
    app.rates.admit_envelope(from.ip(), now).map_err(problem::of_rate)?;
    if !receives(&app.core, &mail).await.map_err(|error| internal(&error))? {
        return Err(problem::problem("no_such_device", "no such device receives mail here").into());
    }
    let kept = people.store.put_envelope(&mail.device, &encode_sealed(&mail.sealed), now.as_ms()).await;
    if !kept.map_err(|error| internal(&error))? {
        return Err(problem::problem(code::MAILBOX_FULL, "too much mail waits for this device").into());
    }
    let data = EventData { at_ms: now.as_ms(), kid: Some(kid_of(&mail.device)), ..EventData::default() };
    people.tell(&mail.did, EventKind::Envelope, data).await.map_err(|error| internal(&error))?;
    Ok(fresh(path::CBOR, vec![0xf6]))
}

/// The query of a device that reads its mail.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Read {
    after: Option<u64>,
}

/// The mail of the device that asks, behind what it says it has: `[[id, [enc, ct]], ...]`, 64 at most. What it has is deleted.
pub(super) async fn read(State(app): Shared, asked: Result<UrlQuery<Read>, QueryRejection>, asking: Asking) -> Reply {
    let asked = query(asked)?;
    let now_s = app.core.clock.now().as_ms() / 1_000;
    let (people, key) = (people(&app)?, asking.caller.device.sign);
    let rows = people.store.envelopes_after(&key, asked.after.unwrap_or(0), now_s).await;
    let rows = rows.map_err(|error| internal(&error))?;
    let mut writer = Writer::new();
    writer.array(rows.len());
    for (id, body) in rows {
        writer.array(2).uint(id).raw(&body);
    }
    Ok(fresh(path::CBOR, writer.finish()))
}

/// Returns whether the key is a device of the person, or signed in with the alias that is named and bound to the person: by a
/// notary that was not revoked, and undisputed.
async fn receives(core: &Core, mail: &Envelope) -> Result<bool, StorageError> {
    let Some(person) = newest(core, &mail.did).await? else { return Ok(false) };
    if let Some(device) = person.devices.iter().find(|device| device.sign == mail.device) {
        return Ok(device.status != DeviceStatus::Suspended);
    }
    let Some(alias) = &mail.alias else { return Ok(false) };
    let (Some(alias), Some(server)) = (newest_alias(core, alias).await?, newest(core, &core.server).await?) else {
        return Ok(false);
    };
    let epoch_ms = core.live.head().epoch.time_ms;
    let may =
        |row: &Attested| row.sign == mail.device && Standing::of(row, &alias, &person, &server, epoch_ms).may_receive();
    let ended = person.flags & DidState::ENDED != 0;
    Ok(!ended && alias.did == Some(mail.did) && alias.attested.iter().any(may))
}
