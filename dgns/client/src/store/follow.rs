//! Reading a log so that nobody can show another one later: the tree grows from the entries themselves, must end in the signed head,
//! and must continue the head that is remembered.

use std::collections::HashMap;

use dgns_api::path;
use dgns_api::store::acl::{Acl, Part};
use dgns_api::store::answer::Range;
use dgns_api::store::entry::{Entry, LogId};
use dgns_api::store::head::SignedHead;
use identity::cert::KeyBytes;
use identity::hash::Hash;
use translog::hash::EMPTY_ROOT;
use translog::tree::{Edge, verify_consistency};

use super::evidence::{self, Met};
pub use super::kept::left;
use super::kept::{Kept, keep_head};
use super::people::People;
use crate::error::ClientError;
use crate::session::{Session, Signer};

/// What a server answers that does not have what is asked for.
const GONE: [&str; 2] = ["range", "not_found"];

/// A reader of one log.
#[derive(Debug)]
pub struct Follower {
    log: LogId,
    /// The place of the next entry.
    next: u64,
    /// The tree up to there, once it is known.
    edge: Option<Edge>,
    people: People,
    /// Whether it began with the first entry.
    whole: bool,
    /// The newest lsn and leaf of each device that was met in the log of the newest entry.
    lasts: HashMap<KeyBytes, (u64, Hash)>,
    /// That log.
    lasts_of: Option<LogId>,
    /// The epoch of the newest entry.
    epoch: u64,
    /// The head that it begins behind, where somebody named one.
    behind: Option<(u64, Hash)>,
    /// The parts that were appended to other logs; `None`: they are not known, and whoever reads judges to which log an entry belongs.
    parts: Option<Vec<Part>>,
    /// Whether the log was proved to have all of them.
    based: bool,
    /// How it ended at the server that it left, where its owners moved it.
    left: Option<(u64, Hash)>,
}

impl Follower {
    /// Returns a reader that begins at the place `from`.
    pub fn from(log: LogId, from: u64) -> Self {
        let (edge, people, lasts) = ((from == 0).then(Edge::new), People::default(), HashMap::new());
        Self {
            log,
            next: from,
            edge,
            people,
            whole: from == 0,
            lasts,
            lasts_of: None,
            epoch: 0,
            behind: None,
            parts: Some(Vec::new()),
            based: false,
            left: None,
        }
    }

    /// Returns a reader that begins behind a head that somebody named: what is read first is refused (`snapshot_head`) if the log has
    /// another root there. As with [`Follower::from`], what stands before is not known: of each device, any entry may be the first.
    pub fn behind(log: LogId, (size, root): (u64, Hash)) -> Self {
        Self { behind: Some((size, root)), ..Self::from(log, size) }
    }

    /// As [`Follower::from`], of a log that goes on from others.
    pub fn with_parts(self, parts: &[Part]) -> Self {
        Self { parts: Some(parts.to_vec()), ..self }
    }

    /// As [`Follower::from`], of a log that may go on from others: from which, and how far, is judged by whoever reads.
    pub fn with_any_parts(self) -> Self {
        Self { parts: None, ..self }
    }

    /// As [`Follower::from`] the first entry on, of a log that has to begin with what it had at the server that it left.
    pub(super) fn with_left(self, left: Option<(u64, Hash)>) -> Self {
        Self { left, ..self }
    }

    /// Returns the place of the next entry.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Returns the root of the tree up to there; `None` until something was read, if it began behind the first entry.
    pub fn root(&self) -> Option<Hash> {
        self.edge.as_ref().map(Edge::root)
    }

    /// Returns the next entries with the size of the log, all of them checked; waits for up to `wait_s` seconds if there are none. With a limit of
    /// 0 the size alone.
    ///
    /// Errors: [`ClientError::Proof`] with the evidence kept if the log went back, was changed, or is not what its server signed.
    pub async fn read(
        &mut self,
        session: &Session,
        signer: Signer<'_>,
        limit: u64,
        wait_s: u64,
    ) -> Result<(Vec<Entry>, u64), ClientError> {
        if !self.based {
            self.base(session, signer).await?;
        }
        self.go_on(session, signer, limit, wait_s).await
    }

