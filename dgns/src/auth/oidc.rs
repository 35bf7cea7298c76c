//! Issuers of OpenID Connect: where to send a browser, and what an id_token is worth. The room of `openidconnect`.
//!
//! What an issuer publishes of itself is kept for an hour, and read again at once when a token is signed by a key that is not in it:
//! so a new key counts as soon as it is used. Nothing of a token is logged, and none of it is stored.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use identity::time::Timestamp;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreIdToken, CoreIdTokenClaims, CoreIdTokenVerifier,
    CoreJwsSigningAlgorithm, CoreProviderMetadata,
};
use openidconnect::{
    AsyncHttpClient, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken,
    HttpRequest, HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RequestTokenError, Scope, SignatureVerificationError, TokenResponse as _, http,
};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::config::IssuerConfig;
use crate::keys::{self, KeyFileError};
use crate::outbound::{Bounds, Outbound, OutboundError};

/// How far `iat` may be from now.
pub const ISSUED_WITHIN_S: i64 = 600;

/// What an id_token that was judged says.
pub struct Person {
    /// The id_token, as it came.
    pub id_token: Zeroizing<String>,
    /// Whom the issuer means.
    pub subject: Zeroizing<String>,
    /// The verified e-mail address.
    pub email: Zeroizing<String>,
}

/// Why an issuer's word does not count. Nothing of the token stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// The issuer cannot be reached, or what it publishes of itself is not of the documented form. Code `issuer_unavailable`.
    #[error("the issuer does not answer as it should; try again in a moment")]
    Unavailable,
    /// The issuer does not take the code: it was used, is too old, or is of another sign-in. Code `signin_refused`.
    #[error("the issuer does not take this code; sign in again")]
    CodeRefused,
    /// The nonce is another one. Code `nonce`.
    #[error("the id_token is of another sign-in: its nonce differs")]
    Nonce,
    /// The token is for somebody else. Code `audience`.
    #[error("the id_token is for another program: its audience differs")]
    Audience,
    /// The token is of another issuer. Code `issuer`.
    #[error("the id_token is of another issuer")]
    Issuer,
    /// The token is signed in a way that is not taken, or not at all. Code `algorithm`.
    #[error("the id_token is signed by an algorithm that is not taken: RS256, ES256 or EdDSA")]
    Algorithm,
    /// The token has expired, or was issued more than 600 s from now. Code `expired`.
    #[error("the id_token has expired, or was not issued just now")]
    Expired,
    /// There is no e-mail address, or the issuer has not verified it. Code `email_unverified`.
    #[error("the issuer has not verified the e-mail address of this account; verify it there first")]
    EmailUnverified,
    /// The signature does not hold, or something else is wrong with the token. Code `id_token`.
    #[error("the id_token does not hold")]
    Token,
}

impl OidcError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unavailable => "issuer_unavailable",
            Self::CodeRefused => "signin_refused",
            Self::Nonce => "nonce",
            Self::Audience => "audience",
            Self::Issuer => "issuer",
            Self::Algorithm => "algorithm",
            Self::Expired => "expired",
            Self::EmailUnverified => "email_unverified",
            Self::Token => "id_token",
        }
    }
}

/// One issuer.
pub struct Issuer {
    config: IssuerConfig,
    secret: Option<Zeroizing<String>>,
    redirect: String,
    outbound: Outbound,
    published: Mutex<Option<Published>>,
}

/// What an issuer publishes of itself: where it is asked, and its keys.
#[derive(Clone)]
struct Published {
    metadata: Arc<CoreProviderMetadata>,
    read: Timestamp,
}

/// What a browser is sent to an issuer with.
pub struct Journey<'a> {
    /// The state, as text.
    pub state: &'a str,
    /// The nonce, as text.
    pub nonce: &'a str,
    /// The secret of PKCE, as text; the issuer sees its hash.
    pub verifier: &'a str,
}

impl Issuer {
    /// Returns the issuer of this configuration; browsers come back to `redirect`. Errors: the file of its secret.
    pub fn new(config: IssuerConfig, redirect: String, outbound: Outbound) -> Result<Self, KeyFileError> {
        let secret = config.client_secret_file.as_deref().map(keys::read_line).transpose()?;
        Ok(Self { config, secret, redirect, outbound, published: Mutex::new(None) })
    }

    /// Returns its configuration.
    pub fn config(&self) -> &IssuerConfig {
        &self.config
    }

