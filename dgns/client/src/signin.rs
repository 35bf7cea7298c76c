//! Signing in from a program (PROTOCOL 19.3, 19.6): begun with this home's keys, at an issuer of OpenID Connect or with a passkey on the
//! server's pages; led back to a port on loopback; finished by the keys' signature, and checked.

mod loopback;
mod pages;

use std::time::Duration;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use dgns_api::info::Issuer;
use dgns_api::path;
use dgns_api::problem::Problem;
use dgns_api::signin::{Branch, Finish, Finished, Link, Start, Started};
use identity::evidence::{Binding, Purpose, evidence_hash, passkey_issuer, passkey_subject, sign_finish};
use identity::hash::Hash;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::clock;
use crate::error::ClientError;
use crate::home::DeviceKeys;
use crate::session::{Session, Signer};

use loopback::{Loopback, parameter, query_of};
use pages::Pages;

/// What stands for passkeys where issuers are called by their ids.
pub const PASSKEY: &str = "passkey";

/// The file of the sign-in that was finished last, in the log's directory.
const FILE: &str = "signin.json";

/// A sign-in that was begun: the browser is to go to [`Begun::url`].
pub struct Begun {
    issuer: Issuer,
    way: Way,
    /// The start, and behind it the passkey that the person makes instead of using one.
    rounds: Vec<Round>,
    loopback: Loopback,
    until_s: u64,
    /// The point of a recovery.
    blinded: Option<[u8; 32]>,
    /// Whether somebody without a passkey may make one instead.
    may_make: bool,
}

/// A passkey is made.
const MAKES: (Purpose, bool) = (Purpose::Enrolment, true);

/// Where somebody signs in.
enum Way {
    Issuer,
    Pages(Pages),
}

/// One start, and what its answer has to be about.
struct Round {
    /// Whether a passkey is made, not used.
    makes: bool,
    started: Started,
    nonce: String,
    /// Where the browser goes.
    url: String,
}

/// What a browser brought back, or is to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Led {
    /// An answer to the start of this number.
    Answer(usize, String),
    /// The browser is to go there now.
    On(String),
}

/// A finished sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// Where.
    pub issuer: Issuer,
    /// Its evidence hash.
    pub evidence: Hash,
    /// Whom it leads to.
    pub branch: Branch,
    /// For how many names it is good.
    pub names: u64,
    /// Until when, in seconds since 1970.
    pub until_s: u64,
    /// The address that the issuer said.
    pub email: Option<String>,
    /// What opens the evidence hash; a sign-in that was kept has it no more.
    pub shown: Option<Shown>,
}

/// What an issuer said, and what the evidence hash was made with. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown {
    /// The id_token.
    pub statement: Zeroizing<Vec<u8>>,
    /// What it was hashed with.
    pub random: [u8; 16],
    /// What its nonce was made with.
    pub nonce: [u8; 16],
    /// The key of the passkey that signed in to be listed.
    pub passkey: Option<[u8; 64]>,
}

impl Shown {
    /// Returns whom the issuer means, as the statement says; its signature is somebody else's to judge. Of a passkey: its key.
    pub fn subject(&self) -> Option<Zeroizing<String>> {
        let passkey = self.passkey.as_ref().map(passkey_subject);
        passkey.or_else(|| claims_of(&self.statement).sub).map(Zeroizing::new)
    }

    /// Returns the statement as an enrolment shows it: of a passkey behind its key (PROTOCOL 24.4).
    pub fn enrolment(&self) -> Zeroizing<Vec<u8>> {
        let key = self.passkey.as_ref().map_or(&[][..], |key| key.as_slice());
        Zeroizing::new([key, &self.statement].concat())
    }
}

impl core::fmt::Debug for Shown {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Shown(..)")
    }
}

/// A sign-in as a home keeps it: nothing of the person.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// The device that signed in: its public signing key, in hexadecimal.
    device: String,
    issuer: Issuer,
    evidence: String,
    names: u64,
    until_s: u64,
}

/// What an id_token says of itself. Its signature is the server's to judge.
#[derive(Debug, Deserialize)]
struct Claims {
    nonce: Option<String>,
    iss: Option<String>,
    email: Option<String>,
    sub: Option<String>,
}

