//! What sessions of the lobby ask for that is kept elsewhere: what devices joined, and the session verbs over the server's own log
//! (PROTOCOL 23.14, 23.15). One task does them in order, so that what a device asks first is done first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use identity::cert::KeyBytes;
use identity::did::Did;
use identity::time::Timestamp;
use identity::token::Rights;
use lobby::bus::{BusMessage, Errand, Reach, Wanted};
use lobby::limits::{DATA_BYTES_MAX, LISTENED_MAX, MUTE_MS_MAX};
use lobby::message::{Form, Frame, Subscription, Value};
use lobby::news::{Change, News, Site, What};
use lobby::{ConnId, Grown, Input, Refusal};
use storage::StorageError;
use storage::people::{JoinChange, JoinRow, JoinWhat, Updated};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tracing::error;

use super::Node;
use super::bus::{Bus, Told};
use super::push::Pusher;
use crate::app::App;
use crate::auth::request::newest;
use crate::people::People;
use crate::shutdown;

/// Something to be done.
pub enum Asked {
    /// A session asks.
    Frame {
        /// Where.
        conn: ConnId,
        /// Who.
        device: KeyBytes,
        /// Its DID.
        did: Did,
        /// What.
        frame: Box<Frame>,
    },
    /// Another node asks; the answer goes there.
    Errand {
        /// What, and about whom.
        errand: Box<Errand>,
        /// Where the answer goes.
        reply: oneshot::Sender<Frame>,
    },
    /// A device came: what it listens to is wanted.
    Came(KeyBytes, Did),
    /// A log grew: whoever is not here is pushed to.
    Grown(Box<Grown>),
}

/// Does what is asked until `stop` turns true.
pub async fn run(
    app: Arc<App>,
    node: Arc<Node>,
    pusher: Option<Arc<Pusher>>,
    bus: Option<Arc<Bus>>,
    mut asked: mpsc::Receiver<Asked>,
    mut stop: watch::Receiver<bool>,
) {
    let desk = Arc::new(Desk {
        app,
        node,
        pusher,
        bus,
        errands: Arc::new(Semaphore::new(ERRANDS_MAX)),
        coming: Mutex::default(),
    });
    let mut feed = desk.app.tokens.as_ref().map(|tokens| tokens.news());
    loop {
        let next = tokio::select! {
            () = shutdown::requested(&mut stop) => return,
            () = changed(&mut feed) => {
                desk.end_tokens().await;
                continue;
            }
            next = asked.recv() => next,
        };
        match next {
            Some(Asked::Frame { conn, device, did, frame }) => desk.frame(conn, &device, &did, *frame).await,
            Some(Asked::Errand { errand, reply }) => {
                if let Some(answer) = desk.done_for_another(*errand).await {
                    // Whoever asked may be gone.
                    let _ = reply.send(answer);
                }
            }
            Some(Asked::Came(device, did)) => desk.came(&device, &did).await,
            Some(Asked::Grown(grown)) => desk.grown(*grown).await,
            None => return,
        }
    }
}

/// Waits for news of revoked tokens; for ever where none are minted.
async fn changed(feed: &mut Option<watch::Receiver<Option<u64>>>) {
    let changed = match feed {
        Some(feed) => feed.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        std::future::pending().await
    }
}

struct Desk {
    app: Arc<App>,
    node: Arc<Node>,
    pusher: Option<Arc<Pusher>>,
    bus: Option<Arc<Bus>>,
    /// Errands under way to the node that keeps what devices joined.
    errands: Arc<Semaphore>,
    /// The devices whose joins are being asked for, and whether once more.
    coming: Mutex<HashMap<KeyBytes, bool>>,
}

/// What becomes of a frame.
type Done = Result<Reply, Refusal>;

