//! `login`: an issuer, or a passkey, says who holds this home's keys.

use std::io::IsTerminal as _;

use dgns_api::problem::Problem;
use dgns_api::signin::Branch;
use dgns_client::error::ClientError;
use dgns_client::home::DeviceKeys;
use dgns_client::session::{Session, Signer};
use dgns_client::signin::{Begun, Led, PASSKEY, SignedIn};
use identity::did::Did;
use identity::evidence::Purpose;
use serde_json::json;

use super::output::time;
use super::{Context, Done, Ended, arguments, pair};

/// Arguments of `login`.
#[derive(Debug, clap::Args)]
pub(crate) struct Login {
    /// The issuer: as the server calls it, or its URL; the only one if left out
    #[arg(long, value_name = "ISSUER")]
    oidc: Option<String>,
    /// Sign in with a passkey instead, on a page of the server
    #[arg(long, conflicts_with = "oidc")]
    passkey_url: bool,
    /// Only print where to sign in, start no browser
    #[arg(long)]
    no_browser: bool,
    /// What this device is called if an account is found and lets it in, for your own eyes
    #[arg(long, default_value = "device")]
    label: String,
}

/// Signs in, and goes on where the sign-in leads: to a device of the account, or to a name.
pub(crate) async fn login(context: &Context, login: Login) -> Done {
    let session = context.session().await?;
    session.repeat_post().await?;
    let keys = pair::keys_of_home(&session)?;
    let at = if login.passkey_url { Some(PASSKEY) } else { login.oidc.as_deref() };
    let signed = sign_in(context, &session, &keys, at, login.no_browser).await?;
    let at = signed.issuer.name.clone();
    match (signed.branch, keys.did) {
        (Branch::Existing(did), Some(own)) if did == own => {
            tell(context, &signed, Some(did), &format!("signed in with {at}: this is a device of the account already"));
            Ok(Ended::Ok)
        }
        (Branch::Existing(did), Some(own)) => {
            let what =
                format!("your account at {at} leads to {did}; this home is a device of {own}: use another --home");
            Err(ClientError::Refused(Box::new(Problem::new(409, "account_bound", what))))
        }
        (Branch::Existing(did), None) => {
            context.out.note(&format!("signed in with {at}: your account here is {did}"));
            pair::join_did(context, &session, keys, did, &login.label).await
        }
        (_, Some(own)) => {
            signed.link(&session, Signer { did: own, keys: &keys }).await?;
            let next = "From any other device, dgns login leads here, and this one is asked to let it in.";
            tell(
                context,
                &signed,
                Some(own),
                &format!("signed in with {at}: the account leads to {own} from now on. {next}"),
            );
            Ok(Ended::Ok)
        }
        (branch, None) => {
            let new = match branch {
                Branch::NewSubject => {
                    "another account with this address is known here: if it is yours, let one of its devices approve this one (dgns join NAME)"
                }
                _ => "you are new here",
            };
            let next = match signed.names {
                0 => "Next: dgns up NAME".to_owned(),
                _ => {
                    format!("Next, until {}: dgns up NAME --signin {}", time(signed.until_s * 1_000), signed.issuer.id)
                }
            };
            tell(context, &signed, None, &format!("signed in with {at}; {new}.\n\n{next}"));
            Ok(Ended::Ok)
        }
    }
}

/// Returns a sign-in of these keys that is good for a name: the one that is kept, or a new one.
pub(crate) async fn for_a_name(
    context: &Context,
    session: &Session,
    keys: &DeviceKeys,
    issuer: &str,
) -> Result<SignedIn, ClientError> {
    if let Some(kept) = SignedIn::kept(session, keys, issuer)? {
        return Ok(kept);
    }
    let signed = sign_in(context, session, keys, Some(issuer), false).await?;
    match signed.branch {
        Branch::Existing(did) if keys.did != Some(did) => {
            let what = format!(
                "your account at {} leads to {did}: dgns login makes this one of its devices",
                signed.issuer.name
            );
            Err(ClientError::Refused(Box::new(Problem::new(409, "account_bound", what))))
        }
        _ if signed.names == 0 => {
            let what = "a sign-in gives no name here now; leave --signin out, or ask the operator";
            Err(ClientError::Refused(Box::new(Problem::new(503, "notary_pending", what))))
        }
        _ => Ok(signed),
    }
}

/// Signs these keys in, in a browser.
pub(crate) async fn sign_in(
    context: &Context,
    session: &Session,
    keys: &DeviceKeys,
    issuer: Option<&str>,
    no_browser: bool,
) -> Result<SignedIn, ClientError> {
    let signed = sign_in_for(context, session, keys, issuer, no_browser, (Purpose::SignIn, None)).await?;
    signed.keep(session, keys)?;
    Ok(signed)
}

/// As [`sign_in`], for a purpose: with the blinded point, where that is recovery. Nothing is kept.
pub(crate) async fn sign_in_for(
    context: &Context,
    session: &Session,
    keys: &DeviceKeys,
    issuer: Option<&str>,
    no_browser: bool,
    purpose: (Purpose, Option<[u8; 32]>),
) -> Result<SignedIn, ClientError> {
    let mut begun = Begun::with_purpose(session, keys, issuer, purpose).await?;
    // Even where a program reads the result: somebody has to go there.
    context.out.warn(&format!("Sign in with {} here:\n\n  {}\n", begun.issuer().name, begun.url()));
    if begun.issuer().id == PASSKEY {
        context.out.note(&format!(
            "Go on there only if the page says that it is for the key {}.",
            data_encoding::HEXLOWER.encode(&keys.sign.kid().0)
        ));
    }
    let elsewhere = std::io::stdin().is_terminal();
    if elsewhere {
        context.out.note(
            "Is your browser on another machine? Then paste the address here where it ends, though it shows an error.",
        );
    }
    if !no_browser {
        show(begun.url());
    }
    let (round, answer) = loop {
        let led = tokio::select! {
            led = begun.led(session, keys) => led?,
            line = typed(elsewhere) => begun.typed(session, keys, &line?).await?,
        };
        match led {
            Led::Answer(round, answer) => break (round, answer),
            Led::On(url) => context.out.warn(&format!("Go on here:\n\n  {url}\n")),
        }
    };
    begun.finish(session, keys, round, answer).await
}

/// Waits for a line, where somebody can type one.
async fn typed(elsewhere: bool) -> Result<String, ClientError> {
    match elsewhere {
        true => match arguments::typed_line().await? {
            Some(line) => Ok(line),
            None => std::future::pending().await,
        },
        false => std::future::pending().await,
    }
}

/// Asks the desktop, if there is one, to open a URL. It is not worth a failure: the URL is on the screen.
fn show(url: &str) {
    let (program, desktop) = match cfg!(target_os = "macos") {
        true => ("open", true),
        false => ("xdg-open", ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some())),
    };
    if desktop {
        let quiet = std::process::Stdio::null;
        let _ = std::process::Command::new(program).arg(url).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
    }
}

fn tell(context: &Context, signed: &SignedIn, did: Option<Did>, text: &str) {
    let branch = match signed.branch {
        Branch::New => "new",
        Branch::Existing(_) => "existing",
        Branch::NewSubject => "new_subject",
    };
    let value = json!({
        "ok": true,
        "issuer": signed.issuer,
        "branch": branch,
        "did": did.map(|did| did.to_string()),
        "names": signed.names,
        "until_s": signed.until_s,
        "evidence": data_encoding::HEXLOWER.encode(&signed.evidence),
    });
    context.out.result(text, &value);
}
