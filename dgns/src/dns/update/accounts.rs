//! Accounts of the API of acme-dns: ACME clients write challenges by a password (PROTOCOL 12.19).
//!
//! A device opens an account for the challenges of a name of its DID: what is written there is that device's, as if it had sent an UPDATE,
//! and the account is of no more use than the device. An account without a name has a place of its own, for owners of other domains, who
//! point a CNAME there.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use identity::cert::{Records, Row};
use identity::did::Did;
use identity::hash::{Hash, sha256};
use identity::state::{State, Subject};
use storage::StorageError;
use storage::people::{AcmeAccount, AcmeRoom};

use super::super::limits::{ACME_ACCOUNTS_MAX, ACME_ACCOUNTS_OF_A_DID_MAX, ACME_IDLE_S, ACME_TEXTS_MAX};
use super::super::zone::{CHALLENGE, CHALLENGE_TTL_S, Change, Content, Zone};
use super::{FAILED, Refused, TEXT_LIFE_S, TYPE_TXT, UNSIGNED, Updates, Writer, may_write};
use crate::cidr::Cidr;

/// The label, nobody's in any zone (PROTOCOL 2.2), below which accounts without a name have their places.
const OWN_LABEL: &str = "auth";

/// Who opens an account, and for what.
#[derive(Clone, Debug)]
pub(crate) struct Register {
    /// The DID and device that ask, if they signed.
    pub(crate) device: Option<(Did, [u8; 32])>,
    /// The claimed name whose challenges are to be written, absolute; without it the account gets a place of its own.
    pub(crate) name: Option<String>,
    /// The networks that may use it; empty: all.
    pub(crate) allow: Vec<Cidr>,
}

/// An account that was just opened: the only time the password is there.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub(crate) username: [u8; 16],
    pub(crate) subdomain: [u8; 16],
    /// 30 bytes, of which the server keeps a hash.
    pub(crate) password: [u8; 30],
    /// Where its challenges stand, absolute.
    pub(crate) fulldomain: String,
}

/// Why an account is not opened, or does not write.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    /// No such account, another password, another network, or its device may write no more.
    #[error("there is no such account, or it may not write there from here")]
    Forbidden,
    /// The name is not of the DID that asks, or its device may not write.
    #[error("this device may not write challenges, or not of this name")]
    NotOwner,
    /// There are as many accounts as the server keeps, in all or of this DID.
    #[error("there are as many accounts as this server keeps, or keeps of one DID")]
    Full,
    /// The state or the table cannot be read or written.
    #[error("the server failed; try again, and tell the operator if it lasts")]
    Failed,
}

impl AccountError {
    /// Returns the stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Forbidden => dgns_api::code::FORBIDDEN,
            Self::NotOwner => "not_name_owner",
            Self::Full => dgns_api::code::BUSY,
            Self::Failed => dgns_api::code::INTERNAL,
        }
    }
}

impl From<StorageError> for AccountError {
    fn from(error: StorageError) -> Self {
        tracing::error!(%error, "an account of an ACME client cannot be read or kept");
        Self::Failed
    }
}

impl Updates {
    /// Opens an account, if the device that asks, where one does, may write. That of a device for a name takes the place of the one before.
    pub(crate) async fn open_account(&self, register: Register) -> Result<Opened, AccountError> {
        // From here on its device may write, or what the log takes away is taken away after this.
        let _held = self.held.lock().await;
        match (register.device, &register.name) {
            (Some((did, key)), name) => {
                self.touched.watch(did);
                let may = match name {
                    Some(name) => self.may_challenge(&Writer { name: name.clone(), did, key }).await.map(drop),
                    None => self.has_device(&(*did.as_bytes(), key)).await,
                };
                may.map_err(|refused| judged(refused, AccountError::NotOwner))?;
            }
            (None, Some(_)) => return Err(AccountError::Forbidden),
            (None, None) => {}
        }
        let opened = Opened {
            username: uuid(crate::rng::bytes()),
            subdomain: uuid(crate::rng::bytes()),
            password: crate::rng::bytes(),
            fulldomain: String::new(),
        };
        let account = AcmeAccount {
            username: opened.username,
            password: hash_of(&password_text(&opened.password)),
            subdomain: opened.subdomain,
            name: register.name.unwrap_or_default(),
            device: register.device.map(|(did, key)| (*did.as_bytes(), key)),
            allow: register.allow.iter().map(Cidr::to_string).collect(),
            texts: Vec::new(),
            used_s: self.now_s(),
        };
        let before_s = self.now_s().saturating_sub(ACME_IDLE_S);
        let room = AcmeRoom { all: ACME_ACCOUNTS_MAX, of_did: ACME_ACCOUNTS_OF_A_DID_MAX };
        match self.people.store.open_acme(&account, room, before_s).await? {
            true => Ok(Opened { fulldomain: fulldomain(&self.zone, &account), ..opened }),
            false => Err(AccountError::Full),
        }
    }