enum Reply {
    /// `ok`.
    Ok(Option<Value<'static>>),
    /// Another frame.
    Frame(Frame),
    /// A lease of so many entries.
    Leased(u64),
}

/// What becomes of a frame about what devices joined: the value of its `ok`.
type Kept = Result<Option<Value<'static>>, Refusal>;

impl Desk {
    async fn frame(self: &Arc<Self>, conn: ConnId, device: &KeyBytes, did: &Did, frame: Frame) {
        if is_of_people(&frame) {
            if self.people().is_err() && self.bus.is_some() {
                return self.send_errand(conn, *device, *did, frame);
            }
            let id = frame.id().unwrap_or(0);
            return self.node.put(match self.kept(device, did, frame).await {
                Ok(value) => Input::Reply { conn, frame: Box::new(Frame::Ok { id, value }) },
                Err(refusal) => Input::NotDone { conn, id, refusal },
            });
        }
        let (id, done) = match frame {
            Frame::Attest { id, envelope } => (id, self.attest(id, &envelope).await),
            Frame::Lease { id, site, log, rights } => (id, self.lease(&site, &log, rights)),
            Frame::Read { id, from, .. } => (id, self.read(id, from).await),
            _ => return,
        };
        self.node.put(match done {
            Ok(Reply::Ok(value)) => Input::Reply { conn, frame: Box::new(Frame::Ok { id, value }) },
            Ok(Reply::Frame(frame)) => Input::Reply { conn, frame: Box::new(frame) },
            Ok(Reply::Leased(size)) => Input::Leased { conn, id, size },
            Err(refusal) => Input::NotDone { conn, id, refusal },
        });
    }

    /// Does what another node asks of this one, which keeps what devices joined; `None` if it does not. What that node says of who asks is
    /// held against the log: no errand is done for a device that is not its DID's.
    async fn done_for_another(self: &Arc<Self>, errand: Errand) -> Option<Frame> {
        self.people().ok()?;
        let Errand { device, did, wanted } = errand;
        let (id, done) = match wanted {
            Wanted::Joined(after) => {
                let done = async {
                    self.certified(&device, &did).await?;
                    self.joined_after(&device, after).await
                };
                (0, done.await)
            }
            Wanted::Done(frame) => {
                let frame = Frame::decode(&frame, Form::Cbor).ok().filter(is_of_people)?;
                let id = frame.id().unwrap_or(0);
                let done = async {
                    self.certified(&device, &did).await?;
                    self.kept(&device, &did, frame).await
                };
                (id, done.await)
            }
        };
        Some(match done {
            Ok(value) => Frame::Ok { id, value },
            Err(refusal) => Frame::refused(Some(id), refusal),
        })
    }

    /// Refuses a device that the log does not give to the DID.
    async fn certified(&self, device: &KeyBytes, did: &Did) -> Result<(), Refusal> {
        let state = newest(&self.app.core, did).await.map_err(failed)?;
        let is = state.is_some_and(|state| super::has_device(&state, device));
        if is { Ok(()) } else { Err(Refusal::UnknownDevice) }
    }

    /// Does what a session asks about what devices joined.
    async fn kept(self: &Arc<Self>, device: &KeyBytes, did: &Did, frame: Frame) -> Kept {
        match frame {
            Frame::Update { version, changes, .. } => self.update(did, version, &changes).await,
            Frame::Joined { .. } => self.joined(did).await,
            Frame::Push { subscription, .. } => self.push(device, did, subscription).await,
            Frame::ReadTo { news, .. } => self.read_to(device, news).await,
            _ => Err(Refusal::Internal),
        }
    }

    /// Has another node do it: the one that keeps what devices joined.
    fn send_errand(self: &Arc<Self>, conn: ConnId, device: KeyBytes, did: Did, frame: Frame) {
        let (desk, id) = (self.clone(), frame.id().unwrap_or(0));
        let Ok(turn) = self.errands.clone().try_acquire_owned() else {
            return self.node.put(Input::NotDone { conn, id, refusal: Refusal::Busy });
        };
        tokio::spawn(async move {
            let changes = matches!(frame, Frame::Update { .. });
            let answer = desk.errand(device, did, &frame).await;
            let done = matches!(answer, Some(Frame::Ok { .. }));
            desk.node.put(match answer {
                Some(frame) => Input::Reply { conn, frame: Box::new(frame) },
                None => Input::NotDone { conn, id, refusal: Refusal::NotHere },
            });
            drop(turn);
            if changes && done {
                let state = newest(&desk.app.core, &did).await.ok().flatten();
                let devices = state.iter().flat_map(|state| super::standing(state).devices);
                for device in devices.filter(|device| desk.node.has_session(device, &did)) {
                    desk.came_from_afar(device, did);
                }
            }
        });
    }

