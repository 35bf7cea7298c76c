//! The verifying witness before an operator who lies: an honest log is cosigned, any other held up with evidence, for good.

use dgns_client::clock;
use dgns_tests::harness::http::Answer;
use dgns_tests::harness::opaque::consistency;
use dgns_tests::harness::witness::{WitnessSite, submit};
use dgns_tests::harness::{Server, wait};
use translog::fault::{FaultFile, FaultKind};
use translog::hash::leaf_hash;
use translog::note::{Note, VerifierKey};
use translog::witness::{Request, cosignature_of};

use super::export::{Export, FileServer};
use super::forge::{Forge, small_from};
use super::lies::{self, Lie};
use super::people::{Someone, origin};

/// A log served by its operator, and a witness with a verifier that follows it.
struct Followed {
    site: WitnessSite,
    files: FileServer,
    line: String,
}

impl Followed {
    fn new(export: &Export) -> Self {
        let files = FileServer::new(export);
        let line = format!("{} {}/log", export.vkey, files.url);
        Self { site: WitnessSite::new(), files, line }
    }

    fn start(&self) -> Server {
        self.site.start_verifier(&[&self.line])
    }
}

/// A log that begins now: a verifier holds Epochs against its own clock.
fn fresh() -> (Forge, Vec<Someone>) {
    small_from(clock::now().as_ms() - 10_000)
}

/// Submits the newest checkpoint after one of `from` leaves until the verifier has come that far.
pub fn verified(server: &Server, forge: &Forge, export: &Export, from: u64) -> Answer {
    let body = request(forge, export, from);
    wait::until("the verifier has replayed the log", || {
        let answer = submit(server, "verifier", &body);
        if answer.status == 503 {
            assert_eq!((answer.problem_code().as_str(), answer.header("retry-after")), ("behind", "1"));
        }
        (answer.status != 503).then_some(answer)
    })
}

/// Returns the body that asks for a cosignature of the newest checkpoint after one of `from` leaves.
pub fn request(forge: &Forge, export: &Export, from: u64) -> Vec<u8> {
    let proof = consistency(&|index| leaf_hash(&forge.entries[index as usize]), from, export.size());
    Request::new(from, proof, Note::parse(&export.files["checkpoint"]).unwrap()).unwrap().encode()
}

/// Expects the line of the verifier's key, which is not the witness's.
fn cosigned(server: &Server, export: &Export, answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let vkey = server.ready["vkeys"][1].as_str().unwrap();
    assert_ne!(vkey, server.vkey());
    let note = Note::parse(&export.files["checkpoint"]).unwrap();
    cosignature_of(&answer.body, note.text(), &VerifierKey::parse(vkey).unwrap()).unwrap();
}

/// Returns what the verifier says of the first log.
pub fn status(server: &Server) -> serde_json::Value {
    server.get("/verifier/status").json()["logs"][0].clone()
}

#[test]
fn honest_log_is_cosigned_by_a_verifier_that_goes_on_where_it_stood() {
    // Goal: every entry replayed once, whatever stops the verifier between. Method: a log in two halves; the first withheld
    // from then on, so that nothing but kept progress can lead to the second.
    let (mut forge, mut people) = fresh();
    for number in 10..170 {
        forge.batch(&Someone::new(number).1);
    }
    let first = forge.export();
    let followed = Followed::new(&first);
    let server = followed.start();
    cosigned(&server, &first, &verified(&server, &forge, &first, 0));
    assert_eq!(status(&server)["replayed"], first.size());
    server.stop().exits(0);
    forge.batch(&[people[0].points_to([10, 9, 9, 9])]);
    let second = forge.export();
    followed.files.now_serves(&second);
    followed.files.never_answers(Some("tile/entries/000"));
    let server = followed.start();
    assert_eq!(status(&server)["replayed"], first.size(), "progress was kept");
    cosigned(&server, &second, &verified(&server, &forge, &second, first.size()));
    assert_eq!(submit(&server, "witness", &request(&forge, &first, 0)).status, 200, "the witness keeps its own record");
    assert!(followed.site.evidence().is_empty());
}

