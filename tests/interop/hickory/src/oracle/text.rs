//! Messages and records as lines, so that two that say the same are the same.

use hickory_server::proto::op::Message;
use hickory_server::proto::rr::{RData, Record};

/// Returns a message as text (`main` says how).
pub fn of(message: &Message) -> String {
    let head = &message.metadata;
    let flags = [
        (head.authoritative, " aa"),
        (head.truncation, " tc"),
        (head.recursion_desired, " rd"),
        (head.recursion_available, " ra"),
        (head.authentic_data, " ad"),
        (head.checking_disabled, " cd"),
    ];
    let mut text = format!("{:?}", head.response_code);
    flags.iter().filter(|(is_set, _)| *is_set).for_each(|(_, flag)| text.push_str(flag));
    for (section, records) in [("an", &message.answers), ("ns", &message.authorities), ("ar", &message.additionals)] {
        let mut lines: Vec<String> = records.iter().map(|record| format!("\n{section} {}", line(record))).collect();
        lines.sort_unstable();
        text.extend(lines);
    }
    text
}

/// Returns the records of a zone, one a line.
pub fn zone(records: &[Record]) -> String {
    records.iter().map(|record| line(record) + "\n").collect()
}

/// Returns a record as a line: owner in lower case, TTL, class, type, data.
fn line(record: &Record) -> String {
    let data = match &record.data {
        RData::TXT(txt) => {
            let strings = txt.txt_data.iter().map(|string| format!("\"{}\"", string.escape_ascii()));
            strings.collect::<Vec<_>>().join(" ")
        }
        data => data.to_string(),
    };
    let owner = record.name.to_lowercase();
    format!("{owner} {} {} {} {data}", record.ttl, record.dns_class, record.record_type())
}
