//! Reads a configuration out of TOML.

use std::path::PathBuf;
use std::time::Duration;

use identity::cert::Road;
use identity::limits::{TOKEN_LIFE_DEFAULT_S, TOKEN_LIFE_MAX_S, TOKEN_LIFE_MIN_S};
use identity::name::{Origin, Zone, is_the_operators};
use storage::store::{BucketAt, DatabaseUrl, Home};
use toml::{Table, Value};
use translog::note::{Signed, VerifierKey};
use translog::policy::Policy;
use translog::trust::Trust;

use super::section::{ConfigFault, ConfigFaults, Section};
use super::{
    AcmeRegister, AliasesConfig, ClaimsConfig, Config, DnsConfig, Dnssec, FollowConfig, HttpConfig, LimitsConfig,
    LobbyConfig, LogConfig, NatsConfig, OutboundConfig, PushConfig, StorageConfig, TurnConfig,
};
use super::{TlsConfig, TokensConfig, WitnessConfig, WitnessServerConfig, WitnessesConfig};
use crate::cidr::Cidr;
use crate::dns::acme::AcmeConfig;
use crate::dns::dnssec::trust::ds_of_text;
use crate::dns::dnssec::{Algorithm, Times};
use crate::dns::edge::PrimaryConfig;
use crate::dns::limits::{NSID_BYTES_MAX, ORDER_NAMES_MAX, PEERS_MAX, RESOLVERS_MAX};
use crate::dns::tls::TlsFiles;
use crate::dns::tls::client::server_name;
use crate::dns::transfer::{Catalog, PeerConfig};
use crate::lobby::turn as relay;
use crate::outbound::Outbound;

/// Reads the whole configuration.
pub(super) fn config(text: &str) -> Result<Config, ConfigFaults> {
    config_of(parse(text)?)
}

/// Reads the whole configuration but for the policy file it names.
pub(super) fn config_without_policy(text: &str) -> Result<Config, ConfigFaults> {
    let mut root = parse(text)?;
    if let Some(Value::Table(table)) = root.get_mut("witnesses") {
        table.remove("policy");
    }
    config_of(root)
}

fn config_of(root: Table) -> Result<Config, ConfigFaults> {
    let mut faults = Vec::new();
    let mut root = Section { name: "", table: root, faults: &mut faults };
    let data = root.text("data", "./dgns-data");
    let zone = root.text("zone", "dgns.test");
    let (http, dns) = (root.table("http"), root.table("dns"));
    let (claims, log, limits) = (root.table("claims"), root.table("log"), root.table("limits"));
    let (outbound, witness) = (root.table("outbound"), root.table("witness"));
    let (witnesses, follow) = (root.table("witnesses"), root.table("follow"));
    let (aliases, tokens, signin) = (root.table("aliases"), root.table("tokens"), root.table("signin"));
    let (lobby, turn, recovery) = (root.table("lobby"), root.table("turn"), root.table("recovery"));
    let (push, nats, storage) = (root.table("push"), root.table("nats"), root.table("storage"));
    root.end();
    let zone = Zone::parse(&zone).map_err(|error| {
        faults.push(ConfigFault { key: "zone".into(), what: format!("{zone:?} is no zone: {error}") });
    });
    let http = read_http(Section { name: "http", table: http, faults: &mut faults }, "127.0.0.1:5380", true);
    let mut dns = read_dns(Section { name: "dns", table: dns, faults: &mut faults });
    let claims = read_claims(Section { name: "claims", table: claims, faults: &mut faults });
    let log = read_log(Section { name: "log", table: log, faults: &mut faults });
    let limits = read_limits(Section { name: "limits", table: limits, faults: &mut faults });
    let outbound = read_outbound(Section { name: "outbound", table: outbound, faults: &mut faults });
    let known = zone.as_ref().map_or("", Zone::as_str);
    let witness = read_witness(Section { name: "witness", table: witness, faults: &mut faults }, known);
    let plain_http = outbound.plain_http;
    let signin = Section { name: "signin", table: signin, faults: &mut faults };
    let signin = super::signin::read(signin, http.listen, plain_http);
    let witnesses = read_witnesses(Section { name: "witnesses", table: witnesses, faults: &mut faults }, plain_http);
    let follow = read_follow(Section { name: "follow", table: follow, faults: &mut faults });
    let aliases = read_aliases(Section { name: "aliases", table: aliases, faults: &mut faults });
    let tokens = read_tokens(Section { name: "tokens", table: tokens, faults: &mut faults });
    let lobby = read_lobby(Section { name: "lobby", table: lobby, faults: &mut faults });
    let turn = read_turn(Section { name: "turn", table: turn, faults: &mut faults });
    let push = read_push(Section { name: "push", table: push, faults: &mut faults });
    let nats = read_nats(Section { name: "nats", table: nats, faults: &mut faults });
    let storage = read_storage(Section { name: "storage", table: storage, faults: &mut faults });
    let mut recovery = Section { name: "recovery", table: recovery, faults: &mut faults };
    if follow.url.is_some() && recovery.table.contains_key("enabled") {
        recovery.fault("enabled", "stands beside follow.url: a follower keeps no shares; run dgnsd recovery beside it");
    }
    let recovery = super::recovery::role(recovery);
    if let Ok(zone) = &zone {
        check_servers(&dns, zone, &mut faults);
    }
    if let (Some(TlsConfig::Acme(acme)), Ok(zone)) = (&mut dns.tls, &zone) {
        let (mut tls, ns) = (Section { name: "dns.tls", table: Table::new(), faults: &mut faults }, &dns.ns);
        settle_names(acme, ns, zone, &mut tls);
        if let Err(error) = Outbound::new(plain_http).check(&acme.directory) {
            tls.fault("acme", format!("{}: {error}", acme.directory));
        }
        if follow.url.is_some() {
            tls.fault(
                "acme",
                "stands beside follow.url: authorities ask the server that is followed; name certificate and key",
            );
        }
    }
    let is_within = |zone: &Zone| dns.catalog == zone.as_str() || dns.catalog.ends_with(&format!(".{zone}"));
    if zone.as_ref().is_ok_and(is_within) {
        faults.push(ConfigFault { key: "dns.catalog".into(), what: "is a zone beside the zone, not in it".into() });
    }
    match zone {
        Ok(zone) if faults.is_empty() => {
            let data = PathBuf::from(data);
            Ok(Config {
                data,
                zone,
                http,
                dns,
                claims,
                log,
                limits,
                outbound,
                signin,
                witness,
                witnesses,
                follow,
                aliases,
                tokens,
                lobby,
                turn,
                recovery,
                push,
                nats,
                storage,
            })
        }
        _ => Err(ConfigFaults(faults)),
    }
}

