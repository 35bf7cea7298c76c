//! The bodies of certificates as bytes, one type after another (PROTOCOL 4.4).

use super::{
    AliasBind, Attempt, AttestLogin, Authority, Body, Claim, ClaimProof, DecodeError, Delegate, Device, DeviceEnd,
    DidKind, Dispute, EndReason, FirstUserKey, Genesis, IdRotate, Kid, Level, Records, RecoverFinal, RecoverOpen,
    RecoverySet, Road, Role, Row, UserKey, ZoneTerms,
};
use crate::alias::AliasId;
use crate::did::Did;
use crate::hash::Hash;
use crate::limits::SCOPE_BYTES_MAX;
use crate::name;
use crate::wire::{Reader, WireError, Writer};

impl Body {
    /// Returns the type (PROTOCOL 4.4).
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Genesis(_) => 1,
            Self::Claim(_) => 2,
            Self::DeviceAdd(_) => 3,
            Self::DeviceSuspend(_) => 4,
            Self::DeviceRevoke(_) => 5,
            Self::IdRotate(_) => 6,
            Self::Policy { .. } => 7,
            Self::Transfer { .. } => 8,
            Self::AliasBind(_) => 9,
            Self::AliasUnbind { .. } => 10,
            Self::Records(_) => 11,
            Self::Delegate(_) => 13,
            Self::UserKey(_) => 14,
            Self::RecoverySet(_) => 15,
            Self::RecoverOpen(_) => 16,
            Self::RecoverProve(_) => 17,
            Self::RecoverFinal(_) => 18,
            Self::Confirm { .. } => 19,
            Self::Veto { .. } | Self::Dispute(_) => 20,
            Self::Tombstone => 25,
            Self::NotaryAdd(_) => 26,
            Self::NotaryRevoke { .. } => 27,
            Self::AttestLogin(_) => 28,
        }
    }

    /// Returns the name this is about, if it is about one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Claim(Claim { name, .. })
            | Self::Transfer { name, .. }
            | Self::Records(Records { name, .. })
            | Self::Delegate(Delegate { name, .. }) => Some(name),
            _ => None,
        }
    }

    /// Returns the alias that the body names; that of an `attest_login` is its subject.
    pub fn alias(&self) -> Option<AliasId> {
        match self {
            Self::AliasBind(AliasBind { alias, .. })
            | Self::AliasUnbind { alias }
            | Self::Dispute(Dispute { alias, .. }) => Some(*alias),
            _ => None,
        }
    }

    /// Returns the hash of the invitation code that a claim spends.
    pub fn invite(&self) -> Option<Hash> {
        match self {
            Self::Claim(Claim { proof: ClaimProof::Invite { code_hash }, .. }) => Some(*code_hash),
            _ => None,
        }
    }

    /// Returns the canonical bytes, as payload key 6 and a pending act carry them.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.finish()
    }

    /// Decodes the body of a certificate of type `kind` and refuses it unless encoding it again gives the same bytes.
    pub fn decode(kind: u8, bytes: &[u8]) -> Result<Self, DecodeError> {
        if !Self::is_known(kind) {
            return Err(DecodeError::UnknownType(u64::from(kind)));
        }
        let mut reader = Reader::new(bytes);
        let body = Self::read(kind, &mut reader)?;
        reader.end()?;
        if body.encode() == bytes { Ok(body) } else { Err(DecodeError::NotCanonical) }
    }

    pub(super) const fn is_known(kind: u8) -> bool {
        matches!(kind, 1..=11 | 13..=20 | 25..=28)
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        match self {
            Self::Genesis(genesis) => write_genesis(genesis, writer),
            Self::Claim(claim) => write_claim(claim, writer),
            Self::DeviceAdd(device) => device.write(writer.map(1).uint(1)),
            Self::DeviceSuspend(end) | Self::DeviceRevoke(end) => {
                writer.map(2).uint(1).bytes(&end.kid.0).uint(2).uint(end.reason as u64);
            }
            Self::IdRotate(keys) => {
                writer.map(2).uint(2).bytes(&keys.identity).uint(3).bytes(&keys.words_box);
            }
            Self::Policy { window_s } => {
                writer.map(1).uint(6).uint(*window_s);
            }
            Self::Transfer { name, to } => {
                writer.map(1 + usize::from(to.is_some())).uint(1).text(name);
                if let Some(to) = to {
                    writer.uint(2).bytes(to.as_bytes());
                }
            }
            Self::AliasBind(bind) => bind.write(writer),
            Self::AliasUnbind { alias } => {
                writer.map(1).uint(1).bytes(alias);
            }
            Self::Records(records) => write_records(records, writer),
            Self::Delegate(delegate) => delegate.write(writer),
            Self::UserKey(key) => key.write(writer),
            Self::RecoverySet(set) => set.write(writer),
            Self::RecoverOpen(open) => open.write(writer),
            Self::RecoverProve(attempt) => attempt.write(writer.map(2)),
            Self::RecoverFinal(last) => last.write(writer),
            Self::Confirm { act } | Self::Veto { act } => {
                writer.map(1).uint(1).bytes(act);
            }
            Self::Dispute(dispute) => dispute.write(writer),
            Self::Tombstone => {
                writer.map(0);
            }
            Self::NotaryAdd(authority) => write_authority(authority, writer),
            Self::NotaryRevoke { kid } => {
                writer.map(1).uint(1).bytes(&kid.0);
            }
            Self::AttestLogin(login) => login.write(writer),
        }
    }

    pub(super) fn read(kind: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut fields = reader.fields()?;
        let fields_mut = &mut fields;
        let body = match kind {
            1 => Self::Genesis(read_genesis(fields_mut)?),
            2 => Self::Claim(read_claim(fields_mut)?),
            3 => Self::DeviceAdd(fields_mut.required(1, Device::read)?),
            4 => Self::DeviceSuspend(read_device_end(fields_mut)?),
            5 => Self::DeviceRevoke(read_device_end(fields_mut)?),
            6 => Self::IdRotate(IdRotate {
                identity: fields_mut.required(2, |r| r.fixed())?,
                words_box: fields_mut.required(3, |r| r.fixed())?,
            }),
            7 => Self::Policy { window_s: fields_mut.required(6, |r| r.uint())? },
            8 => Self::Transfer {
                name: fields_mut.required(1, read_name)?,
                to: fields_mut.optional(2, |r| r.fixed())?.map(Did::from_bytes),
            },
            9 => Self::AliasBind(AliasBind::read(fields_mut)?),
            10 => Self::AliasUnbind { alias: fields_mut.required(1, |r| r.fixed())? },
            11 => Self::Records(read_records(fields_mut)?),
            13 => Self::Delegate(Delegate::read(fields_mut)?),
            14 => Self::UserKey(UserKey::read(fields_mut)?),
            15 => Self::RecoverySet(RecoverySet::read(fields_mut)?),
            16 => Self::RecoverOpen(RecoverOpen::read(fields_mut)?),
            17 => Self::RecoverProve(Attempt::read(fields_mut)?),
            18 => Self::RecoverFinal(RecoverFinal::read(fields_mut)?),
            19 => Self::Confirm { act: fields_mut.required(1, |r| r.fixed())? },
            20 => read_veto(fields_mut)?,
            25 => Self::Tombstone,
            26 => Self::NotaryAdd(read_authority(fields_mut)?),
            27 => Self::NotaryRevoke { kid: Kid(fields_mut.required(1, |r| r.fixed())?) },
            28 => Self::AttestLogin(AttestLogin::read(fields_mut)?),
            _ => return Err(DecodeError::UnknownType(u64::from(kind))),
        };
        fields.end()?;
        Ok(body)
    }
}

