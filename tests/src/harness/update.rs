//! Updates of DNS as a device signs them (PROTOCOL 13.3), byte by byte.

use data_encoding::BASE64;
use dgns_api::dns_key;
use identity::key::SigningKey;

use super::person::Person;
use super::server::Server;

/// The name that updates here are of.
pub const ALICE: &[u8] = b"\x05alice\x04dgns\x04test\0";

/// Writes the key of a person's device as files; returns the private one.
pub fn key_file(person: &Person, server: &Server, name: &str) -> String {
    let out = person.home().join("dns");
    let said = person.dgns(server, &["dns-key", name, "--out", out.to_str().expect("it is as the command writes it")]);
    said.exits(0).text("/file")
}

/// Returns the key of a person's device, who has `alice`.
pub fn key_of(person: &Person, server: &Server) -> SigningKey {
    let text = std::fs::read_to_string(key_file(person, server, "alice")).expect("it is as the command writes it");
    let seed = BASE64
        .decode(text.rsplit("PrivateKey: ").next().expect("it is as the command writes it").trim().as_bytes())
        .expect("it is as the command writes it");
    SigningKey::from_seed(&seed.try_into().expect("it is as the command writes it"))
}

/// Returns a record of `alice.dgns.test`.
pub fn record(rtype: u16, class: u16, ttl_s: u32, data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u16).to_be_bytes();
    [ALICE, &rtype.to_be_bytes(), &class.to_be_bytes(), &ttl_s.to_be_bytes(), &length, data].concat()
}

/// Returns an update of `dgns.test`, signed for ten minutes.
pub fn signed(key: &SigningKey, id: u16, prerequisites: &[Vec<u8>], updates: &[Vec<u8>]) -> Vec<u8> {
    let counts = [1, prerequisites.len() as u16, updates.len() as u16].map(u16::to_be_bytes).concat();
    let head = [&id.to_be_bytes()[..], &[0x28, 0], &counts].concat();
    let body = [&b"\x04dgns\x04test\0\0\x06\0\x01"[..], &prerequisites.concat(), &updates.concat()].concat();
    let begins = dgns_client::clock::now().as_s() as u32 - 300;
    let times = [begins + 600, begins].map(u32::to_be_bytes).concat();
    let front = [&[0, 0, 15, 0, 0, 0, 0, 0][..], &times, &dns_key::tag(&key.public()).to_be_bytes(), ALICE].concat();
    let signature = key.sign(&[&front[..], &head, &[0, 0], &body].concat());
    let length = (front.len() as u16 + 64).to_be_bytes();
    [&head[..], &[0, 1], &body, &[0, 0, 24, 0, 255, 0, 0, 0, 0], &length, &front, &signature].concat()
}
