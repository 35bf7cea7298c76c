//! The wire forms of record data, type by type: RFC 1035, 2782, 4255, 6698, 8659, 9460.

use core::net::{Ipv4Addr, Ipv6Addr};

use super::{Reason, rtype};
use crate::cert::Row;

/// The parameters of SVCB and HTTPS that we know the form of (RFC 9460 section 14.3.2 and ours).
mod svc {
    pub(super) const MANDATORY: u16 = 0;
    pub(super) const ALPN: u16 = 1;
    pub(super) const NO_DEFAULT_ALPN: u16 = 2;
    pub(super) const PORT: u16 = 3;
    pub(super) const IPV4HINT: u16 = 4;
    pub(super) const ECH: u16 = 5;
    pub(super) const IPV6HINT: u16 = 6;
    pub(super) const DOHPATH: u16 = 7;
    pub(super) const OHTTP: u16 = 8;
    /// kid (8 bytes) and log index (8 bytes) of the device that serves: a pointer, not a proof.
    pub(super) const DEVICE: u16 = 65280;
    /// The one number that RFC 9460 forbids.
    pub(super) const INVALID: u16 = 65535;
}

/// Checks that the data is the wire form of its type, uncompressed and in lower case, with values we permit.
pub(super) fn check(row: &Row) -> Result<(), Reason> {
    let data = row.rdata.as_slice();
    let well_formed = match row.rtype {
        rtype::A | rtype::AAAA => return check_addresses(row.rtype, data),
        rtype::SVCB | rtype::HTTPS => return check_svcb(data),
        rtype::CNAME => split_name(data).is_some_and(|(name, rest)| name.len() > 1 && rest.is_empty()),
        rtype::SRV => data.len() > 6 && split_name(&data[6..]).is_some_and(|(_, rest)| rest.is_empty()),
        rtype::TXT => is_txt(data),
        rtype::TLSA => is_tlsa(data),
        rtype::SSHFP => matches!(data, [1..=4 | 6, 2, digest @ ..] if digest.len() == 32),
        rtype::CAA => is_caa(data),
        _ => false,
    };
    if well_formed { Ok(()) } else { Err(Reason::Rdata) }
}

/// Returns whether `wire` spells the name `text`.
pub(super) fn is_wire_name_of(wire: &[u8], text: &str) -> bool {
    let mut spelled = Vec::with_capacity(text.len() + 2);
    for label in text.split('.') {
        spelled.push(label.len() as u8);
        spelled.extend_from_slice(label.as_bytes());
    }
    spelled.push(0);
    wire == spelled
}

/// Returns whether the row carries an address of a private network, itself or as a hint.
pub(super) fn has_private_address(row: &Row) -> bool {
    match row.rtype {
        rtype::A => addresses_v4(&row.rdata).any(is_private_v4),
        rtype::AAAA => addresses_v6(&row.rdata).any(is_private_v6),
        rtype::SVCB | rtype::HTTPS => svc_params(&row.rdata).is_some_and(|params| {
            params.iter().any(|(key, value)| match *key {
                svc::IPV4HINT => addresses_v4(value).any(is_private_v4),
                svc::IPV6HINT => addresses_v6(value).any(is_private_v6),
                _ => false,
            })
        }),
        _ => false,
    }
}

/// Checks the length of an address, and that somebody can have it.
pub(super) fn check_addresses(rtype: u16, data: &[u8]) -> Result<(), Reason> {
    let (bytes, usable) = match rtype {
        rtype::A => (4, addresses_v4(data).all(is_usable_v4)),
        _ => (16, addresses_v6(data).all(is_usable_v6)),
    };
    match (data.len() == bytes, usable) {
        (false, _) => Err(Reason::Rdata),
        (true, false) => Err(Reason::Address),
        (true, true) => Ok(()),
    }
}

fn addresses_v4(data: &[u8]) -> impl Iterator<Item = Ipv4Addr> {
    data.chunks_exact(4).map(|b| Ipv4Addr::new(b[0], b[1], b[2], b[3]))
}

fn addresses_v6(data: &[u8]) -> impl Iterator<Item = Ipv6Addr> {
    data.chunks_exact(16).map(|chunk| {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(chunk);
        Ipv6Addr::from(bytes)
    })
}

/// Not of "this network", multicast, reserved or broadcast.
fn is_usable_v4(address: Ipv4Addr) -> bool {
    (1..=223).contains(&address.octets()[0])
}

/// RFC 1918, loopback, link-local, CGNAT.
fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    address.is_private() || address.is_loopback() || address.is_link_local() || (a == 100 && (64..128).contains(&b))
}

/// Global unicast, or private: all other space is unspecified, multicast, mapped or reserved by the IETF.
fn is_usable_v6(address: Ipv6Addr) -> bool {
    address.segments()[0] >> 13 == 1 || is_private_v6(address)
}

/// Loopback, ULA, link-local.
fn is_private_v6(address: Ipv6Addr) -> bool {
    address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
}

/// Splits an uncompressed lower-case name, root included, from what follows it.
fn split_name(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        let len = usize::from(*data.get(at)?);
        let end = at + 1 + len;
        if len > 63 || end > 255 || !data.get(at + 1..end)?.iter().all(|b| is_name_byte(*b)) {
            return None;
        }
        at = end;
        if len == 0 {
            return Some(data.split_at(at));
        }
    }
}

