//! Every decoder of bytes that strangers send, each with what must hold for whatever it is fed.
//!
//! Two programs feed them: the fuzz targets of `tests/fuzz`, and `fuzz_smoke`, which needs no special toolchain. A decoder either
//! refuses, or what it returns encodes to the very bytes it was given; it never panics and never reads what is not there.

use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use data_encoding::BASE64URL_NOPAD;
use dgns::clock::Clock;
use dgns::dns::alias;
use dgns::dns::answer::{Asker, Outcome, Transport, answer};
use dgns::dns::cookie::Cookies;
use dgns::dns::transfer::Transfers;
use dgns::dns::{Change, Content, Settings, Zone as DnsZone};
use dgns_api::envelope::Envelope;
use dgns_api::signin::{Finish, Finished, Link, Start, Started};
use dgns_api::store;
use identity::cert::{Body, Certificate, Row};
use identity::did::Did;
use identity::email::Email;
use identity::evidence::{Assertion, AssertionRefusal, Expected, P256Key};
use identity::grant::SignedGrant;
use identity::hash::{keyed_hash, sha256};
use identity::key::SigningKey;
use identity::mail::Letter;
use identity::name::{Name, Origin, Zone};
use identity::pair::{Invitation, Message};
use identity::recovery::{Bundle, message};
use identity::request::{self, Authorization};
use identity::state::{AliasState, DidState, NameState, Subject};
use identity::time::Timestamp;
use identity::token::{Checker, FeedPage, Lease, Pair, Refresh, SealedKeys, Token, TokenKey};
use identity::user_key::{Boxes, SealedFile};
use lobby::bus::{Alive, BusMessage};
use lobby::card::SignedCard;
use lobby::hello::SignedHello;
use lobby::message::{Form, Frame};
use lobby::websocket::{Fault, Incoming};
use storage::store::Segment;
use translog::bundle;
use translog::entry::Entry;
use translog::fault::FaultFile;
use translog::head::Head;
use translog::logconf::LogConf;
use translog::lookup_proof;
use translog::map::MapProof;
use translog::note::{Checkpoint, LogSigner, Note, VerifierKey};
use translog::pieces::{Piece, Pieces, Question};
use translog::policy::Policy;
use translog::proof_file::ProofFile;
use translog::resolution::Resolution;
use translog::resolve;
use translog::rotation::{self, ConfChain};
use translog::stream::{self, Record};
use translog::tile::{BundleId, ResourceId, Tile, TileId};
use translog::trust::{Memory, Trust};
use translog::witness::{self, Request, WitnessRecord};

/// One decoder. `accepts` feeds it and returns whether it took the bytes; a broken promise is a panic.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    /// The name of the fuzz target.
    pub name: &'static str,
    /// Feeds the bytes.
    pub accepts: fn(&[u8]) -> bool,
}

