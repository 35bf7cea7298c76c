//! What hickory says to a query that somebody else has answered, and what its validator says of that answer.
//!
//! `hickory-oracle ZONE ADDRESS` copies the zone, with its signatures, by AXFR from ADDRESS and writes it as a frame: a `u32` length and so many bytes. Then
//! it reads frames. An empty one: it copies the zone again, and writes that. Any other: queries, each with the answer that was given, as `u16` length and
//! bytes; it writes a frame with three texts for each, as `u32` length and bytes: what hickory's server says, what the answer says, and what is wrong with
//! the answer's signatures and denials, empty if nothing is or nothing was to be judged.
//!
//! A message as text: a line with code and flags, then the records, sorted, `an`, `ns` or `ar` in front; OPT is left out.

mod catalog;
mod copy;
mod text;
mod validator;

use std::io::{self, Read, Write};

use hickory_server::proto::op::Message;
use hickory_server::proto::rr::Name;

use catalog::Server;
use validator::Validator;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [zone, address] = arguments.try_into().expect("ZONE ADDRESS");
    let origin = Name::from_ascii(format!("{zone}.")).expect("a name");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut records = copy::zone(&origin, &address)?;
    write(&mut output, text::zone(&records).as_bytes())?;
    let (mut server, mut validator) = (Server::of(&origin, &records), Validator::of(&origin, &records));
    while let Some(frame) = read(&mut input)? {
        if frame.is_empty() {
            records = copy::zone(&origin, &address)?;
            write(&mut output, text::zone(&records).as_bytes())?;
            (server, validator) = (Server::of(&origin, &records), Validator::of(&origin, &records));
            continue;
        }
        let (mut rest, mut said) = (frame.as_slice(), Vec::new());
        while !rest.is_empty() {
            let (query, answer) = (part(&mut rest), part(&mut rest));
            let theirs = runtime.block_on(server.answer(query));
            let (ours, wrong) = match Message::from_vec(answer) {
                Ok(answer) => (text::of(&answer), runtime.block_on(validator.fault(query, &answer))),
                Err(error) => (format!("no message: {error}"), String::new()),
            };
            for text in [theirs.map_or_else(|error| error, |message| text::of(&message)), ours, wrong] {
                said.extend_from_slice(&(text.len() as u32).to_be_bytes());
                said.extend_from_slice(text.as_bytes());
            }
        }
        write(&mut output, &said)?;
    }
    Ok(())
}

fn part<'p>(rest: &mut &'p [u8]) -> &'p [u8] {
    let (length, after) = rest.split_first_chunk().expect("a length");
    let (part, after) = after.split_at(u16::from_be_bytes(*length).into());
    *rest = after;
    part
}

/// Returns the next frame; `None` once there is none.
fn read(input: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match input.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    input.read_exact(&mut frame)?;
    Ok(Some(frame))
}

fn write(output: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    output.write_all(&(frame.len() as u32).to_be_bytes())?;
    output.write_all(frame)?;
    output.flush()
}
