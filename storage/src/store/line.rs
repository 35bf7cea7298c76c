//! Where the entries of a log lie: a fork's first ones are those of the logs that it goes on from, which nobody copies.

use crate::fault::StorageError;
use crate::table::store::RowId;

/// The rows of logs that a log consists of, the oldest first, each up to a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Each with the place behind its last entry here, ascending.
    before: Vec<(RowId, u64)>,
    own: RowId,
}

impl Line {
    /// Returns the line of a log that goes on from no other.
    pub(crate) fn of(own: RowId) -> Self {
        Self { before: Vec::new(), own }
    }

    /// Returns the line of a new log that goes on from the first `size` entries of this one.
    pub(crate) fn forked(&self, size: u64, own: RowId) -> Self {
        let whole = self.before.iter().copied().filter(|(_, end)| *end < size);
        let mut before: Vec<_> = whole.collect();
        if size > 0 {
            let last = self.before.iter().find(|(_, end)| *end >= size).map_or(self.own, |(row, _)| *row);
            before.push((last, size));
        }
        Self { before, own }
    }

    /// Returns the rows that have the nodes `from..to` of a level, 0 being the entries themselves, each with its part of them.
    pub(crate) fn parts(&self, level: u8, from: u64, to: u64) -> Vec<(RowId, u64, u64)> {
        let (mut at, mut parts) = (from, Vec::new());
        let ends = self.before.iter().map(|(row, end)| (*row, end >> level)).chain([(self.own, u64::MAX)]);
        for (row, end) in ends {
            let end = end.min(to);
            if at < end {
                parts.push((row, at, end));
                at = end;
            }
        }
        parts
    }

    /// Returns the row that new entries go to.
    pub(crate) fn own(&self) -> RowId {
        self.own
    }

    /// Returns whether it goes on from a row of another line.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.end_of(other.own).is_some() || other.before.iter().any(|(row, _)| self.end_of(*row).is_some())
    }

    /// Returns the place behind its last entry in a row that it goes on from; `None` if that has none of it.
    pub(crate) fn end_of(&self, row: RowId) -> Option<u64> {
        self.before.iter().find(|(before, _)| *before == row).map(|(_, end)| *end)
    }

    /// Returns how it is stored: of each log before it row and end, 16 bytes; nothing for most.
    pub(crate) fn stored(&self) -> Vec<u8> {
        self.before.iter().flat_map(|(row, end)| [row.to_be_bytes(), end.to_be_bytes()].concat()).collect()
    }

    /// Reads how it is stored.
    pub(crate) fn read(own: RowId, stored: Option<&[u8]>) -> Result<Self, StorageError> {
        let (rows, rest) = stored.unwrap_or_default().as_chunks::<16>();
        let before: Vec<(RowId, u64)> =
            rows.iter().map(|row| u128::from_be_bytes(*row)).map(|row| ((row >> 64) as RowId, row as u64)).collect();
        match rest.is_empty() && before.is_sorted_by(|a, b| a.1 < b.1) {
            true => Ok(Self { before, own }),
            false => Err(StorageError::inconsistent("dblog", "a log goes on from none")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_of_a_fork_lies_where_its_entries_were_written() {
        let second = Line::of(1).forked(300, 2);
        let third = second.forked(500, 3);
        assert_eq!(third.parts(0, 250, 600), [(1, 250, 300), (2, 300, 500), (3, 500, 600)]);
        assert_eq!(third.parts(0, 300, 301), [(2, 300, 301)]);
        assert_eq!(
            third.parts(8, 0, 3),
            [(1, 0, 1), (3, 1, 3)],
            "a node is kept where its last leaf lies, or is made of those below"
        );
        assert_eq!(second.forked(300, 4), Line::of(1).forked(300, 4));
        assert_eq!(second.forked(200, 4).parts(0, 0, 300), [(1, 0, 200), (4, 200, 300)]);
        assert_eq!(second.forked(0, 4), Line::of(4));
        assert_eq!(third.parts(0, 7, 7), []);
        for line in [Line::of(7), second, third] {
            assert_eq!(Line::read(line.own, Some(&line.stored())), Ok(line.clone()));
        }
        assert!(Line::read(1, Some(&[0; 15])).is_err() && Line::read(1, Some(&[0; 32])).is_err());
    }
}
