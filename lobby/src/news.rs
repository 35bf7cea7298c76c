//! News: that a log of a name grew (PROTOCOL 23.14). A log is named by a hash of its path, so that whoever passes the news on does not
//! learn what it is called.

use identity::cert::KeyBytes;
use identity::hash::domain_hash;

use crate::message::{Form, FrameError, Value};

/// A log of a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    /// The name under which its host registers.
    pub name: String,
    /// Which of the name's logs.
    pub log: [u8; 16],
}

/// A log, and how large it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The log.
    pub site: Site,
    /// Its bytes.
    pub size: u64,
}

/// A change of what a device joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What becomes of it.
    pub what: What,
    /// The device.
    pub device: KeyBytes,
    /// The log.
    pub site: Site,
}

/// What becomes of a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// 0: it begins.
    Join,
    /// 1: nothing is said of the log for so many ms.
    Mute(u64),
    /// 2: it is spoken of again.
    Unmute,
    /// 3: it ends.
    Leave,
}

impl Site {
    /// Returns the log of a name that has this path: the first 16 bytes of `H(site; name, path)`.
    pub fn new(name: &str, path: &str) -> Self {
        let length = u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes();
        let hash = domain_hash("dgns/site/v1", &[&length, name.as_bytes(), path.as_bytes()]);
        let mut log = [0; 16];
        log.copy_from_slice(&hash[..16]);
        Self { name: name.to_owned(), log }
    }
}

impl News {
    /// Returns it as a field: `[name, log 16, size]`.
    pub fn to_value(&self) -> Value<'_> {
        let Site { name, log } = &self.site;
        Value::List(vec![name.as_str().into(), log[..].into(), Value::Uint(self.size)])
    }

    /// Reads it from a field.
    pub fn of_value(value: &Value, form: Form) -> Result<Self, FrameError> {
        let [name, log, size] = value.list()? else { return Err(FrameError::BadFrame) };
        Ok(Self { site: Site { name: name.text()?.to_owned(), log: log.fixed(form)? }, size: size.uint()? })
    }
}

impl Change {
    /// Returns it as a field: `[what, device 32, name, log 16, ms]`.
    pub fn to_value(&self) -> Value<'_> {
        let (what, ms) = match self.what {
            What::Join => (0, 0),
            What::Mute(ms) => (1, ms),
            What::Unmute => (2, 0),
            What::Leave => (3, 0),
        };
        let Site { name, log } = &self.site;
        Value::List(vec![
            Value::Uint(what),
            self.device[..].into(),
            name.as_str().into(),
            log[..].into(),
            Value::Uint(ms),
        ])
    }

    /// Reads it from a field.
    pub fn of_value(value: &Value, form: Form) -> Result<Self, FrameError> {
        let [what, device, name, log, ms] = value.list()? else { return Err(FrameError::BadFrame) };
        let what = match (what.uint()?, ms.uint()?) {
            (0, 0) => What::Join,
            (1, ms) => What::Mute(ms),
            (2, 0) => What::Unmute,
            (3, 0) => What::Leave,
            _ => return Err(FrameError::BadFrame),
        };
        let site = Site { name: name.text()?.to_owned(), log: log.fixed(form)? };
        Ok(Self { what, device: device.fixed(form)?, site })
    }
}
