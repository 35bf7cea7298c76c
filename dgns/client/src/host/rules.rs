//! Whom a host lets in: rows of a file, of the command line, or nobody but its owner.
//!
//! ```toml
//! allow = ["bob", { who = "carol", paths = ["public/"] }, "did:dgns:...", "device:5f0c9a77d1e2b344", "group:family", "certified"]
//! deny = ["device:00112233445566ff"]
//! visible = "authorised"   # hidden | authorised | public: who is told that the host is online
//! refuse = "silent"        # or "answer": a signed refusal
//! hook = "http://127.0.0.1:9000/knock"   # asked about whoever no row is about
//! lease_s = 3600           # how long a lease of a log lasts
//! log_bytes_max = 1073741824   # how large a log may be made by whoever writes to it
//!
//! [redirect]
//! "logs/old.log" = "archive.alice"       # the log is there: a name, or an https URL
//!
//! [groups]
//! family = ["dave", "erin", "device:8899aabbccddeeff"]
//! ```
//!
//! A row gives the right to read (`rights = "r"`, or nothing said), to read and to write to logs (`"rw"`, with `logs = [..]` to those
//! alone), or to come in and show a grant or a token (`"proof"`). A name row means whoever has the name when they knock, as the log
//! proves; the owner's own devices are always let in unless they are denied. `guest` is whoever comes with a key that is in no log: nothing
//! is proved of them, so they read what their row says and no more.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use data_encoding::HEXLOWER_PERMISSIVE;
use identity::cert::Kid;
use identity::did::Did;
use lobby::limits::LOG_LEASE_S;
use lobby::message::Visible;
use lobby::share::is_path;
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
    /// Logs that are elsewhere, and where: a name or an https URL.
    pub redirect: BTreeMap<String, String>,
    /// How long a lease of a log lasts, seconds.
    pub lease_s: u64,
    /// How large a log may be made by whoever writes to it.
    pub log_bytes_max: u64,
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
    /// To what.
    pub rights: Rights,
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
    /// Everybody whose key is in no log.
    Guest,
}

/// What somebody who is let in may see and write to: paths that begin with one of a list, an empty list being everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    sees: Option<Vec<String>>,
    writes: Option<Vec<String>>,
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
    redirect: BTreeMap<String, String>,
    lease_s: Option<u64>,
    log_bytes_max: Option<u64>,
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
    rights: Option<String>,
    #[serde(default)]
    logs: Vec<String>,
}

/// The longest lease of a log: a day.
const LEASE_S_MAX: u64 = 86_400;

/// How large a log may be made if nothing is said: a gibibyte.
const LOG_BYTES: u64 = 1 << 30;

impl Default for Rules {
    fn default() -> Self {
        Self {
            allow: vec![Row { whom: Whom::Owner, rights: Rights::to_read(Vec::new()) }],
            deny: Vec::new(),
            visible: Visible::Authorised,
            answer: false,
            hook: None,
            redirect: BTreeMap::new(),
            lease_s: LOG_LEASE_S,
            log_bytes_max: LOG_BYTES,
        }
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
            let members: Vec<Whom> =
                members.iter().map(|who| whom(who, &complete, &BTreeMap::new())).collect::<Result<_, _>>()?;
            if members.contains(&Whom::Guest) {
                return Err(wrong(format!("group {name:?}: guests have rows of their own")));
            }
            groups.insert(name.clone(), Arc::new(members));
        }
        let mut rules = Self::default();
        for row in file.allow {
            let (who, rights) = match row {
                FileRow::Who(who) => (who, Rights::to_read(Vec::new())),
                FileRow::Row(Detailed { who, paths, rights, logs }) => {
                    let rights = Rights::of_words(rights.as_deref(), paths, logs);
                    (who.clone(), rights.ok_or_else(|| wrong(format!("{who:?}: {RIGHTS_WORDS}")))?)
                }
            };
            rules.push(Row { whom: whom(&who, &complete, &groups)?, rights })?;
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
        for (log, to) in file.redirect {
            let to = if to.starts_with("https://") { to } else { complete(&to)? };
            if !is_path(&log) {
                return Err(wrong(format!("redirect: {log:?} is no path of a log")));
            }
            rules.redirect.insert(log, to);
        }
        rules.lease_s = file.lease_s.unwrap_or(rules.lease_s);
        if !(1..=LEASE_S_MAX).contains(&rules.lease_s) {
            return Err(wrong(format!("lease_s = {}: 1 to {LEASE_S_MAX}", rules.lease_s)));
        }
        rules.log_bytes_max = file.log_bytes_max.unwrap_or(rules.log_bytes_max);
        Ok(rules)
    }

    /// Lets somebody in besides, to this.
    pub fn add(&mut self, who: &str, rights: Rights, session: &Session) -> Result<(), ClientError> {
        let whom = whom(who, &|name: &str| Ok(session.name(name)?.as_str().to_owned()), &BTreeMap::new())?;
        self.push(Row { whom, rights })
    }

