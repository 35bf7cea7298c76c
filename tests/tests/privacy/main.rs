//! No personal data where anybody could read it: every journey of a person, with everything a server can be made to write, and then a
//! search of all of it for what is the person's alone.

#[path = "../passkeys/authenticator.rs"]
#[allow(dead_code, reason = "the tests of passkeys use more of it")]
mod authenticator;

use std::path::Path;

use authenticator::Soft;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use dgns_api::signin::{Finish, Finished, Start, Started};
use dgns_tests::harness::device::Device;
use dgns_tests::harness::http::{self, Answer};
use dgns_tests::harness::issuer::{Issuer, PUBLIC_URL, code, finish, lacks_issuers, sign_in, site, start, start_body};
use dgns_tests::harness::journey::{joins, signs_in, visits};
use dgns_tests::harness::load::{Somebody, body, origin};
use dgns_tests::harness::needles::{Needles, files_below};
use dgns_tests::harness::{Person, Server, Site, wait};
use identity::evidence::{Purpose, sign_finish};
use identity::key::{KexSecret, SigningKey};
use serde_json::Value;
use storage::people::{AliasRow, People};

/// The person, as nobody else is called.
const ADDRESS: &str = "Augusta.Ada-King+Tests@Correspondence.Lovelace.example";
const SUBJECT: &str = "subject|1815-12-10|ockham-park";
const BROWSER: &str = "AdasOwnBrowser/18.15 (Analytical Engine)";
const LABELS: [&str; 2] = ["Ada's desk in Marylebone", "the telephone of Countess Lovelace"];
const LETTER: &str = "The Engine might compose elaborate pieces of music.";

fn person() -> [(&'static str, &'static str); 3] {
    [("x-subject", SUBJECT), ("x-email", ADDRESS), ("user-agent", BROWSER)]
}

/// Everything that must stand nowhere, as far as it is known beforehand.
fn needles() -> Needles {
    let mut needles = Needles::default();
    let (local, domain) = ADDRESS.split_once('@').unwrap();
    for (name, secret) in [
        ("the address", ADDRESS),
        ("its local part", local),
        ("its domain", domain),
        ("the subject", SUBJECT),
        ("the browser", BROWSER),
        ("a label", LABELS[0]),
        ("another label", LABELS[1]),
        ("a letter", LETTER),
    ] {
        needles.add(name, secret.as_bytes());
    }
    needles
}

/// Adds an id_token, whole and in its two parts that say something.
fn add_token(needles: &mut Needles, statement: &[u8]) {
    needles.add("an id_token", statement);
    let mut parts = statement.split(|byte| *byte == b'.').skip(1);
    for name in ["what an id_token says", "the signature of an id_token"] {
        let part = parts.next().expect("three parts");
        needles.add(name, part);
        needles.add(name, &BASE64URL_NOPAD.decode(part).expect("base64url"));
    }
}

/// What a server said to somebody it refused, and what it says to everybody.
#[derive(Default)]
struct Said(Vec<u8>);

impl Said {
    fn hear(&mut self, answer: &Answer) {
        self.0.extend(format!("\n{} {:?}\n", answer.status, answer.headers).bytes());
        self.0.extend(&answer.body);
    }

    fn refused(&mut self, answer: &Answer) {
        assert!((400..600).contains(&answer.status), "{} {}", answer.status, answer.text());
        self.hear(answer);
    }
}

