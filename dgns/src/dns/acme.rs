//! The certificate of encrypted DNS by ACME (RFC 8555): the server orders it, answers the challenges (dns-01) in its own zone, keeps it, and orders
//! another once two thirds of its life are over.
//!
//! What is kept is `keys/dns-tls.pem`, replaced whole, key and chain: a crash leaves the one before or the new one, and what was ordered meanwhile is
//! ordered again. [`super::tls`] reads it like the files of an operator. An authority that fails, or lies, changes nothing of what is served.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use serde::{Deserialize, Serialize};
use storage::{StorageError, durable};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use zeroize::Zeroizing;

use super::limits::{
    CERTIFICATE_BYTES_MAX, CERTIFICATE_EVERY, ORDER_AGAIN_S, ORDER_RETRY_S, ORDER_RETRY_S_MAX, ORDER_WITHIN,
};
use super::metrics::{Metrics, Ordered};
use super::tls::{self, TlsFileError, TlsFiles};
use super::zone::{Zone, ZoneError};
use crate::clock::Clock;
use crate::outbound::Outbound;
use crate::shutdown;

/// How a certificate is ordered: `[dns.tls]` with `acme`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeConfig {
    /// `acme`: the URL of the authority's directory.
    pub directory: String,
    /// `acme_contact`: what the authority may know of the operator, such as `mailto:hostmaster@id.example`.
    pub contact: Vec<String>,
    /// `acme_ca`: PEM certificates, one of which the directory's own must be below; absent: those that the system believes.
    pub roots: Option<PathBuf>,
    /// `acme_names`: what the certificate is for, absolute names of the zone that are the operator's; at least one.
    pub names: Vec<String>,
}

/// Why the authority cannot be asked at all. Fault: the operator.
#[derive(Debug, thiserror::Error)]
#[error("[dns.tls] acme_ca {path}: {error}", path = .path.display())]
pub struct RootsError {
    path: PathBuf,
    error: io::Error,
}

