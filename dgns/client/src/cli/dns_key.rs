//! `dns-key`: keys by which stock programs of DNS write at a name, and what the log says of them (PROTOCOL 13.3).

use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use dgns_api::dns_key::{self, CertifiedKey, Scope};
use dgns_client::error::ClientError;
use dgns_client::{clock, home, rng};
use identity::cert::{KeyBytes, Level, Row};
use identity::key::SigningKey;
use identity::record::rtype;
use identity::state::{DeviceStatus, DidState, Subject};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::actor::Actor;
use super::records::certify;
use super::{Context, Done, Ended};

/// Seconds that resolvers keep what says which keys may write.
const TTL_S: u32 = 60;

/// Arguments of `dns-key`.
#[derive(Debug, clap::Args)]
pub(crate) struct DnsKey {
    /// A name of this device's DID, or of a database or server that was made here
    name: String,
    /// Where the files of the key go
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Make a key of its own, such as for a router, and certify what it may write; without, it is this device's own key
    #[arg(long)]
    new: bool,
    /// Certify that the key may write these and nothing else: A, AAAA, challenges, in this order, with commas between
    #[arg(long, value_name = "LIST", value_parser = scope)]
    scope: Option<Scope>,
    /// Days for which the certified key may write; for ever if left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=36_500))]
    days: Option<u64>,
    /// List the keys that are certified for the name
    #[arg(long, conflicts_with_all = ["new", "scope", "days", "revoke"])]
    list: bool,
    /// Certify that this key may write no more: its tag, as --list shows it
    #[arg(long, value_name = "TAG", conflicts_with_all = ["new", "scope", "days"])]
    revoke: Option<u16>,
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| "A, AAAA, challenges, or some of them in this order, such as A,AAAA".to_owned())
}

/// Runs `dns-key`.
pub(crate) async fn dns_key(context: &Context, arguments: DnsKey) -> Done {
    let actor = Actor::of(context, &arguments.name).await?;
    let name = actor.session.name(&arguments.name)?.as_str().to_owned();
    if arguments.list {
        return list(context, &actor, &name).await;
    }
    if let Some(tag) = arguments.revoke {
        return revoke(context, &actor, &name, tag).await;
    }
    let resolved = actor.session.resolve(&Subject::Name(name.clone())).await?;
    let unable = |why: &str| ClientError::Unable(format!("{name}: {why}"));
    let state = resolved.did().filter(|state| state.did == actor.did).ok_or_else(|| unable("is no name of yours"))?;
    let own = match arguments.new {
        true => SigningKey::generate(&mut rng::system()),
        false => {
            may_write(state, &actor.device.sign.public()).map_err(unable)?;
            SigningKey::from_seed(&actor.device.sign.seed())
        }
    };
    let key = own.public();
    let certified = if arguments.new || arguments.scope.is_some() || arguments.days.is_some() {
        let until_s = arguments.days.map(|days| clock::now().as_ms() / 1_000 + days * 86_400);
        let scope = arguments.scope.unwrap_or(Scope::ALL);
        Some(CertifiedKey { did: actor.did, key, scope, is_device: !arguments.new, until_s })
    } else {
        None
    };
    let file = write(&arguments.out, &name, &own)?;
    if let Some(certified) = &certified {
        let row = row_of(certified);
        let edit = |set: &mut identity::cert::Records| {
            set.rows.retain(|row| key_of(row).is_none_or(|known| known.key != key));
            set.rows.push(row.clone());
            Ok(())
        };
        certify(context, &actor, &name, edit).await?;
    }
    let what = match &certified {
        None => "this device's own key; keep it as the home".to_owned(),
        Some(CertifiedKey { scope, .. }) => {
            format!(
                "may write {scope} at {name} from now on; a key that dgns dns-key {name} --list does not show writes there no more"
            )
        }
    };
    let text = format!("{0}: {what}\nnsupdate -v -k {0}", file.display());
    let value = json!({
        "ok": true, "name": name, "file": file, "key_tag": dns_key::tag(&key), "certified": certified.map(|key| shown(&key)),
    });
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}

