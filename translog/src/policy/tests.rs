use identity::key::SigningKey;

use super::*;
use crate::note::{Checkpoint, Cosigner, KeyKind, LogSigner};

/// The log key of this origin.
pub(super) fn log_key(origin: &str, seed: u8) -> VerifierKey {
    LogSigner::new(origin, SigningKey::from_seed(&[seed; 32])).unwrap().verifier_key().clone()
}

/// The key of witness `w<seed>.example`.
pub(super) fn witness_key(seed: u8) -> VerifierKey {
    cosigner(seed).verifier_key().clone()
}

fn cosigner(seed: u8) -> Cosigner {
    Cosigner::new(&format!("w{seed}.example"), SigningKey::from_seed(&[seed; 32])).unwrap()
}

/// Lines that define witnesses `w1` to `w<n>`.
pub(super) fn witnesses(n: u8) -> String {
    (1..=n).map(|seed| format!("witness w{seed} {}\n", witness_key(seed))).collect()
}

fn fault(text: &str) -> (usize, &'static str) {
    let error = Policy::parse(text.as_bytes()).expect_err(text);
    (error.line, error.code())
}

/// The second at which `times` of witnesses 1.. reach the quorum of `text`.
fn reached(text: &str, times: &[Option<u64>]) -> Option<u64> {
    let policy: Policy = text.parse().unwrap();
    let keys: Vec<VerifierKey> = (1..=times.len()).map(|seed| witness_key(seed as u8)).collect();
    let signed = keys.iter().zip(times).filter(|(_, time_s)| time_s.is_some());
    policy.reached(signed.map(|(key, time_s)| Signed { key, time_s: *time_s }))
}

#[test]
fn a_policy_has_one_canonical_text() {
    // Goal: whatever the spelling, the same policy is written the same way, and read back as itself.
    let log = log_key("dgns.test/log", 9);
    let (one, two) = (witness_key(1), witness_key(2));
    let loose = format!(
        "# ours\n\n  log\t{log}   https://dgns.test/log\nwitness a {one}\n \t# more\nwitness b {two} https://b.example/w\n\
         group both 2 a b\ngroup one 1 both\nquorum one"
    );
    let canonical = format!(
        "log {log} https://dgns.test/log\nwitness a {one}\nwitness b {two} https://b.example/w\n\
         group both all a b\ngroup one any both\nquorum one\n"
    );
    let policy: Policy = loose.parse().unwrap();
    assert_eq!(policy.to_string(), canonical);
    assert_eq!(canonical.parse(), Ok(policy.clone()));
    assert_eq!(policy.log_keys("dgns.test/log"), [log]);
    assert!(policy.log_keys("other.test/log").is_empty());
    assert_eq!(policy.witnesses()[1].url.as_deref(), Some("https://b.example/w"));
    assert_eq!(policy.cosigners(), [one, two]);
    assert_eq!((Policy::none().to_string().as_str(), Policy::none().is_none()), ("quorum none\n", true));
    assert_eq!("quorum none".parse(), Ok(Policy::none()));
    assert!(Policy::parse(b"# caf\xe9 in Latin-1\nquorum none\n").is_ok(), "comments hold any octets");
}

#[test]
fn errors_name_the_line() {
    let log = log_key("dgns.test/log", 9);
    let (one, two) = (witness_key(1), witness_key(2));
    let two_witnesses = witnesses(2);
    assert_eq!(fault(""), (0, "policy_quorum"));
    assert_eq!(fault("quorum none\nquorum none\n"), (2, "policy_quorum"));
    assert_eq!(fault("# a\nwitnes a\n"), (2, "policy_keyword"));
    assert_eq!(fault("quorum none\r\n"), (1, "policy_text"));
    assert_eq!(fault("\n\u{7f}\n"), (2, "policy_text"));
    assert_eq!(Policy::parse(b"quorum \xff\n").map_err(|error| error.code()), Err("policy_text"));
    assert_eq!(fault("log\n"), (1, "policy_form"));
    assert_eq!(fault(&format!("log {log} url more\n")), (1, "policy_form"));
    assert_eq!(fault("witness a\n"), (1, "policy_form"));
    assert_eq!(fault(&format!("{two_witnesses}group g any\n")), (3, "policy_form"));
    assert_eq!(fault("quorum\n"), (1, "policy_form"));
    assert_eq!(fault("quorum none none\n"), (1, "policy_form"));
    assert_eq!(fault(&format!("log {one}\n")), (1, "policy_vkey"));
    assert_eq!(fault(&format!("witness a {log}\n")), (1, "policy_vkey"));
    assert_eq!(fault("witness a b\n"), (1, "policy_vkey"));
    let renamed = VerifierKey::new("other.test/log", KeyKind::Log, *log.key()).unwrap();
    assert_eq!(fault(&format!("log {log}\nlog {renamed}\n")), (2, "policy_duplicate"));
    assert_eq!(fault(&format!("witness a {one}\nwitness b {one}\n")), (2, "policy_duplicate"));
    assert_eq!(fault(&format!("witness a {one}\nwitness a {two}\n")), (2, "policy_name"));
    assert_eq!(fault(&format!("witness none {one}\n")), (1, "policy_name"));
    assert_eq!(fault(&format!("{two_witnesses}group w1 any w2\n")), (3, "policy_name"));
    assert_eq!(fault("quorum a\n"), (1, "policy_undefined"));
    assert_eq!(fault(&format!("{two_witnesses}group g any g\n")), (3, "policy_undefined"));
    assert_eq!(fault(&format!("{two_witnesses}group g any none\n")), (3, "policy_undefined"));
    assert_eq!(fault(&format!("{two_witnesses}group g any w1 w1\n")), (3, "policy_member"));
    assert_eq!(fault(&format!("{two_witnesses}group g any w1\ngroup h any w1 w2\n")), (4, "policy_member"));
    for k in ["0", "3", "-1", "01", "some", "99999999999999999999"] {
        assert_eq!(fault(&format!("{two_witnesses}group g {k} w1 w2\n")), (3, "policy_threshold"), "{k}");
    }
    assert_eq!(fault(&format!("{}quorum none", witnesses(65))), (65, "policy_limit"));
    let comment = format!("#{}\n", "x".repeat(65_535 - 12));
    assert!(Policy::parse(format!("{comment}quorum none").as_bytes()).is_ok());
    assert_eq!(fault(&format!("{comment}quorum none\n\n")), (0, "policy_size"));
}