#[test]
fn nothing_of_a_person_stands_where_the_server_keeps_or_says_anything() {
    // Goal: addresses, subjects, id_tokens, labels, letters, tokens and words stand in no file, trace, counter or refusal of a server, in
    // no spelling. Method: all journeys with the traces of every part on, a kill in the middle, so that what a database has not
    // cleaned up lies open; then a search, and the same search where something was planted.
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let mut site =
        site(&[&a]).with_logging("trace").with("signin", "passkeys", "true").with("aliases", "evaluate", "true");
    for limit in
        ["evaluations_per_hour_and_address", "signin_starts_per_hour_and_address", "envelopes_per_hour_and_address"]
    {
        site = site.with("limits", limit, "0");
    }
    let (mut needles, mut said) = (needles(), Said::default());
    let server = site.start();
    let ada = Person::new();
    let words = live(&server, &a, &ada, &mut needles);
    refusals(&server, &a, &mut needles, &mut said);
    server.kill();
    nowhere(&needles, &site, &said, "after a kill");
    let server = site.start();
    passkeys(&server, &ada, &mut said);
    erasure(&server, &a, &ada, &words, &mut said);
    for public in ["/metrics", "/v1/info", "/v1/log/status", "/v1/log/checkpoint"] {
        said.hear(&server.get(public));
    }
    crowd(&server);
    server.stop().exits(0);
    assert!(said.0.windows(5).any(|window| window == b"dgns_"), "the counters were read");
    nowhere(&needles, &site, &said, "at the end");
    let traces = std::fs::read_to_string(site.log()).unwrap();
    assert!(traces.contains("TRACE") && traces.contains("DEBUG"), "traces were on");
    planted(&needles, &site);
}

/// From nothing to a person with two devices, an address, letters and tokens. Returns the words.
fn live(server: &Server, a: &Issuer, ada: &Person, needles: &mut Needles) -> String {
    let (phone, words_only, carol) = (Person::new(), Person::new(), Person::new());
    let at = (server, a);
    let up = signs_in(ada, &person(), at, &["up", "ada", "--signin", "a", "--label", LABELS[0]], 0);
    let words = up["words"].as_str().expect("they are shown").to_owned();
    needles.add("the words", words.as_bytes());
    carol.up(server, "carol");
    signs_in(ada, &person(), at, &["alias", "add", ADDRESS, "--oidc", "a"], 0);
    for finder in [&["find", ADDRESS][..], &["find", ADDRESS, "--signed"], &["send", ADDRESS, "-m", LETTER]] {
        carol.dgns(server, finder).exits(0);
    }
    assert_eq!(ada.dgns(server, &["inbox"]).exits(0).json()["letters"].as_array().map(Vec::len), Some(1));
    // Another browser signs in and is listed; one with another subject is not taken for her.
    let (sign, kex) = (SigningKey::from_seed(&[5; 32]), KexSecret::from_bytes([6; 32]).public());
    let finished = sign_in((server, ("a", a)), (&sign, kex), &person());
    add_token(needles, &finished.statement);
    let other = [("x-subject", "subject|another|of-hers"), ("x-email", ADDRESS)];
    needles.add("another subject", other[0].1.as_bytes());
    add_token(needles, &sign_in((server, ("a", a)), (&SigningKey::from_seed(&[7; 32]), kex), &other).statement);
    carol.dgns(server, &["send", ADDRESS, "-m", LETTER]).exits(0);
    let own = ada.dgns(server, &["alias", "list"]).exits(0).json();
    assert_eq!(own["aliases"][0]["address"], ADDRESS.to_ascii_lowercase().as_str(), "{own}");

    joins(ada, &phone, server, "ada");
    let kid = phone.dgns(server, &["whoami"]).exits(0).text("/device/kid");
    ada.dgns(server, &["devices", "label", &kid, LABELS[1]]).exits(0);
    assert!(ada.dgns_in_text(server, &["devices", "list"]).exits(0).stdout.contains(LABELS[1]));
    let pair = ada.dgns_running(&server.url, &["pair", "--words"]);
    let secret = pair.note(|line| Some(line.trim().strip_prefix("dgns join ")?.trim_matches('\'').to_owned()));
    needles.add("the secret of a pairing", secret.as_bytes());
    words_only.dgns(server, &["join"].into_iter().chain(secret.split(' ')).collect::<Vec<_>>()).exits(0);
    pair.ended().exits(0);
    ada.dgns(server, &["devices", "revoke", &kid]).exits(0);

    let token =
        ada.dgns(server, &["token", "lease", "--audience", "carol", "--scope", "diary:rw"]).exits(0).text("/token");
    let refreshed = ada.dgns(server, &["token", "refresh"]).exits(0).text("/tokens/0/token");
    for token in [token, refreshed] {
        needles.add("a token", token.as_bytes());
    }
    words
}

