use super::*;

#[test]
fn printed_defaults_are_the_defaults() {
    // Goal: the text `dgnsd config` prints says what an empty file means. Method: read both.
    assert_eq!(Config::from_toml(DEFAULTS), Config::from_toml(""));
    assert_eq!(Config::defaults().road_mask(), 0b1101);
    assert_eq!(Config::defaults().name_servers(), ["ns.dgns.test"]);
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
