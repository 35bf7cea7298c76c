//! The log's keys change: the operator's command, every state a crash can leave, and who follows.

use std::fs;
use std::path::PathBuf;

use dgns_tests::harness::liar::Liar;
use dgns_tests::harness::{Person, Ran, Server, Site};
use identity::key::SigningKey;
use identity::name::Origin;
use translog::resolution::Resolution;

use crate::swapped::{forged, stranger};

#[test]
fn heads_carry_the_lines_of_all_keys_that_the_newest_logconf_lists() {
    // Goal: PROTOCOL 7.3, 9.3. Method: a rotation, then the old key dropped; after each the checkpoint, the LogConf served, the
    // recommended policy, fsck.
    let (site, server, old) = started();
    assert_eq!(lines(&server).len(), 1);
    server.stop().exits(0);

    let rotated = rotate(&site, &[]);
    let new = rotated.exits(0).text("/vkeys/1");
    assert_eq!((rotated.text("/vkeys/0"), rotated.number("/seq")), (old.clone(), 1));
    let server = site.start();
    assert_eq!(server.vkey(), old, "the oldest key stands first");
    assert_eq!(lines(&server), [key_id(&old), key_id(&new)]);
    let policy = server.get("/v1/log/policy");
    let expected = format!("log {old}\nlog {new}\nquorum none\n");
    assert_eq!(policy.text(), expected);
    let conf = server.get("/v1/log/conf").body;
    assert!(String::from_utf8_lossy(&conf).contains(&new), "the newest LogConf lists the new key");
    server.stop().exits(0);

    let early = rotate(&site, &["--drop-old"]);
    assert!(early.exits(1).stderr.contains("the newest key signs for 0 days"), "{early}");
    rotate(&site, &["--drop-old", "--force"]).exits(0);
    assert!(!site.data().join("keys/log.key").exists(), "a key that signs nothing more is erased");
    site.dgnsd(&["fsck", "--deep"]).exits(0);
    let server = site.start();
    assert_eq!(lines(&server), [key_id(&new)]);
    assert_eq!(
        Person::new().dgns(&server, &["audit"]).exits(0).number("/size"),
        server.ready["size"].as_u64().unwrap()
    );
    let shown = site.dgnsd(&["logconf", "show", "--json"]);
    assert!(shown.exits(1).stderr.contains("in use by another process"), "one process at a time: {shown}");
    server.stop().exits(0);
    let shown = site.dgnsd(&["logconf", "show", "--json"]);
    assert_eq!((shown.exits(0).number("/seq"), shown.text("/vkeys/0")), (2, new));
}

#[test]
fn recommended_policy_is_logged_and_changed_without_a_new_key() {
    // Goal: what clients are recommended is in the log. Method: a policy from the configuration, then another by command.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy");
    let vkey = cosigner("north.example");
    let witness = format!("witness north {vkey} http://127.0.0.1:9");
    fs::write(&path, format!("{witness}\nquorum none\n")).unwrap();
    let site = Site::new().with("witnesses", "policy", &format!("{:?}", path.display().to_string()));
    let server = site.start();
    let log = server.vkey().to_owned();
    assert_eq!(server.get("/v1/log/policy").text(), format!("log {log}\n{witness}\nquorum none\n"));
    server.stop().exits(0);

    fs::write(&path, "quorum none\n").unwrap();
    let prefix = "https://log.example/log";
    let changed = rotate(&site, &["--policy", path.to_str().unwrap(), "--prefix", prefix]);
    assert_eq!((changed.exits(0).number("/seq"), changed.json()["vkeys"].as_array().unwrap().len()), (1, 1));
    let server = site.start();
    assert_eq!(server.get("/v1/log/policy").text(), format!("log {log} {prefix}\nquorum none\n"));
}

