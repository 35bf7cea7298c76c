//! Every bound of this package with its reason.

/// The oldest SQLite that is trusted: before it, resetting the write-ahead log could corrupt the database.
pub const SQLITE_VERSION_MIN: (u32, u32, u32) = (3, 51, 3);

/// How many connections read. A read takes tens of microseconds; more would only hold caches.
pub const READERS: usize = 4;

/// How many connections of one server read from PostgreSQL: each is a process there, and a read waits for the network.
pub const REMOTE_READERS: usize = 8;

/// How long a connection to PostgreSQL may take, seconds.
pub const CONNECT_S_MAX: u64 = 5;

/// How long a statement may take on PostgreSQL, the wait for other nodes that write among it, seconds.
pub const STATEMENT_S_MAX: u64 = 30;

/// How long a transaction may stand open on PostgreSQL without a statement, seconds: a node that vanished then holds up no other.
pub const IDLE_IN_TRANSACTION_S_MAX: u64 = 10;

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

/// Changes of names that are read or deleted at once: some milliseconds.
pub const CHANGED_AT_ONCE: u64 = 4_096;

/// The length of an object's path: ten levels of `x000` and change.
pub const OBJECT_PATH_BYTES_MAX: usize = 200;

/// The size of an object: an entry bundle is 1 MiB at most.
pub const OBJECT_BYTES_MAX: u64 = 8 << 20;

/// The appends that wait for the writer of databases. More are told to come again.
pub const APPENDS_WAITING_MAX: usize = 1_024;

/// The entries that one commit of databases takes: what gathers while the disk syncs, and no more than a few ms of work.
pub const ENTRIES_PER_COMMIT: usize = 1_024;

/// The bytes of the bodies that one commit of databases takes, unless the first append alone has more.
pub const BYTES_PER_COMMIT: usize = 4 << 20;

/// The newest entries of a log whose proofs take no look at the tables, at least; at most twice as many once a commit is noted. Writers who are
/// further behind ask the tables.
pub const RECENT_LEAVES: u64 = 256;

/// The logs whose newest entries are known: 64 bytes an entry, so with [`RECENT_LEAVES`] most often 8 MiB at most.
pub const RECENT_LOGS: usize = 256;

/// What an entry takes beside its header and body: its row, two indexes, its part of the tree.
pub const ENTRY_OVERHEAD_BYTES: u64 = 170;

/// The head-room of an account that is full, for what owners say of the database itself: a hundredth of its quota, and at least this.
pub const HEAD_ROOM_BYTES: u64 = 1 << 20;

/// What a chunk takes beside its bytes: its two rows and three indexes.
pub const CHUNK_OVERHEAD_BYTES: u64 = 256;

/// The entries whose bodies one commit drops of a database that nobody pays for, and the accounts whose leases are noted as over: a few ms,
/// and no append waits longer for it.
pub const ROWS_PER_SWEEP: u64 = 256;

/// The bytes of the bodies that such a commit drops, unless the first entry alone has more.
pub const BYTES_PER_SWEEP: u64 = 4 << 20;

/// The logs that go on from others of which one question reads where they lie.
pub const FORKS_PER_LOOK: u64 = 1_024;

/// The size up to which a chunk lies in the database: below it a file of its own would cost more than the row.
pub const CHUNK_IN_ROW_BYTES_MAX: usize = 16_384;

/// How often it is noted that somebody wants a chunk that nothing names yet, milliseconds: an upload of a day asks for it a few times.
pub const CHUNK_NOTED_MS: u64 = 3_600_000;

/// The rows that one step of letting go of chunks takes: appends wait for it, on PostgreSQL some tens of milliseconds.
pub const ROWS_PER_COLLECTION: u64 = 64;

/// How many objects one step fails to delete before it leaves the rest to the next: each failure may take the object store's whole patience.
pub const OBJECT_FAILURES_MAX: usize = 4;

