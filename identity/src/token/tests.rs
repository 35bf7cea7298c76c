//! `tests/vectors/tokens.json`, and what an audience makes of its keys and its feed.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::*;
use crate::key::{KexSecret, SigningKey};
use crate::name::Origin;
use crate::testing::CountingRng;
use crate::vectors::{hex, hold};

const ABOUT: [&str; 5] = [
    "Tokens as an audience checks them (PROTOCOL 17). Bytes are hexadecimal.",
    "in: master (the server's secret), audience, kid of the device that presents the token, now_s, token,",
    "news_s (when the feed was last heard), access read|write, revoked: families, devices [[kid, not_before_s]].",
    "out: what the token says; scope [[site, log, rights], ...].",
    "error: bad_token, token_hour (keys are those of the hour of now_s and of the 25 before it, and the next), token_mac, ...",
];

const MASTER: [u8; 32] = [0x11; 32];
const NOW_S: u64 = 1_800_000_000;

fn audience() -> Did {
    Did::from_bytes([7; 20])
}

fn scope(log: &str, rights: Rights) -> Scope {
    Scope { site: Did::from_bytes([9; 20]), log: log.parse().unwrap(), rights }
}

fn sample() -> Token {
    Token {
        uid: 1_234_567,
        kid: Kid([3; 8]),
        audience: audience(),
        scope: vec![scope("photos", Rights::READ), scope("", Rights::ALL)],
        iat_s: NOW_S - 100,
        exp_s: NOW_S + 800,
        rid: [5; 8],
        seq: 4,
    }
}

fn key(hour: u32) -> TokenKey {
    TokenKey::derive(&MASTER, &audience(), hour)
}

fn minted(token: &Token) -> String {
    token.mint(&key(token.hour()))
}

/// A token of these payload bytes, under the key of this hour.
fn forged(payload: &[u8], hour: u32) -> String {
    let tag = key(hour).mac(payload).finalize().into_bytes();
    format!("dgt1.{}.{}", BASE64URL_NOPAD.encode(payload), BASE64URL_NOPAD.encode(&tag[..16]))
}

fn checker(news_s: u64) -> Checker {
    let mut checker = Checker::new(audience());
    let now = hour_of(NOW_S);
    checker.learn_keys((now - 25..=now + 1).map(|hour| (hour, key(hour))), NOW_S);
    checker.learn_news(&FeedPage { time_s: news_s, since: 0, newest: 0, more: false, entries: Vec::new() }, news_s);
    checker
}

/// A case: a token and the circumstances it meets.
struct Case {
    name: &'static str,
    token: String,
    kid: Kid,
    access: Access,
    news_s: u64,
    revoked: Vec<Revoked>,
}

impl Case {
    fn new(name: &'static str, token: &Token) -> Self {
        Self::of_text(name, minted(token))
    }

    fn of_text(name: &'static str, token: String) -> Self {
        Self { name, token, kid: Kid([3; 8]), access: Access::Write, news_s: NOW_S - 60, revoked: Vec::new() }
    }

    fn revoking(mut self, what: Revoked) -> Self {
        self.revoked.push(what);
        self
    }

    fn run(&self, expected: Result<(), &str>) -> Value {
        let mut checker = checker(self.news_s);
        let entries: Vec<_> =
            (1..).zip(&self.revoked).map(|(seq, what)| Revocation { seq, what: *what, until_s: NOW_S + 9 }).collect();
        let newest = entries.len() as u64;
        checker.learn_news(&FeedPage { time_s: self.news_s, since: 0, newest, more: false, entries }, self.news_s);
        let checked = checker.check(&self.token, &self.kid, self.access, NOW_S);
        assert_eq!(checked.as_ref().map(|_| ()).map_err(|refusal| refusal.code()), expected, "{}", self.name);
        let outcome = match &checked {
            Ok(token) => ("out", view(token)),
            Err(refusal) => ("error", json!(refusal.code())),
        };
        let (mut families, mut devices) = (Vec::new(), Vec::new());
        for what in &self.revoked {
            match what {
                Revoked::Family(rid) => families.push(hex(rid)),
                Revoked::Device { kid, not_before_s } => devices.push(json!([hex(&kid.0), not_before_s])),
                Revoked::Grant(_) => {}
            }
        }
        let given = json!({
            "master": hex(&MASTER), "audience": hex(audience().as_bytes()), "kid": hex(&self.kid.0), "now_s": NOW_S,
            "token": self.token, "news_s": self.news_s, "revoked": { "families": families, "devices": devices },
            "access": if self.access == Access::Write { "write" } else { "read" },
        });
        json!({ "name": self.name, "in": given, outcome.0: outcome.1 })
    }
}

