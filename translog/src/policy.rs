//! Trust policies: which logs and witnesses one believes, and how many of them must agree (PROTOCOL 9.6).
//!
//! A [`Policy`] is a text anyone can read and write; it decides offline. Source: c2sp.org/tlog-policy.
//!
//! ```text
//! log dgns.test/log+<id>+<key> https://dgns.test/log
//! witness north <vkey> https://north.example/witness
//! witness south <vkey>
//! group both all north south
//! quorum both
//! ```

mod error;
mod judge;
mod parse;

use core::fmt;

use identity::hash::Hash;

pub use error::{PolicyError, PolicyFault};
pub use judge::Cosignatures;

use crate::hash::sha256;
use crate::note::{Signed, VerifierKey};

/// The name that is required in addition to the quorum wherever a policy defines it: those who replay the log.
pub const VERIFIERS: &str = "verifiers";

/// The quorum that asks for no cosignature.
const NONE: &str = "none";

/// The logs, witnesses and groups one knows, and the quorum a head needs. Every value is one that [`Policy::parse`] reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<PolicyLog>,
    witnesses: Vec<Witness>,
    groups: Vec<Group>,
    quorum: Option<Member>,
    /// The keys of `witnesses`, in their order.
    cosigners: Vec<VerifierKey>,
    cosigners_hash: Hash,
}

/// A log that is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyLog {
    /// Its key; the key's name is the log's origin.
    pub key: VerifierKey,
    /// Where it is reached, if the policy says so.
    pub url: Option<String>,
}

/// A cosigner that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// What this policy calls it.
    pub name: String,
    /// Its key, with the name it signs under.
    pub key: VerifierKey,
    /// Where checkpoints are submitted to it (`<url>/add-checkpoint`), if the policy says so.
    pub url: Option<String>,
}

/// Some members, of whom `threshold` stand for all.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    name: String,
    threshold: usize,
    members: Vec<Member>,
}

/// A witness or a group, by its place in the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

impl Policy {
    /// Returns `quorum none`: no log, no witness, nothing asked for.
    pub fn none() -> Self {
        Self::of(Vec::new(), Vec::new(), Vec::new(), None)
    }

    fn of(logs: Vec<PolicyLog>, witnesses: Vec<Witness>, groups: Vec<Group>, quorum: Option<Member>) -> Self {
        let cosigners: Vec<VerifierKey> = witnesses.iter().map(|witness| witness.key.clone()).collect();
        let names: Vec<String> = cosigners.iter().map(ToString::to_string).collect();
        let cosigners_hash = sha256(&[names.join("\n").as_bytes()]);
        Self { logs, witnesses, groups, quorum, cosigners, cosigners_hash }
    }

    /// Returns the same witnesses, groups and quorum for these logs.
    ///
    /// Errors: [`PolicyFault::Limit`], [`PolicyFault::Duplicate`], of line 0.
    pub fn with_logs(self, logs: Vec<PolicyLog>) -> Result<Self, PolicyError> {
        let policy = Self { logs, ..self };
        Self::parse(policy.to_string().as_bytes())
    }

    /// Returns the logs, in the order of the file.
    pub fn logs(&self) -> &[PolicyLog] {
        &self.logs
    }

    /// Returns the keys of the log with this origin.
    pub fn log_keys(&self, origin: &str) -> Vec<VerifierKey> {
        self.logs.iter().filter(|log| log.key.name() == origin).map(|log| log.key.clone()).collect()
    }

    /// Returns the keys of all logs and witnesses.
    pub fn keys(&self) -> Vec<VerifierKey> {
        self.logs.iter().map(|log| &log.key).chain(&self.cosigners).cloned().collect()
    }

    /// Returns the witnesses, in the order of the file.
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// Returns the keys whose cosignatures are looked at; all others are skipped.
    pub fn cosigners(&self) -> &[VerifierKey] {
        &self.cosigners
    }

    /// Returns a hash over [`Policy::cosigners`]: equal, and the same cosignatures are known.
    pub(crate) fn cosigners_hash(&self) -> &Hash {
        &self.cosigners_hash
    }

