//! TSIG: messages that two servers who share a secret sign for each other (RFC 8945).
//!
//! Signed are the message as it was before its TSIG record, the record's own data, and, in answers, the MAC before: an answer is of its query
//! alone, and no message of many can be left out.

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE64;
use ring::hmac as macs;
use zeroize::Zeroizing;

use super::name::{self, WireName};
use super::query::HEADER_BYTES;
use super::wire::{self, Malformed};

pub(crate) const TYPE_TSIG: u16 = 250;
const CLASS_ANY: u16 = 255;

/// How far two clocks may be apart, seconds, in what is signed here.
const FUDGE_S: u16 = 300;

/// The fewest bytes of a secret: half of what SHA-256 has.
const SECRET_BYTES_MIN: usize = 16;

/// The fewest bytes of a MAC that can be one at all (RFC 8945 section 5.2.2.1).
const MAC_BYTES_MIN: usize = 10;

/// A secret that this server shares with another one.
pub struct Key {
    /// Its name in wire form, the final zero included, lower case.
    name: Vec<u8>,
    algorithm: &'static Algorithm,
    key: macs::Key,
}

/// The line is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "should be one line, algorithm:name:secret, such as `keymgr -t NAME` prints: hmac-sha256, -sha384 or -sha512, and base64 of 16 bytes or more"
)]
pub struct BadKey;

/// How a MAC is made.
#[derive(Debug)]
struct Algorithm {
    text: &'static str,
    of: &'static macs::Algorithm,
}

static ALGORITHMS: [Algorithm; 3] = [
    Algorithm { text: "hmac-sha256", of: &macs::HMAC_SHA256 },
    Algorithm { text: "hmac-sha384", of: &macs::HMAC_SHA384 },
    Algorithm { text: "hmac-sha512", of: &macs::HMAC_SHA512 },
];

/// The TSIG record that ends a message.
#[derive(Debug)]
pub(crate) struct Tsig {
    /// Where the record begins.
    begins: usize,
    key: WireName,
    algorithm: WireName,
    time_s: u64,
    fudge_s: u16,
    mac: Vec<u8>,
    id: u16,
    error: u16,
    other: Vec<u8>,
}

/// Why a signature does not hold; the number is that of the TSIG error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Fault {
    /// The MAC is another one.
    Signature = 16,
    /// Nobody here knows the key.
    Key = 17,
    /// The clocks are too far apart.
    Time = 18,
    /// The MAC is cut.
    Truncated = 22,
}

/// What signs the messages of one exchange, each over the one before.
#[derive(Debug)]
pub(crate) struct Chain {
    key: Arc<Key>,
    /// The MAC before; empty: there is none.
    mac: Vec<u8>,
    /// Answers were signed already: those after the first sign their time alone.
    goes_on: bool,
}

impl Key {
    /// Reads `algorithm:name:secret`, as `dig -y` and `kdig -y` take it.
    pub fn parse(line: &str) -> Result<Self, BadKey> {
        let [algorithm, text, secret] = line.trim().split(':').collect::<Vec<_>>()[..] else { return Err(BadKey) };
        let algorithm = ALGORITHMS.iter().find(|known| known.text.eq_ignore_ascii_case(algorithm)).ok_or(BadKey)?;
        let mut name = name::labels_of(text.trim_end_matches('.')).filter(|name| !name.is_empty()).ok_or(BadKey)?;
        name.push(0);
        let secret = Zeroizing::new(BASE64.decode(secret.as_bytes()).map_err(|_| BadKey)?);
        if secret.len() < SECRET_BYTES_MIN {
            return Err(BadKey);
        }
        Ok(Self { name, algorithm, key: macs::Key::new(*algorithm.of, &secret) })
    }

    /// Returns the name as text.
    pub(crate) fn name(&self) -> String {
        name::text_of(&self.name)
    }

    /// Whether another key has the same name.
    pub(crate) fn is_namesake(&self, other: &Self) -> bool {
        self.name == other.name
    }

