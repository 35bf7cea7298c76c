//! States as bytes: what the map commits to (PROTOCOL 6).

use super::{
    AliasState, AuthorityState, ChainHead, DeviceState, DeviceStatus, DidState, Leaf, NameState, NameStatus, Pending,
    Power, RecoveryState, State, Subject, UserKeyState,
};
use crate::cert::{Authority, Body, DecodeError, DidKind, Kid, Level, Recipient, Role, Sid, ZoneTerms};
use crate::did::Did;
use crate::key::kid_of;
use crate::limits::{AUTHORITIES_MAX, DEVICES_MAX, NAMES_MAX, PENDING_MAX, STATE_BYTES_MAX};
use crate::name;
use crate::wire::{Reader, WireError, Writer};

impl Leaf {
    /// Returns the version of its state.
    pub fn version(&self) -> u64 {
        self.state.version()
    }
}

impl State {
    /// Returns the version: 1 at first, one more at each change.
    pub fn version(&self) -> u64 {
        match self {
            Self::Did(state) => state.version,
            Self::Name(state) => state.version,
            Self::Alias(state) => state.version,
            Self::LogConf { version, .. } | Self::Anchors { version, .. } => *version,
        }
    }

    /// Returns what it is the state of.
    pub fn subject(&self) -> Subject {
        match self {
            Self::Did(state) => Subject::Did(state.did),
            Self::Name(state) => Subject::Name(state.name.clone()),
            Self::Alias(state) => Subject::Alias(state.alias),
            Self::LogConf { .. } => Subject::LogConf,
            Self::Anchors { .. } => Subject::Anchors,
        }
    }

    /// Returns the flags of the map value (PROTOCOL 6.3).
    pub fn flags(&self) -> u32 {
        match self {
            Self::Did(state) => {
                let acts = if state.pending.is_empty() { 0 } else { Self::ACT_PENDING };
                let recovers = state.recovery.as_ref().is_some_and(|recovery| recovery.is_pending());
                state.flags | acts | if recovers { Self::RECOVERY_PENDING } else { 0 }
            }
            Self::Name(state) => match state.status {
                NameStatus::Live if state.delegate.is_some() => Self::DELEGATED,
                NameStatus::Live => 0,
                NameStatus::Held => Self::HELD,
                NameStatus::Free => Self::FREE,
            },
            Self::Alias(_) | Self::LogConf { .. } | Self::Anchors { .. } => 0,
        }
    }

    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Did(state) => state.encode(),
            Self::Name(state) => state.encode(),
            Self::Alias(state) => state.encode(),
            Self::LogConf { payload, .. } | Self::Anchors { payload, .. } => payload.clone(),
        }
    }

    /// Decodes the state of `subject`; refused if it is of another one.
    ///
    /// Of a LogConf and an anchor only the version is read here: their fields are the log's own.
    pub fn decode(subject: &Subject, bytes: &[u8]) -> Result<Self, DecodeError> {
        let state = match subject {
            Subject::Did(_) => Self::Did(DidState::decode(bytes)?),
            Subject::Name(_) => Self::Name(NameState::decode(bytes)?),
            Subject::Alias(_) => Self::Alias(AliasState::decode(bytes)?),
            Subject::LogConf => Self::LogConf { version: logconf_version(bytes)?, payload: bytes.to_vec() },
            Subject::Anchors => Self::Anchors { version: anchor_number(bytes)?, payload: bytes.to_vec() },
        };
        if state.subject() == *subject { Ok(state) } else { Err(DecodeError::BadField) }
    }

    /// Flag of a name: released, or its DID ended; nobody may claim it yet.
    pub const HELD: u32 = 1 << 8;
    /// Flag of a name: another server answers for it and all below it.
    pub const DELEGATED: u32 = 1 << 9;
    /// Flag of a DID: at least one act is pending.
    pub const ACT_PENDING: u32 = 1 << 10;
    /// Flag of a DID: somebody proved the PIN of its recovery.
    pub const RECOVERY_PENDING: u32 = 1 << 11;
    /// Flag of a name: claimable again.
    pub const FREE: u32 = 1 << 12;
}

impl DidState {
    /// Flag: a quarrel between devices; only the identity key, `confirm` and `veto` act.
    pub const FROZEN: u32 = 1;
    /// Flag: since the user key was turned, a device was suspended or ended, or the words changed.
    pub const USER_KEY_STALE: u32 = 2;
    /// Flag: deletion has begun (reserved).
    pub const DELETING: u32 = 4;
    /// Flag: the DID has ended.
    pub const ENDED: u32 = 8;

