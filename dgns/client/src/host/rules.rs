//! Whom a host lets in: rows of a file, of the command line, or nobody but its owner.
//!
//! ```toml
//! allow = ["bob", { who = "carol", paths = ["public/"] }, "did:dgns:...", "device:5f0c9a77d1e2b344", "group:family", "certified"]
//! deny = ["device:00112233445566ff"]
//! visible = "authorised"   # hidden | authorised | public: who is told that the host is online
//! refuse = "silent"        # or "answer": a signed refusal
//! hook = "http://127.0.0.1:9000/knock"   # asked about whoever no row is about
//!
//! [groups]
//! family = ["dave", "erin", "device:8899aabbccddeeff"]
//! ```
//!
//! A name row means whoever has the name when they knock, as the log proves; the owner's own devices are always let in unless
//! they are denied.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use data_encoding::HEXLOWER_PERMISSIVE;
use identity::cert::Kid;
use identity::did::Did;
use lobby::message::Visible;
use serde::Deserialize;

use crate::error::ClientError;
use crate::net::Asker;
use crate::prover::Proven;
use crate::session::Session;

/// The bytes of a file of rules, and the rows of one list.
const FILE_BYTES_MAX: u64 = 1 << 20;
const ROWS_MAX: usize = 4_096;

/// The rules of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// In order; the first that fits decides.
    pub allow: Vec<Row>,
    /// Before all of those.
    pub deny: Vec<Whom>,
    /// Who is told that the host is online.
    pub visible: Visible,
    /// Whether whoever is not let in is told so; else the host looks offline to them.
    pub answer: bool,
    /// The URL of a program that is asked about whoever no row is about.
    pub hook: Option<String>,
}

/// What rules say of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// Let in, to this.
    LetIn(Rights),
    /// Not let in.
    Denied,
    /// As the hook at this URL says.
    Ask(String),
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whom it lets in.
    pub whom: Whom,
    /// To what: paths that begin with one of these; empty: everything.
    pub paths: Vec<String>,
}

/// Whom a row is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The host's own DID.
    Owner,
    /// Whoever has a name.
    Name(String),
    /// A DID.
    Did(Did),
    /// One device.
    Device(Kid),
    /// Everybody in a group of the same file.
    Group(Arc<Vec<Whom>>),
    /// Everybody whose device is in the log.
    Certified,
}

