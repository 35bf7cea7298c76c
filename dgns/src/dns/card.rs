//! One name of the zone in as few bytes as serve: built once, read in place, replaced whole.
//!
//! ```text
//! u8 flags | u8 length, name as wire labels relative to the zone
//! u32 children                                                                                                if any
//! DID 20                                                                                                      if `_did` shows it
//! u40 log index | rows                                                                                        if bound
//! one signature of 74 bytes for each record set, that of `_did` last | u8 how many                            if signed
//!
//! row   u8 length, owner as wire labels | u16 type | u16 ttl | u16 length, rdata
//!       254 | u16 ttl | 4, an IPv4 address of the name itself      255 | u16 ttl | 16, an IPv6 address of the name itself
//! ```
//! Rows are in the order of owner and type, so that a record set is contiguous and the smallest type comes first.

use std::borrow::Cow;

use identity::cert::Row;
use identity::did::Did;

use super::dnssec::{NameSet, STORED_BYTES, Signature, TYPE_DS, TYPE_NS, TYPE_NSEC, TYPE_RRSIG};
use super::name;

/// The name is not shown (PROTOCOL 4.5, flag 1).
const HIDDEN: u8 = 1;
/// No `_did` record (flag 2).
const NO_DID: u8 = 2;
/// The name is claimed, or the operator's; otherwise the card stands only for the names below it.
const BOUND: u8 = 4;
/// The operator's: no certificate changes it.
const FIXED: u8 = 8;
/// Signatures follow the rows.
const SIGNED: u8 = 16;
/// Names directly below exist in DNS.
const PARENT: u8 = 32;
/// Another server answers for the name and all below it: the rows are its NS, DS, and addresses of its servers.
const CUT: u8 = 64;
/// The DID stands in it.
const OWNED: u8 = 128;

/// What rows begin with that are like most: addresses of the name itself. No owner is as long.
const A_ROW: u8 = 254;
const AAAA_ROW: u8 = 255;
const OWNER_BYTES_MAX: usize = 253;

/// Below every name: its DID, as text of the form `did=did:dgns:<base32>`.
pub(crate) const DID_OWNER: &[u8] = b"\x04_did";
pub(crate) const DID_TTL_S: u32 = 300;
const DID_TEXT_PREFIX: &[u8] = b"did=did:dgns:";
const TYPE_A: u16 = 1;
const TYPE_TXT: u16 = 16;
const TYPE_AAAA: u16 = 28;

const NAME_AT: usize = 2;
const CHILDREN_BYTES: usize = 4;
const DID_BYTES: usize = Did::BYTES;
const INDEX_BYTES: usize = 5;

/// A name and all that DNS knows of it.
#[derive(Clone)]
pub(crate) struct Card(Box<[u8]>);

/// A card that is read.
#[derive(Clone, Copy)]
pub(crate) struct CardRef<'c>(&'c [u8]);

/// One record of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CardRow<'c> {
    /// Wire labels below the name; empty for the name itself.
    pub(crate) owner: &'c [u8],
    pub(crate) rtype: u16,
    pub(crate) ttl_s: u32,
    pub(crate) rdata: &'c [u8],
}

/// A row that no card can hold; no admitted certificate has one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadRow;

impl Card {
    /// Returns the card of a claimed name. `labels` is the relative name in wire form; `did` is that which `_did` shows, unless the flags say
    /// that it shows none.
    pub(crate) fn bound(
        labels: &[u8],
        did: Option<&Did>,
        log_index: u64,
        flags: u32,
        rows: &[Row],
    ) -> Result<Self, BadRow> {
        let shown = BOUND | (flags as u8 & (HIDDEN | NO_DID));
        Self::build(shown, labels, did.filter(|_| shown == BOUND), log_index, rows)
    }

    /// Returns the card of a delegated name: of its rows, NS and DS stand at the name, addresses at the servers'.
    pub(crate) fn cut(labels: &[u8], log_index: u64, rows: &[Row]) -> Result<Self, BadRow> {
        Self::build(BOUND | CUT | NO_DID, labels, None, log_index, rows)
    }

