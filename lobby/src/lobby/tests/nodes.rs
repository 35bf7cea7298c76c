//! What several nodes of one lobby tell each other.

use super::*;
use crate::news::{News, Site};

/// Hands each of two nodes what the other says to it; returns how many messages there were.
fn carry(one: &mut Stage, other: &mut Stage) -> usize {
    let (mut carried, ids) = (0, [[1; 8], [2; 8]]);
    loop {
        let from_one = std::mem::take(&mut one.bus);
        let from_other = std::mem::take(&mut other.bus);
        if from_one.is_empty() && from_other.is_empty() {
            return carried;
        }
        carried += from_one.len() + from_other.len();
        for (_, message) in from_one {
            other.put(Input::Bus { from: ids[0], message });
        }
        for (_, message) in from_other {
            one.put(Input::Bus { from: ids[1], message });
        }
    }
}

/// Two stages that are nodes of one lobby.
fn nodes() -> (Stage, Stage) {
    let of_several = |mut stage: Stage| {
        stage.lobby = stage.lobby.of_several();
        stage
    };
    (of_several(stage()), of_several(stage()))
}

#[test]
fn who_watches_at_one_node_is_told_of_hosts_at_another_until_it_is_lost() {
    // Goal: presence is the same at every node, shown to the same; a node that is gone has no hosts. Method: bob watches here, alice hosts there,
    // leaves and comes; then `there` says nothing any more.
    let (mut here, mut there) = nodes();
    let (bob, alice) = (Who::new(1), Who::new(2));
    let (phone, host) = (here.enter(&bob), there.enter(&alice));
    let name = alice.name();
    let watch = |id| Frame::Watch { id, names: vec![name.clone()] };
    let presence = |state, epoch| Frame::Presence { name: alice.name(), state, epoch };
    here.say(phone, watch(1));
    assert_eq!(here.followed, [(name.clone(), true)]);
    carry(&mut here, &mut there);
    here.read(phone);
    there.register(host, &alice, Visible::Authorised, None);
    carry(&mut here, &mut there);
    assert_eq!(here.read(phone), [], "not for bob");
    let guard = Guard::listed([7; 16], &[bob.did]);
    there.register(host, &alice, Visible::Authorised, Some(guard.clone()));
    carry(&mut here, &mut there);
    let epoch = NOW.as_ms();
    assert_eq!(here.read(phone), [presence(Presence::Online, epoch)]);

    // Somebody else who comes now asks by its watch, and learns what it may.
    let late = here.enter(&Who::new(3));
    here.say(late, watch(1));
    let answer = here.read(late);
    let rows = Value::List(vec![Value::Text(name.clone().into()), Value::Uint(0), Value::Uint(0)]);
    assert_eq!(answer, [Frame::Ok { id: 1, value: Some(Value::List(vec![rows])) }]);

    // The host's socket breaks; it comes back; it leaves.
    there.put(Input::Closed { conn: host });
    carry(&mut here, &mut there);
    assert_eq!(here.read(phone), [presence(Presence::Away, epoch)]);
    there.now = there.now.plus_ms(1);
    let host = there.enter(&alice);
    there.register(host, &alice, Visible::Authorised, Some(guard));
    carry(&mut here, &mut there);
    assert_eq!(here.read(phone).last(), Some(&presence(Presence::Online, epoch + 1)));

    // Asked again it answers, so it is believed on; when it does not, it is not.
    let wait = |here: &mut Stage, there: &mut Stage, carries: bool| {
        for _ in 0..ELSEWHERE_MS / FOLLOW_MS + 1 {
            (here.now, there.now) = (here.now.plus_ms(FOLLOW_MS), there.now.plus_ms(FOLLOW_MS));
            here.put(Input::Alive { conn: phone });
            there.put(Input::Alive { conn: host });
            if carries {
                carry(here, there);
            }
        }
    };
    wait(&mut here, &mut there, true);
    assert_eq!(here.read(phone), []);
    wait(&mut here, &mut there, false);
    assert_eq!(here.read(phone), [presence(Presence::Offline, epoch + 1)]);
    (here.bus, there.bus) = Default::default();
    wait(&mut here, &mut there, true);
    assert_eq!(here.read(phone), [presence(Presence::Online, epoch + 1)], "the bus is there again");

    // Nobody follows: nothing is asked or kept.
    here.say(phone, Frame::Unwatch { id: 9, names: vec![name.clone()] });
    here.put(Input::Closed { conn: late });
    here.now = here.now.plus_ms(RESUME_MS);
    here.put(Input::Tick);
    assert_eq!(here.followed.last(), Some(&(name.clone(), false)));
    assert_eq!(here.lobby.gauges().names, 0);

    // A node that stops says so at once.
    here.say(phone, watch(10));
    carry(&mut here, &mut there);
    here.read(phone);
    there.put(Input::Stop { in_ms: 1 });
    carry(&mut here, &mut there);
    assert_eq!(here.read(phone), [presence(Presence::Offline, epoch + 1)]);
}