    /// Proves that the log has all that it goes on from: no entry of it is shown before. The head is remembered, and what is read continues it.
    async fn base(&mut self, session: &Session, signer: Signer<'_>) -> Result<(), ClientError> {
        if let Some(last) = self.parts.iter().flatten().last() {
            let mut behind = Self { parts: self.parts.clone(), ..Self::from(self.log, last.size) };
            match behind.go_on(session, signer, 0, 0).await {
                Err(ClientError::Refused(problem)) if problem.code == "range" => return Err(short_of(last.size)),
                read => read?,
            };
        }
        self.based = true;
        Ok(())
    }

    async fn go_on(
        &mut self,
        session: &Session,
        signer: Signer<'_>,
        limit: u64,
        wait_s: u64,
    ) -> Result<(Vec<Entry>, u64), ClientError> {
        let kept = Kept::read(session, &self.log)?;
        let old = kept.head.as_ref().map(|head| head.head().size);
        let mut target = format!("{}{}/entries?from={}&limit={limit}", path::LOGS, self.log, self.next);
        old.iter().for_each(|old| target.push_str(&format!("&old={old}")));
        if wait_s > 0 {
            target.push_str(&format!("&wait={wait_s}"));
        }
        let bytes = match session.get_signed(signer, &target).await {
            // What was proved to be there once is gone.
            Err(ClientError::Refused(problem)) if old.is_some() && GONE.contains(&problem.code.as_str()) => {
                return Err(self.shrunk(session, signer, &kept, &problem.detail).await);
            }
            // Whoever has the control log knows whether that is so.
            Err(ClientError::Refused(problem)) if problem.code == "trimmed" => {
                return Err(ClientError::Trimmed { log: self.log, pos: self.next });
            }
            answer => answer?,
        };
        let range = Range::decode(&bytes).map_err(|error| malformed(&error.to_string()))?;
        self.check(session, &kept, &range).await?;
        if limit > 0 && range.entries.is_empty() && self.next < range.head.head().size {
            return Err(malformed("no entries although there are some"));
        }
        let size = range.head.head().size;
        keep_head(session, &self.log, range.head)?;
        Ok((range.entries, size))
    }

    /// Checks a range and moves on behind it.
    async fn check(&mut self, session: &Session, kept: &Kept, range: &Range) -> Result<(), ClientError> {
        let head = range.head.head();
        if range.from != self.next || head.log != self.log {
            return Err(malformed("another range than the one asked for"));
        }
        self.people.check_head(session, &range.head).await?;
        check_continues(session, kept, &range.head, &range.consistency).await?;
        self.check_size(head.size)?;
        let mut edge = match &self.edge {
            Some(edge) => edge.clone(),
            None => {
                let (last, path) = range.edge.split_first().ok_or_else(|| malformed("no edge"))?;
                Edge::from_parts(range.from, *last, path).map_err(|error| malformed(error.code()))?
            }
        };
        let (first, mut parted) = ((edge.size(), edge.root()), self.check_part(&edge));
        for (pos, entry) in (self.next..).zip(&range.entries) {
            if self.log_at(pos).is_some_and(|log| entry.header().log != log) {
                return Err(malformed("an entry of another log"));
            }
            entry
                .verify(session.trust().origin())
                .map_err(|error| ClientError::proof("bad_signature", error.to_string()))?;
            self.people.check(session, entry.header()).await?;
        }
        // Nothing is waited for from here on: what did not arrive whole is asked for again, and is no entry that was shown twice.
        for entry in &range.entries {
            self.check_order(entry)?;
            check_expected(entry, &edge)?;
            edge.append(entry.leaf());
            parted = parted.and(self.check_part(&edge));
        }
        let (size, root) = (edge.size(), edge.root());
        if let Err(error) = verify_consistency(size, &root, head.size, &head.root, &range.rest) {
            let what = format!("the entries are not those of the head that the server signed ({})", error.code());
            return Err(fault(session, "store_root", what, &[&range.head], &range.rest).await);
        }
        // By now the server has signed it: what somebody else signed is not blamed for a root that is made up.
        parted?;
        if self.behind.is_some_and(|(size, root)| first.0 == size && first.1 != root) {
            let what = format!("the first {} entries of the log have another root", first.0);
            return Err(ClientError::proof("snapshot_head", what));
        }
        (self.next, self.edge) = (edge.size(), Some(edge));
        Ok(())
    }

