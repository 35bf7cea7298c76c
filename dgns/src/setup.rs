//! The first start: keys, the server's DID, the log's configuration, the zone's terms.
//!
//! Order, each step durable before the next: keys and the operator's words below `keys/`; the first batch (genesis, LogConf,
//! Epoch); the second batch (the zone key's certificate). A crash between any two is continued by the next start from the
//! files, so the words are never lost with the terms still unsigned.

use std::path::Path;

use identity::cert::{
    Authority, Body, Certificate, Device, DidKind, Genesis, KeyBytes, Level, Payload, Role, Seen, SignatureRefusal,
    Verified, ZoneTerms,
};
use identity::did::Did;
use identity::key::SigningKey;
use identity::name::{Origin, Zone};
use identity::seed::{Words, WordsError};
use identity::state::ChainHead;
use identity::time::Timestamp;
use rand_core::CryptoRng;
use translog::batch::{self, Batch, OpenError};
use translog::hash::EMPTY_ROOT;
use translog::logconf::{Conf, LogConf};
use translog::policy::Policy;

use crate::config::Config;
use crate::keys::{self, KeyFileError, Keys, LogKey};
use crate::log::states;

/// The file that holds the operator's words until they were shown.
pub const WORDS_FILE: &str = "operator-words";

/// Why a first start cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A key file.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The words file is damaged.
    #[error("keys/{WORDS_FILE}: {0}")]
    Words(#[from] WordsError),
    /// The policy does not fit into the LogConf.
    #[error("[witnesses] policy is too long: with the rest of the LogConf it has more than 4,096 bytes")]
    PolicyTooLong,
    /// The server's own certificate does not verify.
    #[error("the server's own certificate does not verify ({0}): the key files are damaged")]
    Signature(SignatureRefusal),
    /// The rules refuse the server's own genesis or LogConf; only damaged key files lead here.
    #[error("the server's own first entries are refused ({0}): the key files are damaged")]
    Refused(#[from] OpenError),
}

/// Returns the keys below `directory`, made now if there are none.
///
/// `fresh` says whether a log is still to be made; then missing keys are made, else a missing file is an error.
pub fn keys(directory: &Path, fresh: bool, rng: &mut impl CryptoRng) -> Result<Keys, SetupError> {
    if fresh && !directory.join(WORDS_FILE).exists() {
        let made = Keys::generate(rng);
        made.write(directory)?;
        // The words come last: their file says that all keys are there.
        keys::write_line(&directory.join(WORDS_FILE), &Words::generate(rng).phrase())?;
    }
    Ok(Keys::read(directory)?)
}

/// Returns the operator's words, if they were not shown and erased yet.
pub fn words(directory: &Path) -> Result<Option<Words>, SetupError> {
    let path = directory.join(WORDS_FILE);
    match path.exists() {
        true => Ok(Some(Words::parse(&keys::read_line(&path)?)?)),
        false => Ok(None),
    }
}

/// Returns the first batch: genesis, LogConf, Epoch.
pub fn first_batch(
    config: &Config,
    keys: &Keys,
    words: &Words,
    log_key: &LogKey,
    rng: &mut impl CryptoRng,
    now: Timestamp,
) -> Result<Batch, SetupError> {
    let origin = config.zone.origin();
    let genesis = genesis(keys, words, &origin, rng, now)?;
    let server = genesis.certificate().chain_did().expect("a genesis makes a DID");
    let conf = Conf {
        seq: 0,
        prev: None,
        origin: origin.clone(),
        server,
        log_keys: log_key.vkeys(),
        policy: recommended_policy(config)?,
        prefixes: Vec::new(),
        predecessor: None,
    };
    let identity = words.identity();
    let signers: Vec<&SigningKey> = keys.log.iter().chain([&identity]).collect();
    let conf = LogConf::sign(&conf, &signers).map_err(|_| SetupError::PolicyTooLong)?;
    Ok(batch::open(states::world(&config.zone, None), &genesis, &conf, now.as_ms())?)
}

/// Returns the policy the log recommends from its first entry on, that of its own witnesses; empty for none. Its log lines are
/// left out: the log's keys say them.
fn recommended_policy(config: &Config) -> Result<String, SetupError> {
    let policy = config.witnesses.policy.clone().with_logs(Vec::new()).map_err(|_| SetupError::PolicyTooLong)?;
    Ok(if policy == Policy::none() { String::new() } else { policy.to_string() })
}

/// Returns what makes the zone key an authority under the configured terms; it opens the roads.
pub fn zone_authority(config: &Config, key: KeyBytes) -> Authority {
    Authority { role: Role::Zone, key, scope: config.zone.as_str().to_owned(), zone: Some(terms(config)) }
}

/// Returns the next certificate in the server's own chain, signed by its words or its device, whose word may wait for a window;
/// `chain` is the server's DID and the head of its chain.
pub fn own_certificate(
    origin: &Origin,
    body: Body,
    signer: &SigningKey,
    chain: (Did, ChainHead),
    seen: Seen,
    now: Timestamp,
) -> Result<Verified, SetupError> {
    let (server, newest) = chain;
    let payload = Payload {
        subject: Some(server.into()),
        seq: newest.seq + 1,
        prev: Some(newest.sid),
        seen,
        unix_s: now.as_ms() / 1_000,
        body,
        critical: true,
        by: None,
    };
    let certificate = Certificate::sign(&payload, origin, &[signer]).expect("an authority of a bounded scope fits");
    certificate.verify(origin, &[signer.public()]).map_err(SetupError::Signature)
}

/// Returns the terms that the configuration gives a new zone.
pub fn terms(config: &Config) -> ZoneTerms {
    ZoneTerms {
        roads: config.road_mask(),
        work_floor_bits: config.claims.work_bits,
        window_floor_s: config.claims.window_floor_s,
    }
}

/// Returns the terms of `zone` that the log holds: those of the newest live zone authority.
pub fn logged_terms(authorities: &[identity::state::AuthorityState], zone: &Zone) -> Option<(KeyBytes, ZoneTerms)> {
    let live = authorities.iter().rev().find(|row| {
        row.revoked_at.is_none() && row.authority.role == Role::Zone && row.authority.scope == zone.as_str()
    })?;
    Some((live.authority.key, live.authority.zone?))
}

fn genesis(
    keys: &Keys,
    words: &Words,
    origin: &Origin,
    rng: &mut impl CryptoRng,
    now: Timestamp,
) -> Result<Verified, SetupError> {
    let identity: SigningKey = words.identity();
    let mut label_hash = [0; 32];
    rng.fill_bytes(&mut label_hash);
    let device = Device { sign: keys.device.public(), kex: keys.device_kex.public(), level: Level::Admin, label_hash };
    let body = Genesis {
        kind: DidKind::Server,
        identity: identity.public(),
        words_box: words.words_box().public(),
        device,
        window_s: None,
        user_key: None,
    };
    let payload = Payload {
        subject: None,
        seq: 0,
        prev: None,
        seen: Seen { size: 0, root: EMPTY_ROOT },
        unix_s: now.as_ms() / 1_000,
        body: Body::Genesis(body),
        critical: true,
        by: None,
    };
    let certificate = Certificate::sign(&payload, origin, &[&identity, &keys.device]).expect("a genesis fits");
    certificate.verify(origin, &[identity.public(), keys.device.public()]).map_err(SetupError::Signature)
}
