//! What a host serves, and how it is asked for inside a channel (PROTOCOL 23.12).
//!
//! Files are asked for by content: opening one names its root, and every chunk is checked by its id before it is used, so a
//! download that broke goes on wherever it stood, and bytes that are not the file's are nobody's.

mod contents;

use bytes::Bytes;
use identity::hash::Hash;
use identity::wire::{Reader, WireError, Writer};

use crate::limits::{IDS_MAX, LISTED_MAX, PATH_BYTES_MAX, PIECE_BYTES_MAX, SHOWN_HEAD_BYTES_MAX};

pub use contents::{BadContents, Contents};

/// Why bytes are not a message of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaidError {
    /// Not of the form. Code `bad_frame`.
    #[error("not a message of this protocol")]
    BadFrame,
    /// A type that is not known. Code `unknown_type`.
    #[error("messages of this type are not known")]
    UnknownType,
}

impl SaidError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BadFrame => "bad_frame",
            Self::UnknownType => "unknown_type",
        }
    }
}

impl From<WireError> for SaidError {
    fn from(_: WireError) -> Self {
        Self::BadFrame
    }
}

/// A file in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its path: parts between slashes.
    pub path: String,
    /// Its bytes.
    pub size: u64,
    /// When it changed last, Unix seconds by the host's clock; advisory.
    pub modified_s: u64,
}

/// A message. C = by the client, H = by the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// 02, both: the first word of either.
    Hello {
        /// The hello, signed.
        envelope: Vec<u8>,
        /// The newest head it verified.
        head: Option<Vec<u8>>,
    },
    /// H 03: the client's hello is good; it may ask.
    Welcome,
    /// H 09: not done.
    Err {
        /// Of the request.
        id: u64,
        /// Why.
        code: String,
    },
    /// C 40: which files come after this path.
    List {
        /// Comes back.
        id: u64,
        /// The last path known; empty at first.
        after: String,
    },
    /// C 41: what a file's contents are.
    Open {
        /// Comes back.
        id: u64,
        /// The file.
        path: String,
    },
    /// C 42: the ids of its chunks.
    Ids {
        /// Comes back.
        id: u64,
        /// The contents.
        root: Hash,
        /// The first one wanted.
        from: u64,
    },
    /// C 43: a chunk; its pieces come in bulk.
    Chunk {
        /// Comes back.
        id: u64,
        /// The contents.
        root: Hash,
        /// Which.
        index: u64,
    },
    /// C 44: a file from a place on, and whatever is added to it; pieces come in bulk until it is stopped.
    Tail {
        /// Comes back.
        id: u64,
        /// The file.
        path: String,
        /// The place.
        from: u64,
    },
    /// C 45: no more of a tail.
    Stop {
        /// Of the tail.
        id: u64,
    },
    /// H 50: to 40.
    Listing {
        /// Of the request.
        id: u64,
        /// Files, by path.
        files: Vec<Listed>,
        /// Whether there are more.
        more: bool,
    },
    /// H 51: to 41.
    Opened {
        /// Of the request.
        id: u64,
        /// What names the contents.
        root: Hash,
        /// The bytes.
        size: u64,
        /// As in [`Listed`].
        modified_s: u64,
    },
    /// H 52: to 42.
    IdsAre {
        /// Of the request.
        id: u64,
        /// They, one after another.
        ids: Vec<Hash>,
    },
    /// H 3e, in bulk: a part of what was asked for.
    Piece {
        /// Of the request.
        id: u64,
        /// Its place: in the chunk, or in the file of a tail.
        offset: u64,
        /// Whether it is the chunk's last.
        last: bool,
        /// They.
        bytes: Bytes,
    },
    /// 3f, both: the end, and why.
    Bye {
        /// Why.
        code: String,
    },
}

impl Said {
    /// Returns the bytes of a message; at most 16,384.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(64);
        match self {
            Self::Hello { envelope, head } => {
                writer.map(2 + usize::from(head.is_some())).uint(0).uint(0x02).uint(1).bytes(envelope);
                head.iter().for_each(|head| {
                    writer.uint(2).bytes(head);
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
            Self::Tail { id, path, from } => {
                begin(&mut writer, 0x44, *id, 2).uint(2).text(path).uint(3).uint(*from);
            }
            Self::Stop { id } => {
                begin(&mut writer, 0x45, *id, 0);
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
            0x44 => Self::Tail {
                id: fields.required(1, Reader::uint)?,
                path: fields.required(2, path)?,
                from: fields.required(3, Reader::uint)?,
            },
            0x45 => Self::Stop { id: fields.required(1, Reader::uint)? },
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

/// Returns whether text is the path of a file as hosts serve them: parts between slashes, none of them empty or hidden.
pub fn is_path(text: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\0', '\\']);
    text.len() <= PATH_BYTES_MAX && text.split('/').all(is_part) && !text.chars().any(char::is_control)
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

#[cfg(test)]
mod tests;
