//! Hellos, held against the challenge of their socket and the newest state of their DID.

use identity::key::{PublicKey, kid_of};
use identity::time::Timestamp;
use lobby::guest;
use lobby::hello::{Hello, SignedHello};
use lobby::message::{Challenge, IceServer};
use lobby::{Login, Refusal, TokenShown};
use tracing::error;
use translog::gossip::{SeenHead, ShownHead};
use translog::trust::Trust;

use super::{Ice, has_device};
use crate::auth::request::newest;
use crate::core::Core;
use crate::rng;
use crate::tokens::Tokens;

/// Returns who says a hello, or why nobody does.
pub(super) async fn verify(core: &Core, ice: &Ice, challenge: &Challenge, envelope: &[u8]) -> Result<Login, Refusal> {
    let signed = SignedHello::decode(envelope).map_err(|_| Refusal::BadFrame)?;
    let hello = signed.hello();
    if hello.challenge != challenge.challenge || hello.url != challenge.url {
        return Err(Refusal::BadHello);
    }
    PublicKey::admit(&hello.device).map_err(|_| Refusal::WeakKey)?;
    signed.verify(&core.origin).map_err(|_| Refusal::BadHello)?;
    let head = core.live.public_head().map(|head| ShownHead::of(&core.origin, &head.head).encode());
    if guest::is_guest(&hello.device, &hello.did) {
        // A relay is for those whom somebody can be asked about.
        let (ice, ttl_s) = ice.without_relays();
        return Ok(login(hello, Vec::new(), (ice, ttl_s), head));
    }
    let state = newest(core, &hello.did).await.map_err(|error| {
        error!(%error, "a device's state cannot be read");
        Refusal::Internal
    })?;
    let state = state.filter(|state| has_device(state, &hello.device)).ok_or(Refusal::UnknownDevice)?;
    Ok(login(hello, state.names, ice.servers(&hello.device, core.clock.now()), head))
}

fn login(hello: &Hello, names: Vec<String>, (ice, ttl_s): (Vec<IceServer>, u64), head: Option<Vec<u8>>) -> Login {
    let Hello { device, did, instance, resume, .. } = *hello;
    Login { device, did, instance, resume, sid: rng::bytes(), names, ice, ttl_s, head, token: None }
}

/// Adds the token that a hello shows, if it holds for this server and this device.
pub(super) async fn with_token(
    core: &Core,
    tokens: Option<&Tokens>,
    login: Login,
    token: &str,
) -> Result<Login, Refusal> {
    let tokens = tokens.ok_or(Refusal::NotHere)?;
    let checked = tokens.check_own(core, token, &kid_of(&login.device)).await.map_err(|error| {
        error!(%error, "a family of tokens cannot be read");
        Refusal::Internal
    })?;
    let token = checked.map_err(Refusal::Token)?;
    let shown = TokenShown { rid: token.rid, until: Timestamp::from_ms(token.exp_s * 1_000) };
    Ok(Login { token: Some(Box::new(shown)), ..login })
}

/// Returns whether a head that a client shows is one that this log's key signed, and not one of this log's. Whatever is no signed
/// head of this log says nothing.
pub(super) async fn contradicts(core: &Core, shown: &[u8]) -> bool {
    let Ok(shown) = ShownHead::decode(shown) else { return false };
    let Ok(trust) = Trust::new(core.origin.clone(), vec![core.vkey.clone()]) else { return false };
    match shown.verify(&trust) {
        Ok(seen) => is_not_ours(core, &seen).await,
        Err(_) => false,
    }
}

async fn is_not_ours(core: &Core, seen: &SeenHead) -> bool {
    if seen.size() > core.live.head().size() {
        // A follower may be behind; the keeper of the log is not.
        return false;
    }
    match core.heads.root_at(&core.live, &core.storage, seen.size()).await {
        Ok(Some(root)) => root != *seen.root(),
        Ok(None) => true,
        Err(_) => false,
    }
}
