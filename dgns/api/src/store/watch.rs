//! Watching many logs at once: what is asked, and what is told (PROTOCOL 25.14). It proves nothing: whoever is told reads.

use identity::wire::{Reader, WireError, Writer};

use super::entry::LogId;
use super::limits::WATCHED_LOGS_MAX;

/// What a watch tells of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It has more entries than the one who asks knew.
    Grown {
        /// The log.
        log: LogId,
        /// How many it has.
        size: u64,
    },
    /// It is not watched any more, or never was.
    Over {
        /// The log.
        log: LogId,
        /// Why: the code that reading it is refused with.
        code: String,
    },
}

impl News {
    /// Returns the log.
    pub fn log(&self) -> &LogId {
        match self {
            Self::Grown { log, .. } | Self::Over { log, .. } => log,
        }
    }

    /// Returns the server-sent event: `grown` with the data `<log> <size>`, or `over` with `<log> <code>`.
    pub fn event(&self) -> String {
        let (event, data) = self.parts();
        format!("event: {event}\ndata: {data}\n\n")
    }

    /// Returns the line of a WebSocket's message: `grown <log> <size>` or `over <log> <code>`.
    pub fn line(&self) -> String {
        let (event, data) = self.parts();
        format!("{event} {data}\n")
    }

    fn parts(&self) -> (&'static str, String) {
        match self {
            Self::Grown { log, size } => ("grown", format!("{log} {size}")),
            Self::Over { log, code } => ("over", format!("{log} {code}")),
        }
    }

    /// Reads a line of a stream; `None` if it is not the data of such an event. No code begins with a digit.
    pub fn of_line(line: &str) -> Option<Self> {
        let (log, what) = line.strip_prefix("data: ")?.split_once(' ')?;
        let log = log.parse().ok()?;
        match what.bytes().all(|byte| byte.is_ascii_digit()) {
            true => what.parse().ok().map(|size| Self::Grown { log, size }),
            false => {
                let is_code = what.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                is_code.then(|| Self::Over { log, code: what.to_owned() })
            }
        }
    }
}

/// Returns what is asked: logs, each with the number of entries that is known of it, ascending.
pub fn encode_watch(logs: &[(LogId, u64)]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(logs.len() * 44 + 4);
    put_watched(&mut writer, logs);
    writer.finish()
}

fn put_watched(writer: &mut Writer, logs: &[(LogId, u64)]) {
    writer.array(logs.len());
    for (log, size) in logs {
        writer.array(2).bytes(&log.0).uint(*size);
    }
}

/// Reads what is asked: 1 to 1,000 logs, ascending.
pub fn decode_watch(bytes: &[u8]) -> Result<Vec<(LogId, u64)>, WireError> {
    let mut reader = Reader::new(bytes);
    let logs = watched(&mut reader)?;
    reader.end()?;
    Ok(logs)
}

fn watched(reader: &mut Reader<'_>) -> Result<Vec<(LogId, u64)>, WireError> {
    let logs = reader.list(WATCHED_LOGS_MAX, |r| {
        r.array_of(2)?;
        Ok::<_, WireError>((LogId(r.fixed()?), r.uint()?))
    })?;
    ascending(logs, |(log, _)| *log)
}

/// Errors: there is none, or one that does not come after the one before.
fn ascending<T>(asked: Vec<T>, log: impl Fn(&T) -> LogId) -> Result<Vec<T>, WireError> {
    match asked.is_sorted_by(|a, b| log(a) < log(b)) {
        _ if asked.is_empty() => Err(WireError::Unexpected),
        true => Ok(asked),
        false => Err(WireError::NotCanonical),
    }
}

/// What a reader asks of a watch over a WebSocket, which stands already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To be told of these logs too, each from the number of entries that is known of it; ascending.
    Watch(Vec<(LogId, u64)>),
    /// To be told of these no more; ascending.
    Leave(Vec<LogId>),
}

impl Ask {
    /// Returns the message: `[0, [[log, size], ...]]` or `[1, [log, ...]]`.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(64);
        writer.array(2);
        match self {
            Self::Watch(logs) => {
                writer.uint(0);
                put_watched(&mut writer, logs);
            }
            Self::Leave(logs) => {
                writer.uint(1).array(logs.len());
                for log in logs {
                    writer.bytes(&log.0);
                }
            }
        }
        writer.finish()
    }

    /// Reads a message: 1 to 1,000 logs, ascending; a frame of the socket holds some 370.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        reader.array_of(2)?;
        let ask = match reader.uint()? {
            0 => Self::Watch(watched(&mut reader)?),
            1 => {
                let logs = reader.list(WATCHED_LOGS_MAX, |r| Ok::<_, WireError>(LogId(r.fixed()?)))?;
                Self::Leave(ascending(logs, |log| *log)?)
            }
            _ => return Err(WireError::Unexpected),
        };
        reader.end()?;
        Ok(ask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_ascending_and_bounded() {
        let log = |number: usize| LogId([&[0; 30][..], &(number as u16).to_be_bytes()].concat().try_into().unwrap());
        let asked: Vec<_> = (0..WATCHED_LOGS_MAX).map(|number| (log(number), number as u64)).collect();
        assert_eq!(decode_watch(&encode_watch(&asked)), Ok(asked.clone()));
        let more = [asked, vec![(log(WATCHED_LOGS_MAX), 0)]].concat();
        assert!(decode_watch(&encode_watch(&more)).is_err());
        assert_eq!(decode_watch(&encode_watch(&[])), Err(WireError::Unexpected));
        for wrong in [[(log(2), 1), (log(1), 1)], [(log(1), 1), (log(1), 2)]] {
            assert_eq!(decode_watch(&encode_watch(&wrong)), Err(WireError::NotCanonical));
        }
    }

    #[test]
    fn what_is_asked_of_a_socket_is_ascending_and_bounded() {
        let [one, two] = [1, 2].map(|number| LogId([number; 32]));
        for ask in [Ask::Watch(vec![(one, 0), (two, 7)]), Ask::Leave(vec![one, two])] {
            assert_eq!(Ask::decode(&ask.encode()), Ok(ask.clone()));
            assert!(Ask::decode(&[ask.encode(), vec![0]].concat()).is_err());
        }
        assert_eq!(Ask::decode(&Ask::Leave(Vec::new()).encode()), Err(WireError::Unexpected));
        assert_eq!(Ask::decode(&Ask::Leave(vec![two, one]).encode()), Err(WireError::NotCanonical));
        assert_eq!(Ask::decode(&Ask::Watch(vec![(one, 0), (one, 1)]).encode()), Err(WireError::NotCanonical));
        assert_eq!(Ask::decode(b"\x82\x02\x80"), Err(WireError::Unexpected));
    }

    #[test]
    fn what_is_told_is_read_again_and_nothing_else_is() {
        let log = LogId([7; 32]);
        for news in [News::Grown { log, size: u64::MAX }, News::Over { log, code: "not_reader".into() }] {
            let lines: Vec<_> = news.event().lines().filter_map(News::of_line).collect();
            assert_eq!(lines, [news]);
        }
        let wrong =
            ["", "data: ", "data: {}", ":", &format!("data: {log}"), &format!("data: {log} 18446744073709551616")];
        for line in wrong.into_iter().chain([format!("data: {log} \u{1b}[2J").as_str(), "data: ab 5"]) {
            assert_eq!(News::of_line(line), None, "{line:?}");
        }
    }
}
