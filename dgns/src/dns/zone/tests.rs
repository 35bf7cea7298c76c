use super::*;

const ZONE: &str = "dgns.test";

fn zone() -> Zone {
    let zone = Zone::new(ZONE, &Settings::for_zone(ZONE)).expect("the default settings are valid");
    zone.set_ready();
    zone
}

fn bound(name: &str, flags: u32, rows: &[Row]) -> Change {
    let content =
        Content { did: Some(Did::from_bytes([7; 20])), log_index: 41, flags, rows: rows.to_vec(), is_cut: false };
    Change { name: format!("{name}.{ZONE}"), content: Some(content) }
}

fn gone(name: &str) -> Change {
    Change { name: format!("{name}.{ZONE}"), content: None }
}

fn exists(zone: &Zone, name: &str) -> bool {
    let labels = zone.labels_below(&format!("{name}.{ZONE}")).expect("a name of the zone");
    zone.read(&labels, |card| card.is_some_and(CardRef::exists))
}

fn address(last: u8) -> Row {
    Row { owner: String::new(), rtype: TYPE_A, rdata: vec![192, 0, 2, last], ttl: 60 }
}

#[test]
fn content_is_what_was_applied_last() {
    let zone = zone();
    zone.apply(vec![bound("alice", 0, &[]), bound("alice", 2, &[address(1)])], 5).expect("valid changes");
    let content = zone.content("alice.dgns.test").expect("alice is bound");
    assert_eq!((content.flags, content.log_index, content.rows), (2, 41, vec![address(1)]));
    assert_eq!((zone.names(), zone.serial()), (1, 5));
    zone.apply(vec![gone("alice"), gone("bob")], 6).expect("valid changes");
    assert_eq!((zone.content("alice.dgns.test"), zone.names(), zone.serial()), (None, 0, 6));
}

#[test]
fn parent_exists_as_long_as_a_name_below_does() {
    // Goal: names that nobody owns, or that are hidden, exist exactly while something below them does, however deep.
    let zone = zone();
    zone.apply(vec![bound("a.b.c", 0, &[]), bound("x.b.c", 0, &[])], 1).expect("valid changes");
    assert!(exists(&zone, "b.c") && exists(&zone, "c"));
    zone.apply(vec![bound("c", 1, &[]), bound("a.b.c", 1, &[])], 2).expect("valid changes");
    assert!(!exists(&zone, "a.b.c") && exists(&zone, "b.c") && exists(&zone, "c"));
    zone.apply(vec![gone("x.b.c")], 3).expect("valid changes");
    assert!(!exists(&zone, "b.c") && !exists(&zone, "c"), "only hidden names are left");
    zone.apply(vec![bound("c", 0, &[]), gone("a.b.c"), gone("c")], 4).expect("valid changes");
    assert_eq!(zone.names(), 0);
    assert_eq!(zone.cards.len(), 1, "the operator's name server alone");
}

#[test]
fn counts_agree_with_a_recount_after_random_changes() {
    // Goal: the incremental counts of names below are those of a zone built from nothing. Method: 20,000 changes over 150 names
    // from a fixed xorshift, then compare existence with the definition.
    let zone = zone();
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let mut model = std::collections::BTreeMap::new();
    for _ in 0..20_000 {
        let depth = 1 + next(3);
        let name: Vec<String> = (0..depth).map(|_| format!("n{}", next(5))).collect();
        let name = name.join(".");
        match next(4) {
            0 => zone.apply(vec![gone(&name)], 0).map(|()| model.remove(&name)),
            flags => {
                zone.apply(vec![bound(&name, flags as u32 & 1, &[])], 0).map(|()| model.insert(name, flags & 1 == 0))
            }
        }
        .expect("valid changes");
    }
    for a in 0..5 {
        for b in 0..5 {
            for name in [format!("n{a}"), format!("n{a}.n{b}"), format!("n0.n{a}.n{b}")] {
                let below = format!(".{name}");
                let wanted = model.iter().any(|(known, &shown)| shown && (*known == name || known.ends_with(&below)));
                assert_eq!(exists(&zone, &name), wanted, "{name}");
            }
        }
    }
    assert_eq!(zone.names(), model.len() as u64);
}

