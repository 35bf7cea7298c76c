//! The real `dgnsd witness` over HTTP: each status of the specification, races, an old database, evidence.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use data_encoding::{BASE64, HEXLOWER};
use dgns_tests::harness::http::{self, Answer};
use dgns_tests::harness::opaque::OpaqueLog;
use dgns_tests::harness::programs::{program, run};
use dgns_tests::harness::witness::{WitnessSite, cosigned, submit};
use dgns_tests::harness::{Person, Seed, Server, Site, ports, wait};
use identity::hash::sha256;
use identity::key::SigningKey;
use translog::fault::FaultFile;
use translog::note::{Checkpoint, Note, VerifierKey};
use translog::witness::{Request, cosignature_of};

const ORIGIN: &str = "a.example/log";

fn monitored(server: &Server, origin: &str) -> Answer {
    server.get(&format!("/witness/{}/checkpoint", HEXLOWER.encode(&sha256(&[origin.as_bytes()]))))
}

/// Submits and expects a cosignature of the request's checkpoint.
fn granted(server: &Server, log: &OpaqueLog, from: u64, to: u64) {
    let answer = submit(server, "witness", &log.request(from, to));
    assert_eq!(answer.status, 200, "{from} to {to}: {}", answer.text());
    let key = VerifierKey::parse(server.vkey()).unwrap();
    cosignature_of(&answer.body, log.note(to).text(), &key).unwrap();
}

#[test]
fn every_status_and_body_is_that_of_the_specification() {
    // Goal: PROTOCOL 9.7 over HTTP, one wrong thing at a time; the record stays as it was. Method: a witness at size 5.
    let site = WitnessSite::new();
    let (log, other) = (OpaqueLog::new(ORIGIN), OpaqueLog::new("b.example/log"));
    let server = site.start(&[&log.vkey(), &other.vkey()]);
    assert_eq!(monitored(&server, ORIGIN).status, 404, "nothing was cosigned yet");
    granted(&server, &log, 0, 3);
    granted(&server, &log, 3, 5);
    let good = String::from_utf8(log.request(5, 9)).unwrap();
    let of = |from: u64, proof: Vec<[u8; 32]>, note| Request::new(from, proof, note).unwrap().encode();
    let mut bent = log.proof(5, 9);
    bent[0][0] ^= 1;
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("nothing", vec![], 400, "bad_request"),
        ("no old size", good.replacen("old 5\n", "", 1).into_bytes(), 400, "bad_request"),
        ("a leading zero", good.replacen("old 5", "old 05", 1).into_bytes(), 400, "bad_request"),
        ("a sign", good.replacen("old 5", "old +5", 1).into_bytes(), 400, "bad_request"),
        ("no empty line", good.replacen("\n\n", "\n", 1).into_bytes(), 400, "bad_request"),
        ("a size in words", good.replacen("\n9\n", "\nnine\n", 1).into_bytes(), 400, "bad_request"),
        ("bytes that are no text", vec![0xff; 100], 400, "bad_request"),
        ("63 hashes", of(5, vec![[1; 32]; 63], log.note(9)), 422, "consistency"),
        (
            "64 hashes",
            [b"old 5\n", BASE64.encode(&[1; 32]).as_bytes(), &of(5, vec![[1; 32]; 63], log.note(9))[5..]].concat(),
            400,
            "bad_request",
        ),
        ("an old size above the checkpoint's", of(9, vec![], log.note(5)), 400, "old_size"),
        ("a log nobody listed", OpaqueLog::new("c.example/log").request(0, 3), 404, "unknown_log"),
        (
            "another log's key",
            {
                let text = log.note(9).text().to_owned();
                let forged = Checkpoint::parse(&text).unwrap();
                let line = other.signer().sign(&forged);
                let line = translog::note::SignatureLine { name: ORIGIN.into(), ..line };
                of(5, log.proof(5, 9), Note::new(text, vec![line]).unwrap())
            },
            403,
            "log_signature",
        ),
        ("a signature that fails", good.replacen("\n9\n", "\n10\n", 1).into_bytes(), 403, "log_signature"),
        ("a wrong proof", of(5, bent, log.note(9)), 422, "consistency"),
        ("no proof", of(5, vec![], log.note(9)), 422, "consistency"),
        ("a proof between equals", of(5, vec![[1; 32]], log.note(5)), 422, "consistency"),
        ("another root at the size cosigned", of(5, vec![], log.fork(1).note(5)), 422, "fork"),
        ("a proof from nothing", of(0, vec![[1; 32]], other.note(3)), 422, "consistency"),
        ("an empty tree with a root", of(0, vec![], other.note_with(0, [1; 32])), 422, "empty_root"),
    ];
    for (name, body, status, code) in cases {
        let answer = submit(&server, "witness", &body);
        assert_eq!((answer.status, answer.problem_code().as_str()), (status, code), "{name}");
    }
    for (name, from, to) in [("an older size", 3, 9), ("size 0, to be told", 0, 9), ("a size below", 4, 5)] {
        let answer = submit(&server, "witness", &log.request(from, to));
        assert_eq!((answer.status, answer.text().as_str()), (409, "5\n"), "{name}");
        assert_eq!(answer.header("content-type"), "text/x.tlog.size", "{name}");
    }
    let large = submit(&server, "witness", &vec![b'x'; 196_609]);
    assert_eq!((large.status, large.problem_code().as_str()), (413, "too_large"));
    assert_eq!(server.get("/witness/add-checkpoint").status, 405);
    assert_eq!(server.post("/verifier/add-checkpoint", good.as_bytes()).status, 404, "there is no verifier");
    granted(&server, &log, 5, 9);
    granted(&server, &log, 9, 9);
    let shown = monitored(&server, ORIGIN);
    assert_eq!(shown.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(cosigned(&shown.body, server.vkey()), (9, log.root(9)));
    assert_eq!(cosigned(&shown.body, &log.vkey()), (9, log.root(9)), "with the log's own line");
    assert_eq!(server.get("/health").status, 200);
    let metrics = server.get("/metrics").text();
    assert!(metrics.contains("dgns_witness_cosigned_total{role=\"witness\"} 4\n"), "{metrics}");
    assert!(metrics.contains("dgns_witness_log_size{role=\"witness\",origin=\"a.example/log\"} 9\n"), "{metrics}");
    server.stop().exits(0);
}