#[test]
fn news_of_a_host_at_another_node_reaches_who_listens_here_and_who_is_shown_it() {
    let (mut here, mut there) = nodes();
    let (bob, alice, carol) = (Who::new(1), Who::new(2), Who::new(3));
    let (phone, other, host) = (here.enter(&bob), here.enter(&carol), there.enter(&alice));
    let site = Site::new(&alice.name(), "logs/x");
    for who in [&bob, &carol] {
        let joined = vec![Joined { site: site.clone(), muted_until: NOW, read: 0 }];
        here.put(Input::Joined { device: who.device(), did: who.did, joined });
    }
    there.register(host, &alice, Visible::Authorised, Some(Guard::listed([7; 16], &[bob.did])));
    let news = |size| vec![News { site: site.clone(), size }];
    let tell = |here: &mut Stage, there: &mut Stage| {
        carry(here, there);
        here.now = here.now.plus_ms(NEWS_MS);
        here.put(Input::Tick);
    };
    for size in [5, 9, 7] {
        there.say(host, Frame::Publish { id: size, news: news(size) });
        tell(&mut here, &mut there);
    }
    assert_eq!(here.read(phone), [Frame::Notify { news: news(5) }, Frame::Notify { news: news(9) }]);
    assert_eq!(here.read(other), [], "it is not shown to her");

    // Who comes later asks, and is told what it has not read. What a node says that hosts nothing is nothing.
    here.put(Input::Joined { device: bob.device(), did: bob.did, joined: vec![] });
    assert_eq!(here.listens, [(bob.device(), true), (carol.device(), true), (bob.device(), false)]);
    here.put(Input::Joined { device: carol.device(), did: carol.did, joined: vec![] });
    assert_eq!(here.lobby.gauges().names, 0, "nobody follows it");
    let joined = vec![Joined { site: site.clone(), muted_until: NOW, read: 6 }];
    here.put(Input::Joined { device: bob.device(), did: bob.did, joined });
    let forged = crate::bus::BusMessage::Sizes { name: alice.name(), sizes: vec![(site.log, 1_000)] };
    here.put(Input::Bus { from: [9; 8], message: forged });
    tell(&mut here, &mut there);
    assert_eq!(here.read(phone), [Frame::Notify { news: news(9) }]);
}

#[test]
fn two_nodes_are_one_lobby_and_nothing_else_comes_through() {
    // Goal: a client at one node and a host at another talk as if they were at one; a third party at either gets nothing in. Method: the
    // knock, the answer and an ack; then cards of mallory, and an answer of another host after the first.
    let (mut here, mut there) = (stage(), stage());
    let (bob, alice, mallory) = (Who::new(1), Who::new(2), Who::new(3));
    let (client, host) = (here.enter(&bob), there.enter(&alice));
    let name = alice.login(1, 1, None).names[0].clone();
    let register = Frame::Register { id: 1, name: name.clone(), visible: Visible::Authorised, guard: None };
    there.put(Input::Frame { conn: host, frame: Ok(register) });
    there.read(host);
    assert_eq!(there.hosted, [(name.clone(), true)]);
    let sess = [7; 16];
    let offer = bob.offer(sess, &alice, NOW);
    let knock = Frame::Knock { id: 2, name: name.clone(), card: Bytes::copy_from_slice(offer.as_bytes()), proof: None };
    here.put(Input::Frame { conn: client, frame: Ok(knock.clone()) });
    assert_eq!(carry(&mut here, &mut there), 1);
    let [Frame::Signal(signal)] = &there.read(host)[..] else { panic!("the offer arrives") };
    assert_eq!((signal.peer, &signal.card[..]), (bob.device(), offer.as_bytes()));

    // Somebody else's card for this sess, from whichever node: nothing.
    let foreign = mallory.answer(&offer, NOW);
    let forged = |who: &Who, card: &crate::card::SignedCard| {
        let card = Bytes::copy_from_slice(card.as_bytes());
        let signal = Signal { peer: bob.device(), sess, seq: 0, card, proof: None };
        crate::bus::BusMessage::Signal { device: who.device(), did: who.did, signal }
    };
    here.put(Input::Bus { from: [2; 8], message: forged(&alice, &foreign) });
    assert_eq!(here.read(client), [], "a card that its device did not make");
    let answer = alice.answer(&offer, NOW);
    let card = Bytes::copy_from_slice(answer.as_bytes());
    let signal = Signal { peer: bob.device(), sess, seq: 0, card, proof: None };
    there.put(Input::Frame { conn: host, frame: Ok(Frame::Signal(signal)) });
    assert_eq!(carry(&mut here, &mut there), 1);
    let [Frame::Signal(signal)] = &here.read(client)[..] else { panic!("the answer arrives") };
    assert_eq!((signal.peer, &signal.card[..]), (alice.device(), answer.as_bytes()));
    here.put(Input::Bus { from: [2; 8], message: forged(&mallory, &foreign) });
    assert_eq!(here.read(client), [], "the sess has its host");
    let ack = Frame::Ack { peer: alice.device(), sess, seq: 0 };
    here.put(Input::Frame { conn: client, frame: Ok(ack) });
    assert_eq!(carry(&mut here, &mut there), 1);
    assert_eq!(there.read(host), [Frame::Ack { peer: bob.device(), sess, seq: 0 }]);

    // The host goes: nobody is found, and the client is told so as at any name.
    there.put(Input::Frame { conn: host, frame: Ok(Frame::Unregister { id: 3, name: name.clone() }) });
    assert_eq!(there.hosted.last(), Some(&(name.clone(), false)));
    let offer = bob.offer([8; 16], &alice, NOW);
    let knock = Frame::Knock { id: 4, name, card: Bytes::copy_from_slice(offer.as_bytes()), proof: None };
    here.put(Input::Frame { conn: client, frame: Ok(knock) });
    carry(&mut here, &mut there);
    assert_eq!(here.read(client), []);
    here.now = here.now.plus_ms(UNAVAILABLE_MS * 11 / 10);
    here.put(Input::Tick);
    assert!(matches!(&here.read(client)[..], [Frame::Err { code, .. }] if code == "unavailable"));
    assert_eq!(there.lobby.gauges().talks, 1, "the first sess alone");
}