impl Begun {
    /// Begins a sign-in of the device with these keys. `wanted` is an issuer's id, name or URL, or [`PASSKEY`]; `None` is the only issuer
    /// there is.
    ///
    /// Refuses with `nonce` a server that asks the issuer or the passkey about other keys.
    pub async fn new(session: &Session, keys: &DeviceKeys, wanted: Option<&str>) -> Result<Self, ClientError> {
        Self::with_purpose(session, keys, wanted, (Purpose::SignIn, None)).await
    }

    /// As [`Begun::new`], for another purpose: with the blinded point, where that is recovery.
    pub async fn with_purpose(
        session: &Session,
        keys: &DeviceKeys,
        wanted: Option<&str>,
        (purpose, blinded): (Purpose, Option<[u8; 32]>),
    ) -> Result<Self, ClientError> {
        let offered = session.info().await?.signin;
        let only = offered.issuers.is_empty() && offered.passkeys;
        let (issuer, way) = match wanted {
            None if only && purpose != Purpose::SignIn => (passkeys(session), Way::Pages(Pages::of(offered)?)),
            Some(PASSKEY) => (passkeys(session), Way::Pages(Pages::of(offered)?)),
            None if only => {
                let what = "this server believes no issuer, but passkeys: dgns login --passkey-url";
                return Err(ClientError::Unable(what.into()));
            }
            _ => (choose(offered.issuers, wanted)?, Way::Issuer),
        };
        let loopback = Loopback::open().await?;
        let may_make = purpose == Purpose::SignIn;
        let mut begun = Self { issuer, way, rounds: Vec::new(), loopback, until_s: 0, blinded, may_make };
        begun.start(session, keys, (purpose, false)).await?;
        Ok(begun)
    }

    /// Begins; returns where the browser goes.
    async fn start(
        &mut self,
        session: &Session,
        keys: &DeviceKeys,
        (purpose, makes): (Purpose, bool),
    ) -> Result<&str, ClientError> {
        let (sign, kex, port) = (keys.sign.public(), keys.kex.public(), self.loopback.port());
        let (at, issuer, led_to) = match (&self.way, makes) {
            (Way::Issuer, _) => (path::SIGNIN_OIDC_START, self.issuer.id.clone(), Some(port)),
            (Way::Pages(_), true) => (path::PASSKEYS_START, String::new(), None),
            (Way::Pages(_), _) => (path::SIGNIN_PASSKEY_START, String::new(), None),
        };
        let blinded = self.blinded.filter(|_| purpose == Purpose::Recovery);
        let start = Start { purpose, sign, kex, issuer, port: led_to, blinded };
        let started = Started::decode(&session.post_signin(at, start.encode()).await?).map_err(unreadable)?;
        let binding = Binding { purpose, sign, kex, blinded, random: started.random };
        let nonce = binding.nonce_text();
        let (asked, url) = match &self.way {
            Way::Issuer => (parameter(query_of(&started.go), "nonce"), started.go.clone()),
            Way::Pages(pages) => (pages.challenge(&started.go)?, pages.url(port, &binding, &started, makes)),
        };
        if asked.as_deref() != Some(&nonce) {
            return Err(ClientError::proof("nonce", "the server asks about other keys than this home's"));
        }
        self.until_s = started.until_s;
        self.rounds.push(Round { makes, started, nonce, url });
        Ok(self.url())
    }

    /// Returns where the browser goes.
    pub fn url(&self) -> &str {
        self.rounds.last().map_or("", |round| &round.url)
    }

    /// Returns the issuer.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Waits for the browser to be led back, and returns what it brought. A person who has no passkey yet is led on to make one.
    ///
    /// Errors: the issuer or the person said no; nobody came in time.
    pub async fn led(&mut self, session: &Session, keys: &DeviceKeys) -> Result<Led, ClientError> {
        let left_s = self.until_s.saturating_sub(clock::now().as_ms() / 1_000);
        let come = tokio::time::timeout(Duration::from_secs(left_s), self.come(session, keys)).await;
        come.unwrap_or_else(|_| Err(refused(410, "signin_expired", "nobody came back in time; begin again")))
    }