    async fn errand(&self, device: KeyBytes, did: Did, frame: &Frame) -> Option<Frame> {
        let errand = Errand { device, did, wanted: Wanted::Done(frame.encode(Form::Cbor)) };
        self.bus.as_ref()?.ask(&errand).await
    }

    /// Asks the node that keeps it what a device listens to, until it says so. Whoever asks meanwhile has it asked once more: so what comes
    /// last was read last.
    fn came_from_afar(self: &Arc<Self>, device: KeyBytes, did: Did) {
        if self.bus.is_none() {
            return;
        }
        let mut coming = self.coming();
        if let Some(again) = coming.get_mut(&device) {
            *again = true;
            return;
        }
        let Ok(turn) = self.errands.clone().try_acquire_owned() else { return };
        coming.insert(device, false);
        drop(coming);
        let desk = self.clone();
        tokio::spawn(async move {
            let _turn: OwnedSemaphorePermit = turn;
            let mut tries = 0;
            while tries < CAME_TRIES {
                if let Some(joined) = desk.joined_afar(device, did).await {
                    desk.node.put(Input::Joined { device, did, joined });
                    if !desk.is_wanted_again(&device) {
                        return;
                    }
                    continue;
                }
                tries += 1;
                tokio::time::sleep(CAME_AGAIN).await;
            }
            desk.coming().remove(&device);
        });
    }

    /// Ends what is under way for a device, unless it is wanted once more.
    fn is_wanted_again(&self, device: &KeyBytes) -> bool {
        let mut coming = self.coming();
        let again = coming.insert(*device, false) == Some(true);
        if !again {
            coming.remove(device);
        }
        again
    }

    fn coming(&self) -> MutexGuard<'_, HashMap<KeyBytes, bool>> {
        self.coming.lock().expect("no holder of the lock panics: it guards a plain table")
    }

    /// Asks for all that a device joined, part by part; `None` if a part does not come.
    async fn joined_afar(&self, device: KeyBytes, did: Did) -> Option<Vec<lobby::Joined>> {
        let mut joined: Vec<lobby::Joined> = Vec::new();
        loop {
            let wanted = Wanted::Joined(joined.last().map(|last| last.site.clone()));
            let answer = self.bus.as_ref()?.ask(&Errand { device, did, wanted }).await;
            let Some(Frame::Ok { value: Some(value), .. }) = answer else { return None };
            let part = joined_part(&value)?;
            if part.is_empty() || joined.len() >= LISTENED_MAX {
                return Some(joined);
            }
            joined.extend(part);
        }
    }

    fn people(&self) -> Result<&People, Refusal> {
        self.app.people.as_deref().ok_or(Refusal::NotHere)
    }

    /// Changes what the DID's devices joined, and tells the lobby.
    async fn update(self: &Arc<Self>, did: &Did, version: u64, changes: &[Change]) -> Kept {
        let people = self.people()?;
        let state = newest(&self.app.core, did).await.map_err(failed)?.ok_or(Refusal::UnknownDevice)?;
        let now_ms = self.app.core.clock.now().as_ms();
        let mut rows = Vec::with_capacity(changes.len());
        for change in changes {
            if !super::has_device(&state, &change.device) && change.what != What::Leave {
                return Err(Refusal::UnknownDevice);
            }
            if !identity::name::is_well_formed(&change.site.name) {
                return Err(Refusal::BadFrame);
            }
            let what = match change.what {
                What::Join => JoinWhat::Join,
                What::Mute(ms) => JoinWhat::Mute(now_ms + ms.min(MUTE_MS_MAX)),
                What::Unmute => JoinWhat::Unmute,
                What::Leave => JoinWhat::Leave,
            };
            let (name, log) = (change.site.name.clone(), change.site.log);
            rows.push(JoinChange { device: change.device, name, log, what });
        }
        let updated = people.store.update_joins(did, version, &rows).await.map_err(failed)?;
        match updated {
            Updated::Version(version) => {
                for device in super::standing(&state).devices {
                    self.came(&device, did).await;
                }
                Ok(Some(Value::Uint(version)))
            }
            Updated::Other(_) => Err(Refusal::Version),
            Updated::TooMany => Err(Refusal::Quota),
        }
    }

