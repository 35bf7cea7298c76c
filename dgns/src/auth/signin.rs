//! Sign-ins from start to finish (PROTOCOL 19.3): what was begun is finished once, in time, by the device that began it.
//!
//! Order of a finish: the device's signature, the start is taken (durable: a second finish finds nothing), the issuer or the passkey
//! is heard and judged, the attested sign-in is stored (durable), the answer goes out. A crash in between loses the sign-in alone;
//! whoever asked begins again.

use std::net::IpAddr;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use dgns_api::code;
use dgns_api::signin::{Branch, Finish, Finished, Start, Started};
use identity::did::Did;
use identity::evidence::{Binding, evidence_hash, finish_is_by, issuer_hash, state_hash};
use identity::hash::Hash;
use identity::key::{PublicKey, kid_of};
use identity::state::DidState;
use identity::wire::{Reader, WireError, Writer};
use rand_core::CryptoRng;
use storage::StorageError;
use storage::people::{AttestedRow, StartKind, StartRow};
use zeroize::Zeroizing;

use super::notary::{Notaries, NotaryError};
use super::oidc::{Issuer, Journey, OidcError};
use super::passkey::{PasskeyError, RelyingParty};
use super::request::newest;
use crate::config::{Config, SigninConfig};
use crate::core::Core;
use crate::keys::KeyFileError;
use crate::limits::{Rates, TooMany};
use crate::outbound::Outbound;
use crate::people::People;
use crate::people::events::{EventData, EventKind};

/// How long a sign-in may take, seconds.
pub const START_S: u64 = 600;

/// The path that issuers lead browsers back to.
pub const CALLBACK: &str = "/v1/signin/oidc/callback";

/// Why a sign-in does not go on. Nothing private stands in it.
#[derive(Debug, thiserror::Error)]
pub enum SigninError {
    /// No issuer of this name. Code `unknown_issuer`.
    #[error("this server knows no such issuer; /v1/info lists them")]
    UnknownIssuer,
    /// A key that no device may have. Code `weak_key`.
    #[error("this is no key that a device may have")]
    WeakKey,
    /// The state is unknown, was used, or is older than 600 s. Code `signin_expired`.
    #[error("this sign-in was finished, is too old, or never began here; begin again")]
    Expired,
    /// The device that finishes is not the one that began. Code `bad_signature`.
    #[error("the signature is not by the device that began this sign-in")]
    OtherDevice,
    /// The passkey does not count, or may not be registered or removed.
    #[error(transparent)]
    Passkey(#[from] PasskeyError),
    /// The issuer's word does not count.
    #[error(transparent)]
    Oidc(#[from] OidcError),
    /// No notary says it.
    #[error(transparent)]
    Notary(#[from] NotaryError),
    /// Too many. Code `rate`.
    #[error("too many sign-ins from here; try again in {} s", .0.retry_ms.div_ceil(1_000))]
    Rate(TooMany),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl SigninError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownIssuer => code::UNKNOWN_ISSUER,
            Self::WeakKey => "weak_key",
            Self::Expired => code::SIGNIN_EXPIRED,
            Self::OtherDevice => "bad_signature",
            Self::Oidc(error) => error.code(),
            Self::Notary(error) => error.code(),
            Self::Passkey(error) => error.code(),
            Self::Rate(_) => code::RATE,
            Self::Storage(_) => code::INTERNAL,
        }
    }
}

/// Where people sign in.
pub struct Signin {
    config: SigninConfig,
    issuers: Vec<Issuer>,
    notaries: Arc<Notaries>,
    party: Option<RelyingParty>,
    passkeys_max: usize,
    rates: Rates,
}

/// A sign-in that was begun, as it waits in `people.db`.
struct Begun {
    binding: Binding,
    issuer: String,
    port: Option<u16>,
    verifier: Zeroizing<String>,
}

/// Whom an issuer or a passkey means, blinded, and what it said.
pub(super) struct Known {
    /// Issuer and subject, blinded.
    pub(super) account: Hash,
    /// The verified address, blinded.
    pub(super) email: Option<Hash>,
    /// Who said it.
    pub(super) issuer: String,
    /// What was said.
    pub(super) statement: Zeroizing<Vec<u8>>,
}

impl Signin {
    /// Returns the desk of this configuration, for which `notaries` speak. Errors: the file of a client's secret.
    pub fn new(config: &Config, notaries: Arc<Notaries>) -> Result<Self, KeyFileError> {
        let outbound = Outbound::new(config.outbound.plain_http);
        let signin = config.signin.clone();
        let redirect = format!("{}{CALLBACK}", signin.public_url);
        let issuer = |issuer: &_| Issuer::new(Clone::clone(issuer), redirect.clone(), outbound.clone());
        let issuers = signin.issuers.iter().map(issuer).collect::<Result<_, _>>()?;
        let party = signin.passkeys.then(|| RelyingParty::new(&signin.public_url, &config.zone)).flatten();
        let passkeys_max = match config.limits.passkeys_per_person {
            0 => usize::MAX,
            most => most as usize,
        };
        Ok(Self { config: signin, issuers, notaries, party, passkeys_max, rates: Rates::new(config.limits.clone()) })
    }

