//! `recover`: every device is lost; a PIN, a sign-in and enough servers bring the account back.
//!
//! Each step leaves what the next needs on disk, so the same command goes on after whatever ended it: sign in, `recover_open`, the
//! servers' answers, `recover_prove`, the window, the backup, `recover_final`, the user key.

use std::path::PathBuf;
use std::time::Duration;

use dgns_api::problem::Problem;
use dgns_client::draft::{Place, device_of};
use dgns_client::error::ClientError;
use dgns_client::home::DeviceKeys;
use dgns_client::recovery::{self, Kept, Known, Peer, Stage};
use dgns_client::session::{Session, Signer};
use dgns_client::{clock, rng, user_keys};
use identity::cert::{Attempt, Body, IdRotate, Level, RecoverFinal, RecoverOpen};
use identity::did::Did;
use identity::evidence::Purpose;
use identity::key::SigningKey;
use identity::limits::{BACKOFF_MS, GUESSES_MAX};
use identity::recovery::gate::Logged;
use identity::recovery::message::{Evaluate, Proof};
use identity::recovery::{Bundle, Pin, Scope, Secret};
use identity::seed::Words;
use identity::state::{DidState, RecoveryPhase};
use serde_json::json;

use super::output::time;
use super::recovery::{asked, given, subject_of, warn_of};
use super::{Context, Done, Ended, actor, arguments, devices, login, pair};

/// How often a lost race for the chain is tried again.
const TRIES: u32 = 8;

/// Arguments of `recover`.
#[derive(Debug, clap::Args)]
pub(crate) struct Recover {
    /// The name or DID that is lost
    name: String,
    /// The PIN, or the four words. Asked for if left out
    #[arg(long, value_name = "PIN")]
    pin: Option<String>,
    /// A file with the PIN on its first line: arguments are seen by whoever lists processes. `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "pin")]
    pin_file: Option<PathBuf>,
    /// An issuer to sign in at, or `passkey`; again for each that is needed. The only one if left out
    #[arg(long, value_name = "ISSUER")]
    signin: Vec<String>,
    /// Only go on with a recovery that was begun here
    #[arg(long)]
    resume: bool,
    /// Begin a new attempt although one of this device's is open
    #[arg(long, conflicts_with = "resume")]
    again: bool,
    /// Stay until the window is over, and finish
    #[arg(long)]
    wait: bool,
    /// Take new words, for the old ones are lost too
    #[arg(long)]
    new_words: bool,
    /// Only print where to sign in, start no browser
    #[arg(long)]
    no_browser: bool,
    /// What this device is called, for your own eyes
    #[arg(long, default_value = "device")]
    label: String,
}

/// A recovery at work.
struct Work<'a> {
    context: &'a Context,
    arguments: &'a Recover,
    session: Session,
    keys: DeviceKeys,
}

/// Goes on as far as it goes.
pub(crate) async fn recover(context: &Context, arguments: Recover) -> Done {
    let session = context.session().await?;
    session.repeat_post().await?;
    let resolved = session.resolve(&arguments::subject(&session, &arguments.name)?).await?;
    let did = resolved.did().ok_or_else(|| ClientError::Absent(arguments.name.clone()))?.did;
    let keys = pair::keys_of_home(&session)?;
    if let Some(own) = keys.did.filter(|own| *own != did) {
        return Err(ClientError::Unable(format!("this home is a device of {own}: use another --home")));
    }
    let mut work = Work { context, arguments: &arguments, session, keys };
    loop {
        let known = recovery::known(&work.session, &did).await?;
        if let Some(ended) = work.step(&did, known).await? {
            return Ok(ended);
        }
    }
}