    /// Returns the account of a user who knows its password and asks from where it may be used. All else is forbidden alike.
    pub(crate) async fn account(
        &self,
        username: &[u8; 16],
        password: &str,
        from: IpAddr,
    ) -> Result<AcmeAccount, AccountError> {
        let account = self.people.store.acme(username).await?;
        // Compared in full, there or not: nobody learns from the time it takes.
        let known = account.as_ref().map_or([0; 32], |account| account.password);
        let is_known = same(&hash_of(password), &known);
        let account = account.filter(|_| is_known).ok_or(AccountError::Forbidden)?;
        let is_used = account.used_s.saturating_add(ACME_IDLE_S) > self.now_s();
        let networks: Vec<Cidr> = account.allow.iter().filter_map(|text| Cidr::parse(text)).collect();
        let is_here = account.allow.is_empty() || networks.iter().any(|network| network.has(from));
        if is_used && is_here { Ok(account) } else { Err(AccountError::Forbidden) }
    }

    /// Writes a challenge: durable, and in DNS, once this returns. The two newest stay.
    pub(crate) async fn write_challenge(&self, account: &AcmeAccount, text: &str) -> Result<(), AccountError> {
        match (account.name.is_empty(), account.device) {
            (true, _) => self.write_own(account, text).await,
            (false, Some((did, key))) => {
                let writer = Writer { name: account.name.clone(), did: Did::from_bytes(did), key };
                self.write_for(&writer, text).await.map_err(|refused| judged(refused, AccountError::Forbidden))?;
                Ok(self.people.store.write_acme(&account.username, &[], self.now_s()).await?)
            }
            (false, None) => Err(AccountError::Forbidden),
        }
    }

    /// Returns until when a device may write challenges of a name, Unix seconds.
    async fn may_challenge(&self, writer: &Writer) -> Result<u64, Refused> {
        let (scope, until_s) = self.still_allows(writer).await?;
        if scope.challenges { Ok(until_s) } else { Err(UNSIGNED) }
    }

    /// Writes a challenge of a claimed name, as its device could.
    async fn write_for(&self, writer: &Writer, text: &str) -> Result<(), Refused> {
        let mut held = self.held.lock().await;
        self.touched.watch(writer.did);
        let until_s = self.may_challenge(writer).await?;
        let mut rows = held.rows.get(&writer.name).cloned().unwrap_or_default();
        let row = self.row((writer, until_s), CHALLENGE, TYPE_TXT, CHALLENGE_TTL_S, rdata_of(text));
        rows.retain(|old| !(old.owner == CHALLENGE && old.rtype == TYPE_TXT && old.rdata == row.rdata));
        // One TTL for a set.
        let is_here = |old: &storage::people::VolatileRow| old.owner == CHALLENGE && old.rtype == TYPE_TXT;
        rows.iter_mut().filter(|old| is_here(old)).for_each(|old| old.ttl_s = row.ttl_s);
        let mut older = rows.iter().filter(|old| is_here(old) && old.key == writer.key).count();
        rows.retain(|old| {
            let goes = is_here(old) && old.key == writer.key && older >= ACME_TEXTS_MAX;
            older -= usize::from(goes);
            !goes
        });
        rows.push(row);
        self.admits(writer, &rows)?;
        self.store(&mut held.rows, &writer.name, rows, None).await.map_err(|error| {
            tracing::error!(%error, "a challenge cannot be kept");
            FAILED
        })
    }