/// Everything wrong that is hers: none of it comes back.
fn refusals(server: &Server, a: &Issuer, needles: &mut Needles, said: &mut Said) {
    let device = SigningKey::from_seed(&[9; 32]);
    let posted =
        |path: &str, body: &[u8]| http::request(server.http, "POST", path, &[("user-agent", BROWSER)], body).unwrap();
    for path in [
        "/v1/signin/oidc/start",
        "/v1/signin/oidc/finish",
        "/v1/signin/passkey/start",
        "/v1/signin/passkey/finish",
        "/v1/passkeys/finish",
        "/v1/alias/evaluate",
        "/v1/alias/notarize",
        "/v1/certificates",
        "/v1/envelopes",
        "/v1/token/lease",
        "/v1/signup",
        "/v1/notices",
    ] {
        said.refused(&posted(path, ADDRESS.as_bytes()));
    }
    said.refused(&posted(
        "/v1/signin/oidc/start",
        &Start { issuer: ADDRESS.into(), ..start_body(&device, "a") }.encode(),
    ));
    let escaped = ADDRESS.replace('@', "%40").replace('+', "%2B");
    for path in ["/v1/names/", "/v1/dids/", "/v1/aliases/", "/v1/ids/", "/v1/pair/", "/", "/v1/log/entries/"] {
        said.refused(&server.get(&format!("{path}{escaped}")));
    }
    for path in ["/v1/log/proof?index=", "/v1/revocations?since=", "/v1/events?after="] {
        said.refused(&server.get(&format!("{path}{escaped}")));
    }
    said.hear(&server.get(&format!("/v1/signin/oidc/callback?state={escaped}&code=x")));
    said.refused(&http::request(server.http, "GET", "/v1/labels", &[("authorization", ADDRESS)], b"").unwrap());

    // An issuer that lies, an address nobody verified, a code of another start.
    let unverified = [person().as_slice(), &[("x-unverified", "1")]].concat();
    let started = start(server, &device, "a");
    let brought = code(server, &a.visit(&started.go, &unverified));
    said.refused(&finish(server, &started, &device, &brought));
    for lie in ["nonce", "audience", "issuer", "expired", "none", "key", "changed"] {
        let started = start(server, &device, "a");
        let brought = code(server, &a.visit(&started.go, &person()));
        a.told(&format!("/lie?{lie}"));
        said.refused(&finish(server, &started, &device, &brought));
        said.refused(&finish(server, &started, &device, &brought));
    }
    let started = start(server, &device, "a");
    said.refused(&finish(server, &started, &device, ADDRESS));
    // What she signed in with, shown for another's address.
    let finished = sign_in((server, ("a", a)), (&device, KexSecret::from_bytes([8; 32]).public()), &person());
    add_token(needles, &finished.statement);
    let ask = dgns_api::alias::Ask {
        certificate: ADDRESS.as_bytes().to_vec(),
        statement: finished.statement,
        random: finished.random,
        nonce: [1; 32],
        tag: None,
        sealed: Vec::new(),
    };
    said.refused(&posted("/v1/alias/notarize", &ask.encode()));
}

