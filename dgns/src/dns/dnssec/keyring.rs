//! All keys of a zone and where each stands in its life: one file, replaced whole, so that keys and stages never disagree.
//!
//! ```text
//! dgns-dnssec 1 <zone>
//! <ksk|zsk> <algorithm> <stage> <unix seconds since when> <secret, hex> <public, hex>
//! ```
//! A ZSK is `published` until every cache has it, `active`, then `retired` until no cache has a signature of it. A KSK signs the keys from the
//! start; it is `published` until every cache has it, `ready` until the parent's DS is its own, `active`, then `retired` until no cache
//! has the old DS.

use std::path::Path;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use super::Times;
use super::key::{Algorithm, Key, Role};

const HEAD: &str = "dgns-dnssec 1";

/// The keys of a zone; always one active ZSK and one active KSK, all of one algorithm.
#[derive(Clone, Debug)]
pub struct Keyring {
    zone: String,
    keys: Vec<Held>,
}

/// A key and where it stands.
#[derive(Clone, Debug)]
pub struct Held {
    /// The key.
    pub key: Arc<Key>,
    /// Where it stands.
    pub stage: Stage,
    /// Since when, unix seconds.
    pub since_s: u64,
}

/// Where a key stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Shown, so that caches learn it.
    Published,
    /// A KSK that waits for the parent.
    Ready,
    /// In use.
    Active,
    /// Shown still, because caches may need it.
    Retired,
}

/// Why a file of keys cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadKeyring;

/// What an operator may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A new key in the place of the one in use.
    Roll(Role),
    /// The parent zone shows the DS of the new KSK, on all its servers.
    Seen,
}

/// Why a wish is not granted now. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// A key of this role is being rolled.
    #[error("a roll of this key is on its way")]
    Rolling,
    /// No new KSK waits for the parent.
    #[error("no new KSK waits for the parent zone: `dgnsd dnssec status` says where each key stands")]
    NothingReady,
}

impl Wish {
    const ALL: [Self; 3] = [Self::Roll(Role::Zsk), Self::Roll(Role::Ksk), Self::Seen];

    /// Returns how the file of a wish says it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Roll(Role::Zsk) => "roll zsk",
            Self::Roll(Role::Ksk) => "roll ksk",
            Self::Seen => "seen",
        }
    }

    /// Returns the wish that a file says.
    pub fn of_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|wish| wish.text() == text.trim())
    }
}

impl Stage {
    const ALL: [Self; 4] = [Self::Published, Self::Ready, Self::Active, Self::Retired];

    /// Returns how files name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Ready => "ready",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }
}

impl Keyring {
    /// The name of the file, below the directory of keys.
    pub const FILE: &str = "dnssec.keys";

    /// Makes the first keys of a zone.
    pub fn generate(zone: &str, algorithm: Algorithm, now_s: u64) -> Self {
        let held = |role| Held { key: Arc::new(Key::generate(algorithm, role)), stage: Stage::Active, since_s: now_s };
        Self { zone: zone.to_owned(), keys: vec![held(Role::Ksk), held(Role::Zsk)] }
    }

    /// Reads a file's text. Errors: [`BadKeyring`] if it is not one of this form, or lacks an active key.
    pub fn decode(text: &str) -> Result<Self, BadKeyring> {
        let mut lines = text.lines();
        let zone = lines.next().and_then(|line| line.strip_prefix(HEAD)?.strip_prefix(' ')).ok_or(BadKeyring)?;
        let keys = lines.map(|line| held(line).ok_or(BadKeyring)).collect::<Result<Vec<_>, _>>()?;
        let ring = Self { zone: zone.to_owned(), keys };
        let has = |role| ring.of(role).filter(|held| held.stage == Stage::Active).count() == 1;
        let algorithm = ring.keys.first().map(|held| held.key.algorithm);
        let is_one = ring.keys.iter().all(|held| Some(held.key.algorithm) == algorithm);
        if has(Role::Ksk) && has(Role::Zsk) && is_one { Ok(ring) } else { Err(BadKeyring) }
    }

