//! Problem codes that neither the decoder, the rules nor the verifier name: those of the server itself (PROTOCOL 12.2).
//!
//! A code is stable: programs match on it, texts may change.

/// A query or path that is not of the documented form. 400.
pub const BAD_QUERY: &str = "bad_query";
/// A post that is not `{1: [envelope, ...]}`, or holds none or more than 16. 400.
pub const BAD_POST: &str = "bad_post";
/// A signed request that was taken before. 401: sign another one.
pub const REQUEST_REPLAYED: &str = "request_replayed";
/// A pairing has 32 messages, or the relay is full. 409: begin another.
pub const PAIR_FULL: &str = "pair_full";
/// 256 envelopes wait for the device. 409.
pub const MAILBOX_FULL: &str = "mailbox_full";
/// No such path, tile, entry, or id. 404.
pub const NOT_FOUND: &str = "not_found";
/// The path is a WebSocket. 426.
pub const UPGRADE_WANTED: &str = "upgrade_wanted";
/// No subprotocol that the lobby speaks. 400.
pub const BAD_SUBPROTOCOL: &str = "bad_subprotocol";
/// The path exists, the method does not. 405.
pub const METHOD_NOT_ALLOWED: &str = "method_not_allowed";
/// The request did not arrive in time. 408.
pub const TIMEOUT: &str = "timeout";
/// `have` or `from` lies beyond the newest head. 409, with the checkpoint.
pub const UNKNOWN_HEAD: &str = "unknown_head";
/// `from` lies before the batches a stream still has, or is the size of no head. 410: read tiles.
pub const NOT_IN_TAIL: &str = "not_in_tail";
/// The body is larger than the path takes. 413.
pub const TOO_LARGE: &str = "too_large";
/// `seen` is no head of this log. 422.
pub const BAD_SEEN: &str = "bad_seen";
/// The invitation code is unknown or used. 403.
pub const BAD_INVITE: &str = "bad_invite";
/// A key stood in a chain of the log before. 409: make new keys.
pub const KEY_REUSED: &str = "key_reused";
/// The open road asks more work than the claim shows. 422, with `work_bits`.
pub const POW_SHORT: &str = "pow_short";
/// This server follows another one, which takes certificates: `writer` is its URL. 421.
pub const NOT_THE_WRITER: &str = "not_the_writer";
/// A recovery server keeps no share of this DID and epoch. 404.
pub const NO_ROW: &str = "no_row";
/// What the server of names shows a recovery server is not proved. 502.
pub const LOG_PROOF: &str = "log_proof";
/// A recovery server found that the log signed two histories, and does nothing for it any more. 502.
pub const LOG_FAULT: &str = "log_fault";
/// Too many requests or certificates. 429, with `retry_ms`.
pub const RATE: &str = "rate";
/// The queue of certificates is full. 503, with `retry_ms`; safe to repeat.
pub const BUSY: &str = "busy";
/// The log cannot commit now. 503, with `retry_ms`; safe to repeat.
pub const LOG_UNAVAILABLE: &str = "log_unavailable";
/// The verifying witness has not replayed the log so far. 503, with `retry_ms`.
pub const BEHIND: &str = "behind";
/// The time of the head is more than 300 s from the verifying witness's clock. 422.
pub const HEAD_TIME: &str = "head_time";
/// The verifying witness found the log at fault. 422.
pub const HELD_UP: &str = "held_up";
/// The witness's database is older than what it signed. 500.
pub const ROLLED_BACK: &str = "rolled_back";
/// No head has its quorum of witnesses yet: after a start, or for a post that waits for one. 503, with `retry_ms`; safe to
/// repeat.
pub const QUORUM_PENDING: &str = "quorum_pending";
/// A lease without a nonce of this server's last minute; the answer brings one to sign. 401.
pub const NONCE_WANTED: &str = "nonce_wanted";
/// The audience of a token is not in the log, or has ended. 404.
pub const NO_AUDIENCE: &str = "no_audience";
/// A scope beyond what the DID owns or the grant allows. 403.
pub const NOT_GRANTED: &str = "not_granted";
/// A grant of the chain was taken back by its issuer. 410.
pub const GRANT_REVOKED: &str = "grant_revoked";
/// Not a guard of this family of tokens. 401.
pub const GUARD_WRONG: &str = "guard_wrong";
/// The guard was spent before; its family of tokens has ended. 410.
pub const GUARD_REUSED: &str = "guard_reused";
/// No family of tokens of this DID has that name. 404.
pub const NO_SUCH_FAMILY: &str = "no_such_family";
/// No grant by this DID has that name. 404.
pub const NO_SUCH_GRANT: &str = "no_such_grant";
/// This server knows no such issuer. 404.
pub const UNKNOWN_ISSUER: &str = "unknown_issuer";
/// A sign-in that was finished, is too old, or never began here. 410.
pub const SIGNIN_EXPIRED: &str = "signin_expired";
/// A sign-in that was used for as many names as one gives. 410.
pub const SIGNIN_SPENT: &str = "signin_spent";
/// The account of a sign-in leads to another DID. 409.
pub const ACCOUNT_BOUND: &str = "account_bound";
/// An address is bound by this sign-in: it is given up first.
pub const ADDRESS_BOUND: &str = "address_bound";
/// No such sign-in leads to this DID.
pub const NO_SUCH_SIGNIN: &str = "no_such_signin";
/// The device that signed in is not the one that signs. 403.
pub const SIGNIN_DEVICE: &str = "signin_device";
/// An alias, its commitment and the statement shown are not of one address. 422.
pub const BAD_OPENING: &str = "bad_opening";
/// The notary of this issuer is not in the log yet. 503, with `retry_ms`.
pub const NOTARY_PENDING: &str = "notary_pending";
/// No passkey of this id is registered here. 404.
pub const UNKNOWN_PASSKEY: &str = "unknown_passkey";
/// The counter of a passkey went back: there may be a copy of it. 401.
pub const PASSKEY_COUNTER: &str = "passkey_counter";
/// A passkey with this id is registered already. 409.
pub const PASSKEY_KNOWN: &str = "passkey_known";
/// The person has as many passkeys as one may have. 409.
pub const PASSKEYS_FULL: &str = "passkeys_full";
/// A fault inside the server; the answer's `x-request-id` finds it in the server's log. 500.
pub const INTERNAL: &str = "internal";