#[test]
fn rotation_refuses_what_would_not_hold() {
    // Goal: every refusal before anything is made. Method: wrong words, a running server, nothing to drop, a key that is not lost,
    // a prefix that is none; the log is as it was.
    let (site, server, old) = started();
    let refused = rotate(&site, &[]);
    assert!(refused.exits(1).stderr.contains("in use by another process"), "{refused}");
    server.stop().exits(0);
    let words = site.data().join("other-words");
    fs::write(&words, format!("{}about\n", "abandon ".repeat(11))).unwrap();
    let refused = site.dgnsd(&["logconf", "rotate", "--words-file", words.to_str().unwrap()]);
    assert!(refused.exits(1).stderr.contains("not the words of this server"), "{refused}");
    for (arguments, why) in [
        (&["--drop-old", "--force"][..], "there is no old one to drop"),
        (&["--old-key-lost"], "none is lost"),
        (&["--prefix", "ftp://log.example"], "is no read prefix"),
    ] {
        let refused = rotate(&site, arguments);
        assert!(refused.exits(1).stderr.contains(why), "{refused}");
    }
    let shown = site.dgnsd(&["logconf", "show", "--json"]);
    assert_eq!((shown.exits(0).number("/seq"), shown.text("/vkeys/0")), (0, old));
}

#[test]
fn every_state_a_crash_can_leave_starts_with_one_configuration_whole() {
    // Goal: a rotation cut off anywhere leaves the old keys signing or the new. Method: the files as they lie between any two
    // steps: a key staged; a key written, no LogConf; the LogConf committed, the guard one behind; a dropped key not yet erased.
    let (site, server, old) = started();
    server.stop().exits(0);
    let before = site.snapshot();
    let guard = fs::read(site.data().join("keys/guard")).unwrap();
    let new = rotate(&site, &[]).exits(0).text("/vkeys/1");
    let both = site.snapshot();
    let key = fs::read(site.data().join("keys/log-1.key")).unwrap();

    site.restore(&before, &[]);
    fs::write(site.data().join("keys/log-1.new"), &key[..20]).unwrap();
    starts_with(&site, &[&old]);
    site.restore(&before, &[]);
    write_secret(&site.data().join("keys/log-1.key"), &key);
    starts_with(&site, &[&old]);
    assert_eq!(rotate(&site, &[]).exits(0).text("/vkeys/1"), new, "the key of the rotation that was cut off is used");
    starts_with(&site, &[&old, &new]);

    site.restore(&both, &[]);
    fs::write(site.data().join("keys/guard"), guard).unwrap();
    starts_with(&site, &[&old, &new]);
    let old_key = fs::read(site.data().join("keys/log.key")).unwrap();
    rotate(&site, &["--drop-old", "--force"]).exits(0);
    write_secret(&site.data().join("keys/log.key"), &old_key);
    starts_with(&site, &[&new]);
    rotate(&site, &[]).exits(0);
    assert!(!site.data().join("keys/log.key").exists(), "the next change erases what the last one left");
}

#[test]
fn rotation_killed_at_any_moment_leaves_a_log_that_starts() {
    // Goal: the same by the clock. Method: kill -9 at moments spread over the time a rotation takes; after each the server starts,
    // its heads verify, fsck is clean.
    let (site, server, _) = started();
    server.stop().exits(0);
    let (_, took) = dgns_tests::harness::wait::timed(|| rotate(&site, &["--new-key"]).exits(0).clone());
    let mut keys = 2;
    for part in 1..=8 {
        let mut child = command(&site).spawn().unwrap();
        dgns_tests::harness::wait::let_pass(took * part / 8);
        child.kill().unwrap();
        child.wait().unwrap();
        let server = site.start();
        let now = lines(&server).len();
        assert!(now == keys || now == keys + 1, "{keys} keys became {now}");
        keys = now;
        Person::new().dgns(&server, &["audit"]).exits(0);
        server.stop().exits(0);
        site.dgnsd(&["fsck"]).exits(0);
        if keys > 4 {
            rotate(&site, &["--drop-old", "--force"]).exits(0);
            keys = 1;
        }
    }
}

