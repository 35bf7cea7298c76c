//! The lobby of a real `dgnsd`, met by real WebSocket clients (PROTOCOL 23).

mod bad_input;
mod client;
mod ends;
mod ice;
mod knocks;
mod nodes;
mod relay;
mod revoked;
mod sessions;
mod verbs;

use dgns_tests::harness::load::{Poster, Somebody, origin};
use dgns_tests::harness::{Server, Site};
use identity::cert::{Body, Certificate, Device, Level};
use identity::key::SigningKey;
use identity::state::Subject;

/// A server with people on it.
pub(crate) struct Scene {
    pub server: Server,
    pub site: Site,
    poster: Poster,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::at(Site::new())
    }

    pub(crate) fn at(site: Site) -> Self {
        let server = site.start();
        let poster = Poster::new(server.vkey());
        Self { server, site, poster }
    }

    /// Returns somebody whose name is claimed.
    pub(crate) fn somebody(&mut self, label: &str) -> Somebody {
        let (somebody, certificates) = Somebody::new(label, 1);
        self.poster.post(self.server.http, &certificates, &somebody.subject()).unwrap();
        somebody
    }

    /// Posts what somebody's first device says.
    pub(crate) fn says(&mut self, somebody: &mut Somebody, body: Body) {
        let certificate = somebody.says(body);
        self.post(&certificate, somebody);
    }

    /// Adds a device to somebody; returns its key.
    pub(crate) fn device_of(&mut self, somebody: &mut Somebody, number: u8) -> SigningKey {
        let key = SigningKey::from_seed(&[number; 32]);
        let kex = identity::key::KexSecret::from_bytes([number; 32]).public();
        let device = Device { sign: key.public(), kex, level: Level::Service, label_hash: [0; 32] };
        let keys = [&somebody.device.sign, &key];
        let certificate = somebody.next.sign(Body::DeviceAdd(device), None, &origin(), &keys).unwrap();
        somebody.next = somebody.next.next(&certificate);
        self.post(&certificate, somebody);
        key
    }

    fn post(&mut self, certificate: &Certificate, of: &Somebody) {
        let subject = Subject::Did(of.did);
        self.poster.post(self.server.http, std::slice::from_ref(certificate), &subject).unwrap();
    }

    /// Returns the value of a metric.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.server.get("/metrics").text().to_string();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        line.unwrap_or_else(|| panic!("{name} is not among the metrics"))
    }
}
