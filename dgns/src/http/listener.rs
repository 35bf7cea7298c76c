//! Accepts connections and bounds them: how many, how long one may sit without a whole request head, how they end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower_service::Service as _;
use tracing::{debug, warn};

use super::forwarded;
use crate::cidr::Cidr;
use crate::config::HttpConfig;
use crate::metrics::Metrics;
use crate::shutdown;

/// How long open requests may go on after a shutdown began.
const DRAIN: Duration = Duration::from_secs(5);

/// Connections that the kernel keeps until they are accepted. Its own default of 128 is less than one burst of clients, and whoever
/// is turned away waits a second before trying again.
const BACKLOG: u32 = 4_096;

/// Returns a listener at `address`; port 0 takes a free one.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves `router` on `listener` until `stop` turns true, then lets open requests end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: HttpConfig,
    metrics: Arc<Metrics>,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(usize::try_from(config.connections_max).unwrap_or(usize::MAX >> 4)));
    let graceful = GracefulShutdown::new();
    let builder = builder(&config);
    let proxies: Arc<[Cidr]> = config.proxies.into();
    loop {
        let place = places.clone().acquire_owned();
        let (stream, from, place) = tokio::select! {
            biased;
            () = shutdown::requested(&mut stop) => break,
            (accepted, place) = async { let place = place.await; (listener.accept().await, place) } => match (accepted, place) {
                (Ok((stream, from)), Ok(place)) => (stream, from, place),
                (Err(error), _) => {
                    // Out of descriptors, or a connection that died in the queue: go on after a breath.
                    warn!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
                (_, Err(_)) => break,
            },
        };
        let _ = stream.set_nodelay(true);
        let spoke = Arc::new(AtomicBool::new(false));
        let asked = (from, proxies.clone());
        let connection = graceful.watch(connection(&builder, stream, asked, router.clone(), spoke.clone()));
        let metrics = metrics.clone();
        let idle = Duration::from_secs(config.idle_s);
        tokio::spawn(async move {
            metrics.connection_opened();
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    debug!(%error, "connection ended");
                },
                () = silence(idle, &spoke) => debug!("connection closed: no request came"),
            }
            metrics.connection_closed();
            drop(place);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
}

/// Ends once a connection has been open for `idle` without one request; never, if there was one.
///
/// Before its first bytes a connection is neither HTTP/1 nor HTTP/2, so the timers of neither watch it.
async fn silence(idle: Duration, spoke: &AtomicBool) {
    tokio::time::sleep(idle).await;
    if spoke.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}

fn builder(config: &HttpConfig) -> Builder<TokioExecutor> {
    let idle = Duration::from_secs(config.idle_s);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(idle).max_buf_size(32 * 1024).keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(idle))
        .keep_alive_timeout(idle)
        .max_concurrent_streams(128)
        .max_header_list_size(16 * 1024);
    builder
}

fn connection(
    builder: &Builder<TokioExecutor>,
    stream: TcpStream,
    (peer, proxies): (SocketAddr, Arc<[Cidr]>),
    router: Router,
    spoke: Arc<AtomicBool>,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = Box<dyn std::error::Error + Send + Sync>> + Send + 'static
{
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        spoke.store(true, Ordering::Relaxed);
        let from = forwarded::client(peer, request.headers(), &proxies);
        request.extensions_mut().insert(ConnectInfo(from));
        router.clone().call(request)
    });
    builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned()
}
