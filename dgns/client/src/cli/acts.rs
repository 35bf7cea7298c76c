//! Acts of a person: pending, confirm, veto, policy, transfer, release, new words, tombstone.

use data_encoding::HEXLOWER;
use dgns_client::error::ClientError;
use dgns_client::rng;
use identity::cert::{Body, Certificate, IdRotate, Sid};
use identity::did::Did;
use identity::seed::Words;
use identity::state::{DidState, RecoveryPhase, Subject};
use serde_json::json;

use super::actor::{self, Actor};
use super::{Context, Done, Ended, WithWords, render};

/// For or against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vote {
    /// Supports an act.
    Confirm,
    /// Opposes it.
    Veto,
}

/// Arguments of `transfer`.
#[derive(Debug, clap::Args)]
pub(crate) struct Transfer {
    /// The name
    name: String,
    /// The receiver; with --accept: the file the giver made
    #[arg(value_name = "DID")]
    to: Option<String>,
    /// Where the half-signed transfer goes, for the receiver to accept
    #[arg(long, value_name = "FILE", requires = "to")]
    out: Option<std::path::PathBuf>,
    /// Accept a transfer: the file the giver made
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    accept: Option<std::path::PathBuf>,
}

/// Lists the acts that wait.
pub(crate) async fn pending(context: &Context) -> Done {
    let actor = Actor::new(context).await?;
    let resolved = actor.session.resolve_did(&actor.did).await?;
    let acts = resolved.pending();
    let mut text: Vec<String> = acts.iter().map(render::act_text).collect();
    let attempt = resolved.did().and_then(attempt_of);
    text.extend(attempt.map(|sid| format!("{} RECOVERY: somebody tries to recover this account", render::short(&sid))));
    let text = if text.is_empty() { "nothing waits".to_owned() } else { text.join("\n") };
    let value = json!({ "ok": true, "pending": acts.iter().map(render::act_value).collect::<Vec<_>>(), "frozen": resolved.is_frozen(), "recovery": attempt.map(|sid| HEXLOWER.encode(&sid)) });
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}

/// Confirms or vetoes a waiting act.
pub(crate) async fn vote(context: &Context, act: Option<&str>, vote: Vote, words: WithWords) -> Done {
    let actor = Actor::new(context).await?;
    let (state, _) = actor.place().await?;
    let attempt = attempt_of(&state);
    if act.is_none() && attempt.is_none() && vote == Vote::Veto && is_burnt(&state) {
        // As it stands after a veto whose answer was lost.
        let value = json!({ "ok": true, "did": state.did.to_string(), "phase": "burnt" });
        context.out.result(
            "the last attempt to recover this account is vetoed already; enrol anew: dgns recovery refresh",
            &value,
        );
        return Ok(Ended::Ok);
    }
    let found = match act {
        None => attempt.ok_or_else(|| ClientError::Unable("nobody recovers this account; name an act".into()))?,
        Some(act) => {
            let digits = act.to_lowercase();
            let sids = state.pending.iter().map(|pending| pending.sid).chain(attempt);
            let matching: Vec<Sid> = sids.filter(|sid| HEXLOWER.encode(sid).starts_with(&digits)).collect();
            let [found] = matching[..] else {
                let why = match matching.len() {
                    0 => format!("no act begins with {act}; list them with: dgns pending"),
                    _ => format!("several acts begin with {act}; give more digits"),
                };
                return Err(ClientError::Unable(why));
            };
            found
        }
    };
    let (body, what) = match vote {
        Vote::Confirm => (Body::Confirm { act: found }, "confirmed"),
        Vote::Veto => (Body::Veto { act: found }, "vetoed"),
    };
    let acted = actor.act(context, &body, words, &[], &actor.subject()).await?;
    Ok(acted.report(context, &actor.session, what))
}

/// Returns the attempt to recover this account that a vote could be about.
fn attempt_of(state: &DidState) -> Option<Sid> {
    let recovery = state.recovery.as_deref()?;
    let is_on = matches!(recovery.phase, RecoveryPhase::Open | RecoveryPhase::Proved | RecoveryPhase::Ready);
    recovery.attempt.filter(|_| is_on).map(|attempt| attempt.sid)
}

fn is_burnt(state: &DidState) -> bool {
    state.recovery.as_deref().is_some_and(|recovery| recovery.phase == RecoveryPhase::Burnt)
}

