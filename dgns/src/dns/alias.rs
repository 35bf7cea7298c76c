//! The address of the zone's own name, taken from another name (`ALIAS` in the operator's file): asked for again and again, and signed like all else.
//!
//! Whom the operator names as resolver is believed. While nobody answers, the last addresses are shown for an hour, and told to be old; then none.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use identity::cert::{Records, Row};
use identity::record;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, timeout};

use super::limits::{
    ALIAS_ADDRESSES_MAX, ALIAS_ANSWER_WITHIN, ALIAS_EVERY, ALIAS_STALE_S, ALIAS_TTL_S_MAX, ALIAS_TTL_S_MIN,
    CNAME_HOPS_MAX, RESOLVERS_MAX, UDP_BYTES_MAX,
};
use super::metrics::Metrics;
use super::wire;
use super::zone::{Aliased, Zone};
use crate::clock::Clock;
use crate::{rng, shutdown};

const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;
const HEADER_BYTES: usize = 12;

/// Where systems say whom to ask.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Keeps the addresses of the zone's own name.
pub struct Alias {
    target: Vec<u8>,
    resolvers: Vec<SocketAddr>,
    private_addresses: bool,
    zone: Arc<Zone>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

/// What a name has, as a resolver says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The data of each record of the type asked for.
    pub rdata: Vec<Vec<u8>>,
    /// The least TTL on the way there; the greatest number if nothing was on the way.
    pub ttl_s: u32,
}

/// Returns the resolvers of the text of a `resolv.conf`, with the port of DNS.
fn resolvers_of(text: &str) -> Vec<SocketAddr> {
    let named = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse().ok());
    named.map(|ip| SocketAddr::new(ip, 53)).collect()
}

impl Alias {
    /// Returns a keeper that takes the addresses of `target`, a name in wire form, from `resolvers`; if there are none, from those of the system.
    pub(crate) fn new(
        target: Vec<u8>,
        resolvers: Vec<SocketAddr>,
        private_addresses: bool,
        zone: Arc<Zone>,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Self {
        let mut resolvers = match resolvers.is_empty() {
            true => resolvers_of(&std::fs::read_to_string(RESOLV_CONF).unwrap_or_default()),
            false => resolvers,
        };
        resolvers.truncate(RESOLVERS_MAX);
        Self { target, resolvers, private_addresses, zone, clock, metrics }
    }

    /// Asks until `stop`, each time the TTL is over.
    pub async fn keep(self, mut stop: watch::Receiver<bool>) {
        let (mut due_s, mut good_s, mut said) = (0, None, false);
        let mut ticks = tokio::time::interval(ALIAS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown::requested(&mut stop) => return,
                _ = ticks.tick() => {}
            }
            let now_s = self.clock.now().as_s();
            if now_s < due_s {
                continue;
            }
            let found = tokio::select! {
                () = shutdown::requested(&mut stop) => return,
                found = self.ask() => found,
            };
            match found {
                Some((rows, ttl_s)) => {
                    (due_s, good_s, said) = (now_s + u64::from(ttl_s), Some(now_s), false);
                    self.metrics.note_alias(now_s);
                    self.zone.set_alias(Aliased::Fresh, Some(rows));
                }
                None => {
                    due_s = now_s + u64::from(ALIAS_TTL_S_MIN);
                    if !said {
                        tracing::warn!("the addresses of ALIAS cannot be asked for: it is tried again");
                        said = true;
                    }
                    match is_kept(good_s, now_s) {
                        true => self.zone.set_alias(Aliased::Stale, None),
                        false => self.zone.set_alias(Aliased::Lost, Some(Vec::new())),
                    }
                }
            }
        }
    }

    /// Returns the records that the zone's own name is to have, and for how long; `None` if nobody says so.
    async fn ask(&self) -> Option<(Vec<Row>, u32)> {
        for &resolver in &self.resolvers {
            let (Some(v4), Some(v6)) = (self.ask_for(resolver, TYPE_A).await, self.ask_for(resolver, TYPE_AAAA).await)
            else {
                continue;
            };
            let ttl_s = v4.ttl_s.min(v6.ttl_s).clamp(ALIAS_TTL_S_MIN, ALIAS_TTL_S_MAX);
            let row = |rtype, rdata| Row { owner: String::new(), rtype, rdata, ttl: ttl_s };
            let rows = v4.rdata.into_iter().map(|rdata| row(TYPE_A, rdata));
            let mut rows: Vec<Row> = rows.chain(v6.rdata.into_iter().map(|rdata| row(TYPE_AAAA, rdata))).collect();
            rows.retain(|row| self.private_addresses || is_public(row));
            if !rows.is_empty() {
                return Some((rows, ttl_s));
            }
        }
        None
    }

