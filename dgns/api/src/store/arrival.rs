//! What arrives of a database that moves here: entries, and for those of its control log the proof that they stand in it (PROTOCOL 25.17).

use identity::hash::Hash;
use identity::wire::{Reader, WireError, Writer};
use translog::entry::Anchor;
use translog::tree::verify_consistency;

use super::anchor::{AnchoredLog, label};
use super::entry::{Entry, EntryError, LogId, decode_request, encode_request};

/// Entries of one log, in order: `[request, proof or null]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The entries, at least one.
    pub entries: Vec<Entry>,
    /// Of the control log alone.
    pub proof: Option<Proof>,
}

/// What shows that a control log begins with what arrived of it: `[resolution, log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// A lookup of the newest anchor in the log of names of the server that is left.
    pub anchors: Vec<u8>,
    /// How that anchor has the control log, asked for with the size that arrived.
    pub log: AnchoredLog,
}

impl Arrival {
    /// Returns the bytes.
    pub fn encode(&self) -> Vec<u8> {
        let request = encode_request(&self.entries);
        let mut w = Writer::with_capacity(request.len() + 8_192);
        w.array(2).bytes(&request);
        match &self.proof {
            Some(proof) => w.array(2).bytes(&proof.anchors).bytes(&proof.log.encode()),
            None => w.null(),
        };
        w.finish()
    }

    /// Reads one; its proof is not believed yet.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let mut reader = Reader::new(bytes);
        reader.array_of(2)?;
        let entries = decode_request(reader.bytes()?)?;
        let proof = reader.or_null(|r| {
            r.array_of(2)?;
            Ok::<_, WireError>(Proof { anchors: r.bytes()?.to_vec(), log: AnchoredLog::decode(r.bytes()?)? })
        })?;
        reader.end()?;
        Ok(Self { entries, proof })
    }
}

