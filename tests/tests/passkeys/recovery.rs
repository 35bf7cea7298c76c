//! A recovery that begins with a passkey: recovery servers judge its answers themselves, by the key that the owner's device named.

use std::fs;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use dgns_tests::harness::http;
use dgns_tests::harness::load::origin;
use dgns_tests::harness::recovery::RecoverySite;
use dgns_tests::harness::{Person, Running, Server, Site};
use identity::evidence::{Binding, Purpose, passkey_issuer};
use identity::key::{KexSecret, SigningKey};
use identity::recovery::message::{Ask, Proof, Register, ServerInfo, seal_ask};
use identity::recovery::{Bundle, Hardening, Scope, Share};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::authenticator::Soft;
use super::{PAGES, finish, finished, key, newcomer, part, site, start_body, started};

const PIN: &str = "739164";

/// A log whose people have passkeys, and servers that take them.
struct Stage {
    _site: Site,
    server: Server,
    _sites: Vec<RecoverySite>,
    servers: Vec<Server>,
    alice: Person,
    soft: Soft,
}

impl Stage {
    fn new(servers: usize) -> Self {
        let site = site();
        let server = site.start();
        let (alice, mut soft) = (Person::new(), Soft::new());
        let words = alice.up(&server, "alice");
        alice.dgns_with_input(&server, &["policy", "--window-s", "1", "--words"], &words).exits(0);
        let login = alice.dgns_running(&server.url, &["login", "--passkey-url", "--no-browser"]);
        let asked = Address::shown(&login);
        let led = asked.leads_back("make=1");
        let made = Address::read(led.header("location"));
        let options = String::from_utf8(made.more.clone()).unwrap();
        made.answers(&soft.create(PAGES, &options));
        login.ended().exits(0);
        let sites: Vec<_> =
            (1..=servers).map(|n| RecoverySite::new(&format!("Operator {n}")).with_passkeys(PAGES)).collect();
        let servers = sites.iter().map(|site| site.start(&server, &[])).collect();
        Self { _site: site, server, _sites: sites, servers, alice, soft }
    }

    /// Runs a command that asks the passkey, on the page that it leads to.
    fn with_passkey(&mut self, person: &Person, arguments: &[&str], exit: i32) -> Value {
        let running = person.dgns_running(&self.server.url, arguments);
        Address::shown(&running).signs_in(&mut self.soft);
        running.ended().exits(exit).json()
    }

    fn urls(&self) -> String {
        self.servers.iter().map(|server| server.url.clone()).collect::<Vec<_>>().join(",")
    }
}

/// What stands in the address of the page that a program shows (PROTOCOL 19.8).
struct Address {
    port: String,
    state: String,
    sign: [u8; 32],
    kex: [u8; 32],
    random: [u8; 16],
    more: Vec<u8>,
}

impl Address {
    fn shown(running: &Running) -> Self {
        Self::read(&running.note(|line| line.trim().starts_with("http").then(|| line.trim().to_owned())))
    }

    fn read(url: &str) -> Self {
        let (base, told) = url.split_once("/signin#program=").unwrap_or_else(|| panic!("{url}"));
        assert_eq!(base, PAGES);
        let parts: Vec<&str> = told.split('.').collect();
        let bytes = |at: usize| BASE64URL_NOPAD.decode(parts[at].as_bytes()).unwrap();
        Self {
            port: parts[0].to_owned(),
            state: parts[1].to_owned(),
            sign: bytes(2).try_into().unwrap(),
            kex: bytes(3).try_into().unwrap(),
            random: bytes(4).try_into().unwrap(),
            more: parts.get(5).map_or_else(Vec::new, |_| bytes(5)),
        }
    }

    /// Signs in as the page does: over the challenge that it makes itself, for what the address says.
    fn signs_in(&self, soft: &mut Soft) {
        let (purpose, blinded) = match self.more.split_first() {
            None => (Purpose::SignIn, None),
            Some((3, [])) => (Purpose::Enrolment, None),
            Some((2, point)) => (Purpose::Recovery, Some(point.try_into().unwrap())),
            _ => panic!("the page is asked for something else"),
        };
        let binding = Binding { purpose, sign: self.sign, kex: self.kex, blinded, random: self.random };
        self.answers(&soft.get(PAGES, &options(&binding)));
    }

