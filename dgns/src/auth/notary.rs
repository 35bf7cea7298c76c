//! Notaries: what this server says in the log of those it saw sign in (PROTOCOL 19.4).
//!
//! One key for each issuer, and one for the passkeys of the zone, each certified in the server's own chain ([`crate::server`]).
//! Their word gives power over no chain: beside it every certificate still needs the signatures the rules ask of its owner.
//!
//! For whoever signs people in, or speaks for those who did:
//!
//! - [`Notaries::names_left`]: for how many names a sign-in of an issuer is good now; 0 while its notary does not speak.
//! - [`Notaries::vouch`]: adds N to a certificate that shows the hash of a sign-in, a claim by road 2 or an `alias_bind`. The door
//!   calls it; [`Vouched::holds`] then asks that the device which signed in signed the certificate too.
//! - [`Notaries::vouch_for_recovery`]: the same for an attempt to recover, of an account that leads to the DID.
//! - [`Notaries::use_up`]: durably spends what claims of a post take of their sign-ins, and pins the account to the DID.
//!   [`Used::give_back`] undoes it if the log refuses the post.
//! - [`Notaries::attest`]: extends the chain of an alias by an `attest_login`, in the log once it returns.
//! - [`Notaries::link`]: lets an account lead to the DID of a device that asks for it.
//!
//! Order of a claim: judged, spent (durable), published. A crash after the second step leaves names spent on a post that the log
//! does not have, and an account that leads to a DID it does not have: the same post again takes neither a second time.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use dgns_api::code;
use identity::alias::AliasId;
use identity::cert::{AttestLogin, Body, Certificate, ChainId, ClaimProof, DecodeError, Payload, Seen, Verified};
use identity::did::Did;
use identity::hash::Hash;
use identity::key::kid_of;
use identity::rules::{Refusal, World};
use identity::state::{AliasState, DidState, State, Subject};
use rand_core::CryptoRng;
use storage::StorageError;
use storage::people::{AccountRow, AttestedRow, Reserved};
use translog::batch::Post;
use translog::map;

use super::request::newest;
use super::signin::leads_to;
use crate::config::Config;
use crate::core::Core;
use crate::keys::{KeyFileError, NotaryKey, Standing};
use crate::log::door::{Door, DoorError, Held};
use crate::log::shown::Asked;
use crate::people::People;

/// How often an `attest_login` is signed anew because another was faster.
const ATTEST_TRIES: usize = 8;

/// Why a notary does not say it.
#[derive(Debug, thiserror::Error)]
pub enum NotaryError {
    /// No sign-in has this evidence hash, or it is too old. Code `signin_expired`.
    #[error("this sign-in is too old, or never happened here; sign in again")]
    Expired,
    /// The issuer of the sign-in is not believed any more. Code `unknown_issuer`.
    #[error("this server does not believe the issuer of this sign-in any more")]
    UnknownIssuer,
    /// The notary's key is not in the log yet. Code `notary_pending`.
    #[error("the notary of this issuer is not in the log yet; try again later, or take another road")]
    Pending {
        /// Milliseconds until it may be.
        retry_ms: u64,
    },
    /// The device that signed in did not sign. Code `signin_device`.
    #[error("this sign-in was on another device: let that one sign, or sign in on this one")]
    OtherDevice,
    /// The account of the sign-in leads to another DID, or to none. Code `unknown_signin`.
    #[error("the account that signed in does not lead to this DID")]
    OtherAccount,
    /// The sign-in was used for as many names as one gives. Code `signin_spent`.
    #[error("this sign-in was used for as many names as one gives; sign in again")]
    Spent,
    /// The account leads to another DID. Code `account_bound`.
    #[error("this account leads to {0} already; one of its devices may let this one in")]
    Bound(Did),
    /// Another post with this account is on its way. Code `busy`.
    #[error("another post of this account is on its way; try again")]
    Busy,
    /// The certificate has no room for the notary's signature.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl NotaryError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Expired => code::SIGNIN_EXPIRED,
            Self::UnknownIssuer => code::UNKNOWN_ISSUER,
            Self::Pending { .. } => code::NOTARY_PENDING,
            Self::OtherDevice => code::SIGNIN_DEVICE,
            Self::OtherAccount => "unknown_signin",
            Self::Spent => code::SIGNIN_SPENT,
            Self::Bound(_) => code::ACCOUNT_BOUND,
            Self::Busy => code::BUSY,
            Self::Decode(error) => error.code(),
            Self::Storage(_) => code::INTERNAL,
        }
    }

    /// Returns after how long a repeat may be taken.
    pub fn retry_ms(&self) -> Option<u64> {
        match self {
            Self::Pending { retry_ms } => Some(*retry_ms),
            Self::Busy => Some(100),
            _ => None,
        }
    }
}

