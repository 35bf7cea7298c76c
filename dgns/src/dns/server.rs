//! The sockets: bound together, served together, stopped together.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{SetOnce, mpsc, watch};
use tokio::task::JoinSet;

use super::answer::Transport;
use super::metrics::Metrics;
use super::proofs::{self, Asked, Proofs};
use super::quic;
use super::settings::{Manner, ServerSettings};
use super::stream::{self, Door, Streams};
use super::tls::Tls;
use super::transfer::Transfers;
use super::udp;
use super::update::Updates;
use super::zone::Zone;
use crate::clock::Clock;
use crate::shutdown;

/// How often another free port is tried when UDP got one that TCP cannot have.
const PORT_TRIES_MAX: usize = 16;

/// The bound sockets of a zone, not yet served.
pub struct Server {
    zone: Arc<Zone>,
    metrics: Arc<Metrics>,
    settings: ServerSettings,
    manner: Manner,
    sockets: Vec<(Vec<UdpSocket>, TcpListener)>,
    encrypted: Vec<(Door, TcpListener)>,
    quic: Vec<quic::Listener>,
    tls: Option<Arc<Tls>>,
}

/// Who answers what the zone alone does not.
#[derive(Clone)]
pub struct Makers {
    /// Makes proofs.
    pub proofs: Option<Arc<Proofs>>,
    /// Makes updates.
    pub updates: Option<Arc<Updates>>,
    /// Gives copies of the zone, if only to nobody.
    pub transfers: Arc<Transfers>,
}

impl Makers {
    /// Returns nobody.
    pub fn none(clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self { proofs: None, updates: None, transfers: Arc::new(Transfers::to_nobody(clock, metrics)) }
    }
}

impl Server {
    /// Binds every address for UDP and TCP. Errors: those of the first address that cannot be bound.
    pub async fn bind(
        zone: Arc<Zone>,
        metrics: Arc<Metrics>,
        settings: ServerSettings,
        manner: Manner,
    ) -> io::Result<Self> {
        let mut sockets = Vec::with_capacity(settings.listen.len());
        for &address in &settings.listen {
            sockets.push(bind_both(address, settings.udp_threads.max(1)).await?);
        }
        Ok(Self { zone, metrics, settings, manner, sockets, encrypted: Vec::new(), quic: Vec::new(), tls: None })
    }

    /// Speaks TLS too, with this certificate, which is read again while the server runs.
    #[must_use]
    pub fn with_tls(self, tls: Arc<Tls>) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Binds an address for DNS over TLS, HTTPS or QUIC. Errors: it cannot be bound, or [`Self::with_tls`] was not said.
    pub async fn bind_encrypted(&mut self, over: Transport, address: SocketAddr) -> io::Result<()> {
        let tls = self.tls.clone().ok_or(io::ErrorKind::InvalidInput)?;
        let door = match over {
            Transport::Tls => Door::Tls(tls),
            Transport::Https => Door::Https(tls),
            Transport::Quic => {
                self.quic.push(quic::Listener::bind(address, &tls)?);
                return Ok(());
            }
            Transport::Udp | Transport::Tcp => return Err(io::ErrorKind::InvalidInput.into()),
        };
        self.encrypted.push((door, TcpListener::bind(address).await?));
        Ok(())
    }

    /// Returns the bound addresses where encrypted DNS is spoken, and how, QUIC last.
    pub fn encrypted_addresses(&self) -> io::Result<Vec<(Transport, SocketAddr)>> {
        let framed = self.encrypted.iter().map(|(door, listener)| Ok((door.transport(), listener.local_addr()?)));
        framed.chain(self.quic.iter().map(|listener| Ok((Transport::Quic, listener.local_addr()?)))).collect()
    }

    /// Returns the bound addresses for UDP and TCP, in the order of the settings.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.sockets.iter().map(|(_, streams)| streams.local_addr()).collect()
    }

    /// Serves until `stop` is true or its sender gone; returns once every query that was read has its answer. What takes `makers` is SERVFAIL while they
    /// are not set.
    pub async fn run(mut self, makers: Arc<SetOnce<Makers>>, mut stop: watch::Receiver<bool>) {
        let streams = Arc::new(Streams::new(&self.settings, self.manner.clone(), makers.clone()));
        let (mut workers, mut tasks) = (JoinSet::new(), JoinSet::new());
        let (queue, queued) = proofs::queue();
        let mut running = udp::Running::new(queue, makers.clone(), &self.manner);
        let (zone, metrics, manner, stopped) =
            (self.zone.clone(), self.metrics.clone(), self.manner.clone(), stop.clone());
        tasks.spawn(async move { prove(&makers, queued, zone, metrics, manner, stopped).await });
        for (datagrams, listener) in self.sockets {
            for socket in datagrams {
                let worker = running.worker(socket, self.zone.clone(), self.metrics.clone(), self.manner.clone());
                workers.spawn_blocking(move || worker.run());
            }
            self.encrypted.push((Door::Tcp, listener));
        }
        for (door, listener) in self.encrypted {
            let (zone, metrics) = (self.zone.clone(), self.metrics.clone());
            tasks.spawn(stream::accept(listener, door, streams.clone(), zone, metrics, stop.clone()));
        }
        for listener in self.quic {
            let (zone, metrics) = (self.zone.clone(), self.metrics.clone());
            tasks.spawn(listener.accept(streams.clone(), zone, metrics, stop.clone()));
        }
        if let Some(tls) = self.tls {
            tasks.spawn(tls.keep(self.metrics.clone(), stop.clone()));
        }
        shutdown::requested(&mut stop).await;
        drop(running);
        while workers.join_next().await.is_some() {}
        while tasks.join_next().await.is_some() {}
    }
}

/// Makes the proofs that datagrams ask for, and keeps the newest head shown, from the moment that somebody can.
async fn prove(
    makers: &SetOnce<Makers>,
    queued: mpsc::Receiver<Asked>,
    zone: Arc<Zone>,
    metrics: Arc<Metrics>,
    manner: Manner,
    mut stop: watch::Receiver<bool>,
) {
    let makers = tokio::select! {
        biased;
        () = shutdown::requested(&mut stop) => return,
        makers = makers.wait() => makers,
    };
    let Some(proofs) = &makers.proofs else { return };
    let shown = proofs.clone().show_checkpoint(zone.clone(), stop);
    tokio::join!(shown, proofs.clone().run(queued, zone, metrics, manner));
}

async fn bind_both(address: SocketAddr, udp_threads: usize) -> io::Result<(Vec<UdpSocket>, TcpListener)> {
    let mut tries = 0;
    loop {
        let datagrams = udp::bind(address, udp_threads)?;
        let bound = datagrams.first().map_or(Ok(address), UdpSocket::local_addr)?;
        match TcpListener::bind(bound).await {
            Ok(streams) => return Ok((datagrams, streams)),
            Err(_) if address.port() == 0 && tries < PORT_TRIES_MAX => tries += 1,
            Err(error) => return Err(error),
        }
    }
}
