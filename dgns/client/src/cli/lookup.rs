//! `resolve`, `prove`, `verify`, `whoami`: what the log says of a name, proved.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use dgns_api::store;
use dgns_client::dns::Resolver;
use dgns_client::error::ClientError;
use dgns_client::session::Crossed;
use dgns_client::zonetext;
use identity::key::kid_of;
use serde_json::json;
use translog::fault::{self, FaultFile, FaultKind, NoConviction};
use translog::lookup_proof;
use translog::note::Checkpoint;
use translog::proof_file::{ProofFile, ProofFileError};
use translog::trust::Trust;

use super::{Context, Done, Ended, actor, arguments, render};

/// Arguments of `resolve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Resolve {
    /// A name or `did:dgns:...`
    name: String,
    /// Only records of this type
    #[arg(long = "type", value_name = "T")]
    rtype: Option<String>,
    /// Follow the owner's certificates from the first on, unless that was done before: no key shown can be false then
    #[arg(long, conflicts_with = "dns")]
    genesis: bool,
    /// Ask this DNS server or resolver, ADDR or ADDR:PORT, and nobody else: the whole proof comes as DNS records
    #[arg(long, value_name = "ADDR")]
    dns: Option<String>,
    /// Ask it by TCP alone
    #[arg(long, requires = "dns")]
    tcp: bool,
}

/// Arguments of `prove`.
#[derive(Debug, clap::Args)]
pub(crate) struct Prove {
    /// A name or `did:dgns:...`
    name: String,
    /// Where the proof goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// The file
    file: PathBuf,
    /// Trust this log key instead of the pinned one
    #[arg(long, value_name = "VKEY")]
    vkey: Option<String>,
}

/// Looks up, verifies, prints what was proved and by what.
pub(crate) async fn resolve(context: &Context, resolve: Resolve) -> Done {
    let rtype = resolve.rtype.as_deref().map(zonetext::type_number).transpose()?;
    let session = match resolve.dns {
        Some(_) => context.session_unasked(&resolve.name)?,
        None => context.session().await?,
    };
    let subject = arguments::subject(&session, &resolve.name)?;
    let resolver = match &resolve.dns {
        Some(address) => Some(Resolver::at(address, resolve.tcp).await?),
        None => None,
    };
    let own = context.own_policy()?;
    let Crossed { session, mut resolved, over } =
        session.resolve_across(&context.home, own.as_ref(), &subject, resolver.as_ref()).await?;
    if resolve.genesis {
        resolved = session.resolve_from_genesis(&subject).await?;
    }
    let way: String =
        over.iter().map(|name| format!("{name} is delegated, as proved, to the log {name}/log\n")).collect();
    let text =
        format!("{way}{}\n\n{}", render::subject_text(&resolved, rtype), render::proved_text(&session, &resolved));
    let mut value = render::subject_value(&resolved, rtype);
    value["proof"] = render::proved_value(&session, &resolved);
    if !over.is_empty() {
        value["delegated"] = json!(over);
    }
    context.out.result(&text, &value);
    Ok(render::ended(&resolved))
}

/// Writes an offline proof.
pub(crate) async fn prove(context: &Context, prove: Prove) -> Done {
    let session = context.session().await?;
    let subject = arguments::subject(&session, &prove.name)?;
    let (resolved, bytes) = session.resolve_with_bytes(&subject).await?;
    let fault = |error: translog::resolve::VerifyError| ClientError::proof(error.code(), error.to_string());
    let file = lookup_proof::write(session.trust(), &resolved, &bytes).map_err(fault)?.to_string();
    std::fs::write(&prove.out, &file)
        .map_err(|error| ClientError::Unable(format!("{}: {error}", prove.out.display())))?;
    let text = format!("{}: proof of {}, {} bytes", prove.out.display(), prove.name, file.len());
    context
        .out
        .result(&text, &json!({ "ok": true, "file": prove.out, "bytes": file.len(), "size": resolved.head().size }));
    Ok(Ended::Ok)
}

