//! The door: what a post must pass before it waits for the publisher (PROTOCOL 12.1).
//!
//! Decoding, limits, the road of each claim, signatures and, against the newest states, the rules: a post that cannot succeed
//! never reaches the publisher. The publisher judges again: only its word counts.

mod held;

use std::cmp::Ordering;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::{self, AtomicUsize};
use std::sync::{Arc, Mutex};

use dgns_api::{code, post};
use identity::cert::{Body, Certificate, ClaimProof, DecodeError, Sid, SignatureRefusal, Verified};
use identity::hash::Hash;
use identity::record;
use identity::rules::{self, At, Refusal, World};
use identity::state::{AliasState, State, Subject};
use storage::StorageError;
use storage::rows::InviteState;
use tokio::sync::{mpsc, oneshot};
use translog::batch::Post;
use translog::hash::EMPTY_ROOT;

use super::enrolled::{Claimed, Conflict, Enrolled};
use super::publisher::{PostRefused, QUEUE_POSTS_MAX, Waiting};
use super::states;
use crate::auth::notary::{Notaries, NotaryError, Used, Vouched};
use crate::core::Core;
use crate::invites::Invites;
use crate::keys::{AliasKey, ZoneKey};
use crate::limits::{Rates, TooMany};
use crate::people::People;
use crate::people::boxes::{self, AttachmentError};

pub use held::Held;

/// Certificates that wait for the publisher at most, in bytes: what a full queue may take of memory.
const QUEUE_BYTES_MAX: usize = 16 << 20;

/// Where posts come in.
#[derive(Debug)]
pub struct Door {
    queue: mpsc::Sender<Waiting>,
    queued_bytes: Arc<AtomicUsize>,
    rates: Rates,
    zone_key: ZoneKey,
    alias_key: Option<Arc<AliasKey>>,
    notaries: Option<Arc<Notaries>>,
    invites: Invites,
    enrolled: Arc<Enrolled>,
    /// Invitation codes of posts on their way: a code must not stand in one batch twice.
    spending: Arc<Mutex<HashSet<Hash>>>,
}

/// A post that is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The log index of its first certificate.
    pub first_index: u64,
    /// The sids, in order.
    pub sids: Vec<Sid>,
    /// Whether it was there before this post.
    pub repeated: bool,
    /// What the post is about: the name of its last certificate that has one, else the DID, or the alias of a sign-in.
    pub subject: Subject,
}

/// Why a post is not in the log; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// A certificate does not decode.
    #[error("certificate {position}: {error}")]
    Decode {
        /// Its place in the post.
        position: usize,
        /// Why.
        error: DecodeError,
    },
    /// The rules refuse a certificate.
    #[error("certificate {position}: {refusal}")]
    Refused {
        /// Its place in the post.
        position: usize,
        /// Why.
        refusal: Refusal,
    },
    /// A signature does not verify, or is by no key that may sign.
    #[error("certificate {position}: {refusal}")]
    Signature {
        /// Its place in the post.
        position: usize,
        /// Why.
        refusal: SignatureRefusal,
    },
    /// `seen` is no head of this log. Code `bad_seen`.
    #[error(
        "certificate {position}: it names a head that this log never had; get the newest checkpoint and sign again"
    )]
    BadSeen {
        /// Its place in the post.
        position: usize,
    },
    /// The invitation is unknown or used. Code `bad_invite`.
    #[error("the invitation code is unknown or was used")]
    BadInvite,
    /// A key that a certificate brings stood in a chain before. Code `key_reused`.
    #[error(
        "certificate {position}: a key in it stood in this log before; a new device, new words, a new user key need new keys"
    )]
    KeyReused {
        /// Its place in the post.
        position: usize,
    },
    /// The open road asks more work now. Code `pow_short`.
    #[error("an open claim needs {bits} bits of work now")]
    MoreWork {
        /// The zero bits asked.
        bits: u8,
    },
    /// No notary says what the certificate needs said.
    #[error(transparent)]
    Notary(#[from] NotaryError),
    /// The attachments are not those that the certificates name.
    #[error(transparent)]
    Attachment(#[from] AttachmentError),
    /// Too many certificates or Notices. Code `rate`.
    #[error("too many of these; try again in {} s", .0.retry_ms.div_ceil(1_000))]
    Rate(TooMany),
    /// The queue is full. Code `busy`.
    #[error("the queue of certificates is full; try again")]
    Busy,
    /// The log cannot commit. Code `log_unavailable`.
    #[error("the log cannot commit now; try again")]
    Unavailable,
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl DoorError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Decode { error, .. } => error.code(),
            Self::Refused { refusal, .. } => refusal.code(),
            Self::Signature { refusal, .. } => refusal.code(),
            Self::BadSeen { .. } => code::BAD_SEEN,
            Self::BadInvite => code::BAD_INVITE,
            Self::KeyReused { .. } => code::KEY_REUSED,
            Self::MoreWork { .. } => code::POW_SHORT,
            Self::Notary(error) => error.code(),
            Self::Attachment(error) => error.code(),
            Self::Rate(_) => code::RATE,
            Self::Busy => code::BUSY,
            Self::Unavailable => code::LOG_UNAVAILABLE,
            Self::Storage(_) => code::INTERNAL,
        }
    }
}

