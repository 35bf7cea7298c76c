//! The person's user key on this device: taken out of its box, kept, turned (PROTOCOL 21).

use std::path::Path;

use data_encoding::HEXLOWER;
use dgns_api::path;
use dgns_api::problem::Problem;
use identity::cert::Body;
use identity::did::Did;
use identity::hash::Hash;
use identity::key::{KexSecret, kid_of};
use identity::state::{DidState, Subject};
use identity::user_key::{Boxes, UserSeed};
use identity::wire::{Reader, WireError};
use serde::{Deserialize, Serialize};
use translog::resolve::Resolved;
use zeroize::Zeroizing;

use crate::clock;
use crate::draft::Place;
use crate::error::ClientError;
use crate::home::LogHome;
use crate::pairing;
use crate::session::{Session, Signer};

/// Where the newest seed is kept.
const FILE: &str = "user_key.json";

/// Generations listed at once: one a day for ten years.
const GENERATIONS_MAX: usize = 4_096;

#[derive(Serialize, Deserialize)]
struct Kept {
    generation: u64,
    seed: String,
}

/// Keeps the seed of a generation, so that it need not be fetched again.
pub fn keep(log: &LogHome, generation: u64, seed: &UserSeed) -> Result<(), ClientError> {
    log.keep_json(Path::new(FILE), &Kept { generation, seed: HEXLOWER.encode(&*seed.to_bytes()) })
}

/// Returns the seed of the user key in the proved `state`; `None` if the DID has none yet.
///
/// Errors: [`ClientError::Refused`] with `no_box`, `wrong_seed` or `bad_boxes` if this device cannot open it.
pub async fn newest(session: &Session, signer: Signer<'_>, state: &DidState) -> Result<Option<UserSeed>, ClientError> {
    let Some(key) = &state.user_key else { return Ok(None) };
    let kept = session.log().read_json::<Kept>(Path::new(FILE))?.filter(|kept| kept.generation == key.generation);
    if let Some(seed) = kept.and_then(|kept| seed_of(&kept.seed)).filter(|seed| seed.public() == key.key) {
        return Ok(Some(seed));
    }
    let boxes = fetch(session, signer, &key.boxes).await?;
    let opened = boxes.open(&signer.did, key.generation, &key.key, &signer.keys.kex);
    let seed = opened.map_err(|error| refused(error.code(), &error.to_string()))?;
    keep(session.log(), key.generation, &seed)?;
    Ok(Some(seed))
}

/// As [`newest`], opened by a recipient that is no device: the backup of a recovery.
pub async fn newest_with(
    session: &Session,
    signer: Signer<'_>,
    state: &DidState,
    secret: &KexSecret,
) -> Result<Option<UserSeed>, ClientError> {
    let Some(key) = &state.user_key else { return Ok(None) };
    let boxes = fetch(session, signer, &key.boxes).await?;
    let opened = boxes.open(&signer.did, key.generation, &key.key, secret);
    let seed = opened.map_err(|error| refused(error.code(), &error.to_string()))?;
    keep(session.log(), key.generation, &seed)?;
    Ok(Some(seed))
}

/// Returns the seed of an earlier generation: each stands sealed under the one after it.
pub async fn of_generation(
    session: &Session,
    signer: Signer<'_>,
    state: &DidState,
    generation: u64,
) -> Result<UserSeed, ClientError> {
    let absent = || refused("no_box", "there is no user key of that generation");
    let newest_generation = state.user_key.as_ref().map_or(0, |key| key.generation);
    let mut seed = newest(session, signer, state).await?.ok_or_else(absent)?;
    if generation > newest_generation || generation == 0 {
        return Err(absent());
    }
    let listed = if generation < newest_generation { list(session, signer).await? } else { Vec::new() };
    for step in (generation + 1..=newest_generation).rev() {
        let mut before = None;
        for (_, hash) in listed.iter().filter(|(listed, _)| *listed == step) {
            let boxes = fetch(session, signer, hash).await?;
            before = before.or(boxes.open_previous(&signer.did, step, &seed).ok().flatten());
        }
        seed = before.ok_or_else(absent)?;
    }
    Ok(seed)
}

/// Returns the seed of the first generation, which the log of names says and no server changes.
///
/// Errors: as [`of_generation`]; [`ClientError::Proof`] with `wrong_seed` if the server leads to another one.
pub async fn first_of(session: &Session, signer: Signer<'_>, state: &DidState) -> Result<UserSeed, ClientError> {
    let seed = of_generation(session, signer, state, 1).await?;
    // What stands before the newest generation is sealed to it, which anybody can do.
    let is_newest = state.user_key.as_ref().is_some_and(|key| key.generation == 1);
    if is_newest || session.first_user_key(&signer.did).await? == Some(seed.public()) {
        return Ok(seed);
    }
    Err(ClientError::proof("wrong_seed", "the server shows boxes that do not lead to the first user key"))
}

