//! The cells of a row, checked: a cell of the wrong type or length names its table.

use identity::hash::Hash;

use super::query::Row;
use crate::database::in_table;
use crate::fault::{Place, StorageError};

/// A row with the table it came from; cells are counted from 0.
pub(crate) struct Cells<'r> {
    row: &'r Row,
    table: &'static str,
}

impl<'r> Cells<'r> {
    pub(crate) fn new(row: &'r Row, table: &'static str) -> Self {
        Self { row, table }
    }

    pub(crate) fn number(&self, cell: usize) -> Result<u64, StorageError> {
        self.optional_number(cell)?.ok_or_else(|| self.empty(cell))
    }

    pub(crate) fn optional_number(&self, cell: usize) -> Result<Option<u64>, StorageError> {
        let number = self.row.number(cell).map_err(in_table(self.table))?;
        let positive = |number| u64::try_from(number).map_err(|_| self.corrupt(format!("cell {cell} is negative")));
        number.map(positive).transpose()
    }

    pub(crate) fn small<T: TryFrom<u64>>(&self, cell: usize) -> Result<T, StorageError> {
        T::try_from(self.number(cell)?).map_err(|_| self.corrupt(format!("cell {cell} is out of range")))
    }

    pub(crate) fn bytes(&self, cell: usize) -> Result<&'r [u8], StorageError> {
        self.optional_bytes(cell)?.ok_or_else(|| self.empty(cell))
    }

    pub(crate) fn optional_bytes(&self, cell: usize) -> Result<Option<&'r [u8]>, StorageError> {
        self.row.bytes(cell).map_err(in_table(self.table))
    }

    pub(crate) fn text(&self, cell: usize) -> Result<&'r str, StorageError> {
        self.optional_text(cell)?.ok_or_else(|| self.empty(cell))
    }

    pub(crate) fn optional_text(&self, cell: usize) -> Result<Option<&'r str>, StorageError> {
        self.row.text(cell).map_err(in_table(self.table))
    }

    pub(crate) fn hash(&self, cell: usize) -> Result<Hash, StorageError> {
        self.fixed(cell)
    }

    /// Returns a cell of exactly `N` bytes.
    pub(crate) fn fixed<const N: usize>(&self, cell: usize) -> Result<[u8; N], StorageError> {
        self.array(cell, self.bytes(cell)?)
    }

    pub(crate) fn optional_fixed<const N: usize>(&self, cell: usize) -> Result<Option<[u8; N]>, StorageError> {
        self.optional_bytes(cell)?.map(|bytes| self.array(cell, bytes)).transpose()
    }

    fn array<const N: usize>(&self, cell: usize, bytes: &[u8]) -> Result<[u8; N], StorageError> {
        bytes.try_into().map_err(|_| self.corrupt(format!("cell {cell} has {} bytes, not {N}", bytes.len())))
    }

    fn empty(&self, cell: usize) -> StorageError {
        self.corrupt(format!("cell {cell} is empty"))
    }

    fn corrupt(&self, detail: String) -> StorageError {
        StorageError::Corrupt { place: Place::Table(self.table), detail }
    }
}
