//! The sockets: bound together, served together, stopped together.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::metrics::Metrics;
use super::settings::ServerSettings;
use super::stream::{self, Streams};
use super::udp;
use super::zone::Zone;

/// How often another free port is tried when UDP got one that TCP cannot have.
const PORT_TRIES_MAX: usize = 16;

/// The bound sockets of a zone, not yet served.
pub struct Server {
    zone: Arc<Zone>,
    metrics: Arc<Metrics>,
    settings: ServerSettings,
    sockets: Vec<(Arc<UdpSocket>, TcpListener)>,
}

impl Server {
    /// Binds every address for UDP and TCP. Errors: those of the first address that cannot be bound.
    pub async fn bind(zone: Arc<Zone>, metrics: Arc<Metrics>, settings: ServerSettings) -> io::Result<Self> {
        let mut sockets = Vec::with_capacity(settings.listen.len());
        for &address in &settings.listen {
            let (datagrams, streams) = bind_both(address).await?;
            sockets.push((Arc::new(datagrams), streams));
        }
        Ok(Self { zone, metrics, settings, sockets })
    }

    /// Returns the bound addresses, in the order of the settings.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.sockets.iter().map(|(_, streams)| streams.local_addr()).collect()
    }

    /// Serves until `stop` is true or its sender gone; returns once every query that was read has its answer.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let streams = Arc::new(Streams::new(&self.settings));
        let mut tasks = JoinSet::new();
        for (datagrams, listener) in self.sockets {
            for _ in 0..self.settings.udp_tasks.max(1) {
                let (zone, metrics) = (self.zone.clone(), self.metrics.clone());
                tasks.spawn(udp::serve(datagrams.clone(), zone, metrics, stop.clone()));
            }
            let (zone, metrics) = (self.zone.clone(), self.metrics.clone());
            tasks.spawn(stream::accept(listener, streams.clone(), zone, metrics, stop.clone()));
        }
        while tasks.join_next().await.is_some() {}
    }
}

async fn bind_both(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut tries = 0;
    loop {
        let datagrams = UdpSocket::bind(address).await?;
        match TcpListener::bind(datagrams.local_addr()?).await {
            Ok(streams) => return Ok((datagrams, streams)),
            Err(_) if address.port() == 0 && tries < PORT_TRIES_MAX => tries += 1,
            Err(error) => return Err(error),
        }
    }
}
