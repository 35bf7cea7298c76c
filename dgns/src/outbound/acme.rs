//! Requests to an ACME authority, as the library makes them, within the bounds of all of ours.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{Request, Response};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};

use super::{Outbound, body, of_reqwest};

/// How long an authority may take for one answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// The longest answer of an authority: a chain of certificates.
const BODY_BYTES_MAX: usize = 256 << 10;

impl HttpClient for Outbound {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let outbound = self.clone();
        Box::pin(async move {
            let answer = tokio::time::timeout(DEADLINE, exchange(outbound, request)).await;
            answer.unwrap_or_else(|_| Err(other(super::OutboundError::Deadline)))
        })
    }
}

async fn exchange(outbound: Outbound, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
    let (head, content) = request.into_parts();
    let url = outbound.parse(&head.uri.to_string()).map_err(other)?;
    let content = match content.collect().await {
        Ok(content) => content.to_bytes(),
        Err(never) => match never {},
    };
    let request = outbound.client.request(head.method, url).headers(head.headers).body(content);
    let mut response = request.send().await.map_err(|error| other(of_reqwest(&error)))?;
    let content = body(&mut response, BODY_BYTES_MAX).await.map_err(other)?;
    let (parts, _) = Response::from(response).into_parts();
    Ok(BytesResponse { parts, body: Box::new(content) })
}

fn other(error: super::OutboundError) -> Error {
    Error::Other(Box::new(error))
}