#[test]
fn errors_are_told_with_their_line() {
    let error = "\nquorum x".parse::<Policy>().unwrap_err();
    assert_eq!(error.to_string(), "line 2: no line above defines the name");
    assert_eq!("".parse::<Policy>().unwrap_err().to_string(), "a policy has exactly one quorum line");
}

#[test]
fn a_quorum_is_reached_when_its_last_needed_member_signed() {
    let of_three = |k: &str| format!("{}group g {k} w1 w2 w3\nquorum g\n", witnesses(3));
    let times = [Some(30), Some(10), Some(20)];
    assert_eq!(reached(&of_three("any"), &times), Some(10));
    assert_eq!(reached(&of_three("2"), &times), Some(20));
    assert_eq!(reached(&of_three("all"), &times), Some(30));
    assert_eq!(reached(&of_three("2"), &[Some(30), None, None]), None);
    assert_eq!(reached(&of_three("any"), &[]), None);
    assert_eq!(reached("quorum none", &times), Some(0));
    assert_eq!(reached(&format!("{}quorum w1", witnesses(1)), &times), Some(30), "strangers are skipped");

    // The example of the specification: two of the first three, and one of the others.
    let nested = format!(
        "{}group X-witnesses 2 w1 w2 w3\ngroup Y-witnesses any w4 w5 w6\ngroup X-and-Y all X-witnesses Y-witnesses\n\
         quorum X-and-Y\n",
        witnesses(6)
    );
    assert_eq!(reached(&nested, &[Some(1), Some(5), None, None, None, Some(3)]), Some(5));
    assert_eq!(reached(&nested, &[Some(1), Some(5), Some(6), None, None, None]), None);
    assert_eq!(reached(&nested, &[Some(1), None, None, Some(2), Some(2), Some(2)]), None);
}

#[test]
fn verifiers_are_required_beside_the_quorum() {
    let policy = format!("{}group verifiers any w2 w3\nquorum w1\n", witnesses(3));
    assert_eq!(reached(&policy, &[Some(1), None, Some(9)]), Some(9));
    assert_eq!(reached(&policy, &[Some(1), None, None]), None);
    assert_eq!(reached(&policy, &[None, Some(1), Some(1)]), None);
    let alone: Policy = format!("{}group verifiers any w2 w3\nquorum none\n", witnesses(3)).parse().unwrap();
    assert!(!alone.is_none(), "quorum none beside verifiers asks for these");
    let names: Vec<&str> = alone.verifiers().iter().map(|witness| witness.name.as_str()).collect();
    assert_eq!(names, ["w2", "w3"]);
    assert!(Policy::none().verifiers().is_empty());
}

#[test]
fn cosignatures_verify_under_the_policy_alone() {
    // Goal: a policy's cosigners are those of C2SP notes. Method: a note cosigned by one of two; its line becomes a head's.
    let policy: Policy = format!("{}quorum w2\n", witnesses(2)).parse().unwrap();
    let checkpoint = Checkpoint { origin: "dgns.test/log".into(), size: 3, root: [7; 32] };
    let lines = vec![cosigner(2).cosign(&checkpoint, 5), cosigner(3).cosign(&checkpoint, 6)];
    let note = crate::note::Note::new(checkpoint.text(), lines).unwrap();
    let signed = note.verify(policy.cosigners()).unwrap();
    assert_eq!(policy.reached(signed), Some(5));
    let carried = note.cosignatures(policy.cosigners());
    assert_eq!(carried.iter().map(|line| (line.id, line.time_s)).collect::<Vec<_>>(), [(witness_key(2).id(), 5)]);
}
