//! `up` and `claim`: from nothing to a proved name.

use std::path::Path;

use data_encoding::BASE32_NOPAD;
use dgns_api::problem::Problem;
use dgns_client::draft::{self, Place, Root};
use dgns_client::error::ClientError;
use dgns_client::home::{DeviceKeys, Home};
use dgns_client::session::{Posted, Session, Signer};
use dgns_client::{clock, rng, user_keys};
use identity::cert::{Certificate, ClaimProof, Device, DidKind, FirstUserKey};
use identity::did::Did;
use identity::hash::Hash;
use identity::name::Name;
use identity::pow;
use identity::seed::Words;
use identity::state::Subject;
use identity::user_key::Boxes;
use rand_core::Rng as _;
use serde_json::json;
use translog::resolve::Status;

use super::progress::Progress;
use super::{Context, Done, Ended, actor, login, pair, render};

/// Arguments of `up`.
#[derive(Debug, clap::Args)]
pub(crate) struct Up {
    /// The name, such as `alice`
    name: String,
    /// Claim with an invitation code instead of work
    #[arg(long, value_name = "CODE")]
    invite: Option<String>,
    /// Claim by signing in instead of by work: at an issuer, by the server's name for it or its URL, or with a `passkey`
    #[arg(long, value_name = "ISSUER", conflicts_with = "invite")]
    signin: Option<String>,
    /// Do not show the words: power over the name then ends at its devices
    #[arg(long)]
    no_words: bool,
    /// The window that destructive acts wait, in seconds; 3 days if left out
    #[arg(long, value_name = "S")]
    window_s: Option<u64>,
    /// The label of this device, for your own eyes; only a commitment to it is logged
    #[arg(long, default_value = FIRST_LABEL)]
    label: String,
    /// What this home is to stand for: a person if left out
    #[arg(long, value_enum, value_name = "K")]
    kind: Option<Kind>,
}

/// What a first device is called unless its owner says otherwise.
const FIRST_LABEL: &str = "first device";

/// Arguments of `claim`.
#[derive(Debug, clap::Args)]
pub(crate) struct ClaimName {
    /// The name: `bob`, or `db.alice` below a name you own
    name: String,
    /// Claim with an invitation code instead of work
    #[arg(long, value_name = "CODE")]
    invite: Option<String>,
    /// Claim by signing in instead of by work: at an issuer, by the server's name for it or its URL, or with a `passkey`
    #[arg(long, value_name = "ISSUER", conflicts_with = "invite")]
    signin: Option<String>,
    /// Claim it for a database or server of its own, with keys and words of its own, instead of for yourself
    #[arg(long, value_enum, value_name = "K", default_value_t = Kind::Person)]
    kind: Kind,
    /// With --kind: do not show its words
    #[arg(long)]
    no_words: bool,
}

/// What a DID stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// A person
    Person,
    /// A database
    Database,
    /// A server
    Server,
}

impl Kind {
    fn did_kind(self) -> DidKind {
        match self {
            Self::Person => DidKind::User,
            Self::Database => DidKind::Database,
            Self::Server => DidKind::Server,
        }
    }
}

/// What is claimed, and how.
struct Claiming<'a> {
    name: &'a Name,
    invite: Option<&'a str>,
    /// The evidence hash of a sign-in of this home's keys.
    signed_in: Option<Hash>,
    /// Who owns the name above it, if that is another DID: it signs along.
    above: Option<Signer<'a>>,
    /// Where the keys of its owner are, if that is not this home.
    held_in: Option<&'a Path>,
}

/// A DID to be made.
struct Making<'a> {
    /// `None`: a person, or whatever the home is already.
    kind: Option<Kind>,
    label: &'a str,
    window_s: Option<u64>,
    no_words: bool,
}

/// Makes keys and words where there are none, and claims the name.
pub(crate) async fn up(context: &Context, up: Up) -> Done {
    let session = context.session().await?;
    let name = session.name(&up.name)?;
    let signed_in = signed_in(context, &session, up.signin.as_deref()).await?;
    let claiming = Claiming { name: &name, invite: up.invite.as_deref(), signed_in, above: None, held_in: None };
    let making = Making { kind: up.kind, label: &up.label, window_s: up.window_s, no_words: up.no_words };
    claim_or_make(context, &session, &claiming, &making).await
}

