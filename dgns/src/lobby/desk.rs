//! What sessions of the lobby ask for that is kept elsewhere: what devices joined, and the session verbs over the server's own log
//! (PROTOCOL 23.14, 23.15). One task does them in order, so that what a device asks first is done first.

use std::sync::Arc;

use identity::cert::KeyBytes;
use identity::did::Did;
use identity::time::Timestamp;
use lobby::limits::{DATA_BYTES_MAX, MUTE_MS_MAX};
use lobby::message::{Frame, Subscription, Value};
use lobby::news::{Change, News, What};
use lobby::{ConnId, Grown, Input, Refusal};
use storage::StorageError;
use storage::people::{JoinChange, JoinRow, JoinWhat, Updated};
use tokio::sync::{mpsc, watch};
use tracing::error;

use super::Node;
use super::push::Pusher;
use crate::app::App;
use crate::auth::request::newest;
use crate::people::People;
use crate::shutdown;

/// The handle of the server's own log, the only one there is.
const OWN_LOG: u64 = 1;

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
    mut asked: mpsc::Receiver<Asked>,
    mut stop: watch::Receiver<bool>,
) {
    let desk = Desk { app, node, pusher };
    loop {
        let next = tokio::select! {
            () = shutdown::requested(&mut stop) => return,
            next = asked.recv() => next,
        };
        match next {
            Some(Asked::Frame { conn, device, did, frame }) => desk.frame(conn, &device, &did, *frame).await,
            Some(Asked::Came(device, did)) => desk.came(&device, &did).await,
            Some(Asked::Grown(grown)) => desk.grown(&grown).await,
            None => return,
        }
    }
}

struct Desk {
    app: Arc<App>,
    node: Arc<Node>,
    pusher: Option<Arc<Pusher>>,
}

/// What becomes of a frame.
type Done = Result<Reply, Refusal>;

enum Reply {
    /// `ok`.
    Ok(Option<Value>),
    /// Another frame.
    Frame(Frame),
}

impl Desk {
    async fn frame(&self, conn: ConnId, device: &KeyBytes, did: &Did, frame: Frame) {
        let (id, done) = match frame {
            Frame::Update { id, version, changes } => (id, self.update(did, version, &changes).await),
            Frame::Joined { id } => (id, self.joined(did).await),
            Frame::Push { id, subscription } => (id, self.push(device, did, subscription).await),
            Frame::ReadTo { id, news } => (id, self.read_to(device, news).await),
            Frame::Attest { id, envelope } => (id, self.attest(id, &envelope).await),
            Frame::Lease { id, site } => (id, self.lease(&site)),
            Frame::Read { id, handle, from } => (id, self.read(id, handle, from).await),
            _ => return,
        };
        self.node.put(match done {
            Ok(Reply::Ok(value)) => Input::Reply { conn, frame: Box::new(Frame::Ok { id, value }) },
            Ok(Reply::Frame(frame)) => Input::Reply { conn, frame: Box::new(frame) },
            Err(refusal) => Input::NotDone { conn, id, refusal },
        });
    }

    fn people(&self) -> Result<&People, Refusal> {
        self.app.people.as_deref().ok_or(Refusal::NotHere)
    }

    /// Changes what the DID's devices joined, and tells the lobby.
    async fn update(&self, did: &Did, version: u64, changes: &[Change]) -> Done {
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
                Ok(Reply::Ok(Some(Value::Uint(version))))
            }
            Updated::Other(_) => Err(Refusal::Version),
            Updated::TooMany => Err(Refusal::Quota),
        }
    }

    async fn joined(&self, did: &Did) -> Done {
        let (version, rows) = self.people()?.store.joins_of_did(did).await.map_err(failed)?;
        let row = |row: &JoinRow| {
            let numbers = [row.muted_until_ms, row.sent_size, row.read_size].map(Value::Uint);
            let mut cells = vec![Value::Bytes(row.device.to_vec()), Value::Text(row.name.clone())];
            cells.push(Value::Bytes(row.log.to_vec()));
            cells.extend(numbers);
            Value::List(cells)
        };
        let key = self.pusher.as_ref().map_or(Vec::new(), |pusher| pusher.public().to_vec());
        // What does not fit into a frame is not needed to change the rest.
        let rows = rows.iter().take(JOINED_SHOWN_MAX).map(row).collect();
        Ok(Reply::Ok(Some(Value::List(vec![Value::Uint(version), Value::List(rows), Value::Bytes(key)]))))
    }

    async fn push(&self, device: &KeyBytes, did: &Did, subscription: Option<Subscription>) -> Done {
        let people = self.people()?;
        let pusher = self.pusher.as_ref().ok_or(Refusal::NotHere)?;
        let row = match subscription {
            None => None,
            Some(subscription) => Some(pusher.sealed(device, did, &subscription).ok_or(Refusal::BadEndpoint)?),
        };
        people.store.put_subscription(device, row.as_ref()).await.map_err(failed)?;
        Ok(Reply::Ok(None))
    }

    async fn read_to(&self, device: &KeyBytes, news: Vec<News>) -> Done {
        let rows: Vec<_> = news.into_iter().map(|news| (news.site.name, news.site.log, news.size)).collect();
        self.people()?.store.note_read(device, &rows).await.map_err(failed)?;
        Ok(Reply::Ok(None))
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

    /// Leases the server's own log: everybody may read it.
    fn lease(&self, site: &str) -> Done {
        if site != self.app.core.origin.as_str() {
            return Err(Refusal::NotHere);
        }
        let values = [OWN_LOG, self.shown()].map(Value::Uint);
        Ok(Reply::Ok(Some(Value::List(values.to_vec()))))
    }

    /// How many entries are shown to the public.
    fn shown(&self) -> u64 {
        self.app.core.live.public_head().map_or(0, |head| head.head.size)
    }

    async fn read(&self, id: u64, handle: u64, from: u64) -> Done {
        if handle != OWN_LOG {
            return Err(Refusal::BadHandle);
        }
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
    async fn came(&self, device: &KeyBytes, did: &Did) {
        let Ok(people) = self.people() else { return };
        match people.store.joins_of_device(device).await {
            Ok(rows) => {
                let joined = rows.into_iter().map(|row| lobby::Joined {
                    site: lobby::news::Site { name: row.name, log: row.log },
                    muted_until: Timestamp::from_ms(row.muted_until_ms),
                    read: row.read_size,
                });
                self.node.put(Input::Joined { device: *device, did: *did, joined: joined.collect() });
            }
            Err(error) => error!(%error, "what a device joined cannot be read"),
        }
    }

    /// Has everybody pushed to who joined a log and is not here.
    async fn grown(&self, grown: &Grown) {
        let (Ok(people), Some(pusher)) = (self.people(), &self.pusher) else { return };
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

/// The joins that one answer shows: below a frame with names of 100 characters.
const JOINED_SHOWN_MAX: usize = 80;

fn failed(error: StorageError) -> Refusal {
    error!(%error, "a session's frame failed");
    Refusal::Internal
}
