//! What an end believes of the cards it gets.

use identity::time::Timestamp;

use super::*;
use crate::testing::{NOW, Who, origin, transport};

/// Candidates at different ports.
pub(super) fn many(count: u16) -> Vec<Candidate> {
    (0..count).map(|n| Candidate { port: 2_000 + n, ..transport(1).candidates[0].clone() }).collect()
}

/// A client and a host, each with its ledger, an offer and its answer.
struct Scene {
    client: Who,
    host: Who,
    of_client: Ledger,
    of_host: Ledger,
    offer: SignedCard,
    answer: SignedCard,
}

fn scene() -> Scene {
    let (client, host) = (Who::new(1), Who::new(2));
    let offer = client.offer([7; 16], &host, NOW);
    let answer = host.answer(&offer, NOW);
    let mut of_client = Ledger::new(client.device(), client.did);
    of_client.offered(&offer, host.did, NOW).unwrap();
    Scene { of_host: Ledger::new(host.device(), host.did), client, host, of_client, offer, answer }
}

fn take(ledger: &mut Ledger, card: &SignedCard, by: &Who, now: Timestamp) -> Result<Taken, CardRefusal> {
    ledger.take(card, Proved { did: &by.did, devices: &[by.device()] }, &origin(), now)
}

#[test]
fn an_offer_and_its_answer_bind_both_ends() {
    let Scene { client, host, mut of_client, mut of_host, offer, answer } = scene();
    assert_eq!(take(&mut of_host, &offer, &client, NOW), Ok(Taken::Offer));
    assert_eq!(of_host.peer(&[7; 16], Side::Host), Some(client.device()));
    assert_eq!(take(&mut of_client, &answer, &host, NOW), Ok(Taken::Answer));
    assert_eq!(of_client.peer(&[7; 16], Side::Client), Some(host.device()));
    assert_eq!(of_client.fingerprint(&[7; 16], Side::Client), Some([2; 32]));
    assert_eq!(of_host.fingerprint(&[7; 16], Side::Host), Some([1; 32]));
    let hash = offer.payload_hash();
    let more = |last| Body::Candidates { offer: hash, ufrag: "ufrg".to_owned(), candidates: many(3), last };
    let of_host_more = host.card([7; 16], 1, To::Device(client.device()), more(false), NOW);
    assert_eq!(take(&mut of_client, &of_host_more, &host, NOW), Ok(Taken::More));
    let of_client_more = client.card([7; 16], 1, To::Device(host.device()), more(true), NOW);
    assert_eq!(take(&mut of_host, &of_client_more, &client, NOW), Ok(Taken::More));
    let bye = Body::Bye { offer: hash, code: "done".to_owned() };
    let bye = client.card([7; 16], 2, To::Device(host.device()), bye, NOW);
    assert_eq!(take(&mut of_host, &bye, &client, NOW), Ok(Taken::End));
    assert_eq!(take(&mut of_host, &of_client_more, &client, NOW), Err(CardRefusal::Replayed), "it is over");
}

#[test]
fn a_lobby_that_lies_is_refused_whatever_it_changes() {
    // Goal: each lie has its code, and the truth still passes afterwards. Method: one change each between unmodified ends.
    let Scene { client, host, mut of_client, mut of_host, offer, answer } = scene();
    let evil = Who::new(9);
    let resigned = |card: &SignedCard, change: &dyn Fn(&mut Card)| {
        let mut changed = card.card().clone();
        change(&mut changed);
        SignedCard::sign(&changed, &origin(), &evil.key).unwrap()
    };
    let to_host: Vec<(&str, SignedCard, &Who, CardRefusal)> = vec![
        ("another's offer under its own key", resigned(&offer, &|_| {}), &client, CardRefusal::BadSignature),
        (
            "its device in the client's name",
            resigned(&offer, &|c| c.from = evil.device()),
            &client,
            CardRefusal::NotHost,
        ),
        ("a DID that was not proved", resigned(&offer, &|c| c.from_did = evil.did), &client, CardRefusal::NotHost),
        ("an offer to another DID", client.offer([7; 16], &evil, NOW), &client, CardRefusal::WrongTarget),
        ("an answer to nothing", answer.clone(), &host, CardRefusal::WrongTarget),
    ];
    for (what, card, by, refusal) in to_host {
        assert_eq!(take(&mut of_host, &card, by, NOW), Err(refusal), "{what}");
    }
    for (late, refused) in [(181, true), (180, false)] {
        let at = NOW.plus_ms(late * 1_000);
        let result = take(&mut of_host.clone(), &offer, &client, at);
        assert_eq!(result == Err(CardRefusal::Expired), refused, "{late} s late");
    }
    let early = client.offer([7; 16], &host, NOW.plus_ms(121_000));
    assert_eq!(take(&mut of_host.clone(), &early, &client, NOW), Err(CardRefusal::Expired));
    assert_eq!(take(&mut of_host, &offer, &client, NOW), Ok(Taken::Offer));
    assert_eq!(take(&mut of_host, &offer, &client, NOW), Err(CardRefusal::Replayed));

    let other = client.offer([8; 16], &host, NOW);
    let to_client: Vec<(&str, SignedCard, &Who, CardRefusal)> = vec![
        ("a fingerprint swapped", resigned(&answer, &|_| {}), &host, CardRefusal::BadSignature),
        ("its own device answers", evil.answer(&offer, NOW), &evil, CardRefusal::NotHost),
        ("its device in the host's name", resigned(&answer, &|c| c.from = evil.device()), &host, CardRefusal::NotHost),
        ("the answer to another sess", host.answer(&other, NOW), &host, CardRefusal::Replayed),
        (
            "the answer to another offer of this sess",
            host.answer(&client.offer([7; 16], &evil, NOW), NOW),
            &host,
            CardRefusal::WrongOffer,
        ),
        (
            "an answer to another device",
            host.card([7; 16], 0, To::Device(evil.device()), answer.card().body.clone(), NOW),
            &host,
            CardRefusal::WrongTarget,
        ),
        (
            "candidates before the answer",
            host.card(
                [7; 16],
                1,
                To::Device(client.device()),
                Body::Candidates {
                    offer: offer.payload_hash(),
                    ufrag: "ufrg".to_owned(),
                    candidates: Vec::new(),
                    last: true,
                },
                NOW,
            ),
            &host,
            CardRefusal::Replayed,
        ),
    ];
    for (what, card, by, refusal) in to_client {
        assert_eq!(take(&mut of_client, &card, by, NOW), Err(refusal), "{what}");
    }
    assert_eq!(take(&mut of_client, &answer, &host, NOW), Ok(Taken::Answer), "the truth still passes");
}