/// Claims a name for the DID of this device, or for a new one whose keys get a home of their own.
pub(crate) async fn claim(context: &Context, claim: ClaimName) -> Done {
    let session = context.session().await?;
    session.repeat_post().await?;
    let name = session.name(&claim.name)?;
    let invite = claim.invite.as_deref();
    if claim.kind == Kind::Person {
        let (device, did) = actor::known_device(&session)?;
        owner_above(&session, &name).await?;
        let signed_in = signed_in(context, &session, claim.signin.as_deref()).await?;
        let claiming = Claiming { name: &name, invite, signed_in, above: None, held_in: None };
        return claim_with(context, &session, &device, did, &claiming).await;
    }
    if claim.signin.is_some() {
        return Err(ClientError::Unable("a sign-in is a person's: leave --kind or --signin out".into()));
    }
    let above = owner_above(&session, &name).await?;
    let above = above.as_ref().map(|(keys, did)| Signer { did: *did, keys });
    let home = Home::open(&context.held(&name))?;
    home.pin(session.server(), session.log().origin(), &session.log().pinned()?)?;
    let held = context.session_in(&home, session.server()).await?;
    let making = Making { kind: Some(claim.kind), label: FIRST_LABEL, window_s: None, no_words: claim.no_words };
    let claiming = Claiming { name: &name, invite, signed_in: None, above, held_in: Some(home.directory()) };
    claim_or_make(context, &held, &claiming, &making).await
}

/// Claims a name for a database with keys of its own, as a step of making it.
pub(crate) async fn claim_database(context: &Context, name: &str, no_words: bool) -> Done {
    let out = context.out.of_a_step();
    let context = Context { common: context.common.clone(), home: context.home.clone(), out };
    let kind = Kind::Database;
    claim(&context, ClaimName { name: name.to_owned(), invite: None, signin: None, kind, no_words }).await
}

/// Claims for the DID that the home of `session` has, or makes one.
async fn claim_or_make(context: &Context, session: &Session, claiming: &Claiming<'_>, making: &Making<'_>) -> Done {
    session.repeat_post().await?;
    if let Some(device) = session.log().device()?
        && let Some(did) = device.did
    {
        let state = session.resolve_did(&did).await?.did().map(|state| state.kind);
        if let (Some(kind), Some(wanted)) = (state, making.kind.map(Kind::did_kind))
            && kind != wanted
        {
            let (is, wanted) = (render::kind_text(kind), render::kind_text(wanted));
            let what = format!("this home is a {is}'s already; for a {wanted}: dgns claim NAME --kind {wanted}");
            return Err(ClientError::Unable(what));
        }
        return claim_with(context, session, &device, did, claiming).await;
    }
    make(context, session, claiming, making).await
}

/// Makes keys, words and a DID, and claims its first name: all in one post.
async fn make(context: &Context, session: &Session, claiming: &Claiming<'_>, making: &Making<'_>) -> Done {
    let name = claiming.name;
    let subject = Subject::Name(name.as_str().to_owned());
    let before = session.resolve(&subject).await?;
    if before.status() != Status::Absent {
        let taken = format!("{} is taken: choose another name", name.as_str());
        return Err(ClientError::Refused(Box::new(Problem::new(409, "name_taken", taken))));
    }

    let words = Words::generate(&mut rng::system());
    // A sign-in speaks for the keys that are in the home already.
    let mut device = if claiming.signed_in.is_some() { pair::keys_of_home(session)? } else { actor::fresh_device() };
    let mut nonce = [0; 16];
    rng::system().fill_bytes(&mut nonce);
    let now = clock::now();
    let seen = draft::seen_of(before.head());
    let origin = session.trust().origin();
    let label_hash = Device::label_hash_of(making.label, &nonce);
    let root = Root::of(&words).of_kind(making.kind.unwrap_or(Kind::Person).did_kind());
    let (seed, boxes) = user_keys::first(device.kex.public(), root.words_box())?;
    let root = root.with_user_key(FirstUserKey { key: seed.public(), boxes: Boxes::hash_of(&boxes) });
    let genesis =
        draft::genesis(&root, &device, label_hash, making.window_s, seen, origin, now).map_err(actor::unsignable)?;
    let did = Did::of_genesis(&genesis.sid());
    device.did = Some(did);
    let place = Place { did, seq: 1, prev: genesis.sid(), seen, now };
    let claim = claiming.certificate(session, &place, &device).await?;

    // The keys are on disk and the words before the person's eyes before anything is claimed with them.
    session.log().keep_device(&device)?;
    user_keys::keep(session.log(), 1, &seed)?;
    if !making.no_words {
        actor::show_words(context, &words, claiming.held_in.map(|_| name));
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
    let _ = pair::keep_label(session, Signer { did, keys: &device }, &device, making.label).await;
    report(context, session, claiming, &did, &posted, (!making.no_words).then_some(&words));
    Ok(Ended::Ok)
}

async fn claim_with(
    context: &Context,
    session: &Session,
    device: &DeviceKeys,
    did: Did,
    claiming: &Claiming<'_>,
) -> Done {
    let name = claiming.name;
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
    let certificate = claiming.certificate(session, &place, device).await?;
    let posted = session.post(&[certificate], &subject).await?;
    report(context, session, claiming, &did, &posted, None);
    Ok(Ended::Ok)
}

impl Claiming<'_> {
    /// Signs the claim at its place, as the road of the name asks.
    async fn certificate(
        &self,
        session: &Session,
        place: &Place,
        device: &DeviceKeys,
    ) -> Result<Certificate, ClientError> {
        let proof = claim_proof(session, self, &place.did).await?;
        let body = draft::claim(self.name.as_str(), proof);
        let above = self.above.filter(|above| above.did != place.did);
        let keys: Vec<_> = [&device.sign].into_iter().chain(above.map(|above| &above.keys.sign)).collect();
        place.sign(body, above.map(|above| above.did), session.trust().origin(), &keys).map_err(actor::unsignable)
    }
}