    /// Returns the text of the file.
    pub fn encode(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(format!("{HEAD} {}\n", self.zone));
        for Held { key, stage, since_s } in &self.keys {
            let secret = Zeroizing::new(HEXLOWER.encode(key.secret()));
            let (role, algorithm, stage) = (key.role.name(), key.algorithm as u8, stage.name());
            let public = HEXLOWER.encode(key.public());
            text.push_str(&format!("{role} {algorithm} {stage} {since_s} "));
            text.push_str(&secret);
            text.push_str(&format!(" {public}\n"));
        }
        text
    }

    /// Reads the file at `path`, which others may not read.
    pub fn read(path: &Path) -> Result<Self, crate::keys::KeyFileError> {
        let text = crate::keys::read_line(path)?;
        let what = "file of DNSSEC keys (dgns-dnssec 1 <zone>)";
        Self::decode(&text).map_err(|BadKeyring| crate::keys::KeyFileError::Form { path: path.to_owned(), what })
    }

    /// Writes the file: a crash leaves the old one or the new one.
    pub fn write(&self, path: &Path) -> Result<(), storage::StorageError> {
        storage::durable::replace(path, self.encode().as_bytes())
    }

    /// Grants a wish. Errors: [`NotNow`].
    pub fn grant(&mut self, wish: Wish, now_s: u64) -> Result<(), NotNow> {
        match wish {
            Wish::Roll(role) if self.of(role).any(|held| held.stage != Stage::Active) => Err(NotNow::Rolling),
            Wish::Roll(role) => {
                let made = std::iter::repeat_with(|| Key::generate(self.algorithm(), role));
                let key = Arc::new(self.first_of_another_tag(made));
                self.keys.push(Held { key, stage: Stage::Published, since_s: now_s });
                Ok(())
            }
            Wish::Seen if !self.of(Role::Ksk).any(|held| held.stage == Stage::Ready) => Err(NotNow::NothingReady),
            Wish::Seen => {
                self.put_in_use(Role::Ksk, Stage::Ready, now_s);
                Ok(())
            }
        }
    }

    /// Returns the first key whose tag none here has: by its tag alone a signature says which key made it.
    fn first_of_another_tag(&self, mut made: impl Iterator<Item = Key>) -> Key {
        made.find(|key| self.keys.iter().all(|held| held.key.tag() != key.tag())).expect("keys are made until one fits")
    }

    /// Takes the steps whose time has come; returns whether there was one. `clean_since_s`: when every signature was one of the active ZSK
    /// for the first time, if they are.
    pub fn step(&mut self, now_s: u64, times: Times, clean_since_s: Option<u64>) -> bool {
        let waited = |held: &Held, seconds: u32| now_s >= held.since_s + u64::from(seconds);
        let stages = |keys: &[Held]| keys.iter().map(|held| (held.key.tag(), held.stage)).collect::<Vec<_>>();
        let before = stages(&self.keys);
        if self.of(Role::Zsk).any(|held| held.stage == Stage::Published && waited(held, times.step_s)) {
            self.put_in_use(Role::Zsk, Stage::Published, now_s);
        }
        for held in &mut self.keys {
            if held.key.role == Role::Ksk && held.stage == Stage::Published && waited(held, times.step_s) {
                (held.stage, held.since_s) = (Stage::Ready, now_s);
            }
        }
        self.keys.retain(|held| {
            let is_needed = match (held.key.role, clean_since_s) {
                (Role::Ksk, _) => !waited(held, times.parent_s),
                (Role::Zsk, Some(since_s)) => now_s < since_s.max(held.since_s) + u64::from(times.step_s),
                (Role::Zsk, None) => true,
            };
            held.stage != Stage::Retired || is_needed
        });
        let is_due = |held: &Held| held.stage == Stage::Active && times.zsk_s > 0 && waited(held, times.zsk_s);
        if self.of(Role::Zsk).all(is_due) {
            let _ = self.grant(Wish::Roll(Role::Zsk), now_s); // none is on its way: all are active
        }
        before != stages(&self.keys)
    }

