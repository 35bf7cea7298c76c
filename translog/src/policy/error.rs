//! Why a text is no policy.

/// What is wrong with a policy, and in which line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{fault}", at(*line))]
pub struct PolicyError {
    /// The line, counted from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong with it.
    pub fault: PolicyFault,
}

/// What can be wrong with a line of a policy, or with all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyFault {
    /// More than 65,536 bytes. Code `policy_size`.
    #[error("a policy has at most 65,536 bytes")]
    Size,
    /// A control character other than tab and newline, or a name or URL that is not UTF-8. Code `policy_text`.
    #[error("a control character, or a word that is not UTF-8")]
    Text,
    /// The line begins with none of the four words. Code `policy_keyword`.
    #[error("a line begins with log, witness, group or quorum")]
    Keyword,
    /// Too few or too many words. Code `policy_form`.
    #[error("too few or too many words")]
    Form,
    /// No verifier key, or one of the other kind. Code `policy_vkey`.
    #[error("not a verifier key of the kind that stands here")]
    Vkey,
    /// The key of a log or witness above, or a witness key with the key id of one above. Code `policy_duplicate`.
    #[error("the same key stands above")]
    Duplicate,
    /// A name that is taken, or `none`. Code `policy_name`.
    #[error("the name is taken")]
    Name,
    /// A name that no line above defines. Code `policy_undefined`.
    #[error("no line above defines the name")]
    Undefined,
    /// A member of a group is one already, of this group or another. Code `policy_member`.
    #[error("a name may be a member once")]
    Member,
    /// Not `any`, `all` or a number from 1 to that of the members. Code `policy_threshold`.
    #[error("the threshold is any, all, or a number from 1 to that of the members")]
    Threshold,
    /// More than 64 logs, witnesses or groups. Code `policy_limit`.
    #[error("a policy has at most 64 each of logs, witnesses and groups")]
    Limit,
    /// No quorum line, or a second one. Code `policy_quorum`.
    #[error("a policy has exactly one quorum line")]
    Quorum,
}

impl PolicyError {
    /// Returns the stable code that vectors and problem answers name.
    pub const fn code(&self) -> &'static str {
        self.fault.code()
    }
}

impl PolicyFault {
    /// Returns the stable code that vectors and problem answers name.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Size => "policy_size",
            Self::Text => "policy_text",
            Self::Keyword => "policy_keyword",
            Self::Form => "policy_form",
            Self::Vkey => "policy_vkey",
            Self::Duplicate => "policy_duplicate",
            Self::Name => "policy_name",
            Self::Undefined => "policy_undefined",
            Self::Member => "policy_member",
            Self::Threshold => "policy_threshold",
            Self::Limit => "policy_limit",
            Self::Quorum => "policy_quorum",
        }
    }
}

/// Where it is, for the message.
fn at(line: usize) -> String {
    if line == 0 { String::new() } else { format!("line {line}: ") }
}
