//! Leases of logs: what somebody may read or write, for a time, and why; and the end of each as soon as the reason is gone
//! (PROTOCOL 23.15).

use std::collections::BTreeMap;
use std::time::Duration;

use identity::grant::SignedGrant;
use identity::hash::Hash;
use identity::token::{Access, Rights, Scope};
use lobby::limits::{HANDLES_MAX, NONCE_MS, NONCES_MAX};
use lobby::share::{Credential, Said, Shown, is_path};
use peer::LinkError;
use rand_core::Rng as _;
use tokio::time::Instant;

use super::tails::tail;
use super::{Done, NotServed, Serving, Told, blocking};
use crate::host::served::SharedLog;
use crate::host::written::{NotWritten, Write};
use crate::{clock, rng};

/// To read and to write.
const WRITES: Rights = Rights::READ.and(Rights::WRITE);

/// What one connection leased, and the nonces it was given.
#[derive(Default)]
pub(super) struct Leases {
    held: BTreeMap<u64, Leased>,
    nonces: Vec<([u8; 32], Instant)>,
}

/// A lease.
struct Leased {
    log: String,
    rights: Rights,
    until: Instant,
    why: Why,
    /// To write: the log, open.
    written: Option<SharedLog>,
}

/// What a lease rests on.
pub(super) enum Why {
    /// The host's rules.
    Rules,
    /// A token.
    Token(String),
    /// A chain of grants.
    Grants(Vec<SignedGrant>),
}

impl Leases {
    /// Returns when the first of them ends; in a day if there is none.
    pub(super) fn first_end(&self) -> Instant {
        let ends = self.held.values().map(|leased| leased.until).min();
        ends.unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400))
    }

    fn nonce(&mut self) -> [u8; 32] {
        let mut nonce = [0; 32];
        rng::system().fill_bytes(&mut nonce);
        if self.nonces.len() >= NONCES_MAX {
            self.nonces.remove(0);
        }
        self.nonces.push((nonce, Instant::now() + Duration::from_millis(NONCE_MS)));
        nonce
    }
}

impl Serving {
    /// Returns whether a path may be seen.
    pub(super) fn sees(&self, path: &str) -> bool {
        self.rights.cover(path) || self.covered(&self.granted, path, Rights::READ)
    }

    /// Leases a log.
    pub(super) async fn lease(
        &mut self,
        id: u64,
        site: &str,
        log: String,
        rights: Rights,
        credential: Option<&[u8]>,
    ) -> Done {
        if site != self.host.name {
            return Ok(Err("not_here"));
        }
        if !is_path(&log) {
            return Ok(Err(NotServed::NotFound.code()));
        }
        if self.leases.held.len() >= HANDLES_MAX {
            return Ok(Err("quota"));
        }
        let why = match credential {
            // What a guest shows does not count (PROTOCOL 23.17).
            Some(_) if self.guest => Err("no_right"),
            Some(credential) => self.shown(credential),
            None => match self.why(&log, rights).await {
                Some(why) => Ok(why),
                None => {
                    let nonce = self.leases.nonce();
                    return self.say(&Said::NeedProof { id, nonce }).await.map(Ok);
                }
            },
        };
        let why = match why {
            Ok(why) => why,
            Err(code) => return Ok(Err(code)),
        };
        let end_s = match self.holds(&why, &log, rights).await {
            Ok(end_s) => end_s,
            Err(code) => return Ok(Err(code)),
        };
        let rules = self.host.rules();
        if let Some(to) = rules.redirect.get(&log) {
            return self.say(&Said::Redirect { id, to: to.clone() }).await.map(Ok);
        }
        let now_s = clock::now().as_s();
        let life_s = rules.lease_s.min(end_s.saturating_sub(now_s));
        let (size, head, lsn, written) = match self.look(&log, rights).await {
            Ok(found) => found,
            Err(code) => return Ok(Err(code)),
        };
        let handle = self.host.handle();
        let until = Instant::now() + Duration::from_secs(life_s);
        self.host.say(Told::Leased(self.sess, log.clone(), rights)).await;
        self.leases.held.insert(handle, Leased { log, rights, until, why, written });
        self.say(&Said::Handle { id, handle, rights, size, until_s: now_s + life_s, head, lsn }).await.map(Ok)
    }

    /// Reads a leased log from a place on.
    pub(super) fn read(&mut self, id: u64, handle: u64, from: u64) -> Done {
        let Some(leased) = self.leases.held.get(&handle) else { return Ok(Err("bad_handle")) };
        let (host, link, log) = (self.host.clone(), self.link.clone(), leased.log.clone());
        self.tails.start(id, handle, tail(host, link, id, log, from));
        Ok(Ok(()))
    }

    /// Writes to a leased log.
    pub(super) async fn write(
        &mut self,
        id: u64,
        handle: u64,
        lsn: u64,
        entries: Vec<Vec<u8>>,
        expect: Option<Hash>,
    ) -> Done {
        let Some(leased) = self.leases.held.get(&handle) else { return Ok(Err("bad_handle")) };
        let Some(written) = leased.written.clone() else { return Ok(Err("no_right")) };
        if !matches!(leased.why, Why::Rules) && self.host.is_feed_stale() {
            return Ok(Err("feed_stale"));
        }
        let (device, bytes_max) = (self.key, self.host.rules().log_bytes_max);
        let write = move || {
            let mut log = written.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            log.write(Write { device, lsn, entries: &entries, expect, bytes_max })
        };
        match blocking(write, NotWritten::Failed).await {
            Ok(receipt) => {
                self.host.grown.notify_waiters();
                let said = Said::Receipt { id, position: receipt.position, size: receipt.size, head: receipt.head };
                self.say(&said).await.map(Ok)
            }
            Err(not) => Ok(Err(not.code())),
        }
    }

