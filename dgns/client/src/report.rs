//! Evidence reported to a log, which says so in a Notice: others who read that log meet it (PROTOCOL 7.6, 12.8).

use std::time::Duration;

use dgns_api::{notice, path};
use tokio::time::Instant;
use translog::entry::{Entry, Notice};
use translog::fault::{Conviction, FaultFile};
use translog::hash::{leaf_hash, sha256};
use translog::proof_file::ProofFile;
use translog::tree::verify_inclusion;

use crate::error::ClientError;
use crate::session::Session;

/// How long the head that lookups show may take to cover a new entry: witnesses may have to sign first.
const COVERED_WITHIN: Duration = Duration::from_secs(10);

/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(250);

/// A Notice that stands in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// Its log index.
    pub index: u64,
    /// The Notice.
    pub notice: Notice,
    /// What the evidence proves.
    pub conviction: Conviction,
    /// The size of a head that covers it and passed every check a lookup's head passes.
    pub size: u64,
}

/// Brings a fault file to a log that watches whom it convicts, and verifies that its Notice stands there.
///
/// Errors: [`ClientError::Unable`] if the file convicts nobody, [`ClientError::Refused`] if the server takes no Notice of it,
/// [`ClientError::Proof`] if what it answers is no proof of one.
pub async fn report(session: &Session, evidence: Vec<u8>) -> Result<Reported, ClientError> {
    let file = FaultFile::decode(&evidence).map_err(|error| ClientError::Unable(error.to_string()))?;
    let conviction = file.check().map_err(|why| ClientError::Unable(format!("it convicts nobody: {why}")))?;
    if evidence.len() > notice::POST_BYTES_MAX {
        return Err(ClientError::Unable(format!("a report takes at most {} bytes", notice::POST_BYTES_MAX)));
    }
    let evidence_hash = sha256(&[&evidence]);
    let proof = session.post_evidence(evidence).await?;
    let (index, entry) = proved_entry(session, &proof)?;
    let notice = match Entry::decode(&entry) {
        Ok(Entry::Notice(notice)) if notice.evidence_hash == evidence_hash => notice,
        _ => return Err(ClientError::proof("notice", "the entry shown is no Notice of this evidence")),
    };
    let size = covered(session, index, &entry).await?;
    Ok(Reported { index, notice, conviction, size })
}

/// The entry that a `.tlog-proof` of this log proves, with its index.
fn proved_entry(session: &Session, proof: &[u8]) -> Result<(u64, Vec<u8>), ClientError> {
    let trust = session.trust();
    let fault = |error: translog::proof_file::ProofFileError| ClientError::proof(error.code(), error.to_string());
    let file = ProofFile::parse(proof).map_err(fault)?;
    let entry = file.extra.clone().unwrap_or_default();
    file.verify(&entry, trust.origin().as_str(), trust.log_keys()).map_err(fault)?;
    Ok((file.index, entry))
}

/// Waits for a head that covers the entry, holds it against what is remembered, and the entry against it; returns its size.
async fn covered(session: &Session, index: u64, entry: &[u8]) -> Result<u64, ClientError> {
    let began = Instant::now();
    let server = session.info().await?.server_did;
    let server = server.parse().map_err(|_| ClientError::proof("malformed", format!("{server} is no DID")))?;
    let head = loop {
        let head = session.resolve_did(&server).await?.head().clone();
        if head.size > index {
            break head;
        }
        if began.elapsed() > COVERED_WITHIN {
            return Err(ClientError::Network(format!("no head shown covers entry {index} yet")));
        }
        tokio::time::sleep(PAUSE).await;
    };
    let bytes = session.get(&format!("{}?index={index}&size={}", path::PROOF, head.size)).await?;
    let (hashes, rest) = bytes.as_chunks::<32>();
    let verified = verify_inclusion(&leaf_hash(entry), index, head.size, hashes, &head.root);
    match verified {
        Ok(()) if rest.is_empty() => Ok(head.size),
        _ => Err(ClientError::proof("inclusion", format!("entry {index} is not in the log that is shown to others"))),
    }
}