    /// Returns the card of a name of the operator.
    pub(crate) fn fixed(labels: &[u8], rows: &[Row]) -> Result<Self, BadRow> {
        Self::build(BOUND | FIXED | NO_DID, labels, None, 0, rows)
    }

    /// Returns the card of a name that is not shown itself and exists only if names below it do.
    pub(crate) fn empty(labels: &[u8]) -> Self {
        Self(head(0, labels).into_boxed_slice())
    }

    fn build(flags: u8, labels: &[u8], did: Option<&Did>, log_index: u64, rows: &[Row]) -> Result<Self, BadRow> {
        let mut sorted = rows
            .iter()
            .map(|row| name::labels_of(&row.owner).map(|owner| (owner, row.rtype, row)).ok_or(BadRow))
            .collect::<Result<Vec<_>, _>>()?;
        sorted.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        let mut bytes = head(flags | if did.is_some() { OWNED } else { 0 }, labels);
        bytes.extend_from_slice(did.map_or(&[], |did| did.as_bytes()));
        bytes.extend_from_slice(&log_index.to_be_bytes()[8 - INDEX_BYTES..]);
        for (owner, rtype, row) in sorted {
            let ttl_s = u16::try_from(row.ttl).map_err(|_| BadRow)?.to_be_bytes();
            let usual = match (rtype, row.rdata.len()) {
                (TYPE_A, 4) => Some(A_ROW),
                (TYPE_AAAA, 16) => Some(AAAA_ROW),
                _ => None,
            };
            if let Some(usual) = usual.filter(|_| owner.is_empty()) {
                bytes.push(usual);
                bytes.extend_from_slice(&ttl_s);
            } else {
                bytes.push(u8::try_from(owner.len()).ok().filter(|_| owner.len() <= OWNER_BYTES_MAX).ok_or(BadRow)?);
                bytes.extend_from_slice(&owner);
                bytes.extend_from_slice(&rtype.to_be_bytes());
                bytes.extend_from_slice(&ttl_s);
                bytes.extend_from_slice(&u16::try_from(row.rdata.len()).map_err(|_| BadRow)?.to_be_bytes());
            }
            bytes.extend_from_slice(&row.rdata);
        }
        Ok(Self(bytes.into_boxed_slice()))
    }

    /// Returns the same card with another count of names directly below.
    pub(crate) fn with_children(self, children: u32) -> Self {
        let card = self.read();
        let (head, body) = (&self.0[..card.children_at()], &self.0[card.body_at()..]);
        let count = children.to_be_bytes();
        let count: &[u8] = if children == 0 { &[] } else { &count };
        let mut bytes = [head, count, body].concat();
        bytes[0] = bytes[0] & !PARENT | if children == 0 { 0 } else { PARENT };
        Self(bytes.into_boxed_slice())
    }

    /// Returns the same card with these signatures, one for each of its sets, in their order.
    pub(crate) fn with_signatures(self, signatures: &[Signature]) -> Self {
        let mut bytes = self.0[..self.read().signatures_at()].to_vec();
        bytes[0] |= SIGNED;
        signatures.iter().for_each(|signature| bytes.extend_from_slice(&signature.stored()));
        bytes.push(u8::try_from(signatures.len()).expect("a name has at most 48 rows and a DID"));
        Self(bytes.into_boxed_slice())
    }

    /// Returns the same card, as if it were not the operator's.
    pub(crate) fn unfixed(mut self) -> Self {
        self.0[0] &= !FIXED;
        self
    }

    /// Returns the card to be read.
    pub(crate) fn read(&self) -> CardRef<'_> {
        CardRef(&self.0)
    }
}

impl<'c> CardRef<'c> {
    /// Returns the card that `bytes` are: those of [`CardRef::bytes`].
    pub(crate) fn of(bytes: &'c [u8]) -> Self {
        Self(bytes)
    }

