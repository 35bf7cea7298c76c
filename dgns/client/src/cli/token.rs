//! `token`, `grant`, `grants`: what this device may do elsewhere, and what others may do at yours (PROTOCOL 17, 18).

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use dgns_client::audience::Audience;
use dgns_client::clock;
use dgns_client::error::ClientError;
use dgns_client::rng;
use dgns_client::session::{Held, KeptChain, Session, Signer, Wanted};
use identity::cert::Kid;
use identity::did::Did;
use identity::grant::{Grant, SignedGrant};
use identity::state::Subject;
use identity::token::{Access, ResourcePath, Rights, Scope, Token};
use rand_core::Rng as _;
use serde_json::{Value, json};

use super::actor::Actor;
use super::output::{span, time};
use super::{Context, Done, Ended};

/// `token`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum TokenCommand {
    /// Lease a token for this device
    Lease(Lease),
    /// List the tokens of this device
    List,
    /// Spend the guard of a token for a new one; of all of them, unless one is named
    Refresh {
        /// The token's lease: its rid, or the first digits of it
        rid: Option<String>,
    },
    /// End a lease: its tokens are refused everywhere within seconds
    Revoke {
        /// The lease: its rid, or the first digits of it
        #[arg(required_unless_present = "grant")]
        rid: Option<String>,
        /// Take a grant of yours back instead, with everything that came of it: its sid, or the first digits of it
        #[arg(long, value_name = "SID", conflicts_with = "rid")]
        grant: Option<String>,
    },
    /// Exchange a chain of grants for a token
    Exchange {
        /// The grant: what `dgns grant` printed, or the sid `dgns grants` lists, or the first digits of it
        grant: String,
        #[command(flatten)]
        lease: LeaseOptions,
    },
    /// Check a token as its audience does: this device's DID must be that audience
    Check {
        /// The token
        token: String,
        /// The device that presented it, and proved its key to you
        #[arg(long, value_name = "KID")]
        kid: String,
        /// It would change something: asks for word of revocations at most 60 s old
        #[arg(long)]
        write: bool,
    },
}

/// Arguments of `token lease`.
#[derive(Debug, clap::Args)]
pub(crate) struct Lease {
    #[command(flatten)]
    options: LeaseOptions,
}

/// What a token shall be.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LeaseOptions {
    /// For whom: a name or DID; the server itself if left out
    #[arg(long, value_name = "NAME|DID")]
    audience: Option<String>,
    /// What it shall allow, such as `photos:rw`: a path and rights (r read, w write, g grant); may be repeated
    #[arg(long, value_name = "PATH:RIGHTS")]
    scope: Vec<String>,
    /// Seconds it shall live, if the audience permits that long
    #[arg(long, value_name = "S")]
    life_s: Option<u64>,
}

/// Arguments of `grant`.
#[derive(Debug, clap::Args)]
pub(crate) struct GrantTo {
    /// To whom: a name or DID
    subject: String,
    /// On what: a DID, such as your own, with a path behind it if it is not all of it: `DID/photos`
    resource: String,
    /// What: r read, w write, g grant
    #[arg(long, default_value = "r")]
    rights: String,
    /// Until when: Unix seconds, or from now such as `90d`, `12h`, `30m`
    #[arg(long, value_name = "T")]
    until: String,
    /// How many further grants may follow; 1 with the right to grant, unless said otherwise
    #[arg(long, value_name = "N")]
    depth: Option<u8>,
    /// The grant that gave you the right to, if the resource is not yours: what `dgns grant` printed, or its sid
    #[arg(long, value_name = "GRANT")]
    by: Option<String>,
}

/// Runs `token ...`.
pub(crate) async fn token(context: &Context, command: TokenCommand) -> Done {
    match command {
        TokenCommand::Lease(lease) => begin(context, lease.options, None).await,
        TokenCommand::List => list(context).await,
        TokenCommand::Refresh { rid } => refresh(context, rid.as_deref()).await,
        TokenCommand::Revoke { rid, grant } => revoke(context, rid.as_deref(), grant.as_deref()).await,
        TokenCommand::Exchange { grant, lease } => begin(context, lease, Some(&grant)).await,
        TokenCommand::Check { token, kid, write } => check(context, &token, &kid, write).await,
    }
}