/// Host names, and the underscores that targets of delegated challenges have.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
}

/// One or more strings, each behind its length.
fn is_txt(data: &[u8]) -> bool {
    let mut rest = data;
    while let Some((len, after)) = rest.split_first() {
        match after.get(usize::from(*len)..) {
            Some(left) => rest = left,
            None => return false,
        }
    }
    !data.is_empty()
}

fn is_tlsa(data: &[u8]) -> bool {
    match data {
        [0..=3, 0..=1, matching, digest @ ..] => match matching {
            0 => !digest.is_empty(),
            1 => digest.len() == 32,
            2 => digest.len() == 64,
            _ => false,
        },
        _ => false,
    }
}

/// Flags 0 or 128 (critical), a tag we know, and a value of its grammar.
fn is_caa(data: &[u8]) -> bool {
    let [0 | 128, tag_len, rest @ ..] = data else { return false };
    let Some((tag, value)) = rest.split_at_checked(usize::from(*tag_len)) else { return false };
    let Ok(value) = core::str::from_utf8(value) else { return false };
    let printable = value.bytes().all(|b| (0x20..0x7f).contains(&b));
    printable
        && match tag {
            b"issue" | b"issuewild" => is_issue_value(value),
            b"iodef" => ["mailto:", "https://", "http://"].iter().any(|scheme| value.starts_with(scheme)),
            _ => false,
        }
}

/// `[domain] *(";" tag "=" value)` with the parameters of RFC 8657; a lone `;` forbids everyone.
fn is_issue_value(value: &str) -> bool {
    let (issuer, parameters) = value.split_once(';').unwrap_or((value, ""));
    let issuer = issuer.trim();
    let issuer_fits = issuer.is_empty() || issuer.split('.').all(crate::name::is_label);
    issuer_fits
        && (parameters.trim().is_empty()
            || parameters.split(';').all(|parameter| match parameter.trim().split_once('=') {
                Some(("accounturi" | "validationmethods", value)) => !value.is_empty() && !value.contains(' '),
                _ => false,
            }))
}

fn check_svcb(data: &[u8]) -> Result<(), Reason> {
    let params = svc_params(data).ok_or(Reason::Rdata)?;
    let alias_mode = data[..2] == [0, 0];
    if alias_mode && !params.is_empty() {
        return Err(Reason::Rdata);
    }
    for (key, value) in &params {
        if !is_svc_value(*key, value, &params) {
            return Err(Reason::Rdata);
        }
        let usable = match *key {
            svc::IPV4HINT => addresses_v4(value).all(is_usable_v4),
            svc::IPV6HINT => addresses_v6(value).all(is_usable_v6),
            _ => true,
        };
        if !usable {
            return Err(Reason::Address);
        }
    }
    Ok(())
}

/// Splits the data of SVCB or HTTPS into its parameters, whose keys must ascend.
fn svc_params(data: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let (_, mut rest) = split_name(data.get(2..)?)?;
    let mut params: Vec<(u16, &[u8])> = Vec::new();
    while !rest.is_empty() {
        let (head, after) = rest.split_at_checked(4)?;
        let key = u16::from_be_bytes([head[0], head[1]]);
        let (value, left) = after.split_at_checked(usize::from(u16::from_be_bytes([head[2], head[3]])))?;
        if params.last().is_some_and(|(last, _)| key <= *last) {
            return None;
        }
        params.push((key, value));
        rest = left;
    }
    Some(params)
}

fn is_svc_value(key: u16, value: &[u8], params: &[(u16, &[u8])]) -> bool {
    let has = |wanted: u16| params.iter().any(|(key, _)| *key == wanted);
    match key {
        svc::MANDATORY => {
            let keys: Vec<u16> = value.chunks_exact(2).map(|b| u16::from_be_bytes([b[0], b[1]])).collect();
            !value.is_empty()
                && value.len().is_multiple_of(2)
                && keys.is_sorted_by(|a, b| a < b)
                && keys.iter().all(|key| *key != svc::MANDATORY && has(*key))
        }
        svc::ALPN => is_txt(value) && !has_empty_string(value),
        svc::NO_DEFAULT_ALPN => value.is_empty() && has(svc::ALPN),
        svc::PORT => value.len() == 2,
        svc::IPV4HINT => !value.is_empty() && value.len().is_multiple_of(4),
        svc::IPV6HINT => !value.is_empty() && value.len().is_multiple_of(16),
        svc::ECH => !value.is_empty(),
        svc::DOHPATH => value.starts_with(b"/") && core::str::from_utf8(value).is_ok(),
        svc::OHTTP => value.is_empty(),
        svc::DEVICE => value.len() == 16,
        svc::INVALID => false,
        _ => true,
    }
}

/// Returns whether one of the strings, each behind its length, is empty.
fn has_empty_string(data: &[u8]) -> bool {
    let mut rest = data;
    while let Some((len, after)) = rest.split_first() {
        if *len == 0 {
            return true;
        }
        rest = after.get(usize::from(*len)..).unwrap_or_default();
    }
    false
}
