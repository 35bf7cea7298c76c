//! Two ends in one process, over real sockets.

use super::*;

fn settings() -> Settings {
    Settings { ice: Vec::new(), loopback: true }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

async fn pair() -> (Link, Transport, Link, Transport) {
    let (client, offer) = Link::offering(&settings()).await.expect("an offer");
    let (host, answer) = Link::answering(&settings(), &offer).await.expect("an answer");
    client.answered(&answer).await.expect("an answer that fits");
    (client, offer, host, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_ends_open_both_channels_and_know_each_others_certificate() {
    let (client, offer, host, answer) = pair().await;
    let (one, other) = tokio::join!(client.open(&answer.fingerprint, soon()), host.open(&offer.fingerprint, soon()));
    assert_eq!((one, other), (Ok(()), Ok(())));
    client.send(Channel::Control, b"asks").await.expect("sent");
    assert_eq!(host.receive().await, Some((Channel::Control, Bytes::from_static(b"asks"))));
    let piece = vec![7; MESSAGE_BYTES_MAX];
    host.send(Channel::Bulk, &piece).await.expect("sent");
    assert_eq!(client.receive().await, Some((Channel::Bulk, Bytes::from(piece))));
    host.close().await;
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), client.receive()).await, Ok(None), "noticed at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_certificate_than_the_cards_opens_nothing() {
    // Goal: both the handshake and the comparison after it hold the certificate to the card. Method: the host is told another
    // fingerprint than the client's for the handshake; the client compares with another one after a good handshake.
    let (client, mut offer) = Link::offering(&settings()).await.expect("an offer");
    offer.fingerprint = [9; 32];
    let (host, answer) = Link::answering(&settings(), &offer).await.expect("an answer");
    client.answered(&answer).await.expect("an answer that fits");
    let soon = Instant::now() + Duration::from_secs(5);
    let opened = host.open(&offer.fingerprint, soon).await;
    assert!(matches!(opened, Err(LinkError::NoPath | LinkError::WrongCertificate)), "{opened:?}");

    let (client, offer, host, _) = pair().await;
    let soon = Instant::now() + Duration::from_secs(20);
    let (one, other) = tokio::join!(client.open(&[9; 32], soon), host.open(&offer.fingerprint, soon));
    assert_eq!(one, Err(LinkError::WrongCertificate));
    assert!(matches!(other, Ok(()) | Err(LinkError::Closed)), "the client may be gone already: {other:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_is_renewed_and_channels_stay() {
    // Goal: a restart moves both ends to new sockets and loses nothing. Method: three restarts, messages before and behind each.
    let (client, offer, host, answer) = pair().await;
    let (one, other) = tokio::join!(client.open(&answer.fingerprint, soon()), host.open(&offer.fingerprint, soon()));
    assert_eq!((one, other), (Ok(()), Ok(())));
    let mut before = offer;
    for round in 0_u8..3 {
        let offered = client.restarting().await.expect("another offer");
        assert_ne!(offered.ufrag, before.ufrag, "ICE began anew");
        assert_eq!(offered.fingerprint, before.fingerprint, "DTLS did not");
        let answered = host.restarted(&offered).await.expect("another answer");
        client.answered(&answered).await.expect("an answer that fits");
        before = offered;
        for path in [client.path(), host.path()] {
            let stands = async { path.clone().wait_for(|path| *path == Path::Stands).await.map(|path| *path) };
            let stands = tokio::time::timeout(Duration::from_secs(20), stands).await;
            assert_eq!(stands.expect("in time").expect("open"), Path::Stands, "round {round}");
        }
        client.send(Channel::Control, &[round]).await.expect("sent");
        let came = tokio::time::timeout(Duration::from_secs(20), host.receive()).await;
        assert_eq!(came, Ok(Some((Channel::Control, Bytes::copy_from_slice(&[round])))));
        host.send(Channel::Bulk, &[round; 9_000]).await.expect("sent");
        let came = tokio::time::timeout(Duration::from_secs(20), client.receive()).await;
        assert_eq!(came, Ok(Some((Channel::Bulk, Bytes::copy_from_slice(&[round; 9_000])))));
    }
}
