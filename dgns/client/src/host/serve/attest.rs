//! What a client hands over to be relied on: certificates for the log of names, grants for later leases (PROTOCOL 23.15).

use identity::cert::{Certificate, ChainId};
use identity::grant::SignedGrant;
use lobby::share::Said;

use super::{Done, Serving};

/// The grants that count in one connection, and the certificates it may hand over.
const ATTESTED_MAX: usize = 16;

impl Serving {
    /// Takes a grant on this host's DID, or passes a certificate on to the log.
    pub(super) async fn attest(&mut self, id: u64, envelope: &[u8]) -> Done {
        if self.guest {
            return Ok(Err("no_right"));
        }
        let taken = match SignedGrant::decode(envelope) {
            Ok(grant) => self.take(grant).await.map(|()| None),
            Err(_) => self.pass_on(envelope).await.map(Some),
        };
        match taken {
            Ok(index) => self.say(&Said::Ok { id, index }).await.map(Ok),
            Err(code) => Ok(Err(code)),
        }
    }

    /// Returns the chains that attested grants make and whose last is to this client.
    pub(super) fn chains(&self) -> Vec<Vec<SignedGrant>> {
        let parent = |grant: &SignedGrant| {
            let sid = grant.grant().parent?;
            self.attested.iter().find(|other| other.sid() == sid).cloned()
        };
        let to_client = self.attested.iter().filter(|grant| grant.grant().subject == self.did);
        let chain = |last: &SignedGrant| {
            let mut chain: Vec<_> = std::iter::successors(Some(last.clone()), parent).take(ATTESTED_MAX).collect();
            chain.reverse();
            chain
        };
        to_client.map(chain).collect()
    }

    async fn take(&mut self, grant: SignedGrant) -> Result<(), &'static str> {
        if grant.grant().resource != self.host.who.did {
            return Err("not_taken");
        }
        let keys = self.host.prover.granting_keys(&grant.grant().issuer).await.map_err(|_| "failed")?;
        grant.verify(self.host.prover.origin(), &keys).map_err(|refusal| refusal.code())?;
        if self.attested.iter().any(|known| known.sid() == grant.sid()) {
            return Ok(());
        }
        if self.attested.len() >= ATTESTED_MAX {
            return Err("quota");
        }
        self.attested.push(grant);
        Ok(())
    }

    async fn pass_on(&mut self, envelope: &[u8]) -> Result<u64, &'static str> {
        let certificate = Certificate::decode(envelope).map_err(|_| "not_taken")?;
        let Some(ChainId::Did(did)) = certificate.payload().subject else { return Err("not_taken") };
        if self.passed_on >= ATTESTED_MAX {
            return Err("quota");
        }
        self.passed_on += 1;
        self.host.prover.pass_on(&certificate, &did).await.map_err(|_| "not_taken")
    }
}
