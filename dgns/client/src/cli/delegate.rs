//! `delegate`: which servers answer for a name and all below it (PROTOCOL 4.7).

use std::net::IpAddr;

use data_encoding::HEXUPPER_PERMISSIVE;
use dgns_client::error::ClientError;
use dgns_client::session::{self, Session};
use identity::cert::{Body, ChildLog, Delegate as Delegation, Glue};
use identity::record;
use identity::state::Subject;
use translog::note::VerifierKey;

use super::actor::Actor;
use super::{Context, Done, render};

/// Arguments of `delegate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Delegate {
    /// The name
    name: String,
    /// A name server; with an address if it is the name or below it. Again for each further one, and each further address
    #[arg(long = "ns", value_name = "HOST[=ADDRESS]", required_unless_present = "end")]
    servers: Vec<String>,
    /// A digest of the child's keys: the data of a DS record, such as "12345 13 2 AB12.."
    #[arg(long, value_name = "DATA")]
    ds: Vec<String>,
    /// The server that is to answer, if it has a log: its digest and log key are asked for there
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// A policy by which others shall judge its log; without it each reader's own
    #[arg(long, value_name = "FILE", requires = "from")]
    log_policy: Option<std::path::PathBuf>,
    /// Answer here again
    #[arg(long, conflicts_with_all = ["servers", "ds", "from", "log_policy"])]
    end: bool,
}

/// Shows what is going to be said, and certifies it.
pub(crate) async fn delegate(context: &Context, arguments: Delegate) -> Done {
    let actor = Actor::of(context, &arguments.name).await?;
    let name = actor.session.name(&arguments.name)?.as_str().to_owned();
    let delegation = wanted(&actor.session, &name, &arguments).await?;
    record::check_delegate(&delegation).map_err(|bad| {
        let row = bad.row.map_or(String::new(), |row| format!(", place {}", row + 1));
        ClientError::Unable(format!("no delegation ({}{row})", bad.reason.as_str()))
    })?;
    if !delegation.is_end() {
        context.out.note(&render::delegate_lines(&delegation).join("\n"));
    }
    let what = if delegation.is_end() { "end of the delegation of" } else { "delegation of" };
    let subject = Subject::Name(name.clone());
    let acted = actor.act_signed(&Body::Delegate(delegation), &[&actor.device.sign], &subject).await?;
    Ok(acted.report(context, &actor.session, &format!("{what} {name}")))
}

/// Returns the certificate that the arguments ask for, in order.
async fn wanted(session: &Session, name: &str, arguments: &Delegate) -> Result<Delegation, ClientError> {
    let (mut servers, mut glue) = (Vec::new(), Vec::new());
    for text in &arguments.servers {
        let (host, address) =
            text.split_once('=').map_or((text.as_str(), None), |(host, address)| (host, Some(address)));
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        if let Some(address) = address {
            let address: IpAddr =
                address.parse().map_err(|_| ClientError::Unable(format!("{address:?} is no address")))?;
            let address = match address {
                IpAddr::V4(v4) => v4.octets().to_vec(),
                IpAddr::V6(v6) => v6.octets().to_vec(),
            };
            glue.push(Glue { host: host.clone(), address });
        }
        servers.push(host);
    }
    let mut ds = arguments.ds.iter().map(|text| ds_of(text)).collect::<Result<Vec<_>, _>>()?;
    let log = match &arguments.from {
        None => None,
        Some(url) => {
            let url = session.server_named(url).ok_or_else(|| {
                let form = "https, host and port alone; this machine, and http, only where the server of the name is on it too";
                ClientError::Unable(format!("{url:?} is nothing that a lookup asks: {form}"))
            })?;
            let info = session::info_of(&url).await?;
            if info.zone != name {
                return Err(ClientError::Unable(format!("{url} serves the zone {}, not {name}", info.zone)));
            }
            if arguments.ds.is_empty() {
                ds = info.ds.iter().map(|text| ds_of(text)).collect::<Result<Vec<_>, _>>()?;
            }
            let key =
                VerifierKey::parse(&info.vkey).map_err(|_| ClientError::Unable(format!("{url} has no log key")))?;
            let policy = arguments.log_policy.as_deref().map(read).transpose()?;
            Some(ChildLog { url: Some(url), key: *key.key(), policy })
        }
    };
    servers.sort();
    servers.dedup();
    ds.sort();
    ds.dedup();
    glue.sort();
    glue.dedup();
    Ok(Delegation { name: name.to_owned(), servers, ds, glue, log })
}

fn read(path: &std::path::Path) -> Result<String, ClientError> {
    std::fs::read_to_string(path).map_err(|error| ClientError::Unable(format!("{}: {error}", path.display())))
}

/// Returns the data of a DS record; digits may have spaces between them, as `dig` prints them.
fn ds_of(text: &str) -> Result<Vec<u8>, ClientError> {
    let unable = || ClientError::Unable(format!("{text:?} is no data of a DS record"));
    let mut words = text.split_ascii_whitespace();
    let mut number = || words.next().ok_or_else(unable);
    let tag: u16 = number()?.parse().map_err(|_| unable())?;
    let algorithm: u8 = number()?.parse().map_err(|_| unable())?;
    let kind: u8 = number()?.parse().map_err(|_| unable())?;
    let digest = HEXUPPER_PERMISSIVE.decode(words.collect::<String>().as_bytes()).map_err(|_| unable())?;
    Ok([&tag.to_be_bytes()[..], &[algorithm, kind], &digest].concat())
}
