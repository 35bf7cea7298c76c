//! Reads a policy, line by line (PROTOCOL 9.6).

use super::{Group, Member, NONE, Policy, PolicyError, PolicyFault, PolicyLog, Witness, named};
use crate::limits::{POLICY_BYTES_MAX, POLICY_LINES_MAX};
use crate::note::{KeyKind, VerifierKey, parse_decimal};

impl Policy {
    /// Reads a policy file. Comments may hold any octets; names and URLs must be UTF-8.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let whole = |fault| PolicyError { line: 0, fault };
        if bytes.len() > POLICY_BYTES_MAX {
            return Err(whole(PolicyFault::Size));
        }
        let mut draft = Draft::default();
        for (line, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            draft.read(text).map_err(|fault| PolicyError { line, fault })?;
        }
        let quorum = draft.quorum.ok_or(whole(PolicyFault::Quorum))?;
        Ok(Self::of(draft.logs, draft.witnesses, draft.groups, quorum))
    }
}

/// The lines read so far.
#[derive(Default)]
struct Draft {
    logs: Vec<PolicyLog>,
    witnesses: Vec<Witness>,
    groups: Vec<Group>,
    /// Who is a member of some group.
    members: Vec<Member>,
    /// `Some(None)` is `quorum none`.
    #[expect(clippy::option_option, reason = "not read yet, or read as none")]
    quorum: Option<Option<Member>>,
}

impl Draft {
    fn read(&mut self, line: &[u8]) -> Result<(), PolicyFault> {
        if line.iter().any(|byte| matches!(byte, 0x00..=0x08 | 0x0a..=0x1f | 0x7f)) {
            return Err(PolicyFault::Text);
        }
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let words: Vec<&[u8]> = line.split(is_blank).filter(|word| !word.is_empty()).collect();
        if words.first().is_none_or(|word| word.starts_with(b"#")) {
            return Ok(());
        }
        let words: Result<Vec<&str>, _> = words.into_iter().map(core::str::from_utf8).collect();
        match words.map_err(|_| PolicyFault::Text)?.as_slice() {
            ["log", words @ ..] => self.log(words),
            ["witness", words @ ..] => self.witness(words),
            ["group", words @ ..] => self.group(words),
            ["quorum", words @ ..] => self.quorum(words),
            _ => Err(PolicyFault::Keyword),
        }
    }

    fn log(&mut self, words: &[&str]) -> Result<(), PolicyFault> {
        let (vkey, url) = with_url(words)?;
        let key = key_of(KeyKind::Log, vkey)?;
        if self.logs.iter().any(|log| log.key.key() == key.key()) {
            return Err(PolicyFault::Duplicate);
        }
        push(&mut self.logs, PolicyLog { key, url })
    }

    fn witness(&mut self, words: &[&str]) -> Result<(), PolicyFault> {
        let (name, words) = words.split_first().ok_or(PolicyFault::Form)?;
        let (vkey, url) = with_url(words)?;
        let name = self.new_name(name)?;
        let key = key_of(KeyKind::Cosigner, vkey)?;
        // A head names cosigners by key id alone, so two of one id could not be told apart.
        if self.witnesses.iter().any(|known| known.key.key() == key.key() || known.key.id() == key.id()) {
            return Err(PolicyFault::Duplicate);
        }
        push(&mut self.witnesses, Witness { name, key, url })
    }

    fn group(&mut self, words: &[&str]) -> Result<(), PolicyFault> {
        let [name, threshold, names @ ..] = words else { return Err(PolicyFault::Form) };
        if names.is_empty() {
            return Err(PolicyFault::Form);
        }
        let name = self.new_name(name)?;
        let mut members = Vec::with_capacity(names.len());
        for name in names {
            let member = self.defined(name)?;
            if self.members.contains(&member) {
                return Err(PolicyFault::Member);
            }
            self.members.push(member);
            members.push(member);
        }
        let threshold = match *threshold {
            "any" => 1,
            "all" => members.len(),
            digits => threshold_of(digits, members.len()).ok_or(PolicyFault::Threshold)?,
        };
        push(&mut self.groups, Group { name, threshold, members })
    }

    fn quorum(&mut self, words: &[&str]) -> Result<(), PolicyFault> {
        let [name] = words else { return Err(PolicyFault::Form) };
        if self.quorum.is_some() {
            return Err(PolicyFault::Quorum);
        }
        self.quorum = Some(if *name == NONE { None } else { Some(self.defined(name)?) });
        Ok(())
    }

    /// A name that nothing has yet.
    fn new_name(&self, name: &str) -> Result<String, PolicyFault> {
        let is_taken = name == NONE || named(&self.witnesses, &self.groups, name).is_some();
        if is_taken { Err(PolicyFault::Name) } else { Ok(name.to_owned()) }
    }

    fn defined(&self, name: &str) -> Result<Member, PolicyFault> {
        named(&self.witnesses, &self.groups, name).ok_or(PolicyFault::Undefined)
    }
}

/// A verifier key, and perhaps a URL behind it.
fn with_url<'a>(words: &[&'a str]) -> Result<(&'a str, Option<String>), PolicyFault> {
    match words {
        [vkey] => Ok((vkey, None)),
        [vkey, url] => Ok((vkey, Some((*url).to_owned()))),
        _ => Err(PolicyFault::Form),
    }
}

fn key_of(kind: KeyKind, vkey: &str) -> Result<VerifierKey, PolicyFault> {
    VerifierKey::parse(vkey).ok().filter(|key| key.kind() == kind).ok_or(PolicyFault::Vkey)
}

fn threshold_of(digits: &str, members: usize) -> Option<usize> {
    let k = usize::try_from(parse_decimal(digits)?).ok()?;
    (1..=members).contains(&k).then_some(k)
}

fn push<T>(list: &mut Vec<T>, item: T) -> Result<(), PolicyFault> {
    if list.len() == POLICY_LINES_MAX {
        return Err(PolicyFault::Limit);
    }
    list.push(item);
    Ok(())
}
