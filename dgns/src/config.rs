//! The configuration: every key with its default, read from TOML with all faults listed at once (docs/OPERATING.md).

mod read;
mod recovery;
mod section;
mod signin;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use identity::cert::Road;
use identity::name::Zone;
use storage::store::Home;
use translog::note::VerifierKey;
use translog::policy::Policy;

use crate::cidr::Cidr;
use crate::dns::acme::AcmeConfig;
use crate::dns::dnssec::{Algorithm, Keyring, Times};
use crate::dns::edge::PrimaryConfig;
use crate::dns::tls::TlsFiles;
use crate::dns::transfer::PeerConfig;
use crate::lobby::turn as relay;
use crate::recovery::RecoveryConfig;
pub use crate::witness::standalone::WitnessServerConfig;
pub use section::{ConfigFault, ConfigFaults};
pub use signin::{IssuerConfig, SigninConfig};

/// The documented default configuration, as `dgnsd config` prints it.
pub const DEFAULTS: &str = include_str!("config/defaults.toml");

/// The documented default configuration of a witness alone, as `dgnsd config --witness` prints it.
pub const WITNESS_DEFAULTS: &str = include_str!("config/witness.toml");

/// The documented configuration of a recovery server, as `dgnsd config --recovery` prints it.
pub const RECOVERY_DEFAULTS: &str = include_str!("config/recovery.toml");

/// What the server needs to know before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `data`: the directory of keys, database and tiles.
    pub data: PathBuf,
    /// `zone`: the DNS zone whose names this server gives out.
    pub zone: Zone,
    /// `[http]`.
    pub http: HttpConfig,
    /// `[dns]`.
    pub dns: DnsConfig,
    /// `[claims]`.
    pub claims: ClaimsConfig,
    /// `[log]`.
    pub log: LogConfig,
    /// `[limits]`.
    pub limits: LimitsConfig,
    /// `[follow]`.
    pub follow: FollowConfig,
    /// `[outbound]`.
    pub outbound: OutboundConfig,
    /// `[signin]`.
    pub signin: SigninConfig,
    /// `[witness]`: the logs this server cosigns, if any.
    pub witness: Option<WitnessConfig>,
    /// `[witnesses]`.
    pub witnesses: WitnessesConfig,
    /// `[aliases]`.
    pub aliases: AliasesConfig,
    /// `[tokens]`.
    pub tokens: TokensConfig,
    /// `[lobby]`.
    pub lobby: LobbyConfig,
    /// `[turn]`.
    pub turn: TurnConfig,
    /// `[recovery]`.
    pub recovery: RecoveryRoleConfig,
    /// `[push]`.
    pub push: PushConfig,
    /// `[nats]`.
    pub nats: NatsConfig,
    /// `[storage]`.
    pub storage: StorageConfig,
}

/// `[storage]`: databases of people, their logs and chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageConfig {
    /// `enabled`: whether this server keeps any.
    pub enabled: bool,
    /// `free_mib`: what an account may store that nobody gave more, MiB.
    pub free_mib: u64,
    /// `free_entries`: how many entries it may append.
    pub free_entries: u64,
    /// `free_days`: for how long such an account may store more, from its first use on, in days; 0: without an end.
    pub free_days: u64,
    /// `grace_days`: how long what an account stored can be read after that, in days of the server's running; then it is deleted.
    pub grace_days: u64,
    /// `chunk_grace_s`: how long a chunk stays that no entry names since somebody stored it or asked for it, and as long again once that is noted,
    /// in seconds.
    pub chunk_grace_s: u64,
    /// `pack_after_s`: how old entries are that leave the database for objects, in seconds; 0: none does.
    pub pack_after_s: u64,
    /// `anchor_s`: between two anchors, in seconds.
    pub anchor_s: u64,
    /// `watchers_max`: how many streams that tell of logs may be open.
    pub watchers_max: usize,
    /// `database`, `bucket`, `s3_url`, `s3_region`, `s3_credentials_file`: where rows and large chunks lie, if not in the data directory.
    pub home: Home,
    /// `homes`: the keys of the logs whose people may keep databases here that were made elsewhere.
    pub homes: Vec<VerifierKey>,
    /// `server_key`: the key that a follower signs with for databases that it shares with the server it follows.
    pub server_key: Option<PathBuf>,
}