#[test]
fn lies_in_the_middle_of_a_log_are_held_up_with_evidence_until_the_operator_clears_them() {
    // Goal: each level of the audit stands behind the signature. Method: one lie a log, honest batches behind it; asked again
    // after a restart; the plain witness signs, for it says nothing of entries; cleared, the verifier finds it again.
    for (lie, code) in [
        (lies::map_lie as Lie, "map_root"),
        (lies::forbidden_claim, "refused"),
        (lies::forged_signature, "signature"),
        (lies::time_back, "epoch"),
    ] {
        let (mut forge, mut people) = fresh();
        lie(&mut forge, &mut people);
        for number in 90..93 {
            forge.batch(&Someone::new(number).1);
        }
        let export = forge.export();
        let followed = Followed::new(&export);
        let server = followed.start();
        let answer = verified(&server, &forge, &export, 0);
        assert_eq!((answer.status, answer.problem_code().as_str()), (422, "held_up"), "{code}: {}", answer.text());
        assert_eq!(status(&server)["held_up"]["code"], code);
        assert_eq!(submit(&server, "witness", &request(&forge, &export, 0)).status, 200);
        drop(server);

        let server = followed.start();
        let again = submit(&server, "verifier", &request(&forge, &export, 0));
        assert_eq!((again.status, again.problem_code().as_str()), (422, "held_up"), "{code} survives a restart");
        let held = status(&server)["held_up"].clone();
        let evidence = followed.site.data().join(held["evidence"].as_str().unwrap());
        let file = FaultFile::decode(&std::fs::read(&evidence).unwrap()).unwrap();
        assert_eq!(file.part("code"), Some(code.as_bytes()));
        assert_eq!(file.check().unwrap().key, *forge.signer().verifier_key(), "{code}: it convicts by itself");
        let metrics = server.get("/metrics").text();
        assert!(
            metrics.contains(&format!("dgns_verifier_held_up{{origin=\"dgns.test/log\",code=\"{code}\"")),
            "{metrics}"
        );
        assert_eq!(followed.site.run(&["clear", origin().as_str()]).code, Some(1), "not while it runs");
        server.stop().exits(0);

        followed.site.run(&["clear", origin().as_str()]).exits(0);
        assert!(!evidence.exists());
        assert!(followed.site.evidence()[0].ends_with(format!("dgns.test-{}-{code}.fault", export.size())));
        let server = followed.start();
        assert_eq!(status(&server)["held_up"], serde_json::Value::Null);
        let found_again = verified(&server, &forge, &export, 0);
        assert_eq!((found_again.status, found_again.problem_code().as_str()), (422, "held_up"));
    }
}

#[test]
fn head_that_ends_in_no_epoch_is_held_up() {
    let (mut forge, _) = fresh();
    forge.append(vec![vec![9], vec![9, 9]]);
    let export = forge.export();
    let followed = Followed::new(&export);
    let server = followed.start();
    let answer = verified(&server, &forge, &export, 0);
    assert_eq!((answer.status, answer.problem_code().as_str()), (422, "held_up"));
    assert_eq!(status(&server)["held_up"]["code"], "last_leaf");
}

#[test]
fn what_no_signature_stands_behind_is_read_again_and_holds_nothing_up() {
    // Goal: only what the log signed is held against it. Method: a signed root that no files give; a batch bent on its way; for as long
    // as one likes to look there is no cosignature and no verdict; then the log as it is, over a restart too.
    for case in ["root", "bent"] {
        let (forge, _) = fresh();
        let honest = forge.export();
        let bent = match case {
            "root" => forge.export_signed(forge.edge.size(), [7; 32]),
            _ => honest.clone().with_entry(4, |entry| *entry.last_mut().unwrap() ^= 1).with_leaf_of(4),
        };
        let followed = Followed::new(&bent);
        let mut server = followed.start();
        let body = request(&forge, &bent, 0);
        let mut told = 0;
        wait::until("it was read again and again", || {
            let answer = submit(&server, "verifier", &body);
            assert_eq!((answer.status, answer.problem_code().as_str()), (503, "behind"), "{case}");
            let now = status(&server);
            assert_eq!(now["held_up"], serde_json::Value::Null, "{case}");
            told += u32::from(now["trouble"].is_string());
            (told >= 4).then_some(())
        });
        assert!(followed.site.evidence().is_empty(), "{case}");
        if case == "bent" {
            server.stop().exits(0);
            server = followed.start();
        }
        followed.files.now_serves(&honest);
        cosigned(&server, &honest, &verified(&server, &forge, &honest, 0));
    }
}

