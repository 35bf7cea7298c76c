use super::*;

#[test]
fn printed_defaults_are_the_defaults() {
    // Goal: the text `dgnsd config` prints says what an empty file means. Method: read both.
    assert_eq!(Config::from_toml(DEFAULTS), Config::from_toml(""));
    assert_eq!(Config::defaults().road_mask(), 0b1111);
    assert_eq!(Config::defaults().name_servers(), ["ns.dgns.test"]);
}

#[test]
fn a_witness_alone_needs_a_file_of_logs_and_has_a_default_for_all_else() {
    let config = WitnessServerConfig::from_toml(WITNESS_DEFAULTS).unwrap();
    assert_eq!(WitnessServerConfig::from_toml("[witness]\nlogs = \"./logs.policy\""), Ok(config));
    let faults = WitnessServerConfig::from_toml("zone = \"a.test\"\n[witness]\nname = \"a b\"").unwrap_err();
    let keys: Vec<&str> = faults.0.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["zone", "witness.name", "witness.logs"]);
}

#[test]
fn a_recovery_server_says_who_runs_it_and_whom_it_believes() {
    let config = RecoveryConfig::from_toml(RECOVERY_DEFAULTS).unwrap();
    assert_eq!(config.key, PathBuf::from("./dgns-recovery/recovery.key"));
    let least = "operator = \"Example operator\"\ndomain = \"example.org\"\n[log]\npolicy = \"./log.policy\"\n[[issuers]]\n\
                 issuer = \"https://accounts.google.com\"\naudience = \"the client_id of the server of names\"";
    assert_eq!(RecoveryConfig::from_toml(least), Ok(config));
    let text = "zone = \"a.test\"\n[log]\nurl = \"http://far.example\"\nhead_age_s = 1\n[[issuers]]\nissuer = \"x\"";
    let faults = RecoveryConfig::from_toml(text).unwrap_err();
    let keys: Vec<&str> = faults.0.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["operator", "domain", "zone", "log.url", "log.policy", "log.head_age_s", "issuers"]);
    assert_eq!(RecoveryConfig::from_toml("").unwrap_err().0.len(), 4);
}

#[test]
fn a_cosigner_is_named_after_the_zone_and_the_two_differ() {
    let text = "zone = \"a.test\"\n[witness]\nlogs = \"x\"\nverifier = true";
    let witness = Config::from_toml(text).unwrap().witness.unwrap();
    assert_eq!((witness.name.as_str(), witness.verifier_name.as_str()), ("a.test/witness", "a.test/verifier"));
    let same = format!("{text}\nname = \"a.test/verifier\"");
    assert_eq!(Config::from_toml(&same).unwrap_err().0[0].key, "witness.verifier_name");
    assert_eq!(Config::defaults().witness, None);
}

#[test]
fn all_faults_are_listed_at_once() {
    // Goal: one run shows every mistake. Method: a text with one mistake of each sort.
    let text = r#"
        zone = "UPPER.test"
        color = "red"
        [http]
        listen = "nowhere"
        idle_s = 0
        [dns]
        listen = ["127.0.0.1:53", 7]
        publish_did = "yes"
        acme_register = "all"
        [[dns.peer]]
        address = "192.0.2.1"
        tls = true
        [[dns.peer]]
        keys = "x"
        [claims]
        roads = ["open", "friends"]
        work_bits = 41
        [log]
        gap = 2
        [limits]
        records_per_hour = -1
    "#;
    let faults = Config::from_toml(text).unwrap_err();
    let mut keys: Vec<&str> = faults.0.iter().map(|fault| fault.key.as_str()).collect();
    keys.sort_unstable();
    let expected = [
        "claims.roads",
        "claims.work_bits",
        "color",
        "dns.acme_register",
        "dns.listen",
        "dns.peer.address",
        "dns.peer.address",
        "dns.peer.keys",
        "dns.peer.tls",
        "dns.publish_did",
        "http.idle_s",
        "http.listen",
        "limits.records_per_hour",
        "log.gap",
        "zone",
    ];
    assert_eq!(keys, expected);
    assert!(faults.to_string().contains("log.gap: unknown key"));
}

