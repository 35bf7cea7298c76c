//! The API of acme-dns: stock lego and certbot get certificates for names by it; whoever has no account there gets nothing.

use std::process::Command;

use dgns_tests::harness::http::{Answer, request};
use dgns_tests::harness::journey::joins;
use dgns_tests::harness::pebble::Pebble;
use dgns_tests::harness::programs::run;
use dgns_tests::harness::{Person, Server, Site, wait};
use serde_json::{Value, json};

use crate::dns_updates::dig;

/// Three challenges as ACME has them.
const TEXTS: [&str; 3] = [
    "one_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "two_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "three-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
];

fn register(server: &Server, body: &str) -> Answer {
    request(server.http, "POST", "/acme-dns/register", &[], body.as_bytes()).unwrap()
}

fn update(server: &Server, account: &Value, txt: &str) -> Answer {
    let body = json!({ "subdomain": account["subdomain"], "txt": txt }).to_string();
    update_with(server, account, &body)
}

fn update_with(server: &Server, account: &Value, body: &str) -> Answer {
    let header = |key: &str| account[key].as_str().unwrap().to_owned();
    let (user, key) = (header("username"), header("password"));
    let headers = [("X-Api-User", user.as_str()), ("X-Api-Key", key.as_str())];
    request(server.http, "POST", "/acme-dns/update", &headers, body.as_bytes()).unwrap()
}

/// Returns what stands at an account's place, sorted.
fn shown(server: &Server, account: &Value) -> Vec<String> {
    let said = dig(server, account["fulldomain"].as_str().unwrap(), "TXT");
    let mut texts: Vec<String> = said.lines().map(|line| line.trim_matches('"').to_owned()).collect();
    texts.sort();
    texts
}

/// Runs `dgns acme setup` for a name; returns its account, as lego reads it.
fn setup(person: &Person, server: &Server, name: &str, more: &[&str]) -> Value {
    let file = person.home().join("acme.json");
    let arguments = [&["acme", "setup", name, "--out", file.to_str().unwrap()], more].concat();
    person.dgns(server, &arguments).exits(0);
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap());
    assert_eq!(mode & 0o777, 0o600, "nobody else reads it");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// Asks the server's database, and returns what it says.
fn sqlite(site: &Site, text: &str) -> String {
    let mut command = Command::new("sqlite3");
    command.arg(site.data().join("people.db")).arg(text);
    run(command, "").exits(0).stdout.clone()
}

