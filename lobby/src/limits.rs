//! Every bound of this package, with its reason (PROTOCOL 23.9).

/// The bytes of a frame. A card and a proof fit eight times.
pub const FRAME_BYTES_MAX: usize = 16_384;

/// The bytes of a Resolution that travels beside a card. A lookup's answer has three kilobytes.
pub const PROOF_BYTES_MAX: usize = 8_192;

/// The bytes of a card. Twelve candidates and a shown head fit; one page of memory holds it.
pub const CARD_BYTES_MAX: usize = 3_072;

/// The rows of news and of changes in one frame, and the characters of a push service's URL.
pub const NEWS_MAX: usize = 64;
/// See [`NEWS_MAX`].
pub const ENDPOINT_BYTES_MAX: usize = 1_024;

/// The logs that one session publishes of, and those that one device listens to.
pub const PUBLISHED_MAX: usize = 4_096;
/// See [`PUBLISHED_MAX`].
pub const LISTENED_MAX: usize = 256;

/// How long news is gathered, ms: for those who are here, and before it is looked whom it is to be pushed to.
pub const NEWS_MS: u64 = 10;
/// See [`NEWS_MS`].
pub const PUSH_SWEEP_MS: u64 = 500;

/// The frames unseen by a client beyond which news waits, and how long until it is looked again, ms: it is told once, of the newest.
pub const NEWS_UNSEEN_MAX: usize = 24;
/// See [`NEWS_UNSEEN_MAX`].
pub const NEWS_LATER_MS: u64 = 500;

/// The longest time that something is muted for, ms: a year.
pub const MUTE_MS_MAX: u64 = 366 * 86_400_000;

/// The bytes of a certificate that is attested, and of entries in one answer: below a frame.
pub const ENVELOPE_BYTES_MAX: usize = 4_096;
/// See [`ENVELOPE_BYTES_MAX`].
pub const DATA_BYTES_MAX: usize = 14_336;

/// The logs that one session has leased.
pub const HANDLES_MAX: usize = 64;

/// The candidates of a card, and the bytes of one.
pub const CANDIDATES_MAX: usize = 12;
/// See [`CANDIDATES_MAX`].
pub const CANDIDATE_BYTES_MAX: usize = 96;

/// The candidates that one side of a sess may name: each makes the other side send packets.
pub const SIDE_CANDIDATES_MAX: usize = 32;

/// The bytes of the head that travels in a card or hello, as readers show it to each other.
pub const SHOWN_HEAD_BYTES_MAX: usize = 600;

/// How far ahead a card may expire, seconds: freshness, not validity.
pub const CARD_LIFE_S: u64 = 60;

/// How long after its expiry and how long before its life began a card is taken, seconds: home clocks.
pub const CARD_LATE_S: u64 = 120;
/// See [`CARD_LATE_S`].
pub const CARD_EARLY_S: u64 = 180;

/// How long an end remembers an offer, ms: longer than any card of it is taken.
pub const OFFER_KEPT_MS: u64 = 300_000;

/// The sess that an end remembers. 256 live ones, and the ended ones of five minutes of the fastest knocks.
pub const SESS_KEPT_MAX: usize = 4_096;

/// How long a connection may take to say hello, ms.
pub const HELLO_MS: u64 = 5_000;

/// Connections of one IPv4 address or /64 that have not said hello: sockets are scarce.
pub const STRANGERS_MAX: u32 = 20;

/// Knocks in a minute of guests of one IPv4 address or /64, and of all guests at one name: whoever is certified finds room beside them.
pub const KNOCKS_OF_GUESTS: u32 = 60;
/// See [`KNOCKS_OF_GUESTS`].
pub const GUEST_KNOCKS_AT_NAME: u32 = 60;

/// New connections of one IPv4 address or /64 in a second.
pub const OPENED_PER_S: u32 = 10;

/// Sessions of one device: browser tabs.
pub const INSTANCES_MAX: usize = 8;

/// How long a session outlives its socket, ms: a change of network takes seconds.
pub const RESUME_MS: u64 = 30_000;

/// Frames that were sent and not seen, and their bytes: what a resume repeats.
pub const UNSEEN_MAX: usize = 64;
/// See [`UNSEEN_MAX`].
pub const UNSEEN_BYTES_MAX: usize = 65_536;

/// After so many frames, or so long, a client says what it has seen, ms.
pub const SEEN_EVERY: u64 = 16;
/// See [`SEEN_EVERY`].
pub const SEEN_MS: u64 = 5_000;

/// How often a session is pinged, ms, a fifth more or less: translators of addresses forget after 30 s.
pub const BEAT_MS: u64 = 25_000;

/// After how long without a sign of life a connection is closed, ms.
pub const DEAD_MS: u64 = 60_000;

/// How long a registration lives that its host does not renew, ms: a process that hangs is not online.
pub const LEASE_MS: u64 = 120_000;

/// Names that one session hosts, and hosts of one name.
pub const NAMES_MAX: usize = 32;
/// See [`NAMES_MAX`].
pub const HOSTS_MAX: usize = 4;

