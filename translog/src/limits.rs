//! Every bound of this package, with its reason (PROTOCOL 16).

/// The largest tree: sizes stay inside a signed 64-bit integer, which is what stock readers count in.
pub const SIZE_MAX: u64 = i64::MAX as u64;

/// The most hashes in an inclusion or consistency path. A tree of at most 2^63 leaves never needs more.
pub const PATH_HASHES_MAX: usize = 64;

/// Hashes in a full tile, and entries in a full bundle (tlog-tiles).
pub const TILE_WIDTH: u16 = 256;

/// The level of a tile in a path: tlog-tiles allows 0..=63, a tree of 2^63 leaves has eight.
pub const TILE_LEVEL_MAX: u8 = 63;

/// The bytes of one entry: the type and a body of at most 4,096.
pub const ENTRY_BYTES_MAX: usize = 4_097;

/// The bytes of the CBOR in an entry, the limit of certificates too.
pub const BODY_BYTES_MAX: usize = 4_096;

/// The bytes of a full bundle of the largest entries: what a reader must be ready to hold.
pub const BUNDLE_BYTES_MAX: usize = TILE_WIDTH as usize * (2 + ENTRY_BYTES_MAX);

/// The bytes of a signed note: 16 post-quantum lines of 5 kB, and room.
pub const NOTE_BYTES_MAX: usize = 128 * 1_024;

/// The signature lines of a note. 16 must be accepted (signed-note).
pub const NOTE_LINES_MAX: usize = 64;

/// The bytes of a key's name, of another log's origin, or of a read prefix: more than any host name with a path needs.
pub const NAME_BYTES_MAX: usize = 255;

/// The extra data in a `.tlog-proof`: a Resolution, 64 KiB at most.
pub const PROOF_EXTRA_BYTES_MAX: usize = 64 * 1_024;

/// The bytes of a `.tlog-proof` file: the extra data in base64, 64 hashes and a note.
pub const PROOF_FILE_BYTES_MAX: usize = 2 * PROOF_EXTRA_BYTES_MAX + NOTE_BYTES_MAX;

/// The log keys in a LogConf. In the first all of them sign beside the identity key, and an envelope has 8 signatures.
pub const LOG_KEYS_MAX: usize = 7;

/// The read prefixes a LogConf names.
pub const PREFIXES_MAX: usize = 16;

/// The bytes of a policy file, and of the policy a log recommends in its LogConf.
pub const POLICY_BYTES_MAX: usize = 64 * 1_024;

/// The logs of a policy, its witnesses, and its groups: twice what tlog-policy asks implementations to take.
pub const POLICY_LINES_MAX: usize = 64;

/// The hashes of a consistency proof in a request to a witness (tlog-witness).
pub const WITNESS_PROOF_HASHES_MAX: usize = 63;

/// The bytes of a request to a witness: a note, its proof, and room.
pub const WITNESS_REQUEST_BYTES_MAX: usize = 192 * 1_024;

/// The signatures of an envelope (PROTOCOL 4.1).
pub const SIGNATURES_MAX: usize = 8;

/// The labels of one lookup, so of one map proof: a name, its DID, the log's configuration, and one reserved.
pub const LOOKUP_LABELS_MAX: usize = 4;

/// Entries in a batch besides its Epoch: at 15,000 a second a commit stays under 300 ms.
pub const BATCH_ENTRIES_MAX: usize = 4_096;

/// Bytes of a batch's entries: what one transaction writes at most.
pub const BATCH_BYTES_MAX: usize = 4 << 20;

/// The bytes of a record of the stream of batches: two batches of the largest size, and a note.
pub const STREAM_RECORD_BYTES_MAX: usize = 2 * BATCH_BYTES_MAX + NOTE_BYTES_MAX;

/// The bytes of a Resolution: what a verifier must be ready to hold.
pub const RESOLUTION_BYTES_MAX: usize = 64 * 1_024;

/// The rows of a chain of LogConfs: a rotation a month for 40 years.
pub const CONF_ROWS_MAX: usize = 512;

/// The certificates one post writes, so the inclusion paths its answer carries.
pub const WRITTEN_MAX: usize = 16;

/// The chain rows of one answer, a page.
pub const CHAIN_ROWS_MAX: usize = 64;

/// The payloads a Resolution carries for what a NameState names: records today, with room for later kinds.
pub const PAYLOADS_MAX: usize = 4;

/// How far an Epoch may lie in the reader's future, ms: home clocks are that wrong, and windows last a day or more.
pub const CLOCK_TOLERANCE_MS: u64 = 300_000;

/// The age of a head at which it is refused, in seconds, unless the reader chooses another: Epochs come every 120.
pub const HEAD_AGE_S_MAX: u64 = 300;

/// The bytes of a fault file: an answer of any length a client reads, two notes, a path.
pub const FAULT_FILE_BYTES_MAX: usize = 4 << 20;

/// The bytes of the entries in evidence of kind `map`, a log from its first entry on: some 80,000 of them, checked in seconds.
pub const FAULT_LOG_BYTES_MAX: usize = 32 << 20;

/// The bytes of a head shown to others: it travels inside greetings, and fits a QR code.
pub const SHOWN_HEAD_BYTES_MAX: usize = 600;

/// The parts of a fault file.
pub const FAULT_PARTS_MAX: usize = 16;