    /// Returns the device with this kid.
    pub fn device(&self, kid: &Kid) -> Option<&DeviceState> {
        self.devices.iter().find(|device| kid_of(&device.sign) == *kid)
    }

    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let optional = usize::from(self.flags != 0)
            + usize::from(self.user_key.is_some())
            + usize::from(self.recovery.is_some())
            + [self.devices.is_empty(), self.pending.is_empty(), self.names.is_empty(), self.authorities.is_empty()]
                .iter()
                .filter(|empty| !**empty)
                .count();
        let mut w = Writer::with_capacity(512);
        w.map(9 + optional)
            .uint(0)
            .uint(self.version)
            .uint(1)
            .bytes(self.did.as_bytes())
            .uint(2)
            .uint(self.kind as u64);
        if self.flags != 0 {
            w.uint(3).uint(u64::from(self.flags));
        }
        write_head(w.uint(4), &self.head);
        w.uint(5).bytes(&self.identity).uint(6).bytes(&self.words_box);
        write_list(&mut w, 7, &self.devices, write_device);
        if let Some(user_key) = &self.user_key {
            write_user_key(w.uint(8), user_key);
        }
        w.uint(9).uint(self.window_s);
        write_list(&mut w, 10, &self.pending, write_pending);
        if let Some(recovery) = &self.recovery {
            recovery.write(w.uint(11));
        }
        write_list(&mut w, 12, &self.names, |w, name| {
            w.text(name);
        });
        write_list(&mut w, 14, &self.authorities, write_authority);
        w.uint(15).uint(self.uid).uint(16).uint(self.born_ms);
        w.finish()
    }

    /// Decodes a state and refuses it unless encoding it again gives the same bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let state = read_whole(bytes, Self::read)?;
        let kids_ascend = state.devices.is_sorted_by(|a, b| kid_of(&a.sign) < kid_of(&b.sign));
        let names_ascend = state.names.is_sorted_by(|a, b| a < b);
        let flags_known = state.flags & !(Self::FROZEN | Self::USER_KEY_STALE | Self::DELETING | Self::ENDED) == 0;
        let stale_fits = state.user_key.is_some() || state.flags & Self::USER_KEY_STALE == 0;
        if !(kids_ascend && names_ascend && flags_known && stale_fits && state.version > 0) {
            return Err(DecodeError::BadField);
        }
        if state.encode() == bytes { Ok(state) } else { Err(DecodeError::NotCanonical) }
    }

    /// Decodes bytes that [`DidState::encode`] made and nobody else could touch since: that they are canonical is not looked at again.
    pub fn decode_kept(bytes: &[u8]) -> Result<Self, DecodeError> {
        read_whole(bytes, Self::read)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut fields = reader.fields()?;
        let state = Self {
            version: fields.required(0, |r| r.uint())?,
            did: Did::from_bytes(fields.required(1, |r| r.fixed())?),
            kind: fields.required(2, read_kind)?,
            flags: fields.optional(3, |r| r.uint_to(u64::from(u32::MAX)))?.unwrap_or(0) as u32,
            head: fields.required(4, read_head)?,
            identity: fields.required(5, |r| r.fixed())?,
            words_box: fields.required(6, |r| r.fixed())?,
            devices: fields.optional(7, |r| r.list(DEVICES_MAX, read_device))?.unwrap_or_default(),
            user_key: fields.optional(8, read_user_key)?,
            window_s: fields.required(9, |r| r.uint())?,
            pending: fields.optional(10, |r| r.list(PENDING_MAX, read_pending))?.unwrap_or_default(),
            recovery: fields.optional(11, RecoveryState::read)?.map(Box::new),
            names: fields.optional(12, |r| r.list(NAMES_MAX, read_name))?.unwrap_or_default(),
            authorities: fields.optional(14, |r| r.list(AUTHORITIES_MAX, read_authority))?.unwrap_or_default(),
            uid: fields.required(15, |r| r.uint())?,
            born_ms: fields.required(16, |r| r.uint())?,
        };
        fields.end()?;
        Ok(state)
    }
}

