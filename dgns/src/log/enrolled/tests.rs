use std::iter::once;

use identity::alias::AliasId;
use identity::cert::{
    AttestLogin, Authority, ChainId, Device, DidKind, FirstUserKey, Genesis, IdRotate, Level, Payload, Recipient,
    RecipientKind, Role, Seen, UserKey,
};
use identity::hash::sha256;
use identity::key::{KexSecret, SigningKey};
use identity::name::Origin;
use translog::hash::EMPTY_ROOT;

use super::*;

/// What happens to keys here, in the order of the log.
struct Log {
    enrolled: Arc<Enrolled>,
    size: u64,
}

impl Log {
    fn new() -> Self {
        Self { enrolled: Arc::default(), size: 0 }
    }

    fn takes(&mut self, certificate: &Certificate) -> bool {
        match self.enrolled.claim(once(certificate)) {
            Ok(claimed) => {
                claimed.place(self.size);
                claimed.enrol();
                self.size += 1;
                true
            }
            Err(Conflict::Standing { position: 0 }) => false,
            Err(other) => panic!("{other:?} where nothing is on its way"),
        }
    }
}

fn sign(number: u8) -> SigningKey {
    SigningKey::from_seed(&sha256(&[b"sign", &[number]]))
}

fn kex(number: u8) -> KeyBytes {
    KexSecret::from_bytes(sha256(&[b"kex", &[number]])).public()
}

fn did(number: u8) -> Did {
    Did::from_bytes([number; 20])
}

fn says(subject: Option<ChainId>, body: Body) -> Certificate {
    let seen = Seen { size: 0, root: EMPTY_ROOT };
    let seq = u64::from(subject.is_some());
    let prev = subject.map(|_| [0; 32]);
    let payload = Payload { subject, seq, prev, seen, unix_s: 0, body, critical: true, by: None };
    Certificate::sign(&payload, &Origin::parse("dgns.test/log").unwrap(), &[&sign(0)]).unwrap()
}

fn of(number: u8, body: Body) -> Certificate {
    says(Some(did(number).into()), body)
}

fn device(signing: u8, sealing: u8) -> Device {
    Device { sign: sign(signing).public(), kex: kex(sealing), level: Level::Admin, label_hash: [0; 32] }
}

/// Identity, words box, device, user key.
fn genesis([identity, words, signing, sealing, user]: [u8; 5]) -> Certificate {
    says(
        None,
        Body::Genesis(Genesis {
            kind: DidKind::User,
            identity: sign(identity).public(),
            words_box: kex(words),
            device: device(signing, sealing),
            window_s: None,
            user_key: Some(FirstUserKey { key: kex(user), boxes: [0; 32] }),
        }),
    )
}

fn add(number: u8, signing: u8, sealing: u8) -> Certificate {
    of(number, Body::DeviceAdd(device(signing, sealing)))
}

fn rotate(number: u8, identity: u8, words: u8) -> Certificate {
    of(number, Body::IdRotate(IdRotate { identity: sign(identity).public(), words_box: kex(words) }))
}

fn turn(number: u8, user: u8, extras: &[u8]) -> Certificate {
    let mut extras: Vec<_> =
        extras.iter().map(|extra| Recipient { kind: RecipientKind::Passkey, kex: kex(*extra) }).collect();
    extras.sort();
    of(number, Body::UserKey(UserKey { key: kex(user), boxes: [0; 32], generation: 2, extras }))
}

fn notary(number: u8, key: u8, scope: &str) -> Certificate {
    let key = sign(key).public();
    of(number, Body::NotaryAdd(Authority { role: Role::Notary, key, scope: scope.into(), zone: None }))
}

fn login(alias: u8, signing: u8, sealing: u8) -> Certificate {
    let body = AttestLogin { sign: sign(signing).public(), kex: kex(sealing), issuer: [0; 32], evidence: [0; 32] };
    let alias: AliasId = [alias; 32];
    says(Some(ChainId::Alias(alias)), Body::AttestLogin(body))
}

#[test]
fn a_key_that_stood_comes_back_nowhere() {
    // Goal: every key of every certificate, in every place of every other. Method: one chain with a key of each kind; then each
    // certificate that brings new keys, with one of them an old one.
    let mut log = Log::new();
    for first in
        [genesis([1, 1, 2, 2, 3]), add(9, 3, 4), rotate(9, 4, 5), turn(9, 6, &[7]), notary(9, 5, "https://a.test")]
    {
        assert!(log.takes(&first));
    }
    for old in 1..=5 {
        for reused in [
            genesis([old, 101, 102, 103, 104]),
            genesis([101, 101, old, 103, 104]),
            add(8, old, 101),
            add(9, old, 101),
            rotate(8, old, 101),
            rotate(9, old, 101),
            notary(8, old, "https://a.test"),
        ] {
            assert!(!log.takes(&reused), "signing key {old} in {:?}", reused.payload().body);
        }
    }
    for old in 1..=7 {
        for reused in [
            genesis([101, old, 102, 103, 104]),
            genesis([101, 101, 102, old, 104]),
            genesis([101, 101, 102, 103, old]),
            add(8, 101, old),
            add(9, 101, old),
            rotate(8, 101, old),
            turn(8, old, &[]),
            turn(9, old, &[]),
            turn(8, 101, &[old]),
        ] {
            assert!(!log.takes(&reused), "sealing key {old} in {:?}", reused.payload().body);
        }
    }
    // Nothing of what was refused stands.
    assert!(log.takes(&genesis([101, 101, 102, 103, 104])));
}

