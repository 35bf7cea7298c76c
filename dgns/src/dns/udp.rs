//! Datagrams: several tasks over one socket, each with its own buffers, nothing allocated for a query.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;

use super::answer::{DropReason, Outcome, Transport, answer};
use super::limits::{UDP_BATCH, UDP_BYTES_MAX};
use super::metrics::Metrics;
use super::zone::Zone;
use crate::shutdown;

/// A datagram can be no longer; a shorter buffer would cut a long one and make it look like another.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// How long a socket that fails is left alone.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// Answers datagrams until `stop`.
pub(crate) async fn serve(
    socket: Arc<UdpSocket>,
    zone: Arc<Zone>,
    metrics: Arc<Metrics>,
    mut stop: watch::Receiver<bool>,
) {
    let mut query = vec![0; DATAGRAM_BYTES_MAX];
    let mut out = Vec::with_capacity(UDP_BYTES_MAX);
    loop {
        tokio::select! {
            () = shutdown::requested(&mut stop) => return,
            ready = socket.readable() => if ready.is_err() { tokio::time::sleep(PAUSE_AFTER_ERROR).await },
        }
        for _ in 0..UDP_BATCH {
            match socket.try_recv_from(&mut query) {
                Ok((length, client)) => {
                    let outcome = answer(&zone, &query[..length], Transport::Udp, &mut out);
                    metrics.count(Transport::Udp, outcome);
                    if matches!(outcome, Outcome::Reply(_)) && socket.try_send_to(&out, client).is_err() {
                        metrics.count_drop(DropReason::Send);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => {
                    tracing::warn!(%error, "DNS socket failed to receive");
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                    break;
                }
            }
        }
    }
}
