//! Every bound of the DNS part, with its reason.

use std::time::Duration;

/// The longest UDP answer to a client that knows no EDNS (RFC 1035 section 4.2.1).
pub const UDP_PLAIN_BYTES_MAX: usize = 512;

/// The longest UDP answer at all: fits the smallest IPv6 path without fragments.
pub const UDP_BYTES_MAX: usize = 1232;

/// The longest message of a stream: its length is a u16.
pub const STREAM_BYTES_MAX: usize = 65_535;

/// The longest zone: a name of 100 bytes and the labels of any service below it still fit into 255.
pub const ZONE_BYTES_MAX: usize = 90;

/// How many CNAMEs of the zone one answer follows; a loop ends here too.
pub const CNAME_HOPS_MAX: usize = 8;

/// The greatest TTL of the SOA and of a denial: how long a resolver that asked too early may not see a new name.
pub const NEGATIVE_TTL_S_MAX: u32 = 5;

/// The TTL of NS records, seconds: who answers for the zone changes seldom.
pub const NS_TTL_S: u32 = 3_600;

/// The TTL of what a delegation says, seconds: who takes it back is believed within minutes.
pub const DELEGATION_TTL_S: u32 = 300;

/// How long a stream may be silent between two queries.
pub const STREAM_IDLE: Duration = Duration::from_secs(10);

/// How long a TLS handshake may take.
pub const HANDSHAKE: Duration = Duration::from_secs(5);

/// How often the files of the certificate are read: one that was renewed is served so soon.
pub const CERTIFICATE_EVERY: Duration = Duration::from_secs(5);

/// The longest file of a certificate or its key: a chain of dozens.
pub const CERTIFICATE_BYTES_MAX: u64 = 256 << 10;

/// How long an order of a certificate may take in all.
pub const ORDER_WITHIN: Duration = Duration::from_secs(300);

/// Seconds after an order that failed, four times as many after each further one: authorities count the failures of an hour, and some forget them late.
pub const ORDER_RETRY_S: u64 = 10;

/// The most of these seconds.
pub const ORDER_RETRY_S_MAX: u64 = 6 * 3_600;

/// The least seconds between two certificates.
pub const ORDER_AGAIN_S: u64 = 3_600;

/// How long a challenge may take to the secondaries of the zone before the authority looks.
pub const CHALLENGE_SPREAD: Duration = Duration::from_secs(5);

/// The most names of one certificate that is ordered.
pub const ORDER_NAMES_MAX: usize = 16;

/// The most requests at once over one connection of HTTP/2.
pub const HTTPS_STREAMS_MAX: u32 = 16;

/// The longest body of a request: no query is longer, nor any update of a device.
pub const HTTPS_BODY_BYTES_MAX: usize = QUERY_BYTES_MAX;

/// What is read, and let go of, of a request that is refused before its connection is left to itself.
pub const HTTPS_DRAINED_BYTES_MAX: usize = 1 << 16;

/// The longest head of a request: the message of a GET stands in it, a third longer than it is.
pub const HTTPS_HEAD_BYTES_MAX: u32 = 16 << 10;

/// What a client may send of one body, and is kept of one answer, before the other side takes it: above what HTTP/2 must grant.
pub const HTTPS_STREAM_BYTES: u32 = 64 << 10;

/// What HTTP/2 is given of an answer at once: so much of it stays there, beyond any deadline, if the client takes none of it.
pub const HTTPS_PIECE_BYTES: usize = 1 << 10;

/// What a client may send of all bodies of a connection.
pub const HTTPS_CONNECTION_BYTES: u32 = 128 << 10;

/// The most queries at once over one connection of QUIC.
pub const QUIC_STREAMS_MAX: u32 = 16;

/// What a client may send over all streams of a connection of QUIC before it is read.
pub const QUIC_BYTES_MAX: u32 = 128 << 10;

/// What is kept of the answers of a connection of QUIC until they are taken.
pub const QUIC_SEND_BYTES_MAX: u64 = 256 << 10;

/// The most connections of QUIC that are begun and not yet looked at.
pub const QUIC_INCOMING_MAX: usize = 1_024;

/// How long the clients of QUIC are told that the server stops.
pub const QUIC_CLOSE: Duration = Duration::from_secs(1);

/// What the length of an answer over an encrypted transport is a multiple of (RFC 8467 section 4.1).
pub const PADDING_BLOCK_BYTES: usize = 468;

/// How long a frame may take from its first byte to its last, and an answer to be taken by the client.
pub const STREAM_PARTIAL: Duration = Duration::from_secs(5);

/// The most streams open at once; each holds some kilobytes.
pub const STREAMS_MAX: usize = 1_024;

/// The most streams open at once from one IPv4 address or IPv6 /56: one client can never take them all.
pub const STREAMS_PER_CLIENT_MAX: usize = 32;

/// The most queries of one stream that are answered before the answers are written.
pub const STREAM_QUERIES_MAX: usize = 128;

/// Answers waiting to be written to one stream; above it nothing more is read from the client until he has taken them.
pub const STREAM_PENDING_BYTES_MAX: usize = 65_536;

