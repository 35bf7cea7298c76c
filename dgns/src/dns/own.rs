//! The operator's own records: a fragment of a zone file, for the zone's name, names that nobody can claim, and labels with an underscore that are free
//! (`[dns] apex_file`).
//!
//! Each line is judged by itself, so that whatever is wrong is said with its line. Nothing here can stand where a user's record could.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use identity::cert::Row;
use identity::name::{Zone as ZoneName, is_label, is_the_operators};

use super::hickory::zonefile::{self, Written};
use super::limits::{OWN_BYTES_MAX, OWN_FILE_BYTES_MAX, OWN_RECORDS_MAX, OWN_TTL_S_MAX};
use super::name;
use super::zone::CHALLENGE;

const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_AAAA: u16 = 28;

/// The types that the server makes itself, or that mean nothing in a zone.
const TYPES_OF_THE_SERVER: [u16; 15] = [0, 2, 6, 25, 39, 41, 43, 46, 47, 48, 50, 51, 59, 60, 63];

/// Labels that the server fills itself (PROTOCOL 4.5), and the one below which ACME clients have their places.
const LABELS_OF_THE_SERVER: [&str; 5] = ["_acme", "_checkpoint", "_dgns", "_did", "_proof"];
const CLIENTS_LABEL: &str = "auth";

/// The TTL of records without one, seconds, until `$TTL` says another.
const TTL_S: u32 = 3_600;

/// Why a file is refused: one line of it, or all. Fault: the operator.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// It cannot be read, or is longer than [`OWN_FILE_BYTES_MAX`].
    #[error("[dns] apex_file {path}: {error}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A line.
    #[error("[dns] apex_file {path}, line {line}: {what}", path = .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
}

/// Records of the operator by the name they stand at: wire labels below the zone, empty for its own name. The owners of rows are the labels with an
/// underscore, and what is below them.
pub(crate) type OwnRecords = BTreeMap<Vec<u8>, Vec<Row>>;

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) records: OwnRecords,
    /// The name, in wire form, that the zone's own name takes its addresses from.
    pub(crate) alias: Option<Vec<u8>>,
}

/// Reads the records of a file. `challenged` are the names whose ACME challenges the server answers. Errors: [`OwnError`], the first line that is wrong.
pub(crate) fn read(path: &Path, zone: &ZoneName, challenged: &[String]) -> Result<Own, OwnError> {
    let refused = |error| OwnError::Io { path: path.to_owned(), error };
    let length = std::fs::metadata(path).map_err(refused)?.len();
    if length > OWN_FILE_BYTES_MAX {
        return Err(refused(io::Error::other(format!("is {length} bytes, should be at most {OWN_FILE_BYTES_MAX}"))));
    }
    let text = std::fs::read_to_string(path).map_err(refused)?;
    parse(&text, zone, challenged).map_err(|(line, what)| OwnError::Line { path: path.to_owned(), line, what })
}

/// Reads the records of a text. Errors: the line that is wrong, counted from 1, and what is wrong with it.
pub(crate) fn parse(text: &str, zone: &ZoneName, challenged: &[String]) -> Result<Own, (usize, String)> {
    let mut alias = None;
    let (mut records, mut seen, mut ttl_s, mut bytes) = (OwnRecords::new(), HashSet::new(), TTL_S, 0);
    for (at, line) in text.lines().enumerate() {
        let refused = |what: String| (at + 1, what);
        if let Some(rest) = line.strip_prefix("$TTL") {
            ttl_s = rest
                .split(';')
                .next()
                .unwrap_or("")
                .trim()
                .parse()
                .map_err(|_| refused("no TTL in seconds".to_owned()))?;
            continue;
        }
        if let Some(target) = alias_of(line, zone).map_err(refused)? {
            match alias.replace((at + 1, target)) {
                Some(_) => return Err(refused("a second ALIAS".to_owned())),
                None => continue,
            }
        }
        let Some(written) = zonefile::record(line, &format!("{zone}."), ttl_s).map_err(refused)? else { continue };
        let (labels, row) = judge(written, zone, challenged).map_err(refused)?;
        bytes += row.rdata.len();
        if !seen.insert((labels.clone(), row.owner.clone(), row.rtype, row.rdata.clone())) {
            return Err(refused("stands there twice".to_owned()));
        }
        if seen.len() > OWN_RECORDS_MAX || bytes > OWN_BYTES_MAX {
            return Err(refused(format!("is above {OWN_RECORDS_MAX} records, or {OWN_BYTES_MAX} bytes of data")));
        }
        let rows = records.entry(labels).or_default();
        admit(rows, &row).map_err(refused)?;
        rows.push(row);
    }
    let is_address = |row: &Row| row.owner.is_empty() && [TYPE_A, TYPE_AAAA].contains(&row.rtype);
    match alias {
        Some((line, _)) if records.get(&b""[..]).is_some_and(|rows| rows.iter().any(is_address)) => {
            Err((line, "ALIAS beside an address of the zone's own name".to_owned()))
        }
        alias => Ok(Own { records, alias: alias.map(|(_, target)| target) }),
    }
}

