//! tests/vectors/resolutions.json

use identity::hash::sha256;
use identity::key::SigningKey;
use identity::name::Zone;
use identity::state::Leaf;
use serde_json::{Value, json};

use super::chain::dora::{Dora, device, key};
use super::fixture::{TestLog, name};
use super::*;
use crate::entry::Anchor;
use crate::note::LogSigner;
use crate::resolution::{ChainRow, Written};
use crate::vectors::{hex, hold};

const ABOUT: [&str; 9] = [
    "Answers to lookups and what a verifier makes of them (PROTOCOL 11). Bytes are hexadecimal, times milliseconds.",
    "in: trust {origin, vkeys, policy, head_age_s_max}, policy a text, or null for quorum none; memory: null, or {origin, head, states: [State of each DID met]}, and the same as",
    "memory_bytes of PROTOCOL 14.1; subject {name}, {did} or {alias}; bytes; now_ms.",
    "out: status present|held|ended|absent; name, did, alias: their State's bytes or null; records [[type, ttl, rdata, owner], ...] or null;",
    "frozen; pending: how many acts wait; size, root, epoch_ms, k of the head; written: log indexes of the certificates just",
    "written; chain: [[log index, time of its Epoch], ...] of the rows since the state remembered; remembers: size of the head and [[DID, version], ...] in the memory afterwards. error: the code of PROTOCOL 11.4.",
    "quorum_ms: when the policy's quorum was reached, or null.",
    "footing: what the DID's state rests on besides the map: map, remembered, genesis, unfollowed (PROTOCOL 11.5), or null. A",
    "verifier without the rules cannot tell a case whose name begins with RULES from a good one, and must not call it followed.",
];

const ABOUT_MUTATIONS: [&str; 4] = [
    "Answers of resolutions.json that are believed, with one bit flipped: whoever verifies them refuses each with the same code.",
    "in: case, its name there; from, step: the bytes flipped are those at from, from + step, ...; in the byte at i, bit i mod 8 (1 is",
    "bit 0). out: codes, and flips: a letter for each byte, `a` for the first code. `believed` = the byte is not looked at: a",
    "cosignature by nobody whom the policy knows.",
];

/// Every so manieth byte is flipped: enough to meet every field, and the file stays small.
const STEP: usize = 16;

#[test]
fn resolution_vectors_hold() {
    let mut cases = Cases { given: Vec::new(), mutated: Vec::new() };
    proved(&mut cases);
    aliases(&mut cases);
    refused_answers(&mut cases);
    refused_heads(&mut cases);
    witnessed(&mut cases);
    remembered(&mut cases);
    followed(&mut cases);
    hold("resolutions", &ABOUT, &cases.given);
    hold("mutations", &ABOUT_MUTATIONS, &cases.mutated);
}

struct Cases {
    given: Vec<Value>,
    /// Of each answer that is believed, with what code it is refused once a bit is flipped.
    mutated: Vec<Value>,
}

impl Cases {
    /// Adds a case at a moment after the log's newest Epoch, met for the first time.
    fn first(
        &mut self,
        title: &str,
        log: &TestLog,
        subject: &Subject,
        answer: &Resolution,
        expected: Result<(), &str>,
    ) {
        let memory = Memory::new(log.origin.clone());
        self.add(title, &log.trust(), &memory, subject, &answer.encode(), log.now(), expected);
    }