/// The most datagrams a UDP worker takes from the kernel at once.
pub const UDP_BATCH: usize = 32;

/// The longest query that is read, also of a stream: none of a record is longer, however many options it carries.
pub const QUERY_BYTES_MAX: usize = 4_096;

/// The longest datagram that is read.
pub const UDP_QUERY_BYTES_MAX: usize = QUERY_BYTES_MAX;

/// The most records of a query beside its question: OPT, TSIG, the SOA of an IXFR, and some that nobody needs.
pub const QUERY_RECORDS_MAX: u32 = 8;

/// What the kernel holds of datagrams that no worker has taken yet: a burst of some ten thousand.
pub const UDP_RECEIVE_BYTES: usize = 4 << 20;

/// The longest name a server calls itself by (RFC 5001): an answer carries it beside all else.
pub const NSID_BYTES_MAX: usize = 64;

/// How many segments the index of the zone is cut into: it grows a segment at a time, and is copied by segments.
pub const ZONE_SEGMENTS: usize = 256;

/// The words of a chunk of cards, 1 MiB: what a server without names takes, and at most as much again as is live in each.
pub const CARD_CHUNK_WORDS: usize = 1 << 17;

/// The most proofs in the making, and updates, for all streams together; more wait.
pub const STREAM_WORKS_MAX: usize = 64;

/// What is kept of proofs that were answered.
pub const PROOF_CACHE_BYTES: u64 = 64 << 20;

/// The most datagrams that wait for a proof; more are not answered.
pub const PROOF_QUERIES_MAX: usize = 1_024;

/// The most proofs in the making for datagrams.
pub const PROOF_TASKS_MAX: usize = 64;

/// The most records of changes that are kept for secondaries: some 20,000 changes of signed names. Who is further behind gets the whole zone.
pub const JOURNAL_RECORDS_MAX: usize = 200_000;

/// The most bytes that they take.
pub const JOURNAL_BYTES_MAX: usize = 64 << 20;

/// Between two serials of a zone that others copy: as often as a secondary can follow, and many changes in one. One step of serials, which follow the
/// time: with another gap they would jump, and those of a server that is updated might go back.
pub const EDITION_GAP: Duration = Duration::from_millis(200);

/// Serials that are made durable at once, five seconds of them: after a crash the first new edition waits for their time.
pub const SERIALS_AT_ONCE: u32 = 25;

/// The longest wait for the next try when there is no serial, because a disk is full.
pub const SERIAL_WAIT_MAX: Duration = Duration::from_secs(60);

/// The most copies at once: each holds the records of [`TRANSFER_NAMES`] names in memory, or of a 256th of the zone if that is more.
pub const TRANSFERS_MAX: usize = 8;

/// The most copies at once for one peer: whoever takes its place, or its key, leaves the others theirs.
pub const TRANSFERS_OF_A_PEER_MAX: usize = 2;

/// How slowly a peer may take a copy, bytes a second: less than any line between servers carries.
pub const TRANSFER_BYTES_PER_S_MIN: u32 = 64 << 10;

/// For how long it may take one more slowly, in all.
pub const TRANSFER_SLOW: Duration = Duration::from_secs(30);

/// The queries for copies that are remembered of each key, so that none is answered twice: more than twenty a second for as long as one can be good.
pub const TRANSFERS_SEEN_MAX: usize = 8_192;

/// The names whose records one step of a transfer reads, while no other is written.
pub const TRANSFER_NAMES: u64 = 4_096;

/// The longest message of a transfer, but for its signature: owners within it can be pointed at.
pub const TRANSFER_MESSAGE_BYTES: usize = 16_000;

/// The most servers that may be configured to copy the zone.
pub const PEERS_MAX: usize = 64;

/// Accounts of ACME clients that have a place of their own; each is a row of some 200 bytes, and at most two records.
pub const ACME_ACCOUNTS_MAX: u64 = 100_000;

/// Those of them that the devices of one DID may have: nobody takes the places of all.
pub const ACME_ACCOUNTS_OF_A_DID_MAX: u64 = 100;

/// Seconds without use after which such an account is over: certificates are renewed every 60 days.
pub const ACME_IDLE_S: u64 = 90 * 86_400;

/// The longest file of the operator's own records.
pub const OWN_FILE_BYTES_MAX: u64 = 256 << 10;

/// The most records in it, and the most bytes of their data: with signatures they fit one card.
pub const OWN_RECORDS_MAX: usize = 128;

/// See [`OWN_RECORDS_MAX`].
pub const OWN_BYTES_MAX: usize = 16 << 10;

/// The greatest TTL of such a record, seconds: cards have two bytes for it.
pub const OWN_TTL_S_MAX: u32 = 65_535;

/// The most addresses of each family that ALIAS takes from another name: an answer by UDP has them all.
pub const ALIAS_ADDRESSES_MAX: usize = 16;

/// How long a resolver may take for one answer.
pub const ALIAS_ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// How often is looked whether the addresses are to be asked for again.
pub const ALIAS_EVERY: Duration = Duration::from_secs(1);