#[test]
fn a_certificate_does_not_change_and_candidates_are_bounded() {
    let Scene { client, host, mut of_client, offer, answer, .. } = scene();
    take(&mut of_client, &answer, &host, NOW).unwrap();
    let to = To::Device(client.device());
    let restart = |fingerprint| Body::RestartAnswer {
        offer: offer.payload_hash(),
        transport: Transport { fingerprint, ..transport(2) },
    };
    let changed = host.card([7; 16], 1, to, restart([3; 32]), NOW);
    assert_eq!(take(&mut of_client, &changed, &host, NOW), Err(CardRefusal::FingerprintChanged));
    let more = |seq| {
        let (offer, ufrag) = (offer.payload_hash(), "ufrg".to_owned());
        host.card([7; 16], seq, to, Body::Candidates { offer, ufrag, candidates: many(12), last: false }, NOW)
    };
    assert_eq!(take(&mut of_client, &more(2), &host, NOW), Ok(Taken::More));
    assert_eq!(take(&mut of_client, &more(3), &host, NOW), Ok(Taken::More), "2 + 12 + 12");
    assert_eq!(take(&mut of_client, &more(4), &host, NOW), Err(CardRefusal::TooManyCandidates));
    let again = host.card([7; 16], 5, to, restart([2; 32]), NOW);
    assert_eq!(take(&mut of_client, &again, &host, NOW), Ok(Taken::More), "a restart begins to count anew");
    assert_eq!(take(&mut of_client, &more(6), &host, NOW), Ok(Taken::More));

    let second = Who { key: identity::key::SigningKey::from_seed(&[22; 32]), ..host.clone() };
    let card = second.card([7; 16], 7, to, restart([2; 32]), NOW);
    let proved = Proved { did: &host.did, devices: &[host.device(), second.device()] };
    assert_eq!(
        of_client.take(&card, proved, &origin(), NOW),
        Err(CardRefusal::WrongSender),
        "another device of the DID"
    );
}

#[test]
fn what_is_remembered_is_bounded_and_forgotten() {
    let Scene { client, mut of_host, host, .. } = scene();
    let sess = |n: usize| {
        let mut sess = [0; 16];
        sess[..8].copy_from_slice(&(n as u64).to_be_bytes());
        sess
    };
    for n in 0..crate::limits::SESS_KEPT_MAX {
        of_host.offered(&client.offer(sess(n), &host, NOW), host.did, NOW).unwrap();
    }
    let one_more = |at| client.offer([7; 16], &host, at);
    assert_eq!(take(&mut of_host, &one_more(NOW), &client, NOW), Err(CardRefusal::Busy));
    let later = NOW.plus_ms(crate::limits::OFFER_KEPT_MS + 1);
    assert_eq!(take(&mut of_host, &one_more(later), &client, later), Ok(Taken::Offer));
}

#[test]
fn each_refusal_of_a_card_has_a_code_of_its_own() {
    let all = [
        CardRefusal::Expired,
        CardRefusal::WrongTarget,
        CardRefusal::Replayed,
        CardRefusal::WrongOffer,
        CardRefusal::NotHost,
        CardRefusal::WrongSender,
        CardRefusal::BadSignature,
        CardRefusal::FingerprintChanged,
        CardRefusal::TooManyCandidates,
        CardRefusal::Busy,
    ];
    let mut codes: Vec<&str> = all.iter().map(|refusal| refusal.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), all.len());
}

#[test]
fn every_flipped_bit_of_a_card_is_refused() {
    let Scene { client, mut of_host, offer, .. } = scene();
    for at in 0..offer.as_bytes().len() {
        for bit in 0..8 {
            let mut bytes = offer.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            let passes = SignedCard::decode(&bytes).is_ok_and(|card| take(&mut of_host, &card, &client, NOW).is_ok());
            assert!(!passes, "bit {bit} of byte {at}");
        }
    }
}