impl NameState {
    /// Returns `[index, sid]` of the certificate that says what the name answers: its records or its delegation, of which it has one at most.
    pub fn answers(&self) -> Option<(u64, Sid)> {
        self.records.or(self.delegate)
    }

    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let present = [
            self.did.is_some(),
            self.held_until_ms != 0,
            self.records.is_some(),
            self.delegate.is_some(),
            self.children != 0,
        ];
        let mut w = Writer::new();
        w.map(4 + present.iter().filter(|p| **p).count()).uint(0).uint(self.version).uint(1).text(&self.name);
        if let Some(did) = &self.did {
            w.uint(2).bytes(did.as_bytes());
        }
        w.uint(3).uint(self.status as u64).uint(4).uint(self.claim_index);
        if self.held_until_ms != 0 {
            w.uint(5).uint(self.held_until_ms);
        }
        for (key, named) in [(6, &self.records), (8, &self.delegate)] {
            if let Some((index, sid)) = named {
                w.uint(key).array(2).uint(*index).bytes(sid);
            }
        }
        if self.children != 0 {
            w.uint(10).uint(self.children);
        }
        w.finish()
    }

    /// Decodes a state and refuses it unless encoding it again gives the same bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let state = read_whole(bytes, Self::read)?;
        let owner_fits = state.did.is_none() == (state.status == NameStatus::Free);
        let hold_fits = (state.held_until_ms != 0) == (state.status == NameStatus::Held);
        let answers_fit = state.delegate.is_none() || state.records.is_none() && state.children == 0;
        if !(owner_fits && hold_fits && answers_fit && state.version > 0) {
            return Err(DecodeError::BadField);
        }
        if state.encode() == bytes { Ok(state) } else { Err(DecodeError::NotCanonical) }
    }

    /// As [`DidState::decode_kept`].
    pub fn decode_kept(bytes: &[u8]) -> Result<Self, DecodeError> {
        read_whole(bytes, Self::read)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut fields = reader.fields()?;
        let state = Self {
            version: fields.required(0, |r| r.uint())?,
            name: fields.required(1, read_name)?,
            did: fields.optional(2, |r| r.fixed())?.map(Did::from_bytes),
            status: fields.required(3, read_name_status)?,
            claim_index: fields.required(4, |r| r.uint())?,
            held_until_ms: fields.optional(5, |r| r.uint())?.unwrap_or(0),
            records: fields.optional(6, read_named)?,
            delegate: fields.optional(8, read_named)?,
            children: fields.optional(10, |r| r.uint())?.unwrap_or(0),
        };
        fields.end()?;
        Ok(state)
    }
}

pub(super) fn read_whole<T>(
    bytes: &[u8],
    read: fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    if bytes.len() > STATE_BYTES_MAX {
        return Err(DecodeError::TooLarge);
    }
    let mut reader = Reader::new(bytes);
    let state = read(&mut reader)?;
    reader.end()?;
    Ok(state)
}

/// Writes a list under its key; an empty one is left out with it.
fn write_list<T>(w: &mut Writer, key: u64, items: &[T], write: fn(&mut Writer, &T)) {
    if items.is_empty() {
        return;
    }
    w.uint(key).array(items.len());
    for item in items {
        write(w, item);
    }
}

fn write_device(w: &mut Writer, device: &DeviceState) {
    w.array(6).bytes(&device.sign).bytes(&device.kex).uint(device.level as u64).uint(device.status as u64);
    w.uint(device.index).uint(device.until_ms);
}

fn read_device(reader: &mut Reader<'_>) -> Result<DeviceState, DecodeError> {
    reader.array_of(6)?;
    Ok(DeviceState {
        sign: reader.fixed()?,
        kex: reader.fixed()?,
        level: Level::read(reader)?,
        status: match reader.uint()? {
            1 => DeviceStatus::Live,
            2 => DeviceStatus::Fresh,
            3 => DeviceStatus::Suspended,
            _ => return Err(DecodeError::BadField),
        },
        index: reader.uint()?,
        until_ms: reader.uint()?,
    })
}

fn write_user_key(w: &mut Writer, user_key: &UserKeyState) {
    w.array(5).uint(user_key.generation).bytes(&user_key.key).uint(user_key.index).bytes(&user_key.boxes);
    Recipient::write_all(&user_key.extras, w);
}

fn read_user_key(reader: &mut Reader<'_>) -> Result<UserKeyState, DecodeError> {
    reader.array_of(5)?;
    Ok(UserKeyState {
        generation: reader.uint()?,
        key: reader.fixed()?,
        index: reader.uint()?,
        boxes: reader.fixed()?,
        extras: Recipient::read_all(reader)?,
    })
}

