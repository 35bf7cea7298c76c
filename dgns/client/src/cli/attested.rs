//! Who attested that somebody signed in on a device that asks, in words.

use std::time::Duration;

use dgns_client::attested::{self, SignIn};
use dgns_client::error::ClientError;
use dgns_client::session::{Session, Signer};
use identity::alias::Standing;
use identity::cert::Device;
use serde_json::{Value, json};

use super::output::time;

/// Who attested that somebody signed in on a device that asks, as it is shown.
pub(crate) struct AttestedBy {
    pub(crate) text: String,
    pub(crate) value: Value,
    /// The code with which it is turned away, if it is.
    pub(crate) refusal: Option<&'static str>,
}

/// Says who attested a device: the log, proved; the server alone, at a time that it told; or nobody.
pub(crate) async fn by(
    session: &Session,
    signer: Signer<'_>,
    device: &Device,
    told_ms: Option<u64>,
) -> Result<AttestedBy, ClientError> {
    let newest = newest(session, signer, device, told_ms.is_some()).await?;
    let Some(newest) = newest else {
        let (text, by) = match told_ms {
            Some(at_ms) => {
                let at = time(at_ms);
                (
                    format!(
                        "The server says that it signed in to an account of yours ({at}). The log does not show it, so that proves nothing."
                    ),
                    "server",
                )
            }
            None => ("Nobody attested that you signed in on it.".to_owned(), "nobody"),
        };
        return Ok(AttestedBy { text, value: json!({ "by": by, "at_ms": told_ms }), refusal: None });
    };
    let issuer = newest.issuer.as_deref().unwrap_or("somebody the log does not know");
    let who = newest.email.as_ref().map(|email| format!(" as {}", email.as_str())).unwrap_or_default();
    let at = format!("entry {} of the log, {}", newest.index, time(newest.unix_s * 1_000));
    let said = format!("{issuer} attested that it signed in{who} ({at})");
    let text = match newest.standing {
        Standing::NotaryRevoked => format!(
            "{said}, by a notary that is REVOKED: its word counts for nothing, and this sign-in may be a thief's. If it is yours, ask anew with new keys (another --home, or the page of signing in) by your name, without signing in."
        ),
        Standing::Disputed => format!("{said}, and you disputed that: it was somebody else."),
        Standing::Breaker => format!(
            "{said}. BUT another sign-in with this address was disputed within the week: be sure that this one is yours."
        ),
        _ => format!("{said}: proved, and its notary stands."),
    };
    let value = json!({
        "by": "log",
        "issuer": newest.issuer,
        "index": newest.index,
        "unix_s": newest.unix_s,
        "address": newest.email.as_ref().map(identity::email::Email::as_str),
        "standing": newest.standing.name(),
    });
    Ok(AttestedBy { text, value, refusal: newest.refusal() })
}

/// Returns the newest sign-in that the log shows. If the server told of one, a head that shows it is waited for, not long: witnesses sign
/// within seconds.
async fn newest(
    session: &Session,
    signer: Signer<'_>,
    device: &Device,
    told: bool,
) -> Result<Option<SignIn>, ClientError> {
    let mut tries = if told { 12 } else { 0 };
    loop {
        let Some(mut all) = attested::sign_ins_of(session, signer, &device.sign, &device.kex).await? else {
            return Ok(None);
        };
        if !all.is_empty() || tries == 0 {
            return Ok(all.pop());
        }
        tries -= 1;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
