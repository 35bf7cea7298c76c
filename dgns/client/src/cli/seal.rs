//! `seal`, `open`: files for one person, readable on each of the person's devices; labels of devices, which are such files.

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use dgns_api::path;
use dgns_client::error::ClientError;
use dgns_client::session::{Session, Signer};
use dgns_client::{rng, user_keys};
use identity::cert::Kid;
use identity::state::DidState;
use identity::user_key::SealedFile;
use identity::wire::{Reader, WireError, Writer};
use serde_json::json;

use super::actor::Actor;
use super::{Context, Done, Ended, arguments, render};

/// The bytes of a file that is sealed: it is held in memory whole.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The bytes of a label.
const LABEL_BYTES_MAX: usize = 64;

/// Arguments of `seal`.
#[derive(Debug, clap::Args)]
pub(crate) struct Seal {
    /// For whom
    name: String,
    /// The file
    file: PathBuf,
    /// Where the sealed file goes; FILE.sealed if left out
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Arguments of `open`.
#[derive(Debug, clap::Args)]
pub(crate) struct Open {
    /// The sealed file
    file: PathBuf,
    /// Where its content goes; standard output if left out
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Seals a file to the user key of a name, which is proved from the genesis.
pub(crate) async fn seal(context: &Context, seal: Seal) -> Done {
    let session = context.session().await?;
    let resolved = session.resolve_from_genesis(&arguments::subject(&session, &seal.name)?).await?;
    let state = resolved.did().ok_or_else(|| ClientError::Absent(seal.name.clone()))?;
    let key = state
        .user_key
        .as_ref()
        .ok_or_else(|| ClientError::Unable(format!("{} has no user key: nothing can be sealed to it", seal.name)))?;
    let content = read(&seal.file)?;
    let sealed = SealedFile::seal(&state.did, key.generation, &key.key, &content, &mut rng::system());
    let sealed = sealed.map_err(|error| ClientError::Unable(error.to_string()))?;
    let out = seal.out.unwrap_or_else(|| {
        let mut name = seal.file.clone().into_os_string();
        name.push(".sealed");
        name.into()
    });
    write(&out, &sealed.encode())?;
    let stale = state.flags & DidState::USER_KEY_STALE != 0;
    let text = format!(
        "{} for the devices of {} alone\n\n{}{}",
        out.display(),
        seal.name,
        render::proved_text(&session, &resolved),
        if stale {
            "\nA device was just taken away there: it may still open this. Seal again in a minute."
        } else {
            ""
        }
    );
    let value = json!({
        "ok": true, "file": out, "did": state.did.to_string(), "generation": key.generation, "stale": stale,
        "proof": render::proved_value(&session, &resolved),
    });
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}

/// Opens a file that was sealed to this person.
pub(crate) async fn open(context: &Context, open: Open) -> Done {
    let actor = Actor::new(context).await?;
    let sealed = SealedFile::decode(&read(&open.file)?)
        .map_err(|error| ClientError::Unable(format!("{}: {error} ({})", open.file.display(), error.code())))?;
    if sealed.did != actor.did {
        return Err(ClientError::Unable(format!("this is sealed to {}; this device is of {}", sealed.did, actor.did)));
    }
    let content = open_file(&actor, &sealed).await?;
    match &open.out {
        Some(path) => {
            write(path, &content)?;
            let text = format!("{}: {} bytes", path.display(), content.len());
            context.out.result(&text, &json!({ "ok": true, "file": path, "bytes": content.len() }));
        }
        None => context.out.raw(&content)?,
    }
    Ok(Ended::Ok)
}

async fn open_file(actor: &Actor, sealed: &SealedFile) -> Result<Vec<u8>, ClientError> {
    let resolved = actor.session.resolve_did(&actor.did).await?;
    let state = resolved.did().ok_or_else(|| ClientError::Absent(actor.did.to_string()))?;
    let signer = Signer { did: actor.did, keys: &actor.device };
    let seed = user_keys::of_generation(&actor.session, signer, state, sealed.generation).await?;
    let content = sealed.open(&seed).map_err(|error| ClientError::Unable(format!("{error} ({})", error.code())))?;
    Ok(content.to_vec())
}

/// Keeps what a person calls a device, sealed to the person; an empty label takes the name away.
pub(crate) async fn put_label(
    session: &Session,
    signer: Signer<'_>,
    state: &DidState,
    kid: &Kid,
    label: &str,
) -> Result<(), ClientError> {
    if label.len() > LABEL_BYTES_MAX {
        return Err(ClientError::Unable(format!("a label has at most {LABEL_BYTES_MAX} bytes")));
    }
    let sealed = match (&state.user_key, label.is_empty()) {
        (_, true) => Vec::new(),
        (None, _) => return Err(ClientError::Unable("this DID has no user key to seal the label to".into())),
        (Some(key), _) => SealedFile::seal(&state.did, key.generation, &key.key, label.as_bytes(), &mut rng::system())
            .map_err(|error| ClientError::Unable(error.to_string()))?
            .encode(),
    };
    let mut body = Writer::new();
    body.array(2).bytes(&kid.0).bytes(&sealed);
    session.post_signed(signer, path::LABELS, &body.finish()).await.map(drop)
}

/// Returns what this person calls its devices, by kid in hexadecimal; those that cannot be opened are left out.
pub(crate) async fn labels(actor: &Actor) -> Result<Vec<(String, String)>, ClientError> {
    let signer = Signer { did: actor.did, keys: &actor.device };
    let answer = actor.session.get_signed(signer, path::LABELS).await?;
    let mut reader = Reader::new(&answer);
    let rows = reader.list(1_024, |r| {
        r.array_of(2)?;
        Ok::<_, WireError>((r.fixed::<8>()?, r.bytes()?.to_vec()))
    });
    let mut labels = Vec::new();
    for (kid, sealed) in rows.map_err(|_| ClientError::Network("the list of labels is none".into()))? {
        let Ok(sealed) = SealedFile::decode(&sealed) else { continue };
        if sealed.did != actor.did {
            continue;
        }
        if let Some(label) = open_file(actor, &sealed).await.ok().and_then(|label| String::from_utf8(label).ok()) {
            labels.push((HEXLOWER.encode(&kid), label.chars().filter(|c| !c.is_control()).collect()));
        }
    }
    Ok(labels)
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, ClientError> {
    let unable = |error: std::io::Error| ClientError::Unable(format!("{}: {error}", path.display()));
    if std::fs::metadata(path).map_err(unable)?.len() > FILE_BYTES_MAX {
        return Err(ClientError::Unable(format!("{}: more than 64 MiB", path.display())));
    }
    std::fs::read(path).map_err(unable)
}

fn write(path: &std::path::Path, bytes: &[u8]) -> Result<(), ClientError> {
    std::fs::write(path, bytes).map_err(|error| ClientError::Unable(format!("{}: {error}", path.display())))
}