/// The keys of this server's notaries, and what they are asked for now.
#[derive(Debug)]
pub struct Notaries {
    seats: Vec<Seat>,
    names_max: u64,
    /// Accounts that a post on its way pins: two posts must not both find one free.
    pinning: Arc<Mutex<HashSet<Hash>>>,
}

/// One notary: its file, and the key that was read last.
#[derive(Debug)]
struct Seat {
    file: PathBuf,
    key: RwLock<Arc<NotaryKey>>,
}

/// A sign-in that a notary signed for.
#[derive(Clone, Debug)]
pub struct Vouched {
    /// The sign-in.
    pub row: AttestedRow,
    /// The DID that shows it.
    pub did: Did,
    /// The name that is claimed on its strength.
    pub name: Option<String>,
}

/// What a post took of sign-ins. Dropping it leaves them spent.
#[derive(Debug)]
#[must_use = "a post that is refused gives back what it took"]
pub struct Used {
    taken: Vec<(AttestedRow, String, Did, Option<AccountRow>)>,
}

impl Notaries {
    /// Reads the keys of the configured issuers, made now where there are none.
    pub fn open(config: &Config, keys_at: &Path, rng: &mut impl CryptoRng) -> Result<Self, KeyFileError> {
        let seats = config.signin.scopes(&config.zone).into_iter().map(|(id, scope)| {
            let file = NotaryKey::file(keys_at, &id);
            let key = RwLock::new(Arc::new(NotaryKey::read_or_make(&file, scope, rng)?));
            Ok(Seat { file, key })
        });
        let seats = seats.collect::<Result<_, KeyFileError>>()?;
        Ok(Self { seats, names_max: config.signin.names_per_signin, pinning: Arc::default() })
    }

    /// Returns the keys.
    pub fn keys(&self) -> Vec<Arc<NotaryKey>> {
        self.seats.iter().map(Seat::key).collect()
    }

    /// Returns for how many names a sign-in of this issuer is good at first: none while its notary does not speak, or the road
    /// is closed.
    pub async fn names_left(&self, core: &Core, issuer: &Hash) -> Result<u64, StorageError> {
        let road = 1 << (identity::cert::Road::Attested as u8 - 1);
        let server = newest(core, &core.server).await?;
        let key = server.and_then(|server| self.key(issuer, &server));
        let speaks = key.is_some_and(|(_, standing)| standing == Standing::Speaks);
        Ok(if speaks && core.terms.roads & road != 0 { self.names_max } else { 0 })
    }

    /// Adds the notary's signature to a certificate that shows the hash of a sign-in. `world` holds what the rules read for it.
    ///
    /// A revoked notary signs too: it is the rules that refuse its word.
    pub async fn vouch(
        &self,
        core: &Core,
        people: &People,
        world: &World,
        certificate: &Certificate,
    ) -> Result<(Certificate, Vouched), NotaryError> {
        let (evidence, name) = match &certificate.payload().body {
            Body::Claim(claim) => match claim.proof {
                ClaimProof::Attested { evidence } => (evidence, Some(claim.name.clone())),
                _ => return Err(NotaryError::Expired),
            },
            Body::AliasBind(bind) => (bind.evidence, None),
            _ => return Err(NotaryError::Expired),
        };
        let did = certificate.chain_did().ok_or(NotaryError::Expired)?;
        let now_ms = core.clock.now().as_ms();
        let row = people.store.attested(&evidence, now_ms / 1_000).await?.ok_or(NotaryError::Expired)?;
        let key = self.certified(core, world, &row.issuer, now_ms)?;
        Ok((key.countersign(certificate, &core.origin)?, Vouched { row, did, name }))
    }

    /// Adds the signatures of the notaries whose sign-ins an attempt to recover shows: each by the device that it brings, each of an
    /// account that leads to the DID.
    pub async fn vouch_for_recovery(
        &self,
        core: &Core,
        people: &People,
        world: &World,
        certificate: &Certificate,
    ) -> Result<Certificate, NotaryError> {
        let Body::RecoverOpen(open) = &certificate.payload().body else { return Err(NotaryError::Expired) };
        let did = certificate.chain_did().ok_or(NotaryError::Expired)?;
        let now_ms = core.clock.now().as_ms();
        let mut signed = certificate.clone();
        for evidence in &open.evidence {
            let row = people.store.attested(evidence, now_ms / 1_000).await?.ok_or(NotaryError::Expired)?;
            if row.sign != open.sign || row.kex != open.kex {
                return Err(NotaryError::OtherDevice);
            }
            if leads_to(core, people, &row.account).await? != Some(did) {
                return Err(NotaryError::OtherAccount);
            }
            let key = self.certified(core, world, &row.issuer, now_ms)?;
            let has = |kid| signed.signatures().iter().any(|(other, _)| *other == kid);
            if !has(kid_of(&key.public())) {
                signed = key.countersign(&signed, &core.origin)?;
            }
        }
        Ok(signed)
    }