    #[expect(clippy::too_many_arguments, reason = "a case is its arguments")]
    fn add(
        &mut self,
        title: &str,
        trust: &Trust,
        memory: &Memory,
        subject: &Subject,
        bytes: &[u8],
        now: Timestamp,
        expected: Result<(), &str>,
    ) {
        let given = json!({
            "trust": {
                "origin": trust.origin().as_str(),
                "vkeys": trust.log_keys().iter().map(ToString::to_string).collect::<Vec<_>>(),
                "policy": (!trust.policy().is_none()).then(|| trust.policy().to_string()),
                "head_age_s_max": trust.head_age_ms_max() / 1_000,
            },
            "memory": memory_json(memory),
            "memory_bytes": hex(&memory.encode()),
            "subject": match subject {
                Subject::Name(name) => json!({"name": name}),
                Subject::Did(did) => json!({"did": hex(did.as_bytes())}),
                Subject::Alias(alias) => json!({"alias": hex(alias)}),
                Subject::LogConf => Value::Null,
                Subject::Anchors => json!({"anchors": true}),
            },
            "bytes": hex(bytes),
            "now_ms": now.as_ms(),
        });
        let mut after = memory.clone();
        let found = verify(trust, &mut after, subject, bytes, now);
        assert_eq!(found.as_ref().map(|_| ()).map_err(VerifyError::code), expected, "{title}");
        if found.is_ok() {
            self.mutated.push(mutated(title, trust, memory, subject, bytes, now));
        }
        self.given.push(match found {
            Ok(resolved) => json!({"name": title, "in": given, "out": resolved_json(&resolved, &after)}),
            Err(error) => json!({"name": title, "in": given, "error": error.code()}),
        });
    }
}

/// With what code an answer is refused whose bytes were flipped.
fn mutated(title: &str, trust: &Trust, memory: &Memory, subject: &Subject, bytes: &[u8], now: Timestamp) -> Value {
    let from = title.len() % STEP;
    let mut codes: Vec<&str> = Vec::new();
    let mut flips = String::new();
    for at in (from..bytes.len()).step_by(STEP) {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << (at % 8);
        let found = verify(trust, &mut memory.clone(), subject, &flipped, now);
        let code = found.map_or_else(|error| error.code(), |_| "believed");
        let place = codes.iter().position(|known| *known == code).unwrap_or_else(|| {
            codes.push(code);
            codes.len() - 1
        });
        flips.push(char::from(b'a' + place as u8));
    }
    json!({
        "name": format!("{title}, flipped"),
        "in": {"case": title, "from": from, "step": STEP},
        "out": {"codes": codes, "flips": flips},
    })
}

fn memory_json(memory: &Memory) -> Value {
    let head = memory.head().map(|head| hex(&head.encode()));
    let states: Vec<_> = memory.dids().map(|known| hex(&known.state().encode())).collect();
    if head.is_none() && memory.origin().as_str() == "dgns.test/log" {
        return Value::Null;
    }
    json!({"origin": memory.origin().as_str(), "head": head, "states": states})
}

fn resolved_json(resolved: &Resolved, memory: &Memory) -> Value {
    let status = match resolved.status() {
        Status::Present => "present",
        Status::Held { .. } => "held",
        Status::Ended => "ended",
        Status::Absent => "absent",
    };
    let records = resolved.records().map(|records| {
        let row = |row: &identity::cert::Row| json!([row.rtype, row.ttl, hex(&row.rdata), row.owner]);
        records.rows.iter().map(row).collect::<Vec<_>>()
    });
    let dids: Vec<_> = memory.dids().map(|known| json!([hex(known.state().did.as_bytes()), known.version()])).collect();
    let mut out = json!({
        "status": status,
        "name": resolved.name().map(|name| hex(&name.encode())),
        "did": resolved.did().map(|did| hex(&did.encode())),
        "alias": resolved.alias().map(|alias| hex(&alias.encode())),
        "records": records,
        "frozen": resolved.is_frozen(),
        "pending": resolved.pending().len(),
        "size": resolved.head().size,
        "root": hex(&resolved.head().root),
        "epoch_ms": resolved.epoch().time_ms,
        "k": resolved.epoch().k,
        "quorum_ms": resolved.quorum().map(Timestamp::as_ms),
        "written": resolved.written().iter().map(|written| written.index).collect::<Vec<_>>(),
        "footing": match resolved.footing() {
            None => Value::Null,
            Some(Footing::Map) => json!("map"),
            Some(Footing::Remembered) => json!("remembered"),
            Some(Footing::Genesis) => json!("genesis"),
            Some(Footing::Unfollowed { .. }) => json!("unfollowed"),
        },
        "chain": resolved.chain().iter().map(|step| json!([step.index, step.epoch.as_ms()])).collect::<Vec<_>>(),
        "remembers": {"size": memory.size(), "dids": dids},
    });
    if let Some(delegate) = resolved.delegate() {
        out["delegate"] = json!(delegate.servers);
    }
    out
}