fn view(token: &Token) -> Value {
    let scope = |scope: &Scope| json!([hex(scope.site.as_bytes()), scope.log.as_str(), scope.rights.bits()]);
    json!({
        "uid": token.uid, "kid": hex(&token.kid.0), "scope": token.scope.iter().map(scope).collect::<Vec<_>>(),
        "iat_s": token.iat_s, "exp_s": token.exp_s, "rid": hex(&token.rid), "seq": token.seq,
    })
}

#[test]
fn tokens_json_holds() {
    let cases: Vec<Value> = [good(), malformed_cases(), judged()].concat();
    hold("tokens", &ABOUT, &cases);
}

fn good() -> Vec<Value> {
    let bare = Token { scope: Vec::new(), uid: 0, seq: 0, ..sample() };
    let path = "abcdefghijklmnopqrstuvwxyzABCDEF/0123456789._~-abcdefghijklmnopqr";
    assert_eq!(path.len(), 64 + 1);
    let largest = Token {
        uid: u64::MAX,
        seq: u64::MAX,
        scope: vec![scope(&path[1..], Rights::ALL); SCOPES_MAX],
        exp_s: NOW_S - 100 + 86_400,
        ..sample()
    };
    assert!(largest.encode().len() <= TOKEN_BYTES_MAX);
    assert!(minted(&largest).len() <= Token::TEXT_BYTES_MAX);
    let over = Token { iat_s: NOW_S - 86_399, exp_s: NOW_S + 1, ..sample() };
    let early = Token { iat_s: NOW_S + 60, exp_s: NOW_S + 120, ..sample() };
    let other = Revoked::Device { kid: Kid([4; 8]), not_before_s: NOW_S };
    let older = Revoked::Device { kid: Kid([3; 8]), not_before_s: NOW_S - 100 };
    vec![
        Case::new("a token", &sample()).run(Ok(())),
        Case::new("without scopes, small numbers", &bare).run(Ok(())),
        Case::new("the largest", &largest).run(Ok(())),
        Case::new("a day old, its last second", &over).run(Ok(())),
        Case::new("minted by a clock a minute ahead", &early).run(Ok(())),
        Case::new("others were revoked", &sample()).revoking(other).revoking(Revoked::Family([6; 8])).run(Ok(())),
        Case::new("minted when the device was good again", &sample()).revoking(older).run(Ok(())),
        Case { access: Access::Read, news_s: 0, ..Case::new("reading without news", &sample()) }.run(Ok(())),
    ]
}

