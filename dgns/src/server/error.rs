//! Why a server did not start or had to stop.

use std::net::SocketAddr;
use std::path::PathBuf;

use storage::StorageError;

use crate::dns;
use crate::dns::acme::RootsError;
use crate::dns::edge::EdgeError;
use crate::dns::tls::TlsFileError;
use crate::follow::FollowError;
use crate::keys::KeyFileError;
use crate::log::announcer::AnnounceError;
use crate::log::door::DoorError;
use crate::log::publisher::PublishError;
use crate::log::restart::RestartError;
use crate::recovery::RecoveryServerError;
use crate::setup::SetupError;
use crate::witness::roles::RolesError;

/// Why a server did not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The data directory.
    #[error("data directory {path}: {error}", path = .path.display())]
    Data {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The first start.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A key file that is made or read after the first start.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The certificate of encrypted DNS.
    #[error(transparent)]
    Tls(#[from] TlsFileError),
    /// What an edge copies from, or with.
    #[error(transparent)]
    Edge(#[from] EdgeError),
    /// The keeper of a log signs its zone itself.
    #[error(
        "dns.dnssec: \"copy\" is for a follower (--follow URL), which copies signatures; this server makes them: true or false"
    )]
    NothingToCopy,
    /// The authority that is to give it.
    #[error(transparent)]
    Acme(#[from] RootsError),
    /// The database or an object.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The zone's settings, or the operator's records, cannot be served by DNS.
    #[error(transparent)]
    Zone(#[from] dns::feed::FeedError),
    /// What is stored does not fit together: exit 3.
    #[error(transparent)]
    Restart(#[from] RestartError),
    /// An address cannot be bound.
    #[error("cannot listen on {address}: {error}; is another server running? Other addresses: --http, --dns")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The bus of the lobby's nodes cannot be used.
    #[error("nats: {0}")]
    Bus(String),
    /// The configured zone is not the log's.
    #[error("this log's zone has no terms for {zone}: the data directory belongs to another zone")]
    OtherZone {
        /// The configured zone.
        zone: String,
    },
    /// The zone key file is not the certified one.
    #[error("keys/zone.key is not the key the log certifies; put the right key file back")]
    WrongZoneKey,
    /// The shares of people's keys.
    #[error(transparent)]
    Recovery(#[from] RecoveryServerError),
    /// The cosigners of other logs.
    #[error(transparent)]
    Witness(#[from] RolesError),
    /// The log does not take what the server says in its own chain.
    #[error("the server's own certificate is not taken into the log: {0}")]
    Own(DoorError),
    /// The data directory is not one for this start.
    #[error("the data directory is for another kind of start: {what}")]
    OtherRole {
        /// Why.
        what: &'static str,
    },
    /// A follower did not begin or had to stop.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The publisher had to stop.
    #[error("the log stopped: {0}")]
    Publish(#[from] PublishError),
    /// A witness saw more of this log than there is, or a head that has its quorum cannot be stored.
    #[error(transparent)]
    Announce(#[from] AnnounceError),
}

impl ServerError {
    /// Returns whether the stored history itself is at fault, so that signing could fork it.
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Storage(error)
            | Self::Restart(RestartError::Storage(error))
            | Self::Announce(AnnounceError::Storage(error))
            | Self::Publish(PublishError::Storage(error))
            | Self::Follow(FollowError::Storage(error)) => error.is_damage(),
            Self::Restart(_) | Self::Publish(_) | Self::Announce(_) => true,
            Self::Witness(error) => error.is_fault(),
            Self::Recovery(error) => error.is_fault(),
            Self::Follow(error) => matches!(error, FollowError::NotCommitted(_) | FollowError::Fault(_)),
            _ => false,
        }
    }
}