fn proved(cases: &mut Cases) {
    let (log, alice) = TestLog::new();
    let did = Subject::Did(alice.did);
    let with_records = log.answer(&name("alice")).with_certificates([&alice.records]);
    let written = log.answer(&name("alice")).with_written(vec![log.written(1), log.written(3)]);
    let unknown = Subject::Did(identity::did::Did::from_bytes([9; 20]));
    cases.first("a live name", &log, &name("alice"), &log.answer(&name("alice")), Ok(()));
    cases.first("a live name with its records", &log, &name("alice"), &with_records, Ok(()));
    let delegate = alice.next_delegate(&log.origin, 2, alice.records.sid());
    let (mut delegated, index) = (TestLog::new().0, log.next_index());
    delegated.batch(&[&delegate], vec![alice.delegated_name(index, &delegate)]);
    let bare = || delegated.answer(&name("alice"));
    cases.first("a delegated name", &delegated, &name("alice"), &bare(), Ok(()));
    cases.first(
        "a delegated name with its delegation",
        &delegated,
        &name("alice"),
        &bare().with_certificates([&delegate]),
        Ok(()),
    );
    let before = bare().with_certificates([&alice.records]);
    cases.first("a delegated name with the records before", &delegated, &name("alice"), &before, Err("value"));
    let unnamed = log.answer(&name("alice")).with_certificates([&delegate]);
    cases.first("a name with a delegation that it has not", &log, &name("alice"), &unnamed, Err("value"));
    cases.first("the answer to a write", &log, &name("alice"), &written, Ok(()));
    cases.first("a held name", &log, &name("bob"), &log.answer(&name("bob")), Ok(()));
    cases.first("a name that is free again", &log, &name("carol"), &log.answer(&name("carol")), Ok(()));
    for (title, kind) in [("absent beside another leaf", 2), ("absent at an empty child", 3)] {
        let subject = log.absent_name(kind);
        cases.first(title, &log, &subject, &log.answer(&subject), Ok(()));
    }
    let anchors = Subject::Anchors;
    cases.first("anchors that there are none of", &log, &anchors, &log.answer(&anchors), Ok(()));
    let mut anchored = TestLog::new().0;
    let payload = Anchor { k: 1, prev: None, root: [5; 32], logs: 3 }.encode();
    let head_hash = sha256(&[&payload]);
    anchored.batch(&[], vec![Leaf { head_index: 1, head_hash, state: State::Anchors { version: 1, payload } }]);
    cases.first("the newest anchor", &anchored, &anchors, &anchored.answer(&anchors), Ok(()));
    let mut older = anchored.answer(&anchors);
    older.answers[0].opened.as_mut().unwrap().version = 2;
    cases.first("an anchor under another number", &anchored, &anchors, &older, Err("map_proof"));
    cases.first("a DID", &log, &did, &log.answer(&did), Ok(()));
    cases.first("a DID that does not exist", &log, &unknown, &log.answer(&unknown), Ok(()));

    let (mut log, alice) = TestLog::new();
    let mut leaf = alice.leaf(3, 3, &alice.records);
    let State::Did(state) = &mut leaf.state else { unreachable!("a DID's leaf") };
    (state.flags, state.names) = (8, vec![]);
    state.pending.clear();
    log.batch(&[], vec![leaf]);
    cases.first("a DID that ended", &log, &did, &log.answer(&did), Ok(()));
}