    /// Ends the leases that nothing holds up any more.
    pub(super) async fn judge_again(&mut self) -> Result<(), LinkError> {
        if let Some(token) = &self.token {
            let token = self.host.token(token, &self.device, Access::Read).await;
            self.granted = token.map(|token| token.scope).unwrap_or_default();
        }
        let (now, redirect) = (Instant::now(), self.host.rules().redirect.clone());
        let mut over = Vec::new();
        for (handle, leased) in &self.leases.held {
            if leased.until <= now {
                over.push((*handle, "lease_over"));
            } else if redirect.contains_key(&leased.log) {
                over.push((*handle, "moved"));
            } else if let Err(code) = self.holds(&leased.why, &leased.log, leased.rights).await {
                over.push((*handle, code));
            }
        }
        for (handle, code) in over {
            self.leases.held.remove(&handle);
            self.tails.stop_of(handle);
            self.say(&Said::Revoke { handle, code: code.to_owned() }).await?;
        }
        Ok(())
    }

    /// Why a log may be leased of which nothing is shown.
    pub(super) async fn why(&self, log: &str, rights: Rights) -> Option<Why> {
        if self.ruled(log, rights) {
            return Some(Why::Rules);
        }
        if let Some(token) = self.token.as_ref().filter(|_| self.covered(&self.granted, log, rights)) {
            return Some(Why::Token(token.clone()));
        }
        for chain in self.chains() {
            let why = Why::Grants(chain);
            if self.holds(&why, log, rights).await.is_ok() {
                return Some(why);
            }
        }
        None
    }

    /// What is shown for a nonce, which is spent by that.
    fn shown(&mut self, credential: &[u8]) -> Result<Why, &'static str> {
        let now = Instant::now();
        self.leases.nonces.retain(|(_, until)| now < *until);
        let open = |nonce: &[u8; 32]| Credential::open(credential, nonce, self.host.prover.origin(), &self.key);
        let found = self.leases.nonces.iter().position(|(nonce, _)| open(nonce).is_ok()).ok_or("bad_proof")?;
        let shown = open(&self.leases.nonces[found].0).map_err(|_| "bad_proof")?;
        self.leases.nonces.remove(found);
        match shown {
            Shown::Token(token) => Ok(Why::Token(token)),
            Shown::Grants(grants) => {
                let chain: Result<Vec<_>, _> = grants.iter().map(|grant| SignedGrant::decode(grant)).collect();
                chain.map(Why::Grants).map_err(|refusal| refusal.code())
            }
        }
    }

    /// Returns until when, Unix seconds, a reason holds for this; or why it does not.
    pub(super) async fn holds(&self, why: &Why, log: &str, rights: Rights) -> Result<u64, &'static str> {
        let access = if rights.include(Rights::WRITE) { Access::Write } else { Access::Read };
        match why {
            Why::Rules if self.ruled(log, rights) => Ok(u64::MAX),
            Why::Rules => Err("rights_changed"),
            Why::Token(text) => {
                let token = self.host.token(text, &self.device, access).await?;
                if self.covered(&token.scope, log, rights) { Ok(token.exp_s) } else { Err("token_scope") }
            }
            Why::Grants(chain) => {
                let last = self.host.grants(chain, &self.did, access).await?;
                let is_covered = self.covered(&[last.scope()], log, rights);
                if is_covered { Ok(last.until_s) } else { Err("not_granted") }
            }
        }
    }

    fn ruled(&self, log: &str, rights: Rights) -> bool {
        if rights.include(Rights::WRITE) { self.rights.write(log) } else { self.rights.cover(log) }
    }

    /// Whether scopes on this host's DID allow something at a log, whose place in the resource is its path.
    fn covered(&self, scopes: &[Scope], log: &str, rights: Rights) -> bool {
        scopes.iter().any(|scope| {
            let rest = log.strip_prefix(scope.log.as_str());
            let lies_below =
                rest.is_some_and(|rest| scope.log.as_str().is_empty() || rest.is_empty() || rest.starts_with('/'));
            lies_below && scope.site == self.host.who.did && scope.rights.include(rights)
        })
    }

    /// Looks how a log stands that is to be read or written to.
    async fn look(&self, log: &str, rights: Rights) -> Result<Found, &'static str> {
        let (host, log) = (self.host.clone(), log.to_owned());
        if rights != WRITES {
            let size = move || host.served.size(&log);
            let size = blocking(size, NotServed::Failed).await.map_err(NotServed::code)?;
            return Ok((size, None, None, None));
        }
        let shared = host.clone();
        let written =
            blocking(move || shared.served.written(&log), NotServed::Failed).await.map_err(NotServed::code)?;
        let (asked, device) = (written.clone(), self.key);
        let standing = move || asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner).standing(&device);
        let standing = blocking(standing, NotWritten::Failed).await.map_err(NotWritten::code)?;
        Ok((standing.size, Some(standing.head), Some(standing.lsn), Some(written)))
    }
}

/// The bytes of a log; to write, its head, the device's last number, and the log.
type Found = (u64, Option<Hash>, Option<u64>, Option<SharedLog>);