#[test]
fn a_key_stands_once_in_one_post_and_in_one_certificate() {
    let enrolled = Arc::new(Enrolled::default());
    assert_eq!(enrolled.claim(once(&genesis([1, 1, 2, 1, 3]))).unwrap_err(), Conflict::Standing { position: 0 });
    let post = [genesis([1, 1, 2, 2, 3]), add(9, 3, 4), add(9, 4, 4)];
    assert_eq!(enrolled.claim(post.iter()).unwrap_err(), Conflict::Standing { position: 2 });
    assert!(enrolled.claim(post[..2].iter()).is_ok());
}

#[test]
fn what_is_named_again_in_its_own_chain_stays() {
    // Goal: an extra recipient stands in every generation of the user key, an authority comes with other terms; neither in
    // another chain.
    let mut log = Log::new();
    for fine in [turn(1, 1, &[2]), turn(1, 3, &[2, 4]), turn(1, 5, &[2]), turn(1, 6, &[2, 4])] {
        assert!(log.takes(&fine));
    }
    assert!(!log.takes(&turn(2, 7, &[4])));
    assert!(log.takes(&notary(1, 1, "https://a.test")) && log.takes(&notary(1, 1, "https://b.test")));
    assert!(!log.takes(&notary(2, 1, "https://a.test")));
}

#[test]
fn whoever_signs_in_keeps_the_keys_shown_by_it() {
    // Goal: a sign-in shows keys before they stand in a chain; nobody can take them meanwhile, and they sign in again and again.
    let mut log = Log::new();
    assert!(log.takes(&login(1, 1, 1)) && log.takes(&login(1, 1, 1)));
    for thief in [
        login(2, 9, 1),
        add(8, 9, 1),
        genesis([9, 1, 10, 10, 11]),
        genesis([9, 9, 10, 1, 11]),
        genesis([9, 9, 10, 10, 1]),
        rotate(8, 9, 1),
        turn(8, 1, &[]),
        turn(8, 9, &[1]),
    ] {
        assert!(!log.takes(&thief), "{:?}", thief.payload().body);
    }
    assert!(log.takes(&add(1, 1, 1)), "the device that signed in is enrolled");
    assert!(log.takes(&login(1, 1, 1)), "and signs in");
    assert!(!log.takes(&add(2, 1, 1)), "but in one chain alone");
    // A device that was enrolled first signs in later, alone.
    assert!(log.takes(&genesis([20, 20, 21, 21, 22])));
    assert!(!log.takes(&login(2, 9, 21)) && !log.takes(&login(2, 21, 9)) && !log.takes(&login(2, 9, 20)));
    assert!(log.takes(&login(3, 21, 21)));
}

#[test]
fn of_two_posts_on_their_way_one_waits_for_the_other() {
    let log = Log::new();
    let first = log.enrolled.claim(once(&add(1, 1, 1))).unwrap();
    let second = add(2, 1, 2);
    assert_eq!(log.enrolled.claim(once(&second)).unwrap_err(), Conflict::Waiting);
    let settled = log.enrolled.settled();
    assert!(!settled.has_changed().unwrap());
    drop(first);
    assert!(settled.has_changed().unwrap(), "the first did not come into the log");
    let now = log.enrolled.claim(once(&second)).unwrap();
    now.enrol();
    assert_eq!(log.enrolled.claim(once(&add(1, 1, 1))).unwrap_err(), Conflict::Standing { position: 0 });
}

#[test]
fn entries_say_again_what_was_placed() {
    // Goal: the table, the tail and a start make of the same entries the same marks. Method: certificates placed over a border of
    // bundles, their bytes read back.
    let mut log = Log { size: 254, ..Log::new() };
    let certificates = [genesis([1, 1, 2, 2, 3]), turn(9, 6, &[7]), add(9, 3, 4), login(1, 5, 5), rotate(9, 8, 9)];
    certificates.iter().for_each(|certificate| assert!(log.takes(certificate)));
    let marks = |certificates: &[Certificate]| -> Vec<u8> {
        let entry = |certificate: &Certificate| [&[1], certificate.as_bytes()].concat();
        certificates.iter().flat_map(|certificate| of_entry(&entry(certificate)).unwrap()).collect()
    };
    let rows = log.enrolled.of_bundles(0, 3);
    let expected = [marks(&certificates[..2]), marks(&certificates[2..]), Vec::new()];
    assert_eq!(rows.iter().map(|row| &row.marks).collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    log.enrolled.saved(1);
    assert_eq!(log.enrolled.of_bundles(0, 2)[0].marks, Vec::<u8>::new());
    assert_eq!(log.enrolled.of_bundles(1, 2)[0].marks, expected[1]);
    assert!(of_entry(&[1, 2, 3]).is_err() && of_entry(&[2, 2, 3]).unwrap().is_empty());
}
