//! A connection from its first packet to its end: hellos, requests in order, and the end that the log or the rules decide.

mod ask;
mod attest;
mod files;
mod leases;
mod tails;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use identity::cert::Kid;
use identity::did::Did;
use identity::grant::SignedGrant;
use identity::key::kid_of;
use identity::state::Subject;
use identity::token::{Access, Scope};
use lobby::Sess;
use lobby::card::Side;
use lobby::guest;
use lobby::limits::REQUESTS_MAX;
use lobby::share::{Listed, Said, SaidError};
use peer::{Channel, Link, LinkError};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::rules::{Judged, Rights};
use super::served::{NotServed, OpenFiles};
use super::{Fate, Host, Told};
use crate::peering::{Conversation, meet, until_gone};
use ask::{Posted, Posting};
use leases::Leases;
use tails::Tails;

/// Between two questions to a hook about one connection.
const HOOK_PAUSE: Duration = Duration::from_millis(500);

/// How long the last word may take.
const LAST_WORD: Duration = Duration::from_millis(300);

/// A connection that is served.
struct Serving {
    host: Arc<Host>,
    link: Arc<Link>,
    sess: Sess,
    did: Did,
    device: Kid,
    key: identity::cert::KeyBytes,
    /// What the rules give, as they are now.
    rights: Rights,
    /// The log has no word of the client.
    guest: bool,
    /// The token that the hello showed, and what it gives besides.
    token: Option<String>,
    granted: Vec<Scope>,
    /// Grants that were attested in this connection, and certificates.
    attested: Vec<SignedGrant>,
    passed_on: usize,
    leases: Leases,
    tails: Tails,
    /// What was listed when a list began.
    listed: Vec<Listed>,
    files: OpenFiles,
    /// What of the database was handed on, as the host's owner was told.
    handed_on: BTreeSet<String>,
}

/// What becomes of a request: done, refused with a code, or the connection broke.
type Done = Result<Result<(), &'static str>, LinkError>;

impl Host {
    /// Serves one conversation to its end.
    pub(super) async fn converse(
        self: Arc<Self>,
        link: Arc<Link>,
        talk: Conversation,
        (rights, until): (Rights, Option<Instant>),
        mut fate: watch::Receiver<Fate>,
    ) {
        let (sess, did, device) = (talk.sess, talk.offer.card().from_did, talk.offer.card().from);
        let guest = guest::is_guest(&device, &did);
        let met = tokio::select! {
            met = meet(&link, Side::Host, &talk, &self.prover, &self.who, None) => met,
            code = ended(&mut fate) => Err(crate::peering::said_bye(code)),
        };
        let why = match met {
            Err(error) => {
                let code = error.code().to_owned();
                if code == "bad_peer_hello" || code == "fork" || code == "inconsistent" || code == "wrong_certificate" {
                    self.say(Told::Fault(error)).await;
                }
                code
            }
            Ok(token) => {
                let kid = kid_of(&device);
                let serving = Serving {
                    host: self.clone(),
                    link: link.clone(),
                    sess,
                    did,
                    device: kid,
                    key: device,
                    rights: rights.clone(),
                    guest,
                    // What a guest shows does not count (PROTOCOL 23.17).
                    token: token.filter(|_| !guest),
                    granted: Vec::new(),
                    attested: Vec::new(),
                    passed_on: 0,
                    leases: Leases::default(),
                    tails: Tails::default(),
                    listed: Vec::new(),
                    files: OpenFiles::default(),
                    handed_on: BTreeSet::new(),
                };
                let stays = |proven: Option<&crate::prover::Proven>| {
                    proven.is_some_and(|proven| match self.rules().judge(proven, &kid, &self.who.did) {
                        Judged::Denied => false,
                        Judged::LetIn(rights) => {
                            self.give(&sess, rights);
                            proven.has(&device)
                        }
                        Judged::Ask(_) => proven.has(&device),
                    })
                };
                let word = async {
                    match guest {
                        // The log has no word of a guest.
                        true => std::future::pending().await,
                        false => until_gone(&self.prover, &did, stays).await,
                    }
                };
                let code = tokio::select! {
                    code = serving.run(fate.clone()) => code,
                    code = ended(&mut fate) => code,
                    gone = word => gone.code(),
                    code = self.until_denied(&sess, &did, &kid, until) => code,
                };
                let bye = Said::Bye { code: code.to_owned() }.encode();
                let _ = tokio::time::timeout(LAST_WORD, link.send(Channel::Control, &bye)).await;
                // What was written last leaves before the connection does.
                sleep(LAST_WORD / 3).await;
                code.to_owned()
            }
        };
        link.close().await;
        self.forget(&sess);
        self.say(Told::Closed(sess, (!guest).then_some(did), why)).await;
    }

    /// Waits until a hook that let somebody in no longer does: it is asked again whenever its word ends, and gives what it says then.
    async fn until_denied(&self, sess: &Sess, did: &Did, device: &Kid, mut until: Option<Instant>) -> &'static str {
        while let Some(over) = until {
            sleep_until(over.max(Instant::now() + HOOK_PAUSE)).await;
            let Ok(Some(proven)) = self.prover.look_up(&Subject::Did(*did)).await else { continue };
            match self.judge(&proven, device, sess).await {
                None => return "denied",
                Some((now, next)) => {
                    self.give(sess, now);
                    until = next;
                }
            }
        }
        std::future::pending().await
    }
}