#[test]
fn the_api_of_acme_dns_answers_as_its_clients_expect() {
    // Goal: PROTOCOL 12.19 with an account of nobody's device: shapes, refusals, two texts, durable before the answer.
    let site = Site::new();
    let server = site.start();
    assert_eq!(server.get("/acme-dns/health").status, 200);
    let registered = register(&server, "");
    assert_eq!(registered.status, 201);
    let account = registered.json();
    let domain = format!("{}.auth.dgns.test", account["subdomain"].as_str().unwrap());
    assert_eq!((account["fulldomain"].as_str().unwrap(), &account["allowfrom"]), (domain.as_str(), &json!([])));
    assert_eq!(account["password"].as_str().unwrap().len(), 40);
    assert_eq!(shown(&server, &account), [""; 0]);
    for (at, text) in TEXTS.iter().enumerate() {
        let said = update(&server, &account, text);
        assert_eq!((said.status, said.json()), (200, json!({ "txt": text })));
        let mut newest: Vec<&str> = TEXTS[at.saturating_sub(1)..=at].to_vec();
        newest.sort_unstable();
        assert_eq!(shown(&server, &account), newest, "the two newest, at once");
    }
    let subdomain = account["subdomain"].as_str().unwrap();
    let with = |key: &str, value: &str| {
        let mut other = account.clone();
        other[key] = value.into();
        other
    };
    let (nobody, wrong) = ("c0ffee00-0000-4000-8000-000000000000", "A".repeat(40));
    let good = json!({ "subdomain": subdomain, "txt": TEXTS[0] }).to_string();
    for (what, account, body, status, code) in [
        ("nobody", with("username", nobody), good.clone(), 401, "forbidden"),
        ("no name of a user", with("username", "admin"), good.clone(), 401, "forbidden"),
        ("another password", with("password", &wrong), good.clone(), 401, "forbidden"),
        ("no password", with("password", ""), good.clone(), 401, "forbidden"),
        ("no JSON", account.clone(), "subdomain".into(), 400, "malformed_json_payload"),
        ("half of it", account.clone(), json!({ "txt": TEXTS[0] }).to_string(), 400, "malformed_json_payload"),
        ("no UUID", account.clone(), json!({ "subdomain": "x", "txt": TEXTS[0] }).to_string(), 400, "bad_subdomain"),
        ("another's", account.clone(), json!({ "subdomain": nobody, "txt": TEXTS[0] }).to_string(), 401, "forbidden"),
        ("short", account.clone(), json!({ "subdomain": subdomain, "txt": "x" }).to_string(), 400, "bad_txt"),
        (
            "not base64url",
            account.clone(),
            json!({ "subdomain": subdomain, "txt": format!("\"{}", &TEXTS[0][1..]) }).to_string(),
            400,
            "bad_txt",
        ),
    ] {
        let said = update_with(&server, &account, &body);
        assert_eq!((said.status, said.json()["error"].as_str()), (status, Some(code)), "{what}");
        assert_eq!(said.problem_code(), code, "{what}");
    }
    for (what, body, status, code) in [
        ("no JSON", "{", 400, "malformed_json_payload"),
        ("no network", r#"{"allowfrom": ["192.0.2.1"]}"#, 400, "invalid_allowfrom_cidr"),
        ("a name, unsigned", r#"{"name": "alice.dgns.test"}"#, 401, "forbidden"),
        ("no name", r#"{"name": "alice.example"}"#, 400, "bad_name"),
    ] {
        let said = register(&server, body);
        assert_eq!((said.status, said.json()["error"].as_str()), (status, Some(code)), "{what}");
    }
    let many = json!({ "allowfrom": vec!["192.0.2.0/24"; 17] }).to_string();
    assert_eq!(register(&server, &many).problem_code(), "invalid_allowfrom_cidr");
    let elsewhere = register(&server, r#"{"allowfrom": ["192.0.2.0/24", "2001:db8::/32"]}"#).json();
    assert_eq!(elsewhere["allowfrom"], json!(["192.0.2.0/24", "2001:db8::/32"]));
    assert_eq!(update(&server, &elsewhere, TEXTS[0]).problem_code(), "forbidden", "from another network");
    let here = register(&server, r#"{"allowfrom": ["192.0.2.0/24", "127.0.0.0/8"]}"#).json();
    assert_eq!(update(&server, &here, TEXTS[0]).status, 200);
    server.kill();
    let server = site.start();
    assert_eq!(shown(&server, &account), TEXTS[1..].iter().rev().copied().collect::<Vec<_>>(), "durable");
    assert_eq!(shown(&server, &here), TEXTS[..1]);
}

#[test]
fn a_proxy_of_the_operators_says_who_asks_and_nobody_else_does() {
    let site = Site::new();
    let updates = |server: &Server, account: &Value, forwarded: &str| {
        let body = json!({ "subdomain": account["subdomain"], "txt": TEXTS[0] }).to_string();
        let [user, key] = ["username", "password"].map(|key| account[key].as_str().unwrap());
        let headers = [("X-Api-User", user), ("X-Api-Key", key), ("X-Forwarded-For", forwarded)];
        request(server.http, "POST", "/acme-dns/update", &headers, body.as_bytes()).unwrap().status
    };
    let server = site.start();
    let account = register(&server, r#"{"allowfrom": ["192.0.2.0/24"]}"#).json();
    assert_eq!(updates(&server, &account, "192.0.2.7"), 401, "whoever connects could say that");
    server.stop().exits(0);
    let site = site.with("http", "proxies", "[\"127.0.0.0/8\"]");
    let server = site.start();
    for (forwarded, status) in
        [("192.0.2.7", 200), ("192.0.2.7, 203.0.113.9", 401), ("203.0.113.9, 192.0.2.7, 127.0.0.2", 200)]
    {
        assert_eq!(updates(&server, &account, forwarded), status, "{forwarded}");
    }
}

#[test]
fn accounts_and_texts_lapse_and_there_are_not_more_than_are_kept() {
    // Goal: a text stands for a day, an account for 90 days without use; with 100,000 of them there are no more. Method: rows made older, and more,
    // while the server is down.
    let site = Site::new();
    let server = site.start();
    let account = register(&server, "").json();
    assert_eq!(update(&server, &account, TEXTS[0]).status, 200);
    let altered = |server: Server, text: &str| {
        server.kill();
        sqlite(&site, text);
        site.start()
    };
    let server = altered(server, "UPDATE acme_accounts SET used_s = used_s - 86000");
    assert_eq!(shown(&server, &account), TEXTS[..1]);
    let server = altered(server, "UPDATE acme_accounts SET used_s = used_s - 500");
    assert_eq!(shown(&server, &account), [""; 0]);
    assert_eq!(update(&server, &account, TEXTS[0]).status, 200, "the account is still one");
    let server = altered(server, "UPDATE acme_accounts SET used_s = used_s - 90 * 86400");
    assert_eq!(update(&server, &account, TEXTS[1]).problem_code(), "forbidden");
    let many = "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 100000) INSERT INTO acme_accounts \
                SELECT randomblob(16), zeroblob(32), randomblob(16), '', NULL, NULL, '', '', 4000000000 FROM n";
    let server = altered(server, many);
    assert_eq!(register(&server, "").problem_code(), "busy");
    let alice = Person::new();
    alice.up(&server, "alice");
    let accounts = setup(&alice, &server, "alice", &[]);
    assert_eq!(update(&server, &accounts["alice.dgns.test"], TEXTS[0]).status, 200, "names have theirs");
}

#[test]
fn a_did_takes_its_own_places_alone_and_a_setup_that_fails_ends_no_account() {
    // Goal: the 101st place of a DID is refused, others have theirs; what a failing `acme setup` kept before is still of use, and a domain that has an
    // account keeps it. Method: rows made while the server is down.
    let (site, alice, bobby) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    bobby.up(&server, "bobby");
    let first = setup(&alice, &server, "alice", &["--domain", "www.example"]);
    let accounts = setup(&alice, &server, "alice", &["--domain", "WWW.example."]);
    assert_eq!(accounts["www.example"], first["www.example"]);
    server.kill();
    sqlite(
        &site,
        "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 99) INSERT INTO acme_accounts \
         SELECT randomblob(16), zeroblob(32), randomblob(16), '', did, key, '', '', 4000000000 FROM acme_accounts, n WHERE name = ''",
    );
    let server = site.start();
    let file = alice.home().join("acme.json");
    let more = ["acme", "setup", "alice", "--out", file.to_str().unwrap(), "--domain", "ftp.example"];
    assert_ne!(alice.dgns(&server, &more).code, Some(0));
    assert_eq!(update(&server, &accounts["alice.dgns.test"], TEXTS[0]).status, 200, "the account before");
    assert_eq!(setup(&alice, &server, "alice", &[])["www.example"], first["www.example"], "names have theirs");
    setup(&bobby, &server, "bobby", &["--domain", "ftp.example"]);
}

#[test]
fn a_server_opens_accounts_to_whom_it_says_and_not_too_many() {
    // Goal: `acme_register` and the rate of an address.
    for (mode, own, other) in [("off", 401, 401), ("device", 201, 401), ("open", 201, 201)] {
        let site = Site::new().with("dns", "acme_register", &format!("{mode:?}"));
        let (server, alice) = (site.start(), Person::new());
        alice.up(&server, "alice");
        assert_eq!(register(&server, "").status, other, "{mode}");
        let file = alice.home().join("acme.json");
        let arguments = ["acme", "setup", "alice", "--out", file.to_str().unwrap()];
        alice.dgns(&server, &arguments).exits(0);
        let code = alice.dgns(&server, &[&arguments[..], &["--domain", "www.example"]].concat()).code;
        assert_eq!(code == Some(0), own == 201, "{mode}");
    }
    let site =
        Site::new().with("limits", "signin_starts_per_hour_and_address", "2").with("limits", "records_per_hour", "1");
    let server = site.start();
    let account = register(&server, "").json();
    assert_eq!((register(&server, "").status, register(&server, "").problem_code()), (201, "rate".to_owned()));
    assert_eq!((update(&server, &account, TEXTS[0]).status, update(&server, &account, TEXTS[1]).status), (200, 429));
}

#[test]
fn an_account_is_of_no_more_use_than_its_device() {
    // Goal: what an account of a device wrote goes with the device, for its name and at the place of its own; nobody else opens one for the name.
    let (site, alice, bobby, other) = (Site::new(), Person::new(), Person::new(), Person::new());
    let server = site.start();
    let words = alice.up(&server, "alice");
    bobby.up(&server, "bobby");
    let accounts = setup(&alice, &server, "alice", &["--domain", "www.example"]);
    let (named, own) = (&accounts["alice.dgns.test"], &accounts["www.example"]);
    assert_eq!(named["fulldomain"], "_acme-challenge.alice.dgns.test");
    for text in TEXTS {
        assert_eq!(update(&server, named, text).status, 200);
    }
    assert_eq!(update(&server, own, TEXTS[0]).status, 200);
    assert_eq!(shown(&server, named), [TEXTS[2], TEXTS[1]]);
    assert_eq!(shown(&server, own), TEXTS[..1]);
    let file = bobby.home().join("acme.json");
    bobby.dgns(&server, &["acme", "setup", "alice", "--out", file.to_str().unwrap()]).exits(4);
    // Setting up again takes the place of the account before.
    let again = setup(&alice, &server, "alice", &[]);
    assert_eq!(again["www.example"], *own, "those of other names stay");
    assert_eq!(update(&server, named, TEXTS[0]).problem_code(), "forbidden");
    let named = &again["alice.dgns.test"];
    assert_eq!(update(&server, named, TEXTS[0]).status, 200);

    joins(&alice, &other, &server, "alice");
    let kid = alice.dgns(&server, &["whoami"]).exits(0).text("/device/kid");
    alice.dgns_with_input(&server, &["devices", "revoke", &kid, "--words"], &format!("{words}\n")).exits(0);
    let gone =
        |account: &Value| wait::until("what it wrote is gone", || shown(&server, account).is_empty().then_some(()));
    gone(named);
    gone(own);
    for account in [named, own] {
        assert_eq!(update(&server, account, TEXTS[0]).problem_code(), "forbidden");
    }
    server.kill();
    let server = site.start();
    assert_eq!((shown(&server, named), shown(&server, own)), (Vec::new(), Vec::new()), "and does not come back");
}

#[test]
fn lego_and_certbot_get_certificates_by_the_api() {
    // Goal: the commands that `dgns acme setup` prints end in real certificates. Method: pebble as the authority, which asks our DNS; stock lego
    // and stock certbot with the hook.
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    alice.dgns(&server, &["db", "create", "photos.alice"]).exits(0);
    let name = "photos.alice.dgns.test";
    let file = alice.home().join("acme.json");
    let said = alice.dgns(&server, &["acme", "setup", "photos.alice", "--out", file.to_str().unwrap()]);
    let hook = said.exits(0).text("/hook");
    let pebble = Pebble::asking(server.dns);
    let folder = pebble.directory.path();
    let mut lego = Command::new("lego");
    // Debian's lego is built without its client of acme-dns; `exec` is what it has for scripts.
    lego.env("EXEC_PATH", &hook)
        .env("EXEC_SEQUENCE_INTERVAL", "1")
        .env("LEGO_CA_CERTIFICATES", pebble.root_of_directory())
        .arg("--path")
        .arg(folder.join("lego"));
    lego.args(["--server", &pebble.url(), "--dns", "exec", "-d", name, "-d", &format!("*.{name}")]);
    lego.args(["-m", "alice@example.org", "-a", "--dns.disable-cp", "--dns.resolvers", &server.dns.to_string(), "run"]);
    run(lego, "").exits(0);
    let names = names_in(&folder.join(format!("lego/certificates/{name}.crt")));
    assert!(names.contains(&format!("DNS:{name}")) && names.contains(&format!("DNS:*.{name}")), "{names}");

    let state = folder.join("certbot");
    let mut certbot = Command::new("certbot");
    certbot.args(["certonly", "-n", "--agree-tos", "--register-unsafely-without-email", "--no-verify-ssl", "--manual"]);
    certbot.args(["--preferred-challenges", "dns", "-d", name, "--server", &pebble.url(), "--manual-auth-hook", &hook]);
    for option in ["--config-dir", "--work-dir", "--logs-dir"] {
        certbot.arg(option).arg(&state);
    }
    run(certbot, "").exits(0);
    assert!(names_in(&state.join(format!("live/{name}/fullchain.pem"))).contains(&format!("DNS:{name}")));
}

/// Returns the names of a certificate as openssl prints them.
fn names_in(chain: &std::path::Path) -> String {
    let mut command = Command::new("openssl");
    command.args(["x509", "-noout", "-ext", "subjectAltName", "-in"]).arg(chain);
    run(command, "").exits(0).stdout.clone()
}