/// All of them; a new decoder gets a row here and a target of the same name in `tests/fuzz`.
pub const DECODERS: [Decoder; 61] = [
    Decoder { name: "certificate", accepts: certificate },
    Decoder { name: "did_state", accepts: did_state },
    Decoder { name: "name_state", accepts: name_state },
    Decoder { name: "name", accepts: name },
    Decoder { name: "did", accepts: did },
    Decoder { name: "map_proof", accepts: map_proof },
    Decoder { name: "tile_path", accepts: tile_path },
    Decoder { name: "tile", accepts: tile },
    Decoder { name: "bundle", accepts: entry_bundle },
    Decoder { name: "entry", accepts: entry },
    Decoder { name: "logconf", accepts: logconf },
    Decoder { name: "conf_chain", accepts: conf_chain },
    Decoder { name: "head", accepts: head },
    Decoder { name: "piece", accepts: piece },
    Decoder { name: "note", accepts: note },
    Decoder { name: "checkpoint", accepts: checkpoint },
    Decoder { name: "vkey", accepts: vkey },
    Decoder { name: "policy", accepts: policy },
    Decoder { name: "witness_request", accepts: witness_request },
    Decoder { name: "witness_answer", accepts: witness_answer },
    Decoder { name: "proof_file", accepts: proof_file },
    Decoder { name: "fault_file", accepts: fault_file },
    Decoder { name: "stream", accepts: log_stream },
    Decoder { name: "resolution", accepts: resolution },
    Decoder { name: "memory", accepts: memory },
    Decoder { name: "post", accepts: post },
    Decoder { name: "pair_message", accepts: pair_message },
    Decoder { name: "invitation", accepts: invitation },
    Decoder { name: "authorization", accepts: authorization },
    Decoder { name: "boxes", accepts: boxes },
    Decoder { name: "sealed_file", accepts: sealed_file },
    Decoder { name: "letter", accepts: letter },
    Decoder { name: "envelope", accepts: envelope },
    Decoder { name: "alias_state", accepts: alias_state },
    Decoder { name: "email", accepts: email },
    Decoder { name: "dns_query", accepts: dns_query },
    Decoder { name: "dns_alias", accepts: dns_alias },
    Decoder { name: "dns_copy", accepts: dgns::dns::edge::reading::reads },
    Decoder { name: "dns_update", accepts: dns_update },
    Decoder { name: "signin", accepts: signin },
    Decoder { name: "assertion", accepts: assertion },
    Decoder { name: "token", accepts: token },
    Decoder { name: "token_ask", accepts: token_ask },
    Decoder { name: "token_feed", accepts: token_feed },
    Decoder { name: "grant", accepts: grant },
    Decoder { name: "db_account", accepts: db_account },
    Decoder { name: "db_anchor", accepts: db_anchor },
    Decoder { name: "db_control", accepts: db_control },
    Decoder { name: "db_entry", accepts: db_entry },
    Decoder { name: "db_head", accepts: db_head },
    Decoder { name: "db_segment", accepts: db_segment },
    Decoder { name: "db_snapshot", accepts: db_snapshot },
    Decoder { name: "db_watch", accepts: db_watch },
    Decoder { name: "recovery", accepts: recovery },
    Decoder { name: "lobby_frame", accepts: lobby_frame },
    Decoder { name: "lobby_frame_json", accepts: lobby_frame_json },
    Decoder { name: "lobby_hello", accepts: lobby_hello },
    Decoder { name: "lobby_card", accepts: lobby_card },
    Decoder { name: "lobby_bus", accepts: lobby_bus },
    Decoder { name: "lobby_alive", accepts: lobby_alive },
    Decoder { name: "websocket", accepts: websocket },
];

/// Feeds `bytes` to the decoder of this name; panics if there is none.
pub fn feed(name: &str, bytes: &[u8]) -> bool {
    let decoder = DECODERS.iter().find(|decoder| decoder.name == name).expect("the target has a row in DECODERS");
    (decoder.accepts)(bytes)
}

fn certificate(bytes: &[u8]) -> bool {
    let Ok(certificate) = Certificate::decode(bytes) else { return false };
    assert_eq!(certificate.as_bytes(), bytes, "the envelope is kept as it came");
    assert_eq!(certificate.payload().encode(), certificate.payload_bytes(), "the payload has one spelling");
    let again = Certificate::assemble(certificate.payload_bytes(), certificate.signatures().to_vec());
    assert_eq!(again.expect("its parts are those of a certificate").as_bytes(), bytes, "the envelope has one spelling");
    if let Body::Records(records) = &certificate.payload().body {
        let _ = identity::record::check(records);
    }
    if let Body::Delegate(delegate) = &certificate.payload().body {
        let _ = identity::record::check_delegate(delegate);
    }
    // Not one of these keys signed it: it must be refused, not believed.
    assert!(certificate.verify(&origin(), &[[7; 32]]).is_err(), "a stranger's key verifies nothing");
    true
}

fn did_state(bytes: &[u8]) -> bool {
    let Ok(state) = DidState::decode(bytes) else { return false };
    assert_eq!(state.encode(), bytes, "a state has one spelling");
    true
}

fn name_state(bytes: &[u8]) -> bool {
    let Ok(state) = NameState::decode(bytes) else { return false };
    assert_eq!(state.encode(), bytes, "a state has one spelling");
    true
}

fn name(bytes: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(bytes) else { return false };
    let zone = origin().zone();
    let _ = (Zone::parse(text), Origin::parse(text));
    if let Ok(completed) = Name::complete(text, &zone) {
        assert_eq!(Name::parse(completed.as_str(), &zone).as_ref(), Ok(&completed), "a completed name is a name");
    }
    Name::parse(text, &zone).is_ok_and(|name| name.as_str() == text)
}

fn did(bytes: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(bytes) else { return false };
    let Ok(did) = text.parse::<Did>() else { return false };
    assert_eq!(did.to_string(), text, "a DID has one spelling");
    true
}

/// The first byte says for how many labels.
fn map_proof(bytes: &[u8]) -> bool {
    let Some((labels, rest)) = bytes.split_first() else { return false };
    let Ok(proof) = MapProof::decode(rest, usize::from(*labels)) else { return false };
    assert_eq!(proof.encode(), rest, "a proof has one spelling");
    true
}

