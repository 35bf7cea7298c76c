//! A private server: hosts a name in the lobby and serves a directory, or a database, to whom its rules let in (PROTOCOL 23.4 to 23.12, 23.18).
//!
//! Nobody who is not let in learns that it is here: a knock is judged by what the log proves of the knocker before anything of it
//! reaches WebRTC, and a refused one is not answered, unless the rules say so.

pub mod database;
mod hook;
mod knock;
mod proof;
mod publish;
pub mod rules;
mod serve;
mod served;
mod written;

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use identity::cert::Kid;
use identity::did::Did;
use identity::key::kid_of;
use identity::state::Subject;
use lobby::Sess;
use lobby::card::{Ledger, SignedCard};
use lobby::guard::Guard;
use lobby::limits::GUARDED_MAX;
use lobby::message::IceServer;
use peer::Link;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::attach::{Attached, Event, Who, attach_to_one};
use crate::error::ClientError;
use crate::home::DeviceKeys;
use crate::peering::{Gone, until_gone};
use crate::prover::{Proven, Prover};
use crate::rng;
use database::Database;
use hook::Hooks;
use proof::Proofs;
use rules::{Judged, Rights, Rules, Whom};
use served::Served;

/// Knocks that are judged at once: each is a question to the log. More are dropped, and come again.
const JUDGED_MAX: usize = 16;

/// Connections at once, and those of one DID.
const LINKS_MAX: usize = 256;
const LINKS_OF_DID_MAX: usize = 16;

/// Connections of guests at once: whoever is certified finds room beside them.
const GUEST_LINKS_MAX: usize = 32;

/// Between two looks at the file of the rules.
const RELOAD: Duration = Duration::from_secs(1);

/// What a host is given.
#[derive(Debug)]
pub struct Hosting {
    /// The name, complete.
    pub name: String,
    /// The device's keys: what the host is told of tokens is sealed to it.
    pub device: Arc<DeviceKeys>,
    /// What is served; nothing but the database if there is none.
    pub directory: Option<PathBuf>,
    /// A database that is handed on.
    pub database: Option<Database>,
    /// The rules to begin with.
    pub rules: Rules,
    /// The file they come from, looked at again whenever it changes.
    pub rules_file: Option<PathBuf>,
    /// Whether whoever joined a file is told that it grew.
    pub publish: bool,
    /// The nodes of the lobby to host it at, best first; one at least.
    pub nodes: Vec<String>,
    /// Loopback addresses count too: clients may be on this machine.
    pub loopback: bool,
}

/// What a host tells of itself as it goes.
#[derive(Clone, Debug)]
pub enum Told {
    /// The name is registered: for the first time, or again.
    Registered,
    /// The lobby is not reached; the host is on its way back.
    Away(String),
    /// Somebody knocked, and what became of it: `let_in`, or why not.
    Knock {
        /// The knocker's DID; a guest has none.
        did: Option<Did>,
        /// Its first name, if it has one.
        name: Option<String>,
        /// Its device.
        device: Kid,
        /// The verdict.
        verdict: String,
    },
    /// A connection stands: both ends are proved, or this one and that the other has a guest's key.
    Opened(Sess, Option<Did>),
    /// A connection ended.
    Closed(Sess, Option<Did>, String),
    /// The file of the rules was read again; or is faulty, and the rules before hold.
    Rules(Result<(), String>),
    /// Somebody got something.
    Gave(Sess, String),
    /// Somebody leased a log, for this.
    Leased(Sess, String, identity::token::Rights),
    /// A proof was wrong; evidence is kept.
    Fault(ClientError),
}

/// A connection that stands or is about to.
struct Open {
    did: Did,
    guest: bool,
    link: Arc<Link>,
    /// What it began with.
    offer: SignedCard,
    /// What its task is told.
    fate: watch::Sender<Fate>,
}

/// What a connection may do, and when it ends.
#[derive(Clone, Debug)]
pub(crate) struct Fate {
    /// What the rules give.
    rights: Rights,
    /// It is to end, with this code for the other end.
    end: Option<&'static str>,
}

/// What the tasks of a host share.
pub(crate) struct Host {
    prover: Prover,
    who: Who,
    name: String,
    served: Served,
    database: Option<Database>,
    loopback: bool,
    rules: Mutex<Arc<Rules>>,
    hooks: Hooks,
    ledger: Mutex<Ledger>,
    open: Mutex<HashMap<Sess, Open>>,
    ice: Mutex<Vec<IceServer>>,
    attached: Attached,
    /// How often the name was registered: a lobby that forgot it forgot the sizes too.
    registered: watch::Sender<u64>,
    /// How often something changed that leases rest on: the rules, what was revoked.
    again: watch::Sender<u64>,
    /// A client wrote.
    grown: Notify,
    /// The handles that were given.
    handles: AtomicU64,
    proofs: Proofs,
    judged: Arc<Semaphore>,
    tell: mpsc::Sender<Told>,
}

