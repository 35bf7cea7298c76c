//! Notes and cosignatures, both ways.

use data_encoding::{BASE64, HEXLOWER};
use dgns_tests::harness::party::Party;
use dgns_tests::harness::witness::{WitnessSite, submit};
use dgns_tests::harness::{Server, Site, wait};
use ed25519_dalek::{Signature, VerifyingKey};
use identity::key::SigningKey;
use signed_note::{Note, Signer, StandardSigner, StandardVerifier, Verifier, VerifierList};
use translog::note::{Checkpoint, LogSigner, Note as OurNote, VerifierKey};

const ORIGIN: &str = "dgns.test/log";

#[test]
fn signed_note_and_tlog_tiles_read_the_head_of_a_live_log() {
    // Goal: a head is a stock checkpoint. Method: the crates' words against ours; with each byte changed, both refuse.
    let site = Site::new();
    let server = site.start();
    let bytes = server.get("/log/checkpoint").body;
    let log = || VerifierList::new(vec![log_verifier(&server)]);
    let note = Note::from_bytes(&bytes).unwrap();
    let (signed, unknown) = note.verify(&log()).unwrap();
    assert_eq!((signed.len(), signed[0].name(), unknown.len()), (1, ORIGIN, 0));
    assert_eq!(note.to_bytes(), bytes);
    let theirs = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    let ours = Checkpoint::parse(OurNote::parse(&bytes).unwrap().text()).unwrap();
    assert_eq!((theirs.origin(), theirs.size(), theirs.extension()), (ORIGIN, ours.size, ""));
    assert_eq!((theirs.hash().0, theirs.to_bytes()), (ours.root, ours.text().into_bytes()));
    let keys = [VerifierKey::parse(server.vkey()).unwrap()];
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 7);
        let theirs = Note::from_bytes(&changed).is_ok_and(|note| note.verify(&log()).is_ok());
        let ours = OurNote::parse(&changed).is_ok_and(|note| note.verify(&keys).is_ok());
        assert_eq!((theirs, ours), (false, false), "byte {at}");
    }
}

#[test]
fn notes_that_signed_note_signs_are_ours() {
    // Goal: the other direction, keys included. Method: its signers from our seeds; texts with empty lines and beyond ASCII; a
    // checkpoint that both sign is the same bytes.
    let ours = [3, 4].map(|seed| LogSigner::new(ORIGIN, SigningKey::from_seed(&[seed; 32])).unwrap());
    let theirs = [3, 4].map(|seed| their_signer(ORIGIN, seed));
    let keys = ours.each_ref().map(|signer| signer.verifier_key().clone());
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size: 300, root: [7; 32] };
    for text in ["one line\n", "an\n\nempty line\n\n", "na\u{ef}ve \u{2014} \u{2713}\n", &checkpoint.text()] {
        let mut note = Note::new(text.as_bytes(), &[]).unwrap();
        note.add_sigs(&[&theirs[0] as &dyn Signer, &theirs[1]]).unwrap();
        let read = OurNote::parse(&note.to_bytes()).unwrap();
        assert_eq!((read.text(), read.verify(&keys).unwrap().len()), (text, 2));
        assert_eq!(read.to_string().into_bytes(), note.to_bytes());
        if text == checkpoint.text() {
            let lines = ours.iter().map(|signer| signer.sign(&checkpoint)).collect();
            assert_eq!(OurNote::new(checkpoint.text(), lines), Ok(read));
        }
    }
}

#[test]
fn vkeys_are_taken_and_refused_alike() {
    // Goal: one spelling of keys. Method: a good vkey with one thing wrong. Type 04 the crate does not know.
    let signer = LogSigner::new(ORIGIN, SigningKey::from_seed(&[3; 32])).unwrap();
    let good = signer.verifier_key().to_string();
    let mut other_id = good.clone();
    other_id.replace_range(ORIGIN.len() + 1..ORIGIN.len() + 2, if other_id.contains("log+0") { "1" } else { "0" });
    for (vkey, expected) in [
        (good.clone(), true),
        (other_id, false),
        (good.replace("dgns.test", "other.test"), false),
        (good.replace(ORIGIN, ""), false),
        (good.replace(ORIGIN, "dgns test"), false),
        (good.replacen('+', "", 1), false),
        (good[..good.len() - 4].to_owned(), false),
    ] {
        assert_eq!(StandardVerifier::new(&vkey).is_ok(), expected, "{vkey}");
        assert_eq!(VerifierKey::parse(&vkey).is_ok(), expected, "{vkey}");
    }
}