/// The chunks that the entries may name which one step counts, or drops, unless the first entry alone names more.
pub const NAMED_PER_STEP: usize = 512;

/// How often an upload writes its object anew because what was let go of meanwhile took the number of the writing away.
pub const CHUNK_WRITINGS_MAX: usize = 8;

/// The entries of which the tables keep together what stays once they are packed: as many as one node above them stands for, so that a proof reads
/// one row, at most two.
pub const BLOCK_ENTRIES: u64 = 256;

/// The entries that one step packs: their rows go in one commit, which appends wait for, some ms.
pub const ENTRIES_PER_PACK: u64 = 1_024;

/// The bytes of headers and bodies that one step packs, unless the first entry alone has more.
pub const BYTES_PER_PACK: u64 = 1 << 20;

/// From how many old entries on they are packed, or from [`BYTES_PACKED_MIN`]; fewer wait until they are [`PACK_WAITS`] times as old.
pub const ENTRIES_PACKED_MIN: u64 = 256;

/// From how many bytes of headers and bodies on old entries are packed.
pub const BYTES_PACKED_MIN: u64 = 262_144;

/// How many times as old as any that is packed the oldest of a few has to be, so that a slow log makes few segments.
pub const PACK_WAITS: u64 = 8;

/// How many segments of a level a log has before neighbours are merged: each entry is written so often again as there are levels, at most seven.
pub const SEGMENTS_PER_LEVEL: usize = 8;

/// The bytes of a segment that is merged of others: one question for some thousand entries, and no answer waits long for one it needs one of.
pub const SEGMENT_BYTES_MAX: u64 = 4 << 20;

/// The bytes of segments that are read for one answer, beside the first one: what was dropped lies in them for a while, so that few bytes of
/// entries may need many of these.
pub const SEGMENT_BYTES_PER_ANSWER: u64 = 12 << 20;

/// The part of a segment, one in so many, that is written anew without what was dropped as soon as that is so much; less of it goes when all that was
/// dropped does, no more often than entries get old, nor than [`DEAD_MS_MAX`]: whoever drops a little again and again makes few objects.
pub const DEAD_PART: u64 = 4;

/// How long segments have what was dropped, be it however little, milliseconds.
pub const DEAD_MS_MAX: u64 = 86_400_000;

/// The logs that one step of packing goes over which have few old entries, so that many of these hold up none that has more.
pub const LOGS_PER_PACK: usize = 64;

/// The newest segments of a log that are looked at for some to merge.
pub const SEGMENTS_PER_LOOK: u64 = 64;

/// The rows of logs that one question for old entries looks at.
pub const LOGS_PER_LOOK: i64 = 1_024;

/// The segments that were read of late and are kept in memory, bytes in all: readers who go through old entries read each once.
pub const SEGMENTS_KEPT_BYTES: usize = 32 << 20;

/// As [`SEGMENTS_KEPT_BYTES`], how many.
pub const SEGMENTS_KEPT: usize = 256;

/// The segments that are read at a time, each by one: whoever else needs one waits, and finds what was read meanwhile.
pub const SEGMENT_READS_MAX: usize = 8;

/// How long somebody waits for others who read segments, milliseconds, before they are told to come again.
pub const SEGMENT_WAIT_MS: u64 = 10_000;

/// From how many milliseconds on a reading of segments that failed was slow: what else is to be done goes first then.
pub const READ_SLOW_MS: u64 = 1_000;

/// How often a range is read again whose segments others took the place of, and whose objects went, meanwhile.
pub const READS_MAX: usize = 3;

/// How often a node looks what others appended to the logs that somebody waits for here, milliseconds: what a reader at another node
/// waits longer than at the one that appended.
pub const OTHERS_EVERY_MS: u64 = 200;

/// How often an object store is asked again after a fault: with pauses that double, a few seconds.
pub const S3_TRIES_MAX: usize = 6;

/// How long one question to an object store may take, seconds.
pub const S3_S_MAX: u64 = 30;
