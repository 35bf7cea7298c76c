//! The first contact with a log: what its server says of itself, held against what a person gave (PROTOCOL 14.1).

use dgns_api::path;
use identity::name::Origin;
use translog::note::VerifierKey;
use translog::policy::Policy;

use super::fetch_info;
use crate::error::ClientError;
use crate::home::Pinned;
use crate::net::Net;

/// Returns the log of a server, and what to believe of it: under a policy of one's own what that says, else the server's word.
///
/// Errors: [`ClientError::Proof`] if what the server says does not fit together, [`ClientError::Unable`] if the own policy has
/// no key of this log.
pub(super) async fn offered(net: &Net, own: Option<&Policy>) -> Result<(Origin, Pinned), ClientError> {
    let info = fetch_info(net).await?;
    let malformed = |what: &str| ClientError::proof("malformed", format!("{}{}: {what}", net.base(), path::INFO));
    let origin = Origin::parse(&info.origin).map_err(|_| malformed("its origin is none"))?;
    let offered = match own {
        Some(policy) => Pinned::by_hand(policy.log_keys(origin.as_str()), policy.clone()),
        None => {
            let vkey = VerifierKey::parse(&info.vkey).map_err(|_| malformed("its key is none"))?;
            let policy = recommended_policy(net, &vkey).await?;
            Pinned::at_first_use(policy.log_keys(origin.as_str()), policy)
        }
    };
    match (offered.trust(&origin), own) {
        (Ok(_), _) => Ok((origin, offered)),
        (Err(_), Some(_)) => Err(no_key_of(&origin)),
        (Err(_), None) => Err(malformed("its key is not this log's")),
    }
}

/// Returns the policy the server recommends; it must name the key the server shows. A server that has none to recommend is
/// believed without witnesses.
async fn recommended_policy(net: &Net, vkey: &VerifierKey) -> Result<Policy, ClientError> {
    let malformed =
        |what: String| ClientError::proof("malformed", format!("{}{}: {what}", net.base(), path::LOG_POLICY));
    let policy = match net.get(path::LOG_POLICY).await {
        Ok(bytes) => Policy::parse(&bytes).map_err(|error| malformed(error.to_string()))?,
        Err(ClientError::Refused(problem)) if problem.status == 404 => {
            let text = format!("log {vkey} {}{}\nquorum none\n", net.base(), path::LOG);
            Policy::parse(text.as_bytes()).map_err(|error| malformed(error.to_string()))?
        }
        Err(error) => return Err(error),
    };
    if policy.logs().iter().any(|log| log.key == *vkey) {
        return Ok(policy);
    }
    Err(malformed("it does not name the server's log key".to_owned()))
}

/// The refusal of an own policy that does not know the log.
pub(super) fn no_key_of(origin: &Origin) -> ClientError {
    ClientError::Unable(format!("the policy has no log line for {}: this server's log is not in it", origin.as_str()))
}
