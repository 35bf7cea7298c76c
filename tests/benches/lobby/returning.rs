//! How long until everybody is registered again after the lobby was killed, or restarted: `dgns`'s own clients, with their own jitter.

use std::sync::Arc;
use std::time::Duration;

use dgns_client::attach::{Event, Who, attach};
use dgns_client::home::Home;
use dgns_client::prover::Prover;
use dgns_client::session::Session;
use lobby::guard::Guard;
use lobby::message::Visible;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::ours::Scene;

/// How long is waited for the last one.
const PATIENCE: Duration = Duration::from_secs(120);

pub async fn measure(scene: Scene, count: usize) {
    let home = tempfile::tempdir().expect("temporary directories can be made");
    let home = Home::open(home.path()).expect("a home");
    let prover = Prover::new(Session::open(&home, &scene.server.url).await.expect("the server answers"));
    let (registered, mut registrations) = mpsc::channel(count);
    for number in 0..count {
        // Below what the server's queue of new connections holds.
        if number % 64 == 0 {
            sleep(Duration::from_millis(20)).await;
        }
        tokio::spawn(stay(prover.clone(), scene.people.clone(), number, registered.clone()));
    }
    for _ in 0..count {
        timeout(PATIENCE, registrations.recv()).await.expect("everybody registers");
    }
    let Scene { site, mut server, .. } = scene;
    for (what, killed) in [("kill -9", true), ("a restart", false)] {
        let began = Instant::now();
        // The others go on: this thread alone waits.
        server = tokio::task::block_in_place(|| {
            match killed {
                true => server.kill(),
                false => drop(server.stop()),
            }
            site.start()
        });
        let ready = began.elapsed();
        let mut took = Vec::with_capacity(count);
        while took.len() < count {
            match timeout(PATIENCE, registrations.recv()).await {
                Ok(Some(at)) if at > began => took.push((at - began).as_secs_f64()),
                Ok(Some(_)) => {}
                _ => break,
            }
        }
        took.sort_by(f64::total_cmp);
        let at = |part: usize| took.get(took.len().saturating_sub(1) * part / 100).copied().unwrap_or(f64::NAN);
        println!(
            "{} of {count} registered again after {what}: p50 {:.1}, p95 {:.1}, all {:.1} s; the server answers after {:.1} s",
            took.len(),
            at(50),
            at(95),
            at(100),
            ready.as_secs_f64(),
        );
    }
}

/// Hosts a name, and says each time it is registered.
async fn stay(prover: Prover, people: Arc<Vec<crate::ours::Person>>, number: usize, registered: mpsc::Sender<Instant>) {
    let person = &people[number];
    let server = prover.session().server().to_owned();
    let (attached, mut events) = attach(prover, Who { key: person.key.clone(), did: person.did }, &server);
    attached.register(&person.name, Visible::Authorised, Guard::Certified).await;
    while let Some(event) = events.recv().await {
        match event {
            Event::Registered(_) => drop(registered.try_send(Instant::now())),
            Event::Over { code, what } => panic!("somebody is sent away: {code}: {what}"),
            _ => {}
        }
    }
}
