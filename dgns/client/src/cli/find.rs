//! `dgns find`: a person by their e-mail address, which nobody is told (PROTOCOL 3.5).

use data_encoding::HEXLOWER;
use dgns_client::aliases;
use dgns_client::error::ClientError;
use dgns_client::session::Signer;
use identity::alias::Standing;
use identity::email::Email;
use identity::key::kid_of;
use identity::state::Attested;
use serde_json::{Value, json};
use translog::resolve::Status;

use super::render::{ended, proved_text, proved_value, subject_text, subject_value};
use super::{Context, Done, actor};

/// Arguments of `find`.
#[derive(Debug, clap::Args)]
pub(crate) struct Find {
    /// The address
    email: String,
    /// Sign the request as this device: the server takes more of them, and learns that you look for somebody, not for whom
    #[arg(long)]
    signed: bool,
}

/// Finds who has an address, or proves that nobody can be found by it. What leaves the machine is blinded.
pub(crate) async fn find(context: &Context, find: Find) -> Done {
    let email = email_of(&find.email)?;
    let session = context.session().await?;
    let known = if find.signed { Some(actor::known_device(&session)?) } else { None };
    let signer = known.as_ref().map(|(keys, did)| Signer { did: *did, keys });
    let found = aliases::find(&session, &email, signer).await?;
    let resolved = &found.resolved;
    let mut text = vec![subject_text(resolved, None)];
    text.extend(found.attested().map(|(row, standing)| attested_text(row, standing)));
    text.extend([String::new(), proved_text(&session, resolved)]);
    text.push(match resolved.status() {
        Status::Absent => {
            "\nWhoever has this address never said so here, or does not want to be found by it: nobody can tell which."
                .into()
        }
        _ => format!("\nWrite to them: dgns send {} --message TEXT", email.as_str()),
    });
    let mut value = subject_value(resolved, None);
    value["attested"] = found.attested().map(|(row, standing)| attested_value(row, standing)).collect();
    value["proof"] = proved_value(&session, resolved);
    context.out.result(&text.join("\n"), &value);
    Ok(ended(&found.resolved))
}

/// Returns an address in its one form.
pub(crate) fn email_of(text: &str) -> Result<Email, ClientError> {
    Email::parse(text).map_err(|error| ClientError::Unable(error.to_string()))
}

/// Says what a key that signed in may be taken for.
pub(crate) fn standing_text(standing: Standing) -> &'static str {
    match standing {
        Standing::Device => "a device of the owner",
        Standing::Suspended => "a device of the owner, SUSPENDED: share nothing",
        Standing::Disputed => "DISPUTED by the owner: share nothing",
        Standing::NotaryRevoked => "attested by a notary that was REVOKED: share nothing",
        Standing::Breaker => "signed in as this address, but the owner DISPUTED another sign-in lately: share nothing",
        Standing::SignedIn => "signed in as this address",
    }
}

fn attested_text(row: &Attested, standing: Standing) -> String {
    format!("  signed in {} {}", HEXLOWER.encode(&kid_of(&row.sign).0), standing_text(standing))
}

fn attested_value(row: &Attested, standing: Standing) -> Value {
    json!({
        "kid": HEXLOWER.encode(&kid_of(&row.sign).0),
        "kex": HEXLOWER.encode(&row.kex),
        "index": row.index,
        "sid": HEXLOWER.encode(&row.sid),
        "disputed": row.disputed,
        "standing": standing.name(),
        "may_receive": standing.may_receive(),
    })
}