impl Proof {
    /// Returns whether the log that `anchor` has at this label begins with the tree of `size` leaves that has this root. Who signed the head
    /// that joins the two does not matter: both are parts of its tree.
    pub fn shows(&self, anchor: &Anchor, log: &LogId, salt: &[u8; 16], (size, root): (u64, &Hash)) -> bool {
        let (shown, head) = (&self.log, self.log.head.head());
        let Some(anchored) = &shown.anchored else { return false };
        shown.anchor == *anchor
            && shown.is_anchored(&label(log, salt))
            && (1..=anchored.size).contains(&size)
            && verify_consistency(anchored.size, &anchored.root, head.size, &head.root, &shown.grown).is_ok()
            && verify_consistency(size, root, head.size, &head.root, &shown.consistency).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use identity::did::Did;
    use identity::key::SigningKey;
    use identity::name::Origin;
    use translog::tree::{Edge, Growth, consistency_plan};

    use super::super::anchor::{AnchorTree, AnchoredHead};
    use super::super::entry::{Class, Header};
    use super::super::head::{SignedHead, StoreHead};
    use super::*;

    const LOG: LogId = LogId([5; 32]);
    const SALT: [u8; 16] = [9; 16];

    fn entries(count: u64) -> Vec<Entry> {
        let (key, origin) = (SigningKey::from_seed(&[1; 32]), Origin::parse("dgns.test/log").unwrap());
        let mut prev = None;
        let entry = |lsn| {
            let (class, author, device) = (Class::Control, Did::from_bytes([7; 20]), key.public());
            let (epoch, refs, body_bytes, body, expect, unix_ms) = (0, Vec::new(), 0, [0; 32], None, 5);
            let header =
                Header { class, log: LOG, author, device, lsn, prev, epoch, refs, body_bytes, body, expect, unix_ms };
            let entry = Entry::sign(header, vec![lsn as u8], &origin, &key).unwrap();
            prev = Some(entry.leaf());
            entry
        };
        (0..count).map(entry).collect()
    }

    /// The size and root of the first entries.
    fn edge(entries: &[Entry]) -> (u64, Hash) {
        let mut edge = Edge::new();
        entries.iter().for_each(|entry| edge.append(entry.leaf()));
        (edge.size(), edge.root())
    }

    /// A log of 7 entries of which the anchor has 5, asked for with `old`.
    fn shown(old: u64) -> Proof {
        let all = entries(7);
        let mut growth = Growth::new(&Edge::new());
        all.iter().for_each(|entry| growth.append(entry.leaf()));
        let path = |from| consistency_plan(from, 7).unwrap().fold(|node| growth.node(node).ok_or(())).unwrap();
        let mut tree = AnchorTree::default();
        let (size, root) = edge(&all[..5]);
        let at = label(&LOG, &SALT);
        let changes = tree.next([([3; 32], 1, [3; 32]), (at, size, root)]);
        tree.apply(&changes).unwrap();
        let (size, root) = edge(&all);
        let head = StoreHead { log: LOG, size, root, time_ms: 5, store: Did::from_bytes([6; 20]), since: Some(1) };
        let head = SignedHead::sign(&head, &Origin::parse("dgns.test/log").unwrap(), &SigningKey::from_seed(&[2; 32]));
        let (anchored, proof) = (tree.head(&at).copied(), tree.map().prove(&[at]).unwrap());
        let (grown, consistency) = (path(5), path(old));
        Proof {
            anchors: vec![1],
            log: AnchoredLog { anchor: changes.anchor, anchored, proof, head, grown, consistency },
        }
    }

    #[test]
    fn what_arrives_is_read_as_it_was_written() {
        for proof in [None, Some(shown(5))] {
            let arrival = Arrival { entries: entries(2), proof };
            let bytes = arrival.encode();
            assert_eq!(Arrival::decode(&bytes), Ok(arrival));
            for end in 0..bytes.len() {
                assert!(Arrival::decode(&bytes[..end]).is_err(), "{end}");
            }
        }
    }

    #[test]
    fn an_anchor_shows_the_beginning_of_its_log_and_of_no_other() {
        // Goal: no entry passes that the anchor does not have. Method: each size of a log of which the anchor has 5 entries of 7; then each part
        // of what is shown bent.
        let all = entries(7);
        let anchor = shown(1).log.anchor;
        for size in 1..=7 {
            let (proof, (count, root)) = (shown(size), edge(&all[..size as usize]));
            assert_eq!(proof.shows(&anchor, &LOG, &SALT, (count, &root)), size <= 5, "{size}");
        }
        let (size, root) = edge(&all[..4]);
        let shows = |proof: &Proof| proof.shows(&anchor, &LOG, &SALT, (size, &root));
        assert!(shows(&shown(4)));
        assert!(!shown(4).shows(&anchor, &LogId([6; 32]), &SALT, (size, &root)), "another log");
        assert!(!shown(4).shows(&anchor, &LOG, &[8; 16], (size, &root)), "with another salt");
        assert!(!shown(4).shows(&anchor, &LOG, &SALT, (size, &[1; 32])), "another tree");
        assert!(!shown(4).shows(&anchor, &LOG, &SALT, (3, &root)), "of another size");
        assert!(!shown(4).shows(&Anchor { k: 2, ..anchor.clone() }, &LOG, &SALT, (size, &root)), "another anchor");
        let bends: [fn(&mut AnchoredLog); 5] = [
            |log| log.anchored = None,
            |log| log.anchored = log.anchored.map(|head| AnchoredHead { size: 7, ..head }),
            |log| log.anchored = log.anchored.map(|head| AnchoredHead { root: [1; 32], ..head }),
            |log| log.grown[0] = [1; 32],
            |log| log.consistency[0] = [1; 32],
        ];
        for (number, bend) in bends.iter().enumerate() {
            let mut proof = shown(4);
            bend(&mut proof.log);
            assert!(!shows(&proof), "{number}");
        }
    }
}