fn tile_path(bytes: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(bytes) else { return false };
    let Ok(resource) = ResourceId::parse(text) else { return false };
    assert_eq!(resource.to_string(), text, "a path has one spelling");
    true
}

/// The first byte is the width less one.
fn tile(bytes: &[u8]) -> bool {
    let Some((width, rest)) = bytes.split_first() else { return false };
    let id = TileId::new(0, 0, u16::from(*width) + 1).expect("1 to 256 are widths");
    let Ok(tile) = Tile::decode(id, rest) else { return false };
    assert!(rest.starts_with(&tile.encode()), "a tile is the beginning of its file");
    true
}

/// The first byte is the width less one.
fn entry_bundle(bytes: &[u8]) -> bool {
    let Some((width, rest)) = bytes.split_first() else { return false };
    let id = BundleId::new(0, u16::from(*width) + 1).expect("1 to 256 are widths");
    let Ok(entries) = bundle::decode(id, rest) else { return false };
    assert_eq!(bundle::encode(entries), rest, "a bundle has one spelling");
    true
}

fn entry(bytes: &[u8]) -> bool {
    let Ok(entry) = Entry::decode(bytes) else { return false };
    assert_eq!(entry.encode(), bytes, "an entry has one spelling");
    true
}

fn logconf(bytes: &[u8]) -> bool {
    let Ok(conf) = LogConf::decode(bytes) else { return false };
    assert_eq!(conf.as_bytes(), bytes, "the envelope is kept as it came");
    assert!(conf.verify(&origin(), &[7; 32], None).is_err(), "a stranger's key verifies nothing");
    true
}

fn conf_chain(bytes: &[u8]) -> bool {
    let Ok(chain) = ConfChain::decode(bytes) else { return false };
    assert_eq!(chain.encode(), bytes, "a chain of LogConfs has one spelling");
    let mut memory = Memory::new(origin());
    let followed = rotation::follow(strangers_log(), &mut memory, None, bytes, Timestamp::from_ms(1));
    assert!(followed.is_err(), "a stranger's log key leads nowhere");
    assert_eq!(memory.head(), None, "what was refused is not remembered");
    true
}

fn head(bytes: &[u8]) -> bool {
    let Ok(head) = Head::decode(bytes) else { return false };
    assert_eq!(head.encode(), bytes, "a head has one spelling");
    let _ = (head.epoch(), head.edge(), head.checkpoint(&origin()));
    true
}

/// A piece of a proof by itself, and joined as every part of an answer with itself.
fn piece(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(question) = Question::parse(&text, &origin().zone()) {
        assert_eq!(question.to_string().as_bytes(), bytes, "a question has one spelling");
        return true;
    }
    let Ok(piece) = Piece::decode(bytes) else { return false };
    assert_eq!(piece.encode(), bytes, "a piece has one spelling");
    let (needed, some) = (piece.leads_to(), Some(piece.clone()));
    let joined = Pieces {
        did: some.clone(),
        state: some.clone(),
        head: piece.clone(),
        consistency: some,
        records: None,
        first: piece,
    };
    let _ = (needed, joined.join(&Subject::Name("alice.dgns.test".to_owned())));
    true
}

fn note(bytes: &[u8]) -> bool {
    let Ok(note) = Note::parse(bytes) else { return false };
    assert_eq!(note.to_string().as_bytes(), bytes, "a note has one spelling");
    assert!(note.verify(&[]).is_err(), "a note without a known line is refused");
    true
}

fn checkpoint(bytes: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(bytes) else { return false };
    let Ok(checkpoint) = Checkpoint::parse(text) else { return false };
    assert_eq!(checkpoint.text(), text, "a checkpoint has one spelling");
    true
}

fn policy(bytes: &[u8]) -> bool {
    let Ok(policy) = Policy::parse(bytes) else { return false };
    assert_eq!(Policy::parse(policy.to_string().as_bytes()), Ok(policy), "the canonical text is the same policy");
    true
}

fn witness_request(bytes: &[u8]) -> bool {
    let Ok(request) = Request::decode(bytes) else { return false };
    assert_eq!(request.encode(), bytes, "a request has one spelling");
    let decided = witness::decide(&WitnessRecord::NONE, &request, strangers_log().log_keys());
    assert!(decided.is_err(), "a stranger's log is not cosigned");
    true
}