/// Returns the name that a line makes the zone's own name take its addresses from; `None` if it is another line.
fn alias_of(line: &str, zone: &ZoneName) -> Result<Option<Vec<u8>>, String> {
    let words: Vec<&str> = line.split(';').next().unwrap_or("").split_whitespace().collect();
    let is_before_type =
        |word: &&&str| word.eq_ignore_ascii_case("IN") || word.bytes().all(|byte| byte.is_ascii_digit());
    let at = 1 + words.iter().skip(1).take_while(is_before_type).count();
    if !words.get(at).is_some_and(|word| word.eq_ignore_ascii_case("ALIAS")) {
        return Ok(None);
    }
    let origin = format!("{zone}.");
    let [target] = words[at + 1..] else { return Err("ALIAS leads to one name".to_owned()) };
    let is_own = words[0] == "@" || words[0].eq_ignore_ascii_case(&origin);
    if !is_own || words[1..at].iter().any(|word| !word.eq_ignore_ascii_case("IN")) {
        return Err("ALIAS stands at the zone's own name alone, without a TTL: write @ ALIAS cdn.example.".to_owned());
    }
    let written = zonefile::record(&format!("@ CNAME {target}"), &origin, TTL_S)?.ok_or("ALIAS without a name")?;
    let apex = [name::labels_of(zone.as_str()).unwrap_or_default(), vec![0]].concat();
    match name::place(&written.rdata, &apex) {
        Some(_) => Err(format!("ALIAS leads to a name outside of {zone}, with its final dot")),
        None => Ok(Some(written.rdata)),
    }
}

/// Returns where a record stands, if it may stand there.
fn judge(written: Written, zone: &ZoneName, challenged: &[String]) -> Result<(Vec<u8>, Row), String> {
    let Written { owner, rtype, ttl_s, rdata } = written;
    if TYPES_OF_THE_SERVER.contains(&rtype) || (128..256).contains(&rtype) {
        return Err(format!("type {rtype} is the server's own, or none of a zone"));
    }
    if !(1..=OWN_TTL_S_MAX).contains(&ttl_s) {
        return Err(format!("the TTL is {ttl_s}, should lie in 1..={OWN_TTL_S_MAX}"));
    }
    let apex = [name::labels_of(zone.as_str()).unwrap_or_default(), vec![0]].concat();
    let place = name::place(&owner, &apex).ok_or_else(|| format!("is not in {zone}"))?;
    let (below, text) = (name::text_of(place.owner), name::text_of(place.name));
    let host = if text.is_empty() { zone.to_string() } else { format!("{text}.{zone}") };
    let is_of_clients = text.rsplit('.').next() == Some(CLIENTS_LABEL);
    if !text.is_empty() && (is_of_clients || !is_the_operators(&host, zone)) {
        return Err(format!(
            "{host} could be claimed by a user: only {zone}, reserved names and labels with an underscore are the operator's"
        ));
    }
    let labels: Vec<&str> = below.split_terminator('.').collect();
    // Not even a wildcard: resolvers and secondaries would make answers of it that this server denies.
    let is_plain = |label: &&str| is_label(label.strip_prefix('_').unwrap_or(label));
    if name::labels_of(&below).as_deref() != Some(place.owner) || !labels.iter().all(is_plain) {
        return Err(format!(
            "{below:?} is no name: labels are letters, digits and hyphens, behind an underscore or none"
        ));
    }
    if labels.iter().any(|label| LABELS_OF_THE_SERVER.contains(label)) {
        return Err(format!("{below:?} is the server's own"));
    }
    if labels.last() == Some(&CHALLENGE) && challenged.contains(&host) {
        return Err(format!("the server answers the challenges of {host} itself (dns.tls.acme_names)"));
    }
    if rtype == TYPE_CNAME && host == zone.as_str() && below.is_empty() {
        return Err("a CNAME cannot stand at the zone's own name".to_owned());
    }
    Ok((place.name.to_vec(), Row { owner: below, rtype, rdata, ttl: ttl_s }))
}

