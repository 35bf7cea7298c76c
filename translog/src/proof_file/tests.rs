//! Proof files read back, prove one entry, and refuse the rest.

use data_encoding::BASE64;
use identity::key::SigningKey;
use proptest::prelude::*;

use super::*;
use crate::note::LogSigner;
use crate::tree::oracle::{self, Oracle};

const ORIGIN: &str = "dgns.test/log";

fn signer() -> LogSigner {
    LogSigner::new(ORIGIN, SigningKey::from_seed(&[1; 32])).unwrap()
}

/// The proof of entry 20 in a log of 37 entries that are their index in eight bytes.
fn proof(extra: Option<Vec<u8>>) -> ProofFile {
    let leaves = oracle::leaves(37);
    let mut oracle = Oracle::new(&leaves);
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size: 37, root: oracle.root(0, 37) };
    let note = Note::new(checkpoint.text(), vec![signer().sign(&checkpoint)]).unwrap();
    ProofFile { extra, index: 20, path: oracle.path(20, 37), checkpoint: note }
}

fn parse(text: &str) -> Result<ProofFile, &'static str> {
    ProofFile::parse(text.as_bytes()).map_err(|error| error.code())
}

#[test]
fn a_proof_reads_back_and_proves_its_entry() {
    // Goal: the format of tlog-proof, with and without extra data. Method: write, look at the lines, read, verify.
    for extra in [None, Some(vec![]), Some(b"more".to_vec())] {
        let proof = proof(extra.clone());
        let text = proof.to_string();
        assert_eq!(parse(&text), Ok(proof.clone()));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "c2sp.org/tlog-proof@v1");
        let at = usize::from(extra.is_some());
        assert_eq!(
            (lines[1 + at], lines[2 + at + proof.path.len()], lines[3 + at + proof.path.len()]),
            ("index 20", "", ORIGIN)
        );
        let keys = [signer().verifier_key().clone()];
        let checkpoint = proof.verify(&20_u64.to_be_bytes(), ORIGIN, &keys).unwrap();
        assert_eq!(checkpoint.size, 37);
        let code = |result: Result<Checkpoint, ProofFileError>| result.unwrap_err().code();
        assert_eq!(code(proof.verify(&21_u64.to_be_bytes(), ORIGIN, &keys)), "proof_root");
        assert_eq!(code(proof.verify(&20_u64.to_be_bytes(), "other.test/log", &keys)), "origin");
        assert_eq!(code(proof.verify(&20_u64.to_be_bytes(), ORIGIN, &[])), "unknown_note_key");
    }
}

#[test]
fn every_other_file_is_refused() {
    // Goal: one spelling. Method: a good file with one thing wrong.
    let text = proof(Some(b"more".to_vec())).to_string();
    let hash = BASE64.encode(&proof(None).path[0]);
    for (name, text, code) in [
        ("nothing", String::new(), "bad_proof_file"),
        ("another version", text.replace("@v1", "@v2"), "bad_proof_file"),
        ("extra is not base64", text.replace("extra bW9y", "extra bW9-"), "bad_proof_file"),
        ("extra twice", text.replace("extra", "extra bW9y\nextra"), "bad_proof_file"),
        ("no index", text.replace("index 20\n", ""), "bad_proof_file"),
        ("index with a zero before it", text.replace("index 20", "index 020"), "bad_proof_file"),
        ("negative index", text.replace("index 20", "index -1"), "bad_proof_file"),
        ("index beyond 64 bits", text.replace("index 20", "index 18446744073709551616"), "bad_proof_file"),
        ("two spaces", text.replace("index 20", "index  20"), "bad_proof_file"),
        ("a short hash", text.replace(&hash, "AAAA"), "bad_proof_file"),
        ("65 hashes", text.replace(&hash, &vec![&hash[..]; 65].join("\n")), "bad_proof_file"),
        ("carriage returns", text.replace('\n', "\r\n"), "bad_proof_file"),
        ("no empty line", text.replacen("\n\n", "\n", 1), "bad_proof_file"),
        ("no checkpoint", text[..text.find("\n\n").unwrap() + 2].to_owned(), "bad_note"),
        ("unsigned checkpoint", text[..text.rfind('—').unwrap()].to_owned(), "bad_note"),
        ("too long", format!("c2sp.org/tlog-proof@v1\nextra {}", "A".repeat(PROOF_FILE_BYTES_MAX)), "bad_proof_file"),
        ("extra too long", text.replace("bW9yZQ==", &"AAAA".repeat(PROOF_EXTRA_BYTES_MAX / 3 + 1)), "bad_proof_file"),
    ] {
        assert_eq!(parse(&text), Err(code), "{name}");
    }
    let checkpoint = proof(None).checkpoint;
    let extended = format!("{}more\n", checkpoint.text());
    let note = Note::new(extended, checkpoint.lines().to_vec()).unwrap();
    let unsigned = ProofFile { checkpoint: note, ..proof(None) };
    assert_eq!(
        unsigned.verify(b"", ORIGIN, &[signer().verifier_key().clone()]).unwrap_err().code(),
        "bad_note_signature"
    );
}

proptest! {
    #[test]
    fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "(extra|index|[A-Za-z0-9+/=]{0,44}| |\n){0,20}") {
        // Goal: any file is an answer. Method: random bytes, and near-valid lines.
        let _ = ProofFile::parse(&bytes);
        let _ = ProofFile::parse(format!("c2sp.org/tlog-proof@v1\n{text}").as_bytes());
    }
}
