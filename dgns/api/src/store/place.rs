//! Where a database is: the server that keeps it, and the log of names in which that says how its logs stand (PROTOCOL 25.17).

use identity::cert::KeyBytes;
use identity::did::Did;
use identity::name::Origin;
use identity::wire::{Reader, WireError, Writer};

use super::limits::PLACE_URL_BYTES_MAX;

/// The server that a database moved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The DID of the server, that of entry 0 of its log of names.
    pub server: Did,
    /// Where it answers: 1 to 255 visible ASCII characters. Whether that is asked is the reader's to judge.
    pub url: String,
    /// The origin of its log of names.
    pub origin: Origin,
    /// The key that signs the heads of that log.
    pub key: KeyBytes,
}

impl Place {
    /// Writes its four items.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.bytes(self.server.as_bytes()).text(&self.url).text(self.origin.as_str()).bytes(&self.key);
    }

    /// Reads its four items.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let server = Did::from_bytes(reader.fixed()?);
        let url = reader.text()?;
        if !(1..=PLACE_URL_BYTES_MAX).contains(&url.len()) || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(WireError::Unexpected);
        }
        let url = url.to_owned();
        let origin = Origin::parse(reader.text()?).map_err(|_| WireError::Unexpected)?;
        Ok(Self { server, url, origin, key: reader.fixed()? })
    }
}