/// Records behind one another; what was taken stands in the same bytes again.
fn log_stream(bytes: &[u8]) -> bool {
    let mut decoder = stream::Decoder::new();
    decoder.push(bytes);
    let mut taken = Vec::new();
    while let Ok(Some(record)) = decoder.next_record() {
        taken.extend(match record {
            Record::Alive => stream::alive(),
            Record::Batches(found) => {
                let entries = found.entries.iter().map(Vec::as_slice);
                stream::batches(found.first_index, &found.note, entries).expect("it was not too long to be read")
            }
        });
        assert!(bytes.starts_with(&taken), "a record has one spelling");
    }
    !taken.is_empty()
}

/// Of both forms: lines, and a size.
fn witness_answer(bytes: &[u8]) -> bool {
    let key = strangers_log().log_keys().first().expect("it has one");
    let signed = witness::cosignature_of(bytes, "dgns.test/log\n0\nAAAA\n", key);
    assert!(signed.is_err(), "a key that signed nothing");
    let Ok(size) = witness::conflict_size(bytes) else { return signed == Err(witness::BadAnswer::UnknownKey) };
    assert_eq!(witness::conflict_body(size).as_bytes(), bytes, "a size has one spelling");
    true
}

fn vkey(bytes: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(bytes) else { return false };
    let Ok(key) = VerifierKey::parse(text) else { return false };
    assert_eq!(key.to_string(), text, "a verifier key has one spelling");
    true
}

fn proof_file(bytes: &[u8]) -> bool {
    let Ok(file) = ProofFile::parse(bytes) else { return false };
    assert_eq!(file.to_string().as_bytes(), bytes, "a proof file has one spelling");
    assert!(file.verify(b"", origin().as_str(), &[]).is_err(), "without a known key nothing is proved");
    assert!(lookup_proof::verify(strangers_log(), bytes).is_err(), "a stranger's log key proves nothing");
    true
}

fn fault_file(bytes: &[u8]) -> bool {
    let Ok(file) = FaultFile::decode(bytes) else { return false };
    assert_eq!(file.encode(), bytes, "a fault file has one spelling");
    if let Ok(conviction) = file.check() {
        let by_log = file.log_keys().contains(&conviction.key);
        let accused = file.part("cosigner").map(<[u8]>::to_vec);
        assert!(
            by_log || accused == Some(conviction.key.to_string().into_bytes()),
            "a key that the file does not accuse"
        );
        assert!(!conviction.heads.is_empty(), "a conviction rests on what was signed");
    }
    true
}

fn resolution(bytes: &[u8]) -> bool {
    let Ok(resolution) = Resolution::decode(bytes) else { return false };
    assert_eq!(resolution.encode(), bytes, "a resolution has one spelling");
    let subject = resolution.subject().clone();
    let mut memory = Memory::new(origin());
    let verified = resolve::verify(strangers_log(), &mut memory, &subject, bytes, Timestamp::from_ms(1));
    assert!(verified.is_err(), "a stranger's log key proves nothing");
    assert_eq!(memory.head(), None, "what was refused is not remembered");
    true
}

fn memory(bytes: &[u8]) -> bool {
    let Ok(memory) = Memory::decode(bytes) else { return false };
    assert_eq!(memory.encode(), bytes, "a memory has one spelling");
    true
}

fn pair_message(bytes: &[u8]) -> bool {
    let Ok(message) = Message::decode(bytes) else { return false };
    assert_eq!(message.encode(), bytes, "a message has one spelling");
    true
}

fn invitation(bytes: &[u8]) -> bool {
    let Some((_, invitation)) = std::str::from_utf8(bytes).ok().and_then(|text| Invitation::parse(text).ok()) else {
        return false;
    };
    // Words have many spellings; the text of a code has one.
    let text = std::str::from_utf8(bytes).map(str::trim).unwrap_or_default();
    assert!(invitation.is_none_or(|whole| *whole.text() == text), "the text of a code has one spelling");
    true
}

fn authorization(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(read) = Authorization::parse(text) else { return false };
    assert_eq!(read.to_string(), text, "the header has one spelling");
    let (origin, did) = (origin(), Did::from_bytes([7; 20]));
    let request = request::Request { origin: &origin, did: &did, method: "GET", target: "/v1/events", body: b"" };
    let nobody = SigningKey::from_seed(&[99; 32]).public();
    assert!(read.verify(&request, &nobody, read.unix_s()).is_err(), "nobody signed this");
    true
}