/// An alias with its holder; one that is nobody's, signed in with or not, is as absent as one never met.
fn aliases(cases: &mut Cases) {
    let (mut log, alice) = TestLog::new();
    let [bound, bare, left, unknown] = [1, 2, 3, 4].map(|n| Subject::Alias([n; 32]));
    let leaf = |n, change: fn(&mut AliasState, &mut Leaf)| {
        let mut leaf = alice.alias([n; 32]);
        let State::Alias(mut state) = leaf.state.clone() else { unreachable!("an alias's leaf") };
        change(&mut state, &mut leaf);
        Leaf { state: State::Alias(state), ..leaf }
    };
    let never_signed_in = leaf(2, |state, leaf| {
        (state.head, leaf.head_index, leaf.head_hash) = (None, 0, [0; 32]);
        state.attested.clear();
    });
    log.batch(&[], vec![alice.alias([1; 32]), never_signed_in, leaf(3, |state, _| state.did = None)]);
    cases.first("an alias with its holder", &log, &bound, &log.answer(&bound), Ok(()));
    cases.first("an alias that nobody signed in with yet", &log, &bare, &log.answer(&bare), Ok(()));
    cases.first("an alias that is bound no more", &log, &left, &log.answer(&left), Ok(()));
    cases.first("an alias never met", &log, &unknown, &log.answer(&unknown), Ok(()));

    let did = Subject::Did(alice.did);
    let bent = |bend: &dyn Fn(&mut Resolution)| {
        let mut answer = log.answer(&bound);
        bend(&mut answer);
        answer
    };
    let mut refuse = |title: &str, answer: &Resolution, code| cases.first(title, &log, &bound, answer, Err(code));
    refuse("an answer about another alias", &log.answer(&bare), "subject");
    refuse(
        "the holder's answer is missing",
        &bent(&|answer| {
            answer.answers.truncate(1);
            answer.map_proof = log.map.prove(&[label(&bound)]).unwrap();
        }),
        "binding",
    );
    refuse("a holder without a state", &bent(&|answer| answer.answers[1] = Answer::absent(&did)), "binding");
    refuse("an alias answered as a DID", &bent(&|answer| answer.answers[0].kind = LabelKind::Did), "binding");
    refuse(
        "an alias hidden that is there",
        &bent(&|answer| answer.answers = vec![Answer::absent(&bound)]),
        "malformed",
    );
    let other = log.states[&bare].state.encode();
    refuse("the state of another alias", &bent(&|answer| answer.answers[0].state = Some(other.clone())), "value");
    refuse(
        "an alias whose leaf names another head",
        &bent(&|answer| answer.answers[0].opened.as_mut().unwrap().head_index = 1),
        "map_proof",
    );
    let mut forged = log;
    forged.batch(&[], vec![leaf(1, |_, leaf| leaf.head_hash = [1; 32])]);
    let answer = forged.answer(&bound);
    cases.first("an alias whose leaf and state differ about the head", &forged, &bound, &answer, Err("value"));
}