async fn begin(context: &Context, options: LeaseOptions, grant: Option<&str>) -> Done {
    let actor = Actor::new(context).await?;
    let signer = signer(&actor);
    let audience = match &options.audience {
        Some(text) => Some(did_of(&actor.session, text).await?),
        None => None,
    };
    let chain = match grant {
        Some(text) => chain_of(&actor, text).await?,
        None => Vec::new(),
    };
    let site = chain.last().map_or(actor.did, |last| last.grant().resource);
    let scope = options.scope.iter().map(|text| scope_of(site, text)).collect::<Result<Vec<_>, _>>()?;
    let chain = chain.iter().map(|grant| grant.as_bytes().to_vec()).collect();
    let held = actor.session.lease(signer, Wanted { audience, scope, life_s: options.life_s, chain }).await?;
    let text = format!(
        "{}\n\nfor {}, ends {}; presented by another device it is refused.\nA new one, as long as the lease lives: dgns token refresh {}",
        held.pair.token,
        held.audience,
        time(held.pair.exp_s * 1_000),
        &HEXLOWER.encode(&held.rid)[..8],
    );
    context.out.result(&text, &view(&held));
    Ok(Ended::Ok)
}

async fn list(context: &Context) -> Done {
    let session = context.session().await?;
    let held = session.held_tokens()?;
    let now_s = clock::now().as_ms() / 1_000;
    let mut text = String::new();
    for held in &held {
        let left = match held.pair.exp_s.checked_sub(now_s).filter(|left| *left > 0) {
            Some(left) => format!("{} left", span(left)),
            None => "expired: refresh it".to_owned(),
        };
        text.push_str(&format!("{}  for {}  {left}\n", HEXLOWER.encode(&held.rid), held.audience));
    }
    if held.is_empty() {
        text.push_str("no tokens; begin with: dgns token lease");
    }
    let views: Vec<Value> = held.iter().map(view).collect();
    context.out.result(&text, &json!({ "ok": true, "tokens": views }));
    Ok(Ended::Ok)
}

async fn refresh(context: &Context, rid: Option<&str>) -> Done {
    let actor = Actor::new(context).await?;
    let held = actor.session.held_tokens()?;
    let wanted = match rid {
        Some(rid) => vec![named(&held, rid)?.clone()],
        None => held,
    };
    let (mut lines, mut views) = (Vec::new(), Vec::new());
    for held in &wanted {
        let new = actor.session.refresh(signer(&actor), held).await?;
        lines.push(format!("{}\n  ends {}", new.pair.token, time(new.pair.exp_s * 1_000)));
        views.push(view(&new));
    }
    if lines.is_empty() {
        lines.push("no tokens; begin with: dgns token lease".into());
    }
    context.out.result(&lines.join("\n"), &json!({ "ok": true, "tokens": views }));
    Ok(Ended::Ok)
}

async fn revoke(context: &Context, rid: Option<&str>, grant: Option<&str>) -> Done {
    let actor = Actor::new(context).await?;
    let (seq, what) = match (rid, grant) {
        (_, Some(grant)) => {
            let chain = chain_of(&actor, grant).await?;
            let last = chain.last().ok_or_else(|| ClientError::Unable("an empty grant".into()))?;
            (actor.session.revoke_grant(signer(&actor), &last.sid()).await?, "grant taken back")
        }
        (Some(rid), None) => {
            let held = actor.session.held_tokens()?;
            (actor.session.revoke_token(signer(&actor), &named(&held, rid)?.rid).await?, "lease ended")
        }
        (None, None) => return Err(ClientError::Unable("name a lease, or --grant".into())),
    };
    let text = format!("{what}; entry {seq} of the revocation feed says so to every audience");
    context.out.result(&text, &json!({ "ok": true, "seq": seq }));
    Ok(Ended::Ok)
}

