//! Every refusal has a code, and every code a case.

use crate::cert::SignatureRefusal;
use crate::record::{BadRecord, Reason};
use crate::rules::Refusal;

/// One of each refusal with its code.
const fn all() -> [(Refusal, &'static str); 50] {
    let kid = crate::cert::Kid([0; 8]);
    [
        (Refusal::Signature(SignatureRefusal::UnknownSigner(kid)), "unknown_signer"),
        (Refusal::Signature(SignatureRefusal::BadSignature(kid)), "bad_signature"),
        (Refusal::Signature(SignatureRefusal::WeakKey), "weak_key"),
        (Refusal::BadName, "bad_name"),
        (Refusal::StalePrev { head: None }, "stale_prev"),
        (Refusal::Ended, "ended"),
        (Refusal::NotAllowed, "not_allowed"),
        (Refusal::Suspended, "suspended"),
        (Refusal::Frozen, "frozen"),
        (Refusal::KeyRevoked { revoked_at: 1 }, "key_revoked"),
        (Refusal::ActOpen { sid: [0; 32] }, "act_open"),
        (Refusal::NoSuchAct, "no_such_act"),
        (Refusal::AlreadyVoted, "already_voted"),
        (Refusal::DidExists, "did_exists"),
        (Refusal::NameTaken, "name_taken"),
        (Refusal::ReservedName, "reserved_name"),
        (Refusal::PowShort, "pow_short"),
        (Refusal::RoadClosed, "road_closed"),
        (Refusal::NoParent, "no_parent"),
        (Refusal::NotNameOwner, "not_name_owner"),
        (Refusal::HasChildren, "has_children"),
        (Refusal::NameDelegated, "name_delegated"),
        (Refusal::BadRecord(BadRecord { reason: Reason::Ttl, row: None }), "bad_record"),
        (Refusal::BadRecord(BadRecord { reason: Reason::TooMany, row: None }), "too_many"),
        (Refusal::NoSuchDevice, "no_such_device"),
        (Refusal::LastDevice, "last_device"),
        (Refusal::KidTaken, "kid_taken"),
        (Refusal::KeySame, "key_same"),
        (Refusal::BadWindow, "bad_window"),
        (Refusal::NotServer, "not_server"),
        (Refusal::BadScope, "bad_scope"),
        (Refusal::AliasBound, "alias_bound"),
        (Refusal::NotBound, "not_bound"),
        (Refusal::NotaryRevoked { revoked_at: 1 }, "notary_revoked"),
        (Refusal::BadGeneration { next: 1 }, "bad_generation"),
        (Refusal::BadBoxes, "bad_boxes"),
        (Refusal::BadEpoch { epoch: 1 }, "bad_epoch"),
        (Refusal::BadThreshold, "bad_threshold"),
        (Refusal::BadPoint, "bad_point"),
        (Refusal::NoRecovery, "no_recovery"),
        (Refusal::Burnt, "burnt"),
        (Refusal::RecoveryPending { due_ms: 1 }, "recovery_pending"),
        (Refusal::GuessesSpent, "guesses_spent"),
        (Refusal::BadAttempt { next: 1 }, "bad_attempt"),
        (Refusal::Backoff { until_ms: 1 }, "backoff"),
        (Refusal::TooFew { needed: 1 }, "too_few"),
        (Refusal::Breaker { until_ms: 1 }, "breaker"),
        (Refusal::OpenExpired, "open_expired"),
        (Refusal::NotReady { due_ms: 1 }, "not_ready"),
        (Refusal::TooMany, "too_many"),
    ]
}

/// Names each variant: a new one does not compile until somebody has been here, and at [`all`].
const fn is_listed(refusal: &Refusal) -> bool {
    use Refusal as R;
    match refusal {
        R::Signature(_) | R::BadName | R::StalePrev { .. } | R::Ended | R::NotAllowed | R::Suspended | R::Frozen => {
            true
        }
        R::KeyRevoked { .. } | R::ActOpen { .. } | R::NoSuchAct | R::AlreadyVoted | R::DidExists | R::NameTaken => true,
        R::ReservedName | R::PowShort | R::RoadClosed | R::NoParent | R::NotNameOwner | R::HasChildren => true,
        R::NameDelegated => true,
        R::BadRecord(_) | R::NoSuchDevice | R::LastDevice | R::KidTaken | R::KeySame | R::BadWindow => true,
        R::NotServer | R::BadScope | R::TooMany | R::AliasBound | R::NotBound | R::NotaryRevoked { .. } => true,
        R::BadGeneration { .. } | R::BadBoxes | R::BadEpoch { .. } | R::BadThreshold | R::BadPoint => true,
        R::NoRecovery | R::Burnt | R::RecoveryPending { .. } | R::GuessesSpent | R::BadAttempt { .. } => true,
        R::Backoff { .. } | R::TooFew { .. } | R::Breaker { .. } | R::OpenExpired | R::NotReady { .. } => true,
    }
}

#[test]
fn codes_do_not_change() {
    for (refusal, code) in all() {
        assert!(is_listed(&refusal));
        assert_eq!(refusal.code(), code);
        assert!(!refusal.to_string().is_empty());
    }
    let reason = Refusal::BadRecord(BadRecord { reason: Reason::Ttl, row: None }).reason();
    assert_eq!((reason, Refusal::BadName.reason()), (Some("ttl"), None));
}

/// Returns every code there is.
pub(super) fn every_code() -> std::collections::BTreeSet<&'static str> {
    all().iter().map(|(_, code)| *code).collect()
}