#[test]
fn refused_change_leaves_the_others_undone() {
    let zone = zone();
    let outside = Change { name: "alice.example".to_owned(), content: None };
    let refused = zone.apply(vec![bound("alice", 0, &[]), outside], 9).expect_err("not a name of the zone");
    assert_eq!((refused.code(), zone.names(), zone.serial()), ("dns_name", 0, 0));
    let long = Row { owner: "_a..b".to_owned(), ..address(1) };
    assert_eq!(zone.apply(vec![bound("alice", 0, &[long])], 9).expect_err("no owner").code(), "dns_row");
    for name in ["", ".", "a..b", &"a.".repeat(130)] {
        let change = Change { name: format!("{name}.{ZONE}"), content: None };
        assert_eq!(zone.apply(vec![change], 9).expect_err("no name").code(), "dns_name", "{name}");
    }
}

#[test]
fn operators_name_is_not_anybodys() {
    let mut settings = Settings::for_zone(ZONE);
    settings.nameservers[0].addresses = vec!["192.0.2.53".parse().expect("an address")];
    let zone = Zone::new(ZONE, &settings).expect("valid settings");
    zone.apply(vec![bound("ns", 0, &[address(1)]), gone("ns")], 1).expect("valid changes");
    assert_eq!((zone.content("ns.dgns.test"), zone.names()), (None, 0));
    assert!(exists(&zone, "ns"));
}

#[test]
fn servers_of_proofs_are_those_that_are_named() {
    // Goal: `_proof` has servers of its own where some are named, in its records and in its SOA, and their names are nobody's.
    let lines = |proofs: &[&str]| {
        let mut settings = Settings::for_zone(ZONE);
        settings.proof_nameservers = proofs.iter().map(|host| (*host).to_owned()).collect();
        let zone = Zone::new(ZONE, &settings).expect("valid settings");
        zone.apply(vec![bound("www", 0, &[address(1)])], 1).expect("valid changes");
        assert_eq!(zone.content("www.dgns.test").is_some(), proofs.is_empty());
        let mut out = Vec::new();
        zone.write(&mut out).expect("memory takes it");
        let text = String::from_utf8(out).expect("a zone file is text");
        let own = |owner: &str| text.lines().filter(|line| line.starts_with(owner)).map(str::to_owned).collect();
        (own("_proof.dgns.test."), zone.apex.proof_servers.soa_names.clone())
    };
    let ns = |host: &str| format!("_proof.dgns.test. 3600 IN NS {host}.");
    let (records, soa): (Vec<String>, _) = lines(&[]);
    assert_eq!((records, soa.starts_with(b"\x02ns\x04dgns")), (vec![ns("ns.dgns.test")], true));
    let (records, soa) = lines(&["WWW.dgns.test", "proofs.example"]);
    assert_eq!((records, soa.starts_with(b"\x03www\x04dgns")), (vec![ns("www.dgns.test"), ns("proofs.example")], true));
}

#[test]
fn challenges_stand_at_names_of_the_operator_alone() {
    let mut settings = Settings::for_zone(ZONE);
    settings.nameservers[0].addresses = vec!["192.0.2.53".parse().expect("an address")];
    let zone = Zone::new(ZONE, &settings).expect("valid settings");
    zone.apply(vec![bound("alice", 0, &[])], 1).expect("valid changes");
    let rows = |name: &str| {
        let labels = zone.labels_below(&format!("{name}.{ZONE}")).expect("a name of the zone");
        zone.read(&labels, |card| card.map(rows_of).unwrap_or_default())
    };
    zone.set_challenges("ns.dgns.test", &["one".to_owned(), "two".to_owned()]).expect("its own name");
    let texts: Vec<Vec<u8>> =
        rows("ns").into_iter().filter(|row| row.owner == CHALLENGE).map(|row| row.rdata).collect();
    assert_eq!((texts, rows("ns").len()), (vec![b"\x03one".to_vec(), b"\x03two".to_vec()], 3));
    zone.set_challenges("ns.dgns.test", &[]).expect("its own name");
    assert_eq!(rows("ns").len(), 1, "the address stays");
    let long = "x".repeat(256);
    for (name, text, code) in
        [("alice.dgns.test", "x", "dns_name"), ("ns.example", "x", "dns_name"), ("ns.dgns.test", &long, "dns_row")]
    {
        assert_eq!(zone.set_challenges(name, &[text.to_owned()]).expect_err("refused").code(), code, "{name}");
    }
    assert_eq!((rows("alice").len(), zone.names()), (0, 1));
}

