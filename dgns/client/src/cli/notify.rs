//! `notify`: be told when a log of a private server grows.

use clap::Subcommand;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use dgns_client::attach::Who;
use dgns_client::error::ClientError;
use dgns_client::notify::{Inbox, Join};
use dgns_client::prover::{Proven, Prover};
use identity::cert::KeyBytes;
use identity::key::kid_of;
use identity::state::Subject;
use lobby::message::Subscription;
use lobby::news::{Change, News, Site, What};
use serde_json::{Value, json};

use super::actor::Actor;
use super::output::time;
use super::{Context, Done, Ended};

/// Which log, at which device.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// The name of the private server
    name: String,
    /// The file it serves
    path: String,
    /// One of your devices, by its 16 digits; this one if left out
    #[arg(long, value_name = "KID")]
    device: Option<String>,
}

/// What is done.
#[derive(Debug, Subcommand)]
pub(crate) enum Notify {
    /// List what your devices joined, and the key that browsers subscribe for
    List,
    /// Be told when a file that a private server publishes grows
    Join(Which),
    /// No more
    Leave(Which),
    /// Not for a while
    Mute {
        #[command(flatten)]
        which: Which,
        /// Seconds
        #[arg(long, value_name = "S")]
        for_s: u64,
    },
    /// Again
    Unmute(Which),
    /// Say up to which byte a file was read: nothing is pushed of less
    Read {
        #[command(flatten)]
        which: Which,
        /// The byte
        #[arg(long, value_name = "BYTE")]
        to: u64,
    },
    /// Be reached through a push service while this device is not here: what a browser's subscription says
    Push {
        /// The push service's URL for this device
        #[arg(long, value_name = "URL", requires_all = ["p256dh", "auth"])]
        endpoint: Option<String>,
        /// The browser's key, base64url
        #[arg(long, value_name = "KEY")]
        p256dh: Option<String>,
        /// The browser's secret, base64url
        #[arg(long, value_name = "SECRET")]
        auth: Option<String>,
        /// Not any more
        #[arg(long, conflicts_with = "endpoint", required_unless_present = "endpoint")]
        off: bool,
    },
    /// Print what grows, until interrupted
    Listen,
}

/// Does it.
pub(crate) async fn notify(context: &Context, command: Notify) -> Done {
    let Actor { session, device, did } = Actor::new(context).await?;
    let own = device.sign.public();
    let complete = |name: &str| Ok::<_, ClientError>(session.name(name)?.as_str().to_owned());
    let changed = match &command {
        Notify::Join(which) => Some((which, What::Join)),
        Notify::Leave(which) => Some((which, What::Leave)),
        Notify::Mute { which, for_s } => Some((which, What::Mute(for_s.saturating_mul(1_000)))),
        Notify::Unmute(which) => Some((which, What::Unmute)),
        _ => None,
    };
    let change = match changed {
        Some((which, what)) => Some((Site::new(&complete(&which.name)?, &which.path), which.device.clone(), what)),
        None => None,
    };
    let read = match &command {
        Notify::Read { which, to } => Some(News { site: Site::new(&complete(&which.name)?, &which.path), size: *to }),
        _ => None,
    };
    let prover = Prover::new(session);
    let who = Who { key: device.sign, did };
    let mut inbox = Inbox::enter(&prover, &who).await?;
    if let Some((site, kid, what)) = change {
        let device = match kid {
            None => own,
            Some(kid) => device_of(prover.look_up(&Subject::Did(did)).await?, &kid)?,
        };
        let version = inbox.change(&[Change { what, device, site }]).await?;
        context.out.result("done", &json!({ "ok": true, "version": version }));
        return Ok(Ended::Ok);
    }
    match command {
        Notify::List => list(context, &inbox).await,
        Notify::Push { endpoint, p256dh, auth, .. } => {
            let subscription = endpoint.map(|endpoint| subscription(endpoint, p256dh, auth)).transpose()?;
            let text =
                if subscription.is_some() { "this device is reached there while it is not here" } else { "done" };
            inbox.subscribe(subscription).await?;
            context.out.result(text, &json!({ "ok": true }));
            Ok(Ended::Ok)
        }
        Notify::Listen => {
            context.out.line("listening", &json!({ "event": "listening" }));
            tokio::select! {
                ended = listen(context, &mut inbox) => ended,
                _ = tokio::signal::ctrl_c() => Ok(Ended::Ok),
            }
        }
        _ => {
            inbox.read(read.into_iter().collect()).await?;
            context.out.result("done", &json!({ "ok": true }));
            Ok(Ended::Ok)
        }
    }
}

async fn list(context: &Context, inbox: &Inbox) -> Done {
    let joins = inbox.joins().await?;
    let mut lines: Vec<String> = joins.rows.iter().map(row_text).collect();
    if lines.is_empty() {
        lines.push("nothing is joined".to_owned());
    }
    if !joins.key.is_empty() {
        lines.push(format!("\nbrowsers subscribe for {}", BASE64URL_NOPAD.encode(&joins.key)));
    }
    let value = json!({
        "ok": true, "version": joins.version, "joined": joins.rows.iter().map(row_value).collect::<Vec<_>>(),
        "key": BASE64URL_NOPAD.encode(&joins.key),
    });
    context.out.result(&lines.join("\n"), &value);
    Ok(Ended::Ok)
}

async fn listen(context: &Context, inbox: &mut Inbox) -> Done {
    loop {
        for News { site, size } in inbox.next().await? {
            let log = HEXLOWER.encode(&site.log);
            let text = format!("{} log {log} has {size} bytes", site.name);
            context.out.line(&text, &json!({ "event": "news", "name": site.name, "log": log, "size": size }));
        }
    }
}

fn row_text(row: &Join) -> String {
    let muted =
        if row.muted_until_ms > 0 { format!(", muted until {}", time(row.muted_until_ms)) } else { String::new() };
    let (device, log) = (HEXLOWER.encode(&kid_of(&row.device).0), HEXLOWER.encode(&row.site.log));
    format!("{} log {log} at device {device}: pushed {}, read {}{muted}", row.site.name, row.sent, row.read)
}

fn row_value(row: &Join) -> Value {
    json!({
        "device": HEXLOWER.encode(&kid_of(&row.device).0), "name": row.site.name, "log": HEXLOWER.encode(&row.site.log),
        "muted_until_ms": row.muted_until_ms, "sent": row.sent, "read": row.read,
    })
}

fn device_of(own: Option<Proven>, kid: &str) -> Result<KeyBytes, ClientError> {
    let devices = own.map_or(Vec::new(), |own| own.devices);
    let found = devices.into_iter().find(|device| HEXLOWER.encode(&kid_of(device).0) == kid);
    found.ok_or_else(|| ClientError::Unable(format!("{kid} is no live device of yours; dgns devices list shows them")))
}

fn subscription(endpoint: String, p256dh: Option<String>, auth: Option<String>) -> Result<Subscription, ClientError> {
    let bytes =
        |text: Option<String>| BASE64URL_NOPAD.decode(text.unwrap_or_default().trim_end_matches('=').as_bytes()).ok();
    let p256dh = bytes(p256dh).and_then(|key| key.try_into().ok());
    let auth = bytes(auth).and_then(|auth| auth.try_into().ok());
    match (p256dh, auth) {
        (Some(p256dh), Some(auth)) => Ok(Subscription { endpoint, p256dh, auth }),
        _ => Err(ClientError::Unable("--p256dh has 65 bytes and --auth 16, both in base64url".to_owned())),
    }
}