    /// Writes a challenge at the account's own place.
    async fn write_own(&self, account: &AcmeAccount, text: &str) -> Result<(), AccountError> {
        let _held = self.held.lock().await;
        if let Some(device) = &account.device {
            self.touched.watch(Did::from_bytes(device.0));
            self.has_device(device).await.map_err(|refused| judged(refused, AccountError::Forbidden))?;
        }
        // As it is now: another request may have written, or its DID ended it, since the password was looked at.
        let known = self.people.store.acme(&account.username).await?.ok_or(AccountError::Forbidden)?;
        let mut texts = known.texts;
        texts.retain(|known| known != text);
        texts.push(text.to_owned());
        texts.drain(..texts.len().saturating_sub(ACME_TEXTS_MAX));
        self.people.store.write_acme(&account.username, &texts, self.now_s()).await?;
        self.show_texts(&AcmeAccount { texts, ..account.clone() });
        Ok(())
    }

    /// Shows what accounts wrote at their own places, but for what may not stand any more.
    pub(super) async fn show_accounts(&self) -> Result<(), StorageError> {
        let dids: HashSet<Did> = self.people.store.acme_dids().await?.into_iter().collect();
        dids.iter().for_each(|did| self.touched.watch(*did));
        if !self.sweep_accounts(dids).await.is_empty() {
            return Err(crate::log::damaged(
                "acme_accounts",
                "accounts of devices that may not write cannot be deleted",
            ));
        }
        self.sweep_texts().await?;
        self.people.store.acme_shown().await?.iter().for_each(|account| self.show_texts(account));
        Ok(())
    }

    /// Takes away what lapsed at accounts' own places.
    pub(super) async fn sweep_texts(&self) -> Result<(), StorageError> {
        let _held = self.held.lock().await;
        let before_s = self.now_s().saturating_sub(TEXT_LIFE_S);
        let lapsed = self.people.store.acme_shown_before(before_s).await?;
        if lapsed.is_empty() {
            return Ok(());
        }
        lapsed.into_iter().for_each(|account| self.hide_texts(account));
        self.people.store.clear_acme(before_s).await
    }

    /// Takes away the accounts with own places of those devices of the DIDs that may not write any more, with what they wrote. Returns the DIDs of
    /// which it failed: that is told, and is to be tried again.
    pub(super) async fn sweep_accounts(&self, dids: HashSet<Did>) -> HashSet<Did> {
        let _held = self.held.lock().await;
        let (mut gone, mut again) = (Vec::new(), HashSet::new());
        for did in dids {
            match self.without_device(&did).await {
                Ok(devices) => gone.extend(devices.into_iter().map(|key| (did, key))),
                Err(error) => {
                    tracing::error!(%error, "whether accounts of ACME clients may stay cannot be read: it is tried again");
                    again.insert(did);
                }
            }
        }
        for (did, key) in gone {
            if let Err(error) = self.people.store.remove_acme(&(*did.as_bytes(), key)).await {
                tracing::error!(%error, "accounts of ACME clients cannot be deleted: it is tried again");
                again.insert(did);
            }
        }
        again
    }

    /// Hides what devices of a DID wrote at own places that may not write any more; returns their keys.
    async fn without_device(&self, did: &Did) -> Result<HashSet<[u8; 32]>, AccountError> {
        let mut may: HashMap<[u8; 32], bool> = HashMap::new();
        let accounts = self.people.store.acme_of(did).await?;
        for device in accounts.iter().filter_map(|account| account.device) {
            if may.contains_key(&device.1) {
                continue;
            }
            let is_there = match self.has_device(&device).await {
                Ok(()) => true,
                Err(FAILED) => return Err(AccountError::Failed),
                Err(_) => false,
            };
            may.insert(device.1, is_there);
        }
        let is_gone = |account: &AcmeAccount| account.device.is_some_and(|(_, key)| may.get(&key) == Some(&false));
        accounts.into_iter().filter(is_gone).for_each(|account| self.hide_texts(account));
        Ok(may.into_iter().filter(|(_, is_there)| !is_there).map(|(key, _)| key).collect())
    }

    fn hide_texts(&self, account: AcmeAccount) {
        self.show_texts(&AcmeAccount { texts: Vec::new(), ..account });
    }