/// `[recovery]`: whether this server keeps shares of people's keys beside the log: one share of a set, never as many as are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryRoleConfig {
    /// `enabled`: whether it does.
    pub enabled: bool,
    /// `operator`: who runs it, as people are told who enrol.
    pub operator: String,
}

impl Config {
    /// Returns where clients reach this node of the lobby.
    pub fn node_url(&self) -> &str {
        if self.lobby.url.is_empty() { &self.signin.public_url } else { &self.lobby.url }
    }
}

/// `[nats]`: the bus of a lobby that has several nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsConfig {
    /// `urls`: its servers; empty: this node is alone.
    pub urls: Vec<String>,
    /// `credentials_file`: what this node shows them, as `nsc` writes it.
    pub credentials_file: Option<PathBuf>,
}

/// `[push]`: how devices are reached that are not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushConfig {
    /// `subject`: where operators of push services find this server's, `mailto:` or `https:`; empty: where its pages are.
    pub subject: String,
    /// `allow`: `host:port` of push services beyond https at public addresses.
    pub allow: Vec<String>,
    /// `grace_s`: how long a device has to come by itself.
    pub grace_s: u64,
    /// `retry_s`: how long until the second try of a push; each further one waits twice as long.
    pub retry_s: u64,
}

/// `[turn]`: how ends of the lobby find a way to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnConfig {
    /// `listen`: UDP addresses that answer STUN; empty turns it off.
    pub listen: Vec<SocketAddr>,
    /// `stun`: the STUN URLs clients are told.
    pub stun: Vec<String>,
    /// `external`: the URLs of relays that share a secret with this server.
    pub external: Vec<String>,
    /// `secret_file`: a file whose first line is that secret.
    pub secret_file: PathBuf,
    /// The relay in this server: `public_ip` turns it on.
    pub relay: Option<relay::Settings>,
}

impl TurnConfig {
    /// Returns the STUN URLs clients are told: `stun`, or where the relay is.
    pub fn stun_urls(&self) -> Vec<String> {
        match self.stun.is_empty() {
            true => self.doors().map(|door| format!("stun:{door}")).collect(),
            false => self.stun.clone(),
        }
    }

    /// Returns the URLs of relays clients are told: the own one, then `external`.
    pub fn relay_urls(&self) -> Vec<String> {
        let own = self.doors().map(|door| format!("turn:{door}?transport=udp"));
        own.chain(self.external.iter().cloned()).collect()
    }

    /// Where the relay is asked: its public addresses, at the ports that listen.
    fn doors(&self) -> impl Iterator<Item = SocketAddr> {
        let public = self.relay.iter().flat_map(|relay| relay.public.iter());
        public.filter_map(|address| {
            let of_family = self.listen.iter().find(|listen| listen.is_ipv4() == address.is_ipv4());
            Some(SocketAddr::new(*address, of_family.or(self.listen.first())?.port()))
        })
    }
}

/// `[lobby]`: where private servers and their clients meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LobbyConfig {
    /// `enabled`: whether there is one.
    pub enabled: bool,
    /// `url`: where clients reach this node, without a final slash; empty: where pages are.
    pub url: String,
    /// `connections_max`: sockets open at once.
    pub connections_max: u32,
    /// `strangers_per_address`: sockets of one IPv4 address or /64 that said no hello; 0 = no limit.
    pub strangers_per_address: u32,
    /// `guests`: sessions of guests at once, whose keys are in no log; 0 = none.
    pub guests: u32,
    /// `new_per_s_and_address`: new sockets of one IPv4 address or /64 in a second; 0 = no limit.
    pub new_per_s_and_address: u32,
}

/// `[aliases]`: people found by their e-mail addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliasesConfig {
    /// `evaluate`: whether this server has an alias key, certified in the log, and evaluates blinded addresses by it.
    pub evaluate: bool,
}

