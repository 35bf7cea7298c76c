//! `alias`: the e-mail addresses one is found by, or not (PROTOCOL 5.7, 12.18).

use data_encoding::HEXLOWER;
use dgns_api::alias::Mine;
use dgns_api::signin::Finished;
use dgns_client::aliases::{self, Own};
use dgns_client::error::ClientError;
use identity::alias::AliasId;
use identity::cert::Body;
use identity::email::Email;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::actor::{Acted, Actor};
use super::{Context, Done, Ended, WithWords, find, login, render};

/// How long the server may take to erase what it kept, once the log says so.
const ERASED_WITHIN: Duration = Duration::from_secs(10);

/// `alias`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Alias {
    /// Let others find you by an address; you sign in to show that it is yours
    Add {
        /// The address
        email: String,
        /// Where to sign in, as the server's list calls it; needed if it lists several
        #[arg(long, value_name = "ISSUER")]
        oidc: Option<String>,
        /// Bind it without being found by it: for you alone, and whom you tell
        #[arg(long)]
        hidden: bool,
    },
    /// List your addresses, and what the server keeps of them
    List,
    /// Give an address up; the server forgets what it kept of it
    Remove {
        /// The address, or the first digits of the alias
        email: String,
        #[command(flatten)]
        words: WithWords,
    },
    /// Stop being found by an address, and keep it
    Hide(Again),
    /// Be found by an address that was hidden
    Show(Again),
}

/// Binds an address anew.
#[derive(Debug, clap::Args)]
pub(crate) struct Again {
    /// The address
    email: String,
    /// Where to sign in, as the server's list calls it; needed if it lists several
    #[arg(long, value_name = "ISSUER")]
    oidc: Option<String>,
    #[command(flatten)]
    words: WithWords,
}

/// Runs an `alias` command.
pub(crate) async fn alias(context: &Context, command: Alias) -> Done {
    match command {
        Alias::Add { email, oidc, hidden } => add(context, &email, oidc.as_deref(), hidden).await,
        Alias::List => list(context).await,
        Alias::Remove { email, words } => remove(context, &email, words).await,
        Alias::Hide(again) => turn(context, again, true).await,
        Alias::Show(again) => turn(context, again, false).await,
    }
}

async fn add(context: &Context, email: &str, oidc: Option<&str>, hidden: bool) -> Done {
    let email = find::email_of(email)?;
    let actor = Actor::new(context).await?;
    let finished = signed_in(context, &actor, &email, oidc).await?;
    let bound = aliases::bind(&actor.session, actor.signer(), &finished, hidden).await?;
    let how = if hidden { "bound, and hidden: nobody finds you by it" } else { "bound: others find you by it" };
    let next = if hidden { String::new() } else { format!("\n\nTry it: dgns find {}", email.as_str()) };
    let resolved = &bound.posted.resolved;
    let text = format!("{} is {how}\n\n{}{next}", email.as_str(), render::proved_text(&actor.session, resolved));
    let value = json!({
        "ok": true,
        "alias": HEXLOWER.encode(&bound.alias),
        "hidden": hidden,
        "indexes": bound.posted.indexes,
        "proof": render::proved_value(&actor.session, resolved),
    });
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}

/// Signs in on this device, and holds what the issuer says against the address that was meant.
async fn signed_in(
    context: &Context,
    actor: &Actor,
    email: &Email,
    oidc: Option<&str>,
) -> Result<Finished, ClientError> {
    let signed = login::sign_in(context, &actor.session, &actor.device, oidc, false).await?;
    let shown = signed.shown.ok_or_else(|| ClientError::Unable("this sign-in shows no address".into()))?;
    let finished = Finished {
        evidence: signed.evidence,
        random: shown.random,
        statement: shown.statement.to_vec(),
        issuer: signed.issuer.issuer,
        branch: signed.branch,
        names: signed.names,
        until_s: signed.until_s,
        boxes: None,
        passkey: None,
    };
    match aliases::address_of(&finished)? {
        said if said == *email => Ok(finished),
        _ => Err(ClientError::Unable(
            "you signed in with another address than the one you named; nothing was bound".into(),
        )),
    }
}

async fn list(context: &Context) -> Done {
    let actor = Actor::new(context).await?;
    let all = aliases::all(&actor.session, actor.signer()).await?;
    let mut lines: Vec<String> = all.own.iter().map(line_of).collect();
    if lines.is_empty() {
        lines.push("no addresses; add one: dgns alias add EMAIL".into());
    }
    lines.push(format!(
        "\nthe server keeps {} accounts that lead to you, and of {} of them an address, blinded",
        all.accounts, all.addresses
    ));
    let value = json!({
        "ok": true,
        "aliases": all.own.iter().map(value_of).collect::<Vec<_>>(),
        "accounts": all.accounts,
        "addresses": all.addresses,
    });
    context.out.result(&lines.join("\n"), &value);
    Ok(Ended::Ok)
}