#[test]
fn addresses_of_an_alias_are_those_that_were_found_last() {
    // Goal: fresh, old and lost addresses, as each is answered; other records of the zone's own name stay as they are.
    use super::super::answer::{Asker, Outcome, Transport, answer};
    let mx = Row { owner: String::new(), rtype: 15, rdata: b"\0\x0a\0".to_vec(), ttl: 60 };
    let own = Own { records: [(Vec::new(), vec![mx])].into(), alias: Some(b"\x03cdn\x07example\0".to_vec()) };
    let zone =
        Zone::new(ZONE, &Settings::for_zone(ZONE)).expect("valid settings").with_own(own).expect("valid records");
    zone.set_ready();
    let cookies = super::super::cookie::Cookies::new([7; 32]);
    // The code, the count of answers, and the extended error.
    let said = |rtype: u8| {
        let query = [
            b"\0\x01\0\0\0\x01\0\0\0\0\0\x01\x04dgns\x04test\0\0".as_slice(),
            &[rtype, 0, 1],
            b"\0\0\x29\x04\xd0\0\0\0\0\0\0",
        ]
        .concat();
        let asker = Asker {
            transport: Transport::Udp,
            address: [192, 0, 2, 1].into(),
            now_s: 1_700_000_000,
            cookies: &cookies,
            nsid: b"",
        };
        let mut out = Vec::new();
        let Outcome::Reply { rcode, .. } = answer(&zone, &query, &asker, &mut out) else { panic!("an answer") };
        let at = out.windows(4).position(|bytes| bytes == [0, 15, 0, 2]).map(|at| at + 4);
        (rcode.name(), out[7], at.map(|at| out[at + 1]))
    };
    assert_eq!(
        (said(1), said(28), said(15)),
        (("SERVFAIL", 0, Some(22)), ("SERVFAIL", 0, Some(22)), ("NOERROR", 1, None))
    );
    zone.set_alias(Aliased::Fresh, Some(vec![address(1), address(2)]));
    assert_eq!((said(1), said(28), said(15)), (("NOERROR", 2, None), ("NOERROR", 0, None), ("NOERROR", 1, None)));
    zone.set_alias(Aliased::Stale, None);
    assert_eq!((said(1), said(15)), (("NOERROR", 2, Some(3)), ("NOERROR", 1, None)));
    zone.set_alias(Aliased::Fresh, Some(vec![address(3)]));
    assert_eq!(said(1), ("NOERROR", 1, None));
    zone.set_alias(Aliased::Lost, Some(Vec::new()));
    assert_eq!((said(1), said(15)), (("SERVFAIL", 0, Some(22)), ("NOERROR", 1, None)));
}

#[test]
fn serial_never_goes_back() {
    let zone = zone();
    for (log_size, serial) in [(7, 7), (5, 7), (8, 8), (0xFFFF_FFFF, 0xFFFF_FFFF), ((1 << 32) + 3, 3), (9, 3)] {
        zone.apply(Vec::new(), log_size).expect("nothing to refuse");
        assert_eq!(zone.serial(), serial, "{log_size}");
    }
}

#[test]
fn bad_settings_are_named() {
    let refused = |zone: &str, change: fn(&mut Settings)| {
        let mut settings = Settings::for_zone(zone);
        change(&mut settings);
        Zone::new(zone, &settings).err().map(|error| error.to_string())
    };
    let named = |zone: &str, change: fn(&mut Settings), setting: &str| {
        let message = refused(zone, change).expect("refused");
        assert!(message.contains(setting), "{message}");
    };
    assert_eq!(refused(ZONE, |_| ()), None);
    named("", |_| (), "zone");
    named(&"abcdefghi.".repeat(10), |_| (), "zone");
    named(ZONE, |settings| settings.negative_ttl_s = 6, "negative_ttl_s");
    named(ZONE, |settings| settings.negative_ttl_s = 0, "negative_ttl_s");
    named(ZONE, |settings| settings.nameservers.clear(), "nameservers");
    named(ZONE, |settings| settings.proof_nameservers = vec!["a..b".to_owned()], "proof_ns");
    named(ZONE, |settings| settings.mailbox.clear(), "mailbox");
}

#[test]
fn readers_meet_only_whole_cards() {
    // Goal: while a writer swaps two record sets and the name's presence, a reader sees one of the three and nothing between.
    let zone = zone();
    let sets = [vec![address(1), address(2)], vec![address(3), address(4)]];
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for round in 0..3_000 {
                let change = match round % 3 {
                    2 => gone("alice"),
                    set => bound("alice", 0, &sets[set]),
                };
                zone.apply(vec![change], round as u64).expect("valid changes");
            }
        });
        while !writing.is_finished() {
            if let Some(content) = zone.content("alice.dgns.test") {
                assert!(sets.contains(&content.rows), "{content:?}");
            }
        }
    });
}
