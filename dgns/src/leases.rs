//! Leases that an operator gives: an order for each in a file of its own, so that they can be given while the server runs, which takes them
//! up within a second, and before it starts.
//!
//! An order says when it was given: of each term the newest counts, so that one which comes again changes nothing, in whatever order they
//! are read. Each file is judged by itself; while one cannot be read, what it would pay for stays (`store::accounts`).

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use identity::did::Did;
use serde::{Deserialize, Serialize};
use storage::store::Terms;
use translog::limits::CLOCK_TOLERANCE_MS;

use crate::clock::Clock;
use crate::limits::{LEASE_ORDER_BYTES_MAX, LEASE_ORDERS_PER_LOOK};

/// The orders that wait for the server.
#[derive(Clone, Debug)]
pub struct Orders {
    directory: PathBuf,
}

/// What a file says; what is absent stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    did: String,
    given_ms: u64,
    until_ms: Option<u64>,
    bytes: Option<u64>,
    entries: Option<u64>,
}

/// An order, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    path: PathBuf,
    /// Whose account.
    pub(crate) did: Did,
    /// What it gets.
    pub(crate) terms: Terms,
    /// When that was said, Unix milliseconds.
    pub(crate) given_ms: u64,
}

impl Order {
    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// What a look found.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// The orders.
    pub(crate) orders: Vec<Order>,
    /// What is none, or cannot be read, each with why.
    pub(crate) bad: Vec<(PathBuf, String)>,
    /// Whether there may be more.
    pub(crate) is_more: bool,
}

/// How the name of a file ends that is not whole: whoever wrote it was told nothing yet.
const HALF: &str = "part";

impl Orders {
    /// Returns the orders of the server whose data lies at `data`.
    pub fn at(data: &Path) -> Self {
        Self { directory: data.join("leases") }
    }

    /// Gives an account its terms, durably.
    pub fn give(&self, did: &Did, terms: &Terms, clock: &Clock) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let (Terms { until_ms, bytes, entries }, given_ms) = (*terms, clock.now().as_ms());
        let said = Said { did: did.to_string(), given_ms, until_ms, bytes, entries };
        let text = serde_json::to_vec(&said).map_err(io::Error::other)?;
        let whole = self.directory.join(format!("{given_ms:020}-{:010}", std::process::id()));
        let half = whole.with_extension(HALF);
        let file = fs::File::create(&half)?;
        io::Write::write_all(&mut &file, &text)?;
        file.sync_all()?;
        fs::rename(&half, &whole)?;
        self.sync()
    }

    /// Returns the orders that wait, some thousand at a time. Errors: the directory cannot be read.
    pub(crate) fn waiting(&self, now_ms: u64) -> io::Result<Waiting> {
        let files = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Waiting::default()),
            files => files?,
        };
        let mut waiting = Waiting::default();
        for (count, file) in files.enumerate() {
            if count == LEASE_ORDERS_PER_LOOK {
                waiting.is_more = true;
                break;
            }
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == HALF) {
                continue;
            }
            match read(&path, now_ms) {
                Ok(order) => waiting.orders.push(order),
                Err(error) => waiting.bad.push((path, error.to_string())),
            }
        }
        Ok(waiting)
    }

    /// Takes an order away once it is done, durably. One that comes again changes nothing.
    pub(crate) fn done(&self, order: &Order) -> io::Result<()> {
        fs::remove_file(&order.path)?;
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        fs::File::open(&self.directory)?.sync_all()
    }
}

/// Reads a file: nothing but a regular one, and no more of it than an order has.
fn read(path: &Path, now_ms: u64) -> io::Result<Order> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = Vec::new();
    fs::File::open(path)?.take(LEASE_ORDER_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LEASE_ORDER_BYTES_MAX {
        return Err(io::Error::other("too large for an order"));
    }
    let Said { did, given_ms, until_ms, bytes, entries } = serde_json::from_slice(&text).map_err(io::Error::other)?;
    let did = did.parse().map_err(|_| io::Error::other("names no DID"))?;
    // It would count for longer than any that comes after it.
    if given_ms > now_ms.saturating_add(CLOCK_TOLERANCE_MS) {
        return Err(io::Error::other("given in the future"));
    }
    Ok(Order { path: path.to_owned(), did, terms: Terms { until_ms, bytes, entries }, given_ms })
}

#[cfg(test)]
mod tests {
    use super::*;
    use identity::time::Timestamp;

    #[test]
    fn each_order_is_judged_by_itself_and_says_when_it_was_given() {
        let data = tempfile::tempdir().unwrap();
        let (orders, did) = (Orders::at(data.path()), Did::from_bytes([1; 20]));
        assert!(orders.waiting(0).unwrap().orders.is_empty(), "no directory");
        let terms = [5, 9].map(|bytes| Terms { bytes: Some(bytes), ..Terms::default() });
        for (at, terms) in [20, 100].into_iter().zip(&terms) {
            orders.give(&did, terms, &Clock::fixed_for_tests(Timestamp::from_ms(at))).unwrap();
        }
        let directory = data.path().join("leases");
        fs::write(directory.join("half.part"), "{").unwrap();
        let good = fs::read_to_string(orders.waiting(100).unwrap().orders[0].path.clone()).unwrap();
        let future = good.replace("\"given_ms\":", "\"given_ms\":9999999");
        for (name, text) in [
            ("empty", String::new()),
            ("none", "{}".to_owned()),
            ("more", good.replace('{', "{\"x\":1,")),
            ("did", good.replace("did:", "dad:")),
            ("large", format!("{good}{}", " ".repeat(LEASE_ORDER_BYTES_MAX as usize))),
            ("future", future),
            ("notes.txt", "a reminder".to_owned()),
        ] {
            fs::write(directory.join(name), text).unwrap();
        }
        fs::create_dir(directory.join("directory")).unwrap();
        std::os::unix::fs::symlink(directory.join("none"), directory.join("link")).unwrap();
        let waiting = orders.waiting(100).unwrap();
        let mut bad: Vec<_> = waiting.bad.iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap()).collect();
        bad.sort_unstable();
        assert_eq!(
            bad,
            ["did", "directory", "empty", "future", "large", "link", "more", "none", "notes.txt"],
            "{waiting:?}"
        );
        let mut read: Vec<_> = waiting.orders.iter().map(|order| (order.given_ms, order.terms, order.did)).collect();
        read.sort_unstable_by_key(|(given_ms, ..)| *given_ms);
        assert_eq!(read, [(20, terms[0], did), (100, terms[1], did)]);
        for order in &waiting.orders {
            orders.done(order).unwrap();
        }
        assert!(orders.waiting(100).unwrap().orders.is_empty());
        assert!(orders.done(&waiting.orders[0]).is_err(), "it is gone");
    }

    #[test]
    fn a_look_takes_so_many_and_says_that_there_are_more() {
        let data = tempfile::tempdir().unwrap();
        let directory = data.path().join("leases");
        fs::create_dir(&directory).unwrap();
        for number in 0..=LEASE_ORDERS_PER_LOOK {
            fs::write(directory.join(number.to_string()), "").unwrap();
        }
        let waiting = Orders::at(data.path()).waiting(0).unwrap();
        assert_eq!((waiting.bad.len(), waiting.is_more), (LEASE_ORDERS_PER_LOOK, true));
    }
}
