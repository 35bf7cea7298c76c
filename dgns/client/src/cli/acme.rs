//! `acme`: accounts by which stock ACME clients write the challenges of a name (PROTOCOL 12.19).

use std::path::{Path, PathBuf};

use dgns_api::path;
use dgns_client::error::ClientError;
use dgns_client::home;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::actor::Actor;
use super::{Context, Done, Ended};

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
    /// A domain of yours elsewhere that gets certificates, too, once it has one CNAME
    #[arg(long, value_name = "D")]
    domain: Option<String>,
    /// The file of accounts, of lego and others; those of other names in it stay
    #[arg(long, value_name = "FILE", default_value = "acme-accounts.json")]
    out: PathBuf,
}

/// An account as acme-dns returns it.
#[derive(Deserialize)]
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

/// Opens the accounts, keeps them, says how they are used.
async fn setup(context: &Context, arguments: Setup) -> Done {
    let actor = Actor::new(context).await?;
    let name = actor.session.name(&arguments.name)?.as_str().to_owned();
    let mut accounts = read_accounts(&arguments.out)?;
    let base = format!("{}/acme-dns", actor.session.server().trim_end_matches('/'));
    let account = open(&actor, &json!({ "name": name })).await?;
    keep(&mut accounts, &name, &base, &account);
    let cname = match &arguments.domain {
        Some(domain) => {
            let other = open(&actor, &json!({})).await?;
            keep(&mut accounts, domain, &base, &other);
            Some(format!("_acme-challenge.{domain}. CNAME {}.", other.fulldomain))
        }
        None => None,
    };
    let text = serde_json::to_vec_pretty(&Value::Object(accounts)).expect("an account is plain data");
    home::replace(&arguments.out, &text, 0o600)?;
    let hook = arguments.out.with_file_name(format!("{name}.hook"));
    home::replace(&hook, script(&base, &account)?.as_bytes(), 0o700)?;
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

/// Returns the script that certbot runs, with the challenge in a variable, or lego, as its third argument. A shell reads it: nothing of the account may say more to it than letters do.
fn script(base: &str, account: &Account) -> Result<String, ClientError> {
    let is_plain = |text: &str, more: &[u8]| text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b));
    let words = [&account.username, &account.password, &account.subdomain];
    if !is_plain(base, b":/.-_[]%~") || !words.iter().all(|word| is_plain(word, b"-_")) {
        return Err(ClientError::Unable("the server's answer is no account".into()));
    }
    let Account { username, password, subdomain, .. } = account;
    Ok(format!(
        "#!/bin/sh\n[ \"$1\" = cleanup ] && exit\nexec curl -sf '{base}/update' -H 'X-Api-User: {username}' -H 'X-Api-Key: {password}' \
         -d '{{\"subdomain\":\"{subdomain}\",\"txt\":\"'\"${{CERTBOT_VALIDATION-$3}}\"'\"}}'\n"
    ))
}

async fn open(actor: &Actor, asked: &Value) -> Result<Account, ClientError> {
    let answer = actor.session.post_signed(actor.signer(), path::ACME_REGISTER, asked.to_string().as_bytes()).await?;
    serde_json::from_slice(&answer).map_err(|_| ClientError::Unable("the server's answer is no account".into()))
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
    use super::*;

    #[test]
    fn a_server_writes_nothing_into_the_script_but_an_account() {
        // Goal: an evil server's account runs no command here. Method: a good one, and one bad word in each place.
        let good = || Account {
            username: "c0de-1".into(),
            password: "Aa_-9".into(),
            fulldomain: "_acme-challenge.alice.dgns.test".into(),
            subdomain: "5ub".into(),
        };
        let base = "http://[::1]:8053/acme-dns";
        let text = script(base, &good()).unwrap();
        assert!(text.contains(r#"-d '{"subdomain":"5ub","txt":"'"${CERTBOT_VALIDATION-$3}"'"}'"#), "{text}");
        for bad in ["'; id; '", "$(id)", "a\nb", "a b", "\"", "\\"] {
            assert!(script(base, &Account { username: bad.into(), ..good() }).is_err(), "{bad}");
            assert!(script(base, &Account { password: bad.into(), ..good() }).is_err(), "{bad}");
            assert!(script(base, &Account { subdomain: bad.into(), ..good() }).is_err(), "{bad}");
            assert!(script(bad, &good()).is_err(), "{bad}");
        }
    }
}