fn write_pending(w: &mut Writer, act: &Pending) {
    w.array(8).bytes(&act.sid).uint(u64::from(act.kind)).uint(act.power as u64).uint(act.due_ms);
    for kids in [&act.supporters, &act.opponents] {
        w.array(kids.len());
        for kid in kids {
            w.bytes(&kid.0);
        }
    }
    w.uint(act.index).bytes(&act.body);
}

fn read_pending(reader: &mut Reader<'_>) -> Result<Pending, DecodeError> {
    reader.array_of(8)?;
    let act = Pending {
        sid: reader.fixed()?,
        kind: reader.uint_to(255)? as u8,
        power: match reader.uint()? {
            1 => Power::Voter,
            2 => Power::Majority,
            3 => Power::Identity,
            _ => return Err(DecodeError::BadField),
        },
        due_ms: reader.uint()?,
        supporters: read_kids(reader)?,
        opponents: read_kids(reader)?,
        index: reader.uint()?,
        body: reader.bytes()?.to_vec(),
    };
    Body::decode(act.kind, &act.body)?;
    if act.supporters.is_empty() { Err(DecodeError::BadField) } else { Ok(act) }
}

/// Reads supporters or opponents: at most each device and the identity key.
fn read_kids(reader: &mut Reader<'_>) -> Result<Vec<Kid>, DecodeError> {
    reader.list(DEVICES_MAX + 1, |r| Ok(Kid(r.fixed()?)))
}

fn write_authority(w: &mut Writer, state: &AuthorityState) {
    let authority = &state.authority;
    w.array(6).uint(authority.role as u64).bytes(&authority.key).text(&authority.scope);
    match &authority.zone {
        Some(terms) => terms.write(w),
        None => {
            w.null();
        }
    }
    w.uint(state.index);
    match state.revoked_at {
        Some(index) => w.uint(index),
        None => w.null(),
    };
}

fn read_authority(reader: &mut Reader<'_>) -> Result<AuthorityState, DecodeError> {
    reader.array_of(6)?;
    let authority = Authority {
        role: Role::read(reader)?,
        key: reader.fixed()?,
        scope: reader.text()?.to_owned(),
        zone: reader.or_null(ZoneTerms::read)?,
    };
    if !authority.is_consistent() {
        return Err(DecodeError::BadField);
    }
    Ok(AuthorityState { authority, index: reader.uint()?, revoked_at: reader.or_null(|r| r.uint())? })
}

pub(super) fn write_head(w: &mut Writer, head: &ChainHead) {
    w.array(3).uint(head.seq).bytes(&head.sid).uint(head.index);
}

pub(super) fn read_head(reader: &mut Reader<'_>) -> Result<ChainHead, DecodeError> {
    reader.array_of(3)?;
    Ok(ChainHead { seq: reader.uint()?, sid: reader.fixed()?, index: reader.uint()? })
}

/// Reads `[index, sid]` of a certificate.
fn read_named(reader: &mut Reader<'_>) -> Result<(u64, Sid), WireError> {
    reader.array_of(2)?;
    Ok((reader.uint()?, reader.fixed()?))
}

fn read_kind(reader: &mut Reader<'_>) -> Result<DidKind, DecodeError> {
    match reader.uint()? {
        1 => Ok(DidKind::User),
        2 => Ok(DidKind::Database),
        3 => Ok(DidKind::Server),
        _ => Err(DecodeError::BadField),
    }
}

fn read_name(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    let text = reader.text()?;
    if name::is_well_formed(text) { Ok(text.to_owned()) } else { Err(DecodeError::BadName) }
}

fn read_name_status(reader: &mut Reader<'_>) -> Result<NameStatus, DecodeError> {
    match reader.uint()? {
        1 => Ok(NameStatus::Live),
        2 => Ok(NameStatus::Held),
        3 => Ok(NameStatus::Free),
        _ => Err(DecodeError::BadField),
    }
}

/// Reads the version of a LogConf: one more than its seq (key 1).
fn logconf_version(payload: &[u8]) -> Result<u64, DecodeError> {
    let mut reader = Reader::new(payload);
    let mut fields = reader.fields()?;
    fields.required(0, |r| r.uint())?;
    let seq = fields.required(1, |r| r.uint())?;
    seq.checked_add(1).ok_or(DecodeError::BadField)
}

/// Reads the number of an anchor (key 0), which is its version.
fn anchor_number(payload: &[u8]) -> Result<u64, DecodeError> {
    Ok(Reader::new(payload).fields()?.required(0, |r| r.uint())?)
}

#[cfg(test)]
mod tests;