/// Returns whether this device opens the newest generation, and the one before it by it.
pub async fn has_previous(session: &Session, signer: Signer<'_>, state: &DidState) -> bool {
    let generation = state.user_key.as_ref().map_or(0, |key| key.generation);
    generation > 1 && of_generation(session, signer, state, generation - 1).await.is_ok()
}

/// Turns the user key to its next generation if the log says that it is stale and this device may; whether it did.
pub async fn turn_if_stale(session: &Session, signer: Signer<'_>) -> Result<bool, ClientError> {
    let resolved = session.resolve_did(&signer.did).await?;
    let state = resolved.did().ok_or_else(|| ClientError::Absent(signer.did.to_string()))?;
    let own = state.device(&kid_of(&signer.keys.sign.public()));
    let voter = own.is_some_and(|device| device.is_voter());
    if state.flags & DidState::USER_KEY_STALE == 0 || !voter {
        return Ok(false);
    }
    turn(session, signer, &resolved, state).await
}

/// Turns the user key so that what opened it by the recipient `kex`, a passkey, opens nothing more; it may be of no effect already.
pub async fn turn_without(session: &Session, signer: Signer<'_>, kex: &[u8; 32]) -> Result<(), ClientError> {
    let resolved = session.resolve_did(&signer.did).await?;
    let mut state = resolved.did().ok_or_else(|| ClientError::Absent(signer.did.to_string()))?.clone();
    let Some(key) = state.user_key.as_mut().filter(|key| key.extras.iter().any(|extra| extra.kex == *kex)) else {
        return Ok(());
    };
    key.extras.retain(|extra| extra.kex != *kex);
    turn(session, signer, &resolved, &state).await.map(drop)
}

/// Posts the next generation of the user key for the devices, the words and the other recipients of `state`; whether it was taken.
async fn turn(
    session: &Session,
    signer: Signer<'_>,
    resolved: &Resolved,
    state: &DidState,
) -> Result<bool, ClientError> {
    let previous = newest(session, signer, state).await?;
    let (body, boxes) = pairing::turned(&signer.did, state, previous.as_ref())?;
    let place = Place::after(signer.did, &state.head, resolved.head(), clock::now());
    let certificate = place.sign(Body::UserKey(body), None, session.trust().origin(), &[&signer.keys.sign]);
    let certificate = certificate.map_err(|error| ClientError::Unable(error.to_string()))?;
    match session.post_with(std::slice::from_ref(&certificate), &[boxes], &Subject::Did(signer.did)).await {
        Ok(_) => Ok(true),
        // Another device was faster, with this or with something else: whoever looks again knows.
        Err(ClientError::Refused(problem)) if problem.code == "stale_prev" || problem.code == "bad_generation" => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

async fn fetch(session: &Session, signer: Signer<'_>, hash: &Hash) -> Result<Boxes, ClientError> {
    let target = format!("{}/{}", path::ATTACHMENTS, HEXLOWER.encode(hash));
    let bytes = session.get_signed(signer, &target).await?;
    if Boxes::hash_of(&bytes) != *hash {
        return Err(refused("bad_boxes", "the server gave other boxes than the log names"));
    }
    Boxes::decode(&bytes).map_err(|error| refused(error.code(), &error.to_string()))
}

async fn list(session: &Session, signer: Signer<'_>) -> Result<Vec<(u64, Hash)>, ClientError> {
    let answer = session.get_signed(signer, path::ATTACHMENTS).await?;
    let mut reader = Reader::new(&answer);
    let rows = reader.list(GENERATIONS_MAX, |r| {
        r.array_of(2)?;
        Ok::<_, WireError>((r.uint()?, r.fixed()?))
    });
    rows.map_err(|_| ClientError::Network("the list of boxes is none".into()))
}

fn seed_of(hex: &str) -> Option<UserSeed> {
    let bytes = Zeroizing::new(HEXLOWER.decode(hex.as_bytes()).ok()?);
    bytes.as_slice().try_into().ok().map(UserSeed::from_bytes)
}

fn refused(code: &str, detail: &str) -> ClientError {
    ClientError::Refused(Box::new(Problem::new(403, code, detail)))
}

/// Returns the first user key of a DID that its genesis makes: generation 1, whose boxes name no DID.
pub fn first(
    device_kex: identity::cert::KeyBytes,
    words_box: identity::cert::KeyBytes,
) -> Result<(UserSeed, Vec<u8>), ClientError> {
    let rng = &mut crate::rng::system();
    let seed = UserSeed::generate(rng);
    let boxes = Boxes::seal(&Did::from_bytes([0; 20]), 1, &seed, None, &[device_kex, words_box], rng);
    let boxes = boxes.map_err(|error| refused(error.code(), &error.to_string()))?;
    Ok((seed, boxes.encode()))
}
