//! Asks a primary for what is new: one connection a question, the question and every message of the answer signed with the key that both have
//! (RFC 8945 section 5.3.1).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::super::dnssec::TYPE_SOA;
use super::super::limits::{COPY_BYTES_PER_S_MIN, COPY_CONNECT_WITHIN, COPY_MESSAGE_WITHIN, COPY_WITHIN};
use super::super::query::{HEADER_BYTES, TYPE_AXFR, TYPE_IXFR};
use super::super::stream::write;
use super::super::tls::TlsFileError;
use super::super::tls::client::{Client, server_name};
use super::super::tsig::{Chain, Key};
use super::PrimaryConfig;
use super::reading::{Came, NoTransfer, Reading};
use crate::clock::Clock;
use crate::rng;

/// Where, how and as whom is asked.
pub(super) struct Fetch {
    address: SocketAddr,
    key: Arc<Key>,
    tls: Option<Client>,
    apex: Vec<u8>,
    clock: Clock,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotFetched {
    /// The connection, or its end, or how long it took.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A message that the key did not sign.
    #[error("an answer is not signed with the key, or not now")]
    Unsigned,
    /// The primary gives no copy.
    #[error(
        "the primary answers with code {0}; 5 or 9: it does not know this edge or its key (dns.peer there), 2: it is not ready"
    )]
    Refused(u8),
    /// Not a transfer.
    #[error(transparent)]
    NoTransfer(#[from] NoTransfer),
}

impl Fetch {
    /// Returns what asks. Errors: the file of authorities.
    pub(super) fn new(
        primary: &PrimaryConfig,
        key: Arc<Key>,
        apex: Vec<u8>,
        clock: Clock,
    ) -> Result<Self, TlsFileError> {
        let tls = match &primary.tls {
            Some((name, roots)) => {
                let name = server_name(name).ok_or_else(|| TlsFileError::Name(name.clone()))?;
                Some(Client::new(name, roots)?)
            }
            None => None,
        };
        Ok(Self { address: primary.address, key, tls, apex, clock })
    }

    /// Asks for what is newer than the serial `known`, or for everything; an answer takes at most so many bytes of memory.
    pub(super) async fn ask(&self, known: Option<u32>, bytes_max: u64) -> Result<Came, NotFetched> {
        let talk = async {
            let late = |_| io::Error::from(io::ErrorKind::TimedOut);
            let connecting = async {
                let stream = TcpStream::connect(self.address).await?;
                let _latency_matters_more_than_packets = stream.set_nodelay(true);
                match &self.tls {
                    Some(tls) => Ok((Some(tls.connect(stream).await?), None)),
                    None => Ok::<_, io::Error>((None, Some(stream))),
                }
            };
            match timeout(COPY_CONNECT_WITHIN, connecting).await.map_err(late)?? {
                (Some(mut stream), _) => self.talk(&mut stream, known, bytes_max).await,
                (None, Some(mut stream)) => self.talk(&mut stream, known, bytes_max).await,
                (None, None) => Err(io::Error::from(io::ErrorKind::NotConnected).into()),
            }
        };
        timeout(COPY_WITHIN, talk).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    async fn talk(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        known: Option<u32>,
        bytes_max: u64,
    ) -> Result<Came, NotFetched> {
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let id: [u8; 2] = rng::bytes();
        let mut message = question(id, &self.apex, known);
        let mut chain = Chain::begin(self.key.clone());
        chain.sign(&mut message, self.clock.now().as_s());
        let frame = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
        timeout(COPY_MESSAGE_WITHIN, write(stream, &frame)).await.map_err(late)??;
        let (mut reading, began, mut bytes) = (Reading::new(self.apex.clone(), bytes_max), Instant::now(), 0);
        loop {
            let answer = timeout(COPY_MESSAGE_WITHIN, read(stream)).await.map_err(late)??;
            bytes += answer.len() as u64;
            let (least, late_s) = (COPY_BYTES_PER_S_MIN, began.elapsed().saturating_sub(COPY_MESSAGE_WITHIN).as_secs());
            if bytes < late_s * least {
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
            let head = answer.first_chunk::<HEADER_BYTES>().ok_or(NoTransfer::Malformed)?;
            if head[..2] != id || head[2] & 0xF8 != 0x80 {
                return Err(NoTransfer::Malformed.into());
            }
            // What says that the signature of the question is wrong is not signed itself.
            if head[3] & 15 != 0 {
                return Err(NotFetched::Refused(head[3] & 15));
            }
            if !chain.hears(&answer, self.clock.now().as_s()) {
                return Err(NotFetched::Unsigned);
            }
            if reading.push(&answer)? {
                return reading.end().ok_or_else(|| NoTransfer::Malformed.into());
            }
        }
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Returns the question for what is newer than a serial, which stands in a SOA (RFC 1995 section 3), or for everything.
fn question(id: [u8; 2], apex: &[u8], known: Option<u32>) -> Vec<u8> {
    let mut message = id.to_vec();
    message.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, u8::from(known.is_some()), 0, 0]);
    message.extend_from_slice(apex);
    message.extend_from_slice(&if known.is_some() { TYPE_IXFR } else { TYPE_AXFR }.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    if let Some(serial) = known {
        message.extend_from_slice(&(0xC000 | HEADER_BYTES as u16).to_be_bytes());
        message.extend_from_slice(&TYPE_SOA.to_be_bytes());
        message.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 22, 0, 0]);
        message.extend_from_slice(&serial.to_be_bytes());
        message.extend_from_slice(&[0; 16]);
    }
    message
}
