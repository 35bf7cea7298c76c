//! The recovery role of a server of names: one recovery server more, by the log's own operator.
//!
//! It reads the log as every other does, over HTTP, and goes by the same gate: what it would answer otherwise it does not answer
//! because it is at hand. It is one server with one key, so one share of a set, and a set needs two at least.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use translog::trust::{Trust, TrustError};

use super::{Desk, EvidenceIssuer, ReadLogConfig, RecoveryConfig, RecoveryServerError, open};
use crate::config::Config;
use crate::core::Core;
use crate::outbound::Outbound;

/// How old a head of the server's own may be beyond the time in which it makes one anyway, seconds.
const HEAD_AGE_S: u64 = 30;

/// Opens the desk of a server whose HTTP is bound at `http`.
pub async fn of_server(config: &Config, core: &Core, http: SocketAddr) -> Result<Arc<Desk>, RecoveryServerError> {
    let unusable =
        |error: TrustError| RecoveryServerError::Policy { path: "[witnesses]".into(), what: error.to_string() };
    let head_age_s = config.log.epoch_idle_s.saturating_add(HEAD_AGE_S);
    let trust = Trust::new(core.origin.clone(), vec![core.vkey.clone()]).map_err(unusable)?;
    let trust = trust.with_policy(config.witnesses.policy.clone()).with_head_age_s_max(head_age_s);
    let issuers = config.signin.issuers.iter();
    let issuers =
        issuers.map(|issuer| EvidenceIssuer { issuer: issuer.issuer.clone(), audience: issuer.client_id.clone() });
    let policy = std::path::PathBuf::new();
    let own = RecoveryConfig {
        data: config.data.clone(),
        key: config.data.join("keys").join("recovery.key"),
        operator: config.recovery.operator.clone(),
        domain: config.zone.as_str().to_owned(),
        http: config.http.clone(),
        log: ReadLogConfig { url: format!("http://{}", at_home(http)), policy, head_age_s },
        issuers: issuers.collect(),
        passkeys: config.signin.passkeys.then(|| config.signin.public_url.clone()),
        outbound: config.outbound.clone(),
    };
    // The address is this very server's: nothing leaves the machine.
    open(&own, (trust, Outbound::new(true)), core.clock.clone()).await
}

/// Returns where this machine reaches an address that it listens on.
fn at_home(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_reads_its_own_log_wherever_it_listens() {
        for (bound, reached) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("127.0.0.2:80", "127.0.0.2:80"),
        ] {
            assert_eq!(at_home(bound.parse().unwrap()), reached.parse().unwrap());
        }
    }
}