#[test]
fn head_beside_a_replayed_log_is_held_up() {
    // Goal: once a log is replayed, a signed head of a size within it with another root, or of no Epoch's, holds it up.
    // Method: a log of an hour ago is replayed, and for its time not cosigned; so any size may be asked for.
    let (forge, _) = small_from(clock::now().as_ms() - 3_600_000);
    let size = forge.edge.size();
    for (size, code) in [(size, "inconsistent"), (size - 1, "last_leaf")] {
        let honest = forge.export();
        let followed = Followed::new(&honest);
        let server = followed.start();
        assert_eq!(verified(&server, &forge, &honest, 0).problem_code(), "head_time");
        let other = submit(&server, "verifier", &request(&forge, &forge.export_signed(size, [7; 32]), 0));
        assert_eq!((other.status, other.problem_code().as_str()), (422, "held_up"), "{code}");
        assert_eq!(status(&server)["held_up"]["code"], code);
        assert_eq!(submit(&server, "verifier", &request(&forge, &honest, 0)).problem_code(), "held_up");
    }
}

#[test]
fn what_is_withheld_or_spoiled_on_its_way_is_asked_for_again() {
    // Goal: 503 and no verdict while a log cannot be read; one spoiled answer is no fault. Method: a bundle that never comes, then
    // once with a bit flipped, then as it is.
    let (forge, _) = fresh();
    let export = forge.export();
    let followed = Followed::new(&export);
    let bundle = export.files.keys().find(|path| path.starts_with("tile/entries/")).unwrap().clone();
    let empty = Export { files: [("checkpoint".into(), export.files["checkpoint"].clone())].into(), ..export.clone() };
    followed.files.now_serves(&empty);
    let server = followed.start();
    let body = request(&forge, &export, 0);
    let withheld = submit(&server, "verifier", &body);
    assert_eq!((withheld.status, withheld.problem_code().as_str()), (503, "behind"));
    let trouble = wait::until("the trouble is told", || status(&server)["trouble"].as_str().map(str::to_owned));
    assert!(trouble.contains(&bundle), "{trouble}");
    let mut spoiled = export.files[&bundle].clone();
    spoiled[40] ^= 1;
    followed.files.answers_once(&bundle, &spoiled);
    followed.files.now_serves(&export);
    cosigned(&server, &export, &verified(&server, &forge, &export, 0));
    assert_eq!(status(&server)["held_up"], serde_json::Value::Null);
}

#[test]
fn a_fork_without_a_proof_is_found_in_the_logs_own_tiles() {
    // Goal: a log that forks and sends a proof that leads nowhere convicts itself all the same, if it serves what it signed. Method: a
    // head is cosigned; then one of another history comes with garbage, and the files of that history are served.
    let (forge, _) = fresh();
    let (mut first, mut second) = (forge.clone(), forge);
    first.batch(&Someone::new(70).1);
    (71..75).for_each(|number| second.batch(&Someone::new(number).1));
    let (known, other) = (first.export(), second.export());
    let followed = Followed::new(&other);
    let server = followed.site.start(&[&followed.line]);
    assert_eq!(submit(&server, "witness", &request(&first, &known, 0)).status, 200);
    let garbage = vec![[7; 32]; 3];
    let body = Request::new(known.size(), garbage, Note::parse(&other.files["checkpoint"]).unwrap()).unwrap().encode();
    let refused = submit(&server, "witness", &body);
    assert_eq!((refused.status, refused.problem_code().as_str()), (422, "consistency"));
    let file = wait::until("the evidence is kept", || {
        followed.site.evidence().into_iter().find(|file| file.extension().is_some())
    });
    let file = FaultFile::decode(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(file.kind(), FaultKind::Prefix);
    assert_eq!(file.check().unwrap().key, *second.signer().verifier_key());
}

#[test]
fn head_of_another_time_is_not_cosigned_and_no_fault() {
    // Goal: the statement covers the time. Method: logs that begin an hour ago and an hour from now; then one Epoch of now.
    let now = clock::now().as_ms();
    for start in [now - 3_600_000, now + 3_600_000] {
        let (mut forge, _) = small_from(start);
        let export = forge.export();
        let followed = Followed::new(&export);
        let server = followed.start();
        let answer = verified(&server, &forge, &export, 0);
        assert_eq!((answer.status, answer.problem_code().as_str()), (422, "head_time"));
        assert_eq!(status(&server)["held_up"], serde_json::Value::Null);
        if start < now {
            let batch = forge.integrate(&Someone::new(50).1, clock::now().as_ms());
            forge.take(batch, |_| {});
            let export = forge.export();
            followed.files.now_serves(&export);
            cosigned(&server, &export, &verified(&server, &forge, &export, 0));
        }
    }
}