#[test]
fn a_peer_is_known_by_an_address_or_a_key() {
    let config = Config::from_toml("[[dns.peer]]\naddress = \"192.0.2.53:53\"\n[[dns.peer]]\nkey = \"k\"").unwrap();
    let known = |peer: &PeerConfig| (peer.address.map(|address| address.port()), peer.key.clone());
    let peers: Vec<_> = config.dns.peers.iter().map(known).collect();
    assert_eq!(peers, [(Some(53), None), (None, Some(PathBuf::from("k")))]);
    let many = "[[dns.peer]]\nkey = \"k\"\n".repeat(65);
    assert_eq!(Config::from_toml(&many).unwrap_err().0[0].key, "dns.peer");
}

#[test]
fn an_address_has_its_copies_over_tls_alone_or_not() {
    // Goal: no table takes back what another says. Method: two tables, of one address or two, that agree or not.
    for (addresses, tls, is_refused) in [
        (["192.0.2.1:53", "192.0.2.1:54"], [true, false], true),
        (["192.0.2.1:53", "[::ffff:192.0.2.1]:53"], [false, true], true),
        (["192.0.2.1:53", "192.0.2.1:54"], [true, true], false),
        (["192.0.2.1:53", "192.0.2.1:54"], [false, false], false),
        (["192.0.2.1:53", "192.0.2.2:53"], [true, false], false),
    ] {
        let table = |(address, tls): (&str, bool)| format!("[[dns.peer]]\naddress = {address:?}\ntls = {tls}\n");
        let tables: String = addresses.into_iter().zip(tls).map(table).collect();
        let tls_files = "[dns.tls]\ncertificate = \"c\"\nkey = \"k\"\n";
        let read = Config::from_toml(&format!("[dns]\ndot = [\"127.0.0.1:853\"]\n{tls_files}{tables}"));
        let keys = read.map_err(|faults| faults.0.into_iter().map(|fault| fault.key).collect::<Vec<_>>()).err();
        assert_eq!(keys, is_refused.then(|| vec!["dns.peer.tls".to_owned()]), "{addresses:?} {tls:?}");
    }
}

#[test]
fn a_policy_that_cannot_work_is_a_fault_like_any_other() {
    // Goal: a server never starts under a quorum it could not reach, or believes another one than was written. Method: one
    // policy file after another; what is wrong is said, with its line.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy");
    let faults = |policy: &str| {
        std::fs::write(&path, policy).unwrap();
        let config = Config::from_toml(&format!("[witnesses]\npolicy = {:?}", path.display().to_string()));
        config.map(|config| config.witnesses.policy.quorum_name().to_owned()).map_err(|faults| faults.to_string())
    };
    let key = identity::key::SigningKey::from_seed(&[1; 32]);
    let cosigner = translog::note::Cosigner::new("w.example", key).unwrap();
    let vkey = cosigner.verifier_key();
    let said = |policy: &str| faults(policy).unwrap_err();
    assert_eq!(faults(&format!("witness w {vkey} https://w.example/x\nquorum w\n")), Ok("w".to_owned()));
    assert_eq!(faults("quorum none\n"), Ok("none".to_owned()));
    assert!(said("\nwitness w\n").contains("line 2: too few") && said("\nwitness w\n").contains("policy_form"));
    assert!(said(&format!("witness w {vkey}\nquorum w\n")).contains("cannot meet the quorum"));
    assert!(
        said(&format!("witness w {vkey} http://w.example/\nquorum w\n"))
            .contains("witness w: http://w.example/: plain http")
    );
    assert!(said(&format!("witness w {vkey} nowhere\nquorum w\n")).contains("not an http or https URL"));
    let missing = Config::from_toml("[witnesses]\npolicy = \"no-such-file\"\nannounce_ms = 19").unwrap_err();
    let keys: Vec<&str> = missing.0.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["witnesses.announce_ms", "witnesses.policy"]);
}