    /// Returns where the browser goes.
    pub async fn url(&self, journey: &Journey<'_>, now: Timestamp) -> Result<String, OidcError> {
        let metadata = self.published(now, false).await?;
        let challenge =
            PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(journey.verifier.to_owned()));
        let (state, nonce) = (journey.state.to_owned(), journey.nonce.to_owned());
        let client = self.client(&metadata)?;
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let request = client.authorize_url(flow, || CsrfToken::new(state), || Nonce::new(nonce));
        let (url, _, _) = request.add_scope(Scope::new("email".into())).set_pkce_challenge(challenge).url();
        Ok(url.into())
    }

    /// Trades the code for an id_token and judges it: this issuer's, for us, with this nonce, issued just now.
    pub async fn finish(&self, code: &str, journey: &Journey<'_>, now: Timestamp) -> Result<Person, OidcError> {
        let metadata = self.published(now, false).await?;
        let token = self.exchange(&metadata, code, journey.verifier).await?;
        let claims = self.judged(&metadata, &token, journey.nonce, now).await?;
        let email = claims.email().filter(|_| claims.email_verified() == Some(true));
        let email = email.ok_or(OidcError::EmailUnverified)?;
        Ok(Person {
            id_token: Zeroizing::new(token.to_string()),
            subject: Zeroizing::new(claims.subject().as_str().to_owned()),
            email: Zeroizing::new(email.as_str().to_owned()),
        })
    }

    /// Judges an id_token that somebody brings: this issuer's, for our client, with this nonce, issued just now. Returns the subject;
    /// of the address nothing is asked.
    pub async fn judge_statement(
        &self,
        statement: &str,
        nonce: &str,
        now: Timestamp,
    ) -> Result<Zeroizing<String>, OidcError> {
        let token: CoreIdToken = statement.parse().map_err(|_| OidcError::Token)?;
        let metadata = self.published(now, false).await?;
        let claims = self.judged(&metadata, &token, nonce, now).await?;
        Ok(Zeroizing::new(claims.subject().as_str().to_owned()))
    }

    /// As [`Issuer::claims`]; a key that is not among those of `metadata` is looked for once more among the newest.
    async fn judged<'t>(
        &self,
        metadata: &CoreProviderMetadata,
        token: &'t CoreIdToken,
        nonce: &str,
        now: Timestamp,
    ) -> Result<&'t CoreIdTokenClaims, OidcError> {
        let claims = match self.claims(metadata, token, nonce, now) {
            Err(Judged::UnknownKey) => self.claims(&*self.published(now, true).await?, token, nonce, now),
            claims => claims,
        };
        claims.map_err(Judged::into_error)
    }

    async fn exchange(
        &self,
        metadata: &CoreProviderMetadata,
        code: &str,
        pkce: &str,
    ) -> Result<CoreIdToken, OidcError> {
        let client = self.client(metadata)?;
        let code = AuthorizationCode::new(code.to_owned());
        let request = client.exchange_code(code).map_err(|_| OidcError::Unavailable)?;
        let request = request.set_pkce_verifier(PkceCodeVerifier::new(pkce.to_owned()));
        let http = Http(self.outbound.clone());
        let answer = request.request_async(&http).await.map_err(|error| match error {
            RequestTokenError::ServerResponse(_) => OidcError::CodeRefused,
            RequestTokenError::Request(_) | RequestTokenError::Other(_) => OidcError::Unavailable,
            RequestTokenError::Parse(..) => OidcError::Token,
        })?;
        let _unused_and_dropped = answer.access_token();
        answer.id_token().cloned().ok_or(OidcError::Token)
    }

    /// Returns what a token claims, if it is this issuer's, for this client, of this nonce and of just now.
    fn claims<'t>(
        &self,
        metadata: &CoreProviderMetadata,
        token: &'t CoreIdToken,
        nonce: &str,
        now: Timestamp,
    ) -> Result<&'t CoreIdTokenClaims, Judged> {
        let now_s = i64::try_from(now.as_ms() / 1_000).unwrap_or(i64::MAX);
        let at = UNIX_EPOCH + Duration::from_millis(now.as_ms());
        let client = ClientId::new(self.config.client_id.clone());
        let verifier =
            CoreIdTokenVerifier::new_public_client(client, metadata.issuer().clone(), metadata.jwks().clone())
                .set_allowed_algs([
                    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
                    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
                    CoreJwsSigningAlgorithm::EdDsa,
                ])
                .set_time_fn(move || at.into())
                .set_issue_time_verifier_fn(move |issued| {
                    match (issued.timestamp() - now_s).abs() <= ISSUED_WITHIN_S {
                        true => Ok(()),
                        false => Err("not issued just now".into()),
                    }
                });
        let claims = token.claims(&verifier, &Nonce::new(nonce.to_owned())).map_err(of_claims)?;
        if claims.authorized_party().is_some_and(|party| party.as_str() != self.config.client_id) {
            return Err(Judged::Refused(OidcError::Audience));
        }
        Ok(claims)
    }

    /// Returns what the issuer publishes; read again after an hour, or at once if `anew`, but not twice within ten seconds.
    async fn published(&self, now: Timestamp, anew: bool) -> Result<Arc<CoreProviderMetadata>, OidcError> {
        let mut published = self.published.lock().await;
        let age_ms = published.as_ref().map(|kept| now.as_ms().saturating_sub(kept.read.as_ms()));
        let fresh_ms = if anew { READ_AGAIN_AFTER_MS } else { FRESH_MS };
        if let (Some(kept), Some(age_ms)) = (published.as_ref(), age_ms)
            && age_ms < fresh_ms
        {
            return Ok(kept.metadata.clone());
        }
        let issuer = IssuerUrl::new(self.config.issuer.clone()).map_err(|_| OidcError::Unavailable)?;
        let http = Http(self.outbound.clone());
        match CoreProviderMetadata::discover_async(issuer, &http).await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                *published = Some(Published { metadata: metadata.clone(), read: now });
                Ok(metadata)
            }
            // An issuer that is away for a while is still the same issuer.
            Err(_) => match (published.as_ref(), age_ms) {
                (Some(kept), Some(age_ms)) if age_ms < STALE_MS => Ok(kept.metadata.clone()),
                _ => Err(OidcError::Unavailable),
            },
        }
    }

    fn client(&self, metadata: &CoreProviderMetadata) -> Result<Client, OidcError> {
        let redirect = RedirectUrl::new(self.redirect.clone()).map_err(|_| OidcError::Unavailable)?;
        let secret = self.secret.as_ref().map(|secret| ClientSecret::new(secret.to_string()));
        let client =
            CoreClient::from_provider_metadata(metadata.clone(), ClientId::new(self.config.client_id.clone()), secret);
        let methods = metadata.token_endpoint_auth_methods_supported();
        let basic = methods.is_none_or(|methods| methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
        let auth = if basic { AuthType::BasicAuth } else { AuthType::RequestBody };
        Ok(client.set_redirect_uri(redirect).set_auth_type(auth))
    }
}

