//! Sizes of what is served, published as they grow (PROTOCOL 23.14).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lobby::limits::{NEWS_MAX, PUBLISHED_MAX};
use lobby::message::Frame;
use lobby::news::{News, Site};
use tokio::time::sleep;

use super::Host;

/// Between two looks at what is served.
const LOOK: Duration = Duration::from_secs(1);

/// Publishes until it is aborted.
pub(super) async fn run(host: Arc<Host>) {
    let mut registered = host.registered.subscribe();
    let (mut known, mut published): (HashMap<String, u64>, u64) = (HashMap::new(), 0);
    loop {
        let Ok(times) = registered.wait_for(|times| *times > 0).await.map(|times| *times) else { return };
        // A lobby that was told the name anew may know nothing any more.
        if std::mem::replace(&mut published, times) != times {
            known.clear();
        }
        let (looking, name) = (host.clone(), host.name.clone());
        let Ok(listed) = tokio::task::spawn_blocking(move || looking.served.list()).await else { return };
        let grown: Vec<(String, u64)> = listed
            .into_iter()
            .take(PUBLISHED_MAX)
            .filter(|file| known.get(&file.path).is_none_or(|size| *size < file.size))
            .map(|file| (file.path, file.size))
            .collect();
        for part in grown.chunks(NEWS_MAX) {
            let news = part.iter().map(|(path, size)| News { site: Site::new(&name, path), size: *size }).collect();
            // Whatever is not taken is published at the next look.
            if host.attached.ask(|id| Frame::Publish { id, news }).await.is_ok() {
                known.extend(part.iter().cloned());
            }
        }
        sleep(LOOK).await;
    }
}
