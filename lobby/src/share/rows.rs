//! The fields of each message, written and read back (PROTOCOL 23.12).

use bytes::Bytes;
use identity::hash::Hash;
use identity::token::{Rights, Token};
use identity::wire::{Reader, WireError, Writer};

use super::{Listed, Said, SaidError, is_path};
use crate::limits::{
    ASKED_BYTES_MAX, CREDENTIAL_BYTES_MAX, ENTRIES_MAX, ENVELOPE_BYTES_MAX, IDS_MAX, LISTED_MAX, PATH_BYTES_MAX,
    PIECE_BYTES_MAX, SHOWN_HEAD_BYTES_MAX, SITE_BYTES_MAX, TARGET_BYTES_MAX, WRITTEN_BYTES_MAX,
};

impl Said {
    /// Returns the bytes of a message; at most 16,384.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(64);
        match self {
            Self::Hello { envelope, head, token } => {
                let more = usize::from(head.is_some()) + usize::from(token.is_some());
                writer.map(2 + more).uint(0).uint(0x02).uint(1).bytes(envelope);
                head.iter().for_each(|head| {
                    writer.uint(2).bytes(head);
                });
                token.iter().for_each(|token| {
                    writer.uint(3).text(token);
                });
            }
            Self::Welcome => {
                writer.map(1).uint(0).uint(0x03);
            }
            Self::Err { id, code } => {
                begin(&mut writer, 0x09, *id, 1).uint(2).text(code);
            }
            Self::List { id, after } => {
                begin(&mut writer, 0x40, *id, 1).uint(2).text(after);
            }
            Self::Open { id, path } => {
                begin(&mut writer, 0x41, *id, 1).uint(2).text(path);
            }
            Self::Ids { id, root, from } => {
                begin(&mut writer, 0x42, *id, 2).uint(2).bytes(root).uint(3).uint(*from);
            }
            Self::Chunk { id, root, index } => {
                begin(&mut writer, 0x43, *id, 2).uint(2).bytes(root).uint(3).uint(*index);
            }
            Self::Lease { id, site, log, rights, credential } => {
                let more = usize::from(credential.is_some());
                let rights = u64::from(rights.bits());
                begin(&mut writer, 0x33, *id, 3 + more).uint(2).text(site).uint(3).text(log).uint(4).uint(rights);
                credential.iter().for_each(|credential| {
                    writer.uint(5).bytes(credential);
                });
            }
            Self::Handle { id, handle, rights, size, until_s, head, lsn } => {
                let more = usize::from(head.is_some()) + usize::from(lsn.is_some());
                begin(&mut writer, 0x36, *id, 4 + more).uint(2).uint(*handle).uint(3).uint(rights.bits().into());
                writer.uint(4).uint(*size).uint(5).uint(*until_s);
                head.iter().for_each(|head| {
                    writer.uint(6).bytes(head);
                });
                lsn.iter().for_each(|lsn| {
                    writer.uint(7).uint(*lsn);
                });
            }
            Self::NeedProof { id, nonce } => {
                begin(&mut writer, 0x37, *id, 1).uint(2).bytes(nonce);
            }
            Self::Redirect { id, to } => {
                begin(&mut writer, 0x32, *id, 1).uint(2).text(to);
            }
            Self::Read { id, handle, from } => {
                begin(&mut writer, 0x34, *id, 2).uint(2).uint(*handle).uint(3).uint(*from);
            }
            Self::Write { id, handle, lsn, entries, expect } => {
                let more = usize::from(expect.is_some());
                begin(&mut writer, 0x46, *id, 3 + more).uint(2).uint(*handle).uint(3).uint(*lsn);
                writer.uint(4).array(entries.len());
                entries.iter().for_each(|entry| {
                    writer.bytes(entry);
                });
                expect.iter().for_each(|expect| {
                    writer.uint(5).bytes(expect);
                });
            }
            Self::Receipt { id, position, size, head } => {
                begin(&mut writer, 0x56, *id, 3).uint(2).uint(*position).uint(3).uint(*size).uint(4).bytes(head);
            }
            Self::Attest { id, envelope } => {
                begin(&mut writer, 0x30, *id, 1).uint(2).bytes(envelope);
            }
            Self::Ok { id, index } => {
                begin(&mut writer, 0x08, *id, usize::from(index.is_some()));
                index.iter().for_each(|index| {
                    writer.uint(2).uint(*index);
                });
            }
            Self::Revoke { handle, code } => {
                begin(&mut writer, 0x31, *handle, 1).uint(2).text(code);
            }
            Self::Stop { id } => {
                begin(&mut writer, 0x45, *id, 0);
            }
            Self::Ask { id, target, body } => {
                begin(&mut writer, 0x47, *id, 1 + usize::from(body.is_some())).uint(2).text(target);
                body.iter().for_each(|body| {
                    writer.uint(3).uint(*body);
                });
            }
            Self::Listing { id, files, more } => {
                begin(&mut writer, 0x50, *id, 2).uint(2).array(files.len());
                for file in files {
                    writer.array(3).text(&file.path).uint(file.size).uint(file.modified_s);
                }
                writer.uint(3).bool(*more);
            }
            Self::Opened { id, root, size, modified_s } => {
                begin(&mut writer, 0x51, *id, 3).uint(2).bytes(root).uint(3).uint(*size).uint(4).uint(*modified_s);
            }
            Self::IdsAre { id, ids } => {
                begin(&mut writer, 0x52, *id, 1).uint(2).bytes(ids.as_flattened());
            }
            Self::Piece { id, offset, last, bytes } => {
                begin(&mut writer, 0x3e, *id, 3).uint(2).uint(*offset).uint(3).bool(*last).uint(4).bytes(bytes);
            }
            Self::Bye { code } => {
                writer.map(2).uint(0).uint(0x3f).uint(2).text(code);
            }
        }
        writer.finish()
    }

    /// Reads a message.
    pub fn decode(message: &[u8]) -> Result<Self, SaidError> {
        let mut reader = Reader::new(message);
        let mut fields = reader.fields()?;
        let said = match fields.required(0, Reader::uint)? {
            0x02 => Self::Hello {
                envelope: fields.required(1, |r| r.bytes())?.to_vec(),
                head: fields.optional(2, |r| bounded(r, SHOWN_HEAD_BYTES_MAX))?.map(<[u8]>::to_vec),
                token: fields.optional(3, |r| short(r, Token::TEXT_BYTES_MAX))?,
            },
            0x03 => Self::Welcome,
            0x09 => Self::Err { id: fields.required(1, Reader::uint)?, code: fields.required(2, code)? },
            0x40 => Self::List { id: fields.required(1, Reader::uint)?, after: fields.required(2, path)? },
            0x41 => Self::Open { id: fields.required(1, Reader::uint)?, path: fields.required(2, path)? },
            0x42 => Self::Ids {
                id: fields.required(1, Reader::uint)?,
                root: fields.required(2, Reader::fixed)?,
                from: fields.required(3, Reader::uint)?,
            },
            0x43 => Self::Chunk {
                id: fields.required(1, Reader::uint)?,
                root: fields.required(2, Reader::fixed)?,
                index: fields.required(3, Reader::uint)?,
            },
            0x33 => Self::Lease {
                id: fields.required(1, Reader::uint)?,
                site: fields.required(2, |r| short(r, SITE_BYTES_MAX))?,
                log: fields.required(3, path)?,
                rights: fields.required(4, rights)?,
                credential: fields.optional(5, |r| bounded(r, CREDENTIAL_BYTES_MAX))?.map(<[u8]>::to_vec),
            },
            0x36 => Self::Handle {
                id: fields.required(1, Reader::uint)?,
                handle: fields.required(2, Reader::uint)?,
                rights: fields.required(3, rights)?,
                size: fields.required(4, Reader::uint)?,
                until_s: fields.required(5, Reader::uint)?,
                head: fields.optional(6, Reader::fixed)?,
                lsn: fields.optional(7, Reader::uint)?,
            },
            0x37 => {
                Self::NeedProof { id: fields.required(1, Reader::uint)?, nonce: fields.required(2, Reader::fixed)? }
            }
            0x32 => Self::Redirect {
                id: fields.required(1, Reader::uint)?,
                to: fields.required(2, |r| short(r, PATH_BYTES_MAX))?,
            },
            0x34 => Self::Read {
                id: fields.required(1, Reader::uint)?,
                handle: fields.required(2, Reader::uint)?,
                from: fields.required(3, Reader::uint)?,
            },
            0x46 => Self::Write {
                id: fields.required(1, Reader::uint)?,
                handle: fields.required(2, Reader::uint)?,
                lsn: fields.required(3, Reader::uint)?,
                entries: fields.required(4, entries)?,
                expect: fields.optional(5, Reader::fixed)?,
            },
            0x56 => Self::Receipt {
                id: fields.required(1, Reader::uint)?,
                position: fields.required(2, Reader::uint)?,
                size: fields.required(3, Reader::uint)?,
                head: fields.required(4, Reader::fixed)?,
            },
            0x30 => Self::Attest {
                id: fields.required(1, Reader::uint)?,
                envelope: fields.required(2, |r| bounded(r, ENVELOPE_BYTES_MAX))?.to_vec(),
            },
            0x08 => Self::Ok { id: fields.required(1, Reader::uint)?, index: fields.optional(2, Reader::uint)? },
            0x31 => Self::Revoke { handle: fields.required(1, Reader::uint)?, code: fields.required(2, code)? },
            0x45 => Self::Stop { id: fields.required(1, Reader::uint)? },
            0x47 => Self::Ask {
                id: fields.required(1, Reader::uint)?,
                target: fields.required(2, |r| short(r, TARGET_BYTES_MAX))?,
                body: fields.optional(3, |r| r.uint_to(ASKED_BYTES_MAX as u64))?,
            },
            0x50 => Self::Listing {
                id: fields.required(1, Reader::uint)?,
                files: fields.required(2, |r| r.list(LISTED_MAX, listed))?,
                more: fields.required(3, Reader::bool)?,
            },
            0x51 => Self::Opened {
                id: fields.required(1, Reader::uint)?,
                root: fields.required(2, Reader::fixed)?,
                size: fields.required(3, Reader::uint)?,
                modified_s: fields.required(4, Reader::uint)?,
            },
            0x52 => Self::IdsAre { id: fields.required(1, Reader::uint)?, ids: fields.required(2, ids)? },
            0x3e => Self::Piece {
                id: fields.required(1, Reader::uint)?,
                offset: fields.required(2, Reader::uint)?,
                last: fields.required(3, Reader::bool)?,
                bytes: Bytes::copy_from_slice(fields.required(4, |r| bounded(r, PIECE_BYTES_MAX))?),
            },
            0x3f => Self::Bye { code: fields.required(2, code)? },
            _ => return Err(SaidError::UnknownType),
        };
        fields.end()?;
        reader.end()?;
        Ok(said)
    }
}