    fn answers(&self, credential: &Value) {
        let code = BASE64URL_NOPAD.encode(credential.to_string().as_bytes());
        let answer = self.leads_back(&format!("code={code}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    fn leads_back(&self, more: &str) -> http::Answer {
        let to = format!("127.0.0.1:{}", self.port).parse().unwrap();
        http::request(to, "GET", &format!("/?state={}&{more}", self.state), &[], b"").expect("it listens")
    }
}

fn options(binding: &Binding) -> String {
    json!({ "challenge": binding.nonce_text(), "rpId": "localhost", "userVerification": "required", "allowCredentials": [] })
        .to_string()
}

/// The passkey's answer as an evidence hash is made of it.
fn statement(answer: &Value) -> Vec<u8> {
    let part = |name| {
        let bytes = part(answer, name);
        [&(bytes.len() as u16).to_be_bytes(), bytes.as_slice()].concat()
    };
    ["authenticatorData", "clientDataJSON", "signature"].map(part).concat()
}

#[test]
fn a_passkey_and_a_pin_bring_an_account_back_without_any_issuer() {
    let mut stage = Stage::new(3);
    let servers = stage.urls();
    let alice = Person::in_home(stage.alice.home().to_owned());
    let asked = ["recovery", "set", "--servers", &servers, "--pin", PIN, "--no-browser"];
    let said = stage.with_passkey(&alice, &asked, 0);
    assert_eq!((said["epoch"].as_u64(), said["threshold"].as_u64()), (Some(1), Some(2)), "{said}");

    // Another's passkey is nobody's that recovers alice: no guess is spent.
    let stranger = Person::new();
    let running = stranger.dgns_running(&stage.server.url, &["recover", "alice", "--pin", PIN, "--no-browser"]);
    let asked = Address::shown(&running);
    let mut other = Soft::new();
    let login = stranger_login(&stage.server, &mut other);
    asked.signs_in(&mut other);
    let refused = running.ended().exits(4).json();
    assert!(["unknown_signin", "unknown_passkey"].contains(&refused["code"].as_str().unwrap()), "{refused}");
    drop(login);

    let blank = Person::new();
    let said =
        stage.with_passkey(&blank, &["recover", "alice", "--pin", PIN, "--signin", "passkey", "--no-browser"], 5);
    assert_eq!(said["phase"], "proved", "{said}");
    let said = blank.dgns(&stage.server, &["recover", "alice", "--resume", "--wait"]).exits(0).json();
    assert_eq!((said["phase"].as_str(), said["user_key"].as_bool()), (Some("recovered"), Some(true)), "{said}");
    let stats = stage.servers[0].get("/r/v1/stats").json();
    assert_eq!(stats["released"].as_u64(), Some(1), "{stats}");
}

/// Somebody else, with a passkey of an account that has a name too.
fn stranger_login(server: &Server, soft: &mut Soft) -> Person {
    let mallory = Person::new();
    mallory.up(server, "mallory");
    let login = mallory.dgns_running(&server.url, &["login", "--passkey-url", "--no-browser"]);
    let led = Address::shown(&login).leads_back("make=1");
    let made = Address::read(led.header("location"));
    made.answers(&soft.create(PAGES, &String::from_utf8(made.more.clone()).unwrap()));
    login.ended().exits(0);
    mallory
}

#[test]
fn a_recovery_server_takes_no_answer_of_another_passkey_purpose_page_or_person() {
    let mut stage = Stage::new(1);
    let file = fs::read(stage.alice.home().join("dgns.test/device.json")).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    let secret = |key: &str| -> [u8; 32] {
        HEXLOWER.decode(file[key].as_str().unwrap().as_bytes()).unwrap().try_into().unwrap()
    };
    let (sign, kex) = (SigningKey::from_seed(&secret("sign")), KexSecret::from_bytes(secret("kex")));
    let did = file["did"].as_str().unwrap().parse().unwrap();
    let own_key = public_key(&stage.server, &mut stage.soft);
    let mut other = Soft::new();
    newcomer(&stage.server, &mut other, &key(6));
    let other_key = public_key(&stage.server, &mut other);
    let binding =
        Binding { purpose: Purpose::Enrolment, sign: sign.public(), kex: kex.public(), blinded: None, random: [7; 16] };
    let server = &stage.servers[0];
    let info = ServerInfo::open(&server.get("/r/v1/info").body, &origin()).unwrap();
    assert_eq!(info.issuers, [passkey_issuer("dgns.test")]);
    let asked = |issuer: &str, key: [u8; 64], answer: &[u8]| {
        let statement = Zeroizing::new([&key, answer].concat());
        let register = Register {
            bundle: Bundle { scope: Scope { did, epoch: 1 }, hardening: Hardening::DEFAULT, words: false },
            key_share: Zeroizing::new({
                let mut share = [0; 32];
                share[0] = 5;
                share
            }),
            backup_share: Share::new(1, [7; 32]),
            sign_ins: vec![Proof { issuer: issuer.to_owned(), statement, random: [7; 16], salt: [8; 16] }],
            needed: 1,
            blinded: identity::oprf::Server::from_seed(&[9; 32]).public(),
            sign: sign.public(),
            kex: kex.public(),
        };
        let request = register.sign(&origin(), &sign);
        let keys = (&info.key, &info.kex);
        let body = seal_ask(Ask::Register, keys, &request, &mut dgns_client::rng::system()).unwrap();
        let answer = server.post("/r/v1/register", &body);
        if answer.status == 200 { "taken".to_owned() } else { answer.problem_code() }
    };
    let passkeys = passkey_issuer("dgns.test");
    let good = statement(&stage.soft.get(PAGES, &options(&binding)));
    let recovery = Binding { purpose: Purpose::Recovery, blinded: Some([3; 32]), ..binding };
    let other_purpose = statement(&stage.soft.get(PAGES, &options(&recovery)));
    let other_device = statement(&stage.soft.get(PAGES, &options(&Binding { sign: [9; 32], ..binding })));
    let other_page = statement(&stage.soft.get("http://localhost:9999", &options(&binding)));
    let mut careless = Soft { verifies: false, ..stage.soft.clone() };
    let unverified = statement(&careless.get(PAGES, &options(&binding).replace("required", "discouraged")));
    let mut bent = good.clone();
    *bent.last_mut().unwrap() ^= 1;
    assert_eq!(asked(&passkeys, own_key, &other_purpose), "nonce");
    assert_eq!(asked(&passkeys, own_key, &other_device), "nonce");
    assert_eq!(asked(&passkeys, own_key, &other_page), "assertion");
    assert_eq!(asked(&passkeys, own_key, &unverified), "assertion");
    assert_eq!(asked(&passkeys, own_key, &bent), "assertion");
    assert_eq!(asked(&passkeys, own_key, &good[..good.len() - 1]), "assertion");
    assert_eq!(asked(&passkeys, other_key, &good), "assertion", "the key of another passkey");
    assert_eq!(asked(&passkeys, [0; 64], &good), "bad_point");
    assert_eq!(asked("passkey:other.test", own_key, &good), "unknown_issuer");
    assert_eq!(server.get("/r/v1/stats").json()["rows"].as_u64(), Some(0), "nothing was kept");
    assert_eq!(asked(&passkeys, own_key, &good), "taken");
}

/// The key of somebody's passkey, as the server tells who enrols with it.
fn public_key(server: &Server, soft: &mut Soft) -> [u8; 64] {
    let device = key(5);
    let begun = server.post("/v1/signin/passkey/start", &start_body(&device, Purpose::Enrolment));
    let begun = started(&begun, &device, Purpose::Enrolment);
    let answer = soft.get(PAGES, &begun.go);
    finished(&finish(server, &begun, &device, &answer)).passkey.expect("the key of the passkey")
}