#[test]
fn cosignatures_hold_by_the_words_of_the_specification() {
    // Goal: what `dgnsd witness` signs is cosignature/v1. Method: a request written by hand with a live log's head; the answers
    // stand below the head, read by `signed_note`, verified by `ed25519-dalek` over bytes written out here; then bent.
    let site = Site::new();
    let server = site.start();
    let head = String::from_utf8(server.get("/log/checkpoint").body).unwrap();
    let sites = [WitnessSite::new(), WitnessSite::new()];
    let witnesses = sites.each_ref().map(|site| site.start(&[server.vkey()]));
    let lines = witnesses.each_ref().map(|witness| {
        let answer = submit(witness, "witness", format!("old 0\n\n{head}").as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    });
    let verified = |note: &str| {
        let cosigners =
            witnesses.iter().map(|witness| Box::new(CosignatureV1::parse(witness.vkey())) as Box<dyn Verifier>);
        let known = VerifierList::new(cosigners.chain([log_verifier(&server)]).collect());
        Note::from_bytes(note.as_bytes())
            .unwrap()
            .verify(&known)
            .map(|(signed, unknown)| (signed.len(), unknown.len()))
            .ok()
    };
    assert_eq!(verified(&format!("{head}{}{}", lines[0], lines[1])), Some((3, 0)));
    let (first, encoded) = lines[0].trim_end().rsplit_once(' ').unwrap();
    for at in 4..4 + 8 + 64 {
        let mut bytes = BASE64.decode(encoded.as_bytes()).unwrap();
        bytes[at] ^= 1;
        assert_eq!(verified(&format!("{head}{first} {}\n", BASE64.encode(&bytes))), None, "byte {at}");
    }
    assert!(StandardVerifier::new(witnesses[0].vkey()).is_err(), "the crate knows type 01 alone");
}

#[test]
fn a_public_head_carries_the_cosignatures_of_its_quorum() {
    // Goal: what a server keeps and shows of its witnesses is verified by others too. Method: two of two witnesses.
    let party = Party::new(2, 2);
    let file = format!("{:?}", party.policy_file().display().to_string());
    let site = Site::new().with("witnesses", "policy", &file).with("witnesses", "announce_ms", "20");
    let server = site.start();
    party.witnesses.iter().for_each(|witness| witness.watches(server.vkey()));
    let bytes = wait::until("a head is public", || {
        let answer = server.get("/log/checkpoint");
        (answer.status == 200).then_some(answer.body)
    });
    let policy = party.policy();
    let cosigners =
        policy.cosigners().iter().map(|key| Box::new(CosignatureV1::parse(&key.to_string())) as Box<dyn Verifier>);
    let known = VerifierList::new(cosigners.chain([log_verifier(&server)]).collect());
    let (signed, unknown) = Note::from_bytes(&bytes).unwrap().verify(&known).unwrap();
    let names: Vec<&str> = signed.iter().map(|line| line.name()).collect();
    assert_eq!((names, unknown.len()), (vec![ORIGIN, "w1.example", "w2.example"], 0));
}

fn log_verifier(server: &Server) -> Box<dyn Verifier> {
    Box::new(StandardVerifier::new(server.vkey()).unwrap())
}

/// A signer of the crate's own, from the seed of one of ours.
fn their_signer(name: &str, seed: u8) -> StandardSigner {
    let ours = LogSigner::new(name, SigningKey::from_seed(&[seed; 32])).unwrap();
    let secret = BASE64.encode(&[&[1], &[seed; 32][..]].concat());
    let id = HEXLOWER.encode(&ours.verifier_key().id());
    StandardSigner::new(&format!("PRIVATE+KEY+{name}+{id}+{secret}")).unwrap()
}

/// A witness's key, of type 04, as c2sp.org/tlog-cosignature has it.
struct CosignatureV1 {
    name: String,
    id: u32,
    key: VerifyingKey,
}

impl CosignatureV1 {
    fn parse(vkey: &str) -> Self {
        let [name, id, encoded] = vkey.splitn(3, '+').collect::<Vec<_>>().try_into().unwrap();
        let typed = BASE64.decode(encoded.as_bytes()).unwrap();
        assert_eq!(format!("{:08x}", signed_note::key_id(name, &typed)), id);
        let [4, key @ ..] = &typed[..] else { panic!("{vkey} has type 04") };
        let key = VerifyingKey::from_bytes(key.try_into().unwrap()).unwrap();
        Self { name: name.into(), id: signed_note::key_id(name, &typed), key }
    }
}

impl Verifier for CosignatureV1 {
    fn name(&self) -> &str {
        &self.name
    }

    fn key_id(&self) -> u32 {
        self.id
    }

    fn verify(&self, text: &[u8], timed: &[u8]) -> bool {
        let Some((time, signature)) = timed.split_first_chunk::<8>() else { return false };
        let header = format!("cosignature/v1\ntime {}\n", u64::from_be_bytes(*time));
        let signed = [header.as_bytes(), text].concat();
        Signature::from_slice(signature).is_ok_and(|signature| self.key.verify_strict(&signed, &signature).is_ok())
    }
}
