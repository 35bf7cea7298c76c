//! `kill -9` between a guard's use and the answer: the repeat gets the pair, and no family is lost to it.

use std::time::Duration;

use dgns_tests::harness::load::origin;
use dgns_tests::harness::{Seed, wait};
use identity::token::{Pair, Refresh};

use super::asking::{Scene, pair};

#[test]
fn a_refresh_that_was_cut_off_is_repeated_with_the_same_guard() {
    // Goal: whatever a crash cut off, who repeats within 30 s goes on. Method: the server dies at a moment that the seed chooses
    // while a refresh is under way, is started again, and gets the same bytes.
    let mut seed = Seed::of_the_day();
    let mut scene = Scene::new();
    let alice = scene.somebody("alice");
    let mut held = scene.lease(&alice);
    let rounds = if std::env::var("DGNS_TEST_ROUNDS").is_ok_and(|rounds| rounds == "long") { 60 } else { 8 };
    let mut answered = 0;
    for _ in 0..rounds {
        let key = alice.device.sign.clone();
        let ask = Refresh::sign(held.token.clone(), held.guard.clone(), &origin(), &key).encode();
        let http = scene.server.http;
        let under_way = {
            let ask = ask.clone();
            std::thread::spawn(move || dgns_tests::harness::http::request(http, "POST", "/v1/token/refresh", &[], &ask))
        };
        wait::let_pass(Duration::from_micros(seed.below(6_000)));
        scene.server.kill_now();
        let first: Option<Pair> =
            under_way.join().unwrap().ok().filter(|answer| answer.status == 200).map(|a| pair(&a));
        answered += u32::from(first.is_some());
        let Scene { site, server, .. } = scene;
        server.kill();
        scene = Scene::at(site);
        let second = pair(&scene.server.post("/v1/token/refresh", &ask));
        assert!(first.is_none_or(|first| first == second), "the repeat is the same, byte by byte");
        held = second;
    }
    eprintln!("{answered} of {rounds} refreshes were answered before the server died");
    pair(&scene.refresh(&held, &alice.device.sign));
}