/// `[http]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// `listen`: the address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// `connections_max`: connections open at once; more wait in the kernel's queue.
    pub connections_max: u64,
    /// `idle_s`: seconds a connection may stay without a whole request head.
    pub idle_s: u64,
    /// `request_s`: seconds a request may take to arrive and be answered.
    pub request_s: u64,
    /// `proxies`: the networks of proxies that say for whom they ask.
    pub proxies: Vec<Cidr>,
    /// `pages`: whether people get web pages here. A witness alone has none.
    pub pages: bool,
}

/// `[dns]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    /// `listen`: addresses, each over UDP and TCP; with no other address empty turns DNS off.
    pub listen: Vec<SocketAddr>,
    /// `dot`: addresses for DNS over TLS (RFC 7858), with the certificate of `tls`.
    pub dot: Vec<SocketAddr>,
    /// `doh`: addresses for DNS over HTTPS (RFC 8484), with the same certificate.
    pub doh: Vec<SocketAddr>,
    /// `doq`: addresses for DNS over QUIC (RFC 9250), by UDP, with the same certificate.
    pub doq: Vec<SocketAddr>,
    /// `tls`: the certificate of encrypted DNS; there if any address needs it.
    pub tls: Option<TlsConfig>,
    /// `ns`: the names of the zone's name servers; empty: `ns.<zone>`.
    pub ns: Vec<String>,
    /// `proof_ns`: the names of the servers of `_proof.<zone>`, which are dgnsd; empty: those of the zone.
    pub proof_ns: Vec<String>,
    /// `apex_file`: the operator's own records; absent: none.
    pub apex_file: Option<PathBuf>,
    /// `resolvers`: who is asked for the addresses of ALIAS; empty: those of the system.
    pub resolvers: Vec<SocketAddr>,
    /// `negative_ttl_s`: how long a resolver may remember that a name is absent; 1..=5.
    pub negative_ttl_s: u32,
    /// `private_addresses`: whether records may hold private, loopback and link-local addresses.
    pub private_addresses: bool,
    /// `publish_did`: whether each name gets its `_did` TXT record.
    pub publish_did: bool,
    /// `udp_threads`: threads that answer datagrams at each address; 0 = one for each processor.
    pub udp_threads: usize,
    /// `answers_per_s`: the answers a second that one network gets by UDP and without a cookie; 0 = any number.
    pub answers_per_s: u32,
    /// `answers_exempt`: networks that get any number.
    pub answers_exempt: Vec<Cidr>,
    /// `nsid`: how the server calls itself to who asks (RFC 5001); empty: it does not say.
    pub nsid: String,
    /// `cookie_key`: the file of the secret of DNS Cookies; empty: `keys/dns-cookie.key` in the data directory, made at the first start.
    pub cookie_key: PathBuf,
    /// `dnssec`: whether, and by whom, the zone is signed.
    pub dnssec: Dnssec,
    /// `dnssec_algorithm`: of the keys that the first start makes, and of all after them: 13 or 15.
    pub dnssec_algorithm: Algorithm,
    /// `dnssec_validity_s`, `dnssec_step_s`, `dnssec_parent_s` and `dnssec_zsk_days`.
    pub dnssec_times: Times,
    /// `acme_register`: who opens accounts of ACME clients that have a place of their own; absent: whoever asks if `http.listen` is
    /// loopback and the zone ends in `.test`, else devices.
    pub acme_register: Option<AcmeRegister>,
    /// `snapshot_s`: how often a snapshot of the zone is written; zero: never.
    pub snapshot: Duration,
    /// `catalog`: the name of the catalog zone (RFC 9432) that peers with a key copy, too; empty: there is none.
    pub catalog: String,
    /// `peer`: the servers that copy the zone.
    pub peers: Vec<PeerConfig>,
}

/// Whether, and by whom, the zone is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dnssec {
    /// By nobody.
    Off,
    /// By the keeper of the log. A follower's zone is not signed.
    Sign,
    /// At a follower: by the server that it follows, whose signatures are copied.
    Copy(Box<PrimaryConfig>),
}

