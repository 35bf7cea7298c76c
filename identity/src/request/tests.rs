use serde_json::{Value, json};

use super::*;
use crate::testing::CountingRng;
use crate::testing::samples::{key, origin};
use crate::vectors::{hex, hold};

const NOW_S: u64 = 1_800_000_000;

const ABOUT: [&str; 4] = [
    "Requests that a device signed (PROTOCOL 12.9). Bytes are hexadecimal.",
    "in: origin, did (text), method, target (path and query), body, authorization (the header's value), key (the one that the state of the DID",
    "has under the kid), now_s. out: kid, unix_s, nonce, and signed, the bytes under the signature.",
    "error: the code that refuses it.",
];

/// A request as a case states it.
#[derive(Clone)]
struct Asked {
    origin: Origin,
    did: Did,
    method: String,
    target: String,
    body: Vec<u8>,
    key: KeyBytes,
    now_s: u64,
    header: String,
}

impl Asked {
    fn signed(method: &str, target: &str, body: &[u8]) -> Self {
        let did = Did::from_bytes([7; 20]);
        let request = Request { origin: &origin(), did: &did, method, target, body };
        let header =
            Authorization::sign(&request, &key(2), NOW_S, &mut CountingRng(3)).expect("short enough").to_string();
        Self {
            origin: origin(),
            did,
            method: method.to_owned(),
            target: target.to_owned(),
            body: body.to_vec(),
            key: key(2).public(),
            now_s: NOW_S,
            header,
        }
    }

    fn but(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }

    fn request(&self) -> Request<'_> {
        Request { origin: &self.origin, did: &self.did, method: &self.method, target: &self.target, body: &self.body }
    }

    fn judge(&self) -> Result<Authorization, RequestRefusal> {
        let authorization = Authorization::parse(&self.header)?;
        authorization.verify(&self.request(), &self.key, self.now_s)?;
        Ok(authorization)
    }

    fn given(&self) -> Value {
        json!({
            "origin": self.origin.as_str(), "did": self.did.to_string(), "method": self.method, "target": self.target,
            "body": hex(&self.body), "authorization": self.header, "key": hex(&self.key), "now_s": self.now_s,
        })
    }

    fn accepted(&self, name: &str) -> Value {
        let authorization = self.judge().expect(name);
        let signed = self.request().signed_bytes(authorization.unix_s, &authorization.nonce).expect(name);
        let out = json!({
            "kid": hex(&authorization.kid.0), "unix_s": authorization.unix_s, "nonce": hex(&authorization.nonce), "signed": hex(&signed),
        });
        json!({ "name": name, "in": self.given(), "out": out })
    }

    fn refused(&self, name: &str, code: &str) -> Value {
        assert_eq!(self.judge().expect_err(name).code(), code, "{name}");
        json!({ "name": name, "in": self.given(), "error": code })
    }
}

#[test]
fn requests_json_holds() {
    let get = Asked::signed("GET", "/v1/events?kind=pending", b"");
    let post = Asked::signed("POST", "/v1/envelopes", b"\x01\x02");
    let header = |change: fn(&str) -> String| move |asked: &mut Asked| asked.header = change(&asked.header);
    let cases = [
        get.accepted("a GET"),
        post.accepted("a POST with a body"),
        get.but(|asked| asked.now_s += 60).accepted("60 s old"),
        get.but(|asked| asked.now_s -= 60).accepted("60 s ahead"),
        get.but(|asked| asked.now_s += 61).refused("61 s old", "request_time"),
        get.but(|asked| asked.now_s -= 61).refused("61 s ahead", "request_time"),
        get.but(|asked| asked.now_s = 0).refused("a clock that never was set", "request_time"),
        get.but(|asked| asked.method = "POST".into()).refused("another method", "bad_signature"),
        get.but(|asked| asked.target = "/v1/events?kind=pendinf".into()).refused("another query", "bad_signature"),
        get.but(|asked| asked.target = "/v1/events".into()).refused("no query", "bad_signature"),
        get.but(|asked| asked.did = Did::from_bytes([8; 20])).refused("another DID", "bad_signature"),
        get.but(|asked| asked.origin = Origin::parse("dgns.tesu/log").expect("an origin"))
            .refused("another log", "bad_signature"),
        get.but(|asked| asked.body = vec![0]).refused("a body that was not signed", "bad_signature"),
        post.but(|asked| asked.body = vec![1, 3]).refused("another body", "bad_signature"),
        get.but(|asked| asked.key = key(3).public()).refused("another key", "unknown_signer"),
        get.but(header(|h| h.replace(".1800000000.", ".1800000001."))).refused("another time", "bad_signature"),
        get.but(header(|h| h.replace(".1800000000.", ".01800000000.")))
            .refused("a time with a zero", "bad_authorization"),
        get.but(header(|h| h.replace(".1800000000.", ".+1800000000.")))
            .refused("a time with a sign", "bad_authorization"),
        get.but(header(|h| h.to_uppercase())).refused("upper case", "bad_authorization"),
        get.but(header(|h| h.replacen(' ', "  ", 1))).refused("two spaces", "bad_authorization"),
        get.but(header(|h| format!("{h}."))).refused("a fifth part", "bad_authorization"),
        get.but(header(|h| h[..h.len() - 1].to_owned())).refused("a signature too short", "bad_authorization"),
        get.but(header(|h| h.replace("DGNS-Sig", "Bearer"))).refused("another scheme", "bad_authorization"),
        get.but(header(|_| String::new())).refused("nothing", "bad_authorization"),
        get.but(|asked| asked.target = "/".repeat(2_049)).refused("a path of 2,049 bytes", "bad_authorization"),
    ];
    hold("requests", &ABOUT, &cases);
}

#[test]
fn every_byte_of_a_header_counts() {
    // Goal: no part of the header is free to change. Method: each character replaced; nothing but the original passes.
    let asked = Asked::signed("POST", "/v1/pair/00", b"x");
    assert!(asked.judge().is_ok());
    for at in 0..asked.header.len() {
        for with in ['0', 'A', '.', ' '] {
            let mut header = asked.header.clone();
            header.replace_range(at..=at, &with.to_string());
            if header != asked.header {
                assert!(asked.but(|asked| asked.header = header).judge().is_err(), "{with} at {at}");
            }
        }
    }
}
