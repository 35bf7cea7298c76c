use super::*;

#[test]
fn printed_defaults_are_the_defaults() {
    // Goal: the text `dgnsd config` prints says what an empty file means. Method: read both.
    assert_eq!(Config::from_toml(DEFAULTS), Config::from_toml(""));
    assert_eq!(Config::defaults().road_mask(), 0b1101);
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
        "dns.listen",
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
fn what_is_no_toml_is_one_fault() {
    let faults = Config::from_toml("zone = ").unwrap_err();
    assert_eq!(faults.0.len(), 1);
    assert!(faults.to_string().starts_with("not TOML"));
}
