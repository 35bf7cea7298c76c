//! The relay in the server, used by a stock client with the credentials that the lobby gives.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use dgns_tests::harness::programs::run;
use dgns_tests::harness::{Seed, Site, wait};
use dgns_tests::skip::skip;
use identity::cert::{Body, DeviceEnd, EndReason};
use lobby::message::{Form, IceServer};

use crate::Scene;
use crate::client::{Client, Device};
use crate::ice::free;

/// A server with a relay on loopback.
fn relaying(settings: &[(&'static str, &str)]) -> (Scene, SocketAddr) {
    let at = free();
    let site = Site::new().with("turn", "listen", &format!("[\"{at}\"]")).with("turn", "public_ip", "[\"127.0.0.1\"]");
    let site = settings.iter().fold(site, |site, (key, value)| site.with("turn", key, value));
    (Scene::at(site), at)
}

async fn told_of_relays(scene: &Scene, who: &Device) -> (Client, IceServer) {
    let mut client = Client::open(&scene.server, Form::Cbor).await;
    client.hello(who, None).await;
    let welcome = client.welcomed().await;
    let relay = welcome.ice.into_iter().find(|server| server.urls.iter().any(|url| url.starts_with("turn:")));
    (client, relay.expect("the relay is named"))
}

/// A stock client: two of its clients send each other messages through the relay.
fn uclient(at: SocketAddr, relay: &IceServer, more: &[&str]) -> Command {
    let mut command = Command::new("turnutils_uclient");
    command.args(["-y", "-c", "-n", "20", "-z", "5", "-u", &relay.user, "-w", &relay.credential]);
    command.args(more).args(["-p", &at.port().to_string(), "127.0.0.1"]);
    command
}

#[tokio::test]
async fn a_stock_client_is_relayed_with_what_the_lobby_gives() {
    // Goal: credentials, allocations, permissions, channels and indications are those that others know. Method: coturn's client, by channels, by
    // indications, in larger messages; then with a password that is wrong.
    if Command::new("turnutils_uclient").output().is_err() {
        return skip("coturn is not installed");
    }
    let (mut scene, at) = relaying(&[]);
    let alice = scene.somebody("alice");
    let (_client, relay) = told_of_relays(&scene, &Device::new(&alice.device.sign, alice.did)).await;
    assert_eq!(relay.urls, [format!("turn:{at}?transport=udp")]);
    for more in [&[][..], &["-s"], &["-l", "1200"]] {
        let ran = run(uclient(at, &relay, more), "");
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(all.contains("Total lost packets 0 (0.000000%)"), "{more:?}: {all}");
    }
    let passed = scene.metric("dgns_turn_bytes_total");
    assert!(passed > 2 * 20 * (100 + 100 + 1_200), "{passed}");
    let wrong = IceServer { credential: "wrong".to_owned(), ..relay };
    run(uclient(at, &wrong, &[]), "");
    assert_eq!(scene.metric("dgns_turn_bytes_total"), passed);
    assert!(scene.metric("dgns_turn_refused_total{reason=\"unauthorized\"}") > 0);
}

#[tokio::test]
async fn what_a_revoked_device_has_of_the_relay_ends() {
    if Command::new("turnutils_uclient").output().is_err() {
        return skip("coturn is not installed");
    }
    let (mut scene, at) = relaying(&[]);
    let mut alice = scene.somebody("alice");
    let key = scene.device_of(&mut alice, 41);
    let (_client, relay) = told_of_relays(&scene, &Device::new(&key, alice.did)).await;
    let mut child = uclient(at, &relay, &["-n", "100000"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    wait::until("it is relayed", || (scene.metric("dgns_turn_allocations") >= 2).then_some(()));
    scene.says(&mut alice, Body::DeviceSuspend(DeviceEnd { kid: key.kid(), reason: EndReason::Lost }));
    wait::until("its allocations end", || (scene.metric("dgns_turn_allocations") == 0).then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
    run(uclient(at, &relay, &[]), "");
    assert_eq!(scene.metric("dgns_turn_allocations"), 0, "its credentials are good no more");
}

#[tokio::test]
async fn a_flood_of_whatever_is_answered_by_what_it_is_or_not_at_all() {
    // Goal: bytes without a pattern and requests without credentials cost no memory, and the relay goes on. Method: a hundred thousand from one
    // place, half of them with a good head; then a Binding.
    let (scene, at) = relaying(&[]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let before = scene.server.resident_bytes();
    let (mut answers, mut buffer) = (0, [0; 2_048]);
    for round in 0..100_000_usize {
        let bytes = junk(round);
        let _ = socket.send_to(&bytes, at);
        while let Ok((length, _)) = socket.recv_from(&mut buffer) {
            answers += 1;
            assert!(length <= 200, "an answer of {length} bytes to a stranger");
        }
    }
    assert!(answers <= 20 * 120, "{answers} answers: twenty a second");
    let grown = scene.server.resident_bytes().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes");
    assert_eq!(scene.metric("dgns_turn_allocations"), 0);
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let request = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    wait::until("a Binding is answered", || {
        socket.send_to(&request, at).unwrap();
        let (length, _) = socket.recv_from(&mut buffer).ok()?;
        (length == 32 && buffer[8..20] == [7; 12]).then_some(())
    });
}

fn junk(round: usize) -> Vec<u8> {
    let mut bytes = Seed::from(round as u64).bytes(20 + round % 40 * 4);
    if round.is_multiple_of(2) {
        bytes.truncate(20);
        bytes[..8].copy_from_slice(&[0, [3, 4, 8, 9][round / 2 % 4], 0, 0, 0x21, 0x12, 0xa4, 0x42]);
    }
    bytes
}
