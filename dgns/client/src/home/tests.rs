use translog::note::LogSigner;

use super::*;

fn key(seed: u8) -> translog::note::VerifierKey {
    let signer = LogSigner::new("dgns.test/log", SigningKey::from_seed(&[seed; 32])).expect("a good name");
    signer.verifier_key().clone()
}

fn home() -> (tempfile::TempDir, Home, Origin) {
    let directory = tempfile::tempdir().expect("temporary directories can be made");
    let home = Home::open(directory.path()).expect("it can be written");
    (directory, home, Origin::parse("dgns.test/log").expect("an origin"))
}

#[test]
fn what_is_believed_comes_back_as_it_was_kept() {
    // Goal: keys, policy, first use and age survive. Method: two kinds of pins kept and read again.
    let (_directory, home, origin) = home();
    let policy: translog::policy::Policy = format!("log {}\nquorum none\n", key(1)).parse().expect("a policy");
    let mut pinned = Pinned::at_first_use(vec![key(1)], policy);
    let log = home.pin("http://a.example", &origin, &pinned).expect("met");
    assert_eq!(log.pinned(), Ok(pinned.clone()));
    (pinned.first_use, pinned.head_age_s_max) = (false, 7);
    log.keep_pinned(&pinned).expect("kept");
    assert_eq!(log.pinned(), Ok(pinned));
    assert_eq!(log.trust().expect("its own").head_age_ms_max(), 7_000);
}

#[test]
fn a_log_is_one_whatever_its_urls() {
    // Goal: a second URL of a known log changes nothing, and cannot bring other keys. Method: the same log under three URLs.
    let (_directory, home, origin) = home();
    let pinned = Pinned::by_hand(vec![key(1)], Default::default());
    home.pin("http://a.example", &origin, &pinned).expect("met");
    let offered = Pinned::at_first_use(vec![key(1)], Default::default());
    let again = home.pin("http://b.example", &origin, &offered).expect("the same log");
    assert_eq!(again.pinned(), Ok(pinned));
    let refused = home.pin("http://c.example", &origin, &Pinned::at_first_use(vec![key(2)], Default::default()));
    assert_eq!(refused.expect_err("other keys").code(), "log_key");
    let logs = home.logs().expect("readable");
    assert_eq!(logs.len(), 1);
    assert_eq!(logs[0].1, ["http://a.example", "http://b.example"]);
}

#[test]
fn what_a_delegation_says_of_a_log_holds_until_its_server_is_met() {
    // Goal: a lookup that came by a log takes nothing from the first meeting with its server, and changes nothing after it. Method: named twice, with
    // other policies, met, and named again.
    let (_directory, home, origin) = home();
    let offered = |url: &str| {
        let policy = format!("log {} {url}\nquorum none\n", key(1)).parse().expect("a policy");
        Pinned::at_first_use(vec![key(1)], policy)
    };
    for url in ["https://a.example", "https://b.example"] {
        let named = home.pin_log("alice.test", &origin, &offered(url)).expect("named");
        assert_eq!(named.pinned(), Ok(offered(url)));
    }
    assert!(home.logs().expect("readable").is_empty(), "it is no log that was met");
    let met = home.pin("http://c.example", &origin, &offered("https://c.example")).expect("met");
    assert_eq!(met.pinned(), Ok(offered("https://c.example")));
    home.pin_log("alice.test", &origin, &offered("https://d.example")).expect("named again");
    assert_eq!(met.pinned(), Ok(offered("https://c.example")));
    let other = Pinned::at_first_use(vec![key(2)], Default::default());
    assert_eq!(home.pin_log("alice.test", &origin, &other).expect_err("other keys").code(), "log_key");
}

#[test]
fn a_damaged_policy_is_named_with_its_line() {
    // Goal: a home never goes on with less than was kept. Method: a policy file with a bad third line; one that is missing asks
    // for nobody, as homes made before there were any.
    let (_directory, home, origin) = home();
    let log = home.pin("http://a.example", &origin, &Pinned::by_hand(vec![key(1)], Default::default())).expect("met");
    let path = log.directory().join("policy");
    fs::write(&path, "\n\nnonsense\nquorum none\n").expect("written");
    let error = log.pinned().expect_err("no policy").to_string();
    assert!(error.contains("line 3: ") && error.contains("policy_keyword"), "{error}");
    fs::remove_file(&path).expect("removed");
    assert!(log.pinned().expect("readable").policy.is_none());
}
