//! Notaries as their operator sees and changes them, while the server runs (PROTOCOL 19.4).
//!
//! What changes is a certificate in the server's own chain, posted as anybody posts one. What the server answers is verified under
//! the log key that lies beside its other keys, so that nothing is signed on the word of another server.
//!
//! Order of an addition: the key's file (durable), then the certificate. A crash in between leaves a key that nobody knows, which the
//! next addition, or the next start of the server, certifies.

use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use dgns_api::info::Info;
use dgns_api::path;
use dgns_api::problem::Problem;
use identity::cert::{Body, Kid, Role, Seen};
use identity::did::Did;
use identity::key::{SigningKey, kid_of};
use identity::seed::Words;
use identity::state::{DidState, Subject};
use translog::head::Head;
use translog::note::VerifierKey;
use translog::resolve::{self, VerifyError};
use translog::trust::{Memory, Trust};

use crate::clock::Clock;
use crate::config::Config;
use crate::keys::{KeyFileError, Keys, NotaryKey, Standing};
use crate::outbound::{Bounds, Outbound, OutboundError};
use crate::rng;
use crate::setup::{self, SetupError};

/// What one request may cost.
const BOUNDS: Bounds = Bounds { deadline: Duration::from_secs(30), body_bytes_max: 1 << 20 };

/// How often a certificate is signed anew because another was faster.
const TRIES: usize = 4;

/// A notary of the log, revoked ones too, or one whose certificate waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotaryRow {
    /// Whose word it passes on: the issuer's URL, or `passkey:` and the zone.
    pub scope: String,
    /// What the configuration calls the issuer, if it is there.
    pub id: Option<String>,
    /// The kid of its key.
    pub kid: Kid,
    /// Where it stands.
    pub stands: Stands,
    /// Whether the key's file is here.
    pub key_is_here: bool,
}

/// Where a notary stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// Its word counts.
    Speaks,
    /// Its word counts up to this log index.
    Revoked(u64),
    /// Its word counts once its window is over, at this epoch time in ms.
    Waits(u64),
}

/// What became of an addition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The notary now.
    pub row: NotaryRow,
    /// Whether it was there already, and nothing changed.
    pub known: bool,
}

