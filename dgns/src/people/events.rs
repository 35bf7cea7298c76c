//! What a DID's devices are told (PROTOCOL 12.11): kinds, and where to look.

use data_encoding::HEXLOWER;
use identity::cert::{Kid, Sid};
use serde_json::{Map, Value};

/// The kinds, each with its number in the database and its name in the stream.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $number:literal $name:literal,)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum EventKind { $($(#[$doc])* $kind = $number,)* }

        impl EventKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// Returns the name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }
        }
    };
}

kinds! {
    /// A device asks to belong to the DID; `session` is where it waits.
    Pair = 1 "pair",
    /// Somebody signed in to an account that leads to the DID; or a sign-in to an alias of it was attested at `index`.
    Login = 2 "login",
    /// An act waits since `index`.
    Pending = 3 "pending",
    /// An act that waits takes effect soon, at `due_ms`.
    Due = 4 "due",
    /// An act was opposed.
    Veto = 5 "veto",
    /// A quarrel froze the DID.
    Frozen = 6 "frozen",
    /// An act no longer waits: it took effect, lapsed or died.
    Settled = 7 "settled",
    /// A device was suspended.
    Suspended = 8 "suspended",
    /// A device was revoked.
    Revoked = 9 "revoked",
    /// A recovery began.
    RecoveryOpen = 10 "recovery_open",
    /// A recovery was proved.
    RecoveryProved = 11 "recovery_proved",
    /// A sign-in was disputed.
    Disputed = 12 "disputed",
    /// The user key is to be turned.
    UserKeyStale = 13 "user_key_stale",
    /// A guard was used twice.
    GuardReused = 14 "guard_reused",
    /// A grant came.
    Grant = 15 "grant",
    /// Sealed mail came.
    Envelope = 16 "envelope",
    /// A device was added.
    DeviceAdded = 17 "device_added",
    /// The user key was turned.
    UserKey = 18 "user_key",
}

impl EventKind {
    /// Returns whether it is also pushed to devices: somebody may have to stop it.
    pub fn is_pushed(self) -> bool {
        use EventKind::*;
        matches!(
            self,
            DeviceAdded | Suspended | Revoked | Pending | Due | Veto | Frozen | RecoveryOpen | RecoveryProved
        )
    }

    /// Returns the kind with this number.
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| *kind as u8 == number)
    }
}

/// Where to look; a hint that proves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventData {
    /// When it happened by the server's clock, ms.
    pub at_ms: u64,
    /// The log index of the certificate.
    pub index: Option<u64>,
    /// The act.
    pub act: Option<Sid>,
    /// The device.
    pub kid: Option<Kid>,
    /// The pairing.
    pub session: Option<[u8; 16]>,
    /// When it takes effect, epoch ms.
    pub due_ms: Option<u64>,
}

impl EventData {
    /// Returns it as the stream carries it.
    pub fn to_json(self) -> String {
        let mut map = Map::new();
        let mut put = |name: &str, value: Option<Value>| value.map(|value| map.insert(name.to_owned(), value));
        put("at_ms", Some(self.at_ms.into()));
        put("index", self.index.map(Into::into));
        put("act", self.act.map(|act| HEXLOWER.encode(&act).into()));
        put("kid", self.kid.map(|kid| HEXLOWER.encode(&kid.0).into()));
        put("session", self.session.map(|session| HEXLOWER.encode(&session).into()));
        put("due_ms", self.due_ms.map(Into::into));
        Value::Object(map).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_own_number_and_name() {
        for (place, kind) in EventKind::ALL.iter().enumerate() {
            assert_eq!(EventKind::of(*kind as u8), Some(*kind));
            assert!(EventKind::ALL[place + 1..].iter().all(|other| other.name() != kind.name()));
        }
        assert_eq!(EventKind::of(0), None);
    }
}
