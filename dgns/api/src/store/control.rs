//! Control entries: what is said about a database itself (PROTOCOL 25.6). Their body is one of these, in plaintext.

use identity::did::Did;
use identity::hash::Hash;
use identity::name::Origin;
use identity::sealed::Sealed;
use identity::token::Rights;
use identity::wire::{Reader, WireError, Writer};

use super::entry::{LogId, LogKind};
use super::limits::{LABEL_BYTES_MAX, LOGS_MAX, MEMBERS_MAX};
use super::place::Place;

/// The bytes of the sealed key of a group: the key and the tag.
const BOX_BYTES: usize = 32 + identity::sealed::TAG_BYTES;

/// What a database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DbKind {
    /// Anything.
    General = 1,
    /// What one person says: their devices write it, others read it.
    Profile = 2,
    /// A partition a user, with what they prove and what others send them.
    Subscription = 3,
}

impl DbKind {
    /// Returns the kind with this number.
    pub const fn from_number(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::General),
            2 => Some(Self::Profile),
            3 => Some(Self::Subscription),
            _ => None,
        }
    }

    /// Returns what people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Profile => "profile",
            Self::Subscription => "subscription",
        }
    }
}

/// A statement about a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// `[1, did, kind, home, salt 16]`: the database begins. The first entry of the control log.
    Genesis {
        /// The DID of the database.
        did: Did,
        /// What it is.
        kind: DbKind,
        /// The origin that its signatures hold for, wherever it moves.
        home: Origin,
        /// Makes what is said of its logs in public unlike any guess.
        salt: [u8; 16],
    },
    /// `[2, gid, did, rights, until s]`: a member from here on; again, with more rights.
    Grant {
        /// The group.
        gid: u32,
        /// Who.
        did: Did,
        /// What.
        rights: Rights,
        /// Until when, Unix seconds.
        until_s: u64,
    },
    /// `[3, gid, did, [[log 32, size], ...]]`: no member from here on. What they wrote counts below the sizes, whatever a server
    /// shows later.
    Revoke {
        /// The group.
        gid: u32,
        /// Who.
        did: Did,
        /// The logs of the group, ascending, with the entries of each that stand.
        cuts: Vec<(LogId, u64)>,
    },
    /// `[4, gid, epoch, [[did, generation, enc 32, ct 48], ...], [enc 32, ct 48] or null]`: the next key of a group, sealed to the
    /// user key of each member, and the key before it, sealed under it.
    KeyEpoch {
        /// The group.
        gid: u32,
        /// One more than before.
        epoch: u64,
        /// By DID, ascending.
        boxes: Vec<KeyBox>,
        /// The key before; absent in epoch 1 alone.
        previous: Option<Sealed>,
    },
    /// `[7, log 32, to, snapshot]`: the bodies of the entries of a log before `to` go for ever; a snapshot stands for them.
    Trim {
        /// A log of data.
        log: LogId,
        /// The first entry whose body stays.
        to: u64,
        /// The place of the snapshot, not before `to`.
        snapshot: u64,
    },
    /// `[8, gid, kind, label]`: a further log.
    Log {
        /// Whose members read and write it.
        gid: u32,
        /// What it is for.
        kind: LogKind,
        /// What it is called.
        label: String,
    },
    /// `[10, server 20, url, origin, key 32, [[log 32, size, root 32], ...]]`: the database is at another server from here on.
    Moved {
        /// Where it is.
        to: Place,
        /// All logs but the control log, ascending: how many entries each has, and the root of their tree.
        heads: Vec<(LogId, u64, Hash)>,
    },
    /// `[11, did, 1 or 0]`: the author is for making this an owner, or is not any more.
    Owner {
        /// Who.
        did: Did,
        /// Which.
        yes: bool,
    },
    /// `[12]`: the author is no owner any more.
    Leave,
    /// `[13, 1 or 0]`: the author is for deleting the database, or is not any more.
    Delete {
        /// Which.
        yes: bool,
    },
    /// `[14, [[log 32, size], ...]]`: half of the owners are for it, and the database is deleted. Nothing follows.
    Tombstone {
        /// All logs but the control log, ascending, with the entries that each has for ever.
        ends: Vec<(LogId, u64)>,
    },
    /// `[15, source 20, did, salt 16, [[log 32, size, root 32], ...]]`: another database goes on from here, under its own DID. It stands in
    /// the control log of the new one, whose entries before it are those of the source.
    Fork {
        /// The DID of the database that this one begins with.
        source: Did,
        /// The DID of the new one.
        did: Did,
        /// As in the genesis, of the new one.
        salt: [u8; 16],
        /// All logs of the source but its control log, ascending: how many of their entries are the new one's, and the root of their tree.
        base: Vec<(LogId, u64, Hash)>,
    },
}

