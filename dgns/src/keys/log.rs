//! The log's keys: those its LogConf lists sign every head (PROTOCOL 7.3).

use identity::key::SigningKey;
use identity::name::Origin;
use translog::batch::Batch;
use translog::entry::Epoch;
use translog::head::{Head, HeadError};
use translog::logconf::Conf;
use translog::note::{LogSigner, Note, VerifierKey};
use translog::tree::Edge;
use translog::trust::Trust;

use crate::log::live::PublicHead;

/// The active keys of a log, oldest first: each signs the checkpoint, the oldest the head in a lookup.
#[derive(Debug)]
pub struct LogKey {
    oldest: LogSigner,
    newer: Vec<LogSigner>,
    origin: Origin,
}

impl LogKey {
    /// Returns the key of a log that has one.
    pub fn new(key: SigningKey, origin: Origin) -> Self {
        Self { oldest: signer(key, &origin), newer: Vec::new(), origin }
    }

    /// Returns the keys that `conf` lists, out of those at hand. Errors: the first one that is missing.
    pub fn active(keys: &[SigningKey], conf: &Conf) -> Result<Self, VerifierKey> {
        let mut signers = Vec::with_capacity(conf.log_keys.len());
        for vkey in &conf.log_keys {
            let key = keys.iter().find(|key| key.public() == *vkey.key()).ok_or_else(|| vkey.clone())?;
            signers.push(signer(key.clone(), &conf.origin));
        }
        let oldest = signers.remove(0); // a Conf lists 1 to 7
        Ok(Self { oldest, newer: signers, origin: conf.origin.clone() })
    }

    /// Returns the oldest key, which heads in lookups are signed by.
    pub fn vkey(&self) -> &VerifierKey {
        self.oldest.verifier_key()
    }

    /// Returns every key, oldest first.
    pub fn vkeys(&self) -> Vec<VerifierKey> {
        self.signers().map(|signer| signer.verifier_key().clone()).collect()
    }

    /// Returns what a client that pinned these keys trusts.
    pub fn trust(&self) -> Trust {
        Trust::new(self.origin.clone(), self.vkeys()).expect("the keys are named like the origin")
    }

    /// Signs the head after a batch.
    pub fn sign_head(&self, batch: &Batch) -> PublicHead {
        let head = Head::sign(&batch.edge, &batch.epoch, &self.oldest).expect("a batch ends with its Epoch");
        let checkpoint = head.checkpoint(&self.origin);
        let lines = self.signers().map(|signer| signer.sign(&checkpoint)).collect();
        let note = Note::new(checkpoint.text(), lines).expect("1 to 7 lines make a note");
        PublicHead { head, note: note.to_string(), epoch: batch.epoch }
    }

    /// Reads a stored note back into a head of the tree with this edge. Errors: the code of what is wrong with it.
    pub fn read_head(&self, note: &[u8], edge: &Edge, epoch: Epoch) -> Result<PublicHead, &'static str> {
        read_head(&self.origin, &self.vkeys(), note, edge, epoch)
    }

    /// Runs a head through the checks of every client: signature, Epoch, last leaf.
    pub fn check_head(&self, head: &Head) -> Result<(), HeadError> {
        check_head(&self.origin, &self.vkeys(), head)
    }

    fn signers(&self) -> impl Iterator<Item = &LogSigner> {
        std::iter::once(&self.oldest).chain(&self.newer)
    }
}

/// Reads a stored note back into a head, by the keys that signed it, oldest first: none of their secrets need be at hand.
pub fn read_head(
    origin: &Origin,
    vkeys: &[VerifierKey],
    note: &[u8],
    edge: &Edge,
    epoch: Epoch,
) -> Result<PublicHead, &'static str> {
    let text = std::str::from_utf8(note).map_err(|_| "bad_note")?;
    let note = Note::parse(note).map_err(|error| error.code())?;
    note.verify(vkeys).map_err(|error| error.code())?;
    let oldest = vkeys.first().ok_or("log_signature")?;
    let line = note.lines().iter().find(|line| line.id == oldest.id()).ok_or("log_signature")?;
    let head = Head {
        size: edge.size(),
        root: edge.root(),
        log_signature: line.signature.as_slice().try_into().map_err(|_| "log_signature")?,
        cosignatures: Vec::new(),
        epoch_entry: epoch.encode().to_vec(),
        path: edge.last_leaf_path(),
    };
    check_head(origin, vkeys, &head).map_err(|error| error.code())?;
    Ok(PublicHead { head, note: text.to_owned(), epoch })
}

fn check_head(origin: &Origin, vkeys: &[VerifierKey], head: &Head) -> Result<(), HeadError> {
    head.verify_log_signature(origin, vkeys)?;
    head.epoch()?;
    head.edge()?;
    Ok(())
}

fn signer(key: SigningKey, origin: &Origin) -> LogSigner {
    LogSigner::new(origin.as_str(), key).expect("every origin is a key name")
}
