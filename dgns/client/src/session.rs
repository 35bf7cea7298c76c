//! One server, one pinned log: lookups that are verified, posts that end in a proof.

mod below;
mod devices;
mod first;
mod keepers;
mod last;
mod look;
mod over_dns;
mod rotation;
mod signed;
mod tokens;

use std::sync::OnceLock;

use data_encoding::HEXLOWER;
use dgns_api::info::Info;
use dgns_api::known::Known;
use dgns_api::{code, path, post};
use identity::cert::{Certificate, Sid};
use identity::did::Did;
use identity::name::{Name, Origin, Zone};
use identity::state::Subject;
use translog::head::Head;
use translog::note::VerifierKey;
use translog::policy::Policy;
use translog::resolve::{self, Resolved, VerifyError};
use translog::trust::{Memory, Trust};

use crate::chain;
use crate::clock;
use crate::connect::AtHost;
use crate::error::ClientError;
use crate::evidence;
use crate::home::{Home, LogHome, OpenMemory, Pinned};
use crate::net::{Lines, Net};
pub use below::Crossed;
use keepers::Keepers;
pub(crate) use keepers::{Keeper, Left, Stay};
pub use look::Look;
pub use signed::Signer;
pub use tokens::{Held, KeptChain, Wanted};

/// A server as a client uses it.
#[derive(Debug)]
pub struct Session {
    net: Net,
    log: LogHome,
    trust: Trust,
    /// The trust after the log's keys changed: set once a head needs it.
    followed: OnceLock<Trust>,
    first_use: bool,
    /// The host through which the store is read and appended to, if not over HTTP.
    host: Option<AtHost>,
    /// Who keeps the databases that moved.
    keepers: Keepers,
}

/// A post that is in the log, proved.
#[derive(Debug)]
pub struct Posted {
    /// The log index of each certificate, in order.
    pub indexes: Vec<u64>,
    /// What the post was about, as it is now.
    pub resolved: Resolved,
}

impl Session {
    /// Returns the session with the server at `url`.
    ///
    /// The first time, the server is asked for its log, key and policy, and all are pinned; ever after they are not asked again.
    pub async fn open(home: &Home, url: &str) -> Result<Self, ClientError> {
        Self::open_under(home, url, None).await
    }

    /// As [`Session::open`], under a policy of one's own: it names the log's keys and whose cosignatures count. It is kept if the
    /// log is met now, and holds for this session alone otherwise.
    ///
    /// Errors: [`ClientError::Unable`] if it has no key of this log.
    pub async fn open_under(home: &Home, url: &str, policy: Option<&Policy>) -> Result<Self, ClientError> {
        let net = Net::new(url)?;
        let (log, first_use) = match home.log_of(net.base())? {
            Some(log) => (log, false),
            None => {
                let (origin, offered) = first::offered(&net, policy).await?;
                if let Some(log) = home.known_by_other_keys(&origin, &offered)? {
                    let behind = Self::with(net.clone(), log, None, false)?;
                    behind.catch_up_or_repin().await?;
                }
                (home.pin(net.base(), &origin, &offered)?, true)
            }
        };
        Self::with(net, log, policy, first_use)
    }

    /// Returns the session with a log that is pinned, under a policy of one's own if there is one.
    ///
    /// Errors: as [`Session::open_under`].
    fn with(net: Net, log: LogHome, policy: Option<&Policy>, first_use: bool) -> Result<Self, ClientError> {
        let mut trust = log.trust()?;
        if let Some(policy) = policy {
            let own = Trust::from_policy(log.origin().clone(), policy.clone());
            let own = own.map_err(|_| first::no_key_of(log.origin()))?;
            trust = own.with_head_age_s_max(trust.head_age_ms_max() / 1_000);
        }
        Ok(Self { net, log, trust, followed: OnceLock::new(), first_use, host: None, keepers: Keepers::default() })
    }

    /// Returns the session with `url`, whose log is the one of `vkey`: nothing is asked of a server that may only keep files.
    ///
    /// Errors: [`ClientError::Proof`] if this log is known with another key; [`ClientError::Unable`] if `vkey` is no log's.
    pub fn open_pinned(home: &Home, url: &str, vkey: &VerifierKey) -> Result<Self, ClientError> {
        let wrong = || ClientError::Unable(format!("{vkey} is no log key"));
        let origin = Origin::parse(vkey.name()).map_err(|_| wrong())?;
        let offered = Pinned::by_hand(vec![vkey.clone()], Policy::none());
        offered.trust(&origin).map_err(|_| wrong())?;
        let net = Net::new(url)?;
        let log = home.pin(net.base(), &origin, &offered)?;
        Self::with(net, log, None, false)
    }