    /// Returns what an address says that a browser elsewhere was led to.
    pub async fn typed(&mut self, session: &Session, keys: &DeviceKeys, address: &str) -> Result<Led, ClientError> {
        match self.judge(query_of(address.trim())) {
            None => Err(ClientError::Unable("this address does not belong to this sign-in".into())),
            Some(Brought::Wish) => Ok(Led::On(self.start(session, keys, MAKES).await?.to_owned())),
            Some(Brought::Answer(round, answer)) => Ok(Led::Answer(round, answer)),
            Some(Brought::No) => Err(no()),
        }
    }

    /// Finishes the sign-in, and checks that what the issuer or the passkey said is about these keys.
    pub async fn finish(
        self,
        session: &Session,
        keys: &DeviceKeys,
        round: usize,
        answer: String,
    ) -> Result<SignedIn, ClientError> {
        let unknown = || ClientError::Unable("this answer does not belong to this sign-in".into());
        let Round { makes, started, nonce, .. } = self.rounds.get(round).ok_or_else(unknown)?;
        let at = match (&self.way, makes) {
            (Way::Issuer, _) => path::SIGNIN_OIDC_FINISH,
            (Way::Pages(_), true) => path::PASSKEYS_FINISH,
            (Way::Pages(_), _) => path::SIGNIN_PASSKEY_FINISH,
        };
        let signature = sign_finish(session.trust().origin(), &started.state, &keys.sign);
        let answer = match &self.way {
            Way::Issuer => answer,
            Way::Pages(_) => pages::credential(&answer)?,
        };
        let finish = Finish { state: started.state, signature, answer };
        let answer = session.post_signin(at, finish.encode()).await?;
        let Finished { evidence, random, statement, issuer, branch, names, until_s, passkey, .. } =
            Finished::decode(&answer).map_err(unreadable)?;
        let (email, about) = match &self.way {
            Way::Issuer => {
                let claims = claims_of(&statement);
                let at = claims.iss.as_deref() == Some(&self.issuer.issuer);
                (claims.email, claims.nonce.filter(|_| at))
            }
            Way::Pages(pages) => {
                // The key is listed as a way to begin a recovery: it has to be the one that answered.
                let is_its = passkey.is_none_or(|key| pages.signed_by(&statement, nonce, &key));
                (None, pages::challenge_of(&statement).filter(|_| is_its))
            }
        };
        let fits = about.as_deref() == Some(nonce) && issuer == self.issuer.issuer;
        if !fits || evidence_hash(&statement, &random) != evidence {
            return Err(ClientError::proof("nonce", "what was said at the sign-in is not about this home's keys"));
        }
        let shown = Some(Shown { statement: Zeroizing::new(statement), random, nonce: started.random, passkey });
        Ok(SignedIn { issuer: self.issuer, evidence, branch, names, until_s, email, shown })
    }

    async fn come(&mut self, session: &Session, keys: &DeviceKeys) -> Result<Led, ClientError> {
        loop {
            let visit = self.loopback.visit().await;
            match self.judge(&visit.query) {
                None => visit.turn_away().await,
                Some(Brought::Wish) => {
                    let to = self.start(session, keys, MAKES).await?;
                    visit.lead(to).await;
                }
                Some(brought) => {
                    visit.thank().await;
                    return match brought {
                        Brought::Answer(round, answer) => Ok(Led::Answer(round, answer)),
                        _ => Err(no()),
                    };
                }
            }
        }
    }

    /// Returns what a query brings, if it brings the state of one of this sign-in's starts.
    fn judge(&self, query: &str) -> Option<Brought> {
        let brought = parameter(query, "state")?;
        let is_it = |round: &Round| BASE64URL_NOPAD.encode(&round.started.state) == brought;
        let round = self.rounds.iter().position(is_it)?;
        Some(match (parameter(query, "code"), &self.way) {
            (Some(answer), _) => Brought::Answer(round, answer),
            (None, Way::Pages(_)) if self.may_make && self.rounds.len() == 1 && parameter(query, "make").is_some() => {
                Brought::Wish
            }
            _ => Brought::No,
        })
    }
}

/// What a browser that knows the state brings.
enum Brought {
    Answer(usize, String),
    /// There is no passkey yet: the person wants to make one.
    Wish,
    No,
}

