use super::*;

const NAME: &str = "alice.dgns.test";

fn row(owner: &str, rtype: u16, rdata: &[u8]) -> Row {
    Row { owner: owner.into(), rtype, rdata: rdata.to_vec(), ttl: 60 }
}

fn records(rows: Vec<Row>) -> Records {
    Records { name: NAME.into(), rows, aliases: vec![], flags: 0 }.in_order()
}

/// The reason with which rows are refused, or "ok".
fn judge(rows: Vec<Row>) -> &'static str {
    check(&records(rows)).map_or_else(|bad| bad.reason.as_str(), |()| "ok")
}

fn check_one(owner: &str, rtype: u16, rdata: &[u8], expected: &str) {
    assert_eq!(judge(vec![row(owner, rtype, rdata)]), expected, "{owner} {rtype} {rdata:?}");
}

/// A name in wire form.
fn wire(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out
}

/// The data of SVCB or HTTPS.
fn svcb(priority: u16, target: &str, params: &[(u16, &[u8])]) -> Vec<u8> {
    let mut out = priority.to_be_bytes().to_vec();
    out.extend(wire(target));
    for (key, value) in params {
        out.extend(key.to_be_bytes());
        out.extend((value.len() as u16).to_be_bytes());
        out.extend_from_slice(value);
    }
    out
}

fn caa(flags: u8, tag: &str, value: &str) -> Vec<u8> {
    [&[flags, tag.len() as u8], tag.as_bytes(), value.as_bytes()].concat()
}

#[test]
fn ten_types_are_admitted_and_no_other() {
    for other in [0, 2, 6, 12, 15, 41, 43, 46, 48, 99, 250, 255, 256, 65_280, 65_535] {
        check_one("", other, b"\x00", "type");
    }
    assert_eq!(judge(vec![]), "ok");
}

#[test]
fn addresses_nobody_can_have_are_refused() {
    for good in [[192, 0, 2, 1], [10, 0, 0, 1], [127, 0, 0, 1], [223, 255, 255, 255], [1, 0, 0, 0]] {
        check_one("", rtype::A, &good, "ok");
    }
    for bad in [[0, 0, 0, 0], [0, 1, 2, 3], [224, 0, 0, 1], [240, 0, 0, 1], [255, 255, 255, 255]] {
        check_one("", rtype::A, &bad, "address");
    }
    for (text, expected) in [
        ("2001:db8::1", "ok"),
        ("3fff::1", "ok"),
        ("fd00::1", "ok"),
        ("fe80::1", "ok"),
        ("::1", "ok"),
        ("::", "address"),
        ("ff02::1", "address"),
        ("::ffff:192.0.2.1", "address"),
        ("64:ff9b::1", "address"),
        ("fec0::1", "address"),
        ("4000::", "address"),
    ] {
        let address: core::net::Ipv6Addr = text.parse().expect("an address");
        check_one("", rtype::AAAA, &address.octets(), expected);
    }
    check_one("", rtype::A, &[192, 0, 2], "rdata");
    check_one("", rtype::AAAA, &[192, 0, 2, 1], "rdata");
    check_one("_x", rtype::A, &[192, 0, 2, 1], "owner");
}

#[test]
fn a_private_address_is_for_the_server_to_refuse() {
    // Goal: auditors never judge it. Method: `check` admits what `check_public` refuses, hints included.
    let private = |rows: Vec<Row>| {
        assert_eq!(judge(rows.clone()), "ok");
        check_public(&records(rows)).map_or_else(|bad| bad.reason.as_str(), |()| "ok")
    };
    for address in [[10, 1, 2, 3], [172, 16, 0, 1], [192, 168, 0, 1], [127, 0, 0, 1], [169, 254, 1, 1], [100, 64, 0, 1]]
    {
        assert_eq!(private(vec![row("", rtype::A, &address)]), "private");
        assert_eq!(private(vec![row("", rtype::HTTPS, &svcb(1, "", &[(4, &address)]))]), "private");
    }
    for address in [[172, 32, 0, 1], [100, 128, 0, 1], [192, 0, 2, 1]] {
        assert_eq!(private(vec![row("", rtype::A, &address)]), "ok");
    }
    let ula: [u8; 16] = "fd00::1".parse::<core::net::Ipv6Addr>().expect("an address").octets();
    assert_eq!(private(vec![row("", rtype::AAAA, &ula)]), "private");
    assert_eq!(private(vec![row("_svc", rtype::SVCB, &svcb(1, "", &[(6, &ula)]))]), "private");
}

