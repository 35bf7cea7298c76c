// Bounds of databases and logs (PROTOCOL 25).

export const [HEADER_BYTES_MAX, BODY_BYTES_MAX, RECORDS_MAX, RECORD_BYTES_MAX] = [4096, 1 << 20, 1024, 65_536];
export const [ENTRIES_PER_ANSWER_MAX, LABEL_BYTES_MAX, MEMBERS_MAX, GROUPS_MAX, LOGS_MAX] = [1024, 64, 1000, 256, 256];
/** The chunks that an entry names. */
export const REFS_MAX = 48;
/** The bytes of a piece of a record in chunks. */
export const PIECE_BYTES = 1_048_536;
/** The parts of a snapshot. */
export const PARTS_MAX = 8192;
/** The bytes of what stands in a partition, and of the text of an invitation. */
export const [PARTITION_BODY_BYTES_MAX, INVITATION_TEXT_BYTES_MAX] = [4096, 3040];
export const [OWNERS_MAX, VOICES_MAX, FORKS_MAX, MOVES_MAX] = [64, 16, 16, 16];
/** The bytes of the URL of a server that a database moved to. */
export const PLACE_URL_BYTES_MAX = 255;
export const [ANCHOR_CHANGES_MAX, PATH_HASHES_MAX] = [16_384, 64];
/** How long after an entry was acknowledged an anchor must have it, ms. */
export const ANCHOR_BY_MS = 60_000n;
/** How long an answer may be: entries of 4 MiB, and what proves them. */
export const ANSWER_BYTES_MAX = 4 * 1_048_576 + 131_072;
