//! Every refusal an HTTP client can get, with its status: the one place that maps codes to statuses (PROTOCOL 12.2).

use dgns_api::code;
use dgns_api::problem::{Problem, ProblemHead};
use identity::rules::Refusal;
use storage::store::AppendRefusal;

use crate::auth::aliases::AliasError;
use crate::auth::notary::NotaryError;
use crate::auth::oidc::OidcError;
use crate::auth::request::CallerError;
use crate::auth::signin::SigninError;
use crate::limits::TooMany;
use crate::log::door::DoorError;
use crate::log::feed::FeedError;
use crate::log::lookup::LookupError;
use crate::log::notices::NoticesError;
use crate::recovery::RecoveryError;
use crate::store::StoreRefusal;
use crate::tokens::TokensRefusal;
use crate::witness::Declined;

/// Returns the HTTP status of a stable code.
pub fn status(code: &str) -> u16 {
    match code {
        "bad_cbor" | "not_canonical" | "bad_field" | "unknown_type" | "bad_name" => 400,
        code::BAD_QUERY | code::BAD_POST | code::BAD_SUBPROTOCOL => 400,
        code::BAD_SUBDOMAIN | code::BAD_TXT | code::MALFORMED_JSON_PAYLOAD | code::BAD_CIDR => 400,
        code::FORBIDDEN => 401,
        "bad_signature" | "weak_key" | "unknown_signer" => 401,
        code::NONCE_WANTED | code::GUARD_WRONG => 401,
        "bad_token" | "token_mac" | "token_hour" | "token_audience" | "token_early" | "token_expired" => 401,
        "token_device" => 401,
        "bad_authorization" | "request_time" | code::REQUEST_REPLAYED => 401,
        "not_allowed" | "not_name_owner" | "not_server" | "key_revoked" | "frozen" | "suspended" => 403,
        code::NOT_GRANTED | "grant_owner" | "grant_wider" | "token_scope" => 403,
        "reserved_name" | "road_closed" | code::BAD_INVITE => 403,
        "nonce" | "audience" | "issuer" | "algorithm" | "expired" | "email_unverified" | "id_token" => 401,
        "signin_refused" | "assertion" => 401,
        code::PASSKEY_COUNTER => 401,
        "unknown_key" | code::UNKNOWN_ISSUER | code::UNKNOWN_PASSKEY | code::NO_SUCH_SIGNIN => 404,
        code::NO_AUDIENCE | code::NO_SUCH_FAMILY | code::NO_SUCH_GRANT => 404,
        code::NOT_FOUND | "no_such_device" | "no_such_act" | "no_parent" => 404,
        code::METHOD_NOT_ALLOWED => 405,
        code::UPGRADE_WANTED => 426,
        code::TIMEOUT => 408,
        "stale_prev" | "name_taken" | "did_exists" | "act_open" | "already_voted" => 409,
        "has_children" | "name_delegated" | code::UNKNOWN_HEAD | code::KEY_REUSED => 409,
        code::PAIR_FULL | code::MAILBOX_FULL => 409,
        code::GRANT_REVOKED | code::GUARD_REUSED | "grant_expired" | "token_revoked" => 410,
        code::SIGNIN_EXPIRED | code::SIGNIN_SPENT => 410,
        code::ACCOUNT_BOUND | code::ADDRESS_BOUND | code::PASSKEY_KNOWN | code::PASSKEYS_FULL | "alias_bound" => 409,
        code::SIGNIN_DEVICE | "notary_revoked" => 403,
        "issuer_unavailable" | code::NOTARY_PENDING => 503,
        "ended" | code::NOT_IN_TAIL => 410,
        code::TOO_LARGE => 413,
        code::NOT_THE_WRITER => 421,
        code::RATE => 429,
        code::INTERNAL | code::ROLLED_BACK => 500,
        code::BUSY | code::LOG_UNAVAILABLE | "feed_stale" | code::BEHIND | code::QUORUM_PENDING => 503,
        code::NO_ROW | "no_recovery" => 404,
        "not_open" | "attempt_used" | "recovery_pending" | "not_ready" | "backoff" | "bad_attempt" => 409,
        "burnt" | "guesses_spent" | "open_expired" | "erased" => 410,
        "breaker" | "too_few" | "not_enrolled" => 403,
        "not_opened" => 400,
        "unknown_signin" => 401,
        code::LOG_PROOF | code::LOG_FAULT => 502,
        "unknown_device" => 401,
        "not_writer" | "not_reader" | "single_writer" | "no_groups" | "unknown_home" => 403,
        "lsn_gap" | "lsn_conflict" | "epoch_conflict" | "log_exists" | "full" | "store_behind" | "grant_narrower" => {
            409
        }
        "owner_exists" | "said" | "last_owner" | "no_quorum" | "stays" | "trim_unsafe" | "arrived" | "not_anchored" => {
            409
        }
        "deleted" | "dropped" | "moved" | "trimmed" => 410,
        "deleting" | "arriving" => 423,
        "chunk_missing" => 424,
        "head_mismatch" => 412,
        "range" => 416,
        "recovering" => 503,
        "lease_lapsed" => 402,
        "quota" => 507,
        _ => 422,
    }
}