/// Why there is no certificate this time.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// What the authority says, or that it says nothing.
    #[error("{0}")]
    Authority(#[from] Error),
    /// It asks for something that nobody ordered.
    #[error("the authority asks for {0}")]
    Strange(String),
    /// The challenges are not met, as the authority sees it.
    #[error(
        "the authority does not find the challenges: is the zone delegated to this server, and do its secondaries follow?"
    )]
    Unmet,
    /// What it gave is nothing to be served.
    #[error("{0}")]
    Certificate(#[from] TlsFileError),
    /// A challenge cannot be shown.
    #[error("{0}")]
    Zone(#[from] ZoneError),
    /// What is to be kept cannot be written.
    #[error("{0}")]
    Storage(#[from] StorageError),
    /// It took too long in all.
    #[error("no certificate within {} s", ORDER_WITHIN.as_secs())]
    Late,
}

/// What is kept of an account at an authority.
#[derive(Serialize, Deserialize)]
struct KeptAccount {
    directory: String,
    account: AccountCredentials,
}

/// Keeps the certificate.
pub struct Acme {
    config: AcmeConfig,
    keys_at: PathBuf,
    outbound: Outbound,
    zone: Arc<Zone>,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// How long challenges take until all servers of the zone show them.
    spread: Duration,
}

/// Returns where the certificate and its key are kept, below the data directory.
pub fn kept(data: &Path) -> TlsFiles {
    let path = kept_at(&data.join("keys"));
    TlsFiles { certificate: path.clone(), key: path }
}

impl Acme {
    /// Returns a keeper for these names of `zone`. Errors: [`RootsError`].
    pub fn open(
        config: AcmeConfig,
        data: &Path,
        plain_http: bool,
        spread: Duration,
        zone: Arc<Zone>,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Self, RootsError> {
        let outbound = match &config.roots {
            None => Outbound::new(plain_http),
            Some(path) => {
                let refused = |error| RootsError { path: path.clone(), error };
                let roots = std::fs::read(path).map_err(refused)?;
                let none = || refused(io::Error::other("holds no certificate in PEM, which begins with -----BEGIN"));
                Outbound::trusting(&roots, plain_http).ok_or_else(none)?
            }
        };
        Ok(Self { config, keys_at: data.join("keys"), outbound, zone, clock, metrics, spread })
    }

    /// Orders a certificate whenever one is needed, until `stop`.
    pub async fn keep(self, mut stop: watch::Receiver<bool>) {
        let mut due_s = self.due_s().await;
        let mut retry_s = ORDER_RETRY_S;
        let mut ticks = tokio::time::interval(CERTIFICATE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown::requested(&mut stop) => return,
                _ = ticks.tick() => {}
            }
            if self.now_s() < due_s {
                continue;
            }
            let ordered = tokio::select! {
                () = shutdown::requested(&mut stop) => return,
                ordered = tokio::time::timeout(ORDER_WITHIN, self.order()) => ordered.unwrap_or(Err(Failed::Late)),
            };
            self.hide_challenges();
            match ordered {
                Ok(renewal_s) => {
                    tracing::info!(names = ?self.config.names, renewal_s, "a certificate of DNS was ordered");
                    self.metrics.count_order(Ordered::Issued);
                    retry_s = ORDER_RETRY_S;
                    // Whatever life an authority gives: it is not asked all the time.
                    due_s = renewal_s.max(self.now_s() + ORDER_AGAIN_S);
                }
                Err(error) => {
                    tracing::warn!(%error, retry_s, "no certificate of DNS was ordered: it is tried again");
                    self.metrics.count_order(Ordered::Failed);
                    due_s = self.now_s() + retry_s;
                    retry_s = (retry_s * 4).min(ORDER_RETRY_S_MAX);
                }
            }
        }
    }

    /// Returns when another certificate is needed than the one that is kept, unix seconds; 0: now.
    async fn due_s(&self) -> u64 {
        let path = kept_at(&self.keys_at);
        let pem = match tokio::fs::read(&path).await {
            Ok(pem) => Zeroizing::new(pem),
            Err(_) => return 0,
        };
        if !pem.starts_with(self.head().as_bytes()) {
            return 0;
        }
        match tls::judge(&pem, &path, &self.config.names) {
            Ok(life) => life.renewal_s(),
            Err(error) => {
                tracing::warn!(%error, "the certificate of DNS that was kept is of no use: another one is ordered");
                0
            }
        }
    }

    /// Orders a certificate and keeps it; returns when it is to be renewed.
    async fn order(&self) -> Result<u64, Failed> {
        let account = self.account().await?;
        let identifiers: Vec<Identifier> = self.config.names.iter().cloned().map(Identifier::Dns).collect();
        let ordered = account.new_order(&NewOrder::new(&identifiers)).await;
        let mut order = ordered.inspect_err(|error| self.forget_account_of(error))?;
        self.meet_challenges(&mut order).await?;
        let retries = RetryPolicy::new().timeout(ORDER_WITHIN);
        if order.poll_ready(&retries).await? != OrderStatus::Ready {
            return Err(Failed::Unmet);
        }
        let key = Zeroizing::new(order.finalize().await?);
        let chain = order.poll_certificate(&retries).await?;
        let pem = Zeroizing::new([self.head().as_bytes(), key.as_bytes(), b"\n", chain.as_bytes()].concat());
        let path = kept_at(&self.keys_at);
        let life = tls::judge(&pem, &path, &self.config.names)?;
        if !life.has(self.now_s()) || pem.len() as u64 > CERTIFICATE_BYTES_MAX {
            return Err(TlsFileError::Time.into());
        }
        durable::replace(&path, &pem)?;
        Ok(life.renewal_s())
    }

    /// Shows what the authority asks for, and lets it look.
    async fn meet_challenges(&self, order: &mut Order) -> Result<(), Failed> {
        if order.state().authorizations.len() > self.config.names.len() {
            return Err(Failed::Strange("more names than were ordered".to_owned()));
        }
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let asked = authorization.identifier().to_string();
            let name = ordered_name(&self.config.names, &asked).ok_or(Failed::Strange(asked))?;
            let challenge = authorization.challenge(ChallengeType::Dns01).ok_or(Error::Unsupported("dns-01"))?;
            self.zone.set_challenges(name, &[challenge.key_authorization().dns_value()])?;
        }
        tokio::time::sleep(self.spread).await;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status == AuthorizationStatus::Pending
                && let Some(mut challenge) = authorization.challenge(ChallengeType::Dns01)
            {
                challenge.set_ready().await?;
            }
        }
        Ok(())
    }

    fn hide_challenges(&self) {
        for name in &self.config.names {
            if let Err(error) = self.zone.set_challenges(name, &[]) {
                tracing::error!(%error, "a challenge of ACME cannot be taken away");
            }
        }
    }

    /// Returns the account that is kept, or a new one.
    async fn account(&self) -> Result<Account, Failed> {
        let builder = Account::builder_with_http(Box::new(self.outbound.clone()));
        let text = tokio::fs::read(self.account_at()).await.map(Zeroizing::new).unwrap_or_default();
        let kept = serde_json::from_slice::<KeptAccount>(&text).ok();
        if let Some(kept) = kept.filter(|kept| kept.directory == self.config.directory) {
            return Ok(builder.from_credentials(kept.account).await?);
        }
        let contact: Vec<&str> = self.config.contact.iter().map(String::as_str).collect();
        let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let (account, credentials) = builder.create(&new, self.config.directory.clone(), None).await?;
        let kept = KeptAccount { directory: self.config.directory.clone(), account: credentials };
        let text = Zeroizing::new(serde_json::to_vec(&kept).map_err(Error::from)?);
        durable::replace(&self.account_at(), &text)?;
        Ok(account)
    }

    /// An authority that does not know the account any more is given another one the next time.
    fn forget_account_of(&self, error: &Error) {
        let Error::Api(problem) = error else { return };
        if problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:accountDoesNotExist")
            && let Err(error) = std::fs::remove_file(self.account_at())
        {
            tracing::warn!(%error, "an account at an ACME authority cannot be forgotten");
        }
    }

    fn account_at(&self) -> PathBuf {
        self.keys_at.join("acme-account.json")
    }

    /// Returns the first line of the file that is kept: of which authority it is.
    fn head(&self) -> String {
        format!("acme {}\n", self.config.directory)
    }

    fn now_s(&self) -> u64 {
        self.clock.now().as_s()
    }
}

fn kept_at(keys_at: &Path) -> PathBuf {
    keys_at.join("dns-tls.pem")
}

/// Returns the name that was ordered as it was written there; `None`: it was not.
fn ordered_name<'n>(names: &'n [String], asked: &str) -> Option<&'n str> {
    names.iter().map(String::as_str).find(|name| name.eq_ignore_ascii_case(asked))
}
