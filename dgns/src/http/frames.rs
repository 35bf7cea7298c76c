//! Answers that go on: one frame after another, each made when the one before was taken, so that a slow reader costs its own time.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use dgns_api::path;
use hyper::body::Frame;

use super::reply::fresh;

/// Silence after which a stream sends a line that says nothing, so that both ends notice when the other is gone.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);

/// What comes next, and who makes the one after it; `None` ends the answer.
pub(super) type Next<F> = Pin<Box<dyn Future<Output = Option<(F, Bytes)>> + Send>>;

/// Somebody who makes frames.
pub(super) trait Frames: Sized + Send + 'static {
    /// Waits for the next frame.
    fn next(self) -> Next<Self>;
}

/// Returns an answer in the form of server-sent events.
pub(super) fn event_stream(frames: impl Frames) -> Response {
    let mut response = going(path::EVENT_STREAM, frames);
    // A proxy that buffers would keep the news.
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// Returns an answer whose body comes later: its head is sent at once, so that the time a request may take is not counted.
pub(super) fn later(content_type: &'static str, bytes: impl Future<Output = Bytes> + Send + 'static) -> Response {
    going(content_type, Once(Some(Box::pin(bytes))))
}

fn going(content_type: &'static str, frames: impl Frames) -> Response {
    let mut response = fresh(content_type, Bytes::new());
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = Body::new(Going { next: frames.next() });
    response
}

/// One frame.
struct Once(Option<Pin<Box<dyn Future<Output = Bytes> + Send>>>);

impl Frames for Once {
    fn next(self) -> Next<Self> {
        Box::pin(async move { Some((Self(None), self.0?.await)) })
    }
}

struct Going<F> {
    next: Next<F>,
}

impl<F: Frames> hyper::body::Body for Going<F> {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match ready!(self.next.as_mut().poll(context)) {
            None => {
                self.next = Box::pin(std::future::ready(None));
                Poll::Ready(None)
            }
            Some((frames, bytes)) => {
                self.next = frames.next();
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
        }
    }
}
