//! Signing in at an issuer of OpenID Connect, from a program (PROTOCOL 19.3): begun with this home's keys, led back to a port on
//! loopback, finished by the keys' signature, and checked.

use std::net::Ipv4Addr;
use std::time::Duration;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use dgns_api::info::Issuer;
use dgns_api::path;
use dgns_api::problem::Problem;
use dgns_api::signin::{Branch, Finish, Finished, Link, Start, Started};
use identity::evidence::{Binding, Purpose, evidence_hash, sign_finish};
use identity::hash::Hash;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use zeroize::Zeroizing;

use crate::clock;
use crate::error::ClientError;
use crate::home::DeviceKeys;
use crate::session::{Session, Signer};

/// The file of the sign-in that was finished last, in the log's directory.
const FILE: &str = "signin.json";

/// The most bytes of a request that a browser is led back with.
const REQUEST_BYTES_MAX: usize = 16 << 10;

/// How long a browser may take to send it.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);

/// What a browser shows that was led back.
const PAGE: &str = "<!doctype html><html lang=\"en\"><title>dgns</title><p>You can close this window: dgns goes on by itself.</p></html>\n";

/// A sign-in that was begun: the browser is to go to [`Begun::url`].
pub struct Begun {
    issuer: Issuer,
    started: Started,
    nonce: String,
    listener: TcpListener,
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
}

impl Begun {
    /// Begins a sign-in of the device with these keys. `wanted` is an issuer's id, name or URL; `None` is the only one there is.
    ///
    /// Refuses with `nonce` a server that asks the issuer about other keys.
    pub async fn new(session: &Session, keys: &DeviceKeys, wanted: Option<&str>) -> Result<Self, ClientError> {
        let issuer = choose(session.info().await?.signin.issuers, wanted)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(|error| ClientError::Unable(format!("no port on loopback: {error}")))?;
        let port = listener.local_addr().map_err(|error| ClientError::Unable(error.to_string()))?.port();
        let (purpose, sign, kex) = (Purpose::SignIn, keys.sign.public(), keys.kex.public());
        let start = Start { purpose, sign, kex, issuer: issuer.id.clone(), port: Some(port), blinded: None };
        let answer = session.post_signin(path::SIGNIN_OIDC_START, start.encode()).await?;
        let started = Started::decode(&answer).map_err(unreadable)?;
        let nonce = Binding { purpose, sign, kex, blinded: None, random: started.random }.nonce_text();
        if parameter(query_of(&started.go), "nonce").as_deref() != Some(&nonce) {
            return Err(ClientError::proof("nonce", "the server asks the issuer about other keys than this home's"));
        }
        Ok(Self { issuer, started, nonce, listener })
    }

    /// Returns where the browser goes.
    pub fn url(&self) -> &str {
        &self.started.go
    }

    /// Returns the issuer.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Waits for the browser to be led back, and returns the issuer's code. Errors: the issuer or the person said no; nobody came in
    /// time.
    pub async fn code(&self) -> Result<String, ClientError> {
        let left_s = self.started.until_s.saturating_sub(clock::now().as_ms() / 1_000);
        let come = tokio::time::timeout(Duration::from_secs(left_s), self.come()).await;
        come.unwrap_or_else(|_| Err(refused(410, "signin_expired", "nobody came back from the issuer in time")))
    }

    /// Returns the code in an address that a browser elsewhere was led to.
    pub fn code_of(&self, address: &str) -> Result<String, ClientError> {
        self.judge(query_of(address.trim()))
            .unwrap_or_else(|| Err(ClientError::Unable("this address does not belong to this sign-in".into())))
    }