    async fn ask_for(&self, resolver: SocketAddr, rtype: u16) -> Option<Addresses> {
        let query = query(&self.target, rtype, u16::from_be_bytes(rng::bytes()));
        let message = match timeout(ALIAS_ANSWER_WITHIN, by_udp(resolver, &query)).await {
            Ok(Ok(message)) if message[2] & 2 == 0 => message,
            Ok(Ok(_)) => timeout(ALIAS_ANSWER_WITHIN, by_tcp(resolver, &query)).await.ok()?.ok()?,
            _ => return None,
        };
        read(&query, &message)
    }
}

/// Whether addresses that were found then are shown still, although nobody answers.
fn is_kept(good_s: Option<u64>, now_s: u64) -> bool {
    good_s.is_some_and(|good_s| now_s < good_s.saturating_add(ALIAS_STALE_S))
}

fn is_public(row: &Row) -> bool {
    let records = Records { name: String::new(), rows: vec![row.clone()], aliases: Vec::new(), flags: 0 };
    record::check_public(&records).is_ok()
}

/// Returns a question with the wish for recursion.
fn query(name: &[u8], rtype: u16, id: u16) -> Vec<u8> {
    [&id.to_be_bytes()[..], b"\x01\0\0\x01\0\0\0\0\0\0", name, &rtype.to_be_bytes(), &CLASS_IN.to_be_bytes()].concat()
}

/// Returns whether a message answers a query, as its head and question say.
fn answers(query: &[u8], message: &[u8]) -> bool {
    let is_answer = message.len() >= query.len() && message[..2] == query[..2] && message[2] & 0xF8 == 0x80;
    is_answer
        && message[4..6] == [0, 1]
        && message[HEADER_BYTES..query.len()].eq_ignore_ascii_case(&query[HEADER_BYTES..])
}

async fn by_udp(resolver: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let local = if resolver.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(resolver).await?;
    socket.send(query).await?;
    let mut buffer = [0; UDP_BYTES_MAX];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if answers(query, &buffer[..length]) {
            return Ok(buffer[..length].to_vec());
        }
    }
}