/// The least seconds between two questions, and the TTL of the addresses: nobody makes this server ask more often.
pub const ALIAS_TTL_S_MIN: u32 = 30;

/// The most: an address that has moved is seen so soon.
pub const ALIAS_TTL_S_MAX: u32 = 300;

/// For how many seconds addresses are shown that cannot be asked for any more.
pub const ALIAS_STALE_S: u64 = 3_600;

/// The most resolvers that are asked, one after the other.
pub const RESOLVERS_MAX: usize = 3;

/// Challenges of one account that stand at once: a name and its wildcard have one each.
pub const ACME_TEXTS_MAX: usize = 2;

/// The longest frame of a snapshot of the zone: a segment of 100 million names takes a fourth of it.
pub const SNAPSHOT_FRAME_BYTES_MAX: usize = 1 << 28;

/// Owners of a frame: the chain is read-locked for a fraction of a millisecond.
pub const SNAPSHOT_NODES: usize = 2_048;

/// The blocks that as many owners are in.
pub const SNAPSHOT_BLOCKS: usize = SNAPSHOT_NODES / 32;

/// What may be touched while a snapshot is written, names and owners, some 100 bytes each; above it the snapshot is given up and tried again later.
pub const SNAPSHOT_TOUCHED_MAX: usize = 1 << 20;

/// What may be left when nothing changes until the last of a snapshot is in memory: some milliseconds.
pub const SNAPSHOT_LAST: usize = 1_024;

/// How often what was touched is written before that is done however much is left.
pub const SNAPSHOT_ROUNDS_MAX: usize = 16;

/// How fast a snapshot is written, bytes a second: commits need the same disk. The one at a stop does not wait.
pub const SNAPSHOT_BYTES_PER_S: u64 = 64 << 20;

/// After so many bytes they are synced: the last sync is short.
pub const SNAPSHOT_SYNC_BYTES: u64 = 16 << 20;

/// A snapshot is written before its time once the log grew by a sixteenth of the names, and by as many entries as these at least: a start makes these
/// changes anew, with their signatures, some 0.1 ms each. A zone of fewer names is written at every stop.
pub const SNAPSHOT_CHANGES_MIN: u64 = 20_000;

/// How long none is tried after one that failed, for want of room or because too much changed meanwhile.
pub const SNAPSHOT_PAUSE: Duration = Duration::from_secs(600);

/// How often is looked whether one is due.
pub const SNAPSHOT_LOOK: Duration = Duration::from_secs(5);

/// How long log and copy may say other things of a name: one is ahead of the other by less. Then the log alone is believed.
pub const AGREE_WITHIN: Duration = Duration::from_secs(15);

/// The most that the log said of one name, one after the other, that is kept until a copy has it.
pub const WAITING_VERSIONS_MAX: usize = 64;

/// The most signatures of one set that are looked at: verifying is work, and two keys sign at most.
pub const SIGNATURES_MAX: usize = 8;

/// How often an edge looks whether the log agrees with a copy that it holds.
pub const AGREE_LOOK: Duration = Duration::from_millis(250);

/// How often an edge asks its primary for what is new, if it is told nothing: one message each way.
pub const COPY_EVERY: Duration = Duration::from_secs(10);

/// The same while the log has changed a name and no copy has.
pub const COPY_AGAIN: Duration = Duration::from_secs(1);

/// How long an edge waits once it was told that there is something new: for what changes at the same time, as often as there are editions.
pub const COPY_GAP: Duration = Duration::from_millis(50);

/// How long an edge waits after a copy that came to nothing, twice as long after each further one.
pub const COPY_PAUSE: Duration = Duration::from_secs(1);

/// The most of that.
pub const COPY_PAUSE_MAX: Duration = Duration::from_secs(60);

/// How often an edge that lacks signatures asks for the whole zone.
pub const COPY_MEND: Duration = Duration::from_secs(30);

/// How many times as long as the whole zone takes to come there is until it is asked for again.
pub const COPY_WHOLE_SHARE: u32 = 4;

/// How long the primary may take to be connected, TLS and all.
pub const COPY_CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How long it may take for each message of a copy.
pub const COPY_MESSAGE_WITHIN: Duration = Duration::from_secs(30);

/// How slowly a copy may come, bytes a second, once [`COPY_MESSAGE_WITHIN`] is over.
pub const COPY_BYTES_PER_S_MIN: u64 = 64 << 10;

/// How long for all of them: ten million names over a slow line.
pub const COPY_WITHIN: Duration = Duration::from_secs(6 * 3_600);

/// The memory that a copy may take: this, and so much for each name of the log. One with an address and its DID takes half of that with all signatures.
pub const COPY_BYTES_MIN: u64 = 64 << 20;

/// See [`COPY_BYTES_MIN`].
pub const COPY_BYTES_OF_A_NAME: u64 = 4 << 10;

/// How often what an edge serves is written down, if it changed.
pub const COPY_SAVE_EVERY: Duration = Duration::from_secs(5);

/// How many times as long as it takes to write it there is between two.
pub const COPY_SAVE_SHARE: u32 = 20;
