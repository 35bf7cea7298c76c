//! Ports for programs that must be told one before they start.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// Below the ports that a system gives to whoever asks for any: between this look and the start of a program nobody is given the program's.
const FIRST: u16 = 20_000;
const COUNT: u64 = 12_000;

/// Returns a port of 127.0.0.1 that nobody has, by TCP or by UDP.
pub fn free() -> u16 {
    loop {
        let port = FIRST + (RandomState::new().build_hasher().finish() % COUNT) as u16;
        let at = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok() {
            return port;
        }
    }
}
