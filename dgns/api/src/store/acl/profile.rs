//! Profiles: databases that one person writes, with whatever device, and others read (PROTOCOL 25.19).

use identity::did::Did;
use identity::token::Rights;

use super::{Acl, AclRefusal};
use crate::store::control::{Control, DbKind};

impl Acl {
    /// Returns whose profile it is: whom the database made an owner first, whoever owns it since. `None` before that, and of other databases.
    pub fn person(&self) -> Option<&Did> {
        self.person.as_ref()
    }

    /// Refuses what would let anybody but its person write a profile, say who reads it, or own it.
    pub(super) fn is_single(&self, control: &Control) -> Result<(), AclRefusal> {
        let is_fit = match control {
            _ if self.kind != DbKind::Profile => true,
            Control::Grant { did, rights, .. } => *rights == Rights::READ || self.person.as_ref() == Some(did),
            Control::Owner { did, .. } => self.person.as_ref().is_none_or(|person| person == did),
            _ => true,
        };
        if is_fit { Ok(()) } else { Err(AclRefusal::SingleWriter) }
    }

    /// Notes whose profile it is, once that was said and taken.
    pub(super) fn name_person(&mut self, control: &Control) {
        if let (DbKind::Profile, None, Control::Owner { did, yes: true }) = (self.kind, &self.person, control) {
            self.person = Some(*did);
        }
    }
}