    /// Whether another key has the same name and secret.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && macs::verify(&self.key, b"", macs::sign(&other.key, b"").as_ref()).is_ok()
    }

    fn algorithm_name(&self) -> Vec<u8> {
        let labels = name::labels_of(self.algorithm.text).expect("a name of one label");
        [labels.as_slice(), &[0]].concat()
    }

    fn mac_bytes(&self) -> usize {
        self.algorithm.of.digest_algorithm().output_len()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.text, name::text_of(&self.name))
    }
}

/// Returns the TSIG record of a message, if it ends in one. Errors: it has one elsewhere, or one of another shape.
pub(crate) fn read(message: &[u8]) -> Result<Option<Tsig>, Malformed> {
    let (mut found, mut count, mut last) = (None, 0, 0);
    wire::walk(message, |section, begins, record| {
        last = begins;
        if record.rtype == TYPE_TSIG {
            count += 1;
            found = (section == 3).then_some((begins, record));
        }
    })?;
    match (count, found) {
        (0, _) => Ok(None),
        (1, Some((begins, record))) if begins == last && record.class == CLASS_ANY && record.ttl_s == 0 => {
            data(begins, record.owner, &record.rdata).map(Some).ok_or(Malformed)
        }
        _ => Err(Malformed),
    }
}

fn data(begins: usize, key: WireName, rdata: &[u8]) -> Option<Tsig> {
    let algorithm = WireName::read(rdata)?;
    let (fixed, rest) = rdata.get(algorithm.wire_len()..)?.split_first_chunk::<10>()?;
    let [t0, t1, t2, t3, t4, t5, f0, f1, m0, m1] = *fixed;
    let (mac, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([m0, m1])))?;
    let (&[i0, i1, e0, e1, o0, o1], other) = rest.split_first_chunk::<6>()?;
    if usize::from(u16::from_be_bytes([o0, o1])) != other.len() {
        return None;
    }
    Some(Tsig {
        begins,
        key,
        algorithm,
        time_s: u64::from_be_bytes([0, 0, t0, t1, t2, t3, t4, t5]),
        fudge_s: u16::from_be_bytes([f0, f1]),
        mac: mac.to_vec(),
        id: u16::from_be_bytes([i0, i1]),
        error: u16::from_be_bytes([e0, e1]),
        other: other.to_vec(),
    })
}

impl Tsig {
    /// Returns the message as it was before the record.
    pub(crate) fn message_before(&self, message: &[u8]) -> Vec<u8> {
        let mut before = message[..self.begins].to_vec();
        let additional = u16::from_be_bytes([message[10], message[11]]) - 1;
        before[..2].copy_from_slice(&self.id.to_be_bytes());
        before[10..HEADER_BYTES].copy_from_slice(&additional.to_be_bytes());
        before
    }

    /// Judges a query: its key, its MAC, its time, and whether the MAC is whole, in this order (RFC 8945 section 5.2). Returns what signs the
    /// answers; with [`Fault::Time`] and [`Fault::Truncated`] what signs that one answer. Errors: the fault; [`Malformed`] if the MAC is none
    /// of any length.
    pub(crate) fn judge(
        &self,
        message: &[u8],
        keys: &[Arc<Key>],
        now_s: u64,
    ) -> Result<(Option<Chain>, Option<Fault>), Malformed> {
        let named =
            |key: &&Arc<Key>| key.name == self.key.as_bytes() && key.algorithm_name() == self.algorithm.as_bytes();
        let Some(key) = keys.iter().find(named) else { return Ok((None, Some(Fault::Key))) };
        let whole = key.mac_bytes();
        if self.mac.len() > whole || self.mac.len() < MAC_BYTES_MIN.max(whole / 2) {
            return Err(Malformed);
        }
        if !self.holds(message, key, &[]) {
            return Ok((None, Some(Fault::Signature)));
        }
        let chain = Chain { key: key.clone(), mac: self.mac.clone(), goes_on: false };
        let fault = match (self.time_s.abs_diff(now_s) > u64::from(self.fudge_s), self.mac.len() < whole) {
            (true, _) => Some(Fault::Time),
            (false, true) => Some(Fault::Truncated),
            (false, false) => None,
        };
        Ok((Some(chain), fault))
    }