    /// Takes the accounts of `vouched` for one post, until what is returned is dropped: with the verdict over that post.
    pub fn hold(&self, vouched: &[Vouched]) -> Result<Held, NotaryError> {
        let mut accounts: Vec<Hash> = vouched.iter().map(|vouched| vouched.row.account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        Held::take(&self.pinning, accounts).ok_or(NotaryError::Busy)
    }

    /// Spends what the claims among `vouched` take of their sign-ins, durably, and pins the accounts. All or nothing; the caller
    /// holds the accounts.
    pub async fn use_up(&self, core: &Core, people: &People, vouched: &[Vouched]) -> Result<Used, NotaryError> {
        let mut used = Used { taken: Vec::new() };
        let now_s = core.clock.now().as_ms() / 1_000;
        for Vouched { row, did, name } in vouched {
            let Some(name) = name else { continue };
            match self.use_one(core, people, row, name, *did, now_s).await {
                Ok(before) => used.taken.push((row.clone(), name.clone(), *did, before)),
                Err(error) => {
                    used.give_back(people).await?;
                    return Err(error);
                }
            }
        }
        Ok(used)
    }

    async fn use_one(
        &self,
        core: &Core,
        people: &People,
        row: &AttestedRow,
        name: &str,
        did: Did,
        now_s: u64,
    ) -> Result<Option<AccountRow>, NotaryError> {
        let over = self.free(core, people, row, did).await?;
        match people.store.reserve_name(row, name, did, over, (self.names_max, now_s)).await? {
            Reserved::Yes { before } => Ok(before),
            Reserved::Spent => Err(NotaryError::Spent),
            Reserved::Other(other) => Err(NotaryError::Bound(other)),
        }
    }

    /// Lets the account of a sign-in lead to `did`, one of whose devices, with the keys that signed in, asks for it.
    pub async fn link(&self, core: &Core, people: &People, evidence: &Hash, did: &DidState) -> Result<(), NotaryError> {
        let now_s = core.clock.now().as_ms() / 1_000;
        let row = people.store.attested(evidence, now_s).await?.ok_or(NotaryError::Expired)?;
        if !did.devices.iter().any(|device| device.sign == row.sign && device.kex == row.kex) {
            return Err(NotaryError::OtherDevice);
        }
        let _held = Held::take(&self.pinning, vec![row.account]).ok_or(NotaryError::Busy)?;
        self.free(core, people, &row, did.did).await?;
        let pin = AccountRow { account: row.account, did: did.did, email: row.email, since_s: now_s };
        Ok(people.store.pin_account(&pin).await?)
    }

    /// Returns the DID an account leads to that the log does not have, or no more; refuses one that leads to another live DID.
    async fn free(
        &self,
        core: &Core,
        people: &People,
        row: &AttestedRow,
        did: Did,
    ) -> Result<Option<Did>, NotaryError> {
        match leads_to(core, people, &row.account).await? {
            Some(other) if other != did => Err(NotaryError::Bound(other)),
            Some(_) => Ok(None),
            None => Ok(people.store.account(&row.account).await?.map(|pinned| pinned.did)),
        }
    }

    /// Says in the log that the device of a sign-in is known by the alias, and returns the log index of the `attest_login`.
    ///
    /// That the alias is the one of the address of the sign-in is for the caller to have checked.
    pub async fn attest(&self, core: &Core, door: &Door, row: &AttestedRow, alias: AliasId) -> Result<u64, DoorError> {
        let server = newest(core, &core.server).await?;
        let key = server.and_then(|server| self.key(&row.issuer, &server));
        let (key, _) = key.ok_or(NotaryError::UnknownIssuer)?;
        let AttestedRow { sign, kex, issuer, evidence, .. } = *row;
        let body = Body::AttestLogin(AttestLogin { sign, kex, issuer, evidence });
        for _ in 1..ATTEST_TRIES {
            let payload = next_of(core, alias, body.clone()).await?;
            let verified = sign_own(core, &key, &payload)?;
            match door.publish_own(Post::certificates(vec![verified])).await {
                Err(DoorError::Refused { refusal: Refusal::StalePrev { .. }, .. }) => {} // another was faster
                published => return published,
            }
        }
        Err(DoorError::Busy)
    }

    /// Returns the key for an issuer if the log has certified it, revoked since or not.
    fn certified(&self, core: &Core, world: &World, issuer: &Hash, now_ms: u64) -> Result<Arc<NotaryKey>, NotaryError> {
        let server = did_in(world, &core.server).ok_or(NotaryError::Pending { retry_ms: 1_000 })?;
        match self.key(issuer, server).ok_or(NotaryError::UnknownIssuer)? {
            (_, Standing::Waits { due_ms }) => {
                Err(NotaryError::Pending { retry_ms: due_ms.saturating_sub(now_ms).max(1_000) })
            }
            (key, _) => Ok(key),
        }
    }

    /// Returns the key that speaks for an issuer, and where it stands in the chain of the server.
    fn key(&self, issuer: &Hash, server: &DidState) -> Option<(Arc<NotaryKey>, Standing)> {
        let seat = self.seats.iter().find(|seat| seat.key().issuer() == issuer)?;
        let key = seat.key();
        match key.standing(server) {
            Standing::Speaks => Some((key, Standing::Speaks)),
            // Whoever replaced it wrote another into the file.
            standing => Some(seat.replaced(&key, server).unwrap_or((key, standing))),
        }
    }
}

impl Seat {
    fn key(&self) -> Arc<NotaryKey> {
        self.key.read().expect("no holder of the lock panics: it guards one pointer").clone()
    }

