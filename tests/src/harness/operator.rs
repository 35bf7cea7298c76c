//! What the operator of a server says in its own chain, by the words that stand above it.

use dgns_client::clock;
use dgns_client::draft::Place;
use identity::cert::{Body, Certificate, Kid};
use identity::key::{SigningKey, kid_of};
use identity::seed::Words;

use super::load::{NOTHING_SEEN, body as body_of, origin};
use super::{Server, Site};

/// Returns what says `body` next in the server's own chain, by the operator's words.
pub fn by_the_operator(site: &Site, server: &Server, body: &Body) -> Certificate {
    let phrase = std::fs::read_to_string(site.data().join("keys/operator-words")).expect("the words are there");
    let words = Words::parse(phrase.trim()).expect("they are words");
    let did = server.get("/v1/info").json()["server_did"].as_str().unwrap().parse().unwrap();
    let mut place = Place { did, seq: 1, prev: [0; 32], seen: NOTHING_SEEN, now: clock::now() };
    let sign = |place: &Place| place.sign(body.clone(), None, &origin(), &[&words.identity()]).unwrap();
    // Who comes too late is told what came last.
    let late = server.post("/v1/certificates", &body_of(&[sign(&place)])).json();
    place.seq = late["head"]["seq"].as_u64().expect("stale_prev") + 1;
    let sid = data_encoding::HEXLOWER.decode(late["head"]["sid"].as_str().unwrap().as_bytes()).unwrap();
    place.prev = sid.try_into().unwrap();
    sign(&place)
}

/// Returns the kid of the key in the file of a notary.
pub fn notary_kid(site: &Site, id: &str) -> Kid {
    let line = std::fs::read_to_string(site.data().join(format!("keys/notary-{id}.key"))).expect("it was made");
    let seed = line.trim().strip_prefix("dgns-key notary ").expect("the form of key files");
    let seed = data_encoding::HEXLOWER.decode(seed.as_bytes()).unwrap();
    kid_of(&SigningKey::from_seed(&seed.try_into().unwrap()).public())
}