/// `[dns.tls]`: where the certificate of encrypted DNS comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsConfig {
    /// Files of the operator.
    Files(TlsFiles),
    /// An ACME authority.
    Acme(AcmeConfig),
}

/// Who opens accounts of ACME clients that have a place of their own. For names of its DID each device may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcmeRegister {
    /// Nobody.
    Off,
    /// A device, by a signed request.
    Device,
    /// Whoever asks.
    Open,
}

/// `[claims]`: logged at first start as the zone's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimsConfig {
    /// `roads`: how a name may be come by.
    pub roads: Vec<Road>,
    /// `work_bits`: the proof of work of an open claim; the floor is logged, more may be asked later.
    pub work_bits: u8,
    /// `window_floor_s`: the least window of destructive acts.
    pub window_floor_s: u64,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `batch_gap_ms`: batches start at least this far apart.
    pub batch_gap_ms: u64,
    /// `epoch_idle_s`: an idle log makes an Epoch this often, so that its head stays fresh.
    pub epoch_idle_s: u64,
    /// `cache_mib`: memory for states and tiles read again.
    pub cache_mib: u64,
    /// `files`: the directory that is kept in step with the public head, for any file server; absent: none.
    pub files: Option<PathBuf>,
}

/// `[follow]`: another server's log, served instead of one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowConfig {
    /// `url`: the server to follow; absent: this server keeps a log of its own.
    pub url: Option<String>,
    /// `policy`: the trust policy its heads must meet; absent: the one that the log itself recommends, under the key pinned at
    /// the first start.
    pub policy: Option<PathBuf>,
    /// `max_stale_s`: seconds for which the state verified before a fault is served.
    pub max_stale_s: u64,
}

/// `[limits]`: admission, not judged by auditors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// `certificates_per_hour` of one DID.
    pub certificates_per_hour: u32,
    /// `certificates_per_day` of one DID.
    pub certificates_per_day: u32,
    /// `records_per_hour` of one DID.
    pub records_per_hour: u32,
    /// `claims_per_hour_and_address`: claims from one IPv4 address or /64; 0 = no limit.
    pub claims_per_hour_and_address: u32,
    /// `token_leases_per_hour`: leases and exchanges of tokens of one DID; 0 = no limit.
    pub token_leases_per_hour: u32,
    /// `signin_starts_per_hour_and_address`: sign-ins begun from one IPv4 address or /64; 0 = no limit.
    pub signin_starts_per_hour_and_address: u32,
    /// `passkeys_per_person`: passkeys that lead to one DID; 0 = no limit.
    pub passkeys_per_person: u32,
    /// `notices_per_day`: Notices taken on evidence that others bring; 0 = none.
    pub notices_per_day: u32,
    /// `pair_posts_per_hour_and_address`: messages to the pairing relay from one IPv4 address or /64; 0 = no limit.
    pub pair_posts_per_hour_and_address: u32,
    /// `pair_rings_per_hour`: how often new devices may ask for one DID; 0 = no limit.
    pub pair_rings_per_hour: u32,
    /// `envelopes_per_hour_and_address`: sealed mail from one IPv4 address or /64; 0 = no limit.
    pub envelopes_per_hour_and_address: u32,
    /// `evaluations_per_hour_and_address`: addresses looked for from one IPv4 address or /64; 0 = no limit.
    pub evaluations_per_hour_and_address: u32,
    /// `evaluations_per_hour_and_did`: the same where a DID's device signed the request; 0 = no limit.
    pub evaluations_per_hour_and_did: u32,
    /// `personal_streams_max`: streams of personal events open at once.
    pub personal_streams_max: u32,
}

/// `[tokens]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokensConfig {
    /// `life_s`: the life of a token whose audience never said another, 60..=86,400.
    pub life_s: u64,
    /// `idle_days`: a family that is not refreshed for so long ends.
    pub idle_days: u64,
    /// `families_max`: families of one DID that live at once.
    pub families_max: u64,
}

/// `[outbound]`: what the server asks of other servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundConfig {
    /// `plain_http`: whether http without TLS goes beyond loopback.
    pub plain_http: bool,
}

