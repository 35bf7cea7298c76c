//! Every bound of this package, with its reason (PROTOCOL 16).

/// The bytes of a certificate. Fits the u16 length of an entry bundle and one page of memory.
pub const CERTIFICATE_BYTES_MAX: usize = 4_096;

/// The signatures of a certificate. Bounds what one post makes the server verify.
pub const SIGNATURES_MAX: usize = 8;

/// The bytes of an encoded state. A resolver holds four at once.
pub const STATE_BYTES_MAX: usize = 16_384;

/// The live devices of a DID. Bounds its state.
pub const DEVICES_MAX: usize = 32;

/// The pending acts of a DID. Each carries its body in the state.
pub const PENDING_MAX: usize = 8;

/// The sign-ins an alias remembers. Who sends seals to each of them.
pub const ATTESTED_MAX: usize = 8;

/// How long a dispute lasts: a week, so that the holder of the address meets it.
pub const BREAKER_MS: u64 = 604_800_000;

/// The live names of a DID. Bounds its state.
pub const NAMES_MAX: usize = 32;

/// The authorities of a server, revoked ones included: their older signatures must stay checkable.
pub const AUTHORITIES_MAX: usize = 64;

/// The bytes of an absolute name. With service labels in front it stays within the 255 of DNS.
pub const NAME_BYTES_MAX: usize = 100;

/// The bytes of a zone. Leaves room in a name of [`NAME_BYTES_MAX`] for a label and in DNS for the proof labels.
pub const ZONE_BYTES_MAX: usize = 90;

/// The labels of a name below its zone. Bounds the walk to its ancestors.
pub const NAME_LABELS_MAX: usize = 4;

/// The bytes of a label, as in DNS.
pub const LABEL_BYTES_MAX: usize = 63;

/// The least bytes of a label directly below the zone. One and two letters are too few to hand out first come.
pub const FIRST_LABEL_BYTES_MIN: usize = 3;

/// The bytes of the scope of an authority: an issuer URL or a zone.
pub const SCOPE_BYTES_MAX: usize = 255;

/// The rows of a record set. Keeps `records` within [`CERTIFICATE_BYTES_MAX`] and an answer within one message.
pub const ROWS_MAX: usize = 32;

/// The distinct owners in a record set. Each becomes a name in DNS.
pub const OWNERS_MAX: usize = 16;

/// The bytes of all rdata of a record set. Leaves a kilobyte of the certificate to keys and signatures.
pub const RDATA_BYTES_MAX: usize = 3_072;

/// The foreign names whose CNAME an owner confirms.
pub const ALIASES_MAX: usize = 8;

/// The bytes of rdata of one TXT set. An answer of one set fits a UDP datagram of 1,232 bytes.
pub const TXT_BYTES_MAX: usize = 1_024;

/// The name servers of a delegation. As many as resolvers ask before they give up.
pub const DELEGATION_SERVERS_MAX: usize = 8;

/// The digests of a delegation: two keys, by two digests each.
pub const DELEGATION_DS_MAX: usize = 4;

/// The addresses of a delegation: two for each name server.
pub const DELEGATION_GLUE_MAX: usize = 16;

/// The bytes of the policy of a delegation. Eight witnesses fit. With long hosts beside it a certificate is too large, and refused.
pub const DELEGATION_POLICY_BYTES_MAX: usize = 1_024;

/// The least time to live of a certified record, in seconds. Shorter ones are what volatile records are for.
pub const TTL_MIN_S: u32 = 30;

/// The longest time to live of a certified record, in seconds. A revoked address is forgotten within the hour.
pub const TTL_MAX_S: u32 = 3_600;

/// The window of a DID that sets none: three days, so that a weekend away does not lose an account.
pub const WINDOW_DEFAULT_S: u64 = 259_200;

/// The least window in a zone that has no terms yet, in seconds: a day is the least in which anybody notices.
pub const WINDOW_FLOOR_DEFAULT_S: u64 = 86_400;

/// The longest window, in seconds: two weeks, because its owner must wait it out too.
pub const WINDOW_MAX_S: u64 = 1_209_600;

/// The longest wait of a DID younger than [`NEWCOMER_MS`]: whoever began today may still start over.
pub const NEWCOMER_WAIT_MS: u64 = 3_600_000;

/// How long a DID is a newcomer.
pub const NEWCOMER_MS: u64 = 86_400_000;