#[test]
fn owners_begin_with_an_underscore_and_are_not_the_servers() {
    let text = b"\x01x";
    for good in ["_x", "_acme-challenge", "_a._b._c", "_validation-persist"] {
        check_one(good, rtype::TXT, text, "ok");
    }
    for bad in ["x", "_", "_x.y", "_x.", "._x", "_X", "_x_y", "_-x", "_x-", "_x y"] {
        check_one(bad, rtype::TXT, text, "owner");
    }
    for reserved in ["_did", "_dgns", "_checkpoint", "_acme", "_proof", "_x._proof", "_did._x"] {
        check_one(reserved, rtype::TXT, text, "reserved");
    }
    check_one(&format!("_{}", "a".repeat(62)), rtype::TXT, text, "ok");
    check_one(&format!("_{}", "a".repeat(63)), rtype::TXT, text, "owner");
    let labels = ["_a"; 79].join(".");
    assert_eq!(labels.len() + 1 + NAME.len(), 252);
    check_one(&labels, rtype::TXT, text, "ok");
    check_one(&format!("_aaa.{labels}"), rtype::TXT, text, "owner");
}

#[test]
fn each_type_has_its_places() {
    let srv = [&[0, 1, 0, 1, 0, 80][..], &wire("host.example")].concat();
    let tlsa = [&[3, 1, 1][..], &[0; 32]].concat();
    let https = svcb(1, "", &[]);
    for (owner, rtype, rdata, expected) in [
        ("_http._tcp", rtype::SRV, &srv, "ok"),
        ("_sip._udp", rtype::SRV, &srv, "ok"),
        ("_http._sctp", rtype::SRV, &srv, "owner"),
        ("_http", rtype::SRV, &srv, "owner"),
        ("", rtype::SRV, &srv, "owner"),
        ("_443._tcp", rtype::TLSA, &tlsa, "ok"),
        ("_443._quic", rtype::TLSA, &tlsa, "owner"),
        ("_https._tcp", rtype::TLSA, &tlsa, "owner"),
        ("_0443._tcp", rtype::TLSA, &tlsa, "owner"),
        ("_65536._tcp", rtype::TLSA, &tlsa, "owner"),
        ("_0._tcp", rtype::TLSA, &tlsa, "owner"),
        ("", rtype::HTTPS, &https, "ok"),
        ("_foo", rtype::SVCB, &https, "ok"),
        ("_8443._https", rtype::HTTPS, &https, "ok"),
        ("_8443._foo", rtype::HTTPS, &https, "owner"),
        ("_ssh", rtype::SSHFP, &[&[4, 2][..], &[0; 32]].concat(), "owner"),
        ("_caa", rtype::CAA, &caa(0, "issue", ";"), "owner"),
    ] {
        check_one(owner, rtype, rdata, expected);
    }
}

#[test]
fn a_cname_stands_alone_and_leads_elsewhere() {
    let elsewhere = wire("host.example");
    check_one("", rtype::CNAME, &elsewhere, "ok");
    check_one("_acme-challenge", rtype::CNAME, &wire("d420.acme-dns.example"), "ok");
    check_one("", rtype::CNAME, &wire("_x.host.example"), "ok");
    check_one("", rtype::CNAME, &wire(NAME), "conflict");
    check_one("_x", rtype::CNAME, &wire("_x.alice.dgns.test"), "conflict");
    check_one("_x", rtype::CNAME, &wire(NAME), "ok");
    let cname = row("", rtype::CNAME, &elsewhere);
    assert_eq!(judge(vec![cname.clone(), row("", rtype::A, &[192, 0, 2, 1])]), "conflict");
    assert_eq!(judge(vec![cname.clone(), row("", rtype::CNAME, &wire("other.example"))]), "conflict");
    assert_eq!(judge(vec![cname, row("_x", rtype::TXT, b"\x01x")]), "ok");
}

#[test]
fn names_in_data_are_whole_uncompressed_and_lower_case() {
    let too_long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(62)].join(".");
    for bad in [
        vec![],
        vec![0],
        b"\x01a".to_vec(),
        b"\x02a\x00".to_vec(),
        b"\xc0\x0c".to_vec(),
        b"\x01A\x00".to_vec(),
        b"\x01.\x00".to_vec(),
        b"\x01a\x00\x00".to_vec(),
        wire(&too_long),
        [&[64][..], &[b'a'; 64], &[0]].concat(),
    ] {
        check_one("", rtype::CNAME, &bad, "rdata");
    }
    check_one("", rtype::CNAME, &wire(&too_long[1..]), "ok");
    check_one("_x._tcp", rtype::SRV, &[&[0; 6][..], &wire("")].concat(), "ok");
    check_one("_x._tcp", rtype::SRV, &[0; 6], "rdata");
    check_one("_x._tcp", rtype::SRV, &[0; 8], "rdata");
}