impl Door {
    /// Returns a door with the queue the publisher takes from; `zone_key` countersigns claims, `enrolled` knows the keys of the log.
    pub fn new(
        rates: Rates,
        zone_key: ZoneKey,
        invites: Invites,
        enrolled: Arc<Enrolled>,
    ) -> (Self, mpsc::Receiver<Waiting>) {
        let (queue, receiver) = mpsc::channel(QUEUE_POSTS_MAX);
        (
            Self {
                queue,
                queued_bytes: Arc::default(),
                rates,
                zone_key,
                alias_key: None,
                notaries: None,
                invites,
                enrolled,
                spending: Arc::default(),
            },
            receiver,
        )
    }

    /// Returns the key that countersigns claims.
    pub fn zone_key(&self) -> &ZoneKey {
        &self.zone_key
    }

    /// Lets the server evaluate addresses by this key, if there is one.
    pub fn with_alias_key(mut self, key: Option<Arc<AliasKey>>) -> Self {
        self.alias_key = key;
        self
    }

    /// Lets the server speak for those who signed in.
    pub fn with_notaries(mut self, notaries: Arc<Notaries>) -> Self {
        self.notaries = Some(notaries);
        self
    }

    /// Returns who speaks for those who signed in; `None` while the server starts.
    pub fn notaries(&self) -> Option<&Notaries> {
        self.notaries.as_deref()
    }

    /// Returns the key that evaluates addresses, if this server has any.
    pub fn alias_key(&self) -> Option<&Arc<AliasKey>> {
        self.alias_key.as_ref()
    }

    /// Returns the number of posts that wait.
    pub fn waiting(&self) -> usize {
        QUEUE_POSTS_MAX - self.queue.capacity()
    }

