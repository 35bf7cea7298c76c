//! What waits to be written to one socket. Whoever has something to say to it writes it there and then: nobody is woken to do so. Only
//! what the kernel does not take waits for the socket's own task. Bounded: the slow reader pays.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use lobby::Refusal;
use lobby::message::Form;
use lobby::websocket::{self, Opcode};
use tokio::net::tcp::OwnedWriteHalf;

/// What may wait: what a resume repeats at most, and as much again.
const FRAMES_MAX: usize = 256;
/// See [`FRAMES_MAX`].
const BYTES_MAX: usize = 131_072;

/// One write takes messages until it has so many bytes.
const WRITE_BYTES: usize = 32_768;

/// How long a socket may take nothing of what waits for it.
const STALLED: Duration = Duration::from_secs(5);

thread_local! {
    /// What is written next, whichever socket it is for.
    static WRITING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The reader is too slow; what waited is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slow;

/// The way from the lobby to one socket.
#[derive(Debug)]
pub struct Outbox {
    opcode: Opcode,
    socket: OwnedWriteHalf,
    waiting: Mutex<Waiting>,
}

/// What is to be done with a socket, in this order.
#[derive(Debug, Default)]
struct Waiting {
    /// What the kernel did not take of what was written last.
    rest: Vec<u8>,
    /// Messages, and their bytes.
    frames: VecDeque<Bytes>,
    bytes: usize,
    pong: Option<Box<[u8]>>,
    ping: bool,
    close: Option<End>,
    /// The end is in what is written, or was.
    closing: bool,
    state: State,
    /// The socket's task, while it has nothing to do.
    task: Option<Waker>,
}

/// How a socket is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    code: Option<u16>,
    why: &'static str,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The kernel takes no more now; the socket's task waits until it does.
    Stalled,
    /// The end was written, or nothing can be.
    Over,
}

/// What an outbox wants of its socket's task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// [`Outbox::drained`].
    Drain,
    /// To drop the socket.
    Drop,
}

impl Outbox {
    /// Returns the way to a socket, in the form of its messages.
    pub fn new(socket: OwnedWriteHalf, form: Form) -> Self {
        let opcode = match form {
            Form::Cbor => Opcode::Binary,
            Form::Json => Opcode::Text,
        };
        Self { opcode, socket, waiting: Mutex::default() }
    }

    /// Takes a message. `Ok(true)`: somebody must [`Outbox::flush`], which the caller does once it holds no lock.
    pub fn push(&self, frame: Bytes) -> Result<bool, Slow> {
        let mut waiting = self.lock();
        if waiting.closing || waiting.state == State::Over {
            return Ok(false);
        }
        let first = waiting.is_empty();
        waiting.bytes += frame.len();
        waiting.frames.push_back(frame);
        if waiting.frames.len() > FRAMES_MAX || waiting.bytes > BYTES_MAX {
            (waiting.frames, waiting.bytes) = (VecDeque::new(), 0);
            return Err(Slow);
        }
        Ok(first)
    }

    /// Asks for a ping; as [`Outbox::push`].
    pub fn ping(&self) -> bool {
        let mut waiting = self.lock();
        let first = waiting.is_empty();
        waiting.ping = true;
        first
    }

    /// Answers a ping; of several only the last. As [`Outbox::push`].
    pub fn pong(&self, payload: &[u8]) -> bool {
        let mut waiting = self.lock();
        let first = waiting.is_empty();
        waiting.pong = Some(payload.into());
        first
    }

    /// Asks for the end, once what waits is written; the first reason stays. As [`Outbox::push`].
    pub fn close(&self, refusal: Refusal) {
        self.end(Some(refusal.close_code()), refusal.code());
    }

    /// As [`Outbox::close`], with a code of the WebSocket protocol's own, or with none.
    pub fn end(&self, code: Option<u16>, why: &'static str) {
        let mut waiting = self.lock();
        if !waiting.closing {
            waiting.close.get_or_insert(End { code, why });
        }
    }

