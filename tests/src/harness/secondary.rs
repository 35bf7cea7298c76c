//! Real NSD and Knot that copy a zone from a server and serve it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{ports, programs, wait};

/// A secondary; dropping it kills it.
#[derive(Debug)]
pub struct Secondary {
    child: Child,
    /// Where it answers, by UDP and TCP.
    pub address: SocketAddr,
    directory: TempDir,
}

/// From where a secondary copies a zone, and its key as `algorithm:name:secret`.
#[derive(Clone, Copy, Debug)]
pub struct Primary<'p> {
    /// The server, which tells it of changes from the same address.
    pub address: SocketAddr,
    /// The zone.
    pub zone: &'p str,
    /// What both sign with.
    pub key: &'p str,
    /// Where it speaks TLS, the file of the authority of its certificate, and its name there; the zone is copied so.
    pub tls: Option<(SocketAddr, &'p Path, &'p str)>,
}

impl Secondary {
    /// Returns a port for a secondary that is started later: its primary is told it first.
    pub fn place() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], ports::free()))
    }

    /// Starts an NSD.
    pub fn nsd(address: SocketAddr, primary: Primary<'_>) -> Self {
        let [algorithm, name, secret] = parts(primary.key);
        let Primary { address: from, zone, tls, .. } = primary;
        let from = tls.map_or(from, |(address, ..)| address);
        let (port, from) = (address.port(), format!("{}@{}", from.ip(), from.port()));
        let (bundle, authentication, over) = match tls {
            Some((_, root, host)) => (
                format!("  tls-cert-bundle: \"{}\"\n", root.display()),
                format!("tls-auth:\n  name: \"primary\"\n  auth-domain-name: \"{host}\"\n"),
                " primary",
            ),
            None => (String::new(), String::new(), ""),
        };
        Self::start("/usr/sbin/nsd", &["-d", "-c"], address, |directory| {
            format!(
                "{}{bundle}remote-control:\n  control-enable: no\n{authentication}\
                 key:\n  name: \"{name}\"\n  algorithm: {algorithm}\n  secret: \"{secret}\"\n\
                 zone:\n  name: \"{zone}\"\n  zonefile: \"zone\"\n  allow-notify: 127.0.0.1 {name}\n  request-xfr: {from} {name}{over}\n  \
                 provide-xfr: 127.0.0.1 NOKEY\n",
                nsd_head(port, directory)
            )
        })
    }

    /// Starts a Knot, which takes nothing whose signatures do not hold.
    pub fn knot(address: SocketAddr, primary: Primary<'_>) -> Self {
        let [algorithm, name, secret] = parts(primary.key);
        let Primary { address: from, zone, .. } = primary;
        let (port, from) = (address.port(), format!("{}@{}", from.ip(), from.port()));
        Self::start("/usr/sbin/knotd", &["-c"], address, |directory| {
            format!(
                "{}\
                 key:\n- id: {name}\n  algorithm: {algorithm}\n  secret: {secret}\n\
                 remote:\n- id: primary\n  address: {from}\n  key: {name}\n\
                 acl:\n- id: told\n  address: 127.0.0.1\n  key: {name}\n  action: notify\n\
                 - id: read\n  address: 127.0.0.1\n  action: transfer\n\
                 zone:\n- domain: {zone}\n  storage: \"{directory}\"\n  master: primary\n  acl: [told, read]\n  dnssec-validation: on\n",
                knot_head(port, directory)
            )
        })
    }

    /// Starts a Knot that is told of no zone but a catalog: it copies the zones that the catalog has, and takes nothing whose signatures do not hold.
    pub fn knot_of_catalog(address: SocketAddr, primary: Primary<'_>) -> Self {
        let [algorithm, name, secret] = parts(primary.key);
        let Primary { address: from, zone: catalog, .. } = primary;
        let (port, from) = (address.port(), format!("{}@{}", from.ip(), from.port()));
        Self::start("/usr/sbin/knotd", &["-c"], address, |directory| {
            format!(
                "{}\
                 key:\n- id: {name}\n  algorithm: {algorithm}\n  secret: {secret}\n\
                 remote:\n- id: primary\n  address: {from}\n  key: {name}\n\
                 acl:\n- id: told\n  address: 127.0.0.1\n  key: {name}\n  action: notify\n\
                 - id: read\n  address: 127.0.0.1\n  action: transfer\n\
                 template:\n- id: default\n  storage: \"{directory}\"\n- id: member\n  storage: \"{directory}\"\n  master: primary\n  \
                 acl: [told, read]\n  dnssec-validation: on\n\
                 zone:\n- domain: {catalog}\n  master: primary\n  acl: told\n  catalog-role: interpret\n  catalog-template: member\n",
                knot_head(port, directory)
            )
        })
    }

    /// Starts an NSD that serves a zone file of somebody else.
    pub fn nsd_of_file(address: SocketAddr, zone: &str, file: &Path) -> Self {
        Self::start("/usr/sbin/nsd", &["-d", "-c"], address, |directory| {
            let zone = format!("zone:\n  name: \"{zone}\"\n  zonefile: \"{}\"\n", file.display());
            format!("{}remote-control:\n  control-enable: no\n{zone}", nsd_head(address.port(), directory))
        })
    }

    /// Starts a Knot that serves a zone file of somebody else, and nothing whose signatures do not hold.
    pub fn knot_of_file(address: SocketAddr, zone: &str, file: &Path) -> Self {
        let port = address.port();
        Self::start("/usr/sbin/knotd", &["-c"], address, |directory| {
            format!(
                "{}\
                 acl:\n- id: read\n  address: 127.0.0.1\n  action: transfer\n\
                 zone:\n- domain: {zone}\n  file: \"{}\"\n  acl: [read]\n  zonefile-sync: -1\n  dnssec-validation: on\n",
                knot_head(port, directory),
                file.display()
            )
        })
    }

    fn start(program: &str, flags: &[&str], address: SocketAddr, configuration: impl Fn(&str) -> String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("configuration");
        std::fs::write(&file, configuration(&directory.path().display().to_string())).unwrap();
        let mut command = Command::new(program);
        command.args(flags).arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program} (tests/run installs it): {error}"));
        wait::until("a secondary listens", || {
            if let Some(ended) = child.try_wait().unwrap() {
                let log = std::fs::read_to_string(directory.path().join("log")).unwrap_or_default();
                panic!("{program} ended: {ended} {log}");
            }
            std::net::TcpStream::connect(address).ok()
        });
        Self { child, address, directory }
    }

    /// Returns its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the serial that it serves; `None` before it has the zone.
    pub fn serial(&self, zone: &str) -> Option<u32> {
        serial(self.address, zone)
    }

    /// Returns what it wrote into its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