/// Reads the whole configuration of a witness alone.
pub(super) fn witness_config(text: &str) -> Result<WitnessServerConfig, ConfigFaults> {
    let root = parse(text)?;
    let mut faults = Vec::new();
    let mut root = Section { name: "", table: root, faults: &mut faults };
    let data = PathBuf::from(root.text("data", "./dgns-witness"));
    let (http, witness, outbound) = (root.table("http"), root.table("witness"), root.table("outbound"));
    root.end();
    let http = read_http(Section { name: "http", table: http, faults: &mut faults }, "127.0.0.1:5390", false);
    let outbound = read_outbound(Section { name: "outbound", table: outbound, faults: &mut faults });
    let witness = read_witness(Section { name: "witness", table: witness, faults: &mut faults }, "witness.test");
    match witness {
        Some(witness) if faults.is_empty() => Ok(WitnessServerConfig { data, http, witness, outbound }),
        Some(_) => Err(ConfigFaults(faults)),
        None => {
            let what = "is empty, should be a file with a line `log <vkey> [url]` for each log".to_owned();
            faults.push(ConfigFault { key: "witness.logs".into(), what });
            Err(ConfigFaults(faults))
        }
    }
}

pub(super) fn parse(text: &str) -> Result<Table, ConfigFaults> {
    text.parse::<Table>().map_err(|error| {
        let what = format!("not TOML: {}", error.to_string().trim_end());
        ConfigFaults(vec![ConfigFault { key: String::new(), what }])
    })
}

/// Reads `[http]`; who `has_pages` may turn them off.
pub(super) fn read_http(mut section: Section<'_>, default: &str, has_pages: bool) -> HttpConfig {
    let listen = section.text("listen", default);
    let proxies = section.texts("proxies", &[]);
    let http = HttpConfig {
        listen: section.address("listen", &listen),
        connections_max: section.number("connections_max", 20_000, 1, 1_000_000),
        idle_s: section.number("idle_s", 30, 1, 3_600),
        request_s: section.number("request_s", 15, 1, 600),
        proxies: proxies.iter().filter_map(|text| Cidr::parse(text)).collect(),
        pages: has_pages && section.truth("pages", true),
    };
    if http.proxies.len() != proxies.len() {
        section.fault("proxies", "are networks such as \"127.0.0.1/32\" or \"2001:db8::/64\"");
    }
    section.end();
    http
}

