//! hickory's validator: whether an answer is signed, and denies what it denies, as one who has the zone's keys believes.
//!
//! It judges one link at a time, as a resolver does that follows aliases itself: each CNAME, then the records at the end or the denial of them; of a
//! referral, that the child is signed or is not.

use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use futures_util::future::{Ready, ready};
use futures_util::stream::{Once, once};
use hickory_net::NetError;
use hickory_net::dnssec::DnssecDnsHandle;
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::xfer::DnsHandle;
use hickory_server::proto::dnssec::rdata::DNSSECRData;
use hickory_server::proto::dnssec::{Proof, TrustAnchors};
use hickory_server::proto::op::{
    DnsRequest, DnsRequestOptions, DnsResponse, Message, MessageType, Query, ResponseCode,
};
use hickory_server::proto::rr::{LowerName, Name, RData, Record, RecordType};

/// The most aliases that are followed.
const LINKS_MAX: usize = 16;

/// Judges the answers of one zone.
pub struct Validator {
    origin: Name,
    shown: Shown,
    handle: DnssecDnsHandle<Shown>,
}

/// Stands for the server: the keys of the zone, and the one answer that is judged.
#[derive(Clone)]
struct Shown {
    keys: Arc<Message>,
    answer: Arc<Mutex<Message>>,
}

impl DnsHandle for Shown {
    type Response = Once<Ready<Result<DnsResponse, NetError>>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Self::Response {
        let answer = self.answer.lock().expect("nobody panicked").clone();
        let answer = [(*self.keys).clone(), answer].into_iter().find(|known| known.queries == request.queries);
        let answer = answer.ok_or_else(|| NetError::from("nothing that is asked for"));
        once(ready(answer.and_then(|answer| DnsResponse::from_message(answer).map_err(NetError::from))))
    }
}

impl Validator {
    /// Returns one that believes the keys among these records of a zone.
    pub fn of(origin: &Name, records: &[Record]) -> Self {
        let mut anchors = TrustAnchors::empty();
        for record in records {
            if let RData::DNSSEC(DNSSECRData::DNSKEY(key)) = &record.data {
                anchors.insert_with_name(key.public_key(), LowerName::from(origin));
            }
        }
        let keys = sets(records, origin, RecordType::DNSKEY);
        let keys = Arc::new(message(origin, RecordType::DNSKEY, ResponseCode::NoError, keys, Vec::new()));
        let shown = Shown { keys, answer: Arc::new(Mutex::new(Message::query())) };
        let handle = DnssecDnsHandle::with_trust_anchor(shown.clone(), Arc::new(anchors));
        Self { origin: origin.clone(), shown, handle }
    }

    /// Returns what is wrong with an answer to a query that asks for signatures; empty if nothing is, or nothing could be.
    pub async fn fault(&self, query: &[u8], answer: &Message) -> String {
        let Ok(query) = Message::from_vec(query) else { return String::new() };
        let wants = query.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok && edns.version() == 0);
        let [asked] = &query.queries[..] else { return String::new() };
        let code = answer.metadata.response_code;
        let is_answer = [ResponseCode::NoError, ResponseCode::NXDomain].contains(&code);
        if !wants || !is_answer || !self.origin.zone_of(asked.name()) {
            return String::new();
        }
        let judged = match answer.metadata.authoritative {
            true => self.judge(asked.name(), asked.query_type(), answer).await,
            false => self.judge_referral(answer).await,
        };
        judged.err().unwrap_or_default()
    }

    async fn judge_referral(&self, answer: &Message) -> Result<(), String> {
        let cut = answer.authorities.iter().find(|record| record.record_type() == RecordType::NS);
        let cut = &cut.ok_or("a referral without NS")?.name;
        let (ds, nsec) =
            (sets(&answer.authorities, cut, RecordType::DS), sets(&answer.authorities, cut, RecordType::NSEC));
        self.believe(message(cut, RecordType::DS, ResponseCode::NoError, ds, nsec)).await
    }

    async fn judge(&self, name: &Name, rtype: RecordType, answer: &Message) -> Result<(), String> {
        let mut name = name.clone();
        for _ in 0..LINKS_MAX {
            let alias =
                answer.answers.iter().find(|record| record.name == name && record.record_type() == RecordType::CNAME);
            let Some(RData::CNAME(target)) = alias.map(|alias| &alias.data) else { break };
            let link = sets(&answer.answers, &name, RecordType::CNAME);
            self.believe(message(&name, RecordType::CNAME, ResponseCode::NoError, link, Vec::new())).await?;
            name = target.0.clone();
            if [RecordType::CNAME, RecordType::ANY].contains(&rtype) {
                return Ok(());
            }
        }
        let mut types: Vec<RecordType> =
            answer.answers.iter().filter(|record| record.name == name).map(Record::record_type).collect();
        types.retain(|rtype| *rtype != RecordType::RRSIG);
        types.dedup();
        for rtype in &types {
            let records = sets(&answer.answers, &name, *rtype);
            self.believe(message(&name, *rtype, ResponseCode::NoError, records, Vec::new())).await?;
        }
        if !types.is_empty() || answer.authorities.is_empty() {
            return Ok(()); // an alias that leads out of the zone ends the answer
        }
        if name == self.origin && rtype == RecordType::DS {
            return Ok(()); // that there is no data in the child (RFC 4035 section 3.1.4.1); a validator asks the parent
        }
        let code = answer.metadata.response_code;
        self.believe(message(&name, rtype, code, Vec::new(), answer.authorities.clone())).await
    }

    /// Errors: what the validator says of a message, if it is not that all of it is secure.
    async fn believe(&self, answer: Message) -> Result<(), String> {
        let asked = answer.queries[0].clone();
        *self.shown.answer.lock().expect("nobody panicked") = answer;
        let mut options = DnsRequestOptions::default();
        options.edns_set_dnssec_ok = true;
        let judged = self.handle.lookup(asked.clone(), options).next().await.ok_or("no judgement")?;
        let judged = judged.map_err(|error| format!("{asked}: {error}"))?;
        let insecure = judged.answers.iter().chain(&judged.authorities).find(|record| record.proof != Proof::Secure);
        insecure.map_or(Ok(()), |record| Err(format!("{asked}: {:?}: {record}", record.proof)))
    }
}

/// Returns the records of one owner and type, with the signatures of them.
fn sets(records: &[Record], owner: &Name, rtype: RecordType) -> Vec<Record> {
    let is_of = |record: &&Record| {
        let covered = match &record.data {
            RData::DNSSEC(DNSSECRData::RRSIG(signature)) => signature.input().type_covered,
            _ => record.record_type(),
        };
        record.name == *owner && covered == rtype
    };
    records.iter().filter(is_of).cloned().collect()
}

fn message(
    name: &Name,
    rtype: RecordType,
    code: ResponseCode,
    answers: Vec<Record>,
    authorities: Vec<Record>,
) -> Message {
    let mut message = Message::query();
    message.add_query(Query::query(name.clone(), rtype));
    message.metadata.message_type = MessageType::Response;
    message.metadata.response_code = code;
    message.insert_answers(answers);
    message.insert_authorities(authorities);
    message
}
