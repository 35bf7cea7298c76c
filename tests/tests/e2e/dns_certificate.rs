//! The certificate of encrypted DNS that the server gets by itself: from a real authority, from none, and from one that asks for more than was ordered.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use dgns_tests::harness::pebble::Pebble;
use dgns_tests::harness::programs::{Ran, run};
use dgns_tests::harness::secondary::dig;
use dgns_tests::harness::{Person, Server, Site, ports, wait};
use serde_json::json;

use crate::dns_transfers::counter;

const NAMES: [&str; 2] = ["ns.dgns.test", "dns.dgns.test"];

/// Returns a site that answers at `dns` and gets its certificate from there.
fn site(dns: SocketAddr, directory: &str) -> Site {
    let names = NAMES.map(|name| format!("{name:?}")).join(", ");
    let any = "[\"127.0.0.1:0\"]";
    let site =
        Site::new().with("dns", "listen", &format!("[\"{dns}\"]")).with("dns", "dot", any).with("dns", "doq", any);
    site.with("dns.tls", "acme", &format!("{directory:?}")).with("dns.tls", "acme_names", &format!("[{names}]"))
}

/// As [`site`], of a pebble.
fn site_of(pebble: &Pebble, dns: SocketAddr) -> Site {
    let root = pebble.root_of_directory().display().to_string();
    site(dns, &pebble.url()).with("dns.tls", "acme_ca", &format!("{root:?}"))
}

fn place() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], ports::free()))
}

/// Asks over TLS for the SOA of the zone, as somebody who believes `root`.
fn asked(server: &Server, root: &Path, name: &str) -> Ran {
    let port = server.ready["dot"][0].as_str().and_then(|address| address.rsplit(':').next()).expect("a port");
    let mut command = Command::new("kdig");
    command.args(["@127.0.0.1", "-p", port, "+retry=0", "+short", &format!("+tls-ca={}", root.display())]);
    command.arg(format!("+tls-hostname={name}")).args(["dgns.test", "SOA"]);
    run(command, "")
}

fn is_answered(server: &Server, root: &Path) -> bool {
    NAMES.iter().all(|name| asked(server, root, name).stdout.contains("hostmaster.dgns.test."))
}

fn orders(server: &Server) -> (u64, u64) {
    let of = |result: &str| counter(server, &format!("dns_certificate_orders_total{{result=\"{result}\"}}"));
    (of("issued"), of("failed"))
}

fn challenges(dns: SocketAddr) -> String {
    let of = |name: &&str| dig(dns, &["+short", &format!("_acme-challenge.{name}"), "TXT"]).stdout;
    NAMES.iter().map(of).collect()
}