/// The key of a group, sealed to one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyBox {
    /// Who.
    pub did: Did,
    /// Of the user key that it is sealed to.
    pub generation: u64,
    /// The box.
    pub sealed: Sealed,
}

impl KeyBox {
    /// Returns the info that such a box is sealed under: `"dgns/group-key/v1" 00, db 20, gid u32, epoch u64`.
    pub fn info(db: &Did, gid: u32, epoch: u64) -> Vec<u8> {
        let mut info = b"dgns/group-key/v1\0".to_vec();
        info.extend_from_slice(db.as_bytes());
        info.extend_from_slice(&gid.to_be_bytes());
        info.extend_from_slice(&epoch.to_be_bytes());
        info
    }
}

impl Control {
    /// Returns the group that it is about; the genesis and what owners alone say are about none.
    pub const fn gid(&self) -> Option<u32> {
        match self {
            Self::Genesis { .. }
            | Self::Moved { .. }
            | Self::Owner { .. }
            | Self::Leave
            | Self::Delete { .. }
            | Self::Tombstone { .. }
            | Self::Trim { .. }
            | Self::Fork { .. } => None,
            Self::Grant { gid, .. } | Self::Revoke { gid, .. } | Self::KeyEpoch { gid, .. } | Self::Log { gid, .. } => {
                Some(*gid)
            }
        }
    }

    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Genesis { did, kind, home, salt } => {
                w.array(5).uint(1).bytes(did.as_bytes()).uint(*kind as u64).text(home.as_str()).bytes(salt);
            }
            Self::Grant { gid, did, rights, until_s } => {
                w.array(5).uint(2).uint((*gid).into()).bytes(did.as_bytes()).uint(rights.bits().into()).uint(*until_s);
            }
            Self::Revoke { gid, did, cuts } => {
                write_places(w.array(4).uint(3).uint((*gid).into()).bytes(did.as_bytes()), cuts);
            }
            Self::KeyEpoch { gid, epoch, boxes, previous } => {
                w.array(5).uint(4).uint((*gid).into()).uint(*epoch).array(boxes.len());
                for KeyBox { did, generation, sealed } in boxes {
                    w.array(4).bytes(did.as_bytes()).uint(*generation).bytes(&sealed.enc).bytes(&sealed.ct);
                }
                match previous {
                    Some(sealed) => w.array(2).bytes(&sealed.enc).bytes(&sealed.ct),
                    None => w.null(),
                };
            }
            Self::Trim { log, to, snapshot } => {
                w.array(4).uint(7).bytes(&log.0).uint(*to).uint(*snapshot);
            }
            Self::Log { gid, kind, label } => {
                w.array(4).uint(8).uint((*gid).into()).uint(*kind as u64).text(label);
            }
            Self::Moved { to, heads } => {
                to.write(w.array(6).uint(10));
                write_heads(&mut w, heads);
            }
            Self::Owner { did, yes } => {
                w.array(3).uint(11).bytes(did.as_bytes()).uint((*yes).into());
            }
            Self::Leave => {
                w.array(1).uint(12);
            }
            Self::Delete { yes } => {
                w.array(2).uint(13).uint((*yes).into());
            }
            Self::Tombstone { ends } => write_places(w.array(2).uint(14), ends),
            Self::Fork { source, did, salt, base } => {
                write_heads(w.array(5).uint(15).bytes(source.as_bytes()).bytes(did.as_bytes()).bytes(salt), base);
            }
        }
        w.finish()
    }

    /// Reads a statement in its one spelling.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let items = reader.array()?;
        let control = match (reader.uint()?, items) {
            (1, 5) => Self::Genesis {
                did: Did::from_bytes(reader.fixed()?),
                kind: DbKind::from_number(reader.uint()?).ok_or(WireError::Unexpected)?,
                home: Origin::parse(reader.text()?).map_err(|_| WireError::Unexpected)?,
                salt: reader.fixed()?,
            },
            (2, 5) => Self::Grant {
                gid: gid(&mut reader)?,
                did: Did::from_bytes(reader.fixed()?),
                rights: Rights::from_bits(reader.uint()?).ok_or(WireError::Unexpected)?,
                until_s: reader.uint()?,
            },
            (3, 4) => {
                let (gid, did) = (gid(&mut reader)?, Did::from_bytes(reader.fixed()?));
                Self::Revoke { gid, did, cuts: read_places(&mut reader)? }
            }
            (4, 5) => {
                let (gid, epoch) = (gid(&mut reader)?, reader.uint()?);
                let boxes = reader.list(MEMBERS_MAX, read_box)?;
                if !boxes.is_sorted_by(|a, b| a.did < b.did) {
                    return Err(WireError::NotCanonical);
                }
                let previous = reader.or_null(|r| {
                    r.array_of(2)?;
                    read_sealed(r)
                })?;
                if (epoch == 1) != previous.is_none() {
                    return Err(WireError::Unexpected);
                }
                Self::KeyEpoch { gid, epoch, boxes, previous }
            }
            (7, 4) => Self::Trim { log: LogId(reader.fixed()?), to: reader.uint()?, snapshot: reader.uint()? },
            (8, 4) => {
                let (gid, kind) = (gid(&mut reader)?, LogKind::from_number(reader.uint()?));
                let kind = kind.filter(|kind| *kind == LogKind::Shared).ok_or(WireError::Unexpected)?;
                Self::Log { gid, kind, label: label(reader.text()?)? }
            }
            (10, 6) => Self::Moved { to: Place::read(&mut reader)?, heads: read_heads(&mut reader)? },
            (11, 3) => Self::Owner { did: Did::from_bytes(reader.fixed()?), yes: reader.uint_to(1)? == 1 },
            (12, 1) => Self::Leave,
            (13, 2) => Self::Delete { yes: reader.uint_to(1)? == 1 },
            (14, 2) => Self::Tombstone { ends: read_places(&mut reader)? },
            (15, 5) => {
                let (source, did) = (Did::from_bytes(reader.fixed()?), Did::from_bytes(reader.fixed()?));
                let salt = reader.fixed()?;
                let base = read_heads(&mut reader)?;
                Self::Fork { source, did, salt, base }
            }
            _ => return Err(WireError::Unexpected),
        };
        reader.end()?;
        Ok(control)
    }
}

