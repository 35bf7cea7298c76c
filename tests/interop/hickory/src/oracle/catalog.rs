//! hickory's server with the zone in its memory, asked without a socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hickory_server::dnssec::NxProofKind;
use hickory_server::net::NetError;
use hickory_server::net::runtime::{TokioRuntimeProvider, TokioTime};
use hickory_server::net::xfer::Protocol;
use hickory_server::proto::dnssec::rdata::DNSSECRData;
use hickory_server::proto::op::Message;
use hickory_server::proto::rr::{LowerName, Name, RData, Record, RecordSet, RecordType, RrKey};
use hickory_server::proto::serialize::binary::BinEncoder;
use hickory_server::server::{Request, RequestHandler as _, ResponseHandler, ResponseInfo};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, MessageResponse, ZoneType};

/// The server.
pub struct Server(Catalog);

impl Server {
    /// Returns one that answers from these records, signatures and NSEC among them, and makes none itself.
    pub fn of(origin: &Name, records: &[Record]) -> Self {
        let mut sets: BTreeMap<RrKey, RecordSet> = BTreeMap::new();
        let is_signature = |record: &&Record| record.record_type() == RecordType::RRSIG;
        for record in records.iter().filter(|record| !is_signature(record)) {
            let key = RrKey::new(LowerName::from(&record.name), record.record_type());
            let set = sets
                .entry(key)
                .or_insert_with(|| RecordSet::with_ttl(record.name.clone(), record.record_type(), record.ttl));
            assert!(set.add_rdata(record.data.clone()), "{record} is there once");
        }
        for record in records.iter().filter(is_signature) {
            let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &record.data else { panic!("{record}") };
            let key = RrKey::new(LowerName::from(&record.name), signature.input().type_covered);
            sets.get_mut(&key).expect("what is signed is there").insert_rrsig(record.clone());
        }
        let mut zone = InMemoryZoneHandler::<TokioRuntimeProvider>::empty(
            origin.clone(),
            ZoneType::Primary,
            AxfrPolicy::Deny,
            Some(NxProofKind::Nsec),
        );
        zone.records_get_mut().extend(sets.into_iter().map(|(key, set)| (key, Arc::new(set))));
        let mut catalog = Catalog::new();
        catalog.upsert(LowerName::from(origin), vec![Arc::new(zone)]);
        Self(catalog)
    }

    /// Returns the answer to a query. Errors: why there is none.
    pub async fn answer(&self, query: &[u8]) -> Result<Message, String> {
        let nobody = SocketAddr::from(([127, 0, 0, 1], 53));
        let request = Request::from_bytes(query.to_vec(), nobody, Protocol::Tcp).map_err(|error| error.to_string())?;
        let kept = Kept::default();
        self.0.handle_request::<_, TokioTime>(&request, kept.clone()).await;
        let bytes = std::mem::take(&mut *kept.0.lock().expect("nobody panicked"));
        Message::from_vec(&bytes).map_err(|error| error.to_string())
    }
}

/// Keeps the bytes of an answer.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

#[async_trait::async_trait]
impl ResponseHandler for Kept {
    async fn send_response<'a>(
        &mut self,
        response: MessageResponse<
            '_,
            'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
        >,
    ) -> Result<ResponseInfo, NetError> {
        let mut bytes = self.0.lock().expect("nobody panicked");
        bytes.clear();
        Ok(response.destructive_emit(&mut BinEncoder::new(&mut bytes))?)
    }
}