pub(super) type Fields<'r, 'a> = crate::wire::Fields<'r, 'a>;

fn write_genesis(genesis: &Genesis, writer: &mut Writer) {
    let optional = usize::from(genesis.window_s.is_some()) + 2 * usize::from(genesis.user_key.is_some());
    writer.map(4 + optional).uint(1).uint(genesis.kind as u64);
    writer.uint(2).bytes(&genesis.identity).uint(3).bytes(&genesis.words_box);
    genesis.device.write(writer.uint(4));
    if let Some(window_s) = genesis.window_s {
        writer.uint(6).uint(window_s);
    }
    if let Some(user_key) = &genesis.user_key {
        writer.uint(7).bytes(&user_key.key).uint(8).bytes(&user_key.boxes);
    }
}

fn read_genesis(fields: &mut Fields<'_, '_>) -> Result<Genesis, DecodeError> {
    let kind = match fields.required(1, |r| r.uint())? {
        1 => DidKind::User,
        2 => DidKind::Database,
        3 => DidKind::Server,
        _ => return Err(DecodeError::BadField),
    };
    Ok(Genesis {
        kind,
        identity: fields.required(2, |r| r.fixed())?,
        words_box: fields.required(3, |r| r.fixed())?,
        device: fields.required(4, Device::read)?,
        window_s: fields.optional(6, |r| r.uint())?,
        user_key: FirstUserKey::read(fields)?,
    })
}