    /// Takes a post into the log, or says why not. Dropping the future does not take the post back.
    pub async fn submit(
        &self,
        core: &Core,
        people: Option<&People>,
        post: &post::Post,
        from: IpAddr,
    ) -> Result<Accepted, DoorError> {
        let envelopes = &post.envelopes;
        let mut certificates = Vec::with_capacity(envelopes.len());
        for (position, envelope) in envelopes.iter().enumerate() {
            let decoded = Certificate::decode(envelope).map_err(|error| DoorError::Decode { position, error })?;
            certificates.push(decoded);
        }
        let world = load(core, &certificates).await?;
        if let Some(first_index) = repeated(core, &world, &certificates).await? {
            return Ok(accepted(&certificates, first_index, true));
        }
        self.rates.admit(&certificates, from, core.clock.now()).map_err(DoorError::Rate)?;
        let (verified, world, vouched) = self.judge(core, people, world, certificates.clone()).await?;
        let named = boxes::named(&world, &certificates, &post.attachments)?;
        if let Some(people) = people {
            // Kept before they are acknowledged with their certificates. A crash in between leaves rows nobody is shown.
            let rows: Vec<_> = named.iter().map(|n| (n.did, n.generation, n.hash, n.body.as_slice())).collect();
            people.store.put_attachments(&rows, core.clock.now().as_ms() / 1_000).await?;
        }
        let bytes: usize = envelopes.iter().map(Vec::len).sum();
        let codes = certificates.iter().filter_map(|certificate| certificate.payload().body.invite()).collect();
        let codes = Held::take(&self.spending, codes).ok_or(DoorError::BadInvite)?;
        let keys = match self.claim(certificates.iter()).await {
            Ok(keys) => keys,
            Err(reused) => return posted_before(core, &certificates).await?.ok_or(reused),
        };
        let (accounts, used) = self.use_up(core, people, &vouched).await?;
        let verdict = match self.publish(Post::certificates(verified), keys, bytes, [codes, accounts]).await {
            Err(DoorError::Busy) => Err(DoorError::Busy),
            Err(error) => return Err(error), // what became of it is not known: a repeat takes nothing twice
            Ok(Ok(first_index)) => return Ok(accepted(&certificates, first_index, false)),
            Ok(Err(PostRefused::Unavailable)) => return Err(DoorError::Unavailable),
            Ok(Err(PostRefused::Rules { position, refusal })) => {
                if let Some(accepted) = posted_before(core, &certificates).await? {
                    return Ok(accepted);
                }
                Err(DoorError::Refused { position, refusal })
            }
        };
        if let (Some(people), Some(used)) = (people, used) {
            used.give_back(people).await?;
        }
        verdict
    }

    /// Takes the keys that certificates bring; they must be new to the log. Waits for other posts on their way that bring the same.
    async fn claim(&self, certificates: impl Iterator<Item = &Certificate> + Clone) -> Result<Claimed, DoorError> {
        let mut settled = self.enrolled.settled();
        loop {
            match self.enrolled.claim(certificates.clone()) {
                Ok(keys) => return Ok(keys),
                Err(Conflict::Standing { position }) => return Err(DoorError::KeyReused { position }),
                // The door holds the sender: there is always an answer.
                Err(Conflict::Waiting) => drop(settled.changed().await),
            }
        }
    }

    /// Spends what claims take of their sign-ins; the accounts are the post's alone until its verdict.
    async fn use_up(
        &self,
        core: &Core,
        people: Option<&People>,
        vouched: &[Vouched],
    ) -> Result<(Held, Option<Used>), DoorError> {
        match (&self.notaries, people) {
            (Some(notaries), Some(people)) if !vouched.is_empty() => {
                let accounts = notaries.hold(vouched)?;
                Ok((accounts, Some(notaries.use_up(core, people, vouched).await?)))
            }
            _ => Ok((Held::default(), None)),
        }
    }

    /// Publishes a post of the server's own, past the door.
    pub async fn publish_own(&self, post: Post) -> Result<u64, DoorError> {
        let keys = self.claim(post.certificates.iter().map(Verified::certificate)).await?;
        match self.publish(post, keys, 0, Default::default()).await? {
            Ok(first_index) => Ok(first_index),
            Err(PostRefused::Rules { position, refusal }) => Err(DoorError::Refused { position, refusal }),
            Err(PostRefused::Unavailable) => Err(DoorError::Unavailable),
        }
    }

    /// Counts a Notice that is to be published.
    pub fn admit_notice(&self, core: &Core) -> Result<(), DoorError> {
        self.rates.admit_notice(core.clock.now()).map_err(DoorError::Rate)
    }

    async fn publish(
        &self,
        post: Post,
        keys: Claimed,
        bytes: usize,
        held: [Held; 2],
    ) -> Result<Result<u64, PostRefused>, DoorError> {
        let reserved = Reserved::take(&self.queued_bytes, bytes).ok_or(DoorError::Busy)?;
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Waiting { post, keys, answer, held }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => DoorError::Busy,
            mpsc::error::TrySendError::Closed(_) => DoorError::Unavailable,
        })?;
        let outcome = answered.await.map_err(|_| DoorError::Unavailable)?;
        drop(reserved);
        Ok(outcome)
    }
}

/// Loads the newest states that a post reads, together: each read of SQL costs more than most of what the rules do.
async fn load(core: &Core, certificates: &[Certificate]) -> Result<World, StorageError> {
    let mut world = states::world(&core.zone, Some(core.server));
    load_missing(core, &mut world, certificates).await?;
    Ok(world)
}

