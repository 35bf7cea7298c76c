//! Every bound of databases, logs and chunks, with its reason (PROTOCOL 25.11).

/// The bytes of a header: one page of memory, as a certificate.
pub const HEADER_BYTES_MAX: usize = 4_096;

/// The bytes of a body. Larger things are chunks.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// The records of an entry. Bounds what one signature carries and a reader decodes at once.
pub const RECORDS_MAX: usize = 1_024;

/// The bytes of a record.
pub const RECORD_BYTES_MAX: usize = 65_536;

/// The entries of one request, which are appended all or none.
pub const ENTRIES_PER_REQUEST_MAX: usize = 64;

/// The bytes of one request: four full bodies with what stands around them.
pub const REQUEST_BYTES_MAX: usize = (4 << 20) + 65_536;

/// The entries of one answer.
pub const ENTRIES_PER_ANSWER_MAX: usize = 1_024;

/// The bytes of the entries of one answer, unless the first alone has more.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The chunks that an entry names: their ids fit its header, and a commit counts them in a few milliseconds.
pub const REFS_MAX: usize = 48;

/// The snapshots of one answer, the newest: one that its reader cannot use is passed over for the one before.
pub const SNAPSHOTS_PER_ANSWER_MAX: usize = 8;

/// The parts of a snapshot: the list of them fits one body.
pub const PARTS_MAX: usize = 8_192;

/// How long a reader may wait for the next entry, in seconds: below the time that a request may take.
pub const WAIT_S_MAX: u64 = 10;

/// The bytes of a label of a log.
pub const LABEL_BYTES_MAX: usize = 64;

/// The bytes of what stands in a partition: the grant that proves who is a member, or a sealed invitation.
pub const PARTITION_BODY_BYTES_MAX: usize = 4_096;

/// The bytes of a request of one entry of a partition.
pub const PARTITION_REQUEST_BYTES_MAX: usize = HEADER_BYTES_MAX + PARTITION_BODY_BYTES_MAX + 256;

/// The proofs of one user: a device that comes later reads them all.
pub const PROOFS_MAX: u64 = 1_000;

/// The invitations that one person sends within [`INVITATIONS_WITHIN_MS`] to users of one database: nobody is flooded by one.
pub const INVITATIONS_MAX: usize = 20;

/// An hour, in milliseconds.
pub const INVITATIONS_WITHIN_MS: u64 = 3_600_000;

/// The bytes of the text of an invitation: sealed and padded it fits [`PARTITION_BODY_BYTES_MAX`].
pub const INVITATION_TEXT_BYTES_MAX: usize = 3_040;

/// The members of a group. The boxes of a key epoch fit one body.
pub const MEMBERS_MAX: usize = 1_000;

/// The owners of a database: a control log is replayed with all their voices.
pub const OWNERS_MAX: usize = 64;

/// How many an owner may be for making owners at a time: nobody uses up what another may say.
pub const VOICES_MAX: usize = 16;

/// How many databases one may go on from, each from the one before.
pub const FORKS_MAX: usize = 16;

/// To how many servers a database moves: whoever comes late asks them one after another.
pub const MOVES_MAX: usize = 16;

/// The bytes of the URL of a server that a database moved to.
pub const PLACE_URL_BYTES_MAX: usize = 255;

/// The groups of a database.
pub const GROUPS_MAX: usize = 256;

/// The logs of a database that were made, besides its control log.
pub const LOGS_MAX: usize = 256;

/// The ids of one question which chunks are there.
pub const IDS_MAX: usize = 1_000;

/// The bytes of a chunk. One is read, hashed and sent as a whole.
pub const CHUNK_BYTES_MAX: usize = 4 << 20;

/// The bytes of a chunk that entries name: a whole piece of a record, sealed. No reader is made to fetch more than it can be.
pub const ENTRY_CHUNK_BYTES_MAX: usize = 1 << 20;

/// The bytes of a piece of a file or of a large record: sealed, with 40 bytes more, it is a chunk of 1 MiB.
pub const PIECE_BYTES: usize = ENTRY_CHUNK_BYTES_MAX - 40;

/// The bytes of a record: its pieces are chunks that its entry names.
pub const LARGE_RECORD_BYTES_MAX: u64 = (REFS_MAX * PIECE_BYTES) as u64;

/// The heads that one anchor changes; more wait for the next. What is sent of one stays below 4 MiB.
pub const ANCHOR_CHANGES_MAX: usize = 16_384;

/// How long after an entry was acknowledged an anchor must have it, in milliseconds.
pub const ANCHOR_BY_MS: u64 = 60_000;

/// The logs of one watch.
pub const WATCHED_LOGS_MAX: usize = 1_000;

/// The logs of a watch that is asked for in a path: with the longest sizes it stays below the 2,048 bytes that are signed.
pub const WATCHED_IN_PATH_MAX: usize = 20;

/// The databases that are told of an account.
pub const ACCOUNT_DATABASES_MAX: usize = 1_000;
