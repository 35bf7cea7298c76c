//! Many logs watched by one reader: who may not read one is told nothing of it, from the moment that is said (PROTOCOL 25.14).

use std::collections::{BTreeMap, HashSet};

use dgns_api::store::entry::LogId;
use dgns_api::store::limits::WATCHED_LOGS_MAX;
use dgns_api::store::watch::News;
use identity::cert::Kid;
use storage::store::Watch;
use tokio::sync::OwnedSemaphorePermit;

use super::{Databases, Readable, StoreRefusal, Who, now_s};
use crate::auth::request::{Caller, caller};
use crate::core::Core;
use crate::limits::{NEWS_MAX, WATCH_PLACES_MAX};
use crate::people::bells::Listener;

/// One reader of many logs.
pub struct Watcher {
    reader: Who,
    kid: Kid,
    watch: Watch,
    /// What stands at each place of the watch.
    places: Vec<Place>,
    /// The control logs among them: who may read what is said there.
    controls: Vec<(LogId, usize)>,
    /// The logs that are not looked at yet, the last first.
    unopened: Vec<(LogId, u64)>,
    /// What grew and is not told yet: the newest size, by place.
    grown: BTreeMap<u32, u64>,
    /// How many logs are told of.
    live: usize,
    /// A place for each log that is told of, or to be looked at.
    held: OwnedSemaphorePermit,
    _listener: Listener,
}

/// What is watched at a place.
enum Place {
    /// The control log of a database of which others are told.
    Control,
    /// A log that is told of.
    Log(Told),
    /// One that was.
    Over,
}

/// How a log stands with its reader.
#[derive(Clone, Copy)]
struct Told {
    log: LogId,
    /// How many entries the reader knows of.
    size: u64,
    /// Until when it may be read, Unix seconds, if nothing is said about that before.
    until_s: u64,
    /// The place of the control log.
    control: usize,
}

impl Databases {
    /// Returns a watch of logs by their sizes; `None` if there is no place for it.
    pub fn watch(&self, who: &Caller, mut logs: Vec<(LogId, u64)>) -> Option<Watcher> {
        let (listener, held) = (self.watchers.listen(&who.did)?, self.watched.take_many(logs.len())?);
        logs.reverse();
        Some(Watcher {
            reader: who.who(),
            kid: who.kid,
            watch: self.store.watch(),
            places: Vec::new(),
            controls: Vec::new(),
            unopened: logs,
            grown: BTreeMap::new(),
            live: 0,
            held,
            _listener: listener,
        })
    }
}

impl Watcher {
    /// Watches more logs by their sizes, but for those that are watched; returns whether there is a place for them.
    pub fn more(&mut self, databases: &Databases, mut logs: Vec<(LogId, u64)>) -> bool {
        let known: HashSet<LogId> = self.logs().collect();
        logs.retain(|(log, _)| !known.contains(log));
        // Each takes its own place, and one for its control log.
        let places = self.places.len() + (self.unopened.len() + logs.len()) * 2;
        if known.len() + logs.len() > WATCHED_LOGS_MAX || places > WATCH_PLACES_MAX {
            return false;
        }
        let Some(held) = databases.watched.take_many(logs.len()) else { return false };
        self.held.merge(held);
        logs.reverse();
        self.unopened.splice(0..0, logs);
        true
    }

    /// Watches these logs no more; those that are not watched are passed over.
    pub fn leave(&mut self, logs: &[LogId]) {
        let before = self.logs().count();
        let left: HashSet<&LogId> = logs.iter().collect();
        self.unopened.retain(|(log, _)| !left.contains(log));
        for (number, place) in self.places.iter_mut().enumerate() {
            if matches!(place, Place::Log(told) if left.contains(&told.log)) {
                self.watch.leave(number);
                (*place, self.live) = (Place::Over, self.live - 1);
            }
        }
        drop(self.held.split(before - self.logs().count()));
    }

    /// Returns the logs that are told of, or to be looked at.
    fn logs(&self) -> impl Iterator<Item = LogId> {
        let told = self.places.iter().filter_map(|place| match place {
            Place::Log(told) => Some(told.log),
            Place::Control | Place::Over => None,
        });
        told.chain(self.unopened.iter().map(|(log, _)| *log))
    }

    /// Waits until there may be something to tell. Nothing is lost if this is dropped while it waits.
    pub async fn wait(&mut self) {
        if self.unopened.is_empty() && self.grown.is_empty() {
            self.grown = self.watch.grown().await;
        }
    }

    /// Returns whether the device that asked may still ask.
    pub async fn may_ask(&self, databases: &Databases, core: &Core) -> bool {
        let caller = caller(core, Some(databases.guests()), self.reader.did, self.kid).await;
        caller.is_ok_and(|caller| caller.who() == self.reader)
    }

    /// Returns whether there is nothing left to tell of, ever.
    pub fn is_over(&self) -> bool {
        self.live == 0 && self.unopened.is_empty()
    }

