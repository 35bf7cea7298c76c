//! What an update asks to be so before it is made (RFC 2136 section 3.2), judged by what DNS answers: certified, written or made by the server.

use std::collections::HashMap;

use super::super::answer::{Asker, Outcome, Transport, answer};
use super::super::name::{self, WireName};
use super::super::reply::Rcode;
use super::super::wire::{self, Record};
use super::super::zone::Zone;
use super::{CLASS_ANY, CLASS_IN, FAILED, Refused, TYPE_ANY};

const NOT_ZONE: Refused = Refused(Rcode::NotZone, None);

/// A set that is to be exactly so.
struct Wanted<'a> {
    owner: &'a WireName,
    data: Vec<&'a [u8]>,
}

/// Judges prerequisites in their order, and last the sets that are to be exactly so.
pub(super) fn meets(zone: &Zone, prerequisites: &[Record<'_>], asker: &Asker<'_>) -> Result<(), Refused> {
    let mut wanted: HashMap<(&[u8], u16), Wanted<'_>> = HashMap::new();
    for record in prerequisites {
        if record.class == CLASS_IN {
            name::place(record.owner.as_bytes(), zone.apex().wire()).ok_or(NOT_ZONE)?;
            let place = (record.owner.as_bytes(), record.rtype);
            let set = wanted.entry(place).or_insert(Wanted { owner: &record.owner, data: Vec::new() });
            set.data.push(&record.rdata);
            continue;
        }
        let is_there = !shown(zone, &record.owner, record.rtype, asker)?.is_empty();
        let is_wanted = record.class == CLASS_ANY;
        if is_there != is_wanted {
            let rcode = match (is_wanted, record.rtype) {
                (true, TYPE_ANY) => Rcode::NxDomain,
                (true, _) => Rcode::NxRrSet,
                (false, TYPE_ANY) => Rcode::YxDomain,
                (false, _) => Rcode::YxRrSet,
            };
            return Err(Refused(rcode, None));
        }
    }
    for ((_, rtype), Wanted { owner, mut data }) in wanted {
        let mut there = shown(zone, owner, rtype, asker)?;
        data.sort_unstable();
        data.dedup();
        there.sort_unstable();
        if there != data {
            return Err(Refused(Rcode::NxRrSet, None));
        }
    }
    Ok(())
}

/// Returns the data of the set of a type that DNS shows there; for [`TYPE_ANY`] of some set, if any is. The zone of proofs is another one.
fn shown(zone: &Zone, owner: &WireName, rtype: u16, asker: &Asker<'_>) -> Result<Vec<Vec<u8>>, Refused> {
    let query = [&QUERY[..], owner.as_bytes(), &rtype.to_be_bytes(), &CLASS_IN.to_be_bytes()].concat();
    let mut reply = Vec::new();
    match answer(zone, &query, &Asker { transport: Transport::Tcp, ..*asker }, &mut reply) {
        Outcome::Reply { rcode: Rcode::NoError | Rcode::NxDomain, .. } => {}
        Outcome::Reply { rcode: Rcode::Refused, .. } | Outcome::Proof { .. } => return Err(NOT_ZONE),
        _ => return Err(FAILED),
    }
    let records = wire::answers(&reply).map_err(|_| FAILED)?;
    let is_asked = |record: &Record<'_>| record.owner == *owner && [record.rtype, TYPE_ANY].contains(&rtype);
    Ok(records.into_iter().filter(is_asked).map(|record| record.rdata.into_owned()).collect())
}

/// The header of a query with one question.
const QUERY: [u8; 12] = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
