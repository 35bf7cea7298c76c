//! Every bound of this package with its reason.

/// The oldest SQLite that is trusted: before it, resetting the write-ahead log could corrupt the database.
pub const SQLITE_VERSION_MIN: (u32, u32, u32) = (3, 51, 3);

/// How many connections read. A read takes tens of microseconds; more would only hold caches.
pub const READERS: usize = 4;

/// The page cache of the writer, KiB: the pages one batch dirties, with room to spare; above it they spill early.
pub const WRITER_CACHE_KIB: u32 = 32 * 1024;

/// The page cache of each reader, KiB. The operating system caches the rest once for all of them.
pub const READER_CACHE_KIB: u32 = 8 * 1024;

/// How long the write-ahead log may grow before it has to begin anew, pages: 64 MiB, so that opening after a crash stays
/// quick.
pub const WAL_PAGES_MAX: u32 = 16_384;

/// How many rows may be written before the write-ahead log is copied back beside the writer: a few ms of writing.
pub const ROWS_BEFORE_COPY: usize = 4_096;

/// How long a statement waits for a lock. The lock file keeps other servers out; this covers `sqlite3` in an operator's hand.
pub const BUSY_TIMEOUT_MS: u64 = 2_000;

/// The number of rows in the widest statement. Each statement crosses a thread; wider ones gain nothing more.
pub const ROWS_PER_STATEMENT: usize = 256;

/// How many row ids one step of a whole-table scan covers: about half a megabyte of labels.
pub const ROWS_PER_SCAN: i64 = 8_192;

/// The length of an object's path: ten levels of `x000` and change.
pub const OBJECT_PATH_BYTES_MAX: usize = 200;

/// The size of an object: an entry bundle is 1 MiB at most.
pub const OBJECT_BYTES_MAX: u64 = 8 << 20;
