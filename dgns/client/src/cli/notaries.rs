//! `dgns notaries`: who says in this log whom an issuer let in, proved; and what owners made of it, on the server's word.

use data_encoding::HEXLOWER;
use dgns_api::notary::Notaries;
use dgns_api::path;
use dgns_client::aliases;
use dgns_client::error::ClientError;
use identity::cert::Role;
use identity::key::kid_of;
use identity::state::AuthorityState;
use serde_json::{Value, json};

use super::{Context, Done, Ended};

/// Lists the notaries.
pub(crate) async fn notaries(context: &Context) -> Done {
    let session = context.session().await?;
    let server = aliases::server_state(&session).await?;
    let said = session.get(path::NOTARIES).await?;
    let said: Notaries = serde_json::from_slice(&said)
        .map_err(|_| ClientError::Network(format!("{} is not of the documented form", path::NOTARIES)))?;
    let known: Vec<&AuthorityState> =
        server.authorities.iter().filter(|known| known.authority.role == Role::Notary).collect();
    let rows: Vec<Value> = known.iter().map(|known| row(known, &said)).collect();
    let mut text: Vec<String> = rows.iter().map(line).collect();
    text.push(match rows.is_empty() {
        true => "no notary: nobody signs in at this server".into(),
        false => "\nWho is a notary is proved; the counts are the server's word, and the log's to count again.".into(),
    });
    context.out.result(&text.join("\n"), &json!({ "ok": true, "notaries": rows }));
    Ok(Ended::Ok)
}

fn row(known: &AuthorityState, said: &Notaries) -> Value {
    let kid = HEXLOWER.encode(&kid_of(&known.authority.key).0);
    let counted = said.notaries.iter().find(|notary| notary.kid == kid);
    json!({
        "kid": kid,
        "issuer": known.authority.scope,
        "revoked_at": known.revoked_at,
        "sign_ins": counted.map(|counted| counted.sign_ins),
        "disputed": counted.map(|counted| counted.disputed),
        "attempts": counted.map(|counted| counted.attempts),
        "failed": counted.map(|counted| counted.failed),
    })
}

fn line(row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| row[name].as_u64().map_or_else(|| "?".to_owned(), |number| number.to_string());
    let standing = match row["revoked_at"].as_u64() {
        Some(index) => format!("REVOKED at entry {index}"),
        None => "speaks".to_owned(),
    };
    format!(
        "{}  {}  {standing}\n  {} sign-ins, {} of them disputed; {} recoveries begun, {} of them not proved",
        text("kid"),
        text("issuer"),
        number("sign_ins"),
        number("disputed"),
        number("attempts"),
        number("failed"),
    )
}
