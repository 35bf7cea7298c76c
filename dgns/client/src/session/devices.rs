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
        let device = |body: &Body| match body {
            Body::Genesis(genesis) => Some(genesis.device.sign),
            Body::DeviceAdd(device) => Some(device.sign),
            Body::RecoverFinal(end) => Some(end.device.sign),
            _ => None,
        };
        self.said_ever(did, device).await
    }

    /// Returns the first user key that a DID ever had, as its chain says; `None` if it never had one.
    pub(crate) async fn first_user_key(&self, did: &Did) -> Result<Option<KeyBytes>, ClientError> {
        let key = |body: &Body| match body {
            Body::Genesis(genesis) => genesis.user_key.as_ref().map(|first| first.key),
            Body::UserKey(turned) => Some(turned.key),
            _ => None,
        };
        Ok(self.said_ever(did, key).await?.into_iter().next())
    }

    /// Returns what `read` finds in the whole chain of a DID, the first first, proved.
    async fn said_ever(
        &self,
        did: &Did,
        read: impl Fn(&Body) -> Option<KeyBytes>,
    ) -> Result<Vec<KeyBytes>, ClientError> {
        let subject = Subject::Did(*did);
        let mut memory = self.log.memory_in_turn().await?;
        memory.memory = memory.memory.without(did);
        let (mut known, mut keys) = (Some(chain::nothing_of(*did)), Vec::new());
        loop {
            let bytes = self.net.get(&lookup_path(&subject, memory.memory.size(), known)?).await;
            let bytes = bytes.map_err(|error| self.judge_refusal(error, memory.memory.head()))?;
            let Some(resolved) = self.verify(&mut memory, &subject, &bytes).await? else { continue };
            keys.extend(resolved.chain().iter().filter_map(|step| read(&step.certificate.payload().body)));
            let next = chain::known(did, &memory.memory);
            if resolved.unfollowed().is_none() || next == known {
                return Ok(keys);
            }
            known = next;
        }
    }
}
