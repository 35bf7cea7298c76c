//! An attempt at the servers: the answers to its point, and in the end their shares of the backup.

use std::time::Duration;

use dgns_api::path;
use identity::cert::Enrolment;
use identity::key::KexSecret;
use identity::oprf::{Blinded, Element};
use identity::recovery::message::{Ask, Evaluate, Release, open_share};
use identity::recovery::{Bundle, Hardened, Pin, Scope, Secret, Share};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::enrol::harden;
use super::peer::{Peer, Refusal};
use crate::error::ClientError;
use crate::home::DeviceKeys;
use crate::session::Session;

/// How long servers are listened to once enough have answered: so that a liar is named, and a dead one holds nobody up.
const GRACE: Duration = Duration::from_millis(200);

/// What servers said to one point.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// The good ones: points and elements, each proved under the key in the log.
    pub good: Vec<(u8, Element)>,
    /// The others.
    pub refusals: Vec<Refusal>,
}

/// A backup that was opened.
pub struct Opened {
    /// What opens the boxes of the user key.
    pub backup: KexSecret,
    /// Servers that did not release their share, or released a false one.
    pub refusals: Vec<Refusal>,
}

/// A PIN on its way: what is blinded of it.
pub async fn hardened(pin: Pin, bundle: &Bundle) -> Result<Hardened, ClientError> {
    harden(pin, bundle).await
}

/// Asks every server for the attempt's point, until as many as are needed have answered well.
pub async fn ask_all(peers: &[Peer], enrolment: &Enrolment, blinded: &Blinded, ask: &Evaluate) -> Answers {
    let request = ask.encode();
    let mut asking = JoinSet::new();
    for peer in peers.iter().cloned() {
        let request = request.clone();
        asking.spawn(async move {
            let answer = peer.evaluated(Ask::Evaluate, path::RECOVERY_EVALUATE, &request).await;
            (peer, answer)
        });
    }
    let (mut answers, mut until) = (Answers::default(), None);
    loop {
        let next = match until {
            None => asking.join_next().await,
            Some(until) => tokio::time::timeout_at(until, asking.join_next()).await.unwrap_or_default(),
        };
        let Some(ended) = next else { return answers };
        let Ok((peer, answer)) = ended else { continue };
        let logged = usize::from(peer.point).checked_sub(1).and_then(|at| enrolment.servers.get(at));
        match (answer, logged) {
            (Ok(answer), Some(server)) => match blinded.check_share(&answer.element, &answer.proof, &server.oprf) {
                Ok(()) => answers.good.push((peer.point, answer.element)),
                Err(error) => {
                    let lie = ClientError::proof(error.code(), format!("its answer is false: {error}"));
                    answers.refusals.push(Refusal::of(&peer.url, &lie));
                }
            },
            (Err(error), _) => answers.refusals.push(Refusal::of(&peer.url, &error)),
            (Ok(_), None) => {}
        }
        if answers.good.len() == usize::from(enrolment.threshold) {
            until = Some(Instant::now() + GRACE);
        }
    }
}

/// Collects the shares of the backup and opens it.
///
/// Errors: with the servers that did not release theirs, if the others are too few.
pub async fn open_backup(
    session: &Session,
    (peers, enrolment): (&[Peer], &Enrolment),
    (scope, attempt): (Scope, u8),
    device: &DeviceKeys,
    secret: &Secret,
) -> Result<Opened, (ClientError, Vec<Refusal>)> {
    let mut asking = JoinSet::new();
    for peer in peers.iter().cloned() {
        let release = Release { scope, attempt, server: peer.info.key };
        let request = release.sign(session.trust().origin(), &device.sign);
        let kex = device.kex.clone();
        asking.spawn(async move {
            let bytes = peer.asked_as_logged(Ask::Release, path::RECOVERY_RELEASE, &request).await;
            let share = bytes.and_then(|bytes| {
                open_share(&bytes, &scope, &peer.info.key, &kex)
                    .ok()
                    .filter(|share| share.index == peer.point)
                    .ok_or_else(|| ClientError::proof("bad_share", "what it released is not its share"))
            });
            share.map_err(|error| Refusal::of(&peer.url, &error))
        });
    }
    let (mut shares, mut refusals): (Vec<Share>, Vec<Refusal>) = (Vec::new(), Vec::new());
    while let Some(ended) = asking.join_next().await {
        match ended {
            Ok(Ok(share)) => shares.push(share),
            Ok(Err(refusal)) => refusals.push(refusal),
            Err(_) => {}
        }
    }
    let Some((backup, liars)) = secret.open_backup(enrolment, &shares) else {
        let why = format!("{} of {} shares of the backup came", shares.len(), enrolment.threshold);
        return Err((ClientError::Network(why), refusals));
    };
    for peer in peers.iter().filter(|peer| liars.contains(&peer.point)) {
        let lie = ClientError::proof("bad_share", "its share of the backup is false");
        refusals.push(Refusal::of(&peer.url, &lie));
    }
    Ok(Opened { backup, refusals })
}