    /// Refuses an entry that does not follow the one before it of its device, or the key of those before it: shown again, left out, or
    /// put where it was not appended.
    fn check_order(&mut self, entry: &Entry) -> Result<(), ClientError> {
        let header = entry.header();
        if self.lasts_of != Some(header.log) {
            // Another log: devices count anew there, and if an end of one was met, from its first entry on.
            self.whole |= self.lasts_of.is_some();
            (self.lasts_of, self.lasts) = (Some(header.log), HashMap::new());
        }
        let follows = match self.lasts.insert(header.device, (header.lsn, entry.leaf())) {
            Some((lsn, leaf)) => lsn.checked_add(1) == Some(header.lsn) && header.prev == Some(leaf),
            None => !self.whole || header.lsn == 0,
        };
        if !follows {
            let what =
                format!("entry {} of a device of {} does not follow the one before it", header.lsn, header.author);
            return Err(ClientError::proof("lsn_gap", what));
        }
        if header.epoch < self.epoch {
            let what = format!("an entry under key {} stands behind one under key {}", header.epoch, self.epoch);
            return Err(ClientError::proof("epoch_conflict", what));
        }
        self.epoch = header.epoch;
        Ok(())
    }

    /// The log that the entry at a place was appended to; `None` if that is not known here.
    fn log_at(&self, pos: u64) -> Option<LogId> {
        let parts = self.parts.as_ref()?;
        Some(parts.iter().find(|part| pos < part.size).map_or(self.log, |part| part.log))
    }

    /// Refuses a log that has not all of the entries of others that it goes on from.
    fn check_size(&self, size: u64) -> Result<(), ClientError> {
        let parts = self.parts.iter().flatten().map(|part| part.size);
        let least = parts.chain(self.left.map(|(size, _)| size)).max();
        least.filter(|least| size < *least).map_or(Ok(()), |least| Err(short_of(least)))
    }

    /// Refuses entries of another log that are not those whose root was signed when the log went on from there.
    fn check_part(&self, edge: &Edge) -> Result<(), ClientError> {
        let parts = self.parts.iter().flatten().map(|part| (part.size, part.root));
        match parts.chain(self.left).any(|(size, root)| size == edge.size() && root != edge.root()) {
            true => {
                let what = format!("the first {} entries are not those that the log was to go on from", edge.size());
                Err(ClientError::proof("fork_base", what))
            }
            false => Ok(()),
        }
    }

    /// Returns the proof fault of a log that has fewer entries than its server signed before; keeps both heads.
    async fn shrunk(&mut self, session: &Session, signer: Signer<'_>, kept: &Kept, detail: &str) -> ClientError {
        let target = format!("{}{}/entries?from=0&limit=0", path::LOGS, self.log);
        let now = session.get_signed(signer, &target).await.ok().and_then(|bytes| Range::decode(&bytes).ok());
        let now = match now {
            Some(range) if self.people.check_head(session, &range.head).await.is_ok() => Some(range.head),
            _ => None,
        };
        match (&kept.head, now) {
            (Some(before), Some(now)) if now.head().size < before.head().size => {
                rolled_back(session, before, &now).await
            }
            // The log still has what was met of it: a place was asked for that it never had.
            (Some(_), Some(_)) => ClientError::Unable(detail.to_owned()),
            (before, _) => {
                let what = "the log is gone, and its server signed entries of it before".to_owned();
                let heads: Vec<&SignedHead> = before.iter().collect();
                fault(session, "store_rollback", what, &heads, &[]).await
            }
        }
    }
}

fn short_of(size: u64) -> ClientError {
    ClientError::proof("fork_base", format!("the log has fewer than the {size} entries that it was to go on from"))
}

/// Refuses an entry that stands behind another tree than the one that its device signed it to follow.
fn check_expected(entry: &Entry, before: &Edge) -> Result<(), ClientError> {
    match entry.header().expect {
        Some(expected) if expected != (before.size(), before.root()) => {
            let what = format!("entry {} was to stand at {} alone", before.size(), expected.0);
            Err(ClientError::proof("head_mismatch", what))
        }
        _ => Ok(()),
    }
}