    /// Returns the session with databases read, and appended to, through the host of a name.
    pub fn at_host(self, host: AtHost) -> Self {
        Self { host: Some(host), ..self }
    }

    /// Returns whether databases are asked for through somebody who is not their store.
    pub(crate) fn is_at_host(&self) -> bool {
        self.host.is_some()
    }

    fn host_for(&self, target: &str) -> Option<&AtHost> {
        self.host.as_ref().filter(|_| AtHost::takes(target))
    }

    /// Returns what the server recommends to believe of it now: its own word, not kept.
    pub async fn recommended(&self) -> Result<Pinned, ClientError> {
        first::offered(&self.net, None).await.map(|(_, offered)| offered)
    }

    /// Returns whether the log was met for the first time by this session.
    pub fn is_first_use(&self) -> bool {
        self.first_use
    }

    /// Returns what is pinned, or followed to from there.
    pub fn trust(&self) -> &Trust {
        self.followed.get().unwrap_or(&self.trust)
    }

    /// Returns the zone of the log's names.
    pub fn zone(&self) -> &Zone {
        self.trust.zone()
    }

    /// Returns what is kept of the log.
    pub fn log(&self) -> &LogHome {
        &self.log
    }

    /// Returns the server's URL.
    pub fn server(&self) -> &str {
        self.net.base()
    }

    /// Returns the absolute name that `text` means here: `alice` is completed with the zone, `Alice` is `alice` as in all of DNS.
    pub fn name(&self, text: &str) -> Result<Name, ClientError> {
        let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        Name::complete(&text, self.zone()).map_err(|error| {
            let rules = "lower-case letters, digits and hyphens, 3 to 63 a label, at most 4 labels below the zone";
            ClientError::Unable(format!("{text:?} is no name here: {error} ({rules})"))
        })
    }

    /// Returns what the server says of itself; nothing in it is trusted.
    pub async fn info(&self) -> Result<Info, ClientError> {
        fetch_info(&self.net).await
    }

    /// Returns a session with the server that writes this log: the one that a follower names, or this one. What it answers is verified
    /// as before.
    pub async fn at_the_writer(&self) -> Result<Self, ClientError> {
        let net = match self.info().await?.follows {
            Some(follows) => Net::new(&follows.url)?,
            None => self.net.clone(),
        };
        Ok(Self {
            net,
            log: self.log.clone(),
            trust: self.trust.clone(),
            followed: OnceLock::new(),
            first_use: false,
            host: None,
            keepers: Keepers::default(),
        })
    }

    /// Looks a subject up and verifies the answer against the pinned key and the remembered head.
    pub async fn resolve(&self, subject: &Subject) -> Result<Resolved, ClientError> {
        self.resolve_with_bytes(subject).await.map(|(resolved, _)| resolved)
    }

    /// As [`Session::resolve`], with the verified bytes: a Resolution with its head.
    pub async fn resolve_with_bytes(&self, subject: &Subject) -> Result<(Resolved, Vec<u8>), ClientError> {
        let mut memory = self.log.memory_in_turn().await?;
        let known = chain::remembered(subject, &memory.memory);
        self.follow(&mut memory, subject, known).await
    }

    /// As [`Session::resolve`], and follows the DID from its genesis if it was not yet: a false key cannot exist then.
    pub async fn resolve_from_genesis(&self, subject: &Subject) -> Result<Resolved, ClientError> {
        let mut memory = self.log.memory_in_turn().await?;
        let known = chain::remembered(subject, &memory.memory);
        let (resolved, bytes) = self.follow(&mut memory, subject, known).await?;
        let Some(did) = chain::not_from_genesis(&resolved) else { return Ok(resolved) };
        memory.memory = memory.memory.without(&did);
        let (resolved, _) = self.follow(&mut memory, subject, Some(chain::nothing_of(did))).await?;
        match chain::not_from_genesis(&resolved) {
            None => Ok(resolved),
            Some(_) => Err(self.fault(VerifyError::Chain, subject, &bytes, memory.memory.head())),
        }
    }

