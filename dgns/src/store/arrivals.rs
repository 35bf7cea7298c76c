//! Databases on their way here: brought by one of their owners, entry by entry as they stood where they were, until the word of the owners that
//! they moved is here too (PROTOCOL 25.17).
//!
//! Whatever arrives of a control log is held against the log of names of the server that it leaves, which anchors it: what somebody made up
//! does not stand there. What the other logs have, the word says, with their roots.

use dgns_api::store::acl::{Acl, AclRefusal, Stage};
use dgns_api::store::answer::Cursor;
use dgns_api::store::arrival::{Arrival, Proof};
use dgns_api::store::control::Control;
use dgns_api::store::entry::{Class, Entry, LogId};
use identity::cert::KeyBytes;
use identity::did::Did;
use identity::hash::Hash;
use identity::name::Origin;
use storage::store::rows::{DbRow, Dropped, LogRow};
use storage::store::{Append, AppendRefusal, Arrives};
use translog::tree::Edge;

use super::{Databases, GuestRefusal, Guests, StoreRefusal, Who};
use crate::auth::request::newest;
use crate::core::Core;

impl Databases {
    /// Returns the people of other logs who were proved lately.
    pub fn guests(&self) -> &Guests {
        &self.guests
    }

    /// Takes entries of a log as they stand where it was, all or none, from `who`, who pays if they begin a database and alone may bring the
    /// rest. Returns how far the log is here; nothing of that is signed, since an arrival may come to nothing.
    pub async fn arrive(&self, core: &Core, log: &LogId, arrival: Arrival, who: &Who) -> Result<Vec<u8>, StoreRefusal> {
        let Arrival { entries, proof } = arrival;
        let Some(first) = entries.first().filter(|_| !self.anchors.are_rolled_back()) else {
            return Err(StoreRefusal::RolledBack);
        };
        let (home, row, acl) = match self.said(log).await? {
            Some(row) => {
                let (home, acl) = self.goes_on(&row, who).await?;
                (home, Some(row), acl)
            }
            None => {
                let (home, acl) = self.begins_there(core, first, who).await?;
                (home, None, Some(acl))
            }
        };
        entries.iter().try_for_each(|entry| entry.verify(&home))?;
        let proved = match acl {
            Some(acl) => Some(self.proved(core, &acl, (log, row.as_ref()), &entries, proof.as_ref())?),
            None => None,
        };
        let (now_ms, payer, arrives) = (core.clock.now().as_ms(), Some(who.did), Arrives { here: core.server, proved });
        let append = Append { entries, now_ms, payer, home: Some(home), arrives: Some(arrives), partition: None };
        self.store.append(append).await?;
        self.far(log).await
    }

    /// Returns how far a log arrived, to who brings it.
    pub async fn arrived(&self, log: &LogId, who: &Who) -> Result<Vec<u8>, StoreRefusal> {
        let row = self.said(log).await?.ok_or(StoreRefusal::NotFound)?;
        self.brought(&row, who).await?;
        self.far(log).await
    }

    /// Removes what arrived of a database by its control log, for who brings it and begins anew. Broken off, the next call goes on.
    pub async fn forget(&self, core: &Core, log: &LogId, who: &Who) -> Result<(), StoreRefusal> {
        let row = self.said(log).await?.ok_or(StoreRefusal::NotFound)?;
        let db = self.store.database_of(&row).await?;
        match self.brought(&row, who).await {
            Ok(_) | Err(StoreRefusal::Append(AppendRefusal::Dropped)) => {}
            Err(refusal) => return Err(refusal),
        }
        while self.store.forget(&db, core.clock.now().as_ms()).await? {}
        Ok(())
    }

    /// Returns how far a log is: its size and its root.
    async fn far(&self, log: &LogId) -> Result<Vec<u8>, StoreRefusal> {
        let edge = self.store.log(log).await?.ok_or(StoreRefusal::NotFound)?.edge;
        let root = (edge.size() > 0).then(|| edge.root());
        Ok(Cursor { next: edge.size(), last: root }.encode())
    }