#[test]
fn clients_follow_from_the_key_they_pinned() {
    // Goal: who was away during a whole rotation goes on, a proof kept from before stays one, a newcomer meets the newest keys.
    // Method: one client that looks in while both keys sign, one that comes back when the old one is gone.
    let (site, server, old) = started();
    let (alice, bob) = (Person::new(), Person::new());
    alice.up(&server, "alice");
    bob.dgns(&server, &["resolve", "alice"]).exits(0);
    let kept = bob.home().join("kept.tlog-proof");
    bob.dgns(&server, &["prove", "alice", "--out", kept.to_str().unwrap()]).exits(0);
    let elsewhere = server.url.clone();
    server.stop().exits(0);
    let new = rotate(&site, &[]).exits(0).text("/vkeys/1");
    let server = site.start();
    assert_eq!(log_keys(&alice.dgns(&server, &["resolve", "alice"])), [&*old], "the old key signs on");
    Person::new().dgns(&server, &["resolve", "alice"]).exits(0);
    assert_eq!(alice.dgns(&server, &["audit"]).exits(0).json()["repins"], serde_json::json!([]));
    assert_eq!(trusted(&alice), [&*old, &*new], "the audit saw a line by a new key");
    server.stop().exits(0);

    rotate(&site, &["--drop-old", "--force"]).exits(0);
    let server = site.start();
    assert_ne!(server.url, elsewhere, "a free port; the home knows the log all the same");
    for person in [&alice, &bob] {
        let seen = person.dgns(&server, &["resolve", "alice"]);
        assert_eq!(log_keys(&seen), [&*new]);
        assert_eq!(trusted(person), [&*new]);
        person.dgns(&server, &["audit"]).exits(0);
        let verified = person.dgns(&server, &["verify", kept.to_str().unwrap()]);
        assert_eq!(verified.exits(0).text("/status"), "present");
    }
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.7"]).exits(0);
    let newcomer = Person::new();
    newcomer.dgns(&server, &["resolve", "alice"]).exits(0);
    assert_eq!(trusted(&newcomer), [&*new]);
    let refused = newcomer.dgns(&server, &["verify", kept.to_str().unwrap()]);
    assert_eq!(
        refused.exits(3).text("/code"),
        "unknown_note_key",
        "who never knew the old key believes nothing it signed"
    );
}

#[test]
fn who_comes_back_to_the_same_server_is_shown_no_fault_where_keys_changed() {
    // Goal: a client that finds out by a lookup, not by meeting another server, follows and asks again: the head it met on the way to
    // the keys is newer than the one it had asked from. Method: the old key is gone, the address stays; a lookup, then a post.
    let (site, server, _) = started();
    let [alice, bob] = [Person::new(), Person::new()];
    alice.up(&server, "alice");
    bob.up(&server, "bob");
    let address = format!("\"{}\"", server.http);
    server.stop().exits(0);
    rotate(&site, &[]).exits(0);
    let new = rotate(&site, &["--drop-old", "--force"]).exits(0).text("/vkeys/0");
    let site = site.with("http", "listen", &address);
    let server = site.start();
    assert_eq!(log_keys(&alice.dgns(&server, &["resolve", "alice"])), [&*new]);
    bob.dgns(&server, &["records", "set", "bob", "A", "192.0.2.7"]).exits(0);
    for person in [&alice, &bob] {
        assert_eq!(trusted(person), [&*new]);
        assert!(person.evidence().is_empty(), "nobody is accused");
    }
}

#[test]
fn keys_replaced_without_the_old_one_are_pinned_anew_by_hand() {
    // Goal: the operator's words alone take nobody along. Method: the log key is lost; who pinned it is told so, with every command;
    // an audit by the new key names the entry; a person who was told the new key goes on.
    let (site, server, _) = started();
    let alice = Person::new();
    alice.up(&server, "alice");
    server.stop().exits(0);
    fs::remove_file(site.data().join("keys/log.key")).unwrap();
    site.start_in_vain().exits(1);
    let rotated = rotate(&site, &["--old-key-lost"]);
    assert!(rotated.exits(0).json()["repin"].as_bool().unwrap());
    let new = rotated.text("/vkeys/0");
    let server = site.start();
    for arguments in
        [&["resolve", "alice"][..], &["whoami"], &["audit"], &["records", "set", "alice", "A", "192.0.2.1"]]
    {
        let caught = alice.dgns(&server, arguments);
        assert_eq!(caught.exits(3).text("/code"), "repin", "{arguments:?}");
    }
    let audited = Person::new().dgns(&server, &["audit"]);
    assert_eq!(audited.exits(0).json()["repins"].as_array().map(Vec::len), Some(1));
    alice.dgns(&server, &["trust", "repin", "other.test/log", &new]).exits(1);
    alice.dgns(&server, &["trust", "repin", "dgns.test/log", &new]).exits(0);
    alice.dgns(&server, &["resolve", "alice"]).exits(0);
    alice.dgns(&server, &["audit"]).exits(0);
}

