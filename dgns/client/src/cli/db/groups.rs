//! `db grant`, `db revoke`, `db members`, `db rekey`: who has a database.

use dgns_api::store::acl::{Acl, Group};
use dgns_client::store::database::{FIRST_GROUP, OpenDb};
use dgns_client::store::members::{self, Said};
use identity::did::Did;
use identity::token::Rights;
use serde_json::{Value, json};

use crate::cli::actor::Actor;
use crate::cli::output::time;
use crate::cli::token::did_of;
use crate::cli::{Context, Done, Ended};

/// Whom to give what.
#[derive(Debug, clap::Args)]
pub(crate) struct Grant {
    /// The database
    name: String,
    /// Who: a name or a DID
    who: String,
    /// To read
    #[arg(long, required_unless_present_any = ["write", "grant"])]
    read: bool,
    /// To read and append
    #[arg(long)]
    write: bool,
    /// To read, and to give others what they have themselves
    #[arg(long)]
    grant: bool,
}

impl Grant {
    fn rights(&self) -> Rights {
        let more = [(self.write, Rights::WRITE), (self.grant, Rights::GRANT)];
        more.iter().filter(|(given, _)| *given).fold(Rights::READ, |rights, (_, more)| rights.and(*more))
    }
}

/// Runs `db grant`.
pub(crate) async fn grant(context: &Context, command: &Grant) -> Done {
    let (actor, rights) = (Actor::new(context).await?, command.rights());
    let who = did_of(&actor.session, &command.who).await?;
    let _turn = actor.session.log().turn("append.lock")?;
    let place = (command.name.as_str(), FIRST_GROUP);
    let said = members::grant(&actor.session, actor.signer(), place, &who, rights).await?;
    let text = match said.statements {
        0 => format!("{who} may {} already; nothing was said", words(rights)),
        _ => format!("{who} may {} from now on, also what was appended before", words(rights)),
    };
    shown(context, &text, &said, json!({ "did": who.to_string(), "rights": rights.to_string() }))
}

/// Runs `db revoke`.
pub(crate) async fn revoke(context: &Context, name: &str, who: &str) -> Done {
    let actor = Actor::new(context).await?;
    let who = did_of(&actor.session, who).await?;
    let _turn = actor.session.log().turn("append.lock")?;
    let said = members::revoke(&actor.session, actor.signer(), (name, FIRST_GROUP), &who).await?;
    let turned = if rekey_due(&said.acl) { "the next member who may grant turns the key" } else { "the key is turned" };
    let text = match said.statements {
        0 => format!("{who} is no member; nothing was said"),
        _ => format!("{who} is no member any more; {turned}: what is appended from then on they cannot read"),
    };
    shown(context, &text, &said, json!({ "did": who.to_string() }))
}

/// Runs `db rekey`.
pub(crate) async fn rekey(context: &Context, name: &str) -> Done {
    let actor = Actor::new(context).await?;
    let _turn = actor.session.log().turn("append.lock")?;
    let said = members::rekey(&actor.session, actor.signer(), (name, FIRST_GROUP), false).await?;
    shown(context, &format!("key {} is the newest, sealed to each member", epoch(&said.acl)), &said, json!({}))
}

/// Runs `db members`.
pub(crate) async fn members(context: &Context, name: &str) -> Done {
    let actor = Actor::new(context).await?;
    let db = OpenDb::open(&actor.session, actor.signer(), name).await?;
    let group = group(db.acl());
    let rows = group.into_iter().flat_map(|group| &group.members);
    let (lines, values): (Vec<String>, Vec<Value>) =
        rows.map(|(did, (rights, until_s))| row(did, *rights, *until_s)).unzip();
    let due = if rekey_due(db.acl()) { ", to be turned: somebody left" } else { "" };
    let at = db.url().map(|url| format!("\nat {url}")).unwrap_or_default();
    let text = format!("{}\nkey {}{due}{}{at}", lines.join("\n"), epoch(db.acl()), of_kind(db.acl()));
    let value = json!({
        "ok": true, "did": db.acl().did().to_string(), "kind": db.acl().kind().name(), "members": values, "epoch": epoch(db.acl()), "rekey_due": rekey_due(db.acl()),
        "url": db.url(),
    });
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}

/// Returns what is to be known of a database that is not like others, in a line of its own.
pub(super) fn of_kind(acl: &Acl) -> String {
    acl.person().map(|person| format!("\nprofile of {person}, whose devices alone write it")).unwrap_or_default()
}

fn row(did: &Did, rights: Rights, until_s: u64) -> (String, Value) {
    let text = format!("{did}  may {}, until {}", words(rights), time(until_s.saturating_mul(1_000)));
    (text, json!({ "did": did.to_string(), "rights": rights.to_string(), "until_s": until_s }))
}

fn shown(context: &Context, text: &str, said: &Said, mut value: Value) -> Done {
    value["ok"] = true.into();
    value["statements"] = said.statements.into();
    value["epoch"] = epoch(&said.acl).into();
    value["rekey_due"] = rekey_due(&said.acl).into();
    context.out.result(text, &value);
    Ok(Ended::Ok)
}

fn group(acl: &Acl) -> Option<&Group> {
    acl.groups().get(&FIRST_GROUP)
}

fn epoch(acl: &Acl) -> usize {
    group(acl).map_or(0, |group| group.epochs.len())
}

fn rekey_due(acl: &Acl) -> bool {
    group(acl).is_some_and(|group| group.rekey_due)
}

fn words(rights: Rights) -> String {
    let named = [(Rights::READ, "read"), (Rights::WRITE, "write"), (Rights::GRANT, "grant")];
    let words: Vec<_> = named.iter().filter(|(right, _)| rights.include(*right)).map(|(_, word)| *word).collect();
    words.join(", ")
}
