//! What a host serves, and how it is asked for inside a channel (PROTOCOL 23.12).
//!
//! Files are asked for by content: opening one names its root, and every chunk is checked by its id before it is used, so a
//! download that broke goes on wherever it stood, and bytes that are not the file's are nobody's.

mod contents;
mod credential;
mod rows;

use bytes::Bytes;
use identity::hash::Hash;
use identity::token::Rights;
use identity::wire::WireError;

use crate::limits::PATH_BYTES_MAX;

pub use contents::{BadContents, Contents};
pub use credential::{BadCredential, Credential, Shown};

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
        /// By a client: a token for the host, whose rights the connection then has as well.
        token: Option<String>,
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
    /// C 33: wants to read a log, or to write to it; answered by 36, 37 or 32.
    Lease {
        /// Comes back.
        id: u64,
        /// The name that is hosted.
        site: String,
        /// The file.
        log: String,
        /// What for: [`Rights::READ`], and [`Rights::WRITE`] to write.
        rights: Rights,
        /// What was asked for by 37: a credential, encoded ([`Credential`]).
        credential: Option<Vec<u8>>,
    },
    /// H 36: leased.
    Handle {
        /// Of the request.
        id: u64,
        /// What names the lease.
        handle: u64,
        /// What it allows.
        rights: Rights,
        /// The bytes of the log now.
        size: u64,
        /// When it ends, Unix seconds by the host's clock.
        until_s: u64,
        /// To write: SHA-256 of the log as it is now.
        head: Option<Hash>,
        /// To write: the last number of this device's that the log has; 0 for none.
        lsn: Option<u64>,
    },
    /// H 37: not by the host's rules alone; a grant or a token is to be shown, with this nonce.
    NeedProof {
        /// Of the request.
        id: u64,
        /// Good once, for a minute, in this connection.
        nonce: [u8; 32],
    },
    /// H 32: the log is elsewhere.
    Redirect {
        /// Of the request.
        id: u64,
        /// A name, or a URL.
        to: String,
    },
    /// C 34: a log from a place on, and whatever is added to it; pieces come in bulk until it is stopped.
    Read {
        /// Comes back.
        id: u64,
        /// What was leased.
        handle: u64,
        /// The place.
        from: u64,
    },
    /// C 45: no more of a read.
    Stop {
        /// Of the read.
        id: u64,
    },
    /// C 46: entries for the end of a log, all or none of them.
    Write {
        /// Comes back.
        id: u64,
        /// What was leased.
        handle: u64,
        /// The number of the first: this device's last in this log and one.
        lsn: u64,
        /// They: lines without their ends.
        entries: Vec<Vec<u8>>,
        /// What the head must be; absent: whatever it is.
        expect: Option<Hash>,
    },
    /// H 56: they are on disk.
    Receipt {
        /// Of the request.
        id: u64,
        /// Where the first of them begins.
        position: u64,
        /// The bytes of the log behind the last.
        size: u64,
        /// SHA-256 of so many bytes of the log.
        head: Hash,
    },
    /// C 30: a certificate for the log of names, or a grant that counts for later leases; answered by 08.
    Attest {
        /// Comes back.
        id: u64,
        /// It.
        envelope: Vec<u8>,
    },
    /// H 08: done.
    Ok {
        /// Of the request.
        id: u64,
        /// Of a certificate: its index.
        index: Option<u64>,
    },
    /// H 31: a handle ended; the connection goes on.
    Revoke {
        /// Which.
        handle: u64,
        /// Why.
        code: String,
    },
    /// C 47: a request for the databases' store (PROTOCOL 25.8), which the host passes on; the answer's bytes come in bulk.
    Ask {
        /// Comes back.
        id: u64,
        /// Path and query.
        target: String,
        /// To post: how many bytes were sent before, in pieces with this id.
        body: Option<u64>,
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
    /// 3e: a part of what was asked for, in bulk by a host; by a client a part of what it posts, before 47.
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
    /// Returns the request that a host's message answers, if it answers one.
    pub fn answers(&self) -> Option<u64> {
        match self {
            Self::Err { id, .. }
            | Self::Ok { id, .. }
            | Self::Listing { id, .. }
            | Self::Opened { id, .. }
            | Self::IdsAre { id, .. }
            | Self::Handle { id, .. }
            | Self::NeedProof { id, .. }
            | Self::Redirect { id, .. }
            | Self::Receipt { id, .. } => Some(*id),
            _ => None,
        }
    }
}

/// Returns whether text is the path of a file as hosts serve them: parts between slashes, none of them empty or hidden.
pub fn is_path(text: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\0', '\\']);
    text.len() <= PATH_BYTES_MAX && text.split('/').all(is_part) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests;
