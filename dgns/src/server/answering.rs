//! DNS, which answers before the rest of a start is done: the names are there before the map is, and most who ask need no more.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{SetOnce, watch};
use tokio::task::JoinHandle;
use tracing::info;

use super::ServerError;
use crate::clock::Clock;
use crate::config::{Config, TlsConfig};
use crate::dns::acme;
use crate::dns::alias::Alias;
use crate::dns::answer::Transport;
use crate::dns::cookie::Cookies;
use crate::dns::settings::{Manner, ServerSettings};
use crate::dns::tls::Tls;
use crate::{dns, keys, rng};

/// Sockets that are served.
pub(super) struct Answering {
    pub(super) zone: Arc<dns::Zone>,
    pub(super) metrics: Arc<dns::Metrics>,
    /// Who answers what the zone alone does not; set when they are there.
    pub(super) makers: Arc<SetOnce<dns::Makers>>,
    /// Over UDP and TCP.
    pub(super) addresses: Vec<SocketAddr>,
    /// Over all else.
    pub(super) encrypted: Vec<(Transport, SocketAddr)>,
    pub(super) server: JoinHandle<()>,
    /// Who keeps the zone signed, and the addresses of its own name, if anybody here does.
    pub(super) keepers: Vec<JoinHandle<()>>,
}

impl Answering {
    /// Binds every address of `[dns]`, and answers from a zone that is ready until `stopping` says so, or nobody is left who could.
    pub(super) async fn begin(
        config: &Config,
        clock: &Clock,
        zone: Arc<dns::Zone>,
        stopping: &watch::Receiver<bool>,
    ) -> Result<Self, ServerError> {
        let (metrics, makers) = (Arc::new(dns::Metrics::default()), Arc::new(SetOnce::new()));
        let server = bind(config, clock, &zone, &metrics).await?;
        let addresses = server.addresses().unwrap_or_default();
        let encrypted = server.encrypted_addresses().unwrap_or_default();
        let is_signed_here = zone.signing().is_some() && !zone.is_copied();
        let signer = is_signed_here
            .then(|| tokio::spawn(dns::dnssec::keep(zone.clone(), config.dnssec_keys(), stopping.clone())));
        let alias = zone.alias().map(|alias| {
            let (target, resolvers) = (alias.name.clone(), config.dns.resolvers.clone());
            let (zone, clock, private) = (zone.clone(), clock.clone(), config.dns.private_addresses);
            let keeper = Alias::new(target, resolvers, private, zone, clock, metrics.clone());
            tokio::spawn(keeper.keep(stopping.clone()))
        });
        let server = tokio::spawn(server.run(makers.clone(), stopping.clone()));
        info!(names = zone.names(), ?addresses, "DNS answers");
        Ok(Self {
            zone,
            metrics,
            makers,
            addresses,
            encrypted,
            server,
            keepers: signer.into_iter().chain(alias).collect(),
        })
    }
}

async fn bind(
    config: &Config,
    clock: &Clock,
    zone: &Arc<dns::Zone>,
    metrics: &Arc<dns::Metrics>,
) -> Result<dns::Server, ServerError> {
    let mut settings = ServerSettings::on(config.dns.listen.clone());
    if config.dns.udp_threads > 0 {
        settings.udp_threads = config.dns.udp_threads;
    }
    let cookie_root = match config.dns_is_off() {
        true => rng::secret(),
        false => *keys::secret(&config.cookie_key(), "dns-cookie", &mut rng::system())?,
    };
    let manner = Manner {
        clock: clock.clone(),
        cookies: Cookies::new(cookie_root),
        nsid: config.dns.nsid.as_bytes().into(),
        answers_per_s: config.dns.answers_per_s,
        answers_exempt: config.dns.answers_exempt.clone(),
        place_key: rng::bytes(),
    };
    let address = config.dns.listen.first().copied().unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    let bound = dns::Server::bind(zone.clone(), metrics.clone(), settings, manner).await;
    let mut server = bound.map_err(|error| ServerError::Bind { address, error })?;
    match &config.dns.tls {
        Some(TlsConfig::Files(files)) => server = server.with_tls(Tls::open(files.clone())?),
        Some(TlsConfig::Acme(_)) => server = server.with_tls(Tls::open_later(acme::kept(&config.data))?),
        None => {}
    }
    let dot = config.dns.dot.iter().map(|&address| (Transport::Tls, address));
    let doh = config.dns.doh.iter().map(|&address| (Transport::Https, address));
    let doq = config.dns.doq.iter().map(|&address| (Transport::Quic, address));
    for (over, address) in dot.chain(doh).chain(doq) {
        server.bind_encrypted(over, address).await.map_err(|error| ServerError::Bind { address, error })?;
    }
    Ok(server)
}