/// A client made of what an issuer publishes.
type Client = CoreClient<
    openidconnect::EndpointSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointMaybeSet,
    openidconnect::EndpointMaybeSet,
>;

/// Why a token is not believed, or not yet.
enum Judged {
    /// None of the keys at hand signed it.
    UnknownKey,
    Refused(OidcError),
}

impl Judged {
    fn into_error(self) -> OidcError {
        match self {
            Self::UnknownKey => OidcError::Token,
            Self::Refused(error) => error,
        }
    }
}

fn of_claims(error: ClaimsVerificationError) -> Judged {
    Judged::Refused(match error {
        ClaimsVerificationError::Expired(_) => OidcError::Expired,
        ClaimsVerificationError::InvalidAudience(_) => OidcError::Audience,
        ClaimsVerificationError::InvalidIssuer(_) => OidcError::Issuer,
        ClaimsVerificationError::InvalidNonce(_) => OidcError::Nonce,
        ClaimsVerificationError::SignatureVerification(error) => match error {
            SignatureVerificationError::DisallowedAlg(_)
            | SignatureVerificationError::NoSignature
            | SignatureVerificationError::UnsupportedAlg(_) => OidcError::Algorithm,
            // A key of the same name may have been replaced too.
            _ => return Judged::UnknownKey,
        },
        _ => OidcError::Token,
    })
}

/// Asks an issuer: no redirects, a deadline, a bound on what it may say.
struct Http(Outbound);

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = OutboundError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, OutboundError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
                (name.as_str().to_owned(), value.as_bytes().to_vec())
            };
            let headers: Vec<_> = parts.headers.iter().map(header).collect();
            let body = (parts.method == http::Method::POST).then_some(body);
            let answer = self.0.request(&parts.uri.to_string(), &headers, body, BOUNDS).await?;
            let mut response = http::Response::builder().status(answer.status);
            if !answer.content_type.is_empty() {
                response = response.header(http::header::CONTENT_TYPE, answer.content_type);
            }
            response.body(answer.body.to_vec()).map_err(|_| OutboundError::Broken)
        })
    }
}

/// What one question to an issuer may cost.
const BOUNDS: Bounds = Bounds { deadline: Duration::from_secs(8), body_bytes_max: 256 << 10 };

/// How long what an issuer publishes is taken for new.
const FRESH_MS: u64 = 3_600_000;

/// How soon it is read again because of a key that is not in it.
const READ_AGAIN_AFTER_MS: u64 = 10_000;

/// How long it counts while the issuer does not answer.
const STALE_MS: u64 = 86_400_000;