/// Verifies an offline proof: no server is asked once its log was met, wherever that was.
pub(crate) async fn verify(context: &Context, verify: Verify) -> Done {
    let bytes = std::fs::read(&verify.file)
        .map_err(|error| ClientError::Unable(format!("{}: {error}", verify.file.display())))?;
    // Of any version: one that cannot be read here is no proof either.
    let (fault_file, _) = fault::HEADER.split_at(fault::HEADER.len() - 1);
    if bytes.starts_with(fault_file.as_bytes()) {
        return verify_fault(context, &verify.file, &bytes);
    }
    let no_proof =
        |error: ProofFileError| ClientError::proof(error.code(), format!("{}: {error}", verify.file.display()));
    let proof = ProofFile::parse(&bytes).map_err(no_proof)?;
    let trust = match &verify.vkey {
        None => match met(context, &proof)? {
            Some(trust) => trust,
            None => context.session().await?.trust().clone(),
        },
        Some(text) => {
            let key = arguments::log_key(text)?;
            let wrong = || ClientError::Unable(format!("{text:?} is no log's key"));
            let origin = identity::name::Origin::parse(key.name()).map_err(|_| wrong())?;
            Trust::new(origin, vec![key]).map_err(|_| wrong())?
        }
    };
    let fault = |error: lookup_proof::LookupProofError| ClientError::proof(error.code(), error.to_string());
    let resolved = lookup_proof::verify(&trust, &bytes).map_err(fault)?;
    let text = format!("{}\n\n{}", render::subject_text(&resolved, None), render::how_text(&trust, &resolved));
    let mut value = render::subject_value(&resolved, None);
    value["proof"] = render::how_value(&trust, &resolved);
    context.out.result(&text, &value);
    Ok(render::ended(&resolved))
}

/// Returns the trust in the log that a proof file says it is of, if that was met before, under whatever URL; a policy of one's own
/// goes with the server.
fn met(context: &Context, proof: &ProofFile) -> Result<Option<Trust>, ClientError> {
    let checkpoint = Checkpoint::parse(proof.checkpoint.text()).ok();
    let Some(checkpoint) = checkpoint.filter(|_| context.common.policy.is_none()) else { return Ok(None) };
    let known = context.home.logs()?.into_iter().find(|(log, _)| log.origin().as_str() == checkpoint.origin);
    known.map(|(log, _)| log.trust()).transpose()
}

/// Checks a fault file by its own keys; a file that convicts a log ends as that key's fault.
fn verify_fault(context: &Context, path: &Path, bytes: &[u8]) -> Done {
    let file = FaultFile::decode(bytes).map_err(|error| ClientError::Unable(format!("{}: {error}", path.display())))?;
    if file.kind() == FaultKind::Store {
        return verify_store_fault(context, path, &file);
    }
    match file.check() {
        Ok(conviction) => {
            let (code, what) = (file.kind().word(), conviction.to_string());
            Err(ClientError::Proof { code, what, evidence: Some(path.to_owned()) })
        }
        Err(why) => convicts_nobody(context, path, &file, why),
    }
}

/// Checks a fault file about databases.
fn verify_store_fault(context: &Context, path: &Path, file: &FaultFile) -> Done {
    match store::fault::check(file) {
        Ok(conviction) => {
            let (code, what) = (file.kind().word(), conviction.to_string());
            Err(ClientError::Proof { code, what, evidence: Some(path.to_owned()) })
        }
        Err(why) => convicts_nobody(context, path, file, why),
    }
}

fn convicts_nobody(context: &Context, path: &Path, file: &FaultFile, why: NoConviction) -> Done {
    let text = format!("{}: {} convicts nobody: {why}", path.display(), file.kind().word());
    let value = json!({ "ok": true, "convicts": false, "kind": file.kind().word(), "code": why.code() });
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}

/// Shows this device, its DID, and how the log has them.
pub(crate) async fn whoami(context: &Context) -> Done {
    let session = context.session().await?;
    let (device, did) = actor::known_device(&session)?;
    let resolved = session.resolve_did(&did).await?;
    let kid = kid_of(&device.sign.public());
    let state = resolved.did();
    let status = state.and_then(|state| state.devices.iter().find(|known| known.sign == device.sign.public()));
    let status = status.map_or("not in the chain: revoked, or never added", |known| render::status_text(known.status));
    let names = state.map(|state| state.names.clone()).unwrap_or_default();
    let text = format!(
        "{did}\n{}  names    {}\n  device   {} ({status})\n  home     {}\n\n{}",
        state.map(|state| format!("  kind     {}\n", render::kind_text(state.kind))).unwrap_or_default(),
        if names.is_empty() { "none".to_owned() } else { names.join(" ") },
        HEXLOWER.encode(&kid.0),
        context.home.directory().display(),
        render::proved_text(&session, &resolved)
    );
    let mut value = render::subject_value(&resolved, None);
    value["device"] = json!({ "kid": HEXLOWER.encode(&kid.0), "status": status });
    value["proof"] = render::proved_value(&session, &resolved);
    context.out.result(&text, &value);
    Ok(render::ended(&resolved))
}
