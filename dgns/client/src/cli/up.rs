//! `up` and `claim`: from nothing to a proved name.

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use dgns_api::problem::Problem;
use dgns_client::draft::{self, Place, Root};
use dgns_client::error::ClientError;
use dgns_client::home::DeviceKeys;
use dgns_client::session::{Posted, Session, Signer};
use dgns_client::{clock, rng, user_keys};
use identity::cert::{Certificate, ClaimProof, Device, FirstUserKey};
use identity::did::Did;
use identity::key::{KexSecret, SigningKey};
use identity::name::Name;
use identity::pow;
use identity::seed::Words;
use identity::state::Subject;
use identity::user_key::Boxes;
use rand_core::Rng as _;
use serde_json::json;
use translog::resolve::Status;

use super::progress::Progress;
use super::{Context, Done, Ended, lookup, pair};

/// Arguments of `up`.
#[derive(Debug, clap::Args)]
pub(crate) struct Up {
    /// The name, such as `alice`
    name: String,
    /// Claim with an invitation code instead of work
    #[arg(long, value_name = "CODE")]
    invite: Option<String>,
    /// Do not show the words: power over the name then ends at its devices
    #[arg(long)]
    no_words: bool,
    /// The window that destructive acts wait, in seconds; 3 days if left out
    #[arg(long, value_name = "S")]
    window_s: Option<u64>,
    /// The label of this device, for your own eyes; only a commitment to it is logged
    #[arg(long, default_value = "first device")]
    label: String,
}

/// Arguments of `claim`.
#[derive(Debug, clap::Args)]
pub(crate) struct ClaimName {
    /// The name: `bob`, or `db.alice` below a name you own
    name: String,
    /// Claim with an invitation code instead of work
    #[arg(long, value_name = "CODE")]
    invite: Option<String>,
}

/// Makes keys and words where there are none, and claims the name.
pub(crate) async fn up(context: &Context, up: Up) -> Done {
    let session = context.session().await?;
    session.repeat_post().await?;
    let name = session.name(&up.name)?;
    if let Some(device) = session.log().device()?
        && let Some(did) = device.did
    {
        return claim_with(context, &session, &device, did, &name, up.invite.as_deref()).await;
    }
    let subject = Subject::Name(name.as_str().to_owned());
    let before = session.resolve(&subject).await?;
    if before.status() != Status::Absent {
        let taken = format!("{} is taken: choose another name", name.as_str());
        return Err(ClientError::Refused(Box::new(Problem::new(409, "name_taken", taken))));
    }

    let words = Words::generate(&mut rng::system());
    let mut device = fresh_device();
    let mut nonce = [0; 16];
    rng::system().fill_bytes(&mut nonce);
    let now = clock::now();
    let seen = draft::seen_of(before.head());
    let origin = session.trust().origin();
    let label_hash = Device::label_hash_of(&up.label, &nonce);
    let root = Root::of(&words);
    let (seed, boxes) = user_keys::first(device.kex.public(), root.words_box())?;
    let root = root.with_user_key(FirstUserKey { key: seed.public(), boxes: Boxes::hash_of(&boxes) });
    let genesis = draft::genesis(&root, &device, label_hash, up.window_s, seen, origin, now).map_err(unsignable)?;
    let did = Did::of_genesis(&genesis.sid());
    device.did = Some(did);
    let place = Place { did, seq: 1, prev: genesis.sid(), seen, now };
    let proof = claim_proof(&session, &name, &did, up.invite.as_deref()).await?;
    let claim = place.sign(draft::claim(name.as_str(), proof), None, origin, &[&device.sign]).map_err(unsignable)?;

    // The keys are on disk and the words before the person's eyes before anything is claimed with them.
    session.log().keep_device(&device)?;
    user_keys::keep(session.log(), 1, &seed)?;
    if !up.no_words {
        show_words(context, &words);
    }
    let posted = match session.post_with(&[genesis, claim], &[boxes], &subject).await {
        Ok(posted) => posted,
        Err(error) => {
            if matches!(error, ClientError::Refused(_)) {
                device.did = None;
                session.log().keep_device(&device)?;
            }
            return Err(error);
        }
    };
    // For the person's own eyes, and not worth a failure.
    let _ = pair::keep_label(&session, Signer { did, keys: &device }, &device, &up.label).await;
    report(context, &session, &name, &did, &posted, (!up.no_words).then_some(&words));
    Ok(Ended::Ok)
}

/// Claims a name for the DID of this device.
pub(crate) async fn claim(context: &Context, claim: ClaimName) -> Done {
    let session = context.session().await?;
    session.repeat_post().await?;
    let name = session.name(&claim.name)?;
    let (device, did) = known_device(&session)?;
    claim_with(context, &session, &device, did, &name, claim.invite.as_deref()).await
}