    /// Whether the MAC, or what is left of it, is that of the message, and of the MAC before it, if there was one.
    fn holds(&self, message: &[u8], key: &Key, before: &[u8]) -> bool {
        self.is_mac_of(message, key, before, &variables(key, self.time_s, self.fudge_s, self.error, &self.other))
    }

    /// The same of an answer that is not the first one.
    fn holds_behind(&self, message: &[u8], key: &Key, before: &[u8]) -> bool {
        self.is_mac_of(message, key, before, &times(self.time_s, self.fudge_s))
    }

    fn is_mac_of(&self, message: &[u8], key: &Key, before: &[u8], about: &[u8]) -> bool {
        let mut signed = chained(before);
        signed.extend_from_slice(&self.message_before(message));
        signed.extend_from_slice(about);
        let whole = macs::sign(&key.key, &signed);
        let whole = whole.as_ref();
        // All bytes are looked at, so that time tells nothing of them.
        let unlike = self.mac.iter().zip(whole).fold(0, |unlike, (ours, theirs)| unlike | (ours ^ theirs));
        std::hint::black_box(unlike) == 0
            && (MAC_BYTES_MIN.max(whole.len() / 2)..=whole.len()).contains(&self.mac.len())
    }

    /// Ends an answer that says why the signature of its query does not hold, and is not signed itself.
    pub(crate) fn refuse(&self, fault: Fault, answer: &mut Vec<u8>) {
        let record = Written { time_s: self.time_s, fudge_s: FUDGE_S, mac: &[], error: fault as u16, other: &[] };
        record.end(self.key.as_bytes(), self.algorithm.as_bytes(), answer);
    }

    /// Ends an answer that says, signed, that the clocks are too far apart, and what time it is here; or that the MAC was cut.
    pub(crate) fn refuse_signed(&self, fault: Fault, mut chain: Chain, answer: &mut Vec<u8>, now_s: u64) {
        match fault {
            Fault::Time => chain.write(answer, self.time_s, fault as u16, &now_s.to_be_bytes()[2..]),
            _ => chain.write(answer, now_s, fault as u16, &[]),
        }
    }

    /// Returns the MAC: of a query that holds, what tells it from every other.
    pub(crate) fn mac(&self) -> &[u8] {
        &self.mac
    }

    /// Returns what it says was wrong; zero: nothing.
    #[cfg(test)]
    pub(crate) fn error(&self) -> u16 {
        self.error
    }

    /// Returns the last second at which it can hold.
    pub(crate) fn until_s(&self) -> u64 {
        self.time_s.saturating_add(u64::from(self.fudge_s))
    }
}

impl Chain {
    /// Returns what signs a message that answers none.
    pub(crate) fn begin(key: Arc<Key>) -> Self {
        Self { key, mac: Vec::new(), goes_on: false }
    }

    /// Returns the key.
    pub(crate) fn key(&self) -> &Arc<Key> {
        &self.key
    }

    /// Signs the next message.
    pub(crate) fn sign(&mut self, message: &mut Vec<u8>, now_s: u64) {
        self.write(message, now_s, 0, &[]);
    }

    /// Returns the most bytes that a signature adds to a message.
    pub(crate) fn bytes(&self) -> usize {
        self.key.name.len() + self.key.algorithm_name().len() + self.key.mac_bytes() + 26
    }

    /// Whether `answer` is signed as one to the message that was signed last, about now.
    pub(crate) fn is_answered_by(&self, answer: &[u8], now_s: u64) -> bool {
        let Ok(Some(tsig)) = read(answer) else { return false };
        let is_its = tsig.key.as_bytes() == self.key.name && tsig.error == 0 && tsig.mac.len() == self.key.mac_bytes();
        is_its && tsig.holds(answer, &self.key, &self.mac) && tsig.time_s.abs_diff(now_s) <= u64::from(tsig.fudge_s)
    }