#[test]
fn a_server_gets_its_certificate_by_itself_and_keeps_it() {
    // Goal: without a word of the operator clients verify the server under the authority's root, by each of its names; the next start serves what was
    // kept and asks nobody. Method: a real pebble, which resolves by our DNS alone; then the same site without it.
    let dns = place();
    let mut pebble = Pebble::asking(dns);
    let site = site_of(&pebble, dns);
    let server = site.start();
    assert!(dig(dns, &["+short", "dgns.test", "SOA"]).stdout.contains("hostmaster"), "plain DNS waits for nothing");
    let root = pebble.root();
    wait::until("encrypted DNS is answered", || is_answered(&server, &root).then_some(()));
    assert_eq!(orders(&server).0, 1);
    assert!(counter(&server, "dns_certificate_end_seconds") > 1_700_000_000);
    assert!(asked(&server, &root, "www.dgns.test").stdout.is_empty(), "it is for no other name");
    assert_eq!(challenges(dns), "", "and nothing is left of the challenges");
    for file in ["dns-tls.pem", "acme-account.json"] {
        let mode = std::fs::metadata(site.data().join("keys").join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(server.stop().code, Some(0));

    pebble.stop();
    let server = site.start();
    assert!(is_answered(&server, &root), "from the first moment on");
    assert_eq!(orders(&server), (0, 0));
    server.kill();

    // A file that is cut short is no reason not to start; another certificate is ordered, of an authority that has forgotten the account.
    let kept = site.data().join("keys/dns-tls.pem");
    let text = std::fs::read(&kept).unwrap();
    std::fs::write(&kept, &text[..text.len() / 2]).unwrap();
    pebble.start();
    let server = site.start();
    let root = pebble.root();
    wait::until("encrypted DNS is answered again", || is_answered(&server, &root).then_some(()));
    assert_eq!(orders(&server), (1, 1), "the first try found the account unknown");
}

#[test]
fn an_authority_that_is_away_hurts_nobody() {
    // Goal: the server starts and answers, clients of encrypted DNS are told no, and once the authority is there they are answered without a restart.
    let dns = place();
    let mut pebble = Pebble::before(dns);
    let site = site_of(&pebble, dns);
    let server = site.start();
    wait::until("an order failed", || (orders(&server).1 >= 1).then_some(()));
    assert!(dig(dns, &["+short", "dgns.test", "SOA"]).stdout.contains("hostmaster"));
    assert!(asked(&server, &pebble.root_of_directory(), NAMES[0]).stdout.is_empty());
    wait::until("the handshake is refused", || {
        (counter(&server, "dns_dropped_total{reason=\"handshake\"}") >= 1).then_some(())
    });
    assert!(!server.get("/metrics").text().contains("dns_certificate_end_seconds"), "there is none");
    pebble.start();
    let root = pebble.root();
    wait::until("it is tried again", || is_answered(&server, &root).then_some(()));
    assert_eq!(server.stop().code, Some(0));
}

/// An authority of whatever it says: to each request the answer of `script` for its path, which is told the URL of the server.
fn authority(script: fn(&str, &str) -> serde_json::Value) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (base, asked) = (url.clone(), Arc::new(Mutex::new(Vec::new())));
    let seen = asked.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut first, mut length) = (String::new(), 0);
            let _ = reader.read_line(&mut first);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).is_err() || line.trim().is_empty() {
                    break;
                }
                let value =
                    line.to_ascii_lowercase().strip_prefix("content-length:").map(|rest| rest.trim().to_owned());
                length = value.and_then(|value| value.parse().ok()).unwrap_or(length);
            }
            let _ = reader.read_exact(&mut vec![0; length]);
            let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
            let body = script(&path, &base).to_string();
            seen.lock().unwrap().push(path);
            let said = if first.starts_with("HEAD") { "" } else { &body };
            let head = "Replay-Nonce: AAAA\r\nContent-Type: application/json\r\nConnection: close";
            let location = format!("Location: {base}/order");
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\n{head}\r\n{location}\r\nContent-Length: {}\r\n\r\n{said}",
                body.len()
            );
        }
    });
    (url, asked)
}

/// Says what an authority does that asks for the challenge of a name that nobody ordered.
fn greedy(path: &str, base: &str) -> serde_json::Value {
    match path {
        "/order" => json!({
            "status": "pending", "identifiers": [{"type": "dns", "value": "alice.dgns.test"}],
            "authorizations": [format!("{base}/authorization")], "finalize": format!("{base}/finalize"),
        }),
        "/authorization" => json!({
            "status": "pending", "identifier": {"type": "dns", "value": "alice.dgns.test"},
            "challenges": [{"type": "dns-01", "url": format!("{base}/challenge"), "token": "AAAA", "status": "pending"}],
        }),
        _ => json!({
            "newNonce": format!("{base}/nonce"), "newAccount": format!("{base}/account"), "newOrder": format!("{base}/order"),
        }),
    }
}

/// Says more than anybody reads.
fn endless(_: &str, _: &str) -> serde_json::Value {
    json!("x".repeat(1 << 20))
}

#[test]
fn an_authority_that_lies_gets_nothing_and_changes_nothing() {
    // Goal: no challenge is shown for a name that was not ordered, least of all somebody's; an answer without an end is not read. Method: authorities
    // of the test's own, by http, which loopback is allowed.
    for (script, wanted) in [(greedy as fn(&str, &str) -> _, "/authorization"), (endless, "/dir")] {
        let (dns, (url, paths)) = (place(), authority(script));
        let site = site(dns, &format!("{url}/dir"));
        let server = site.start();
        let alice = Person::new();
        alice.up(&server, "alice");
        wait::until("an order failed", || (orders(&server).1 >= 1).then_some(()));
        let paths = paths.lock().unwrap().clone();
        assert!(paths.iter().any(|path| path == wanted) && !paths.iter().any(|path| path == "/challenge"), "{paths:?}");
        assert_eq!(dig(dns, &["+short", "_acme-challenge.alice.dgns.test", "TXT"]).stdout, "");
        assert_eq!((orders(&server).0, challenges(dns).as_str()), (0, ""));
        assert!(!site.data().join("keys/dns-tls.pem").exists());
    }
}
