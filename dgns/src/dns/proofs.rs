//! Proofs of the log as answers of DNS: pieces of a Resolution, each a TXT record below `_proof.<zone>` (PROTOCOL 13.2).
//!
//! A piece takes the database now and then, so no worker of datagrams makes one: it hands the query to [`Proofs::run`], and goes on. What
//! was made is kept while it holds: a piece that names its head for good, one of now as long as that head is the public one.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use identity::hash::Hash;
use identity::state::Subject;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::{Semaphore, mpsc, watch};
use translog::pieces::{Piece, Question};

use super::answer::{self, Outcome, Transport};
use super::limits::{PROOF_CACHE_BYTES, PROOF_QUERIES_MAX, PROOF_TASKS_MAX};
use super::metrics::Metrics;
use super::queries;
use super::settings::Manner;
use super::zone::Zone;
use crate::core::Core;
use crate::log::lookup::{self, LookupError};
use crate::shutdown;

/// How long a resolver may keep a piece of now, and one that names its head, seconds.
const NOW_TTL_S: u32 = 1;
const FIXED_TTL_S: u32 = 3_600;

/// How often the checkpoint may change.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// Makes pieces.
pub struct Proofs {
    core: Arc<Core>,
    made: Cache<Question, Arc<Made>, Bytes>,
}

/// A piece that was made.
pub(crate) struct Made {
    /// The data of its TXT record.
    pub(crate) rdata: Vec<u8>,
    pub(crate) ttl_s: u32,
    /// The size of the head it is of, if another one makes it old.
    while_size: Option<u64>,
}

/// A query for a piece that came as a datagram.
pub(crate) struct Asked {
    pub(crate) message: Vec<u8>,
    pub(crate) client: SocketAddr,
    pub(crate) socket: Arc<UdpSocket>,
}

/// The way to whoever makes pieces.
pub(crate) type Queue = mpsc::Sender<Asked>;

#[derive(Clone)]
struct Bytes;

impl Weighter<Question, Arc<Made>> for Bytes {
    fn weight(&self, _: &Question, made: &Arc<Made>) -> u64 {
        made.rdata.len() as u64 + 200 // with the question and the places of both
    }
}

impl Proofs {
    /// Returns what makes pieces of this log.
    pub fn of(core: Arc<Core>) -> Self {
        Self { core, made: Cache::with_weighter(65_536, PROOF_CACHE_BYTES, Bytes) }
    }

    /// Returns the zone of the log's names.
    pub(crate) fn zone(&self) -> &identity::name::Zone {
        &self.core.zone
    }

    /// Returns the piece a text below `_proof.<zone>` asks for; `None` if there is none.
    pub(crate) async fn piece(&self, question: &Question) -> Result<Option<Arc<Made>>, LookupError> {
        let public = lookup::public_head(&self.core)?;
        let known = self.made.get(question);
        if let Some(known) = known.filter(|made| made.while_size.is_none_or(|size| size == public.size())) {
            return Ok(Some(known));
        }
        match question {
            Question::Name(name) => {
                let name = format!("{name}.{}", self.core.zone.as_str());
                self.resolve(&Subject::Name(name), question).await
            }
            Question::Did(did, _) | Question::State(did, _) => self.resolve(&Subject::Did(*did), question).await,
            Question::Head(size) if *size == public.size() => {
                Ok(Some(self.keep(question, Piece::of_head(&public.head))))
            }
            Question::Head(_) => Ok(None),
            Question::Consistency(from, to) => {
                if *from == 0 || from >= to || *to > public.size() {
                    return Ok(None);
                }
                let path = lookup::consistency(&self.core, *from, *to).await?;
                Ok(Some(self.keep(question, Piece { size: *to, body: path.as_flattened().to_vec() })))
            }
            Question::Certificate(sid, index) => self.certificate(question, sid, *index, public.size()).await,
        }
    }

    /// Proves a subject, keeps every piece of that, and returns the one asked for.
    async fn resolve(&self, subject: &Subject, question: &Question) -> Result<Option<Arc<Made>>, LookupError> {
        let apart = lookup::resolve_apart(&self.core, subject).await?;
        let size = apart.head.size();
        let first = self.keep_now(question, subject, Piece { size, body: apart.first });
        self.keep(&Question::Head(size), Piece::of_head(&apart.head.head));
        let Some((did, leaf, state)) = apart.did else { return Ok(first) };
        let leaf = self.keep(&Question::Did(did, Some(size)), Piece { size, body: leaf });
        let state = self.keep(&Question::State(did, Some(size)), Piece { size, body: state });
        Ok(match question {
            // Of another size than the one asked for: nobody keeps it until that size is reached.
            Question::Did(_, Some(asked)) if *asked != size => Some(of_now(&leaf)),
            Question::State(_, Some(asked)) if *asked != size => Some(of_now(&state)),
            Question::Did(_, Some(_)) => Some(leaf),
            Question::State(..) => Some(state),
            _ => first,
        })
    }