fn malformed_cases() -> Vec<Value> {
    let (text, hour) = (minted(&sample()), sample().hour());
    let payload = sample().encode();
    let refused = |name, text: String| Case::of_text(name, text).run(Err("bad_token"));
    let edit = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut copy = payload.clone();
        edit(&mut copy);
        forged(&copy, hour)
    };
    let with = |change: &dyn Fn(&mut Token)| {
        let mut token = sample();
        change(&mut token);
        forged(&token.encode(), hour)
    };
    vec![
        refused("empty", String::new()),
        refused("another prefix", text.replacen("dgt1", "dgt2", 1)),
        refused("no tag", text.rsplit_once('.').unwrap().0.to_owned()),
        refused("a third part", format!("{text}.AA")),
        refused("a padded tag", format!("{text}==")),
        refused("a short tag", text[..text.len() - 2].to_owned()),
        refused("tag with trailing bits", format!("{}B", &text[..text.len() - 1])),
        refused("standard alphabet", text.replace(['-', '_'], "+")),
        refused("longer than a token can be", format!("dgt1.{}.{}", "A".repeat(2_404), "A".repeat(22))),
        refused("payload that is no map", forged(&[0x80], hour)),
        refused("no hour", forged(&[0xa1, 2, 0], hour)),
        refused("hour alone", forged(&[&[0xa1, 1, 0x1a][..], &hour.to_be_bytes()].concat(), hour)),
        refused("a byte behind the payload", edit(&|bytes| bytes.push(0))),
        refused(
            "an unknown field",
            edit(&|bytes| {
                bytes[0] += 1;
                bytes.extend([10, 0]);
            }),
        ),
        refused("an empty list of scopes", {
            let bare = Token { scope: Vec::new(), ..sample() }.encode();
            let at = bare.len() - (1 + 5 + 1 + 5 + 1 + 9 + 1 + 1);
            forged(&[&[0xa9], &bare[1..at], &[5, 0x80], &bare[at..]].concat(), hour)
        }),
        refused("a long spelling", {
            let at = payload.len() - 1;
            edit(&|bytes| drop(bytes.splice(at.., [0x18, 4])))
        }),
        refused("seventeen scopes", with(&|token| token.scope = vec![scope("", Rights::READ); 17])),
        refused(
            "rights of no bit",
            edit(&|bytes| {
                let at = bytes.windows(7).position(|window| window == b"\x66photos").unwrap() + 7;
                bytes[at] = 0;
            }),
        ),
        refused(
            "a path that climbs",
            edit(&|bytes| {
                let at = bytes.windows(6).position(|window| window == b"photos").unwrap();
                bytes[at..at + 6].copy_from_slice(b"../tos");
            }),
        ),
        refused("no time", with(&|token| token.exp_s = token.iat_s)),
        refused("ends before it begins", with(&|token| token.exp_s = token.iat_s - 1)),
        refused("more than a day", with(&|token| token.exp_s = token.iat_s + 86_401)),
        refused("under the key of another hour", {
            let mut copy = payload.clone();
            copy[3..7].copy_from_slice(&(hour - 1).to_be_bytes());
            forged(&copy, hour - 1)
        }),
    ]
}