impl Work<'_> {
    /// Does what is next. `None`: look again, and go on.
    async fn step(&mut self, did: &Did, known: Known) -> Result<Option<Ended>, ClientError> {
        let kept = Kept::read(self.session.log(), did)?;
        let own = self.keys.sign.public();
        if known.did.devices.iter().any(|device| device.sign == own) {
            return self.arrived(&known, kept).await.map(Some);
        }
        let logged = known.logged.as_ref().ok_or_else(|| {
            refused(
                404,
                "no_recovery",
                "nobody enrolled for a recovery of this account; its words or a device are all there is",
            )
        })?;
        let is_mine = logged.state.attempt.is_some_and(|attempt| attempt.sign == own);
        let scope = Scope { did: *did, epoch: logged.state.epoch };
        let number = logged.state.guesses;
        let kept = kept.filter(|kept| is_mine && kept.scope == scope && kept.attempt == number);
        match (logged.state.phase, kept.map(|kept| kept.stage)) {
            (RecoveryPhase::Burnt, _) => {
                Kept::forget(self.session.log())?;
                Err(refused(
                    410,
                    "burnt",
                    "this recovery was vetoed by a device or the words of the account; only they can enrol anew",
                ))
            }
            (RecoveryPhase::Proved, Some(Stage::Known(_) | Stage::Opened(..))) => self.waits(&known).await,
            (RecoveryPhase::Ready, Some(Stage::Known(secret))) => {
                self.open(logged, scope, secret).await?;
                Ok(None)
            }
            (RecoveryPhase::Ready, Some(Stage::Opened(secret, _))) => {
                self.finish(&known, logged, &secret).await?;
                Ok(None)
            }
            (RecoveryPhase::Proved | RecoveryPhase::Ready, _) => {
                let until = time(logged.state.due_ms);
                Err(refused(
                    409,
                    "recovery_pending",
                    &format!("a recovery from another device, or another home, is pending until {until}"),
                ))
            }
            (RecoveryPhase::Open, Some(Stage::Known(secret))) => {
                self.prove(&known, scope, number, &secret).await?;
                Ok(None)
            }
            (RecoveryPhase::Open, Some(Stage::Open { factor, sign_ins })) if !self.arguments.again => {
                self.evaluate(logged, scope, factor, sign_ins, None).await?;
                Ok(None)
            }
            _ if self.arguments.resume => Err(ClientError::Unable("no recovery of this account was begun here".into())),
            _ => {
                self.begin(&known, logged, scope).await?;
                Ok(None)
            }
        }
    }

    /// Spends a guess: signs in with the blinded PIN, puts the attempt into the log, and asks the servers.
    async fn begin(&mut self, known: &Known, logged: &Logged, scope: Scope) -> Result<(), ClientError> {
        let spent = logged.state.guesses;
        if spent >= GUESSES_MAX {
            return Err(refused(
                410,
                "guesses_spent",
                "the ten guesses of this enrolment are spent; its words or a device enrol anew",
            ));
        }
        self.back_off(logged).await?;
        let peers = self.meet(logged).await?;
        self.context.out.warn(&format!(
            "{} guesses are left; each is public, and told to every device of the account at once.",
            GUESSES_MAX - spent
        ));
        let bundle = bundle(&peers, logged).await?;
        let pin = self.pin(&bundle).await?;
        self.context.out.note("hardening the PIN ...");
        let hardened = recovery::hardened(pin, &bundle).await?;
        let blinded = hardened.blind(&mut rng::system());
        let mut sign_ins = Vec::new();
        let mut evidence = Vec::new();
        for issuer in self.issuers(logged) {
            let purpose = (Purpose::Recovery, Some(*blinded.element()));
            let (session, keys) = (&self.session, &self.keys);
            let signed =
                login::sign_in_for(self.context, session, keys, issuer, self.arguments.no_browser, purpose).await?;
            let shown = signed.shown.ok_or_else(|| ClientError::Unable("the sign-in shows nothing".into()))?;
            evidence.push(signed.evidence);
            let (random, salt) = (shown.nonce, shown.random);
            sign_ins.push(Proof { issuer: signed.issuer.issuer, statement: shown.statement, random, salt });
        }
        evidence.sort_unstable();
        let stage = Stage::Open { factor: *blinded.factor(), sign_ins: sign_ins.clone() };
        // Before the attempt is in the log: whatever ends this command, the next one asks for this point.
        Kept { scope, attempt: spent + 1, stage }.keep(self.session.log())?;
        let open = RecoverOpen {
            attempt: Attempt { epoch: scope.epoch, number: spent + 1 },
            sign: self.keys.sign.public(),
            kex: self.keys.kex.public(),
            blinded: *blinded.element(),
            evidence,
        };
        self.post(&known.did, Body::RecoverOpen(open), &[&self.keys.sign]).await?;
        let after = recovery::known(&self.session, &scope.did).await?;
        let logged = after.logged.as_ref().ok_or_else(|| ClientError::Unable("the enrolment is gone".into()))?;
        self.evaluate(logged, scope, *blinded.factor(), sign_ins, Some((hardened, peers))).await
    }

    /// Asks the servers for the attempt's point, and holds what they make against the log.
    async fn evaluate(
        &self,
        logged: &Logged,
        scope: Scope,
        factor: [u8; 32],
        sign_ins: Vec<Proof>,
        ready: Option<(identity::recovery::Hardened, Vec<Peer>)>,
    ) -> Result<(), ClientError> {
        let (hardened, peers) = match ready {
            Some(ready) => ready,
            None => {
                let peers = self.meet(logged).await?;
                let bundle = bundle(&peers, logged).await?;
                let pin = self.pin(&bundle).await?;
                (recovery::hardened(pin, &bundle).await?, peers)
            }
        };
        let blinded = hardened.blind_again(&factor).map_err(|error| ClientError::Unable(error.to_string()))?;
        if logged.open.as_ref().is_none_or(|open| open.blinded != *blinded.element()) {
            return Err(ClientError::Unable(
                "this is not the PIN of the attempt that is open; nothing was spent. Type that one, or begin another with --again"
                    .into(),
            ));
        }
        let number = logged.state.guesses;
        let ask = Evaluate { scope, attempt: number, sign_ins };
        let answers = recovery::ask_all(&peers, &logged.enrolment, &blinded, &ask).await;
        warn_of(self.context, &answers.refusals);
        let needed = usize::from(logged.enrolment.threshold);
        if answers.good.len() < needed {
            if answers.good.is_empty() && answers.refusals.iter().all(|refusal| refusal.code == "unknown_signin") {
                Kept::forget(self.session.log())?;
                let what = "this sign-in leads to the account, but its recovery servers were never told of it; the guess is spent. \
                            Begin again with the one you enrolled with: --signin";
                return Err(refused(401, "other_signin", what));
            }
            return Err(too_few(&answers, needed));
        }
        let secret = hardened.combine(&blinded, &answers.good[..needed]);
        let secret = secret.map_err(|error| ClientError::Unable(error.to_string()))?;
        if secret.key().public() != logged.enrolment.sign {
            Kept::forget(self.session.log())?;
            let left = GUESSES_MAX - number;
            let wait_ms = BACKOFF_MS.get(usize::from(number)).copied().unwrap_or(0);
            let what = match left {
                0 => "the PIN is wrong, and no guess is left".to_owned(),
                _ => format!("the PIN is wrong; {left} guesses are left, the next in {} s", wait_ms / 1_000),
            };
            let problem = Problem { retry_ms: Some(wait_ms), ..Problem::new(401, "wrong_pin", what) };
            return Err(ClientError::Refused(Box::new(problem)));
        }
        Kept { scope, attempt: number, stage: Stage::Known(secret) }.keep(self.session.log())
    }

    /// Puts into the log that the PIN was right: the window begins.
    async fn prove(&self, known: &Known, scope: Scope, number: u8, secret: &Secret) -> Result<(), ClientError> {
        let body = Body::RecoverProve(Attempt { epoch: scope.epoch, number });
        self.post(&known.did, body, &[&secret.key(), &self.keys.sign]).await
    }

    /// The window runs. Ends the command, or lets time pass.
    async fn waits(&self, known: &Known) -> Result<Option<Ended>, ClientError> {
        let due_ms = known.logged.as_ref().map_or(0, |logged| logged.state.due_ms);
        let left_ms = due_ms.saturating_sub(clock::now().as_ms());
        if self.arguments.wait {
            self.context.out.note(&format!("the PIN is right; {} left until {}", countdown(left_ms), time(due_ms)));
            tokio::time::sleep(Duration::from_millis(left_ms.clamp(250, 15_000))).await;
            return Ok(None);
        }
        let text = format!(
            "the PIN is right. Unless a device or the words of the account veto it, the account is yours at {} ({} left); then:\n  dgns recover {} --resume\nA device of the account that approves (dgns confirm) shortens this.",
            time(due_ms),
            countdown(left_ms),
            self.arguments.name
        );
        let value = json!({ "ok": true, "phase": "proved", "due_ms": due_ms, "left_ms": left_ms, "did": known.did.did.to_string() });
        self.context.out.result(&text, &value);
        Ok(Some(Ended::Waits))
    }

    /// Collects the shares of the backup.
    async fn open(&self, logged: &Logged, scope: Scope, secret: Secret) -> Result<(), ClientError> {
        let peers = self.meet(logged).await?;
        let place = (scope, logged.state.guesses);
        let opened =
            recovery::open_backup(&self.session, (&peers, &logged.enrolment), place, &self.keys, &secret).await;
        let opened = opened.map_err(|(error, refusals)| {
            warn_of(self.context, &refusals);
            error
        })?;
        warn_of(self.context, &opened.refusals);
        let stage = Stage::Opened(secret, opened.backup);
        Kept { scope, attempt: logged.state.guesses, stage }.keep(self.session.log())
    }

    /// Takes the account over: this device alone is left of its devices.
    async fn finish(&self, known: &Known, logged: &Logged, secret: &Secret) -> Result<(), ClientError> {
        let words = self.arguments.new_words.then(|| Words::generate(&mut rng::system()));
        if let Some(words) = &words {
            actor::show_words(self.context, words, None);
        }
        let identity = words.as_ref().map(Words::identity);
        let rotate = words
            .as_ref()
            .zip(identity.as_ref())
            .map(|(words, identity)| IdRotate { identity: identity.public(), words_box: words.words_box().public() });
        let device = device_of(&self.keys, Level::Admin, devices::fresh_label(&self.arguments.label));
        let attempt = Attempt { epoch: logged.state.epoch, number: logged.state.guesses };
        let body = Body::RecoverFinal(RecoverFinal { attempt, keep: Vec::new(), device, words: rotate });
        let key = secret.key();
        let mut signers = vec![&key, &self.keys.sign];
        signers.extend(identity.as_ref());
        self.post(&known.did, body, &signers).await
    }

    /// This device is one of the account's: what was sealed to the person is opened, and sealed anew.
    async fn arrived(&mut self, known: &Known, kept: Option<Kept>) -> Result<Ended, ClientError> {
        let did = known.did.did;
        self.keys.did = Some(did);
        self.session.log().keep_device(&self.keys)?;
        let signer = Signer { did, keys: &self.keys };
        let mut opened = false;
        if let Some(Kept { stage: Stage::Opened(_, backup), .. }) = &kept {
            match user_keys::newest_with(&self.session, signer, &known.did, backup).await {
                Ok(seed) => opened = seed.is_some(),
                // A run of before may have turned it already, and ended before it could say so.
                Err(ClientError::Refused(_)) if user_keys::has_previous(&self.session, signer, &known.did).await => {
                    opened = true;
                }
                Err(ClientError::Refused(problem)) => {
                    self.context.out.warn(&format!(
                        "warning: what was sealed before does not open ({}): {}",
                        problem.code, problem.detail
                    ));
                }
                Err(error) => return Err(error),
            }
        }
        let turned = user_keys::turn_if_stale(&self.session, signer).await?;
        Kept::forget(self.session.log())?;
        let text = format!(
            "{} is yours again: {did}\n\nEvery other device is out. The PIN is used up. Next: dgns recovery set --servers ...",
            self.arguments.name
        );
        let value =
            json!({ "ok": true, "phase": "recovered", "did": did.to_string(), "user_key": opened, "turned": turned });
        self.context.out.result(&text, &value);
        Ok(Ended::Ok)
    }

    /// Signs what is next in the chain, and posts it; again if another certificate came first.
    async fn post(&self, state: &DidState, body: Body, keys: &[&SigningKey]) -> Result<(), ClientError> {
        let subject = subject_of(state);
        for left in (0..TRIES).rev() {
            let resolved = self.session.resolve(&subject).await?;
            let now = resolved.did().ok_or_else(|| ClientError::Absent(state.did.to_string()))?;
            let place = Place::after(state.did, &now.head, resolved.head(), clock::now());
            let signed = place.sign(body.clone(), None, self.session.trust().origin(), keys);
            let signed = signed.map_err(actor::unsignable)?;
            match self.session.post(std::slice::from_ref(&signed), &subject).await {
                Err(ClientError::Refused(problem)) if problem.code == "stale_prev" && left > 0 => {}
                ended => return ended.map(drop),
            }
        }
        unreachable!("the last try returns")
    }

    /// Meets the servers; too few end the command before a guess is spent.
    async fn meet(&self, logged: &Logged) -> Result<Vec<Peer>, ClientError> {
        let (peers, missed) = recovery::meet_logged(self.session.trust().origin(), &logged.enrolment).await;
        warn_of(self.context, &missed);
        let needed = usize::from(logged.enrolment.threshold);
        match peers.len() >= needed {
            true => Ok(peers),
            false => Err(ClientError::Network(format!(
                "{} of {} recovery servers answer, {needed} are needed; no guess was spent",
                peers.len(),
                logged.enrolment.servers.len()
            ))),
        }
    }

    /// Waits for the next attempt to be allowed, or says when it is.
    async fn back_off(&self, logged: &Logged) -> Result<(), ClientError> {
        let wait_ms = BACKOFF_MS.get(usize::from(logged.state.guesses)).copied().unwrap_or(0);
        let from_ms = logged.state.attempt.map_or(0, |attempt| attempt.at_ms.saturating_add(wait_ms));
        let left_ms = from_ms.saturating_sub(clock::now().as_ms());
        if left_ms == 0 {
            return Ok(());
        }
        if self.arguments.wait {
            self.context.out.note(&format!("the next attempt may begin in {}", countdown(left_ms)));
            tokio::time::sleep(Duration::from_millis(left_ms)).await;
            return Ok(());
        }
        let what = format!("the next attempt may begin at {} ({} left)", time(from_ms), countdown(left_ms));
        let problem = Problem { retry_ms: Some(left_ms), ..Problem::new(409, "backoff", what) };
        Err(ClientError::Refused(Box::new(problem)))
    }

    /// Returns where to sign in: as many issuers as are needed.
    fn issuers(&self, logged: &Logged) -> Vec<Option<&str>> {
        match self.arguments.signin.as_slice() {
            [] => vec![None; usize::from(logged.needed()).max(1)],
            named => named.iter().map(|issuer| Some(issuer.as_str())).collect(),
        }
    }

    async fn pin(&self, bundle: &Bundle) -> Result<Pin, ClientError> {
        let text = match given(self.arguments.pin.as_deref(), self.arguments.pin_file.as_deref())? {
            Some(pin) => pin,
            None if bundle.words => asked(self.context, "The four words: ").await?,
            None => asked(self.context, "The PIN: ").await?,
        };
        Pin::read(&text).map_err(|error| ClientError::Unable(format!("{error}; no guess was spent")))
    }
}

