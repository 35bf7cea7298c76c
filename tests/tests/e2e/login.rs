//! `dgns login` and `up --signin` at a real issuer, the browser played by plain HTTP.

use dgns_tests::harness::Person;
use dgns_tests::harness::issuer::{ADA, Issuer, PUBLIC_URL, issuers, lacks_issuers, site};
use dgns_tests::harness::journey::{digits, signs_in, told, visits, watching};

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