/// Hosts until something ends it that coming back would not help.
pub async fn host(prover: Prover, who: Who, hosting: Hosting, tell: mpsc::Sender<Told>) -> Result<(), ClientError> {
    owns(&prover, &who, &hosting.name).await?;
    let served = Served::open(hosting.directory.as_deref())?;
    let (attached, mut events) = attach_to_one(prover.clone(), who.clone(), &hosting.nodes);
    let host = Arc::new(Host {
        ledger: Mutex::new(Ledger::new(who.key.public(), who.did)),
        prover,
        who,
        name: hosting.name,
        served,
        database: hosting.database,
        loopback: hosting.loopback,
        rules: Mutex::new(Arc::new(hosting.rules)),
        hooks: Hooks::new()?,
        open: Mutex::default(),
        ice: Mutex::default(),
        attached,
        registered: watch::Sender::new(0),
        again: watch::Sender::new(0),
        grown: Notify::new(),
        handles: AtomicU64::new(0),
        proofs: Proofs::new(hosting.device),
        judged: Arc::new(Semaphore::new(JUDGED_MAX)),
        tell,
    });
    host.register().await?;
    let mut reload = interval(RELOAD);
    reload.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut changed = hosting.rules_file.as_deref().and_then(modified);
    let own = host.clone();
    let publishing = hosting.publish.then(|| tokio::spawn(publish::run(host.clone())));
    let mut own_word = tokio::spawn(async move { own.until_not_ours().await });
    let ended = loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => if let Err(error) = host.event(event).await { break error },
                None => break ClientError::Network("the way to the lobby is closed".to_owned()),
            },
            gone = &mut own_word => break host.not_ours(gone.ok()),
            _ = reload.tick() => if let Some(file) = &hosting.rules_file {
                let newest = modified(file);
                if newest != changed {
                    changed = newest;
                    host.reload(file).await;
                }
            }
        }
    };
    own_word.abort();
    publishing.iter().for_each(JoinHandle::abort);
    host.end_all("revoked");
    host.proofs.end();
    // What is told to the other ends takes its way.
    tokio::time::sleep(Duration::from_millis(100)).await;
    Err(ended)
}

/// Checks that a name is this DID's, as the log proves.
async fn owns(prover: &Prover, who: &Who, name: &str) -> Result<(), ClientError> {
    let owner = prover.look_up(&Subject::Name(name.to_owned())).await?;
    match owner {
        None => {
            let what = format!("{name} is nobody's yet: claim it with: dgns claim {name}");
            Err(ClientError::Unable(what))
        }
        Some(owner) if owner.did == who.did && owner.has(&who.key.public()) => Ok(()),
        Some(owner) => Err(ClientError::Unable(format!("{name} belongs to {}, not to this device's DID", owner.did))),
    }
}

impl Host {
    async fn event(self: &Arc<Self>, event: Event) -> Result<(), ClientError> {
        match event {
            Event::Here { ice, head } => {
                *lock(&self.ice) = ice;
                if let Some(head) = head {
                    let host = self.clone();
                    tokio::spawn(async move {
                        if let Err(fault) = host.prover.hold(&head).await {
                            host.say(Told::Fault(fault)).await;
                        }
                    });
                }
            }
            Event::Registered(_) => {
                self.registered.send_modify(|times| *times += 1);
                self.say(Told::Registered).await;
            }
            Event::Away(why) => self.say(Told::Away(why)).await,
            Event::Signal(signal) => {
                // Whoever cannot be judged now knocks again by itself.
                if let Ok(turn) = self.judged.clone().try_acquire_owned() {
                    let host = self.clone();
                    tokio::spawn(async move {
                        host.signal(*signal).await;
                        drop(turn);
                    });
                }
            }
            Event::Refused { code, name: Some(name), .. } if code == "not_host" => {
                return Err(ClientError::Unable(format!("the lobby says that {name} is not this DID's")));
            }
            Event::Refused { .. } | Event::Expired(_) | Event::News(_) => {}
            Event::Over { code, what } => return Err(over(&code, what)),
        }
        Ok(())
    }

    /// Registers, or registers under new rules.
    async fn register(&self) -> Result<(), ClientError> {
        let rules = self.rules();
        let guard = self.guard(&rules).await?;
        self.attached.register(&self.name, rules.visible, guard).await;
        Ok(())
    }