fn boxes(bytes: &[u8]) -> bool {
    let Ok(boxes) = Boxes::decode(bytes) else { return false };
    assert_eq!(boxes.encode(), bytes, "boxes have one spelling");
    true
}

fn sealed_file(bytes: &[u8]) -> bool {
    let Ok(file) = SealedFile::decode(bytes) else { return false };
    assert_eq!(file.encode(), bytes, "a sealed file has one spelling");
    true
}

fn letter(bytes: &[u8]) -> bool {
    let Ok(letter) = Letter::decode(bytes) else { return false };
    assert_eq!(letter.encode(), bytes, "a letter has one spelling");
    true
}

fn envelope(bytes: &[u8]) -> bool {
    let Ok(envelope) = Envelope::decode(bytes) else { return false };
    assert_eq!(envelope.encode(), bytes, "an envelope has one spelling");
    true
}

fn alias_state(bytes: &[u8]) -> bool {
    let Ok(state) = AliasState::decode(bytes) else { return false };
    assert_eq!(state.encode(), bytes, "the state of an alias has one spelling");
    true
}

/// An address has one form, which is its own.
fn email(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(email) = Email::parse(text) else { return false };
    assert_eq!(Email::parse(email.as_str()).as_ref(), Ok(&email));
    assert!(email.as_str().len() <= text.len());
    true
}

fn post(bytes: &[u8]) -> bool {
    let Ok(post) = dgns_api::post::decode(bytes) else { return false };
    let again = dgns_api::post::encode_with(&post.envelopes, &post.attachments);
    assert_eq!(again, bytes, "a post has one spelling");
    true
}

/// A log whose key signed nothing that is fed.
fn strangers_log() -> &'static Trust {
    static TRUST: OnceLock<Trust> = OnceLock::new();
    TRUST.get_or_init(|| {
        let signer =
            LogSigner::new(origin().as_str(), SigningKey::from_seed(&[99; 32])).expect("an origin names a key");
        Trust::new(origin(), vec![signer.verifier_key().clone()]).expect("one key of the origin")
    })
}

/// What a resolver says of a name: true if it is an answer with addresses.
fn dns_alias(bytes: &[u8]) -> bool {
    // The question that the message says it answers is the one that was asked.
    let Some(name) = bytes.get(12..).and_then(|rest| rest.iter().position(|byte| *byte == 0)) else { return false };
    let Some(head) = bytes.get(..12 + name + 5) else { return false };
    let mut query = head.to_vec();
    query[2..12].copy_from_slice(b"\x01\0\0\x01\0\0\0\0\0\0");
    let Some(said) = alias::read(&query, bytes) else { return false };
    assert!(said.rdata.len() <= dgns::dns::limits::ALIAS_ADDRESSES_MAX);
    assert!(said.rdata.iter().all(|rdata| [4, 16].contains(&rdata.len())) && said.rdata.is_sorted());
    !said.rdata.is_empty()
}

/// A query in, an answer out that a client can take: true if it got one.
fn dns_query(bytes: &[u8]) -> bool {
    let cookies = Cookies::new([7; 32]);
    let mut answered = false;
    for (transport, bytes_max) in [(Transport::Udp, 1_232), (Transport::Tcp, 65_535)] {
        let mut out = Vec::new();
        let asker =
            Asker { transport, address: [192, 0, 2, 1].into(), now_s: 1_700_000_000, cookies: &cookies, nsid: b"ns" };
        let outcome = match answer(dns_zone(), bytes, &asker, &mut out) {
            Outcome::Transfer => nobodys_transfers().answer(dns_zone(), bytes, &asker, &mut out),
            outcome => outcome,
        };
        let Outcome::Reply { .. } = outcome else {
            assert!(out.is_empty(), "what is dropped has no answer");
            continue;
        };
        assert!((12..=bytes_max).contains(&out.len()), "{} bytes by {transport:?}", out.len());
        assert_eq!(out[..2], bytes[..2], "an answer has the id of its query");
        assert!(out[2] & 0x80 != 0, "an answer is marked as one");
        assert_ne!(out[3] & 0x0f, 2, "SERVFAIL: a fault of ours");
        answered = true;
    }
    answered
}

/// An update: true if it is one. What its signature is of is an update too, of the same records.
fn dns_update(bytes: &[u8]) -> bool {
    let Some((records, unsigned)) = dgns::dns::update_parts(bytes) else { return false };
    if let Some(unsigned) = unsigned {
        assert_eq!(dgns::dns::update_parts(&unsigned), Some((records, None)));
    }
    true
}