async fn list(context: &Context, actor: &Actor, name: &str) -> Done {
    let resolved = actor.session.resolve(&Subject::Name(name.to_owned())).await?;
    if resolved.name().is_none() {
        return Err(ClientError::Absent(name.to_owned()));
    }
    let rows = resolved.records().map_or(&[][..], |set| &set.rows);
    let owner = resolved.did().map(|state| state.did);
    let texts = rows.iter().filter(|row| row.owner == dns_key::OWNER && row.rtype == rtype::TXT);
    let read: Vec<Option<CertifiedKey>> = texts.map(|row| CertifiedKey::read(&row.rdata)).collect();
    let bad = read.iter().filter(|read| read.is_none()).count();
    let keys: Vec<CertifiedKey> = read.into_iter().flatten().filter(|key| Some(key.did) == owner).collect();
    let mut lines: Vec<String> = keys
        .iter()
        .map(|key| {
            let device = if key.is_device { ", while it is a device's" } else { "" };
            let until =
                key.until_s.map(|until_s| format!(", until {}", super::output::time(until_s.saturating_mul(1_000))));
            format!(
                "{:05}  {}  {}{device}{}",
                dns_key::tag(&key.key),
                BASE64.encode(&key.key),
                key.scope,
                until.unwrap_or_default()
            )
        })
        .collect();
    match (lines.is_empty(), bad) {
        (true, 0) => lines.push(none_listed(name)),
        (_, 0) => {}
        (_, bad) => {
            lines.push(format!("{bad} of the texts at {}.{name} are no keys, and let nobody write", dns_key::OWNER))
        }
    }
    let value = json!({ "ok": true, "name": name, "keys": keys.iter().map(shown).collect::<Vec<_>>(), "bad": bad });
    context.out.result(&lines.join("\n"), &value);
    Ok(Ended::Ok)
}

async fn revoke(context: &Context, actor: &Actor, name: &str, tag: u16) -> Done {
    let edit = |set: &mut identity::cert::Records| {
        let before = set.rows.len();
        set.rows.retain(|row| key_of(row).is_none_or(|known| dns_key::tag(&known.key) != tag));
        let none = || ClientError::Unable(format!("{name} lists no key {tag:05}: see dgns dns-key {name} --list"));
        if set.rows.len() < before { Ok(()) } else { Err(none()) }
    };
    certify(context, actor, name, edit).await?;
    let resolved = actor.session.resolve(&Subject::Name(name.to_owned())).await?;
    let is_any_left = resolved.records().is_some_and(|set| set.rows.iter().any(|row| row.owner == dns_key::OWNER));
    let text = match is_any_left {
        true => format!("key {tag:05} may write at {name} no more, and what it wrote goes"),
        false => format!("key {tag:05} is listed no more; {}", none_listed(name)),
    };
    context.out.result(&text, &json!({ "ok": true, "name": name, "key_tag": tag }));
    Ok(Ended::Ok)
}

/// Returns why a device may not write into DNS, if that is so.
fn may_write(state: &DidState, key: &KeyBytes) -> Result<(), &'static str> {
    let known = state.devices.iter().find(|known| known.sign == *key).ok_or("this device was revoked")?;
    if known.level == Level::Member {
        return Err("this device is a member: an admin or service device writes into DNS");
    }
    if known.status != DeviceStatus::Live {
        return Err("this device does not count yet, or is suspended: see dgns devices list");
    }
    Ok(())
}

/// Writes the two files that `nsupdate -k` reads; returns the private one.
fn write(out: &Path, name: &str, own: &SigningKey) -> Result<PathBuf, ClientError> {
    let key = own.public();
    let stem = format!("K{name}.+015+{:05}", dns_key::tag(&key));
    let failed = |error| ClientError::Unable(format!("{}: {error}", out.display()));
    std::fs::create_dir_all(out).map_err(failed)?;
    home::replace(&out.join(format!("{stem}.key")), public_text(name, &key).as_bytes(), 0o644)?;
    let seed = Zeroizing::new(BASE64.encode(&*own.seed()));
    let text = Zeroizing::new(format!("Private-key-format: v1.3\nAlgorithm: 15 (ED25519)\nPrivateKey: {}\n", *seed));
    let file = out.join(format!("{stem}.private"));
    home::replace(&file, text.as_bytes(), 0o600)?;
    Ok(file)
}

fn row_of(key: &CertifiedKey) -> Row {
    let text = key.to_string();
    let rdata = [&[text.len() as u8], text.as_bytes()].concat(); // less than 255 bytes
    Row { owner: dns_key::OWNER.to_owned(), rtype: rtype::TXT, rdata, ttl: TTL_S }
}

fn key_of(row: &Row) -> Option<CertifiedKey> {
    let is_there = row.owner == dns_key::OWNER && row.rtype == rtype::TXT;
    CertifiedKey::read(&row.rdata).filter(|_| is_there)
}

fn none_listed(name: &str) -> String {
    format!("{name} lists no key: each device of its owner may write there, but for members")
}

fn shown(key: &CertifiedKey) -> Value {
    let CertifiedKey { scope, is_device, until_s, .. } = key;
    json!({
        "key_tag": dns_key::tag(&key.key), "key": BASE64.encode(&key.key), "scope": scope.to_string(), "device": is_device, "until_s": until_s,
    })
}

fn public_text(name: &str, key: &KeyBytes) -> String {
    format!("{name}. IN KEY 512 3 15 {}\n", BASE64.encode(key))
}
