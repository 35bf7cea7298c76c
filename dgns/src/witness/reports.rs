//! What a witness met is told: each file that convicts a log goes to the other logs it knows, and to its own, as a Notice.
//!
//! A log notes one file once however often it comes, so a crash between a report and its record costs a repetition. A log that is
//! away gets it later; one that refuses it is left alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use data_encoding::HEXLOWER;
use dgns_api::path;
use identity::hash::sha256;
use storage::durable;
use tokio::sync::watch;
use tracing::{info, warn};
use translog::fault::{FaultFile, Proved};
use translog::note::VerifierKey;

use super::Roles;
use super::evidence::Evidence;
use crate::app::{App, Role};
use crate::log::door::DoorError;
use crate::log::notices::NoticesError;
use crate::outbound::{Bounds, Outbound};
use crate::{problem, rotation, shutdown};

/// The pause before a log that was away is told again.
const AGAIN: Duration = Duration::from_secs(30);

/// What one report may cost: a Notice waits for its commit.
const BOUNDS: Bounds = Bounds { deadline: Duration::from_secs(10), body_bytes_max: 64 << 10 };

/// The word for one's own log in the record of what was reported.
const OWN: &str = "own";

/// Counts what was told.
#[derive(Debug, Default)]
pub(super) struct Reports {
    pub(super) taken: AtomicU64,
    pub(super) refused: AtomicU64,
}

/// What became of one report.
enum Told {
    Taken,
    Refused(String),
    Later(String),
}

/// Reports until `stop` turns true. `own` is the server whose log says so too, if the witness stands in one that writes.
pub async fn run(roles: Arc<Roles>, outbound: Outbound, own: Option<Arc<App>>, mut stop: watch::Receiver<bool>) {
    let mut kept = roles.evidence.kept();
    loop {
        kept.mark_unchanged();
        let is_done = tokio::select! {
            is_done = report_all(&roles, &outbound, own.as_deref()) => is_done,
            () = shutdown::requested(&mut stop) => return,
        };
        tokio::select! {
            () = shutdown::requested(&mut stop) => return,
            changed = kept.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(AGAIN), if !is_done => {}
        }
    }
}

/// Tells everybody what they were not told yet; returns whether all of it arrived.
async fn report_all(roles: &Roles, outbound: &Outbound, own: Option<&App>) -> bool {
    let mut reported = Reported::read(&roles.evidence);
    let mut is_done = true;
    for name in roles.evidence.names() {
        let Some(bytes) = roles.evidence.read(&name) else { continue };
        let Some(accused) = convicted(&bytes) else { continue };
        let mut places: Vec<String> = roles.reads_from(accused.name());
        places.extend(own.map(|_| OWN.to_owned()));
        for place in places {
            if reported.has(&bytes, &place) {
                continue;
            }
            let told = match own.filter(|_| place == OWN) {
                Some(own) => tell_own(own, &bytes).await,
                None => tell(outbound, &place, &bytes).await,
            };
            match told {
                Told::Taken => {
                    roles.reports.taken.fetch_add(1, Ordering::Relaxed);
                    info!(file = name, place, "evidence is in a log");
                    reported.keep(&bytes, &place);
                }
                Told::Refused(why) => {
                    roles.reports.refused.fetch_add(1, Ordering::Relaxed);
                    warn!(file = name, place, why, "a log does not take evidence");
                    reported.keep(&bytes, &place);
                }
                Told::Later(why) => {
                    warn!(file = name, place, why, "evidence is not reported yet");
                    is_done = false;
                }
            }
        }
    }
    is_done
}

/// Whom a file convicts of two histories.
fn convicted(bytes: &[u8]) -> Option<VerifierKey> {
    let conviction = FaultFile::decode(bytes).ok()?.check().ok()?;
    (conviction.proved == Proved::TwoHistories).then_some(conviction.key)
}

async fn tell(outbound: &Outbound, prefix: &str, evidence: &[u8]) -> Told {
    let url = format!("{}{}", rotation::server_of(prefix), path::NOTICES);
    match outbound.post(&url, path::OCTETS, evidence.to_vec(), BOUNDS).await {
        Ok(answer) if answer.status == 200 => Told::Taken,
        Ok(answer) if answer.status == 429 || answer.status >= 500 => Told::Later(format!("status {}", answer.status)),
        Ok(answer) => Told::Refused(format!("status {}", answer.status)),
        Err(error) => Told::Later(error.to_string()),
    }
}

async fn tell_own(app: &App, evidence: &[u8]) -> Told {
    let Role::Writer(door) = &app.role else { return Told::Refused("a follower writes nothing".into()) };
    match app.notices.submit(&app.core, door, evidence).await {
        Ok(_) => Told::Taken,
        Err(NoticesError::Evidence(refusal)) => Told::Refused(refusal.to_string()),
        Err(error @ NoticesError::Door(DoorError::Storage(_))) => Told::Later(error.to_string()),
        Err(error) => Told::Later(problem::of_notices(&error).code.clone()),
    }
}

/// What was reported where, one line each: the file's SHA-256 and the place.
struct Reported {
    at: std::path::PathBuf,
    lines: BTreeSet<String>,
}

impl Reported {
    fn read(evidence: &Evidence) -> Self {
        let at = evidence.reported_at();
        let text = std::fs::read_to_string(&at).unwrap_or_default();
        Self { at, lines: text.lines().map(str::to_owned).collect() }
    }

    fn has(&self, bytes: &[u8], place: &str) -> bool {
        self.lines.contains(&line(bytes, place))
    }

    /// Keeps a record. One that is lost costs a repetition.
    fn keep(&mut self, bytes: &[u8], place: &str) {
        self.lines.insert(line(bytes, place));
        let text: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        if let Err(error) = durable::replace(&self.at, text.as_bytes()) {
            warn!(%error, "what was reported is not kept");
        }
    }
}

fn line(bytes: &[u8], place: &str) -> String {
    format!("{} {place}", HEXLOWER.encode(&sha256(&[bytes])))
}
