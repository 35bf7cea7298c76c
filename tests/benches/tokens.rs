//! What a token's check costs beside the HMAC in it, and a blind evaluation beside the library's own. Prints; judges nothing.

use std::hint::black_box;

use dgns_client::rng;
use identity::cert::Kid;
use identity::did::Did;
use identity::hash::keyed_hash;
use identity::oprf::{Blinded, Server};
use identity::token::{Access, Checker, FeedPage, Rights, Scope, Token, TokenKey, hour_of};
use tokio::time::Instant;

const NOW_S: u64 = 1_800_000_000;

fn main() {
    let audience = Did::from_bytes([7; 20]);
    let key = TokenKey::from_bytes([1; 32]);
    let scope = Scope { site: audience, log: "photos".parse().expect("a path"), rights: Rights::READ };
    let token = Token {
        uid: 1_234_567,
        kid: Kid([3; 8]),
        audience,
        scope: vec![scope],
        iat_s: NOW_S,
        exp_s: NOW_S + 900,
        rid: [5; 8],
        seq: 4,
    };
    let text = token.mint(&key);
    let mut checker = Checker::new(audience);
    checker.learn_keys([(hour_of(NOW_S), key)], NOW_S);
    let page = FeedPage { time_s: NOW_S, since: 0, newest: 0, more: false, entries: Vec::new() };
    checker.learn_news(&page, NOW_S);
    let payload = vec![9; 130];
    let bare = measured(200_000, || black_box(keyed_hash(&[1; 32], "dgns/token/v1", &[&payload])));
    let check = measured(200_000, || black_box(checker.check(&text, &Kid([3; 8]), Access::Write, NOW_S).is_ok()));
    println!("token of {} bytes: check {check:.2} us, bare HMAC {bare:.2} us, {:.1} x", text.len(), check / bare);

    let (server, rng) = (Server::from_seed(&[1; 32]), &mut rng::system());
    let blinded: Vec<_> = (0..16_u8).map(|n| Blinded::new(&[n; 20], rng).expect("an input")).collect();
    let elements: Vec<_> = blinded.iter().map(|blinded| *blinded.element()).collect();
    for batch in [1, 4, 16] {
        let took = measured(400, || black_box(server.evaluate(&elements[..batch], &mut rng::system()).is_ok()));
        println!("blind evaluation, {batch} a request: {:.0} evaluations/s", batch as f64 * 1e6 / took);
    }
}

/// Returns the microseconds that one run takes, on average over `rounds` after a tenth of them to warm up.
fn measured<T>(rounds: u32, mut run: impl FnMut() -> T) -> f64 {
    (0..rounds / 10).for_each(|_| drop(run()));
    let begun = Instant::now();
    (0..rounds).for_each(|_| drop(run()));
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(rounds)
}
