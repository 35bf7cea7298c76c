//! What two servers said, and what is in the zone, as lines that can be compared: `owner TTL class type data`.

use std::collections::{BTreeMap, BTreeSet};

/// Lines of one record set, or of the signatures of one.
pub type Lines = BTreeSet<String>;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub code: String,
    pub flags: BTreeSet<String>,
    pub answer: Lines,
    pub authority: Lines,
    pub additional: Lines,
}

impl Said {
    /// Reads a message as hickory-oracle writes it.
    pub fn read(text: &str) -> Self {
        let mut lines = text.lines();
        let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
        let code = words.next().unwrap_or_default();
        let mut said = Self {
            code,
            flags: words.collect(),
            answer: Lines::new(),
            authority: Lines::new(),
            additional: Lines::new(),
        };
        for line in lines {
            let (section, record) = line.split_once(' ').expect("a section");
            let records = match section {
                "an" => &mut said.answer,
                "ns" => &mut said.authority,
                _ => &mut said.additional,
            };
            if !records.insert(record.to_owned()) {
                said.flags.insert("twice".to_owned()); // no record stands twice in a section (RFC 2181 section 5)
            }
        }
        said
    }

    /// Whether it has no record.
    pub fn is_empty(&self) -> bool {
        [&self.answer, &self.authority, &self.additional].iter().all(|lines| lines.is_empty())
    }

    pub fn has(&self, flag: &str) -> bool {
        self.flags.contains(flag)
    }
}

/// The zone.
pub struct Zone {
    /// By owner and type; signatures by their owner and the type they cover, an asterisk in front.
    sets: BTreeMap<(String, String), Lines>,
    /// Every owner, in no order that means anything.
    pub owners: Vec<String>,
    /// The names that records lead to.
    pub targets: Vec<String>,
}

impl Zone {
    /// Reads the lines of a zone.
    pub fn read(text: &str) -> Self {
        let mut sets: BTreeMap<(String, String), Lines> = BTreeMap::new();
        let (mut owners, mut targets) = (BTreeSet::new(), BTreeSet::new());
        for line in text.lines() {
            let (owner, rtype) = owner_and_type(line);
            owners.insert(owner.clone());
            if ["CNAME", "NS", "SRV", "MX"].contains(&rtype.as_str()) {
                targets.insert(line.rsplit(' ').next().unwrap_or_default().to_lowercase());
            }
            sets.entry((owner, rtype)).or_default().insert(line.to_owned());
        }
        Self { sets, owners: owners.into_iter().collect(), targets: targets.into_iter().collect() }
    }

    /// Returns the records of an owner and type, with their signatures if they are wanted; empty if there are none.
    pub fn set(&self, owner: &str, rtype: &str, signed: bool) -> Lines {
        let of = |rtype: &str| self.sets.get(&(owner.to_owned(), rtype.to_owned())).cloned().unwrap_or_default();
        let mut set = of(rtype);
        if signed && !set.is_empty() {
            set.extend(of(&format!("*{rtype}")));
        }
        set
    }

    /// Returns the delegated name at or above `name`, the zone's own cut for proofs among them.
    pub fn cut(&self, name: &str) -> Option<String> {
        let mut above = Some(name);
        while let Some(name) = above {
            let is = |rtype: &str| self.sets.contains_key(&(name.to_owned(), rtype.to_owned()));
            if is("NS") && !is("SOA") {
                return Some(name.to_owned());
            }
            above = name.split_once('.').map(|(_, above)| above).filter(|above| !above.is_empty());
        }
        None
    }

    /// Whether a name is there, or one below it is; names below cuts are not.
    pub fn exists(&self, name: &str) -> bool {
        let is_at = |owner: &str| owner == name || is_below(owner, name);
        self.owners.iter().any(|owner| is_at(owner) && self.cut(owner).is_none_or(|cut| cut == *owner))
    }

    /// Returns the addresses of the servers of a delegated name that lie at or below it.
    pub fn glue(&self, cut: &str) -> Lines {
        let hosts = self.set(cut, "NS", false).into_iter().map(|line| line.rsplit(' ').next().unwrap_or("").to_owned());
        let hosts = hosts.filter(|host| host == cut || is_below(host, cut));
        hosts.flat_map(|host| ["A", "AAAA"].map(|rtype| self.set(&host, rtype, false))).flatten().collect()
    }
}

/// Whether a name is below another.
pub fn is_below(name: &str, above: &str) -> bool {
    name.strip_suffix(above).is_some_and(|labels| labels.ends_with('.'))
}

/// Returns the owner of a record, and its type, or the one that it is a signature of, an asterisk in front.
pub fn owner_and_type(line: &str) -> (String, String) {
    let words: Vec<&str> = line.splitn(6, ' ').collect();
    let rtype = if words[3] == "RRSIG" { format!("*{}", words[4]) } else { words[3].to_owned() };
    (words[0].to_owned(), rtype)
}