#[test]
fn request_written_by_hand_from_the_specification_is_cosigned() {
    // Goal: not our encoder's bytes. Method: a log of two leaves and its proof, computed with SHA-256 and Ed25519 alone.
    let key = SigningKey::from_seed(&[7; 32]);
    let name = "example.com/behind-the-sofa";
    let id = sha256(&[name.as_bytes(), b"\n\x01", &key.public()]);
    let vkey = format!("{name}+{}+{}", HEXLOWER.encode(&id[..4]), BASE64.encode(&[&[1], &key.public()[..]].concat()));
    let server = WitnessSite::new();
    let running = server.start(&[&vkey]);
    let leaf = |text: &[u8]| sha256(&[&[0], text]);
    let (one, two) = (leaf(b"one"), leaf(b"two"));
    let signed = |size: u64, root: [u8; 32]| {
        let text = format!("{name}\n{size}\n{}\n", BASE64.encode(&root));
        let signature = [&id[..4], &key.sign(text.as_bytes())[..]].concat();
        format!("{text}\n\u{2014} {name} {}\n", BASE64.encode(&signature))
    };
    let first = format!("old 0\n\n{}", signed(1, one));
    let second = format!("old 1\n{}\n\n{}", BASE64.encode(&two), signed(2, sha256(&[&[1], &one, &two])));
    for body in [first, second] {
        let answer = submit(&running, "witness", body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        // One line: em dash, name, base64 of key id, 8 bytes of time, 64 of signature.
        let line = answer.text();
        let line = line.strip_prefix("\u{2014} w.example/witness ").and_then(|line| line.strip_suffix('\n')).unwrap();
        let bytes = BASE64.decode(line.as_bytes()).unwrap();
        assert_eq!(bytes.len(), 4 + 8 + 64);
        let time_s = u64::from_be_bytes(bytes[4..12].try_into().unwrap());
        let text = body.split_once("\n\n").unwrap().1.split_once("\n\n").unwrap().0;
        let message = format!("cosignature/v1\ntime {time_s}\n{text}\n");
        let witness = VerifierKey::parse(running.vkey()).unwrap();
        assert_eq!(bytes[..4], witness.id());
        identity::key::verify_strict(witness.key(), message.as_bytes(), bytes[12..].try_into().unwrap()).unwrap();
    }
}

#[test]
fn one_connection_carries_many_requests() {
    // Goal: keep-alive, refusals included. Method: three requests on one connection, answers read one by one.
    use std::io::{Read as _, Write as _};
    let log = OpaqueLog::new(ORIGIN);
    let site = WitnessSite::new();
    let server = site.start(&[&log.vkey()]);
    let mut stream = http::connect(server.http).unwrap();
    for (body, status) in [(log.request(0, 3), 200), (log.request(0, 3), 409), (log.request(3, 6), 200)] {
        let head =
            format!("POST /witness/add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
        let mut answer = Vec::new();
        while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        let head = String::from_utf8(answer).unwrap().to_lowercase();
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{head}");
        let length: usize =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        stream.read_exact(&mut vec![0; length]).unwrap();
    }
}

#[test]
fn racing_checkpoints_never_take_the_witness_back() {
    // Goal: of many at once, each cosigned one continues the one before. Method: fifty clients on one log, each from where it
    // believes the witness to be; meanwhile the monitoring endpoint is read, and its size never falls.
    let log = OpaqueLog::new(ORIGIN);
    let site = WitnessSite::new();
    let server = site.start(&[&log.vkey()]);
    let over = AtomicBool::new(false);
    let (granted, seen) = thread::scope(|scope| {
        let monitor = scope.spawn(|| {
            let mut sizes = vec![0];
            while !over.load(Ordering::Relaxed) {
                let answer = monitored(&server, ORIGIN);
                if answer.status == 200 {
                    sizes.push(cosigned(&answer.body, server.vkey()).0);
                }
            }
            sizes
        });
        let (log, server) = (&log, &server);
        let racers: Vec<_> = (0..50_u64)
            .map(|racer| {
                scope.spawn(move || {
                    let mut seed = Seed::from(racer);
                    let (mut known, mut granted) = (0, Vec::new());
                    for _ in 0..6 {
                        let to = known + 1 + seed.below(40);
                        let answer = submit(server, "witness", &log.request(known, to));
                        match answer.status {
                            200 => {
                                granted.push((known, to));
                                known = to;
                            }
                            409 => known = answer.text().trim_end().parse().unwrap(),
                            other => panic!("{other}: {}", answer.text()),
                        }
                    }
                    granted
                })
            })
            .collect();
        let granted: Vec<(u64, u64)> = racers.into_iter().flat_map(|racer| racer.join().unwrap()).collect();
        over.store(true, Ordering::Relaxed);
        (granted, monitor.join().unwrap())
    });
    let mut steps: BTreeMap<u64, u64> = BTreeMap::new();
    for (from, to) in &granted {
        assert_eq!(steps.insert(*from, *to), None, "two cosigned checkpoints continue size {from}");
    }
    let mut at = 0;
    while let Some(next) = steps.remove(&at) {
        at = next;
    }
    assert!(steps.is_empty(), "all cosigned checkpoints are one chain: {steps:?}");
    assert!(seen.is_sorted(), "the monitored size fell: {seen:?}");
    assert_eq!(cosigned(&monitored(&server, ORIGIN).body, server.vkey()), (at, log.root(at)));
}

#[test]
fn witness_on_an_older_copy_of_its_database_refuses_to_start() {
    // Goal: a restored backup signs nothing. Method: the database of size 3 put back below the guard of size 7; then the newest.
    let log = OpaqueLog::new(ORIGIN);
    let site = WitnessSite::new();
    let vkey = log.vkey();
    let server = site.start(&[&vkey]);
    granted(&server, &log, 0, 3);
    server.stop().exits(0);
    let old = site.database();
    let server = site.start(&[&vkey]);
    granted(&server, &log, 3, 7);
    server.stop().exits(0);
    let newest = site.database();
    for older in [old, Vec::new()] {
        site.put_database(&older);
        let refused = site.try_start(&[&vkey], &[]).unwrap_err();
        refused.exits(3);
        assert!(refused.stderr.contains("rolled_back"), "{refused}");
    }
    site.put_database(&newest);
    let guards = site.data().join("keys/witness.guard");
    fs::rename(&guards, site.data().join("elsewhere")).unwrap();
    site.try_start(&[&vkey], &[]).unwrap_err().exits(3);
    fs::remove_dir_all(&guards).unwrap();
    fs::rename(site.data().join("elsewhere"), &guards).unwrap();
    let server = site.start(&[&vkey]);
    granted(&server, &log, 7, 8);
}

#[test]
fn log_that_contradicts_itself_is_convicted_by_the_witness() {
    // Goal: a fork at the size cosigned, and one behind a proof that only fits another past, leave files that convict the log.
    let log = OpaqueLog::new(ORIGIN);
    let fork = log.fork(1);
    let site = WitnessSite::new();
    let server = site.start(&[&log.vkey()]);
    granted(&server, &log, 0, 5);
    assert_eq!(submit(&server, "witness", &fork.request(5, 5)).problem_code(), "fork");
    assert_eq!(submit(&server, "witness", &fork.request(5, 9)).problem_code(), "consistency");
    assert_eq!(submit(&server, "witness", &fork.request(5, 5)).problem_code(), "fork");
    let kinds: Vec<&str> = site
        .evidence()
        .iter()
        .map(|path| {
            let file = FaultFile::decode(&fs::read(path).unwrap()).unwrap();
            assert_eq!(file.check().unwrap().key.to_string(), log.vkey());
            let mut verify = Command::new(program("dgns"));
            verify.arg("verify").arg(path).env("DGNS_HOME", site.data().join("nobody"));
            run(verify, "").exits(3);
            file.kind().word()
        })
        .collect();
    assert_eq!(kinds, ["same-size", "prefix"]);
    assert!(server.get("/metrics").text().contains("dgns_witness_evidence_total{role=\"witness\"} 2\n"));
    granted(&server, &log, 5, 9);
}

#[test]
fn witness_says_what_it_needs_when_it_is_started_wrongly() {
    let site = WitnessSite::new();
    let log = OpaqueLog::new(ORIGIN);
    site.run(&[]).exits(1);
    site.run(&["--log", "nonsense"]).exits(1);
    site.run(&["--log", &log.vkey(), "--name", "a b"]).exits(1);
    let without_url = site.run(&["--log", &log.vkey(), "--verifier"]);
    assert!(without_url.exits(1).stderr.contains("names no URL"), "{without_url}");
    assert!(site.run(&["clear", ORIGIN]).exits(1).stderr.contains("not held up"));
    let server = site.start(&[&log.vkey()]);
    let second = site.try_start(&[&log.vkey()], &[]).unwrap_err();
    assert!(second.exits(1).stderr.contains("in use"), "{second}");
    assert_eq!(
        server.ready["policy_lines"][0],
        format!("witness {} {} {}/witness", dgns_tests::harness::witness::NAME, server.vkey(), server.url)
    );
}

#[test]
fn server_cosigns_another_servers_log_and_replays_it() {
    // Goal: the role inside `serve`, both cosigners, on a log that grows; keys and lines are there before the first start.
    let site = Site::new();
    let server = site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    let other = Site::new().with_zone("b.test");
    let line = format!("log {} {}/log\n", server.vkey(), server.url);
    let logs = other.file("a.log", &line).display().to_string();
    let other = other.with("witness", "logs", &format!("{logs:?}")).with("witness", "verifier", "true");
    let lines = other.keys(&["--url", "https://b.test/"]).exits(0).stdout.clone();
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 3);
    let witness = other.start();
    assert_eq!(lines[0], format!("log {} https://b.test/log", witness.vkey()));
    for (line, role) in lines[1..].iter().zip(["witness", "verifier"]) {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(
            (words[0], words[1], words[3]),
            ("witness", &*format!("b.test/{role}"), &*format!("https://b.test/{role}"))
        );
        let told = witness.ready["policy_lines"].to_string();
        assert!(told.contains(words[2]), "{told}");
    }
    let mut size = 0;
    for claim in ["bob", "carol"] {
        Person::new().up(&server, claim);
        let note = Note::parse(&server.get("/log/checkpoint").body).unwrap();
        let newest = Checkpoint::parse(note.text()).unwrap().size;
        let proof = match size {
            0 => Vec::new(),
            from => server.get(&format!("/v1/log/proof?from={from}&to={newest}")).body.as_chunks::<32>().0.to_vec(),
        };
        let body = Request::new(size, proof, note.clone()).unwrap().encode();
        for (role, line) in ["witness", "verifier"].into_iter().zip(&lines[1..]) {
            let answer = wait::until("the log is replayed", || {
                let answer = submit(&witness, role, &body);
                (answer.status != 503).then_some(answer)
            });
            assert_eq!(answer.status, 200, "{role}: {}", answer.text());
            let key = VerifierKey::parse(line.split(' ').nth(2).unwrap()).unwrap();
            cosignature_of(&answer.body, note.text(), &key).unwrap();
        }
        size = newest;
    }
    assert!(
        witness
            .get("/metrics")
            .text()
            .contains(&format!("dgns_verifier_replayed{{origin=\"dgns.test/log\"}} {size}\n"))
    );
    witness.stop().exits(0);
    other.start().stop().exits(0);
}

#[test]
fn readme_lets_two_servers_witness_each_other() {
    // Goal: what the README says works as it stands. Method: its two files and its commands, on free ports and a home of the
    // test's own; where it waits three seconds, here both servers are asked until they show a witnessed head.
    let readme = include_str!("../../README.md");
    let section = readme.split("## Two servers witness each other").nth(1).unwrap().split("\n## ").next().unwrap();
    let blocks = |kind: &str| -> Vec<String> {
        let fence = format!("```{kind}\n");
        section.split(&fence).skip(1).map(|block| free_ports(block.split("```").next().unwrap())).collect()
    };
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in ["a.toml", "b.toml"].into_iter().zip(blocks("toml")) {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let commands = blocks("sh").remove(0);
    let (before, after) =
        commands.split_once("dgnsd serve --config a.toml &\ndgnsd serve --config b.toml &\n").unwrap();
    let after = after.split_once('\n').unwrap().1;
    shell(directory.path(), before);
    let serve = |name: &str| {
        let mut command = Command::new(program("dgnsd"));
        command.args(["serve", "--json", "--config", name]).current_dir(directory.path()).env("DGNS_LOG", "warn");
        Server::start(command, &directory.path().join(format!("{name}.err"))).unwrap()
    };
    let servers = [serve("a.toml"), serve("b.toml")];
    for server in &servers {
        wait::until("a witnessed head", || (server.get("/log/checkpoint").status == 200).then_some(()));
    }
    let said = shell(directory.path(), after);
    assert!(said.contains("cosigned by a quorum of witnesses"), "{said}");
}

/// Puts ports that are free now in the place of the README's.
fn free_ports(text: &str) -> String {
    static PORTS: OnceLock<Vec<(String, String)>> = OnceLock::new();
    let ports = PORTS.get_or_init(|| {
        ["5381", "5382", "5301", "5302"].map(|port| (port.to_owned(), ports::free().to_string())).into()
    });
    ports.iter().fold(text.to_owned(), |text, (port, free)| text.replace(port, free))
}

/// Runs commands as a shell does, our programs in its path; returns what they printed.
fn shell(directory: &Path, commands: &str) -> String {
    let programs = program("dgnsd").parent().unwrap().display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command.args(["-e", "-c", commands]).current_dir(directory).env("PATH", path);
    command.env("DGNS_HOME", directory.join("home"));
    run(command, "").exits(0).stdout.clone()
}
