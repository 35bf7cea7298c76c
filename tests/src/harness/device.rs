//! The device of a person's home, whose keys a test has in hand: for requests that it signs by hand.

use data_encoding::HEXLOWER;
use dgns_client::{clock, rng};
use identity::did::Did;
use identity::key::{KexSecret, SigningKey};
use identity::request::{Authorization, DID_HEADER, Request};
use serde_json::Value;

use super::http::{self, Answer};
use super::load::origin;
use super::person::ZONE;
use super::{Person, Server};

/// A device that belongs to a DID.
#[derive(Debug)]
pub struct Device {
    /// The DID.
    pub did: Did,
    /// Its signing key.
    pub sign: SigningKey,
    /// Its public sealing key.
    pub kex: [u8; 32],
}

impl Device {
    /// Reads the keys of a home that has claimed or joined a name.
    pub fn of(person: &Person) -> Self {
        let file = std::fs::read(person.home().join(ZONE).join("device.json")).expect("the home has a device");
        let file: Value = serde_json::from_slice(&file).expect("it is JSON");
        let bytes = |name: &str| -> [u8; 32] {
            let hex = HEXLOWER.decode(file[name].as_str().expect("a key").as_bytes());
            hex.expect("hexadecimal digits").try_into().expect("32 bytes")
        };
        let did = file["did"].as_str().expect("it belongs to a DID").parse().expect("a DID");
        let kex = KexSecret::from_bytes(bytes("kex")).public();
        Self { did, sign: SigningKey::from_seed(&bytes("sign")), kex }
    }

    /// Sends a request that the device signs now.
    pub fn asks(&self, server: &Server, method: &str, target: &str, body: &[u8]) -> Answer {
        let signed = self.signed(method, target, body, clock::now().as_ms() / 1_000);
        self.sends(server, method, target, body, &signed)
    }

    /// Returns the header of a request that the device signs at a time of the test's.
    pub fn signed(&self, method: &str, target: &str, body: &[u8], now_s: u64) -> String {
        let log = origin();
        let request = Request { origin: &log, did: &self.did, method, target, body };
        Authorization::sign(&request, &self.sign, now_s, &mut rng::system()).expect("it fits").to_string()
    }

    /// Sends a request in the name of the DID with any header.
    pub fn sends(&self, server: &Server, method: &str, target: &str, body: &[u8], signed: &str) -> Answer {
        let did = self.did.to_string();
        let headers = [("authorization", signed), (DID_HEADER, did.as_str())];
        http::request(server.http, method, target, &headers, body).expect("the server answers")
    }
}
