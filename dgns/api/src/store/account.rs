//! What an account may store, stores, and until when (PROTOCOL 25.15).

use identity::did::Did;
use identity::wire::{Reader, WireError, Writer};

use super::limits::ACCOUNT_DATABASES_MAX;

/// Whether the data of a database is deleted, since nobody paid for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// 0: it is there.
    No,
    /// 1: nothing but its control log is.
    Yes,
    /// 2: it is paid for again, and what it had when nobody did is gone, or some of it.
    Before,
}

/// How an account stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// 0: what it may store, bytes.
    pub quota_bytes: u64,
    /// 1: what it stores.
    pub used_bytes: u64,
    /// 2: what it may store, entries.
    pub quota_entries: u64,
    /// 3: what it stores.
    pub used_entries: u64,
    /// 4: when its lease ends, Unix milliseconds; absent if it does not.
    pub until_ms: Option<u64>,
    /// 5: how long after that what it stores can be read, milliseconds.
    pub grace_ms: u64,
    /// 6: the databases that it pays for, the oldest first, at most 1,000; each with whether its data is dropped.
    pub databases: Vec<(Did, Dropped)>,
}

impl Standing {
    /// Returns the bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.map(6 + usize::from(self.until_ms.is_some()));
        let numbers = [self.quota_bytes, self.used_bytes, self.quota_entries, self.used_entries];
        for (key, number) in (0..).zip(numbers) {
            w.uint(key).uint(number);
        }
        if let Some(until_ms) = self.until_ms {
            w.uint(4).uint(until_ms);
        }
        w.uint(5).uint(self.grace_ms).uint(6).array(self.databases.len());
        for (did, dropped) in &self.databases {
            w.array(2).bytes(did.as_bytes()).uint(*dropped as u64);
        }
        w.finish()
    }

    /// Reads how an account stands.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let mut fields = reader.fields()?;
        let standing = Self {
            quota_bytes: fields.required(0, Reader::uint)?,
            used_bytes: fields.required(1, Reader::uint)?,
            quota_entries: fields.required(2, Reader::uint)?,
            used_entries: fields.required(3, Reader::uint)?,
            until_ms: fields.optional(4, Reader::uint)?,
            grace_ms: fields.required(5, Reader::uint)?,
            databases: fields.required(6, |r| {
                r.list(ACCOUNT_DATABASES_MAX, |r| {
                    r.array_of(2)?;
                    let did = Did::from_bytes(r.fixed()?);
                    let dropped = match r.uint_to(2)? {
                        0 => Dropped::No,
                        1 => Dropped::Yes,
                        _ => Dropped::Before,
                    };
                    Ok::<_, WireError>((did, dropped))
                })
            })?,
        };
        fields.end()?;
        reader.end()?;
        Ok(standing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_an_account_is_read_again() {
        let databases =
            [Dropped::No, Dropped::Yes, Dropped::Before].map(|dropped| (Did::from_bytes([1; 20]), dropped)).to_vec();
        let numbers = [1, 0, u64::MAX, 7];
        let [quota_bytes, used_bytes, quota_entries, used_entries] = numbers;
        let standing =
            Standing { quota_bytes, used_bytes, quota_entries, used_entries, until_ms: None, grace_ms: 5, databases };
        for until_ms in [None, Some(0), Some(u64::MAX)] {
            let standing = Standing { until_ms, ..standing.clone() };
            assert_eq!(Standing::decode(&standing.encode()), Ok(standing));
        }
        let many = Standing {
            databases: vec![(Did::from_bytes([1; 20]), Dropped::No); ACCOUNT_DATABASES_MAX + 1],
            ..standing
        };
        assert_eq!(Standing::decode(&many.encode()), Err(WireError::Unexpected));
    }
}
