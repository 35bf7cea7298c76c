//! Chains of grants: kept, exchanged, narrowed, taken back.

use dgns_tests::harness::load::{Somebody, origin};
use identity::did::Did;
use identity::grant::{Grant, SignedGrant};
use identity::token::{Lease, Revoked, Rights, Scope};
use identity::wire::{Reader, Writer};

use super::asking::{Scene, end_of, lease_of, of_grant, pair, refused, said};

const FOR_EVER_S: u64 = 4_000_000_000;

/// What `from` grants `to` on `resource`, behind `parent`.
fn grant(from: &Somebody, to: &Somebody, resource: Did, rights: Rights, parent: Option<&SignedGrant>) -> SignedGrant {
    let depth = match parent {
        _ if !rights.include(Rights::GRANT) => 0,
        None => 2,
        Some(parent) => parent.grant().depth - 1,
    };
    let grant = Grant {
        issuer: from.did,
        subject: to.did,
        resource,
        path: "photos".parse().unwrap(),
        rights,
        depth,
        until_s: FOR_EVER_S,
        parent: parent.map(SignedGrant::sid),
        nonce: [7; 8],
    };
    SignedGrant::sign(&grant, &origin(), &from.device.sign).unwrap()
}

fn envelopes(chain: &[&SignedGrant]) -> Vec<Vec<u8>> {
    chain.iter().map(|grant| grant.as_bytes().to_vec()).collect()
}

fn declaration(chain: &[&SignedGrant]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.map(1).uint(1).array(chain.len());
    chain.iter().for_each(|grant| {
        writer.bytes(grant.as_bytes());
    });
    writer.finish()
}

fn exchange(of: &Somebody, chain: &[&SignedGrant]) -> Lease {
    Lease { chain: envelopes(chain), ..lease_of(of) }
}

#[test]
fn a_chain_is_exchanged_for_no_more_than_it_allows_until_it_is_taken_back() {
    let mut scene = Scene::new();
    let (alice, bob, carol) = (scene.somebody("alice"), scene.somebody("bob"), scene.somebody("carol"));
    let first = grant(&alice, &bob, alice.did, Rights::ALL, None);
    let second = grant(&bob, &carol, alice.did, Rights::READ, Some(&first));
    let declare = |by: &Somebody, chain: &[&SignedGrant]| {
        scene.signed(&by.did, &by.device.sign, "POST", "/v1/declare", &declaration(chain))
    };
    assert_eq!(declare(&alice, &[&first]).status, 200);
    assert_eq!(declare(&bob, &[&first, &second]).status, 200);
    refused(&declare(&carol, &[&first, &second]), 403, "not_granted");
    refused(&declare(&bob, &[&second]), 422, "grant_chain");
    refused(&declare(&bob, &[&grant(&bob, &carol, alice.did, Rights::READ, None)]), 403, "grant_owner");
    refused(&declare(&bob, &[&first, &grant(&bob, &carol, bob.did, Rights::READ, Some(&first))]), 403, "grant_wider");
    // Carol finds her chain at the server, and nobody else's.
    let listed = scene.signed(&carol.did, &carol.device.sign, "GET", "/v1/grants", b"");
    let mut reader = Reader::new(&listed.body);
    assert_eq!(reader.array().unwrap(), 1);
    reader.array_of(2).unwrap();
    assert_eq!((reader.array().unwrap(), reader.bytes().unwrap()), (2, first.as_bytes()));

    let ask = |scene: &Scene, lease: Lease, by: &Somebody| scene.ask("/v1/join", &lease, &by.device.sign);
    let chain = [&first, &second];
    let held = pair(&ask(&scene, exchange(&carol, &chain), &carol));
    assert_eq!(said(&held).scope, vec![second.grant().scope()]);
    let scope = |log: &str, rights| vec![Scope { site: alice.did, log: log.parse().unwrap(), rights }];
    let narrow = Lease { scope: scope("photos/2026", Rights::READ), ..exchange(&carol, &chain) };
    assert_eq!(said(&pair(&ask(&scene, narrow.clone(), &carol))).scope, narrow.scope);
    for wider in [scope("photos", Rights::WRITE), scope("", Rights::READ)] {
        let lease = Lease { scope: wider, ..exchange(&carol, &chain) };
        refused(&ask(&scene, lease, &carol), 403, "not_granted");
    }
    refused(&ask(&scene, exchange(&bob, &chain), &bob), 403, "not_granted");
    let next = pair(&scene.refresh(&held, &carol.device.sign));

    // Bob's issuer takes the first grant back: what came of it ends, and nothing new comes of it.
    let revoke =
        |by: &Somebody| scene.signed(&by.did, &by.device.sign, "POST", "/v1/token/revoke", &of_grant(&first.sid()));
    refused(&revoke(&bob), 404, "no_such_grant");
    assert_eq!(revoke(&alice).status, 200);
    refused(&revoke(&alice), 404, "no_such_grant");
    refused(&scene.refresh(&next, &carol.device.sign), 410, "token_revoked");
    refused(&ask(&scene, exchange(&carol, &chain), &carol), 410, "grant_revoked");
    let page = scene.page(0);
    assert!(page.entries.iter().any(|entry| entry.what == Revoked::Grant(first.sid())));
    assert!(page.entries.iter().any(|entry| entry.what == Revoked::Family(said(&held).rid)));
    assert_eq!(page.entries.len(), 3, "two families and the grant");
}