/// What a sign-in is begun and finished with, and what comes back.
fn signin(bytes: &[u8]) -> bool {
    let start = Start::decode(bytes).map(|start| start.encode());
    let started = Started::decode(bytes).map(|started| started.encode());
    let finish = Finish::decode(bytes).map(|finish| finish.encode());
    let finished = Finished::decode(bytes).map(|finished| finished.encode());
    let link = Link::decode(bytes).map(|link| link.encode());
    let read: Vec<_> = [start, started, finish, finished, link].into_iter().flatten().collect();
    assert!(read.iter().all(|again| again == bytes), "each has one spelling");
    !read.is_empty()
}

/// A passkey's answer, of which a stranger sends each part; taken is what is refused for its meaning, not its form.
fn assertion(bytes: &[u8]) -> bool {
    let (challenge, rp_id) = ([5; 32], "id.dgns.test");
    let expected = Expected { challenge: &challenge, origin: "https://id.dgns.test", rp_id };
    let key = P256Key::from_coordinates(&P256_X, &P256_Y).expect("the base point is a point");
    let asked = format!(
        r#"{{"type":"webauthn.get","challenge":"{}","origin":"https://id.dgns.test"}}"#,
        BASE64URL_NOPAD.encode(&challenge)
    );
    let present = [sha256(&[rp_id.as_bytes()]).as_slice(), &[5, 0, 0, 0, 7]].concat();
    let parts =
        [(&present, bytes, &[][..]), (&bytes.to_vec(), asked.as_bytes(), &[]), (&present, asked.as_bytes(), bytes)];
    parts.into_iter().any(|(authenticator_data, client_data, signature)| {
        let assertion = Assertion {
            authenticator_data: authenticator_data.clone(),
            client_data: client_data.to_vec(),
            signature: signature.to_vec(),
        };
        let refusal = assertion.judge(&expected, &key).expect_err("nobody has signed it");
        !matches!(refusal, AssertionRefusal::Form | AssertionRefusal::Signature)
    })
}

/// The base point of P-256.
const P256_X: [u8; 32] = [
    0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d,
    0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96,
];

/// Its other coordinate.
const P256_Y: [u8; 32] = [
    0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33,
    0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
];

/// The payload of a token that whoever has the key minted: its fields decide.
fn token(payload: &[u8]) -> bool {
    let key = TokenKey::from_bytes([7; 32]);
    let tag = keyed_hash(&[7; 32], "dgns/token/v1", &[payload]);
    let text = format!("dgt1.{}.{}", BASE64URL_NOPAD.encode(payload), BASE64URL_NOPAD.encode(&tag[..16]));
    if let Ok(raw) = core::str::from_utf8(payload) {
        assert!(Token::open(raw, |_| Some(&key)).is_err(), "nobody made this tag");
    }
    let Ok(token) = Token::open(&text, |_| Some(&key)) else { return false };
    assert_eq!(token.mint(&key), text, "a token has one spelling");
    true
}

/// What a server's tokens are asked with, and what it gives.
fn token_ask(bytes: &[u8]) -> bool {
    let lease = Lease::decode(bytes).map(|lease| lease.encode());
    let refresh = Refresh::decode(bytes).map(|refresh| refresh.encode());
    let pair = Pair::decode(bytes).map(|pair| pair.encode());
    let read: Vec<_> = [lease, refresh, pair].into_iter().flatten().collect();
    assert!(read.iter().all(|again| again == bytes), "each has one spelling");
    !read.is_empty()
}

fn token_feed(bytes: &[u8]) -> bool {
    let _ = SealedKeys::verify(bytes, &origin(), &SigningKey::from_seed(&[1; 32]).public());
    let Ok(page) = FeedPage::decode(bytes) else { return false };
    assert_eq!(page.encode(), bytes, "a page has one spelling");
    let mut checker = Checker::new(Did::from_bytes([1; 20]));
    checker.learn_news(&page, page.time_s);
    true
}