    /// Puts the key of a role that stands at `stage` in use, and retires the one before.
    fn put_in_use(&mut self, role: Role, stage: Stage, now_s: u64) {
        for held in self.keys.iter_mut().filter(|held| held.key.role == role) {
            if held.stage == Stage::Active {
                (held.stage, held.since_s) = (Stage::Retired, now_s);
            } else if held.stage == stage {
                (held.stage, held.since_s) = (Stage::Active, now_s);
            }
        }
    }

    /// Returns the zone's name.
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// Returns every key.
    pub fn keys(&self) -> &[Held] {
        &self.keys
    }

    /// Returns the algorithm of all keys.
    pub fn algorithm(&self) -> Algorithm {
        self.keys[0].key.algorithm
    }

    /// Returns the key that signs the zone.
    pub(crate) fn zsk(&self) -> &Arc<Key> {
        let active = self.of(Role::Zsk).find(|held| held.stage == Stage::Active);
        &active.expect("there is always an active one").key
    }

    /// Returns the keys that sign the keys.
    pub(crate) fn ksks(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.of(Role::Ksk).map(|held| &held.key)
    }

    /// Returns the key that the parent's DS should name.
    pub fn wanted(&self) -> &Key {
        let ready = self.of(Role::Ksk).find(|held| held.stage == Stage::Ready);
        let active = || self.of(Role::Ksk).find(|held| held.stage == Stage::Active);
        &ready.or_else(active).expect("there is always an active one").key
    }

    /// Returns the DS record that the parent should hold, as a line of a zone file.
    pub fn ds_line(&self) -> String {
        let apex = super::super::name::labels_of(&self.zone).unwrap_or_default();
        self.wanted().ds_line(&self.zone, &[apex.as_slice(), &[0]].concat())
    }

    /// Returns the data of that record alone.
    pub fn wanted_ds(&self) -> String {
        let line = self.ds_line();
        line.split_once(" IN DS ").map_or(String::new(), |(_, data)| data.to_owned())
    }

    fn of(&self, role: Role) -> impl Iterator<Item = &Held> {
        self.keys.iter().filter(move |held| held.key.role == role)
    }
}