fn read_dns(mut section: Section<'_>) -> DnsConfig {
    let listen = section.texts("listen", &["127.0.0.1:5300"]);
    let algorithm = section.number("dnssec_algorithm", 13, 0, 255);
    let [dot, doh, doq, resolvers] = ["dot", "doh", "doq", "resolvers"].map(|key| section.texts(key, &[]));
    let dns = DnsConfig {
        listen: listen.iter().map(|text| section.address("listen", text)).collect(),
        dot: dot.iter().map(|text| section.address("dot", text)).collect(),
        doh: doh.iter().map(|text| section.address("doh", text)).collect(),
        doq: doq.iter().map(|text| section.address("doq", text)).collect(),
        tls: read_tls(&mut section, [&dot, &doh, &doq].iter().any(|addresses| !addresses.is_empty())),
        ns: section.texts("ns", &[]),
        proof_ns: section.texts("proof_ns", &[]),
        apex_file: file_of(&mut section, "apex_file"),
        resolvers: resolvers.iter().map(|text| section.address("resolvers", text)).collect(),
        negative_ttl_s: section.number("negative_ttl_s", 5, 1, 5) as u32,
        private_addresses: section.truth("private_addresses", true),
        publish_did: section.truth("publish_did", true),
        udp_threads: section.number("udp_threads", 0, 0, 256) as usize,
        answers_per_s: section.number("answers_per_s", 200, 0, 1_000_000) as u32,
        answers_exempt: read_exempt(&mut section),
        nsid: section.text("nsid", ""),
        cookie_key: section.text("cookie_key", "").into(),
        dnssec: read_dnssec(&mut section),
        dnssec_algorithm: Algorithm::of_number(algorithm).unwrap_or(Algorithm::EcdsaP256),
        dnssec_times: Times {
            validity_s: section.number("dnssec_validity_s", 1_209_600, 60, 7_776_000) as u32,
            step_s: section.number("dnssec_step_s", 7_200, 2, 2_592_000) as u32,
            parent_s: section.number("dnssec_parent_s", 172_800, 1, 2_592_000) as u32,
            zsk_s: section.number("dnssec_zsk_days", 90, 0, 3_650) as u32 * 86_400,
        },
        snapshot: Duration::from_secs(section.number("snapshot_s", 3_600, 0, 604_800)),
        catalog: section.text("catalog", ""),
        acme_register: read_acme_register(&mut section),
        peers: read_peers(&mut section, !dot.is_empty()),
    };
    if matches!(dns.dnssec, Dnssec::Copy(_)) && dns.apex_file.is_some() {
        section.fault("apex_file", "stands beside dnssec = \"copy\": the operator's records are copied, too");
    }
    if dns.dnssec_algorithm as u64 != algorithm {
        section.fault("dnssec_algorithm", "is 13 (ECDSA P-256) or 15 (Ed25519)");
    }
    if !dns.catalog.is_empty() && Catalog::of(&dns.catalog, b"\0").is_none() {
        section.fault("catalog", "is no name of a zone, such as catalog.example");
    }
    if !dns.catalog.is_empty() && dns.peers.iter().all(|peer| peer.key.is_none()) {
        section.fault("catalog", "needs a [[dns.peer]] with a key: nobody else gets it");
    }
    if dns.resolvers.len() > RESOLVERS_MAX {
        section.fault("resolvers", format!("are {}, should be at most {RESOLVERS_MAX}", dns.resolvers.len()));
    }
    if dns.nsid.len() > NSID_BYTES_MAX {
        section.fault("nsid", "is at most 64 bytes");
    }
    section.end();
    dns
}

/// Refuses name servers in the zone with names that are not the operator's: a user's records there would never be seen.
fn check_servers(dns: &DnsConfig, zone: &Zone, faults: &mut Vec<ConfigFault>) {
    let below = format!(".{zone}");
    for (key, hosts) in [("dns.ns", &dns.ns), ("dns.proof_ns", &dns.proof_ns)] {
        for host in hosts {
            let text = host.to_ascii_lowercase();
            if text.ends_with(&below) && !is_the_operators(&text, zone) {
                let what = format!(
                    "{host:?} is no reserved name of {zone}, such as ns1.{zone}: records of a user there would not be seen"
                );
                faults.push(ConfigFault { key: key.into(), what });
            }
        }
    }
}