fn refused_answers(cases: &mut Cases) {
    let (log, alice) = TestLog::new();
    let (asked, did) = (name("alice"), Subject::Did(alice.did));
    let honest = log.answer(&asked);
    let bent = |bend: &dyn Fn(&mut Resolution)| {
        let mut answer = log.answer(&asked);
        bend(&mut answer);
        answer
    };
    let mut refuse = |title: &str, answer: &Resolution, code| cases.first(title, &log, &asked, answer, Err(code));

    refuse("an answer about another name", &log.answer(&name("bob")), "subject");
    refuse("an answer about the owner", &log.answer(&did), "subject");
    refuse("no head, none remembered", &bent(&|answer| drop(answer.take_head())), "malformed");
    refuse(
        "the owner's answer is missing",
        &bent(&|answer| {
            answer.answers.truncate(1);
            answer.map_proof = log.map.prove(&[label(&asked)]).unwrap();
        }),
        "binding",
    );
    refuse(
        "the owner's answer alone",
        &bent(&|answer| {
            answer.answers.remove(0);
            answer.map_proof = log.map.prove(&[label(&did)]).unwrap();
        }),
        "binding",
    );
    refuse("an owner without a state", &bent(&|answer| answer.answers[1] = Answer::absent(&did)), "binding");
    refuse(
        "one answer too many",
        &bent(&|answer| {
            answer.answers.push(Answer::present(&log.states[&name("carol")]));
            let labels = [&asked, &did, &name("carol")].map(label);
            answer.map_proof = log.map.prove(&labels).unwrap();
        }),
        "binding",
    );
    refuse(
        "the name's leaf denied",
        &bent(&|answer| {
            answer.answers = vec![Answer::absent(&asked)];
            answer.map_proof = log.map.prove(&[label(&asked)]).unwrap();
        }),
        "map_proof",
    );
    refuse(
        "another version than the map's",
        &bent(&|answer| {
            answer.answers[0].opened.as_mut().unwrap().version += 1;
        }),
        "map_proof",
    );
    refuse(
        "the proof of other labels",
        &bent(&|answer| {
            answer.map_proof = log.map.prove(&[label(&did), label(&asked)]).unwrap();
        }),
        "map_proof",
    );
    refuse(
        "the state of another name",
        &bent(&|answer| {
            answer.answers[0].state.clone_from(&log.answer(&name("bob")).answers[0].state);
        }),
        "value",
    );
    refuse("a state left out that nobody keeps", &bent(&|answer| answer.answers[1].state = None), "value");
    refuse("a state without its leaf", &bent(&|answer| answer.answers[0].opened = None), "value");
    let genesis = alice.genesis.payload_bytes().to_vec();
    refuse("a payload the name does not name", &bent(&|answer| answer.payloads = vec![genesis.clone()]), "value");
    let elsewhere = Written { index: 0, ..log.written(1) };
    refuse("a certificate at another index", &bent(&|answer| answer.written = vec![elsewhere.clone()]), "written");
    let mut forged = log.written(1);
    *forged.envelope.last_mut().unwrap() ^= 1;
    refuse(
        "a signature of a written certificate bent",
        &bent(&|answer| answer.written = vec![forged.clone()]),
        "written",
    );
    refuse("a consistency proof nobody asked for", &bent(&|answer| answer.consistency = vec![[1; 32]]), "inconsistent");

    let absent = log.absent_name(2);
    let mut invented = log.answer(&absent);
    let mut leaf = log.states[&name("carol")].clone();
    if let (State::Name(state), Subject::Name(name)) = (&mut leaf.state, &absent) {
        state.name.clone_from(name);
    }
    invented.answers = vec![Answer::present(&leaf)];
    cases.first("a leaf invented", &log, &absent, &invented, Err("map_proof"));

    let memory = Memory::new(log.origin.clone());
    let mut malformed = |title: &str, bytes: &[u8]| {
        cases.add(title, &log.trust(), &memory, &asked, bytes, log.now(), Err("malformed"));
    };
    let bytes = honest.encode();
    malformed("no bytes", &[]);
    malformed("cut short", &bytes[..bytes.len() - 1]);
    malformed("a byte more", &[&bytes[..], &[0]].concat());
    malformed("not the shortest spelling of its format", &[&bytes[..2], &[0x18], &bytes[2..]].concat());
    let mut proof = log.answer(&asked).encode();
    let at = proof.len() - honest.map_proof.encode().len();
    proof[at] = 9;
    malformed("a map proof that is none", &proof);
    let foreign = Subject::Name("alice.other.test".into());
    cases.first("a name of another zone", &log, &foreign, &log.answer(&foreign), Err("subject"));

    let (mut log, alice) = TestLog::new();
    let leaf = alice.leaf(3, 3, &alice.records);
    let mut opened = OpenedLeaf::of(&leaf);
    opened.flags |= 1 << 20;
    let state = leaf.state.encode();
    let delta = log.map.prepare(&[(label(&did), opened.commitment(&state))]);
    log.map.apply(delta).unwrap();
    log.batch(&[], vec![]);
    let mut answer = log.answer(&did);
    answer.answers = vec![Answer { kind: LabelKind::Did, opened: Some(opened), state: Some(state) }];
    cases.first("an unknown flag in the map", &log, &did, &answer, Err("value"));
}

