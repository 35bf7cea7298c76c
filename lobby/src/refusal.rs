//! What the lobby refuses, and with which code it closes a connection (PROTOCOL 23.8).

use identity::token::TokenRefusal;

/// Why the lobby does not do what a frame asks, or ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Not a frame of this form. Code `bad_frame`; closes with 1007.
    #[error("not a frame of this protocol")]
    BadFrame,
    /// A frame above 16 KiB. Code `too_large`; closes with 1009.
    #[error("a frame has at most 16,384 bytes")]
    TooLarge,
    /// Text where bytes are spoken, or the reverse. Code `bad_form`; closes with 1003.
    #[error("this connection speaks the other form of frames")]
    BadForm,
    /// A frame type that this server does not know. Code `unknown_type`.
    #[error("this server does not know frames of this type")]
    UnknownType,
    /// No hello in five seconds. Code `hello_timeout`; closes with 1008.
    #[error("no hello came in time")]
    HelloTimeout,
    /// A hello for another challenge or URL, or whose signature does not hold. Code `bad_hello`; closes with 4001.
    #[error("the hello is not for this connection, or its signature does not hold")]
    BadHello,
    /// Another frame before the hello, or a second hello. Code `bad_order`; closes with 1008.
    #[error("a connection begins with one hello")]
    BadOrder,
    /// A key that may enter no chain. Code `weak_key`; closes with 4001.
    #[error("a key of small order or with torsion")]
    WeakKey,
    /// The DID has no such live device. Code `unknown_device`; closes with 4001.
    #[error("the log has no such live device")]
    UnknownDevice,
    /// The lobby lets no guests in. Code `no_guests`; closes with 4001.
    #[error("this lobby lets no guests in")]
    NoGuests,
    /// The device lost its power while it was connected. Code `revoked`; closes with 4001.
    #[error("this device was revoked")]
    Revoked,
    /// The same device and instance connected again. Code `replaced`; closes with 4000.
    #[error("this device connected again")]
    Replaced,
    /// What the hello says it received is not what was sent. Code `hello_mismatch`; closes with 4001.
    #[error("what was received is not what was sent; begin anew")]
    HelloMismatch,
    /// The name is not one of the DID's. Code `not_host`.
    #[error("the log does not give this name to this DID")]
    NotHost,
    /// The session does not host this name. Code `not_registered`.
    #[error("this session does not host this name")]
    NotRegistered,
    /// The registration was not renewed. Code `lease_over`.
    #[error("the registration was not renewed in time")]
    LeaseOver,
    /// Not a card of the form, or not one of this session for this sess. Code `bad_card`.
    #[error("not a card of this device for this sess")]
    BadCard,
    /// No such sess, or its other end is gone. Code `unknown_sess`.
    #[error("the other end of this sess is not here")]
    UnknownSess,
    /// Nobody answered. Code `unavailable`.
    #[error("nobody answers under this name")]
    Unavailable,
    /// An update for another version. Code `version`.
    #[error("what is joined has another version; ask for it first")]
    Version,
    /// This node does not do this; another does. Code `not_here`.
    #[error("not kept by this server")]
    NotHere,
    /// No push service that is pushed to. Code `bad_endpoint`.
    #[error("an https URL of a push service, and keys of a browser")]
    BadEndpoint,
    /// A handle that was not leased. Code `bad_handle`.
    #[error("not leased in this session")]
    BadHandle,
    /// A token in the hello counts for nothing, by its code; closes with 4001. Of one that is revoked later only leases end.
    #[error("{0}")]
    Token(TokenRefusal),
    /// What was leased is not leased for this. Code `no_right`.
    #[error("not leased for this")]
    NoRight,
    /// The log does not take it. Code `not_taken`.
    #[error("the log does not take this certificate")]
    NotTaken,
    /// Too fast. Code `rate`, with `retry_ms`.
    #[error("too many of these; wait")]
    Rate,
    /// Too many at once. Code `quota`.
    #[error("too many of these at once")]
    Quota,
    /// The server has no room. Code `busy`, with `retry_ms`; closes with 1013.
    #[error("the server has no room now")]
    Busy,
    /// The client does not read. Code `overflow`; closes with 1013.
    #[error("too much waits to be read")]
    Overflow,
    /// Nothing was heard for a minute. Code `dead`; closes with 1001.
    #[error("nothing was heard for too long")]
    Dead,
    /// The server stops. Code `restarting`; closes with 1012.
    #[error("the server restarts")]
    Restarting,
    /// The server failed. Code `internal`; closes with 1011.
    #[error("the server failed")]
    Internal,
}

