//! The zone, copied (RFC 5936).

use std::io::{self, Read, Write};
use std::net::TcpStream;

use hickory_server::proto::op::{Message, Query};
use hickory_server::proto::rr::{Name, Record, RecordType};

/// Returns every record of a zone, its SOA first and not again at the end.
pub fn zone(origin: &Name, address: &str) -> io::Result<Vec<Record>> {
    let mut query = Message::query();
    query.add_query(Query::query(origin.clone(), RecordType::AXFR));
    let query = query.to_vec().expect("a query fits a message");
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(&[&(query.len() as u16).to_be_bytes(), query.as_slice()].concat())?;
    let mut records: Vec<Record> = Vec::new();
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut message = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut message)?;
        let message = Message::from_vec(&message).map_err(io::Error::other)?;
        if message.answers.is_empty() {
            return Err(io::Error::other(format!("no copy: {}", message.metadata.response_code)));
        }
        for record in message.answers {
            if record.record_type() == RecordType::SOA && !records.is_empty() {
                return Ok(records);
            }
            records.push(record);
        }
    }
}
