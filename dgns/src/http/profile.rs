//! `GET`, `PATCH /v1/profile`: what a person keeps at this server for its own devices (PROTOCOL 12.10).
//!
//! The server reads none of it: values are what the devices sealed, and lie in the database under a key of the server's own
//! besides.

use axum::extract::State;
use dgns_api::path;
use identity::did::Did;
use identity::sealed::{self, Sealed};
use identity::wire::{Reader, WireError, Writer};
use storage::StorageError;
use tracing::error;

use super::Shared;
use super::caller::Asking;
use super::people_events::people;
use super::reply::{Refused, Reply, fresh};
use crate::people::People;
use crate::{problem, rng};

/// What a profile may hold; other keys are ignored.
const KEYS: [&str; 5] = ["about", "contact", "locale", "name", "picture"];

/// The bytes of one value.
const VALUE_BYTES_MAX: usize = 1_024;

/// The changes of one request.
const CHANGES_MAX: usize = 16;

/// A profile: values by key, ascending.
type Values = std::collections::BTreeMap<String, Vec<u8>>;

/// Answers with the own profile: `{1 version, 2 [[key, value], ...]}`.
pub(super) async fn read(State(app): Shared, asking: Asking) -> Reply {
    let people = people(&app)?;
    let (version, values) = load(&people, &asking.caller.did).await?;
    let mut writer = Writer::new();
    writer.map(2).uint(1).uint(version);
    write_values(&values, writer.uint(2));
    Ok(fresh(path::CBOR, writer.finish()))
}

/// Changes the own profile: `{1 version, 2 [[key, value or null], ...]}` -> `{1 ok, 2 version, 3? [ignored key, ...]}`. Not ok if
/// the version is another by now: nothing was changed, and the answer says which.
pub(super) async fn update(State(app): Shared, asking: Asking) -> Reply {
    let people = people(&app)?;
    let (from, changes) = decode(&asking.body).map_err(|error| problem::problem(error.code(), error.to_string()))?;
    let (version, mut values) = load(&people, &asking.caller.did).await?;
    let mut ignored = Vec::new();
    for (key, value) in changes {
        match (KEYS.contains(&key.as_str()), value) {
            (false, _) => ignored.push(key),
            (true, Some(value)) => drop(values.insert(key, value)),
            (true, None) => drop(values.remove(&key)),
        }
    }
    let ok = from == version && keep(&people, &asking.caller.did, version, &values).await?;
    let version = match ok {
        true => version + 1,
        false => load(&people, &asking.caller.did).await?.0,
    };
    let mut writer = Writer::new();
    writer.map(2 + usize::from(!ignored.is_empty())).uint(1).bool(ok).uint(2).uint(version);
    if !ignored.is_empty() {
        writer.uint(3).array(ignored.len());
        for key in &ignored {
            writer.text(key);
        }
    }
    Ok(fresh(path::CBOR, writer.finish()))
}

/// Fields by name, each with its new value; `None` takes it away.
type Fields = Vec<(String, Option<Vec<u8>>)>;

fn decode(body: &[u8]) -> Result<(u64, Fields), WireError> {
    let mut reader = Reader::new(body);
    let mut fields = reader.fields()?;
    let version = fields.required(1, Reader::uint)?;
    let changes = fields.required(2, |r| {
        r.list(CHANGES_MAX, |r| {
            r.array_of(2)?;
            let key = r.text()?;
            let value = r.or_null(|r| r.bytes().map(<[u8]>::to_vec))?;
            match key.len() <= 32 && value.as_ref().is_none_or(|value| value.len() <= VALUE_BYTES_MAX) {
                true => Ok::<_, WireError>((key.to_owned(), value)),
                false => Err(WireError::Unexpected),
            }
        })
    })?;
    fields.end()?;
    reader.end()?;
    Ok((version, changes))
}

/// Returns the version and the values of a profile; 0 and none where there is none.
async fn load(people: &People, did: &Did) -> Result<(u64, Values), Refused> {
    let Some((version, sealed)) = people.store.profile(did).await.map_err(|error| failed(&error))? else {
        return Ok((0, Values::new()));
    };
    let damaged = || failed(&crate::log::damaged("profiles", "a profile does not open"));
    let values = open(people, did, &sealed).ok_or_else(damaged)?;
    Ok((version, values))
}

fn open(people: &People, did: &Did, bytes: &[u8]) -> Option<Values> {
    let (enc, ct) = bytes.split_first_chunk::<32>()?;
    let sealed = Sealed { enc: *enc, ct: ct.to_vec() };
    let plaintext = sealed::open(&people.key.profile_box(), b"profile", did.as_bytes(), &sealed).ok()?;
    let mut reader = Reader::new(&plaintext);
    let values = reader.list(KEYS.len(), |r| {
        r.array_of(2)?;
        Ok::<_, WireError>((r.text()?.to_owned(), r.bytes()?.to_vec()))
    });
    values.ok().map(|values| values.into_iter().collect())
}

/// Puts the values in the place of those of `version`; false if they are others by now.
async fn keep(people: &People, did: &Did, version: u64, values: &Values) -> Result<bool, Refused> {
    let mut writer = Writer::new();
    write_values(values, &mut writer);
    let recipient = people.key.profile_box().public();
    let sealed = sealed::seal(&recipient, b"profile", did.as_bytes(), &writer.finish(), &mut rng::system());
    let Sealed { enc, ct } = sealed.expect("a key of our own has no small order");
    people.store.swap_profile(did, version, &[enc.as_slice(), &ct].concat()).await.map_err(|error| failed(&error))
}

fn write_values(values: &Values, writer: &mut Writer) {
    writer.array(values.len());
    for (key, value) in values {
        writer.array(2).text(key).bytes(value);
    }
}

fn failed(error: &StorageError) -> Refused {
    error!(%error, "a profile cannot be read or written");
    problem::internal().into()
}