    /// Adds a row behind the others; one about the owner takes the place of what the owner has without any.
    fn push(&mut self, row: Row) -> Result<(), ClientError> {
        if row.whom == Whom::Guest && !row.rights.only_reads() {
            return Err(ClientError::Unable("guest: whoever is in no log may read and no more".to_owned()));
        }
        match (&row.whom, self.allow.first_mut()) {
            (Whom::Owner, Some(first)) if first.whom == Whom::Owner => *first = row,
            _ => self.allow.push(row),
        }
        Ok(())
    }

    /// Returns whether guests may come in.
    pub fn lets_guests(&self) -> bool {
        self.allow.iter().any(|row| row.whom == Whom::Guest)
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
        if self.deny.iter().any(|whom| whom.denies(who, device, owner)) {
            return Judged::Denied;
        }
        match (self.allow.iter().find(|row| fits(&row.whom)), &self.hook) {
            (Some(row), _) => Judged::LetIn(row.rights.clone()),
            // There is nothing to ask about a guest.
            (None, _) if who.guest => Judged::Denied,
            (None, Some(url)) => Judged::Ask(url.clone()),
            (None, None) => Judged::Denied,
        }
    }
}

impl Whom {
    /// Whether somebody is denied by it: as [`Whom::fits`], and a device is denied by its key, as a guest too.
    fn denies(&self, who: &Proven, device: &Kid, owner: &Did) -> bool {
        match self {
            Self::Device(kid) => kid == device,
            Self::Group(members) => members.iter().any(|member| member.denies(who, device, owner)),
            _ => self.fits(who, device, owner),
        }
    }

