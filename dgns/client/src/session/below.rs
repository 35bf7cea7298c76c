//! Names below a delegated one: from the log that proves the delegation to the log it names (PROTOCOL 11.6).

use identity::cert::Delegate;
use identity::name::{Name, Zone};
use identity::state::Subject;
use translog::note::{KeyKind, VerifierKey};
use translog::policy::Policy;
use translog::resolve::{Resolved, Status};

use super::Session;
use crate::dns::Resolver;
use crate::error::ClientError;
use crate::home::{Home, Pinned};
use crate::net::{Asker, Net};

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
    /// Looks a subject up, over HTTP or by `resolver` alone; where the log says that another server answers for a name above, goes on there.
    ///
    /// Errors: [`ClientError::Unable`] where a delegation names no log, or none that can be asked; [`ClientError::Proof`] where the log it
    /// names is known by other keys, and as in [`Session::resolve`].
    pub async fn resolve_across(
        self,
        home: &Home,
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
            session = session.below(home, &delegate)?;
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
            let is_delegated = above.name().is_some_and(|state| state.delegate.is_some());
            return match above.delegate() {
                None if is_delegated => Err(ClientError::Unable("the delegation itself was not sent along".to_owned())),
                found => Ok(found.cloned()),
            };
        }
        Ok(None)
    }

    /// Returns the session with the log that a proved delegation names. Which log the server at its URL was met with stays as it was.
    fn below(&self, home: &Home, delegate: &Delegate) -> Result<Self, ClientError> {
        let unable = |why: String| ClientError::Unable(format!("{} is delegated {why}", delegate.name));
        let log =
            delegate.log.as_ref().ok_or_else(|| unable("to servers without a log: nothing below is proved".into()))?;
        let zone = Zone::parse(&delegate.name).map_err(|_| unable("and too long for a zone".into()))?;
        let url = log.url.as_deref().ok_or_else(|| unable("without saying where its log is read".into()))?;
        if !Asker::may_ask(url) {
            return Err(unable(format!("to a log at {url}, which is neither https nor this machine")));
        }
        let wrong = |_| unable("under a key or policy that nobody can use".into());
        let origin = zone.origin();
        let key = VerifierKey::new(origin.as_str(), KeyKind::Log, log.key).map_err(|_| wrong(()))?;
        let policy = match &log.policy {
            Some(text) => Policy::parse(text.as_bytes()).map_err(|_| wrong(()))?,
            None => Policy::none(),
        };
        let offered = Pinned::by_hand(vec![key], policy);
        offered.trust(&origin).map_err(|_| wrong(()))?;
        let log = home.pin_log(&delegate.name, &origin, &offered)?;
        Self::with(Net::new(url)?, log, None, false)
    }
}
