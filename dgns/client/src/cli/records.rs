//! Records: what a name answers in DNS. A certificate carries the whole set; these commands change one part of it.

use dgns_client::draft::Place;
use dgns_client::error::ClientError;
use dgns_client::{clock, zonetext};
use identity::cert::{Body, Records as RecordSet, Row};
use identity::record;
use identity::state::Subject;
use serde_json::json;

use super::actor::{Acted, Actor, TRIES, is_lost_race};
use super::{Context, Done, Ended};

/// `records`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Records {
    /// Set all records of one type, replacing those there are
    Set {
        /// The name
        name: String,
        /// A AAAA CNAME TXT SRV SVCB HTTPS CAA TLSA SSHFP
        rtype: String,
        /// The data of each record, as in a zone file
        #[arg(required = true)]
        values: Vec<String>,
        /// Labels below the name, each beginning with an underscore, such as `_db._tcp`
        #[arg(long, default_value = "")]
        owner: String,
        /// Seconds a resolver may keep them, 30 to 3600
        #[arg(long, default_value_t = 60)]
        ttl: u32,
    },
    /// Remove the records of one type, or one of them
    Remove {
        /// The name
        name: String,
        /// The type
        rtype: String,
        /// The data of the one to remove; all if left out
        value: Option<String>,
        /// Labels below the name
        #[arg(long, default_value = "")]
        owner: String,
    },
    /// List the records, proved
    List {
        /// The name
        name: String,
    },
}

/// Runs a `records` command.
pub(crate) async fn records(context: &Context, command: Records) -> Done {
    match command {
        Records::List { name } => list(context, &name).await,
        Records::Set { name, rtype, values, owner, ttl } => {
            let number = zonetext::type_number(&rtype)?;
            let mut rows = Vec::new();
            for value in &values {
                rows.push(Row { owner: owner.clone(), rtype: number, rdata: zonetext::parse(number, value)?, ttl });
            }
            change(context, &name, |set| {
                set.rows.retain(|row| row.rtype != number || row.owner != owner);
                set.rows.extend_from_slice(&rows);
                Ok(())
            })
            .await
        }
        Records::Remove { name, rtype, value, owner } => {
            let number = zonetext::type_number(&rtype)?;
            let rdata = value.as_deref().map(|value| zonetext::parse(number, value)).transpose()?;
            change(context, &name, |set| {
                let before = set.rows.len();
                let hit = |row: &Row| {
                    row.rtype == number && row.owner == owner && rdata.as_ref().is_none_or(|r| *r == row.rdata)
                };
                set.rows.retain(|row| !hit(row));
                match set.rows.len() < before {
                    true => Ok(()),
                    false => Err(ClientError::Unable("there is no such record".into())),
                }
            })
            .await
        }
    }
}

/// Reads the proved set, changes it, and certifies the new one; where another device was faster, from the start.
///
/// The certificate is placed after the head under which the set was read: a change that came between loses nobody's records.
async fn change(context: &Context, name: &str, edit: impl Fn(&mut RecordSet) -> Result<(), ClientError>) -> Done {
    let actor = Actor::new(context).await?;
    match certify(context, &actor, name, edit).await? {
        Some(acted) => {
            Ok(acted.report(context, &actor.session, &format!("records of {}", actor.session.name(name)?.as_str())))
        }
        None => {
            context.out.result("nothing to change", &json!({ "ok": true, "changed": false }));
            Ok(Ended::Ok)
        }
    }
}

/// As [`change`], and leaves it to the caller to say what was done; `None`: there is nothing to change.
pub(super) async fn certify(
    context: &Context,
    actor: &Actor,
    name: &str,
    edit: impl Fn(&mut RecordSet) -> Result<(), ClientError>,
) -> Result<Option<Acted>, ClientError> {
    let name = actor.session.name(name)?;
    let subject = Subject::Name(name.as_str().to_owned());
    for tries_left in (0..TRIES).rev() {
        let before = actor.session.resolve(&subject).await?;
        if before.name().is_none() {
            return Err(ClientError::Absent(name.as_str().to_owned()));
        }
        let place = match before.did().filter(|owner| owner.did == actor.did) {
            Some(owner) => Place::after(actor.did, &owner.head, before.head(), clock::now()),
            // Somebody else's name: the rules will say so.
            None => actor.place().await?.1,
        };
        let empty = RecordSet { name: name.as_str().to_owned(), rows: Vec::new(), aliases: Vec::new(), flags: 0 };
        let old = before.records().cloned().unwrap_or(empty);
        let Some(set) = edited(context, &old, &edit)? else { return Ok(None) };
        match actor.act_at(&place, &Body::Records(set), &[&actor.device.sign], &subject).await {
            Err(error) if is_lost_race(&error) && tries_left > 0 => {}
            Err(error) => return Err(error),
            Ok(acted) => return Ok(Some(acted)),
        }
    }
    unreachable!("the last try returns")
}

/// Returns the changed set, checked, and says what changes; `None` if nothing does.
fn edited(
    context: &Context,
    old: &RecordSet,
    edit: impl Fn(&mut RecordSet) -> Result<(), ClientError>,
) -> Result<Option<RecordSet>, ClientError> {
    let mut set = old.clone();
    edit(&mut set)?;
    set.rows.sort();
    set.rows.dedup();
    record::check(&set).map_err(|bad| {
        let row = bad.row.and_then(|place| set.rows.get(place)).map(show).unwrap_or_default();
        ClientError::Unable(format!("bad record ({}): {row}", bad.reason.as_str()))
    })?;
    for row in old.rows.iter().filter(|row| !set.rows.contains(row)) {
        context.out.note(&format!("- {}", show(row)));
    }
    for row in set.rows.iter().filter(|row| !old.rows.contains(row)) {
        context.out.note(&format!("+ {}", show(row)));
    }
    Ok((set.rows != old.rows).then_some(set))
}

async fn list(context: &Context, name: &str) -> Done {
    let session = context.session().await?;
    let name = session.name(name)?;
    let resolved = session.resolve(&Subject::Name(name.as_str().to_owned())).await?;
    if resolved.name().is_none() {
        return Err(ClientError::Absent(name.as_str().to_owned()));
    }
    let rows = resolved.records().map_or(&[][..], |set| &set.rows);
    let text: Vec<String> =
        rows.iter().map(|row| format!("{} {}", full_owner(&row.owner, name.as_str()), show_data(row))).collect();
    let text = if text.is_empty() { format!("{} has no records", name.as_str()) } else { text.join("\n") };
    let values: Vec<_> = rows
        .iter()
        .map(|row| {
            let value = zonetext::show(row.rtype, &row.rdata);
            json!({ "owner": row.owner, "type": zonetext::type_name(row.rtype), "ttl": row.ttl, "value": value })
        })
        .collect();
    context.out.result(&text, &json!({ "ok": true, "name": name.as_str(), "records": values }));
    Ok(Ended::Ok)
}

fn full_owner(owner: &str, name: &str) -> String {
    if owner.is_empty() { format!("{name}.") } else { format!("{owner}.{name}.") }
}

fn show(row: &Row) -> String {
    let owner = if row.owner.is_empty() { "@" } else { &row.owner };
    format!("{owner} {}", show_data(row))
}

fn show_data(row: &Row) -> String {
    format!("{} IN {} {}", row.ttl, zonetext::type_name(row.rtype), zonetext::show(row.rtype, &row.rdata))
}
