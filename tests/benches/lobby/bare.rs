//! What the kernel and the runtime cost alone: a relay that hands on what it reads and looks at none of it. It is this very program,
//! as a process of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::process::{Process, free};

/// The argument that makes this program the relay.
pub const ARGUMENT: &str = "--bare-relay";

/// The bytes of a message: what a card with its frame has.
const MESSAGE: usize = 300;

pub fn start() -> Result<Process, String> {
    let at = free();
    let mut command = Command::new(std::env::current_exe().expect("a process knows its executable"));
    command.args([ARGUMENT, &at.to_string()]);
    Process::start(command, at)
}

/// Relays until the process is ended.
pub async fn relay(at: &str) {
    let listener = TcpListener::bind(at).await.expect("the address is free");
    let waiting: Arc<Mutex<HashMap<u64, TcpStream>>> = Arc::default();
    while let Ok((mut stream, _)) = listener.accept().await {
        let waiting = waiting.clone();
        tokio::spawn(async move {
            let (Ok(()), Ok(number)) = (stream.set_nodelay(true), stream.read_u64().await) else { return };
            let mut waiting = waiting.lock().expect("nobody panics");
            let Some(other) = waiting.remove(&(number ^ 1)) else {
                drop(waiting.insert(number, stream));
                return;
            };
            let ((a, to_a), (b, to_b)) = (stream.into_split(), other.into_split());
            tokio::spawn(pass(a, to_b));
            tokio::spawn(pass(b, to_a));
        });
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let mut buffer = vec![0; 16_384];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

pub struct End {
    pub number: usize,
    socket: BufReader<TcpStream>,
}

impl End {
    /// Two neighbours are each other's other end.
    pub async fn open(at: SocketAddr, number: usize) -> Self {
        let mut stream = TcpStream::connect(at).await.expect("a connection");
        stream.set_nodelay(true).expect("a TCP socket");
        stream.write_u64(number as u64).await.expect("the relay reads");
        Self { number, socket: BufReader::with_capacity(2_048, stream) }
    }

    pub async fn send(&mut self) {
        self.socket.get_mut().write_all(&[7; MESSAGE]).await.expect("the relay reads");
    }

    pub async fn receive(&mut self) {
        self.socket.read_exact(&mut [0; MESSAGE]).await.expect("the relay writes");
    }
}
