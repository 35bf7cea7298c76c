//! What clients show besides their keys: tokens and grants, judged whenever they are relied on (PROTOCOL 17.5, 18.2).
//!
//! The first of them makes the host an audience: it fetches the keys of its tokens, and hears from then on what is revoked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use identity::cert::Kid;
use identity::did::Did;
use identity::grant::{Grant, GrantRefusal, SignedGrant, check_chain};
use identity::token::{Access, Token, TokenRefusal};
use tokio::sync::OnceCell;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::{Host, lock};
use crate::audience::Audience;
use crate::clock;
use crate::home::DeviceKeys;

/// Before the feed is asked again that gave no answer.
const AGAIN: Duration = Duration::from_secs(2);

/// The host as an audience.
#[derive(Debug)]
pub(super) struct Proofs {
    device: Arc<DeviceKeys>,
    audience: OnceCell<Arc<Audience>>,
    hearing: Mutex<Option<AbortHandle>>,
}

impl Proofs {
    /// Returns what has heard nothing yet.
    pub(super) fn new(device: Arc<DeviceKeys>) -> Self {
        Self { device, audience: OnceCell::new(), hearing: Mutex::default() }
    }

    /// Hears no more.
    pub(super) fn end(&self) {
        if let Some(hearing) = lock(&self.hearing).take() {
            hearing.abort();
        }
    }
}

impl Host {
    /// Returns what a token says that a device presents, or the code of why it counts for nothing.
    pub(super) async fn token(&self, text: &str, device: &Kid, access: Access) -> Result<Token, &'static str> {
        let audience = self.audience().await?;
        audience.check(text, device, access).map_err(TokenRefusal::code)
    }

    /// Returns what a chain of grants on this host's DID comes to for `subject`, or the code of why to nothing.
    pub(super) async fn grants<'c>(
        &self,
        chain: &'c [SignedGrant],
        subject: &Did,
        access: Access,
    ) -> Result<&'c Grant, &'static str> {
        let audience = self.audience().await?;
        if chain.iter().any(|grant| audience.is_grant_revoked(&grant.sid())) {
            return Err("grant_revoked");
        }
        if access == Access::Write && audience.is_stale() {
            return Err("feed_stale");
        }
        let mut keys = Vec::with_capacity(chain.len());
        for grant in chain {
            keys.push(self.prover.granting_keys(&grant.grant().issuer).await.map_err(|_| "failed")?);
        }
        let now_s = clock::now().as_s();
        let last =
            check_chain(chain, self.prover.origin(), &keys, &[self.who.did], now_s).map_err(GrantRefusal::code)?;
        let last = last.grant();
        if last.subject == *subject && last.resource == self.who.did { Ok(last) } else { Err("not_granted") }
    }

    /// Returns whether there was no word of revocations for 60 s.
    pub(super) fn is_feed_stale(&self) -> bool {
        self.proofs.audience.get().is_none_or(|audience| audience.is_stale())
    }

    async fn audience(&self) -> Result<&Audience, &'static str> {
        let open = async {
            // Tokens are minted, and revoked, where the log is written.
            let writer = self.prover.session().at_the_writer().await?;
            let audience = Arc::new(Audience::open(&writer, &self.proofs.device, None).await?);
            let hearing = audience.clone();
            let (device, again) = (self.proofs.device.clone(), self.again.clone());
            let task = tokio::spawn(async move {
                loop {
                    match hearing.hear(&writer, &device).await {
                        Ok(()) => again.send_modify(|times| *times += 1),
                        Err(_) => sleep(AGAIN).await,
                    }
                }
            });
            *lock(&self.proofs.hearing) = Some(task.abort_handle());
            Ok(audience)
        };
        let audience: Result<_, crate::error::ClientError> = self.proofs.audience.get_or_try_init(|| open).await;
        audience.map(Arc::as_ref).map_err(|_| "no_audience")
    }
}