fn read_acme_register(section: &mut Section<'_>) -> Option<AcmeRegister> {
    match section.text("acme_register", "").as_str() {
        "" => None,
        "off" => Some(AcmeRegister::Off),
        "device" => Some(AcmeRegister::Device),
        "open" => Some(AcmeRegister::Open),
        _ => {
            section.fault("acme_register", "is off, device or open");
            None
        }
    }
}

/// Reads `[dns.tls]`, which must be there if it `is_needed`.
fn read_tls(section: &mut Section<'_>, is_needed: bool) -> Option<TlsConfig> {
    let table = section.table("tls");
    let mut tls = Section { name: "dns.tls", table, faults: section.faults };
    let (certificate, key) = (file_of(&mut tls, "certificate"), file_of(&mut tls, "key"));
    let acme = AcmeConfig {
        directory: tls.text("acme", ""),
        contact: tls.texts("acme_contact", &[]),
        roots: file_of(&mut tls, "acme_ca"),
        names: tls.texts("acme_names", &[]).iter().map(|name| name.to_ascii_lowercase()).collect(),
    };
    if !acme.directory.is_empty() {
        if certificate.is_some() || key.is_some() {
            tls.fault("acme", "stands beside certificate or key: the certificate comes from there, or from files");
        }
        if !is_needed {
            tls.fault("acme", "needs an address in dns.dot, dns.doh or dns.doq: nobody else needs the certificate");
        }
        tls.end();
        return Some(TlsConfig::Acme(acme));
    }
    if !acme.contact.is_empty() || acme.roots.is_some() || !acme.names.is_empty() {
        tls.fault(
            "acme",
            "is missing: the URL of the directory, such as https://acme-v02.api.letsencrypt.org/directory",
        );
    }
    for (name, file, example) in [("certificate", &certificate, "fullchain.pem"), ("key", &key, "privkey.pem")] {
        if file.is_none() && (is_needed || certificate.is_some() || key.is_some()) {
            tls.fault(name, format!("is missing: a PEM file such as /etc/letsencrypt/live/NAME/{example}"));
        }
    }
    tls.end();
    certificate.zip(key).map(|(certificate, key)| TlsConfig::Files(TlsFiles { certificate, key }))
}

/// Makes the names of a certificate definite: those of the zone's name servers if none were written. Each must be a name of the zone that nobody can
/// claim: only there this server may answer the authority.
fn settle_names(acme: &mut AcmeConfig, ns: &[String], zone: &Zone, tls: &mut Section<'_>) {
    let is_ours = |text: &str| is_the_operators(text, zone);
    if acme.names.is_empty() {
        let own = [format!("ns.{zone}")];
        let ns = if ns.is_empty() { &own } else { ns };
        acme.names = ns.iter().map(|name| name.to_ascii_lowercase()).filter(|name| is_ours(name)).collect();
        if acme.names.is_empty() {
            tls.fault("acme_names", format!("is missing, and no name in dns.ns is a reserved one of {zone}: only for such the challenge can be answered here"));
        }
    }
    for name in acme.names.iter().filter(|name| !is_ours(name)) {
        tls.fault(
            "acme_names",
            format!("{name:?} is no reserved name of {zone}, such as ns.{zone}: its challenge cannot be answered here"),
        );
    }
    if acme.names.len() > ORDER_NAMES_MAX {
        tls.fault("acme_names", format!("are {}, should be at most {ORDER_NAMES_MAX}", acme.names.len()));
    }
}