#[test]
fn key_exchanged_without_a_logconf_is_refused() {
    // Goal: nothing but the log's own LogConf changes whom a client believes. Method: heads signed by a stranger's key, with the
    // honest chain of LogConfs, none, and one that names the stranger without the identity key's signature.
    let (_site, server, old) = started();
    let alice = Person::new();
    alice.up(&server, "alice");
    let signed = move |bytes: &[u8]| {
        let mut resolution = Resolution::decode(bytes).ok()?;
        let mut head = resolution.take_head()?;
        let line = stranger().sign(&head.checkpoint(&Origin::parse("dgns.test/log").ok()?));
        head.log_signature = line.signature.try_into().ok()?;
        Some(resolution.with_head(head).encode())
    };
    let swapped = move |bytes: &[u8]| {
        let mut chain = forged(bytes)?;
        chain.resolution = signed(&chain.resolution)?;
        Some(chain.encode())
    };
    for chain in ["honest", "none", "forged"] {
        let liar = Liar::before(server.http, move |request, mut answer| {
            let told = match (request.starts_with("GET /v1/log/conf/chain"), chain) {
                (true, "honest") => None,
                (true, "none") => return None,
                (true, _) => swapped(&answer.body),
                (false, _) => signed(&answer.body),
            };
            answer.body = told.unwrap_or(answer.body);
            Some(answer)
        });
        let caught = alice.dgns_at(&liar.url, &["resolve", "alice"], "");
        assert_eq!(caught.exits(3).text("/code"), "log_signature", "{chain}");
        assert!(!caught.text("/evidence").is_empty(), "{chain}");
        assert_eq!(trusted(&alice), [&*old], "{chain}");
    }
    alice.dgns(&server, &["resolve", "alice"]).exits(0);
}

/// The keys an answer was verified with.
fn log_keys(ran: &Ran) -> Vec<String> {
    let keys = ran.exits(0).json()["proof"]["log_keys"].clone();
    serde_json::from_value(keys).unwrap()
}

/// The keys a home trusts.
fn trusted(person: &Person) -> Vec<String> {
    let file = fs::read(person.home().join("dgns.test/trust.json")).unwrap();
    let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
    serde_json::from_value(file["vkeys"].clone()).unwrap()
}

fn started() -> (Site, Server, String) {
    let site = Site::new();
    let server = site.start();
    let key = server.vkey().to_owned();
    (site, server, key)
}

/// Runs `dgnsd logconf rotate` with the operator's words.
pub(crate) fn rotate(site: &Site, arguments: &[&str]) -> Ran {
    let words = words(site);
    let fixed = ["logconf", "rotate", "--json", "--words-file", words.to_str().unwrap()];
    site.dgnsd(&[&fixed[..], arguments].concat())
}

fn command(site: &Site) -> std::process::Command {
    let mut command = std::process::Command::new(dgns_tests::harness::programs::program("dgnsd"));
    command.args(["logconf", "rotate", "--words-file"]).arg(words(site)).arg("--data").arg(site.data());
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command
}

fn words(site: &Site) -> PathBuf {
    site.data().join("keys/operator-words")
}

/// Starts a server, asserts whose lines its heads carry, and that a newcomer believes them; stops it.
fn starts_with(site: &Site, keys: &[&str]) {
    let server = site.start();
    assert_eq!(lines(&server), keys.iter().map(|key| key_id(key)).collect::<Vec<_>>());
    Person::new().dgns(&server, &["audit"]).exits(0);
    server.stop().exits(0);
}

/// The key ids of the checkpoint's lines.
fn lines(server: &Server) -> Vec<[u8; 4]> {
    let note = translog::note::Note::parse(&server.get("/log/checkpoint").body).unwrap();
    note.lines().iter().map(|line| line.id).collect()
}

fn key_id(vkey: &str) -> [u8; 4] {
    translog::note::VerifierKey::parse(vkey).unwrap().id()
}

/// A witness's key.
fn cosigner(name: &str) -> String {
    let key = SigningKey::from_seed(&[5; 32]);
    translog::note::Cosigner::new(name, key).unwrap().verifier_key().to_string()
}

fn write_secret(path: &std::path::Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
