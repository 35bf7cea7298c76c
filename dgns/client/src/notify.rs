//! What a device wants to be told of: logs of private servers that grow, while it is here by the lobby's socket, and otherwise through
//! a push service (PROTOCOL 23.14).

use std::time::Duration;

use dgns_api::problem::Problem;
use identity::cert::KeyBytes;
use lobby::message::{Form, Frame, Subscription, Value};
use lobby::news::{Change, News, Site};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::attach::{Attached, Event, Who, attach};
use crate::error::ClientError;
use crate::host::over;
use crate::prover::Prover;

/// How long the lobby may take to welcome, and to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often a change that another device was faster with is tried again.
const TRIES: u32 = 4;

/// A device that is here.
pub struct Inbox {
    attached: Attached,
    events: mpsc::Receiver<Event>,
}

/// What the devices of a DID joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joins {
    /// Its number; each change makes the next.
    pub version: u64,
    /// All of them.
    pub rows: Vec<Join>,
    /// What browsers subscribe for at push services; empty if this server pushes nothing.
    pub key: Vec<u8>,
}

/// A log that a device joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The device.
    pub device: KeyBytes,
    /// The log.
    pub site: Site,
    /// Until when nothing is said of it, ms since 1970; 0: not muted.
    pub muted_until_ms: u64,
    /// What was pushed last.
    pub sent: u64,
    /// What the device read.
    pub read: u64,
}

impl Inbox {
    /// Comes to the lobby of the session's server.
    pub async fn enter(prover: &Prover, who: &Who) -> Result<Self, ClientError> {
        let (attached, mut events) = attach(prover.clone(), who.clone(), prover.session().server());
        let here = async {
            loop {
                match events.recv().await {
                    Some(Event::Here { head, .. }) => {
                        return match head {
                            Some(head) => prover.hold(&head).await,
                            None => Ok(()),
                        };
                    }
                    Some(Event::Over { code, what }) => return Err(over(&code, what)),
                    Some(_) => {}
                    None => return Err(ClientError::Network("the way to the lobby is closed".to_owned())),
                }
            }
        };
        let entered = timeout(PATIENCE, here).await;
        entered.map_err(|_| ClientError::Network("the lobby does not welcome".to_owned()))??;
        Ok(Self { attached, events })
    }

    /// Returns what the devices of the DID joined.
    pub async fn joins(&self) -> Result<Joins, ClientError> {
        let answer = self.ask(|id| Frame::Joined { id }).await?;
        match answer {
            Frame::Ok { value: Some(value), .. } => joins_of(&value).ok_or_else(nonsense),
            _ => Err(nonsense()),
        }
    }

    /// Makes changes to what the devices of the DID joined; returns the version then.
    pub async fn change(&self, changes: &[Change]) -> Result<u64, ClientError> {
        for _ in 0..TRIES {
            let version = self.joins().await?.version + 1;
            let changes = changes.to_vec();
            match self.ask(move |id| Frame::Update { id, version, changes }).await {
                Ok(Frame::Ok { value: Some(Value::Uint(version)), .. }) => return Ok(version),
                Ok(_) => return Err(nonsense()),
                Err(ClientError::Refused(problem)) if problem.code == "version" => {}
                Err(error) => return Err(error),
            }
        }
        Err(ClientError::Network("other devices change the same all the time; try again".to_owned()))
    }

    /// Says where this device is reached while it is not here, or that it is not.
    pub async fn subscribe(&self, subscription: Option<Subscription>) -> Result<(), ClientError> {
        self.ask(move |id| Frame::Push { id, subscription }).await.map(drop)
    }

    /// Says that a log was read up to a size.
    pub async fn read(&self, news: Vec<News>) -> Result<(), ClientError> {
        self.ask(move |id| Frame::ReadTo { id, news }).await.map(drop)
    }

    /// Waits for news; what is lost on the way is told with the next.
    pub async fn next(&mut self) -> Result<Vec<News>, ClientError> {
        loop {
            match self.events.recv().await {
                Some(Event::News(news)) => return Ok(news),
                Some(Event::Over { code, what }) => return Err(over(&code, what)),
                Some(_) => {}
                None => return Err(ClientError::Network("the way to the lobby is closed".to_owned())),
            }
        }
    }

    async fn ask(&self, make: impl FnOnce(u64) -> Frame) -> Result<Frame, ClientError> {
        let answer = timeout(PATIENCE, self.attached.ask(make)).await;
        match answer.map_err(|_| ClientError::Network("the lobby does not answer".to_owned()))? {
            Ok(frame) => Ok(frame),
            Err(code) => Err(refused(&code)),
        }
    }
}

/// What a refusal of the lobby means to who asked.
fn refused(code: &str) -> ClientError {
    let what = match code {
        "not_here" => "this server keeps no notifications; ask the one that keeps the log",
        "version" => "another device changed this first",
        "unknown_device" => "no live device of yours",
        "bad_endpoint" => {
            "no push service that this server pushes to: an https URL at a public address, and the keys of a browser"
        }
        "quota" => "too much is joined already",
        "lost" => return ClientError::Network("the lobby's socket broke before it answered".to_owned()),
        _ => "the lobby refuses it",
    };
    ClientError::Refused(Box::new(Problem::new(403, code, what.to_owned())))
}

fn nonsense() -> ClientError {
    ClientError::Network("the lobby answers something else than it was asked".to_owned())
}

fn joins_of(value: &Value) -> Option<Joins> {
    let [version, rows, key] = value.list().ok()? else { return None };
    let row = |row: &Value| {
        let [device, name, log, muted, sent, read] = row.list().ok()? else { return None };
        let site = Site { name: name.text().ok()?.to_owned(), log: log.fixed(Form::Cbor).ok()? };
        Some(Join {
            device: device.fixed(Form::Cbor).ok()?,
            site,
            muted_until_ms: muted.uint().ok()?,
            sent: sent.uint().ok()?,
            read: read.uint().ok()?,
        })
    };
    let rows = rows.list().ok()?.iter().map(row).collect::<Option<_>>()?;
    Some(Joins { version: version.uint().ok()?, rows, key: key.bytes(Form::Cbor, 65).ok()? })
}