    /// Returns what there is to tell, 64 at a time: first how each log stands, then which grow.
    ///
    /// Errors: the database failed.
    pub async fn news(&mut self, databases: &Databases, core: &Core) -> Result<Vec<News>, StoreRefusal> {
        let mut news = Vec::new();
        while news.len() < NEWS_MAX
            && let Some((log, size)) = self.unopened.pop()
        {
            news.extend(self.open(databases, core, log, size).await?);
        }
        if self.unopened.is_empty() {
            self.unopened = Vec::new();
        }
        // Whatever was said of who may read before any of these logs grew is among them.
        self.grown.append(&mut self.watch.take());
        for number in 0..self.controls.len() {
            let control = self.controls[number].1;
            if self.grown.remove(&(control as u32)).is_some() {
                self.judge_again(databases, core, control, &mut news).await?;
            }
        }
        while news.len() < NEWS_MAX
            && let Some((place, size)) = self.grown.pop_first()
        {
            news.extend(self.tell(databases, core, place as usize, size).await?);
        }
        Ok(news)
    }

    /// Begins to watch a log, and says how it stands if that is not as the reader knows it.
    async fn open(
        &mut self,
        databases: &Databases,
        core: &Core,
        log: LogId,
        size: u64,
    ) -> Result<Option<News>, StoreRefusal> {
        match self.opened(databases, core, log, size).await {
            Ok(grown) => Ok(grown.map(|size| News::Grown { log, size })),
            Err(refusal) => self.over(log, refusal).map(Some),
        }
    }

    /// As [`Watcher::open`]: returns how many entries the log has, if that is more than the reader knows.
    async fn opened(
        &mut self,
        databases: &Databases,
        core: &Core,
        log: LogId,
        size: u64,
    ) -> Result<Option<u64>, StoreRefusal> {
        let row = databases.readable(core, &log, &self.reader).await?.goes_on()?.row;
        let control = LogId::control(&databases.store.database_of(&row).await?.did);
        let control = match self.controls.iter().find(|(log, _)| *log == control) {
            Some((_, place)) => *place,
            None => {
                self.places.push(Place::Control);
                let place = self.watch.add(control);
                self.controls.push((control, place));
                place
            }
        };
        let place = self.watch.add(log);
        self.places.push(Place::Over);
        // What came between the first look and the watch is there for a second one.
        let readable = match databases.readable(core, &log, &self.reader).await.and_then(Readable::goes_on) {
            Ok(readable) if readable.row.edge.size() >= size => readable,
            other => {
                self.watch.leave(place);
                return Err(other.err().unwrap_or(StoreRefusal::Range));
            }
        };
        let now = readable.row.edge.size();
        self.places[place] = Place::Log(Told { log, size: now, until_s: readable.until_s, control });
        self.live += 1;
        Ok(Some(now).filter(|now| *now > size))
    }

    /// Judges anew who may read the logs of a database.
    async fn judge_again(
        &mut self,
        databases: &Databases,
        core: &Core,
        control: usize,
        news: &mut Vec<News>,
    ) -> Result<(), StoreRefusal> {
        for place in 0..self.places.len() {
            if matches!(&self.places[place], Place::Log(told) if told.control == control) {
                news.extend(self.judge(databases, core, place).await?);
            }
        }
        Ok(())
    }

    /// Judges whether a log may be read now, and says so if not.
    async fn judge(&mut self, databases: &Databases, core: &Core, place: usize) -> Result<Option<News>, StoreRefusal> {
        let Place::Log(told) = &mut self.places[place] else { return Ok(None) };
        match databases.readable(core, &told.log, &self.reader).await.and_then(Readable::goes_on) {
            Ok(readable) => {
                told.until_s = readable.until_s;
                Ok(None)
            }
            Err(refusal) => {
                let log = told.log;
                let over = self.over(log, refusal)?;
                self.watch.leave(place);
                (self.places[place], self.live) = (Place::Over, self.live - 1);
                Ok(Some(over))
            }
        }
    }

    /// Says that a log grew to a size, or that it may not be read any more; nothing if the reader knows so much.
    async fn tell(
        &mut self,
        databases: &Databases,
        core: &Core,
        place: usize,
        size: u64,
    ) -> Result<Option<News>, StoreRefusal> {
        let Place::Log(told) = &self.places[place] else { return Ok(None) };
        if size <= told.size {
            return Ok(None);
        }
        // Another node may have taken what this one did not see yet.
        if told.until_s <= now_s(core) || databases.store.is_shared() {
            let over = self.judge(databases, core, place).await?;
            if over.is_some() {
                return Ok(over);
            }
        }
        let Place::Log(told) = &mut self.places[place] else { return Ok(None) };
        told.size = size;
        Ok(Some(News::Grown { log: told.log, size }))
    }

    /// Says why a log is not told of, and gives its place back; a database that failed is no answer.
    fn over(&mut self, log: LogId, refusal: StoreRefusal) -> Result<News, StoreRefusal> {
        match refusal {
            StoreRefusal::Storage(_) => Err(refusal),
            refusal => {
                drop(self.held.split(1));
                Ok(News::Over { log, code: refusal.code().to_owned() })
            }
        }
    }
}
