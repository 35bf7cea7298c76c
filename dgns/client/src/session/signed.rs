//! Requests that this device signs: what only a DID's own devices may ask (PROTOCOL 12.9).

use std::time::Duration;

use identity::did::Did;
use identity::request::{Authorization, DID_HEADER, Request};

use super::Session;
use crate::error::ClientError;
use crate::home::DeviceKeys;
use crate::net::{Headers, Lines, Method};
use crate::{clock, rng};

/// Longer than what is left of a second.
const NEXT_SECOND: Duration = Duration::from_millis(1_050);

/// A device of a DID, as it signs requests.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'a> {
    /// The DID.
    pub did: Did,
    /// The device's keys.
    pub keys: &'a DeviceKeys,
}

impl Session {
    /// Gets what only this DID's devices may read; nothing of the answer is verified.
    pub async fn get_signed(&self, signer: Signer<'_>, target: &str) -> Result<Vec<u8>, ClientError> {
        self.send_signed(signer, Method::Get, target, &[]).await
    }

    /// Posts what only this DID's devices may post.
    pub async fn post_signed(&self, signer: Signer<'_>, target: &str, body: &[u8]) -> Result<Vec<u8>, ClientError> {
        self.send_signed(signer, Method::Post, target, body).await
    }

    /// Puts what only this DID's devices may put.
    pub async fn put_signed(&self, signer: Signer<'_>, target: &str, body: &[u8]) -> Result<(), ClientError> {
        self.send_signed(signer, Method::Put, target, body).await.map(drop)
    }

    /// Takes away what only this DID's devices may take away.
    pub async fn delete_signed(&self, signer: Signer<'_>, target: &str) -> Result<(), ClientError> {
        self.send_signed(signer, Method::Delete, target, &[]).await.map(drop)
    }

    /// Opens a stream of lines that only this DID's devices may read.
    pub async fn lines_signed(
        &self,
        signer: Signer<'_>,
        target: &str,
        more: Vec<(&'static str, String)>,
    ) -> Result<Lines, ClientError> {
        let mut headers = self.signed_headers(signer, Method::Get, target, &[])?;
        headers.extend(more);
        self.net.lines_with(target, headers).await
    }

    /// As [`Session::lines_signed`], for a question that is posted.
    pub(crate) async fn lines_posted(
        &self,
        signer: Signer<'_>,
        target: &str,
        body: &[u8],
    ) -> Result<Lines, ClientError> {
        let headers = self.signed_headers(signer, Method::Post, target, body)?;
        self.net.lines_posted(target, body.to_vec(), headers).await
    }

    /// Signs and sends, to whoever keeps what it is about; again, once, where the server just started and takes nothing that was signed before.
    async fn send_signed(
        &self,
        signer: Signer<'_>,
        method: Method,
        target: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, ClientError> {
        if let (Some(host), Method::Get) = (self.host_for(target), method) {
            return host.ask(target, None).await;
        }
        match self.send_to_keeper(signer, method, target, body).await {
            Some(answer) => answer,
            None => self.sign_and_send(signer, method, target, body).await,
        }
    }

    /// Signs and sends to this session's own server.
    pub(crate) async fn sign_and_send(
        &self,
        signer: Signer<'_>,
        method: Method,
        target: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, ClientError> {
        let headers = || self.signed_headers(signer, method, target, body);
        match self.net.signed(method, target, body, headers).await {
            Err(ClientError::Refused(problem)) if problem.code == "request_time" => {
                tokio::time::sleep(NEXT_SECOND).await;
                self.net.signed(method, target, body, headers).await
            }
            answer => answer,
        }
    }

    fn signed_headers(
        &self,
        signer: Signer<'_>,
        method: Method,
        target: &str,
        body: &[u8],
    ) -> Result<Headers, ClientError> {
        let origin = self.trust().origin();
        let request = Request { origin, did: &signer.did, method: method.as_str(), target, body };
        let now_s = clock::now().as_ms() / 1_000;
        let signed = Authorization::sign(&request, &signer.keys.sign, now_s, &mut rng::system());
        let signed = signed.map_err(|error| ClientError::Unable(error.to_string()))?;
        Ok(vec![("authorization", signed.to_string()), (DID_HEADER, signer.did.to_string())])
    }
}