    async fn joined(&self, did: &Did) -> Kept {
        let (version, rows) = self.people()?.store.joins_of_did(did).await.map_err(failed)?;
        let row = |row: &JoinRow| {
            let numbers = [row.muted_until_ms, row.sent_size, row.read_size].map(Value::Uint);
            let mut cells = vec![Value::Bytes(row.device.to_vec().into()), Value::Text(row.name.clone().into())];
            cells.push(Value::Bytes(row.log.to_vec().into()));
            cells.extend(numbers);
            Value::List(cells)
        };
        let key = self.pusher.as_ref().map_or(Vec::new(), |pusher| pusher.public().to_vec());
        // What does not fit into a frame is not needed to change the rest.
        let rows = rows.iter().take(JOINED_SHOWN_MAX).map(row).collect();
        Ok(Some(Value::List(vec![Value::Uint(version), Value::List(rows), Value::Bytes(key.into())])))
    }

    /// What a device joined behind a place in the order of names and logs, as much as an answer has room for; none at the end.
    async fn joined_after(&self, device: &KeyBytes, after: Option<Site>) -> Kept {
        let mut rows = self.people()?.store.joins_of_device(device).await.map_err(failed)?;
        let place = |row: &JoinRow| (row.name.clone(), row.log);
        rows.sort_by_key(place);
        let after = after.map(|site| (site.name, site.log));
        let behind = rows.into_iter().filter(|row| after.as_ref().is_none_or(|after| place(row) > *after));
        let row = |row: JoinRow| {
            let (name, log) = (Value::Text(row.name.into()), Value::Bytes(row.log.to_vec().into()));
            Value::List(vec![name, log, Value::Uint(row.muted_until_ms), Value::Uint(row.read_size)])
        };
        Ok(Some(Value::List(behind.take(JOINED_PART).map(row).collect())))
    }

    async fn push(&self, device: &KeyBytes, did: &Did, subscription: Option<Subscription>) -> Kept {
        let people = self.people()?;
        let pusher = self.pusher.as_ref().ok_or(Refusal::NotHere)?;
        let row = match subscription {
            None => None,
            Some(subscription) => Some(pusher.sealed(device, did, &subscription).ok_or(Refusal::BadEndpoint)?),
        };
        people.store.put_subscription(device, row.as_ref()).await.map_err(failed)?;
        Ok(None)
    }

    async fn read_to(&self, device: &KeyBytes, news: Vec<News>) -> Kept {
        let rows: Vec<_> = news.into_iter().map(|news| (news.site.name, news.site.log, news.size)).collect();
        self.people()?.store.note_read(device, &rows).await.map_err(failed)?;
        Ok(None)
    }

    /// Takes a certificate into the log, or says who does.
    async fn attest(&self, id: u64, envelope: &[u8]) -> Done {
        let Some(door) = self.app.door() else {
            let url = self.app.config.follow.url.clone().ok_or(Refusal::NotHere)?;
            return Ok(Reply::Frame(Frame::Redirect { id, url }));
        };
        let post = dgns_api::post::encode(&[envelope.to_vec()]);
        let post = dgns_api::post::decode(&post).map_err(|_| Refusal::NotTaken)?;
        // Whoever asks said hello: what bounds strangers by their address does not apply.
        let from = std::net::IpAddr::from([127, 0, 0, 1]);
        let taken = door.submit(&self.app.core, self.app.people.as_deref(), &post, from).await;
        taken.map(|taken| Reply::Ok(Some(Value::Uint(taken.first_index)))).map_err(|_| Refusal::NotTaken)
    }

    /// Ends the leases of sessions whose tokens hold no longer.
    async fn end_tokens(&self) {
        let Some(tokens) = &self.app.tokens else { return };
        for rid in self.node.tokens_shown() {
            match tokens.is_alive(&rid).await {
                Ok(true) => {}
                Ok(false) => self.node.put(Input::TokenEnded { rid }),
                Err(error) => error!(%error, "a family of tokens cannot be read"),
            }
        }
    }