/// Every code of this module.
pub const ALL: &[&str] = &[
    BAD_QUERY,
    BAD_POST,
    REQUEST_REPLAYED,
    PAIR_FULL,
    MAILBOX_FULL,
    NOT_FOUND,
    UPGRADE_WANTED,
    BAD_SUBPROTOCOL,
    METHOD_NOT_ALLOWED,
    TIMEOUT,
    UNKNOWN_HEAD,
    NOT_IN_TAIL,
    NOT_THE_WRITER,
    TOO_LARGE,
    BAD_SEEN,
    BAD_INVITE,
    KEY_REUSED,
    POW_SHORT,
    RATE,
    BUSY,
    LOG_UNAVAILABLE,
    BEHIND,
    HEAD_TIME,
    HELD_UP,
    ROLLED_BACK,
    QUORUM_PENDING,
    NONCE_WANTED,
    NO_AUDIENCE,
    NOT_GRANTED,
    GRANT_REVOKED,
    GUARD_WRONG,
    GUARD_REUSED,
    NO_SUCH_FAMILY,
    NO_SUCH_GRANT,
    UNKNOWN_ISSUER,
    SIGNIN_EXPIRED,
    SIGNIN_SPENT,
    ACCOUNT_BOUND,
    ADDRESS_BOUND,
    NO_SUCH_SIGNIN,
    SIGNIN_DEVICE,
    NOTARY_PENDING,
    UNKNOWN_PASSKEY,
    PASSKEY_COUNTER,
    PASSKEY_KNOWN,
    PASSKEYS_FULL,
    BAD_OPENING,
    INTERNAL,
    FORBIDDEN,
    BAD_SUBDOMAIN,
    BAD_TXT,
    MALFORMED_JSON_PAYLOAD,
    BAD_CIDR,
];
/// An account of an ACME client that is not there, or may not do this. 401.
pub const FORBIDDEN: &str = "forbidden";
/// The subdomain of a challenge is no UUID. 400.
pub const BAD_SUBDOMAIN: &str = "bad_subdomain";
/// A challenge is not 43 characters of base64url. 400.
pub const BAD_TXT: &str = "bad_txt";
/// The body is not the JSON that the path takes. 400.
pub const MALFORMED_JSON_PAYLOAD: &str = "malformed_json_payload";
/// The networks of an account are none. 400.
pub const BAD_CIDR: &str = "invalid_allowfrom_cidr";
