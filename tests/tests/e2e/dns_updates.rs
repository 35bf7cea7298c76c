//! What devices write into DNS themselves, with stock `nsupdate` and their own keys; and everybody else who tries.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use dgns_tests::harness::journey::joins;
use dgns_tests::harness::pebble::Pebble;
use dgns_tests::harness::programs::run;
use dgns_tests::harness::update::ALICE;
pub(crate) use dgns_tests::harness::update::{key_file, key_of, record, signed};
use dgns_tests::harness::{Person, Server, Site, wait};

/// Runs stock nsupdate, by TCP unless told otherwise; returns the code of the answer.
pub(crate) fn nsupdate(server: &Server, options: &[&str], lines: &[&str]) -> String {
    let mut command = Command::new("nsupdate");
    command.args(options);
    let head = format!("server 127.0.0.1 {}\nzone dgns.test\n", server.dns.port());
    let ran = run(command, &format!("{head}{}\nsend\nanswer\n", lines.join("\n")));
    let said = format!("{}{}", ran.stdout, ran.stderr);
    let code = said.split("status: ").nth(1).and_then(|rest| rest.split(',').next());
    code.map_or_else(|| said.clone(), str::to_owned)
}

pub(crate) fn dig(server: &Server, name: &str, rtype: &str) -> String {
    let mut command = Command::new("dig");
    let port = server.dns.port().to_string();
    command.args(["@127.0.0.1", "-p", &port, "+short", "+tries=1", "+time=60", name, rtype]);
    run(command, "").exits(0).stdout.trim().to_owned()
}