fn refused_heads(cases: &mut Cases) {
    let (log, _) = TestLog::new();
    let asked = name("alice");
    let stranger = LogSigner::new(log.origin.as_str(), SigningKey::from_seed(&[7; 32])).unwrap();
    let other_origin = Zone::parse("other.test").unwrap().origin();
    let bent = |signer: &LogSigner, origin: &identity::name::Origin, bend: &dyn Fn(&mut Head)| {
        let mut answer = log.answer(&asked);
        let head = answer.head.as_mut().unwrap();
        bend(head);
        head.log_signature = signer.sign(&head.checkpoint(origin)).signature.try_into().unwrap();
        answer
    };
    let own = |bend: &dyn Fn(&mut Head)| bent(&log.signer, &log.origin, bend);
    let mut refuse = |title: &str, answer: &Resolution, code| cases.first(title, &log, &asked, answer, Err(code));
    refuse("a head signed by a stranger", &bent(&stranger, &log.origin, &|_| ()), "log_signature");
    refuse("a head signed for another origin", &bent(&log.signer, &other_origin, &|_| ()), "log_signature");
    refuse("a last entry of another type", &own(&|head| head.epoch_entry[0] = 1), "epoch");
    refuse("a last entry of 90 bytes", &own(&|head| head.epoch_entry.push(0)), "epoch");
    refuse("an Epoch that covers another index", &own(&|head| head.epoch_entry[16] ^= 1), "epoch");
    refuse("an Epoch with another map root", &own(&|head| head.epoch_entry[40] ^= 1), "last_leaf");
    refuse("a path cut short", &own(&|head| head.path.truncate(0)), "last_leaf");
    refuse("another root", &own(&|head| head.root[0] ^= 1), "last_leaf");

    let epoch = log.head.epoch().unwrap();
    let bytes = log.answer(&asked).encode();
    let memory = Memory::new(log.origin.clone());
    let mut at = |title: &str, trust: &Trust, ms: u64, expected| {
        cases.add(title, trust, &memory, &asked, &bytes, Timestamp::from_ms(ms), expected);
    };
    let trust = log.trust();
    at("a head 300 s old", &trust, epoch.time_ms + 300_000, Ok(()));
    at("a head a millisecond older", &trust, epoch.time_ms + 300_001, Err("stale_head"));
    at("a head 300 s ahead", &trust, epoch.time_ms - 300_000, Ok(()));
    at("a head a millisecond further ahead", &trust, epoch.time_ms - 300_001, Err("time_bound"));
    at("a head too old for this reader", &trust.with_head_age_s_max(10), epoch.time_ms + 10_001, Err("stale_head"));
    let foreign = Memory::new(other_origin);
    cases.add("a memory of another log", &log.trust(), &foreign, &asked, &bytes, log.now(), Err("origin"));
}

fn witnessed(cases: &mut Cases) {
    let epoch_ms = TestLog::new().0.head.epoch().unwrap().time_ms;
    let mut add = |title: &str, quorum: &str, cosigned: &[(u8, i64)], now_ms: u64, expected| {
        let (mut log, _) = TestLog::new();
        cosigned.iter().for_each(|(n, after_ms)| log.cosign(*n, *after_ms));
        let (trust, memory) = (log.trust_under(quorum), Memory::new(log.origin.clone()));
        let bytes = log.answer(&name("alice")).encode();
        cases.add(title, &trust, &memory, &name("alice"), &bytes, Timestamp::from_ms(now_ms), expected);
    };
    let two = "group g 2 w1 w2 w3\nquorum g";
    add("two of three witnesses", two, &[(1, 0), (3, 2_000)], epoch_ms, Ok(()));
    add("one of two needed", two, &[(1, 0)], epoch_ms, Err("quorum"));
    add("no witness", two, &[], epoch_ms, Err("quorum"));
    add("a witness the policy does not know", two, &[(1, 0), (4, 0)], epoch_ms, Err("quorum"));
    add("one witness twice", two, &[(1, 0), (1, 0)], epoch_ms, Err("quorum"));
    add("cosignatures 300 s old", two, &[(1, 0), (3, 0)], epoch_ms + 300_000, Ok(()));
    add("cosignatures a millisecond older", two, &[(1, 0), (3, 0)], epoch_ms + 300_001, Err("stale_head"));
    add("one of two cosignatures too old", two, &[(1, 0), (3, 9_000)], epoch_ms + 300_001, Err("stale_head"));
    add("an Epoch older than its cosignatures", two, &[(1, 9_000), (3, 8_000)], epoch_ms + 300_001, Ok(()));
    add("cosignatures 300 s before and after the Epoch", two, &[(1, -300_000), (2, 300_000)], epoch_ms, Ok(()));
    add("a cosignature 301 s before the Epoch", "quorum w1", &[(1, -301_000)], epoch_ms - 301_000, Err("time_bound"));
    add("a cosignature 301 s after the Epoch", "quorum w1", &[(1, 301_000)], epoch_ms + 301_000, Err("time_bound"));
    add("cosignatures ahead of the reader", "quorum w1", &[(1, 100_000)], epoch_ms - 200_001, Err("time_bound"));
    let verifiers = "group verifiers any w2 w3\nquorum w1";
    add("a verifier beside the quorum", verifiers, &[(1, 0), (3, 1_000)], epoch_ms, Ok(()));
    add("no verifier beside the quorum", verifiers, &[(1, 0)], epoch_ms, Err("quorum"));

    let (mut log, _) = TestLog::new();
    log.cosign(1, 0);
    log.cosign(2, 0);
    let asked = name("alice");
    let memory = {
        let mut memory = Memory::new(log.origin.clone());
        verify(&log.trust(), &mut memory, &asked, &log.answer(&asked).encode(), log.now()).unwrap();
        memory
    };
    let mut warm = log.answer(&asked);
    warm.take_head();
    let mut remembered = |title: &str, log: &TestLog, memory: &Memory, quorum: &str, expected| {
        cases.add(title, &log.trust_under(quorum), memory, &asked, &warm.encode(), log.now(), expected);
    };
    remembered("a remembered head under another policy", &log, &memory, "quorum w2", Ok(()));
    remembered("a remembered head without its quorum", &log, &memory, "quorum w3", Err("quorum"));
    log.head.cosignatures[1].signature[0] ^= 1;
    let answer = log.answer(&asked).encode();
    let fresh = Memory::new(log.origin.clone());
    let trust = log.trust_under("quorum w1");
    cases.add("a known witness's cosignature fails", &trust, &fresh, &asked, &answer, log.now(), Err("quorum"));
}

