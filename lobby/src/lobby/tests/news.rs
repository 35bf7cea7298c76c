//! Sizes told to those who joined.

use super::*;
use crate::news::{News, Site};

#[test]
fn news_reaches_those_who_joined_once_and_the_newest() {
    // Goal: sizes only grow, many become one, and whoever may not know that the host is here hears nothing. Method: alice publishes to
    // bob, whom her guard lists, and to carol, whom it does not.
    let mut stage = stage();
    let (alice, bob, carol) = (Who::new(1), Who::new(2), Who::new(3));
    let (host, phone, other) = (stage.enter(&alice), stage.enter(&bob), stage.enter(&carol));
    let name = alice.login(1, 1, None).names[0].clone();
    let site = Site::new(&name, "logs/x");
    let publish = |stage: &mut Stage, size| {
        let news = vec![News { site: site.clone(), size }];
        stage.put(Input::Frame { conn: host, frame: Ok(Frame::Publish { id: 9, news }) });
        stage.read(host)
    };
    assert!(matches!(&publish(&mut stage, 1)[..], [Frame::Err { code, .. }] if code == "not_registered"));
    let guard = Some(Guard::listed([7; 16], &[bob.did]));
    let register = Frame::Register { id: 1, name: name.clone(), visible: Visible::Authorised, guard };
    stage.put(Input::Frame { conn: host, frame: Ok(register) });
    stage.read(host);
    for who in [&bob, &carol] {
        let joined = vec![Joined { site: site.clone(), muted_until: NOW, read: 0 }];
        stage.put(Input::Joined { device: who.device(), did: who.did, joined });
    }
    for size in [5, 9, 7, 9] {
        assert!(matches!(&publish(&mut stage, size)[..], [Frame::Ok { id: 9, .. }]));
    }
    assert_eq!(stage.read(phone), [], "what comes at once is told together");
    stage.now = stage.now.plus_ms(NEWS_MS);
    stage.put(Input::Tick);
    let newest = [Frame::Notify { news: vec![News { site: site.clone(), size: 9 }] }];
    assert_eq!(stage.read(phone), newest);
    assert_eq!(stage.read(other), [], "she is not on the list");
    stage.now = stage.now.plus_ms(PUSH_SWEEP_MS);
    stage.put(Input::Tick);
    assert_eq!(stage.grown.len(), 1);
    assert!(stage.grown[0].shows_to(&bob.did) && !stage.grown[0].shows_to(&carol.did));
    assert_eq!(stage.grown[0].news.size, 9);

    // Muted: nothing; and from the end of it the next size.
    let muted_until = stage.now.plus_ms(1_000);
    let joined = vec![Joined { site: site.clone(), muted_until, read: 9 }];
    stage.put(Input::Joined { device: bob.device(), did: bob.did, joined });
    publish(&mut stage, 10);
    stage.now = stage.now.plus_ms(1_000);
    stage.put(Input::Tick);
    assert_eq!(stage.read(phone), []);
    publish(&mut stage, 11);
    stage.now = stage.now.plus_ms(NEWS_MS);
    stage.put(Input::Tick);
    assert_eq!(stage.read(phone), [Frame::Notify { news: vec![News { site: site.clone(), size: 11 }] }]);

    // Joined later: told at once what it has not read.
    let joined = vec![Joined { site: site.clone(), muted_until: NOW, read: 4 }];
    stage.put(Input::Joined { device: bob.device(), did: bob.did, joined });
    stage.now = stage.now.plus_ms(NEWS_MS);
    stage.put(Input::Tick);
    assert_eq!(stage.read(phone), [Frame::Notify { news: vec![News { site, size: 11 }] }]);
}

#[test]
fn a_client_that_does_not_read_has_one_size_waiting_for_each_log() {
    let mut stage = stage();
    let (alice, bob) = (Who::new(1), Who::new(2));
    let (host, phone) = (stage.enter(&alice), stage.enter(&bob));
    let name = alice.login(1, 1, None).names[0].clone();
    let register = Frame::Register { id: 1, name: name.clone(), visible: Visible::Public, guard: None };
    stage.put(Input::Frame { conn: host, frame: Ok(register) });
    let site = Site::new(&name, "logs/x");
    let joined = vec![Joined { site: site.clone(), muted_until: NOW, read: 0 }];
    stage.put(Input::Joined { device: bob.device(), did: bob.did, joined });
    for size in 1..1_000 {
        let news = vec![News { site: site.clone(), size }];
        stage.put(Input::Frame { conn: host, frame: Ok(Frame::Publish { id: 9, news }) });
        stage.now = stage.now.plus_ms(50);
        stage.put(Input::Tick);
    }
    assert_eq!(stage.read(phone).len(), NEWS_UNSEEN_MAX, "no more than it may leave unread");
    stage.put(Input::Frame { conn: phone, frame: Ok(Frame::Seen { n: NEWS_UNSEEN_MAX as u64 }) });
    stage.now = stage.now.plus_ms(NEWS_LATER_MS);
    stage.put(Input::Tick);
    assert_eq!(stage.read(phone), [Frame::Notify { news: vec![News { site, size: 999 }] }]);
}

#[test]
fn a_device_is_told_of_logs_here_as_long_as_one_of_its_sessions_is() {
    // Goal: other nodes hear of the first session of a device that listens and of the last, not of those between. Method: two windows of bob's
    // come, join, and leave one after the other.
    let mut stage = stage();
    stage.lobby = stage.lobby.of_several();
    let bob = Who::new(2);
    let (one, other) = (stage.enter(&bob), stage.enter(&bob));
    let site = Site::new(&Who::new(1).login(1, 1, None).names[0], "logs/x");
    let joined = vec![Joined { site, muted_until: NOW, read: 0 }];
    stage.put(Input::Joined { device: bob.device(), did: bob.did, joined });
    assert_eq!(std::mem::take(&mut stage.listens), [(bob.device(), true)]);
    assert_eq!(stage.lobby.listening().collect::<Vec<_>>(), [&bob.device()]);
    assert!(
        stage.lobby.has_session(&bob.device(), &bob.did) && !stage.lobby.has_session(&bob.device(), &Who::new(3).did)
    );
    let leave = |stage: &mut Stage, conn| {
        stage.put(Input::Closed { conn });
        stage.now = stage.now.plus_ms(RESUME_MS + 1_000);
        stage.put(Input::Tick);
    };
    stage.put(Input::Closed { conn: one });
    for _ in 0..=RESUME_MS / 10_000 {
        stage.now = stage.now.plus_ms(10_000);
        stage.put(Input::Alive { conn: other });
        stage.put(Input::Tick);
    }
    assert_eq!(stage.listens, [], "the other window listens");
    assert_eq!(stage.lobby.listening().count(), 1);
    leave(&mut stage, other);
    assert_eq!(std::mem::take(&mut stage.listens), [(bob.device(), false)]);
    assert_eq!(stage.lobby.listening().count(), 0);
}