/// Returns the problem of a code with its sentence.
pub fn problem(code: &str, detail: impl Into<String>) -> Problem {
    Problem::new(status(code), code, detail)
}

/// Returns the problem of a refused post. An internal failure says nothing of its cause: that goes to the log.
pub fn of_door(error: &DoorError) -> Problem {
    let detail = match error {
        DoorError::Storage(_) | DoorError::Notary(NotaryError::Storage(_)) => {
            "the server failed; try again, and tell the operator if it lasts".to_owned()
        }
        other => other.to_string(),
    };
    let mut problem = problem(error.code(), detail);
    match error {
        DoorError::Refused { refusal, .. } => of_refusal(&mut problem, refusal),
        DoorError::MoreWork { bits } => problem.work_bits = Some(*bits),
        DoorError::Rate(too_many) => problem.retry_ms = Some(too_many.retry_ms),
        DoorError::Busy => problem.retry_ms = Some(100),
        DoorError::Notary(error) => problem.retry_ms = error.retry_ms(),
        DoorError::Unavailable => problem.retry_ms = Some(1_000),
        _ => {}
    }
    problem
}

/// Returns the problem of a signed request that is not taken.
pub fn of_caller(error: &CallerError) -> Problem {
    match error {
        CallerError::Storage(_) => {
            problem(code::INTERNAL, "the server failed; try again, and tell the operator if it lasts")
        }
        CallerError::Busy => Problem { retry_ms: Some(60_000), ..problem(code::BUSY, error.to_string()) },
        other => problem(other.code(), other.to_string()),
    }
}

/// Returns the problem of what is refused about a database.
pub fn of_store(refusal: &StoreRefusal) -> Problem {
    let code = refusal.code();
    if let StoreRefusal::Append(AppendRefusal::ChunkMissing { ids }) = refusal {
        let missing = ids.iter().map(|id| data_encoding::HEXLOWER.encode(id)).collect();
        return Problem { missing, ..problem(code, refusal.to_string()) };
    }
    if let StoreRefusal::DroppedBefore { first } | StoreRefusal::Trimmed { first } = refusal {
        return Problem { first: Some(*first), ..problem(code, refusal.to_string()) };
    }
    if let StoreRefusal::Append(AppendRefusal::Rate { retry_ms }) = refusal {
        return Problem { retry_ms: Some(*retry_ms), ..problem(code, refusal.to_string()) };
    }
    match code {
        code::INTERNAL => internal(),
        code::BUSY | "recovering" => Problem { retry_ms: Some(100), ..problem(code, refusal.to_string()) },
        _ => problem(code, refusal.to_string()),
    }
}

/// Returns the problem of one request too many.
pub fn of_rate(too_many: TooMany) -> Problem {
    let detail = format!("too many of these; try again in {} s", too_many.retry_ms.div_ceil(1_000));
    Problem { retry_ms: Some(too_many.retry_ms), ..problem(code::RATE, detail) }
}

/// Returns the problem of a stream for which there is no place.
pub fn busy_streams() -> Problem {
    let busy = problem(code::BUSY, "too many streams are open: look every now and then instead");
    Problem { retry_ms: Some(10_000), ..busy }
}

/// Returns the problem of a token that nobody gets.
pub fn of_tokens(refusal: &TokensRefusal) -> Problem {
    match refusal {
        TokensRefusal::Storage(_) => internal(),
        TokensRefusal::NonceWanted(nonce) => {
            let nonce = Some(data_encoding::BASE64URL_NOPAD.encode(nonce));
            Problem { nonce, ..problem(refusal.code(), refusal.to_string()) }
        }
        TokensRefusal::Rate(too_many) => {
            Problem { retry_ms: Some(too_many.retry_ms), ..problem(refusal.code(), refusal.to_string()) }
        }
        TokensRefusal::Busy => Problem { retry_ms: Some(500), ..problem(refusal.code(), refusal.to_string()) },
        other => problem(other.code(), other.to_string()),
    }
}

/// Returns the problem of a failure inside: its cause goes to the log alone.
pub fn internal() -> Problem {
    problem(code::INTERNAL, "the server failed; try again, and tell the operator if it lasts")
}