/// How long a released name is held: 90 days, until caches and readers forgot its owner.
pub const HOLD_MS: u64 = 7_776_000_000;

/// The zero bits a proof of work may be asked for. 2^40 hashes are hours on a desktop; more would never be meant.
pub const WORK_BITS_MAX: u8 = 40;

/// How far a device's clock may be off when it signs a request, in seconds. Nonces are remembered twice as long.
pub const REQUEST_SKEW_S: u64 = 60;

/// The bytes of the method of a signed request.
pub const METHOD_BYTES_MAX: usize = 16;

/// The bytes of the path and query of a signed request.
pub const TARGET_BYTES_MAX: usize = 2_048;

/// The blinded elements of one evaluation. Bounds what one request makes a server compute.
pub const OPRF_BATCH_MAX: usize = 16;

/// The bytes of a token's payload. Sixteen scopes of the longest paths fit; a header line holds the token.
pub const TOKEN_BYTES_MAX: usize = 1_792;

/// The scopes of a token. Bounds what an audience looks through at each check.
pub const SCOPES_MAX: usize = 16;

/// The bytes of a path inside a resource.
pub const RESOURCE_PATH_BYTES_MAX: usize = 64;

/// The shortest life of a token, in seconds.
pub const TOKEN_LIFE_MIN_S: u64 = 60;

/// The longest life of a token, in seconds: how long the revocation feed has to remember.
pub const TOKEN_LIFE_MAX_S: u64 = 86_400;

/// The life of a token whose audience asks for none, in seconds.
pub const TOKEN_LIFE_DEFAULT_S: u64 = 900;

/// How far the clocks of server and audience may be apart, in seconds.
pub const TOKEN_SKEW_S: u64 = 60;

/// How old an audience's newest word of the revocation feed may be while it takes writes, in seconds.
pub const FEED_FRESH_S: u64 = 60;

/// The entries of one page of the revocation feed.
pub const FEED_ENTRIES_MAX: usize = 1_024;

/// The keys of one answer to an audience: an hour each, as many as the longest life needs, the current and the next.
pub const TOKEN_KEYS_MAX: usize = 27;

/// The bytes of a signed grant.
pub const GRANT_BYTES_MAX: usize = 1_024;

/// The grants of a chain. Bounds the signatures of one exchange.
pub const GRANT_CHAIN_MAX: usize = 4;

/// The bytes of a passkey's `clientDataJSON`: a challenge, an origin, and what browsers add.
pub const CLIENT_DATA_BYTES_MAX: usize = 4_096;

/// The bytes of a passkey's `authenticatorData`: 37, and the extensions it was asked for.
pub const AUTHENTICATOR_DATA_BYTES_MAX: usize = 4_096;

/// The recipients of a user key besides devices and words: passkeys.
pub const RECIPIENTS_MAX: usize = 4;

/// The bytes of a letter. With its signature and its box it stays below the 4,096 that a server keeps for a device.
pub const LETTER_BYTES_MAX: usize = 3_584;

/// The bytes of the name of a file that a letter is.
pub const LETTER_NAME_BYTES_MAX: usize = 128;

/// The recovery servers of a DID. More would cost its owner a set that nobody oversees, and its state two kilobytes.
pub const RECOVERY_SERVERS_MAX: usize = 7;

/// The bytes of the URL of a recovery server. Seven servers fit a certificate.
pub const SERVER_URL_BYTES_MAX: usize = 128;

/// The bytes of the name of the operator of a recovery server.
pub const OPERATOR_BYTES_MAX: usize = 64;

/// The sign-ins that may begin a recovery. Bounds what a server verifies for one attempt.
pub const SIGN_INS_MAX: usize = 4;

/// The guesses of an epoch of recovery: ten of a million PINs, over all servers together.
pub const GUESSES_MAX: u8 = 10;

/// How long after the attempt before the next may begin, by its number. A typing error costs a minute, the last guesses a day each.
pub const BACKOFF_MS: [u64; GUESSES_MAX as usize] =
    [0, 60_000, 60_000, 300_000, 900_000, 3_600_000, 14_400_000, 86_400_000, 86_400_000, 86_400_000];

/// How long after its attempt a PIN may be proved: time enough to ask every server twice, and no stock of open attempts.
pub const PROVE_MS: u64 = 600_000;

/// How long a recovery that is ready waits for the new device.
pub const READY_MS: u64 = 2_592_000_000;
