//! Why two right answers differ: each reason takes from both what it explains, and what is left must be equal.
//!
//! A reason first looks whether it applies, by the question and the zone, never by what is unequal; then at what is said here, which must be right by the zone
//! itself where hickory says something else. Whoever adds one cites what allows both answers.

use dgns_tests::harness::person::ZONE;

use crate::hickory::Both;
use crate::questions::{ANY, CNAME, DS, IN, MX, NS, NSEC, OPT, Question, RRSIG, SOA, SRV};
use crate::said::{Lines, Said, Zone, is_below, owner_and_type};

/// The most aliases in one answer.
const LINKS_MAX: usize = 8;

/// A question with both answers.
pub struct Case<'c> {
    question: &'c Question,
    zone: &'c Zone,
    said: Both,
    ours: Said,
    theirs: Said,
}

/// A reason.
pub struct Reason {
    pub name: &'static str,
    /// Explains what it can; whether that was anything.
    explain: fn(&mut Case<'_>) -> bool,
}

/// Every reason, in the order in which they are tried.
pub const REASONS: [Reason; 10] = [
    Reason { name: "class", explain: class },
    Reason { name: "meta type", explain: meta_type },
    Reason { name: "proofs", explain: proofs },
    Reason { name: "referral", explain: referral },
    Reason { name: "any", explain: any },
    Reason { name: "rrsig", explain: rrsig },
    Reason { name: "nsec asked", explain: nsec_asked },
    Reason { name: "chain", explain: chain },
    Reason { name: "nsec", explain: nsec },
    Reason { name: "more", explain: more },
];

impl<'c> Case<'c> {
    pub fn new(question: &'c Question, zone: &'c Zone, said: Both) -> Self {
        let (ours, theirs) = (Said::read(&said.ours), Said::read(&said.theirs));
        Self { question, zone, said, ours, theirs }
    }

    /// Returns the reasons why the answers differ, none if they do not. Errors: the question and both answers, if they differ for no reason or
    /// the validator does not believe ours.
    pub fn judge(mut self) -> Result<Vec<&'static str>, String> {
        let reasons = REASONS.iter().filter(|reason| (reason.explain)(&mut self)).map(|reason| reason.name);
        let reasons: Vec<_> = reasons.collect();
        if self.ours == self.theirs && self.said.wrong.is_empty() {
            return Ok(reasons);
        }
        let Self { question, said, ours, theirs, .. } = self;
        let Both { ours: whole, theirs: other, wrong } = said;
        Err(format!(
            "{question:?}\n\nours: {whole}\n\ntheirs: {other}\n\nwrong with ours: {wrong:?}\n\nafter {reasons:?}, ours: {ours:#?}\n\ntheirs: {theirs:#?}"
        ))
    }

    /// Takes what is said here for what is right.
    fn settle(&mut self) -> bool {
        let is_other = self.ours != self.theirs;
        self.theirs = self.ours.clone();
        is_other
    }

    fn is_in_zone(&self) -> bool {
        is_at_or_below(&self.question.name, &apex())
    }

    /// Whether the question is one that is answered at all.
    fn is_plain(&self) -> bool {
        let Question { rtype, class, version, .. } = *self.question;
        class == IN && !is_meta(rtype) && version.unwrap_or(0) == 0 && self.is_in_zone()
    }

    fn signed_set(&self, owner: &str, rtype: &str) -> Lines {
        self.zone.set(owner, rtype, self.question.dnssec_ok)
    }

    /// Whether a record is in the zone.
    fn is_known(&self, line: &str) -> bool {
        let (owner, rtype) = owner_and_type(line);
        self.zone.set(&owner, rtype.trim_start_matches('*'), true).contains(line)
    }

    /// Returns the names that an answer goes through, from the one asked for, and whether the last is still to be followed.
    fn links(&self) -> (Vec<String>, bool) {
        let mut names = vec![self.question.name.clone()];
        while let Some(target) = self.alias_of(&names[names.len() - 1]) {
            if names.len() > LINKS_MAX || names.contains(&target) {
                return (names, true);
            }
            names.push(target);
        }
        (names, false)
    }

    fn alias_of(&self, name: &str) -> Option<String> {
        let line = self.zone.set(name, "CNAME", false).pop_first()?;
        Some(line.rsplit(' ').next()?.to_lowercase())
    }