    /// Returns its configuration.
    pub fn config(&self) -> &SigninConfig {
        &self.config
    }

    /// Begins a sign-in at an issuer.
    pub async fn start(
        &self,
        core: &Core,
        people: &People,
        start: Start,
        from: IpAddr,
        rng: &mut impl CryptoRng,
    ) -> Result<Started, SigninError> {
        let issuer = self.issuer(&start.issuer)?;
        self.admit(core, &start, from)?;
        let (state, pkce) = (random(rng), Zeroizing::new(random::<32>(rng)));
        let binding = bound(&start, rng);
        let verifier = Zeroizing::new(BASE64URL_NOPAD.encode(pkce.as_ref()));
        let (state_text, nonce) = (BASE64URL_NOPAD.encode(&state), binding.nonce_text());
        let journey = Journey { state: &state_text, nonce: &nonce, verifier: &verifier };
        let go = issuer.url(&journey, core.clock.now()).await?;
        let data = Begun { binding, issuer: start.issuer, port: start.port, verifier }.encode();
        begin(core, people, Beginning { state, kind: StartKind::Oidc, data, random: binding.random, go }).await
    }

    /// Returns where a browser that comes back from an issuer goes on: the page, or the loopback port of a program. The start stays.
    pub async fn landing(&self, core: &Core, people: &People, back: &Back<'_>) -> Result<String, SigninError> {
        let page = format!("{}/signin#", self.config.public_url);
        let state = back.state.and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok());
        let state = state.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let begun = match state {
            Some(state) => {
                let now_s = core.clock.now().as_ms() / 1_000;
                people.store.peek_start(&state_hash(&state), StartKind::Oidc, now_s).await?
            }
            None => None,
        };
        let begun = begun.and_then(|data| Begun::decode(&data).ok());
        let (Some(begun), Some(state)) = (begun, back.state) else {
            return Ok(format!("{page}error={}", code::SIGNIN_EXPIRED));
        };
        let base = match begun.port {
            Some(port) => format!("http://127.0.0.1:{port}/?"),
            None => page,
        };
        // RFC 9207: an answer of another issuer goes nowhere.
        let spelled = self.issuer(&begun.issuer)?.config().issuer.as_str();
        let other = back.issuer.is_some_and(|named| named != spelled);
        match (back.code, other) {
            (Some(answer), false) => Ok(format!("{base}state={state}&code={}", escaped(answer))),
            (_, true) => Ok(format!("{base}state={state}&error=issuer")),
            (None, false) => Ok(format!("{base}state={state}&error=signin_refused")),
        }
    }

    /// Finishes a sign-in at an issuer.
    pub async fn finish(
        &self,
        core: &Core,
        people: &People,
        finish: Finish,
        rng: &mut impl CryptoRng,
    ) -> Result<Finished, SigninError> {
        let begun = take(core, people, &finish, StartKind::Oidc).await?;
        let begun = Begun::decode(&begun).map_err(|_| SigninError::Expired)?;
        let issuer = self.issuer(&begun.issuer)?;
        let nonce = begun.binding.nonce_text();
        let journey = Journey { state: "", nonce: &nonce, verifier: &begun.verifier };
        let person = issuer.finish(&finish.answer, &journey, core.clock.now()).await?;
        let issuer = issuer.config().issuer.clone();
        let known = Known {
            account: people.key.subject(&issuer, &person.subject),
            email: Some(people.key.email(&normal_form(&person.email))),
            issuer,
            statement: Zeroizing::new(person.id_token.as_bytes().to_vec()),
        };
        self.attest(core, people, &begun.binding, known, rng).await
    }

