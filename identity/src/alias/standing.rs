//! What a key that signed in with an alias may be taken for (PROTOCOL 22.1).

use crate::cert::Role;
use crate::key::kid_of;
use crate::state::{AliasState, Attested, DeviceStatus, DidState};

/// What a key that signed in may be taken for by whoever looks the alias up. The first that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A device of the owner, live or fresh: its chain says so, whatever the notary is worth.
    Device,
    /// A device of the owner that is suspended.
    Suspended,
    /// The owner said that it was somebody else.
    Disputed,
    /// The notary that saw it was revoked since, or is none.
    NotaryRevoked,
    /// The owner disputed another sign-in less than a week ago: none that is no device is taken for the holder's word.
    Breaker,
    /// Somebody signed in as the holder of the address.
    SignedIn,
}

impl Standing {
    /// Judges a key of `alias` by the newest states of its owner and of the log's server, at this epoch time.
    pub fn of(row: &Attested, alias: &AliasState, owner: &DidState, server: &DidState, epoch_ms: u64) -> Self {
        if let Some(device) = owner.devices.iter().find(|device| device.sign == row.sign && device.kex == row.kex) {
            return match device.status {
                DeviceStatus::Suspended => Self::Suspended,
                DeviceStatus::Live | DeviceStatus::Fresh => Self::Device,
            };
        }
        let mut notaries = server.authorities.iter().filter(|known| known.authority.role == Role::Notary);
        let notary = notaries.find(|known| kid_of(&known.authority.key) == row.notary && known.revoked_at.is_none());
        match notary {
            _ if row.disputed => Self::Disputed,
            None => Self::NotaryRevoked,
            Some(_) if epoch_ms < alias.breaker_ms => Self::Breaker,
            Some(_) => Self::SignedIn,
        }
    }

    /// Returns whether something may be sealed to the key.
    pub const fn may_receive(self) -> bool {
        matches!(self, Self::Device | Self::SignedIn)
    }

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Suspended => "suspended",
            Self::Disputed => "disputed",
            Self::NotaryRevoked => "notary_revoked",
            Self::Breaker => "breaker",
            Self::SignedIn => "signed_in",
        }
    }
}
