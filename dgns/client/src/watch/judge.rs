//! Whether what changed between two looks is something an owner's key has signed, and whose keys they were.

use identity::cert::{Body, Kid, Sid};
use identity::key::kid_of;
use identity::state::{DidState, NameState, NameStatus, Pending};
use translog::resolve::{ChainStep, Footing, Resolved};

/// Why a change is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Breach {
    /// An older state than the one seen before, or another one of the same version.
    #[error("the name's state is older than the one seen before, or another of the same version")]
    Rollback,
    /// No certificate in the owner's chain leads there, and nothing was due.
    #[error("the name changed, and no key of its owner signed that: {0}")]
    Unsigned(&'static str),
}

/// A certificate between two looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedAct {
    /// Its log index.
    pub index: u64,
    /// Its sid.
    pub sid: Sid,
    /// What it says.
    pub kind: &'static str,
    /// When its batch was closed, epoch ms.
    pub epoch_ms: u64,
    /// Who signed.
    pub signers: Vec<Signer>,
}

/// One signature of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The key.
    pub kid: Kid,
    /// Whose it is.
    pub who: Who,
}

/// Whose key signed, as a watcher sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The key of this home.
    ThisDevice,
    /// A key the owner had when the watch began.
    Own,
    /// A key that came to the owner's DID since.
    Foreign,
    /// Not of the owner's DID: the zone, or the other party of a transfer.
    OtherParty,
}

impl Breach {
    /// Returns the stable code.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Rollback => "rollback",
            Self::Unsigned(_) => "unsigned_change",
        }
    }
}

/// Returns whether two looks show the same states.
pub(super) fn is_same(old: &Resolved, new: &Resolved) -> bool {
    old.name() == new.name() && old.did() == new.did()
}

/// Checks that each part of the name's state that changed goes back to a certificate in `steps`, to an act that was waiting, or
/// to time. What a DID has become was judged by the rules when it was looked up.
pub(super) fn permitted(old: &Resolved, new: &Resolved, steps: &[ChainStep]) -> Result<(), Breach> {
    match (old.name(), new.name()) {
        (None, _) => Ok(()), // never claimed before, or a DID
        (Some(_), None) => Err(Breach::Rollback),
        (Some(before), Some(now)) if before == now => Ok(()),
        (Some(before), Some(now)) if now.version <= before.version => Err(Breach::Rollback),
        (Some(before), Some(now)) => {
            let ends = |act: &Pending| matches!(act.kind, TRANSFER | TOMBSTONE);
            let waited = old.did().is_some_and(|did| did.pending.iter().any(ends));
            let is_over = match before.status {
                NameStatus::Live => false,
                NameStatus::Held => new.epoch().time_ms >= before.held_until_ms,
                NameStatus::Free => true,
            };
            given_up(before, now, steps, is_over || waited)?;
            // Of an owner met now for the first time no certificate came along.
            if new.footing() == Some(Footing::Map) {
                return Ok(());
            }
            let between = old.head().size..new.head().size;
            recorded(before, now, steps.iter().filter(|step| between.contains(&step.index)))
        }
    }
}

/// Checks that a name which is its owner's no longer was given away, unless nobody need have said so since.
fn given_up(before: &NameState, now: &NameState, steps: &[ChainStep], is_due: bool) -> Result<(), Breach> {
    let says_so = |step: &ChainStep| match &step.certificate.payload().body {
        Body::Transfer { name, .. } => *name == now.name,
        Body::Tombstone => true,
        _ => false,
    };
    let stays = before.did == now.did && before.status == now.status && before.claim_index == now.claim_index;
    match stays || is_due || steps.iter().any(says_so) {
        true => Ok(()),
        false => Err(Breach::Unsigned("it has another owner, or was given up")),
    }
}

/// What a name answers: the certificate of its records, and that of its delegation.
type Answers = (Option<(u64, Sid)>, Option<(u64, Sid)>);

/// Checks that a name answers what the certificates between the two looks, in their order, made of what it answered before.
///
/// A transfer takes the records along; who claims a name begins with none; one that is nobody's answers nothing.
fn recorded<'s>(before: &NameState, now: &NameState, steps: impl Iterator<Item = &'s ChainStep>) -> Result<(), Breach> {
    let (begin, since) = match before.claim_index == now.claim_index {
        true => ((before.records, before.delegate), 0),
        false => ((None, None), now.claim_index),
    };
    let due = steps.filter(|step| step.index >= since).fold(begin, |known, step| answers_after(known, step, &now.name));
    match now.status != NameStatus::Live || (now.records, now.delegate) == due {
        true => Ok(()),
        false => Err(Breach::Unsigned("it has other records")),
    }
}

