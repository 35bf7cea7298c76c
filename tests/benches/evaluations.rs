//! Evaluations of blinded addresses over HTTP, the generator on the same cores, with one proof for each request.
//!
//! `cargo bench -p dgns-tests --bench evaluations -- [--evaluations 16000]`. Questions are blinded before the clock runs, and answers
//! verified after it; the library's own evaluation, in one thread, stands beside it.

mod load;

use std::sync::Arc;

use dgns_api::evaluate;
use dgns_client::home::Home;
use dgns_client::rng;
use dgns_client::session::Session;
use identity::cert::{KeyBytes, Role};
use identity::oprf::{self, Blinded, Server};
use identity::state::Subject;
use load::{Stretch, offered};

#[tokio::main]
async fn main() {
    let count = load::argument("--evaluations", 16_000);
    let directory = tempfile::tempdir().unwrap();
    let mut config = load::config(directory.path());
    config.aliases.evaluate = true;
    config.limits.evaluations_per_hour_and_address = 0;
    let server = dgns::server::Server::start(config, dgns::clock::Clock::system()).await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let url = format!("http://{}", server.http);
    let session = Arc::new(Session::open(&Home::open(home.path()).unwrap(), &url).await.unwrap());
    let resolved = session.resolve(&Subject::Did(server.app.core.server)).await.unwrap();
    let authorities = &resolved.did().unwrap().authorities;
    let key = authorities.iter().find(|row| row.authority.role == Role::Alias).unwrap().authority.key;
    for batch in [1, 16] {
        bare(batch, count / 8);
        over_http(&session, &key, batch, count).await;
    }
    server.stop().await.unwrap();
}

/// The library alone, in one thread.
fn bare(batch: usize, count: usize) {
    let (server, rng) = (Server::from_seed(&[1; 32]), &mut rng::system());
    let questions: Vec<Vec<_>> =
        (0..count / batch).map(|place| blinded(place, batch).iter().map(|one| *one.element()).collect()).collect();
    let stretch = Stretch::begin();
    for question in &questions {
        server.evaluate(question, rng).unwrap();
    }
    stretch.report(&format!("bare: evaluations, {batch} a proof"), questions.len() * batch);
}

async fn over_http(session: &Arc<Session>, key: &KeyBytes, batch: usize, count: usize) {
    let questions: Vec<Vec<Blinded>> = load::in_threads((0..count / batch).collect(), |place| blinded(place, batch));
    let bodies = questions.iter().map(|question| {
        let elements: Vec<_> = question.iter().map(|blinded| *blinded.element()).collect();
        evaluate::encode_question(&elements)
    });
    let bodies: Vec<Vec<u8>> = bodies.collect();
    let stretch = Stretch::begin();
    let ask = |session: Arc<Session>, body| async move { session.evaluate(body).await.unwrap() };
    let answers = offered::answers(session, bodies, ask).await;
    stretch.report(&format!("HTTP: evaluations, {batch} a request"), answers.len() * batch);
    for (question, answer) in questions.iter().zip(&answers).step_by(97) {
        let (evaluated, proof) = evaluate::decode_answer(answer).unwrap();
        oprf::finalize(question, &evaluated, &proof, key).unwrap();
    }
}

fn blinded(place: usize, batch: usize) -> Vec<Blinded> {
    let input = |n: usize| format!("person-{place}-{n}@example.test");
    (0..batch).map(|n| Blinded::new(input(n).as_bytes(), &mut rng::system()).unwrap()).collect()
}