impl Refusal {
    /// Every refusal.
    pub const ALL: &[Self] = &[
        Self::BadFrame,
        Self::TooLarge,
        Self::BadForm,
        Self::UnknownType,
        Self::HelloTimeout,
        Self::BadHello,
        Self::BadOrder,
        Self::WeakKey,
        Self::UnknownDevice,
        Self::NoGuests,
        Self::Revoked,
        Self::Replaced,
        Self::HelloMismatch,
        Self::NotHost,
        Self::NotRegistered,
        Self::LeaseOver,
        Self::BadCard,
        Self::UnknownSess,
        Self::Unavailable,
        Self::Version,
        Self::NotHere,
        Self::BadEndpoint,
        Self::BadHandle,
        Self::Token(TokenRefusal::Malformed),
        Self::Token(TokenRefusal::Mac),
        Self::Token(TokenRefusal::Audience),
        Self::Token(TokenRefusal::Early),
        Self::Token(TokenRefusal::Expired),
        Self::Token(TokenRefusal::Device),
        Self::Token(TokenRefusal::Revoked),
        Self::NoRight,
        Self::NotTaken,
        Self::Rate,
        Self::Quota,
        Self::Busy,
        Self::Overflow,
        Self::Dead,
        Self::Restarting,
        Self::Internal,
    ];

    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BadFrame => "bad_frame",
            Self::TooLarge => "too_large",
            Self::BadForm => "bad_form",
            Self::UnknownType => "unknown_type",
            Self::HelloTimeout => "hello_timeout",
            Self::BadHello => "bad_hello",
            Self::BadOrder => "bad_order",
            Self::WeakKey => "weak_key",
            Self::UnknownDevice => "unknown_device",
            Self::NoGuests => "no_guests",
            Self::Revoked => "revoked",
            Self::Replaced => "replaced",
            Self::HelloMismatch => "hello_mismatch",
            Self::NotHost => "not_host",
            Self::NotRegistered => "not_registered",
            Self::LeaseOver => "lease_over",
            Self::BadCard => "bad_card",
            Self::UnknownSess => "unknown_sess",
            Self::Unavailable => "unavailable",
            Self::Version => "version",
            Self::NotHere => "not_here",
            Self::BadEndpoint => "bad_endpoint",
            Self::BadHandle => "bad_handle",
            Self::Token(refusal) => refusal.code(),
            Self::NoRight => "no_right",
            Self::NotTaken => "not_taken",
            Self::Rate => "rate",
            Self::Quota => "quota",
            Self::Busy => "busy",
            Self::Overflow => "overflow",
            Self::Dead => "dead",
            Self::Restarting => "restarting",
            Self::Internal => "internal",
        }
    }

    /// Returns the WebSocket code that a connection is closed with for this; 1008 for what closes none by itself.
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Dead => 1001,
            Self::BadForm => 1003,
            Self::BadFrame => 1007,
            Self::TooLarge => 1009,
            Self::Internal => 1011,
            Self::Restarting => 1012,
            Self::Busy | Self::Overflow => 1013,
            Self::Replaced => 4000,
            Self::BadHello
            | Self::WeakKey
            | Self::UnknownDevice
            | Self::NoGuests
            | Self::Revoked
            | Self::HelloMismatch
            | Self::Token(_) => 4001,
            _ => 1008,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_a_code_of_its_own() {
        let mut codes: Vec<&str> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Refusal::ALL.len());
    }
}