fn remembered(cases: &mut Cases) {
    let (mut log, alice) = TestLog::new();
    let (asked, did) = (name("alice"), Subject::Did(alice.did));
    let met = |log: &TestLog, memory: &Memory, answer: &Resolution| {
        let mut memory = memory.clone();
        verify(&log.trust(), &mut memory, &asked, &answer.encode(), log.now()).unwrap();
        memory
    };
    let old = log.answer(&asked);
    let memory = met(&log, &Memory::new(log.origin.clone()), &old);
    let mut add = |title: &str, log: &TestLog, memory: &Memory, answer: &Resolution, expected| {
        cases.add(title, &log.trust(), memory, answer.subject(), &answer.encode(), log.now(), expected);
    };
    add("the head remembered, sent again", &log, &memory, &old, Ok(()));
    let mut warm = log.answer(&asked);
    warm.take_head();
    warm.answers[1] = Answer::known(&log.states[&did]);
    add("head and known state left out", &log, &memory, &warm, Ok(()));

    let (mut fork, _) = TestLog::new();
    fork.batch(&[], vec![Leaf { head_index: 1, ..fork.states[&name("carol")].clone() }]);
    log.batch(&[], vec![]);
    let update = log.answer(&asked).with_consistency(log.consistency(5));
    add("a head that continues the one remembered", &log, &memory, &update, Ok(()));
    add("the same without its proof", &log, &memory, &log.answer(&asked), Err("inconsistent"));
    let mut wrong = update.clone();
    wrong.consistency[0][0] ^= 1;
    add("the same with another proof", &log, &memory, &wrong, Err("inconsistent"));
    let newer = met(&log, &memory, &update);
    add("an older head", &log, &newer, &old, Err("rollback"));
    add("one size, two roots", &fork, &newer, &fork.answer(&asked), Err("fork"));
    fork.batch(&[], vec![]);
    let aside = fork.answer(&asked).with_consistency(fork.consistency(6));
    add("a head that continues another tree", &fork, &newer, &aside, Err("inconsistent"));

    let (mut shown, _) = TestLog::new();
    shown.batch(&[], vec![alice.leaf(1, 1, &alice.genesis)]);
    let answer = shown.answer(&did).with_consistency(shown.consistency(5));
    add("a DID gone back to an older version", &shown, &memory, &answer, Err("rollback"));
    let (mut shown, _) = TestLog::new();
    shown.batch(&[], vec![alice.leaf(2, 1, &alice.genesis)]);
    let answer = shown.answer(&did).with_consistency(shown.consistency(5));
    add("another state of a DID at the version met before", &shown, &memory, &answer, Err("chain"));
    let third = alice.next_records(&log.origin, 2, alice.records.sid());
    let (mut shown, _) = TestLog::new();
    shown.batch(&[&third], vec![alice.leaf(3, 5, &third)]);
    let answer = shown.answer(&did).with_consistency(shown.consistency(5));
    add("a DID at a newer version", &shown, &memory, &answer, Ok(()));
    let mut leaf = alice.leaf(2, 3, &alice.records);
    if let State::Did(state) = &mut leaf.state {
        (state.version, state.head.sid, leaf.head_hash) = (3, [9; 32], [9; 32]);
    }
    let (mut shown, _) = TestLog::new();
    shown.batch(&[], vec![leaf]);
    let answer = shown.answer(&did).with_consistency(shown.consistency(5));
    add("another certificate at the same place of the chain", &shown, &memory, &answer, Err("chain"));
}

