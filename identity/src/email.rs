//! E-mail addresses in their one form: what an alias is computed of (PROTOCOL 3.5).

/// An address in its normal form. It is never printed: `Debug` says no more than that there is one.
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

/// Why a text is no address. Code `bad_address`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no e-mail address: one @ between a name and an ASCII domain of two labels or more, without spaces")]
pub struct NotEmail;

impl NotEmail {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        "bad_address"
    }
}

impl Email {
    /// Reads an address: white space around it goes, the last `@` splits it, ASCII letters become lower case. Dots and plus tags stay.
    ///
    /// A domain outside ASCII is written in its `xn--` form; another spelling would be another alias.
    pub fn parse(text: &str) -> Result<Self, NotEmail> {
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@').ok_or(NotEmail)?;
        let is_printed = |c: char| !c.is_whitespace() && !c.is_control();
        let local_fits = (1..=LOCAL_BYTES_MAX).contains(&local.len()) && local.chars().all(is_printed);
        let is_label = |label: &str| {
            let of_label = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            (1..=63).contains(&label.len()) && of_label && !label.starts_with('-') && !label.ends_with('-')
        };
        let domain_fits = domain.len() <= DOMAIN_BYTES_MAX && domain.contains('.') && domain.split('.').all(is_label);
        if local_fits && domain_fits { Ok(Self(text.to_ascii_lowercase())) } else { Err(NotEmail) }
    }

    /// Returns the address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Debug for Email {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Email(..)")
    }
}

/// The bytes of the part before the `@` (RFC 5321, 4.5.3.1.1).
const LOCAL_BYTES_MAX: usize = 64;

/// The bytes of a domain (RFC 5321, 4.5.3.1.2).
const DOMAIN_BYTES_MAX: usize = 255;