/// Begins a message with an id and `more` fields after it.
fn begin(writer: &mut Writer, kind: u64, id: u64, more: usize) -> &mut Writer {
    writer.map(2 + more).uint(0).uint(kind).uint(1).uint(id)
}

fn bounded<'a>(reader: &mut Reader<'a>, max: usize) -> Result<&'a [u8], WireError> {
    let bytes = reader.bytes()?;
    if bytes.len() <= max { Ok(bytes) } else { Err(WireError::Unexpected) }
}

fn path(reader: &mut Reader<'_>) -> Result<String, WireError> {
    let text = reader.text()?;
    if text.len() <= PATH_BYTES_MAX { Ok(text.to_owned()) } else { Err(WireError::Unexpected) }
}

fn short(reader: &mut Reader<'_>, max: usize) -> Result<String, WireError> {
    let text = reader.text()?;
    if (1..=max).contains(&text.len()) { Ok(text.to_owned()) } else { Err(WireError::Unexpected) }
}

/// To read, or to read and write: nothing else is leased.
fn rights(reader: &mut Reader<'_>) -> Result<Rights, WireError> {
    let rights = Rights::from_bits(reader.uint()?).ok_or(WireError::Unexpected)?;
    let is_leased = rights == Rights::READ || rights == Rights::READ.and(Rights::WRITE);
    if is_leased { Ok(rights) } else { Err(WireError::Unexpected) }
}

