//! `[signin]`: who may say that somebody is somebody.

use std::net::SocketAddr;
use std::path::PathBuf;

use identity::evidence::passkey_issuer;
use identity::name::Zone;
use toml::{Table, Value};

use super::section::Section;
use crate::outbound::Outbound;

/// `[signin]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigninConfig {
    /// `public_url`: where people's browsers reach the pages, without a final slash.
    pub public_url: String,
    /// `passkeys`: whether people sign in with passkeys.
    pub passkeys: bool,
    /// `attested_s`: how long a sign-in is good for names, seconds.
    pub attested_s: u64,
    /// `names_per_signin`: how many names.
    pub names_per_signin: u64,
    /// `issuers`: the issuers of OpenID Connect that are believed.
    pub issuers: Vec<IssuerConfig>,
}

/// One of `[[signin.issuers]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerConfig {
    /// `id`: what clients and key files call it.
    pub id: String,
    /// `name`: what people call it.
    pub name: String,
    /// `issuer`: its URL, spelled as it spells it itself.
    pub issuer: String,
    /// `client_id`: what it calls this server.
    pub client_id: String,
    /// `client_secret_file`: a file whose one line is the secret; absent for a public client.
    pub client_secret_file: Option<PathBuf>,
}

impl SigninConfig {
    /// Returns whose word a notary of this server passes on: what key files call each, and its scope in the log.
    pub fn scopes(&self, zone: &Zone) -> Vec<(String, String)> {
        let issuers = self.issuers.iter().map(|issuer| (issuer.id.clone(), issuer.issuer.clone()));
        let passkeys = self.passkeys.then(|| ("passkey".to_owned(), passkey_issuer(zone.as_str())));
        issuers.chain(passkeys).collect()
    }
}

/// Reads `[signin]`; `listen` makes the default of `public_url`.
pub(super) fn read(mut section: Section<'_>, listen: SocketAddr, plain_http: bool) -> SigninConfig {
    let public_url = section.text("public_url", "");
    let public_url = match public_url.is_empty() {
        true => format!("http://localhost:{}", listen.port()),
        false => public_url,
    };
    if !is_base(&public_url) {
        section.fault("public_url", format!("{public_url:?} should be like https://id.example, without a path"));
    }
    let possible = has_passkeys(&public_url);
    let passkeys = section.truth("passkeys", possible);
    if passkeys && !possible {
        section.fault(
            "passkeys",
            format!("browsers have no passkeys for {public_url:?}: https://<name> or http://localhost"),
        );
    }
    let mut config = SigninConfig {
        public_url,
        passkeys,
        attested_s: section.number("attested_s", 3_600, 60, 86_400),
        names_per_signin: section.number("names_per_signin", 5, 0, 32),
        issuers: Vec::new(),
    };
    for table in section.tables("issuers") {
        match issuer(table, plain_http) {
            Ok(issuer) if config.issuers.iter().any(|known| known.id == issuer.id || known.issuer == issuer.issuer) => {
                section.fault("issuers", format!("{:?} stands twice", issuer.id));
            }
            Ok(issuer) => config.issuers.push(issuer),
            Err(what) => section.fault("issuers", what),
        }
    }
    section.end();
    config
}

fn issuer(mut table: Table, plain_http: bool) -> Result<IssuerConfig, String> {
    let mut text = |key: &str| match table.remove(key) {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(format!("{key} is {}, should be a string", other.type_str())),
    };
    let (id, name, issuer, client_id) = (text("id")?, text("name")?, text("issuer")?, text("client_id")?);
    let secret = text("client_secret_file")?;
    if let Some(key) = table.keys().next() {
        return Err(format!("unknown key {key}"));
    }
    let is_id = |id: &str| id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !(1..=32).contains(&id.len()) || !is_id(&id) || id == "passkey" {
        return Err(format!("id {id:?} should be 1 to 32 of a-z, 0-9 and -, and not \"passkey\""));
    }
    if client_id.is_empty() {
        return Err(format!("{id}: client_id is missing; the issuer gives one to whoever registers"));
    }
    if issuer.len() > identity::limits::SCOPE_BYTES_MAX {
        return Err(format!("{id}: issuer has more than {} bytes", identity::limits::SCOPE_BYTES_MAX));
    }
    Outbound::new(plain_http).check(&issuer).map_err(|error| format!("{id}: issuer {issuer:?}: {error}"))?;
    let name = if name.is_empty() { id.clone() } else { name };
    let client_secret_file = Some(secret).filter(|path| !path.is_empty()).map(PathBuf::from);
    Ok(IssuerConfig { id, name, issuer, client_id, client_secret_file })
}

/// Whether browsers have passkeys for pages of this URL: a name behind TLS, or the machine itself by its name.
pub(super) fn has_passkeys(url: &str) -> bool {
    let is_name = |host: &str| host.parse::<std::net::IpAddr>().is_err() && !host.starts_with('[');
    let host = |rest: &str| rest.split(':').next().unwrap_or_default().to_owned();
    match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => !rest.starts_with('[') && is_name(&host(rest)),
        (_, Some(rest)) => host(rest) == "localhost",
        _ => false,
    }
}

/// Whether `text` is scheme and host, a port perhaps, and nothing else.
pub(super) fn is_base(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '\\']))
}