/// Reads `dnssec`, and with "copy" `[dns.primary]`.
fn read_dnssec(section: &mut Section<'_>) -> Dnssec {
    let copies = section.table.get("dnssec").and_then(Value::as_str) == Some("copy");
    let is_signed = !copies && section.truth("dnssec", true);
    let has_primary = section.table.contains_key("primary");
    let table = section.table("primary");
    if !copies {
        if has_primary {
            section.fault("primary", "stands with dnssec = \"copy\" alone");
        }
        return if is_signed { Dnssec::Sign } else { Dnssec::Off };
    }
    section.table.remove("dnssec");
    let mut primary = Section { name: "dns.primary", table, faults: section.faults };
    let (address, ds) = (primary.text("address", ""), primary.text("ds", ""));
    let (key, name, roots) =
        (file_of(&mut primary, "key"), primary.text("tls_name", ""), file_of(&mut primary, "tls_ca"));
    if key.is_none() {
        primary.fault("key", "is missing: the file of the TSIG key of a [[dns.peer]] of the server that is followed");
    }
    if name.is_empty() == roots.is_some() {
        primary.fault("tls_name", "and tls_ca belong together: the name in the certificate, and a PEM file of the authorities that are believed");
    }
    if !name.is_empty() && server_name(&name).is_none() {
        primary.fault("tls_name", format!("{name:?} is no name of a server"));
    }
    let digest = ds_of_text(&ds);
    if !ds.is_empty() && digest.is_none() {
        primary.fault(
            "ds",
            format!("{ds:?} should be what stands behind IN DS of `dgnsd dnssec ds`: tag, algorithm, 2, digest"),
        );
    }
    let copied = PrimaryConfig {
        address: primary.address("address", &address),
        key: key.unwrap_or_default(),
        tls: roots.map(|roots| (name, roots)),
        ds: digest,
    };
    primary.end();
    Dnssec::Copy(Box::new(copied))
}

/// Reads `[[dns.peer]]`.
fn read_peers(section: &mut Section<'_>, speaks_tls: bool) -> Vec<PeerConfig> {
    let tables = section.tables("peer");
    if tables.len() > PEERS_MAX {
        section.fault("peer", format!("is {} tables, should be at most {PEERS_MAX}", tables.len()));
    }
    let mut peers: Vec<PeerConfig> = Vec::with_capacity(tables.len());
    for table in tables {
        let mut peer = Section { name: "dns.peer", table, faults: section.faults };
        let (address, key) = (peer.text("address", ""), file_of(&mut peer, "key"));
        let tls = peer.truth("tls", false);
        if tls && !speaks_tls {
            peer.fault("tls", "needs an address in dns.dot: there are no copies over TLS without one");
        }
        let address = (!address.is_empty()).then(|| peer.address("address", &address));
        if address.is_none() && key.is_none() {
            peer.fault("address", "or key is missing: by one of them a peer is known");
        }
        let is_there = |other: &PeerConfig| match (other.address, address) {
            (Some(other), Some(address)) => other.ip().to_canonical() == address.ip().to_canonical(),
            _ => false,
        };
        if peers.iter().any(|other| other.tls != tls && is_there(other)) {
            peer.fault(
                "tls",
                "is true in one table of an address and false in another: its copies would not be over TLS alone",
            );
        }
        peer.end();
        peers.push(PeerConfig { address, key, tls });
    }
    peers
}

fn read_claims(mut section: Section<'_>) -> ClaimsConfig {
    let names = section.texts("roads", &["open", "attested", "invite", "parent"]);
    let mut roads = Vec::new();
    for name in names {
        match name.as_str() {
            "open" => roads.push(Road::Open),
            "attested" => roads.push(Road::Attested),
            "invite" => roads.push(Road::Invite),
            "parent" => roads.push(Road::Parent),
            other => section.fault("roads", format!("{other:?} is no road: open, attested, invite or parent")),
        }
    }
    let claims = ClaimsConfig {
        roads,
        work_bits: section.number("work_bits", 18, 0, 40) as u8,
        window_floor_s: section.number("window_floor_s", 86_400, 1, 1_209_600),
    };
    section.end();
    claims
}

fn read_log(mut section: Section<'_>) -> LogConfig {
    let log = LogConfig {
        batch_gap_ms: section.number("batch_gap_ms", 2, 0, 1_000),
        epoch_idle_s: section.number("epoch_idle_s", 120, 1, 240),
        cache_mib: section.number("cache_mib", 128, 1, 65_536),
        files: Some(section.text("files", "")).filter(|files| !files.is_empty()).map(PathBuf::from),
    };
    section.end();
    log
}

fn read_aliases(mut section: Section<'_>) -> AliasesConfig {
    let aliases = AliasesConfig { evaluate: section.truth("evaluate", false) };
    section.end();
    aliases
}