fn write_claim(claim: &Claim, writer: &mut Writer) {
    match claim.proof {
        ClaimProof::Open { nonce, bits } => {
            writer.map(4).uint(1).text(&claim.name).uint(2).uint(Road::Open as u64);
            writer.uint(3).bytes(&nonce.to_be_bytes()).uint(4).uint(u64::from(bits));
        }
        ClaimProof::Attested { evidence } => {
            writer.map(3).uint(1).text(&claim.name).uint(2).uint(Road::Attested as u64).uint(3).bytes(&evidence);
        }
        ClaimProof::Invite { code_hash } => {
            writer.map(3).uint(1).text(&claim.name).uint(2).uint(Road::Invite as u64).uint(3).bytes(&code_hash);
        }
        ClaimProof::Parent => {
            writer.map(2).uint(1).text(&claim.name).uint(2).uint(Road::Parent as u64);
        }
    }
}

fn read_claim(fields: &mut Fields<'_, '_>) -> Result<Claim, DecodeError> {
    let name = fields.required(1, read_name)?;
    let proof = match fields.required(2, |r| r.uint())? {
        1 => ClaimProof::Open {
            nonce: u64::from_be_bytes(fields.required(3, |r| r.fixed())?),
            bits: fields.required(4, |r| r.uint_to(255))? as u8,
        },
        2 => ClaimProof::Attested { evidence: fields.required(3, |r| r.fixed())? },
        3 => ClaimProof::Invite { code_hash: fields.required(3, |r| r.fixed())? },
        4 => ClaimProof::Parent,
        _ => return Err(DecodeError::BadField),
    };
    Ok(Claim { name, proof })
}

/// Reads a veto: of an act, or with an alias of a sign-in.
fn read_veto(fields: &mut Fields<'_, '_>) -> Result<Body, DecodeError> {
    let act = fields.required(1, |r| r.fixed())?;
    Ok(match fields.optional(2, |r| r.fixed())? {
        Some(alias) => Body::Dispute(Dispute { login: act, alias }),
        None => Body::Veto { act },
    })
}

impl Device {
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.array(4).bytes(&self.sign).bytes(&self.kex).uint(self.level as u64).bytes(&self.label_hash);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array_of(4)?;
        Ok(Self {
            sign: reader.fixed()?,
            kex: reader.fixed()?,
            level: Level::read(reader)?,
            label_hash: reader.fixed()?,
        })
    }
}

fn read_device_end(fields: &mut Fields<'_, '_>) -> Result<DeviceEnd, DecodeError> {
    let kid = Kid(fields.required(1, |r| r.fixed())?);
    let reason = match fields.required(2, |r| r.uint())? {
        0 => EndReason::Other,
        1 => EndReason::Lost,
        2 => EndReason::Stolen,
        3 => EndReason::Replaced,
        _ => return Err(DecodeError::BadField),
    };
    Ok(DeviceEnd { kid, reason })
}

fn write_records(records: &Records, writer: &mut Writer) {
    let optional = usize::from(!records.aliases.is_empty()) + usize::from(records.flags != 0);
    writer.map(2 + optional).uint(1).text(&records.name).uint(2).array(records.rows.len());
    for row in &records.rows {
        writer.array(if row.owner.is_empty() { 3 } else { 4 });
        writer.uint(u64::from(row.rtype)).uint(u64::from(row.ttl)).bytes(&row.rdata);
        if !row.owner.is_empty() {
            writer.text(&row.owner);
        }
    }
    if !records.aliases.is_empty() {
        writer.uint(3).array(records.aliases.len());
        for alias in &records.aliases {
            writer.text(alias);
        }
    }
    if records.flags != 0 {
        writer.uint(4).uint(u64::from(records.flags));
    }
}

