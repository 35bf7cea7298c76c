//! A fault that an audit found, as evidence that convicts by itself, where one entry or two show it (PROTOCOL 14.3).

use std::collections::HashMap;

use dgns_api::path;
use identity::state::{State, Subject};
use translog::audit::{AuditFault, Auditor, Target};
use translog::bundle;
use translog::entry::Entry;
use translog::fault::{Accused, FaultFile};
use translog::note::Note;
use translog::proof_file::ProofFile;
use translog::tile::{BundleId, Tile, TileId};
use translog::tree::inclusion_plan;

use crate::session::Session;

/// Returns the file that convicts the log of `fault`, found on the way to the head of `checkpoint`; `None` where nothing but an
/// audit shows it, or the log's files do not lead to that head.
pub(crate) async fn accuse(
    session: &Session,
    auditor: &Auditor,
    fault: &AuditFault,
    checkpoint: &str,
    target: &Target,
) -> Option<FaultFile> {
    let head = SignedHead { session, checkpoint: Note::parse(checkpoint.as_bytes()).ok()?, size: target.size };
    let accused = match fault {
        AuditFault::LastLeaf { size } => Accused::alone(head.proof(size.checked_sub(1)?).await?),
        AuditFault::Entry { index, .. } => Accused::alone(head.proof(*index).await?),
        AuditFault::Epoch { index, .. } => {
            let entry = head.proof(*index).await?;
            match auditor.epoch() {
                None => Accused::alone(entry),
                Some(before) => {
                    let alone = Accused::alone(entry);
                    if let Some(file) = FaultFile::of_entry(session.trust().log_keys(), &alone) {
                        return Some(file);
                    }
                    let before = Some(head.proof(before.covers).await?);
                    Accused { before, history: auditor.history_of_newest(), ..alone }
                }
            }
        }
        AuditFault::Refused { index, .. } => {
            let entry = head.proof(*index).await?;
            let Ok(Entry::Certificate(certificate)) = Entry::decode(entry.extra.as_ref()?) else { return None };
            let leaf = auditor.replay()?.leaf(&Subject::from(certificate.chain()))?;
            let newest = match leaf.state {
                State::Did(did) => did.head,
                State::Alias(alias) => alias.head?,
                _ => return None,
            };
            Accused { before: Some(head.proof(newest.index).await?), ..Accused::alone(entry) }
        }
        _ => return None,
    };
    FaultFile::of_entry(session.trust().log_keys(), &accused)
}

/// The head audited, and whoever serves the log's files.
struct SignedHead<'s> {
    session: &'s Session,
    checkpoint: Note,
    size: u64,
}

impl SignedHead<'_> {
    /// The proof of an entry under this head, made of bundle and tiles: a server of files alone will do.
    async fn proof(&self, index: u64) -> Option<ProofFile> {
        let id = BundleId::of_entry(index, self.size).ok()?;
        let bundle = self.file(&id.to_string()).await?;
        let entry = bundle::decode(id, &bundle).ok()?.get(usize::try_from(index % 256).ok()?)?.to_vec();
        let plan = inclusion_plan(index, self.size).ok()?;
        let (mut tiles, mut nodes) = (HashMap::new(), Vec::new());
        for node in plan.nodes() {
            let id = TileId::of_node(node, self.size).ok()?;
            let path = id.to_string();
            if !tiles.contains_key(&path) {
                let tile = Tile::decode(id, &self.file(&path).await?).ok()?;
                tiles.insert(path.clone(), tile);
            }
            nodes.push(tiles.get(&path)?.node(node).ok()?);
        }
        let mut nodes = nodes.into_iter();
        let path = plan.fold(|_| nodes.next().ok_or(())).ok()?;
        Some(ProofFile { extra: Some(entry), index, path, checkpoint: self.checkpoint.clone() })
    }

    async fn file(&self, name: &str) -> Option<Vec<u8>> {
        self.session.get(&format!("{}/{name}", path::LOG)).await.ok()
    }
}
