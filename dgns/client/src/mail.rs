//! Letters: written to each device of a person, fetched, kept on this device and nowhere else (PROTOCOL 22).
//!
//! Order of a fetch: the letters are opened and kept (durable), and only then the server is told to forget them. A crash in
//! between brings the same letters again, which have the names they had.

use std::path::{Path, PathBuf};

use data_encoding::{BASE64, HEXLOWER};
use dgns_api::envelope::{self, Envelope};
use dgns_api::path;
use identity::alias::Standing;
use identity::cert::{KeyBytes, Level};
use identity::did::Did;
use identity::hash::sha256;
use identity::key::kid_of;
use identity::mail::{Letter, Recipient};
use identity::sealed::Sealed;
use identity::state::{DeviceStatus, DidState};
use serde::{Deserialize, Serialize};

use crate::aliases::FoundAlias;
use crate::error::ClientError;
use crate::session::{Session, Signer};
use crate::{clock, rng};

/// Where letters are kept, below the log's directory.
const DIRECTORY: &str = "inbox";

/// A key that a letter goes to.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    /// The key.
    pub recipient: Recipient,
    /// The alias it signed in with, if it is no device of the person.
    pub alias: Option<[u8; 32]>,
}

/// What became of a letter on its way to one key.
#[derive(Debug)]
pub struct Delivery {
    /// The key.
    pub address: Address,
    /// Whether it waits there now, or why not.
    pub outcome: Result<(), ClientError>,
}

/// A letter on this device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// What it is called here: hexadecimal digits.
    pub id: String,
    /// When it was fetched, seconds since 1970.
    pub received_s: u64,
    /// Who signed it, if the log had the key as a device of theirs when it was fetched.
    pub from: Option<Author>,
    /// Whether somebody signed it whom the log does not know so.
    pub doubtful: bool,
    /// The place it had at the server: later letters have later ones.
    place: u64,
    letter: String,
}

/// Who signed a letter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Author {
    /// The DID.
    pub did: String,
    /// Its first name, if it had one.
    pub name: Option<String>,
}

/// What a fetch brought.
#[derive(Debug, Default)]
pub struct Fetched {
    /// New letters, oldest first.
    pub new: Vec<Kept>,
    /// How many did not open, and are gone.
    pub unreadable: usize,
}

impl Kept {
    /// Returns the letter. Errors: a damaged file.
    pub fn letter(&self) -> Result<Letter, ClientError> {
        let bytes = BASE64.decode(self.letter.as_bytes()).ok();
        let letter = bytes.and_then(|bytes| Letter::decode(&bytes).ok());
        letter.ok_or_else(|| ClientError::Unable(format!("the letter {} is damaged; delete it", self.id)))
    }
}

/// Returns the devices of a person that receive letters: those that are not suspended and no hosts.
pub fn devices_of(state: &DidState) -> Vec<Address> {
    let receive = state.devices.iter().filter(|device| {
        device.level != Level::Service && device.status != DeviceStatus::Suspended && device.kex != [0; 32]
    });
    let address = |did, sign, kex| Address { recipient: Recipient { did, sign, kex }, alias: None };
    receive.map(|device| address(state.did, device.sign, device.kex)).collect()
}

/// Returns the keys that receive letters to a found address: the owner's devices, then whoever signed in as its holder.
pub fn addresses_of(found: &FoundAlias) -> Vec<Address> {
    let (Some(owner), Some(alias)) = (found.resolved.did(), found.resolved.alias()) else { return Vec::new() };
    let mut addresses = devices_of(owner);
    let signed_in = found.attested().filter(|(_, standing)| *standing == Standing::SignedIn);
    addresses.extend(signed_in.map(|(row, _)| Address {
        recipient: Recipient { did: owner.did, sign: row.sign, kex: row.kex },
        alias: Some(alias.alias),
    }));
    addresses
}