    /// Whether nobody here knows what is at a name: it is another zone's.
    fn is_elsewhere(&self, name: &str) -> bool {
        !is_at_or_below(name, &apex()) || self.zone.cut(name).is_some()
    }
}

fn apex() -> String {
    format!("{ZONE}.")
}

fn is_at_or_below(name: &str, above: &str) -> bool {
    name == above || is_below(name, above)
}

fn is_meta(rtype: u16) -> bool {
    rtype == OPT || (128..ANY).contains(&rtype)
}

fn strip(lines: &mut Lines, types: &[&str]) {
    lines.retain(|line| !types.contains(&owner_and_type(line).1.trim_start_matches('*')));
}

/// Classes other than IN have no zone here: REFUSED (RFC 1035 section 4.1.1, "for policy reasons"); hickory takes every class for IN.
fn class(case: &mut Case<'_>) -> bool {
    let is_right = case.ours.code == "Refused" && case.ours.is_empty() && !case.ours.has("aa");
    case.question.class != IN && case.question.version.unwrap_or(0) == 0 && is_right && case.settle()
}

/// What is no type of data (RFC 6895 section 3.1) is not implemented; hickory looks for such a record set.
fn meta_type(case: &mut Case<'_>) -> bool {
    let is_right = case.ours.code == "NotImp" && case.ours.is_empty();
    is_meta(case.question.rtype) && case.question.class == IN && is_right && case.settle()
}

/// Who answers for a zone and for its child answers from the child (RFC 1034 section 4.3.2, step 2). hickory has the parent alone: a referral.
fn proofs(case: &mut Case<'_>) -> bool {
    let cut = format!("_proof.{ZONE}.");
    let Question { name, rtype, .. } = case.question;
    let is_parents = *name == cut && [DS, NSEC, RRSIG].contains(rtype);
    let is_right = case.ours.has("aa") && ["NoError", "NXDomain"].contains(&case.ours.code.as_str());
    if !is_at_or_below(name, &cut) || is_parents || !case.is_plain() || !is_right {
        return false;
    }
    case.said.wrong.clear(); // unsigned, and so insecure: the NSEC of the cut was judged with the referral
    case.settle()
}

/// A referral has no AA, DS or the NSEC that denies it (RFC 4035 section 3.1.4.1), and the addresses of servers below the cut (RFC 9471); asked for NS too
/// (RFC 2181 section 6.1). hickory says AA, and the NS alone, as an answer if that is what it was asked for.
fn referral(case: &mut Case<'_>) -> bool {
    let Some(cut) = case.zone.cut(&case.question.name).filter(|_| case.is_plain() && !case.ours.has("aa")) else {
        return false;
    };
    let mut authority = case.zone.set(&cut, "NS", false);
    if case.question.dnssec_ok || case.question.rtype == RRSIG {
        let ds = case.zone.set(&cut, "DS", true);
        authority.extend(if ds.is_empty() { case.zone.set(&cut, "NSEC", true) } else { ds });
    }
    let said = &case.ours;
    let is_right = said.code == "NoError"
        && said.answer.is_empty()
        && said.authority == authority
        && said.additional == case.zone.glue(&cut);
    is_right && case.settle()
}

/// ANY is answered with one record set that is there (RFC 8482 section 4.1); which one is up to the server.
fn any(case: &mut Case<'_>) -> bool {
    if case.question.rtype != ANY || !case.is_plain() || case.ours.answer.is_empty() {
        return false;
    }
    let Some(first) = case.ours.answer.iter().map(|line| owner_and_type(line).1).find(|rtype| !rtype.starts_with('*'))
    else {
        return false;
    };
    let is_right = case.ours.answer == case.signed_set(&case.question.name, &first)
        && case.ours.authority.is_empty()
        && case.ours.code == "NoError";
    is_right && case.settle()
}

