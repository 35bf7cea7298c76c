//! Whether a head has the cosignatures a policy asks for, and of the right time (PROTOCOL 11.3 steps 2 and 3).

use identity::name::Origin;
use identity::time::Timestamp;

use super::Policy;
use crate::head::Head;
use crate::limits::CLOCK_TOLERANCE_MS;
use crate::note::Signed;
use crate::resolve::VerifyError;

/// The cosignatures of one head by the witnesses a policy knows; they are enough, whatever their times.
#[derive(Clone, Debug)]
pub struct Cosignatures<'k> {
    signed: Vec<Signed<'k>>,
}

impl Policy {
    /// Checks the cosignatures by known keys and that they meet the quorum.
    ///
    /// `verified` says that this head's were checked before under the same witnesses: then the quorum alone is asked for.
    /// Errors: [`VerifyError::Quorum`].
    pub fn judge(&self, origin: &Origin, head: &Head, verified: bool) -> Result<Cosignatures<'_>, VerifyError> {
        let signed = match verified {
            true => head.cosignatures_unverified(&self.cosigners),
            false => head.verify_cosignatures(origin, &self.cosigners).map_err(|_| VerifyError::Quorum)?,
        };
        match self.reached(signed.iter().copied()) {
            Some(_) => Ok(Cosignatures { signed }),
            None => Err(VerifyError::Quorum),
        }
    }

    /// Checks when the quorum was reached, and returns it; `None` under `quorum none`.
    ///
    /// Those cosignatures count that are at most `age_ms_max` old and made within 300 s of the Epoch's time, before or after;
    /// none may lie more than 300 s ahead of `now`. Under `quorum none` the Epoch's own time is held against `now` instead.
    ///
    /// Errors: [`VerifyError::StaleHead`] if those young enough do not reach the quorum, [`VerifyError::TimeBound`] if those
    /// of them near the Epoch do not.
    pub fn judge_time(
        &self,
        cosignatures: &Cosignatures<'_>,
        epoch_ms: u64,
        now: Timestamp,
        age_ms_max: u64,
    ) -> Result<Option<Timestamp>, VerifyError> {
        let now_ms = now.as_ms();
        let is_young = |ms: u64| now_ms.saturating_sub(ms) <= age_ms_max;
        let is_past = |ms: u64| ms.saturating_sub(now_ms) <= CLOCK_TOLERANCE_MS;
        if self.is_none() {
            return match (is_young(epoch_ms), is_past(epoch_ms)) {
                (false, _) => Err(VerifyError::StaleHead),
                (_, false) => Err(VerifyError::TimeBound),
                _ => Ok(None),
            };
        }
        let reached = |counts: &dyn Fn(u64) -> bool| {
            let signed = cosignatures.signed.iter().filter(|signed| signed.time_ms().is_some_and(counts));
            self.reached(signed.copied())
        };
        if reached(&is_young).is_none() {
            return Err(VerifyError::StaleHead);
        }
        let counts = |ms: u64| is_young(ms) && is_past(ms) && ms.abs_diff(epoch_ms) <= CLOCK_TOLERANCE_MS;
        let time_s = reached(&counts).ok_or(VerifyError::TimeBound)?;
        Ok(Some(Timestamp::from_ms(time_s.saturating_mul(1_000))))
    }
}