fn read_limits(mut section: Section<'_>) -> LimitsConfig {
    let limits = LimitsConfig {
        certificates_per_hour: section.number("certificates_per_hour", 10, 0, 1_000_000) as u32,
        certificates_per_day: section.number("certificates_per_day", 30, 0, 1_000_000) as u32,
        records_per_hour: section.number("records_per_hour", 60, 0, 1_000_000) as u32,
        claims_per_hour_and_address: section.number("claims_per_hour_and_address", 0, 0, 1_000_000) as u32,
        token_leases_per_hour: section.number("token_leases_per_hour", 120, 0, 1_000_000) as u32,
        signin_starts_per_hour_and_address: section.number("signin_starts_per_hour_and_address", 30, 0, 1_000_000)
            as u32,
        passkeys_per_person: section.number("passkeys_per_person", 16, 0, 1_000) as u32,
        notices_per_day: section.number("notices_per_day", 100, 0, 100) as u32,
        pair_posts_per_hour_and_address: section.number("pair_posts_per_hour_and_address", 200, 0, 1_000_000) as u32,
        pair_rings_per_hour: section.number("pair_rings_per_hour", 10, 0, 1_000_000) as u32,
        envelopes_per_hour_and_address: section.number("envelopes_per_hour_and_address", 60, 0, 1_000_000) as u32,
        evaluations_per_hour_and_did: section.number("evaluations_per_hour_and_did", 100, 0, 1_000_000) as u32,
        evaluations_per_hour_and_address: section.number("evaluations_per_hour_and_address", 10, 0, 1_000_000) as u32,
        personal_streams_max: section.number("personal_streams_max", 10_000, 1, 1_000_000) as u32,
    };
    section.end();
    limits
}

fn read_lobby(mut section: Section<'_>) -> LobbyConfig {
    let lobby = LobbyConfig {
        enabled: section.truth("enabled", true),
        url: section.text("url", ""),
        connections_max: section.number("connections_max", 100_000, 1, 10_000_000) as u32,
        strangers_per_address: section.number("strangers_per_address", 20, 0, 100_000) as u32,
        new_per_s_and_address: section.number("new_per_s_and_address", 10, 0, 100_000) as u32,
        guests: section.number("guests", 0, 0, 100_000) as u32,
    };
    let (url, schemes) = (&lobby.url, ["https://", "http://"]);
    if !url.is_empty() && (!schemes.iter().any(|scheme| url.starts_with(scheme)) || url.ends_with('/')) {
        section.fault("url", format!("{url:?} should begin with https:// or http:// and have no final slash"));
    }
    section.end();
    lobby
}

fn read_turn(mut section: Section<'_>) -> TurnConfig {
    let listen = section.texts("listen", &[]);
    let turn = TurnConfig {
        listen: listen.iter().map(|address| section.address("listen", address)).collect(),
        stun: section.texts("stun", &[]),
        external: section.texts("external", &[]),
        secret_file: section.text("secret_file", "").into(),
        relay: read_relay(&mut section),
    };
    if turn.relay.is_some() && turn.listen.is_empty() {
        section.fault("listen", "is empty: clients of the relay need an address to ask at, such as 0.0.0.0:3478");
    }
    for (key, urls, schemes) in
        [("stun", &turn.stun, ["stun:", "stuns:"]), ("external", &turn.external, ["turn:", "turns:"])]
    {
        for url in urls.iter().filter(|url| !schemes.iter().any(|scheme| url.starts_with(scheme))) {
            section.fault(key, format!("{url:?} should begin with {} or {}", schemes[0], schemes[1]));
        }
    }
    let (has_secret, has_relay) = (!turn.secret_file.as_os_str().is_empty(), turn.relay.is_some());
    if has_secret && turn.external.is_empty() && !has_relay || !has_secret && !turn.external.is_empty() {
        section.fault("secret_file", "stands with external: the secret that the relays share with this server");
    }
    section.end();
    turn
}

fn read_storage(mut section: Section<'_>) -> StorageConfig {
    let storage = StorageConfig {
        enabled: section.truth("enabled", true),
        free_mib: section.number("free_mib", 1_024, 0, 1 << 30),
        free_entries: section.number("free_entries", 10_000_000, 0, 1 << 50),
        free_days: section.number("free_days", 0, 0, 36_500),
        grace_days: section.number("grace_days", 30, 0, 36_500),
        chunk_grace_s: section.number("chunk_grace_s", 86_400, 1, 31_536_000),
        pack_after_s: section.number("pack_after_s", 86_400, 0, 31_536_000),
        anchor_s: section.number("anchor_s", 10, 1, 60),
        watchers_max: section.number("watchers_max", 10_000, 1, 1_000_000) as usize,
        home: Home { database: read_database(&mut section), bucket: read_bucket(&mut section) },
        homes: read_homes(&mut section),
        server_key: file_of(&mut section, "server_key"),
    };
    section.end();
    storage
}