/// Whoever asks for signatures gets those of one set (RFC 8482 section 4.1 and 7): the NSEC record with its own. hickory keeps signatures beside sets alone.
fn rrsig(case: &mut Case<'_>) -> bool {
    if case.question.rtype != RRSIG || !case.is_plain() {
        return false;
    }
    let name = &case.question.name;
    let nsec = case.zone.set(name, "NSEC", true);
    let is_denial =
        case.ours.answer.is_empty() && case.ours.authority.is_superset(&case.zone.set(&apex(), "SOA", true));
    let code = if case.zone.exists(name) { "NoError" } else { "NXDomain" };
    let is_right = match nsec.is_empty() {
        true => is_denial && case.ours.code == code,
        false => case.ours.answer == nsec && case.ours.authority.is_empty() && case.ours.code == "NoError",
    };
    is_right && case.settle()
}

/// The NSEC record of an alias stands beside it (RFC 4035 section 2.5), that of a cut is the parent's (section 2.3), and whoever asks for it gets it. hickory
/// follows the alias, and refers to the child.
fn nsec_asked(case: &mut Case<'_>) -> bool {
    let name = &case.question.name;
    if case.question.rtype != NSEC || !case.is_plain() {
        return false;
    }
    let is_special = case.alias_of(name).is_some() || case.zone.cut(name).as_ref() == Some(name);
    let is_right = case.ours.answer == case.signed_set(name, "NSEC")
        && case.ours.authority.is_empty()
        && case.ours.code == "NoError"
        && case.ours.has("aa");
    is_special && is_right && case.settle()
}

/// Behind an alias the answer goes on with what is at its end, a denial too, with the code of that (RFC 2308 sections 2.1 and 2.2, RFC 6604 section 3), but not
/// into another zone (RFC 1034 section 4.3.2, step 3). hickory leaves the denial out, has the NS of a cut as the answer, and stops after eight records, ours
/// after eight aliases.
fn chain(case: &mut Case<'_>) -> bool {
    let rtype = case.question.rtype;
    if [CNAME, ANY, NSEC, RRSIG].contains(&rtype) || !case.is_plain() || case.alias_of(&case.question.name).is_none() {
        return false;
    }
    let (names, is_cut_short) = case.links();
    let end = &names[names.len() - 1];
    let aliases = names.iter().flat_map(|name| case.signed_set(name, "CNAME")).collect::<Lines>();
    if case.is_elsewhere(end) || is_cut_short {
        let is_right = case.ours.answer == aliases && case.ours.authority.is_empty() && case.ours.code == "NoError";
        return is_right && case.settle();
    }
    if case.ours.answer != aliases {
        let is_stopped = names.len() > LINKS_MAX && case.theirs.answer == aliases;
        let at_end =
            case.ours.answer.difference(&aliases).all(|line| owner_and_type(line).0 == *end && case.is_known(line));
        return is_stopped && at_end && case.ours.answer.is_superset(&aliases) && case.settle();
    }
    let mut rest = case.ours.authority.clone();
    strip(&mut rest, &["NSEC"]);
    let code = if case.zone.exists(end) { "NoError" } else { "NXDomain" };
    let is_right = case.ours.code == code && rest == case.signed_set(&apex(), "SOA");
    is_right && case.settle()
}

/// Which NSEC records deny a name is up to the server as long as they do (RFC 4035 section 3.1.3), which the validator says. hickory takes the one that
/// covers the name above for the one that covers the wildcard.
fn nsec(case: &mut Case<'_>) -> bool {
    if !case.question.dnssec_ok || !case.ours.answer.is_empty() || !case.is_plain() {
        return false;
    }
    let is_other = case.ours.authority != case.theirs.authority;
    [&mut case.ours, &mut case.theirs].into_iter().for_each(|said| strip(&mut said.authority, &["NSEC"]));
    is_other
}

/// Nobody is owed what he did not ask for (RFC 1034 section 4.3.2, step 6: "may be useful"): the NS of the zone beside its SOA, addresses of the targets of NS, MX
/// and SRV. hickory adds them.
fn more(case: &mut Case<'_>) -> bool {
    if ![SOA, NS, MX, SRV].contains(&case.question.rtype) || !case.is_plain() || case.ours.answer.is_empty() {
        return false;
    }
    let before = case.theirs.clone();
    if case.question.rtype == SOA
        && case.ours.authority.is_empty()
        && case.theirs.authority == case.signed_set(&apex(), "NS")
    {
        case.theirs.authority.clear();
    }
    if case.ours.additional.is_empty() && case.theirs.additional.iter().all(|line| case.is_known(line)) {
        case.theirs.additional.clear();
    }
    case.theirs != before
}
