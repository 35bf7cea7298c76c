//! What clients are told of STUN servers and relays, and the answer of this server's own STUN.

use std::net::{SocketAddr, UdpSocket};

use dgns_tests::harness::{Site, ports, wait};
use lobby::message::{Form, Frame, IceServer, Value};

use crate::Scene;
use crate::client::{Client, Device};

/// An address over UDP that is free now.
pub(crate) fn free() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], ports::free()))
}

#[tokio::test]
async fn stun_answers_with_the_address_it_sees_and_clients_are_told_of_relays() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("relay.secret");
    std::fs::write(&secret, "0123456789abcdef\n").unwrap();
    let at = free();
    let site = Site::new()
        .with("turn", "listen", &format!("[\"{at}\"]"))
        .with("turn", "stun", &format!("[\"stun:{at}\"]"))
        .with("turn", "external", "[\"turn:relay.example:3478?transport=tcp\"]")
        .with("turn", "secret_file", &format!("{:?}", secret.display().to_string()));
    let mut scene = Scene::at(site);

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(wait::PATIENCE)).unwrap();
    let request = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    socket.send_to(&request, at).unwrap();
    let mut answer = [0; 100];
    let (length, from) = socket.recv_from(&mut answer).unwrap();
    assert_eq!((length, from, &answer[..2], &answer[8..20]), (32, at, &[1, 1][..], &[7; 12][..]));
    let port = u16::from_be_bytes([answer[26], answer[27]]) ^ 0x2112;
    assert_eq!(port, socket.local_addr().unwrap().port());

    let alice = scene.somebody("alice");
    let mut client = Client::open(&scene.server, Form::Json).await;
    client.hello(&Device::new(&alice.device.sign, alice.did), None).await;
    let welcome = client.welcomed().await;
    assert_eq!((welcome.ttl_s, welcome.ice[0].urls.as_slice()), (600, &[format!("stun:{at}")][..]));
    let [_, relay] = &welcome.ice[..] else { panic!("two servers: {:?}", welcome.ice) };
    assert!(
        relay.user.split_once(':').is_some_and(|(end, _)| end.parse::<u64>().is_ok()) && !relay.credential.is_empty()
    );
    client.say(&Frame::Ice { id: 4 }).await;
    let Frame::Ok { id: 4, value: Some(Value::List(value)) } = client.read().await else { panic!("fresh ones") };
    let servers: Vec<IceServer> = value[0].list().unwrap().iter().map(|it| IceServer::of_value(it).unwrap()).collect();
    assert_eq!((servers.len(), &servers[0], &value[1]), (2, &welcome.ice[0], &Value::Uint(600)));
}