/// What recovery servers and their clients say to each other.
fn recovery(bytes: &[u8]) -> bool {
    let kex = identity::key::KexSecret::from_bytes([7; 32]);
    assert!(message::open_ask(message::Ask::Evaluate, &[7; 32], &kex, bytes).is_err(), "nobody sealed this");
    if let Ok(bundle) = Bundle::decode(bytes) {
        assert_eq!(bundle.encode(), bytes, "a bundle has one spelling");
        return true;
    }
    if let Ok(evaluate) = message::Evaluate::decode(bytes) {
        assert_eq!(evaluate.encode().as_slice(), bytes, "a request has one spelling");
        return true;
    }
    if let Ok(evaluated) = message::Evaluated::decode(bytes) {
        assert_eq!(evaluated.encode(), bytes, "an answer has one spelling");
        return true;
    }
    if let Ok(release) = message::Release::open(bytes) {
        assert!(release.verify(&origin(), &[7; 32]).is_err(), "a stranger's key verifies nothing");
        return true;
    }
    message::ServerInfo::open(bytes, &origin()).is_ok() || message::Register::open(bytes, &origin()).is_ok()
}

/// What an anchor changes, or how one has a log; what arrives with a proof of that.
fn db_anchor(bytes: &[u8]) -> bool {
    if let Ok(arrival) = store::arrival::Arrival::decode(bytes) {
        assert_eq!(arrival.encode(), bytes);
        return true;
    }
    if let Ok(changes) = store::anchor::Changes::decode(bytes) {
        assert_eq!(changes.encode(), bytes);
        // Whatever it says is taken or refused by name.
        let _ = store::anchor::AnchorTree::default().apply(&changes);
        return true;
    }
    let Ok(shown) = store::anchor::AnchoredLog::decode(bytes) else { return false };
    assert_eq!(shown.encode(), bytes);
    true
}

/// What is said about a database; what stands in the partition of a user, open or sealed.
fn db_control(bytes: &[u8]) -> bool {
    if let Ok(proof) = store::partition::Proof::decode(bytes) {
        assert_eq!(proof.encode(), bytes);
        return true;
    }
    if let Ok(sealed) = store::partition::SealedInvitation::decode(bytes) {
        assert_eq!(sealed.encode(), bytes);
        return true;
    }
    if let Ok(invitation) = store::partition::Invitation::read(bytes) {
        assert_eq!(invitation.padded(), bytes);
        return true;
    }
    let Ok(control) = store::control::Control::decode(bytes) else { return false };
    assert_eq!(control.encode(), bytes);
    true
}

fn db_entry(bytes: &[u8]) -> bool {
    let Ok(entry) = store::entry::Entry::decode(bytes) else { return false };
    assert_eq!(entry.encode(), bytes);
    true
}

fn db_head(bytes: &[u8]) -> bool {
    let Ok(head) = store::head::SignedHead::decode(bytes) else { return false };
    assert_eq!((head.as_bytes(), head.head().encode().is_empty()), (bytes, false));
    true
}

fn db_account(bytes: &[u8]) -> bool {
    let Ok(standing) = store::account::Standing::decode(bytes) else { return false };
    assert_eq!(standing.encode(), bytes);
    true
}

/// What a snapshot says, what stands in a part of one, and where they are.
fn db_snapshot(bytes: &[u8]) -> bool {
    if let Ok(places) = store::answer::decode_places(bytes) {
        assert_eq!(store::answer::encode_places(&places), bytes);
        return true;
    }
    if let Ok(rows) = store::snapshot::decode_rows(bytes) {
        assert_eq!(store::snapshot::encode_rows(&rows), bytes);
        return true;
    }
    let Ok(manifest) = store::snapshot::Manifest::decode(bytes) else { return false };
    let encoded = manifest.encode();
    assert!(bytes.starts_with(&encoded) && bytes[encoded.len()..].iter().all(|byte| *byte == 0), "padded");
    true
}

fn db_segment(bytes: &[u8]) -> bool {
    let Ok(segment) = Segment::decode(bytes.to_vec().into()) else { return false };
    let entries = (segment.first()..).map_while(|pos| segment.entry(pos)).collect::<Vec<_>>();
    assert_eq!(entries.len() as u64, segment.count());
    assert_eq!(Segment::encode(segment.log(), segment.first(), &entries), bytes);
    true
}

fn db_watch(bytes: &[u8]) -> bool {
    if let Ok(line) = std::str::from_utf8(bytes)
        && let Some(news) = store::watch::News::of_line(line)
    {
        assert_eq!(news.event().lines().find_map(store::watch::News::of_line), Some(news));
        return true;
    }
    if let Ok(ask) = store::watch::Ask::decode(bytes) {
        assert_eq!(ask.encode(), bytes);
        return true;
    }
    let Ok(logs) = store::watch::decode_watch(bytes) else { return false };
    assert_eq!(store::watch::encode_watch(&logs), bytes);
    true
}