    async fn certificate(
        &self,
        question: &Question,
        sid: &Hash,
        index: u64,
        size: u64,
    ) -> Result<Option<Arc<Made>>, LookupError> {
        if index >= size {
            return Ok(None);
        }
        let Ok(certificate) = lookup::certificate(&self.core, index).await else { return Ok(None) };
        let is_it = certificate.sid() == *sid;
        Ok(is_it.then(|| self.keep(question, Piece { size: 0, body: certificate.payload_bytes().to_vec() })))
    }

    /// Keeps a piece that names its head.
    fn keep(&self, question: &Question, piece: Piece) -> Arc<Made> {
        self.put(question, piece, None)
    }

    /// Keeps a piece of now, if that is what is asked for.
    fn keep_now(&self, question: &Question, subject: &Subject, piece: Piece) -> Option<Arc<Made>> {
        let size = Some(piece.size);
        match (question, subject) {
            (Question::Name(_), _) | (Question::Did(_, None), _) => Some(self.put(question, piece, size)),
            (Question::Did(did, Some(_)), _) => Some(self.put(&Question::Did(*did, None), piece, size)),
            _ => None,
        }
    }

    fn put(&self, question: &Question, piece: Piece, while_size: Option<u64>) -> Arc<Made> {
        let ttl_s = if while_size.is_some() { NOW_TTL_S } else { FIXED_TTL_S };
        let made = Arc::new(Made { rdata: strings(&piece.encode()), ttl_s, while_size });
        self.made.insert(question.clone(), made.clone());
        made
    }

    /// Answers the datagrams that were handed over, until nobody hands any over any more.
    pub(crate) async fn run(
        self: Arc<Self>,
        mut queue: mpsc::Receiver<Asked>,
        zone: Arc<Zone>,
        metrics: Arc<Metrics>,
        manner: Manner,
    ) {
        let places = Arc::new(Semaphore::new(PROOF_TASKS_MAX));
        while let Some(asked) = queue.recv().await {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let (proofs, zone, metrics, mut manner) = (self.clone(), zone.clone(), metrics.clone(), manner.clone());
            tokio::spawn(async move {
                let now_s = manner.ready();
                let asker = manner.asker(Transport::Udp, asked.client.ip(), now_s);
                let mut out = Vec::new();
                let outcome = answer::prove(&zone, &proofs, &asked.message, &asker, &mut out).await;
                metrics.count(Transport::Udp, outcome);
                queries::note(Transport::Udp, asked.client.ip(), &asked.message, outcome);
                if matches!(outcome, Outcome::Reply { .. }) && asked.socket.send_to(&out, asked.client).is_err() {
                    metrics.count_drop(answer::DropReason::Send);
                }
                drop(place);
            });
        }
        // What was handed over is answered before the sockets go.
        let _ = places.acquire_many(PROOF_TASKS_MAX as u32).await;
    }
}

impl Proofs {
    /// Keeps the newest head that everyone is shown at `_checkpoint`, with at most one change a second, until `stop`.
    pub(crate) async fn show_checkpoint(self: Arc<Self>, zone: Arc<Zone>, mut stop: watch::Receiver<bool>) {
        let mut shown = String::new();
        let mut seconds = tokio::time::interval(CHECKPOINT_EVERY);
        loop {
            tokio::select! {
                () = shutdown::requested(&mut stop) => return,
                _ = seconds.tick() => {}
            }
            if let Some(head) = self.core.live.public_head().filter(|head| head.note != shown) {
                zone.set_checkpoint(&head.note);
                // Whoever has a proof under it from another server may ask this one for it.
                self.keep(&Question::Head(head.size()), Piece::of_head(&head.head));
                shown.clone_from(&head.note);
            }
        }
    }
}

/// Returns the way to whoever makes pieces, and its other end.
pub(crate) fn queue() -> (Queue, mpsc::Receiver<Asked>) {
    mpsc::channel(PROOF_QUERIES_MAX)
}

/// Returns a piece as it is now.
fn of_now(made: &Made) -> Arc<Made> {
    Arc::new(Made { rdata: made.rdata.clone(), ttl_s: NOW_TTL_S, while_size: None })
}

/// Returns bytes as the data of a TXT record: strings of at most 255 bytes.
pub(crate) fn strings(bytes: &[u8]) -> Vec<u8> {
    let mut rdata = Vec::with_capacity(bytes.len() + bytes.len() / 255 + 1);
    for string in bytes.chunks(255) {
        rdata.push(string.len() as u8);
        rdata.extend_from_slice(string);
    }
    rdata
}
