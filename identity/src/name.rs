//! Names, zones and origins (PROTOCOL 2). A value of these types obeys the grammar.

use core::fmt;

use crate::limits::{FIRST_LABEL_BYTES_MIN, LABEL_BYTES_MAX, NAME_BYTES_MAX, NAME_LABELS_MAX, ZONE_BYTES_MAX};

/// The text is outside the grammar of names, zones or origins. Code `bad_name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("outside the grammar of names")]
pub struct NameError;

impl NameError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        "bad_name"
    }
}

/// The DNS zone whose names a log holds: lower case, absolute, without final dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zone(String);

impl Zone {
    /// Parses a zone: 1 or more labels, at most 90 bytes.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > ZONE_BYTES_MAX || !text.split('.').all(is_label) {
            return Err(NameError);
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the origin of the zone's log.
    pub fn origin(&self) -> Origin {
        Origin(format!("{}/log", self.0))
    }
}

/// The name of a log, `<zone>/log`: it stands in everything that is signed for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(String);

impl Origin {
    /// Parses an origin.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        Ok(Zone::parse(text.strip_suffix("/log").ok_or(NameError)?)?.origin())
    }

    /// Returns the text, ASCII and at most 94 bytes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the zone.
    pub fn zone(&self) -> Zone {
        let zone = self.0.strip_suffix("/log").expect("an origin is made of its zone");
        Zone(zone.to_owned())
    }
}

/// A name in a zone: absolute, lower case, without final dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Parses an absolute name of `zone`: 1..=4 labels below it, at most 100 bytes in all.
    pub fn parse(text: &str, zone: &Zone) -> Result<Self, NameError> {
        let relative = relative_part(text, zone).ok_or(NameError)?;
        if text.len() > NAME_BYTES_MAX || relative.split('.').count() > NAME_LABELS_MAX {
            return Err(NameError);
        }
        let mut labels = relative.rsplit('.');
        let first_level = labels.next().ok_or(NameError)?;
        if first_level.len() < FIRST_LABEL_BYTES_MIN || !is_claimable_label(first_level) {
            return Err(NameError);
        }
        if !labels.all(is_claimable_label) {
            return Err(NameError);
        }
        Ok(Self(text.to_owned()))
    }

    /// Parses what a person types: `alice` and `db.alice` are completed with the zone, an absolute name stays, a final dot goes.
    pub fn complete(text: &str, zone: &Zone) -> Result<Self, NameError> {
        if let Some(absolute) = text.strip_suffix('.') {
            return Self::parse(absolute, zone);
        }
        if relative_part(text, zone).is_some() {
            return Self::parse(text, zone);
        }
        Self::parse(&format!("{text}.{}", zone.as_str()), zone)
    }

    /// Returns the absolute name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the part below the zone, such as `db.alice`.
    pub fn relative(&self, zone: &Zone) -> &str {
        relative_part(&self.0, zone).unwrap_or(&self.0)
    }

    /// Returns the name directly above, or `None` for a name directly below the zone.
    pub fn parent(&self, zone: &Zone) -> Option<Self> {
        if self.is_first_level(zone) {
            return None;
        }
        self.0.split_once('.').map(|(_, parent)| Self(parent.to_owned()))
    }

    /// Returns the names above, the nearest first.
    pub fn ancestors<'z>(&self, zone: &'z Zone) -> impl Iterator<Item = Self> + use<'z> {
        core::iter::successors(self.parent(zone), |name| name.parent(zone))
    }

    /// Returns whether the name stands directly below the zone.
    pub fn is_first_level(&self, zone: &Zone) -> bool {
        !self.relative(zone).contains('.')
    }

    /// Returns whether nobody may claim the name (PROTOCOL 2.2).
    pub fn is_reserved(&self, zone: &Zone) -> bool {
        RESERVED.binary_search(&self.relative(zone)).is_ok()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns whether `text` is a host name of the zone that nobody can claim, because its label right below the zone is reserved (PROTOCOL 2.2).
pub fn is_the_operators(text: &str, zone: &Zone) -> bool {
    let Some(relative) = relative_part(text, zone).filter(|relative| relative.split('.').all(is_label)) else {
        return false;
    };
    let top = relative.rsplit('.').next().unwrap_or(relative);
    text.len() <= NAME_BYTES_MAX && RESERVED.binary_search(&top).is_ok()
}

/// Returns whether `text` could be a name of some zone: what a certificate's bytes alone can tell. [`Name::parse`] with the
/// log's zone decides.
pub fn is_well_formed(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX && text.contains('.') && text.split('.').all(is_label)
}

fn relative_part<'t>(text: &'t str, zone: &Zone) -> Option<&'t str> {
    text.strip_suffix(zone.as_str())?.strip_suffix('.')
}

fn is_claimable_label(label: &str) -> bool {
    is_label(label) && label.as_bytes().get(2..4) != Some(b"--")
}

/// Returns whether `label` is 1..=63 lower-case letters, digits and hyphens, no hyphen first or last (PROTOCOL 2.1).
pub fn is_label(label: &str) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// The bytes of a name in DNS, as text without its final dot.
pub(crate) const HOST_BYTES_MAX: usize = 253;

/// First-level labels that are the operator's or mislead: sorted.
const RESERVED: [&str; 63] = [
    "abuse",
    "account",
    "accounts",
    "admin",
    "administrator",
    "alt",
    "api",
    "app",
    "auth",
    "autoconfig",
    "autodiscover",
    "billing",
    "cdn",
    "dgns",
    "did",
    "dns",
    "example",
    "ftp",
    "help",
    "hostmaster",
    "imap",
    "info",
    "invalid",
    "isatap",
    "lobby",
    "local",
    "localhost",
    "log",
    "login",
    "mail",
    "monitor",
    "mta-sts",
    "mx",
    "noc",
    "ns",
    "ns0",
    "ns1",
    "ns2",
    "ns3",
    "ns4",
    "ns5",
    "ns6",
    "ns7",
    "ns8",
    "ns9",
    "onion",
    "openpgpkey",
    "pop",
    "postmaster",
    "recover",
    "recovery",
    "root",
    "security",
    "signin",
    "smtp",
    "static",
    "status",
    "support",
    "test",
    "webmaster",
    "witness",
    "wpad",
    "www",
];

#[cfg(test)]
mod tests;
