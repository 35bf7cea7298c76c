//! What the log says takes effect on open sessions.

use identity::cert::{Body, DeviceEnd, EndReason};
use lobby::message::{Form, Frame, Visible};

use crate::Scene;
use crate::client::{Client, Device};

#[tokio::test]
async fn a_device_that_is_suspended_is_out_at_once_and_its_names_with_it() {
    // Goal: the commit itself ends the session of the device it names, and no other. Method: two devices of a DID are here; one suspends the
    // other.
    let mut scene = Scene::new();
    let mut alice = scene.somebody("alice");
    let key = scene.device_of(&mut alice, 40);
    let mut first = Client::enter(&scene.server, Form::Cbor, &Device::new(&alice.device.sign, alice.did)).await;
    let second = Device::new(&key, alice.did);
    let mut client = Client::enter(&scene.server, Form::Cbor, &second).await;
    client.register(&alice.name, Visible::Public).await;
    scene.says(&mut alice, Body::DeviceSuspend(DeviceEnd { kid: key.kid(), reason: EndReason::Lost }));
    let (code, closed) = client.ended().await;
    assert_eq!((code.as_str(), closed.code, closed.reason.as_str()), ("revoked", 4001, "revoked"));
    assert_eq!(scene.metric("dgns_lobby_registrations"), 0);
    assert_eq!(scene.metric("dgns_lobby_revoked_total"), 1);
    first.say(&Frame::Ping { id: 1 }).await;
    assert_eq!(first.read().await, Frame::Pong { id: 1 });
    let mut again = Client::open(&scene.server, Form::Cbor).await;
    again.hello(&second, None).await;
    let (code, closed) = again.ended().await;
    assert_eq!((code.as_str(), closed.code), ("unknown_device", 4001));
}