#[test]
fn text_is_strings_behind_their_lengths() {
    check_one("", rtype::TXT, b"\x00", "ok");
    check_one("", rtype::TXT, b"\x03abc\x02de", "ok");
    for bad in [&b""[..], b"\x03ab", b"\x01ab"] {
        check_one("", rtype::TXT, bad, "rdata");
    }
}

#[test]
fn digests_have_the_length_their_algorithm_gives() {
    for (head, len, expected) in [
        ([3, 1, 1], 32, "ok"),
        ([3, 1, 1], 31, "rdata"),
        ([3, 1, 2], 64, "ok"),
        ([3, 1, 2], 32, "rdata"),
        ([3, 0, 0], 1, "ok"),
        ([3, 0, 0], 0, "rdata"),
        ([4, 0, 1], 32, "rdata"),
        ([3, 2, 1], 32, "rdata"),
        ([3, 1, 3], 32, "rdata"),
    ] {
        check_one("_443._tcp", rtype::TLSA, &[&head[..], &vec![0; len]].concat(), expected);
    }
    for (head, len, expected) in
        [([4, 2], 32, "ok"), ([1, 2], 32, "ok"), ([4, 1], 20, "rdata"), ([4, 2], 31, "rdata"), ([5, 2], 32, "rdata")]
    {
        check_one("", rtype::SSHFP, &[&head[..], &vec![0; len]].concat(), expected);
    }
    check_one("_443._tcp", rtype::TLSA, &[3, 1], "rdata");
    check_one("", rtype::SSHFP, &[], "rdata");
}

#[test]
fn caa_speaks_of_issuers_alone() {
    for (flags, tag, value, expected) in [
        (0, "issue", "ca.example", "ok"),
        (128, "issue", "ca.example; accounturi=https://ca.example/acct/1; validationmethods=dns-01", "ok"),
        (0, "issuewild", ";", "ok"),
        (0, "issue", "", "ok"),
        (0, "iodef", "https://alice.example/report", "ok"),
        (1, "issue", "ca.example", "rdata"),
        (0, "Issue", "ca.example", "rdata"),
        (0, "issuemail", "ca.example", "rdata"),
        (0, "issue", "CA.example", "rdata"),
        (0, "issue", "ca.example; policy=ev", "rdata"),
        (0, "issue", "ca.example; accounturi", "rdata"),
        (0, "issue", "ca.example; accounturi=", "rdata"),
        (0, "issue", "ca.example\n", "rdata"),
        (0, "iodef", "ftp://alice.example", "rdata"),
    ] {
        check_one("", rtype::CAA, &caa(flags, tag, value), expected);
    }
    check_one("", rtype::CAA, &[0, 9, b'i'], "rdata");
    check_one("", rtype::CAA, &[0], "rdata");
}

#[test]
fn service_parameters_ascend_and_have_their_forms() {
    let h2: &[u8] = b"\x02h2";
    for (params, expected) in [
        (&[(1u16, h2), (3, &[1, 187])][..], "ok"),
        (&[(3, &[1, 187]), (1, h2)], "rdata"),
        (&[(1, h2), (1, h2)], "rdata"),
        (&[(0, &[0, 1]), (1, h2)], "ok"),
        (&[(0, &[0, 3]), (1, h2)], "rdata"),
        (&[(0, &[0, 0]), (1, h2)], "rdata"),
        (&[(0, &[0, 1, 0]), (1, h2)], "rdata"),
        (&[(0, &[0, 3, 0, 1]), (1, h2), (3, &[1, 187])], "rdata"),
        (&[(0, &[]), (1, h2)], "rdata"),
        (&[(1, &[])], "rdata"),
        (&[(1, &[0])], "rdata"),
        (&[(1, &[3, b'h', b'2'])], "rdata"),
        (&[(1, h2), (2, &[])], "ok"),
        (&[(2, &[])], "rdata"),
        (&[(1, h2), (2, &[1])], "rdata"),
        (&[(3, &[1])], "rdata"),
        (&[(4, &[192, 0, 2, 1])], "ok"),
        (&[(4, &[])], "rdata"),
        (&[(4, &[192, 0, 2])], "rdata"),
        (&[(4, &[224, 0, 0, 1])], "address"),
        (&[(5, &[1])], "ok"),
        (&[(5, &[])], "rdata"),
        (&[(6, &[0; 16])], "address"),
        (&[(6, &[0; 15])], "rdata"),
        (&[(7, b"/dns-query{?dns}")], "ok"),
        (&[(7, b"dns-query")], "rdata"),
        (&[(8, &[])], "ok"),
        (&[(8, &[1])], "rdata"),
        (&[(65_280, &[0; 16])], "ok"),
        (&[(65_280, &[0; 15])], "rdata"),
        (&[(400, &[1, 2, 3])], "ok"),
        (&[(65_535, &[])], "rdata"),
    ] {
        check_one("", rtype::HTTPS, &svcb(1, "", params), expected);
    }
    check_one("", rtype::HTTPS, &svcb(0, "host.example", &[]), "ok");
    check_one("", rtype::HTTPS, &svcb(0, "host.example", &[(1, h2)]), "rdata");
    check_one("", rtype::HTTPS, &[0, 1], "rdata");
    check_one("", rtype::HTTPS, &[], "rdata");
    check_one("", rtype::HTTPS, &[&svcb(1, "", &[])[..], &[0, 1, 0]].concat(), "rdata");
    check_one("", rtype::HTTPS, &[&svcb(1, "", &[])[..], &[0, 5, 0, 2, 0]].concat(), "rdata");
}

