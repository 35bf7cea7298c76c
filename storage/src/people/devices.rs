//! What devices hand to each other: messages of a pairing, attachments of certificates, sealed mail, names for each other.

use identity::did::Did;
use identity::hash::Hash;

use super::People;
use crate::fault::StorageError;
use crate::table::{attachments, envelopes, pair_messages};

/// Messages of one pairing: a whole one has six.
pub const PAIR_MESSAGES_MAX: usize = 32;

/// Messages of all pairings: 800 MB at the most.
const PAIR_MESSAGES_IN_ALL: u64 = 200_000;

/// How long a pairing lasts after its first message, s.
const PAIR_S: u64 = 3_600;

/// Envelopes that wait for one device.
pub const ENVELOPES_MAX: u64 = 256;

/// How long an envelope waits, s.
const ENVELOPE_S: u64 = 30 * 86_400;

/// After how long an attachment whose certificate was never taken may go, s.
const ORPHAN_S: u64 = 3_600;

/// Attachments with the generation of the user key each belongs to.
pub type AttachmentRow<'a> = (Did, u64, Hash, &'a [u8]);

impl People {
    /// Adds a message to a pairing and returns its place, counted from 1; the same bytes again have the place they had.
    ///
    /// `None` if the pairing, or the relay, is full.
    pub async fn put_pair_message(
        &self,
        session: &[u8; 16],
        body: &[u8],
        now_s: u64,
    ) -> Result<Option<u64>, StorageError> {
        let mut tx = self.database().write().await?;
        let swept = pair_messages::sweep(&mut tx, now_s).await?;
        let rows = pair_messages::after(&mut tx, session, 0, now_s).await?;
        if let Some(known) = rows.iter().find(|row| row.body == body) {
            tx.commit(0).await?;
            return Ok(Some(known.place));
        }
        let full = rows.len() >= PAIR_MESSAGES_MAX || pair_messages::count(&mut tx).await? >= PAIR_MESSAGES_IN_ALL;
        if full {
            tx.commit(swept).await?;
            return Ok(None);
        }
        let place = rows.last().map_or(1, |last| last.place + 1);
        let until_s = rows.first().map_or(now_s + PAIR_S, |first| first.until_s);
        pair_messages::insert(&mut tx, session, &pair_messages::Row { place, body: body.to_vec(), until_s }).await?;
        tx.commit(1 + swept).await?;
        Ok(Some(place))
    }

    /// Returns the messages of a pairing behind place `after`, with their places.
    pub async fn pair_messages(
        &self,
        session: &[u8; 16],
        after: u64,
        now_s: u64,
    ) -> Result<Vec<(u64, Vec<u8>)>, StorageError> {
        let rows = pair_messages::after(&mut *self.database().reader().await, session, after, now_s).await?;
        Ok(rows.into_iter().map(|row| (row.place, row.body)).collect())
    }

    /// Keeps attachments before their certificates are committed. A crash in between leaves rows nobody is shown, and the client's
    /// repeat finds them there.
    pub async fn put_attachments(&self, rows: &[AttachmentRow<'_>], now_s: u64) -> Result<(), StorageError> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut tx = self.database().write().await?;
        for (did, generation, hash, body) in rows {
            attachments::forget_others(&mut tx, did, *generation, hash, now_s.saturating_sub(ORPHAN_S)).await?;
            attachments::insert(&mut tx, did, *generation, hash, body, now_s).await?;
        }
        tx.commit(rows.len()).await
    }

    /// Returns an attachment of this DID.
    pub async fn attachment(&self, did: &Did, hash: &Hash) -> Result<Option<Vec<u8>>, StorageError> {
        attachments::body(&mut *self.database().reader().await, did, hash).await
    }

    /// Returns generation and hash of this DID's attachments, up to the generation `newest`.
    pub async fn attachments(&self, did: &Did, newest: u64) -> Result<Vec<(u64, Hash)>, StorageError> {
        attachments::list(&mut *self.database().reader().await, did, newest).await
    }

    /// Puts sealed mail before a device; false if too much waits there. The same bytes twice are there once.
    pub async fn put_envelope(&self, recipient: &[u8; 32], body: &[u8], now_ms: u64) -> Result<bool, StorageError> {
        let now_s = now_ms / 1_000;
        let mut tx = self.database().write().await?;
        let swept = envelopes::sweep(&mut tx, now_s).await?;
        if envelopes::is_there(&mut tx, recipient, body, now_s).await? {
            tx.commit(0).await?;
            return Ok(true);
        }
        let fits = envelopes::waiting(&mut tx, recipient, now_s).await? < ENVELOPES_MAX;
        if fits {
            envelopes::insert(&mut tx, recipient, now_ms, body, now_s + ENVELOPE_S).await?;
        }
        tx.commit(1 + swept).await?;
        Ok(fits)
    }

    /// Deletes a device's mail up to `after`, which it has, and returns what is behind, 64 at most.
    pub async fn envelopes_after(
        &self,
        recipient: &[u8; 32],
        after: u64,
        now_s: u64,
    ) -> Result<Vec<(u64, Vec<u8>)>, StorageError> {
        if after > 0 {
            let mut tx = self.database().write().await?;
            let taken = envelopes::take(&mut tx, recipient, after).await?;
            tx.commit(taken).await?;
        }
        envelopes::after(&mut *self.database().reader().await, recipient, after, now_s).await
    }

    /// Keeps what a DID calls one of its devices, sealed; nothing at all takes the name away.
    pub async fn put_label(&self, did: &Did, kid: &[u8; 8], sealed: &[u8]) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        match sealed.is_empty() {
            true => attachments::drop_label(&mut tx, did, kid).await?,
            false => attachments::put_label(&mut tx, did, kid, sealed).await?,
        }
        tx.commit(1).await
    }

    /// Returns what a DID calls its devices, sealed, by kid.
    pub async fn labels(&self, did: &Did) -> Result<Vec<([u8; 8], Vec<u8>)>, StorageError> {
        attachments::labels(&mut *self.database().reader().await, did).await
    }
}
