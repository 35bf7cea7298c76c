//! Subscription databases: a partition a user, of which nothing is said to anybody (PROTOCOL 25.20).

use identity::did::Did;

use super::{Acl, AclRefusal};
use crate::store::control::{Control, DbKind};
use crate::store::entry::{Class, Header, LogId, LogKind};
use crate::store::partition;

impl Acl {
    /// Refuses groups, of which others would be told, in a database whose users are kept apart, and what its users do not go along with.
    pub(super) fn is_apart(&self, control: &Control) -> Result<(), AclRefusal> {
        match control {
            _ if self.kind != DbKind::Subscription => Ok(()),
            Control::Grant { .. }
            | Control::Revoke { .. }
            | Control::KeyEpoch { .. }
            | Control::Log { .. }
            | Control::Trim { .. } => Err(AclRefusal::NoGroups),
            Control::Moved { .. } | Control::Fork { .. } => Err(AclRefusal::Stays),
            Control::Genesis { .. }
            | Control::Owner { .. }
            | Control::Leave
            | Control::Delete { .. }
            | Control::Tombstone { .. } => Ok(()),
        }
    }

    /// Returns whether an entry may stand in a log of the partition of `user`: proofs are the user's own, invitations anybody's.
    pub fn is_of_partition(&self, user: &Did, kind: LogKind, header: &Header) -> bool {
        let is_theirs = kind == LogKind::Invitations || header.author == *user;
        let log = LogId::of(&self.did, 0, kind, &partition::label(user));
        self.kind == DbKind::Subscription
            && kind.is_of_user()
            && is_theirs
            && header.class == Class::Plain
            && header.log == log
    }
}
