//! `db grant`, `db revoke`, `db members`, `db rekey`: who has a database, or a log of it; `db log`, `db logs`: which there are.

use dgns_api::store::acl::{Acl, Group};
use dgns_client::clock;
use dgns_client::store::database::{MAIN, OpenDb};
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
    #[command(flatten)]
    of: Of,
}

/// Whose group.
#[derive(Debug, clap::Args)]
pub(crate) struct Of {
    /// A log of the database: those who have it (dgns db log)
    #[arg(long = "log", default_value = MAIN, value_name = "LABEL")]
    label: String,
}

/// A further log.
#[derive(Debug, clap::Args)]
pub(crate) struct Begin {
    /// The database
    name: String,
    /// What the log is called: 1 to 64 bytes
    label: String,
    /// For people of its own: you alone, until you let others in with dgns db grant NAME WHO --log LABEL
    #[arg(long)]
    apart: bool,
    /// For those who have this log
    #[arg(long = "with", default_value = MAIN, value_name = "LABEL", conflicts_with = "apart")]
    beside: String,
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
    let label = command.of.label.as_str();
    let said = members::grant(&actor.session, actor.signer(), (&command.name, label), &who, rights).await?;
    let text = match said.statements {
        0 => format!("{who} may {} already; nothing was said", words(rights)),
        _ => format!("{who} may {} from now on, also what was appended before", words(rights)),
    };
    shown(context, &text, (&said, label), json!({ "did": who.to_string(), "rights": rights.to_string() }))
}

/// Runs `db revoke`.
pub(crate) async fn revoke(context: &Context, name: &str, who: &str, Of { label }: &Of) -> Done {
    let actor = Actor::new(context).await?;
    let who = did_of(&actor.session, who).await?;
    let _turn = actor.session.log().turn("append.lock")?;
    let said = members::revoke(&actor.session, actor.signer(), (name, label), &who).await?;
    let turned =
        if rekey_due(&said.acl, label) { "the next member who may grant turns the key" } else { "the key is turned" };
    let text = match said.statements {
        0 => format!("{who} is no member; nothing was said"),
        _ => format!("{who} is no member any more; {turned}: what is appended from then on they cannot read"),
    };
    shown(context, &text, (&said, label), json!({ "did": who.to_string() }))
}

/// Runs `db rekey`.
pub(crate) async fn rekey(context: &Context, name: &str, Of { label }: &Of) -> Done {
    let actor = Actor::new(context).await?;
    let _turn = actor.session.log().turn("append.lock")?;
    let said = members::rekey(&actor.session, actor.signer(), (name, label), false).await?;
    let text = format!("key {} is the newest, sealed to each member", epoch(&said.acl, label));
    shown(context, &text, (&said, label), json!({}))
}

/// Runs `db members`.
pub(crate) async fn members(context: &Context, name: &str, Of { label }: &Of) -> Done {
    let actor = Actor::new(context).await?;
    let db = OpenDb::open(&actor.session, actor.signer(), name).await?;
    if label != MAIN {
        db.log(label)?;
    }
    let group = group(db.acl(), label);
    let rows = group.into_iter().flat_map(|group| &group.members);
    let (lines, values): (Vec<String>, Vec<Value>) =
        rows.map(|(did, (rights, until_s))| row(did, *rights, *until_s)).unzip();
    let due = if rekey_due(db.acl(), label) { ", to be turned: somebody left" } else { "" };
    let at = db.url().map(|url| format!("\nat {url}")).unwrap_or_default();
    let text = format!("{}\nkey {}{due}{}{at}", lines.join("\n"), epoch(db.acl(), label), of_kind(db.acl()));
    let value = json!({
        "ok": true, "did": db.acl().did().to_string(), "kind": db.acl().kind().name(), "members": values, "epoch": epoch(db.acl(), label), "rekey_due": rekey_due(db.acl(), label),
        "url": db.url(),
    });
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}

/// Runs `db log`.
pub(crate) async fn begin(context: &Context, command: &Begin) -> Done {
    let actor = Actor::new(context).await?;
    let Begin { name, label, apart, beside } = command;
    let _turn = actor.session.log().turn("append.lock")?;
    let beside = (!apart).then_some(beside.as_str());
    let said = members::begin_log(&actor.session, actor.signer(), (name, label), beside).await?;
    let whose = match beside {
        Some(beside) => format!("those who have {beside:?} have it, too"),
        None => format!("you alone have it: dgns db grant {name} WHO --write --log {label} lets others in"),
    };
    let text = format!("{label:?} is a log of {name}; {whose}\n\nNext: dgns db append {name} --log {label}");
    shown(context, &text, (&said, label), json!({ "log": label, "id": id_of(&said.acl, label) }))
}

/// Runs `db logs`.
pub(crate) async fn logs(context: &Context, name: &str) -> Done {
    let actor = Actor::new(context).await?;
    let db = OpenDb::open(&actor.session, actor.signer(), name).await?;
    let (mut lines, mut values) = (Vec::new(), Vec::new());
    for (id, (gid, _, label)) in db.acl().logs() {
        let members = db.acl().groups().get(gid).map_or(0, |group| group.members.len());
        let is_yours = db.acl().may(&actor.did, *gid, Rights::READ, clock::now().as_ms() / 1_000);
        let whose = if is_yours { "" } else { ", not yours to read" };
        lines.push(format!("{label}  group {gid}, members: {members}{whose}"));
        values.push(json!({ "log": label, "id": id.to_string(), "group": gid, "members": members, "reads": is_yours }));
    }
    context.out.result(&lines.join("\n"), &json!({ "ok": true, "did": db.acl().did().to_string(), "logs": values }));
    Ok(Ended::Ok)
}

fn id_of(acl: &Acl, label: &str) -> Option<String> {
    acl.log_of(label).map(|(id, _)| id.to_string())
}

/// Returns what is to be known of a database that is not like others, in a line of its own.
pub(super) fn of_kind(acl: &Acl) -> String {
    acl.person().map(|person| format!("\nprofile of {person}, whose devices alone write it")).unwrap_or_default()
}

fn row(did: &Did, rights: Rights, until_s: u64) -> (String, Value) {
    let text = format!("{did}  may {}, until {}", words(rights), time(until_s.saturating_mul(1_000)));
    (text, json!({ "did": did.to_string(), "rights": rights.to_string(), "until_s": until_s }))
}

fn shown(context: &Context, text: &str, (said, label): (&Said, &str), mut value: Value) -> Done {
    value["ok"] = true.into();
    value["statements"] = said.statements.into();
    value["epoch"] = epoch(&said.acl, label).into();
    value["rekey_due"] = rekey_due(&said.acl, label).into();
    context.out.result(text, &value);
    Ok(Ended::Ok)
}

fn group<'a>(acl: &'a Acl, label: &str) -> Option<&'a Group> {
    acl.log_of(label).and_then(|(_, gid)| acl.groups().get(&gid))
}

fn epoch(acl: &Acl, label: &str) -> usize {
    group(acl, label).map_or(0, |group| group.epochs.len())
}

fn rekey_due(acl: &Acl, label: &str) -> bool {
    group(acl, label).is_some_and(|group| group.rekey_due)
}

fn words(rights: Rights) -> String {
    let named = [(Rights::READ, "read"), (Rights::WRITE, "write"), (Rights::GRANT, "grant")];
    let words: Vec<_> = named.iter().filter(|(right, _)| rights.include(*right)).map(|(_, word)| *word).collect();
    words.join(", ")
}
