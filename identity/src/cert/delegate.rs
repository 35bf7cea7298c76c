//! What a certificate says of a delegation: which servers answer for a name and all below it, and whose log proves it (PROTOCOL 4.4, 4.7).

use super::body::{Fields, read_name};
use super::{DecodeError, KeyBytes};
use crate::limits::{
    DELEGATION_DS_MAX, DELEGATION_GLUE_MAX, DELEGATION_POLICY_BYTES_MAX, DELEGATION_SERVERS_MAX, SERVER_URL_BYTES_MAX,
};
use crate::wire::{Reader, Writer};

/// Type 13: who answers for a name from now on. Keys: 1 name, 2 servers, 3 DS, 4 URL, 5 log key, 6 glue, 7 policy.
///
/// It replaces the delegation before it as a whole. Without servers it has no other key either, and ends the delegation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegate {
    /// Key 1: the absolute name.
    pub name: String,
    /// Key 2: the name servers, by host name; strictly ascending, at most 8.
    pub servers: Vec<String>,
    /// Key 3: digests of the child's keys, each the data of a DS record (RFC 4034 section 5.1); strictly ascending, at most 4. None: the
    /// child is not signed.
    pub ds: Vec<Vec<u8>>,
    /// Key 6: addresses of servers at or below the name; strictly ascending, at most 16.
    pub glue: Vec<Glue>,
    /// Keys 4, 5 and 7; `None`: nothing below the name can be proved.
    pub log: Option<ChildLog>,
}

/// An address of a name server: `[host, address]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glue {
    /// One of the servers.
    pub host: String,
    /// 4 or 16 bytes.
    pub address: Vec<u8>,
}

/// The log that proves names below a delegated one. Its origin is `<name>/log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildLog {
    /// Key 4: where it is read over HTTP, visible ASCII of at most 128 bytes; a hint alone.
    pub url: Option<String>,
    /// Key 5: the Ed25519 key that signs its heads.
    pub key: KeyBytes,
    /// Key 7: the policy by which its heads are judged, at most 1,024 bytes of lines; absent: the reader's own.
    pub policy: Option<String>,
}

impl Delegate {
    /// Returns whether it ends the delegation.
    pub fn is_end(&self) -> bool {
        self.servers.is_empty()
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        let (url, policy) = self.log.as_ref().map_or((None, None), |log| (log.url.as_ref(), log.policy.as_ref()));
        let present = [
            !self.servers.is_empty(),
            !self.ds.is_empty(),
            url.is_some(),
            self.log.is_some(),
            !self.glue.is_empty(),
            policy.is_some(),
        ];
        writer.map(1 + present.iter().filter(|there| **there).count()).uint(1).text(&self.name);
        if !self.servers.is_empty() {
            writer.uint(2).array(self.servers.len());
            for host in &self.servers {
                writer.text(host);
            }
        }
        if !self.ds.is_empty() {
            writer.uint(3).array(self.ds.len());
            for ds in &self.ds {
                writer.bytes(ds);
            }
        }
        if let Some(url) = url {
            writer.uint(4).text(url);
        }
        if let Some(log) = &self.log {
            writer.uint(5).bytes(&log.key);
        }
        if !self.glue.is_empty() {
            writer.uint(6).array(self.glue.len());
            for glue in &self.glue {
                writer.array(2).text(&glue.host).bytes(&glue.address);
            }
        }
        if let Some(policy) = policy {
            writer.uint(7).text(policy);
        }
    }

    /// Reads it within its bounds; what its fields may say is judged by [`crate::record::check_delegate`].
    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        let name = fields.required(1, read_name)?;
        let servers = fields.optional(2, |r| r.list(DELEGATION_SERVERS_MAX, read_text))?.unwrap_or_default();
        let ds = fields.optional(3, |r| r.list(DELEGATION_DS_MAX, read_bytes))?.unwrap_or_default();
        let url = fields.optional(4, read_text)?;
        let key = fields.optional(5, |r| r.fixed())?;
        let glue = fields.optional(6, |r| r.list(DELEGATION_GLUE_MAX, read_glue))?.unwrap_or_default();
        let policy = fields.optional(7, read_text)?;
        let hints_fit = url.as_deref().is_none_or(is_url) && policy.as_deref().is_none_or(is_policy);
        let log = match key {
            Some(key) => Some(ChildLog { url, key, policy }),
            None if url.is_some() || policy.is_some() => return Err(DecodeError::BadField),
            None => None,
        };
        let ascends =
            servers.is_sorted_by(|a, b| a < b) && ds.is_sorted_by(|a, b| a < b) && glue.is_sorted_by(|a, b| a < b);
        let is_whole = !servers.is_empty() || ds.is_empty() && glue.is_empty() && log.is_none();
        if ascends && hints_fit && is_whole {
            Ok(Self { name, servers, ds, glue, log })
        } else {
            Err(DecodeError::BadField)
        }
    }
}

fn read_text(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    Ok(reader.text()?.to_owned())
}

fn read_bytes(reader: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    Ok(reader.bytes()?.to_vec())
}

fn read_glue(reader: &mut Reader<'_>) -> Result<Glue, DecodeError> {
    reader.array_of(2)?;
    Ok(Glue { host: read_text(reader)?, address: read_bytes(reader)? })
}

fn is_url(url: &str) -> bool {
    (1..=SERVER_URL_BYTES_MAX).contains(&url.len()) && url.bytes().all(|b| b.is_ascii_graphic())
}

/// Lines of printable ASCII: what they say is the reader's to judge.
fn is_policy(policy: &str) -> bool {
    (1..=DELEGATION_POLICY_BYTES_MAX).contains(&policy.len())
        && policy.bytes().all(|b| b == b'\n' || b == b' ' || b.is_ascii_graphic())
}