    fn fits(&self, who: &Proven, device: &Kid, owner: &Did) -> bool {
        match self {
            Self::Guest => who.guest,
            // Whatever a row says of somebody the log has to prove.
            _ if who.guest => false,
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
    /// Returns the right to read paths that begin with one of these; none: everything.
    pub fn to_read(paths: Vec<String>) -> Self {
        Self { sees: Some(paths), writes: None }
    }

    /// Returns the right to read these, and to write to logs that begin with one of those, as far as they are read.
    pub fn to_write(paths: Vec<String>, logs: Vec<String>) -> Self {
        Self { sees: Some(paths), writes: Some(logs) }
    }

    /// Returns the right to nothing but to show a grant or a token.
    pub fn to_prove() -> Self {
        Self { sees: None, writes: None }
    }

    /// Returns what the words of a row or of a hook say. `None`: nothing that makes sense.
    pub(super) fn of_words(rights: Option<&str>, paths: Vec<String>, logs: Vec<String>) -> Option<Self> {
        match rights {
            None | Some("r") if logs.is_empty() => Some(Self::to_read(paths)),
            Some("rw") => Some(Self::to_write(paths, logs)),
            Some("proof") if paths.is_empty() && logs.is_empty() => Some(Self::to_prove()),
            _ => None,
        }
    }

    /// Returns whether they are to read something and nothing else.
    fn only_reads(&self) -> bool {
        self.sees.is_some() && self.writes.is_none()
    }

    /// Returns whether a path may be seen.
    pub fn cover(&self, path: &str) -> bool {
        self.sees.as_deref().is_some_and(|sees| begins(path, sees))
    }

    /// Returns whether a log may be written to.
    pub fn write(&self, log: &str) -> bool {
        self.cover(log) && self.writes.as_deref().is_some_and(|writes| begins(log, writes))
    }
}

/// What a row may say of rights.
const RIGHTS_WORDS: &str = r#"rights = "r", "rw" (with logs = [..] to those alone), or "proof" without paths"#;

fn begins(path: &str, with: &[String]) -> bool {
    with.is_empty() || with.iter().any(|below| path.starts_with(below.as_str()))
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
        "guest" => Ok(Whom::Guest),
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
        Proven { did: Did::from_bytes([number; 20]), devices: Vec::new(), names, nodes: Vec::new(), guest: false }
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
        assert_eq!(judge(&proven(3, &["carol.dgns.test"]), [0; 8]), Some(Rights::to_read(Vec::new())));
        assert_eq!(judge(&proven(4, &["mallory.dgns.test"]), [0; 8]), None);
        let denied = [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0xff];
        assert_eq!(judge(&proven(1, &[]), denied), None, "even the owner's device");
    }

    #[test]
    fn without_rules_the_owner_alone_is_let_in() {
        let rules = parse("").expect("no rules");
        assert_eq!(rules, Rules::default());
        let owner = Did::from_bytes([1; 20]);
        assert_eq!(rules.judge(&proven(1, &[]), &Kid([0; 8]), &owner), Judged::LetIn(Rights::to_read(Vec::new())));
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
        let in_family = Judged::LetIn(Rights::to_read(Vec::new()));
        assert_eq!(judge(2, "dave.dgns.test", [0; 8]), in_family);
        assert_eq!(judge(3, "x.dgns.test", [0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]), in_family);
        assert_eq!(judge(4, "mallory.dgns.test", [0; 8]), Judged::Denied, "the hook is not asked");
        assert_eq!(judge(5, "eve.dgns.test", [0; 8]), Judged::Ask("http://127.0.0.1:9/knock".to_owned()));
    }

    #[test]
    fn who_writes_is_said_and_only_logs_that_are_named() {
        let text = r#"
            allow = [
                { who = "owner", rights = "rw" },
                { who = "bob", paths = ["logs/"], rights = "rw", logs = ["logs/b", "other"] },
                { who = "certified", rights = "proof" },
            ]
            lease_s = 60
            log_bytes_max = 1000
            [redirect]
            "logs/old" = "archive"
            "logs/far" = "https://far.example/x"
        "#;
        let rules = parse(text).expect("rules");
        let owner = Did::from_bytes([1; 20]);
        let judge = |number: u8, name: &str| match rules.judge(&proven(number, &[name]), &Kid([0; 8]), &owner) {
            Judged::LetIn(rights) => rights,
            other => panic!("{other:?}"),
        };
        let (own, bob, other) = (judge(1, ""), judge(2, "bob.dgns.test"), judge(3, "x"));
        assert!(own.write("anything") && bob.write("logs/b1") && bob.cover("logs/a") && !bob.write("logs/a"));
        assert!(!bob.write("other"), "what is not seen is not written to");
        assert!(!other.cover("logs/a") && !other.write("logs/a"));
        let to = |log: &str| rules.redirect.get(log).map(String::as_str);
        assert_eq!((to("logs/old"), to("logs/far")), (Some("archive.dgns.test"), Some("https://far.example/x")));
        assert_eq!((rules.lease_s, rules.log_bytes_max), (60, 1_000));
        let Judged::LetIn(read) = Rules::default().judge(&proven(1, &[]), &Kid([0; 8]), &owner) else { panic!() };
        assert!(read.cover("x") && !read.write("x"), "not even the owner writes without being told so");
    }

    #[test]
    fn guests_are_let_in_by_their_own_row_alone() {
        let guest = Proven::of_guest([7; 32]);
        let (owner, kid) = (Did::from_bytes([1; 20]), identity::key::kid_of(&[7; 32]));
        let digits = data_encoding::HEXLOWER.encode(&kid.0);
        for others in [
            "allow = [\"certified\", \"bob\"]\nhook = \"http://127.0.0.1:9/knock\"".to_owned(),
            format!("allow = [\"device:{digits}\", \"{}\"]", guest.did),
        ] {
            assert_eq!(parse(&others).expect("rules").judge(&guest, &kid, &owner), Judged::Denied, "{others}");
        }
        let rules = parse("allow = [{ who = \"guest\", paths = [\"public/\"] }, \"certified\"]").expect("rules");
        assert!(rules.lets_guests() && !Rules::default().lets_guests());
        assert_eq!(rules.judge(&guest, &kid, &owner), Judged::LetIn(Rights::to_read(vec!["public/".to_owned()])));
        let denied = parse("allow = [\"guest\"]\ndeny = [\"guest\"]").expect("rules");
        assert_eq!(denied.judge(&guest, &kid, &owner), Judged::Denied);
        for deny in [
            format!("deny = [\"device:{digits}\"]"),
            format!("deny = [\"group:a\"]\n[groups]\na = [\"device:{digits}\"]"),
        ] {
            let denied = parse(&format!("allow = [\"guest\"]\n{deny}")).expect("rules");
            assert_eq!(denied.judge(&guest, &kid, &owner), Judged::Denied, "whoever comes as a guest has the same key");
            let other = Proven::of_guest([8; 32]);
            let kid = identity::key::kid_of(&[8; 32]);
            assert!(matches!(denied.judge(&other, &kid, &owner), Judged::LetIn(_)));
        }
        let bob = proven(2, &["bob.dgns.test"]);
        assert_eq!(
            parse("allow = [\"guest\"]").expect("rules").judge(&bob, &kid, &owner),
            Judged::Denied,
            "who has a name is no guest"
        );
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
            "allow = [{ who = \"bob\", rights = \"w\" }]",
            "allow = [{ who = \"guest\", rights = \"rw\" }]",
            "allow = [{ who = \"guest\", rights = \"proof\" }]",
            "allow = [\"group:a\"]\n[groups]\na = [\"guest\"]",
            "allow = [{ who = \"bob\", logs = [\"a\"] }]",
            "allow = [{ who = \"bob\", rights = \"proof\", paths = [\"a\"] }]",
            "lease_s = 0",
            "lease_s = 86401",
            "[redirect]\n\"../x\" = \"archive\"",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
