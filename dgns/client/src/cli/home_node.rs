//! The home node of a hosted name: chosen where the lobby has several nodes, and certified among the name's records.

use std::time::Duration;

use dgns_client::error::ClientError;
use dgns_client::nodes;
use identity::state::Subject;
use tokio::time::Instant;

use super::Context;
use super::actor::Actor;
use super::records::certify;

/// How long a home node may be away before another becomes the home.
const AWAY_MAX: Duration = Duration::from_secs(600);

/// Between two looks whether it is there.
pub(super) const LOOK: Duration = Duration::from_secs(60);

/// The nodes that a name's records name.
const NAMED: usize = 2;

/// What is known of a name's home.
#[derive(Debug, Default)]
pub(super) struct HomeNode {
    away_since: Option<Instant>,
}

impl HomeNode {
    /// Chooses home and second node where that is to be done; returns the nodes to host the name at, best first.
    pub(super) async fn look(
        &mut self,
        context: &Context,
        actor: &Actor,
        name: &str,
    ) -> Result<Vec<String>, ClientError> {
        let live = actor.session.info().await?.lobby.map(|lobby| lobby.nodes).unwrap_or_default();
        let resolved = actor.session.resolve(&Subject::Name(name.to_owned())).await?;
        let mut named = resolved.records().map(nodes::named).unwrap_or_default();
        if named.is_empty() && live.len() < NAMED {
            return Ok(vec![actor.session.server().to_owned()]);
        }
        if self.is_due(&named, &live, Instant::now()) {
            let chosen: Vec<String> = nodes::in_order(name, &live).into_iter().take(NAMED).collect();
            // Nodes without names stand in no records: then any of them is as good.
            if let Some(rows) = nodes::rows(&chosen) {
                certify(context, actor, name, |set| {
                    set.rows.retain(|row| row.owner != nodes::OWNER);
                    set.rows.extend_from_slice(&rows);
                    Ok(())
                })
                .await?;
                named = chosen.iter().filter_map(|url| nodes::place(url)).collect();
                self.away_since = None;
            }
        }
        Ok(nodes::ordered(actor.session.server(), &live, &named))
    }

    /// Returns whether there is no home yet, or it was away for so long that another is chosen.
    fn is_due(&mut self, named: &[(String, u16)], live: &[String], now: Instant) -> bool {
        let Some(home) = named.first() else { return true };
        if live.len() < NAMED || live.iter().any(|url| nodes::place(url).as_ref() == Some(home)) {
            self.away_since = None;
            return false;
        }
        now - *self.away_since.get_or_insert(now) >= AWAY_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_home_is_chosen_when_the_first_was_away_for_ten_minutes_and_no_sooner() {
        let urls = |urls: &[&str]| urls.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>();
        let (all, others) = (urls(&["https://a", "https://b", "https://c"]), urls(&["https://b", "https://c"]));
        let named = [("a".to_owned(), 443), ("b".to_owned(), 443)];
        let (mut home, start) = (HomeNode::default(), Instant::now());
        assert!(home.is_due(&[], &all, start), "there is none yet");
        let minutes = |minutes: u32| start + LOOK * minutes;
        for (at, live, due) in [
            (0, &all, false),
            (1, &others, false),
            (10, &others, false),
            (10, &all, false),
            (11, &others, false),
            (20, &urls(&["https://b"]), false),
            (21, &others, false),
            (30, &others, false),
            (31, &others, true),
        ] {
            assert_eq!(home.is_due(&named, live, minutes(at)), due, "{at} minutes");
        }
    }
}
