//! The server's side of a WebSocket, without extensions: bytes to messages, and back (RFC 6455).
//!
//! Nothing is kept for a socket that is between two messages: bytes are read where they lie, in a buffer that all sockets share.
//! Libraries keep kilobytes for each, and copy each message twice; ten thousand sockets wait, and one speaks.

use std::ops::ControlFlow;

use crate::limits::FRAME_BYTES_MAX;

/// What a client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// A text message; nobody looked whether it is UTF-8.
    Text(&'a [u8]),
    /// A binary message.
    Binary(&'a [u8]),
    /// Wants these bytes back.
    Ping(&'a [u8]),
    /// Is there.
    Pong,
    /// Ends, with its code if it names one.
    Close(Option<u16>),
}

/// Why a socket cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not what RFC 6455 says, or an extension that nobody agreed on. Closes with 1002.
    #[error("not the WebSocket protocol")]
    Protocol,
    /// A message above [`FRAME_BYTES_MAX`]. Closes with 1009.
    #[error("a frame has at most 16,384 bytes")]
    TooLarge,
}

/// What a server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A text message.
    Text = 1,
    /// A binary message.
    Binary = 2,
    /// The end.
    Close = 8,
    /// Is somebody there?
    Ping = 9,
    /// Yes.
    Pong = 10,
}

/// Appends a frame of a server.
pub fn put(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    out.push(FIN | opcode as u8);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len @ ..126), _) => out.push(len),
        (_, Ok(len)) => {
            out.push(LEN_16);
            out.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            out.push(LEN_64);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// Appends the end, with a code and at most 123 bytes of why.
pub fn put_close(out: &mut Vec<u8>, code: Option<u16>, why: &str) {
    let mut payload = Vec::with_capacity(2 + why.len());
    if let Some(code) = code {
        payload.extend_from_slice(&code.to_be_bytes());
        payload.extend_from_slice(why.as_bytes().get(..why.len().min(CONTROL_BYTES_MAX - 2)).unwrap_or_default());
    }
    put(out, Opcode::Close, &payload);
}

/// What came of a socket and is not whole yet.
#[derive(Debug, Default)]
pub struct Incoming {
    partial: Vec<u8>,
    message: Option<Box<Fragments>>,
}

#[derive(Debug)]
struct Fragments {
    text: bool,
    bytes: Vec<u8>,
}

impl Incoming {
    /// Takes bytes, which are changed where they lie, and hands on what is whole. After a break the rest waits for the next call.
    pub fn feed(&mut self, bytes: &mut [u8], each: &mut dyn FnMut(Said<'_>) -> ControlFlow<()>) -> Result<(), Fault> {
        if self.partial.is_empty() {
            let used = self.read(bytes, each)?;
            self.partial = bytes[used..].to_vec();
            return Ok(());
        }
        let mut whole = [&std::mem::take(&mut self.partial), &*bytes].concat();
        let used = self.read(&mut whole, each)?;
        self.partial = whole.split_off(used);
        Ok(())
    }

    /// Hands on the whole frames at the beginning of `bytes`; returns where they end.
    fn read(&mut self, bytes: &mut [u8], each: &mut dyn FnMut(Said<'_>) -> ControlFlow<()>) -> Result<usize, Fault> {
        let mut at = 0;
        while let Some(head) = Head::read(&bytes[at..])? {
            let Some(payload) = bytes[at + head.bytes..].get_mut(..head.len) else { break };
            unmask(payload, head.mask);
            let flow = match self.frame(&head, payload)? {
                Some(Whole::Frame(said)) => each(said),
                Some(Whole::Message(message)) => each(said(message.text, &message.bytes)),
                None => ControlFlow::Continue(()),
            };
            at += head.bytes + head.len;
            if flow.is_break() {
                break;
            }
        }
        Ok(at)
    }

    fn frame<'a>(&mut self, head: &Head, payload: &'a [u8]) -> Result<Option<Whole<'a>>, Fault> {
        let whole = match head.opcode {
            0 => {
                let Some(mut message) = self.message.take() else { return Err(Fault::Protocol) };
                if message.bytes.len() + payload.len() > FRAME_BYTES_MAX {
                    return Err(Fault::TooLarge);
                }
                message.bytes.extend_from_slice(payload);
                if head.last {
                    return Ok(Some(Whole::Message(message)));
                }
                self.message = Some(message);
                return Ok(None);
            }
            1 | 2 if self.message.is_some() => return Err(Fault::Protocol),
            1 | 2 if !head.last => {
                self.message = Some(Box::new(Fragments { text: head.opcode == 1, bytes: payload.to_vec() }));
                return Ok(None);
            }
            1 | 2 => said(head.opcode == 1, payload),
            8 => match payload {
                [] => Said::Close(None),
                [_] => return Err(Fault::Protocol),
                [high, low, ..] => Said::Close(Some(u16::from_be_bytes([*high, *low]))),
            },
            9 => Said::Ping(payload),
            10 => Said::Pong,
            _ => return Err(Fault::Protocol),
        };
        Ok(Some(Whole::Frame(whole)))
    }
}

enum Whole<'a> {
    Frame(Said<'a>),
    Message(Box<Fragments>),
}

fn said(text: bool, bytes: &[u8]) -> Said<'_> {
    if text { Said::Text(bytes) } else { Said::Binary(bytes) }
}

/// How a frame of a client begins.
struct Head {
    last: bool,
    opcode: u8,
    mask: [u8; 4],
    /// Of the payload.
    len: usize,
    /// Of the head itself.
    bytes: usize,
}

impl Head {
    /// Returns the head that begins here, once it is whole. What is wrong in it is refused before more is waited for.
    fn read(bytes: &[u8]) -> Result<Option<Self>, Fault> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let (last, opcode, short) = (first & FIN != 0, first & 0x0f, second & !MASKED);
        // A client masks; nobody agreed on what the bits between are for; control frames are whole and short.
        if first & 0x70 != 0 || second & MASKED == 0 || (opcode >= 8 && (!last || short > 125)) {
            return Err(Fault::Protocol);
        }
        let (len, rest, least) = match (short, rest) {
            (LEN_16, [a, b, rest @ ..]) => (u64::from(u16::from_be_bytes([*a, *b])), rest, 126),
            (LEN_64, [a, b, c, d, e, f, g, h, rest @ ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), rest, 65_536)
            }
            (LEN_16 | LEN_64, _) => return Ok(None),
            (len, rest) => (u64::from(len), rest, 0),
        };
        if len < least {
            return Err(Fault::Protocol);
        }
        let len = usize::try_from(len).ok().filter(|len| *len <= FRAME_BYTES_MAX).ok_or(Fault::TooLarge)?;
        let Some((mask, rest)) = rest.split_first_chunk() else { return Ok(None) };
        Ok(Some(Self { last, opcode, mask: *mask, len, bytes: bytes.len() - rest.len() }))
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = payload.chunks_exact_mut(8);
    for word in &mut words {
        let masked = u64::from_ne_bytes(word.try_into().expect("eight bytes"));
        word.copy_from_slice(&(masked ^ wide).to_ne_bytes());
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// The last frame of a message.
const FIN: u8 = 0x80;
/// The payload is masked.
const MASKED: u8 = 0x80;
/// A length of two bytes follows.
const LEN_16: u8 = 126;
/// A length of eight bytes follows.
const LEN_64: u8 = 127;
/// The payload of a control frame.
const CONTROL_BYTES_MAX: usize = 125;

#[cfg(test)]
mod tests;
