//! hickory's own server with a zone in its memory, over TLS and HTTPS.
//!
//! `hickory-peer ZONE ADDRESSES CERTIFICATE KEY DOT DOH`: the zone's name, a file with a name relative to it and an IPv4 address a line, the
//! certificate and its key in PEM, and where it listens. It logs nothing, and has as many threads as `TOKIO_WORKER_THREADS` says.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use hickory_server::Server;
use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::proto::rr::rdata::SOA;
use hickory_server::proto::rr::{LowerName, Name, RData, Record};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ResolvesServerCert;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::net::TcpListener;

/// As dgnsd has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TTL_S: u32 = 60;
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [zone, addresses, certificate, key, dot, doh] =
        arguments.try_into().expect("ZONE ADDRESSES CERTIFICATE KEY DOT DOH");
    let origin = Name::from_ascii(format!("{zone}.")).expect("a name");
    let mut catalog = Catalog::new();
    catalog.upsert(LowerName::from(&origin), vec![Arc::new(zone_of(&origin, &addresses))]);
    let mut server = Server::new(catalog);
    let [dot, doh] = [listener(&dot).await, listener(&doh).await];
    let known = known_by(&certificate, &key);
    server.register_tls_listener(dot, PATIENCE, known.clone()).expect("TLS");
    server.register_https_listener(doh, PATIENCE, known, None, "/dns-query".to_owned()).expect("HTTPS");
    server.block_until_done().await.expect("it serves until it is killed");
}

/// Returns the zone: its SOA, and the addresses.
fn zone_of(origin: &Name, addresses: &str) -> InMemoryZoneHandler<TokioRuntimeProvider> {
    let mut zone = InMemoryZoneHandler::empty(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny, None);
    let soa = SOA::new(origin.clone(), origin.clone(), 1, 3_600, 600, 86_400, 5);
    zone.upsert_mut(Record::from_rdata(origin.clone(), 5, RData::SOA(soa)), 1);
    for line in std::fs::read_to_string(addresses).expect("a file").lines() {
        let (label, address) = line.split_once(' ').expect("a name and an address");
        let owner = Name::from_ascii(label).and_then(|name| name.append_domain(origin)).expect("a name");
        let address: Ipv4Addr = address.parse().expect("an address");
        assert!(zone.upsert_mut(Record::from_rdata(owner, TTL_S, RData::A(address.into())), 1), "{line}");
    }
    zone
}

async fn listener(address: &str) -> TcpListener {
    TcpListener::bind(address).await.expect("the port is free")
}

fn known_by(certificate: &str, key: &str) -> Arc<dyn ResolvesServerCert> {
    let chain = CertificateDer::pem_file_iter(certificate).expect("a file").map(|part| part.expect("a certificate"));
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    let key = CertifiedKey::from_der(chain.collect(), key, &default_provider()).expect("they belong together");
    Arc::new(SingleCertAndKey::from(key))
}
