//! Guests: keys in no log, let in where the lobby and the host say so, few and to little (PROTOCOL 23.17).

use super::*;
use crate::limits::{GUEST_KNOCKS_AT_NAME, KNOCKS_AT_NAME, KNOCKS_OF_GUESTS, KNOCKS_PER_NAME};

/// A lobby that lets so many guests in, and a host with a guard.
fn scene(guests_max: u32, guard: Option<Guard>) -> (Stage, Who, ConnId) {
    let mut stage = stage();
    stage.lobby.settings = Settings { guests_max, ..OPEN };
    let host = Who::new(2);
    let h = stage.enter(&host);
    stage.register(h, &host, Visible::Authorised, guard);
    (stage, host, h)
}

#[test]
fn a_guest_knocks_where_the_guard_lets_guests_and_nowhere_else() {
    let listed = Guard::listed([1; 16], &[crate::guest::stand_in(&Who::guest(9).device())]);
    for (guard, wakes) in
        [(Some(Guard::Guests), true), (None, false), (Some(Guard::Certified), false), (Some(listed), false)]
    {
        let (mut stage, host, h) = scene(10, guard);
        let guest = Who::guest(9);
        let g = stage.enter(&guest);
        stage.knock(g, &guest, &host, [7; 16]);
        let asked = stage.read(h);
        assert_eq!(matches!(&asked[..], [Frame::Signal(signal)] if signal.peer == guest.device()), wakes);
        if !wakes {
            stage.wait(6_000);
            assert_eq!(code(&stage.read(g)), "unavailable", "as if nobody were there");
            continue;
        }
        let offer = guest.offer([7; 16], &host, stage.now);
        let card: Bytes = host.answer(&offer, stage.now).as_bytes().to_vec().into();
        stage.say(h, Frame::Signal(Signal { peer: guest.device(), sess: [7; 16], seq: 0, card, proof: None }));
        assert!(matches!(&stage.read(g)[..], [Frame::Signal(_)]));
        // Whoever is certified is let in as before.
        let bob = Who::new(1);
        let b = stage.enter(&bob);
        stage.knock(b, &bob, &host, [8; 16]);
        assert!(matches!(&stage.read(h)[..], [Frame::Signal(_)]));
    }
}

#[test]
fn a_guest_may_say_nothing_else() {
    let (mut stage, host, _) = scene(10, Some(Guard::Guests));
    let guest = Who::guest(9);
    let g = stage.enter(&guest);
    let site = "dgns.test/log".to_owned();
    for frame in [
        Frame::Register { id: 1, name: host.name(), visible: Visible::Public, guard: None },
        Frame::Register { id: 1, name: guest.name(), visible: Visible::Public, guard: None },
        Frame::Watch { id: 1, names: vec![host.name()] },
        Frame::Joined { id: 1 },
        Frame::Push { id: 1, subscription: None },
        Frame::Attest { id: 1, envelope: vec![1] },
        Frame::Lease { id: 1, site, log: String::new(), rights: 1 },
        Frame::Ice { id: 1 },
    ] {
        stage.say(g, frame);
        assert_eq!(code(&stage.read(g)), "no_right");
    }
    assert!(stage.asked.is_empty(), "nobody is bothered");
    stage.say(g, Frame::Ping { id: 3 });
    assert_eq!(stage.read(g), [Frame::Pong { id: 3 }]);
}

#[test]
fn guests_are_none_unless_the_lobby_lets_them_and_then_so_many() {
    let guest = |number| Who::guest(number);
    let (mut stage, ..) = scene(0, Some(Guard::Guests));
    let g = stage.enter_as(&guest(9), 1, None);
    assert_eq!((code(&stage.read(g)), stage.closed[&g]), ("no_guests", Refusal::NoGuests));
    let (mut stage, ..) = scene(2, Some(Guard::Guests));
    let (first, _second) = (stage.enter(&guest(9)), stage.enter(&guest(10)));
    let third = stage.enter_as(&guest(11), 1, None);
    assert_eq!((code(&stage.read(third)), stage.closed[&third]), ("busy", Refusal::Busy));
    assert_eq!(stage.lobby.gauges().guests, 2);
    // Who goes makes room, at once if it is wanted, else once the session is over; who comes back is the same guest.
    stage.put(Input::Closed { conn: first });
    let other = stage.enter(&guest(12));
    assert_eq!(stage.lobby.gauges().guests, 2);
    stage.put(Input::Closed { conn: other });
    stage.wait(RESUME_MS);
    assert_eq!(stage.lobby.gauges().guests, 1);
    let third = stage.enter(&guest(11));
    let again = stage.enter(&guest(11));
    assert_eq!(stage.closed[&third], Refusal::Replaced);
    assert_eq!(stage.lobby.gauges().guests, 2);
    stage.put(Input::Refused { conn: again, refusal: Refusal::Overflow });
    assert_eq!(stage.lobby.gauges().guests, 1);
}

#[test]
fn guests_of_one_place_are_as_few_as_strangers_and_leave_room_when_they_go() {
    let (mut stage, ..) = scene(100, Some(Guard::Guests));
    stage.lobby.settings.strangers_max = 3;
    let guests: Vec<ConnId> = (10..13).map(|number| stage.enter(&Who::guest(number))).collect();
    let fourth = stage.opened();
    assert_eq!(stage.closed[&fourth], Refusal::Rate);
    stage.put(Input::Closed { conn: guests[0] });
    let again = stage.enter(&Who::guest(10));
    stage.put(Input::Refused { conn: again, refusal: Refusal::Overflow });
    stage.put(Input::Closed { conn: again });
    stage.enter(&Who::guest(10));
    let full = stage.opened();
    assert_eq!(stage.closed[&full], Refusal::Rate, "each counts once");
    for conn in &guests[1..] {
        stage.put(Input::Closed { conn: *conn });
    }
    // Who is certified counts no longer once its hello is said.
    (20..30).for_each(|number| {
        stage.enter(&Who::new(number));
    });
}

#[test]
fn a_flood_of_guests_leaves_a_name_to_whoever_is_certified() {
    let (mut stage, host, h) = scene(1_000, Some(Guard::Guests));
    let (mut taken, mut refused) = (0, 0);
    let rounds = u8::try_from(GUEST_KNOCKS_AT_NAME.max(KNOCKS_OF_GUESTS) / KNOCKS_PER_NAME + 4).unwrap();
    for number in 0..rounds {
        let guest = Who::guest(100 + number);
        let g = stage.enter(&guest);
        for knock in 0..u8::try_from(KNOCKS_PER_NAME).unwrap() {
            stage.knock(g, &guest, &host, [number + 1, knock, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
            match &stage.read(g)[..] {
                [] => taken += 1,
                frames => {
                    assert_eq!(code(frames), "rate");
                    refused += 1;
                }
            }
        }
    }
    assert_eq!(taken, GUEST_KNOCKS_AT_NAME.min(KNOCKS_OF_GUESTS));
    assert!(refused > 0);
    stage.read(h);
    const { assert!(GUEST_KNOCKS_AT_NAME < KNOCKS_AT_NAME) }
    let bob = Who::new(1);
    let b = stage.enter(&bob);
    stage.knock(b, &bob, &host, [9; 16]);
    assert!(matches!(&stage.read(h)[..], [Frame::Signal(_)]));
}