    /// Looks a subject up, and again until its DID's chain is followed from what is known to the state shown.
    ///
    /// Each answer must bring it further. A server that shows a state and not the certificates that made it is at fault.
    async fn follow(
        &self,
        memory: &mut OpenMemory,
        subject: &Subject,
        mut known: Option<Known>,
    ) -> Result<(Resolved, Vec<u8>), ClientError> {
        loop {
            let bytes = match self.net.get(&lookup_path(subject, memory.memory.size(), known)?).await {
                Ok(bytes) => bytes,
                Err(error) => return Err(self.judge_refusal(error, memory.memory.head())),
            };
            let Some(resolved) = self.verify(memory, subject, &bytes).await? else { continue };
            if resolved.unfollowed().is_none() {
                return Ok((resolved, bytes));
            }
            let next = resolved.did().and_then(|did| chain::known(&did.did, &memory.memory));
            if next == known {
                return Err(self.fault(VerifyError::Chain, subject, &bytes, memory.memory.head()));
            }
            known = next;
        }
    }

    /// Looks up the DID of this device, which must be known.
    pub async fn resolve_did(&self, did: &Did) -> Result<Resolved, ClientError> {
        self.resolve(&Subject::Did(*did)).await
    }

    /// Posts certificates, all or none, and verifies that they are in the log.
    ///
    /// The post is kept on disk until it is answered: after a crash the same bytes are posted again, and give the same answer.
    pub async fn post(&self, certificates: &[Certificate], subject: &Subject) -> Result<Posted, ClientError> {
        self.post_with(certificates, &[], subject).await
    }

    /// As [`Session::post`], with the attachments that the certificates name.
    pub async fn post_with(
        &self,
        certificates: &[Certificate],
        attachments: &[Vec<u8>],
        subject: &Subject,
    ) -> Result<Posted, ClientError> {
        let envelopes: Vec<Vec<u8>> = certificates.iter().map(Certificate::encode).collect();
        let sids: Vec<Sid> = certificates.iter().map(Certificate::sid).collect();
        let body = post::encode_with(&envelopes, attachments);
        let _turn = self.log.turn_to_post()?;
        self.log.keep_post(Some(&body))?;
        let posted = self.post_body(body, &sids, subject).await;
        match posted {
            // Unknown whether it arrived: the next command repeats it.
            Err(error @ ClientError::Network(_)) => Err(unsure(error)),
            posted => {
                self.log.keep_post(None)?;
                posted
            }
        }
    }

    /// Posts a certificate that is somebody else's to repeat, and verifies that it is in the log. Returns its index.
    pub async fn pass_on(&self, certificate: &Certificate, subject: &Subject) -> Result<u64, ClientError> {
        let body = post::encode_with(&[certificate.encode()], &[]);
        let posted = self.post_body(body, &[certificate.sid()], subject).await?;
        let index = posted.indexes.first().copied();
        index.ok_or_else(|| ClientError::Network("the server does not say where the certificate is".to_owned()))
    }

    /// Repeats the post that was on its way when the last command ended, if there is one.
    pub async fn repeat_post(&self) -> Result<(), ClientError> {
        let _turn = self.log.turn_to_post()?;
        let Some(body) = self.log.post()? else { return Ok(()) };
        match self.net.post(path::CERTIFICATES, body).await {
            Ok(_) | Err(ClientError::Refused(_)) => self.log.keep_post(None),
            Err(error) => Err(unsure(error)),
        }
    }

    /// Opens the stream that says when a subject changed (PROTOCOL 12.5); a hint, nothing of it is proved.
    pub async fn events(&self, subject: &Subject) -> Result<Lines, ClientError> {
        let subject = match subject {
            Subject::Name(name) => format!("{}{name}", path::NAMES),
            Subject::Did(did) => format!("{}{did}", path::DIDS),
            Subject::Alias(alias) => format!("{}{}", path::ALIASES, HEXLOWER.encode(alias)),
            Subject::LogConf | Subject::Anchors => {
                return Err(ClientError::Unable("what the log says of itself has no stream".into()));
            }
        };
        self.net.lines(&format!("{subject}{}", path::EVENTS)).await
    }

    /// Gets a path below the server, bounded; for the audit.
    pub async fn get(&self, path_and_query: &str) -> Result<Vec<u8>, ClientError> {
        self.net.get(path_and_query).await
    }

    /// Posts a message to the pairing relay.
    pub(crate) async fn post_to_relay(&self, target: &str, message: Vec<u8>) -> Result<Vec<u8>, ClientError> {
        self.net.post(target, message).await
    }