/// Waits until somebody ends the connection.
async fn ended(fate: &mut watch::Receiver<Fate>) -> &'static str {
    let code = fate.wait_for(|fate| fate.end.is_some()).await.ok().and_then(|fate| fate.end);
    code.unwrap_or("closed")
}

/// What a connection does next.
enum Next {
    /// Answers; with what was posted for it, if anything was.
    Said(Said, Option<Posted>),
    /// Looks whether what it gave still holds.
    Judge,
}

impl Serving {
    /// Takes the token of the hello, lets the client ask, reads requests and answers them in order; returns why that ended.
    async fn run(mut self, mut fate: watch::Receiver<Fate>) -> &'static str {
        if let Some(token) = &self.token {
            match self.host.token(token, &self.device, Access::Read).await {
                Ok(token) => self.granted = token.scope,
                Err(code) => return code,
            }
        }
        if self.say(&Said::Welcome).await.is_err() {
            return "closed";
        }
        let did = (!self.guest).then_some(self.did);
        self.host.say(Told::Opened(self.sess, did)).await;
        let link = self.link.clone();
        // Nobody else posts: a guest only reads (PROTOCOL 23.17).
        let may_post = self.host.database.is_some() && !self.guest;
        let (asked, mut asking) = mpsc::channel(REQUESTS_MAX);
        let answering = async {
            let mut again = self.host.again.subscribe();
            loop {
                let next = tokio::select! {
                    biased;
                    Ok(()) = fate.changed() => Next::Judge,
                    Ok(()) = again.changed() => Next::Judge,
                    () = sleep_until(self.leases.first_end()) => Next::Judge,
                    said = asking.recv() => match said {
                        Some((said, posted)) => Next::Said(said, posted),
                        None => return "closed",
                    },
                };
                let done = match next {
                    Next::Said(said, posted) => self.answer(said, posted).await,
                    Next::Judge => {
                        self.rights = fate.borrow_and_update().rights.clone();
                        self.judge_again().await
                    }
                };
                if let Err(error) = done {
                    return error.code();
                }
            }
        };
        let reading = async {
            let mut posting = Posting::new();
            loop {
                let Some((_, message)) = link.receive().await else { return "closed" };
                match Said::decode(&message) {
                    // A hello said again, on its way when ours arrived.
                    Ok(Said::Hello { .. }) => {}
                    Ok(Said::Bye { .. }) => return "closed",
                    Ok(Said::Piece { .. }) if !may_post => return "bad_frame",
                    Ok(Said::Piece { id, offset, bytes, .. }) => {
                        if let Err(code) = posting.takes(id, offset, &bytes) {
                            return code;
                        }
                    }
                    Ok(said) => {
                        let posted = match posting.of(&said) {
                            Ok(posted) => posted,
                            Err(code) => return code,
                        };
                        if asked.try_send((said, posted)).is_err() {
                            return "busy";
                        }
                    }
                    Err(SaidError::BadFrame) => return "bad_frame",
                    Err(SaidError::UnknownType) => return "unknown_type",
                }
            }
        };
        tokio::select! {
            code = reading => code,
            code = answering => code,
        }
    }

    async fn answer(&mut self, said: Said, posted: Option<Posted>) -> Result<(), LinkError> {
        let (id, done) = match said {
            Said::List { id, after } => (id, self.list(id, &after).await),
            Said::Open { id, path } => (id, self.open(id, &path).await),
            Said::Ids { id, root, from } => (id, self.ids(id, &root, from).await),
            Said::Chunk { id, root, index } => (id, self.chunk(id, &root, index).await),
            Said::Lease { id, site, log, rights, credential } => {
                (id, self.lease(id, &site, log, rights, credential.as_deref()).await)
            }
            Said::Read { id, handle, from } => (id, self.read(id, handle, from)),
            Said::Write { id, handle, lsn, entries, expect } => {
                (id, self.write(id, handle, lsn, entries, expect).await)
            }
            Said::Ask { id, target, .. } => return self.ask(id, &target, posted).await,
            Said::Attest { id, envelope } => (id, self.attest(id, &envelope).await),
            Said::Stop { id } => {
                self.tails.stop(id);
                return Ok(());
            }
            // Whatever only a host says.
            _ => return Err(LinkError::Closed),
        };
        match done {
            Ok(Ok(())) => Ok(()),
            Ok(Err(code)) => self.say(&Said::Err { id, code: code.to_owned() }).await,
            Err(error) => Err(error),
        }
    }

    async fn say(&self, said: &Said) -> Result<(), LinkError> {
        self.link.send(Channel::Control, &said.encode()).await
    }
}

/// Asks the disk where nobody else waits.
async fn blocking<T: Send + 'static, E: Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
    failed: E,
) -> Result<T, E> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(failed))
}