fn judged() -> Vec<Value> {
    let token = sample;
    let other = Token { audience: Did::from_bytes([8; 20]), ..token() };
    let foreign = TokenKey::derive(&MASTER, &other.audience, other.hour());
    let wrong_master = TokenKey::derive(&[0x12; 32], &audience(), token().hour());
    let old = Token { iat_s: NOW_S - 26 * 3_600 - 600, exp_s: NOW_S - 100_000 + 40_000, ..token() };
    let late = Token { iat_s: NOW_S + 7_200, exp_s: NOW_S + 7_260, ..token() };
    let early = Token { iat_s: NOW_S + 61, exp_s: NOW_S + 121, ..token() };
    let over = Token { exp_s: NOW_S, ..token() };
    let text = minted(&token());
    let changed = |at: usize| {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let device = Revoked::Device { kid: Kid([3; 8]), not_before_s: NOW_S - 99 };
    let family = Revoked::Family([5; 8]);
    let mut cases = vec![
        Case::of_text("for another audience", other.mint(&foreign)).run(Err("token_mac")),
        Case::of_text("names another audience", other.mint(&key(other.hour()))).run(Err("token_audience")),
        Case::of_text("of another server", token().mint(&wrong_master)).run(Err("token_mac")),
        Case::of_text("payload changed", changed(40)).run(Err("token_mac")),
        Case::of_text("tag changed", changed(text.len() - 9)).run(Err("token_mac")),
        Case::new("of an hour long over", &old).run(Err("token_hour")),
        Case::new("of an hour to come", &late).run(Err("token_hour")),
        Case::new("not valid yet", &early).run(Err("token_early")),
        Case::new("expired this second", &over).run(Err("token_expired")),
        Case { kid: Kid([4; 8]), ..Case::new("of another device", &token()) }.run(Err("token_device")),
        Case::new("family revoked", &token()).revoking(family).run(Err("token_revoked")),
        Case::new("device revoked", &token()).revoking(device).run(Err("token_revoked")),
        Case { news_s: NOW_S - 61, ..Case::new("no news for 61 s", &token()) }.run(Err("feed_stale")),
    ];
    let read = Case { access: Access::Read, ..Case::new("revoked also for reading", &token()) };
    cases.push(read.revoking(family).run(Err("token_revoked")));
    cases
}

#[test]
fn every_code_is_its_own() {
    use TokenRefusal::*;
    let all = [Malformed, UnknownHour, Mac, Audience, Early, Expired, Device, Revoked, Scope, FeedStale];
    let codes: std::collections::BTreeSet<_> = all.iter().map(|refusal| refusal.code()).collect();
    assert_eq!(codes.len(), all.len());
}

#[test]
fn a_token_allows_what_its_scopes_cover() {
    // Goal: paths cover whole segments alone. Method: a scope on `photos`, asked for places beside and below it.
    let token = Token { scope: vec![scope("photos", Rights::READ.and(Rights::WRITE))], ..sample() };
    let site = Did::from_bytes([9; 20]);
    let allows = |path: &str, rights| token.allows(&site, &path.parse().unwrap(), rights).is_ok();
    assert!(allows("photos", Rights::WRITE) && allows("photos/2026/may", Rights::READ));
    assert!(!allows("photosynthesis", Rights::READ) && !allows("", Rights::READ) && !allows("photo", Rights::READ));
    assert!(!allows("photos", Rights::ALL));
    assert_eq!(token.allows(&audience(), &ResourcePath::all(), Rights::READ), Err(TokenRefusal::Scope));
    for bad in ["/", "a//b", "a/", "/a", ".", "a/../b", "ä", "a b", &"x".repeat(65)] {
        assert_eq!(bad.parse::<ResourcePath>(), Err(PathError), "{bad:?}");
    }
    assert_eq!(Rights::parse("rw").map(|rights| rights.to_string()), Some("rw".into()));
    for bad in ["", "rr", "x", "rwgr"] {
        assert_eq!(Rights::parse(bad), None, "{bad:?}");
    }
}

#[test]
fn news_are_taken_in_page_by_page_and_forgotten_in_time() {
    // Goal: a page that leaves something out is no news yet; entries go when their time is over; a feed that begins anew is asked
    // for from 0. Method: two pages, then time, then a server that lost what it had.
    let mut checker = checker(0);
    let entry = |seq, what, until_s| Revocation { seq, what, until_s };
    let page = |since, newest, more, entries| FeedPage { time_s: NOW_S, since, newest, more, entries };
    let first = page(0, 9, true, vec![entry(4, Revoked::Family([5; 8]), NOW_S + 50)]);
    assert!(checker.learn_news(&first, NOW_S));
    assert_eq!((checker.seq(), checker.is_stale(NOW_S)), (4, true));
    let second = page(4, 9, false, vec![entry(7, Revoked::Grant([1; 32]), NOW_S + 70)]);
    assert!(checker.learn_news(&second, NOW_S));
    assert_eq!((checker.seq(), checker.is_stale(NOW_S + 60), checker.is_stale(NOW_S + 61)), (9, false, true));
    assert!(checker.is_grant_revoked(&[1; 32]));
    let check = |checker: &Checker| checker.check(&minted(&sample()), &Kid([3; 8]), Access::Read, NOW_S);
    assert_eq!(check(&checker), Err(TokenRefusal::Revoked));
    assert!(checker.learn_news(&FeedPage { time_s: NOW_S + 50, ..page(9, 9, false, vec![]) }, NOW_S + 50));
    assert_eq!(checker.revoked(), 1);
    assert!(!checker.learn_news(&page(9, 3, false, vec![]), NOW_S));
    assert_eq!(checker.seq(), 0);
    assert!(!checker.is_stale(NOW_S + 110), "what was heard stays heard");
    assert!(checker.is_stale(NOW_S + 111));
}

#[test]
fn a_page_from_the_future_is_no_fresher_than_now() {
    let mut checker = checker(0);
    let page = FeedPage { time_s: NOW_S + 10_000, since: 0, newest: 0, more: false, entries: Vec::new() };
    checker.learn_news(&page, NOW_S);
    assert!(checker.is_stale(NOW_S + 61));
}

#[test]
fn pages_and_keys_hold_for_their_signer_log_and_question() {
    // Goal: who stands between server and audience can change nothing. Method: each byte of both changed in turn; another key, log,
    // question and device.
    let (origin, other) = (Origin::parse("dgns.test/log").unwrap(), Origin::parse("other.test/log").unwrap());
    let (server, device) = (SigningKey::from_seed(&[1; 32]), KexSecret::from_bytes([2; 32]));
    let entries = vec![
        Revocation { seq: 4, what: Revoked::Family([5; 8]), until_s: 9 },
        Revocation { seq: 5, what: Revoked::Device { kid: Kid([1; 8]), not_before_s: 3 }, until_s: 9 },
        Revocation { seq: 6, what: Revoked::Grant([1; 32]), until_s: 9 },
    ];
    let page = FeedPage { time_s: NOW_S, since: 3, newest: 8, more: true, entries };
    let bytes = page.sign(&origin, &server);
    assert_eq!(FeedPage::verify(&bytes, &origin, &server.public(), 3), Ok(page.clone()));
    assert!(FeedPage::verify(&bytes, &origin, &server.public(), 2).is_err());
    assert_eq!(FeedPage::verify(&bytes, &other, &server.public(), 3), Err(FeedError::Signature));
    let keys = [(7, key(7)), (8, key(8))];
    let sealed = SealedKeys::seal(audience(), 900, &keys, &device.public(), &mut CountingRng(1)).unwrap();
    let sent = sealed.sign(&origin, &server);
    let opened = SealedKeys::verify(&sent, &origin, &server.public()).unwrap();
    let read: Vec<_> = opened.open(&device).unwrap().iter().map(|(hour, key)| (*hour, *key.as_bytes())).collect();
    assert_eq!(read, keys.map(|(hour, key)| (hour, *key.as_bytes())));
    assert_eq!(opened.open(&KexSecret::from_bytes([3; 32])).unwrap_err(), KeysError::NotOpened);
    assert_eq!(SealedKeys::verify(&sent, &other, &server.public()), Err(KeysError::Signature));
    let flips = |bytes: &[u8]| {
        let bytes = bytes.to_vec();
        (0..bytes.len() * 8).map(move |bit| {
            let mut copy = bytes.clone();
            copy[bit / 8] ^= 1 << (bit % 8);
            copy
        })
    };
    assert!(flips(&bytes).all(|bytes| FeedPage::verify(&bytes, &origin, &server.public(), 3).is_err()));
    assert!(flips(&sent).all(|bytes| SealedKeys::verify(&bytes, &origin, &server.public()).is_err()));
    for wrong in [
        FeedPage { newest: 5, ..page.clone() },
        FeedPage { since: 4, ..page.clone() },
        FeedPage { entries: page.entries.iter().rev().copied().collect(), ..page.clone() },
    ] {
        assert_eq!(FeedPage::decode(&wrong.encode()), Err(WireError::Unexpected));
    }
}

#[test]
fn asking_is_bound_to_what_is_asked() {
    // Goal: a signature of a lease holds for nothing else. Method: each field changed under it; encodings read back.
    let (origin, device) = (Origin::parse("dgns.test/log").unwrap(), SigningKey::from_seed(&[4; 32]));
    let mut lease = Lease {
        did: Did::from_bytes([1; 20]),
        kid: device.kid(),
        audience: Some(audience()),
        scope: vec![scope("a", Rights::READ)],
        life_s: Some(600),
        chain: vec![vec![1, 2, 3]],
        proof: None,
    };
    assert!(lease.verify(&origin, &device.public()).is_err());
    lease.prove([6; 16], &origin, &device);
    assert!(lease.verify(&origin, &device.public()).is_ok());
    assert_eq!(Lease::decode(&lease.encode()), Ok(lease.clone()));
    let changes: [fn(&mut Lease); 7] = [
        |lease| lease.did = Did::from_bytes([2; 20]),
        |lease| lease.audience = None,
        |lease| lease.scope[0].rights = Rights::WRITE,
        |lease| lease.scope.clear(),
        |lease| lease.life_s = Some(601),
        |lease| lease.chain.clear(),
        |lease| lease.proof.as_mut().unwrap().nonce = [7; 16],
    ];
    for change in changes {
        let mut copy = lease.clone();
        change(&mut copy);
        assert!(copy.verify(&origin, &device.public()).is_err(), "{copy:?}");
        assert_eq!(Lease::decode(&copy.encode()), Ok(copy.clone()));
    }
    for life_s in [59, 86_401] {
        assert!(Lease::decode(&Lease { life_s: Some(life_s), ..lease.clone() }.encode()).is_err());
    }
    let refresh = Refresh::sign(minted(&sample()), Zeroizing::new([8; 32]), &origin, &device);
    let read = Refresh::decode(&refresh.encode()).unwrap();
    assert_eq!(read, refresh);
    assert!(read.verify(&origin, &device.public()).is_ok());
    assert!(Refresh { guard: Zeroizing::new([9; 32]), ..read }.verify(&origin, &device.public()).is_err());
    let pair = Pair { token: minted(&sample()), guard: Zeroizing::new([8; 32]), exp_s: 9 };
    assert_eq!(Pair::decode(&pair.encode()), Ok(pair));
}
