//! Logs of a host: leased, with a token or a grant where its rules alone do not do, read as they grow (PROTOCOL 23.15).

use dgns_api::problem::Problem;
use identity::did::Did;
use identity::hash::Hash;
use identity::token::{Rights, Scope, Token};
use lobby::share::{Credential, Said, Shown};

use super::Connection;
use crate::clock;
use crate::error::ClientError;
use crate::session::Signer;

/// What is shown at most of what this device holds, one after another.
const SHOWN_MAX: usize = 8;

/// A log that was leased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What names it to the host.
    pub handle: u64,
    /// The log.
    pub log: String,
    /// What it allows.
    pub rights: Rights,
    /// The bytes of the log.
    pub size: u64,
    /// When it ends, Unix seconds by the host's clock.
    pub until_s: u64,
    /// To write: SHA-256 of the log.
    pub head: Option<Hash>,
    /// To write: this device's last number in it; 0 for none.
    pub lsn: u64,
}

/// What became of asking for a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leased {
    /// It is given.
    Here(Lease),
    /// The log is elsewhere: a name, or a URL.
    Elsewhere(String),
}

impl Connection {
    /// Leases a log to read or to write. If the host wants more than its rules give, it is shown what this device holds: tokens for
    /// the host, then grants that the server of the log keeps.
    ///
    /// Errors: [`ClientError::Refused`] with the host's code; `needproof` if nothing that is held would do.
    pub async fn lease(&mut self, log: &str, rights: Rights) -> Result<Leased, ClientError> {
        let mut nonce = match self.ask_lease(log, rights, None).await? {
            Ok(leased) => return Ok(leased),
            Err(nonce) => nonce,
        };
        let mut left = self.held(log, rights).await?.into_iter().peekable();
        while let Some(shown) = left.next() {
            let origin = self.prover.origin().clone();
            let credential = Credential::sign(shown, nonce, &origin, &self.who.key).encode();
            match self.ask_lease(log, rights, Some(credential)).await {
                Ok(Ok(leased)) => return Ok(leased),
                Ok(Err(next)) => nonce = next,
                // What counts for nothing is no reason not to show the next, under a nonce of its own.
                Err(ClientError::Refused(_)) if left.peek().is_some() => match self.ask_lease(log, rights, None).await?
                {
                    Ok(leased) => return Ok(leased),
                    Err(next) => nonce = next,
                },
                Err(error) => return Err(error),
            }
        }
        let what = format!("{log}: not for this device without a grant (dgns grant) or a token of the host's owner");
        Err(ClientError::Refused(Box::new(Problem::new(403, "needproof", what))))
    }

    /// Hands on what a log holds from a place on, and whatever is added to it, until the connection ends. Returns where else the log
    /// is, if it is there.
    pub async fn tail(
        &mut self,
        log: &str,
        from: u64,
        mut take: impl FnMut(u64, &[u8]) -> Result<(), ClientError>,
    ) -> Result<String, ClientError> {
        let (mut next, mut taken_back) = (from, None::<String>);
        loop {
            let lease = match (self.lease(log, Rights::READ).await, &taken_back) {
                (Ok(Leased::Here(lease)), _) => lease,
                (Ok(Leased::Elsewhere(to)), _) => return Ok(to),
                (Err(ClientError::Refused(_)), Some(code)) => return Err(lease_ended(log, code)),
                (Err(error), _) => return Err(error),
            };
            let id = self.id();
            self.say(&Said::Read { id, handle: lease.handle, from: next }).await?;
            loop {
                match self.hear().await? {
                    Said::Piece { id: of, offset, bytes, .. } if of == id => {
                        if offset != next {
                            return Err(self.nonsense());
                        }
                        next += bytes.len() as u64;
                        take(offset, &bytes)?;
                    }
                    Said::Err { id: of, code } if of == id => return Err(self.not_served(log, &code)),
                    Said::Revoke { handle, code } if handle == lease.handle => {
                        taken_back = Some(code);
                        break;
                    }
                    _ => {}
                }
            }
        }
    }

