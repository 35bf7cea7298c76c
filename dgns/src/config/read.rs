//! Reads a configuration out of TOML: takes each key once, collects every fault, and refuses what is left over.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use identity::cert::Road;
use identity::name::Zone;
use toml::{Table, Value};

use super::{ClaimsConfig, Config, DnsConfig, HttpConfig, LimitsConfig, LogConfig, OutboundConfig};

/// One thing wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// The key, such as `dns.listen`; empty if the text is no TOML at all.
    pub key: String,
    /// What is wrong and what would be right.
    pub what: String,
}

/// Everything wrong with a configuration; at least one fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFaults(pub Vec<ConfigFault>);

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.0.iter().enumerate() {
            if place > 0 {
                writeln!(f)?;
            }
            match fault.key.is_empty() {
                true => write!(f, "{}", fault.what)?,
                false => write!(f, "{}: {}", fault.key, fault.what)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigFaults {}

/// Reads the whole configuration.
pub(super) fn config(text: &str) -> Result<Config, ConfigFaults> {
    let root = text.parse::<Table>().map_err(|error| {
        ConfigFaults(vec![ConfigFault {
            key: String::new(),
            what: format!("not TOML: {}", error.to_string().trim_end()),
        }])
    })?;
    let mut faults = Vec::new();
    let mut root = Section { name: "", table: root, faults: &mut faults };
    let data = root.text("data", "./dgns-data");
    let zone = root.text("zone", "dgns.test");
    let (http, dns) = (root.table("http"), root.table("dns"));
    let (claims, log, limits) = (root.table("claims"), root.table("log"), root.table("limits"));
    let outbound = root.table("outbound");
    root.end();
    let zone = Zone::parse(&zone).map_err(|error| {
        faults.push(ConfigFault { key: "zone".into(), what: format!("{zone:?} is no zone: {error}") });
    });
    let http = read_http(Section { name: "http", table: http, faults: &mut faults });
    let dns = read_dns(Section { name: "dns", table: dns, faults: &mut faults });
    let claims = read_claims(Section { name: "claims", table: claims, faults: &mut faults });
    let log = read_log(Section { name: "log", table: log, faults: &mut faults });
    let limits = read_limits(Section { name: "limits", table: limits, faults: &mut faults });
    let outbound = read_outbound(Section { name: "outbound", table: outbound, faults: &mut faults });
    match zone {
        Ok(zone) if faults.is_empty() => {
            Ok(Config { data: PathBuf::from(data), zone, http, dns, claims, log, limits, outbound })
        }
        _ => Err(ConfigFaults(faults)),
    }
}

fn read_http(mut section: Section<'_>) -> HttpConfig {
    let listen = section.text("listen", "127.0.0.1:5380");
    let http = HttpConfig {
        listen: section.address("listen", &listen),
        connections_max: section.number("connections_max", 20_000, 1, 1_000_000),
        idle_s: section.number("idle_s", 30, 1, 3_600),
        request_s: section.number("request_s", 15, 1, 600),
    };
    section.end();
    http
}

fn read_dns(mut section: Section<'_>) -> DnsConfig {
    let listen = section.texts("listen", &["127.0.0.1:5300"]);
    let dns = DnsConfig {
        listen: listen.iter().map(|text| section.address("listen", text)).collect(),
        ns: section.texts("ns", &[]),
        negative_ttl_s: section.number("negative_ttl_s", 5, 1, 5) as u32,
        private_addresses: section.truth("private_addresses", true),
        publish_did: section.truth("publish_did", true),
    };
    section.end();
    dns
}

fn read_claims(mut section: Section<'_>) -> ClaimsConfig {
    let names = section.texts("roads", &["open", "invite", "parent"]);
    let mut roads = Vec::new();
    for name in names {
        match name.as_str() {
            "open" => roads.push(Road::Open),
            "invite" => roads.push(Road::Invite),
            "parent" => roads.push(Road::Parent),
            other => section.fault("roads", format!("{other:?} is no road: open, invite or parent")),
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
        cache_mib: section.number("cache_mib", 64, 1, 65_536),
        policy: Some(section.text("policy", "")).filter(|path| !path.is_empty()).map(PathBuf::from),
    };
    section.end();
    log
}

fn read_limits(mut section: Section<'_>) -> LimitsConfig {
    let limits = LimitsConfig {
        certificates_per_hour: section.number("certificates_per_hour", 10, 0, 1_000_000) as u32,
        certificates_per_day: section.number("certificates_per_day", 30, 0, 1_000_000) as u32,
        records_per_hour: section.number("records_per_hour", 60, 0, 1_000_000) as u32,
        claims_per_hour_and_address: section.number("claims_per_hour_and_address", 0, 0, 1_000_000) as u32,
    };
    section.end();
    limits
}

fn read_outbound(mut section: Section<'_>) -> OutboundConfig {
    let outbound = OutboundConfig { plain_http: section.truth("plain_http", false) };
    section.end();
    outbound
}

/// One table while its keys are taken out.
struct Section<'a> {
    name: &'static str,
    table: Table,
    faults: &'a mut Vec<ConfigFault>,
}

impl Section<'_> {
    fn fault(&mut self, key: &str, what: impl Into<String>) {
        let key = match self.name.is_empty() {
            true => key.to_owned(),
            false => format!("{}.{key}", self.name),
        };
        self.faults.push(ConfigFault { key, what: what.into() });
    }

    fn text(&mut self, key: &str, default: &str) -> String {
        match self.table.remove(key) {
            None => default.to_owned(),
            Some(Value::String(text)) => text,
            Some(other) => {
                self.fault(key, format!("is {}, should be a string", other.type_str()));
                default.to_owned()
            }
        }
    }

    fn texts(&mut self, key: &str, default: &[&str]) -> Vec<String> {
        let defaults = || default.iter().map(|text| (*text).to_owned()).collect();
        match self.table.remove(key) {
            None => defaults(),
            Some(Value::Array(items)) if items.iter().all(Value::is_str) => {
                items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
            }
            Some(_) => {
                self.fault(key, "should be a list of strings");
                defaults()
            }
        }
    }

    fn number(&mut self, key: &str, default: u64, least: u64, most: u64) -> u64 {
        match self.table.remove(key) {
            None => default,
            Some(Value::Integer(number)) => match u64::try_from(number) {
                Ok(number) if (least..=most).contains(&number) => number,
                _ => {
                    self.fault(key, format!("is {number}, should lie in {least}..={most}"));
                    default
                }
            },
            Some(other) => {
                self.fault(key, format!("is {}, should be a whole number", other.type_str()));
                default
            }
        }
    }

    fn truth(&mut self, key: &str, default: bool) -> bool {
        match self.table.remove(key) {
            None => default,
            Some(Value::Boolean(truth)) => truth,
            Some(other) => {
                self.fault(key, format!("is {}, should be true or false", other.type_str()));
                default
            }
        }
    }

    fn address(&mut self, key: &str, text: &str) -> SocketAddr {
        text.parse().unwrap_or_else(|_| {
            self.fault(key, format!("{text:?} is no address with a port, such as 127.0.0.1:5380 or [::1]:5380"));
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
    }

    fn table(&mut self, key: &str) -> Table {
        match self.table.remove(key) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(other) => {
                self.fault(key, format!("is {}, should be a table", other.type_str()));
                Table::new()
            }
        }
    }

    fn end(mut self) {
        let unknown: Vec<String> = std::mem::take(&mut self.table).into_iter().map(|(key, _)| key).collect();
        for key in unknown {
            self.fault(&key, "unknown key; `dgnsd config` prints every key there is");
        }
    }
}
