//! `send`, `inbox`: letters to a person, sealed to each of their devices; those that came to this one (PROTOCOL 22).

use std::io::Read as _;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, HEXLOWER};
use dgns_api::path;
use dgns_client::error::ClientError;
use dgns_client::mail::{self, Address, Delivery, Kept};
use dgns_client::session::{Session, Signer};
use dgns_client::{aliases, clock};
use identity::did::Did;
use identity::key::kid_of;
use identity::limits::LETTER_BYTES_MAX;
use identity::mail::Letter;
use serde_json::{Value, json};
use tokio::time::Duration;
use translog::resolve::Resolved;

use super::actor::Actor;
use super::output::time;
use super::{Context, Done, Ended, arguments, find, render};

/// Between two attempts to listen.
const BREATH: Duration = Duration::from_secs(1);

/// The characters of a letter that a list shows.
const GLIMPSE: usize = 60;

/// Arguments of `send`.
#[derive(Debug, clap::Args)]
pub(crate) struct Send {
    /// To whom: a name, `did:dgns:...` or an e-mail address, which nobody is told
    to: String,
    /// A file to send; standard input if there is neither this nor --message
    file: Option<PathBuf>,
    /// What to write
    #[arg(short, long, value_name = "TEXT", conflicts_with = "file")]
    message: Option<String>,
    /// Do not sign: the receiver is not told who wrote
    #[arg(long)]
    anonymous: bool,
    /// Seal to devices of the owner alone, not to keys that only signed in with the address
    #[arg(long)]
    devices_only: bool,
}

/// `inbox`.
#[derive(Debug, clap::Args)]
pub(crate) struct Inbox {
    #[command(subcommand)]
    command: Option<InboxCommand>,
    /// Go on and tell of each letter as it comes
    #[arg(long)]
    follow: bool,
}

