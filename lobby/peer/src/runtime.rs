//! Tokio as WebRTC uses it, with sockets that hold what SCTP lets the other end send.
//!
//! A window above a quarter of what the kernel keeps for a socket overflows it, and each packet lost there is a stall.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, Runtime, TokioRuntime,
};

/// What is asked of the kernel for a socket, bytes.
const SOCKET_BYTES: usize = 4 << 20;

/// The smallest and the largest SCTP window, bytes; it grows in steps of the smallest.
const WINDOW_STEP: usize = 64 << 10;
const WINDOW_MAX: usize = 2 << 20;

/// The runtime of all connections of a process.
#[derive(Debug)]
pub(crate) struct Sockets(pub(crate) TokioRuntime);

/// Returns the SCTP window that this machine's sockets can hold: a quarter of what the kernel grants.
pub(crate) fn window() -> u32 {
    let granted = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| enlarge(&socket)).unwrap_or(0);
    let window = (granted / 4 / WINDOW_STEP * WINDOW_STEP).clamp(WINDOW_STEP, WINDOW_MAX);
    u32::try_from(window).unwrap_or(u32::MAX)
}

/// Asks for a large buffer and returns what there is.
fn enlarge(socket: &std::net::UdpSocket) -> io::Result<usize> {
    let socket = SockRef::from(socket);
    let _ = socket.set_send_buffer_size(SOCKET_BYTES);
    let _ = socket.set_recv_buffer_size(SOCKET_BYTES);
    socket.recv_buffer_size()
}

impl Runtime for Sockets {
    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        enlarge(&socket)?;
        self.0.wrap_udp_socket(socket)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) -> Box<dyn JoinHandle> {
        self.0.spawn(future)
    }

    fn spawn_reactor(&self, size: usize, future: Pin<Box<dyn Future<Output = ()> + Send>>) -> Box<dyn JoinHandle> {
        self.0.spawn_reactor(size, future)
    }

    fn wrap_tcp_listener(&self, listener: std::net::TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        self.0.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(
        &'a self,
        to: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<Arc<dyn AsyncTcpStream>>> + Send + 'a>> {
        self.0.connect_tcp(to)
    }

    fn resolve_host<'a>(
        &'a self,
        host: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        self.0.resolve_host(host)
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        self.0.sleep(duration)
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        self.0.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        self.0.block_on(future);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_within_its_bounds_and_what_sockets_hold() {
        let window = window() as usize;
        assert!((WINDOW_STEP..=WINDOW_MAX).contains(&window) && window.is_multiple_of(WINDOW_STEP), "{window}");
    }
}
