//! Two signed heads that contradict each other: kinds `same-size`, `prefix`, `cosigner`.

use identity::hash::Hash;

use super::{Conviction, FaultFile, FaultKind, NoConviction, Proved};
use crate::limits::PATH_HASHES_MAX;
use crate::note::{Checkpoint, KeyKind, Note, VerifierKey};
use crate::tree::consistency_roots;

impl FaultFile {
    /// Returns the file that two notes of a log make, if they convict it.
    ///
    /// `path` is a consistency proof that came with the larger note; for equal sizes it plays no part. For whoever holds a head
    /// and is given another: a client, a witness.
    pub fn contradiction(log_keys: &[VerifierKey], notes: [&Note; 2], path: &[Hash]) -> Option<Self> {
        let kinds = [FaultKind::SameSize, FaultKind::Prefix];
        let mut files = kinds.into_iter().filter_map(|kind| Self::of_notes(kind, log_keys, notes, path));
        files.find(|file| file.check().is_ok())
    }

    /// Returns the file that two notes make, if they convict this witness, which cosigned both; `log_keys` are of their log.
    pub fn contradiction_of_witness(
        witness: &VerifierKey,
        log_keys: &[VerifierKey],
        notes: [&Note; 2],
        path: &[Hash],
    ) -> Option<Self> {
        let file = Self::of_notes(FaultKind::Cosigner, log_keys, notes, path)?;
        Some(file.with_part("cosigner", witness.to_string().as_bytes())).filter(|file| file.check().is_ok())
    }

    /// The file of two notes, the smaller head first.
    fn of_notes(kind: FaultKind, log_keys: &[VerifierKey], notes: [&Note; 2], path: &[Hash]) -> Option<Self> {
        let size = |note: &Note| Checkpoint::parse_extended(note.text()).map(|head| head.size).ok();
        let [known, offered] = notes;
        let (first, second) = if size(known)? <= size(offered)? { (known, offered) } else { (offered, known) };
        let file = Self::new(kind, log_keys).with_part("first", first.to_string().as_bytes());
        let file = file.with_part("second", second.to_string().as_bytes());
        Some(if path.is_empty() { file } else { file.with_part("path", path.as_flattened()) })
    }

    pub(super) fn check_heads(&self) -> Result<Conviction, NoConviction> {
        let note = |name| self.part(name).and_then(|bytes| Note::parse(bytes).ok()).ok_or(NoConviction::Part);
        let notes = [note("first")?, note("second")?];
        let accused = match self.kind() {
            FaultKind::Cosigner => vec![self.cosigner().ok_or(NoConviction::Part)?],
            _ => self.log_keys().to_vec(),
        };
        let signed_both =
            |key: &&VerifierKey| notes.iter().all(|note| note.verify(core::slice::from_ref(*key)).is_ok());
        let key = accused.iter().find(signed_both).ok_or(NoConviction::Signature)?.clone();
        let head = |note: &Note| Checkpoint::parse_extended(note.text()).map_err(|_| NoConviction::Part);
        let [first, second] = [head(&notes[0])?, head(&notes[1])?];
        // A log speaks of itself; a witness of many logs, each with a history of its own.
        let origin = if self.kind() == FaultKind::Cosigner { &first.origin } else { key.name() };
        if first.origin != origin || second.origin != origin {
            return Err(NoConviction::Part);
        }
        let equal_sizes = match self.kind() {
            FaultKind::SameSize => true,
            FaultKind::Prefix => false,
            _ => first.size == second.size,
        };
        let contradicts = match equal_sizes {
            true => first.size == second.size && first.root != second.root,
            false => self.does_not_begin(&first, &second)?,
        };
        let conviction = Conviction { key, heads: vec![first, second], proved: Proved::TwoHistories };
        if contradicts { Ok(conviction) } else { Err(NoConviction::Consistent) }
    }

    /// The witness accused.
    fn cosigner(&self) -> Option<VerifierKey> {
        let text = core::str::from_utf8(self.part("cosigner")?).ok()?;
        VerifierKey::parse(text).ok().filter(|key| key.kind() == KeyKind::Cosigner)
    }

    /// Whether the path leads to the larger tree's root, and in it to another root of the smaller size.
    fn does_not_begin(&self, smaller: &Checkpoint, larger: &Checkpoint) -> Result<bool, NoConviction> {
        let path = self.part("path").and_then(path_of).ok_or(NoConviction::Part)?;
        let (seed, rest) = path.split_first().ok_or(NoConviction::Part)?;
        let roots = consistency_roots(smaller.size, larger.size, *seed, rest);
        let (within, whole) = roots.map_err(|_| NoConviction::Part)?;
        Ok(whole == larger.root && within != smaller.root)
    }
}

/// Returns the hashes of a path, 32 bytes each.
pub(super) fn path_of(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    (rest.is_empty() && hashes.len() <= PATH_HASHES_MAX + 1).then(|| hashes.to_vec())
}
