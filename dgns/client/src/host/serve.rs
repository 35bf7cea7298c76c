//! A connection from its first packet to its end: hellos, requests in order, and the end that the log or the rules decide.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use identity::cert::Kid;
use identity::did::Did;
use identity::key::kid_of;
use identity::state::Subject;
use lobby::Sess;
use lobby::card::Side;
use lobby::limits::{IDS_MAX, PIECE_BYTES_MAX, REQUESTS_MAX};
use lobby::share::{Contents, Listed, Said, SaidError};
use peer::{Channel, Link, LinkError};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::rules::{Judged, Rights};
use super::served::{NotServed, OpenFiles};
use super::{Host, Told};
use crate::peering::{Conversation, meet, until_gone};

/// Bytes of a list in one message.
const LIST_BYTES: usize = 12_000;

/// Tails of one connection.
const TAILS_MAX: usize = 8;

/// Between two looks at a file that is tailed.
const TAIL_LOOK: Duration = Duration::from_millis(200);

/// Between two questions to a hook about one connection.
const HOOK_PAUSE: Duration = Duration::from_millis(500);

/// How long the last word may take.
const LAST_WORD: Duration = Duration::from_millis(300);

/// A connection that is served.
struct Serving {
    host: Arc<Host>,
    link: Arc<Link>,
    rights: Rights,
    /// What was listed when a list began.
    listed: Vec<Listed>,
    files: OpenFiles,
}