#[test]
fn times_to_live_are_bounded_and_one_for_a_set() {
    for (ttl, expected) in [(29, "ttl"), (30, "ok"), (3_600, "ok"), (3_601, "ttl")] {
        assert_eq!(judge(vec![Row { ttl, ..row("", rtype::A, &[192, 0, 2, 1]) }]), expected, "{ttl}");
    }
    let (first, second) = (row("", rtype::A, &[192, 0, 2, 1]), row("", rtype::A, &[192, 0, 2, 2]));
    assert_eq!(judge(vec![first.clone(), Row { ttl: 61, ..second }]), "ttl");
    assert_eq!(judge(vec![first, Row { ttl: 61, ..row("", rtype::TXT, b"\x01x") }]), "ok");
}

#[test]
fn amounts_are_bounded() {
    let addresses = |n: u8| (0..n).map(|i| row("", rtype::A, &[192, 0, 2, i])).collect::<Vec<_>>();
    assert_eq!(judge(addresses(8)), "ok");
    assert_eq!(judge(addresses(9)), "too_many");
    let texts = |n: usize, bytes: u8| {
        let text = [&[bytes][..], &vec![b'x'; usize::from(bytes)]].concat();
        (0..n).map(|i| row(&format!("_t{i:02}"), rtype::TXT, &text)).collect::<Vec<_>>()
    };
    assert_eq!(judge(texts(16, 1)), "ok");
    assert_eq!(judge(texts(17, 1)), "too_many");
    assert_eq!(judge(texts(16, 191)), "ok");
    assert_eq!(judge(texts(16, 192)), "too_many");
    let one_set = |n: u8| (0..n).map(|i| row("", rtype::TXT, &[1, i])).collect::<Vec<_>>();
    assert_eq!(judge(one_set(32)), "ok");
    assert_eq!(judge(one_set(33)), "too_many");
    let long = |i: u8| row("", rtype::TXT, &[&[255][..], &[i; 255]].concat());
    assert_eq!(judge((0..4).map(long).collect()), "ok");
    assert_eq!(judge((0..4).map(long).chain([row("", rtype::TXT, b"\x00")]).collect()), "too_many");
    let services = |n: u16| (0..n).map(|i| row("", rtype::HTTPS, &svcb(i + 1, "", &[]))).collect::<Vec<_>>();
    assert_eq!(judge(services(4)), "ok");
    assert_eq!(judge(services(5)), "too_many");
    let too_many = check(&records(addresses(9))).map_err(|bad| bad.code());
    assert_eq!(too_many, Err("too_many"));
}

#[test]
fn aliases_are_foreign_host_names() {
    let judge = |aliases: &[&str]| {
        let aliases = aliases.iter().map(|alias| alias.to_string()).collect();
        check(&Records { aliases, ..records(vec![]) }).map_or_else(|bad| bad.reason.as_str(), |()| "ok")
    };
    assert_eq!(judge(&["db.owner.example"]), "ok");
    assert_eq!(judge(&["notalice.dgns.test"]), "ok");
    for bad in ["example", "DB.owner.example", "_x.owner.example", "owner.example.", "", NAME, "db.alice.dgns.test"] {
        assert_eq!(judge(&[bad]), "owner", "{bad}");
    }
    assert_eq!(judge(&["a.b", "c.d", "e.f", "g.h", "i.j", "k.l", "m.n", "o.p"]), "ok");
    assert_eq!(judge(&["a.b", "c.d", "e.f", "g.h", "i.j", "k.l", "m.n", "o.p", "q.r"]), "too_many");
}

#[test]
fn a_refusal_names_the_row() {
    let bad = check(&records(vec![row("", rtype::A, &[192, 0, 2, 1]), row("_x", rtype::TXT, b"")]));
    assert_eq!(bad, Err(BadRecord { reason: Reason::Rdata, row: Some(1) }));
    assert_eq!(bad.map_err(|bad| bad.code()), Err("bad_record"));
}
