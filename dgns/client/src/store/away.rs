//! Going on past a server that is away for a moment: it is started again, or another one takes its place.

use tokio::time::{Duration, Instant, sleep};

use crate::error::ClientError;

/// For how long what may be asked again is, while nobody answers.
pub const AWAY_MAX: Duration = Duration::from_secs(30);

/// Before asking again the first time; each that fails doubles it, up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(100);

const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Asks what means the same however often it is asked, again while nobody answers, for [`AWAY_MAX`] at most; `told` is told why, once.
pub async fn past_absence<T>(
    told: &mut (impl FnMut(&str) + ?Sized),
    ask: impl AsyncFnMut() -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    within(AWAY_MAX, PAUSE, told, ask).await
}

async fn within<T>(
    away_max: Duration,
    mut pause: Duration,
    told: &mut (impl FnMut(&str) + ?Sized),
    mut ask: impl AsyncFnMut() -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let mut until = None;
    loop {
        let why = match ask().await {
            Err(ClientError::Network(why)) => why,
            answered => return answered,
        };
        let end = *until.get_or_insert_with(|| {
            told(&why);
            Instant::now() + away_max
        });
        if Instant::now() + pause > end {
            return Err(ClientError::Network(why));
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_away_for_a_moment_is_asked_again_and_who_refuses_is_not() {
        let away = ClientError::Network("away".into());
        let [long, short, pause] = [AWAY_MAX, Duration::from_millis(20), Duration::from_millis(1)];
        let (mut asked, mut told) = (0, Vec::new());
        let mut tell = |why: &str| told.push(why.to_owned());
        let back = within(long, pause, &mut tell, async || {
            asked += 1;
            if asked < 5 { Err(away.clone()) } else { Ok(asked) }
        });
        assert_eq!(back.await, Ok(5));
        let refused = ClientError::Unable("no".into());
        assert_eq!(within::<()>(long, pause, &mut tell, async || Err(refused.clone())).await, Err(refused));
        assert_eq!(within::<()>(short, pause, &mut tell, async || Err(away.clone())).await, Err(away));
        assert_eq!(told, ["away", "away"], "once each time");
    }
}