async fn check(context: &Context, token: &str, kid: &str, write: bool) -> Done {
    let actor = Actor::new(context).await?;
    let bad = || ClientError::Unable("--kid takes 16 hexadecimal digits".into());
    let kid = Kid(HEXLOWER.decode(kid.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(bad)?);
    let audience = Audience::open(&actor.session, &actor.device, None).await?;
    let access = if write { Access::Write } else { Access::Read };
    match audience.check(token, &kid, access) {
        Ok(token) => {
            let scopes: Vec<String> = token
                .scope
                .iter()
                .map(|scope| format!("  {} on {}/{}", scope.rights, scope.site, scope.log.as_str()))
                .collect();
            let text = format!(
                "good: device {} of id {}, until {}\n{}",
                HEXLOWER.encode(&token.kid.0),
                token.uid,
                time(token.exp_s * 1_000),
                if scopes.is_empty() { "  no scope: decide by id and device".to_owned() } else { scopes.join("\n") },
            );
            let mut value = said(&token);
            value["ok"] = json!(true);
            context.out.result(&text, &value);
            Ok(Ended::Ok)
        }
        Err(refusal) => {
            let problem = dgns_api::problem::Problem::new(401, refusal.code(), refusal.to_string());
            Err(ClientError::Refused(Box::new(problem)))
        }
    }
}

/// Runs `grant`.
pub(crate) async fn grant(context: &Context, grant: GrantTo) -> Done {
    let actor = Actor::new(context).await?;
    let (resource, path) = match grant.resource.split_once('/') {
        Some((did, path)) => (did, path),
        None => (grant.resource.as_str(), ""),
    };
    let resource = did_of(&actor.session, resource).await?;
    let path: ResourcePath = path.parse().map_err(unable)?;
    let rights = Rights::parse(&grant.rights)
        .ok_or_else(|| ClientError::Unable("--rights takes letters of r, w and g, each once".into()))?;
    let mut chain = match &grant.by {
        Some(text) => chain_of(&actor, text).await?,
        None => Vec::new(),
    };
    let mut nonce = [0; 8];
    rng::system().fill_bytes(&mut nonce);
    let said = Grant {
        issuer: actor.did,
        subject: did_of(&actor.session, &grant.subject).await?,
        resource,
        path,
        rights,
        depth: grant.depth.unwrap_or(u8::from(rights.include(Rights::GRANT))),
        until_s: until(&grant.until, clock::now().as_ms() / 1_000)?,
        parent: chain.last().map(SignedGrant::sid),
        nonce,
    };
    let signed = SignedGrant::sign(&said, actor.session.trust().origin(), &actor.device.sign);
    let signed = signed.map_err(|error| {
        ClientError::Unable(format!("{error}; --depth is 1 to 3 with the right to grant, and 0 without"))
    })?;
    chain.push(signed.clone());
    let envelopes: Vec<Vec<u8>> = chain.iter().map(|grant| grant.as_bytes().to_vec()).collect();
    actor.session.declare(signer(&actor), &envelopes).await?;
    let (text, sid) = (as_text(&envelopes), HEXLOWER.encode(&signed.sid()));
    let shown = format!(
        "{text}\n\n{} may {} {}{} until {}; the server keeps it for them: dgns token exchange {}\nTake it back with: dgns token revoke --grant {}",
        said.subject,
        said.rights,
        said.resource,
        if said.path.as_str().is_empty() { String::new() } else { format!("/{}", said.path.as_str()) },
        time(said.until_s * 1_000),
        &sid[..8],
        &sid[..8],
    );
    context.out.result(&shown, &json!({ "ok": true, "grant": text, "sid": sid, "until_s": said.until_s }));
    Ok(Ended::Ok)
}

/// Runs `grants`.
pub(crate) async fn grants(context: &Context) -> Done {
    let actor = Actor::new(context).await?;
    let kept = actor.session.grants(signer(&actor)).await?;
    let (mut lines, mut views) = (Vec::new(), Vec::new());
    for KeptChain { chain, revoked } in &kept {
        let Some(last) = chain.last() else { continue };
        let (grant, sid) = (last.grant(), HEXLOWER.encode(&last.sid()));
        let mark = if *revoked { "  revoked" } else { "" };
        lines.push(format!(
            "{}  {} on {}/{}  from {} to {}  until {}{mark}",
            &sid[..16],
            grant.rights,
            grant.resource,
            grant.path.as_str(),
            grant.issuer,
            grant.subject,
            time(grant.until_s * 1_000),
        ));
        let envelopes: Vec<Vec<u8>> = chain.iter().map(|grant| grant.as_bytes().to_vec()).collect();
        views.push(json!({
            "sid": sid, "issuer": grant.issuer.to_string(), "subject": grant.subject.to_string(),
            "resource": grant.resource.to_string(), "path": grant.path.as_str(), "rights": grant.rights.to_string(),
            "depth": grant.depth, "until_s": grant.until_s, "revoked": revoked, "grant": as_text(&envelopes),
        }));
    }
    if lines.is_empty() {
        lines.push("no grants".into());
    }
    context.out.result(&lines.join("\n"), &json!({ "ok": true, "grants": views }));
    Ok(Ended::Ok)
}

fn signer(actor: &Actor) -> Signer<'_> {
    Signer { did: actor.did, keys: &actor.device }
}

/// Returns the DID that a text names, or that the name in it is bound to, proved.
pub(crate) async fn did_of(session: &Session, text: &str) -> Result<Did, ClientError> {
    if let Ok(did) = text.parse() {
        return Ok(did);
    }
    let name = session.name(text)?;
    let resolved = session.resolve(&Subject::Name(name.as_str().to_owned())).await?;
    resolved.did().map(|state| state.did).ok_or_else(|| ClientError::Absent(name.as_str().to_owned()))
}