fn held(line: &str) -> Option<Held> {
    let mut words = line.split(' ');
    let mut word = || words.next();
    let role = [Role::Ksk, Role::Zsk].into_iter().find({
        let role = word()?;
        move |known| known.name() == role
    })?;
    let algorithm = Algorithm::of_number(word()?.parse().ok()?)?;
    let stage = word()?;
    let stage = Stage::ALL.into_iter().find(|known| known.name() == stage)?;
    let since_s = word()?.parse().ok()?;
    let secret = Zeroizing::new(HEXLOWER.decode(word()?.as_bytes()).ok()?);
    let public = HEXLOWER.decode(word()?.as_bytes()).ok()?;
    let key = Key::read(algorithm, role, &secret, &public).ok()?;
    words.next().is_none().then(|| Held { key: Arc::new(key), stage, since_s })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times { validity_s: 1_000, step_s: 10, parent_s: 100, zsk_s: 5_000 };

    fn stages(ring: &Keyring) -> String {
        let mut stages: Vec<_> =
            ring.keys.iter().map(|held| format!("{} {}", held.key.role.name(), held.stage.name())).collect();
        stages.sort();
        stages.join(", ")
    }

    #[test]
    fn file_is_read_back_and_another_one_is_not() {
        let mut ring = Keyring::generate("dgns.test", Algorithm::EcdsaP256, 7);
        ring.grant(Wish::Roll(Role::Ksk), 9).unwrap();
        let text = ring.encode();
        assert_eq!(Keyring::decode(&text).unwrap().encode().as_str(), text.as_str());
        assert!(!format!("{ring:?}").contains(text.lines().nth(1).unwrap().split(' ').nth(4).unwrap()), "secrets stay");
        let lines: Vec<&str> = text.lines().collect();
        for (wrong, why) in [
            (String::new(), "nothing"),
            (lines[1..].join("\n"), "no head"),
            (lines[..2].join("\n"), "no ZSK"),
            (text.replace("active", "published"), "none in use"),
            (text.replace("zsk", "xsk"), "another role"),
            (text.replace(" 13 ", " 8 "), "another algorithm"),
            (format!("{}{}", text.as_str(), lines[2]), "two in use"),
            (text.replace(" 7 ", " x "), "no time"),
            (lines[..2].join("\n") + "\n" + &lines[2][..lines[2].len() - 2], "half a key"),
        ] {
            assert_eq!(Keyring::decode(&wrong).unwrap_err(), BadKeyring, "{why}");
        }
    }

    #[test]
    fn a_zsk_signs_once_everybody_knows_it_and_goes_once_nobody_needs_it() {
        let mut ring = Keyring::generate("dgns.test", Algorithm::EcdsaP256, 0);
        let first = ring.zsk().tag();
        ring.grant(Wish::Roll(Role::Zsk), 50).unwrap();
        assert_eq!(ring.grant(Wish::Roll(Role::Zsk), 51), Err(NotNow::Rolling));
        assert!(!ring.step(59, TIMES, Some(0)) && ring.zsk().tag() == first);
        assert_eq!(stages(&ring), "ksk active, zsk active, zsk published");
        assert!(ring.step(60, TIMES, None) && ring.zsk().tag() != first);
        assert_eq!(stages(&ring), "ksk active, zsk active, zsk retired");
        assert!(!ring.step(500, TIMES, None), "signatures of the old one are about");
        assert!(!ring.step(509, TIMES, Some(500)) && ring.step(510, TIMES, Some(500)));
        assert_eq!(stages(&ring), "ksk active, zsk active");
        assert!(!ring.step(5_059, TIMES, Some(0)) && ring.step(5_060, TIMES, Some(0)), "by itself, in time");
        assert_eq!(stages(&ring), "ksk active, zsk active, zsk published");
    }

    #[test]
    fn no_two_keys_have_one_tag() {
        let ring = Keyring::generate("dgns.test", Algorithm::EcdsaP256, 0);
        let again = |key: &Key| Key::read(key.algorithm, key.role, key.secret(), key.public()).unwrap();
        let other = std::iter::repeat_with(|| Key::generate(Algorithm::EcdsaP256, Role::Zsk))
            .find(|key| ring.keys().iter().all(|held| held.key.tag() != key.tag()))
            .unwrap();
        let (made, tag) = (vec![again(ring.zsk()), again(ring.wanted())], other.tag());
        assert_eq!(ring.first_of_another_tag(made.into_iter().chain([other])).tag(), tag);
    }

    #[test]
    fn a_ksk_waits_for_the_parent() {
        let mut ring = Keyring::generate("dgns.test", Algorithm::Ed25519, 0);
        let first = ring.wanted().tag();
        assert_eq!(ring.grant(Wish::Seen, 1), Err(NotNow::NothingReady));
        ring.grant(Wish::Roll(Role::Ksk), 50).unwrap();
        assert_eq!(ring.grant(Wish::Seen, 51), Err(NotNow::NothingReady), "not in every cache yet");
        assert_eq!((ring.wanted().tag(), ring.ksks().count()), (first, 2));
        assert!(ring.step(60, TIMES, None) && ring.wanted().tag() != first);
        assert!(!ring.step(4_000, TIMES, None), "however long the parent takes");
        ring.grant(Wish::Seen, 4_000).unwrap();
        assert_eq!(stages(&ring), "ksk active, ksk retired, zsk active");
        assert!(!ring.step(4_099, TIMES, None) && ring.step(4_100, TIMES, None));
        assert_eq!((stages(&ring).as_str(), ring.ksks().count()), ("ksk active, zsk active", 1));
    }

    #[test]
    fn wishes_are_read_back() {
        for wish in Wish::ALL {
            assert_eq!(Wish::of_text(&format!("{}\n", wish.text())), Some(wish));
        }
        assert_eq!(Wish::of_text("roll"), None);
    }
}
