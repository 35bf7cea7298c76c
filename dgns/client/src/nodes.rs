//! The nodes of a lobby that has several, and which of them a private server stands at (PROTOCOL 23.16).
//!
//! A host's *home* and *second* node follow from the name; its owner certifies them as records of the name, so that clients go where it is even
//! while nodes do not reach each other. A record makes nobody go anywhere: whoever reads it goes to nodes that their own server names too.

use identity::cert::{Records, Row};
use identity::hash::domain_hash;
use identity::record::rtype;

use crate::session::Session;

/// The label below the name that owns the records.
pub const OWNER: &str = "_dgns-lobby";

/// How long resolvers may keep them, s.
const TTL_S: u32 = 300;

/// The parameter of SVCB that is a port.
const PORT: u16 = 3;

/// Returns the nodes in the order in which a name prefers them: by the first 8 bytes of `H(home-node; url, name)`, highest first.
pub fn in_order(name: &str, nodes: &[String]) -> Vec<String> {
    let weight = |url: &String| {
        let hash = domain_hash("dgns/home-node/v1", &[url.as_bytes(), name.as_bytes()]);
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        u64::from_be_bytes(first)
    };
    let mut nodes = nodes.to_vec();
    nodes.sort_by_key(|url| std::cmp::Reverse(weight(url)));
    nodes
}

/// Returns the records that name these nodes, the home first. `None`: a node has no name, but an address.
pub fn rows(nodes: &[String]) -> Option<Vec<Row>> {
    nodes.iter().zip(1..).map(|(url, priority)| row(priority, url)).collect()
}

fn row(priority: u16, url: &str) -> Option<Row> {
    let (host, port) = place(url)?;
    if host.parse::<std::net::IpAddr>().is_ok() || host.starts_with('[') {
        return None;
    }
    let mut rdata = priority.to_be_bytes().to_vec();
    for label in host.split('.') {
        rdata.push(u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?);
        rdata.extend_from_slice(label.as_bytes());
    }
    rdata.push(0);
    for number in [PORT, 2, port] {
        rdata.extend_from_slice(&number.to_be_bytes());
    }
    Some(Row { owner: OWNER.to_owned(), rtype: rtype::SVCB, ttl: TTL_S, rdata })
}

/// Returns the nodes that a name's records name, as host and port, the home first.
pub fn named(records: &Records) -> Vec<(String, u16)> {
    let rows = records.rows.iter().filter(|row| row.owner == OWNER && row.rtype == rtype::SVCB);
    let mut named: Vec<(u16, (String, u16))> = rows.filter_map(|row| read(&row.rdata)).collect();
    named.sort();
    named.into_iter().map(|(_, place)| place).collect()
}

fn read(rdata: &[u8]) -> Option<(u16, (String, u16))> {
    let (priority, mut rest) = rdata.split_first_chunk::<2>()?;
    let mut labels = Vec::new();
    loop {
        let (length, after) = rest.split_first()?;
        if *length == 0 {
            rest = after;
            break;
        }
        let (label, after) = after.split_at_checked(usize::from(*length))?;
        labels.push(std::str::from_utf8(label).ok()?);
        rest = after;
    }
    let port = rest.strip_prefix(&[0, PORT as u8, 0, 2])?;
    let port = u16::from_be_bytes(port.get(..2)?.try_into().ok()?);
    Some((u16::from_be_bytes(*priority), (labels.join("."), port)))
}

/// Returns where to attach to a lobby for the host of a name, best first: the nodes of its records, the session's own server, other nodes. Only
/// what the server names as nodes; the server alone, if it cannot be asked.
pub async fn ways(session: &Session, named: &[(String, u16)]) -> Vec<String> {
    let live = match session.info().await {
        Ok(info) => info.lobby.map(|lobby| lobby.nodes).unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    ordered(session.server(), &live, named)
}

/// As [`ways`], of these nodes that are there.
pub fn ordered(server: &str, live: &[String], named: &[(String, u16)]) -> Vec<String> {
    let of_records = named.iter().filter_map(|wanted| live.iter().find(|url| place(url).as_ref() == Some(wanted)));
    let mut ways: Vec<String> = Vec::new();
    for url in of_records.map(String::as_str).chain([server]).chain(live.iter().map(String::as_str)) {
        if !ways.iter().any(|way| way == url) {
            ways.push(url.to_owned());
        }
    }
    ways
}

/// Returns host and port of a URL.
pub fn place(url: &str) -> Option<(String, u16)> {
    let (rest, default) = match url.strip_prefix("https://") {
        Some(rest) => (rest, 443),
        None => (url.strip_prefix("http://")?, 80),
    };
    match rest.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some((host, port)) => Some((host.to_owned(), port.parse().ok()?)),
        None => Some((rest.to_owned(), default)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(urls: &[&str]) -> Vec<String> {
        urls.iter().map(|url| (*url).to_owned()).collect()
    }

    #[test]
    fn a_name_prefers_the_same_nodes_wherever_it_is_asked_and_others_take_over_its_load_evenly() {
        let nodes = urls(&["https://a.example", "https://b.example", "https://c.example"]);
        let reversed: Vec<String> = nodes.iter().rev().cloned().collect();
        let mut homes = std::collections::BTreeMap::<String, u32>::new();
        for n in 0..300 {
            let name = format!("db.n{n}.dgns.test");
            let order = in_order(&name, &nodes);
            assert_eq!(order, in_order(&name, &reversed));
            assert_eq!(in_order(&name, &order[1..]), order[1..], "the second takes over, and no other name moves");
            *homes.entry(order[0].clone()).or_default() += 1;
        }
        assert!(homes.values().all(|count| *count > 60), "{homes:?}");
    }

    #[test]
    fn records_name_nodes_and_nothing_makes_anybody_go_elsewhere() {
        let nodes = urls(&["https://b.example", "http://localhost:5380"]);
        let rows = rows(&nodes).unwrap();
        let set = Records { name: "db.alice.dgns.test".to_owned(), rows, aliases: Vec::new(), flags: 0 };
        assert_eq!(identity::record::check(&set), Ok(()));
        let named = named(&set);
        assert_eq!(named, [("b.example".to_owned(), 443), ("localhost".to_owned(), 5380)]);
        let live = urls(&["http://localhost:5380", "https://a.example", "https://c.example"]);
        let ways = ordered("https://c.example", &live, &named);
        assert_eq!(
            ways,
            ["http://localhost:5380", "https://c.example", "https://a.example"],
            "b is not among the nodes"
        );
        assert_eq!(ordered("https://c.example", &[], &named), ["https://c.example"]);
        for url in ["https://192.0.2.1", "https://[2001:db8::1]:1", "https://x..example", "ftp://b.example"] {
            assert_eq!(row(1, url), None, "{url}");
        }
        for end in 0..set.rows[0].rdata.len() {
            assert_eq!(read(&set.rows[0].rdata[..end]), None);
        }
    }
}