/// Takes the bundle of the enrolment from whoever has it.
async fn bundle(peers: &[Peer], logged: &Logged) -> Result<Bundle, ClientError> {
    let mut last = ClientError::Network("no recovery server answers".into());
    for peer in peers {
        match peer.bundle(&logged.enrolment.bundle).await {
            Ok(bundle) => return Ok(bundle),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn too_few(answers: &recovery::Answers, needed: usize) -> ClientError {
    let codes: Vec<_> = answers.refusals.iter().map(|refusal| format!("{}: {}", refusal.url, refusal.code)).collect();
    let what = format!(
        "{} of {needed} servers answered well ({}). The guess is spent; the same point is answered again: dgns recover --resume",
        answers.good.len(),
        codes.join(", ")
    );
    ClientError::Network(what)
}

fn countdown(ms: u64) -> String {
    let s = ms.div_ceil(1_000);
    match (s / 86_400, s / 3_600 % 24, s / 60 % 60, s % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, h, _, _) => format!("{d} d {h} h"),
    }
}

fn refused(status: u16, code: &str, what: &str) -> ClientError {
    ClientError::Refused(Box::new(Problem::new(status, code, what)))
}

#[cfg(test)]
mod tests {
    use super::countdown;

    #[test]
    fn time_that_is_left_is_said_in_two_units() {
        let said: Vec<_> = [1, 59_000, 61_000, 3_600_000, 259_200_000].map(countdown).into();
        assert_eq!(said, ["1 s", "59 s", "1 min 1 s", "1 h 0 min", "3 d 0 h"]);
    }
}