    /// Leases the server's own log: everybody may read it, and what is written is certificates (`attest`).
    fn lease(&self, site: &str, log: &str, rights: u64) -> Done {
        if site != self.app.core.origin.as_str() || !log.is_empty() {
            return Err(Refusal::NotHere);
        }
        if rights != u64::from(Rights::READ.bits()) {
            return Err(Refusal::NoRight);
        }
        Ok(Reply::Leased(self.shown()))
    }

    /// How many entries are shown to the public.
    fn shown(&self) -> u64 {
        self.app.core.live.public_head().map_or(0, |head| head.head.size)
    }

    async fn read(&self, id: u64, from: u64) -> Done {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for index in from..self.shown() {
            let entry = self.app.core.tiles.entry(index).await.map_err(failed)?;
            let Some(entry) = entry else { break };
            bytes += entry.len() + 4;
            if bytes > DATA_BYTES_MAX {
                break;
            }
            entries.push(entry.to_vec());
        }
        Ok(Reply::Frame(Frame::Data { id, from, entries }))
    }

    /// Tells the lobby what a device listens to.
    async fn came(self: &Arc<Self>, device: &KeyBytes, did: &Did) {
        let Ok(people) = self.people() else { return self.came_from_afar(*device, *did) };
        match people.store.joins_of_device(device).await {
            Ok(rows) => {
                let joined = rows.into_iter().map(|row| lobby::Joined {
                    site: Site { name: row.name, log: row.log },
                    muted_until: Timestamp::from_ms(row.muted_until_ms),
                    read: row.read_size,
                });
                self.node.put(Input::Joined { device: *device, did: *did, joined: joined.collect() });
            }
            Err(error) => error!(%error, "what a device joined cannot be read"),
        }
    }

    /// Has everybody pushed to who joined a log and is not here.
    async fn grown(&self, grown: Grown) {
        let Ok(people) = self.people() else {
            // The node that knows who joined it looks whom it is to be pushed to.
            return self.node.tell_bus(Told::Say(Reach::People, Box::new(BusMessage::Grown(grown))));
        };
        let Some(pusher) = &self.pusher else { return };
        let News { site, size } = &grown.news;
        let now_ms = self.app.core.clock.now().as_ms();
        let put = async {
            let awaiting = people.store.awaiting(&site.name, &site.log, *size, now_ms).await?;
            let away = awaiting
                .into_iter()
                .filter(|row| grown.shows_to(&row.did) && !self.node.is_here(&row.device, &row.did));
            let pushes: Vec<_> = away.map(|row| (row.device, site.name.clone(), site.log, *size)).collect();
            match pushes.is_empty() {
                true => Ok(()),
                false => people.store.put_pushes(&pushes, now_ms + pusher.grace_ms(), now_ms).await,
            }
        };
        match put.await {
            Ok(()) => pusher.wake(),
            Err(error) => error!(%error, "pushes cannot be kept"),
        }
    }
}

/// Whether it is the business of the node that keeps what devices joined.
fn is_of_people(frame: &Frame) -> bool {
    matches!(frame, Frame::Update { .. } | Frame::Joined { .. } | Frame::Push { .. } | Frame::ReadTo { .. })
}

/// Reads a part of what a device joined.
fn joined_part(value: &Value) -> Option<Vec<lobby::Joined>> {
    let row = |row: &Value| {
        let [name, log, muted, read] = row.list().ok()? else { return None };
        let site = Site { name: name.text().ok()?.to_owned(), log: log.fixed(Form::Cbor).ok()? };
        let muted_until = Timestamp::from_ms(muted.uint().ok()?);
        Some(lobby::Joined { site, muted_until, read: read.uint().ok()? })
    };
    value.list().ok()?.iter().map(row).collect()
}

/// Errands under way at once; how often a node asks what a device listens to, and how long it waits in between.
const ERRANDS_MAX: usize = 256;
const CAME_TRIES: u32 = 5;
const CAME_AGAIN: Duration = Duration::from_secs(2);

/// The joins that one answer shows: below a frame with names of 100 characters.
const JOINED_SHOWN_MAX: usize = 80;

/// The joins of a device in one answer to another node: below a frame with names of 255 characters.
const JOINED_PART: usize = 50;

fn failed(error: StorageError) -> Refusal {
    error!(%error, "a session's frame failed");
    Refusal::Internal
}