    /// Finishes the sign-in, and checks that what the issuer said is about these keys.
    pub async fn finish(self, session: &Session, keys: &DeviceKeys, code: String) -> Result<SignedIn, ClientError> {
        let state = self.started.state;
        let signature = sign_finish(session.trust().origin(), &state, &keys.sign);
        let finish = Finish { state, signature, answer: code };
        let answer = session.post_signin(path::SIGNIN_OIDC_FINISH, finish.encode()).await?;
        let Finished { evidence, random, statement, branch, names, until_s, .. } =
            Finished::decode(&answer).map_err(unreadable)?;
        let claims = claims_of(&statement);
        let fits = claims.nonce.as_deref() == Some(&self.nonce) && claims.iss.as_deref() == Some(&self.issuer.issuer);
        if !fits || evidence_hash(&statement, &random) != evidence {
            return Err(ClientError::proof("nonce", "what the issuer said is not about this home's keys"));
        }
        let shown = Some(Shown { statement: Zeroizing::new(statement), random });
        Ok(SignedIn { issuer: self.issuer, evidence, branch, names, until_s, email: claims.email, shown })
    }

    async fn come(&self) -> Result<String, ClientError> {
        loop {
            let Ok((mut browser, _)) = self.listener.accept().await else { continue };
            let Some(query) = asked(&mut browser).await else { continue };
            let judged = self.judge(&query);
            let (status, page) = if judged.is_some() { ("200 OK", PAGE) } else { ("404 Not Found", "") };
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                page.len()
            );
            // A browser that went away brought what it had to bring.
            let _ = browser.write_all([head.as_bytes(), page.as_bytes()].concat().as_slice()).await;
            if let Some(judged) = judged {
                return judged;
            }
        }
    }

    /// Returns what the issuer answered, if the query brings this sign-in's state.
    fn judge(&self, query: &str) -> Option<Result<String, ClientError>> {
        let state = BASE64URL_NOPAD.encode(&self.started.state);
        parameter(query, "state").filter(|brought| *brought == state)?;
        Some(match parameter(query, "code") {
            Some(code) => Ok(code),
            None => Err(refused(401, "signin_refused", "the issuer said no, or you did; begin again")),
        })
    }
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

/// Returns the query of what a browser asks for at `/`; `None` for anything else.
async fn asked(browser: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    let whole = async {
        while !read.windows(4).any(|end| end == b"\r\n\r\n") && read.len() < REQUEST_BYTES_MAX {
            let mut chunk = [0; 2_048];
            match browser.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(count) => read.extend_from_slice(&chunk[..count]),
            }
        }
    };
    tokio::time::timeout(REQUEST_WITHIN, whole).await.ok()?;
    let line = std::str::from_utf8(read.split(|byte| *byte == b'\r').next()?).ok()?;
    let target = line.strip_prefix("GET ")?.split(' ').next()?;
    Some(target.strip_prefix("/?").unwrap_or_default().to_owned())
}

/// Returns what stands behind the question mark of a URL.
fn query_of(url: &str) -> &str {
    url.split_once('?').map_or("", |(_, query)| query.split('#').next().unwrap_or_default())
}

/// Returns a parameter of a query, its escapes undone.
fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(known, _)| *known == name)?;
    let (mut bytes, mut rest) = (Vec::with_capacity(value.len()), value.as_bytes());
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

fn claims_of(statement: &[u8]) -> Claims {
    let payload = statement.split(|byte| *byte == b'.').nth(1).unwrap_or_default();
    let claims = BASE64URL_NOPAD.decode(payload).ok().and_then(|json| serde_json::from_slice(&json).ok());
    claims.unwrap_or(Claims { nonce: None, iss: None, email: None })
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
    fn parameters_come_back_as_they_were() {
        let query = query_of("http://127.0.0.1:1/?state=a-b_c&code=x%26y%3D%C3%BC%2&more=%zz#end");
        assert_eq!(parameter(query, "state").as_deref(), Some("a-b_c"));
        assert_eq!(parameter(query, "code").as_deref(), Some("x&y=ü%2"));
        assert_eq!(parameter(query, "more").as_deref(), Some("%zz"));
        assert_eq!((parameter(query, "cod"), parameter("", "code")), (None, None));
    }

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