async fn by_tcp(resolver: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(resolver).await?;
    stream.write_all(&[&(query.len() as u16).to_be_bytes(), query].concat()).await?;
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Returns what a message says of the name and type that `query` asks for, its CNAMEs followed; `None` if it is no answer to that, fails, is cut, or
/// says more than [`ALIAS_ADDRESSES_MAX`] addresses. Both are of whatever bytes.
pub fn read(query: &[u8], message: &[u8]) -> Option<Addresses> {
    let asked = query.get(HEADER_BYTES..query.len().checked_sub(4)?)?;
    let rtype = u16::from_be_bytes([query[query.len() - 4], query[query.len() - 3]]);
    if !answers(query, message) || message[2] & 2 != 0 || message[3] & 15 != 0 {
        return None;
    }
    let records = wire::answers(message).ok()?;
    let (mut name, mut ttl_s) = (asked.to_ascii_lowercase(), u32::MAX);
    for _ in 0..=CNAME_HOPS_MAX {
        let here = records.iter().filter(|record| record.class == CLASS_IN && record.owner.as_bytes() == name);
        if let Some(alias) = here.clone().find(|record| record.rtype == TYPE_CNAME) {
            ttl_s = ttl_s.min(alias.ttl_s);
            name = alias.rdata.to_ascii_lowercase();
            continue;
        }
        let length = if rtype == TYPE_A { 4 } else { 16 };
        let mut rdata = Vec::new();
        for record in here.filter(|record| record.rtype == rtype && record.rdata.len() == length) {
            ttl_s = ttl_s.min(record.ttl_s);
            rdata.push(record.rdata.to_vec());
        }
        rdata.sort_unstable();
        rdata.dedup();
        return (rdata.len() <= ALIAS_ADDRESSES_MAX).then_some(Addresses { rdata, ttl_s });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const CDN: &[u8] = b"\x03cdn\x07example\0";

    /// Returns an answer to a query with these records: owner, type, TTL, data.
    fn message(query: &[u8], rcode: u8, records: &[(&[u8], u16, u32, &[u8])]) -> Vec<u8> {
        let mut message = query.to_vec();
        (message[2], message[3], message[7]) = (0x81, 0x80 | rcode, records.len() as u8);
        for (owner, rtype, ttl_s, rdata) in records {
            let length = (rdata.len() as u16).to_be_bytes();
            message.extend([owner, &rtype.to_be_bytes()[..], &[0, 1], &ttl_s.to_be_bytes(), &length, rdata].concat());
        }
        message
    }

    #[test]
    fn addresses_are_those_at_the_end_of_the_aliases() {
        let asked = query(CDN, TYPE_A, 7);
        let (edge, other) = (b"\x04edge\x07example\0".as_slice(), b"\x05other\x07example\0".as_slice());
        let said = message(
            &asked,
            0,
            &[
                (b"\xc0\x0c", TYPE_CNAME, 40, edge),
                (edge, TYPE_A, 90, &[192, 0, 2, 2]),
                (edge, TYPE_A, 90, &[192, 0, 2, 1]),
                (other, TYPE_A, 1, &[192, 0, 2, 9]),
            ],
        );
        let wanted = Addresses { rdata: vec![vec![192, 0, 2, 1], vec![192, 0, 2, 2]], ttl_s: 40 };
        assert_eq!(read(&asked, &said), Some(wanted));
        let none = Addresses { rdata: Vec::new(), ttl_s: u32::MAX };
        assert_eq!(read(&asked, &message(&asked, 0, &[])), Some(none));
    }

    #[test]
    fn what_does_not_answer_is_not_believed() {
        let asked = query(CDN, TYPE_A, 7);
        let a = (b"\xc0\x0c".as_slice(), TYPE_A, 60, [192, 0, 2, 1].as_slice());
        let good = message(&asked, 0, &[a]);
        assert!(read(&asked, &good).is_some());
        let other = |name: &[u8], rtype, id| message(&query(name, rtype, id), 0, &[a]);
        let mut cut = good.clone();
        cut[2] |= 2;
        let mut question = good.clone();
        question[2] &= 0x7F;
        let many: Vec<[u8; 4]> = (0..=ALIAS_ADDRESSES_MAX as u8).map(|last| [192, 0, 2, last]).collect();
        let many: Vec<_> = many.iter().map(|rdata| (a.0, TYPE_A, 60, rdata.as_slice())).collect();
        for (what, said) in [
            ("another id", other(CDN, TYPE_A, 8)),
            ("another name", other(b"\x03cdm\x07example\0", TYPE_A, 7)),
            ("another type", other(CDN, TYPE_AAAA, 7)),
            ("a failure", message(&asked, 2, &[a])),
            ("no such name", message(&asked, 3, &[])),
            ("cut", cut),
            ("no answer", question),
            ("too many", message(&asked, 0, &many)),
            ("a loop", message(&asked, 0, &[(b"\xc0\x0c", TYPE_CNAME, 60, CDN)])),
        ] {
            assert_eq!(read(&asked, &said), None, "{what}");
        }
        for end in 0..good.len() {
            assert_eq!(read(&asked, &good[..end]), None, "cut off at {end}");
        }
        assert_eq!(read(b"", &good), None);
        assert_eq!(
            read(&asked, &message(&asked, 0, &[(a.0, TYPE_A, 60, b"abc")])).map(|said| said.rdata.len()),
            Some(0)
        );
    }

    #[test]
    fn addresses_are_kept_for_an_hour_and_private_ones_not_taken() {
        assert_eq!(
            [(None, 7), (Some(7), 7), (Some(7), 3_606), (Some(7), 3_607)].map(|(good_s, now_s)| is_kept(good_s, now_s)),
            [false, true, true, false]
        );
        let row = |rtype, rdata: &[u8]| Row { owner: String::new(), rtype, rdata: rdata.to_vec(), ttl: 60 };
        assert!(is_public(&row(TYPE_A, &[198, 51, 100, 1])) && !is_public(&row(TYPE_A, &[10, 0, 0, 1])));
        assert!(!is_public(&row(TYPE_AAAA, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])));
    }

    #[test]
    fn resolvers_are_those_of_the_system_in_their_order() {
        let text = "# made by hand\nsearch example\nnameserver 192.0.2.1\n nameserver ::1 \nnameserver nobody\n";
        assert_eq!(resolvers_of(text), ["192.0.2.1:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
    }
}