/// Reads rows and aliases as they stand; how many there may be and what they may say is judged by [`crate::record`].
fn read_records(fields: &mut Fields<'_, '_>) -> Result<Records, DecodeError> {
    let records = Records {
        name: fields.required(1, read_name)?,
        rows: fields.required(2, |r| r.list(usize::MAX, read_row))?,
        aliases: fields.optional(3, |r| r.list(usize::MAX, |r| r.text().map(str::to_owned)))?.unwrap_or_default(),
        flags: fields.optional(4, |r| r.uint_to(u64::from(u32::MAX)))?.unwrap_or(0) as u32,
    };
    let known_flags = Records::HIDDEN | Records::NO_DID;
    let sorted =
        records.rows.is_sorted_by(|a, b| row_key(a) < row_key(b)) && records.aliases.is_sorted_by(|a, b| a < b);
    if sorted && records.flags & !known_flags == 0 { Ok(records) } else { Err(DecodeError::BadField) }
}

fn row_key(row: &Row) -> (&str, u16, &[u8]) {
    (&row.owner, row.rtype, &row.rdata)
}

fn read_row(reader: &mut Reader<'_>) -> Result<Row, DecodeError> {
    let len = reader.array()?;
    if !(3..=4).contains(&len) {
        return Err(DecodeError::BadField);
    }
    Ok(Row {
        rtype: reader.uint_to(u64::from(u16::MAX))? as u16,
        ttl: reader.uint_to(u64::from(u32::MAX))? as u32,
        rdata: reader.bytes()?.to_vec(),
        owner: if len == 4 { reader.text()?.to_owned() } else { String::new() },
    })
}

fn write_authority(authority: &Authority, writer: &mut Writer) {
    writer.map(3 + usize::from(authority.zone.is_some())).uint(1).uint(authority.role as u64);
    writer.uint(2).bytes(&authority.key).uint(3).text(&authority.scope);
    if let Some(terms) = &authority.zone {
        terms.write(writer.uint(4));
    }
}

fn read_authority(fields: &mut Fields<'_, '_>) -> Result<Authority, DecodeError> {
    let authority = Authority {
        role: fields.required(1, Role::read)?,
        key: fields.required(2, |r| r.fixed())?,
        scope: fields.required(3, |r| r.text().map(str::to_owned))?,
        zone: fields.optional(4, ZoneTerms::read)?,
    };
    if authority.is_consistent() { Ok(authority) } else { Err(DecodeError::BadField) }
}

pub(super) fn read_name(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    let text = reader.text()?;
    if name::is_well_formed(text) { Ok(text.to_owned()) } else { Err(DecodeError::BadName) }
}

impl Authority {
    /// Whether scope and terms fit the role: an issuer, a zone with terms, a zone.
    pub(crate) fn is_consistent(&self) -> bool {
        let scope = match self.role {
            Role::Notary => (1..=SCOPE_BYTES_MAX).contains(&self.scope.len()),
            Role::Zone | Role::Alias => name::Zone::parse(&self.scope).is_ok(),
        };
        scope && self.zone.is_some() == (self.role == Role::Zone)
    }
}

impl Level {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        match reader.uint()? {
            1 => Ok(Self::Member),
            2 => Ok(Self::Admin),
            3 => Ok(Self::Service),
            _ => Err(WireError::Unexpected),
        }
    }
}

impl Role {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        match reader.uint()? {
            1 => Ok(Self::Notary),
            2 => Ok(Self::Zone),
            3 => Ok(Self::Alias),
            _ => Err(WireError::Unexpected),
        }
    }
}

impl ZoneTerms {
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.array(3).uint(u64::from(self.roads)).uint(u64::from(self.work_floor_bits)).uint(self.window_floor_s);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.array_of(3)?;
        Ok(Self {
            roads: reader.uint_to(0x0f)? as u8,
            work_floor_bits: reader.uint_to(255)? as u8,
            window_floor_s: reader.uint()?,
        })
    }
}

impl Records {
    /// Flag: the name and its records do not stand in DNS.
    pub const HIDDEN: u32 = 1;
    /// Flag: no `_did` record.
    pub const NO_DID: u32 = 2;

    /// Puts rows and aliases into the order that a certificate needs, and drops what is there twice.
    pub fn in_order(mut self) -> Self {
        self.rows.sort();
        self.rows.dedup();
        self.aliases.sort();
        self.aliases.dedup();
        self
    }
}