#[test]
fn what_is_no_toml_is_one_fault() {
    let faults = Config::from_toml("zone = ").unwrap_err();
    assert_eq!(faults.0.len(), 1);
    assert!(faults.to_string().starts_with("not TOML"));
}

#[test]
fn accounts_are_open_to_all_on_a_server_for_oneself_alone() {
    for (text, expected) in [
        ("", AcmeRegister::Open),
        ("zone = \"id.example\"", AcmeRegister::Device),
        ("[http]\nlisten = \"0.0.0.0:5380\"", AcmeRegister::Device),
        ("zone = \"id.example\"\n[dns]\nacme_register = \"open\"", AcmeRegister::Open),
        ("[dns]\nacme_register = \"device\"", AcmeRegister::Device),
        ("[dns]\nacme_register = \"off\"", AcmeRegister::Off),
    ] {
        assert_eq!(Config::from_toml(text).unwrap().acme_register(), expected, "{text}");
    }
}

#[test]
fn a_certificate_is_ordered_for_names_that_nobody_can_claim() {
    // Goal: names default to those of the servers within the zone; what cannot be answered here is said at the start. Method: one table after another.
    let read = |tls: &str, rest: &str| {
        let acme = "acme = \"https://ca.example/dir\"\n";
        let text = format!("[dns]\ndot = [\"127.0.0.1:853\"]\n{rest}\n[dns.tls]\n{acme}{tls}");
        match Config::from_toml(&text) {
            Ok(Config { dns: DnsConfig { tls: Some(TlsConfig::Acme(acme)), .. }, .. }) => Ok(acme.names.join(" ")),
            Ok(other) => panic!("{:?}", other.dns),
            Err(faults) => Err(faults.0.into_iter().map(|fault| fault.key).collect::<Vec<_>>().join(" ")),
        }
    };
    let (ok, names) = (|text: &str| Ok(text.to_owned()), "dns.tls.acme_names");
    let refused = |text: &str| Err(text.to_owned());
    assert_eq!(read("", ""), ok("ns.dgns.test"));
    assert_eq!(read("", "ns = [\"NS1.dgns.test\", \"ns.elsewhere.example\"]"), ok("ns1.dgns.test"));
    assert_eq!(read("", "ns = [\"ns.elsewhere.example\"]"), refused(names));
    assert_eq!(read("acme_names = [\"DNS.dgns.test\", \"a.ns.dgns.test\"]", ""), ok("dns.dgns.test a.ns.dgns.test"));
    for name in ["alice.dgns.test", "ns.alice.dgns.test", "ns.example", "dgns.test", "*.ns.dgns.test", ""] {
        assert_eq!(read(&format!("acme_names = [{name:?}]"), ""), refused(names), "{name}");
    }
    let many: Vec<String> = (0..17).map(|n| format!("\"n{n}.ns.dgns.test\"")).collect();
    assert_eq!(read(&format!("acme_names = [{}]", many.join(", ")), ""), refused(names));
    assert_eq!(read("certificate = \"c\"\nkey = \"k\"", ""), refused("dns.tls.acme"));
    assert_eq!(read("", "[follow]\nurl = \"https://id.example\"\n"), refused("dns.tls.acme"));
    let faults = |text: &str| Config::from_toml(text).unwrap_err().to_string();
    assert!(faults("[dns.tls]\nacme = \"https://ca.example/dir\"").contains("dns.tls.acme: needs an address"));
    assert!(faults("[dns.tls]\nacme_names = [\"ns.dgns.test\"]").contains("dns.tls.acme: is missing"));
    let plain = "[dns]\ndot = [\"127.0.0.1:853\"]\n[dns.tls]\nacme = \"http://ca.example/dir\"";
    assert!(faults(plain).contains("plain http"), "{}", faults(plain));
}