/// What to do with letters.
#[derive(Debug, clap::Subcommand)]
enum InboxCommand {
    /// Fetch what waits and list the letters
    List,
    /// Show a letter, or write the file it is
    Open {
        /// Its id, or the first digits of it
        id: String,
        /// Where its content goes; standard output if left out
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Delete a letter from this device
    Delete {
        /// Its id, or the first digits of it
        id: Option<String>,
        /// Delete all of them
        #[arg(long, conflicts_with = "id", required_unless_present = "id")]
        all: bool,
    },
}

/// Writes a letter to each device of a person.
pub(crate) async fn send(context: &Context, send: Send) -> Done {
    let session = context.session().await?;
    let letter = written(&send)?;
    let (resolved, mut to) = addresses(&session, &send.to).await?;
    if send.devices_only {
        to.retain(|address| address.alias.is_none());
    }
    let Some(did) = resolved.did().map(|state| state.did).filter(|_| !to.is_empty()) else {
        return Err(ClientError::Unable(format!("{} has no device that could receive a letter", send.to)));
    };
    let device = session.log().device()?.filter(|_| !send.anonymous);
    let signer = device.as_ref().and_then(|keys| keys.did.map(|did| Signer { did, keys }));
    let deliveries = mail::send(&session, letter, &to, signer).await;
    report(context, &session, &send, did, &resolved, &deliveries, signer.is_some())
}

/// Returns the letter that the arguments, or standard input, spell.
fn written(send: &Send) -> Result<Letter, ClientError> {
    let unreadable = |path: &Path, error: std::io::Error| ClientError::Unable(format!("{}: {error}", path.display()));
    let bounded = |read: &mut dyn std::io::Read, path: &Path| {
        let mut content = Vec::new();
        read.take(LETTER_BYTES_MAX as u64 + 1)
            .read_to_end(&mut content)
            .map(|_| content)
            .map_err(|error| unreadable(path, error))
    };
    let (content, name) = match (&send.message, &send.file) {
        (Some(text), _) => (text.clone().into_bytes(), None),
        (None, Some(path)) => {
            let mut file = std::fs::File::open(path).map_err(|error| unreadable(path, error))?;
            (bounded(&mut file, path)?, path.file_name().and_then(|name| name.to_str()))
        }
        (None, None) => (bounded(&mut std::io::stdin().lock(), Path::new("standard input"))?, None),
    };
    if content.is_empty() {
        return Err(ClientError::Unable("there is nothing to send".into()));
    }
    Letter::new(&content, name, clock::now().as_ms() / 1_000).map_err(|error| {
        let more = if content.len() > LETTER_BYTES_MAX { "; larger files: dgns seal NAME FILE" } else { "" };
        ClientError::Unable(format!("{error}{more}"))
    })
}

/// Returns whom a letter goes to, proved from the genesis, and the keys that receive it.
async fn addresses(session: &Session, to: &str) -> Result<(Resolved, Vec<Address>), ClientError> {
    if to.contains('@') {
        let found = aliases::find(session, &find::email_of(to)?, None).await?;
        let addresses = mail::addresses_of(&found);
        let absent = found.resolved.did().is_none().then(|| ClientError::Absent("the address".to_owned()));
        return absent.map_or_else(|| Ok((found.resolved, addresses)), Err);
    }
    let resolved = session.resolve_from_genesis(&arguments::subject(session, to)?).await?;
    let state = resolved.did().ok_or_else(|| ClientError::Absent(to.to_owned()))?;
    let addresses = mail::devices_of(state);
    Ok((resolved, addresses))
}

fn report(
    context: &Context,
    session: &Session,
    send: &Send,
    did: Did,
    resolved: &Resolved,
    deliveries: &[Delivery],
    signed: bool,
) -> Done {
    let delivered = deliveries.iter().filter(|delivery| delivery.outcome.is_ok()).count();
    let lines = deliveries.iter().map(|Delivery { address, outcome }| {
        let what = if address.alias.is_some() { "a key that signed in with the address" } else { "a device" };
        let kid = HEXLOWER.encode(&kid_of(&address.recipient.sign).0);
        match outcome {
            Ok(()) => format!("  waits for  {kid} {what}"),
            Err(error) => format!("  NOT for    {kid} {what}: {error}"),
        }
    });
    let by = if signed { "signed by this device" } else { "not signed: the receiver is not told who wrote" };
    let text = format!(
        "sealed to {delivered} of {} keys of {}, {by}\n{}\n\n{}",
        deliveries.len(),
        send.to,
        lines.collect::<Vec<_>>().join("\n"),
        render::proved_text(session, resolved)
    );
    let rows = deliveries.iter().map(|Delivery { address, outcome }| {
        json!({
            "kid": HEXLOWER.encode(&kid_of(&address.recipient.sign).0),
            "device": address.alias.is_none(),
            "delivered": outcome.is_ok(),
            "code": outcome.as_ref().err().map(|error| error.code().to_owned()),
        })
    });
    let value = json!({
        "ok": delivered > 0,
        "did": did.to_string(),
        "signed": signed,
        "delivered": delivered,
        "keys": rows.collect::<Vec<_>>(),
        "proof": render::proved_value(session, resolved),
    });
    let failed = deliveries.iter().find_map(|delivery| delivery.outcome.as_ref().err());
    match failed.filter(|_| delivered == 0) {
        Some(error) => Err(error.clone()),
        None => {
            context.out.result(&text, &value);
            Ok(Ended::Ok)
        }
    }
}

/// Runs an `inbox` command.
pub(crate) async fn inbox(context: &Context, inbox: Inbox) -> Done {
    match inbox.command {
        None | Some(InboxCommand::List) if inbox.follow => follow(context).await,
        None | Some(InboxCommand::List) => list(context).await,
        Some(InboxCommand::Open { id, out }) => open(context, &id, out.as_deref()).await,
        Some(InboxCommand::Delete { id, .. }) => delete(context, id.as_deref()).await,
    }
}

async fn list(context: &Context) -> Done {
    let actor = Actor::new(context).await?;
    let fetched = mail::fetch(&actor.session, actor.signer()).await?;
    let all = mail::kept(&actor.session)?;
    let is_new = |kept: &Kept| fetched.new.iter().any(|new| new.id == kept.id);
    let mut lines = all.iter().map(|kept| line_of(kept, is_new(kept))).collect::<Result<Vec<_>, _>>()?;
    if all.is_empty() {
        lines.push("no letters".into());
    }
    if fetched.unreadable > 0 {
        lines.push(format!("{} did not open with this device's key, and are gone", fetched.unreadable));
    }
    let letters = all.iter().map(|kept| value_of(kept, is_new(kept))).collect::<Result<Vec<_>, _>>()?;
    let value = json!({ "ok": true, "letters": letters, "unreadable": fetched.unreadable });
    context.out.result(&lines.join("\n"), &value);
    Ok(Ended::Ok)
}

/// Tells of letters as they come. An event is only the hint to fetch.
async fn follow(context: &Context) -> Done {
    let actor = Actor::new(context).await?;
    loop {
        let opened = actor.session.lines_signed(actor.signer(), path::PERSONAL_EVENTS, Vec::new()).await;
        let mut lines = match opened {
            Ok(lines) => lines,
            Err(ClientError::Network(why)) => {
                context.out.note(&format!("{why}; trying again"));
                tokio::time::sleep(BREATH).await;
                continue;
            }
            Err(ClientError::Refused(problem)) if problem.code == "request_time" => {
                tokio::time::sleep(BREATH).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        // Behind the opening of the stream: whatever comes later is told on it.
        tell_new(context, &actor).await?;
        while let Some(line) = lines.next().await {
            if line.trim_end() == "event: envelope" {
                tell_new(context, &actor).await?;
            }
        }
        tokio::time::sleep(BREATH).await;
    }
}

async fn tell_new(context: &Context, actor: &Actor) -> Result<(), ClientError> {
    match mail::fetch(&actor.session, actor.signer()).await {
        Ok(fetched) => fetched.new.iter().try_for_each(|kept| {
            context.out.line(&line_of(kept, true)?, &value_of(kept, true)?);
            Ok(())
        }),
        Err(ClientError::Network(why)) => {
            context.out.note(&why);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

async fn open(context: &Context, id: &str, out: Option<&Path>) -> Done {
    let actor = Actor::new(context).await?;
    let kept = found(&mail::kept(&actor.session)?, id)?;
    let letter = kept.letter()?;
    if let Some(path) = out {
        std::fs::write(path, letter.content())
            .map_err(|error| ClientError::Unable(format!("{}: {error}", path.display())))?;
    }
    let mut value = value_of(&kept, false)?;
    value["ok"] = true.into();
    match std::str::from_utf8(letter.content()) {
        Ok(text) => value["text"] = text.into(),
        Err(_) => value["base64"] = BASE64.encode(letter.content()).into(),
    }
    match out {
        Some(path) => {
            value["file"] = json!(path);
            context.out.result(&format!("{}: {} bytes", path.display(), letter.content().len()), &value);
        }
        None if context.common.json => context.out.result("", &value),
        None => {
            context.out.note(&format!("{}\n", line_of(&kept, false)?));
            context.out.raw(letter.content())?;
        }
    }
    Ok(Ended::Ok)
}

async fn delete(context: &Context, id: Option<&str>) -> Done {
    let actor = Actor::new(context).await?;
    let all = mail::kept(&actor.session)?;
    let doomed = match id {
        None => all,
        Some(id) => vec![found(&all, id)?],
    };
    doomed.iter().try_for_each(|kept| mail::delete(&actor.session, &kept.id))?;
    context.out.result(&format!("{} deleted", doomed.len()), &json!({ "ok": true, "deleted": doomed.len() }));
    Ok(Ended::Ok)
}

fn found(all: &[Kept], id: &str) -> Result<Kept, ClientError> {
    let matching: Vec<&Kept> = all.iter().filter(|kept| kept.id.starts_with(&id.to_lowercase())).collect();
    match matching[..] {
        [kept] => Ok(kept.clone()),
        [] => Err(ClientError::Unable(format!("no letter begins with {id}; list them with: dgns inbox"))),
        _ => Err(ClientError::Unable(format!("several letters begin with {id}; give more digits"))),
    }
}

fn from_text(kept: &Kept) -> String {
    match &kept.from {
        Some(from) => format!("from {} (proved)", from.name.as_ref().unwrap_or(&from.did)),
        None if kept.doubtful => "signed by a key that the log has as nobody's: do not believe who it says".into(),
        None => "from nobody named".into(),
    }
}

fn line_of(kept: &Kept, new: bool) -> Result<String, ClientError> {
    let letter = kept.letter()?;
    let what = match letter.name() {
        Some(name) => format!("file {name:?}, {} bytes", letter.content().len()),
        None => glimpse(letter.content()),
    };
    let mark = if new { "new " } else { "" };
    Ok(format!("{} {mark}{} {}: {what}", kept.id, time(kept.received_s * 1_000), from_text(kept)))
}

/// Returns the beginning of a text in one line that moves no cursor.
fn glimpse(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match plain.char_indices().nth(GLIMPSE) {
        Some((end, _)) => format!("{} ...", plain[..end].trim_end()),
        None => plain.trim().to_owned(),
    }
}

fn value_of(kept: &Kept, new: bool) -> Result<Value, ClientError> {
    let letter = kept.letter()?;
    Ok(json!({
        "id": kept.id,
        "new": new,
        "received_s": kept.received_s,
        "sent_s": letter.sent_s(),
        "from": kept.from,
        "doubtful": kept.doubtful,
        "name": letter.name(),
        "bytes": letter.content().len(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glimpse_moves_no_cursor_and_cuts_between_characters() {
        assert_eq!(glimpse(b" a\n\x1b[2Jb "), "a  [2Jb");
        assert_eq!(glimpse("\u{e9}".repeat(61).as_bytes()), format!("{} ...", "\u{e9}".repeat(60)));
    }
}
