//! `account`: what a person may store at the server, stores, and until when.

use dgns_api::path;
use dgns_api::store::account::{Dropped, Standing};
use dgns_client::clock;
use dgns_client::error::ClientError;
use identity::did::Did;
use serde_json::json;

use super::actor::Actor;
use super::output::{span, time};
use super::{Context, Done, Ended};

/// `account`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Account {
    /// Show what you may store at the server, what you do, and until when: the server's word
    Show,
}

/// Runs `account`.
pub(crate) async fn account(context: &Context, command: Account) -> Done {
    match command {
        Account::Show => show(context).await,
    }
}

async fn show(context: &Context) -> Done {
    let actor = Actor::new(context).await?;
    let answer = actor.session.get_signed(actor.signer(), path::ACCOUNT).await?;
    let wrong = |error| ClientError::Network(format!("the server's answer of an account is none: {error}"));
    let standing = Standing::decode(&answer).map_err(wrong)?;
    let Standing { quota_bytes, used_bytes, quota_entries, used_entries, until_ms, grace_ms, databases } = &standing;
    let now_ms = clock::now().as_ms();
    let grace = span(grace_ms / 1_000);
    let (state, lease) = match until_ms {
        None => ("leased", "without an end".to_owned()),
        Some(until) if now_ms < *until => {
            ("leased", format!("until {}, then for {grace} read only, then its data is deleted", time(*until)))
        }
        Some(until) => {
            let ends = time(until.saturating_add(*grace_ms));
            ("lapsed", format!("OVER since {}: read only, and its data is deleted after {ends} or later", time(*until)))
        }
    };
    let mut lines = vec![
        actor.signer().did.to_string(),
        format!("stores  {used_bytes} of {quota_bytes} bytes, {used_entries} of {quota_entries} entries"),
        format!("lease   {lease}"),
    ];
    let said = |dropped: Dropped| match dropped {
        Dropped::No => "",
        Dropped::Yes => "  its data was deleted, the server says, nobody paid",
        Dropped::Before => "  what it had was deleted, the server says, before it was paid for again",
    };
    lines.extend(databases.iter().map(|(did, dropped)| format!("        {did}{}", said(*dropped))));
    let row = |(did, dropped): &(Did, Dropped)| {
        let dropped = match dropped {
            Dropped::No => "no",
            Dropped::Yes => "yes",
            Dropped::Before => "before",
        };
        json!({ "did": did.to_string(), "dropped": dropped })
    };
    let rows: Vec<_> = databases.iter().map(row).collect();
    let value = json!({
        "ok": true,
        "did": actor.signer().did.to_string(),
        "state": state,
        "quota_bytes": quota_bytes,
        "used_bytes": used_bytes,
        "quota_entries": quota_entries,
        "used_entries": used_entries,
        "until_ms": until_ms,
        "grace_ms": grace_ms,
        "databases": rows,
    });
    context.out.result(&lines.join("\n"), &value);
    Ok(Ended::Ok)
}