    /// Writes what waits, as far as the kernel takes it.
    pub fn flush(&self) {
        let mut waiting = self.lock();
        if waiting.state == State::Open {
            self.write(&mut waiting);
        }
        let task = if waiting.state == State::Open { None } else { waiting.task.take() };
        drop(waiting);
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Returns what the socket's task is to do, or wakes it once there is something.
    pub fn wanted(&self, context: &Context<'_>) -> Poll<Wanted> {
        let mut waiting = self.lock();
        match waiting.state {
            State::Stalled => Poll::Ready(Wanted::Drain),
            State::Over => Poll::Ready(Wanted::Drop),
            State::Open => {
                if !waiting.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
                    waiting.task = Some(context.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    /// Writes what waits as the socket takes it, until nothing waits; false if it takes nothing for too long.
    pub async fn drained(&self) -> bool {
        loop {
            if !matches!(tokio::time::timeout(STALLED, self.socket.writable()).await, Ok(Ok(()))) {
                return false;
            }
            let mut waiting = self.lock();
            if waiting.state == State::Stalled {
                waiting.state = State::Open;
                self.write(&mut waiting);
            }
            if waiting.state != State::Stalled {
                return true;
            }
        }
    }

    fn write(&self, waiting: &mut Waiting) {
        WRITING.with_borrow_mut(|out| {
            while waiting.take(self.opcode, out) {
                match self.socket.try_write(out) {
                    Ok(written) if written == out.len() => {}
                    Ok(written) => waiting.rest = out[written..].to_vec(),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        waiting.rest = out.clone();
                        waiting.state = State::Stalled;
                        return;
                    }
                    Err(_) => {
                        waiting.state = State::Over;
                        return;
                    }
                }
            }
            if waiting.closing {
                waiting.state = State::Over;
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no holder of the lock panics: it guards a plain queue")
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.rest.is_empty() && self.frames.is_empty() && self.pong.is_none() && !self.ping && self.close.is_none()
    }

    /// Moves what comes next into `out`; false if there is nothing.
    fn take(&mut self, opcode: Opcode, out: &mut Vec<u8>) -> bool {
        out.clear();
        out.append(&mut self.rest);
        while out.len() < WRITE_BYTES
            && let Some(frame) = self.frames.pop_front()
        {
            self.bytes -= frame.len();
            websocket::put(out, opcode, &frame);
        }
        if !self.frames.is_empty() {
            return true;
        }
        // Nothing is kept for a socket that waits.
        (self.rest, self.frames) = (Vec::new(), VecDeque::new());
        if let Some(payload) = self.pong.take() {
            websocket::put(out, Opcode::Pong, &payload);
        }
        if std::mem::take(&mut self.ping) {
            websocket::put(out, Opcode::Ping, &[]);
        }
        if let Some(End { code, why }) = self.close.take() {
            websocket::put_close(out, code, why);
            self.closing = true;
        }
        !out.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn outbox() -> (Outbox, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_, write) = listener.accept().await.unwrap().0.into_split();
        write.writable().await.unwrap();
        (Outbox::new(write, Form::Cbor), client)
    }

    fn wanted(outbox: &Outbox) -> Poll<Wanted> {
        outbox.wanted(&Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn what_waits_comes_in_order_and_then_the_end() {
        let (outbox, mut client) = outbox().await;
        assert_eq!(outbox.push(Bytes::from_static(b"one")), Ok(true));
        assert_eq!(outbox.push(Bytes::from_static(b"two")), Ok(false), "whoever came first writes");
        assert!(!outbox.ping());
        outbox.flush();
        assert_eq!((wanted(&outbox), outbox.lock().is_empty()), (Poll::Pending, true));
        assert!(outbox.pong(b"you"));
        outbox.close(Refusal::Dead);
        outbox.close(Refusal::Overflow);
        outbox.flush();
        assert_eq!(wanted(&outbox), Poll::Ready(Wanted::Drop));
        assert_eq!(outbox.push(Bytes::from_static(b"late")), Ok(false));
        outbox.flush();
        drop(outbox);
        let mut read = Vec::new();
        client.read_to_end(&mut read).await.unwrap();
        let end = [&[0x88, 6, 0x03, 0xe9][..], b"dead"].concat();
        let expected = [&b"\x82\x03one\x82\x03two\x89\x00\x8a\x03you"[..], &end].concat();
        assert_eq!(read, expected);
    }

    #[tokio::test]
    async fn a_reader_that_stops_costs_a_bounded_amount_and_reads_all_that_was_taken() {
        // Goal: nothing that was taken is lost, and no more is taken than is bounded. Method: frames until one is too many, then all of them are
        // read, while the socket's task drains.
        let (outbox, mut client) = outbox().await;
        let frame = |n: u32| Bytes::from(n.to_be_bytes().repeat(1_024));
        let mut taken = 0;
        let slow = loop {
            match outbox.push(frame(taken)) {
                Ok(_) => taken += 1,
                Err(slow) => break slow,
            }
            outbox.flush();
            if wanted(&outbox) == Poll::Ready(Wanted::Drain) {
                let waits = outbox.lock();
                assert!(waits.bytes <= BYTES_MAX && waits.rest.len() <= WRITE_BYTES + 4_096 + 4);
            }
        };
        assert_eq!(slow, Slow);
        let lost = u32::try_from(BYTES_MAX / 4_096).unwrap();
        assert_eq!(outbox.lock().frames.len(), 0);
        outbox.close(Refusal::Overflow);
        let read = tokio::spawn(async move {
            let mut read = Vec::new();
            client.read_to_end(&mut read).await.unwrap();
            read
        });
        assert!(outbox.drained().await);
        assert_eq!(wanted(&outbox), Poll::Ready(Wanted::Drop));
        drop(outbox);
        let read = read.await.unwrap();
        for (n, frame_read) in (0..taken - lost).zip(read.chunks(4_100)) {
            assert_eq!(frame_read[4..], frame(n)[..], "frame {n}");
        }
        assert!(read.ends_with(b"overflow"));
    }
}
