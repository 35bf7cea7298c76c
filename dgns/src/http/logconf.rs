//! The log's own configuration: the newest LogConf, and the policy it recommends.

use axum::extract::{Query as UrlQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use data_encoding::HEXLOWER;
use dgns_api::path;
use identity::state::{State as LabelState, Subject};
use storage::StorageError;
use translog::logconf::Conf;
use translog::map;
use translog::note::VerifierKey;
use translog::policy::PolicyLog;

use super::Shared;
use super::read::{failed, internal, query, which_head};
use super::reply::{Refused, Reply, fresh};
use crate::core::Core;
use crate::log::{conf_chain, damaged, shown};

/// `GET /v1/log/conf`: the newest LogConf entry.
pub(super) async fn newest(State(app): Shared, headers: HeaderMap) -> Reply {
    let newest = read(&app.core).await.map_err(refused)?;
    let entry = app.core.tiles.entry(newest.index).await.map_err(refused)?;
    let entry = entry.ok_or_else(|| refused(damaged("entries", "the LogConf is missing")))?;
    Ok(newest.answer(&headers, path::OCTETS, entry.to_vec()))
}

/// `GET /v1/log/policy`: this log's keys with the witnesses and the quorum its operator recommends, a C2SP policy file.
pub(super) async fn policy(State(app): Shared, headers: HeaderMap) -> Reply {
    let newest = read(&app.core).await.map_err(refused)?;
    let text = policy_text(&newest.conf).ok_or_else(|| refused(damaged("labels", "the policy does not parse")))?;
    Ok(newest.answer(&headers, path::TEXT, text.into_bytes()))
}

/// The query of a chain.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    from: Option<u64>,
    head: Option<String>,
}

/// `GET /v1/log/conf/chain`: every LogConf with the proof that it is the log's, for who knows earlier keys.
pub(super) async fn chain(
    State(app): Shared,
    asked: Result<UrlQuery<Asked>, axum::extract::rejection::QueryRejection>,
) -> Reply {
    let asked = query(asked)?;
    let head = which_head(asked.head.as_deref())?;
    let bytes = conf_chain::prove(&app.core, head, asked.from).await.map_err(|error| failed(&app, &error))?;
    Ok(fresh(path::CBOR, bytes))
}

/// Returns the oldest key that signs heads now; `None` if the configuration cannot be read.
pub(super) async fn oldest_key(core: &Core) -> Option<VerifierKey> {
    read(core).await.ok()?.conf.log_keys.into_iter().next()
}

/// The configuration now, with its place.
struct Newest {
    conf: Conf,
    index: u64,
    sid: [u8; 32],
}

impl Newest {
    /// Answers with something that changes with the LogConf alone.
    fn answer(&self, headers: &HeaderMap, content_type: &'static str, body: Vec<u8>) -> Response {
        let tag = format!("\"{}\"", HEXLOWER.encode(&self.sid));
        let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
        let mut response = match known {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => fresh(content_type, body),
        };
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

/// Reads the state of the log's own label.
async fn read(core: &Core) -> Result<Newest, StorageError> {
    let missing = || damaged("labels", "the log's configuration is missing");
    let held =
        core.states.load(&core.live, &core.storage, &[map::label(&Subject::LogConf)], shown::Asked::Newest).await?;
    let leaf = &held[0].as_deref().ok_or_else(missing)?.leaf;
    let LabelState::LogConf { payload, .. } = &leaf.state else { return Err(missing()) };
    let conf = Conf::decode(payload).map_err(|_| missing())?;
    Ok(Newest { conf, index: leaf.head_index, sid: leaf.head_hash })
}

/// Returns the policy a LogConf recommends, for its own keys; `None` if its text is none.
fn policy_text(conf: &Conf) -> Option<String> {
    let policy = conf.recommended().ok()?;
    let url = conf.prefixes.first();
    let logs = conf.log_keys.iter().map(|key| PolicyLog { key: key.clone(), url: url.cloned() });
    Some(policy.with_logs(logs.collect()).ok()?.to_string())
}

fn refused(error: StorageError) -> Refused {
    internal(&error)
}