    /// Returns what the card is kept as.
    pub(crate) fn bytes(self) -> &'c [u8] {
        self.0
    }

    /// Returns a card of one's own.
    pub(crate) fn to_card(self) -> Card {
        Card(self.0.into())
    }

    /// Returns whether the card is that of a name. Of whatever bytes.
    pub(crate) fn is_of(self, labels: &[u8]) -> bool {
        self.0.get(1).is_some_and(|&length| usize::from(length) == labels.len())
            && self.0.get(NAME_AT..NAME_AT + labels.len()) == Some(labels)
    }

    /// Returns the relative name as wire labels.
    pub(crate) fn labels(self) -> &'c [u8] {
        &self.0[NAME_AT..self.children_at()]
    }

    /// Returns how many names directly below exist in DNS.
    pub(crate) fn children(self) -> u32 {
        let count = self.0[self.children_at()..].first_chunk().filter(|_| self.0[0] & PARENT != 0);
        count.map_or(0, |count| u32::from_be_bytes(*count))
    }

    /// Returns whether the name is claimed or the operator's.
    pub(crate) fn is_bound(self) -> bool {
        self.0[0] & BOUND != 0
    }

    /// Returns whether the name is the operator's.
    pub(crate) fn is_fixed(self) -> bool {
        self.0[0] & FIXED != 0
    }

    /// Returns whether another server answers for the name and all below it.
    pub(crate) fn is_cut(self) -> bool {
        self.0[0] & CUT != 0
    }

    /// Returns the addresses of the servers of a delegated name, which nobody signs.
    pub(crate) fn glue(self) -> impl Iterator<Item = CardRow<'c>> {
        self.rows().filter(move |row| self.is_cut() && ![TYPE_NS, TYPE_DS].contains(&row.rtype))
    }

    /// Returns whether the rows may be shown.
    pub(crate) fn is_shown(self) -> bool {
        self.0[0] & (BOUND | HIDDEN) == BOUND
    }

    /// Returns whether the name exists in DNS: shown itself, or with names below that are.
    pub(crate) fn exists(self) -> bool {
        self.is_shown() || self.children() > 0
    }

    /// Returns the flags of the `records` certificate.
    pub(crate) fn flags(self) -> u32 {
        u32::from(self.0[0] & (HIDDEN | NO_DID))
    }

    /// Returns the DID that `_did` below the name shows.
    pub(crate) fn shown_did(self) -> Option<Did> {
        let bytes = self.0[self.body_at()..].first_chunk().filter(|_| self.0[0] & OWNED != 0);
        bytes.map(|bytes| Did::from_bytes(*bytes))
    }

    /// Returns the log index of the certificate that last changed the name; 0 if none did.
    pub(crate) fn log_index(self) -> u64 {
        let at = self.index_at();
        self.0
            .get(at..at + INDEX_BYTES)
            .map_or(0, |bytes| bytes.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
    }

    /// Returns the records, those of one owner and type together.
    pub(crate) fn rows(self) -> Rows<'c> {
        Rows(self.0.get(self.index_at() + INDEX_BYTES..self.signatures_at()).unwrap_or_default())
    }

    /// Returns the record sets that are shown and signed, of a delegated name its DS, in the order of the signatures; that of `_did`, if `did` says that there is one, last.
    pub(crate) fn sets(self, did: bool) -> Vec<NameSet<'c>> {
        let mut sets: Vec<NameSet<'c>> = Vec::new();
        let is_signed = |row: &CardRow<'_>| self.is_shown() && (!self.is_cut() || row.rtype == TYPE_DS);
        for row in self.rows().filter(is_signed) {
            let rdata = Cow::Borrowed(row.rdata);
            match sets.last_mut().filter(|set| (set.owner, set.rtype) == (row.owner, row.rtype)) {
                Some(set) => set.rdata.push(rdata),
                None => sets.push(NameSet { owner: row.owner, rtype: row.rtype, ttl_s: row.ttl_s, rdata: vec![rdata] }),
            }
        }
        if let Some(did) = self.shown_did().filter(|_| did) {
            let rdata = vec![Cow::Owned(did_text(&did))];
            sets.push(NameSet { owner: DID_OWNER, rtype: TYPE_TXT, ttl_s: DID_TTL_S, rdata });
        }
        sets
    }

    /// Returns the owners at and below the name that have records, with the types each has in a signed zone. A name that is shown and has
    /// nothing is an owner all the same.
    pub(crate) fn owners(self, did: bool) -> Vec<(&'c [u8], Vec<u16>)> {
        let mut owners: Vec<(&'c [u8], Vec<u16>)> = Vec::new();
        let sets = self.sets(did);
        for set in &sets {
            match owners.last_mut().filter(|(owner, _)| *owner == set.owner) {
                Some((_, types)) => types.push(set.rtype),
                None => owners.push((set.owner, vec![TYPE_RRSIG, TYPE_NSEC, set.rtype])),
            }
        }
        if owners.is_empty() && self.is_shown() {
            owners.push((b"", vec![TYPE_RRSIG, TYPE_NSEC]));
        }
        if let Some((_, types)) = owners.first_mut().filter(|_| self.is_cut()) {
            types.push(TYPE_NS);
        }
        owners
    }

    /// Returns the signature of the set at `index` of [`Card::sets`]; `None` if the card is not signed, or this set has none that holds.
    pub(crate) fn signature(self, index: usize) -> Option<Signature> {
        let from = self.signatures_at() + index * STORED_BYTES;
        let stored = self.0.get(from..).and_then(|rest| rest.first_chunk());
        stored.filter(|_| self.is_signed()).map(Signature::read).filter(|signature| *signature != Signature::NONE)
    }

    /// Returns the signatures that there are.
    pub(crate) fn signatures(self, did: bool) -> Vec<Signature> {
        (0..self.sets(did).len()).filter_map(|index| self.signature(index)).collect()
    }

    /// Returns whether each set has its signature.
    pub(crate) fn is_signed(self) -> bool {
        self.0[0] & SIGNED != 0
    }

    fn signatures_at(self) -> usize {
        match (self.is_signed(), self.0.last()) {
            (true, Some(&count)) => self.0.len() - 1 - usize::from(count) * STORED_BYTES,
            _ => self.0.len(),
        }
    }

    fn children_at(self) -> usize {
        NAME_AT + usize::from(self.0[NAME_AT - 1])
    }

    fn body_at(self) -> usize {
        self.children_at() + if self.0[0] & PARENT == 0 { 0 } else { CHILDREN_BYTES }
    }

    fn index_at(self) -> usize {
        self.body_at() + if self.0[0] & OWNED == 0 { 0 } else { DID_BYTES }
    }
}