    /// Whom the lobby shall let wake this host: a courtesy, made of the rules.
    async fn guard(&self, rules: &Rules) -> Result<Guard, ClientError> {
        let mut dids = vec![self.who.did];
        // Which guests come, and whom a hook lets in, nobody knows beforehand.
        if rules.lets_guests() {
            return Ok(Guard::Guests);
        }
        if rules.hook.is_some() {
            return Ok(Guard::Certified);
        }
        let mut left: Vec<&Whom> = rules.allow.iter().map(|row| &row.whom).collect();
        while let Some(whom) = left.pop() {
            if dids.len() >= GUARDED_MAX {
                return Ok(Guard::Certified);
            }
            match whom {
                Whom::Owner => {}
                Whom::Did(did) => dids.push(*did),
                Whom::Name(name) => {
                    dids.extend(self.prover.look_up(&Subject::Name(name.clone())).await?.map(|proven| proven.did));
                }
                Whom::Group(members) => left.extend(members.iter()),
                Whom::Device(_) | Whom::Certified | Whom::Guest => return Ok(Guard::Certified),
            }
        }
        let mut salt = [0; 16];
        rand_core::Rng::fill_bytes(&mut rng::system(), &mut salt);
        Ok(Guard::listed(salt, &dids))
    }

    async fn reload(&self, file: &std::path::Path) {
        let read = match Rules::read(file, self.prover.session()) {
            Ok(rules) => {
                *lock(&self.rules) = Arc::new(rules);
                self.judge_all().await;
                self.again.send_modify(|times| *times += 1);
                // The lobby learns whom to let through; who is let in is decided here already.
                self.register().await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        self.say(Told::Rules(read)).await;
    }

    /// Ends the connections of those whom the rules no longer let in.
    async fn judge_all(&self) {
        let open: Vec<(Sess, Did)> = lock(&self.open).iter().map(|(sess, open)| (*sess, open.did)).collect();
        for (sess, did) in open {
            let peer = lock(&self.ledger).peer(&sess, lobby::card::Side::Host);
            let proven = match peer {
                Some(peer) => self.prover.look_up_sender(peer, &did).await.ok().flatten(),
                None => None,
            };
            let rights = match peer.zip(proven).filter(|(device, proven)| proven.has(device)) {
                Some((device, proven)) => self.judge(&proven, &kid_of(&device), &sess).await.map(|(rights, _)| rights),
                None => None,
            };
            match rights {
                None => self.end(&sess, "denied"),
                Some(rights) => self.give(&sess, rights),
            }
        }
    }

    /// Ends a connection, if it stands.
    fn end(&self, sess: &Sess, code: &'static str) {
        if let Some(open) = lock(&self.open).get(sess) {
            open.fate.send_modify(|fate| fate.end = Some(code));
        }
    }

    /// Gives a connection other rights, if they are others.
    fn give(&self, sess: &Sess, rights: Rights) {
        if let Some(open) = lock(&self.open).get(sess) {
            open.fate.send_if_modified(|fate| {
                let is_new = fate.rights != rights;
                fate.rights = rights;
                is_new
            });
        }
    }

    /// Returns a handle that no connection has.
    fn handle(&self) -> u64 {
        self.handles.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Judges a device by the rules, and by the hook where they say so. With what it may see, and until when a hook's word holds.
    async fn judge(&self, who: &Proven, device: &Kid, sess: &Sess) -> Option<(Rights, Option<Instant>)> {
        match self.rules().judge(who, device, &self.who.did) {
            Judged::LetIn(rights) => Some((rights, None)),
            Judged::Denied => None,
            Judged::Ask(url) => {
                let (rights, until) = self.hooks.ask(&url, &self.name, who, device, sess).await;
                rights.map(|rights| (rights, Some(until)))
            }
        }
    }

    /// Waits until the log takes the name or this device away.
    async fn until_not_ours(&self) -> Gone {
        let stays = |own: Option<&crate::prover::Proven>| {
            own.is_some_and(|own| own.has(&self.who.key.public()) && own.names.contains(&self.name))
        };
        loop {
            match until_gone(&self.prover, &self.who.did, stays).await {
                // Nobody can be judged meanwhile; whoever is here is cut off by their own task.
                Gone::Stale => {}
                gone => return gone,
            }
        }
    }

    fn not_ours(&self, gone: Option<Gone>) -> ClientError {
        match gone {
            Some(Gone::Fault(fault)) => fault,
            _ => over("revoked", format!("the log no longer gives {} to this device", self.name)),
        }
    }

    fn end_all(&self, code: &'static str) {
        lock(&self.open).values().for_each(|open| open.fate.send_modify(|fate| fate.end = Some(code)));
    }

    fn rules(&self) -> Arc<Rules> {
        lock(&self.rules).clone()
    }

    async fn say(&self, told: Told) {
        // Whoever does not listen has ended the host.
        let _ = self.tell.send(told).await;
    }
}

/// Why a lobby sends somebody away for good.
pub(crate) fn over(code: &str, what: String) -> ClientError {
    match code {
        "wrong_url" => ClientError::Unable(what),
        "replaced" => ClientError::Network(what),
        _ => ClientError::Refused(Box::new(dgns_api::problem::Problem::new(403, code, what))),
    }
}

fn modified(path: &std::path::Path) -> Option<(i64, i64, u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.mtime(), metadata.mtime_nsec(), metadata.len(), metadata.ino()))
}

/// Locks what no holder panics with.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds the lock")
}
