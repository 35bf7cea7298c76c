//! `dgns login` and `up --signin` at a real issuer, the browser played by plain HTTP.

use dgns_tests::harness::Person;
use dgns_tests::harness::issuer::{ADA, Issuer, PUBLIC_URL, issuers, lacks_issuers, site};
use dgns_tests::harness::journey::{digits, signs_in, told, visits, watching};
use dgns_tests::harness::load::body;
use dgns_tests::harness::operator::{by_the_operator, notary_kid};
use dgns_tests::harness::wait::until;
use identity::cert::Body;

#[test]
fn a_newcomer_signs_in_takes_a_name_and_finds_it_from_a_second_device() {
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let site = site(&[&a]).with("claims", "roads", "[\"attested\"]");
    let server = site.start();
    let (laptop, phone) = (Person::new(), Person::new());
    let at = (&server, &a);
    let said = signs_in(&laptop, &ADA, at, &["login", "--oidc", "a", "--no-browser"], 0);
    assert_eq!((said["branch"].as_str(), said["names"].as_u64()), (Some("new"), Some(5)), "{said}");
    // The sign-in is kept: the name needs no second one.
    laptop.dgns(&server, &["up", "ada", "--signin", "a"]).exits(0);
    laptop.dgns(&server, &["claim", "ada-too", "--signin", "a"]).exits(0);
    let said = signs_in(&laptop, &ADA, at, &["login", "--no-browser"], 0);
    assert_eq!(said["branch"].as_str(), Some("existing"), "{said}");

    let mut watch = watching(&laptop, &server);
    let login = phone.dgns_running(&server.url, &["login", "--oidc", &a.url, "--no-browser"]);
    visits(&login, &server, &a, &ADA);
    assert_eq!(told(&watch, "login")["kid"].as_str().map(str::len), Some(16), "every device is told at once");
    let shown = login.note(digits);
    assert_eq!(told(&watch, "pair")["asks"], "digits");
    watch.types(&shown);
    login.ended().exits(0);
    watch.ended().exits(0);
    phone.dgns(&server, &["whoami"]).exits(0);
    let log = std::fs::read_to_string(site.log()).unwrap();
    for private in ["ada@mail.test", "x-subject", PUBLIC_URL] {
        assert!(!log.contains(private), "the server's log says {private}");
    }
}

#[test]
fn a_name_of_before_is_found_by_a_later_sign_in_and_what_does_not_fit_is_refused() {
    if lacks_issuers() {
        return;
    }
    let (a, b) = (Issuer::start(), Issuer::start());
    let server = site(&[&a, &b]).with("signin", "issuers", &issuers(&[&a, &b])).start();
    let (ada, bob) = (Person::new(), Person::new());
    ada.up(&server, "ada");
    bob.up(&server, "bob");
    let said = signs_in(&ada, &ADA, (&server, &a), &["login", "--oidc", "a", "--no-browser"], 0);
    assert!(said["did"].as_str().is_some_and(|did| did.starts_with("did:dgns:")), "it leads there now: {said}");
    let refused = signs_in(&bob, &ADA, (&server, &a), &["login", "--oidc", "a", "--no-browser"], 4);
    assert_eq!(refused["code"].as_str(), Some("account_bound"), "{refused}");
    for wrong in [["login", "--no-browser"].as_slice(), &["login", "--oidc", "z"], &["up", "xena", "--signin", "z"]] {
        let ran = Person::new().dgns(&server, wrong);
        assert!(ran.exits(1).stdout.contains("a, b"), "it says which there are: {ran}");
    }
    let unverified = [ADA.as_slice(), &[("x-unverified", "1")]].concat();
    let refused = signs_in(&Person::new(), &unverified, (&server, &b), &["login", "--oidc", "b", "--no-browser"], 4);
    assert_eq!(refused["code"].as_str(), Some("email_unverified"), "{refused}");
}

