//! Names below a delegated one: from the log that proves the delegation to the log it names (PROTOCOL 11.6).

use identity::cert::{Body, Delegate, Sid};
use identity::name::{Name, Zone};
use identity::state::Subject;
use translog::note::{KeyKind, VerifierKey};
use translog::policy::Policy;
use translog::resolve::{Resolved, Status, VerifyError};

use super::Session;
use crate::dns::Resolver;
use crate::error::ClientError;
use crate::evidence;
use crate::home::{Home, Pinned};
use crate::net::{self, Net};

/// How many delegations one lookup follows.
const HOPS_MAX: usize = 4;

/// What a lookup ended in.
#[derive(Debug)]
pub struct Crossed {
    /// With the log that has the last word.
    pub session: Session,
    /// What it proved.
    pub resolved: Resolved,
    /// The delegated names that led there, each proved in the log of the one before.
    pub over: Vec<String>,
}

impl Session {
    /// Looks a subject up, over HTTP or by `resolver` alone; where the log says that another server answers for a name above, goes on there. Over HTTP
    /// only if the owner of that name said so, by his chain from its genesis; over DNS that rests on the map. `own` is the policy that the reader gave.
    ///
    /// Errors: [`ClientError::Unable`] where a delegation names no log, or none that can be asked; [`ClientError::Proof`] where its owner did
    /// not say so (`chain`), where the log it names is known by other keys, and as in [`Session::resolve`].
    pub async fn resolve_across(
        self,
        home: &Home,
        own: Option<&Policy>,
        subject: &Subject,
        resolver: Option<&Resolver>,
    ) -> Result<Crossed, ClientError> {
        let (mut session, mut over) = (self, Vec::new());
        loop {
            let resolved = session.look_up(subject, resolver).await?;
            let Some(delegate) = session.delegation_above(&resolved, resolver).await? else {
                return Ok(Crossed { session, resolved, over });
            };
            if over.len() == HOPS_MAX {
                return Err(ClientError::Unable(format!("more than {HOPS_MAX} delegations lead to it")));
            }
            session = session.below(home, own, &delegate)?;
            over.push(delegate.name);
        }
    }

    async fn look_up(&self, subject: &Subject, resolver: Option<&Resolver>) -> Result<Resolved, ClientError> {
        match resolver {
            Some(resolver) => self.resolve_over_dns(resolver, subject).await,
            None => self.resolve(subject).await,
        }
    }

    /// Returns the delegation of the nearest name above that the log has, if what was asked is nobody's here. Every name above a live one is live, so
    /// a name that is somebody's here is answered here.
    async fn delegation_above(
        &self,
        resolved: &Resolved,
        resolver: Option<&Resolver>,
    ) -> Result<Option<Delegate>, ClientError> {
        let Subject::Name(text) = resolved.subject() else { return Ok(None) };
        let is_here = resolved.status() == Status::Present;
        let Some(name) = Name::parse(text, self.zone()).ok().filter(|_| !is_here) else { return Ok(None) };
        for above in name.ancestors(self.zone()) {
            let above = self.look_up(&Subject::Name(above.as_str().to_owned()), resolver).await?;
            if above.status() != Status::Present {
                continue;
            }
            let Some((_, sid)) = above.name().and_then(|state| state.delegate) else { return Ok(None) };
            let Some(delegate) = above.delegate() else {
                return Err(ClientError::Unable("the delegation itself was not sent along".to_owned()));
            };
            if resolver.is_none() {
                self.is_owners(&above, &delegate.name, sid).await?;
            }
            return Ok(Some(delegate.clone()));
        }
        Ok(None)
    }

    /// Checks that this is what the owner said last of who answers for the name: his chain is followed from its genesis.
    async fn is_owners(&self, above: &Resolved, name: &str, sid: Sid) -> Result<(), ClientError> {
        let owner = above.did().ok_or_else(|| ClientError::Absent(format!("the owner of {name}")))?;
        let look = self.history(&owner.did).await?;
        // What he said after the head that shows the delegation is no fault of that head.
        let mut steps = look.steps.iter().rev().filter(|step| step.index < above.head().size);
        let says_so = |body: &Body| matches!(body, Body::Delegate(delegate) if delegate.name == name);
        let last = steps.find(|step| says_so(&step.certificate.payload().body));
        if last.is_some_and(|step| step.certificate.sid() == sid) {
            return Ok(());
        }
        let (code, chain) = (VerifyError::Chain, Subject::Did(owner.did));
        let kept = evidence::of_answer(self.trust(), code, &chain, &look.bytes, None, None);
        let evidence = self.log().keep_all_evidence(&kept);
        let what = format!("{name} is delegated by the map alone: that is not what its owner's certificates say");
        Err(ClientError::Proof { code: code.code(), what, evidence })
    }

    /// Returns the base of a server that somebody else named by its URL, if it may be asked: scheme, host and port alone, by https; on this
    /// machine, and by http there, only if the server of this session is on it too.
    pub fn server_named(&self, url: &str) -> Option<String> {
        net::base_named(url, self.server())
    }

    /// Returns the session with the log that a proved delegation names, under the policy that the reader gave; else under what is kept of that log, if its
    /// server was met, or what the delegation says. Which log the server at its URL was met with stays as it was.
    fn below(&self, home: &Home, own: Option<&Policy>, delegate: &Delegate) -> Result<Self, ClientError> {
        let unable = |why: String| ClientError::Unable(format!("{} is delegated {why}", delegate.name));
        let log =
            delegate.log.as_ref().ok_or_else(|| unable("to servers without a log: nothing below is proved".into()))?;
        let zone = Zone::parse(&delegate.name).map_err(|_| unable("and too long for a zone".into()))?;
        let url = log.url.as_deref().ok_or_else(|| unable("without saying where its log is read".into()))?;
        let base = self.server_named(url).ok_or_else(|| unable(format!("to a log at {url:?}, which is not asked")))?;
        let wrong = |_| unable("under a key or policy that nobody can use".into());
        let origin = zone.origin();
        let key = VerifierKey::new(origin.as_str(), KeyKind::Log, log.key).map_err(|_| wrong(()))?;
        let own_keys = own.map_or(Vec::new(), |own| own.log_keys(origin.as_str()));
        if !own_keys.is_empty() && !own_keys.contains(&key) {
            let what = format!("{} is delegated to a log under another key than the policy has", delegate.name);
            return Err(ClientError::proof("log_key", what));
        }
        let policy = match &log.policy {
            Some(text) => Policy::parse(text.as_bytes()).map_err(|_| wrong(()))?,
            None => Policy::none(),
        };
        let offered = Pinned::at_first_use(vec![key], policy);
        offered.trust(&origin).map_err(|_| wrong(()))?;
        let log = home.pin_log(&delegate.name, &origin, &offered)?;
        let below = Self::with(Net::new(&base)?, log, None, false)?;
        match own {
            Some(own) => Ok(Self { trust: below.trust.with_policy(own.clone()), ..below }),
            None => Ok(below),
        }
    }
}
