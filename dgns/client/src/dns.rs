//! Asks a server or resolver of DNS for TXT records, in stock messages (RFC 1035, 6891, 7873). What it says is not believed.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use rand_core::Rng as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::error::ClientError;
use crate::rng;

/// The port of DNS.
const PORT: u16 = 53;

/// How long an answer may take, how often a datagram is sent, and how long a whole answer by TCP may take.
const ANSWER_WITHIN: Duration = Duration::from_millis(1_500);
const SENDS_MAX: usize = 3;
const STREAM_WITHIN: Duration = Duration::from_secs(5);

/// The longest answer taken as a datagram.
const UDP_BYTES_MAX: usize = 1_232;

const HEADER_BYTES: usize = 12;
const TYPE_TXT: u16 = 16;
const TYPE_OPT: u16 = 41;
const CLASS_IN: u16 = 1;
const OPTION_COOKIE: u16 = 10;
const NO_ERROR: u8 = 0;
const BAD_COOKIE: u8 = 23;

/// A server or resolver.
#[derive(Debug)]
pub struct Resolver {
    address: SocketAddr,
    tcp: bool,
    /// Our cookie, and behind it the server's once it sent one: with it long answers come as one datagram.
    cookie: Mutex<Vec<u8>>,
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    code: u8,
    is_cut: bool,
    /// The strings of each TXT record at the name asked, concatenated.
    texts: Vec<Vec<u8>>,
    cookie: Option<Vec<u8>>,
}

impl Resolver {
    /// Returns the resolver at `text`: an address or a host, with or without a port. With `tcp` no datagram is sent.
    pub async fn at(text: &str, tcp: bool) -> Result<Self, ClientError> {
        let wrong = |why: &str| ClientError::Unable(format!("{text:?} is no address of a DNS server: {why}"));
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        let address = match (text.parse(), bare.parse()) {
            (Ok(address), _) => address,
            (_, Ok(ip)) => SocketAddr::new(ip, PORT),
            _ => {
                let with_port = if text.contains(':') { text.to_owned() } else { format!("{text}:{PORT}") };
                let mut found = tokio::net::lookup_host(with_port).await.map_err(|error| wrong(&error.to_string()))?;
                found.next().ok_or_else(|| wrong("it has none"))?
            }
        };
        let mut cookie = vec![0; 8];
        rng::system().fill_bytes(&mut cookie);
        Ok(Self { address, tcp, cookie: Mutex::new(cookie) })
    }

    /// Returns the address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the bytes of the one TXT record at `name`, an absolute name without final dot.
    ///
    /// Errors: [`ClientError::Network`] if no answer comes, or one without such a record.
    pub async fn text(&self, name: &str) -> Result<Vec<u8>, ClientError> {
        let mut answer = if self.tcp { None } else { self.by_udp(name).await? };
        if answer.as_ref().is_none_or(|answer| answer.is_cut) {
            answer = Some(self.by_tcp(name).await?);
        }
        let Some(Answer { code, mut texts, .. }) = answer else { return Err(self.failed(name, "no answer")) };
        match (code, texts.pop(), texts.is_empty()) {
            (NO_ERROR, Some(text), true) => Ok(text),
            (NO_ERROR, None, _) => Err(self.failed(name, "the answer has no TXT record")),
            (NO_ERROR, ..) => Err(self.failed(name, "the answer has several TXT records")),
            (code, ..) => Err(self.failed(name, &format!("the answer is {}", code_text(code)))),
        }
    }

    /// Asks by datagrams. A server that takes none is asked by TCP: `None`.
    async fn by_udp(&self, name: &str) -> Result<Option<Answer>, ClientError> {
        let unable = |error: std::io::Error| self.failed(name, &error.to_string());
        let local = if self.address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(local).await.map_err(unable)?;
        socket.connect(self.address).await.map_err(unable)?;
        for _ in 0..SENDS_MAX {
            let query = self.query(name).ok_or_else(|| self.failed(name, "no name of DNS"))?;
            if socket.send(&query).await.is_err() {
                continue;
            }
            if let Ok(answer) = timeout(ANSWER_WITHIN, self.heard(&socket, &query)).await {
                match answer {
                    Some(answer) if answer.code == BAD_COOKIE => {} // the good one is kept by now
                    answer => return Ok(answer),
                }
            }
        }
        Ok(None)
    }

