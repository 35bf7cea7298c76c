//! The hook: a program of the host's owner that is asked about whoever no row lets in (PROTOCOL 23.13).
//!
//! It is asked only about knockers whom the log proved. Whatever is not a clear yes within two seconds is a no. Verdicts are
//! remembered for as long as they say, so that a flood of knocks is not a flood of questions.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use data_encoding::HEXLOWER;
use identity::cert::Kid;
use identity::did::Did;
use lobby::Sess;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::lock;
use super::rules::Rights;
use crate::net::Asker;
use crate::prover::Proven;

/// How long a verdict holds that says no time of its own, and the longest one.
const LIFE_S: u64 = 60;
const LIFE_MAX_S: u64 = 600;

/// How long a no is remembered that was no answer: a hook that fails is not asked by every knock.
const FAILED: Duration = Duration::from_secs(2);

/// Questions at once, verdicts remembered, and the paths one may name.
const ASKED_MAX: usize = 8;
const KEPT_MAX: usize = 1_024;
const PATHS_MAX: usize = 64;

/// What a hook said of a device, of which the log proved this.
#[derive(Clone, Debug)]
struct Verdict {
    who: Proven,
    rights: Option<Rights>,
    until: Instant,
}

/// A hook's verdicts.
#[derive(Debug)]
pub(super) struct Hooks {
    asker: Asker,
    turns: Semaphore,
    kept: Mutex<HashMap<(String, Did, Kid), Verdict>>,
}

#[derive(Deserialize)]
struct Answer {
    allow: bool,
    #[serde(default)]
    paths: Vec<String>,
    rights: Option<String>,
    #[serde(default)]
    logs: Vec<String>,
    ttl_s: Option<u64>,
}

impl Hooks {
    /// Returns the verdicts of nobody yet.
    pub(super) fn new() -> Result<Self, crate::error::ClientError> {
        Ok(Self { asker: Asker::new()?, turns: Semaphore::new(ASKED_MAX), kept: Mutex::default() })
    }

    /// Asks the hook at `url`, or remembers what it said; with the time until which that holds. No rights: not let in.
    pub(super) async fn ask(
        &self,
        url: &str,
        name: &str,
        who: &Proven,
        device: &Kid,
        sess: &Sess,
    ) -> (Option<Rights>, Instant) {
        let key = (url.to_owned(), who.did, *device);
        let kept = lock(&self.kept).get(&key).cloned();
        // What the log changed is another question.
        if let Some(kept) = kept.filter(|kept| kept.until > Instant::now() && kept.who == *who) {
            return (kept.rights, kept.until);
        }
        let Ok(turn) = self.turns.try_acquire() else { return (None, Instant::now()) };
        let question = json!({
            "v": 1, "name": name, "did": who.did.to_string(), "names": who.names,
            "device": HEXLOWER.encode(&device.0), "session": HEXLOWER.encode(sess),
        });
        let answer = self.asker.ask(url, question.to_string().into_bytes()).await;
        drop(turn);
        let (rights, until) = verdict(answer.as_deref());
        let mut kept = lock(&self.kept);
        if kept.len() >= KEPT_MAX {
            let now = Instant::now();
            kept.retain(|_, verdict| verdict.until > now);
        }
        if kept.len() < KEPT_MAX {
            kept.insert(key, Verdict { who: who.clone(), rights: rights.clone(), until });
        }
        (rights, until)
    }
}

fn verdict(answer: Option<&[u8]>) -> (Option<Rights>, Instant) {
    let now = Instant::now();
    let Some(answer) = answer.and_then(|bytes| serde_json::from_slice::<Answer>(bytes).ok()) else {
        return (None, now + FAILED);
    };
    let until = now + Duration::from_secs(answer.ttl_s.unwrap_or(LIFE_S).min(LIFE_MAX_S));
    let Answer { allow, paths, rights, logs, .. } = answer;
    let allows = allow && paths.len() <= PATHS_MAX && logs.len() <= PATHS_MAX;
    (Rights::of_words(rights.as_deref(), paths, logs).filter(|_| allows), until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_lets_in() {
        for (answer, allowed) in [
            (Some(&br#"{"allow":true}"#[..]), true),
            (Some(br#"{"allow":true,"paths":["public/"],"ttl_s":5}"#), true),
            (Some(br#"{"allow":true,"rights":"rw","logs":["logs/"]}"#), true),
            (Some(br#"{"allow":true,"rights":"all"}"#), false),
            (Some(br#"{"allow":true,"logs":["logs/"]}"#), false),
            (Some(br#"{"allow":false}"#), false),
            (Some(br#"{"allow":"yes"}"#), false),
            (Some(br#"{}"#), false),
            (Some(b"true"), false),
            (Some(b""), false),
            (None, false),
        ] {
            assert_eq!(verdict(answer).0.is_some(), allowed, "{answer:?}");
        }
        let limited = verdict(Some(br#"{"allow":true,"paths":["public/"]}"#)).0.expect("let in");
        assert!(limited.cover("public/a") && !limited.cover("b"));
        let many: Vec<String> = vec!["a".to_owned(); PATHS_MAX + 1];
        assert!(verdict(Some(json!({ "allow": true, "paths": many }).to_string().as_bytes())).0.is_none());
        let long = verdict(Some(br#"{"allow":true,"ttl_s":99999}"#)).1 - Instant::now();
        assert!(long <= Duration::from_secs(LIFE_MAX_S));
    }
}