/// A DID whose chain is followed: rows placed, linked, signed, judged.
fn followed(cases: &mut Cases) {
    let mut dora = Dora::new();
    let mut memory = Memory::new(dora.log.origin.clone());
    let met = dora.answer(None, Vec::new()).encode();
    verify(&dora.log.trust(), &mut memory, &dora.subject(), &met, dora.log.now()).unwrap();
    dora.does(Body::DeviceAdd(device(2)), &[0, 2]);
    dora.does(Body::DeviceAdd(device(3)), &[1, 3]);
    dora.does(Body::Policy { window_s: 172_800 }, &[1]);
    dora.log.wait(172_800_000);
    dora.epoch();
    let rows = dora.rows(0);
    let mut add = |title: &str, dora: &Dora, memory: &Memory, rows: &[ChainRow], expected| {
        let answer = dora.answer(memory.size(), rows.to_vec());
        cases.add(title, &dora.log.trust(), memory, &dora.subject(), &answer.encode(), dora.log.now(), expected);
    };
    let never = Memory::new(dora.log.origin.clone());
    add("the certificates of a DID since it was met", &dora, &memory, &rows[1..], Ok(()));
    add("none of them: the state is not followed", &dora, &memory, &[], Ok(()));
    add("all certificates of a DID never met", &dora, &never, &rows, Ok(()));
    let chain = Err("chain");
    add("rows of a DID never met that do not begin with its genesis", &dora, &never, &rows[1..], chain);
    add("a row missing in the middle", &dora, &memory, &[rows[1].clone(), rows[3].clone()], chain);
    add("rows exchanged", &dora, &memory, &[rows[2].clone(), rows[1].clone(), rows[3].clone()], chain);
    add("a row twice", &dora, &memory, &[&rows[1..2], &rows[1..]].concat(), chain);
    add("a row of another chain", &dora, &memory, &[dora.log.row(1, 1)], chain);
    let mut bent = rows[1..].to_vec();
    bent[0].index += 1;
    add("a row of another place", &dora, &memory, &bent, chain);
    let mut bent = rows[1..].to_vec();
    bent[0].epoch.entry[20] ^= 1;
    add("a row of an Epoch that never was", &dora, &memory, &bent, chain);

    let mut forged = |title: &str, signers: &[u8], bend: u8, forge: fn(&mut DidState)| {
        let mut dora = Dora::new();
        let certificate = dora.next(Body::DeviceAdd(device(2)), signers);
        let mut signatures = certificate.signatures().to_vec();
        signatures[0].1[40] ^= bend;
        let certificate = Certificate::assemble(certificate.payload_bytes(), signatures).unwrap();
        dora.forges(&certificate, forge);
        add(title, &dora, &memory, &dora.rows(1), Err("chain"));
    };
    forged("a certificate in the log with a signature that does not hold", &[0, 2], 1, |_| {});
    forged("a certificate in the log signed by strangers", &[7, 8], 0, |_| {});
    forged("RULES a certificate in the log that the new device did not sign", &[0], 0, |_| {});
    forged("RULES a state that the certificate did not make", &[0, 2], 0, |state| state.identity = key(7).public());
}
