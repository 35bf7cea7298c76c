//! The zone's own sets as a copy has them: whose keys, and is each of them signed.

use std::collections::BTreeMap;

use super::super::dnssec::trust::{Pins, Rrsig};
use super::super::dnssec::{ApexSet, Set, TYPE_CDNSKEY, TYPE_CDS, TYPE_DNSKEY, TYPE_NS, TYPE_RRSIG, TYPE_SOA};
use super::super::limits::SIGNATURES_MAX;
use super::super::zone::Record;
use super::super::zone::copied::OwnSets;
use super::reading;

/// The types at the zone's own name that every zone of ours has, in the order in which they are kept.
const TYPES: [u16; 5] = [TYPE_SOA, TYPE_NS, TYPE_DNSKEY, TYPE_CDS, TYPE_CDNSKEY];

/// Why a copy is refused as a whole. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// No key that is believed signed the zone's keys.
    #[error("no key that is believed signed the zone's keys: another zone's, or dns.primary.ds is not its DS")]
    Keys,
    /// A set of the zone's own name is missing, or a signature of it does not hold.
    #[error("the zone's own sets are not all signed, now and by its keys")]
    Signature,
    /// The SOA has another serial than the copy, or another TTL of denials than is set here.
    #[error("the SOA does not fit: dns.negative_ttl_s must be the primary's")]
    Soa,
    /// The primary has an older zone than this edge.
    #[error("the primary has an older zone than the one that was copied from it")]
    Behind,
}

/// Judges the records at the zone's own name; returns who vouches for the next keys, and the sets. Errors: [`Refusal`].
pub(super) fn own_sets(
    apex: &[u8],
    records: &[Record],
    serial: u32,
    negative_ttl_s: u32,
    pins: &Pins,
    now_s: u32,
) -> Result<(Pins, OwnSets), Refusal> {
    let mut by_type: BTreeMap<u16, Vec<&Record>> = BTreeMap::new();
    records.iter().for_each(|record| by_type.entry(record.rtype).or_default().push(record));
    let rrsigs: Vec<Rrsig<'_>> =
        by_type.get(&TYPE_RRSIG).into_iter().flatten().filter_map(|record| Rrsig::read(&record.rdata)).collect();
    let own = |rtype| {
        let records = by_type.get(&rtype).ok_or(Refusal::Signature)?;
        let ttl_s = records[0].ttl_s;
        let rdata: Vec<&[u8]> = records.iter().map(|record| &*record.rdata).collect();
        let rrsigs: Vec<Rrsig<'_>> = rrsigs.iter().filter(|rrsig| rrsig.rtype == rtype).copied().collect();
        let is_one = (1..=SIGNATURES_MAX).contains(&rrsigs.len()) && records.iter().all(|record| record.ttl_s == ttl_s);
        is_one.then_some((ttl_s, rdata, rrsigs)).ok_or(Refusal::Signature)
    };
    let (ttl_s, rdata, by) = own(TYPE_DNSKEY)?;
    let dnskeys = Set { owner: apex, rtype: TYPE_DNSKEY, ttl_s, rdata: &rdata };
    let (pins, keys) = pins.follow(apex, &dnskeys, &by, now_s).ok_or(Refusal::Keys)?;
    let sets = TYPES.into_iter().map(|rtype| {
        let (ttl_s, rdata, rrsigs) = own(rtype)?;
        let set = Set { owner: apex, rtype, ttl_s, rdata: &rdata };
        if !rrsigs.iter().all(|rrsig| keys.signed(apex, &set, rrsig, now_s)) {
            return Err(Refusal::Signature);
        }
        let signatures = rrsigs.iter().map(|rrsig| rrsig.signature).collect();
        Ok(ApexSet { rtype, ttl_s, rdata: rdata.iter().map(|rdata| rdata.to_vec()).collect(), signatures })
    });
    let sets = sets.collect::<Result<Vec<_>, _>>()?;
    match by_type.get(&TYPE_SOA).map(Vec::as_slice) {
        Some([soa]) if fits(soa, serial, negative_ttl_s) => Ok((pins, OwnSets { sets, keys })),
        _ => Err(Refusal::Soa),
    }
}

fn fits(soa: &Record, serial: u32, negative_ttl_s: u32) -> bool {
    let minimum = soa.rdata.last_chunk().map(|bytes| u32::from_be_bytes(*bytes));
    reading::serial(soa) == Ok(serial) && minimum == Some(negative_ttl_s) && soa.ttl_s == negative_ttl_s
}