    /// Stores an attested sign-in and says whom it leads to.
    pub(super) async fn attest(
        &self,
        core: &Core,
        people: &People,
        binding: &Binding,
        known: Known,
        rng: &mut impl CryptoRng,
    ) -> Result<Finished, SigninError> {
        let random = random(rng);
        let now_s = core.clock.now().as_ms() / 1_000;
        let row = AttestedRow {
            evidence: evidence_hash(&known.statement, &random),
            account: known.account,
            email: known.email,
            issuer: issuer_hash(&known.issuer),
            sign: binding.sign,
            kex: binding.kex,
            until_s: now_s + self.config.attested_s,
        };
        let branch = branch(core, people, &row).await?;
        people.store.put_attested(&row, now_s).await?;
        if let Branch::Existing(did) = branch {
            let (at_ms, kid) = (core.clock.now().as_ms(), Some(kid_of(&row.sign)));
            people.tell(&did, EventKind::Login, EventData { at_ms, kid, ..EventData::default() }).await?;
        }
        Ok(Finished {
            evidence: row.evidence,
            random,
            statement: known.statement.to_vec(),
            issuer: known.issuer,
            branch,
            names: self.notaries.names_left(core, &row.issuer).await?,
            until_s: row.until_s,
            boxes: None,
            passkey: None,
        })
    }

    /// Refuses keys that no device may have, and more starts than one address may make.
    pub(super) fn admit(&self, core: &Core, start: &Start, from: IpAddr) -> Result<(), SigninError> {
        PublicKey::admit(&start.sign).map_err(|_| SigninError::WeakKey)?;
        if start.kex == [0; 32] {
            return Err(SigninError::WeakKey);
        }
        self.rates.admit_signin(from, core.clock.now()).map_err(SigninError::Rate)
    }

    /// Returns whether people sign in with passkeys.
    pub fn has_passkeys(&self) -> bool {
        self.party.is_some()
    }

    /// Returns the site that passkeys are for; this server may have none.
    pub(super) fn party(&self) -> Result<&RelyingParty, SigninError> {
        self.party.as_ref().ok_or(SigninError::UnknownIssuer)
    }

    /// Returns how many passkeys may lead to one DID.
    pub(super) fn passkeys_max(&self) -> usize {
        self.passkeys_max
    }

    fn issuer(&self, id: &str) -> Result<&Issuer, SigninError> {
        self.issuers.iter().find(|issuer| issuer.config().id == id).ok_or(SigninError::UnknownIssuer)
    }
}

/// A start on its way to `people.db` and to the browser.
pub(super) struct Beginning {
    /// What finishes it.
    pub(super) state: [u8; 32],
    /// How it is finished.
    pub(super) kind: StartKind,
    /// What the finish needs to know.
    pub(super) data: Vec<u8>,
    /// What the nonce was made with.
    pub(super) random: [u8; 16],
    /// Where the browser goes, or what it is asked.
    pub(super) go: String,
}

/// Keeps a start for [`START_S`], and returns what the device goes on with.
pub(super) async fn begin(core: &Core, people: &People, beginning: Beginning) -> Result<Started, SigninError> {
    let Beginning { state, kind, data, random, go } = beginning;
    let now_s = core.clock.now().as_ms() / 1_000;
    let until_s = now_s + START_S;
    people.store.put_start(&StartRow { state: state_hash(&state), kind, data, until_s }, now_s).await?;
    Ok(Started { state, random, until_s, go })
}

/// Returns what ties a statement to the keys of a start.
pub(super) fn bound(start: &Start, rng: &mut impl CryptoRng) -> Binding {
    let Start { purpose, sign, kex, blinded, .. } = *start;
    Binding { purpose, sign, kex, blinded, random: random(rng) }
}

/// Returns fresh random bytes.
pub(super) fn random<const N: usize>(rng: &mut impl CryptoRng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// What a browser brings back from an issuer.
#[derive(Clone, Copy, Debug)]
pub struct Back<'a> {
    /// `state`.
    pub state: Option<&'a str>,
    /// `code`.
    pub code: Option<&'a str>,
    /// `iss`.
    pub issuer: Option<&'a str>,
}

/// Takes the start that a finish is about, if the device that began it finishes it.
pub(super) async fn take(
    core: &Core,
    people: &People,
    finish: &Finish,
    kind: StartKind,
) -> Result<Vec<u8>, SigninError> {
    let (state, now_s) = (state_hash(&finish.state), core.clock.now().as_ms() / 1_000);
    let begun = people.store.peek_start(&state, kind, now_s).await?.ok_or(SigninError::Expired)?;
    let sign = read_sign(&begun).map_err(|_| SigninError::Expired)?;
    if !finish_is_by(&core.origin, &finish.state, &sign, &finish.signature) {
        return Err(SigninError::OtherDevice);
    }
    people.store.take_start(&state, kind, now_s).await?.ok_or(SigninError::Expired)
}