/// Reads a group that has a key: 0 is public plaintext and has no members.
fn gid(reader: &mut Reader<'_>) -> Result<u32, WireError> {
    u32::try_from(reader.uint()?).ok().filter(|gid| *gid > 0).ok_or(WireError::Unexpected)
}

fn label(text: &str) -> Result<String, WireError> {
    if is_label(text) { Ok(text.to_owned()) } else { Err(WireError::Unexpected) }
}

/// Returns whether a log may be called so: 1 to 64 bytes of lower-case letters, digits and `._-`.
pub fn is_label(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    (1..=LABEL_BYTES_MAX).contains(&text.len()) && text.bytes().all(good)
}

fn write_places(writer: &mut Writer, places: &[(LogId, u64)]) {
    writer.array(places.len());
    for (log, size) in places {
        writer.array(2).bytes(&log.0).uint(*size);
    }
}

/// Reads logs, ascending, each with a size.
fn read_places(reader: &mut Reader<'_>) -> Result<Vec<(LogId, u64)>, WireError> {
    let places = reader.list(LOGS_MAX, |r| {
        r.array_of(2)?;
        Ok::<_, WireError>((LogId(r.fixed()?), r.uint()?))
    })?;
    if places.is_sorted_by(|a, b| a.0 < b.0) { Ok(places) } else { Err(WireError::NotCanonical) }
}

fn write_heads(writer: &mut Writer, heads: &[(LogId, u64, Hash)]) {
    writer.array(heads.len());
    for (log, size, root) in heads {
        writer.array(3).bytes(&log.0).uint(*size).bytes(root);
    }
}

/// Reads logs, ascending, each with a size and the root of its tree there.
fn read_heads(reader: &mut Reader<'_>) -> Result<Vec<(LogId, u64, Hash)>, WireError> {
    let heads = reader.list(LOGS_MAX, |r| {
        r.array_of(3)?;
        Ok::<_, WireError>((LogId(r.fixed()?), r.uint()?, r.fixed()?))
    })?;
    if heads.is_sorted_by(|a, b| a.0 < b.0) { Ok(heads) } else { Err(WireError::NotCanonical) }
}

fn read_box(reader: &mut Reader<'_>) -> Result<KeyBox, WireError> {
    reader.array_of(4)?;
    Ok(KeyBox { did: Did::from_bytes(reader.fixed()?), generation: reader.uint()?, sealed: read_sealed(reader)? })
}

fn read_sealed(reader: &mut Reader<'_>) -> Result<Sealed, WireError> {
    Ok(Sealed { enc: reader.fixed()?, ct: reader.fixed::<BOX_BYTES>()?.to_vec() })
}