/// What somebody who is let in may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    paths: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    allow: Vec<FileRow>,
    #[serde(default)]
    deny: Vec<String>,
    visible: Option<String>,
    refuse: Option<String>,
    hook: Option<String>,
    #[serde(default)]
    groups: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum FileRow {
    Who(String),
    Row(Detailed),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Detailed {
    who: String,
    #[serde(default)]
    paths: Vec<String>,
}

impl Default for Rules {
    fn default() -> Self {
        let owner = Row { whom: Whom::Owner, paths: Vec::new() };
        Self { allow: vec![owner], deny: Vec::new(), visible: Visible::Authorised, answer: false, hook: None }
    }
}

impl Rules {
    /// Reads the rules of a file.
    pub fn read(path: &Path, session: &Session) -> Result<Self, ClientError> {
        let wrong = |what: String| ClientError::Unable(format!("{}: {what}", path.display()));
        let length = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
        if length > FILE_BYTES_MAX {
            return Err(wrong(format!("{length} bytes are no file of rules")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        Self::parse(&text, session).map_err(|error| wrong(error.to_string()))
    }

    /// Reads rules; names are completed with the session's zone.
    pub fn parse(text: &str, session: &Session) -> Result<Self, ClientError> {
        Self::parse_with(text, |name| Ok(session.name(name)?.as_str().to_owned()))
    }

    fn parse_with(text: &str, complete: impl Fn(&str) -> Result<String, ClientError>) -> Result<Self, ClientError> {
        let wrong = |what: String| ClientError::Unable(what);
        let file: File = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let longest = file.groups.values().map(Vec::len).max().unwrap_or(0);
        if file.allow.len().max(file.deny.len()).max(longest).max(file.groups.len()) > ROWS_MAX {
            return Err(wrong(format!("a list has at most {ROWS_MAX} rows")));
        }
        let mut groups = BTreeMap::new();
        for (name, members) in &file.groups {
            // A group of groups would need an order; rows of a list can name several.
            let members = members.iter().map(|who| whom(who, &complete, &BTreeMap::new())).collect::<Result<_, _>>()?;
            groups.insert(name.clone(), Arc::new(members));
        }
        let mut rules = Self::default();
        for row in file.allow {
            let (who, paths) = match row {
                FileRow::Who(who) => (who, Vec::new()),
                FileRow::Row(Detailed { who, paths }) => (who, paths),
            };
            rules.allow.push(Row { whom: whom(&who, &complete, &groups)?, paths });
        }
        rules.deny = file.deny.iter().map(|who| whom(who, &complete, &groups)).collect::<Result<_, _>>()?;
        rules.visible = match file.visible.as_deref() {
            None | Some("authorised") => Visible::Authorised,
            Some("hidden") => Visible::Hidden,
            Some("public") => Visible::Public,
            Some(other) => return Err(wrong(format!("visible = {other:?}: hidden, authorised or public"))),
        };
        rules.answer = match file.refuse.as_deref() {
            None | Some("silent") => false,
            Some("answer") => true,
            Some(other) => return Err(wrong(format!("refuse = {other:?}: silent or answer"))),
        };
        file.hook.map(|url| rules.ask(&url)).transpose()?;
        Ok(rules)
    }

    /// Lets somebody in besides.
    pub fn add(&mut self, who: &str, session: &Session) -> Result<(), ClientError> {
        let whom = whom(who, &|name: &str| Ok(session.name(name)?.as_str().to_owned()), &BTreeMap::new())?;
        self.allow.push(Row { whom, paths: Vec::new() });
        Ok(())
    }

    /// Has the hook at `url` asked about whoever no row is about.
    pub fn ask(&mut self, url: &str) -> Result<(), ClientError> {
        if !Asker::may_ask(url) {
            return Err(ClientError::Unable(format!("hook = {url:?}: an https URL, or http on this machine")));
        }
        self.hook = Some(url.to_owned());
        Ok(())
    }

    /// Judges a device of which the log proves `who`: what is denied first, then the first row that is about it, then the hook.
    pub fn judge(&self, who: &Proven, device: &Kid, owner: &Did) -> Judged {
        let fits = |whom: &Whom| whom.fits(who, device, owner);
        if self.deny.iter().any(fits) {
            return Judged::Denied;
        }
        match (self.allow.iter().find(|row| fits(&row.whom)), &self.hook) {
            (Some(row), _) => Judged::LetIn(Rights::to(row.paths.clone())),
            (None, Some(url)) => Judged::Ask(url.clone()),
            (None, None) => Judged::Denied,
        }
    }
}

impl Whom {
    fn fits(&self, who: &Proven, device: &Kid, owner: &Did) -> bool {
        match self {
            Self::Owner => who.did == *owner,
            Self::Name(name) => who.names.contains(name),
            Self::Did(did) => who.did == *did,
            Self::Device(kid) => kid == device,
            Self::Group(members) => members.iter().any(|member| member.fits(who, device, owner)),
            Self::Certified => true,
        }
    }
}

impl Rights {
    /// Returns the right to paths that begin with one of these; none: to everything.
    pub fn to(paths: Vec<String>) -> Self {
        Self { paths }
    }

    /// Returns whether a path may be seen.
    pub fn cover(&self, path: &str) -> bool {
        self.paths.is_empty() || self.paths.iter().any(|below| path.starts_with(below.as_str()))
    }
}

fn whom(
    text: &str,
    complete: &impl Fn(&str) -> Result<String, ClientError>,
    groups: &BTreeMap<String, Arc<Vec<Whom>>>,
) -> Result<Whom, ClientError> {
    let wrong = |what: &str| ClientError::Unable(format!("{text:?}: {what}"));
    match text {
        "owner" => Ok(Whom::Owner),
        "certified" => Ok(Whom::Certified),
        _ if text.starts_with("group:") => {
            let group = groups.get(&text["group:".len()..]).cloned();
            group.map(Whom::Group).ok_or_else(|| wrong("no such group below [groups], or a group in a group"))
        }
        _ if text.starts_with("did:") => Ok(Whom::Did(text.parse().map_err(|_| wrong("not a DID"))?)),
        _ => match text.strip_prefix("device:") {
            None => complete(text).map(Whom::Name),
            Some(hex) => {
                let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
                Ok(Whom::Device(Kid(bytes.ok_or_else(|| wrong("a device has 16 hexadecimal digits"))?)))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Rules, ClientError> {
        Rules::parse_with(text, |name| Ok(format!("{name}.dgns.test")))
    }

    fn proven(number: u8, names: &[&str]) -> Proven {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Proven { did: Did::from_bytes([number; 20]), devices: Vec::new(), names }
    }

    #[test]
    fn denied_comes_before_allowed_and_the_first_row_decides() {
        let text = r#"
            allow = [{ who = "bob", paths = ["public/", "a.txt"] }, "certified"]
            deny = ["device:00112233445566ff", "mallory"]
            refuse = "answer"
            visible = "public"
        "#;
        let rules = parse(text).expect("rules");
        let owner = Did::from_bytes([1; 20]);
        let judge = |who: &Proven, kid: [u8; 8]| match rules.judge(who, &Kid(kid), &owner) {
            Judged::LetIn(rights) => Some(rights),
            Judged::Denied | Judged::Ask(_) => None,
        };
        assert!(rules.answer && rules.visible == Visible::Public);
        let of_bob = judge(&proven(2, &["bob.dgns.test"]), [0; 8]).expect("let in");
        assert!(of_bob.cover("public/x") && of_bob.cover("a.txt") && !of_bob.cover("private/x"));
        assert_eq!(judge(&proven(3, &["carol.dgns.test"]), [0; 8]), Some(Rights::default()));
        assert_eq!(judge(&proven(4, &["mallory.dgns.test"]), [0; 8]), None);
        let denied = [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0xff];
        assert_eq!(judge(&proven(1, &[]), denied), None, "even the owner's device");
    }

    #[test]
    fn without_rules_the_owner_alone_is_let_in() {
        let rules = parse("").expect("no rules");
        assert_eq!(rules, Rules::default());
        let owner = Did::from_bytes([1; 20]);
        assert_eq!(rules.judge(&proven(1, &[]), &Kid([0; 8]), &owner), Judged::LetIn(Rights::default()));
        assert_eq!(rules.judge(&proven(2, &["bob.dgns.test"]), &Kid([0; 8]), &owner), Judged::Denied);
    }

    #[test]
    fn groups_are_lists_of_the_file_and_the_hook_comes_last() {
        let text = r#"
            allow = ["group:family"]
            deny = ["group:foes"]
            hook = "http://127.0.0.1:9/knock"
            [groups]
            family = ["dave", "device:8899aabbccddeeff"]
            foes = ["mallory"]
        "#;
        let rules = parse(text).expect("rules");
        let owner = Did::from_bytes([1; 20]);
        let judge = |number: u8, name: &str, kid: [u8; 8]| rules.judge(&proven(number, &[name]), &Kid(kid), &owner);
        let in_family = Judged::LetIn(Rights::default());
        assert_eq!(judge(2, "dave.dgns.test", [0; 8]), in_family);
        assert_eq!(judge(3, "x.dgns.test", [0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]), in_family);
        assert_eq!(judge(4, "mallory.dgns.test", [0; 8]), Judged::Denied, "the hook is not asked");
        assert_eq!(judge(5, "eve.dgns.test", [0; 8]), Judged::Ask("http://127.0.0.1:9/knock".to_owned()));
    }

    #[test]
    fn faulty_rules_are_refused_whole() {
        for bad in [
            "allow = [1]",
            "alow = []",
            "allow = [\"did:dgns:x\"]",
            "deny = [\"device:12\"]",
            "visible = \"everybody\"",
            "refuse = \"loud\"",
            "allow = [{ paths = [] }]",
            "allow = [\"group:nobody\"]",
            "[groups]\na = [\"bob\"]\nb = [\"group:a\"]",
            "hook = \"http://example.com/knock\"",
            "hook = \"knock\"",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