    /// Whether `answer` is signed as the next one of several to the message that was signed last, about now. One that is not is the last that is judged.
    pub(crate) fn hears(&mut self, answer: &[u8], now_s: u64) -> bool {
        let Ok(Some(tsig)) = read(answer) else { return false };
        let is_its = tsig.key.as_bytes() == self.key.name && tsig.error == 0 && tsig.mac.len() == self.key.mac_bytes();
        let holds = match self.goes_on {
            true => tsig.holds_behind(answer, &self.key, &self.mac),
            false => tsig.holds(answer, &self.key, &self.mac),
        };
        // Behind the first one the MAC is not over these.
        let is_so = tsig.algorithm.as_bytes() == self.key.algorithm_name() && tsig.other.is_empty();
        (self.goes_on, self.mac) = (true, tsig.mac);
        is_its && is_so && holds && tsig.time_s.abs_diff(now_s) <= u64::from(tsig.fudge_s)
    }

    fn write(&mut self, message: &mut Vec<u8>, time_s: u64, error: u16, other: &[u8]) {
        let mut signed = chained(&self.mac);
        signed.extend_from_slice(message);
        match self.goes_on {
            true => signed.extend_from_slice(&times(time_s, FUDGE_S)),
            false => signed.extend_from_slice(&variables(&self.key, time_s, FUDGE_S, error, other)),
        }
        self.goes_on = !self.mac.is_empty();
        self.mac = macs::sign(&self.key.key, &signed).as_ref().to_vec();
        let record = Written { time_s, fudge_s: FUDGE_S, mac: &self.mac, error, other };
        record.end(&self.key.name, &self.key.algorithm_name(), message);
    }
}

/// The data of a TSIG record to be written.
struct Written<'w> {
    time_s: u64,
    fudge_s: u16,
    mac: &'w [u8],
    error: u16,
    other: &'w [u8],
}

impl Written<'_> {
    /// Ends a message with the record.
    fn end(&self, key: &[u8], algorithm: &[u8], message: &mut Vec<u8>) {
        let id = [message[0], message[1]];
        let length = algorithm.len() + 16 + self.mac.len() + self.other.len();
        message.extend_from_slice(key);
        message.extend_from_slice(&TYPE_TSIG.to_be_bytes());
        message.extend_from_slice(&CLASS_ANY.to_be_bytes());
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(&(length as u16).to_be_bytes());
        message.extend_from_slice(algorithm);
        message.extend_from_slice(&times(self.time_s, self.fudge_s));
        message.extend_from_slice(&(self.mac.len() as u16).to_be_bytes());
        message.extend_from_slice(self.mac);
        message.extend_from_slice(&id);
        message.extend_from_slice(&self.error.to_be_bytes());
        message.extend_from_slice(&(self.other.len() as u16).to_be_bytes());
        message.extend_from_slice(self.other);
        let additional = u16::from_be_bytes([message[10], message[11]]) + 1;
        message[10..HEADER_BYTES].copy_from_slice(&additional.to_be_bytes());
    }
}

/// What is signed of the MAC before.
fn chained(mac: &[u8]) -> Vec<u8> {
    match mac.is_empty() {
        true => Vec::new(),
        false => [&(mac.len() as u16).to_be_bytes(), mac].concat(),
    }
}

/// What is signed of the record (RFC 8945 section 4.3.3).
fn variables(key: &Key, time_s: u64, fudge_s: u16, error: u16, other: &[u8]) -> Vec<u8> {
    let mut bytes = key.name.clone();
    bytes.extend_from_slice(&CLASS_ANY.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&key.algorithm_name());
    bytes.extend_from_slice(&times(time_s, fudge_s));
    bytes.extend_from_slice(&error.to_be_bytes());
    bytes.extend_from_slice(&(other.len() as u16).to_be_bytes());
    bytes.extend_from_slice(other);
    bytes
}

fn times(time_s: u64, fudge_s: u16) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..6].copy_from_slice(&time_s.to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&fudge_s.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests;
