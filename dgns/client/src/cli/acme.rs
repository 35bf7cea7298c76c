//! `acme`: accounts by which stock ACME clients write the challenges of a name (PROTOCOL 12.19).

use std::path::{Path, PathBuf};

use dgns_api::path;
use dgns_client::error::ClientError;
use dgns_client::home;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::actor::Actor;
use super::{Context, Done, Ended};

/// The bytes of a domain whose challenges have a name in DNS, too.
const DOMAIN_BYTES_MAX: usize = 253 - "_acme-challenge.".len();

/// What `acme` does.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Acme {
    /// Open an account for the challenges of NAME, and write it where lego looks for it
    Setup(Setup),
}

/// Arguments of `acme setup`.
#[derive(Debug, clap::Args)]
pub(crate) struct Setup {
    /// A name of this device's DID
    name: String,
    /// A domain of yours elsewhere that gets certificates, too, once it has one CNAME; the account that FILE has for it stays
    #[arg(long, value_name = "D")]
    domain: Option<String>,
    /// The file of accounts, of lego and others; those of other names in it stay
    #[arg(long, value_name = "FILE", default_value = "acme-accounts.json")]
    out: PathBuf,
}

/// An account as acme-dns returns it, and as lego keeps it.
#[derive(Clone, Debug, Deserialize)]
struct Account {
    username: String,
    password: String,
    fulldomain: String,
    subdomain: String,
}

pub(crate) async fn acme(context: &Context, command: Acme) -> Done {
    match command {
        Acme::Setup(arguments) => setup(context, arguments).await,
    }
}

impl Account {
    /// Returns the account if it is one for that name's challenges, or without a name one with a place of its own in the zone. It is from a server:
    /// nothing of it says more to a terminal or a shell than letters do.
    fn checked(self, name: Option<&str>, zone: &str) -> Result<Self, ClientError> {
        let is_uuid = |text: &str| {
            let is_at = |(at, b): (usize, u8)| match at {
                8 | 13 | 18 | 23 => b == b'-',
                _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
            };
            text.len() == 36 && text.bytes().enumerate().all(is_at)
        };
        let place = match name {
            Some(name) => format!("_acme-challenge.{name}"),
            None => format!("{}.auth.{zone}", self.subdomain),
        };
        let is_password = self.password.len() == 40 && is_plain(&self.password, b"-_");
        if is_uuid(&self.username) && is_uuid(&self.subdomain) && is_password && self.fulldomain == place {
            return Ok(self);
        }
        Err(ClientError::Unable("the server's answer is no account".into()))
    }
}

