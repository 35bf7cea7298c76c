//! What waits to be written to one socket. Bounded: the slow reader pays.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use lobby::Refusal;
use tokio::sync::Notify;

/// What may wait: what a resume repeats at most, and as much again.
const FRAMES_MAX: usize = 256;
/// See [`FRAMES_MAX`].
const BYTES_MAX: usize = 131_072;

/// The reader is too slow; what waited is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slow;

/// The way from the lobby to one socket.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

/// What is to be done with a socket, in this order.
#[derive(Debug, Default)]
pub struct Waiting {
    /// Messages.
    pub frames: VecDeque<Bytes>,
    /// A ping.
    pub ping: bool,
    /// The end.
    pub close: Option<Refusal>,
    bytes: usize,
}

impl Outbox {
    /// Takes a message.
    pub fn push(&self, frame: Bytes) -> Result<(), Slow> {
        let mut waiting = self.lock();
        waiting.bytes += frame.len();
        waiting.frames.push_back(frame);
        let slow = waiting.frames.len() > FRAMES_MAX || waiting.bytes > BYTES_MAX;
        if slow {
            (waiting.frames, waiting.bytes) = (VecDeque::new(), 0);
        }
        drop(waiting);
        self.wake.notify_one();
        if slow { Err(Slow) } else { Ok(()) }
    }

    /// Asks for a ping.
    pub fn ping(&self) {
        self.lock().ping = true;
        self.wake.notify_one();
    }

    /// Asks for the end, once what waits is written; the first reason stays.
    pub fn close(&self, refusal: Refusal) {
        self.lock().close.get_or_insert(refusal);
        self.wake.notify_one();
    }

    /// Waits until there is something, and takes all of it. Cancelled, it takes nothing.
    pub async fn next(&self) -> Waiting {
        loop {
            {
                let mut waiting = self.lock();
                if !waiting.frames.is_empty() || waiting.ping || waiting.close.is_some() {
                    return std::mem::take(&mut waiting);
                }
            }
            self.wake.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no holder of the lock panics: it guards a plain queue")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_is_bounded_and_comes_in_order() {
        // Goal: a reader that stops costs a bounded amount, and one that reads gets everything. Method: up to the limit, then one more.
        let outbox = Outbox::default();
        for n in 0..FRAMES_MAX as u32 {
            outbox.push(Bytes::from(n.to_be_bytes().to_vec())).unwrap();
        }
        let waiting = outbox.next().await;
        assert_eq!((waiting.frames.len(), &waiting.frames[7][..]), (FRAMES_MAX, &7_u32.to_be_bytes()[..]));
        outbox.push(Bytes::from(vec![0; BYTES_MAX])).unwrap();
        assert_eq!(outbox.push(Bytes::from_static(b"x")), Err(Slow));
        outbox.close(Refusal::Overflow);
        outbox.close(Refusal::Dead);
        let waiting = outbox.next().await;
        assert_eq!((waiting.frames.len(), waiting.close), (0, Some(Refusal::Overflow)));
    }
}
