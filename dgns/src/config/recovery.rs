//! The configuration of a recovery server alone.

use std::path::PathBuf;

use identity::limits::{OPERATOR_BYTES_MAX, SCOPE_BYTES_MAX};
use toml::{Table, Value};

use super::RecoveryRoleConfig;
use super::read;
use super::section::{ConfigFaults, Section};
use super::signin::{has_passkeys, is_base};
use crate::outbound::Outbound;
use crate::recovery::{EvidenceIssuer, ReadLogConfig, RecoveryConfig};

/// The issuers at most.
const ISSUERS_MAX: usize = 16;

/// Reads the whole configuration.
pub(super) fn config(text: &str) -> Result<RecoveryConfig, ConfigFaults> {
    let mut faults = Vec::new();
    let mut root = Section { name: "", table: read::parse(text)?, faults: &mut faults };
    let data = PathBuf::from(root.text("data", "./dgns-recovery"));
    let key = root.text("key", "");
    let (operator, domain) = (root.text("operator", ""), root.text("domain", ""));
    let passkeys = Some(root.text("passkeys", "")).filter(|origin| !origin.is_empty());
    if passkeys.as_ref().is_some_and(|origin| !is_base(origin) || !has_passkeys(origin)) {
        let what = "should be where the pages of the server of names are: https://<name>, or http://localhost:<port>";
        root.fault("passkeys", what);
    }
    if !(1..=OPERATOR_BYTES_MAX).contains(&operator.len()) {
        root.fault("operator", format!("should say who runs this server, in 1 to {OPERATOR_BYTES_MAX} bytes"));
    }
    let is_domain = domain.contains('.') && domain.bytes().all(|b| b.is_ascii_graphic()) && domain.len() <= 253;
    if !is_domain {
        root.fault(
            "domain",
            format!("{domain:?} should be the domain of whoever runs this server, such as example.org"),
        );
    }
    let (http, log, outbound) = (root.table("http"), root.table("log"), root.table("outbound"));
    let issuers = root.tables("issuers");
    root.end();
    let http = read::read_http(Section { name: "http", table: http, faults: &mut faults }, "127.0.0.1:5395", false);
    let outbound = read::read_outbound(Section { name: "outbound", table: outbound, faults: &mut faults });
    let asks = Outbound::new(outbound.plain_http);
    let log = read_log(Section { name: "log", table: log, faults: &mut faults }, &asks);
    let mut root = Section { name: "", table: Table::new(), faults: &mut faults };
    let many = issuers.len() + usize::from(passkeys.is_some());
    if !(1..=ISSUERS_MAX).contains(&many) {
        let what = format!("should be 1 to {ISSUERS_MAX}, or passkeys be set: who says that somebody is somebody");
        root.fault("issuers", what);
    }
    let mut known = Vec::new();
    for table in issuers {
        match read_issuer(table, &asks) {
            Ok(issuer) => known.push(issuer),
            Err(what) => root.fault("issuers", what),
        }
    }
    if faults.is_empty() {
        let key = if key.is_empty() { data.join("recovery.key") } else { PathBuf::from(key) };
        Ok(RecoveryConfig { data, key, operator, domain, http, log, issuers: known, passkeys, outbound })
    } else {
        Err(ConfigFaults(faults))
    }
}

/// Reads `[recovery]` of a server of names: whether it keeps shares too, and who runs it.
pub(super) fn role(mut section: Section<'_>) -> RecoveryRoleConfig {
    let (enabled, operator) = (section.truth("enabled", false), section.text("operator", ""));
    if enabled && !(1..=OPERATOR_BYTES_MAX).contains(&operator.len()) {
        section.fault("operator", format!("should say who runs this server, in 1 to {OPERATOR_BYTES_MAX} bytes"));
    }
    section.end();
    RecoveryRoleConfig { enabled, operator }
}

fn read_log(mut section: Section<'_>, asks: &Outbound) -> ReadLogConfig {
    let url = section.text("url", "http://127.0.0.1:5380");
    if let Err(error) = asks.check(&url) {
        section.fault("url", format!("{url:?}: {error}"));
    }
    let policy = section.text("policy", "");
    if policy.is_empty() {
        section.fault("policy", "is empty, should be a policy file with the log's keys, witnesses and a quorum");
    }
    let head_age_s = section.number("head_age_s", 150, 5, 300);
    section.end();
    ReadLogConfig { url, policy: policy.into(), head_age_s }
}

fn read_issuer(mut table: Table, asks: &Outbound) -> Result<EvidenceIssuer, String> {
    let mut text = |key: &str| match table.remove(key) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        _ => Err(format!("{key} is missing")),
    };
    let (issuer, audience) = (text("issuer")?, text("audience")?);
    if let Some(key) = table.keys().next() {
        return Err(format!("unknown key {key}"));
    }
    if issuer.len() > SCOPE_BYTES_MAX {
        return Err(format!("issuer has more than {SCOPE_BYTES_MAX} bytes"));
    }
    asks.check(&issuer).map_err(|error| format!("issuer {issuer:?}: {error}"))?;
    Ok(EvidenceIssuer { issuer, audience })
}
