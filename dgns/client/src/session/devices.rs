//! Every device that a DID ever had, proved: what was signed before a device was revoked stays checkable.

use identity::cert::{Body, KeyBytes};
use identity::did::Did;
use identity::state::Subject;

use super::{Session, lookup_path};
use crate::chain;
use crate::error::ClientError;

impl Session {
    /// Returns the signing keys of all devices that `did` has or had, from its proved chain.
    pub async fn devices_ever(&self, did: &Did) -> Result<Vec<KeyBytes>, ClientError> {
        let subject = Subject::Did(*did);
        let mut memory = self.log.memory_in_turn().await?;
        memory.memory = memory.memory.without(did);
        let (mut known, mut keys) = (Some(chain::nothing_of(*did)), Vec::new());
        loop {
            let bytes = self.net.get(&lookup_path(&subject, memory.memory.size(), known)?).await;
            let bytes = bytes.map_err(|error| self.judge_refusal(error, memory.memory.head()))?;
            let Some(resolved) = self.verify(&mut memory, &subject, &bytes).await? else { continue };
            keys.extend(resolved.chain().iter().filter_map(|step| match &step.certificate.payload().body {
                Body::Genesis(genesis) => Some(genesis.device.sign),
                Body::DeviceAdd(device) => Some(device.sign),
                Body::RecoverFinal(end) => Some(end.device.sign),
                _ => None,
            }));
            let next = chain::known(did, &memory.memory);
            if resolved.unfollowed().is_none() || next == known {
                return Ok(keys);
            }
            known = next;
        }
    }
}