#[test]
fn an_old_device_says_who_attested_the_one_that_asks_and_turns_a_revoked_notarys_away() {
    // Goal: before the digits the old device says what the log proves of the sign-in, what the server alone says, and that nobody says
    // anything; after the notary's revocation the same device is turned away. Method: three phones, one address that is bound late.
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let site = site(&[&a]).with("aliases", "evaluate", "true");
    let server = site.start();
    let (laptop, at) = (Person::new(), (&server, &a));
    laptop.up(&server, "ada");
    signs_in(&laptop, &ADA, at, &["login", "--oidc", "a", "--no-browser"], 0);
    let asks = |phone: &Person, arguments: &[&str], signs: bool| {
        let mut watch = watching(&laptop, &server);
        let asking = phone.dgns_running(&server.url, arguments);
        if signs {
            visits(&asking, &server, &a, &ADA);
        }
        let event = told(&watch, "pair");
        if event["asks"] == "digits" {
            watch.types("no");
        }
        watch.ended().exits(0);
        asking.ended().exits(4);
        event
    };
    let nobody = asks(&Person::new(), &["join", "ada"], false);
    assert_eq!(nobody["attested"]["by"], "nobody", "{nobody}");
    let login = ["login", "--oidc", "a", "--no-browser"];
    let server_alone = asks(&Person::new(), &login, true);
    assert_eq!(server_alone["attested"]["by"], "server", "no address is bound, so the log is silent: {server_alone}");

    signs_in(&laptop, &ADA, at, &["alias", "add", "ada@mail.test"], 0);
    let phone = Person::new();
    let logged = asks(&phone, &login, true);
    let attested = &logged["attested"];
    let said = [&attested["by"], &attested["standing"], &attested["issuer"], &attested["address"]];
    assert_eq!(said.map(|one| one.as_str()), ["log", "signed_in", &a.url, "ada@mail.test"].map(Some), "{logged}");
    assert!(attested["index"].as_u64() > Some(0) && attested["unix_s"].as_u64() > Some(0), "{logged}");

    let request = |home: &Person| {
        home.dgns(&server, &["devices", "add", "ada"]).exits(0).json()["request"].as_str().unwrap().to_owned()
    };
    let approved = laptop.dgns(&server, &["devices", "approve", &request(&Person::new())]).exits(0).json();
    assert_eq!(approved["attested"]["by"], "nobody", "a request that was carried by hand: {approved}");

    let revoke = by_the_operator(&site, &server, &Body::NotaryRevoke { kid: notary_kid(&site, "a") });
    assert_eq!(server.post("/v1/certificates", &body(&[revoke])).status, 200);
    let refused = asks(&phone, &["join", "ada"], false);
    assert_eq!(refused["refused"], "notary_revoked", "{refused}");
    let fresh = asks(&Person::new(), &["join", "ada"], false);
    assert_eq!(fresh["attested"]["by"], "nobody", "other keys may still ask: {fresh}");
}

#[test]
fn a_person_lists_what_finds_the_account_and_takes_one_away() {
    // Goal: the list says what leads here and what is kept of it; what an address is bound by stays until the address is given up; what is
    // taken away leads nowhere. Method: two issuers, one with an address bound.
    if lacks_issuers() {
        return;
    }
    let (a, b) = (Issuer::start(), Issuer::start());
    let site = site(&[&a, &b]).with("aliases", "evaluate", "true").with("signin", "issuers", &issuers(&[&a, &b]));
    let server = site.start();
    let (ada, stranger) = (Person::new(), Person::new());
    ada.up(&server, "ada");
    let list = || ada.dgns(&server, &["signins", "list"]).exits(0).json()["signins"].as_array().unwrap().clone();
    assert!(list().is_empty());
    signs_in(&ada, &ADA, (&server, &a), &["login", "--oidc", "a", "--no-browser"], 0);
    signs_in(&ada, &ADA, (&server, &b), &["alias", "add", "ada@mail.test", "--oidc", "b"], 0);
    // The server follows its log a moment later.
    let of = |issuer: &str| list().into_iter().find(|row| row["issuer"] == issuer).unwrap();
    until("the address is bound by it", || (of("b")["addresses"] == 1).then_some(()));
    assert_eq!(of("a")["addresses"], 0);
    let id = |issuer: &str| of(issuer)["id"].as_str().unwrap()[..16].to_owned();

    let refused = ada.dgns(&server, &["signins", "remove", &id("b")]);
    assert_eq!(refused.exits(4).text("/code"), "address_bound", "{refused}");
    let unclear = ada.dgns_in_text(&server, &["signins", "remove", "zz"]);
    assert!(unclear.exits(1).stderr.contains("dgns signins list"), "{unclear}");
    assert_eq!(list().len(), 2, "nothing was taken away");
    ada.dgns(&server, &["signins", "remove", &id("a")]).exits(0);
    let left = list();
    assert_eq!((left.len(), &left[0]["issuer"]), (1, &"b".into()), "{left:?}");
    let said = signs_in(&stranger, &ADA, (&server, &a), &["login", "--oidc", "a", "--no-browser"], 0);
    assert_ne!(said["branch"].as_str(), Some("existing"), "{said}");
}
