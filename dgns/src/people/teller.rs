//! Reads what the log commits and tells each DID's devices what concerns them.
//!
//! A cursor in `people.db` says up to which entry this was done, and moves in the transaction that keeps what was told: after a
//! crash the same entries are read again and nothing is told twice or left out. What settles has no entry of its own: acts that wait are
//! remembered and looked at when they are due.

use std::sync::Arc;
use std::time::Duration;

use identity::cert::{Body, Certificate, Kid, Role, Sid};
use identity::did::Did;
use identity::key::kid_of;
use identity::state::{AttemptState, DidState, Pending, RecoveryState, State, Subject};
use storage::StorageError;
use storage::people::{AwaitedRow, EventPush, Told, Word};
use tokio::sync::watch;
use tracing::error;
use translog::entry::Entry;
use translog::map;

use super::events::{EventData, EventKind};
use super::{People, aliases};
use crate::auth::request::newest;
use crate::core::Core;
use crate::log::damaged;
use crate::log::shown::Asked;
use crate::shutdown;

/// The name of the cursor.
const CURSOR: &str = "events";

/// Entries read between two commits.
const PAGE: u64 = 512;

/// Between two readings, however fast the log moves.
const PACE: Duration = Duration::from_millis(100);

/// How often acts that wait are looked at, and old events forgotten, while nothing moves.
const IDLE: Duration = Duration::from_secs(10);

/// After a failure.
const BREATH: Duration = Duration::from_secs(1);

/// How long events are kept, ms: 30 days.
const KEPT_MS: u64 = 30 * 86_400_000;

/// How long before its end an act that waits is announced again, ms; half its time if that is less.
const REMINDER_MS: u64 = 86_400_000;

/// How long after its due an act that still waits, in a quarrel, is looked at again, ms.
const QUARREL_MS: u64 = 60_000;

/// Sets the cursor of a database that has none to the end of the log: what was before nobody listened to.
pub async fn begin(people: &People, core: &Core) -> Result<(), StorageError> {
    if people.store.cursor(CURSOR).await?.is_some() {
        return Ok(());
    }
    let told = Told { cursor: Some(core.live.head().size()), ..Told::default() };
    people.store.put_told(CURSOR, &told, core.clock.now().as_ms()).await
}

/// Tells until `stop` turns true.
pub async fn run(core: Arc<Core>, people: Arc<People>, mut stop: watch::Receiver<bool>) {
    let mut moved = core.live.moved();
    loop {
        moved.mark_unchanged();
        let wait = match turn(&core, &people).await {
            Ok(()) => IDLE,
            Err(failure) => {
                error!(error = %failure, "devices are not told what the log says");
                BREATH
            }
        };
        tokio::select! {
            () = shutdown::requested(&mut stop) => return,
            changed = moved.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(wait) => {}
        }
        tokio::time::sleep(PACE).await;
    }
}

/// Reads the log to its end, then looks at what is due.
async fn turn(core: &Core, people: &People) -> Result<(), StorageError> {
    let mut from = people.store.cursor(CURSOR).await?.unwrap_or(0);
    let size = core.live.head().size();
    while from < size {
        let to = size.min(from + PAGE);
        let mut told = Told { cursor: Some(to), ..Told::default() };
        for index in from..to {
            let entry = core.tiles.entry(index).await?;
            let entry = entry.ok_or_else(|| damaged("entries", "a committed entry is missing"))?;
            if let Ok(Entry::Certificate(certificate)) = Entry::decode(&entry) {
                if let Some(did) = certificate.chain_did() {
                    aliases::follow(core, people, &did, Some(&certificate.payload().body)).await?;
                }
                of_certificate(core, index, &certificate, &mut told).await?;
                told.words.extend(word_of(core, &certificate).await?);
            }
        }
        keep(core, people, &told).await?;
        from = to;
    }
    let mut told = Told::default();
    for row in people.store.awaited_by(core.clock.now().as_ms()).await? {
        let (sid, did) = (row.sid, row.did);
        look_at(core, row, &mut told).await?;
        if told.settled.contains(&sid) {
            aliases::follow(core, people, &did, None).await?;
        }
    }
    if told != Told::default() {
        keep(core, people, &told).await?;
    }
    people.store.sweep_events(core.clock.now().as_ms().saturating_sub(KEPT_MS)).await.map(drop)
}

async fn keep(core: &Core, people: &People, told: &Told) -> Result<(), StorageError> {
    people.store.put_told(CURSOR, told, core.clock.now().as_ms()).await?;
    people.told(told.events.iter().map(|(did, ..)| did));
    if !told.pushes.is_empty() {
        people.pushes.notify_one();
    }
    Ok(())
}

