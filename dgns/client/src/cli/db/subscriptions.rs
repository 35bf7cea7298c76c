//! `db subscribe`, `db subscriptions`, `db invite`, `db invitations`: what one has in a subscription database.

use dgns_api::store::partition::{Invitation, Membership};
use dgns_client::clock;
use dgns_client::error::ClientError;
use dgns_client::store::database::OpenDb;
use dgns_client::store::partition::{self, Received, Subscriptions};
use identity::did::Did;
use identity::token::Rights;
use serde_json::{Value, json};

use crate::cli::actor::Actor;
use crate::cli::output::time;
use crate::cli::token::did_of;
use crate::cli::{Context, Done, Ended};

/// What to send to whom.
#[derive(Debug, clap::Args)]
pub(crate) struct Invite {
    /// The subscription database
    name: String,
    /// To whom: a name or a DID
    #[arg(long, value_name = "WHO")]
    to: String,
    /// What to say, at most 3,040 bytes
    #[arg(long, value_name = "TEXT", required_unless_present = "database")]
    message: Option<String>,
    /// The database that it is about: a name or a DID; this lets nobody in (dgns db grant)
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
}

/// Runs `db subscribe`.
pub(crate) async fn subscribe(context: &Context, name: &str, database: Option<&str>) -> Done {
    let actor = Actor::new(context).await?;
    let _turn = actor.session.log().turn("append.lock")?;
    let added = partition::subscribe(&actor.session, actor.signer(), name, database).await?;
    let text = match (added, database) {
        (0, None) => format!("you have a partition in {name} already"),
        (0, Some(database)) => format!("that you are a member of {database} is proved there already"),
        (_, None) => format!("you have a partition in {name}: others may send you invitations there"),
        (_, Some(database)) => format!("that you are a member of {database} is proved in {name}, to your devices"),
    };
    context.out.result(&text, &json!({ "ok": true, "added": added }));
    Ok(Ended::Ok)
}

/// Runs `db unsubscribe`.
pub(crate) async fn unsubscribe(context: &Context, name: &str, database: &str) -> Done {
    let actor = Actor::new(context).await?;
    let database = did_of(&actor.session, database).await?;
    let _turn = actor.session.log().turn("append.lock")?;
    let was = partition::unsubscribe(&actor.session, actor.signer(), name, &database).await?;
    let text = if was { "is no subscription of yours any more" } else { "was none" };
    context.out.result(&format!("{database} {text}"), &json!({ "ok": true, "added": u64::from(was) }));
    Ok(Ended::Ok)
}

/// Runs `db subscriptions`.
pub(crate) async fn list(context: &Context, name: &str) -> Done {
    let actor = Actor::new(context).await?;
    let partition = Subscriptions::open(&actor.session, actor.signer(), name).await?;
    let (mut lines, mut values) = (Vec::new(), Vec::new());
    for membership in partition.memberships().values() {
        let (line, value) = row(context, &actor, membership).await?;
        lines.push(line);
        values.push(value);
    }
    if lines.is_empty() {
        lines.push(format!("nothing is proved in {name}"));
    }
    let did = partition.db().acl().did().to_string();
    let value = json!({ "ok": true, "did": did, "partition": partition.is_there(), "subscriptions": values });
    context.out.result(&lines.join("\n"), &value);
    Ok(Ended::Ok)
}

