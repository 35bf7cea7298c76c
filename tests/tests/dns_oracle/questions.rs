//! Random questions about a zone: its owners, what is above, below and beside them, and names that are nobody's; every type, some classes, EDNS or none.

use dgns_tests::harness::person::ZONE;
use dgns_tests::harness::seed::Seed;

use crate::said::Zone;

pub const A: u16 = 1;
pub const NS: u16 = 2;
pub const CNAME: u16 = 5;
pub const SOA: u16 = 6;
pub const MX: u16 = 15;
pub const SRV: u16 = 33;
pub const OPT: u16 = 41;
pub const DS: u16 = 43;
pub const RRSIG: u16 = 46;
pub const NSEC: u16 = 47;
pub const ANY: u16 = 255;
pub const IN: u16 = 1;

/// Types that a zone has, or may be asked for, as others have them: PTR, KEY, NAPTR, DNAME, NSEC3, NSEC3PARAM.
const TYPES: [u16; 27] = [
    A, NS, CNAME, SOA, 12, MX, 16, 25, 28, SRV, 35, 39, DS, 44, RRSIG, NSEC, 48, 50, 51, 52, 59, 60, 64, 65, ANY, 257,
    99,
];

/// Those that are copies of the zone (PROTOCOL 13.5), which other tests ask for.
const COPIES: [u16; 2] = [251, 252];

/// CH, HS, NONE, ANY, and one that is nothing.
const CLASSES: [u16; 5] = [3, 4, 254, 255, 4_711];

/// A label that is in front of another name.
const LABELS: [&str; 10] = ["x", "_x", "*", "a.b", "_did", "_tcp", "_db._tcp", "0", "zz", "_acme-challenge"];

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// The absolute name in lower case, its final dot included.
    pub name: String,
    pub rtype: u16,
    pub class: u16,
    /// Whether signatures are asked for.
    pub dnssec_ok: bool,
    /// The version of EDNS, if there is an OPT.
    pub version: Option<u8>,
    /// As it is sent.
    pub message: Vec<u8>,
}

impl Question {
    /// Returns a question of any kind.
    pub fn random(zone: &Zone, seed: &mut Seed) -> Self {
        let mut pick = |bound: usize| seed.below(bound as u64) as usize;
        let name = random_name(zone, &mut pick);
        let rtype = match pick(40) {
            0 => Some(pick(65_536) as u16).filter(|rtype| !COPIES.contains(rtype)).unwrap_or(A),
            1 => OPT,
            _ => TYPES[pick(TYPES.len())],
        };
        let class = if pick(40) == 0 { CLASSES[pick(CLASSES.len())] } else { IN };
        let version = (pick(3) > 0).then(|| u8::from(pick(50) == 0));
        let (dnssec_ok, flags) = (version.is_some() && pick(2) == 0, [0, 1][pick(2)]);
        let cd = [0, 0x10][pick(2)];
        let mut message =
            vec![pick(256) as u8, pick(256) as u8, flags, cd, 0, 1, 0, 0, 0, 0, 0, u8::from(version.is_some())];
        let case = pick(3);
        for label in name.split('.').filter(|label| !label.is_empty()) {
            message.push(label.len() as u8);
            message.extend(label.bytes().map(|byte| match case {
                0 => byte.to_ascii_uppercase(),
                1 if pick(2) == 0 => byte.to_ascii_uppercase(),
                _ => byte,
            }));
        }
        message.push(0);
        message.extend([rtype.to_be_bytes(), class.to_be_bytes()].concat());
        if let Some(version) = version {
            let bytes = [512_u16, 1_232, 4_096, 65_535][pick(4)].to_be_bytes();
            message.extend([0, 0, 41, bytes[0], bytes[1], 0, version, [0, 0x80][usize::from(dnssec_ok)], 0, 0, 0]);
        }
        Self { name, rtype, class, dnssec_ok, version, message }
    }

    /// Gives the question this id.
    pub fn with_id(&self, id: u16) -> Vec<u8> {
        [&id.to_be_bytes(), &self.message[2..]].concat()
    }
}

/// Returns a name, at most 255 bytes long and with labels of at most 63.
fn random_name(zone: &Zone, pick: &mut impl FnMut(usize) -> usize) -> String {
    let known = |pick: &mut dyn FnMut(usize) -> usize| match pick(5) {
        0 => zone.targets[pick(zone.targets.len())].clone(),
        _ => zone.owners[pick(zone.owners.len())].clone(),
    };
    let name = match pick(12) {
        0..5 => known(pick),
        5..7 => format!("{}.{}", LABELS[pick(LABELS.len())], known(pick)),
        7 => known(pick).split_once('.').map_or(".", |(_, above)| above).to_owned(),
        8..10 => beside(&known(pick), pick),
        10 => format!("{}.{ZONE}.", LABELS[pick(LABELS.len())]),
        _ => ["", "test.", "example.", "dgns.tesu.", "gns.test.", "xdgns.test.", "ns.example."][pick(7)].to_owned(),
    };
    let fits = name.len() < 250 && name.split('.').all(|label| label.len() <= 63);
    if fits { name } else { known(pick) }
}

/// Returns a name right before or behind another in canonical order, or nearly.
fn beside(name: &str, pick: &mut impl FnMut(usize) -> usize) -> String {
    let (label, above) = name.split_once('.').unwrap_or((name, ""));
    let shorter = label.get(..label.len().saturating_sub(1)).filter(|label| !label.is_empty());
    let label = match (pick(4), shorter) {
        (0, Some(shorter)) => shorter.to_owned(),
        (1, Some(shorter)) => format!("{shorter}0"),
        (2, _) => format!("{label}-"),
        _ => format!("{label}0"),
    };
    format!("{label}.{above}")
}