/// Reads the keys of the logs whose people may bring databases.
fn read_homes(section: &mut Section<'_>) -> Vec<VerifierKey> {
    let texts = section.texts("homes", &[]);
    let keys: Vec<VerifierKey> = texts.iter().filter_map(|text| VerifierKey::parse(text).ok()).collect();
    let is_log =
        |key: &VerifierKey| Origin::parse(key.name()).is_ok_and(|it| Trust::new(it, vec![key.clone()]).is_ok());
    if keys.len() < texts.len() || !keys.iter().all(is_log) {
        section.fault("homes", "are keys of logs, as /v1/info of their servers has them in \"vkey\"");
    }
    keys
}

/// Returns the file that a key names; none, if it is empty.
fn file_of(section: &mut Section<'_>, key: &str) -> Option<PathBuf> {
    Some(section.text(key, "")).filter(|file| !file.is_empty()).map(PathBuf::from)
}

fn read_database(section: &mut Section<'_>) -> Option<DatabaseUrl> {
    let url = Some(section.text("database", "")).filter(|url| !url.is_empty())?;
    if !["postgresql://", "postgres://"].iter().any(|scheme| url.starts_with(scheme)) {
        // It may hold a password: it is not shown.
        section.fault("database", "should begin with postgresql://, or be empty for a file in the data directory");
    }
    Some(DatabaseUrl(url))
}

fn read_bucket(section: &mut Section<'_>) -> Option<BucketAt> {
    let (name, url) = (section.text("bucket", ""), section.text("s3_url", ""));
    let (region, file) = (section.text("s3_region", "us-east-1"), file_of(section, "s3_credentials_file"));
    if name.is_empty() {
        return None;
    }
    if !["https://", "http://"].iter().any(|scheme| url.starts_with(scheme)) {
        section.fault("s3_url", "stands with bucket, and should begin with https:// or http://");
    }
    let read = file.map(std::fs::read_to_string).and_then(Result::ok).unwrap_or_default();
    let mut lines = read.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty());
    let (Some(key_id), Some(secret), None) = (lines.next(), lines.next(), lines.next()) else {
        section.fault("s3_credentials_file", "stands with bucket: a file of two lines, the id of a key and the key");
        return None;
    };
    Some(BucketAt { name, url, region, key_id, secret })
}

fn read_nats(mut section: Section<'_>) -> NatsConfig {
    let file = section.text("credentials_file", "");
    let nats = NatsConfig {
        urls: section.texts("urls", &[]),
        credentials_file: Some(file).filter(|file| !file.is_empty()).map(PathBuf::from),
    };
    for url in nats.urls.iter().filter(|url| !["nats://", "tls://"].iter().any(|scheme| url.starts_with(scheme))) {
        section.fault("urls", format!("{url:?} should begin with nats:// or tls://"));
    }
    section.end();
    nats
}

fn read_push(mut section: Section<'_>) -> PushConfig {
    let push = PushConfig {
        subject: section.text("subject", ""),
        allow: section.texts("allow", &[]),
        grace_s: section.number("grace_s", 2, 0, 3_600),
        retry_s: section.number("retry_s", 60, 1, 3_600),
    };
    if !push.subject.is_empty() && !["mailto:", "https:"].iter().any(|scheme| push.subject.starts_with(scheme)) {
        section.fault("subject", "should begin with mailto: or https:".to_owned());
    }
    for target in &push.allow {
        if target.rsplit_once(':').is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err()) {
            section.fault("allow", format!("{target:?} should be host:port"));
        }
    }
    section.end();
    push
}

/// Reads the networks whose answers are not counted.
fn read_exempt(section: &mut Section<'_>) -> Vec<Cidr> {
    let texts = section.texts("answers_exempt", &["127.0.0.0/8", "::1/128"]);
    let networks = texts.iter().filter_map(|text| {
        let network = Cidr::parse(text);
        if network.is_none() {
            section.fault("answers_exempt", format!("{text:?} should be a network such as 192.0.2.0/24"));
        }
        network
    });
    networks.collect()
}