/// Returns what is shown of a database that was proved once: its own control log tells what holds now. Whatever is wrong with one, the others are shown.
async fn row(context: &Context, actor: &Actor, membership: &Membership) -> Result<(String, Value), ClientError> {
    let Membership { db: did, epoch, grant, .. } = membership;
    let name = name_of(actor, did).await?;
    let opened = match &name {
        None => Err(ClientError::Absent(format!("a name of {did}"))),
        Some(name) => OpenDb::open(&actor.session, actor.signer(), name).await,
    };
    let (now, code) = match opened {
        // The name went to another one meanwhile.
        Ok(db) if db.acl().did() != did => (None, Some("absent".to_owned())),
        Ok(db) => {
            let now_s = clock::now().as_ms() / 1_000;
            let groups = db.acl().groups().keys();
            (Some(groups.copied().any(|gid| db.acl().may(&actor.did, gid, Rights::READ, now_s))), None)
        }
        // Who is no member any more is not shown why.
        Err(error @ (ClientError::Refused(_) | ClientError::Deleted(_))) => {
            (Some(false), Some(error.code().to_owned()))
        }
        Err(error) => {
            context.out.warn(&error.to_string());
            (None, Some(error.code().to_owned()))
        }
    };
    let by = grant.header().author.to_string();
    let shown = name.clone().unwrap_or_else(|| did.to_string());
    let word = match (now, &code) {
        (Some(true), _) => "a member".to_owned(),
        (Some(false), None) => "a member no more".to_owned(),
        (Some(false), Some(code)) => format!("a member no more, as far as is shown ({code})"),
        (None, code) => format!("a member or not, nothing tells now ({})", code.as_deref().unwrap_or_default()),
    };
    let value = json!({
        "did": did.to_string(), "name": name, "granted_by": by, "epoch": epoch, "pos": membership.pos, "member": now, "code": code,
    });
    Ok((format!("{shown}  {word}; let in by {by}"), value))
}

/// Runs `db invite`.
pub(crate) async fn invite(context: &Context, command: &Invite) -> Done {
    let actor = Actor::new(context).await?;
    let to = did_of(&actor.session, &command.to).await?;
    let db = match &command.database {
        Some(database) => Some(did_of(&actor.session, database).await?),
        None => None,
    };
    let invitation = Invitation { db, text: command.message.clone().unwrap_or_default() };
    let _turn = actor.session.log().turn("append.lock")?;
    let resent = partition::invite(&actor.session, actor.signer(), &command.name, (&to, &invitation)).await?;
    if resent {
        context.out.warn(&format!("an invitation to {to} was on its way since before; it went first"));
    }
    let text = format!("the server of {} says that it is before {to}; it gives no proof of that", command.name);
    context.out.result(&text, &json!({ "ok": true, "to": to.to_string(), "resent": resent }));
    Ok(Ended::Ok)
}

/// Runs `db invitations`.
pub(crate) async fn invitations(context: &Context, name: &str, from: Option<u64>) -> Done {
    let actor = Actor::new(context).await?;
    let (received, dropped_to) = partition::invitations(&actor.session, actor.signer(), name, from).await?;
    if let Some(first) = dropped_to {
        context.out.warn(&format!(
            "the server says that nobody paid for {name} for a time, and that what came before place {first} was deleted"
        ));
    }
    let (mut lines, mut values) = (Vec::new(), Vec::new());
    for Received { pos, from, unix_ms, invitation } in &received {
        let sender = name_of(&actor, from).await?;
        let about = match invitation.as_ref().and_then(|invitation| invitation.db) {
            Some(did) => Some((did, name_of(&actor, &did).await?)),
            None => None,
        };
        let text = invitation.as_ref().map(|invitation| invitation.text.clone());
        let shown = text.clone().unwrap_or_else(|| {
            "(does not open: it was sealed to somebody else, or to a key that you do not have)".to_owned()
        });
        let to_what =
            about.as_ref().map(|(did, name)| format!("  {}", name.clone().unwrap_or_else(|| did.to_string())));
        let who = sender.clone().unwrap_or_else(|| from.to_string());
        lines.push(format!("{pos:4}  {}  {who}{}  {}", time(*unix_ms), to_what.unwrap_or_default(), printable(&shown)));
        values.push(json!({
            "pos": pos, "time_ms": unix_ms, "from": from.to_string(), "from_name": sender, "text": text,
            "database": about.as_ref().map(|(did, _)| did.to_string()), "database_name": about.and_then(|(_, name)| name),
        }));
    }
    if lines.is_empty() {
        lines.push("nobody sent anything".to_owned());
    }
    context.out.result(&lines.join("\n"), &json!({ "ok": true, "invitations": values, "dropped_to": dropped_to }));
    Ok(Ended::Ok)
}

/// Returns the first name of a DID, proved.
async fn name_of(actor: &Actor, did: &Did) -> Result<Option<String>, ClientError> {
    let resolved = actor.session.resolve_did(did).await?;
    Ok(resolved.did().and_then(|state| state.names.first().cloned()))
}

/// Returns a text of somebody else as a terminal may show it: nothing in it moves the cursor.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
