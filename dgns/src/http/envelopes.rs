//! `POST`, `GET /v1/envelopes`: sealed mail to a device (PROTOCOL 12.14).

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{ConnectInfo, Query as UrlQuery, State};
use dgns_api::{code, path};
use identity::cert::KeyBytes;
use identity::did::Did;
use identity::key::kid_of;
use identity::state::DeviceStatus;
use identity::wire::{Reader, WireError, Writer};

use super::Shared;
use super::caller::Asking;
use super::people_events::people;
use super::read::{bad_query, internal};
use super::reply::{Reply, fresh, the_writer, whole};
use crate::auth::request::newest;
use crate::people::events::{EventData, EventKind};
use crate::problem;

/// The bytes of an envelope with its address.
pub(super) const POST_BYTES_MAX: usize = 4_096 + 80;

/// Mail on its way: `{1: did, 2: signing key of the device, 3: enc 32, 4: ct}`, at most 4,096 bytes of `ct`.
struct Mail {
    did: Did,
    device: KeyBytes,
    body: Vec<u8>,
}

/// Takes sealed mail for a device. Anybody may send it; nothing of it but its address is read.
pub(super) async fn post(
    State(app): Shared,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    the_writer(&app)?;
    let people = people(&app)?;
    let body = whole(body, format_args!("an envelope has at most 4,096 bytes"))?;
    let mail = Mail::read(&body).map_err(|error| problem::problem(error.code(), error.to_string()))?;
    let now = app.core.clock.now();
    app.rates.admit_envelope(from.ip(), now).map_err(problem::of_rate)?;
    let state = newest(&app.core, &mail.did).await.map_err(|error| internal(&error))?;
    let mut devices = state.iter().flat_map(|state| &state.devices);
    if !devices.any(|device| device.sign == mail.device && device.status != DeviceStatus::Suspended) {
        return Err(problem::problem("no_such_device", "no such device receives mail here").into());
    }
    let kept = people.store.put_envelope(&mail.device, &mail.body, now.as_ms()).await;
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
    let UrlQuery(asked) = asked.map_err(|error| bad_query(&error.to_string()))?;
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

impl Mail {
    fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let mut fields = reader.fields()?;
        let did = Did::from_bytes(fields.required(1, Reader::fixed)?);
        let device = fields.required(2, Reader::fixed)?;
        let enc = fields.required(3, Reader::fixed::<32>)?;
        let ct = fields.required(4, |r| r.bytes().map(<[u8]>::to_vec))?;
        fields.end()?;
        reader.end()?;
        let mut body = Writer::new();
        body.array(2).bytes(&enc).bytes(&ct);
        Ok(Self { did, device, body: body.finish() })
    }
}
