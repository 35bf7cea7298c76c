//! Following the log's word of a DID while a connection to it stands.

use std::time::Duration;

use identity::did::Did;
use identity::state::Subject;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::error::ClientError;
use crate::prover::{Proven, Prover};

/// Between two looks at a DID of which the server says nothing: what it conceals holds for so long.
const LOOK: Duration = Duration::from_secs(20);

/// How long the log may give no answer.
const STALE: Duration = Duration::from_secs(60);

/// Before a stream that ended is opened again, and before a look that failed is repeated.
const AGAIN: Duration = Duration::from_secs(2);

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Gone {
    /// The judge said no to the newest state.
    Judged,
    /// The log gave no news for 60 s.
    Stale,
    /// The log is at fault.
    Fault(ClientError),
}

impl Gone {
    /// Returns the code that the other end is told.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Judged => "revoked",
            Self::Stale => "feed_stale",
            Self::Fault(_) => "log_fault",
        }
    }
}

/// Waits until `stays` says no to what the log proves of `did`, `None` being that it has no such DID; or until the log is silent.
pub(crate) async fn until_gone(prover: &Prover, did: &Did, stays: impl Fn(Option<&Proven>) -> bool) -> Gone {
    let mut proved = Instant::now();
    loop {
        let mut hints = timeout(AGAIN, prover.session().events(&Subject::Did(*did))).await.ok().and_then(Result::ok);
        let opened = Instant::now();
        loop {
            let look = async {
                match &mut hints {
                    Some(lines) => loop {
                        match lines.next().await {
                            Some(line) if line.starts_with("data:") => return true,
                            Some(_) => {}
                            None => return false,
                        }
                    },
                    None => {
                        sleep(AGAIN).await;
                        false
                    }
                }
            };
            let goes_on = tokio::select! {
                goes_on = look => goes_on,
                () = sleep_until(opened.max(proved) + LOOK) => true,
            };
            match prover.look_up(&Subject::Did(*did)).await {
                Ok(proven) if stays(proven.as_ref()) => proved = Instant::now(),
                Ok(_) => return Gone::Judged,
                Err(fault @ ClientError::Proof { .. }) => return Gone::Fault(fault),
                Err(_) if proved.elapsed() > STALE => return Gone::Stale,
                Err(_) => sleep(AGAIN).await,
            }
            if !goes_on {
                break;
            }
        }
        sleep(AGAIN / 4).await;
    }
}