/// A passkey of hers: made, used, listed, removed.
fn passkeys(server: &Server, ada: &Person, said: &mut Said) {
    let (device, mut soft) = (Device::of(ada), Soft::new());
    let begin = |purpose| {
        let (sign, kex) = (device.sign.public(), device.kex);
        Start { purpose, sign, kex, issuer: String::new(), port: None, blinded: None }.encode()
    };
    let end = |started: &Started, answer: &Value| {
        let signature = sign_finish(&origin(), &started.state, &device.sign);
        Finish { state: started.state, signature, answer: answer.to_string() }.encode()
    };
    let began = wait::until("the second of the start is over", || {
        let answer = device.asks(server, "POST", "/v1/passkeys/start", &begin(Purpose::Enrolment));
        (answer.status == 200).then_some(answer)
    });
    let started = Started::decode(&began.body).unwrap();
    let made = server.post("/v1/passkeys/finish", &end(&started, &soft.create(PUBLIC_URL, &started.go)));
    assert_eq!(made.status, 200, "{}", made.text());
    let begun = server.post("/v1/signin/passkey/start", &begin(Purpose::SignIn));
    let started = Started::decode(&begun.body).unwrap();
    let answer = soft.get(PUBLIC_URL, &started.go);
    let finished = server.post("/v1/signin/passkey/finish", &end(&started, &answer));
    Finished::decode(&finished.body).unwrap_or_else(|_| panic!("{}", finished.text()));
    said.refused(&server.post("/v1/signin/passkey/finish", &end(&started, &answer)));
    assert_eq!(device.asks(server, "GET", "/v1/passkeys", b"").status, 200);
    let id = HEXLOWER.encode(&soft.ids()[0]);
    assert_eq!(device.asks(server, "DELETE", &format!("/v1/passkeys/{id}"), b"").status, 200);
    said.refused(&device.asks(server, "DELETE", &format!("/v1/passkeys/{id}"), b""));
}

/// The address hidden, shown, and given up.
fn erasure(server: &Server, a: &Issuer, ada: &Person, words: &str, said: &mut Said) {
    let carol = Person::new();
    for (turn, found) in [("hide", 6), ("show", 0)] {
        let mut running = ada.dgns_running(&server.url, &["alias", turn, ADDRESS, "--oidc", "a", "--words"]);
        running.types(words);
        visits(&running, server, a, &person());
        running.ended().exits(0);
        carol.dgns(server, &["find", ADDRESS]).exits(found);
    }
    let removed = ada.dgns_with_input(server, &["alias", "remove", ADDRESS, "--words"], words);
    assert_eq!(removed.exits(0).json()["erased"], true);
    carol.dgns(server, &["find", ADDRESS]).exits(6);
    said.refused(&server.get("/v1/alias/mine"));
}

/// Enough of other people for a whole bundle of entries, so that there are files of the log.
fn crowd(server: &Server) {
    for number in 0..90 {
        let (_, certificates) = Somebody::new(&format!("other-{number}"), 1);
        let answer = server.post("/v1/certificates", &body(&certificates));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// Holds that nothing of it stands anywhere.
fn nowhere(needles: &Needles, site: &Site, said: &Said, when: &str) {
    assert_eq!(needles.found_in(&said.0), Vec::<&str>::new(), "{when}: an answer says it");
    let found = needles.found_at(site);
    assert!(found.is_empty(), "{when}: {found:?}");
}

/// Holds that the search finds what was put into a database, a tile and a trace.
fn planted(needles: &Needles, site: &Site) {
    let sealed = [&[0xd9, 0xff], BASE64URL_NOPAD.encode(format!("x{ADDRESS}").as_bytes()).as_bytes()].concat();
    let did = identity::did::Did::from_bytes([3; 20]);
    let row = AliasRow { did, alias: [4; 32], account: [5; 32], sealed, bound: false, since_s: 1 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let people = runtime.block_on(People::open(site.data())).unwrap();
    assert!(runtime.block_on(people.put_alias(&row)).unwrap());
    let found = needles.found_at(site);
    assert!(
        found
            .iter()
            .any(|(file, what)| file.ends_with("people.db-wal") && what.iter().any(|what| what.contains("Base64"))),
        "not written to the file proper yet: {found:?}"
    );
    runtime.block_on(people.close()).unwrap();
    let objects = files_below(&site.data().join("objects"));
    let tile = objects.first().expect("the log has tiles");
    for (file, planted) in [(tile.clone(), HEXLOWER.encode(SUBJECT.as_bytes())), (site.log(), ADDRESS.to_uppercase())] {
        let before = std::fs::read(&file).unwrap();
        std::fs::write(&file, [&before[..], planted.as_bytes()].concat()).unwrap();
    }
    let found = needles.found_at(site);
    for file in [Path::new("people.db"), tile, &site.log()] {
        assert!(found.iter().any(|(known, _)| known.ends_with(file)), "{}: {found:?}", file.display());
    }
}