/// Sets the window of destructive acts.
pub(crate) async fn policy(context: &Context, window_s: u64, words: WithWords) -> Done {
    let actor = Actor::new(context).await?;
    let acted = actor.act(context, &Body::Policy { window_s }, words, &[], &actor.subject()).await?;
    Ok(acted.report(context, &actor.session, "window"))
}

/// Makes a transfer for the receiver to accept, or accepts one.
pub(crate) async fn transfer(context: &Context, transfer: Transfer) -> Done {
    let actor = Actor::new(context).await?;
    let name = actor.session.name(&transfer.name)?;
    if let Some(path) = &transfer.accept {
        return accept(context, &actor, path, name.as_str()).await;
    }
    let to = transfer.to.as_deref().ok_or_else(|| ClientError::Unable("name the receiver's DID".into()))?;
    let to: Did = to.parse().map_err(|error| ClientError::Unable(format!("{to:?}: {error}")))?;
    let (_, place) = actor.place().await?;
    let body = Body::Transfer { name: name.as_str().to_owned(), to: Some(to) };
    let by = (to != actor.did).then_some(to);
    let half =
        place.sign(body, by, actor.session.trust().origin(), &[&actor.device.sign]).map_err(actor::unsignable)?;
    let path = transfer.out.unwrap_or_else(|| format!("{}.transfer", name.as_str()).into());
    std::fs::write(&path, half.as_bytes())
        .map_err(|error| ClientError::Unable(format!("{}: {error}", path.display())))?;
    let text = format!(
        "{0}: give it to the receiver, who runs\n  dgns transfer {1} --accept {0}",
        path.display(),
        name.as_str()
    );
    context.out.result(&text, &json!({ "ok": true, "file": path, "act": actor::sid_text(&half) }));
    Ok(Ended::Ok)
}

/// Signs a transfer as its receiver, and posts it.
async fn accept(context: &Context, actor: &Actor, path: &std::path::Path, name: &str) -> Done {
    let bytes = std::fs::read(path).map_err(|error| ClientError::Unable(format!("{}: {error}", path.display())))?;
    let half =
        Certificate::decode(&bytes).map_err(|error| ClientError::Unable(format!("{}: {error}", path.display())))?;
    let wanted = Body::Transfer { name: name.to_owned(), to: Some(actor.did) };
    if half.payload().body != wanted {
        return Err(ClientError::Unable(format!("{} is not a transfer of {name} to this DID", path.display())));
    }
    let signature = actor.device.sign.sign(&half.signed_bytes(actor.session.trust().origin()));
    let whole = half.with_signatures_added(&[(actor.device.sign.kid(), signature)]).map_err(actor::unsignable)?;
    let posted = actor.session.post(std::slice::from_ref(&whole), &Subject::Name(name.to_owned())).await?;
    Ok(actor::Acted { sid: whole.sid(), posted }.report(context, &actor.session, "transfer"))
}

/// Gives a name up.
pub(crate) async fn release(context: &Context, name: &str, words: WithWords) -> Done {
    let actor = Actor::new(context).await?;
    let name = actor.session.name(name)?;
    let body = Body::Transfer { name: name.as_str().to_owned(), to: None };
    let acted = actor.act(context, &body, words, &[], &Subject::Name(name.as_str().to_owned())).await?;
    Ok(acted.report(context, &actor.session, "release"))
}

/// Takes new words.
pub(crate) async fn rotate(context: &Context, with: WithWords) -> Done {
    let actor = Actor::new(context).await?;
    let words = Words::generate(&mut rng::system());
    actor::show_words(context, &words, None);
    let identity = words.identity();
    let body = Body::IdRotate(IdRotate { identity: identity.public(), words_box: words.words_box().public() });
    let acted = actor.act(context, &body, with, &[&identity], &actor.subject()).await?;
    let more = ("", json!({ "words": words.phrase().as_str() }));
    Ok(acted.report_with(context, &actor.session, "new words", more))
}

/// Ends the DID.
pub(crate) async fn tombstone(context: &Context, yes: bool, words: WithWords) -> Done {
    if !yes {
        return Err(ClientError::Unable(
            "this ends the DID for ever and frees its names after 90 days; add --yes".into(),
        ));
    }
    let actor = Actor::new(context).await?;
    let acted = actor.act(context, &Body::Tombstone, words, &[], &actor.subject()).await?;
    Ok(acted.report(context, &actor.session, "tombstone"))
}