fn no() -> ClientError {
    refused(401, "signin_refused", "the issuer said no, or you did; begin again")
}

/// Returns what passkeys are called where issuers are.
fn passkeys(session: &Session) -> Issuer {
    let issuer = passkey_issuer(session.trust().zone().as_str());
    Issuer { id: PASSKEY.into(), name: "your passkey".into(), issuer }
}

impl SignedIn {
    /// Keeps it, for a name or until it is too old.
    pub fn keep(&self, session: &Session, keys: &DeviceKeys) -> Result<(), ClientError> {
        let (device, evidence) = (HEXLOWER.encode(&keys.sign.public()), HEXLOWER.encode(&self.evidence));
        let kept = Kept { device, issuer: self.issuer.clone(), evidence, names: self.names, until_s: self.until_s };
        session.log().keep_json(FILE.as_ref(), &kept)
    }

    /// Returns the one that was kept, if it is of these keys, at the wanted issuer, and good for a name still.
    pub fn kept(session: &Session, keys: &DeviceKeys, wanted: &str) -> Result<Option<Self>, ClientError> {
        let Some(Kept { device, issuer, evidence, names, until_s }) = session.log().read_json(FILE.as_ref())? else {
            return Ok(None);
        };
        let is_it = is_called(&issuer, wanted) && device == HEXLOWER.encode(&keys.sign.public());
        let good = is_it && names > 0 && clock::now().as_ms() / 1_000 < until_s;
        let evidence = HEXLOWER.decode(evidence.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        let kept = |evidence| Self { issuer, evidence, branch: Branch::New, names, until_s, email: None, shown: None };
        Ok(evidence.filter(|_| good).map(kept))
    }

    /// Lets its account lead to the DID of this device from now on.
    pub async fn link(&self, session: &Session, signer: Signer<'_>) -> Result<(), ClientError> {
        let link = Link { evidence: self.evidence };
        session.post_signed(signer, path::SIGNIN_LINK, &link.encode()).await.map(drop)
    }
}

fn choose(issuers: Vec<Issuer>, wanted: Option<&str>) -> Result<Issuer, ClientError> {
    let known = issuers.iter().map(|issuer| issuer.id.as_str()).collect::<Vec<_>>().join(", ");
    match (wanted, issuers.as_slice()) {
        (_, []) => Err(ClientError::Unable("nobody signs in at this server: it believes no issuer".into())),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(ClientError::Unable(format!("say which issuer: {known}"))),
        (Some(wanted), all) => {
            let found = all.iter().find(|issuer| is_called(issuer, wanted)).cloned();
            found.ok_or_else(|| ClientError::Unable(format!("this server believes no issuer {wanted:?}, but: {known}")))
        }
    }
}

fn is_called(issuer: &Issuer, wanted: &str) -> bool {
    issuer.id == wanted || issuer.name.eq_ignore_ascii_case(wanted) || issuer.issuer == wanted
}

fn claims_of(statement: &[u8]) -> Claims {
    let payload = statement.split(|byte| *byte == b'.').nth(1).unwrap_or_default();
    let claims = BASE64URL_NOPAD.decode(payload).ok().and_then(|json| serde_json::from_slice(&json).ok());
    claims.unwrap_or(Claims { nonce: None, iss: None, email: None, sub: None })
}

fn unreadable<E>(_: E) -> ClientError {
    ClientError::Network("the server's answer to the sign-in is not of the documented form".into())
}

fn refused(status: u16, code: &str, detail: &str) -> ClientError {
    ClientError::Refused(Box::new(Problem::new(status, code, detail)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_meant_by_id_name_or_url() {
        let issuer = |id: &str| Issuer { id: id.into(), name: id.to_uppercase(), issuer: format!("https://{id}.test") };
        let both = || vec![issuer("a"), issuer("b")];
        for wanted in ["b", "B", "https://b.test"] {
            assert_eq!(choose(both(), Some(wanted)).unwrap().id, "b");
        }
        assert_eq!(choose(vec![issuer("a")], None).unwrap().id, "a");
        assert!(choose(both(), None).is_err() && choose(both(), Some("c")).is_err() && choose(vec![], None).is_err());
    }
}
