//! URL paths and media types (PROTOCOL 12.1).

/// The prefix of the log's stock read path: `<prefix>/checkpoint`, `<prefix>/tile/...`.
pub const LOG: &str = "/log";
/// The newest public checkpoint, a signed note.
pub const CHECKPOINT: &str = "/log/checkpoint";
/// Accepts certificates.
pub const CERTIFICATES: &str = "/v1/certificates";
/// Proves a name present or absent: `/v1/names/{name}`.
pub const NAMES: &str = "/v1/names/";
/// Proves a DID present or absent: `/v1/dids/{did}`; below it `/chain` and `/did.json`.
pub const DIDS: &str = "/v1/dids/";
/// The DID document of the host itself, as `did:web` has it; below `/dids/{did}` are those of all others.
pub const HOST_DID: &str = "/.well-known/did.json";
/// Proves an alias present or absent: `/v1/aliases/{id}`, 64 hexadecimal digits.
pub const ALIASES: &str = "/v1/aliases/";
/// Evaluates blinded addresses.
pub const EVALUATE: &str = "/v1/alias/evaluate";
/// Has a notary sign the binding of an address.
pub const NOTARIZE: &str = "/v1/alias/notarize";
/// What is kept of the addresses of the DID that asks.
pub const MY_ALIASES: &str = "/v1/alias/mine";
/// Below a name, DID or alias: says when something of it changed.
pub const EVENTS: &str = "/events";
/// What created the thing with this 64-bit id: `/v1/ids/{n}`.
pub const IDS: &str = "/v1/ids/";
/// Opens an account for an ACME client, as acme-dns does; JSON.
pub const ACME_REGISTER: &str = "/acme-dns/register";
/// Writes a challenge by such an account; JSON.
pub const ACME_UPDATE: &str = "/acme-dns/update";
/// Says that these accounts are served.
pub const ACME_HEALTH: &str = "/acme-dns/health";
/// The server's description of itself, JSON.
pub const INFO: &str = "/v1/info";
/// One entry of the log: `/v1/log/entries/{index}`, with `.tlog-proof` as a stock proof file.
pub const ENTRIES: &str = "/v1/log/entries/";
/// An inclusion proof (`?index=&size=`) or a consistency proof (`?from=&to=`).
pub const PROOF: &str = "/v1/log/proof";
/// The public head as Resolutions carry it; `?head=newest` is the newest.
pub const HEAD: &str = "/v1/log/head";
/// The notaries of the log, with how much of what each said came to nothing; JSON.
pub const NOTARIES: &str = "/v1/notaries";
/// How the log stands: its heads, its witnesses; JSON.
pub const STATUS: &str = "/v1/log/status";
/// The newest LogConf envelope.
pub const LOGCONF: &str = "/v1/log/conf";
/// Every LogConf, with the proof that it is the log's: `?from=<size>`.
pub const LOGCONF_CHAIN: &str = "/v1/log/conf/chain";
/// Takes the proof of who asks, somebody of another log whose databases move here.
pub const GUESTS: &str = "/v1/guests";
/// Proves the newest anchor of the databases.
pub const ANCHORS: &str = "/v1/log/anchors";
/// What an anchor changes: `/v1/anchors/{k}/changes`; below it `stand`, how far the databases are, signed.
pub const ANCHOR_CHANGES: &str = "/v1/anchors/";
/// The policy a server recommends: its log's keys, its witnesses, the quorum; a C2SP policy file.
pub const LOG_POLICY: &str = "/v1/log/policy";
/// Takes evidence of a fork into the log as a Notice.
pub const NOTICES: &str = "/v1/notices";
/// The stream of batches with their heads: `?from=<size>`.
pub const TAIL: &str = "/v1/log/tail";
/// What a DID's own devices are told: a stream, to a signed request.
pub const PERSONAL_EVENTS: &str = "/v1/events";
/// The relay of a pairing: `/v1/pair/{session}`, with `?after=<place>`, `?rings=<did>`.
pub const PAIR: &str = "/v1/pair/";
/// The boxes of a DID's user key, to its own devices: the list, and `/v1/attachments/{hash}`.
pub const ATTACHMENTS: &str = "/v1/attachments";
/// What a DID calls its devices, sealed.
pub const LABELS: &str = "/v1/labels";
/// Sealed mail to a device.
pub const ENVELOPES: &str = "/v1/envelopes";
/// Gives a device a token of its own.
pub const TOKEN_LEASE: &str = "/v1/token/lease";
/// Gives a device a token for a chain of grants.
pub const TOKEN_EXCHANGE: &str = "/v1/token/exchange";
/// Spends a guard for a new token.
pub const TOKEN_REFRESH: &str = "/v1/token/refresh";
/// Ends a family of tokens, or takes a grant back.
pub const TOKEN_REVOKE: &str = "/v1/token/revoke";
/// Gives an audience the keys of its hours.
pub const TOKEN_KEYS: &str = "/v1/token/keys";
/// What was revoked: `?since=<seq>&wait=<s>`.
pub const REVOCATIONS: &str = "/v1/revocations";
/// Keeps a chain of grants for its subject.
pub const DECLARE: &str = "/v1/declare";
/// The chains of grants to and by the DID that asks.
pub const GRANTS: &str = "/v1/grants";
/// What a person keeps for its own devices.
pub const PROFILE: &str = "/v1/profile";
/// Takes a genesis with a claim, and answers with their numbers.
pub const SIGNUP: &str = "/v1/signup";
/// Takes a claim, and answers with its number.
pub const CLAIM: &str = "/v1/claim";
/// Begins a sign-in at an issuer.
pub const SIGNIN_OIDC_START: &str = "/v1/signin/oidc/start";
/// Finishes it.
pub const SIGNIN_OIDC_FINISH: &str = "/v1/signin/oidc/finish";
/// Lets the account of a sign-in lead to the DID that asks.
pub const SIGNIN_LINK: &str = "/v1/signin/link";
/// The sign-ins that lead to the DID that asks: the list, and one at `/v1/signin/links/{id}`.
pub const SIGNIN_LINKS: &str = "/v1/signin/links";
/// Begins a sign-in with a passkey.
pub const SIGNIN_PASSKEY_START: &str = "/v1/signin/passkey/start";
/// Finishes it.
pub const SIGNIN_PASSKEY_FINISH: &str = "/v1/signin/passkey/finish";
/// The passkeys of a person: the list, and one at `/v1/passkeys/{id}`.
pub const PASSKEYS: &str = "/v1/passkeys";
/// Begins the registration of a passkey.
pub const PASSKEYS_START: &str = "/v1/passkeys/start";
/// Finishes it.
pub const PASSKEYS_FINISH: &str = "/v1/passkeys/finish";
/// Makes a database.
pub const DATABASES: &str = "/v1/databases";
/// A log of a database: `/v1/logs/{log}/entries`, `/cursor`, `/equivocations`, `/snapshots`.
pub const LOGS: &str = "/v1/logs/";
/// What the account of the DID that asks may store, stores, and until when.
pub const ACCOUNT: &str = "/v1/account";
/// Tells which of many logs grow: a stream, to a signed request.
pub const WATCH: &str = "/v1/watch";
/// The same over a WebSocket, on which logs come and go.
pub const WATCH_SOCKET: &str = "/v1/watch/socket";
/// Which of some chunks the account of the one who asks has.
pub const CHUNKS_HAVE: &str = "/v1/chunks/have";
/// A chunk: `/v1/chunks/{id}`.
pub const CHUNKS: &str = "/v1/chunks/";
/// The socket of the lobby.
pub const LOBBY: &str = "/v1/lobby";
/// What a recovery server says of itself, signed.
pub const RECOVERY_INFO: &str = "/r/v1/info";
/// How PINs are hardened: `/r/v1/bundles/{hash}`.
pub const RECOVERY_BUNDLES: &str = "/r/v1/bundles/";
/// Keeps a share.
pub const RECOVERY_REGISTER: &str = "/r/v1/register";
/// Evaluates the point of an attempt.
pub const RECOVERY_EVALUATE: &str = "/r/v1/evaluate";
/// Releases the share of a backup.
pub const RECOVERY_RELEASE: &str = "/r/v1/release";
/// Erases what the log says is over.
pub const RECOVERY_ERASE: &str = "/r/v1/erase";
/// What a recovery server did; JSON.
pub const RECOVERY_STATS: &str = "/r/v1/stats";
/// 200 while the process lives.
pub const HEALTH: &str = "/health";
/// 200 once the writer can commit and DNS answers, else 503.
pub const READY: &str = "/ready";
/// Counters in the Prometheus text format.
pub const METRICS: &str = "/metrics";

/// The media type of our own bodies.
pub const CBOR: &str = "application/cbor";
/// The media type of readable views.
pub const JSON: &str = "application/json";
/// The media type of problems (RFC 9457).
pub const PROBLEM_JSON: &str = "application/problem+json";
/// The media type of tiles and entry bundles.
pub const OCTETS: &str = "application/octet-stream";
/// The media type of streams of events.
pub const EVENT_STREAM: &str = "text/event-stream";
/// The media type of notes.
pub const TEXT: &str = "text/plain; charset=utf-8";