    /// Returns whether no cosignature is asked for: then a log's own word is all there is.
    pub fn is_none(&self) -> bool {
        self.required().next().is_none()
    }

    /// Returns the name of the witness or group that is the quorum, or `none`.
    pub fn quorum_name(&self) -> &str {
        self.quorum.map_or(NONE, |member| self.name_of(member))
    }

    /// Returns the witnesses that are, or belong to, what the policy calls `verifiers`.
    pub fn verifiers(&self) -> Vec<&Witness> {
        let mut found = Vec::new();
        let mut open: Vec<Member> = self.verifiers_member().into_iter().collect();
        while let Some(member) = open.pop() {
            match member {
                Member::Witness(at) => found.push(&self.witnesses[at]),
                Member::Group(at) => open.extend(self.groups[at].members.iter().rev()),
            }
        }
        found
    }

    /// Returns the Unix second at which these cosignatures had reached the quorum, `None` if they do not.
    ///
    /// That is the least time such that those up to it are enough. Keys the policy does not know are skipped, and so are
    /// signatures without a time. Under `quorum none` it is reached at 0.
    pub fn reached<'k>(&self, signed: impl IntoIterator<Item = Signed<'k>>) -> Option<u64> {
        let mut times = vec![None; self.witnesses.len()];
        for Signed { key, time_s } in signed {
            if let Some(at) = self.cosigners.iter().position(|known| known == key) {
                times[at] = times[at].or(time_s);
            }
        }
        self.required().map(|member| self.reached_by(member, &times)).try_fold(0, |latest, at| Some(latest.max(at?)))
    }

    /// When this member had witnessed: a group when its `threshold` first members had.
    fn reached_by(&self, member: Member, times: &[Option<u64>]) -> Option<u64> {
        match member {
            Member::Witness(at) => times[at],
            Member::Group(at) => {
                let Group { threshold, members, .. } = &self.groups[at];
                let mut reached: Vec<u64> =
                    members.iter().filter_map(|member| self.reached_by(*member, times)).collect();
                reached.sort_unstable();
                reached.get(threshold - 1).copied()
            }
        }
    }

    /// What must have witnessed a head: the quorum, and `verifiers` if there is such a name.
    fn required(&self) -> impl Iterator<Item = Member> {
        self.quorum.into_iter().chain(self.verifiers_member())
    }

    fn verifiers_member(&self) -> Option<Member> {
        self.member(VERIFIERS)
    }

    /// The witness or group of this name.
    fn member(&self, name: &str) -> Option<Member> {
        named(&self.witnesses, &self.groups, name)
    }

    fn name_of(&self, member: Member) -> &str {
        match member {
            Member::Witness(at) => &self.witnesses[at].name,
            Member::Group(at) => &self.groups[at].name,
        }
    }
}

/// The witness or group of this name among these.
fn named(witnesses: &[Witness], groups: &[Group], name: &str) -> Option<Member> {
    let witness = witnesses.iter().position(|witness| witness.name == name).map(Member::Witness);
    witness.or_else(|| groups.iter().position(|group| group.name == name).map(Member::Group))
}

impl Default for Policy {
    fn default() -> Self {
        Self::none()
    }
}

/// The canonical text: logs, witnesses, groups, quorum, one space between items, no comment.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = |url: &Option<String>| url.as_ref().map(|url| format!(" {url}")).unwrap_or_default();
        for log in &self.logs {
            writeln!(f, "log {}{}", log.key, url(&log.url))?;
        }
        for witness in &self.witnesses {
            writeln!(f, "witness {} {}{}", witness.name, witness.key, url(&witness.url))?;
        }
        for Group { name, threshold, members } in &self.groups {
            match *threshold {
                1 => write!(f, "group {name} any")?,
                all if all == members.len() => write!(f, "group {name} all")?,
                k => write!(f, "group {name} {k}")?,
            }
            for member in members {
                write!(f, " {}", self.name_of(*member))?;
            }
            writeln!(f)?;
        }
        writeln!(f, "quorum {}", self.quorum_name())
    }
}

impl core::str::FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        Self::parse(text.as_bytes())
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