/// Returns the root of the tree of the first `size` entries of a log, which its newest head continues; whether they have their bodies or not.
///
/// Errors: [`ClientError::Refused`] or [`ClientError::Unable`] if it has not so many.
pub async fn root_at(
    session: &Session,
    signer: Signer<'_>,
    acl: &Acl,
    (log, size): (LogId, u64),
) -> Result<Hash, ClientError> {
    let mut follower = Follower::from(log, size).with_parts(acl.parts(&log));
    follower.read(session, signer, 0, 0).await?;
    follower.root().ok_or_else(|| malformed("no edge"))
}

/// Returns how many entries a log has by its newest head, which is checked, and the time of that head, Unix milliseconds.
pub async fn newest(session: &Session, signer: Signer<'_>, log: LogId) -> Result<(u64, u64), ClientError> {
    let (_, size) = Follower::from(log, 0).with_any_parts().read(session, signer, 0, 0).await?;
    let kept = Kept::read(session, &log)?;
    Ok((size, kept.head.map_or(0, |head| head.head().time_ms)))
}

/// Checks that a head continues the one that is remembered, by its consistency path.
pub(super) async fn check_continues(
    session: &Session,
    kept: &Kept,
    now: &SignedHead,
    path: &[Hash],
) -> Result<(), ClientError> {
    let Some(before) = &kept.head else { return Ok(()) };
    let (old, new) = (before.head(), now.head());
    if new.size < old.size {
        return Err(rolled_back(session, before, now).await);
    }
    let root = if old.size == 0 { EMPTY_ROOT } else { old.root };
    match verify_consistency(old.size, &root, new.size, &new.root, path) {
        Ok(()) => Ok(()),
        Err(error) => {
            let who = if old.store == new.store { "its server" } else { "the server that it left" };
            let what = format!("the log is not the one that {who} signed before ({})", error.code());
            Err(fault(session, "store_fork", what, &[now, before], path).await)
        }
    }
}

async fn rolled_back(session: &Session, before: &SignedHead, now: &SignedHead) -> ClientError {
    let (old, new) = (before.head().size, now.head().size);
    let what = format!("the log has {new} entries, and its server signed {old} before: it was rolled back");
    fault(session, "store_rollback", what, &[now, before], &[]).await
}

/// Returns a fault with these heads of one log kept as evidence, the newest first.
async fn fault(
    session: &Session,
    code: &'static str,
    what: String,
    heads: &[&SignedHead],
    path: &[Hash],
) -> ClientError {
    match heads.first() {
        Some(head) => {
            evidence::fault(session, &head.head().log, code, what, Met { heads, path, ..Met::default() }).await
        }
        None => ClientError::proof(code, what),
    }
}