/// Returns the data of the TXT record of a DID.
pub(crate) fn did_text(did: &Did) -> Vec<u8> {
    let text = [DID_TEXT_PREFIX, did.base32().as_bytes()].concat();
    [&[text.len() as u8], text.as_slice()].concat()
}

fn head(flags: u8, labels: &[u8]) -> Vec<u8> {
    let length = u8::try_from(labels.len()).expect("wire labels of a name are at most 254 bytes");
    let mut bytes = vec![flags, length];
    bytes.extend_from_slice(labels);
    bytes
}

/// The records of a card in order.
pub(crate) struct Rows<'c>(&'c [u8]);

impl<'c> Iterator for Rows<'c> {
    type Item = CardRow<'c>;

    fn next(&mut self) -> Option<CardRow<'c>> {
        let (&owner_len, rest) = self.0.split_first()?;
        if let Some((rtype, count)) = match owner_len {
            A_ROW => Some((TYPE_A, 4)),
            AAAA_ROW => Some((TYPE_AAAA, 16)),
            _ => None,
        } {
            let (ttl_s, rest) = rest.split_first_chunk()?;
            let (rdata, rest) = rest.split_at_checked(count)?;
            self.0 = rest;
            return Some(CardRow { owner: &[], rtype, ttl_s: u16::from_be_bytes(*ttl_s).into(), rdata });
        }
        let (owner, rest) = rest.split_at_checked(owner_len as usize)?;
        let (fixed, rest) = rest.split_first_chunk::<6>()?;
        let [t0, t1, l0, l1, n0, n1] = *fixed;
        let (rdata, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([n0, n1])))?;
        self.0 = rest;
        Some(CardRow { owner, rtype: u16::from_be_bytes([t0, t1]), ttl_s: u16::from_be_bytes([l0, l1]).into(), rdata })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(owner: &str, rtype: u16, rdata: &[u8]) -> Row {
        Row { owner: owner.to_owned(), rtype, rdata: rdata.to_vec(), ttl: 60 }
    }

    #[test]
    fn card_gives_back_what_it_was_built_from() {
        let did = Did::from_bytes([7; 20]);
        let rows = [
            row("_db._tcp", 33, b"srv"),
            row("", 28, &[6; 16]),
            row("", 28, b"aaaa"),
            row("x", 1, &[5; 4]),
            row("", 1, &[4; 4]),
        ];
        for (flags, shown) in [(0, Some(did)), (2, None), (1, None)] {
            let card = Card::bound(b"\x05alice", Some(&did), 0x01_0203_0405, flags, &rows).expect("a card");
            let card = card.with_children(7).with_children(0).with_children(9);
            let card = card.read();
            assert_eq!((card.labels(), card.children(), card.flags()), (b"\x05alice".as_slice(), 9, flags));
            assert_eq!((card.shown_did(), card.log_index()), (shown, 0x01_0203_0405));
            let read: Vec<_> = card.rows().map(|row| (row.owner, row.rtype, row.ttl_s, row.rdata)).collect();
            let wanted: [(&[u8], u16, u32, &[u8]); 5] = [
                (b"", 1, 60, &[4; 4]),
                (b"", 28, 60, &[6; 16]),
                (b"", 28, 60, b"aaaa"),
                (b"\x01x", 1, 60, &[5; 4]),
                (b"\x03_db\x04_tcp", 33, 60, b"srv"),
            ];
            assert_eq!(read, wanted);
        }
    }

    #[test]
    fn hidden_card_exists_only_for_names_below() {
        let hidden = Card::bound(b"\x05alice", Some(&Did::from_bytes([7; 20])), 1, 1, &[]).expect("a card");
        assert!(!hidden.read().is_shown() && !hidden.read().exists() && hidden.read().shown_did().is_none());
        assert!(hidden.with_children(1).read().exists());
        let empty = Card::empty(b"\x05alice");
        assert!(!empty.read().exists() && empty.read().rows().next().is_none());
    }

    #[test]
    fn card_of_a_name_with_one_address_has_at_most_30_bytes_without_did() {
        // Goal: a name like most costs at most 44 bytes: 30 of card, 2 of its length, in whole words, and at most 12 of index; 20 more with its DID.
        let rows = [row("", 1, &[192, 0, 2, 1])];
        let bytes = |did| Card::bound(b"\x0ea-name-of-many", did, 1, 0, &rows).expect("a card").0.len();
        assert!(bytes(None) <= 30 && bytes(Some(&Did::from_bytes([7; 20]))) <= 50);
    }

    #[test]
    fn only_its_own_name_is_that_of_a_card() {
        let card = Card::empty(b"\x05alice");
        let bytes = card.read().bytes();
        assert!(card.read().is_of(b"\x05alice") && !card.read().is_of(b"\x05alicf") && !card.read().is_of(b"\x04alic"));
        for end in 0..bytes.len() {
            assert!(!CardRef::of(&bytes[..end]).is_of(b"\x05alice"), "cut off at {end}");
        }
    }
}