impl Host {
    /// Serves one conversation to its end.
    pub(super) async fn converse(
        self: Arc<Self>,
        link: Arc<Link>,
        talk: Conversation,
        (rights, until): (Rights, Option<Instant>),
        mut end: watch::Receiver<Option<&'static str>>,
    ) {
        let (sess, did, device) = (talk.sess, talk.offer.card().from_did, talk.offer.card().from);
        let met = tokio::select! {
            met = meet(&link, Side::Host, &talk, &self.prover, &self.who) => met,
            code = ended(&mut end) => Err(crate::peering::said_bye(code)),
        };
        let why = match met {
            Err(error) => {
                let code = error.code().to_owned();
                if code == "bad_peer_hello" || code == "fork" || code == "inconsistent" || code == "wrong_certificate" {
                    self.say(Told::Fault(error)).await;
                }
                code
            }
            Ok(()) => {
                self.say(Told::Opened(sess, did)).await;
                let serving = Serving {
                    host: self.clone(),
                    link: link.clone(),
                    rights: rights.clone(),
                    listed: Vec::new(),
                    files: OpenFiles::default(),
                };
                let kid = kid_of(&device);
                let stays = |proven: Option<&crate::prover::Proven>| {
                    proven.is_some_and(|proven| {
                        let judged = self.rules().judge(proven, &kid, &self.who.did);
                        proven.has(&device) && judged != Judged::Denied
                    })
                };
                let code = tokio::select! {
                    code = serving.run(&talk) => code,
                    code = ended(&mut end) => code,
                    gone = until_gone(&self.prover, &did, stays) => gone.code(),
                    code = self.until_denied(&sess, &did, &kid, (rights, until)) => code,
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
        self.say(Told::Closed(sess, did, why)).await;
    }
}

impl Host {
    /// Waits until a hook that let somebody in no longer does, or gives other rights: it is asked again whenever its word ends.
    async fn until_denied(
        &self,
        sess: &Sess,
        did: &Did,
        device: &Kid,
        (rights, mut until): (Rights, Option<Instant>),
    ) -> &'static str {
        while let Some(over) = until {
            sleep_until(over.max(Instant::now() + HOOK_PAUSE)).await;
            let Ok(Some(proven)) = self.prover.look_up(&Subject::Did(*did)).await else { continue };
            match self.judge(&proven, device, sess).await {
                None => return "denied",
                Some((now, _)) if now != rights => return "rights_changed",
                Some((_, next)) => until = next,
            }
        }
        std::future::pending().await
    }
}

/// Waits until somebody ends the connection.
async fn ended(end: &mut watch::Receiver<Option<&'static str>>) -> &'static str {
    let code = end.wait_for(Option::is_some).await.ok().and_then(|code| *code);
    code.unwrap_or("closed")
}

impl Serving {
    /// Reads requests and answers them in order; returns why that ended.
    async fn run(mut self, talk: &Conversation) -> &'static str {
        let link = self.link.clone();
        let (asked, mut asking) = mpsc::channel(REQUESTS_MAX);
        let answering = async {
            let mut tails = Tails::default();
            while let Some(said) = asking.recv().await {
                if let Err(error) = self.answer(said, talk, &mut tails).await {
                    return error.code();
                }
            }
            "closed"
        };
        let reading = async {
            loop {
                let Some((_, message)) = link.receive().await else { return "closed" };
                match Said::decode(&message) {
                    // A hello said again, on its way when ours arrived.
                    Ok(Said::Hello { .. }) => {}
                    Ok(Said::Bye { .. }) => return "closed",
                    Ok(said) => {
                        if asked.try_send(said).is_err() {
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

    async fn answer(&mut self, said: Said, talk: &Conversation, tails: &mut Tails) -> Result<(), LinkError> {
        let (id, done) = match said {
            Said::List { id, after } => (id, self.list(id, &after).await),
            Said::Open { id, path } => {
                let opened = self.open(id, &path).await;
                if matches!(opened, Ok(Ok(()))) {
                    self.host.say(Told::Gave(talk.sess, path)).await;
                }
                (id, opened)
            }
            Said::Ids { id, root, from } => (id, self.ids(id, &root, from).await),
            Said::Chunk { id, root, index } => (id, self.chunk(id, &root, index).await),
            Said::Tail { id, path, from } => (id, self.tail(id, path, from, tails)),
            Said::Stop { id } => {
                tails.stop(id);
                return Ok(());
            }
            // Whatever only a host says.
            _ => return Err(LinkError::Closed),
        };
        match done {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not)) => self.say(&Said::Err { id, code: not.code().to_owned() }).await,
            Err(error) => Err(error),
        }
    }

    async fn list(&mut self, id: u64, after: &str) -> Result<Result<(), NotServed>, LinkError> {
        if after.is_empty() {
            let host = self.host.clone();
            let listed = tokio::task::spawn_blocking(move || host.served.list()).await.unwrap_or_default();
            self.listed = listed.into_iter().filter(|file| self.rights.cover(&file.path)).collect();
        }
        let rest = &self.listed[self.listed.partition_point(|file| file.path.as_str() <= after)..];
        let mut bytes = 0;
        let fits = |file: &&Listed| {
            bytes += file.path.len() + 24;
            bytes <= LIST_BYTES
        };
        let files: Vec<Listed> = rest.iter().take_while(fits).cloned().collect();
        let more = files.len() < rest.len();
        self.say(&Said::Listing { id, files, more }).await.map(Ok)
    }

    async fn open(&mut self, id: u64, path: &str) -> Result<Result<(), NotServed>, LinkError> {
        if !self.rights.cover(path) {
            return Ok(Err(NotServed::NotFound));
        }
        let (host, path) = (self.host.clone(), path.to_owned());
        let opened = blocking(move || host.served.contents(&path)).await;
        let opened = match opened {
            Ok(opened) => opened,
            Err(not) => return Ok(Err(not)),
        };
        let said = Said::Opened { id, root: opened.root, size: opened.contents.size(), modified_s: opened.modified_s };
        self.files.keep(opened);
        self.say(&said).await.map(Ok)
    }

    async fn ids(&self, id: u64, root: &[u8; 32], from: u64) -> Result<Result<(), NotServed>, LinkError> {
        let Some(opened) = self.files.of(root) else { return Ok(Err(NotServed::NotFound)) };
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let Some(rest) = opened.contents.ids().get(from..) else { return Ok(Err(NotServed::OutOfRange)) };
        let ids = rest[..rest.len().min(IDS_MAX)].to_vec();
        self.say(&Said::IdsAre { id, ids }).await.map(Ok)
    }

    async fn chunk(&self, id: u64, root: &[u8; 32], index: u64) -> Result<Result<(), NotServed>, LinkError> {
        let Some(opened) = self.files.of(root) else { return Ok(Err(NotServed::NotFound)) };
        if index >= Contents::chunks_of(opened.contents.size()) {
            return Ok(Err(NotServed::OutOfRange));
        }
        let host = self.host.clone();
        match blocking(move || host.served.chunk(&opened, index)).await {
            Ok(chunk) => pieces(&self.link, id, 0, &chunk, true).await.map(Ok),
            Err(not) => Ok(Err(not)),
        }
    }

    fn tail(&self, id: u64, path: String, from: u64, tails: &mut Tails) -> Result<Result<(), NotServed>, LinkError> {
        if !self.rights.cover(&path) {
            return Ok(Err(NotServed::NotFound));
        }
        let (host, link) = (self.host.clone(), self.link.clone());
        tails.start(id, async move {
            if let Err(not) = tail(&host, &link, id, &path, from).await {
                let said = Said::Err { id, code: not.code().to_owned() };
                let _ = link.send(Channel::Control, &said.encode()).await;
            }
        });
        Ok(Ok(()))
    }

    async fn say(&self, said: &Said) -> Result<(), LinkError> {
        self.link.send(Channel::Control, &said.encode()).await
    }
}

/// The files that a connection tails.
#[derive(Default)]
struct Tails {
    tasks: JoinSet<()>,
    handles: HashMap<u64, AbortHandle>,
}

impl Tails {
    /// Begins one; of more than eight the one with the smallest number ends.
    fn start(&mut self, id: u64, tail: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.handles.retain(|_, handle| !handle.is_finished());
        if self.handles.len() >= TAILS_MAX
            && let Some(oldest) = self.handles.keys().min().copied()
        {
            self.stop(oldest);
        }
        self.stop(id);
        let handle = self.tasks.spawn(tail);
        self.handles.insert(id, handle);
    }

    fn stop(&mut self, id: u64) {
        if let Some(handle) = self.handles.remove(&id) {
            handle.abort();
        }
    }
}

/// Sends what a file holds from a place on, and goes on as it grows.
async fn tail(host: &Arc<Host>, link: &Link, id: u64, path: &str, from: u64) -> Result<(), NotServed> {
    let mut offset = from;
    loop {
        let (reader, name) = (host.clone(), path.to_owned());
        let bytes = blocking(move || reader.served.read(&name, offset, 4 * PIECE_BYTES_MAX)).await?;
        if bytes.is_empty() {
            sleep(TAIL_LOOK).await;
            continue;
        }
        if pieces(link, id, offset, &bytes, false).await.is_err() {
            return Ok(());
        }
        offset += bytes.len() as u64;
    }
}

/// Sends bytes in bulk, the first at `offset`; `ends` marks the last piece.
async fn pieces(link: &Link, id: u64, offset: u64, bytes: &[u8], ends: bool) -> Result<(), LinkError> {
    let count = bytes.len().div_ceil(PIECE_BYTES_MAX);
    for (number, piece) in bytes.chunks(PIECE_BYTES_MAX).enumerate() {
        let offset = offset + (number * PIECE_BYTES_MAX) as u64;
        let last = ends && number + 1 == count;
        let said = Said::Piece { id, offset, last, bytes: Bytes::copy_from_slice(piece) };
        link.send(Channel::Bulk, &said.encode()).await?;
    }
    Ok(())
}

/// Asks the disk where nobody else waits.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NotServed> + Send + 'static,
) -> Result<T, NotServed> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(NotServed::Failed))
}