/// `[witness]`: whose checkpoints are cosigned, under which names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessConfig {
    /// `logs`: the policy file whose `log` lines count.
    pub logs: PathBuf,
    /// `name`: the name of the witness's key.
    pub name: String,
    /// `verifier`: whether a verifying witness stands beside it.
    pub verifier: bool,
    /// `verifier_name`: the name of the verifier's key.
    pub verifier_name: String,
}

impl WitnessServerConfig {
    /// Reads the configuration of a witness alone; keys left out keep their defaults.
    ///
    /// Errors: as [`Config::from_toml`].
    pub fn from_toml(text: &str) -> Result<Self, ConfigFaults> {
        read::witness_config(text)
    }
}

impl RecoveryConfig {
    /// Reads the configuration of a recovery server; keys left out keep their defaults.
    ///
    /// Errors: as [`Config::from_toml`].
    pub fn from_toml(text: &str) -> Result<Self, ConfigFaults> {
        recovery::config(text)
    }
}

/// `[witnesses]`: who cosigns this log's heads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessesConfig {
    /// `policy`: the witnesses with their URLs, and the quorum without which no head is public; none if no file is named.
    pub policy: Policy,
    /// `announce_ms`: heads are announced to the witnesses at most this often.
    pub announce_ms: u64,
}

impl Config {
    /// Returns the built-in defaults: a complete server on loopback.
    pub fn defaults() -> Self {
        Self::from_toml(DEFAULTS).expect("a test holds the built-in defaults to the reader")
    }

    /// Reads a configuration; keys left out keep their defaults.
    ///
    /// Errors: every fault of the text at once, unknown keys included, each with the key it is about.
    pub fn from_toml(text: &str) -> Result<Self, ConfigFaults> {
        read::config(text)
    }

    /// As [`Config::from_toml`], for those who have no policy yet: the file that it names is not looked for.
    pub fn from_toml_without_policy(text: &str) -> Result<Self, ConfigFaults> {
        read::config_without_policy(text)
    }

    /// Returns whether DNS is off: nobody is answered anywhere.
    pub fn dns_is_off(&self) -> bool {
        [&self.dns.listen, &self.dns.dot, &self.dns.doh, &self.dns.doq].iter().all(|addresses| addresses.is_empty())
    }

    /// Returns who opens accounts of ACME clients.
    pub fn acme_register(&self) -> AcmeRegister {
        // A server behind a proxy listens on loopback, too: its zone is one that the world knows.
        let is_local = self.http.listen.ip().is_loopback() && self.zone.as_str().ends_with(".test");
        self.dns.acme_register.unwrap_or(if is_local { AcmeRegister::Open } else { AcmeRegister::Device })
    }

    /// Returns the file of the secret of DNS Cookies.
    pub fn cookie_key(&self) -> PathBuf {
        match self.dns.cookie_key.as_os_str().is_empty() {
            true => self.data.join("keys").join("dns-cookie.key"),
            false => self.dns.cookie_key.clone(),
        }
    }

    /// Returns from where the signatures of the zone are copied, if they are.
    pub fn primary(&self) -> Option<&PrimaryConfig> {
        match &self.dns.dnssec {
            Dnssec::Copy(primary) if !self.dns_is_off() => Some(primary),
            _ => None,
        }
    }

    /// Returns the file of the DNSSEC keys.
    pub fn dnssec_keys(&self) -> PathBuf {
        self.data.join("keys").join(Keyring::FILE)
    }

    /// Returns the names of the zone's name servers.
    pub fn name_servers(&self) -> Vec<String> {
        match self.dns.ns.is_empty() {
            true => vec![format!("ns.{}", self.zone.as_str())],
            false => self.dns.ns.clone(),
        }
    }

    /// Returns the roads as the logged mask: bit `road - 1`.
    pub fn road_mask(&self) -> u8 {
        self.claims.roads.iter().fold(0, |mask, road| mask | 1 << (*road as u8 - 1))
    }
}

#[cfg(test)]
mod tests;
