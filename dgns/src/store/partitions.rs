//! Partitions of subscription databases: a user proves what they are a member of, and is sent invitations (PROTOCOL 25.20).

use std::sync::atomic::Ordering;

use dgns_api::store::entry::{Entry, LogId, LogKind};
use dgns_api::store::partition::{Membership, Proof};
use identity::cert::DidKind;
use identity::did::Did;
use storage::store::{Append, AppendRefusal, Appended, Partition};

use super::{Databases, StoreRefusal, is_device, newest, now_s};
use crate::core::Core;

impl Databases {
    /// Appends what a user says in their own partition, which begins with the first of it, and returns the receipt.
    pub async fn prove(&self, core: &Core, db: Did, entry: Entry, old: Option<u64>) -> Result<Vec<u8>, StoreRefusal> {
        let user = entry.header().author;
        let appended = self.add(core, Partition { db, user, kind: LogKind::Proofs, holds: false }, entry).await?;
        self.acknowledged(core, &appended, old).await
    }

    /// Puts an invitation before a user. Of what else is there its sender is told nothing.
    pub async fn invite(&self, core: &Core, db: Did, user: Did, entry: Entry) -> Result<(), StoreRefusal> {
        self.add(core, Partition { db, user, kind: LogKind::Invitations, holds: false }, entry).await.map(drop)
    }

    async fn add(&self, core: &Core, partition: Partition, entry: Entry) -> Result<Appended, StoreRefusal> {
        let added = self.add_checked(core, partition, entry).await;
        let counter = if added.is_ok() { &self.entries } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        added
    }

    async fn add_checked(&self, core: &Core, mut partition: Partition, entry: Entry) -> Result<Appended, StoreRefusal> {
        if self.anchors.are_rolled_back() {
            return Err(StoreRefusal::RolledBack);
        }
        let author = &entry.header().author;
        is_device(core, author, &entry.header().device).await?;
        // Whoever may make databases of their own would have as many voices as these.
        if newest(core, author).await?.is_none_or(|state| state.kind != DidKind::User) {
            return Err(AppendRefusal::NotWriter.into());
        }
        // The users of a database are those of the log of names where it is: it does not move.
        entry.verify(&core.origin)?;
        // Whoever else asks is not told who is a member of what.
        if partition.kind == LogKind::Proofs
            && let Ok(Proof::Member(proof)) = Proof::decode(entry.body())
        {
            partition.holds = self.holds(core, &proof, &partition.user).await?;
        }
        let now_ms = core.clock.now().as_ms();
        let (entries, partition) = (vec![entry], Some(partition));
        let append = Append { entries, now_ms, payer: None, home: None, arrives: None, partition };
        Ok(self.store.append(append).await?)
    }

    /// Returns whether a grant makes `user` a member: of a database that is here, now; of another one of this zone, by the word of who signed it.
    async fn holds(&self, core: &Core, proof: &Membership, user: &Did) -> Result<bool, StoreRefusal> {
        let is_signed = proof.grant.verify(&core.origin).is_ok();
        Ok(match self.store.proves(proof, user, now_s(core)).await? {
            Some(stands) => is_signed && stands,
            None => {
                let until_s = proof.to(user).map_or(0, |(_, until_s)| until_s);
                is_signed && now_s(core) < until_s && proof.grant.header().log == LogId::control(&proof.db)
            }
        })
    }
}