/// Opens the accounts, keeps each at once, says how they are used.
async fn setup(context: &Context, arguments: Setup) -> Done {
    let actor = Actor::of(context, &arguments.name).await?;
    let name = actor.session.name(&arguments.name)?.as_str().to_owned();
    let zone = actor.session.zone().as_str();
    let domain = arguments.domain.as_deref().map(|domain| elsewhere(domain, zone)).transpose()?;
    let base = format!("{}/acme-dns", actor.session.server().trim_end_matches('/'));
    if !is_plain(&base, b":/.-_[]%~") {
        return Err(ClientError::Unable("the server's URL does not go into a script".into()));
    }
    let mut accounts = read_accounts(&arguments.out)?;
    let mut cname = None;
    if let Some(domain) = &domain {
        let own = match kept(&accounts, domain, &base, zone) {
            Some(account) => account,
            None => open(&actor, &json!({})).await?.checked(None, zone)?,
        };
        keep(&mut accounts, domain, &base, &own);
        cname = Some(format!("_acme-challenge.{domain}. CNAME {}.", own.fulldomain));
    }
    // Last, and once the file can be written: it ends the account before it.
    write_accounts(&arguments.out, &accounts)?;
    let account = open(&actor, &json!({ "name": name })).await?.checked(Some(&name), zone)?;
    keep(&mut accounts, &name, &base, &account);
    write_accounts(&arguments.out, &accounts)?;
    // A shell runs what has a directory in its name, even if that is this one.
    let beside = arguments.out.parent().filter(|beside| !beside.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let hook = beside.join(format!("{name}.hook"));
    home::replace(&hook, script(&base, &account).as_bytes(), 0o700)?;
    let file = arguments.out.display();
    let record = cname.iter().map(|cname| format!("in the zone of your domain: {cname}\n")).collect::<String>();
    let text = format!(
        "{file}: whoever has it, or the hook beside it, gets certificates for {name}\n{record}\
         ACME_DNS_API_BASE={base} ACME_DNS_STORAGE_PATH={file} lego --dns acme-dns -d {name} -m YOU@EXAMPLE -a run\n\
         certbot certonly --manual --preferred-challenges dns --manual-auth-hook {} -d {name}",
        hook.display()
    );
    let value = json!({
        "ok": true, "name": name, "file": arguments.out, "hook": hook, "base": base, "fulldomain": account.fulldomain, "cname": cname,
    });
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}

/// Returns a domain in small letters, without final dot, that is none of the zone.
fn elsewhere(text: &str, zone: &str) -> Result<String, ClientError> {
    let domain = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_label = |label: &str| (1..=63).contains(&label.len()) && is_plain(label, b"-_") && !label.starts_with('-');
    let is_domain = domain.len() <= DOMAIN_BYTES_MAX && domain.contains('.') && domain.split('.').all(is_label);
    let is_here = domain == zone || domain.ends_with(&format!(".{zone}"));
    match is_domain && !is_here {
        true => Ok(domain),
        false => Err(ClientError::Unable(format!("{text:?} is no domain outside {zone}, such as www.example.org"))),
    }
}

/// Whether a text is ASCII letters, digits and these.
fn is_plain(text: &str, more: &[u8]) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
}

/// Returns the script that certbot runs, with the challenge in a variable, or lego, as its third argument. A shell reads what was checked to be plain.
/// The password is no argument of a program: others on the machine see those.
fn script(base: &str, account: &Account) -> String {
    let Account { username, password, subdomain, .. } = account;
    format!(
        "#!/bin/sh\n[ \"$1\" = cleanup ] && exit\nexec curl -sf '{base}/update' -H @- \
         -d '{{\"subdomain\":\"{subdomain}\",\"txt\":\"'\"${{CERTBOT_VALIDATION-$3}}\"'\"}}' <<'END'\n\
         X-Api-User: {username}\nX-Api-Key: {password}\nEND\n"
    )
}

async fn open(actor: &Actor, asked: &Value) -> Result<Account, ClientError> {
    let answer = actor.session.post_signed(actor.signer(), path::ACME_REGISTER, asked.to_string().as_bytes()).await?;
    serde_json::from_slice(&answer).map_err(|_| ClientError::Unable("the server's answer is no account".into()))
}

/// Returns the account that a file has for a domain elsewhere, if it is of this server.
fn kept(accounts: &Map<String, Value>, domain: &str, base: &str, zone: &str) -> Option<Account> {
    let value = accounts.get(domain).filter(|value| value["server_url"] == base)?;
    Account::deserialize(value).ok()?.checked(None, zone).ok()
}

fn write_accounts(file: &Path, accounts: &Map<String, Value>) -> Result<(), ClientError> {
    let text = serde_json::to_vec_pretty(accounts).expect("an account is plain data");
    home::replace(file, &text, 0o600)
}