fn grant(bytes: &[u8]) -> bool {
    let Ok(grant) = SignedGrant::decode(bytes) else { return false };
    assert_eq!(grant.as_bytes(), bytes, "the envelope is kept as it came");
    assert!(grant.verify(&origin(), &[[7; 32]]).is_err(), "a stranger's key verifies nothing");
    true
}

/// A zone with a name that has an address, an alias of it, and one that is nobody's.
fn nobodys_transfers() -> &'static Transfers {
    static TRANSFERS: OnceLock<Transfers> = OnceLock::new();
    let clock = Clock::fixed_for_tests(Timestamp::from_ms(1_700_000_000_000));
    TRANSFERS.get_or_init(|| Transfers::to_nobody(clock, Arc::default()))
}

fn dns_zone() -> &'static DnsZone {
    static ZONE: OnceLock<DnsZone> = OnceLock::new();
    ZONE.get_or_init(|| {
        let zone = DnsZone::new("dgns.test", &Settings::for_zone("dgns.test")).expect("the defaults are valid");
        let row = |rtype, rdata: &[u8]| Row { owner: String::new(), rtype, rdata: rdata.to_vec(), ttl: 60 };
        let bound = |name: &str, row| Change {
            name: name.into(),
            content: Some(Content {
                did: Some(Did::from_bytes([1; 20])),
                log_index: 3,
                flags: 0,
                rows: vec![row],
                is_cut: false,
            }),
        };
        let changes = vec![
            bound("alice.dgns.test", row(1, &[192, 0, 2, 1])),
            bound("www2.dgns.test", row(5, b"\x05alice\x04dgns\x04test\x00")),
            Change { name: "gone.dgns.test".into(), content: None },
        ];
        zone.apply(changes, 4).expect("the changes fit");
        zone.set_ready();
        zone
    })
}

fn origin() -> Origin {
    Origin::parse("dgns.test/log").expect("the development origin")
}

fn lobby_frame(bytes: &[u8]) -> bool {
    reads_the_same_again(bytes, Form::Cbor)
}

fn lobby_frame_json(bytes: &[u8]) -> bool {
    reads_the_same_again(bytes, Form::Json)
}

/// Keys that nobody knows are passed over, so what is written again may be shorter, and no other frame.
fn reads_the_same_again(bytes: &[u8], form: Form) -> bool {
    let Ok(frame) = Frame::decode(bytes, form) else { return false };
    let written = frame.encode(form);
    assert_eq!(Frame::decode(&written, form).as_ref(), Ok(&frame), "a frame reads as it was written");
    true
}

/// However the bytes come, the same is said, and the same is refused.
fn websocket(bytes: &[u8]) -> bool {
    let whole = said([bytes]);
    assert_eq!(said(bytes.chunks(1)), whole, "what is said does not depend on how it came");
    whole.1.is_ok() && !whole.0.is_empty()
}

fn said<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, Result<(), Fault>) {
    let (mut incoming, mut said) = (Incoming::default(), Vec::new());
    let fed = pieces.into_iter().try_for_each(|piece| {
        incoming.feed(&mut piece.to_vec(), &mut |one| {
            said.push(format!("{one:?}"));
            ControlFlow::Continue(())
        })
    });
    (said, fed)
}

fn lobby_hello(bytes: &[u8]) -> bool {
    let Ok(hello) = SignedHello::decode(bytes) else { return false };
    assert_eq!(hello.as_bytes(), bytes, "the envelope is kept as it came");
    assert!(hello.verify(&Origin::parse("other.test/log").expect("an origin")).is_err(), "it is for one log alone");
    true
}

fn lobby_bus(bytes: &[u8]) -> bool {
    let Ok((from, message)) = BusMessage::decode(bytes) else { return false };
    assert_eq!(message.encode(&from), bytes, "a message has one spelling");
    true
}

fn lobby_alive(bytes: &[u8]) -> bool {
    let Ok(alive) = Alive::decode(bytes) else { return false };
    assert_eq!(alive.encode(), bytes, "it has one spelling");
    true
}

fn lobby_card(bytes: &[u8]) -> bool {
    let Ok(card) = SignedCard::decode(bytes) else { return false };
    assert_eq!(card.as_bytes(), bytes, "the envelope is kept as it came");
    assert_eq!(sha256(&[&card.card().encode()]), card.payload_hash(), "it has one spelling");
    assert!(card.verify(&Origin::parse("other.test/log").expect("an origin")).is_err(), "it is for one log alone");
    for candidate in card.card().body.candidates() {
        let _ = candidate.may_be_tried(false);
    }
    true
}
