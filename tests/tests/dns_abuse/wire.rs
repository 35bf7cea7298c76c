//! Queries as bytes, and what is looked at of their answers.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};

use dgns_tests::harness::wait::PATIENCE;

pub const A: u16 = 1;

const COOKIE: u16 = 10;

/// Returns a query; with `cookie` one with an OPT that shows it.
pub fn query(id: u16, name: &str, rtype: u16, cookie: Option<&[u8]>) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    query.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(cookie.is_some())]);
    for label in name.split('.') {
        query.push(label.len() as u8);
        query.extend(label.bytes());
    }
    query.push(0);
    query.extend([rtype.to_be_bytes(), [0, 1]].concat());
    if let Some(cookie) = cookie {
        let length = cookie.len() as u16;
        query.extend([0, 0, 41, 4, 208, 0, 0, 0, 0]);
        query.extend([(length + 4).to_be_bytes(), COOKIE.to_be_bytes(), length.to_be_bytes()].concat());
        query.extend(cookie);
    }
    query
}

/// Returns the code of an answer.
pub fn rcode(answer: &[u8]) -> u8 {
    answer[3] & 0x0f
}

/// Whether an answer is cut, and has nothing but its question.
pub fn is_slip(answer: &[u8]) -> bool {
    let is_cut = answer[2] & 2 != 0;
    assert_eq!(is_cut, answer[6..12] == [0; 6] && is_cut, "what is cut has no record");
    is_cut
}

/// Returns a socket that asks a server.
pub fn asker(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(server).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    socket
}

/// Returns the next answer.
pub fn answer(socket: &UdpSocket) -> Vec<u8> {
    let mut answer = vec![0; 4_096];
    let bytes = socket.recv(&mut answer).expect("an answer comes");
    answer.truncate(bytes);
    answer
}

/// Sends messages over one connection; returns the answers, in the order in which they came.
pub fn over_tcp(server: SocketAddr, messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut stream = TcpStream::connect(server).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut answers = Vec::new();
    for message in messages {
        stream.write_all(&(message.len() as u16).to_be_bytes()).expect("the server reads");
        stream.write_all(message).expect("the server reads");
        let mut length = [0; 2];
        stream.read_exact(&mut length).expect("an answer comes");
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut answer).expect("an answer comes whole");
        answers.push(answer);
    }
    answers
}