/// Adds the states that `certificates` read and `world` does not hold.
async fn load_missing(core: &Core, world: &mut World, certificates: &[Certificate]) -> Result<(), StorageError> {
    loop {
        let mut missing: Vec<Subject> = certificates.iter().flat_map(|c| rules::wants(world, c)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort();
        missing.dedup();
        core.states.fill(&core.live, &core.storage, world, missing).await?;
    }
}

impl Door {
    /// Checks roads, heads, signatures and rules of a post, in order, against the newest states.
    async fn judge(
        &self,
        core: &Core,
        people: Option<&People>,
        mut world: World,
        certificates: Vec<Certificate>,
    ) -> Result<(Vec<Verified>, World, Vec<Vouched>), DoorError> {
        let mut verified = Vec::with_capacity(certificates.len());
        let mut vouched = Vec::new();
        let head = core.live.head();
        for (position, certificate) in certificates.into_iter().enumerate() {
            let refused = |refusal| DoorError::Refused { position, refusal };
            let is_public = match &certificate.payload().body {
                Body::Records(records) if !core.private_addresses => record::check_public(records),
                Body::Delegate(delegate) if !core.private_addresses => record::check_public_delegate(delegate),
                _ => Ok(()),
            };
            is_public.map_err(|bad| refused(Refusal::BadRecord(bad)))?;
            if !seen_is_ours(core, &certificate).await? {
                return Err(DoorError::BadSeen { position });
            }
            load_missing(core, &mut world, std::slice::from_ref(&certificate)).await?;
            let (certificate, sign_in) = self.vouch(core, people, &world, certificate).await?;
            self.check_road(core, &certificate).await?;
            let candidates = rules::candidates(&world, &certificate);
            let forged = |refusal| DoorError::Signature { position, refusal };
            let certificate = certificate.verify(&core.origin, &candidates).map_err(forged)?;
            let certificate = match certificate.certificate().payload().body {
                Body::Claim(_) => {
                    let signed = self.zone_key.countersign(certificate.certificate(), &core.origin);
                    let signed = signed.map_err(|error| DoorError::Decode { position, error })?;
                    signed.with_signatures_unchecked(&candidates).map_err(forged)? // those of before hold, and ours is our own
                }
                _ => certificate,
            };
            let at =
                At { index: head.size() + position as u64, epoch_ms: core.clock.now().as_ms().max(head.epoch.time_ms) };
            let effects = rules::apply(&world, &certificate, at).map_err(refused)?;
            world.apply_changes(&effects);
            if sign_in.as_ref().is_some_and(|sign_in| !sign_in.holds(&certificate, &world)) {
                return Err(NotaryError::OtherDevice.into());
            }
            vouched.extend(sign_in);
            verified.push(certificate);
        }
        Ok((verified, world, vouched))
    }

    /// Adds the signature of a notary to what shows the hash of a sign-in.
    async fn vouch(
        &self,
        core: &Core,
        people: Option<&People>,
        world: &World,
        certificate: Certificate,
    ) -> Result<(Certificate, Option<Vouched>), DoorError> {
        let shows = match &certificate.payload().body {
            Body::Claim(claim) => matches!(claim.proof, ClaimProof::Attested { .. }),
            _ => false,
        };
        match (&self.notaries, people) {
            (Some(notaries), Some(people)) if matches!(certificate.payload().body, Body::RecoverOpen(_)) => {
                Ok((notaries.vouch_for_recovery(core, people, world, &certificate).await?, None))
            }
            (Some(notaries), Some(people)) if shows => {
                let (certificate, vouched) = notaries.vouch(core, people, world, &certificate).await?;
                Ok((certificate, Some(vouched)))
            }
            _ => Ok((certificate, None)),
        }
    }

    /// Lets a claim through whose road this server accepts, and whatever is no claim.
    async fn check_road(&self, core: &Core, certificate: &Certificate) -> Result<(), DoorError> {
        let Body::Claim(claim) = &certificate.payload().body else { return Ok(()) };
        match claim.proof {
            ClaimProof::Open { bits, .. } if bits < core.work_bits => Err(DoorError::MoreWork { bits: core.work_bits }),
            ClaimProof::Invite { code_hash } => self.check_invite(core, &code_hash).await,
            _ => Ok(()),
        }
    }

    /// Lets a code through that was made and not spent; the first use of a code brings it into SQL.
    async fn check_invite(&self, core: &Core, code_hash: &Hash) -> Result<(), DoorError> {
        match core.storage.log().invite(code_hash).await? {
            InviteState::Open => Ok(()),
            InviteState::Unknown if self.invites.made(code_hash) => {
                core.storage.log().add_invites(&[*code_hash]).await?;
                Ok(())
            }
            _ => Err(DoorError::BadInvite),
        }
    }
}

/// Returns whether the head a certificate names is one this log had.
async fn seen_is_ours(core: &Core, certificate: &Certificate) -> Result<bool, StorageError> {
    let seen = certificate.payload().seen;
    if seen.size == 0 {
        return Ok(seen.root == EMPTY_ROOT);
    }
    Ok(core.heads.root_at(&core.live, &core.storage, seen.size).await? == Some(seen.root))
}

/// Returns the index of the first certificate if all of them are in the log already, side by side in this order.
async fn repeated(core: &Core, world: &World, certificates: &[Certificate]) -> Result<Option<u64>, StorageError> {
    let mut first_index = None;
    for (place, certificate) in (0u64..).zip(certificates) {
        let Some(index) = index_of(core, world, certificate).await? else { return Ok(None) };
        let expected = *first_index.get_or_insert(index);
        if index != expected + place {
            return Ok(None);
        }
    }
    Ok(first_index)
}

/// Returns the answer to a post that is in the log, though it was not when it came: two equal ones may have passed the door
/// together, and the second is a repeat, not a lost race.
async fn posted_before(core: &Core, certificates: &[Certificate]) -> Result<Option<Accepted>, StorageError> {
    let world = load(core, certificates).await?;
    let first_index = repeated(core, &world, certificates).await?;
    Ok(first_index.map(|first_index| accepted(certificates, first_index, true)))
}

/// Returns the index of a certificate that is in the log. The state tells it of the newest of a chain, SQL of those before.
async fn index_of(core: &Core, world: &World, certificate: &Certificate) -> Result<Option<u64>, StorageError> {
    let subject = Subject::from(certificate.chain());
    let head = match world.get(&subject).flatten().map(|leaf| &leaf.state) {
        Some(State::Did(state)) => state.head,
        Some(State::Alias(AliasState { head: Some(head), .. })) => *head,
        _ => return Ok(None),
    };
    let (seq, sid) = (certificate.payload().seq, certificate.sid());
    match seq.cmp(&head.seq) {
        Ordering::Greater => Ok(None),
        Ordering::Equal => Ok((head.sid == sid).then_some(head.index)),
        Ordering::Less => {
            let found = core.storage.log().find(&translog::map::label(&subject), seq).await?;
            Ok(found.filter(|row| row.sid == sid).map(|row| row.index))
        }
    }
}

fn accepted(certificates: &[Certificate], first_index: u64, repeated: bool) -> Accepted {
    let named = certificates.iter().rev().find_map(|certificate| certificate.payload().body.name());
    let subject = match named {
        Some(name) => Subject::Name(name.to_owned()),
        None => certificates.last().expect("a post holds at least one certificate").chain().into(),
    };
    Accepted { first_index, sids: certificates.iter().map(Certificate::sid).collect(), repeated, subject }
}

/// Bytes of the queue held by one post until it is answered.
struct Reserved {
    queued_bytes: Arc<AtomicUsize>,
    bytes: usize,
}

impl Reserved {
    fn take(queued_bytes: &Arc<AtomicUsize>, bytes: usize) -> Option<Self> {
        let before = queued_bytes.fetch_add(bytes, atomic::Ordering::Relaxed);
        let reserved = Self { queued_bytes: queued_bytes.clone(), bytes };
        (before + bytes <= QUEUE_BYTES_MAX).then_some(reserved)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.queued_bytes.fetch_sub(self.bytes, atomic::Ordering::Relaxed);
    }
}