    /// Waits for the answer to `query`; what else comes is let pass.
    async fn heard(&self, socket: &UdpSocket, query: &[u8]) -> Option<Answer> {
        let mut buffer = [0; 4_096];
        loop {
            let length = socket.recv(&mut buffer).await.ok()?;
            if let Some(answer) = read(&buffer[..length], query) {
                self.keep(&answer);
                return Some(answer);
            }
        }
    }

    async fn by_tcp(&self, name: &str) -> Result<Answer, ClientError> {
        let query = self.query(name).ok_or_else(|| self.failed(name, "no name of DNS"))?;
        let asked = async {
            let mut stream = TcpStream::connect(self.address).await?;
            let length = u16::try_from(query.len()).unwrap_or(u16::MAX).to_be_bytes();
            stream.write_all(&[&length[..], &query].concat()).await?;
            let mut answer = vec![0; usize::from(stream.read_u16().await?)];
            stream.read_exact(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = match timeout(STREAM_WITHIN, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(self.failed(name, &error.to_string())),
            Err(_) => return Err(self.failed(name, "no answer in time")),
        };
        read(&answer, &query).ok_or_else(|| self.failed(name, "what came is no answer to that"))
    }

    fn keep(&self, answer: &Answer) {
        let mut cookie = self.cookie.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(theirs) = answer.cookie.as_ref().filter(|theirs| theirs.starts_with(&cookie[..8])) {
            cookie.clone_from(theirs);
        }
    }

    /// A query: a random id, recursion desired, EDNS with our cookie.
    fn query(&self, name: &str) -> Option<Vec<u8>> {
        let mut id = [0; 2];
        rng::system().fill_bytes(&mut id);
        let mut query = vec![id[0], id[1], 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        for label in name.split('.') {
            query.push(u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?);
            query.extend_from_slice(label.as_bytes());
        }
        query.push(0);
        query.extend_from_slice(&[0, TYPE_TXT as u8, 0, CLASS_IN as u8]);
        let cookie = self.cookie.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        query.extend_from_slice(&[0, 0, TYPE_OPT as u8]);
        query.extend_from_slice(&(UDP_BYTES_MAX as u16).to_be_bytes());
        query.extend_from_slice(&[
            0,
            0,
            0,
            0,
            0,
            4 + cookie.len() as u8,
            0,
            OPTION_COOKIE as u8,
            0,
            cookie.len() as u8,
        ]);
        query.extend_from_slice(&cookie);
        Some(query)
    }

    fn failed(&self, name: &str, why: &str) -> ClientError {
        ClientError::Network(format!("DNS at {}: {name} TXT: {why}", self.address))
    }
}

/// Returns what `message` says if it is an answer to `query`: the same id and question, well-formed to its end.
fn read(message: &[u8], query: &[u8]) -> Option<Answer> {
    let question_end = name_end(query, HEADER_BYTES)? + 4;
    let head = message.get(..HEADER_BYTES)?;
    let same = head[..2] == query[..2]
        && head[2] & 0x80 != 0
        && head[4..6] == [0, 1]
        && message.get(HEADER_BYTES..question_end)?.eq_ignore_ascii_case(&query[HEADER_BYTES..question_end]);
    if !same {
        return None;
    }
    let count = |at: usize| usize::from(u16::from_be_bytes([head[at], head[at + 1]]));
    let mut answer = Answer { code: head[3] & 15, is_cut: head[2] & 2 != 0, texts: Vec::new(), cookie: None };
    let mut at = question_end;
    for number in 0..count(6) + count(8) + count(10) {
        at = name_end(message, at)?;
        let fixed = message.get(at..at + 10)?;
        let (rtype, length) = (u16::from_be_bytes([fixed[0], fixed[1]]), u16::from_be_bytes([fixed[8], fixed[9]]));
        let data = message.get(at + 10..at + 10 + usize::from(length))?;
        at += 10 + usize::from(length);
        match rtype {
            TYPE_TXT if number < count(6) => answer.texts.push(strings(data)?),
            TYPE_OPT => {
                answer.code |= fixed[4] << 4;
                answer.cookie = cookie(data);
            }
            _ => {}
        }
    }
    (at == message.len()).then_some(answer)
}

/// Returns where the name at `at` ends in the message; what a pointer leads to is not looked at.
fn name_end(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..64 => at += 1 + usize::from(length),
            192.. => return Some(at + 2),
            _ => return None,
        }
    }
}

/// Returns the strings of a TXT record one behind the other.
fn strings(mut data: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(data.len());
    while let Some((&length, rest)) = data.split_first() {
        let (string, next) = rest.split_at_checked(usize::from(length))?;
        bytes.extend_from_slice(string);
        data = next;
    }
    Some(bytes)
}

/// Returns the cookie among the options of an OPT record.
fn cookie(mut options: &[u8]) -> Option<Vec<u8>> {
    while let Some((&[c0, c1, n0, n1], rest)) = options.split_first_chunk::<4>() {
        let (data, next) = rest.split_at_checked(usize::from(u16::from_be_bytes([n0, n1])))?;
        if u16::from_be_bytes([c0, c1]) == OPTION_COOKIE && (16..=40).contains(&data.len()) {
            return Some(data.to_vec());
        }
        options = next;
    }
    None
}

fn code_text(code: u8) -> String {
    match code {
        1 => "FORMERR".to_owned(),
        2 => "SERVFAIL".to_owned(),
        3 => "NXDOMAIN".to_owned(),
        4 => "NOTIMP".to_owned(),
        5 => "REFUSED".to_owned(),
        code => format!("code {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A query for `a.b`, and an answer with a TXT record of two strings and an OPT with a cookie.
    fn pair() -> (Vec<u8>, Vec<u8>) {
        let question = b"\x01a\x01b\0\0\x10\0\x01";
        let query = [b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0", &question[..]].concat();
        let record = b"\xc0\x0c\0\x10\0\x01\0\0\0\x01\0\x06\x02hi\x02ho";
        let opt = [&b"\0\0\x29\x04\xd0\0\0\0\0\0\x14\0\x0a\0\x10"[..], &[7; 16]].concat();
        let answer = [b"\x12\x34\x84\0\0\x01\0\x01\0\0\0\x01", &question[..], record, &opt].concat();
        (query, answer)
    }

    #[test]
    fn an_answer_is_read_and_every_other_message_let_pass() {
        // Goal: what is no answer to the question is nothing, whatever it is. Method: a good answer, then each of its fields changed.
        let (query, good) = pair();
        let read_good = Answer { code: 0, is_cut: false, texts: vec![b"hiho".to_vec()], cookie: Some(vec![7; 16]) };
        assert_eq!(read(&good, &query), Some(read_good));
        for (what, at, byte) in [
            ("another id", 0, 0x13),
            ("no answer", 2, 0x04),
            ("no question", 5, 0),
            ("another name", 13, b'x'),
            ("another type", 18, 1),
            ("a record too many", 7, 2),
            ("a string too long", 33, 9),
        ] {
            let mut bent = good.clone();
            bent[at] = byte;
            assert_eq!(read(&bent, &query), None, "{what}");
        }
        for end in 0..good.len() {
            assert_eq!(read(&good[..end], &query), None, "cut at {end}");
        }
        assert_eq!(read(&[&good[..], b"x"].concat(), &query), None, "longer");
        let mut shouted = good.clone();
        shouted[13] = b'A';
        assert!(read(&shouted, &query).is_some(), "a resolver may change the case");
    }

    #[tokio::test]
    async fn an_address_has_a_port_or_gets_that_of_dns() {
        for (text, address) in [
            ("127.0.0.1", "127.0.0.1:53"),
            ("127.0.0.1:5300", "127.0.0.1:5300"),
            ("::1", "[::1]:53"),
            ("[::1]:5300", "[::1]:5300"),
        ] {
            assert_eq!(
                Resolver::at(text, false).await.unwrap().address(),
                address.parse::<SocketAddr>().unwrap(),
                "{text}"
            );
        }
        assert!(Resolver::at("", false).await.is_err());
    }
}