impl Drop for Secondary {
    fn drop(&mut self) {
        // NSD has children of its own, which end with it if it may end by itself.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Returns the serial that a server answers for a zone.
pub fn serial(address: SocketAddr, zone: &str) -> Option<u32> {
    let soa = dig(address, &["+short", zone, "SOA"]).stdout;
    soa.split(' ').nth(2)?.parse().ok()
}

/// Returns every record of a zone as a server gives it to who may copy it, in order, each once.
pub fn copied(address: SocketAddr, zone: &str, options: &[&str]) -> Vec<String> {
    let ran = dig(address, &[options, &["+noall", "+answer", "+onesoa", zone, "AXFR"]].concat());
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut records: Vec<String> =
        ran.stdout.lines().filter(|line| !line.is_empty() && !line.starts_with(';')).map(words).collect();
    assert!(!records.is_empty(), "no copy: {ran}");
    records.sort_unstable();
    records
}

/// Runs dig against a server.
pub fn dig(address: SocketAddr, options: &[&str]) -> programs::Ran {
    let mut command = Command::new("dig");
    command.arg(format!("@{}", address.ip())).arg("-p").arg(address.port().to_string());
    command.args(["+tries=1", "+time=30"]).args(options);
    programs::run(command, "")
}

/// Returns how the configuration of every NSD begins.
fn nsd_head(port: u16, directory: &str) -> String {
    format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  do-ip6: no\n  server-count: 1\n  username: \"\"\n  rrl-ratelimit: 0\n  chroot: \"\"\n  \
         zonesdir: \"{directory}\"\n  zonelistfile: \"{directory}/zone.list\"\n  database: \"\"\n  logfile: \"{directory}/log\"\n  \
         pidfile: \"{directory}/pid\"\n  xfrdfile: \"{directory}/xfrd.state\"\n  xfrdir: \"{directory}\"\n  xfrd-reload-timeout: 0\n  \
         verbosity: 2\n"
    )
}

/// Returns how the configuration of every Knot begins.
fn knot_head(port: u16, directory: &str) -> String {
    format!(
        "server:\n  listen: 127.0.0.1@{port}\n  rundir: \"{directory}\"\n  udp-workers: 1\n  tcp-workers: 1\n\
         log:\n- target: \"{directory}/log\"\n  any: info\n\
         database:\n  storage: \"{directory}\"\n"
    )
}

fn parts(key: &str) -> [&str; 3] {
    key.split(':').collect::<Vec<_>>().try_into().expect("algorithm:name:secret")
}