/// Returns the DID that an account leads to, if the log has it and it has not ended.
pub async fn leads_to(core: &Core, people: &People, account: &Hash) -> Result<Option<Did>, StorageError> {
    match people.store.account(account).await? {
        Some(row) if is_live(core, &row.did).await? => Ok(Some(row.did)),
        _ => Ok(None),
    }
}

async fn is_live(core: &Core, did: &Did) -> Result<bool, StorageError> {
    Ok(newest(core, did).await?.is_some_and(|state| state.flags & DidState::ENDED == 0))
}

async fn branch(core: &Core, people: &People, row: &AttestedRow) -> Result<Branch, StorageError> {
    if let Some(did) = leads_to(core, people, &row.account).await? {
        return Ok(Branch::Existing(did));
    }
    let Some(email) = &row.email else { return Ok(Branch::New) };
    for other in people.store.accounts_of_email(email).await? {
        if is_live(core, &other.did).await? {
            return Ok(Branch::NewSubject);
        }
    }
    Ok(Branch::New)
}

/// The form in which addresses are compared: the owner's label of an account, never more.
fn normal_form(address: &str) -> Zeroizing<String> {
    Zeroizing::new(address.trim().to_ascii_lowercase())
}

/// Returns `text` with everything escaped that could end a part of a URL.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(escape).collect()
}

impl Begun {
    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        write_binding(&mut writer, 8, &self.binding);
        writer.text(&self.issuer).uint(self.port.unwrap_or(0).into()).text(&self.verifier);
        writer.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let binding = read_binding(&mut reader, 8)?;
        let issuer = reader.text()?.to_owned();
        let port = reader.uint_to(65_535)? as u16;
        let verifier = Zeroizing::new(reader.text()?.to_owned());
        reader.end()?;
        Ok(Self { binding, issuer, port: Some(port).filter(|port| *port != 0), verifier })
    }
}

/// Writes the head of an array of `len` items and the five of a binding, the device's signing key first.
pub(super) fn write_binding(writer: &mut Writer, len: usize, binding: &Binding) {
    let Binding { purpose, sign, kex, blinded, random } = binding;
    writer.array(len).bytes(sign).bytes(kex).uint(*purpose as u64).bytes(random);
    match blinded {
        Some(blinded) => writer.bytes(blinded),
        None => writer.null(),
    };
}

/// Reads what [`write_binding`] wrote.
pub(super) fn read_binding(reader: &mut Reader<'_>, len: u64) -> Result<Binding, WireError> {
    reader.array_of(len)?;
    let (sign, kex) = (reader.fixed()?, reader.fixed()?);
    let purpose = identity::evidence::Purpose::of(reader.uint()?).ok_or(WireError::Unexpected)?;
    let random = reader.fixed()?;
    let blinded = reader.or_null(|reader| reader.fixed())?;
    Ok(Binding { purpose, sign, kex, blinded, random })
}

fn read_sign(bytes: &[u8]) -> Result<[u8; 32], WireError> {
    let mut reader = Reader::new(bytes);
    reader.array()?;
    reader.fixed()
}

#[cfg(test)]
mod tests {
    use identity::evidence::Purpose;

    use super::*;

    #[test]
    fn what_was_begun_comes_back() {
        for (port, blinded) in [(None, None), (Some(8_400), Some([5; 32]))] {
            let binding = Binding { purpose: Purpose::SignIn, sign: [1; 32], kex: [2; 32], blinded, random: [3; 16] };
            let begun = Begun { binding, issuer: "a".into(), port, verifier: Zeroizing::new("v".into()) };
            let bytes = begun.encode();
            let read = Begun::decode(&bytes).unwrap();
            assert_eq!(
                (read.binding, read.issuer.as_str(), read.port, read.verifier.as_str()),
                (binding, "a", port, "v")
            );
            assert_eq!(read_sign(&bytes), Ok([1; 32]));
        }
    }

    #[test]
    fn what_an_issuer_answers_stays_one_part_of_the_url() {
        assert_eq!(escaped("a-b._~"), "a-b._~");
        assert_eq!(escaped("a&b=c#d%e/ü"), "a%26b%3Dc%23d%25e%2F%C3%BC");
    }
}
