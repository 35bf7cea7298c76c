//! `dns-key`: this device's key, as stock programs of DNS take one (PROTOCOL 13.3).

use std::path::PathBuf;

use data_encoding::BASE64;
use dgns_api::dns_key;
use dgns_client::error::ClientError;
use dgns_client::home;
use identity::cert::{KeyBytes, Level};
use identity::state::{DeviceStatus, Subject};
use serde_json::json;
use zeroize::Zeroizing;

use super::actor::Actor;
use super::{Context, Done, Ended};

/// Arguments of `dns-key`.
#[derive(Debug, clap::Args)]
pub(crate) struct DnsKey {
    /// A name of this device's DID, or of a database or server that was made here
    name: String,
    /// Where the files go
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

/// Writes the two files that `nsupdate -k` reads, if the log lets this device write.
pub(crate) async fn dns_key(context: &Context, arguments: DnsKey) -> Done {
    let Actor { session, device, did } = Actor::of(context, &arguments.name).await?;
    let name = session.name(&arguments.name)?.as_str().to_owned();
    let resolved = session.resolve(&Subject::Name(name.clone())).await?;
    let unable = |why: &str| ClientError::Unable(format!("{name}: {why}"));
    let state = resolved.did().filter(|state| state.did == did).ok_or_else(|| unable("is no name of yours"))?;
    let key = device.sign.public();
    let known =
        state.devices.iter().find(|known| known.sign == key).ok_or_else(|| unable("this device was revoked"))?;
    if known.level == Level::Member {
        return Err(unable("this device is a member: an admin or service device writes into DNS"));
    }
    if known.status != DeviceStatus::Live {
        return Err(unable("this device does not count yet, or is suspended: see dgns devices list"));
    }
    let stem = format!("K{name}.+015+{:05}", dns_key::tag(&key));
    let (public, private) = (format!("{stem}.key"), format!("{stem}.private"));
    let failed = |error| ClientError::Unable(format!("{}: {error}", arguments.out.display()));
    std::fs::create_dir_all(&arguments.out).map_err(failed)?;
    home::replace(&arguments.out.join(&public), public_text(&name, &key).as_bytes(), 0o644)?;
    let seed = Zeroizing::new(BASE64.encode(&*device.sign.seed()));
    let text = Zeroizing::new(format!("Private-key-format: v1.3\nAlgorithm: 15 (ED25519)\nPrivateKey: {}\n", *seed));
    let file = arguments.out.join(&private);
    home::replace(&file, text.as_bytes(), 0o600)?;
    let text = format!("{0}: this device's own key; keep it as the home\nnsupdate -v -k {0}", file.display());
    context.out.result(&text, &json!({ "ok": true, "name": name, "file": file, "key_tag": dns_key::tag(&key) }));
    Ok(Ended::Ok)
}

fn public_text(name: &str, key: &KeyBytes) -> String {
    format!("{name}. IN KEY 512 3 15 {}\n", BASE64.encode(key))
}