#[test]
fn a_name_server_in_the_zone_has_a_name_that_nobody_can_claim() {
    for (host, is_refused) in [
        ("ns1.dgns.test", false),
        ("NS.dgns.test", false),
        ("a.ns.dgns.test", false),
        ("dgns.test", false),
        ("ns.example", false),
        ("ns.xdgns.test", false),
        ("alice.dgns.test", true),
        ("Alice.DGNS.test", true),
        ("ns.alice.dgns.test", true),
        ("ns10.dgns.test", true),
    ] {
        for key in ["ns", "proof_ns"] {
            let read = Config::from_toml(&format!("[dns]\n{key} = [\"ns.elsewhere.example\", {host:?}]"));
            let keys: Option<Vec<String>> =
                read.err().map(|faults| faults.0.into_iter().map(|fault| fault.key).collect());
            assert_eq!(keys, is_refused.then(|| vec![format!("dns.{key}")]), "{host}");
        }
    }
}

#[test]
fn a_catalog_is_a_zone_beside_the_zone_for_a_peer_with_a_key() {
    let peer = "[[dns.peer]]\naddress = \"192.0.2.53:53\"\n";
    for (catalog, key, is_refused) in [
        ("catalog.example", true, false),
        ("", false, false),
        ("catalog.example", false, true),
        ("dgns.test", true, true),
        ("catalog.dgns.test", true, true),
        ("a..b", true, true),
        ("a b.example", true, true),
    ] {
        let key = if key { "key = \"k\"\n" } else { "" };
        let read = Config::from_toml(&format!("[dns]\ncatalog = {catalog:?}\n{peer}{key}"));
        let keys: Option<Vec<String>> = read.err().map(|faults| faults.0.into_iter().map(|fault| fault.key).collect());
        assert_eq!(keys, is_refused.then(|| vec!["dns.catalog".to_owned()]), "{catalog:?} {key:?}");
    }
}

#[test]
fn signatures_are_copied_from_a_primary_that_is_named() {
    let copied = |primary: &str| Config::from_toml(&format!("[dns]\ndnssec = \"copy\"\n[dns.primary]\n{primary}"));
    let (there, ds) = ("address = \"192.0.2.53:53\"\nkey = \"k\"\n", format!("ds = \"7 13 2 {}\"\n", "AB".repeat(32)));
    let tls = "tls_name = \"ns.id.example\"\ntls_ca = \"ca\"\n";
    let read = copied(&format!("{there}{tls}{ds}")).unwrap();
    let primary = read.primary().expect("a primary");
    assert_eq!(
        (primary.address.port(), primary.key.clone(), primary.ds.as_ref().map(Vec::len)),
        (53, PathBuf::from("k"), Some(36))
    );
    assert_eq!(primary.tls, Some(("ns.id.example".to_owned(), PathBuf::from("ca"))));
    assert!(copied(there).unwrap().primary().is_some_and(|primary| primary.tls.is_none() && primary.ds.is_none()));
    for (text, key) in [
        ("key = \"k\"", "dns.primary.address"),
        ("address = \"192.0.2.53:53\"", "dns.primary.key"),
        (&format!("{there}tls_name = \"ns.id.example\""), "dns.primary.tls_name"),
        (&format!("{there}tls_ca = \"ca\""), "dns.primary.tls_name"),
        (&format!("{there}tls_name = \"-?\"\ntls_ca = \"ca\""), "dns.primary.tls_name"),
        (&format!("{there}ds = \"7 13 1 AB\""), "dns.primary.ds"),
        (&format!("{there}kye = 1"), "dns.primary.kye"),
    ] {
        assert_eq!(copied(text).unwrap_err().0[0].key, key, "{text}");
    }
    let alone = Config::from_toml(&format!("[dns.primary]\n{there}")).unwrap_err();
    assert_eq!(alone.0[0].key, "dns.primary");
    let file = Config::from_toml(&format!("[dns]\ndnssec = \"copy\"\napex_file = \"a\"\n[dns.primary]\n{there}"));
    assert_eq!(file.unwrap_err().0[0].key, "dns.apex_file");
    assert_eq!(Config::from_toml("[dns]\ndnssec = \"yes\"").unwrap_err().0[0].key, "dns.dnssec");
}