/// Returns the problem of a post to a server that follows another one.
pub fn not_the_writer(url: &str) -> Problem {
    let detail = format!("this server follows another one, which takes certificates: {url}");
    Problem { writer: Some(url.to_owned()), ..problem(code::NOT_THE_WRITER, detail) }
}

/// Returns the problem of a follower whose verified state is too old after a fault.
pub fn over() -> Problem {
    problem(code::LOG_UNAVAILABLE, "the log that this server follows is at fault; what was verified before is too old")
}

/// Returns the problem of a sign-in that does not go on.
pub fn of_signin(error: &SigninError) -> Problem {
    let detail = match error {
        SigninError::Storage(_) | SigninError::Notary(NotaryError::Storage(_)) => {
            "the server failed; try again, and tell the operator if it lasts".to_owned()
        }
        other => other.to_string(),
    };
    let mut problem = problem(error.code(), detail);
    match error {
        SigninError::Rate(too_many) => problem.retry_ms = Some(too_many.retry_ms),
        SigninError::Notary(error) => problem.retry_ms = error.retry_ms(),
        SigninError::Oidc(OidcError::Unavailable) => problem.retry_ms = Some(2_000),
        SigninError::Passkey(refusal) => problem.reason = refusal.reason().map(str::to_owned),
        _ => {}
    }
    problem
}

/// Returns the problem of what a recovery server does not do.
pub fn of_recovery(error: &RecoveryError) -> Problem {
    match error {
        RecoveryError::Storage(_) | RecoveryError::Evidence(_) => internal(),
        other => Problem { retry_ms: other.retry_ms(), ..problem(other.code(), other.to_string()) },
    }
}

/// Returns the problem of a binding that no notary signs.
pub fn of_alias(error: &AliasError) -> Problem {
    match error {
        AliasError::Storage(_) | AliasError::Notary(NotaryError::Storage(_)) => {
            problem(code::INTERNAL, "the server failed; try again, and tell the operator if it lasts")
        }
        other => {
            let mut problem = problem(other.code(), other.to_string());
            if let AliasError::Notary(error) = other {
                problem.retry_ms = error.retry_ms();
            }
            problem
        }
    }
}

/// Returns the problem of evidence that is not noted.
pub fn of_notices(error: &NoticesError) -> Problem {
    match error {
        NoticesError::Evidence(refusal) => problem(refusal.code(), refusal.to_string()),
        NoticesError::Door(error) => of_door(error),
    }
}

/// Returns the problem of a stream that cannot begin.
pub fn of_feed(error: FeedError) -> Problem {
    match error {
        FeedError::NotKept => problem(code::NOT_IN_TAIL, error.to_string()),
        FeedError::Busy => Problem { retry_ms: Some(1_000), ..problem(code::BUSY, error.to_string()) },
    }
}

fn of_refusal(problem: &mut Problem, refusal: &Refusal) {
    problem.reason = refusal.reason().map(str::to_owned);
    if let Refusal::StalePrev { head: Some(head) } = refusal {
        let sid = data_encoding::HEXLOWER.encode(&head.sid);
        problem.head = Some(ProblemHead { seq: head.seq, sid, index: head.index });
    }
}

/// Returns the problem of a checkpoint that is not cosigned (PROTOCOL 9.7, 12.6).
pub fn of_declined(declined: &Declined) -> Problem {
    let mut problem = match declined {
        Declined::BadRequest(error) => Problem::new(400, error.code(), error.to_string()),
        Declined::Refused(refusal) => Problem::new(refusal.status(), refusal.code(), refusal.to_string()),
        Declined::Storage(_) => problem(declined.code(), "the witness failed; nothing was signed"),
        other => problem(other.code(), other.to_string()),
    };
    if matches!(declined, Declined::Behind { .. }) {
        problem.retry_ms = Some(1_000);
    }
    problem
}

/// Returns the problem of a failed lookup.
pub fn of_lookup(error: &LookupError, checkpoint: &str) -> Problem {
    match error {
        LookupError::UnknownHead { newest } => {
            let detail = format!("this log's newest head has {newest} leaves: keep the larger head as evidence");
            let mut problem = problem(code::UNKNOWN_HEAD, detail);
            problem.checkpoint = Some(checkpoint.to_owned());
            problem
        }
        LookupError::QuorumPending => quorum_pending(error.to_string()),
        LookupError::Storage(_) => {
            problem(code::INTERNAL, "the server failed; try again, and tell the operator if it lasts")
        }
    }
}

/// Returns the problem of what waits for the witnesses.
pub fn quorum_pending(detail: impl Into<String>) -> Problem {
    let mut problem = problem(code::QUORUM_PENDING, detail);
    problem.retry_ms = Some(1_000);
    problem
}