pub(super) fn malformed(what: &str) -> ClientError {
    ClientError::proof("malformed", format!("the server's answer of a log is none: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dgns_api::store::entry::{Class, Header};
    use identity::did::Did;
    use identity::key::SigningKey;
    use identity::name::Origin;

    #[test]
    fn an_entry_that_is_shown_again_or_left_out_or_under_a_key_of_before_is_told() {
        // Goal: a grant that was signed once is no grant twice. Method: entries of two devices, in order and not.
        let (log, home) = (LogId([1; 32]), Origin::parse("dgns.test/log").unwrap());
        let entry = |seed: u8, lsn: u64, before: Option<&Entry>, epoch: u64| {
            let key = SigningKey::from_seed(&[seed; 32]);
            let class = if epoch == 0 { Class::Control } else { Class::Data };
            let (author, device, prev) = (Did::from_bytes([seed; 20]), key.public(), before.map(Entry::leaf));
            let (refs, body_bytes, body, expect, unix_ms) = (Vec::new(), 0, [0; 32], None, 5);
            let header =
                Header { class, log, author, device, lsn, prev, epoch, refs, body_bytes, body, expect, unix_ms };
            Entry::sign(header, vec![seed], &home, &key).unwrap()
        };
        let first = entry(1, 0, None, 1);
        let second = entry(1, 1, Some(&first), 1);
        let (other, turned) = (entry(2, 0, None, 1), entry(1, 2, Some(&second), 2));
        let late = entry(2, 1, Some(&other), 1);
        let check = |from: u64, entries: &[&Entry]| {
            let mut follower = Follower::from(log, from);
            entries.iter().try_for_each(|entry| follower.check_order(entry)).map_err(|error| error.code().to_owned())
        };
        assert_eq!(check(0, &[&first, &other, &second, &late, &turned]), Ok(()));
        assert_eq!(check(7, &[&second, &late, &turned]), Ok(()), "from the middle of the log");
        for wrong in [vec![&first, &first], vec![&first, &second, &first], vec![&second], vec![&first, &turned]] {
            assert_eq!(check(0, &wrong), Err("lsn_gap".to_owned()));
        }
        assert_eq!(check(7, &[&second, &second]), Err("lsn_gap".to_owned()));
        let end = entry(1, u64::MAX, Some(&first), 1);
        let behind = entry(1, 0, None, 1);
        assert_eq!(check(7, &[&end, &behind]), Err("lsn_gap".to_owned()), "behind the last number there is none");
        assert_eq!(check(0, &[&first, &other, &second, &turned, &late]), Err("epoch_conflict".to_owned()));
    }

    #[test]
    fn a_fork_has_all_that_it_goes_on_from_and_nothing_else() {
        let (log, source) = (LogId([1; 32]), LogId([2; 32]));
        let mut edge = Edge::new();
        (0..3).for_each(|number| edge.append([number; 32]));
        let follower = Follower::from(log, 0).with_parts(&[Part { log: source, size: 3, root: edge.root() }]);
        let code = |checked: Result<(), ClientError>| checked.map_err(|error| error.code().to_owned());
        assert_eq!(code(follower.check_size(2)), Err("fork_base".to_owned()));
        assert_eq!(
            [code(follower.check_size(3)), code(follower.check_size(4)), code(follower.check_part(&edge))],
            [Ok(()), Ok(()), Ok(())]
        );
        let mut other = Edge::new();
        (1..4).for_each(|number| other.append([number; 32]));
        assert_eq!(code(follower.check_part(&other)), Err("fork_base".to_owned()));
        assert_eq!([follower.log_at(2), follower.log_at(3)], [Some(source), Some(log)]);
    }

    #[test]
    fn a_control_log_begins_elsewhere_with_what_it_had_where_it_was() {
        let mut edge = Edge::new();
        (0..3).for_each(|number| edge.append([number; 32]));
        let follower = Follower::from(LogId([1; 32]), 0).with_any_parts().with_left(Some((3, edge.root())));
        let code = |checked: Result<(), ClientError>| checked.map_err(|error| error.code().to_owned());
        let fault = || Err("fork_base".to_owned());
        assert_eq!([code(follower.check_size(2)), code(follower.check_size(3))], [fault(), Ok(())]);
        let mut other = Edge::new();
        (1..4).for_each(|number| other.append([number; 32]));
        assert_eq!([code(follower.check_part(&edge)), code(follower.check_part(&other))], [Ok(()), fault()]);
        other.append([9; 32]);
        assert_eq!(code(follower.check_part(&other)), Ok(()), "at that place alone the root is known");
    }

    #[test]
    fn an_entry_that_was_to_follow_one_head_alone_stands_behind_no_other() {
        let (log, home) = (LogId([1; 32]), Origin::parse("dgns.test/log").unwrap());
        let key = SigningKey::from_seed(&[1; 32]);
        let mut edge = Edge::new();
        edge.append([7; 32]);
        let check = |expect: Option<(u64, Hash)>| {
            let (class, author, device, unix_ms) = (Class::Data, Did::from_bytes([1; 20]), key.public(), 5);
            let (lsn, prev, epoch, refs, body_bytes, body) = (0, None, 1, Vec::new(), 0, [0; 32]);
            let header =
                Header { class, log, author, device, lsn, prev, epoch, refs, body_bytes, body, expect, unix_ms };
            let entry = Entry::sign(header, vec![1], &home, &key).unwrap();
            check_expected(&entry, &edge).map_err(|error| error.code().to_owned())
        };
        assert_eq!(check(None), Ok(()));
        assert_eq!(check(Some((1, edge.root()))), Ok(()));
        for other in [(1, [0; 32]), (2, edge.root()), (0, EMPTY_ROOT)] {
            assert_eq!(check(Some(other)), Err("head_mismatch".to_owned()));
        }
    }
}