/// Finds what one certificate means to the devices of its DID. The state is the newest: it may be ahead, and an event is a hint.
async fn of_certificate(
    core: &Core,
    index: u64,
    certificate: &Certificate,
    told: &mut Told,
) -> Result<(), StorageError> {
    let body = &certificate.payload().body;
    if !concerns(body) {
        return Ok(());
    }
    let Some(did) = certificate.chain_did() else { return of_sign_in(core, index, certificate, told).await };
    let Some(state) = newest(core, &did).await? else { return Ok(()) };
    let (sid, at_ms) = (certificate.sid(), core.clock.now().as_ms());
    let waits = state.pending.iter().find(|act| act.sid == sid);
    let mut data = EventData { at_ms, index: Some(index), due_ms: waits.map(|act| act.due_ms), ..EventData::default() };
    let kind = match body {
        Body::DeviceAdd(device) => {
            data.kid = Some(kid_of(&device.sign));
            EventKind::DeviceAdded
        }
        Body::DeviceSuspend(end) => {
            (data.kid, data.act) = (Some(end.kid), Some(sid));
            EventKind::Suspended
        }
        Body::DeviceRevoke(end) => {
            (data.kid, data.act) = (Some(end.kid), Some(sid));
            if waits.is_some() { EventKind::Pending } else { EventKind::Revoked }
        }
        Body::UserKey(_) => EventKind::UserKey,
        Body::Dispute(dispute) => {
            data.act = Some(dispute.login);
            EventKind::Disputed
        }
        Body::RecoverOpen(open) => {
            (data.kid, data.act) = (Some(kid_of(&open.sign)), Some(sid));
            EventKind::RecoveryOpen
        }
        Body::RecoverProve(_) => {
            // The newest state may be ahead: what was proved may be over by now.
            if let Some((act, recovery)) = attempt_of(&state) {
                (data.act, data.kid) = (Some(act.sid), Some(kid_of(&act.sign)));
                if recovery.is_pending() {
                    data.due_ms = Some(recovery.due_ms);
                    told.awaited.push(await_recovery(did, act.sid, recovery, at_ms));
                }
            }
            EventKind::RecoveryProved
        }
        Body::Confirm { act } | Body::Veto { act } if attempt_of(&state).is_some_and(|(open, _)| open.sid == *act) => {
            data.act = Some(*act);
            match body {
                Body::Veto { .. } => {
                    told.settled.push(*act);
                    EventKind::Veto
                }
                _ => EventKind::Settled,
            }
        }
        Body::Confirm { act } | Body::Veto { act } => {
            data.act = Some(*act);
            voted(&did, &state, *act, matches!(body, Body::Veto { .. }), &mut data, told)
        }
        _ => {
            data.act = Some(sid);
            if waits.is_some() { EventKind::Pending } else { EventKind::Settled }
        }
    };
    if let Some(act) = waits {
        told.awaited.push(await_it(did, act, at_ms));
    }
    tell(told, did, kind, &data);
    if state.flags & DidState::USER_KEY_STALE != 0 && matches!(body, Body::DeviceSuspend(_) | Body::DeviceRevoke(_)) {
        let data = EventData { at_ms, index: Some(index), ..EventData::default() };
        tell(told, did, EventKind::UserKeyStale, &data);
    }
    Ok(())
}

/// Has a DID's devices told; some of it is pushed as well.
fn tell(told: &mut Told, did: Did, kind: EventKind, data: &EventData) {
    told.events.push((did, kind as u8, data.to_json()));
    if kind.is_pushed() {
        told.pushes.push(EventPush { did, kind: kind as u8, index: data.index });
    }
}

/// Returns what a notary said by a certificate, or what became of it.
async fn word_of(core: &Core, certificate: &Certificate) -> Result<Option<Word>, StorageError> {
    let sid = certificate.sid();
    Ok(match &certificate.payload().body {
        Body::AttestLogin(_) => notary_of(core, certificate).await?.map(|kid| Word::Login { sid, kid }),
        Body::RecoverOpen(_) => notary_of(core, certificate).await?.map(|kid| Word::Attempt { sid, kid }),
        Body::Dispute(dispute) => Some(Word::Disputed { login: dispute.login }),
        Body::RecoverProve(_) => {
            let state = match certificate.chain_did() {
                Some(did) => newest(core, &did).await?,
                None => None,
            };
            // The state may be ahead: whose attempt it is, the key says that signs here.
            let proves = |attempt: &AttemptState| is_signed_by(certificate, &kid_of(&attempt.sign));
            let attempt = state.as_ref().and_then(attempt_of).map(|(attempt, _)| attempt).filter(proves);
            attempt.map(|attempt| Word::Proved { attempt: attempt.sid })
        }
        _ => None,
    })
}

/// Returns the notary among the signers.
async fn notary_of(core: &Core, certificate: &Certificate) -> Result<Option<Kid>, StorageError> {
    let Some(server) = newest(core, &core.server).await? else { return Ok(None) };
    let notaries = server.authorities.iter().filter(|known| known.authority.role == Role::Notary);
    let mut kids = notaries.map(|known| kid_of(&known.authority.key));
    Ok(kids.find(|kid| is_signed_by(certificate, kid)))
}