/// Returns the accounts that a file has; none if there is no file.
fn read_accounts(file: &Path) -> Result<Map<String, Value>, ClientError> {
    let unable = |what: String| ClientError::Unable(format!("{}: {what}", file.display()));
    match std::fs::read(file) {
        Ok(text) => serde_json::from_slice(&text).map_err(|_| unable("is no file of accounts".into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Map::new()),
        Err(error) => Err(unable(error.to_string())),
    }
}

fn keep(accounts: &mut Map<String, Value>, domain: &str, base: &str, account: &Account) {
    let value = json!({
        "fulldomain": account.fulldomain,
        "subdomain": account.subdomain,
        "username": account.username,
        "password": account.password,
        "server_url": base,
    });
    accounts.insert(domain.to_owned(), value);
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const USER: &str = "c0ffee00-0000-4000-8000-000000000001";
    const PLACE: &str = "c0ffee00-0000-4000-8000-000000000002";
    const PASSWORD: &str = "Aa_-9AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn good() -> Account {
        Account {
            username: USER.into(),
            password: PASSWORD.into(),
            fulldomain: "_acme-challenge.alice.dgns.test".into(),
            subdomain: PLACE.into(),
        }
    }

    #[test]
    fn a_server_writes_nothing_into_the_script_but_an_account() {
        // Goal: an evil server's account runs no command here, nor sends certificates elsewhere. Method: a good one, and one bad word in each place.
        let name = Some("alice.dgns.test");
        good().checked(name, "dgns.test").unwrap();
        let own = Account { fulldomain: format!("{PLACE}.auth.dgns.test"), ..good() };
        own.clone().checked(None, "dgns.test").unwrap();
        for bad in ["", "'; id; '", "$(id)", "a\nb", "a b", "\"", "\\", "\x1b[2J", "_acme-challenge.bobby.dgns.test"] {
            let padded = format!("{bad}{}", &PASSWORD[bad.len()..]);
            for password in [bad, &padded].into_iter().filter(|text| *text != PASSWORD) {
                assert!(Account { password: password.into(), ..good() }.checked(name, "dgns.test").is_err(), "{bad}");
            }
            assert!(Account { username: bad.into(), ..good() }.checked(name, "dgns.test").is_err(), "{bad}");
            assert!(Account { subdomain: bad.into(), ..good() }.checked(name, "dgns.test").is_err(), "{bad}");
            assert!(Account { fulldomain: bad.into(), ..good() }.checked(name, "dgns.test").is_err(), "{bad}");
            assert!(Account { fulldomain: bad.into(), ..good() }.checked(None, "dgns.test").is_err(), "{bad}");
        }
        assert!(good().checked(None, "dgns.test").is_err() && own.checked(name, "dgns.test").is_err());
    }

    #[test]
    fn no_argument_of_curl_has_the_password() {
        // Goal: other users see no password in the list of processes. Method: the script with a curl that writes down how it was called.
        let folder = tempfile::tempdir().unwrap();
        let at = |file: &str| folder.path().join(file);
        std::fs::write(at("hook"), script("http://[::1]:8053/acme-dns", &good())).unwrap();
        let curl = "#!/bin/sh\nprintf '%s\\n' \"$@\" >\"$0.arguments\"\ncat >\"$0.input\"\n";
        home::replace(&at("curl"), curl.as_bytes(), 0o700).unwrap();
        let mut hook = Command::new("/bin/sh");
        hook.arg(at("hook")).env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()));
        assert!(hook.env("CERTBOT_VALIDATION", "text").status().unwrap().success());
        let arguments = std::fs::read_to_string(at("curl.arguments")).unwrap();
        assert!(arguments.contains(&format!("{{\"subdomain\":\"{PLACE}\",\"txt\":\"text\"}}\n")), "{arguments}");
        assert!(!arguments.contains(PASSWORD) && !arguments.contains(USER), "{arguments}");
        let input = std::fs::read_to_string(at("curl.input")).unwrap();
        assert_eq!(input, format!("X-Api-User: {USER}\nX-Api-Key: {PASSWORD}\n"));
    }

    #[test]
    fn a_domain_elsewhere_is_a_domain_and_elsewhere() {
        assert_eq!(elsewhere("WWW.Example.org.", "dgns.test").unwrap(), "www.example.org");
        for bad in [
            "",
            "localhost",
            "alice.dgns.test",
            "dgns.test",
            "Alice.DGNS.test.",
            "a b.example",
            "*.example.org",
            "a..b",
            "\x1b.org",
        ] {
            assert!(elsewhere(bad, "dgns.test").is_err(), "{bad:?}");
        }
        assert!(elsewhere(&format!("{}example.org", "a.".repeat(120)), "dgns.test").is_err(), "too long");
    }
}