/// Why notaries cannot be seen or changed.
#[derive(Debug, thiserror::Error)]
pub enum NotariesError {
    /// A key file.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The words beside the keys.
    #[error(transparent)]
    Words(#[from] SetupError),
    /// The words are not those of the server's identity key.
    #[error("these are not the words of this server: its identity key is another")]
    WrongWords,
    /// The server does not answer.
    #[error("{url}: {error}; the server must be running (--server says where)")]
    Unreachable {
        /// What was asked.
        url: String,
        /// Why there is no answer.
        error: OutboundError,
    },
    /// An answer that is none.
    #[error("{url}: answered with something else than documented (status {status})")]
    Garbled {
        /// What was asked.
        url: String,
        /// The status.
        status: u16,
    },
    /// The server is another than the one whose keys lie here.
    #[error("{url} is a server with another log key than those in {keys}; --data or --server is wrong", keys = .keys.display())]
    OtherServer {
        /// The server.
        url: String,
        /// Where the keys lie.
        keys: PathBuf,
    },
    /// What the server shows of its chain does not hold.
    #[error("what the server shows of its own chain does not hold: {0}")]
    Verify(#[from] VerifyError),
    /// No such issuer.
    #[error("{asked:?} is no issuer of this configuration; there are: {known}")]
    NoIssuer {
        /// What was asked for.
        asked: String,
        /// Those there are.
        known: String,
    },
    /// No such notary.
    #[error("no notary of {0:?} speaks or waits; `dgnsd notary list` shows all")]
    NoNotary(String),
    /// The server refuses.
    #[error("the server refuses it ({code}): {detail}")]
    Refused {
        /// The code.
        code: String,
        /// A sentence.
        detail: String,
    },
}

/// The operator of a running server: whoever has its keys.
pub struct Operator {
    keys_at: PathBuf,
    base: String,
    config: Config,
    server: Did,
    trust: Trust,
    device: SigningKey,
    words: Option<SigningKey>,
    outbound: Outbound,
    clock: Clock,
}

impl Operator {
    /// Meets the running server at `base` whose data `config` names. `words` sign if they are given, else those whose file still
    /// lies beside the keys, else the server's device, whose additions wait for a window.
    pub async fn meet(config: Config, base: &str, words: Option<Words>, clock: Clock) -> Result<Self, NotariesError> {
        let keys_at = config.data.join("keys");
        let keys = Keys::read(&keys_at)?;
        let words = match words {
            Some(words) => Some(words),
            None => setup::words(&keys_at)?,
        };
        let base = base.trim_end_matches('/').to_owned();
        let outbound = Outbound::new(config.outbound.plain_http);
        let url = format!("{base}{}", path::INFO);
        let answer = outbound.get(&url, BOUNDS).await;
        let answer = answer.map_err(|error| NotariesError::Unreachable { url: url.clone(), error })?;
        let garbled = || NotariesError::Garbled { url: url.clone(), status: answer.status };
        let info: Info = serde_json::from_slice(&answer.body).map_err(|_| garbled())?;
        let server: Did = info.server_did.parse().map_err(|_| garbled())?;
        let vkey = VerifierKey::parse(&info.vkey).map_err(|_| garbled())?;
        let other = || NotariesError::OtherServer { url: base.clone(), keys: keys_at.clone() };
        if !keys.log.iter().any(|key| key.public() == *vkey.key()) {
            return Err(other());
        }
        let trust = Trust::new(config.zone.origin(), vec![vkey]).map_err(|_| other())?;
        let words = words.map(|words| words.identity());
        Ok(Self { keys_at, base, config, server, trust, device: keys.device, words, outbound, clock })
    }

    /// Returns the notaries that the log knows, oldest first, then those that wait.
    pub async fn list(&self) -> Result<Vec<NotaryRow>, NotariesError> {
        Ok(self.rows(&self.state().await?.0))
    }

    /// Makes the notary of an issuer of the configuration, or `passkey`, speak: by the key in its file, or by a new one if there is
    /// none or it was revoked.
    pub async fn add(&self, asked: &str) -> Result<Added, NotariesError> {
        let scopes = self.config.signin.scopes(&self.config.zone);
        let found = scopes.iter().find(|(id, scope)| id == asked || scope == asked);
        let known = || scopes.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>().join(", ");
        let (id, scope) =
            found.ok_or_else(|| NotariesError::NoIssuer { asked: asked.to_owned(), known: known() })?.clone();
        let (server, _) = self.state().await?;
        let file = NotaryKey::file(&self.keys_at, &id);
        let make = || NotaryKey::read_or_make(&file, scope.clone(), &mut rng::system());
        let mut key = make()?;
        if key.standing(&server) == Standing::Revoked {
            erase(&file)?;
            key = make()?;
        }
        let kid = kid_of(&key.public());
        let row = |rows: Vec<NotaryRow>| rows.into_iter().find(|row| row.kid == kid);
        if let Some(row) = row(self.rows(&server)) {
            return Ok(Added { row, known: true });
        }
        self.say(&Body::NotaryAdd(key.authority())).await?;
        let row = row(self.list().await?).ok_or(NotariesError::NoNotary(scope))?;
        Ok(Added { row, known: false })
    }

    /// Revokes every notary that `asked` names and that speaks: an issuer as the configuration or the log calls it, or a kid. One that
    /// waits is withdrawn, and its key erased. Returns them as they are now, withdrawn ones left out.
    pub async fn revoke(&self, asked: &str) -> Result<Vec<NotaryRow>, NotariesError> {
        let is_it = |row: &&NotaryRow| {
            row.scope == asked || row.id.as_deref() == Some(asked) || HEXLOWER.encode(&row.kid.0) == asked
        };
        let (server, _) = self.state().await?;
        let rows = self.rows(&server);
        let meant: Vec<&NotaryRow> =
            rows.iter().filter(is_it).filter(|row| !matches!(row.stands, Stands::Revoked(_))).collect();
        if meant.is_empty() {
            return Err(NotariesError::NoNotary(asked.to_owned()));
        }
        for row in &meant {
            match row.stands {
                Stands::Speaks => self.say(&Body::NotaryRevoke { kid: row.kid }).await?,
                Stands::Waits(_) => self.withdraw(&server, row).await?,
                Stands::Revoked(_) => {}
            }
        }
        let now = self.list().await?;
        Ok(now.into_iter().filter(|row| meant.iter().any(|meant| meant.kid == row.kid)).collect())
    }

    /// Withdraws what waits. Its key goes first: a start would have it certified again.
    async fn withdraw(&self, server: &DidState, row: &NotaryRow) -> Result<(), NotariesError> {
        if let Some(id) = row.id.as_ref().filter(|_| row.key_is_here) {
            erase(&NotaryKey::file(&self.keys_at, id))?;
        }
        for act in server.pending.iter().filter(|act| pending_kid(act).is_some_and(|(_, kid)| kid == row.kid)) {
            self.say(&Body::Veto { act: act.sid }).await?;
        }
        Ok(())
    }

    fn rows(&self, server: &DidState) -> Vec<NotaryRow> {
        let scopes = self.config.signin.scopes(&self.config.zone);
        let row = |scope: String, kid: Kid, stands: Stands| {
            let id = scopes.iter().find(|(_, known)| *known == scope).map(|(id, _)| id.clone());
            let here = |id: &String| NotaryKey::read(&NotaryKey::file(&self.keys_at, id), scope.clone()).ok();
            let key_is_here = id.as_ref().and_then(here).is_some_and(|key| kid_of(&key.public()) == kid);
            NotaryRow { scope, id, kid, stands, key_is_here }
        };
        let logged = server.authorities.iter().filter(|known| known.authority.role == Role::Notary).map(|known| {
            let stands = known.revoked_at.map_or(Stands::Speaks, Stands::Revoked);
            row(known.authority.scope.clone(), kid_of(&known.authority.key), stands)
        });
        let waiting = server
            .pending
            .iter()
            .filter_map(|act| pending_kid(act).map(|(scope, kid)| row(scope, kid, Stands::Waits(act.due_ms))));
        logged.chain(waiting).collect()
    }

    /// Returns the proved state of the server's DID, and the head that proves it.
    async fn state(&self) -> Result<(DidState, Head), NotariesError> {
        let url = format!("{}{}{}?head=newest", self.base, path::DIDS, self.server);
        let answer = self.outbound.get(&url, BOUNDS).await;
        let answer = answer.map_err(|error| NotariesError::Unreachable { url: url.clone(), error })?;
        if answer.status != 200 {
            return Err(NotariesError::Garbled { url, status: answer.status });
        }
        let (subject, mut memory) = (Subject::Did(self.server), Memory::new(self.trust.origin().clone()));
        let resolved = resolve::verify(&self.trust, &mut memory, &subject, &answer.body, self.clock.now())?;
        let state = resolved.did().filter(|state| state.uid == 0).cloned();
        Ok((state.ok_or(VerifyError::Binding)?, resolved.head().clone()))
    }

    /// Extends the server's own chain; in the log once this returns.
    async fn say(&self, body: &Body) -> Result<(), NotariesError> {
        let url = format!("{}{}", self.base, path::CERTIFICATES);
        let mut tries_left = TRIES;
        loop {
            let (server, head) = self.state().await?;
            if self.words.as_ref().is_some_and(|words| words.public() != server.identity) {
                return Err(NotariesError::WrongWords);
            }
            let signer = self.words.as_ref().unwrap_or(&self.device);
            let (origin, now) = (self.trust.origin(), self.clock.now());
            let seen = Seen { size: head.size, root: head.root };
            let signed = setup::own_certificate(origin, body.clone(), signer, (self.server, server.head), seen, now)?;
            let post = dgns_api::post::encode(&[signed.certificate().encode()]);
            let answer = self.outbound.post(&url, path::CBOR, post, BOUNDS).await;
            let answer = answer.map_err(|error| NotariesError::Unreachable { url: url.clone(), error })?;
            if answer.status == 200 {
                return Ok(());
            }
            let status = answer.status;
            let problem: Problem = serde_json::from_slice(&answer.body)
                .map_err(|_| NotariesError::Garbled { url: url.clone(), status })?;
            tries_left -= 1;
            if problem.code != "stale_prev" || tries_left == 0 {
                return Err(NotariesError::Refused { code: problem.code, detail: problem.detail });
            }
        }
    }
}

/// Returns scope and kid of the notary that a pending act would add.
fn pending_kid(act: &identity::state::Pending) -> Option<(String, Kid)> {
    match Body::decode(act.kind, &act.body) {
        Ok(Body::NotaryAdd(added)) if added.role == Role::Notary => Some((added.scope, kid_of(&added.key))),
        _ => None,
    }
}

fn erase(file: &Path) -> Result<(), KeyFileError> {
    std::fs::remove_file(file).map_err(|error| KeyFileError::Io { path: file.to_owned(), error })
}