/// Returns the chain that a text holds, or that the server keeps under a sid.
async fn chain_of(actor: &Actor, text: &str) -> Result<Vec<SignedGrant>, ClientError> {
    if text.starts_with(GRANT_PREFIX) {
        return grants_of(text);
    }
    let kept = actor.session.grants(signer(actor)).await?;
    let last_sid = |kept: &KeptChain| kept.chain.last().map(|last| HEXLOWER.encode(&last.sid())).unwrap_or_default();
    let wanted = text.to_lowercase();
    let mut matching = kept.into_iter().filter(|kept| last_sid(kept).starts_with(&wanted));
    match (matching.next(), matching.next()) {
        (Some(only), None) => Ok(only.chain),
        (None, _) => Err(ClientError::Unable(format!("no grant of yours begins with {text}; list them: dgns grants"))),
        _ => Err(ClientError::Unable(format!("several grants begin with {text}"))),
    }
}

/// How a chain begins as text.
const GRANT_PREFIX: &str = "dgg1.";

/// Returns the chain that a text holds.
pub(crate) fn grants_of(text: &str) -> Result<Vec<SignedGrant>, ClientError> {
    let wrong = || ClientError::Unable("this is not what `dgns grant` prints".into());
    let decoded = text.strip_prefix(GRANT_PREFIX).ok_or_else(wrong)?.split('.').map(|part| {
        let bytes = BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| wrong())?;
        SignedGrant::decode(&bytes).map_err(unable)
    });
    decoded.collect()
}

/// Returns a chain as text that can be handed on by hand.
fn as_text(envelopes: &[Vec<u8>]) -> String {
    let parts: Vec<String> = envelopes.iter().map(|envelope| BASE64URL_NOPAD.encode(envelope)).collect();
    format!("{GRANT_PREFIX}{}", parts.join("."))
}

/// Returns the held token whose rid begins so.
pub(crate) fn named<'h>(held: &'h [Held], rid: &str) -> Result<&'h Held, ClientError> {
    let wanted = rid.to_lowercase();
    let mut matching = held.iter().filter(|held| HEXLOWER.encode(&held.rid).starts_with(&wanted));
    match (matching.next(), matching.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => {
            Err(ClientError::Unable(format!("no lease of this device begins with {rid}; list them: dgns token list")))
        }
        _ => Err(ClientError::Unable(format!("several leases begin with {rid}"))),
    }
}

fn scope_of(site: Did, text: &str) -> Result<Scope, ClientError> {
    let wrong = || ClientError::Unable(format!("{text:?} is no scope such as photos:rw"));
    let (log, rights) = text.rsplit_once(':').ok_or_else(wrong)?;
    let rights = Rights::parse(rights).ok_or_else(wrong)?;
    Ok(Scope { site, log: log.parse().map_err(unable)?, rights })
}

/// Returns when a grant ends: a time, or one from now.
fn until(text: &str, now_s: u64) -> Result<u64, ClientError> {
    let wrong = || ClientError::Unable(format!("{text:?} is neither Unix seconds nor a span such as 90d, 12h, 30m"));
    let (number, unit_s) = match text.as_bytes().last() {
        Some(b'd') => (&text[..text.len() - 1], 86_400),
        Some(b'h') => (&text[..text.len() - 1], 3_600),
        Some(b'm') => (&text[..text.len() - 1], 60),
        _ => (text, 0),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let until_s = match unit_s {
        0 => number,
        unit_s => now_s.saturating_add(number.saturating_mul(unit_s)),
    };
    if until_s > now_s { Ok(until_s) } else { Err(ClientError::Unable("--until is not after now".into())) }
}

fn view(held: &Held) -> Value {
    json!({
        "ok": true, "token": held.pair.token, "rid": HEXLOWER.encode(&held.rid), "did": held.did.to_string(),
        "audience": held.audience.to_string(), "exp_s": held.pair.exp_s,
    })
}

fn said(token: &Token) -> Value {
    let scope = |scope: &Scope| json!({ "site": scope.site.to_string(), "path": scope.log.as_str(), "rights": scope.rights.to_string() });
    json!({
        "uid": token.uid, "kid": HEXLOWER.encode(&token.kid.0), "audience": token.audience.to_string(),
        "scope": token.scope.iter().map(scope).collect::<Vec<_>>(), "iat_s": token.iat_s, "exp_s": token.exp_s,
        "rid": HEXLOWER.encode(&token.rid), "seq": token.seq,
    })
}

fn unable(error: impl std::fmt::Display) -> ClientError {
    ClientError::Unable(error.to_string())
}