#[test]
fn a_grant_signed_by_a_device_that_ends_is_worth_nothing_at_the_next_refresh() {
    // Goal: a stolen device's private signatures die with it. Method: its grant is exchanged, it is suspended by its owner's other
    // device, the token is refreshed.
    let mut scene = Scene::new();
    let (mut alice, bob) = (scene.somebody("alice"), scene.somebody("bob"));
    let given = grant(&alice, &bob, alice.did, Rights::READ, None);
    let held = pair(&scene.ask("/v1/token/exchange", &exchange(&bob, &[&given]), &bob.device.sign));
    let identity = alice.words.identity();
    let body = identity::cert::Body::DeviceSuspend(end_of(&alice.device.sign));
    let certificate = alice.next.sign(body, None, &origin(), &[&identity]).unwrap();
    alice.next = alice.next.next(&certificate);
    scene.post(&certificate, &alice);
    refused(&scene.refresh(&held, &bob.device.sign), 401, "unknown_signer");
    refused(&scene.refresh(&held, &bob.device.sign), 410, "token_revoked");
    let again = scene.ask("/v1/token/exchange", &exchange(&bob, &[&given]), &bob.device.sign);
    refused(&again, 401, "unknown_signer");
}

#[test]
fn a_grant_that_ended_or_does_not_decode_is_refused() {
    let mut scene = Scene::new();
    let (alice, bob) = (scene.somebody("alice"), scene.somebody("bob"));
    let over = Grant { until_s: 1_700_000_000, ..grant(&alice, &bob, alice.did, Rights::READ, None).grant().clone() };
    let over = SignedGrant::sign(&over, &origin(), &alice.device.sign).unwrap();
    let ask = |lease: Lease| scene.ask("/v1/token/exchange", &lease, &bob.device.sign);
    refused(&ask(exchange(&bob, &[&over])), 410, "grant_expired");
    refused(&ask(Lease { chain: vec![vec![0x80]], ..lease_of(&bob) }), 400, "bad_field");
    let mut changed = grant(&alice, &bob, alice.did, Rights::READ, None).as_bytes().to_vec();
    *changed.last_mut().unwrap() ^= 1;
    refused(&ask(Lease { chain: vec![changed], ..lease_of(&bob) }), 401, "bad_signature");
    refused(&ask(exchange(&bob, &[])), 400, "bad_field");
}
