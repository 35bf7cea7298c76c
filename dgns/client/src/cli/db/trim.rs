//! `db trim`: the first entries of a log go, and a snapshot has their records.

use dgns_client::store::database::MAIN;
use dgns_client::store::trim::{self, Trimmed};
use serde_json::json;

use crate::cli::actor::Actor;
use crate::cli::progress::Progress;
use crate::cli::{Context, Done, Ended};

/// What to trim.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("end").required(true))]
pub(crate) struct Trim {
    /// The database; you are an owner of it
    name: String,
    /// The log of the database
    #[arg(long = "log", default_value = MAIN, value_name = "LABEL")]
    label: String,
    /// The first entry that stays as it is: no further than the newest snapshot reaches
    #[arg(long, group = "end", value_name = "POS", value_parser = clap::value_parser!(u64).range(1..))]
    to: Option<u64>,
    /// As far as the newest snapshot reaches
    #[arg(long, group = "end")]
    to_snapshot: bool,
}

/// Runs `db trim`.
pub(crate) async fn trim(context: &Context, command: &Trim) -> Done {
    let actor = Actor::new(context).await?;
    let _turn = actor.session.log().turn("append.lock")?;
    let mut progress = Progress::new("compare");
    let mut show = |done: u64| progress.count(done);
    let place = (command.name.as_str(), command.label.as_str());
    let trimmed = trim::trim(&actor.session, actor.signer(), place, command.to, &mut show).await;
    drop(progress);
    let Trimmed { trim, new } = trimmed?;
    let text = match new {
        true => format!(
            "the first {} entries go, for ever; snapshot {} has their records, each compared before: dgns snapshot restore {}",
            trim.to, trim.snapshot, command.name
        ),
        false => format!("the first {} entries are trimmed already; nothing was said", trim.to),
    };
    context.out.result(&text, &json!({ "ok": true, "to": trim.to, "snapshot": trim.snapshot, "new": new }));
    Ok(Ended::Ok)
}