    /// Posts a fault file; what comes back is not verified.
    pub(crate) async fn post_evidence(&self, file: Vec<u8>) -> Result<Vec<u8>, ClientError> {
        self.net.post_evidence(file).await
    }

    /// Posts a step of a sign-in.
    pub async fn post_signin(&self, path: &str, body: Vec<u8>) -> Result<Vec<u8>, ClientError> {
        self.net.post(path, body).await
    }

    /// Has blinded addresses evaluated.
    pub async fn evaluate(&self, question: Vec<u8>) -> Result<Vec<u8>, ClientError> {
        self.net.post(path::EVALUATE, question).await
    }

    /// Has a notary sign the binding of an address.
    pub async fn notarize(&self, ask: Vec<u8>) -> Result<Vec<u8>, ClientError> {
        self.net.post(path::NOTARIZE, ask).await
    }

    /// Posts entries of a database: they are signed themselves. Where another server keeps it, `signer` is who they are by.
    pub(crate) async fn post_entries(
        &self,
        signer: Signer<'_>,
        target: &str,
        request: Vec<u8>,
    ) -> Result<Vec<u8>, ClientError> {
        match self.host_for(target) {
            Some(host) => host.ask(target, Some(&request)).await,
            None => match self.post_to_keeper(signer, target, &request).await {
                Some(answer) => answer,
                None => self.net.post(target, request).await,
            },
        }
    }

    /// Puts sealed mail before a device.
    pub async fn post_envelope(&self, envelope: Vec<u8>) -> Result<(), ClientError> {
        self.net.post(path::ENVELOPES, envelope).await.map(drop)
    }

    /// Posts certificates and only counts whether they were taken; for load, where the log is audited afterwards.
    pub async fn post_unverified_for_load(&self, certificates: &[Certificate]) -> Result<(), ClientError> {
        let envelopes: Vec<Vec<u8>> = certificates.iter().map(Certificate::encode).collect();
        self.net.post(path::CERTIFICATES, post::encode(&envelopes)).await.map(|_| ())
    }

    /// As [`Session::post_unverified_for_load`], answered only once a witnessed head covers them.
    pub async fn post_cosigned_unverified_for_load(&self, certificates: &[Certificate]) -> Result<(), ClientError> {
        let envelopes: Vec<Vec<u8>> = certificates.iter().map(Certificate::encode).collect();
        let asked = format!("{}?wait=cosigned", path::CERTIFICATES);
        self.net.post(&asked, post::encode(&envelopes)).await.map(|_| ())
    }

    /// Looks a subject up and verifies the answer from nothing but the pinned key; returns its bytes. For load.
    pub async fn resolve_apart(&self, subject: &Subject) -> Result<u64, ClientError> {
        let Subject::Name(name) = subject else { return Err(ClientError::Unable("a name".into())) };
        let bytes = self.net.get(&format!("{}{name}", path::NAMES)).await?;
        let mut memory = Memory::new(self.trust.origin().clone());
        resolve::verify(self.trust(), &mut memory, subject, &bytes, clock::now())
            .map_err(|error| ClientError::proof(error.code(), error.to_string()))?;
        Ok(bytes.len() as u64)
    }

    /// Returns the HTTP side alone, for tasks that fetch.
    pub(crate) fn reader(&self) -> Net {
        self.net.clone()
    }

    async fn post_body(&self, body: Vec<u8>, sids: &[Sid], subject: &Subject) -> Result<Posted, ClientError> {
        let mut memory = self.log.memory_in_turn().await?;
        let (resolved, bytes) = loop {
            let known = chain::remembered(subject, &memory.memory);
            let mut asked = match memory.memory.size() {
                Some(size) => format!("{}?from={size}{}", path::CERTIFICATES, chain::asked(known)),
                None => path::CERTIFICATES.to_owned(),
            };
            if !self.trust().policy().is_none() {
                // The newest head is signed by the log alone: wait for the first one that witnesses signed too.
                asked.push_str(if asked.contains('?') { "&wait=cosigned" } else { "?wait=cosigned" });
            }
            let bytes = self.net.post(&asked, body.clone()).await?;
            // Posted again, the same bytes have the same answer.
            if let Some(resolved) = self.verify(&mut memory, subject, &bytes).await? {
                break (resolved, bytes);
            }
        };
        let indexes =
            resolved.verify_written(sids).map_err(|error| self.fault(error, subject, &bytes, memory.memory.head()))?;
        let Some(did) = resolved.did().filter(|_| resolved.unfollowed().is_some()) else {
            return Ok(Posted { indexes, resolved });
        };
        let known = chain::known(&did.did, &memory.memory);
        let (resolved, _) = self.follow(&mut memory, subject, known).await?;
        Ok(Posted { indexes, resolved })
    }