/// At least one; none with a line's end inside, all together with theirs no more than fits.
fn entries(reader: &mut Reader<'_>) -> Result<Vec<Vec<u8>>, WireError> {
    let entries = reader.list(ENTRIES_MAX, |r| r.bytes().map(<[u8]>::to_vec))?;
    let bytes: usize = entries.iter().map(|entry| entry.len() + 1).sum();
    let is_one = |entry: &Vec<u8>| !entry.contains(&b'\n');
    let fits = !entries.is_empty() && bytes <= WRITTEN_BYTES_MAX && entries.iter().all(is_one);
    if fits { Ok(entries) } else { Err(WireError::Unexpected) }
}

fn listed(reader: &mut Reader<'_>) -> Result<Listed, WireError> {
    reader.array_of(3)?;
    let (path, size, modified_s) = (path(reader)?, reader.uint()?, reader.uint()?);
    if is_path(&path) { Ok(Listed { path, size, modified_s }) } else { Err(WireError::Unexpected) }
}

fn ids(reader: &mut Reader<'_>) -> Result<Vec<Hash>, WireError> {
    let (ids, rest) = reader.bytes()?.as_chunks::<32>();
    if rest.is_empty() && ids.len() <= IDS_MAX { Ok(ids.to_vec()) } else { Err(WireError::Unexpected) }
}

fn code(reader: &mut Reader<'_>) -> Result<String, WireError> {
    let text = reader.text()?;
    let is_code = text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if is_code && (1..=32).contains(&text.len()) { Ok(text.to_owned()) } else { Err(WireError::Unexpected) }
}