/// Reads what the relay in this server needs; `None` without a public address.
fn read_relay(section: &mut Section<'_>) -> Option<relay::Settings> {
    let public = section.texts("public_ip", &[]);
    let ports =
        (section.number("port_first", 49_152, 1_024, 65_535), section.number("port_last", 65_535, 1_024, 65_535));
    let allow = section.texts("allow_peers", &[]);
    let settings = relay::Settings {
        public: public
            .iter()
            .filter_map(|text| {
                let address = text.parse().ok();
                if address.is_none() {
                    section.fault("public_ip", format!("{text:?} should be an address"));
                }
                address
            })
            .collect(),
        ports: (u16::try_from(ports.0).unwrap_or(u16::MAX), u16::try_from(ports.1).unwrap_or(u16::MAX)),
        allow: allow
            .iter()
            .filter_map(|text| {
                let range = relay::Range::parse(text);
                if range.is_none() {
                    section
                        .fault("allow_peers", format!("{text:?} should be an address or a range such as 10.0.0.0/8"));
                }
                range
            })
            .collect(),
        quotas: relay::Quotas {
            allocations: usize::try_from(section.number("allocations_max", 500, 1, 60_000)).unwrap_or(usize::MAX),
            per_device: usize::try_from(section.number("allocations_per_device", 16, 1, 60_000)).unwrap_or(usize::MAX),
            bytes_per_s: section.number("bytes_per_s", 500_000, 1_000, 10_000_000_000),
            bytes: section.number("bytes_max", 1_000_000_000, 0, u64::MAX >> 1),
        },
    };
    if ports.1 < ports.0 {
        section.fault("port_last", "is below port_first");
    }
    let families = settings.public.iter().filter(|address| address.is_ipv4()).count();
    if families > 1 || settings.public.len() > families + 1 {
        section.fault("public_ip", "should be at most one address of each family");
    }
    (!public.is_empty()).then_some(settings)
}

fn read_tokens(mut section: Section<'_>) -> TokensConfig {
    let tokens = TokensConfig {
        life_s: section.number("life_s", TOKEN_LIFE_DEFAULT_S, TOKEN_LIFE_MIN_S, TOKEN_LIFE_MAX_S),
        idle_days: section.number("idle_days", 30, 1, 366),
        families_max: section.number("families_max", 256, 1, 100_000),
    };
    section.end();
    tokens
}

fn read_follow(mut section: Section<'_>) -> FollowConfig {
    let (url, policy) = (section.text("url", ""), section.text("policy", ""));
    let follow = FollowConfig {
        url: Some(url).filter(|url| !url.is_empty()),
        policy: Some(policy).filter(|path| !path.is_empty()).map(PathBuf::from),
        max_stale_s: section.number("max_stale_s", 3_600, 0, 31_536_000),
    };
    section.end();
    follow
}

pub(super) fn read_outbound(mut section: Section<'_>) -> OutboundConfig {
    let outbound = OutboundConfig { plain_http: section.truth("plain_http", false) };
    section.end();
    outbound
}

/// Reads `[witness]`; `None` if no file of logs is named. A name that is empty is made of `owner`.
fn read_witness(mut section: Section<'_>, owner: &str) -> Option<WitnessConfig> {
    let logs = section.text("logs", "");
    let name = section.key_name("name", &format!("{owner}/witness"));
    let verifier = section.truth("verifier", false);
    let verifier_name = section.key_name("verifier_name", &format!("{owner}/verifier"));
    if verifier && name == verifier_name {
        section.fault("verifier_name", "is the witness's name too, should be another");
    }
    section.end();
    (!logs.is_empty()).then(|| WitnessConfig { logs: PathBuf::from(logs), name, verifier, verifier_name })
}

fn read_witnesses(mut section: Section<'_>, plain_http: bool) -> WitnessesConfig {
    let path = section.text("policy", "");
    let announce_ms = section.number("announce_ms", 1_000, 20, 60_000);
    let mut policy = Policy::none();
    if !path.is_empty() {
        match read_policy(&path, plain_http) {
            Ok(read) => policy = read,
            Err(what) => section.fault("policy", format!("{path}: {what}")),
        }
    }
    section.end();
    WitnessesConfig { policy, announce_ms }
}

/// Reads a policy whose quorum the witnesses with URLs can meet.
fn read_policy(path: &str, plain_http: bool) -> Result<Policy, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let policy = Policy::parse(&bytes).map_err(|error| format!("{error} ({})", error.code()))?;
    let outbound = Outbound::new(plain_http);
    for witness in policy.witnesses() {
        if let Some(url) = &witness.url {
            outbound.check(url).map_err(|error| format!("witness {}: {url}: {error}", witness.name))?;
        }
    }
    let asked = policy.witnesses().iter().filter(|witness| witness.url.is_some());
    match policy.reached(asked.map(|witness| Signed { key: &witness.key, time_s: Some(1) })) {
        Some(_) => Ok(policy),
        None => Err("the witnesses with a URL cannot meet the quorum; the others are never asked".into()),
    }
}