    /// Verifies an answer and keeps what it showed. If no trusted key signed its head, the log's keys may have changed: then they
    /// are followed. `None`: they were, and on the way a newer head was met; ask again from there.
    async fn verify(
        &self,
        memory: &mut OpenMemory,
        subject: &Subject,
        bytes: &[u8],
    ) -> Result<Option<Resolved>, ClientError> {
        let verified = resolve::verify(self.trust(), &mut memory.memory, subject, bytes, clock::now());
        if verified == Err(VerifyError::LogSignature) {
            let before = self.trust().log_keys().to_vec();
            match self.trust_for(memory).await {
                // Whoever answers by other keys again is not asked a third time.
                Ok(trust) if trust.log_keys() == self.trust().log_keys() && trust.log_keys() != before => {
                    return Ok(None);
                }
                Err(Some(fault)) => return Err(fault),
                Ok(_) | Err(None) => {}
            }
        }
        let resolved = verified.map_err(|error| self.fault(error, subject, bytes, memory.memory.head()))?;
        memory.keep()?;
        self.hold_against_last(&resolved, bytes)?;
        if self.is_behind(&resolved) {
            // What was asked is proved. If the newest keys cannot be learnt now, they are when they are needed.
            let _ = self.follow_keys(memory).await;
        }
        Ok(Some(resolved))
    }

    /// Makes a proof fault of a failed verification, and keeps what shows it.
    fn fault(&self, error: VerifyError, subject: &Subject, bytes: &[u8], known: Option<&Head>) -> ClientError {
        let last = self.last_of(subject);
        let kept = evidence::of_answer(self.trust(), error, subject, bytes, known, last.as_deref());
        let evidence = self.log.keep_all_evidence(&kept);
        ClientError::Proof { code: error.code(), what: error.to_string(), evidence }
    }

    /// Turns a server's word that it never had the remembered head into what it is: a log that went back.
    fn judge_refusal(&self, error: ClientError, known: Option<&Head>) -> ClientError {
        let ClientError::Refused(problem) = &error else { return error };
        if problem.code != code::UNKNOWN_HEAD {
            return error;
        }
        let checkpoint = problem.checkpoint.clone().unwrap_or_default();
        let kept = evidence::of_shrunk_log(self.trust(), checkpoint.as_bytes(), known);
        let evidence = self.log.keep_evidence(&kept.file_name, &kept.bytes).ok();
        let size = known.map_or(0, |head| head.size);
        let what = format!("the log is smaller than the head of {size} leaves met before");
        ClientError::Proof { code: VerifyError::Rollback.code(), what, evidence }
    }
}

/// Says of a post without an answer what to do.
fn unsure(error: ClientError) -> ClientError {
    match error {
        ClientError::Network(why) => ClientError::Network(format!(
            "{why}. What was signed may have arrived or not: run the command again, it is posted once more and counts once"
        )),
        other => other,
    }
}

/// Returns the path that looks a subject up, for who remembers a head of this size and this of the DID.
fn lookup_path(subject: &Subject, size: Option<u64>, known: Option<Known>) -> Result<String, ClientError> {
    let mut asked = match subject {
        Subject::Name(name) => format!("{}{name}?with=certs", path::NAMES),
        Subject::Did(did) => format!("{}{did}?with=certs", path::DIDS),
        Subject::Alias(alias) => format!("{}{}?with=certs", path::ALIASES, HEXLOWER.encode(alias)),
        Subject::Anchors => format!("{}?with=certs", path::ANCHORS),
        Subject::LogConf => return Err(ClientError::Unable("the log's configuration has no lookup path".into())),
    };
    if let Some(size) = size {
        asked.push_str(&format!("&from={size}"));
    }
    asked.push_str(&chain::asked(known));
    Ok(asked)
}

/// Returns what the server at `url` says of itself, whatever log it has; nothing in it is trusted.
pub async fn info_of(url: &str) -> Result<Info, ClientError> {
    fetch_info(&Net::new(url)?).await
}

async fn fetch_info(net: &Net) -> Result<Info, ClientError> {
    let body = net.get(path::INFO).await?;
    serde_json::from_slice(&body).map_err(|_| {
        ClientError::proof("malformed", format!("{}{} is not what a server says of itself", net.base(), path::INFO))
    })
}