    /// Returns the database of a log that is on its way here, to who brings it; to others there is none.
    async fn brought(&self, row: &LogRow, who: &Who) -> Result<DbRow, StoreRefusal> {
        let db = self.store.database_of(row).await?;
        if !who.is_of(&db) || !self.store.pays(&db, &who.did).await? {
            return Err(match db.stage {
                Stage::Arriving => AppendRefusal::Arriving.into(),
                _ => StoreRefusal::NotFound,
            });
        }
        match db.stage {
            Stage::Arriving if db.dropped == Dropped::No => Ok(db),
            Stage::Arriving => Err(AppendRefusal::Dropped.into()),
            _ => Err(AppendRefusal::Arrived.into()),
        }
    }

    /// Returns the home of a database on its way here, and if this is its control log, what that comes to by now.
    async fn goes_on(&self, row: &LogRow, who: &Who) -> Result<(Origin, Option<Acl>), StoreRefusal> {
        let db = self.brought(row, who).await?;
        let home = db.home.ok_or(AppendRefusal::Arrived)?;
        let is_control = row.key == LogId::control(&db.did);
        Ok((home, if is_control { Some(self.store.acl(row).await?) } else { None }))
    }

    /// Refuses a first entry that is not the genesis of a database of the log of who asks, where people keep databases here.
    async fn begins_there(&self, core: &Core, first: &Entry, who: &Who) -> Result<(Origin, Acl), StoreRefusal> {
        let header = first.header();
        if header.class != Class::Control {
            return Err(StoreRefusal::NotFound);
        }
        let control = Control::decode(first.body()).map_err(AppendRefusal::Control)?;
        if matches!(control, Control::Fork { .. }) {
            return Err(AppendRefusal::Acl(AclRefusal::Stays).into());
        }
        let acl = Acl::begin(&header.log, &header.author, &control).map_err(AppendRefusal::Acl)?;
        self.guests.home(acl.home())?;
        if who.home.as_ref() != Some(acl.home()) {
            return Err(GuestRefusal::NoHome.into());
        }
        // What this server's own log calls so is another one.
        if newest(core, acl.did()).await?.is_some() {
            return Err(AppendRefusal::Acl(AclRefusal::Genesis).into());
        }
        Ok((acl.home().clone(), acl))
    }

    /// Returns size and root of a control log with these entries, which the newest anchor of the server that it leaves has to begin with.
    fn proved(
        &self,
        core: &Core,
        acl: &Acl,
        (log, row): (&LogId, Option<&LogRow>),
        entries: &[Entry],
        proof: Option<&Proof>,
    ) -> Result<(u64, Hash), StoreRefusal> {
        let proof = proof.ok_or(GuestRefusal::NotAnchored)?;
        let anchor = self.guests.anchor(acl.home(), acl.place(), &proof.anchors, core.clock.now())?;
        let mut edge = row.map_or_else(Edge::new, |row| row.edge.clone());
        entries.iter().for_each(|entry| edge.append(entry.leaf()));
        let (size, root) = (edge.size(), edge.root());
        match proof.shows(&anchor, log, acl.salt(), (size, &root)) {
            true => Ok((size, root)),
            false => Err(GuestRefusal::NotAnchored.into()),
        }
    }

    /// Refuses a key that is no live or fresh device of `did` in the log `home`, as was proved here lately.
    pub(super) fn is_guest(
        &self,
        core: &Core,
        home: &Origin,
        (did, key): (&Did, &KeyBytes),
    ) -> Result<(), StoreRefusal> {
        let is_one = self.guests.has_device(home, did, key, core.clock.now());
        if is_one { Ok(()) } else { Err(StoreRefusal::UnknownDevice) }
    }
}