/// Whether a record may stand beside the others of its name.
fn admit(rows: &[Row], row: &Row) -> Result<(), String> {
    let mut beside = rows.iter().filter(|other| other.owner == row.owner);
    if beside.clone().any(|other| other.rtype == TYPE_CNAME || row.rtype == TYPE_CNAME) {
        return Err("a CNAME stands alone at its name".to_owned());
    }
    match beside.find(|other| other.rtype == row.rtype && other.ttl != row.ttl) {
        Some(other) => Err(format!("the TTL is {}, that of a record before of its type is {}", row.ttl, other.ttl)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Own, (usize, String)> {
        parse(text, &ZoneName::parse("dgns.test").expect("a zone"), &["ns.dgns.test".to_owned()])
    }

    #[test]
    fn records_stand_where_nobody_can_claim_a_name() {
        let text = "; ours\n$TTL 120 ; two minutes\n@ A 192.0.2.1\n\n@ 60 MX 10 mail\n_dmarc TXT \"x\"\nWWW A 192.0.2.2\na.b.ns AAAA ::1\n_x.www TXT y\nk1._domainkey TXT z\n";
        let Own { records, alias } = read(text).expect("a file");
        assert_eq!(alias, None);
        let shown: Vec<_> = records
            .iter()
            .flat_map(|(labels, rows)| {
                rows.iter().map(|row| format!("{}|{}|{}|{}", name::text_of(labels), row.owner, row.rtype, row.ttl))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "||1|120",
                "||15|60",
                "|_dmarc|16|120",
                "|k1._domainkey|16|120",
                "a.b.ns||28|120",
                "www||1|120",
                "www|_x|16|120"
            ]
        );
    }

    #[test]
    fn what_a_user_could_claim_or_the_server_says_is_refused_with_its_line() {
        for (line, what) in [
            ("alice A 192.0.2.1", "claimed"),
            ("www.alice A 192.0.2.1", "claimed"),
            ("_x.alice TXT y", "claimed"),
            ("nobody.auth TXT y", "claimed"),
            ("auth A 192.0.2.1", "claimed"),
            ("www.example. A 192.0.2.1", "not in dgns.test"),
            ("_proof NS ns", "type 2"),
            ("_x._proof TXT y", "server's own"),
            ("_checkpoint TXT y", "server's own"),
            ("_did.www TXT y", "server's own"),
            ("*._domainkey TXT y", "no name"),
            ("_x.*._y.www TXT y", "no name"),
            ("*.www A 192.0.2.1", "claimed"),
            ("* TXT y", "claimed"),
            ("_x- TXT y", "no name"),
            ("_acme TXT y", "server's own"),
            ("_acme-challenge.ns CNAME elsewhere.example.", "itself"),
            ("@ NS ns", "type 2"),
            ("@ SOA ns hostmaster 1 2 3 4 5", "type 6"),
            ("@ CNAME www", "own name"),
            ("www DNSKEY 256 3 13 AAAA", ""),
            ("www 0 A 192.0.2.1", "TTL is 0"),
            ("www 70000 A 192.0.2.1", "TTL is 70000"),
            ("www CNAME ns", "alone"),
            ("www 60 A 192.0.2.8", "TTL is 60"),
            ("www A 192.0.2.9", "twice"),
            ("www A 192.0.2.", ""),
            ("www ALIAS cdn.example.", "zone's own name"),
            ("@ 60 ALIAS cdn.example.", "without a TTL"),
            ("@ ALIAS www", "outside"),
            ("@ ALIAS @", ""),
            ("@ ALIAS", ""),
            ("@ ALIAS a.example. b.example.", ""),
            ("$TTL soon", "no TTL"),
            ("$INCLUDE /etc/passwd", "directive"),
        ] {
            let (at, said) = read(&format!("\nwww A 192.0.2.9\n{line}\n")).expect_err(line);
            assert!(at == 3 && said.contains(what), "{line}: line {at}: {said}");
        }
        assert!(read("_acme-challenge.www CNAME elsewhere.example.").is_ok(), "no name of the certificate");
        let many: String = (0..=OWN_RECORDS_MAX).map(|n| format!("_x{n} TXT y\n")).collect();
        assert_eq!(read(&many).expect_err("too many").0, OWN_RECORDS_MAX + 1);
        let long: String = (0..=OWN_BYTES_MAX / 251).map(|n| format!("_x{n} TXT {}\n", "y".repeat(250))).collect();
        assert!(read(&long).expect_err("too long").1.contains("bytes"));
    }

    #[test]
    fn an_alias_stands_alone_with_no_address_beside_it() {
        let alias = |line: &str| read(line).map(|own| own.alias);
        let wanted = Ok(Some(b"\x03cdn\x07example\0".to_vec()));
        assert_eq!(alias("@ ALIAS CDN.example. ; there"), wanted);
        assert_eq!(alias("@ MX 10 mail\nDGNS.test. IN alias cdn.example.\nwww A 192.0.2.1"), wanted);
        assert_eq!(
            alias("alias TXT x").map_err(|(_, what)| what.contains("claimed")),
            Err(true),
            "a name like any other"
        );
        for text in [
            "@ ALIAS cdn.example.\n@ ALIAS cdn.example.",
            "@ ALIAS cdn.example.\n@ A 192.0.2.1",
            "@ AAAA ::1\n@ ALIAS cdn.example.\n@ TXT x",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, zone) = (directory.path().join("apex"), ZoneName::parse("dgns.test").expect("a zone"));
        let said = || super::read(&path, &zone, &[]).expect_err("refused").to_string();
        assert!(said().contains("apex_file") && said().contains("apex:"), "{}", said());
        std::fs::write(&path, "alice A 192.0.2.1\n").expect("it is written");
        assert!(said().contains("apex, line 1: alice.dgns.test could be claimed"), "{}", said());
        std::fs::write(&path, " ".repeat(OWN_FILE_BYTES_MAX as usize + 1)).expect("it is written");
        assert!(said().contains("at most"), "{}", said());
    }
}
