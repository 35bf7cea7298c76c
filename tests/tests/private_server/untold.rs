//! What a host answers when the server keeps from it what it needs to judge what is shown: keys, the word of what is revoked, chains
//! (PROTOCOL 23.15).

use std::sync::{Arc, Mutex};

use data_encoding::BASE64URL_NOPAD;
use dgns::keys::Keys;
use dgns_tests::harness::http::Answer;
use dgns_tests::harness::liar::Liar as Between;
use dgns_tests::harness::load::origin;
use dgns_tests::harness::wait;
use identity::key::SigningKey;
use identity::limits::FEED_FRESH_S;
use identity::token::{FeedPage, Rights};
use lobby::share::{Said, Shown};

use crate::Scene;
use crate::liar::Liar;
use crate::verbs::{Speaker, WRITES, code, did_of};

/// What the host is told.
#[derive(Clone, Copy, PartialEq)]
enum Tells {
    Everything,
    NoKeys,
    OldWord,
    NoChain,
}

#[test]
fn a_host_that_is_told_too_little_lets_nobody_write_and_says_why() {
    // Goal: without keys, without fresh word of what is revoked and without the granter's chain a grant opens nothing, by a code of its own;
    // and it counts as soon as the host is told. Method: the host asks by way of somebody who holds back what it is to lack; its word of
    // revocations is signed by the server's own key, and a minute old.
    let scene = Scene::new();
    scene.write("x", b"first\n");
    let did = did_of(&scene, &scene.alice);
    let resource = format!("{did}/x");
    let granted = scene.alice.dgns(&scene.server, &["grant", "bob", &resource, "--rights", "rw", "--until", "1d"]);
    let chain = granted.exits(0).text("/grant");
    let grants = Shown::Grants(vec![BASE64URL_NOPAD.decode(chain.strip_prefix("dgg1.").unwrap().as_bytes()).unwrap()]);

    let tells = Arc::new(Mutex::new(Tells::NoKeys));
    let (telling, chain_of, key) = (tells.clone(), format!("/v1/dids/{did}"), server_key(&scene));
    let between = Between::before(scene.server.http, move |line, answer| {
        let tells = *telling.lock().unwrap();
        match tells {
            Tells::NoKeys if line.contains("/v1/token/keys") => None,
            Tells::OldWord if line.contains("/v1/revocations") => Some(old_word(line, answer, &key)),
            Tells::NoChain if line.contains(&chain_of) => None,
            _ => Some(answer),
        }
    });
    let way = Liar::of(between.url.strip_prefix("http://").unwrap().parse().unwrap(), scene.server.http);
    let _host = scene.host_at(&way.url, &["--proof"]);
    let mut bob = Speaker::new(&scene, &scene.bob);
    assert_eq!(code(&bob.shows("x", Rights::READ, grants.clone())), "no_audience");

    *tells.lock().unwrap() = Tells::OldWord;
    assert!(matches!(bob.shows("x", Rights::READ, grants.clone()), Said::Handle { .. }), "to read it does");
    assert_eq!(code(&bob.shows("x", WRITES, grants.clone())), "feed_stale");

    *tells.lock().unwrap() = Tells::Everything;
    let handle = wait::until("the host hears", || match bob.shows("x", WRITES, grants.clone()) {
        Said::Handle { handle, .. } => Some(handle),
        said => {
            assert_eq!(code(&said), "feed_stale");
            None
        }
    });
    assert!(matches!(bob.write(handle, 1, "second", None), Said::Receipt { .. }));
    *tells.lock().unwrap() = Tells::NoChain;
    assert_eq!(code(&bob.shows("x", WRITES, grants)), "failed");
    assert_eq!(std::fs::read(scene.served().join("x")).unwrap(), b"first\nsecond\n");
}

fn server_key(scene: &Scene) -> SigningKey {
    Keys::read(&scene.site.data().join("keys")).expect("the server's keys").device
}

/// A page of revocations as the server's own key would have signed it a minute ago.
fn old_word(line: &str, answer: Answer, key: &SigningKey) -> Answer {
    let since = line.split("since=").nth(1).and_then(|rest| rest.split('&').next()).expect("a place in the feed");
    let since = since.parse().expect("a number");
    let page = FeedPage::verify(&answer.body, &origin(), &key.public(), since).expect("the server's own page");
    let page = FeedPage { time_s: page.time_s - FEED_FRESH_S - 1, ..page };
    Answer { body: page.sign(&origin(), key), ..answer }
}