    /// Hands a certificate to the host, which passes it on to the log, or a grant on the host's DID, which counts for leases of this
    /// connection. Returns a certificate's index.
    pub async fn attest(&mut self, envelope: &[u8]) -> Result<Option<u64>, ClientError> {
        let id = self.id();
        match self.ask(id, &Said::Attest { id, envelope: envelope.to_vec() }).await? {
            Said::Ok { index, .. } => Ok(index),
            Said::Err { code, .. } => Err(refused("what is attested is not taken", &code)),
            _ => Err(self.nonsense()),
        }
    }

    /// Asks for a lease; with the nonce for what is to be shown.
    async fn ask_lease(
        &mut self,
        log: &str,
        rights: Rights,
        credential: Option<Vec<u8>>,
    ) -> Result<Result<Leased, [u8; 32]>, ClientError> {
        let (id, site) = (self.id(), self.name.clone());
        match self.ask(id, &Said::Lease { id, site, log: log.to_owned(), rights, credential }).await? {
            Said::Handle { handle, rights: given, size, until_s, head, lsn, .. } if given == rights => {
                let (log, lsn) = (log.to_owned(), lsn.unwrap_or(0));
                Ok(Ok(Leased::Here(Lease { handle, log, rights, size, until_s, head, lsn })))
            }
            Said::NeedProof { nonce, .. } => Ok(Err(nonce)),
            Said::Redirect { to, .. } => Ok(Ok(Leased::Elsewhere(to))),
            Said::Err { code, .. } => Err(match code.as_str() {
                "not_found" | "changed" | "failed" => self.not_served(log, &code),
                "busy" => ClientError::Network(format!("{log}: another process of the host writes to it (busy)")),
                code => refused(&format!("{log}: the host does not lease it"), code),
            }),
            _ => Err(self.nonsense()),
        }
    }

    /// Returns what this device holds that would do.
    async fn held(&self, log: &str, rights: Rights) -> Result<Vec<Shown>, ClientError> {
        // A guest shows nothing of whose device this is.
        if lobby::guest::is_guest(&self.who.key.public(), &self.who.did) {
            return Ok(Vec::new());
        }
        let session = self.prover.session();
        let (host, now_s) = (self.host.did, clock::now().as_s());
        let covers = |scope: &Scope| covers(scope, &host, log, rights);
        let tokens = session.held_tokens()?.into_iter().filter(|held| held.audience == host && now_s < held.pair.exp_s);
        let does = |text: &str| Token::read_unverified(text).is_ok_and(|token| token.scope.iter().any(covers));
        let mut shown: Vec<Shown> =
            tokens.map(|held| held.pair.token).filter(|text| does(text)).map(Shown::Token).collect();
        if let Some(keys) = session.log().device()? {
            // A server that keeps no grants is no reason not to go on.
            let kept = session.grants(Signer { did: self.who.did, keys: &keys }).await.unwrap_or_default();
            for kept in kept.into_iter().filter(|kept| !kept.revoked) {
                let is_ours = |last: &identity::grant::Grant| last.subject == self.who.did && covers(&last.scope());
                if kept.chain.last().is_some_and(|last| is_ours(last.grant())) {
                    shown.push(Shown::Grants(kept.chain.iter().map(|grant| grant.as_bytes().to_vec()).collect()));
                }
            }
        }
        shown.truncate(SHOWN_MAX);
        Ok(shown)
    }
}

/// Returns whether a scope allows something at a log of this host: the log's place in the resource is its path.
fn covers(scope: &Scope, host: &Did, log: &str, rights: Rights) -> bool {
    let rest = log.strip_prefix(scope.log.as_str());
    let below = rest.is_some_and(|rest| scope.log.as_str().is_empty() || rest.is_empty() || rest.starts_with('/'));
    below && scope.site == *host && scope.rights.include(rights)
}

/// The host took a lease back, and does not give another.
pub(super) fn lease_ended(log: &str, code: &str) -> ClientError {
    refused(&format!("{log}: the host ended the lease"), code)
}

pub(super) fn refused(what: &str, code: &str) -> ClientError {
    ClientError::Refused(Box::new(Problem::new(403, code, format!("{what} ({code})"))))
}