async fn remove(context: &Context, email: &str, words: WithWords) -> Done {
    let actor = Actor::new(context).await?;
    let own = owned(&actor, email).await?;
    let (acted, value, erased) = unbind(context, &actor, own.alias, words).await?;
    Ok(acted.report_with(context, &actor.session, "address removed", (&erased, value)))
}

/// Binds an address anew, the other way, and gives up how it was bound before.
async fn turn(context: &Context, again: Again, hidden: bool) -> Done {
    let email = find::email_of(&again.email)?;
    let actor = Actor::new(context).await?;
    let before = owned(&actor, email.as_str()).await?;
    if before.opening.as_ref().is_some_and(|opening| opening.tag.is_some() == hidden) {
        let how = if hidden { "hidden" } else { "shown" };
        return Err(ClientError::Unable(format!("this address is {how} already")));
    }
    let finished = signed_in(context, &actor, &email, again.oidc.as_deref()).await?;
    // First the new binding: a crash in between leaves both, which `alias list` shows.
    let bound = aliases::bind(&actor.session, actor.signer(), &finished, hidden).await?;
    let (acted, mut value, erased) = unbind(context, &actor, before.alias, again.words).await?;
    value["alias"] = HEXLOWER.encode(&bound.alias).into();
    value["hidden"] = hidden.into();
    let what = if hidden { "address hidden" } else { "address shown" };
    Ok(acted.report_with(context, &actor.session, what, (&erased, value)))
}

/// Unbinds an alias and waits until the server has erased what it kept, if the log says so already.
async fn unbind(
    context: &Context,
    actor: &Actor,
    alias: AliasId,
    words: WithWords,
) -> Result<(Acted, Value, String), ClientError> {
    let acted = actor.act(context, &Body::AliasUnbind { alias }, words, &[], &actor.subject()).await?;
    if acted.posted.resolved.pending().iter().any(|act| act.sid == acted.sid) {
        let text = "The server forgets what it keeps of it when that takes effect.".to_owned();
        return Ok((acted, json!({ "erased": false }), text));
    }
    let until = Instant::now() + ERASED_WITHIN;
    loop {
        let kept = aliases::kept(&actor.session, actor.signer()).await?;
        let gone = !kept.aliases.iter().any(|Mine { alias: kept, .. }| *kept == alias);
        if gone || Instant::now() >= until {
            let text = match gone {
                true => format!(
                    "The server has erased what it kept of it. It still keeps {} accounts that lead to you, and of {} an address, blinded.",
                    kept.accounts, kept.addresses
                ),
                false => "The server has NOT erased what it keeps of it yet; look again: dgns alias list".to_owned(),
            };
            let value = json!({ "erased": gone, "accounts": kept.accounts, "addresses": kept.addresses });
            return Ok((acted, value, text));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Returns the address of one's own that `text` means.
async fn owned(actor: &Actor, text: &str) -> Result<Own, ClientError> {
    let email = Email::parse(text).ok();
    let all = aliases::all(&actor.session, actor.signer()).await?;
    let means = |own: &Own| match (&email, &own.opening) {
        (Some(email), Some(opening)) => opening.email == *email,
        (Some(_), None) => false,
        (None, _) => HEXLOWER.encode(&own.alias).starts_with(&text.to_lowercase()),
    };
    let mut matching: Vec<Own> = all.own.into_iter().filter(|own| own.bound && means(own)).collect();
    match matching.len() {
        1 => Ok(matching.remove(0)),
        0 => Err(ClientError::Unable("no such address is bound to you; list them with: dgns alias list".into())),
        _ => Err(ClientError::Unable("several are meant; give the first digits of the alias: dgns alias list".into())),
    }
}

fn line_of(own: &Own) -> String {
    let alias = HEXLOWER.encode(&own.alias[..6]);
    let how = match (&own.opening, own.bound) {
        (_, false) => "not bound (or not any more)",
        (Some(opening), true) if opening.tag.is_some() => "hidden, proved bound",
        (Some(_), true) => "others find you by it, proved bound",
        (None, true) => "proved bound; this device cannot read which address it is",
    };
    let address = own.opening.as_ref().map_or("?", |opening| opening.email.as_str());
    format!("{alias} {address}  {how}")
}

fn value_of(own: &Own) -> Value {
    json!({
        "alias": HEXLOWER.encode(&own.alias),
        "address": own.opening.as_ref().map(|opening| opening.email.as_str()),
        "hidden": own.opening.as_ref().map(|opening| opening.tag.is_some()),
        "bound": own.bound,
    })
}
