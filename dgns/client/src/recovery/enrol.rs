//! An enrolment: made here, tried at every server, and then put into the log.

use dgns_api::path;
use identity::cert::{Enrolment, RecoveryServer, RecoverySet};
use identity::oprf::{Server, combine_public};
use identity::recovery::message::{Ask, Proof, Register};
use identity::recovery::{Bundle, Enrolled, Hardened, Hardening, Pin, Scope, sign_in_id};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::peer::{Peer, Refusal};
use crate::error::ClientError;
use crate::home::DeviceKeys;
use crate::rng;
use crate::session::Session;

/// What somebody chose.
pub struct Plan<'a> {
    /// Whose, and which epoch.
    pub scope: Scope,
    /// The servers, in the order of their points.
    pub peers: &'a [Peer],
    /// How many of them are needed.
    pub threshold: u8,
    /// The PIN.
    pub pin: Pin,
    /// The sign-ins that are listed, with their subjects; the last field of each is its salt.
    pub sign_ins: Vec<(Proof, Zeroizing<String>)>,
    /// How many of them an attempt shows.
    pub needed: u8,
}

/// Makes an enrolment, has every server keep its share, and tries the PIN through them as a recovery would.
///
/// Returns what the log is told. Errors: the servers that did not take their share; nothing is in the log then.
pub async fn enrol(
    session: &Session,
    device: &DeviceKeys,
    plan: Plan<'_>,
) -> Result<RecoverySet, (ClientError, Vec<Refusal>)> {
    let alone = |error: ClientError| (error, Vec::new());
    let Plan { scope, peers, threshold, pin, sign_ins, needed } = plan;
    let bundle = Bundle { scope, hardening: Hardening::DEFAULT, words: pin.is_words() };
    let hardened = harden(pin, &bundle).await.map_err(alone)?;
    let unable = |error: identity::oprf::OprfError| alone(ClientError::Unable(error.to_string()));
    let enrolled = Enrolled::new(&hardened, threshold, peers.len() as u8, &mut rng::system()).map_err(unable)?;
    let blinded = hardened.blind(&mut rng::system());
    let mut asking = JoinSet::new();
    for ((peer, share), backup) in peers.iter().zip(&enrolled.key_shares).zip(&enrolled.backup_shares) {
        let register = Register {
            bundle,
            key_share: Zeroizing::new(*share.secret()),
            backup_share: backup.clone(),
            sign_ins: sign_ins.iter().map(|(proof, _)| proof.clone()).collect(),
            needed,
            blinded: *blinded.element(),
            sign: device.sign.public(),
            kex: device.kex.public(),
        };
        let request = register.sign(session.trust().origin(), &device.sign);
        let (peer, point) = (peer.clone(), share.index);
        asking.spawn(async move {
            let answer = peer.evaluated(Ask::Register, path::RECOVERY_REGISTER, &request).await;
            (point, answer.map_err(|error| Refusal::of(&peer.url, &error)))
        });
    }
    let (mut answers, mut refusals) = (Vec::new(), Vec::new());
    while let Some(ended) = asking.join_next().await {
        match ended {
            Ok((point, Ok(evaluated))) => answers.push((point, evaluated)),
            Ok((_, Err(refusal))) => refusals.push(refusal),
            Err(_) => {}
        }
    }
    if !refusals.is_empty() || answers.len() != peers.len() {
        let what = "not every server took its share; nothing is in the log: leave those out, or try again";
        return Err((ClientError::Network(what.into()), refusals));
    }
    answers.sort_by_key(|(point, _)| *point);
    let public = |secret: &[u8; 32]| Server::from_scalar(secret).map(|server| server.public());
    let mut servers = Vec::with_capacity(peers.len());
    for ((peer, share), (_, answer)) in peers.iter().zip(&enrolled.key_shares).zip(&answers) {
        let oprf = public(share.secret()).map_err(unable)?;
        if blinded.check_share(&answer.element, &answer.proof, &oprf).is_err() {
            let error = ClientError::proof("bad_proof", "it does not evaluate with the share it was given");
            let refusal = Refusal::of(&peer.url, &error);
            return Err((error, vec![refusal]));
        }
        let (url, operator, key) = (peer.url.clone(), peer.info.operator.clone(), peer.info.key);
        servers.push(RecoveryServer { url, operator, key, oprf });
    }
    // As a recovery does it, by the servers that come last: what was dealt is what comes back.
    let needed_answers: Vec<_> = answers.iter().rev().take(usize::from(threshold)).collect();
    let elements: Vec<_> = needed_answers.iter().map(|(point, answer)| (*point, answer.element)).collect();
    let secret = hardened.combine(&blinded, &elements).map_err(unable)?;
    let keys: Vec<_> =
        needed_answers.iter().map(|(point, _)| (*point, servers[usize::from(*point) - 1].oprf)).collect();
    combine_public(&keys).map_err(unable)?;
    let sign = enrolled.secret.key().public();
    if secret.key().public() != sign {
        return Err(alone(ClientError::proof("bad_proof", "the servers' answers do not make the key that was dealt")));
    }
    let mut ids: Vec<_> =
        sign_ins.iter().map(|(proof, subject)| sign_in_id(&proof.issuer, subject, &proof.salt)).collect();
    ids.sort_unstable();
    let (kex, bundle) = (enrolled.backup, bundle.hash());
    let enrolment = Enrolment { servers, threshold, sign, kex, bundle, sign_ins: ids, needed };
    Ok(RecoverySet { epoch: scope.epoch, enrolment: Some(enrolment) })
}

/// Hardens a PIN on a thread where it holds nobody up.
pub(super) async fn harden(pin: Pin, bundle: &Bundle) -> Result<Hardened, ClientError> {
    let Bundle { scope, hardening, .. } = *bundle;
    let hardened = tokio::task::spawn_blocking(move || Hardened::new(&pin, scope, &hardening)).await;
    let hardened = hardened.map_err(|error| ClientError::Unable(error.to_string()))?;
    hardened.map_err(|error| ClientError::Unable(error.to_string()))
}