/// The names that one session watches, and the sessions that watch one name.
pub const WATCHES_MAX: usize = 100;
/// See [`WATCHES_MAX`].
pub const WATCHERS_MAX: usize = 10_000;

/// The logs in one message between nodes, and the other nodes at which one name is known to be hosted.
pub const SIZES_MAX: usize = 256;
/// See [`SIZES_MAX`].
pub const ELSEWHERE_MAX: usize = 16;

/// The characters of the URL at which a node is reached: as a hello names it.
pub const NODE_URL_BYTES_MAX: usize = 240;

/// How often a node asks who hosts a name that somebody follows at it, and how long it believes an answer, ms: so a node that died has no
/// hosts any more.
pub const FOLLOW_MS: u64 = 5_000;
/// See [`FOLLOW_MS`].
pub const ELSEWHERE_MS: u64 = 15_000;

/// The DIDs of a guard list: 9 kilobytes of a frame.
pub const GUARDED_MAX: usize = 1_024;

/// Knocks of a session, and at a session, that were not answered yet.
pub const ASKED_MAX: u32 = 8;
/// See [`ASKED_MAX`].
pub const HOSTING_MAX: u32 = 256;

/// How long the lobby keeps a sess after its last signal, ms.
pub const SESS_MS: u64 = 120_000;

/// When a knock that nobody answered is `unavailable`, ms, a tenth more or less: the same for absent, guarded, silent and hidden.
pub const UNAVAILABLE_MS: u64 = 5_000;

/// Frames of one device in [`BURST_MS`], and the signals among them: 20 a second, in bursts of 60.
pub const FRAMES_PER_BURST: u32 = 180;
/// See [`FRAMES_PER_BURST`].
pub const SIGNALS_PER_BURST: u32 = 60;
/// See [`FRAMES_PER_BURST`].
pub const BURST_MS: u64 = 3_000;

/// New knocks in a minute: of a device at one name, of a device, at a name. Resends are not counted.
pub const KNOCKS_PER_NAME: u32 = 6;
/// See [`KNOCKS_PER_NAME`].
pub const KNOCKS_PER_DEVICE: u32 = 60;
/// See [`KNOCKS_PER_NAME`].
pub const KNOCKS_AT_NAME: u32 = 600;

/// Counters kept at most; beyond it the oldest windows go, so a flood of keys costs bounded memory.
pub const COUNTERS_MAX: usize = 200_000;

/// When an end sends a signal again that was not acknowledged, ms after the time before; then it gives up at [`EXPIRED_MS`].
pub const RESEND_MS: [u64; 5] = [250, 500, 1_000, 2_000, 4_000];

/// When an end gives a signal up, ms after it was first sent.
pub const EXPIRED_MS: u64 = 10_000;

/// Signals that an end has under way at once.
pub const UNDER_WAY_MAX: usize = 1_024;

/// How long both channels of a connection may take to stand, and then each end to say hello, ms.
pub const CONNECT_MS: u64 = 30_000;

/// The bytes of a chunk: what is checked, asked for again and resumed from at once.
pub const CHUNK_BYTES: usize = 65_536;

/// The bytes of a piece: with its frame below what every browser takes in one message.
pub const PIECE_BYTES_MAX: usize = 15_360;

/// The ids in one answer: below a message as well.
pub const IDS_MAX: usize = 400;

/// The files in one answer.
pub const LISTED_MAX: usize = 1_000;

/// The bytes of a path.
pub const PATH_BYTES_MAX: usize = 1_024;

/// The bytes of a file: a million chunks, whose ids are 32 MB.
pub const FILE_BYTES_MAX: u64 = 1 << 36;

/// What one connection may have asked for and not been given, requests: 2 MB of chunks.
pub const REQUESTS_MAX: usize = 32;

/// The entries of one write, and their bytes with the ends of their lines: one message of a channel.
pub const ENTRIES_MAX: usize = 256;
/// See [`ENTRIES_MAX`].
pub const WRITTEN_BYTES_MAX: usize = 14_336;

/// The bytes of a request to a store through a host: the longest has the id of a log and four numbers.
pub const TARGET_BYTES_MAX: usize = 512;

/// The bytes that such a request posts, or its answer has: a chunk, or what the store takes at once, and what frames it.
pub const ASKED_BYTES_MAX: usize = (4 << 20) + 131_072;

/// The bytes of a credential: a token, or four grants.
pub const CREDENTIAL_BYTES_MAX: usize = 4_608;

/// The bytes of what names a site: a name, or the origin of a log.
pub const SITE_BYTES_MAX: usize = 255;

/// How long a nonce of a host is good, ms, and how many of one connection are.
pub const NONCE_MS: u64 = 60_000;
/// See [`NONCE_MS`].
pub const NONCES_MAX: usize = 4;

/// How long a lease lasts that nothing ends earlier, seconds.
pub const LOG_LEASE_S: u64 = 3_600;