async fn claim_with(
    context: &Context,
    session: &Session,
    device: &DeviceKeys,
    did: Did,
    name: &Name,
    invite: Option<&str>,
) -> Done {
    let subject = Subject::Name(name.as_str().to_owned());
    let before = session.resolve(&subject).await?;
    if before.did().is_some_and(|owner| owner.did == did) && before.status() == Status::Present {
        let text = format!("{} is yours already", name.as_str());
        context.out.result(&text, &json!({ "ok": true, "name": name.as_str(), "did": did.to_string(), "new": false }));
        return Ok(Ended::Ok);
    }
    let own = session.resolve_did(&did).await?;
    let state = own.did().ok_or_else(|| ClientError::Unable("this device's DID is not in the log".into()))?;
    let place = Place::after(did, &state.head, own.head(), clock::now());
    let proof = claim_proof(session, name, &did, invite).await?;
    let body = draft::claim(name.as_str(), proof);
    let certificate = place.sign(body, None, session.trust().origin(), &[&device.sign]).map_err(unsignable)?;
    let posted = session.post(&[certificate], &subject).await?;
    report(context, session, name, &did, &posted, None);
    Ok(Ended::Ok)
}

/// Returns this device's keys and the DID they belong to.
pub(crate) fn known_device(session: &Session) -> Result<(DeviceKeys, Did), ClientError> {
    let none = || ClientError::Unable("this device has no name here yet; begin with: dgns up NAME".into());
    let device = session.log().device()?.ok_or_else(none)?;
    let did = device.did.ok_or_else(none)?;
    Ok((device, did))
}

/// Returns fresh keys that belong to no DID yet.
pub(crate) fn fresh_device() -> DeviceKeys {
    let rng = &mut rng::system();
    DeviceKeys { did: None, sign: SigningKey::generate(rng), kex: KexSecret::generate(rng) }
}

/// Returns the error of a certificate that cannot be put together.
pub(crate) fn unsignable(error: identity::cert::DecodeError) -> ClientError {
    ClientError::Unable(format!("this cannot be certified: {error}"))
}

/// Finds what the road of this name asks: the parent's grant, an invitation, or work.
async fn claim_proof(
    session: &Session,
    name: &Name,
    did: &Did,
    invite: Option<&str>,
) -> Result<ClaimProof, ClientError> {
    if !name.is_first_level(session.zone()) {
        return Ok(ClaimProof::Parent);
    }
    if let Some(code) = invite {
        let bytes = BASE32_NOPAD.decode(code.trim().to_ascii_uppercase().as_bytes()).ok();
        let bytes: Option<[u8; 16]> = bytes.and_then(|bytes| bytes.try_into().ok());
        let code = bytes.ok_or_else(|| ClientError::Unable("an invitation code has 26 letters and digits".into()))?;
        return Ok(ClaimProof::Invite { code_hash: pow::code_hash(&code) });
    }
    let bits = session.info().await?.work_bits;
    let (name, did) = (name.as_str().to_owned(), *did);
    let solved = tokio::task::spawn_blocking(move || {
        let mut progress = Progress::new("work");
        let expected = 1u64 << bits.min(63);
        pow::solve(&name, &did, bits, 0, |tried| progress.show(tried.min(expected), expected))
    });
    let nonce = solved.await.map_err(|error| ClientError::Unable(format!("the work ended: {error}")))?;
    Ok(ClaimProof::Open { nonce, bits })
}

/// Shows the words, once.
pub(crate) fn show_words(context: &Context, words: &Words) {
    // Even where a program reads the result: if the answer is lost on its way, these are the only copy.
    context.out.warn(&format!(
        "\nYour words. They rule your name and bring it back when every device is lost.\n\
         Write them on paper now; they are not kept anywhere and not shown again:\n\n  {}\n",
        words.phrase().as_str()
    ));
}

fn report(context: &Context, session: &Session, name: &Name, did: &Did, posted: &Posted, words: Option<&Words>) {
    let text = format!(
        "{} is yours.\n\n{}\n\nNext: dgns records set {} A 192.0.2.1",
        name.as_str(),
        lookup::proved_text(session, &posted.resolved),
        name.relative(session.zone()),
    );
    let value = json!({
        "ok": true,
        "new": true,
        "name": name.as_str(),
        "did": did.to_string(),
        "indexes": posted.indexes,
        "proof": lookup::proved_value(session, &posted.resolved),
        "words": words.map(|words| words.phrase().as_str().to_owned()),
    });
    context.out.result(&text, &value);
}

/// Returns a sid as people pass it on.
pub(crate) fn sid_text(certificate: &Certificate) -> String {
    HEXLOWER.encode(&certificate.sid())
}