fn is_signed_by(certificate: &Certificate, kid: &Kid) -> bool {
    certificate.signatures().iter().any(|(signer, _)| signer == kid)
}

/// Tells the DID that an alias is bound to who signed in with it.
async fn of_sign_in(core: &Core, index: u64, certificate: &Certificate, told: &mut Told) -> Result<(), StorageError> {
    let Body::AttestLogin(login) = &certificate.payload().body else { return Ok(()) };
    let label = map::label(&Subject::from(certificate.chain()));
    let held = core.states.load(&core.live, &core.storage, &[label], Asked::Newest).await?;
    let Some(State::Alias(alias)) = held[0].as_deref().map(|held| &held.leaf.state) else { return Ok(()) };
    if let Some(did) = alias.did {
        let (kid, act) = (Some(kid_of(&login.sign)), Some(certificate.sid()));
        let data = EventData { at_ms: core.clock.now().as_ms(), index: Some(index), kid, act, ..EventData::default() };
        tell(told, did, EventKind::Login, &data);
    }
    Ok(())
}

/// Whether a certificate is news to anybody but the device that made it: records and names are not.
fn concerns(body: &Body) -> bool {
    !matches!(body, Body::Genesis(_) | Body::Claim(_) | Body::Records(_))
}

/// Names what a vote did: the act waits on, or it is over.
fn voted(did: &Did, state: &DidState, act: Sid, veto: bool, data: &mut EventData, told: &mut Told) -> EventKind {
    if let Some(waits) = state.pending.iter().find(|pending| pending.sid == act) {
        data.due_ms = Some(waits.due_ms);
        told.awaited.push(await_it(*did, waits, data.at_ms));
        return match (veto, state.flags & DidState::FROZEN != 0) {
            (true, true) => EventKind::Frozen,
            (true, false) => EventKind::Veto,
            (false, _) => EventKind::Pending,
        };
    }
    told.settled.push(act);
    if veto { EventKind::Veto } else { EventKind::Settled }
}

/// Returns the newest attempt to recover a DID, with its recovery.
fn attempt_of(state: &DidState) -> Option<(AttemptState, &RecoveryState)> {
    let recovery = state.recovery.as_deref()?;
    Some((recovery.attempt?, recovery))
}

/// Every day until its phase ends, and then once more.
fn await_recovery(did: Did, sid: Sid, recovery: &RecoveryState, now_ms: u64) -> AwaitedRow {
    AwaitedRow { sid, did, due_ms: recovery.due_ms.min(now_ms.saturating_add(REMINDER_MS)), reminded: false }
}

fn await_it(did: Did, act: &Pending, now_ms: u64) -> AwaitedRow {
    let before = (act.due_ms.saturating_sub(now_ms) / 2).min(REMINDER_MS);
    AwaitedRow { sid: act.sid, did, due_ms: act.due_ms - before, reminded: false }
}

/// Looks at an act that waits: announces its end, or finds that it is over.
async fn look_at(core: &Core, row: AwaitedRow, told: &mut Told) -> Result<(), StorageError> {
    let state = newest(core, &row.did).await?;
    let now_ms = core.clock.now().as_ms();
    let act = state.iter().flat_map(|state| &state.pending).find(|act| act.sid == row.sid);
    let mut data = EventData { at_ms: now_ms, act: Some(row.sid), ..EventData::default() };
    let recovery =
        state.as_ref().and_then(attempt_of).filter(|(open, recovery)| open.sid == row.sid && recovery.is_pending());
    if let Some((_, recovery)) = recovery {
        data.due_ms = Some(recovery.due_ms);
        // Due, and the log's next batch has not settled it yet: looked at again before long.
        let next = match recovery.due_ms > now_ms {
            true => await_recovery(row.did, row.sid, recovery, now_ms),
            false => AwaitedRow { due_ms: now_ms + QUARREL_MS, ..row },
        };
        told.awaited.push(next);
        tell(told, row.did, EventKind::RecoveryProved, &data);
        return Ok(());
    }
    match act {
        None => {
            told.settled.push(row.sid);
            tell(told, row.did, EventKind::Settled, &data);
        }
        Some(act) if !row.reminded && act.due_ms > now_ms => {
            data.due_ms = Some(act.due_ms);
            tell(told, row.did, EventKind::Due, &data);
            told.awaited.push(AwaitedRow { due_ms: act.due_ms, reminded: true, ..row });
        }
        // Due, and the log's next batch has not settled it yet, or a quarrel keeps it.
        Some(act) => {
            let again = if now_ms < act.due_ms + QUARREL_MS { now_ms + 1 } else { now_ms + QUARREL_MS };
            told.awaited.push(AwaitedRow { due_ms: again, reminded: true, ..row });
        }
    }
    Ok(())
}