/// Returns this device, if the name stands below one of its DID's; `None` for a name of the first level.
async fn owner_above(session: &Session, name: &Name) -> Result<Option<(DeviceKeys, Did)>, ClientError> {
    let Some(parent) = name.parent(session.zone()) else { return Ok(None) };
    let above = session.resolve(&Subject::Name(parent.as_str().to_owned())).await?;
    let own = actor::known_device(session).ok().filter(|(_, did)| above.did().is_some_and(|owner| owner.did == *did));
    if own.is_some() {
        return Ok(own);
    }
    let (status, code, whose) = match above.status() {
        Status::Absent => (404, "no_parent", "which nobody has"),
        _ => (403, "not_allowed", "which is another's: its owner has to claim it"),
    };
    let refused = format!("{} stands below {}, {whose}", name.as_str(), parent.as_str());
    Err(ClientError::Refused(Box::new(Problem::new(status, code, refused))))
}

/// Signs in if a claim is to be made by it, and returns the evidence hash.
async fn signed_in(context: &Context, session: &Session, issuer: Option<&str>) -> Result<Option<Hash>, ClientError> {
    let Some(issuer) = issuer else { return Ok(None) };
    let keys = pair::keys_of_home(session)?;
    Ok(Some(login::for_a_name(context, session, &keys, issuer).await?.evidence))
}

/// Finds what the road of this name asks: the parent's grant, an invitation, a sign-in, or work.
async fn claim_proof(session: &Session, claiming: &Claiming<'_>, did: &Did) -> Result<ClaimProof, ClientError> {
    let Claiming { name, invite, signed_in, .. } = *claiming;
    if !name.is_first_level(session.zone()) {
        return Ok(ClaimProof::Parent);
    }
    if let Some(evidence) = signed_in {
        return Ok(ClaimProof::Attested { evidence });
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

fn report(
    context: &Context,
    session: &Session,
    claiming: &Claiming<'_>,
    did: &Did,
    posted: &Posted,
    words: Option<&Words>,
) {
    let name = claiming.name;
    let home = claiming.held_in.map(|home| format!(" --home {}", home.display())).unwrap_or_default();
    let moved = match claiming.held_in {
        None => "",
        Some(_) => "\nIts keys are in that home. If it lives on another machine, move the directory there.",
    };
    let text = format!(
        "{} is yours.\n\n{}\n\nNext: dgns{home} records set {} A 192.0.2.1{moved}",
        name.as_str(),
        render::proved_text(session, &posted.resolved),
        name.relative(session.zone()),
    );
    let value = json!({
        "ok": true,
        "new": true,
        "name": name.as_str(),
        "did": did.to_string(),
        "indexes": posted.indexes,
        "proof": render::proved_value(session, &posted.resolved),
        "words": words.map(|words| words.phrase().as_str().to_owned()),
        "home": claiming.held_in,
    });
    context.out.result(&text, &value);
}