/// Signs a letter if there is a signer, seals it to each key and puts it before each.
pub async fn send(session: &Session, letter: Letter, to: &[Address], signer: Option<Signer<'_>>) -> Vec<Delivery> {
    let mut deliveries = Vec::with_capacity(to.len());
    for address in to {
        let letter = match signer {
            Some(Signer { did, keys }) => {
                letter.clone().signed(session.trust().origin(), &address.recipient.did, did, &keys.sign)
            }
            None => letter.clone(),
        };
        let outcome = put(session, &letter, address).await;
        deliveries.push(Delivery { address: *address, outcome });
    }
    deliveries
}

async fn put(session: &Session, letter: &Letter, to: &Address) -> Result<(), ClientError> {
    let sealed = letter.seal(&to.recipient, &mut rng::system());
    let sealed = sealed.map_err(|error| ClientError::Unable(error.to_string()))?;
    let envelope = Envelope { did: to.recipient.did, device: to.recipient.sign, sealed, alias: to.alias };
    session.post_envelope(envelope.encode()).await
}

/// Fetches what waits for this device, keeps it, and has the server forget it.
pub async fn fetch(session: &Session, signer: Signer<'_>) -> Result<Fetched, ClientError> {
    let (mut fetched, mut after) = (Fetched::default(), 0);
    loop {
        let target = format!("{}?after={after}", path::ENVELOPES);
        let answer = session.get_signed(signer, &target).await?;
        let waiting = envelope::decode_waiting(&answer);
        let waiting = waiting.map_err(|_| ClientError::Network("the list of what waits is none".into()))?;
        let Some((last, _)) = waiting.last() else { return Ok(fetched) };
        if *last <= after {
            return Err(ClientError::Network("the server shows the same mail again".into()));
        }
        after = *last;
        for (place, sealed) in waiting {
            match keep(session, signer, place, &sealed).await? {
                Some(kept) => fetched.new.push(kept),
                None => fetched.unreadable += 1,
            }
        }
    }
}

/// Opens and keeps a letter; `None` if it does not open.
async fn keep(session: &Session, signer: Signer<'_>, place: u64, sealed: &Sealed) -> Result<Option<Kept>, ClientError> {
    let (origin, keys) = (session.trust().origin(), signer.keys);
    let Ok(letter) = Letter::open(sealed, origin, &signer.did, &keys.sign.public(), &keys.kex) else {
        return Ok(None);
    };
    let (from, doubtful) = match letter.sender() {
        None => (None, false),
        Some(sender) => {
            let from = sender_of(session, &sender.did, &sender.key).await?;
            let unknown = from.is_none();
            (from, unknown)
        }
    };
    let id = HEXLOWER.encode(&sha256(&[&sealed.enc, &sealed.ct])[..6]);
    let letter = BASE64.encode(&letter.encode());
    let kept = Kept { id, received_s: clock::now().as_ms() / 1_000, from, doubtful, place, letter };
    session.log().keep_json(&file(&kept.id), &kept)?;
    Ok(Some(kept))
}

/// Returns who a key speaks for, if the log has it as a device that may.
async fn sender_of(session: &Session, did: &Did, key: &KeyBytes) -> Result<Option<Author>, ClientError> {
    let resolved = session.resolve_did(did).await?;
    let Some(state) = resolved.did() else { return Ok(None) };
    let device = state.device(&kid_of(key)).filter(|device| device.sign == *key);
    let speaks =
        device.is_some_and(|device| device.status != DeviceStatus::Suspended) && state.flags & DidState::ENDED == 0;
    Ok(speaks.then(|| Author { did: did.to_string(), name: state.names.first().cloned() }))
}

/// Returns the letters on this device, oldest first.
pub fn kept(session: &Session) -> Result<Vec<Kept>, ClientError> {
    let mut all = Vec::new();
    for name in session.log().names_in(Path::new(DIRECTORY))? {
        if name.extension().is_some_and(|suffix| suffix == "json")
            && let Some(one) = session.log().read_json::<Kept>(&Path::new(DIRECTORY).join(&name))?
        {
            all.push(one);
        }
    }
    all.sort_by(|a, b| (a.place, &a.id).cmp(&(b.place, &b.id)));
    Ok(all)
}

/// Deletes a letter from this device; the server has none of it any more.
pub fn delete(session: &Session, id: &str) -> Result<(), ClientError> {
    session.log().forget(&file(id))
}

fn file(id: &str) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{id}.json"))
}