    /// Reads the file again; `None` if it holds no other key than `before`, or none that is ever to speak.
    fn replaced(&self, before: &NotaryKey, server: &DidState) -> Option<(Arc<NotaryKey>, Standing)> {
        let read = NotaryKey::read(&self.file, before.scope().to_owned()).ok()?;
        let standing = read.standing(server);
        if read.public() == before.public() || standing == Standing::Revoked {
            return None;
        }
        let read = Arc::new(read);
        *self.key.write().expect("no holder of the lock panics: it guards one pointer") = read.clone();
        Some((read, standing))
    }
}

impl Vouched {
    /// Returns whether the device that signed in signed the certificate, and is the one the DID has; `world` holds what the
    /// certificate changes.
    pub fn holds(&self, certificate: &Verified, world: &World) -> bool {
        let AttestedRow { sign, kex, .. } = &self.row;
        let has = |state: &DidState| state.devices.iter().any(|device| device.sign == *sign && device.kex == *kex);
        certificate.is_signed_by(sign) && did_in(world, &self.did).is_some_and(has)
    }
}

impl Used {
    /// Gives back what was taken: the log refused the post.
    pub async fn give_back(self, people: &People) -> Result<(), StorageError> {
        for (row, name, did, before) in self.taken.iter().rev() {
            people.store.give_name_back(row, name, *did, before.as_ref()).await?;
        }
        Ok(())
    }
}

fn did_in<'w>(world: &'w World, did: &Did) -> Option<&'w DidState> {
    match world.get(&Subject::Did(*did)).flatten().map(|leaf| &leaf.state) {
        Some(State::Did(state)) => Some(state),
        _ => None,
    }
}

/// Returns what follows on the newest certificate of an alias.
async fn next_of(core: &Core, alias: AliasId, body: Body) -> Result<Payload, StorageError> {
    let label = map::label(&Subject::Alias(alias));
    let held = core.states.load(&core.live, &core.storage, &[label], Asked::Newest).await?;
    let last = match held[0].as_deref().map(|held| &held.leaf.state) {
        Some(State::Alias(AliasState { head, .. })) => *head,
        _ => None,
    };
    let seen = core.live.head();
    Ok(Payload {
        subject: Some(ChainId::Alias(alias)),
        seq: last.map_or(0, |head| head.seq + 1),
        prev: last.map(|head| head.sid),
        seen: Seen { size: seen.size(), root: seen.root() },
        unix_s: core.clock.now().as_ms() / 1_000,
        body,
        critical: true,
        by: None,
    })
}

fn sign_own(core: &Core, key: &NotaryKey, payload: &Payload) -> Result<Verified, NotaryError> {
    let certificate = Certificate::sign(payload, &core.origin, &[key.secret()])?;
    Ok(certificate.verify(&core.origin, &[key.public()]).expect("a signature just made holds"))
}