    fn show_texts(&self, account: &AcmeAccount) {
        if let Some(change) = texts_at(&self.zone, account)
            && let Err(error) = self.zone.apply(vec![change], 0)
        {
            tracing::error!(%error, "a challenge cannot be shown");
        }
    }

    /// Whether the newest state of a DID lets this device write.
    async fn has_device(&self, (did, key): &([u8; 20], [u8; 32])) -> Result<(), Refused> {
        match self.newest(Subject::Did(Did::from_bytes(*did))).await? {
            Some(State::Did(state)) if may_write(&state, key) => Ok(()),
            _ => Err(UNSIGNED),
        }
    }
}

/// Returns what DNS has at an account's own place; `None` if it has none.
pub(crate) fn texts_at(zone: &Zone, account: &AcmeAccount) -> Option<Change> {
    let row =
        |text: &String| Row { owner: String::new(), rtype: TYPE_TXT, rdata: rdata_of(text), ttl: CHALLENGE_TTL_S };
    let content = Content {
        did: None,
        log_index: 0,
        flags: Records::NO_DID,
        rows: account.texts.iter().map(row).collect(),
        is_cut: false,
    };
    let content = (!account.texts.is_empty()).then_some(content);
    account.name.is_empty().then(|| Change { name: fulldomain(zone, account), content })
}

/// Returns whether a name, in wire labels, is one where such challenges stand, or that above them all.
pub(crate) fn is_of_clients(labels: &[u8]) -> bool {
    labels.strip_suffix(OWN_LABEL.as_bytes()).is_some_and(|rest| rest.ends_with(&[OWN_LABEL.len() as u8]))
}

/// Returns where an account's challenges stand, absolute.
pub(crate) fn fulldomain(zone: &Zone, account: &AcmeAccount) -> String {
    match account.name.is_empty() {
        true => format!("{}.{OWN_LABEL}.{}", uuid_text(&account.subdomain), zone.name()),
        false => format!("{CHALLENGE}.{}", account.name),
    }
}

/// Returns a password as clients carry it: 40 characters.
pub(crate) fn password_text(password: &[u8; 30]) -> String {
    data_encoding::BASE64URL_NOPAD.encode(password)
}

/// Returns 16 bytes as the text of a UUID.
pub(crate) fn uuid_text(bytes: &[u8; 16]) -> String {
    let hex = data_encoding::HEXLOWER.encode(bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Reads the text of a UUID; capitals are as small letters.
pub(crate) fn read_uuid(text: &str) -> Option<[u8; 16]> {
    let is_parted =
        text.len() == 36 && text.bytes().enumerate().all(|(at, b)| matches!(at, 8 | 13 | 18 | 23) == (b == b'-'));
    let digits = is_parted.then(|| text.replace('-', ""))?;
    data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?.try_into().ok()
}

/// Marks random bytes as a UUID of version 4 (RFC 9562 section 5.4).
fn uuid(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}

fn rdata_of(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

/// A password is 240 random bits: one hash keeps it, and nobody tries them all.
fn hash_of(password: &str) -> Hash {
    sha256(&[password.as_bytes()])
}

fn same(a: &Hash, b: &Hash) -> bool {
    a.iter().zip(b).fold(0, |other, (a, b)| other | (a ^ b)) == 0
}

fn judged(refused: Refused, other: AccountError) -> AccountError {
    if refused == FAILED { AccountError::Failed } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_read_as_it_is_written() {
        let bytes = uuid([0xff; 16]);
        assert_eq!(uuid_text(&bytes), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        for text in ["ffffffff-ffff-4fff-bfff-ffffffffffff", "FFFFFFFF-ffff-4fff-bfff-ffffffffffff"] {
            assert_eq!(read_uuid(text), Some(bytes), "{text}");
        }
        for text in [
            "",
            "ffffffffffff4fffbfffffffffffffff",
            "ffffffff-ffff-4fff-bfff-fffffffffffg",
            "ffffffff-ffff-4fff-bffff-fffffffffff",
        ] {
            assert_eq!(read_uuid(text), None, "{text}");
        }
    }

    #[test]
    fn a_password_has_the_characters_that_clients_send() {
        assert_eq!(password_text(&[0xff; 30]).len(), 40);
        assert!(same(&hash_of("a"), &hash_of("a")) && !same(&hash_of("a"), &hash_of("b")));
    }
}
