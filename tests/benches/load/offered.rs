//! Posts over HTTP, as fast as they are answered or at a fixed rate.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dgns_client::session::Session;
use identity::cert::Certificate;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Requests under way at once in a closed loop, each on a connection of its own.
const CONNECTIONS: usize = 128;

/// What a post waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Its proof under the newest head.
    Proved,
    /// Its proof under a head that the witnesses cosigned.
    Cosigned,
}

/// Posts everything, [`CONNECTIONS`] at once.
pub async fn at_once(session: &Arc<Session>, posts: Vec<Vec<Certificate>>) {
    let posts = Arc::new(Mutex::new(posts.into_iter()));
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (session, posts) = (session.clone(), posts.clone());
        tasks.spawn(async move {
            loop {
                let Some(post) = posts.lock().unwrap().next() else { return };
                session.post_unverified_for_load(&post).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

/// Asks everything, [`CONNECTIONS`] at once, and returns the answers in the order of the questions.
pub async fn answers<Q, A, F>(session: &Arc<Session>, questions: Vec<Q>, ask: impl Fn(Arc<Session>, Q) -> F) -> Vec<A>
where
    A: Send + 'static,
    F: Future<Output = A> + Send + 'static,
{
    let (mut tasks, mut answers) = (JoinSet::new(), Vec::with_capacity(questions.len()));
    for (place, question) in questions.into_iter().enumerate() {
        if tasks.len() == CONNECTIONS {
            answers.extend(tasks.join_next().await.map(Result::unwrap));
        }
        let asked = ask(session.clone(), question);
        tasks.spawn(async move { (place, asked.await) });
    }
    answers.extend(tasks.join_all().await);
    answers.sort_by_key(|(place, _): &(usize, A)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// Posts at a fixed rate whatever the answers do, and returns each latency in ms, counted from the intended start.
pub async fn at_rate(session: &Arc<Session>, posts: Vec<Vec<Certificate>>, rate: usize, until: Until) -> Vec<f64> {
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (place, post) in posts.into_iter().enumerate() {
        let intended = began + Duration::from_secs(1) * place as u32 / rate as u32;
        tokio::time::sleep_until(intended).await;
        let session = session.clone();
        tasks.spawn(async move {
            match until {
                Until::Proved => session.post_unverified_for_load(&post).await.unwrap(),
                Until::Cosigned => session.post_cosigned_unverified_for_load(&post).await.unwrap(),
            }
            intended.elapsed().as_secs_f64() * 1e3
        });
    }
    tasks.join_all().await
}