/// Returns what a name answers after a certificate of its owner's, as the rules have it (PROTOCOL 5.3).
fn answers_after((records, delegate): Answers, step: &ChainStep, name: &str) -> Answers {
    let this = Some((step.index, step.certificate.sid()));
    match &step.certificate.payload().body {
        Body::Records(body) if body.name == name && delegate.is_none() => (this, None),
        Body::Delegate(body) if body.name == name && body.is_end() => (records, None),
        Body::Delegate(body) if body.name == name => (None, this),
        _ => (records, delegate),
    }
}

/// Returns the keys of a DID: the identity key and every device.
pub(super) fn keys(did: &DidState) -> Vec<Kid> {
    core::iter::once(&did.identity).chain(did.devices.iter().map(|device| &device.sign)).map(kid_of).collect()
}

/// Names the signers of each certificate. `own` are the keys that were there when the watch began, `device` this home's.
pub(super) fn signed_acts(
    before: Option<&DidState>,
    steps: &[ChainStep],
    own: &[Kid],
    device: Option<Kid>,
) -> Vec<SignedAct> {
    let mut of_did = before.map_or(Vec::new(), keys);
    let mut acts = Vec::with_capacity(steps.len());
    for step in steps {
        let body = &step.certificate.payload().body;
        of_did.extend(new_keys(body));
        let who = |kid: &Kid| match () {
            () if device == Some(*kid) => Who::ThisDevice,
            () if own.contains(kid) => Who::Own,
            () if of_did.contains(kid) => Who::Foreign,
            () => Who::OtherParty,
        };
        let signers = step.certificate.signatures().iter().map(|(kid, _)| Signer { kid: *kid, who: who(kid) });
        acts.push(SignedAct {
            index: step.index,
            sid: step.certificate.sid(),
            kind: word(body),
            epoch_ms: step.epoch.as_ms(),
            signers: signers.collect(),
        });
    }
    acts
}

/// The keys a certificate brings into its DID.
fn new_keys(body: &Body) -> Vec<Kid> {
    match body {
        Body::Genesis(genesis) => vec![kid_of(&genesis.identity), kid_of(&genesis.device.sign)],
        Body::DeviceAdd(device) => vec![kid_of(&device.sign)],
        Body::IdRotate(rotate) => vec![kid_of(&rotate.identity)],
        Body::RecoverFinal(last) => {
            let words = last.words.iter().map(|words| kid_of(&words.identity));
            words.chain([kid_of(&last.device.sign)]).collect()
        }
        _ => Vec::new(),
    }
}

/// What a certificate says, in the word of PROTOCOL 4.4.
fn word(body: &Body) -> &'static str {
    match body {
        Body::Genesis(_) => "genesis",
        Body::Claim(_) => "claim",
        Body::DeviceAdd(_) => "device_add",
        Body::DeviceSuspend(_) => "device_suspend",
        Body::DeviceRevoke(_) => "device_revoke",
        Body::IdRotate(_) => "id_rotate",
        Body::Policy { .. } => "policy",
        Body::Transfer { .. } => "transfer",
        Body::AliasBind(_) => "alias_bind",
        Body::AliasUnbind { .. } => "alias_unbind",
        Body::Records(_) => "records",
        Body::Delegate(_) => "delegate",
        Body::UserKey(_) => "user_key",
        Body::RecoverySet(_) => "recovery_set",
        Body::RecoverOpen(_) => "recover_open",
        Body::RecoverProve(_) => "recover_prove",
        Body::RecoverFinal(_) => "recover_final",
        Body::Confirm { .. } => "confirm",
        Body::Veto { .. } | Body::Dispute(_) => "veto",
        Body::Tombstone => "tombstone",
        Body::NotaryAdd(_) => "notary_add",
        Body::NotaryRevoke { .. } => "notary_revoke",
        Body::AttestLogin(_) => "attest_login",
    }
}

/// The types of the acts that end an owner's hold on a name (PROTOCOL 4.4).
const TRANSFER: u8 = 8;
const TOMBSTONE: u8 = 25;