#[test]
fn a_device_writes_what_its_key_may_until_it_is_revoked() {
    // Goal: PROTOCOL 13.3 with stock nsupdate: own name, addresses and challenges alone, durable, gone with the key. Method: a table of
    // updates, the server killed between two of them, the device revoked by the other one.
    let (site, alice, bobby) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    let words = alice.up(&server, "alice");
    bobby.up(&server, "bobby");
    alice.dgns(&server, &["records", "set", "alice", "AAAA", "2001:db8::1"]).exits(0);
    let (hers, his) = (key_file(&alice, &server, "alice"), key_file(&bobby, &server, "bobby"));
    let mine: &[&str] = &["-v", "-k", &hers];
    bobby.dgns(&server, &["dns-key", "alice", "--out", "/nowhere"]).exits(1);
    for (what, options, lines, code) in [
        ("an address", mine, &["add alice.dgns.test 300 A 192.0.2.7"][..], "NOERROR"),
        ("the same again", mine, &["add alice.dgns.test 300 A 192.0.2.7"], "NOERROR"),
        ("a challenge", mine, &["add _acme-challenge.alice.dgns.test 60 TXT \"one\""], "NOERROR"),
        ("a second", mine, &["add _acme-challenge.alice.dgns.test 60 TXT \"two\""], "NOERROR"),
        ("below it", mine, &["add _x._acme-challenge.alice.dgns.test 60 TXT \"three\""], "NOERROR"),
        ("one less", mine, &["del _acme-challenge.alice.dgns.test TXT \"one\""], "NOERROR"),
        ("unsigned", &["-v"], &["add alice.dgns.test 60 A 192.0.2.8"], "REFUSED"),
        ("by datagram", &["-k", &hers], &["add alice.dgns.test 60 A 192.0.2.8"], "REFUSED"),
        ("by another's key", &["-v", "-k", &his], &["add alice.dgns.test 60 A 192.0.2.8"], "REFUSED"),
        ("another's name", mine, &["add bobby.dgns.test 60 A 192.0.2.8"], "REFUSED"),
        ("a name of nobody", mine, &["add carol.dgns.test 60 A 192.0.2.8"], "REFUSED"),
        ("the zone", mine, &["add dgns.test 60 A 192.0.2.8"], "REFUSED"),
        ("another type", mine, &["add alice.dgns.test 60 MX 10 mx.example."], "REFUSED"),
        ("text at the name", mine, &["add alice.dgns.test 60 TXT \"hi\""], "REFUSED"),
        ("its DID", mine, &["add _did.alice.dgns.test 60 TXT \"did=did:dgns:me\""], "REFUSED"),
        ("a certified set", mine, &["add alice.dgns.test 60 AAAA 2001:db8::2"], "REFUSED"),
        ("a certified set that is to go", mine, &["del alice.dgns.test AAAA"], "REFUSED"),
        ("a record of it", mine, &["del alice.dgns.test AAAA 2001:db8::1"], "REFUSED"),
        ("all that is there", mine, &["del alice.dgns.test"], "REFUSED"),
        ("a multicast address", mine, &["add alice.dgns.test 60 A 224.0.0.1"], "REFUSED"),
        (
            "one of two is not",
            mine,
            &["add alice.dgns.test 60 A 192.0.2.9", "add bobby.dgns.test 60 A 192.0.2.9"],
            "REFUSED",
        ),
        (
            "what the server makes",
            mine,
            &["prereq yxrrset _did.alice.dgns.test TXT", "add alice.dgns.test 300 A 192.0.2.7"],
            "NOERROR",
        ),
        (
            "its set",
            mine,
            &["prereq yxrrset dgns.test NS ns.dgns.test.", "add alice.dgns.test 300 A 192.0.2.7"],
            "NOERROR",
        ),
        (
            "its newest head",
            mine,
            &["prereq nxdomain _checkpoint.dgns.test", "add alice.dgns.test 60 A 192.0.2.8"],
            "YXDOMAIN",
        ),
        (
            "its DID is there",
            mine,
            &["prereq nxrrset _did.alice.dgns.test TXT", "add alice.dgns.test 60 A 192.0.2.8"],
            "YXRRSET",
        ),
        (
            "the zone of proofs",
            mine,
            &["prereq yxdomain _proof.dgns.test", "add alice.dgns.test 60 A 192.0.2.8"],
            "NOTZONE",
        ),
        ("no zone of ours", mine, &["prereq nxdomain example.org", "add alice.dgns.test 60 A 192.0.2.8"], "NOTZONE"),
        ("another zone", mine, &["zone example.org", "add x.example.org 60 A 192.0.2.8"], "NOTAUTH"),
        (
            "it exists, and should not",
            mine,
            &["prereq nxdomain alice.dgns.test", "add alice.dgns.test 60 A 192.0.2.8"],
            "YXDOMAIN",
        ),
        (
            "it should exist",
            mine,
            &["prereq yxdomain carol.dgns.test", "add alice.dgns.test 60 A 192.0.2.8"],
            "NXDOMAIN",
        ),
        (
            "the set should",
            mine,
            &["prereq yxrrset alice.dgns.test TXT", "add alice.dgns.test 60 A 192.0.2.8"],
            "NXRRSET",
        ),
        (
            "the set should not",
            mine,
            &["prereq nxrrset alice.dgns.test A", "add alice.dgns.test 60 A 192.0.2.8"],
            "YXRRSET",
        ),
        (
            "the set is another",
            mine,
            &["prereq yxrrset alice.dgns.test A 192.0.2.1", "add alice.dgns.test 60 A 192.0.2.8"],
            "NXRRSET",
        ),
        (
            "the set is this",
            mine,
            &["prereq yxrrset alice.dgns.test A 192.0.2.7", "add alice.dgns.test 60 A 192.0.2.10"],
            "NOERROR",
        ),
    ] {
        let said = nsupdate(&server, options, lines);
        assert_eq!(said, code, "{what}: {lines:?}");
    }
    let shown =
        |server: &Server| (dig(server, "alice.dgns.test", "A"), dig(server, "_acme-challenge.alice.dgns.test", "TXT"));
    let both = ("192.0.2.7\n192.0.2.10".to_owned(), "\"two\"".to_owned());
    let sorted = |(a, txt): (String, String)| (if a.starts_with("192.0.2.10") { both.0.clone() } else { a }, txt);
    assert_eq!(sorted(shown(&server)), both);
    let many: Vec<String> =
        (0..20).map(|n| format!("add _x{n}._acme-challenge.alice.dgns.test 60 TXT \"x\"")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(nsupdate(&server, mine, &many), "REFUSED", "more than a name has room for");

    server.kill();
    let server = site.start();
    assert_eq!(sorted(shown(&server)), both, "durable before the answer");
    // A certified set takes the place of what devices wrote, for good.
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    assert_eq!(dig(&server, "alice.dgns.test", "A"), "192.0.2.1");

    // Another device of hers revokes this one.
    let other = Person::new();
    joins(&alice, &other, &server, "alice");
    let kid = alice.dgns(&server, &["whoami"]).exits(0).text("/device/kid");
    let revoked = alice.dgns_with_input(&server, &["devices", "revoke", &kid, "--words"], &format!("{words}\n"));
    revoked.exits(0);
    wait::until("what it wrote is gone", || (shown(&server).1.is_empty()).then_some(()));
    assert_eq!(nsupdate(&server, mine, &["add _acme-challenge.alice.dgns.test 60 TXT \"late\""]), "NOTAUTH");
    server.kill();
    let server = site.start();
    assert_eq!(shown(&server).1, "", "and does not come back");
}

#[test]
fn an_update_is_judged_once_whoever_sends_it_again() {
    // Goal: what somebody on the way kept changes nothing while its signature lasts: not by another TTL of its SIG, which nobody signs, not
    // after a restart, and not if it was refused. Method: messages of our own, by the key that stock programs get.
    let (site, alice, laptop) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    let words = alice.up(&server, "alice");
    let key = key_of(&alice, &server);
    let (v4, v6) = (1, 28);
    let add = record(v4, 1, 60, &[192, 0, 2, 7]);
    let kept = signed(&key, 1, &[], std::slice::from_ref(&add));
    let refused = signed(&key, 2, &[record(v6, 255, 0, &[])], &[add]);
    assert_eq!((sent(&server, &kept), sent(&server, &kept), sent(&server, &other_ttl(&kept))), (0, 5, 5));
    assert_eq!((sent(&server, &refused), sent(&server, &refused)), (8, 5), "a prerequisite is not met");
    let changed = signed(&key, 3, &[], &[record(v4, 255, 0, &[]), record(v6, 1, 60, &[0x20; 16])]);
    assert_eq!(sent(&server, &changed), 0);
    // Nor is one made, once it is live again, that a device sent while it was suspended.
    laptop.dgns_with_input(&server, &["devices", "add", "alice", "--words"], &words).exits(0);
    let suspended = signed(&key_of(&laptop, &server), 5, &[], &[record(v4, 1, 60, &[192, 0, 2, 9])]);
    let kid = laptop.dgns(&server, &["whoami"]).exits(0).text("/device/kid");
    alice.dgns(&server, &["devices", "suspend", &kid, "--reason", "lost"]).exits(0);
    assert_eq!((sent(&server, &suspended), sent(&server, &suspended)), (9, 5));

    server.kill();
    let server = site.start();
    for message in [&kept, &other_ttl(&kept), &refused, &other_ttl(&refused), &suspended] {
        assert_eq!(sent(&server, message), 5, "after a restart");
    }
    assert_eq!(dig(&server, "alice.dgns.test", "A"), "");
    assert_eq!(sent(&server, &signed(&key, 4, &[], &[record(v4, 1, 60, &[192, 0, 2, 8])])), 0, "what is new is taken");
    assert_eq!(dig(&server, "alice.dgns.test", "A"), "192.0.2.8");
}

/// Returns the message with another TTL in its SIG record.
fn other_ttl(message: &[u8]) -> Vec<u8> {
    let mut other = message.to_vec();
    let at = message.len() - 64 - ALICE.len() - 18 - 3;
    other[at] ^= 1;
    other
}

/// Sends a message by TCP, and returns the code of the answer.
pub(crate) fn sent(server: &Server, message: &[u8]) -> u8 {
    let mut stream = TcpStream::connect(server.dns).unwrap();
    stream.write_all(&[&(message.len() as u16).to_be_bytes()[..], message].concat()).unwrap();
    let mut reply = [0; 6];
    stream.read_exact(&mut reply).unwrap();
    reply[5] & 15
}

#[test]
fn certbot_gets_a_certificate_for_a_database_name() {
    // Goal: README's commands end in a real certificate. Method: pebble as the authority, which asks our DNS; stock certbot; the hook that
    // the README shows.
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    alice.dgns(&server, &["db", "create", "photos.alice"]).exits(0);
    let key = key_file(&alice, &server, "photos.alice");
    let pebble = Pebble::asking(server.dns);
    let folder = pebble.directory.path();
    let hook = folder.join("hook");
    let script = format!(
        "#!/bin/sh\nprintf 'server 127.0.0.1 {}\\nzone dgns.test\\nadd _acme-challenge.%s 60 TXT \"%s\"\\nsend\\n' \
         \"$CERTBOT_DOMAIN\" \"$CERTBOT_VALIDATION\" | nsupdate -v -k {key}\n",
        server.dns.port()
    );
    std::fs::write(&hook, script).unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let state = folder.join("certbot");
    let mut command = Command::new("certbot");
    command.args(["certonly", "-n", "--agree-tos", "--register-unsafely-without-email", "--no-verify-ssl", "--manual"]);
    command.args(["--preferred-challenges", "dns", "-d", "photos.alice.dgns.test", "--server", &pebble.url()]);
    command.arg("--manual-auth-hook").arg(&hook);
    for option in ["--config-dir", "--work-dir", "--logs-dir"] {
        command.arg(option).arg(&state);
    }
    run(command, "").exits(0);
    let mut command = Command::new("openssl");
    let chain = state.join("live/photos.alice.dgns.test/fullchain.pem");
    command.args(["x509", "-noout", "-ext", "subjectAltName", "-in"]).arg(chain);
    assert!(run(command, "").exits(0).stdout.contains("DNS:photos.alice.dgns.test"));
}

#[test]
fn a_certified_key_writes_what_its_scope_says_until_the_log_lists_it_no_more() {
    // Goal: a key of its own, and a device's, within what the log says of each; nobody else's; what it wrote goes with it, at once and for good. Method: stock
    // nsupdate, and the log changed around it.
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    let devices = key_file(&alice, &server, "alice");
    let out = alice.home().join("router");
    let made = |more: &[&str]| {
        let arguments = [&["dns-key", "alice", "--out", out.to_str().unwrap()], more].concat();
        alice.dgns(&server, &arguments).exits(0).json()
    };
    assert_eq!(nsupdate(&server, &["-v", "-k", &devices], &["add alice.dgns.test 60 AAAA 2001:db8::7"]), "NOERROR");
    assert_eq!(dig(&server, "alice.dgns.test", "AAAA"), "2001:db8::7");
    let router = made(&["--new", "--scope", "A", "--days", "30"]);
    let (file, tag) = (router["file"].as_str().unwrap().to_owned(), router["key_tag"].to_string());
    wait::until("what a device wrote is gone, which is not listed", || {
        dig(&server, "alice.dgns.test", "AAAA").is_empty().then_some(())
    });
    let routers: &[&str] = &["-v", "-k", &file];
    let own: &[&str] = &["-v", "-k", &devices];
    for (what, options, line, code) in [
        ("its address", routers, "add alice.dgns.test 60 A 192.0.2.7", "NOERROR"),
        ("another type", routers, "add alice.dgns.test 60 AAAA 2001:db8::7", "REFUSED"),
        ("a challenge", routers, "add _acme-challenge.alice.dgns.test 60 TXT \"x\"", "REFUSED"),
        ("all that is there", routers, "del alice.dgns.test", "REFUSED"),
        ("what lists it", routers, "del _update.alice.dgns.test TXT", "REFUSED"),
        ("a device that is not listed", own, "add alice.dgns.test 60 A 192.0.2.8", "NOTAUTH"),
    ] {
        assert_eq!(nsupdate(&server, options, &[line]), code, "{what}");
    }
    assert_eq!(dig(&server, "alice.dgns.test", "A"), "192.0.2.7");
    made(&["--scope", "challenges"]);
    for (options, line, code) in [
        (own, "add _acme-challenge.alice.dgns.test 60 TXT \"one\"", "NOERROR"),
        (own, "add alice.dgns.test 60 A 192.0.2.8", "REFUSED"),
        (routers, "add alice.dgns.test 60 A 192.0.2.9", "NOERROR"),
    ] {
        assert_eq!(nsupdate(&server, options, &[line]), code, "{line}");
    }
    let listed = made(&["--list"]);
    let mut scopes: Vec<_> = listed["keys"].as_array().unwrap().iter().map(|key| key["scope"].to_string()).collect();
    scopes.sort();
    assert_eq!(scopes, ["\"A\"", "\"challenges\""]);
    server.kill();
    let server = site.start();
    assert!(dig(&server, "alice.dgns.test", "A").contains("192.0.2.9"), "durable");

    let revoke = ["dns-key", "alice", "--revoke", &tag];
    alice.dgns(&server, &revoke).exits(0);
    wait::until("what it wrote is gone", || dig(&server, "alice.dgns.test", "A").is_empty().then_some(()));
    assert_eq!(nsupdate(&server, routers, &["add alice.dgns.test 60 A 192.0.2.7"]), "NOTAUTH");
    assert_eq!(dig(&server, "_acme-challenge.alice.dgns.test", "TXT"), "\"one\"", "the other's stays");
    alice.dgns(&server, &revoke).exits(1);
    // What somebody else's DID says counts for nothing, as what an owner of before said.
    let others = format!(
        "v=dgns1; did=did:dgns:{}; key={}; scope=A",
        "2".repeat(32),
        router["certified"]["key"].as_str().unwrap()
    );
    let records = alice.dgns(&server, &["records", "list", "alice"]).exits(0).json();
    let listed = |record: &&serde_json::Value| record["owner"] == "_update";
    let own_text =
        records["records"].as_array().unwrap().iter().find(listed).unwrap()["value"].as_str().unwrap().to_owned();
    let set = ["records", "set", "alice", "TXT", own_text.trim_matches('"'), &others, "--owner", "_update"];
    alice.dgns(&server, &set).exits(0);
    assert_eq!(nsupdate(&server, routers, &["add alice.dgns.test 60 A 192.0.2.7"]), "NOTAUTH");
    assert_eq!(nsupdate(&server, own, &["add _acme-challenge.alice.dgns.test 60 TXT \"one\""]), "NOERROR");
    server.kill();
    let server = site.start();
    assert_eq!(dig(&server, "alice.dgns.test", "A"), "", "and does not come back");
    // A record that is no key lets nobody write.
    alice.dgns(&server, &["records", "set", "alice", "TXT", "v=dgns9", "--owner", "_update"]).exits(0);
    assert_eq!(nsupdate(&server, own, &["add _acme-challenge.alice.dgns.test 60 TXT \"two\""]), "NOTAUTH");
    alice.dgns(&server, &["records", "remove", "alice", "TXT", "--owner", "_update"]).exits(0);
    assert_eq!(nsupdate(&server, own, &["add alice.dgns.test 60 A 192.0.2.8"]), "NOERROR", "each device again");
}
