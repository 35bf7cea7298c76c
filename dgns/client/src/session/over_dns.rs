//! Lookups by DNS alone, through any resolver: the pieces of the proof are asked for, joined, and judged as an answer by HTTP is
//! (PROTOCOL 13.2).

use std::time::Duration;

use identity::name::Origin;
use identity::state::Subject;
use translog::pieces::{Needed, Piece, PieceError, Pieces, Question};
use translog::policy::Policy;
use translog::resolve::{self, Resolved, VerifyError};

use super::Session;
use crate::clock;
use crate::dns::Resolver;
use crate::error::ClientError;
use crate::home::{Home, OpenMemory, Pinned};
use crate::net::Net;

/// The label below the zone under which pieces are.
const PROOF: &str = "_proof";

/// How often pieces are asked for that are of different heads, or older than what is remembered: a resolver may keep one for a second.
const TRIES_MAX: usize = 5;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(400);

impl Session {
    /// Returns the session with the log that `text`, a name or DID, is of, without asking anybody: the log must have been met, or
    /// `policy` have its key. `url` is the server whose log a name without a zone is of.
    pub fn open_unasked(home: &Home, url: &str, policy: Option<&Policy>, text: &str) -> Result<Self, ClientError> {
        let net = Net::new(url)?;
        let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let is_of = |origin: &Origin| text.ends_with(&format!(".{}", origin.zone().as_str()));
        let known = home.logs()?.into_iter().map(|(log, _)| log).find(|log| is_of(log.origin()));
        let known = match known {
            None => home.log_of(net.base())?,
            known => known,
        };
        let named = policy.and_then(|policy| {
            let mut origins = policy.logs().iter().filter_map(|log| Origin::parse(log.key.name()).ok());
            let only = policy.logs().len() == 1;
            origins.find(|origin| is_of(origin) || only)
        });
        let (log, first_use) = match (known, named, policy) {
            (Some(log), ..) => (log, false),
            (None, Some(origin), Some(policy)) => {
                let offered = Pinned::by_hand(policy.log_keys(origin.as_str()), policy.clone());
                (home.pin(&format!("dns:{}", origin.zone().as_str()), &origin, &offered)?, true)
            }
            (None, ..) => {
                let why = format!(
                    "the log of {text} was never met here: give its key with --policy FILE, or meet its server"
                );
                return Err(ClientError::Unable(format!("{why} once: dgns trust add URL")));
            }
        };
        Self::with(net, log, policy, first_use)
    }

    /// Looks a subject up by DNS and verifies the answer as any other. Nobody is asked but `resolver`.
    pub async fn resolve_over_dns(&self, resolver: &Resolver, subject: &Subject) -> Result<Resolved, ClientError> {
        for left in (0..TRIES_MAX).rev() {
            // Others that use this home may move on what is remembered while pieces are on their way.
            let mut memory = self.log().memory_in_turn().await?;
            match self.joined(resolver, subject, &memory, left == 0).await? {
                None => drop(memory),
                Some(bytes) => {
                    let verified = resolve::verify(self.trust(), &mut memory.memory, subject, &bytes, clock::now());
                    let resolved =
                        verified.map_err(|error| self.fault(error, subject, &bytes, memory.memory.head()))?;
                    memory.keep()?;
                    self.hold_against_last(&resolved, &bytes)?;
                    return Ok(resolved);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        let why =
            format!("DNS at {}: the pieces of the proof are of different heads, at every try", resolver.address());
        Err(ClientError::Network(why))
    }

    /// Asks for the pieces and joins them; `None` if it is worth another try.
    async fn joined(
        &self,
        resolver: &Resolver,
        subject: &Subject,
        memory: &OpenMemory,
        is_last: bool,
    ) -> Result<Option<Vec<u8>>, ClientError> {
        let asked = match subject {
            Subject::Name(name) => {
                let zone = format!(".{}", self.zone().as_str());
                Question::Name(name.strip_suffix(&zone).unwrap_or(name).to_owned())
            }
            Subject::Did(did) => Question::Did(*did, None),
            Subject::Alias(_) | Subject::LogConf | Subject::Anchors => {
                return Err(ClientError::Unable("DNS proves names and DIDs".to_owned()));
            }
        };
        let first = self.text(resolver, &asked).await?;
        let malformed = |bytes: &[u8]| self.fault(VerifyError::Malformed, subject, bytes, memory.memory.head());
        let piece = |bytes: &Vec<u8>| Piece::decode(bytes).map_err(|_| malformed(bytes));
        let answer = piece(&first)?;
        let known = memory.memory.size();
        if known.is_some_and(|known| answer.size < known) && !is_last {
            return Ok(None);
        }
        let Needed { did, records } = answer.leads_to().map_err(|_| malformed(&answer.body))?;
        let size = answer.size;
        let leaf = did.filter(|_| matches!(subject, Subject::Name(_))).map(|did| Question::Did(did, Some(size)));
        let state = did.map(|did| Question::State(did, Some(size)));
        let head = Some(Question::Head(size));
        let path = known.filter(|known| (1..size).contains(known)).map(|known| Question::Consistency(known, size));
        let records = records.map(|(index, sid)| Question::Certificate(sid, index));
        let (leaf, state, head, path, records) = tokio::join!(
            self.text_of(resolver, leaf),
            self.text_of(resolver, state),
            self.text_of(resolver, head),
            self.text_of(resolver, path),
            self.text_of(resolver, records),
        );
        // Of several servers another one may have been asked than the first time, which has not met that head.
        let is_gone = |asked: &Result<_, ClientError>| matches!(asked, Err(ClientError::Network(_)));
        if !is_last && [&leaf, &state, &head, &path].into_iter().any(is_gone) {
            return Ok(None);
        }
        let maybe = |bytes: Option<Vec<u8>>| bytes.as_ref().map(piece).transpose();
        let pieces = Pieces {
            did: maybe(leaf?)?,
            state: maybe(state?)?,
            head: piece(&head?.unwrap_or_default())?,
            consistency: maybe(path?)?,
            records: maybe(records?)?,
            first: answer,
        };
        match pieces.join(subject) {
            Ok(resolution) => Ok(Some(resolution.encode())),
            Err(PieceError::Heads) => Ok(None),
            Err(PieceError::Malformed) => Err(malformed(&pieces.first.body)),
            Err(PieceError::Maps) => {
                Err(self.fault(VerifyError::MapProof, subject, &pieces.first.body, memory.memory.head()))
            }
        }
    }

    async fn text_of(&self, resolver: &Resolver, question: Option<Question>) -> Result<Option<Vec<u8>>, ClientError> {
        match question {
            Some(question) => self.text(resolver, &question).await.map(Some),
            None => Ok(None),
        }
    }

    async fn text(&self, resolver: &Resolver, question: &Question) -> Result<Vec<u8>, ClientError> {
        resolver.text(&format!("{question}.{PROOF}.{}", self.zone().as_str())).await
    }
}
